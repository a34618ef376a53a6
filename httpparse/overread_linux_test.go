package httpparse

import (
	"testing"

	"golang.org/x/sys/unix"
)

// beforeUnreadablePage lays bytes so that they end where a page begins that may
// not be read: one byte of over-read is a crash.
func beforeUnreadablePage(t *testing.T, size int) layout {
	t.Helper()
	page := unix.Getpagesize()
	end := (size + page - 1) / page * page
	mem, err := unix.Mmap(-1, 0, end+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	if err := unix.Mprotect(mem[end:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return func(b []byte) []byte {
		start := end - len(b)
		copy(mem[start:end], b)
		return mem[start:end:end]
	}
}

func TestNothingIsReadBehindTheBuffer(t *testing.T) {
	const largest = 32 << 10
	lay := beforeUnreadablePage(t, largest)
	for _, v := range vectors(t, "head") {
		for cut := range cuts(len(v.in)) {
			feed(new(Head), v, lay, cut)
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

// The words that a scan reads end with the buffer, whatever the alignment.
func TestNoScanReadsBehindTheBuffer(t *testing.T) {
	lay := beforeUnreadablePage(t, 64)
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
