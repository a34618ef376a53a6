package conn

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// decoded reads a reply as net/http does.
func decoded(t *testing.T, out string) (body string, res *http.Response) {
	t.Helper()
	res, err := http.ReadResponse(newReader(out), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b), res
}

// A goroutine that writes more than there is room for waits, and all of it comes.
func TestGoroutineWritesAStream(t *testing.T) {
	text := strings.Repeat("0123456789", 100_000)
	for _, size := range []int{1, 3000, maxQueue, maxQueue + 1, len(text)} {
		text := text[:min(len(text), 1000*size)]
		r := started(t, nil, get("/stream/1")+get("/hello"))
		s := r.streams[0]
		r.await("the stream", background(func() {
			for rest := text; len(rest) > 0; {
				n, err := s.Write([]byte(rest[:min(size, len(rest))]))
				if err != nil || n != min(size, len(rest)) {
					t.Errorf("wrote %d of %d: %v", n, size, err)
					return
				}
				rest = rest[n:]
			}
			s.Trailer("Sum", "1")
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}))
		out := r.takeOut()
		streamed, found := strings.CutSuffix(out, ok("hello\n"))
		if got, res := decoded(t, streamed); !found || got != text || res.Trailer.Get("Sum") != "1" {
			t.Errorf("%d bytes of %d, the next reply %v, trailers %v", len(got), len(text), found, res.Trailer)
		}
		r.wantLog("after 1: 200 <nil>")
		r.wantResting()
	}
}

// What waits for a client that does not read is bounded.
func TestStreamToASlowClientIsBounded(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{MaxOutput: 1000}}, nil)
	r.step = -1
	r.send(get("/stream/1"))
	s, taken, rooms := r.streams[0], 0, 0
	for {
		n, err := s.TryWrite(make([]byte, 10_000), func() { rooms++ })
		r.runAllPosted()
		if taken += n; err != nil {
			t.Fatal(err)
		} else if n == 0 {
			break
		}
	}
	if taken < maxQueue || taken > 2*maxQueue+1000 {
		t.Errorf("%d bytes are taken", taken)
	}
	before := rooms
	if r.m.Again() || int(r.m.Pending())+len(s.queue) < taken {
		t.Error("goes on above the mark, or has lost something")
	}
	r.wrote(int(r.m.Pending()) - 1000)
	if rooms != before || !r.m.Again() {
		t.Error("does not go on at the mark")
	}
	if r.m.Continue(); rooms != before+1 {
		t.Errorf("%d calls where room was waited for, want 1", rooms-before)
	}
	s.Close()
	r.step = 0
	r.pump()
	r.runAllPosted()
	if got, _ := decoded(t, r.takeOut()); len(got) != taken {
		t.Errorf("%d bytes of %d", len(got), taken)
	}
}

// A goroutine that waits for room is told when there will be none.
func TestWriterThatWaitsIsToldOfTheEnd(t *testing.T) {
	for _, row := range []struct {
		about string
		end   func(r *rig)
		want  error
	}{
		{"reset", func(r *rig) { r.m.Abandon(ErrGone) }, ErrGone},
		{"longer than its length", func(r *rig) { r.step = 0; r.pump(); r.runAllPosted() }, ErrLength},
	} {
		r := newRig(t, Config{Limits: Limits{MaxOutput: 1}}, nil)
		r.step = -1
		r.send(get("/stream-length/10"))
		s := r.streams[0]
		full := make(chan struct{})
		done := background(func() {
			if n, err := s.Write(make([]byte, maxQueue)); n != maxQueue || err != nil {
				t.Error(n, err)
			}
			close(full)
			n, err := s.Write(make([]byte, 5*maxQueue))
			if n >= 5*maxQueue || !errors.Is(err, row.want) {
				t.Errorf("%s: %d, %v", row.about, n, err)
			}
			if _, err := s.Write([]byte("x")); !errors.Is(err, row.want) {
				t.Errorf("%s, then: %v", row.about, err)
			}
			<-s.Done()
		})
		<-full
		row.end(r)
		r.await("Write", done)
	}
}

func TestWriteThatWouldWaitOnTheLoopPanics(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.env.SetHandler(func(c *Conn) {
		r.noteAfter(c, "it")
		s := c.ReplyStream(200, "", unknown)
		if n, err := s.Write(make([]byte, maxQueue)); n != maxQueue || err != nil {
			t.Error(n, err)
		}
		s.Write([]byte("x"))
	})
	r.send(get("/"))
	r.runAllPosted()
	r.wantLog("fault: handler panicked: conn: Stream.Write waits on the loop's goroutine", "after it: 200 "+errPanicked.Error())
}

