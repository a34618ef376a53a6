package conn

import (
	"errors"
	"sync"
)

// What else can become of a reply that is made in parts.
var (
	ErrLength    = errors.New("catboat: the reply is not as long as its Content-Length")
	ErrTruncated = errors.New("catboat: a file has become shorter while it was sent")
	ErrInvalid   = errors.New("catboat: no reply can have that status, type or field")
	ErrLate      = errors.New("catboat: the reply did not go on in time")
	errPanicked  = errors.New("catboat: what makes the reply has panicked")
)

// ReplyStream sends a reply's head, and its body as it is written to the Stream: so
// many bytes, or if length is -1 as many as there will be, in chunks; a client of
// HTTP/1.0 is then told the end by the connection's. To HEAD, and with a status that
// has no body, the reply is complete with its head: Write gets ErrReplied at once, Close nil. Otherwise it is like
// [Conn.Reply]; a second reply gets a Stream on which all fails.
func (c *Conn) ReplyStream(status int, contentType string, length int64) *Stream {
	checkLength(status, contentType, length)
	s := &Stream{env: c.m.env, handle: c.who.Handle}
	s.room.L = &s.mu
	switch {
	case !c.mayReply():
		s.finish(ErrReplied)
	case c.beginReply(status, contentType, length):
		c.m.reply.stream = s
	default:
		s.nowhere = true
		s.finish(ErrReplied) // so that who would write for ever ends
	}
	return s
}

func checkLength(status int, contentType string, length int64) {
	checkReply(status, contentType)
	if length < unknown {
		panic("conn: a reply cannot have a negative length (-1 means unknown)")
	}
}

// Stream is a reply's body while it is written: by a goroutine that waits (Write),
// or on the loop (TryWrite). Between the two and the client there are at most 64 KiB
// and Limits.MaxOutput, and then a writer has to wait.
//
// A stream ends with Close, or with Abort; one of them must be called. It fails with
// ErrGone when the connection has ended, with ErrReplied when the reply is
// complete, with ErrLength if it is not as long as was said. Any goroutine may
// call, one at a time; all copy what they are given.
type Stream struct {
	env    *Env
	handle Handle
	left   signal
	spare  []byte // the queue's other array

	mu       sync.Mutex
	room     sync.Cond
	queue    []byte // guarded by mu, like all below
	trailers []byte
	posted   bool // the loop has been told that there is something
	nowhere  bool // it is not to be sent
	closed   bool
	aborted  error
	err      error  // why nothing more is taken
	wake     func() // of TryWrite
}

// Write waits until all of p is taken, and reports how much was. It is for goroutines, and
// panics on the loop's own when it would have to wait.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		more, err := s.put(p[n:])
		if n += more; err != nil || n == len(p) {
			return n, err
		}
		if s.env.here() {
			panic("conn: Stream.Write waits on the loop's goroutine")
		}
		s.room.Wait()
	}
}

// TryWrite takes what there is room for, perhaps nothing, and does not wait. If that
// is not all of p, room, unless it is nil, is called on the loop once there is
// more room; not if the stream ends before (Done tells).
func (s *Stream) TryWrite(p []byte, room func()) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, err = s.put(p); err == nil && n < len(p) {
		s.wake = room
	}
	return n, err
}

// Trailer adds a field to the trailer section, which is sent behind the last chunk,
// and only there: not to HTTP/1.0, nor behind a known length. The Trailer
// field may announce it. What [Conn.SetHeader] panics on is ErrInvalid here, and not sent.
func (s *Stream) Trailer(name, value string) error {
	if !validName(name) || reserved(name) || !validValue(value) {
		return ErrInvalid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailers = append(append(append(append(s.trailers, name...), ": "...), value...), "\r\n"...)
	return nil
}

// Close ends the body. It does not wait for the client to get it: [Conn.AfterReply]
// tells.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nowhere {
		return nil
	}
	if s.err != nil {
		return s.err
	}
	s.closed, s.err = true, ErrReplied
	return s.tell()
}

// Abort breaks the reply off and ends the connection: half a reply never looks
// whole. AfterReply functions get reason, which must not be nil. Behind Close it does
// nothing.
func (s *Stream) Abort(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.aborted, s.err = reason, reason
		s.tell()
	}
}

// Done is closed when the client has left, or has sent FIN and so may have, and
// when the reply is complete. It is a hint, as [Deferred.Done] is.
func (s *Stream) Done() <-chan struct{} { return s.left.channel() }

// Stopping is closed when the loop is about to end: who could go on for ever says
// goodbye then, and closes.
func (s *Stream) Stopping() <-chan struct{} { return s.env.stop.channel() }

// put queues what there is room for.
func (s *Stream) put(p []byte) (n int, err error) {
	switch {
	case s.err != nil:
		return 0, s.err
	}
	if n = min(len(p), maxQueue-len(s.queue)); n == 0 {
		return 0, nil
	}
	s.queue = append(s.queue, p[:n]...)
	return n, s.tell()
}

// tell lets the loop know that there is something, if it does not know.
func (s *Stream) tell() error {
	if s.posted {
		return nil
	}
	s.posted = true
	err := s.env.post(s.handle, func(m *Machine) {
		if m.reply.stream == s {
			m.reply.told = true
			if m.state == Streaming {
				m.Continue()
			}
		}
	})
	if err != nil {
		s.err = err // nobody would ever make room
	}
	return err
}

// finish says why nothing more is taken.
func (s *Stream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake = nil
	s.room.Broadcast()
	s.left.set()
}

// taken is what passStream takes from a Stream at once.
type taken struct {
	p, trailers []byte
	closed      bool
	aborted     error
	wake        func()
}

func (s *Stream) take() taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := taken{s.queue, s.trailers, s.closed, s.aborted, s.wake}
	s.queue, s.spare, s.posted, s.wake = s.spare[:0], s.queue, false, nil
	s.room.Broadcast()
	return t
}

// passStream passes on what was written.
func (m *Machine) passStream() (wait bool) {
	s := m.reply.stream
	if !m.reply.told || m.isFull() {
		return true
	}
	m.reply.told = false
	t := s.take()
	switch {
	case t.aborted != nil:
		m.breakOff(t.aborted)
		return false
	case !m.appendBody(t.p):
		m.env.fault(&m.conn, "reply is longer than its Content-Length", nil)
		m.breakOff(ErrLength)
		return false
	case t.closed:
		m.completeReply(t.trailers)
		return false
	}
	if t.wake != nil && m.guard("function of TryWrite panicked", t.wake) {
		s.Abort(errPanicked)
	}
	return true
}
