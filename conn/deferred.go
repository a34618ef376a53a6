package conn

import "sync/atomic"

// Defer takes the reply out of the handler: it may be made later, from any
// goroutine, with what Defer returns. Fields set until then are sent with it. If
// none comes within the loop's Timeouts.Reply, the client gets 503. A reply that
// nobody makes, not even after Done, holds the connection, and so Run, that long.
//
// What the handler has seen of the request stays valid until the reply is
// complete or the connection has ended. A goroutine cannot foresee that, so it is
// given copies, string(view) or [Request.Clone]; go run -race shows mistakes.
func (c *Conn) Defer() Deferred {
	if !c.open || c.status != 0 || c.m.body.awaited {
		panic("conn: Defer outside of a request, or behind its reply or AwaitBody")
	}
	if c.deferral == nil {
		c.deferral = &deferral{env: c.m.env, handle: c.who.Handle}
	}
	return Deferred{c.deferral}
}

// Deferred is the right to reply later. It is a value that any goroutine may
// copy and use at any time: too late is an error, never somebody else's reply.
type Deferred struct{ d *deferral }

// deferral is one deferred reply. It belongs to one request and is never used
// for another.
type deferral struct {
	env    *Env
	handle Handle
	reply  atomic.Uint32 // awaited, then one of the others for ever
	left   signal        // Done
}

const (
	awaited uint32 = iota
	claimed
	gone
)

// Reply is [Conn.Reply] from any goroutine; it copies body and does not wait.
// An error says that the reply is not sent: ErrInvalid, since no reply can have that status or type, ErrReplied, since there was another
// (perhaps the 503 of a deadline), ErrGone, since the client has left, or
// ErrStopped, since the loop has ended. After nil the client may still leave
// before the reply is out; [Conn.AfterReply] tells.
func (d Deferred) Reply(status int, contentType string, body []byte) error {
	if status < 200 || status > 599 || !validValue(contentType) {
		return ErrInvalid // perhaps of another server's making: no reason to panic where nobody recovers
	}
	if !d.d.claim() {
		return d.d.refusal()
	}
	body = append([]byte(nil), body...)
	return d.d.post(func(m *Machine) {
		m.resume(func(c *Conn) { c.Reply(status, contentType, body) }, true)
	})
}

// Do has f called on the loop with all of Conn at hand, from any goroutine: for
// fields that are known late, or [Conn.Error]. It does not wait, but everybody
// waits for f, so work is done before. f may reply, or leave that to a later call. The error is as
// for Reply; after nil f is not called if the client leaves, or another replies,
// before its turn has come.
func (d Deferred) Do(f func(c *Conn)) error {
	if d.d.reply.Load() != awaited {
		return d.d.refusal()
	}
	return d.d.post(func(m *Machine) { m.resume(f, false) })
}

// Done is closed when the client has left, or has sent FIN and so may have, and
// when the reply is complete. It is a hint to stop working, and does not end the
// request: a client that has closed its side may still read, so a reply is made
// all the same, if only a 503. Any goroutine may ask; all get the same channel.
func (d Deferred) Done() <-chan struct{} { return d.d.left.channel() }

// post has f called on the loop if the connection still waits for this reply.
func (d *deferral) post(f func(*Machine)) error {
	return d.env.post(d.handle, func(m *Machine) {
		if m.state == Pending && m.conn.deferral == d {
			f(m)
		}
	})
}

// claim takes the right to reply, once.
func (d *deferral) claim() bool { return d.reply.CompareAndSwap(awaited, claimed) }

func (d *deferral) refusal() error {
	if d.reply.Load() == gone {
		return ErrGone
	}
	return ErrReplied
}

// end says that the request is over.
func (d *deferral) end() {
	d.reply.CompareAndSwap(awaited, gone)
	d.left.set()
}
