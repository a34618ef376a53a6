package conn

import (
	"strconv"
	"strings"
)

// SetHeader sets a field of the reply, in place of those that have the name
// already; an empty value removes it. It panics if the name is not a token, the
// value holds a control character other than tab, the field is one that the
// connection itself sets (Connection, Content-Length, Content-Type, Date,
// Keep-Alive, Server, Transfer-Encoding, Upgrade), or the reply has
// been made. So a value from a client cannot split a reply (the client gets 500).
func (c *Conn) SetHeader(name, value string) {
	c.checkField(name, value)
	c.removeField(name)
	if value != "" {
		c.appendField(name, value)
	}
}

// AddHeader is like [Conn.SetHeader], beside the fields that have the name
// already: for Set-Cookie, Vary and their like. The value may be empty.
func (c *Conn) AddHeader(name, value string) {
	c.checkField(name, value)
	c.appendField(name, value)
}

// Reply sends a whole reply. It copies body, so the caller may use it again. The
// status is from 200 to 599; contentType may be empty. To HEAD only the head is
// sent, as it would be to GET, so a handler answers both alike; 204, 205 and 304
// have no body (RFC 9110 section 15). A second reply is not sent: the first stands, and the log gets a line.
func (c *Conn) Reply(status int, contentType string, body []byte) {
	c.checkReply(status, contentType)
	if c.mayReply() {
		c.reply(status, contentType, body)
	}
}

// Inform sends an interim reply (RFC 9110 section 15.2) with the fields set so far,
// which are sent with the final one again unless they are removed. The status is from 100 to 199 but not 101;
// 103 with Link is of use to browsers. A client of HTTP/1.0 gets none. It panics outside of
// a request and behind its reply.
func (c *Conn) Inform(status int) {
	switch {
	case !c.open || c.status != 0:
		panic("conn: Inform outside of a request, or behind its reply")
	case status < 100 || status > 199 || status == 101:
		panic("conn: status " + strconv.Itoa(status) + " is not that of an interim reply")
	case c.req.head.Minor == 0:
		return
	case status == 100:
		c.m.body.asked = true
	}
	m := c.m
	m.out.reserve(len(c.fields)+64, &m.env.buffers)
	o := append(strconv.AppendInt(append(m.out.b, "HTTP/1.1 "...), int64(status), 10), ' ')
	m.out.b = append(append(append(append(o, reasons[status]...), "\r\n"...), c.fields...), "\r\n"...)
}

// Error sends, as text/html, a short page that names the status, or the page that the
// program has set for it. Fields set before are sent with it.
func (c *Conn) Error(status int) { c.Reply(status, pageType, c.m.env.page(status)) }

// mayReply reports whether a reply may be made now. One that may not is a
// mistake of the application's.
func (c *Conn) mayReply() bool {
	switch {
	case !c.open:
		c.m.env.fault(c, "reply outside of a request", nil)
	case c.status != 0 || !c.claim():
		c.m.env.fault(c, "second reply to a request", nil)
	default:
		return true
	}
	return false
}

// claim takes the right to reply, which may be somebody else's by now if the
// reply was deferred.
func (c *Conn) claim() bool { return c.deferral == nil || c.claimed || c.deferral.claim() }

// answer replies in the place of a handler, without the fields that it has set.
func (c *Conn) answer(status int) {
	c.fields = c.fields[:0]
	c.reply(status, pageType, c.m.env.page(status))
}

func (c *Conn) reply(status int, contentType string, body []byte) {
	c.m.decideRest()
	if c.appendHead(status, contentType, int64(len(body)), len(body)) {
		c.m.out.b = append(c.m.out.b, body...)
	}
}

// unknown is the length of a body whose end its bytes will tell.
const unknown = -1

