package conn

import "strconv"

// SetHeader sets a field of the reply, in place of those that have the name
// already; an empty value removes it. It panics if the name is not a token, the
// value holds a control character other than tab, the field is one that the
// connection itself sets (Connection, Content-Length, Content-Type, Date,
// Keep-Alive, Server, Trailer, Transfer-Encoding, Upgrade), or the reply has
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
	checkReply(status, contentType)
	if c.mayReply() {
		c.reply(status, contentType, body)
	}
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
	c.status = status
	c.appendReply(status, contentType, body)
}

// appendReply serialises a reply (RFC 9112 section 4) into the output.
func (c *Conn) appendReply(status int, contentType string, body []byte) {
	m := c.m
	head := &c.req.head
	line := statusLine(status)
	bodiless := status == 204 || status == 304
	if status == 205 {
		body = nil
	}
	length := len(body)
	if bodiless || head.Method == "HEAD" {
		body = nil
	}
	m.out.reserve(len(line)+len(m.env.stamp)+len(contentType)+len(c.fields)+len(body)+128, &m.env.buffers)
	o := append(m.out.b, line...)
	o = append(o, m.env.stamp...)
	if contentType != "" && status != 204 {
		o = append(append(append(o, "Content-Type: "...), contentType...), "\r\n"...)
	}
	if !bodiless {
		o = append(strconv.AppendInt(append(o, "Content-Length: "...), int64(length), 10), "\r\n"...)
	}
	o = append(o, c.fields...)
	switch {
	case m.last || !head.KeepAlive:
		o = append(o, "Connection: close\r\n"...)
	case head.Minor == 0:
		o = append(o, "Connection: keep-alive\r\n"...)
	}
	o = append(o, "\r\n"...)
	m.out.b = append(o, body...)
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
	case !validName(name):
		panic("conn: field name " + strconv.Quote(name) + " is not a token")
	case reserved(name):
		panic("conn: field " + strconv.Quote(name) + " is set by the connection itself (Content-Type is an argument of Reply)")
	case !validValue(value):
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
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f:
			return false
		case c == '"' || c == '(' || c == ')' || c == ',' || c == '/' || c >= ':' && c <= '@' || c >= '[' && c <= ']' || c == '{' || c == '}':
			return false
		}
	}
	return s != ""
}

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
	for _, r := range [...]string{"Connection", "Content-Length", "Content-Type", "Date", "Keep-Alive", "Server", "Trailer", "Transfer-Encoding", "Upgrade"} {
		if len(r) == len(name) && equalFold([]byte(name), r) {
			return true
		}
	}
	return false
}
