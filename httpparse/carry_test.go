package httpparse

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// chunkedBodies have each part of the framing, and mistakes in some.
var chunkedBodies = []string{
	"3\r\nabc\r\n0\r\n",
	"10;a;b=c;d=\"q\\\"\"\r\n0123456789abcdef\r\n00\r\n",
	"1;name=\"\\\\\"\r\nx\r\nffffffff;last\r\nrest",
	"7fffffffffffffff\r\n",
	"fffffffffffffffff\r\n",
	"3\r\nabcd",
	"3;\r\nabc",
	"3 \r\n",
	"x",
}

// readChunked reads b and returns the data and what it is refused with.
func readChunked(c *Chunked, b string) (data string, bad *Error) {
	for p := []byte(b); len(p) > 0 && !c.Ended(); {
		d, n, bad := c.Next(p)
		data += string(d)
		if bad != nil {
			return data, bad
		}
		p = p[n:]
	}
	return data, nil
}

// A body that goes on elsewhere is read as if it had not, wherever that is.
func TestChunkedGoesOnElsewhere(t *testing.T) {
	for _, body := range chunkedBodies {
		var whole Chunked
		want, wantBad := readChunked(&whole, body)
		for at := range len(body) + 1 {
			var here, there Chunked
			got, bad := readChunked(&here, body[:at])
			if bad == nil {
				if !there.Restore(here.AppendTo(nil)) || there != here {
					t.Fatalf("%q is not taken up at %d: %+v has become %+v", body, at, here, there)
				}
				var more string
				more, bad = readChunked(&there, body[at:])
				got += more
			}
			if got != want || bad != wantBad {
				t.Errorf("%q, cut at %d: %q and %v, want %q and %v", body, at, got, bad, want, wantBad)
			}
		}
	}
}

// Appended means behind what is there.
func TestChunkedIsAppended(t *testing.T) {
	var c Chunked
	b := c.AppendTo([]byte("before"))
	if !bytes.HasPrefix(b, []byte("before")) || !c.Restore(b[len("before"):]) {
		t.Errorf("%q", b)
	}
}

func TestWhatIsNoChunkedIsRefused(t *testing.T) {
	var c Chunked
	readChunked(&c, "3;a=b\r\nab")
	good := c.AppendTo(nil)
	for n := range len(good) + 2 {
		if b := append(slices.Clone(good), 0)[:n]; n != len(good) && c.Restore(b) {
			t.Errorf("%d bytes are taken for one", n)
		}
	}
	with := func(at int, v byte) []byte {
		b := slices.Clone(good)
		b[at] = v
		return b
	}
	for _, row := range []struct {
		name string
		b    []byte
	}{
		{"a stage that is none", with(0, byte(atTrailer)+1)},
		{"too many digits", with(1, 17)},
		{"a negative chunk", with(2+7, 0x80)},
		{"negative framing", with(2+15, 0x80)},
		{"negative excess", with(2+23, 0x80)},
		{"more excess than may be", with(2+18, 0xff)},
		{"data of no bytes", with(2, 0)},
	} {
		before := c
		if c.Restore(row.b) || c != before {
			t.Errorf("%s: taken for one", row.name)
		}
	}
}

// FuzzRestore: no bytes make a Chunked that panics, takes more than there is or gives
// data that was not sent.
func FuzzRestore(f *testing.F) {
	for _, body := range chunkedBodies {
		for at := 0; at < len(body); at += 2 {
			var c Chunked
			if _, bad := readChunked(&c, body[:at]); bad == nil {
				f.Add(c.AppendTo(nil), []byte(body[at:]))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b, more []byte) {
		var c Chunked
		if !c.Restore(b) {
			return
		}
		if again := c.AppendTo(nil); !bytes.Equal(again, b) {
			t.Errorf("%x is written down as %x", b, again)
		}
		for len(more) > 0 && !c.Ended() {
			left := c.Left()
			data, n, bad := c.Next(more)
			if n > len(more) || int64(len(data)) > left && left > 0 || left < 0 || c.Left() < 0 {
				t.Fatal(fmt.Sprint(len(data), " bytes of data of ", left, ", ", n, " of ", len(more)))
			}
			if bad != nil {
				return
			}
			more = more[n:]
		}
	})
}
