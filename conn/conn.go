package conn

// Handler answers a request. It is called on the loop's goroutine when the
// request is whole, and every other connection waits until it returns: what
// takes long goes to a goroutine, with [Conn.Defer]. It must reply or defer. If
// it does neither, or panics, the client gets 500 and the log a line.
//
// It sees every method that is registered, HEAD too. What the connection refuses
// by itself, such as a malformed request or a body that is too large, it does
// not see.
type Handler func(c *Conn)

// Middleware makes a handler of a handler.
type Middleware func(next Handler) Handler

// Conn is a connection with a request on it, for as long as that takes: from
// the handler's call to the end of the reply. All of it is for the loop's
// goroutine alone; another goroutine has a [Deferred].
type Conn struct {
	m   *Machine
	who Identity
	req Request

	fields   []byte // field lines set by the handler
	status   int
	open     bool // the handler, or a function of Deferred.Do, may reply
	inHook   bool // a function of AfterReply runs
	claimed  bool // it does so in the name of the deferral
	deferral *deferral
}

// Request is what the client asked, valid until the reply is complete. Outside
// of a request, as in a function of AfterReply, it is an empty one.
func (c *Conn) Request() *Request {
	if c.inHook || c.req.raw == nil {
		return &Request{peer: c.who.Peer, clone: true}
	}
	return &c.req
}

// ID numbers the connection. It is never used twice by a loop; for logs.
func (c *Conn) ID() uint64 { return c.who.ID }

// Status is the status of the reply, 0 if there is none yet, as of one that is
// deferred.
func (c *Conn) Status() int { return c.status }

// AfterReply has f called once, on the loop, when the reply's last byte has been
// handed to the kernel (err is nil), or when the connection has ended before
// that. A nil does not say that the client has read it: one that has closed its
// side takes what comes in silence.
//
// In f, c is good for ID, CloseAfterReply and Status, which is that of the reply,
// also of one that was deferred, or 0 if there was none. The request is over by
// then: what f needs of it is copied before. AfterReply panics outside of a
// request.
func (c *Conn) AfterReply(f func(c *Conn, err error)) {
	if !c.open {
		panic("conn: AfterReply outside of a request")
	}
	c.m.hooks = append(c.m.hooks, hook{f: f})
}

// CloseAfterReply ends the connection behind the reply: its head says so, if it
// is not yet made, and FIN follows it. Called in a function of AfterReply it
// ends the connection at once, or behind the request that has begun meanwhile.
// It panics outside of both.
func (c *Conn) CloseAfterReply() {
	if !c.open && !c.inHook {
		panic("conn: CloseAfterReply outside of a request")
	}
	c.m.last = true
}

// Abort ends the connection in place of a reply, behind those of earlier requests. A
// reply that is begun as a stream is broken off, so that it cannot look whole; one
// that is made whole stands. AfterReply functions get reason, which must not be nil. It panics
// outside of a request.
func (c *Conn) Abort(reason error) {
	if !c.open || reason == nil {
		panic("conn: Abort outside of a request, or without a reason")
	}
	if c.status != 0 && !c.m.reply.open() {
		c.m.last = true
		return
	}
	c.m.aborted = reason
}

// serve calls the handler: that of all requests, or the one of AwaitBody when the
// body has come.
func (m *Machine) serve() {
	c := &m.conn
	h := m.env.handler.Load()
	if c.req.raw == nil {
		m.turn++
		c.req.begin(m.in.b[m.start:m.body.start:m.body.start])
	} else {
		h = &m.body.whole
	}
	if m.body.done {
		c.req.body = m.in.b[m.body.start:m.body.end:m.body.end]
	}
	switch {
	case c.req.head.Method == "":
		c.answer(501)
	case c.req.head.Method == "CONNECT": // what the client sends behind it is not HTTP
		m.last = true
		c.answer(501)
	case h == nil:
		c.answer(503)
	default:
		m.call(*h)
	}
	m.served()
}

