// Package wire writes numbers and bytes one behind the other, and reads them
// again from a source that need not be trusted.
//
// It knows lengths and bounds. It does not know what the values mean, nor whether
// they are those that were written: that is for a checksum around them.
package wire

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrCut says that a value is not there, or is none.
var ErrCut = errors.New("wire: the bytes end within a value, or are none")

// Writer is what was written so far. The zero value is empty.
type Writer struct{ b []byte }

// NewWriter writes behind what b holds, into its memory as far as that reaches.
func NewWriter(b []byte) *Writer { return &Writer{b: b} }

// Written is all of it, valid until the next value is written.
func (w *Writer) Written() []byte { return w.b }

// Grow makes room for n more bytes, so that what is written is not moved.
func (w *Writer) Grow(n int) { w.b = slices.Grow(w.b, n) }

// Uint writes a number, small ones in few bytes.
func (w *Writer) Uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

// Raw writes bytes of which the reader will know how many there are.
func (w *Writer) Raw(p []byte) { w.b = append(w.b, p...) }

// Extend makes n bytes the next ones, for the caller to fill in at once.
func (w *Writer) Extend(n int) []byte {
	at := len(w.b)
	w.b = slices.Grow(w.b, n)[:at+n]
	return w.b[at:]
}

// Int writes a number that may be negative.
func (w *Writer) Int(n int64) { w.b = binary.AppendVarint(w.b, n) }

// Bool writes a truth.
func (w *Writer) Bool(t bool) {
	n := byte(0)
	if t {
		n = 1
	}
	w.b = append(w.b, n)
}

// Bytes writes a copy of p with its length.
func (w *Writer) Bytes(p []byte) { w.b = append(binary.AppendUvarint(w.b, uint64(len(p))), p...) }

// String writes s with its length.
func (w *Writer) String(s string) { w.b = append(binary.AppendUvarint(w.b, uint64(len(s))), s...) }

// Reader reads in the order of the writing. After the first value that is not
// there all are zero, and Err says so.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads b, which must not change meanwhile.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err is ErrCut if a value was not there.
func (r *Reader) Err() error { return r.err }

// Rest is how many bytes are left.
func (r *Reader) Rest() int { return len(r.b) }

// Uint reads what Uint has written.
func (r *Reader) Uint() uint64 {
	n, size := binary.Uvarint(r.b)
	return r.took(n, size)
}

// Int reads what Int has written.
func (r *Reader) Int() int64 {
	n, size := binary.Varint(r.b)
	return int64(r.took(uint64(n), size))
}

func (r *Reader) took(n uint64, size int) uint64 {
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// Bool reads what Bool has written.
func (r *Reader) Bool() bool {
	if len(r.b) == 0 || r.b[0] > 1 {
		r.fail()
		return false
	}
	t := r.b[0] == 1
	r.b = r.b[1:]
	return t
}

// Bytes reads what Bytes or String has written. It shares the source's memory.
func (r *Reader) Bytes() []byte {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// String is Bytes as a copy.
func (r *Reader) String() string { return string(r.Bytes()) }

// Raw reads so many bytes. It shares the source's memory.
func (r *Reader) Raw(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// Count reads a number of things that follow, each of which takes one byte at least,
// so that nothing is made ready for more than there can be.
func (r *Reader) Count() int {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *Reader) fail() { r.b, r.err = nil, ErrCut }