func TestEmptyWriteWaitsForNothing(t *testing.T) {
	r := started(t, nil, get("/stream/1"))
	s := r.streams[0]
	s.TryWrite(make([]byte, maxQueue), nil)
	if n, err := s.Write(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	s.Close()
	r.runAllPosted()
	n, err := s.Write(nil)
	wantError(t, "behind Close", err, ErrReplied)
	if n != 0 {
		t.Error(n)
	}
}

func TestStreamCopiesWhatItIsGiven(t *testing.T) {
	r := started(t, nil, get("/stream-length/6"))
	s := r.streams[0]
	p := []byte("abc")
	s.Write(p)
	copy(p, "def")
	s.TryWrite(p, nil)
	copy(p, "ghi")
	s.Close()
	r.runAllPosted()
	if got, _ := decoded(t, r.takeOut()); got != "abcdef" {
		t.Error(got)
	}
}

// Trailers cannot split a reply.
func TestTrailerThatIsNotTakenIsAnError(t *testing.T) {
	r := started(t, nil, get("/stream/1"))
	for _, row := range [][2]string{{"", "1"}, {"A b", "1"}, {"A", "1\r\nB: 2"}, {"Content-Length", "1"}, {"transfer-encoding", "x"}} {
		if err := r.streams[0].Trailer(row[0], row[1]); err != ErrInvalid {
			t.Errorf("%q: %v", row, err)
		}
	}
	r.takeOut()
	r.happen("close")
	r.wantOut("0\r\n\r\n")
}

func TestAbortWithoutAReasonPanics(t *testing.T) {
	r := started(t, func(c *Conn) { c.Abort(nil) }, get("/"))
	r.wantLog("fault: handler panicked: conn: Abort outside of a request, or without a reason")
	r.wantOut(page("500 Internal Server Error"))
	var kept *Conn
	started(t, func(c *Conn) { kept = c; hello(c) }, get("/"))
	if !panics(func() { kept.Abort(errAborted) }) {
		t.Error("no panic outside of a request")
	}
}

func TestBadReplyInPartsIs500(t *testing.T) {
	resumable := NewResumable("x", func(*Piece) Next { return End() })
	for _, row := range []struct {
		do  func(c *Conn)
		why string
	}{
		{func(c *Conn) { c.ReplyStream(200, "", -2) }, "a reply cannot have a negative length (-1 means unknown)"},
		{func(c *Conn) { c.ReplyStream(199, "", 1) }, "status 199 is not from 200 to 599"},
		{func(c *Conn) { c.ReplyStream(200, "a\r\nb", 1) }, `control character in content type "a\r\nb"`},
		{func(c *Conn) { c.ReplyResumable(200, "", -2, resumable, nil) }, "a reply cannot have a negative length (-1 means unknown)"},
		{func(c *Conn) { c.ReplyResumable(200, "", 1, resumable, make([]byte, maxState+1)) }, "the state of a resumable reply has more than 4 KiB"},
		{func(c *Conn) { c.Inform(99) }, "status 99 is not that of an interim reply"},
		{func(c *Conn) { c.Inform(101) }, "status 101 is not that of an interim reply"},
		{func(c *Conn) { c.Inform(200) }, "status 200 is not that of an interim reply"},
		{func(c *Conn) { hello(c); c.Inform(103) }, "Inform outside of a request, or behind its reply"},
	} {
		r := started(t, row.do, get("/"))
		r.wantLog("fault: handler panicked: conn: " + row.why)
		if got := r.takeOut(); got != page("500 Internal Server Error") && got != ok("hello\n") {
			t.Error(got)
		}
		r.wantResting()
	}
}

// Late and second replies of each kind are faults, and are not sent.
func TestReplyInPartsAtAWrongTime(t *testing.T) {
	var kept *Conn
	resumable := NewResumable("x", func(*Piece) Next { t.Error("called"); return End() })
	do := []func(c *Conn){
		func(c *Conn) {
			s := c.ReplyStream(200, "", unknown)
			_, err := s.TryWrite([]byte("x"), nil)
			wantError(t, "TryWrite", err, ErrReplied)
			wantError(t, "Close", s.Close(), ErrReplied)
			s.Abort(errAborted)
			if !isClosed(s.Done()) {
				t.Error("Done is open")
			}
		},
		func(c *Conn) { c.ReplyResumable(200, "", unknown, resumable, nil) },
		func(c *Conn) { c.ReplyFile(200, "", FilePart{FD: 99, Length: 1}) },
	}
	for _, f := range do {
		r := started(t, func(c *Conn) { kept = c; hello(c); f(c) }, get("/"))
		r.wantLog("fault: second reply to a request")
		r.wantOut(ok("hello\n"))
		r.wantResting()
		f(kept)
		r.wantLog("fault: reply outside of a request")
		r.runAllPosted()
		r.wantOut("")
		r.wantResting()
	}
}

// Deferred.Do reaches every kind of reply.
func TestDeferredReplyInParts(t *testing.T) {
	for _, row := range []struct {
		do   func(r *rig, c *Conn)
		want string
	}{
		{func(r *rig, c *Conn) { c.ReplyFile(200, "text/plain", r.parts("3,0,5")...) }, ok("01234")},
		{func(r *rig, c *Conn) { c.ReplyResumable(200, "text/plain", 4, r.pieces(Again()), []byte("2")) }, ok("2\n1\n")},
		{func(r *rig, c *Conn) {
			s := c.ReplyStream(200, "text/plain", 3)
			s.TryWrite([]byte("abc"), nil)
			s.Close()
		}, ok("abc")},
		{func(r *rig, c *Conn) { c.Inform(103); hello(c) }, "HTTP/1.1 103 Early Hints\r\n\r\n" + ok("hello\n")},
		{func(r *rig, c *Conn) { c.AfterReply(func(*Conn, error) {}); hello(c) }, ok("hello\n")},
	} {
		r := started(t, nil, get("/early-defer/1")+get("/hello"))
		d := r.deferred[0]
		wantError(t, "Do", d.Do(func(c *Conn) { row.do(r, c) }), nil)
		r.runAllPosted()
		r.wantOut(row.want + ok("hello\n"))
		r.wantResting()
		wantError(t, "a late Do", d.Do(hello), ErrReplied)
	}
}

func TestAbortInDo(t *testing.T) {
	r := started(t, nil, get("/hello")+get("/early-defer/1")+get("/hello"))
	d := r.deferred[0]
	wantError(t, "Do", d.Do(func(c *Conn) { c.Abort(errAborted) }), nil)
	r.runAllPosted()
	r.wantOut(ok("hello\n"))
	r.wantLog("after 1: 0 aborted")
	r.wantState(Linger)
	if err := d.Reply(200, "", nil); err == nil {
		t.Error("a late reply is taken")
	}
}

// A whole reply stands; the connection ends behind it.
func TestAbortBehindAReply(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.env.SetHandler(func(c *Conn) {
		r.noteAfter(c, "it")
		hello(c)
		c.Abort(errAborted)
	})
	r.send(get("/") + get("/"))
	r.wantOut(ok("hello\n"))
	r.wantLog("after it: 200 <nil>")
	r.wantState(Linger)
}

// A body goes out as it comes in, by a goroutine or on the loop, and neither side
// runs away from the other.
func TestEcho(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 40_000)
	for _, way := range []string{"/copy/1", "/goroutine"} {
		r := newRig(t, Config{HeadFirst: true, Limits: Limits{MaxOutput: 1000}}, nil)
		ended := make(chan struct{})
		r.env.SetHandler(func(c *Conn) {
			if way == "/copy/1" {
				close(ended)
				r.handler(c)
				return
			}
			b, s := c.StreamBody(), c.ReplyStream(200, "text/plain", c.Request().ContentLength())
			go func() {
				defer close(ended)
				if n, err := io.Copy(s, b); n != int64(len(body)) || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
				s.Close()
			}()
		})
		r.step = -1
		r.send(headFor(way, len(body)))
		sent := 0
		for !isClosed(ended) || r.m.State() == Streaming {
			r.runAllPosted()
			if r.m.WantsRead() && sent < len(body) {
				n := min(5000, len(body)-sent)
				r.m.Feed([]byte(body[sent : sent+n]))
				sent += n
			}
			if ahead := sent - len(r.out); ahead > 4*maxQueue {
				t.Fatalf("%d bytes are held", ahead)
			}
			r.wrote(min(3000, len(r.m.Output())))
			if r.m.Again() {
				r.m.Continue()
			}
		}
		r.step = 0
		r.pump()
		if got, _ := decoded(t, r.takeOut()); got != body {
			t.Errorf("%s: %d bytes of %d", way, len(got), len(body))
		}
		r.wantResting()
	}
}

// With the output full, nothing is taken of a body that is echoed.
func TestEchoToAClientThatDoesNotRead(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true, Limits: Limits{MaxOutput: 1000}}, nil)
	r.step = -1
	r.send(headFor("/copy/1", 100*maxQueue))
	sent := 0
	for r.m.WantsRead() {
		r.m.Feed(bytes.Repeat([]byte("x"), 5000))
		r.runAllPosted()
		sent += 5000
	}
	if sent > 4*maxQueue {
		t.Errorf("%d bytes are taken", sent)
	}
	if got := r.m.Class(); got != ForWrite {
		t.Errorf("waits for %v", got)
	}
	r.m.Abandon(ErrGone)
	r.wantLog("after 1: 200 " + ErrGone.Error())
	r.wantNothingKept()
}

func TestStreamIsToldThatTheLoopEnds(t *testing.T) {
	r := started(t, nil, get("/stream/1"))
	s := r.streams[0]
	if isClosed(s.Stopping()) {
		t.Error("before it does")
	}
	r.env.Stop()
	if !isClosed(s.Stopping()) {
		t.Error("it is not")
	}
	r.happen("close")
	r.wantLog("after 1: 200 <nil>")
}
