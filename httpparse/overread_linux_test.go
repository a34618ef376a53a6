package httpparse

import (
	"testing"

	"golang.org/x/sys/unix"
)

// beforeUnreadablePage lays bytes so that they end slack bytes before a page that
// may not be read: one byte of over-read is a crash. What is in the slack, between
// length and capacity, would change an answer if it were looked at.
func beforeUnreadablePage(t *testing.T, size, slack int) layout {
	t.Helper()
	page := unix.Getpagesize()
	end := (size + slack + page - 1) / page * page
	mem, err := unix.Mmap(-1, 0, end+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	if err := unix.Mprotect(mem[end:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for i := range slack {
		mem[end-slack+i] = "\r\n\x00 :"[i%5]
	}
	return func(b []byte) []byte {
		start := end - slack - len(b)
		copy(mem[start:], b)
		return mem[start : start+len(b) : end]
	}
}

func TestNothingIsReadBehindTheBuffer(t *testing.T) {
	const largest = 32 << 10
	for _, slack := range []int{0, 64, 192} {
		lay := beforeUnreadablePage(t, largest, slack)
		for _, v := range vectors(t, "head") {
			var whole Head
			n, bad := feed(&whole, v, inPlace)
			for cut := range cuts(len(v.in)) {
				if gotN, gotBad := feed(new(Head), v, lay, cut); gotN != n || gotBad != bad {
					t.Errorf("%s, cut at %d: got %d, %v, want %d, %v", v.name, cut, gotN, gotBad, n, bad)
				}
			}
		}
		for _, v := range vectors(t, "trailer") {
			for cut := range cuts(len(v.in)) {
				feed(new(Fields), v, lay, cut)
			}
		}
		for _, v := range vectors(t, "chunked") {
			for cut := range cuts(len(v.in)) {
				feedChunked(v, lay, cut)
			}
		}
	}
}

// The words that a scan reads end with the buffer, whatever the alignment.
func TestNoScanReadsBehindTheBuffer(t *testing.T) {
	for _, slack := range []int{0, 64} {
		lay := beforeUnreadablePage(t, 64, slack)
		for _, s := range scanners {
			for n := range 64 {
				b := lay([]byte("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789ab")[:n])
				for i := range n + 1 {
					if got := s.scan(b, i); got != n {
						t.Fatalf("%s of %d bytes from %d: got %d", s.name, n, i, got)
					}
				}
			}
		}
	}
}
