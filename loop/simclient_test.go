//go:build linux

package loop

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"catboat/conn"
	"catboat/internal/simkernel"
)

// temper is how a simulated client behaves.
type temper int

const (
	honest   temper = iota // sends what it should, reads what comes
	sleepy                 // like honest, but lets deadlines pass between requests
	slow                   // sends or reads so slowly that it may be cut
	vanished               // at some point does nothing more
	rude                   // resets, closes early, sends garbage
	flooder                // sends all it has before it reads anything
	tempers
)

// simRequest is a request and what it must be answered with.
type simRequest struct {
	id      int
	kind    string
	size    int  // of the reply's body
	body    int  // of the request's
	closes  bool // the client says that it is the last
	status  int
	garbled bool // it has garbage in it
}

// isCut reports whether the server breaks off in the middle of the reply.
func (q *simRequest) isCut() bool { return q.kind == "abort" || q.kind == "cut" && q.size > q.id%7 }

// simClient is one client: what it sends, what it got.
type simClient struct {
	w        *world
	id       int
	temper   temper
	conn     *simkernel.Conn
	requests []*simRequest
	ends     []int // where in the wire each request ends
	wire     []byte
	sent     int
	got      []byte
	refused  bool // nobody listened
	ended    bool // the client is done, or the connection is
	reset    bool // and was reset
	left     bool // the client has left before the end
	gap      time.Duration
}

var kinds = []string{"page", "page", "page", "echo", "defer", "never", "panic", "none", "close", "twice", "post", "FROB",
	"known", "chunks", "abort", "events", "file", "cut", "upload", "early", "pass"}

func newSimClient(w *world, id int) *simClient {
	r := w.k.Rand()
	c := &simClient{w: w, id: id, temper: temper(r.IntN(int(tempers)))}
	c.gap = time.Duration(1+r.IntN(5)) * time.Millisecond
	if c.temper == slow {
		c.gap = time.Duration(1+r.IntN(900)) * time.Millisecond
	}
	for n := 1 + r.IntN(6); n > 0; n-- {
		q := &simRequest{id: id*100 + n, kind: kinds[r.IntN(len(kinds))], status: 200}
		q.size = r.IntN(1 << r.IntN(14))
		q.closes = n == 1 && r.IntN(2) == 0
		w.requests[q.id] = q
		c.requests = append(c.requests, q)
		c.wire = append(c.wire, c.serialise(q)...)
		c.ends = append(c.ends, len(c.wire))
	}
	if c.temper == rude && r.IntN(3) == 0 {
		intact := r.IntN(len(c.wire))
		c.wire = append(c.wire[:intact], "\x00 garbage\r\n\r\n"...)
		for i, q := range c.requests {
			q.garbled = c.ends[i] > intact
		}
	}
	return c
}

// serialise writes a request, and notes the status that its reply must have.
func (c *simClient) serialise(q *simRequest) []byte {
	method, fields, body := "GET", "", ""
	switch q.kind {
	case "echo", "upload", "early", "pass":
		method = "POST"
		q.body = q.size % 5000
		body = string(simBody(q.id, q.body))
		if q.id%2 == 0 {
			fields = "Transfer-Encoding: chunked\r\n"
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Trailer: t\r\n\r\n", q.body, body)
			if q.body == 0 {
				body = "0\r\n\r\n"
			}
		} else {
			fields = fmt.Sprintf("Content-Length: %d\r\n", q.body)
		}
	case "never":
		q.status = 503
	case "panic", "none":
		q.status = 500
	case "FROB":
		method, q.status = "FROB", 501
	}
	if q.closes {
		fields += "Connection: close\r\n"
	}
	return fmt.Appendf(nil, "%s /%s/%d HTTP/1.1\r\nHost: sim\r\n%s\r\n%s", method, q.kind, q.id, fields, body)
}

// simBody is n bytes that only this request's reply can hold.
func simBody(id, n int) []byte {
	unit := strconv.Itoa(id) + "."
	return bytes.Repeat([]byte(unit), n/len(unit)+1)[:n]
}

// requestOf is the request that c is about; nil if a rude client has made it up.
func (w *world) requestOf(c *conn.Conn) *simRequest {
	path := bytes.Split(c.Request().Path(), []byte("/"))
	if len(path) < 3 {
		return nil
	}
	id, _ := strconv.Atoi(string(path[2]))
	return w.requests[id]
}

