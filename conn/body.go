package conn

import (
	"errors"
	"io"
	"sync"

	"catboat/httpparse"
)

// ErrBody is what a Body ends with when the client has not sent it whole: it broke
// off, was too slow, or garbled the framing.
var ErrBody = errors.New("catboat: the body is not whole")

// bodyIn is how far the body of the present request is read.
type bodyIn struct {
	start, end int   // of what is read of it, in Machine.in
	left       int64 // of its Content-Length
	chunked    httpparse.Chunked
	done       bool    // it is read to its end
	bad        int     // what its framing is refused with, if it is
	asked      bool    // the application wants it
	awaited    bool    // whole, for
	whole      Handler // this
	stream     *Body   // or in pieces
}

// AwaitBody has h called in place of the present handler when the body is whole:
// at once behind it, if there is none. It is for programs that are called at the
// head (Options.HeadFirst); where the body is whole already it is all the same. A
// body longer than Limits.MaxBody is refused. Fields set before go with h's reply. It panics outside of a request, and
// behind Defer, StreamBody or a reply.
func (c *Conn) AwaitBody(h Handler) {
	b := &c.m.body
	if !c.open || c.status != 0 || c.deferral != nil || b.stream != nil {
		panic("conn: AwaitBody outside of a request, or behind Defer, StreamBody or a reply")
	}
	b.awaited, b.whole = true, h
}

// StreamBody gives the body in pieces, as the client sends them, to who is called
// at the head (Options.HeadFirst). If it is whole already, it comes in one piece.
// The program sets itself a limit; there is none else. The reply may be made,
// or begun, before the body has ended; but a client that waits for 100 (Continue) is
// told so only as long as none is begun. It panics outside of a request and behind AwaitBody.
func (c *Conn) StreamBody() *Body {
	m := c.m
	if !c.open || m.body.awaited {
		panic("conn: StreamBody outside of a request, or behind AwaitBody")
	}
	if m.body.stream == nil {
		b := &Body{env: m.env, handle: c.who.Handle}
		b.arrived.L = &b.mu
		b.put(m.in.b[m.body.start:m.body.end]) // all of it, or what was awaited in another image
		if m.body.done {
			b.finish(io.EOF)
		} else {
			m.body.end = m.body.start
		}
		m.body.stream = b
		m.wantBody()
	}
	return m.body.stream
}

// Body is a request's body while it arrives: for a goroutine that waits (Read), or
// for a function on the loop (Each). Nothing is read from a client whose body
// is not taken, beyond 64 KiB and what one read brings.
//
// It ends with io.EOF; with ErrBody if the client has not sent it whole, in which
// case it was told so, unless a reply had been begun; with ErrReplied if
// the reply was complete before; with ErrGone if the connection has ended.
type Body struct {
	env    *Env
	handle Handle

	each   func(c *Conn, p []byte, err error) int
	paused bool // Each's function took less than there was
	ended  bool // and was told of the end

	mu      sync.Mutex
	arrived sync.Cond
	queue   []byte // guarded by mu, like all below
	taken   int    // of queue
	full    bool
	err     error // how it ended
}

// Read waits for bytes of the body and takes some. It is for goroutines, one at a
// time, and panics on the loop's own when it would have to wait.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 && b.taken == len(b.queue) && b.err == nil {
		if b.env.here() {
			panic("conn: Body.Read waits on the loop's goroutine")
		}
		b.arrived.Wait()
	}
	if b.taken == len(b.queue) && b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.queue[b.taken:])
	b.take(n)
	if b.full && len(b.queue)-b.taken <= maxQueue/2 {
		b.full = false
		b.env.post(b.handle, b.goOn)
	}
	return n, nil
}

// Each has f called on the loop with each piece that has come, and a last time
// without one, to be told how the body has ended. What f returns says how many
// bytes of p, which is valid until then, it has taken; if not all, it is called no more until Resume. As long as err is
// nil or io.EOF it may reply through c, if that is not done; it is called as
// a handler is, which may then return without a reply or a Defer.
//
// Each is called once, in a handler or a function of Do, in place of Read.
func (b *Body) Each(f func(c *Conn, p []byte, err error) int) {
	if b.each != nil {
		panic("conn: second Each of a body")
	}
	b.each = f
}

