package conn

import "strconv"

// FilePart is a part of a reply's body: bytes, and then a range of a file. Either
// may be empty.
type FilePart struct {
	Before []byte // sent first; copied
	FD     int    // an open descriptor that sendfile(2) can read; ignored if Length is 0
	Offset int64  // of the range
	Length int64  // bytes of the range

	// Done, if not nil, is called once, on the loop's goroutine, when FD is not
	// needed any more: the range is sent, the connection has ended, or none of it
	// was to be sent. Till then FD stays open.
	Done func()
}

// ReplyFile sends a reply whose body is parts, one behind the other, without
// reading it into memory. The Content-Length is their sum. To HEAD only the head
// is sent, and 204, 205 and 304 have no body, as with [Conn.Reply]. A file that
// turns out to be shorter than was said ends the connection (ErrTruncated): no bytes are invented.
// While a range waits to be sent no next request is taken, so what a client can
// make a server hold open is what one reply does.
func (c *Conn) ReplyFile(status int, contentType string, parts ...FilePart) {
	m, send, checked := c.m, false, false
	defer func() {
		for i := range parts {
			if part := &parts[i]; !checked || !send || part.Length == 0 {
				m.release(part.Done)
			}
		}
	}()
	checkReply(status, contentType)
	length := checkParts(parts)
	checked = true
	if !c.mayReply() {
		return
	}
	m.decideRest()
	if send = c.appendHead(status, contentType, length, 0); !send {
		return
	}
	for i := range parts {
		part := &parts[i]
		m.out.add(part.Before, &m.env.buffers)
		if part.Length > 0 {
			m.out.addFile(FileRange{part.FD, part.Offset, part.Length}, part.Done)
		}
	}
}

// checkParts is the length of a body of parts.
func checkParts(parts []FilePart) (length int64) {
	for i := range parts {
		part := &parts[i]
		length += int64(len(part.Before)) + part.Length
		if part.Length < 0 || part.Offset < 0 || length < 0 || part.Offset+part.Length < 0 {
			panic("conn: no file can have the range of " + strconv.FormatInt(part.Length, 10) + " bytes at " + strconv.FormatInt(part.Offset, 10))
		}
	}
	return length
}

// release calls a Done. It is the application's, and may panic.
func (m *Machine) release(done func()) {
	if done != nil {
		m.guard("Done of a file's range panicked", done)
	}
}
