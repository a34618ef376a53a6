//go:build linux

package loop

import (
	"bytes"
	"encoding/binary"
	"io"
	"time"

	"catboat/conn"
)

// handleAtHead is what a server that is called at the head does: some requests it
// answers at once or in pieces, of others it awaits the body.
func (w *world) handleAtHead(c *conn.Conn) {
	if q := w.requestOf(c); q != nil && (q.kind == "upload" || q.kind == "early" || q.kind == "pass") {
		w.handle(c)
		return
	}
	c.AwaitBody(w.handle)
}

// parts answers requests whose reply, or whose body, comes in parts.
var parts = map[string]func(w *world, c *conn.Conn, q *simRequest){
	"known":  func(w *world, c *conn.Conn, q *simRequest) { w.stream(c, q, int64(q.size)) },
	"chunks": func(w *world, c *conn.Conn, q *simRequest) { w.stream(c, q, -1) },
	"abort":  (*world).abort,
	"events": (*world).events,
	"file":   func(w *world, c *conn.Conn, q *simRequest) { w.file(c, q, q.size) },
	"cut":    func(w *world, c *conn.Conn, q *simRequest) { w.file(c, q, q.size/2) },
	"upload": (*world).upload,
	"early":  func(w *world, c *conn.Conn, q *simRequest) { c.Reply(200, "text/plain", simBody(q.id, q.size)) },
	"pass":   (*world).pass,
}

// stream writes a reply as there is room, now and then after a rest.
func (w *world) stream(c *conn.Conn, q *simRequest, length int64) {
	s := c.ReplyStream(200, "text/plain", length)
	rest := simBody(q.id, q.size)
	r := w.k.Rand()
	var step func()
	step = func() {
		for len(rest) > 0 {
			most := 1 + r.IntN(len(rest))
			n, err := s.TryWrite(rest[:most], step)
			rest = rest[n:]
			switch {
			case err != nil:
				return
			case n < most: // step is called when there is room
				return
			case r.IntN(4) == 0:
				w.k.At(time.Duration(r.IntN(100))*time.Millisecond, step)
				return
			}
		}
		s.Close()
		if s.Close() == nil && q.size > 0 {
			w.blame("request %d: a stream is closed twice", q.id)
		}
	}
	step()
}

// abort gives up in the middle of a stream.
func (w *world) abort(c *conn.Conn, q *simRequest) {
	s := c.ReplyStream(200, "text/plain", -1)
	s.TryWrite(simBody(q.id, q.size), nil)
	w.k.At(time.Duration(w.k.Rand().IntN(50))*time.Millisecond, func() { s.Abort(io.ErrUnexpectedEOF) })
}

// simEvents makes a reply piece by piece: its state is the request and how far it is.
func (w *world) simEvents() *conn.Resumable {
	return conn.NewResumable("events/1", func(p *conn.Piece) conn.Next {
		id, at := int(binary.BigEndian.Uint32(p.State())), int(binary.BigEndian.Uint32(p.State()[4:]))
		q := w.requests[id]
		r := w.k.Rand()
		n := r.IntN(q.size - at + 1)
		p.Write(simBody(id, q.size)[at : at+n])
		if at += n; at == q.size {
			return conn.End()
		}
		p.SetState(eventState(id, at))
		switch r.IntN(4) {
		case 0:
			return conn.After(time.Duration(r.IntN(200)) * time.Millisecond)
		case 1:
			return conn.After(time.Duration(r.IntN(200)) * time.Millisecond).OrStop()
		}
		return conn.Again()
	})
}

func eventState(id, at int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(id)), uint32(at))
}

func (w *world) events(c *conn.Conn, q *simRequest) {
	length := int64(-1)
	if q.id%2 == 0 {
		length = int64(q.size)
	}
	c.ReplyResumable(200, "text/plain", length, w.resumable, eventState(q.id, 0))
}

// file replies from a file of which there is so much.
func (w *world) file(c *conn.Conn, q *simRequest, there int) {
	body := simBody(q.id, q.size)
	fd := w.k.Disk(append([]byte("before"), body[:there]...))
	before := min(q.id%7, q.size)
	done := false
	c.ReplyFile(200, "text/plain", conn.FilePart{
		Before: body[:before],
		FD:     fd,
		Offset: int64(len("before") + before),
		Length: int64(q.size - before),
		Done: func() {
			if done {
				w.blame("request %d: Done was called twice", q.id)
				return
			}
			done = true
			w.k.CloseDisk(fd)
		},
	})
}

// upload takes the body in pieces of its own liking and looks at each byte.
func (w *world) upload(c *conn.Conn, q *simRequest) {
	var got []byte
	r := w.k.Rand()
	body := c.StreamBody()
	body.Each(func(c *conn.Conn, p []byte, err error) int {
		switch {
		case err == io.EOF:
			if !q.garbled && !bytes.Equal(got, simBody(q.id, q.body)) {
				w.blame("request %d: a body of %d bytes came as %d", q.id, q.body, len(got))
			}
			c.Reply(200, "text/plain", simBody(q.id, q.size))
			return 0
		case err != nil:
			w.log("request %d: the body ends: %v", q.id, err)
			return 0
		}
		n := 1 + r.IntN(len(p))
		got = append(got, p[:n]...)
		if n < len(p) {
			w.k.At(time.Duration(r.IntN(20))*time.Millisecond, body.Resume)
		}
		return n
	})
}

// pass sends the body back while it comes.
func (w *world) pass(c *conn.Conn, q *simRequest) {
	s := c.ReplyStream(200, "text/plain", -1)
	body := c.StreamBody()
	body.Each(func(c *conn.Conn, p []byte, err error) int {
		switch {
		case err == io.EOF:
			s.Close()
			return 0
		case err != nil:
			s.Abort(err)
			return 0
		}
		n, _ := s.TryWrite(p, body.Resume)
		return n
	})
}
