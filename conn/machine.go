package conn

import (
	"errors"
	"slices"
)

// What keeps a reply from its client, as AfterReply and Deferred tell it. A client
// has gone when its connection was reset or a deadline has ended it; one that
// has merely closed its side may still read.
var (
	ErrGone    = errors.New("catboat: the client has gone")
	ErrReplied = errors.New("catboat: the request has its reply already")
	ErrStopped = errors.New("catboat: the loop has ended")
)

// Machine is the loop's side of a connection, from the first byte of a request
// to the end of its reply, or of the linger after the last. Between requests
// there is none: see [Machine.Resting]. All of it is for the loop's goroutine.
//
// The loop calls Feed, EOF, Expire, Wrote, Blocked, Continue or Abandon as things
// happen, and after each looks at Output, File, State, WantsRead, Again and
// TakeWait.
type Machine struct {
	env   *Env
	conn  Conn
	state State

	in    buffer
	held  buffer // of a head that was seen before its body had come: see hold
	start int    // of the present request, in in.b
	began int64  // when it began
	next  int    // of the bytes that nobody has looked at
	body  bodyIn
	reply replyOut // while Streaming

	out    output
	hooks  []hook
	sealed int // hooks whose reply is in the output

	blocked    bool  // the socket takes no more output for now
	turn       int   // requests answered, and pieces asked for, in this turn
	last       bool  // no request is taken after the present one
	clientLast bool  // and the client had said so
	eof        bool  // the client has sent FIN
	lingered   int   // bytes thrown away
	aborted    error // what Abort was told; nil: it was not called
	reset      bool  // the connection is to end with a reset, since FIN would look like the end of the reply
	recall     bool  // it was carried here within a body, and the handler is to be called for it anew
}

// hook is a function of AfterReply's, due when end bytes are written.
type hook struct {
	f      func(*Conn, error)
	end    int64
	status int
}

// NewMachine makes a machine that waits for Begin.
func NewMachine(env *Env) *Machine {
	m := &Machine{env: env}
	m.conn.m = m
	return m
}

// Begin takes up a connection that is Fresh or Idle.
func (m *Machine) Begin(s State, who Identity) {
	m.state = s
	m.conn.who = who
	m.conn.req.peer = who.Peer
	m.out.taken = 0
	m.last, m.clientLast, m.eof, m.lingered, m.aborted, m.reset, m.recall = false, false, false, 0, nil, false, false
	m.blocked = false
}

// State is where the connection stands.
func (m *Machine) State() State { return m.state }

// Class is the kind of deadline the connection is under.
func (m *Machine) Class() Class {
	switch {
	case m.out.pending() > 0:
		return ForWrite
	case m.state.answering() && m.wantsBody():
		return ForBody
	}
	return m.state.Class()
}

// Feed takes bytes that came from the client, and goes as far as they reach.
// They are copied. It is called only while WantsRead.
func (m *Machine) Feed(p []byte) {
	if m.state == Linger {
		if m.lingered += len(p); m.lingered > maxLinger {
			m.move(Closed)
		}
		return
	}
	if m.conn.req.raw != nil && len(m.held.b) == 0 { // views of the head are about
		m.hold()
	}
	m.in.add(p, &m.env.buffers)
	m.Continue()
}

// Continue goes on where a turn's quota or a full output had stopped.
func (m *Machine) Continue() {
	m.turn = 0
	m.run()
}

// run moves the connection through its states until it has to wait.
func (m *Machine) run() {
	for {
		switch m.state {
		case Fresh, Idle:
			if !m.begun() || !m.mayTake() {
				m.tidyInput()
				return
			}
			m.beginRequest()
		case InHead:
			if more := m.readHead(); more {
				m.tidyInput()
				return
			}
		case InBody:
			if m.recall {
				m.recall = false
				m.move(Ready)
			} else if more := m.readBody(); more {
				return
			}
		case Ready:
			m.serve()
		case Pending:
			if wait := m.passBody(); wait {
				return
			}
		case Streaming:
			if wait := m.passBody() && m.passReply(); wait {
				return
			}
		case Drain:
			if more := m.drain(); more {
				return
			}
		case Flush, Linger, Closed:
			return
		}
	}
}