// served follows from what a handler has done.
func (m *Machine) served() {
	c := &m.conn
	switch {
	case m.aborted != nil:
		m.breakOff(m.aborted)
	case c.status != 0:
		m.replied()
	case m.body.awaited:
		m.awaitBody()
	case c.deferral != nil || m.body.stream != nil && m.body.stream.each != nil:
		m.move(Pending)
	default:
		m.unanswered()
	}
}

// unanswered replies where nobody is left to do so.
func (m *Machine) unanswered() {
	m.env.fault(&m.conn, "handler returned without a reply", nil)
	m.conn.answer(500)
	m.finish()
}

// replied follows a reply, of which the head at least is made.
func (m *Machine) replied() {
	if m.reply.open() {
		m.move(Streaming)
	} else {
		m.finish()
	}
}

// call runs f as a handler, and behind it the one that is to have the body, if that
// is there. A panic costs a 500, unless there is a reply; a stream that is not
// closed is cut.
func (m *Machine) call(f Handler) (panicked bool) {
	c := &m.conn
	c.open = true
	defer func() {
		if v := recover(); v != nil {
			panicked = true
			m.env.fault(c, "handler panicked", v)
			if s := m.reply.stream; s != nil {
				s.Abort(errPanicked) // there may be nobody to end it
			}
			if c.status == 0 && c.claim() {
				c.answer(500)
			}
		}
		c.open = false
	}()
	m.body.awaited = false
	f(c)
	for m.body.awaited && m.body.done && c.status == 0 && m.aborted == nil {
		m.body.awaited = false
		m.body.whole(c)
	}
	return false
}

// guard runs a function of the application's that is no handler.
func (m *Machine) guard(what string, f func()) (panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			panicked = true
			m.env.fault(&m.conn, what, v)
		}
	}()
	f()
	return false
}

// callHook runs a function of AfterReply's. It may not reply.
func (c *Conn) callHook(h hook, err error) {
	status := c.status // of the request that the connection is at by now
	c.status, c.inHook = h.status, true
	defer func() {
		if v := recover(); v != nil {
			c.m.env.fault(c, "AfterReply function panicked", v)
		}
		c.status, c.inHook = status, false
	}()
	h.f(c, err)
}

// resume runs f on a connection whose reply is deferred. With claimed, f replies
// in the deferral's name.
func (m *Machine) resume(f Handler, claimed bool) {
	m.conn.claimed = claimed
	m.call(f)
	m.conn.claimed = false
	switch {
	case m.aborted != nil:
		m.breakOff(m.aborted)
	case m.conn.status != 0:
		m.replied()
		m.Continue()
	default:
		m.run() // it may have asked for the body
	}
}

// finish ends a request whose reply is in the output, and decides whether
// another may follow.
func (m *Machine) finish() {
	m.seal()
	m.decideRest()
	if !m.conn.req.head.KeepAlive {
		m.last, m.clientLast = true, m.unread() == 0 && m.body.done
	}
	m.env.counts.Latency[Bucket(m.env.now-m.began)]++
	drain := !m.body.done
	m.endRequest(ErrReplied)
	switch {
	case m.last:
		m.move(Flush)
		m.dropInput()
	case drain:
		m.move(Drain)
	default:
		m.move(Idle)
	}
}

// seal has the AfterReply functions of the present request called when what is in
// the output by now is written.
func (m *Machine) seal() {
	for ; m.sealed < len(m.hooks); m.sealed++ {
		h := &m.hooks[m.sealed]
		h.end, h.status = m.out.end(), m.conn.status
	}
}

// endRequest ends what was seen of a request, so that nothing of it is left to
// the next one. Whoever still waits for something of it gets reason.
func (m *Machine) endRequest(reason error) {
	c := &m.conn
	m.endReply(reason)
	m.endBody(reason)
	if c.deferral != nil {
		c.deferral.end()
		c.deferral = nil
	}
	c.status = 0
	c.fields = emptied(c.fields)
	c.req.end()
	if len(m.held.b) > 0 {
		m.held.reset(&m.env.buffers)
	}
}
