package httpparse

import (
	"bytes"
	"testing"
)

// allocations is the average of f's, with the memory that it keeps warmed up.
func allocations(f func()) float64 { return testing.AllocsPerRun(10, f) }

// Refusals are included: what is refused must not cost more than what is served.
func TestHeadAllocatesNothing(t *testing.T) {
	var h Head
	for _, v := range vectors(t, "head") {
		if bytes.IndexByte(v.in, '[') >= 0 {
			if _, bad := feed(&h, v, inPlace); bad != nil {
				continue // net/netip makes an error for a malformed IPv6 literal
			}
		}
		if n := allocations(func() { feed(&h, v, inPlace) }); n != 0 {
			t.Errorf("%s: %v allocations", v.name, n)
		}
	}
}

func TestTrailerAllocatesNothing(t *testing.T) {
	var f Fields
	for _, v := range vectors(t, "trailer") {
		if n := allocations(func() { feed(&f, v, inPlace) }); n != 0 {
			t.Errorf("%s: %v allocations", v.name, n)
		}
	}
}

func TestChunkedAllocatesNothing(t *testing.T) {
	for _, v := range vectors(t, "chunked") {
		n := allocations(func() {
			var c Chunked
			for b := v.in; len(b) > 0 && !c.Ended(); {
				_, n, bad := c.Next(b)
				if bad != nil {
					return
				}
				b = b[n:]
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", v.name, n)
		}
	}
}

func TestAppendPathAllocatesNothingWithinDst(t *testing.T) {
	dst := make([]byte, 0, 64)
	path := []byte("/a/%41/../b//./c%2Fd/..")
	if n := allocations(func() { dst = AppendPath(dst[:0], path) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
