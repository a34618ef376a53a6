package httpparse

import (
	"encoding/binary"
	"math/bits"
)

// isToken tells which bytes are tchar (RFC 9110 section 5.6.2).
var isToken = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// below marks with its high bit each byte of x that is less than n (n <= 128).
// A mark above the lowest one may be false, because of the borrow.
func below(x, n uint64) uint64 { return (x - ones*n) & ^x & highs }

// isByte marks each byte of x that equals c, and no other.
func isByte(x, c uint64) uint64 {
	x ^= ones * c
	return ^((x&^highs + ^uint64(highs)) | x) & highs
}

// equal marks each byte of x that equals c, with the same reservation.
func equal(x, c uint64) uint64 { return below(x^(ones*c), 1) }

// scanValue returns the position of the first byte at or after i that a field
// value may not hold (RFC 9110 section 5.5: control characters other than tab),
// or len(b). It reads eight bytes at a time, within len(b).
func scanValue(b []byte, i int) int {
	for i < len(b) {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			// below 0x20 or equal to 0x7f
			m := ((x - ones*0x20) | ((x ^ ones*0x7f) - ones)) &^ x & highs
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i == len(b) {
			break
		}
		if c := b[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return i
		}
		i++
	}
	return i
}

// scanTarget returns the position of the first byte at or after i that is not
// printable ASCII or is the '#' of a fragment, or len(b).
func scanTarget(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := below(x, 0x21) | equal(x, 0x7f) | equal(x, '#') | x&highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return i
		}
	}
	return i
}

// scanPath returns the position of the first byte at or after i that may not stand
// in a target, or is one of ! % ' ?: the end of a path that is plain, or a place to
// look closer. It is len(b) if there is none. Before i is a slash; dotted says that a dot
// stands behind that or another.
func scanPath(b []byte, i int) (end int, dotted bool) {
	slashes := uint64(0x80) // a mark for the byte behind one
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		slash := isByte(x, '/')
		dots := isByte(x, '.') & (slash<<8 | slashes)
		slashes = slash >> 56
		// 0x3f and 0x7f differ in one bit, as do ! # % ' in two.
		if m := below(x, 0x21) | equal(x|ones*0x40, 0x7f) | equal(x&^(ones*6), '!') | x&highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3, dotted || dots&(m&-m-1) != 0
		}
		dotted = dotted || dots != 0
	}
	for ; i < len(b); i++ {
		c := b[i]
		if c <= ' ' || c|0x40 >= 0x7f || c&^6 == '!' {
			break
		}
		dotted = dotted || c == '.' && b[i-1] == '/'
	}
	return i, dotted
}

// scanToken returns the position of the first byte at or after i that is not a
// tchar, or len(b).
func scanToken(b []byte, i int) int {
	for i < len(b) && isToken[b[i]] {
		i++
	}
	return i
}

// is reports whether b, letters and hyphens, spells lower in any case.
// Where b is a token this is exact; lower must be lower-case.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// trim cuts spaces and tabs (OWS, RFC 9110 section 5.6.3) from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// unhex is the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
