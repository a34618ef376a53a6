package httpparse

import (
	"bytes"
	"strings"
	"testing"
)

// scanners are the scanning functions, each with the bytes it passes over as
// the RFCs spell them.
var scanners = []struct {
	name   string
	scan   func([]byte, int) int
	passes func(byte) bool
}{
	{"scanValue", scanValue, func(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }},
	{"scanTarget", scanTarget, func(c byte) bool { return c > ' ' && c < 0x7f && c != '#' }},
	{"scanPath", func(b []byte, i int) int { end, _ := scanPath(slice("/", b), i+1); return end - 1 }, func(c byte) bool { return c > ' ' && c < 0x7f && strings.IndexByte("!#%'?", c) < 0 }},
	{"scanToken", scanToken, func(c byte) bool {
		return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
	}},
}

// slice is s with b behind it.
func slice(s string, b []byte) []byte { return append([]byte(s), b...) }

// A path has a dot behind a slash, or has not, wherever the words are cut and whatever
// stands behind the path's end.
func TestScanPathSeesDotsBehindSlashes(t *testing.T) {
	for length := range 20 {
		path := strings.Repeat("a", length)
		for at := range length + 1 {
			for _, put := range []string{"", ".", "/", "/.", "./", "//.", "-/", "/-", "..", "0.", "/0", "o.", "?/.", " /."} {
				text := "/" + path[:at] + put + path[at:]
				plain, _, _ := strings.Cut(text, "?")
				plain, _, _ = strings.Cut(plain, " ")
				end, dotted := scanPath([]byte(text), 1)
				if end != len(plain) || dotted != strings.Contains(plain, "/.") {
					t.Errorf("scanPath(%q, 1): %d, %v", text, end, dotted)
				}
			}
		}
	}
}

func naiveScan(b []byte, i int, passes func(byte) bool) int {
	for i < len(b) && passes(b[i]) {
		i++
	}
	return i
}

func TestScanFindsEveryByteAtEveryAlignment(t *testing.T) {
	for _, s := range scanners {
		for c := range 256 {
			for at := range 17 {
				for behind := range 9 {
					b := bytes.Repeat([]byte("a"), at+1+behind)
					b[at] = byte(c)
					for i := range at + 2 {
						if got, want := s.scan(b, i), naiveScan(b, i, s.passes); got != want {
							t.Fatalf("%s(%q, %d): got %d, want %d", s.name, b, i, got, want)
						}
					}
				}
			}
		}
	}
}

// The eight bytes of a word are compared in one subtraction, whose borrow must
// not let a byte answer for its neighbour.
func TestScanTellsNeighboursApart(t *testing.T) {
	b := bytes.Repeat([]byte("a"), 16)
	for _, s := range scanners {
		for pair := range 1 << 16 {
			for _, at := range []int{0, 3, 6, 7} {
				b[at], b[at+1] = byte(pair>>8), byte(pair)
				if got, want := s.scan(b, 0), naiveScan(b, 0, s.passes); got != want {
					t.Fatalf("%s(%q): got %d, want %d", s.name, b, got, want)
				}
				b[at], b[at+1] = 'a', 'a'
			}
		}
	}
}

func TestIsComparesInAnyCase(t *testing.T) {
	for _, name := range []string{"host", "keep-alive", "100-continue"} {
		for i := range name {
			b := []byte(strings.ToUpper(name))
			for c := range 256 {
				b[i] = byte(c)
				// Control characters never get here: no value holds one.
				if c < ' ' || c == 0x7f {
					continue
				}
				if got, want := is(b, name), strings.ToLower(string(b)) == name; got != want {
					t.Errorf("is(%q, %q): got %v", b, name, got)
				}
			}
		}
	}
}

func TestUnhex(t *testing.T) {
	for c := range 256 {
		want := strings.IndexByte("0123456789abcdef", byte(c))
		if 'A' <= c && c <= 'F' {
			want = c - 'A' + 10
		}
		if got := unhex(byte(c)); got != want {
			t.Errorf("unhex(%q): got %d, want %d", byte(c), got, want)
		}
	}
}
