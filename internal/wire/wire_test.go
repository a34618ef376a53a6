package wire

import (
	"errors"
	"math"
	"testing"
)

// kinds are the values, one of each, with what reads them.
var kinds = []struct {
	name  string
	write func(w *Writer)
	read  func(r *Reader) bool // what was written
}{
	{"no number", func(w *Writer) { w.Uint(0) }, func(r *Reader) bool { return r.Uint() == 0 }},
	{"the largest", func(w *Writer) { w.Uint(math.MaxUint64) }, func(r *Reader) bool { return r.Uint() == math.MaxUint64 }},
	{"minus one", func(w *Writer) { w.Int(-1) }, func(r *Reader) bool { return r.Int() == -1 }},
	{"the least", func(w *Writer) { w.Int(math.MinInt64) }, func(r *Reader) bool { return r.Int() == math.MinInt64 }},
	{"true", func(w *Writer) { w.Bool(true) }, func(r *Reader) bool { return r.Bool() }},
	{"false", func(w *Writer) { w.Bool(false) }, func(r *Reader) bool { return !r.Bool() && r.Err() == nil }},
	{"bytes", func(w *Writer) { w.Bytes([]byte("\x00\xff")) }, func(r *Reader) bool { return string(r.Bytes()) == "\x00\xff" }},
	{"no bytes", func(w *Writer) { w.Bytes(nil) }, func(r *Reader) bool { return len(r.Bytes()) == 0 }},
	{"raw bytes", func(w *Writer) { w.Raw([]byte("abc")) }, func(r *Reader) bool { return string(r.Raw(3)) == "abc" }},
	{"a string", func(w *Writer) { w.String("ü") }, func(r *Reader) bool { return r.String() == "ü" }},
	{"a count", func(w *Writer) { w.Uint(2); w.Bool(true); w.Bool(true) },
		func(r *Reader) bool { n := r.Count(); return n == 2 && r.Bool() && r.Bool() }},
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	var w Writer
	for _, k := range kinds {
		k.write(&w)
	}
	r := NewReader(w.Written())
	for _, k := range kinds {
		if !k.read(r) || r.Err() != nil {
			t.Fatalf("%s is read as something else (%v)", k.name, r.Err())
		}
	}
	if r.Rest() != 0 {
		t.Errorf("%d bytes are left", r.Rest())
	}
}

// Whatever is cut off, and where, there is an error, and then nothing more.
func TestWhatIsCutIsToldAndThenAllIsZero(t *testing.T) {
	for _, k := range kinds {
		var w Writer
		k.write(&w)
		for n := range w.Written() {
			r := NewReader(w.Written()[:n])
			k.read(r)
			if !errors.Is(r.Err(), ErrCut) {
				t.Errorf("%s: %d bytes of %d are enough", k.name, n, len(w.Written()))
			}
			if r.Uint() != 0 || r.Int() != 0 || r.Bool() || r.Bytes() != nil || r.Raw(1) != nil || r.String() != "" || r.Count() != 0 || r.Rest() != 0 || r.Err() == nil {
				t.Errorf("%s: behind an error there is something", k.name)
			}
		}
	}
}

func TestWhatIsNoValueIsRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		b    string
		read func(r *Reader)
	}{
		{"a number that does not end", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", func(r *Reader) { r.Uint() }},
		{"a negative that does not end", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", func(r *Reader) { r.Int() }},
		{"a truth that is neither", "\x02", func(r *Reader) { r.Bool() }},
		{"more bytes than there are", "\x02a", func(r *Reader) { r.Bytes() }},
		{"more bytes than can be", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a", func(r *Reader) { r.Bytes() }},
		{"fewer raw bytes than asked for", "ab", func(r *Reader) { r.Raw(3) }},
		{"less than none", "ab", func(r *Reader) { r.Raw(-1) }},
		{"more things than there can be", "\x03ab", func(r *Reader) { r.Count() }},
	} {
		r := NewReader([]byte(row.b))
		if row.read(r); r.Err() == nil {
			t.Errorf("%s: no error", row.name)
		}
	}
}

// Bytes cannot be grown into what is behind them.
func TestBytesEndWhereTheyEnd(t *testing.T) {
	var w Writer
	w.Bytes([]byte("ab"))
	w.Bytes([]byte("cd"))
	r := NewReader(w.Written())
	_ = append(r.Bytes(), "xxx"...)
	if got := r.String(); got != "cd" {
		t.Errorf("behind them is %q", got)
	}
}
