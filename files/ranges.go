//go:build linux

package files

import (
	"bytes"
	"math"
)

// span is a range of a file's bytes, at least one.
type span struct{ start, length int64 }

// maxRanges is how many ranges are sent. Who asks for more gets the whole.
const maxRanges = 16

// rangeAnswer is what becomes of a Range field.
type rangeAnswer int

const (
	sendWhole rangeAnswer = iota // as if there were none
	sendRanges
	sendNone // 416
)

// appendRanges reads a Range field for a file of size bytes and appends what is
// there of what it asks for, in its order (RFC 9110 sections 14.1 and 14.2). A field
// that is malformed in any of its parts is ignored, as are other units than
// bytes and more than maxRanges ranges. An end beyond the file is its end, also when it is
// beyond 63 bits. Lenient: white space around the parts.
//
// Of an empty file no range is there, and a suffix is all of it, which no
// Content-Range can say: it is always sent whole.
func appendRanges(dst []span, field []byte, size int64) ([]span, rangeAnswer) {
	unit, set, ok := bytes.Cut(field, []byte("="))
	if !ok || !equalFold(unit, "bytes") || size == 0 {
		return nil, sendWhole
	}
	asked := false
	for rest := set; len(rest) > 0; {
		var part []byte
		part, rest, _ = bytes.Cut(rest, []byte(","))
		if part = trim(part); len(part) == 0 { // section 5.6.1.2
			continue
		}
		asked = true
		s, ok := parseRange(part, size)
		if !ok {
			return nil, sendWhole
		}
		if s.length == 0 {
			continue
		}
		if len(dst) == maxRanges {
			return nil, sendWhole
		}
		dst = append(dst, s)
	}
	switch {
	case !asked:
		return nil, sendWhole
	case len(dst) == 0:
		return nil, sendNone
	}
	return dst, sendRanges
}

// parseRange reads one range. Its length is 0 if nothing of it is there.
func parseRange(p []byte, size int64) (s span, ok bool) {
	from, to, ok := bytes.Cut(p, []byte("-"))
	if !ok {
		return s, false
	}
	if len(from) == 0 {
		n, ok := number(to)
		n = min(n, size)
		return span{size - n, n}, ok
	}
	first, ok := number(from)
	if !ok {
		return s, false
	}
	last := int64(math.MaxInt64)
	if len(to) > 0 {
		if last, ok = number(to); !ok || last < first {
			return s, false
		}
	}
	if first >= size {
		return s, true
	}
	return span{first, min(last, size-1) - first + 1}, true
}

// number reads digits. What is beyond 63 bits is as much as fits.
func number(p []byte) (n int64, ok bool) {
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		if digit := int64(c - '0'); n > (math.MaxInt64-digit)/10 {
			n = math.MaxInt64 // and stays so
		} else {
			n = 10*n + digit
		}
	}
	return n, len(p) > 0
}