// mayTake reports whether a next request, or piece, may be looked at now.
func (m *Machine) mayTake() bool { return m.turn < maxTurn && !m.isFull() }

// isFull reports whether no more output is to be made: it is above its mark, or the
// socket does not even take what there is.
func (m *Machine) isFull() bool {
	return m.blocked && m.out.pending() > 0 || m.out.full(m.env.limits.MaxOutput)
}

// Blocked says whether the socket takes no more output for now. Then what waits may
// have to wait for long.
func (m *Machine) Blocked(blocked bool) {
	if blocked && !m.blocked {
		m.out.tighten(&m.env.buffers)
	}
	m.blocked = blocked
}

// Again reports whether Continue would do something without new input.
func (m *Machine) Again() bool {
	switch m.state {
	case Fresh, Idle:
		return m.begun() && !m.isFull()
	case Streaming:
		return m.reply.ready() && !m.isFull()
	case InBody:
		return m.recall
	}
	return false
}

// WantsRead reports whether bytes from the client can be taken.
func (m *Machine) WantsRead() bool {
	switch m.state {
	case Fresh, Idle:
		return !m.isFull() && !m.begun()
	case InHead, InBody:
		return !m.isFull()
	case Pending, Streaming:
		return m.wantsBody()
	case Drain, Linger:
		return true
	}
	return false
}

// Output is the bytes to be written next, until Wrote or anything else is called.
// None, while there is Pending output, means that a file is next.
func (m *Machine) Output() []byte {
	p, _ := m.out.next()
	return p
}

// File is the range of a file to be written next, if one is.
func (m *Machine) File() (f FileRange, ok bool) {
	if p, next := m.out.next(); len(p) == 0 && next != nil {
		return next.FileRange, true
	}
	return FileRange{}, false
}

// Pending is how many bytes wait to be written, those in files included.
func (m *Machine) Pending() int64 { return m.out.pending() }

// Wrote says how many bytes of Output, or of File, the kernel has taken.
func (m *Machine) Wrote(n int) {
	m.release(m.out.wrote(n, &m.env.buffers))
	m.runHooks()
	m.flushed()
}

// flushed goes on behind the last reply, when all is written.
func (m *Machine) flushed() {
	if m.out.pending() > 0 {
		return
	}
	switch {
	case m.state == Flush && (m.eof || m.reset):
		m.move(Closed)
	case m.state == Flush, m.state == Drain && m.last, m.state == Idle && m.last && !m.begun():
		m.move(Linger)
	}
}

// Truncated says that File has ended before its range. The client can tell, since
// the reply is shorter than its Content-Length.
func (m *Machine) Truncated() {
	m.last = true
	for _, done := range m.out.drop(&m.env.buffers) {
		m.release(done)
	}
	m.failHooks(m.sealed, ErrTruncated)
	m.sealed = 0
	if m.state == Idle {
		m.dropInput()
	}
	m.flushed()
}

// breakOff ends a reply that will not be whole, and the connection behind what is
// in the output. The end of its framing is missing, so the client can tell; where
// there is none, a reset tells.
func (m *Machine) breakOff(reason error) {
	r := &m.reply
	m.last, m.aborted = true, nil
	m.reset = r.open() && !r.chunked && r.left == unknown
	n := len(m.hooks) - m.sealed
	m.seal() // with their status
	m.sealed -= n
	m.endRequest(reason)
	m.failHooks(n, reason)
	m.move(Flush)
	m.dropInput()
	m.flushed()
}

// Reset reports of a Closed connection whether it is to end with a reset.
func (m *Machine) Reset() bool { return m.reset }

