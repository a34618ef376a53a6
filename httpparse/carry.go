package httpparse

import "encoding/binary"

// chunkedSize is how many bytes a Chunked takes when it is written down.
const chunkedSize = 2 + 3*8

// AppendTo appends to dst what c needs to go on elsewhere, for [Chunked.Restore].
func (c *Chunked) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(c.stage), byte(c.digits))
	for _, n := range [...]int64{c.left, c.framed, c.excess} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
	}
	return dst
}

// Restore makes c go on where another has stopped that was written down as b. It
// reports false, and leaves c as it was, if no Chunked can have come to that.
func (c *Chunked) Restore(b []byte) bool {
	if len(b) != chunkedSize {
		return false
	}
	n := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[2+8*i:])) }
	r := Chunked{stage: chunkStage(b[0]), digits: int(b[1]), left: n(0), framed: n(1), excess: n(2)}
	if r.stage > atTrailer || r.digits > 16 || r.left < 0 || r.framed < 0 || r.excess < 0 || r.excess > maxFraming ||
		r.stage == inData && r.left == 0 {
		return false
	}
	*c = r
	return true
}
