package conn

import (
	"errors"
	"strconv"
	"time"

	"catboat/httpparse"
	"catboat/internal/wire"
)

// ErrCarried is what AfterReply functions get whose reply goes on in another image
// of the program: a function cannot go with it.
var ErrCarried = errors.New("catboat: the reply goes on in the program's successor")

// Tie is what keeps a connection from being carried into another image of the
// program: something that lives in this one.
type Tie uint8

// The ties, from what is none.
const (
	Free       Tie = iota // it can be carried
	ToDeferred            // a goroutine, or a function, has yet to reply
	ToStream              // a Stream is not closed
	ToBody                // a Body is not read to its end
	ToUnnamed             // a resumable reply is not among Config.Resumables, so nobody would know its name
)

// String names what holds the connection.
func (t Tie) String() string {
	return [...]string{"nothing", "a deferred reply", "a stream", "a streamed body", "a resumable reply without a name"}[t]
}

// Tie is what keeps the connection here.
func (m *Machine) Tie() Tie {
	switch {
	case m.body.stream != nil:
		return ToBody
	case m.state == Pending:
		return ToDeferred
	case m.reply.stream != nil:
		return ToStream
	case m.reply.resumable != nil && m.env.resumables[m.reply.resumable.name] == nil:
		return ToUnnamed
	}
	return Free
}

// Rest writes down all that a connection whose Tie is Free needs to go on elsewhere,
// for [Machine.Adopt]: its state, the bytes that have come and those that are to be
// written, ranges of files with the descriptors that have them. remaining is how long
// a resumable reply has still to wait. Between turns only.
func (m *Machine) Rest(w *wire.Writer, remaining time.Duration) {
	w.Uint(uint64(m.state))
	for _, t := range [...]bool{m.last, m.clientLast, m.eof, m.reset} {
		w.Bool(t)
	}
	w.Uint(uint64(m.lingered))
	w.Int(m.env.now - m.began)
	m.restInput(w)
	m.out.rest(w)
	m.restReply(w, remaining)
}

// restInput writes the request that the connection is at, and what is unread.
func (m *Machine) restInput(w *wire.Writer) {
	raw, data := m.conn.req.raw, []byte(nil)
	switch m.state {
	case InBody:
		if raw == nil {
			raw = m.in.b[m.start:m.body.start]
		}
		data = m.in.b[m.body.start:m.body.end]
	case InHead:
		m.next = m.start // it is parsed anew
	}
	w.Bytes(raw)
	w.Bytes(data)
	w.Bytes(m.in.b[m.next:])
	b := &m.body
	w.Int(b.left)
	w.Bool(b.done)
	w.Bool(b.asked)
	w.Bytes(b.chunked.AppendTo(nil))
}

// rest writes what waits to be written.
func (o *output) rest(w *wire.Writer) {
	w.Bytes(o.b[o.sent:])
	w.Uint(uint64(len(o.files)))
	for i := range o.files {
		f := &o.files[i]
		w.Uint(uint64(f.at - o.sent))
		w.Uint(uint64(f.FD))
		w.Uint(uint64(f.Offset))
		w.Uint(uint64(f.Length))
	}
}

// restReply writes what a resumable reply is at.
func (m *Machine) restReply(w *wire.Writer, remaining time.Duration) {
	r := &m.reply
	w.Bool(r.resumable != nil)
	if r.resumable == nil {
		return
	}
	w.String(r.resumable.name)
	w.Bytes(r.piece.state)
	w.Bool(r.chunked)
	w.Int(r.left)
	w.Bool(r.waiting)
	w.Bool(r.orStop)
	w.Int(int64(remaining))
	w.Uint(uint64(m.conn.status))
}

// Leave says that the connection goes on elsewhere: AfterReply functions get
// ErrCarried. The machine is as good as Closed.
func (m *Machine) Leave() { m.failHooks(len(m.hooks), ErrCarried) }

// Resumes is the name of the resumable reply that the connection is at, if it is at one.
func (m *Machine) Resumes() (name string, ok bool) {
	if m.reply.resumable == nil {
		return "", false
	}
	return m.reply.resumable.name, true
}

// GiveUp answers 503 to a request whose reply has no head yet, as the last, and reports
// whether there was one.
func (m *Machine) GiveUp() bool {
	switch {
	case m.state == InHead, m.state == InBody:
		m.refuse(503)
	case m.state == Pending && m.conn.claim():
		m.last = true
		m.conn.answer(503)
		m.finish()
	default:
		return false
	}
	return true
}

// Files is the descriptors of the files that wait to be sent, each as often as it is
// needed.
func (m *Machine) Files() (fds []int) {
	for i := range m.out.files {
		fds = append(fds, m.out.files[i].FD)
	}
	return fds
}

