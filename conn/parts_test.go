package conn

import (
	"strings"
	"testing"
)

// started is a rig with one request on it for h, called at the head.
func started(t *testing.T, h Handler, in ...string) *rig {
	t.Helper()
	r := newRig(t, Config{HeadFirst: true}, h)
	r.send(in...)
	r.runAllPosted()
	return r
}

const chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// A reply may end when all of it has been written long ago.
func TestReplyThatEndsWithoutAByteIsOver(t *testing.T) {
	for _, row := range []struct {
		in     string
		length int64
		after  State
	}{
		{get("/"), 3, Idle},
		{"GET / HTTP/1.0\r\n\r\n", unknown, Linger},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 3, Idle},
		{"GET / HTTP/1.0\r\n\r\n", 3, Linger},
	} {
		var s *Stream
		r := newRig(t, Config{}, nil)
		r.env.SetHandler(func(c *Conn) {
			r.noteAfter(c, "it")
			s = c.ReplyStream(200, "", row.length)
		})
		r.send(row.in)
		s.Write([]byte("abc"))
		r.runAllPosted()
		r.wantLog()
		s.Close()
		r.runAllPosted()
		r.wantLog("after it: 200 <nil>")
		r.wantState(row.after)
	}
}

// Whoever has asked for the body before it is refused is told of its end, and
// the functions of AfterReply of what the client was told.
func TestAfterReplyOfARefusedBody(t *testing.T) {
	for _, path := range []string{"/await/1", "/upload/1", "/read/1"} {
		for _, row := range []struct {
			about string
			end   func(r *rig)
			want  string
		}{
			{"bad framing", func(r *rig) { r.send("x") }, "after 1: 400 <nil>"},
			{"FIN", func(r *rig) { r.sendFIN() }, "after 1: 400 <nil>"},
			{"deadline", func(r *rig) { r.m.Expire(); r.pump() }, "after 1: 408 <nil>"},
			{"reset", func(r *rig) { r.m.Abandon(errReset) }, "after 1: 0 reset by the client"},
		} {
			r := started(t, nil, strings.Replace(chunkedHead, "/", path, 1))
			row.end(r)
			if log := r.takeLog(); len(log) == 0 || log[len(log)-1] != row.want {
				t.Errorf("%s, %s: %q, want %q", path, row.about, log, row.want)
			}
		}
	}
}

// A trailer section that comes in pieces is waited for.
func TestTrailersInPiecesEndAStreamedBody(t *testing.T) {
	r := started(t, nil, strings.Replace(chunkedHead, "/", "/upload", 1), "1\r\na\r\n0\r\nT", ": x\r", "\n", "\r", "\n")
	r.wantOut(ok(`/upload "a" "x"`))
}

