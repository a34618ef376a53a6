//go:build linux

package loop

import (
	"bytes"
	"strconv"
)

// simReply is a reply as a client reads it.
type simReply struct {
	status int
	closes bool
	body   []byte
}

type simReplies struct {
	whole []simReply
	rest  []byte // of one that is not whole
}

// splitReplies reads what a client got.
func splitReplies(b []byte) (s simReplies) {
	for {
		head, rest, ok := bytes.Cut(b, []byte("\r\n\r\n"))
		if !ok || len(head) < 12 {
			break
		}
		status, err := strconv.Atoi(string(head[9:12]))
		if err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
			violate("%q is no reply", head)
		}
		reply := simReply{status, bytes.Contains(head, []byte("\r\nConnection: close")), nil}
		if bytes.Contains(head, []byte("\r\nTransfer-Encoding: chunked")) {
			if reply.body, rest, ok = joinChunks(rest); !ok {
				break
			}
			s.whole = append(s.whole, reply)
			b = rest
			continue
		}
		_, length, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
		length, _, _ = bytes.Cut(length, []byte("\r\n"))
		n, err := strconv.Atoi(string(length))
		if err != nil {
			violate("reply without a length: %q", head)
		}
		if len(rest) < n {
			break
		}
		reply.body = rest[:n]
		s.whole = append(s.whole, reply)
		b = rest[n:]
	}
	s.rest = b
	return s
}

// joinChunks is a chunked body and what is behind it, if it is whole.
func joinChunks(b []byte) (body, rest []byte, ok bool) {
	for {
		line, rest, found := bytes.Cut(b, []byte("\r\n"))
		n, err := strconv.ParseInt(string(line), 16, 32)
		switch {
		case !found || len(rest) < int(n)+2:
			return nil, nil, false
		case err != nil || string(rest[n:n+2]) != "\r\n":
			violate("no chunk: %q", b[:min(len(b), 40)])
		case n == 0:
			return body, rest[2:], true
		}
		body, b = append(body, rest[:n]...), rest[n+2:]
	}
}

// finish judges what a client got, when all is over.
func (c *simClient) finish() {
	if c.refused || c.conn == nil {
		return
	}
	for !c.left { // what the server sent before its end is still there to be read
		p, ended, reset := c.conn.Recv(1 << 20)
		c.got = append(c.got, p...)
		c.reset = c.reset || reset
		if ended || len(p) == 0 {
			break
		}
	}
	replies := splitReplies(c.got)
	for i, reply := range replies.whole {
		c.verify(i, reply, i == len(replies.whole)-1)
	}
	prompt := c.temper == honest || c.temper == sleepy // in reading
	if next := len(replies.whole); next < len(c.requests) {
		// Cut as it must be; or the client has let a deadline pass in the middle.
		if q := c.requests[next]; q.isCut() || q.kind == "pass" && c.temper != honest {
			return
		}
	}
	blameless := c.left || c.conn.Faulty || c.reset && !prompt
	if !blameless && len(replies.rest) > 0 {
		violate("client %d got part of a reply: %q", c.id, replies.rest[:min(len(replies.rest), 100)])
	}
	if prompt && !blameless {
		c.verifyComplete(replies.whole)
	}
}

// verify holds the i-th reply to the i-th request.
func (c *simClient) verify(i int, reply simReply, last bool) {
	switch {
	case reply.status == 503 && reply.closes && last && (c.w.goodbye || i == 0): // stopping, or too many
		return
	case reply.status == 408 && reply.closes && last && c.temper != honest:
		return
	case reply.status == 400 && reply.closes && last && c.temper == rude: // garbage, or half a request and FIN
		return
	case i < len(c.requests) && c.requests[i].garbled:
		return
	case i >= len(c.requests) || c.ends[i] > c.sent && c.requests[i].kind != "early":
		violate("client %d got %d replies, and had sent %d bytes of %v", c.id, i+1, c.sent, c.ends)
	}
	q := c.requests[i]
	if q.isCut() {
		violate("client %d: the reply to request %d (%s) looks whole", c.id, q.id, q.kind)
	}
	want := simBody(q.id, q.size)
	if q.kind == "echo" || q.kind == "pass" {
		want = simBody(q.id, q.body)
	}
	if reply.status != q.status {
		violate("client %d: reply to request %d (%s) is %d, want %d", c.id, q.id, q.kind, reply.status, q.status)
	}
	if q.status == 200 && !bytes.Equal(reply.body, want) {
		violate("client %d: reply to request %d (%s) has a body of %d bytes that is not its own %d", c.id, q.id, q.kind, len(reply.body), len(want))
	}
	if q.closes && !reply.closes {
		violate("client %d: the last reply does not say close", c.id)
	}
}

// verifyComplete holds what a client that keeps to the rules has got in all: every request that
// it sent is answered, unless an earlier reply was announced as the last.
func (c *simClient) verifyComplete(replies []simReply) {
	if len(replies) > 0 && replies[len(replies)-1].closes {
		return
	}
	if !c.conn.Accepted && c.w.k.Elapsed() >= c.w.stoppedAt+lastCall {
		return // no descriptor was given back for it in time
	}
	if c.reset {
		violate("client %d was reset, with %d replies", c.id, len(replies))
	}
	asked := 0
	for asked < len(c.ends) && c.ends[asked] <= c.sent {
		asked++
	}
	if len(replies) < asked {
		violate("client %d has asked %d times and got %d replies", c.id, asked, len(replies))
	}
}