// Adopt makes a machine go on where another has stopped that was written down with
// Rest. number is what the descriptors of files are called here, nil if as they were; done is called for the descriptor of each file when it is not needed any more.
// An error says that the bytes are not those of a connection, or that a resumable
// reply is not known here: then the machine is not to be used.
func (m *Machine) Adopt(who Identity, r *wire.Reader, number map[int]int, done func(fd int)) error {
	state := State(r.Uint())
	if state >= states || state == Ready || state == Pending || state == Closed {
		return errNotCarried
	}
	m.Begin(state, who)
	for _, t := range [...]*bool{&m.last, &m.clientLast, &m.eof, &m.reset} {
		*t = r.Bool()
	}
	m.lingered = int(min(r.Uint(), maxLinger))
	m.began = m.env.now - max(0, r.Int())
	if err := m.adoptInput(r); err != nil {
		return err
	}
	if err := m.out.adopt(r, &m.env.buffers, number, done); err != nil {
		return err
	}
	if err := m.adoptReply(r); err != nil {
		return err
	}
	if r.Err() != nil {
		return r.Err()
	}
	return nil
}

// Rename gives the connection of a machine that was adopted another identity.
func (m *Machine) Rename(who Identity) {
	m.conn.who = who
	m.conn.req.peer = who.Peer
}

func (m *Machine) adoptInput(r *wire.Reader) error {
	raw, data, unread := r.Bytes(), r.Bytes(), r.Bytes()
	m.body = bodyIn{left: r.Int(), done: r.Bool(), asked: r.Bool()}
	if !m.body.chunked.Restore(r.Bytes()) || r.Err() != nil || m.body.left < -1 {
		return errNotCarried
	}
	for _, p := range [...][]byte{raw, data, unread} {
		m.in.add(p, &m.env.buffers)
	}
	m.start = 0
	m.body.start = len(raw)
	m.body.end = m.body.start + len(data)
	m.next = m.body.end
	if needsHead := m.state == InBody || m.state == Streaming; needsHead != (len(raw) > 0) {
		return errNotCarried
	}
	if len(raw) == 0 {
		return nil
	}
	limits := &m.env.limits
	n, bad := m.conn.req.head.Parse(m.in.b[:len(raw)], httpparse.Limits{Bytes: limits.MaxHead, Fields: limits.MaxFields})
	if bad != nil || n != len(raw) {
		return errNotCarried
	}
	switch {
	case m.state == Streaming:
		m.conn.req.begin(m.in.b[:n:n])
	case m.env.headFirst: // it has replied to nothing yet
		m.recall = true
	}
	return nil
}

func (o *output) adopt(r *wire.Reader, pool *pool, number map[int]int, done func(fd int)) error {
	o.add(r.Bytes(), pool)
	at := 0
	for range r.Count() {
		f := fileOut{at: int(r.Uint())}
		f.FileRange = FileRange{FD: int(r.Uint()), Offset: int64(r.Uint()), Length: int64(r.Uint())}
		if r.Err() != nil || f.at < at || f.at > len(o.b) || f.FD < 0 || f.Offset < 0 || f.Length <= 0 || f.Offset+f.Length < 0 {
			return errNotCarried
		}
		if number != nil {
			fd, ok := number[f.FD]
			if !ok {
				return errNotCarried
			}
			f.FD = fd
		}
		at = f.at
		f.done = func() { done(f.FD) }
		o.files = append(o.files, f)
		o.inFile += f.Length
	}
	return nil
}

func (m *Machine) adoptReply(r *wire.Reader) error {
	if has := r.Bool(); has != (m.state == Streaming) {
		return errNotCarried
	}
	if m.state != Streaming {
		return nil
	}
	name, state := r.String(), r.Bytes()
	known := m.env.resumables[name]
	if known == nil {
		return errors.New("conn: resumable reply " + strconv.Quote(name) + " is not known here (Options.Resumables)")
	}
	reply := replyOut{begun: true, resumable: known, chunked: r.Bool(), left: r.Int(), waiting: r.Bool(), orStop: r.Bool()}
	reply.wait = max(0, time.Duration(r.Int()))
	reply.waits = reply.waiting
	reply.piece = Piece{env: m.env, state: append([]byte(nil), state...)}
	m.conn.status = int(r.Uint())
	if len(state) > maxState || reply.left < unknown || m.conn.status < 200 || m.conn.status > 599 {
		return errNotCarried
	}
	m.reply = reply
	return nil
}

var errNotCarried = errors.New("conn: what was carried is not a connection")
