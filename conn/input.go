package conn

import "catboat/httpparse"

// beginRequest makes ready for the request that starts at m.next.
func (m *Machine) beginRequest() {
	m.start = m.next // and m.next follows when the head is whole
	m.began = m.env.now
	m.env.counts.Requests++
	m.move(InHead)
}

// readHead parses on; it moves to Ready, to Body, or refuses.
func (m *Machine) readHead() (more bool) {
	limits := &m.env.limits
	head := &m.conn.req.head
	n, bad := head.Parse(m.in.b[m.start:], httpparse.Limits{Bytes: limits.MaxHead, Fields: limits.MaxFields})
	switch {
	case bad != nil:
		m.refuse(bad.Status)
		return false
	case n == 0:
		return true
	}
	m.next = m.start + n
	m.body = bodyIn{start: m.next, end: m.next, left: head.ContentLength, done: head.ContentLength == 0}
	if m.body.done || m.env.headFirst {
		m.move(Ready)
	} else {
		m.awaitBody()
	}
	return false
}

// tidyInput is called when the machine waits for the client, at a request's
// beginning: bytes that are done with make room.
func (m *Machine) tidyInput() {
	if m.unread() == 0 { // and so not in a head
		m.dropInput()
		return
	}
	if m.next > 0 {
		m.in.b = m.in.b[:copy(m.in.b, m.in.b[m.next:])]
		m.start, m.next = 0, 0
	}
}

// begun reports whether bytes of a request have come that nobody has looked at.
// The empty line that may stand before one, or half of it, is none yet: old
// clients send it behind a body, and the connection is idle all the same.
func (m *Machine) begun() bool {
	switch b := m.in.b[m.next:]; len(b) {
	case 0:
		return false
	case 1:
		return b[0] != '\r'
	case 2:
		return b[0] != '\r' || b[1] != '\n'
	}
	return true
}

// refuse answers what is not a request the server takes with a generic page, and
// lets it be the last: what follows on the connection cannot be trusted.
func (m *Machine) refuse(status int) {
	m.last = true
	m.conn.answer(status)
	m.seal()
	m.endRequest(ErrBody)
	m.move(Flush)
	m.dropInput()
}

// hold keeps the bytes of the head where its views point, and goes on with what is
// behind them in another buffer, which may grow.
func (m *Machine) hold() {
	m.held, m.in = m.in, m.held
	m.in.add(m.held.b[m.body.start:], &m.env.buffers)
	m.next -= m.body.start
	m.body.end -= m.body.start
	m.start, m.body.start = 0, 0
}

// dropInput forgets what the client has sent behind its last request.
func (m *Machine) dropInput() {
	m.in.reset(&m.env.buffers)
	m.start, m.next = 0, 0
}