// appendHead serialises a reply's head (RFC 9112 section 4) into the output, with
// room for so many bytes behind it. It reports whether a body is to follow.
func (c *Conn) appendHead(status int, contentType string, length int64, room int) (body bool) {
	m := c.m
	c.status = status
	m.env.counts.Statuses[status/100]++
	head := &c.req.head
	bodiless := status == 204 || status == 304
	if status == 205 {
		length = 0
	}
	chunked := length == unknown && head.Minor > 0
	if !head.KeepAlive || length == unknown && !chunked && !bodiless || m.env.lastReplies && m.unread() == 0 {
		m.last = true
	}
	m.out.reserve(len(m.env.ok)+len(contentType)+len(c.fields)+room+maxPlain, &m.env.buffers)
	o := m.out.b
	if status == 200 && length >= 0 && contentType == m.env.checkedType {
		o = append(strconv.AppendInt(append(o, m.env.usual...), length, 10), "\r\n"...)
	} else {
		o = m.env.appendStart(o, status, contentType)
		switch {
		case bodiless:
		case length >= 0:
			o = append(strconv.AppendInt(append(o, "Content-Length: "...), length, 10), "\r\n"...)
		case chunked:
			o = append(o, "Transfer-Encoding: chunked\r\n"...)
		}
	}
	if len(c.fields) > 0 {
		o = append(o, c.fields...)
	}
	switch {
	case m.last:
		o = append(o, "Connection: close\r\n"...)
	case head.Minor == 0:
		o = append(o, "Connection: keep-alive\r\n"...)
	}
	m.out.b = append(o, "\r\n"...)
	return !bodiless && length != 0 && head.Method != "HEAD"
}

// appendStart appends a head's lines up to its Content-Type.
func (e *Env) appendStart(o []byte, status int, contentType string) []byte {
	if status == 200 {
		o = append(o, e.ok...)
	} else {
		o = append(append(o, statusLine(status)...), e.ok[len(okLine):]...)
	}
	if status == 204 {
		return o
	}
	return appendType(o, contentType)
}

func appendType(o []byte, contentType string) []byte {
	if contentType == "" {
		return o
	}
	return append(append(append(o, "Content-Type: "...), contentType...), "\r\n"...)
}

// maxPlain is more than the plain parts of a head have, beside those of a 200.
const maxPlain = 192

// checkReply is for replies made on the loop. Mostly the type is that of the last one.
func (c *Conn) checkReply(status int, contentType string) {
	if e := c.m.env; contentType != e.checkedType || status < 200 || status > 599 {
		checkReply(status, contentType)
		e.setType(contentType)
	}
}

func checkReply(status int, contentType string) {
	switch {
	case status < 200 || status > 599:
		panic("conn: status " + strconv.Itoa(status) + " is not from 200 to 599")
	case !validValue(contentType):
		panic("conn: control character in content type " + strconv.Quote(contentType))
	}
}

// checkField panics on what SetHeader and AddHeader refuse.
func (c *Conn) checkField(name, value string) {
	switch {
	case !c.open:
		panic("conn: field " + strconv.Quote(name) + " set outside of a request")
	case c.status != 0:
		panic("conn: field " + strconv.Quote(name) + " set after the reply was made")
	}
	checkName(name)
	checkValue(name, value)
}

func checkName(name string) {
	switch {
	case !validName(name):
		panic("conn: field name " + strconv.Quote(name) + " is not a token")
	case reserved(name):
		panic("conn: field " + strconv.Quote(name) + " is set by the connection itself (Content-Type is an argument of Reply)")
	}
}

func checkValue(name, value string) {
	if !validValue(value) {
		panic("conn: control character in the value of " + name + ": " + strconv.Quote(value))
	}
}

func (c *Conn) appendField(name, value string) {
	c.fields = append(append(append(append(c.fields, name...), ": "...), value...), "\r\n"...)
}

// removeField cuts the lines of that name out of c.fields.
func (c *Conn) removeField(name string) {
	for at := 0; at < len(c.fields); {
		line := c.fields[at:]
		end := 1
		for line[end] != '\n' { // each line ends in CRLF, and has no other
			end++
		}
		if line[:end][min(len(name), end-1)] == ':' && equalFold(line[:len(name)], name) {
			c.fields = append(c.fields[:at], line[end+1:]...)
			continue
		}
		at += end + 1
	}
}

// validName checks a token (RFC 9110 section 5.6.2).
func validName(s string) bool {
	for i := range len(s) {
		if !isToken[s[i]] {
			return false
		}
	}
	return s != ""
}

// isToken tells which bytes are tchar.
var isToken = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}
	return t
}()

// validValue checks for control characters (RFC 9110 section 5.5).
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func reserved(name string) bool {
	for _, r := range [...]string{"Connection", "Content-Length", "Content-Type", "Date", "Keep-Alive", "Server", "Transfer-Encoding", "Upgrade"} {
		if len(r) == len(name) && equalFold([]byte(name), r) {
			return true
		}
	}
	return false
}
