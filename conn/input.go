package conn

import "catboat/httpparse"

// beginRequest makes ready for the request that starts at m.next.
func (m *Machine) beginRequest() {
	m.start = m.next // and m.next follows when the head is whole
	m.move(Head)
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
	case head.ContentLength > int64(limits.MaxBody):
		m.refuse(413)
		return false
	}
	m.next = m.start + n
	m.bodyStart, m.bodyEnd = m.next, m.next
	if head.ContentLength == 0 {
		m.move(Ready)
		return false
	}
	if head.Continue && m.unread() == 0 {
		// The body is wanted, and the client has kept it back. Had it not, it
		// would not be waiting (RFC 9110 section 10.1.1).
		m.out.add([]byte("HTTP/1.1 100 Continue\r\n\r\n"), &m.env.buffers)
	}
	m.chunked = httpparse.Chunked{}
	m.move(Body)
	return false
}

// readBody looks for the body's end; it moves to Ready, or refuses.
func (m *Machine) readBody() (more bool) {
	if !m.conn.req.head.Chunked {
		length := m.conn.req.head.ContentLength
		if length > int64(len(m.in.b)-m.bodyStart) {
			return true
		}
		m.bodyEnd = m.bodyStart + int(length)
		m.next = m.bodyEnd
		m.move(Ready)
		return false
	}
	status, more := m.readChunked()
	switch {
	case status != 0:
		m.refuse(status)
	case !more:
		m.move(Ready)
	}
	return more
}

// readChunked moves the data of chunks together at m.bodyEnd and reads the
// trailer section. A status other than 0 refuses the request.
func (m *Machine) readChunked() (status int, more bool) {
	for !m.chunked.Ended() {
		if m.unread() == 0 {
			m.in.b = m.in.b[:m.bodyEnd] // what lies between was framing
			m.next = m.bodyEnd
			return 0, true
		}
		data, n, bad := m.chunked.Next(m.in.b[m.next:])
		switch {
		case bad != nil:
			return bad.Status, false
		case m.chunked.Left() > int64(m.env.limits.MaxBody-(m.bodyEnd-m.bodyStart)-len(data)):
			return 413, false // at the size line, before the data comes
		}
		m.next += n
		m.bodyEnd += copy(m.in.b[m.bodyEnd:], data)
	}
	limits := httpparse.Limits{Bytes: m.env.limits.MaxHead, Fields: m.env.limits.MaxFields}
	tail := m.in.b[m.next:]
	n, bad := m.conn.req.trailer.Parse(tail, limits)
	switch {
	case bad != nil:
		return bad.Status, false
	case n == 0:
		return 0, true
	}
	m.conn.req.tail = tail[:n:n]
	m.next += n
	return 0, false
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
	m.endRequest()
	m.move(Flush)
	m.dropInput()
}

// dropInput forgets what the client has sent behind its last request.
func (m *Machine) dropInput() {
	m.in.reset(&m.env.buffers)
	m.start, m.next = 0, 0
}
