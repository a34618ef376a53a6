package conn

import (
	"errors"
	"slices"

	"catboat/httpparse"
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
// The loop calls Feed, EOF, Expire, Wrote, Continue or Abandon as things
// happen, and after each looks at Output, State, WantsRead and Again.
type Machine struct {
	env   *Env
	conn  Conn
	state State

	in        buffer
	start     int // of the present request, in in.b
	next      int // of the bytes that nobody has looked at
	bodyStart int
	bodyEnd   int

	out     buffer
	sent    int   // of out.b, already written
	written int64 // before out.b[0], since Begin
	hooks   []hook
	sealed  int // hooks whose reply is in the output

	chunked httpparse.Chunked

	turn       int  // requests answered in this turn
	last       bool // no request is taken after the present one
	clientLast bool // and the client had said so
	eof        bool // the client has sent FIN
	lingered   int  // bytes thrown away
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
	m.written = 0
	m.last, m.clientLast, m.eof, m.lingered = false, false, false, 0
}

// State is where the connection stands.
func (m *Machine) State() State { return m.state }

// Class is the kind of deadline the connection is under.
func (m *Machine) Class() Class {
	if m.pending() > 0 {
		return ForWrite
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
		case Head:
			if more := m.readHead(); more {
				m.tidyInput()
				return
			}
		case Body:
			if more := m.readBody(); more {
				return
			}
		case Ready:
			m.turn++
			m.serve()
		case Pending, Flush, Linger, Closed:
			return
		}
	}
}

// mayTake reports whether a next request may be looked at now.
func (m *Machine) mayTake() bool { return m.turn < maxTurn && m.pending() <= m.env.limits.MaxOutput }

// Again reports whether Continue would do something without new input.
func (m *Machine) Again() bool {
	return (m.state == Idle || m.state == Fresh) && m.begun() && m.pending() <= m.env.limits.MaxOutput
}

// WantsRead reports whether bytes from the client can be taken.
func (m *Machine) WantsRead() bool {
	switch m.state {
	case Fresh, Idle, Head, Body:
		return m.pending() <= m.env.limits.MaxOutput && (m.state >= Head || !m.begun())
	case Linger:
		return true
	}
	return false
}

// Output is what is to be written, until Wrote or anything else is called.
func (m *Machine) Output() []byte { return m.out.b[m.sent:] }

// minMove is how many bytes must have been written for the rest to be moved.
const minMove = 64 << 10

// Wrote says how many bytes of Output the kernel has taken.
func (m *Machine) Wrote(n int) {
	m.sent += n
	switch {
	case m.sent == len(m.out.b):
		m.written += int64(m.sent)
		m.sent = 0
		m.out.reset(&m.env.buffers)
	case m.sent >= minMove && m.sent >= len(m.out.b)/2: // what is left moves down
		m.written += int64(m.sent)
		m.out.b = m.out.b[:copy(m.out.b, m.out.b[m.sent:])]
		m.sent = 0
	}
	m.runHooks()
	if m.pending() > 0 {
		return
	}
	switch {
	case m.state == Flush && m.eof:
		m.move(Closed)
	case m.state == Flush, m.state == Idle && m.last && !m.begun():
		m.move(Linger)
	}
}

// runHooks calls the AfterReply functions of replies that are written.
func (m *Machine) runHooks() {
	for len(m.hooks) > 0 && m.sealed > 0 && m.hooks[0].end <= m.written+int64(m.sent) {
		h := m.hooks[0]
		m.sealed--
		m.hooks = slices.Delete(m.hooks, 0, 1)
		m.conn.callHook(h, nil)
	}
}

// EOF says that the client has sent FIN and that all before it has been fed.
// What was asked whole is answered; half a request is refused. Like Feed it is
// called only while WantsRead.
func (m *Machine) EOF() {
	m.eof = true
	switch m.state {
	case Fresh, Idle:
		m.leave()
	case Head, Body:
		m.refuse(400)
	case Linger:
		m.move(Closed)
	}
}

// leave ends a connection without a request, behind what is still to be written.
func (m *Machine) leave() {
	m.dropInput()
	if m.pending() > 0 {
		m.move(Flush)
	} else {
		m.move(Closed)
	}
}

// Leaving says that the client has sent FIN, perhaps behind bytes not fed yet.
// It is a hint: a client that has closed and one that has half-closed look the
// same. A deferred reply's Done is closed; the reply is still written.
func (m *Machine) Leaving() {
	if d := m.conn.deferral; d != nil {
		d.closeDone()
	}
}

// Expire says that the deadline of the present Class has passed. It reports
// whether the connection is to be reset, since the client does not read.
func (m *Machine) Expire() (reset bool) {
	if m.Class() == ForWrite {
		return true
	}
	switch m.state {
	case Head, Body:
		m.refuse(408)
	case Pending:
		if m.conn.deferral.claim() { // else a reply is on its way
			m.conn.answer(503)
			m.finish()
			m.Continue()
		}
	case Fresh, Idle:
		m.leave()
	case Linger:
		m.move(Closed)
	}
	return false
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
	m.endRequest()
	for len(m.hooks) > 0 {
		h := m.hooks[0]
		m.hooks = slices.Delete(m.hooks, 0, 1)
		m.conn.callHook(h, reason)
	}
	m.sealed = 0
	m.sent = 0
	m.out.reset(&m.env.buffers)
	m.dropInput()
}

// Resting reports whether all that is left of the connection is its State: then
// the machine may serve another.
func (m *Machine) Resting() bool {
	return m.state == Closed || (m.state == Idle || m.state == Fresh) && len(m.in.b) == 0 && m.pending() == 0 && !m.last
}

// ClientDone reports of a connection in Linger whether the client had announced
// its last request and sent nothing behind it. If nothing waits in the socket
// either, closing it cannot lose the reply to a reset.
func (m *Machine) ClientDone() bool { return m.clientLast }

func (m *Machine) unread() int { return len(m.in.b) - m.next }

func (m *Machine) pending() int { return len(m.out.b) - m.sent }
