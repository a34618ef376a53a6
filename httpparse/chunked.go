package httpparse

import "math"

// Chunked reads the framing of a chunked body (RFC 9112 section 7.1) up to its
// trailer section. The zero value is ready to use; for another body assign it
// anew.
type Chunked struct {
	stage  chunkStage
	digits int   // of the size, so far
	left   int64 // of the chunk's data
	framed int64 // bytes of framing since the last chunk's data
	excess int64 // framing over the allowance, summed over the body
}

// chunkStage is the part of a chunk that comes next.
type chunkStage uint8

const (
	inSize chunkStage = iota
	inExtName
	inExtToken
	atExtValue
	inExtQuoted
	inExtEscape
	afterExtQuoted
	atSizeLineFeed
	inData
	atDataReturn
	atDataLineFeed
	atTrailer
)

// The framing of a chunk may take 16 bytes and twice its data, but not more than
// three times its data, without counting; what goes beyond is summed and may come
// to 16 KiB over a body. That is room for extensions that someone uses, and none
// for a body that is mostly framing: some 8,000 chunks of one byte are the most.
const (
	maxFraming  = 16 << 10
	freeFraming = 16
)

// Next reads framing and data from the start of b. It returns the number of
// bytes it is done with and those of them that are data, a part of b: some, or
// none. Call it until [Chunked.Ended], or until b is used up: then again with
// what comes after.
func (c *Chunked) Next(b []byte) (data []byte, n int, bad *Error) {
	for n < len(b) && c.stage != atTrailer {
		if c.stage == inData {
			m := int(min(c.left, int64(len(b)-n)))
			data = b[n : n+m : n+m]
			n += m
			if c.left -= int64(m); c.left == 0 {
				c.stage = atDataReturn
			}
			return data, n, nil
		}
		if bad := c.frame(b[n]); bad != nil {
			return nil, n, bad
		}
		n++
	}
	return nil, n, nil
}

// Ended reports whether the last chunk's line has been read: the trailer section
// follows, for [Fields.Parse].
func (c *Chunked) Ended() bool { return c.stage == atTrailer }

// Left is how many bytes of data the present chunk has still to bring, as it has
// declared; 0 between chunks.
func (c *Chunked) Left() int64 {
	if c.stage != inData {
		return 0
	}
	return c.left
}

// frame takes one byte of framing.
func (c *Chunked) frame(b byte) *Error {
	c.framed++
	if c.stage > inSize && c.stage < inData && c.excess+c.over() > maxFraming {
		return errChunkFraming
	}
	switch c.stage {
	case inSize:
		return c.size(b)
	case inExtName, inExtToken, atExtValue, inExtQuoted, inExtEscape, afterExtQuoted:
		return c.extension(b)
	case atSizeLineFeed:
		if b != '\n' {
			return errChunkSize
		}
		c.digits = 0
		c.stage = inData
		if c.left == 0 {
			c.stage = atTrailer
		}
		c.excess += c.over()
		c.framed = 0
	case atDataReturn:
		if b != '\r' {
			return errChunkEnd
		}
		c.stage = atDataLineFeed
	case atDataLineFeed:
		if b != '\n' {
			return errChunkEnd
		}
		c.stage = inSize
	}
	return nil
}

// over is by how much the framing of a chunk whose size is known goes beyond what is
// free.
func (c *Chunked) over() int64 {
	data := min(c.left, maxFraming)
	return max(0, c.framed-min(freeFraming+2*data, 3*data))
}

// size takes one byte of 1*HEXDIG, or the one behind it.
func (c *Chunked) size(b byte) *Error {
	v := unhex(b)
	switch {
	case v >= 0 && (c.digits == 16 || c.left > (math.MaxInt64-int64(v))/16):
		return errChunkSizeLarge
	case v >= 0:
		c.left = c.left*16 + int64(v)
		c.digits++
		return nil
	case c.digits == 0:
		return errChunkSize
	}
	return c.endOfExtension(b, errChunkSize)
}

// extension takes one byte of *( ";" name [ "=" ( token / quoted-string ) ] ).
// The digits of the size count the bytes of a name or token here: all that
// matters is whether there was one.
func (c *Chunked) extension(b byte) *Error {
	switch c.stage {
	case inExtName, inExtToken:
		if isToken[b] {
			c.digits = 1
			return nil
		}
		if c.digits == 0 {
			return errChunkExt
		}
		if b == '=' && c.stage == inExtName {
			c.stage = atExtValue
			return nil
		}
		return c.endOfExtension(b, errChunkExt)
	case atExtValue:
		switch {
		case b == '"':
			c.stage = inExtQuoted
		case isToken[b]:
			c.stage = inExtToken
		default:
			return errChunkExt
		}
	case inExtQuoted:
		switch {
		case b == '"':
			c.stage = afterExtQuoted
		case b == '\\':
			c.stage = inExtEscape
		case b < ' ' && b != '\t' || b == 0x7f:
			return errChunkExt
		}
	case inExtEscape:
		if b < ' ' && b != '\t' || b == 0x7f {
			return errChunkExt
		}
		c.stage = inExtQuoted
	case afterExtQuoted:
		return c.endOfExtension(b, errChunkExt)
	}
	return nil
}

// endOfExtension takes the byte behind a size or an extension: another
// extension follows, or the line ends.
func (c *Chunked) endOfExtension(b byte, otherwise *Error) *Error {
	switch b {
	case ';':
		c.digits = 0
		c.stage = inExtName
	case '\r':
		c.stage = atSizeLineFeed
	default:
		return otherwise
	}
	return nil
}