// Resume ends the pause that Each's function has made by taking less than it was
// given. It is called on the loop.
func (b *Body) Resume() {
	if b.paused {
		b.paused = false
		b.env.post(b.handle, b.goOn)
	}
}

// goOn lets the machine pass on what has come, if it still is at this body.
func (b *Body) goOn(m *Machine) {
	if m.body.stream == b {
		m.Continue()
	}
}

// put adds bytes.
func (b *Body) put(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken > len(b.queue)/2 { // what is left moves down
		b.queue, b.taken = b.queue[:copy(b.queue, b.queue[b.taken:])], 0
	}
	b.queue = append(b.queue, p...)
	b.full = len(b.queue)-b.taken >= maxQueue
	b.arrived.Broadcast()
}

// finish says how the body has ended. The first time counts.
func (b *Body) finish(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.arrived.Broadcast()
}

// take takes bytes off the queue.
func (b *Body) take(n int) {
	if b.taken = min(b.taken+n, len(b.queue)); b.taken == len(b.queue) {
		b.queue, b.taken = b.queue[:0], 0 // it has the memory as long as the request lasts
	}
}

// wants reports whether there is room for more.
func (b *Body) wants() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.full && !b.paused && b.err == nil
}

// front is what is there to be taken; if nothing, how the body has ended.
func (b *Body) front() (p []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p = b.queue[b.taken:]; len(p) == 0 {
		err = b.err
	}
	return p, err
}

// awaitBody waits for the whole body, or refuses it.
func (m *Machine) awaitBody() {
	if m.conn.req.head.ContentLength > int64(m.env.limits.MaxBody) {
		m.refuse(413)
		return
	}
	m.wantBody()
	m.move(InBody)
}

// wantBody tells a client that keeps the body back to send it. Had it sent some it
// would not be waiting (RFC 9110 section 10.1.1).
func (m *Machine) wantBody() {
	if !m.body.asked && !m.body.done && m.conn.req.head.Continue && m.unread() == 0 && m.conn.status == 0 {
		m.out.add([]byte("HTTP/1.1 100 Continue\r\n\r\n"), &m.env.buffers)
	}
	m.body.asked = true
}

// wantsBody reports whether bytes of a body can be passed on.
func (m *Machine) wantsBody() bool {
	b := &m.body
	return b.stream != nil && !b.done && b.stream.wants()
}

// decideRest lets the reply be the last if the body is not read to its end, unless
// what is left of it can be thrown away cheaply. A client that was not told to
// send it may well not do so, and the next bytes would be anybody's guess.
func (m *Machine) decideRest() {
	head := &m.conn.req.head
	if !m.body.done && (head.Chunked || head.ContentLength > maxDrain || head.Continue && !m.body.asked) {
		m.last = true
	}
}

// readBody looks for the end of a body that is wanted whole, and moves its data
// together; it moves to Ready, or refuses.
func (m *Machine) readBody() (more bool) {
	for !m.body.done {
		if m.skipFraming() {
			return true
		}
		data, status, more := m.nextPiece()
		switch {
		case status != 0:
			m.refuse(status)
			return false
		case m.body.chunked.Left() > int64(m.env.limits.MaxBody-(m.body.end-m.body.start)-len(data)):
			m.refuse(413) // at the size line, before the data comes
			return false
		}
		m.body.end += copy(m.in.b[m.body.end:], data)
		if more {
			return true
		}
	}
	m.move(Ready)
	return false
}

// skipFraming is called when a piece is looked for: if nothing is left unread, what
// is behind the data was framing and makes room. It reports whether that is so.
func (m *Machine) skipFraming() bool {
	if m.unread() > 0 {
		return false
	}
	m.in.b = m.in.b[:m.body.end]
	m.next = m.body.end
	return true
}