// runHooks calls the AfterReply functions of replies that are written.
func (m *Machine) runHooks() {
	for m.sealed > 0 && m.hooks[0].end <= m.out.taken {
		h := m.hooks[0]
		m.sealed--
		m.hooks = slices.Delete(m.hooks, 0, 1)
		m.conn.callHook(h, nil)
	}
}

// failHooks calls the last n AfterReply functions, whose reply is not whole.
func (m *Machine) failHooks(n int, reason error) {
	for from := len(m.hooks) - n; len(m.hooks) > from; {
		h := m.hooks[from]
		m.hooks = slices.Delete(m.hooks, from, from+1)
		m.conn.callHook(h, reason)
	}
}

// EOF says that the client has sent FIN and that all before it has been fed.
// What was asked whole is answered; half a request is refused. Like Feed it is
// called only while WantsRead.
func (m *Machine) EOF() {
	m.eof = true
	switch m.state {
	case Fresh, Idle, Drain:
		m.leave()
	case InHead:
		m.refuse(400)
	case InBody, Pending, Streaming:
		m.Leaving()
		m.refuseBody(400)
		m.run()
	case Linger:
		m.move(Closed)
	}
}

// leave ends a connection without a request, behind what is still to be written.
func (m *Machine) leave() {
	m.dropInput()
	if m.out.pending() > 0 {
		m.move(Flush)
	} else {
		m.move(Closed)
	}
}

// Leaving says that the client has sent FIN, perhaps behind bytes not fed yet.
// It is a hint: a client that has closed and one that has half-closed look the
// same. The Done of whoever makes the reply is closed; it is still written.
func (m *Machine) Leaving() {
	if m.env.noHint {
		return
	}
	if d := m.conn.deferral; d != nil {
		d.left.set()
	}
	if s := m.reply.stream; s != nil {
		s.left.set()
	}
}

// Expire says that the deadline of the present Class has passed, other than that
// for writing: a client that does not read is not told, but reset.
func (m *Machine) Expire() {
	switch m.state {
	case InHead:
		m.refuse(408)
	case InBody:
		m.refuseBody(408)
	case Pending, Streaming:
		switch {
		case m.wantsBody():
			m.refuseBody(408)
		case m.state == Pending && m.conn.claim(): // else a reply is on its way
			m.conn.answer(503)
			m.finish()
		case m.state == Streaming && !m.reply.waiting: // for its own time
			m.breakOff(ErrLate)
		}
		m.Continue()
	case Fresh, Idle:
		m.leave()
	case Drain: // the reply is written, and the client may still be sending
		m.dropInput()
		m.move(Linger)
	case Linger:
		m.move(Closed)
	}
}

// Refuse answers a connection that is over the server's limit, without looking
// at what it asks.
func (m *Machine) Refuse(status int) { m.refuse(status) }

// Abandon says that the connection is no more. Replies that were not written
// whole are dropped, and whoever waits for them is told.
func (m *Machine) Abandon(reason error) {
	if m.state != Closed {
		m.move(Closed)
	}
	for _, done := range m.out.drop(&m.env.buffers) {
		m.release(done)
	}
	m.seal() // with their status
	m.endRequest(reason)
	m.failHooks(len(m.hooks), reason)
	m.sealed = 0
	m.dropInput()
}

// Resting reports whether all that is left of the connection is its State: then
// the machine may serve another.
func (m *Machine) Resting() bool {
	return m.state == Closed || (m.state == Idle || m.state == Fresh) && len(m.in.b) == 0 && m.out.pending() == 0 && !m.last
}

// ClientDone reports of a connection in Linger whether the client had announced
// its last request and sent nothing behind it. If nothing waits in the socket
// either, closing it cannot lose the reply to a reset.
func (m *Machine) ClientDone() bool { return m.clientLast }

func (m *Machine) unread() int { return len(m.in.b) - m.next }