// What a reader leaves in the queue does not make it grow without end.
func TestBodyThatIsNeverReadToTheEndTakesNoMemory(t *testing.T) {
	r := started(t, nil, "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	b := r.bodies[0]
	piece := strings.Repeat("x", 16<<10)
	p := make([]byte, len(piece))
	r.send(piece)
	for range 1000 {
		r.send(piece)
		b.Read(p)
		r.runAllPosted()
	}
	if got := cap(b.queue); got > 4*maxQueue {
		t.Errorf("%d bytes", got)
	}
}

func TestDeferBehindAwaitBodyPanics(t *testing.T) {
	r := started(t, func(c *Conn) {
		c.AwaitBody(hello)
		c.Defer()
	}, head100, strings.Repeat("x", 100))
	r.wantLog("fault: handler panicked: conn: Defer outside of a request, or behind its reply or AwaitBody")
	r.wantOut(page("500 Internal Server Error"))
}

// A stream that nobody may close any more is cut.
func TestPanicBehindReplyStreamCutsIt(t *testing.T) {
	for _, row := range []struct {
		path  string
		log   []string
		after State
	}{
		{"/stream-panic/1", []string{"fault: handler panicked: oops", "after 1: 200 " + errPanicked.Error()}, Linger},
		{"/stream-panic-late/1", []string{"fault: handler panicked: oops", "after 1: 200 <nil>"}, Idle},
	} {
		r := started(t, nil, get(row.path))
		r.wantLog(row.log...)
		r.wantState(row.after)
	}
}

func TestPanicOfAFunctionThatWaitsForRoomCutsTheStream(t *testing.T) {
	r := started(t, nil, get("/stream/1"))
	r.streams[0].TryWrite([]byte(strings.Repeat("x", maxQueue+1)), func() { panic("oops") })
	r.runAllPosted()
	r.wantLog("fault: function of TryWrite panicked: oops", "after 1: 200 "+errPanicked.Error())
	r.wantState(Linger)
}

func TestEachThatEndsWithoutAReplyIs500(t *testing.T) {
	r := started(t, nil, "POST /upload-forgotten HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "x")
	r.wantLog("fault: handler returned without a reply")
	r.wantOut(page("500 Internal Server Error"))
	r.wantState(Idle)
}

func TestStatusOfAReplyThatIsBrokenOff(t *testing.T) {
	r := started(t, nil, get("/stream/1"))
	r.m.Abandon(errReset)
	r.wantLog("after 1: 200 reset by the client")
}

func TestStreamOfALoopThatHasEnded(t *testing.T) {
	r := started(t, nil, get("/stream/1"))
	r.env.post = func(Handle, func(*Machine)) error { return ErrStopped }
	s := r.streams[0]
	for range 3 {
		_, err := s.Write(make([]byte, maxQueue+1))
		wantError(t, "Write", err, ErrStopped)
	}
	wantError(t, "Close", s.Close(), ErrStopped)
}

// FIN in the middle of the body is a hint as good as any.
func TestDoneOfAStreamWhoseBodyIsBrokenOff(t *testing.T) {
	for _, noHint := range []bool{false, true} {
		r := newRig(t, Config{HeadFirst: true, NoHint: noHint}, nil)
		r.env.SetHandler(func(c *Conn) {
			c.StreamBody().Each(func(_ *Conn, p []byte, _ error) int { return len(p) })
			r.stream(c, 200, unknown)
		})
		r.send(head100)
		r.sendFIN()
		if got := isClosed(r.streams[0].Done()); got == noHint {
			t.Errorf("no hint %v: Done is closed %v", noHint, got)
		}
	}
}

// What a review found.

func TestAProducerForHEADIsToldAtOnce(t *testing.T) {
	var s *Stream
	r := newRig(t, Config{}, func(c *Conn) { s = c.ReplyStream(200, "text/event-stream", -1) })
	r.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
	if n, err := s.Write([]byte("x")); n != 0 || err != ErrReplied {
		t.Errorf("%d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatNoReplyCanHaveIsAnErrorForAGoroutine(t *testing.T) {
	var d Deferred
	r := newRig(t, Config{}, func(c *Conn) { d = c.Defer() })
	r.send(get("/"))
	for _, row := range []struct {
		status      int
		contentType string
	}{{999, ""}, {199, ""}, {200, "a\r\nb: c"}} {
		if err := d.Reply(row.status, row.contentType, nil); err != ErrInvalid {
			t.Errorf("%d, %q: %v", row.status, row.contentType, err)
		}
	}
	if err := d.Reply(200, "text/plain", []byte("ok")); err != nil {
		t.Errorf("a right one behind them: %v", err)
	}
	r.runPosted()
	r.wantOut(ok("ok"))
}

func TestASlowRestThatNobodyWantsEndsWithFIN(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, func(c *Conn) { c.Error(404) })
	r.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\nabc")
	r.wantState(Drain)
	r.m.Expire()
	r.wantState(Linger)
}

func TestAWaitThatBeginsWhenTheLoopEndsIsNone(t *testing.T) {
	n := 0
	hello := NewResumable("x", func(p *Piece) Next {
		if n++; n > 1 && p.Stopping() {
			return End()
		}
		p.WriteString("hello")
		return After(1 << 40).OrStop()
	})
	r := newRig(t, Config{}, func(c *Conn) { c.ReplyResumable(200, "", -1, hello, nil) })
	r.env.Stop()
	r.send(get("/"))
	r.wantState(Idle)
}

func TestResumeWithinEachIsNotLost(t *testing.T) {
	got := ""
	r := newRig(t, Config{HeadFirst: true}, func(c *Conn) {
		b := c.StreamBody()
		b.Each(func(c *Conn, p []byte, err error) int {
			if err != nil {
				c.Reply(200, "text/plain", []byte(got))
				return 0
			}
			got += string(p[:1])
			b.Resume()
			return 1
		})
	})
	r.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	for range 5 {
		r.runPosted()
	}
	r.wantOut(ok("abc"))
}