// nextPiece takes what is there of the body: some data, or framing alone. A
// status other than 0 refuses the request.
func (m *Machine) nextPiece() (data []byte, status int, more bool) {
	b := &m.body
	if !m.conn.req.head.Chunked {
		n := int(min(int64(m.unread()), b.left))
		data = m.in.b[m.next : m.next+n]
		m.next += n
		b.left -= int64(n)
		b.done = b.left == 0
		return data, 0, false
	}
	if !b.chunked.Ended() {
		data, n, bad := b.chunked.Next(m.in.b[m.next:])
		if bad != nil {
			return nil, bad.Status, false
		}
		m.next += n
		return data, 0, false
	}
	limits := httpparse.Limits{Bytes: m.env.limits.MaxHead, Fields: m.env.limits.MaxFields}
	tail := m.in.b[m.next:]
	n, bad := m.conn.req.trailer.Parse(tail, limits)
	switch {
	case bad != nil:
		return nil, bad.Status, false
	case n == 0:
		return nil, 0, true
	}
	m.conn.req.tail = tail[:n:n]
	m.next += n
	b.done = true
	return nil, 0, false
}

// passBody passes what has come of the body on to who streams it.
func (m *Machine) passBody() (wait bool) {
	for m.body.stream != nil {
		b := m.body.stream
		m.fill(b)
		var p []byte
		var err error
		if b.each != nil && !b.paused && !b.ended {
			p, err = b.front()
		}
		if len(p) == 0 && err == nil {
			if m.body.bad == 0 {
				return true
			}
			m.refuseBody(m.body.bad) // behind what was good
			return false
		}
		if changed := m.callEach(b, p, err); changed {
			return false
		}
	}
	return true
}

// fill moves what there is of the body to b, as long as it has room.
func (m *Machine) fill(b *Body) {
	more := false
	for !more && m.body.bad == 0 && !m.body.done && b.wants() && !m.skipFraming() {
		var data []byte
		if data, m.body.bad, more = m.nextPiece(); len(data) > 0 {
			b.put(data)
		}
	}
	if m.body.done {
		b.finish(io.EOF)
	}
}

// callEach calls the function of Each. It reports whether that has changed what the
// connection is at.
func (m *Machine) callEach(b *Body, p []byte, err error) (changed bool) {
	n := 0
	state := m.state
	b.ended, b.paused = err != nil, true
	panicked := m.call(func(c *Conn) { n = b.each(c, p, err) })
	b.mu.Lock()
	b.take(min(max(n, 0), len(p)))
	b.full = len(b.queue)-b.taken >= maxQueue
	b.mu.Unlock()
	if n >= len(p) { // else Resume may have been called already
		b.paused = false
	}
	switch {
	case panicked && state == Streaming && m.reply.stream == nil: // a stream is aborted already
		m.breakOff(errPanicked)
	case m.aborted != nil:
		m.breakOff(m.aborted)
	case state == Pending && m.conn.status != 0:
		m.replied()
	case state == Pending && b.ended && m.conn.deferral == nil:
		m.unanswered()
	default:
		return false
	}
	return true
}

// refuseBody deals with a body that does not come whole.
func (m *Machine) refuseBody(status int) {
	if m.state == InBody || m.state == Pending && m.conn.claim() {
		m.refuse(status)
		return
	}
	m.last = true // behind the reply that is under way
	m.endBody(ErrBody)
}

// endBody tells who streams the body that no more comes.
func (m *Machine) endBody(reason error) {
	b := m.body.stream
	if m.body.stream, m.body.whole = nil, nil; b == nil {
		return
	}
	b.finish(reason)
	if b.each != nil && !b.ended {
		b.ended = true
		m.conn.callHook(hook{f: func(c *Conn, err error) { b.each(c, nil, err) }, status: m.conn.status}, reason)
	}
}

// drain throws the rest of a body away.
func (m *Machine) drain() (more bool) {
	for !m.body.done {
		if m.skipFraming() {
			return true
		}
		m.nextPiece() // of no chunked body: see decideRest
	}
	m.move(Idle)
	return false
}
