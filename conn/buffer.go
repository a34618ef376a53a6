package conn

import "github.com/valyala/bytebufferpool"

// pool lends what is too large to be kept.
type pool = bytebufferpool.Pool

// parserRoom is what the parser may read, and not look at, behind the bytes it is given:
// with so much room it is faster.
const parserRoom = 64

// buffer is bytes that mostly are few: up to keptBuffer of them stay in an array
// that is never given up, more go to one lent from a pool.
type buffer struct {
	b    []byte
	kept []byte
	lent *bytebufferpool.ByteBuffer
}

// reserve makes room for n more bytes behind b.b, moving what is there if need
// be: no view of it may be alive.
func (b *buffer) reserve(n int, pool *pool) {
	if need := len(b.b) + n + parserRoom; need > cap(b.b) {
		b.grow(need, pool)
	}
}

// grow moves what is there to where so many bytes have room.
func (b *buffer) grow(need int, pool *pool) {
	if need <= keptBuffer {
		b.kept = append(make([]byte, 0, min(keptBuffer, max(need, 2*cap(b.b)))), b.b...)
		b.b = b.kept
		return
	}
	lent := pool.Get()
	if cap(lent.B) < need {
		lent.B = make([]byte, 0, need+need/2)
	}
	lent.B = append(lent.B[:0], b.b...)
	b.giveBack(pool)
	b.b, b.lent = lent.B, lent
}

func (b *buffer) add(p []byte, pool *pool) {
	b.reserve(len(p), pool)
	b.b = append(b.b, p...)
}

// reset empties the buffer.
func (b *buffer) reset(pool *pool) {
	b.giveBack(pool)
	b.b = b.kept[:0]
}

// emptied is b without its bytes, and without its memory if that is more than
// may stay.
func emptied(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}

func (b *buffer) giveBack(pool *pool) {
	if b.lent != nil {
		b.lent.B = b.b
		pool.Put(b.lent)
		b.lent = nil
	}
}
