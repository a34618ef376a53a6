package conn

import (
	"strconv"
	"time"
)

// replyOut is the rest of a reply whose head is made. One of its sources is set
// while there is a rest.
type replyOut struct {
	stream    *Stream
	resumable *Resumable
	piece     Piece

	begun   bool // something is set here
	chunked bool
	left    int64 // of its Content-Length; unknown: it has none
	told    bool  // the stream has something
	waiting bool  // the resumable reply waits for its time
	hurried bool  // it was called for that
	orStop  bool  // or the loop's end
	wait    time.Duration
	waits   bool // for so long, and the loop has yet to be told
}

// open reports whether there is a rest.
func (r *replyOut) open() bool { return r.stream != nil || r.resumable != nil }

// ready reports whether there is something to go on with.
func (r *replyOut) ready() bool { return r.told || r.resumable != nil && !r.waiting }

// beginReply makes the head of a reply of that length, which may be unknown, and
// reports whether a body is to follow. A body that is still read does not make
// it the last: only its end will tell.
func (c *Conn) beginReply(status int, contentType string, length int64) (body bool) {
	m := c.m
	if m.body.stream == nil {
		m.decideRest()
	}
	body = c.appendHead(status, contentType, length, 0)
	m.reply.begun, m.reply.chunked, m.reply.left = true, length == unknown && c.req.head.Minor > 0, length
	return body
}

// appendBody puts bytes of the body into the output, as a chunk if it comes in
// chunks (RFC 9112 section 7.1). It reports whether there was room in the length.
func (m *Machine) appendBody(p []byte) bool {
	r := &m.reply
	switch {
	case len(p) == 0: // a chunk of 0 would be the last
		return true
	case r.chunked:
		const frame = 16 + len("\r\n\r\n")
		m.out.reserve(len(p)+frame, &m.env.buffers)
		o := append(strconv.AppendUint(m.out.b, uint64(len(p)), 16), "\r\n"...)
		m.out.b = append(append(o, p...), "\r\n"...)
		return true
	case r.left != unknown:
		if int64(len(p)) > r.left {
			return false
		}
		r.left -= int64(len(p))
	}
	m.out.add(p, &m.env.buffers)
	return true
}

// completeReply ends the body. One that is shorter than was said is cut, so that
// it cannot look whole.
func (m *Machine) completeReply(trailers []byte) {
	r := &m.reply
	if r.left > 0 {
		m.env.fault(&m.conn, "reply is shorter than its Content-Length", nil)
		m.breakOff(ErrLength)
		return
	}
	if r.chunked {
		m.out.reserve(len(trailers)+len("0\r\n\r\n"), &m.env.buffers)
		m.out.b = append(append(append(m.out.b, "0\r\n"...), trailers...), "\r\n"...)
	}
	m.finish()
	if m.out.pending() == 0 { // all was written before the end was known
		m.runHooks()
		m.flushed()
	}
}

// passReply goes on with the reply as far as there is something, and room.
func (m *Machine) passReply() (wait bool) {
	if m.reply.stream != nil {
		return m.passStream()
	}
	for !m.reply.waiting {
		if !m.mayTake() {
			return true
		}
		m.turn++
		if changed := m.callPiece(); changed {
			return false
		}
	}
	return true
}

// endReply tells who makes the rest of the reply that it is over.
func (m *Machine) endReply(reason error) {
	if !m.reply.begun {
		return
	}
	if s := m.reply.stream; s != nil {
		s.finish(reason)
	}
	m.reply = replyOut{piece: Piece{state: emptied(m.reply.piece.state)}}
}
