package conn

import (
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// menu is what the clients of TestLives send.
var menu = []string{
	get("/hello"), get("/after/1"), headFor("/early", 30) + "012345678901234567890123456789",
	headFor("/await/1", 5) + "hello", headFor("/await/1", 5, "Expect: 100-continue") + "hello",
	headFor("/upload/1", 9) + "uploading", headFor("/upload-slow/1", 9) + "uploading", headFor("/upload-first/1", 5) + "first",
	headFor("/read/1", 5) + "hello", headFor("/copy/1", 9) + "something", headFor("/upload-abort/1", 1) + "x",
	headFor("/early-defer/1", 5) + "hello", headFor("/upload-forgotten", 1) + "x",
	"POST /upload/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n",
	"POST /copy/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: 1\r\n\r\n",
	"POST /await/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"POST /upload/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx",
	"POST /read/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx",
	get("/stream/1"), get("/stream-length/4"), get("/stream-length/8"), get("/stream-whole/abc"), get("/stream-close"), get("/stream-panic/1"),
	"GET /stream/1 HTTP/1.0\r\n\r\n", headFor("/stream/1", 5) + "hello",
	get("/pieces/3"), get("/pieces-after/2"), get("/pieces-or-stop/2"), get("/pieces-length/2/4"), get("/pieces-length/2/5"), get("/pieces/-1"),
	get("/file/3,0,5"), get("/file/a;3,0,10;b;4,1,2;c"), get("/file/3,5,6"), get("/file-twice"), headFor("/file/4,0,6", 5) + "hello",
	get("/inform"), get("/abort/1"), get("/panic"), get("/close"), "?", "\r\n",
}

// life plays what a script says, two bytes a step: what happens, and how much.
func life(t *testing.T, headFirst bool, script []byte) {
	r := newRig(t, Config{HeadFirst: headFirst, NoHint: len(script)%2 == 0, Limits: Limits{MaxOutput: 300}}, nil)
	r.step = -1
	for range 2 { // the second time on a machine that has seen the first
		for i := 0; i+1 < len(script) && r.m.State() != Closed; i += 2 {
			r.live(script[i], int(script[i+1]))
			if r.m.WantsRead() && r.m.isFull() && !r.m.state.answering() && r.m.state != Drain && r.m.state != Linger {
				t.Fatal("reads with the output full")
			}
		}
		r.checkReplies()
		r.m.Abandon(ErrGone)
		r.wantResting()
		for what, n := range r.owed {
			if n != 0 {
				t.Errorf("%s: %d calls are missing", what, n)
			}
		}
		for _, s := range r.streams {
			if _, err := s.Write([]byte("late")); err == nil && !s.nowhere || !isClosed(s.Done()) {
				t.Error("a stream is open behind the end")
			}
		}
		for _, b := range r.bodies {
			if b.err == nil {
				t.Error("a body has no end")
			}
		}
		r.runAllPosted()
		r.accept()
	}
}

func (r *rig) live(what byte, much int) {
	m := r.m
	switch what % 16 {
	case 0, 1, 2:
		r.socket = append(r.socket, menu[much%len(menu)])
	case 3, 4, 5:
		if len(r.socket) > 0 && m.WantsRead() {
			p := r.socket[0]
			n := min(1+much, len(p))
			if r.socket[0] = p[n:]; n == len(p) {
				r.socket = r.socket[1:]
			}
			m.Feed([]byte(p[:n]))
		}
	case 6, 7:
		if m.Pending() > 0 {
			r.wrote(min(1+much, len(r.next())))
		}
	case 8:
		r.runPosted()
	case 9:
		if m.Again() {
			m.Continue()
		}
	case 10:
		m.Due()
	case 11:
		r.liveInParts(much)
	case 12:
		if len(r.deferred) > 0 {
			d := r.deferred[len(r.deferred)-1]
			if much%2 == 0 {
				d.Do(func(c *Conn) { r.stream(c, 200, unknown) })
			} else {
				d.Reply(200, "text/plain", []byte("late"))
			}
		}
	case 13:
		m.Leaving()
	case 14:
		if much%4 == 0 && m.WantsRead() && len(r.socket) == 0 {
			m.EOF()
		}
	case 15:
		if much%4 == 0 && m.Class() != ForWrite {
			m.Expire()
		} else if much%64 == 1 {
			m.Abandon(errReset)
		}
	}
}

func (r *rig) liveInParts(much int) {
	if n := len(r.streams); n > 0 {
		switch s := r.streams[n-1]; much % 5 {
		case 0, 1:
			s.TryWrite([]byte("late"), func() { r.say("room") })
		case 2:
			s.TryWrite(make([]byte, 2*maxQueue), nil)
		case 3:
			s.Close()
		case 4:
			if much%25 == 4 {
				s.Abort(errAborted)
			}
		}
	}
	if n := len(r.bodies); n > 0 {
		if b := r.bodies[n-1]; b.each != nil {
			b.Resume()
		} else if !b.isEmpty() {
			b.Read(make([]byte, 1+much))
		}
	}
}

// checkReplies checks that what was written is replies, of which only the last may
// be broken off.
func (r *rig) checkReplies() {
	b := newReader(string(r.out))
	for {
		if _, err := b.Peek(1); err == io.EOF {
			return
		}
		res, err := http.ReadResponse(b, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		if err == nil {
			continue
		}
		if rest, _ := io.ReadAll(b); strings.Contains(string(rest), "HTTP/1.1") {
			r.t.Fatalf("%v in %q", err, r.out)
		}
		return
	}
}

// Whatever happens in whatever order, who is owed a call gets it, once, nothing
// is kept, and the client gets replies.
func TestLives(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 2*(20+random.IntN(150)))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		if life(t, seed%3 > 0, script); t.Failed() {
			t.Fatalf("seed %d: %v", seed, script)
		}
	}
}

