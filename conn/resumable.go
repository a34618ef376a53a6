package conn

import "time"

// Resumable is a reply, or a part of one, that is made piece by piece by a function
// which keeps nothing but a few bytes of state between two calls. It has no goroutine, so
// it can wait for long at next to no cost, and goes on behind an exec of the
// program: there it is found by its name.
type Resumable struct {
	name string
	f    func(p *Piece) Next
}

// NewResumable names a function. The name goes with the meaning of its state:
// "ticks/2" does not go on where "ticks/1" has stopped.
func NewResumable(name string, f func(p *Piece) Next) *Resumable { return &Resumable{name, f} }

// Name is the name that was given to it.
func (r *Resumable) Name() string { return r.name }

// Piece is what a Resumable's function works on, during one call, on the loop.
type Piece struct {
	env   *Env
	state []byte
}

// State is what the last call has set, or the reply has begun with. It is valid
// until SetState.
func (p *Piece) State() []byte { return p.state }

// SetState keeps a copy of state, of at most 4 KiB, for the next call. It panics if
// it is more.
func (p *Piece) SetState(state []byte) {
	if len(state) > maxState {
		panic("conn: the state of a resumable reply has more than 4 KiB")
	}
	p.state = append(p.state[:0], state...)
}

// Write adds to the piece, which is sent as one chunk where the reply comes in
// chunks. It takes all and never fails; a piece is held in memory, so it is not large.
func (p *Piece) Write(b []byte) (int, error) {
	p.env.piece = append(p.env.piece, b...)
	return len(b), nil
}

// WriteString is Write for a string.
func (p *Piece) WriteString(s string) (int, error) {
	p.env.piece = append(p.env.piece, s...)
	return len(s), nil
}

// Stopping reports whether the loop is about to end: who could go on for ever says
// goodbye now. See also [Next.OrStop].
func (p *Piece) Stopping() bool { return p.env.stopping }

// Next is what comes behind a piece: [Again], [After] or [End].
type Next struct {
	kind   nextKind
	after  time.Duration
	orStop bool
}

type nextKind uint8

const (
	again nextKind = iota
	after
	end
)

// Again is for another piece as soon as there is room.
func Again() Next { return Next{kind: again} }

// After is for another piece when that time has passed, and there is room.
func After(d time.Duration) Next { return Next{kind: after, after: max(d, 0)} }

// OrStop has a reply that waits called before its time, when the loop is about to
// end: an event stream then can say goodbye.
func (n Next) OrStop() Next {
	n.orStop = true
	return n
}

// End is for a reply that is complete.
func End() Next { return Next{kind: end} }

// ReplyResumable sends a reply's head, and as its body what r's function makes of
// state, of which a copy is kept. The length is as for [Conn.ReplyStream]; a
// reply that turns out shorter or longer is cut.
func (c *Conn) ReplyResumable(status int, contentType string, length int64, r *Resumable, state []byte) {
	checkLength(status, contentType, length)
	if len(state) > maxState {
		panic("conn: the state of a resumable reply has more than 4 KiB")
	}
	if !c.mayReply() || !c.beginReply(status, contentType, length) {
		return
	}
	reply := &c.m.reply
	reply.resumable = r
	reply.piece.env = c.m.env
	reply.piece.state = append(reply.piece.state[:0], state...)
}

// callPiece has the next piece made and puts it into the output. It reports whether
// that was the end.
func (m *Machine) callPiece() (changed bool) {
	r := &m.reply
	next, panicked := m.makePiece(r)
	switch {
	case panicked:
		m.breakOff(errPanicked)
		return true
	case !m.appendBody(m.env.piece):
		m.env.fault(&m.conn, "reply is longer than its Content-Length", nil)
		m.breakOff(ErrLength)
		return true
	case next.kind == end:
		m.completeReply(nil)
		return true
	case next.orStop && m.env.stopping && !r.hurried: // the loop's end has come before
		r.hurried = true // once, or one that does not look would spin
	case next.kind == after:
		r.wait, r.waits, r.waiting, r.orStop = next.after, true, true, next.orStop
	}
	return false
}

// makePiece has it made in Env.piece.
func (m *Machine) makePiece(r *replyOut) (next Next, panicked bool) {
	if m.env.piece = m.env.piece[:0]; cap(m.env.piece) > maxPiece {
		m.env.piece = nil
	}
	defer func() {
		if v := recover(); v != nil {
			panicked = true
			m.env.fault(&m.conn, "resumable reply "+r.resumable.name+" panicked", v)
		}
	}()
	return r.resumable.f(&r.piece), false
}

// TakeWait is how long a resumable reply wants to wait. It says so once; the loop
// calls Due when the time has come.
func (m *Machine) TakeWait() (d time.Duration, ok bool) {
	d, ok = m.reply.wait, m.reply.waits
	m.reply.waits = false
	return d, ok
}

// OrStop reports whether a resumable reply waits for its time or the loop's end,
// whichever is first.
func (m *Machine) OrStop() bool { return m.reply.waiting && m.reply.orStop }

// Due says that the time of a resumable reply has come, or the loop's end, if it
// waits for that. To others it is as Continue.
func (m *Machine) Due() {
	m.reply.waiting, m.reply.waits = false, false
	m.Continue()
}