// handle is the server's handler.
func (w *world) handle(c *conn.Conn) {
	q := w.requestOf(c)
	if q == nil {
		c.Error(404)
		return
	}
	id := q.id
	w.hooks[id] += 0
	c.AfterReply(func(_ *conn.Conn, err error) {
		w.log("request %d: AfterReply: %v", id, err)
		w.hooks[id]++
	})
	if part, ok := parts[q.kind]; ok {
		part(w, c, q)
		return
	}
	switch q.kind {
	case "echo":
		c.Reply(200, "text/plain", c.Request().Body())
	case "defer", "never", "post":
		w.deferReply(c, q)
	case "panic":
		panic("simulated")
	case "none":
	case "close":
		c.CloseAfterReply()
		c.Reply(200, "text/plain", simBody(id, q.size))
	case "twice":
		c.Reply(200, "text/plain", simBody(id, q.size))
		c.Reply(200, "text/plain", []byte("again"))
	default:
		c.Reply(200, "text/plain", simBody(id, q.size))
	}
}

// deferReply replies later, as another goroutine would.
func (w *world) deferReply(c *conn.Conn, q *simRequest) {
	d := c.Defer()
	w.done = append(w.done, d.Done())
	if q.kind == "never" {
		return
	}
	reply := func() {
		var err error
		if q.kind == "post" {
			err = d.Do(func(c *conn.Conn) { c.Reply(200, "text/plain", simBody(q.id, q.size)) })
			d.Do(func(c *conn.Conn) { w.blame("request %d: Do after the reply, in the middle of another request", q.id) })
		} else {
			err = d.Reply(200, "text/plain", simBody(q.id, q.size))
		}
		if err == conn.ErrReplied {
			w.blame("request %d: the first reply is said to be the second", q.id)
		}
		if q.kind == "defer" {
			if err := d.Reply(500, "", nil); err == nil {
				w.blame("request %d: a second reply is taken", q.id)
			}
		}
	}
	if w.k.Rand().IntN(4) == 0 {
		reply()
		return
	}
	w.k.At(time.Duration(w.k.Rand().IntN(300))*time.Millisecond, reply)
}

// connect begins a client's life.
func (c *simClient) connect() {
	c.conn = c.w.ln.Dial(c.id, 1<<c.w.k.Rand().IntN(16))
	if c.conn == nil {
		if !c.w.stopped {
			violate("client %d is refused, and the server was not told to stop", c.id)
		}
		c.refused = true
		return
	}
	c.w.log("client %d: temper %d, %d requests", c.id, c.temper, len(c.requests))
	c.send()
	if c.temper != flooder {
		c.recv()
	}
}

// send sends a piece, and the next after a gap.
func (c *simClient) send() {
	r := c.w.k.Rand()
	if c.ended {
		return
	}
	if c.sent == len(c.wire) {
		c.allSent()
		return
	}
	if c.temper == vanished && r.IntN(8) == 0 {
		c.left = true
		return
	}
	if c.temper == rude && r.IntN(10) == 0 {
		c.leave()
		return
	}
	if c.temper == sleepy && c.conn.Ended() {
		return // it sees the FIN before it asks again
	}
	n := 1 + r.IntN(len(c.wire)-c.sent)
	if c.temper == slow {
		n = min(n, 40)
	}
	if !c.conn.Send(c.wire[c.sent : c.sent+n]) {
		c.ended, c.reset = true, true
		return
	}
	c.sent += n
	gap := c.gap
	if c.temper == sleepy && r.IntN(4) == 0 { // until about when it would be cut
		deadlines := []time.Duration{simTimeouts.Head, simTimeouts.Body, simTimeouts.Idle, simTimeouts.Idle}
		gap = deadlines[r.IntN(len(deadlines))] + time.Duration(r.IntN(4000)-2000)*time.Microsecond
	}
	c.w.k.At(gap, c.send)
}

// allSent is when nothing is left to send: some half-close then.
func (c *simClient) allSent() {
	r := c.w.k.Rand()
	switch {
	case c.temper == flooder:
		c.recv()
	case c.temper == rude && r.IntN(2) == 0:
		c.leave()
		return
	}
	if r.IntN(3) == 0 {
		c.conn.CloseWrite()
	}
}

// leave ends a rude client's part.
func (c *simClient) leave() {
	c.ended, c.left = true, true
	if c.w.k.Rand().IntN(2) == 0 {
		c.conn.Abort()
	} else {
		c.conn.Close()
	}
}

// recv takes what has come, and looks again after a gap.
func (c *simClient) recv() {
	if c.ended || c.temper == vanished && c.left {
		return
	}
	r := c.w.k.Rand()
	n := 1 << 16
	if r.IntN(2) == 0 || c.temper == slow {
		n = 1 + r.IntN(2000)
	}
	p, ended, reset := c.conn.Recv(n)
	c.got = append(c.got, p...)
	if ended {
		c.ended, c.reset = true, reset
		c.conn.Close()
		return
	}
	if c.sent == len(c.wire) && len(splitReplies(c.got).whole) >= len(c.requests) && r.IntN(3) == 0 {
		c.ended = true // it has all it wanted
		c.conn.Close()
		return
	}
	c.w.k.At(c.gap, c.recv)
}