func FuzzLives(f *testing.F) {
	for i := range menu {
		feed := []byte{0, byte(i), 3, 255, 3, 255, 8, 0, 11, 0, 8, 0, 11, 3, 8, 0, 10, 0, 6, 255, 6, 255}
		f.Add(true, feed)
		f.Add(false, slices.Repeat(feed, 2))
	}
	f.Fuzz(life)
}

// A goroutine that reads a body and writes a reply has its end, whenever and
// however the connection ends.
func TestNoGoroutineIsLeftWaiting(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		r := newRig(t, Config{HeadFirst: true, Limits: Limits{MaxOutput: 1000}}, nil)
		var over <-chan struct{}
		r.env.SetHandler(func(c *Conn) {
			r.noteAfter(c, "it")
			b, s := c.StreamBody(), c.ReplyStream(200, "", unknown)
			over = background(func() {
				if _, err := io.Copy(s, b); err != nil {
					s.Abort(err)
				} else {
					s.Close()
				}
			})
		})
		r.step = -1
		r.send(chunkedHead)
		for range random.IntN(200) {
			r.runPosted()
			if r.m.WantsRead() {
				r.m.Feed([]byte("2000\r\n" + strings.Repeat("x", 0x2000) + "\r\n"))
			}
			r.wrote(random.IntN(1 + len(r.m.Output())))
			if r.m.Again() {
				r.m.Continue()
			}
		}
		switch end := random.IntN(5); {
		case end == 0 && r.m.WantsRead():
			r.m.EOF()
		case end == 1 && r.m.WantsRead():
			r.m.Feed([]byte("x"))
		case end == 2 && r.m.Class() != ForWrite:
			r.m.Expire()
		case end == 3 && r.m.WantsRead():
			r.m.Feed([]byte("0\r\n\r\n"))
		default:
			r.m.Abandon(ErrGone)
		}
		r.step = 0
		r.pump()
		r.await("the goroutine", over)
		r.runAllPosted()
		if r.m.State() == Streaming {
			t.Errorf("seed %d: the reply has no end", seed)
		}
		if log := r.takeLog(); len(log) != 1 {
			t.Errorf("seed %d: %q", seed, log)
		}
		r.m.Abandon(ErrGone)
		r.wantNothingKept()
	}
}
