package conn

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// headFor is the head of a request with a body of n bytes.
func headFor(path string, n int, fields ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n", path, n, strings.Join(append(fields, ""), "\r\n"))
}

// What a handler has seen at the head stays as it was while the body comes, however
// large the one and small the pieces of the other.
func TestViewsOfTheHeadStayWhileTheBodyComes(t *testing.T) {
	for _, length := range []int{10, 1000, keptBuffer - 100, 10_000} {
		for _, size := range []int{1, 7, 1000, 1 << 20} {
			for _, body := range []string{
				"Content-Length: 3000\r\n\r\n" + strings.Repeat("xyz", 1000),
				"Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("3\r\nxyz\r\n", 1000) + "0\r\nT: trailer\r\nt: two\r\n\r\n",
			} {
				for _, way := range []string{"/await", "/upload", "/read"} {
					long := strings.Repeat("v", length)
					in := "POST /%61" + way + "?q HTTP/1.1\r\nHost: HOST\r\nX: " + long + "\r\nY: 1\r\nY: 2\r\n" + body
					testViewsStay(t, way, in, size, long)
				}
			}
		}
	}
}

func testViewsStay(t *testing.T, way, in string, size int, long string) {
	t.Helper()
	var views []View
	check := func(c *Conn, body View) {
		t.Helper()
		trailer := ""
		if c.Request().ContentLength() < 0 {
			trailer = "trailer, two"
		}
		q := c.Request()
		want := []string{"/a" + way, "q", "host", long, "1, 2"}
		for i, again := range []View{q.Path(), q.Query(), q.Host(), q.Header("x"), q.Header("y")} {
			if string(views[i]) != want[i] || string(again) != want[i] {
				t.Errorf("%s, %d bytes at once: %.40q, now %.40q, want %.40q", way, size, views[i], again, want[i])
			}
		}
		if string(body) != strings.Repeat("xyz", 1000) || string(q.Trailer("t")) != trailer {
			t.Errorf("%s, %d bytes at once: body of %d, trailer %q", way, size, len(body), q.Trailer("t"))
		}
		hello(c)
	}
	r := newRig(t, Config{HeadFirst: true}, func(c *Conn) {
		q := c.Request()
		views = []View{q.Path(), q.Query(), q.Host(), q.Header("x"), q.Header("y")}
		switch way {
		case "/await":
			c.AwaitBody(func(c *Conn) { check(c, c.Request().Body()) })
		case "/upload":
			var got []byte
			c.StreamBody().Each(func(c *Conn, p []byte, err error) int {
				if got = append(got, p...); err == io.EOF {
					check(c, got)
				}
				return len(p)
			})
		default:
			d, b := c.Defer(), c.StreamBody()
			go func() {
				got, err := io.ReadAll(b)
				if err != nil {
					t.Error(err)
				}
				d.Do(func(c *Conn) { check(c, got) })
			}()
		}
	})
	for range 2 { // the second time on a machine that has seen the first
		for rest := in; len(rest) > 0; {
			n := min(size, len(rest))
			r.send(rest[:n])
			rest = rest[n:]
		}
		for r.m.State() != Idle {
			<-r.wake
			r.runPosted()
		}
		r.wantOut(ok("hello\n"))
		r.wantResting()
	}
	r.wantLog()
}

// Nothing is read for a reader that does not read.
func TestBodyOfASlowReaderIsNotRead(t *testing.T) {
	const size = 10 * maxQueue
	r := started(t, nil, headFor("/read/1", size))
	b := r.bodies[0]
	sent := 0
	for ; r.m.WantsRead(); sent += 1000 {
		r.m.Feed(make([]byte, 1000))
	}
	if sent < maxQueue || sent > maxQueue+1000 {
		t.Errorf("%d bytes are taken, want %d", sent, maxQueue)
	}
	if r.m.Class() != ForReply {
		t.Errorf("waits for %v", r.m.Class())
	}
	read := 0
	for p := make([]byte, 1000); !r.m.WantsRead(); r.runAllPosted() {
		n, err := b.Read(p)
		if read += n; err != nil {
			t.Fatal(err)
		}
	}
	if left := sent - read; left > maxQueue/2 || left < maxQueue/2-1000 {
		t.Errorf("is read again with %d bytes left", left)
	}
	if r.m.Class() != ForBody {
		t.Errorf("waits for %v", r.m.Class())
	}
}

// A goroutine gets all of a body, however it comes.
func TestGoroutineReadsABody(t *testing.T) {
	const size = 5*maxQueue + 17
	body := strings.Repeat("0123456789abcdefg", size/17+1)[:size]
	for _, row := range []struct {
		in   string
		most int // bytes at once
	}{
		{headFor("/read/1", size) + body, 1 << 20},
		{headFor("/read/1", size) + body, 1000},
		{"POST /read/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("11\r\n0123456789abcdefg\r\n", size/17) + "0\r\n\r\n", 999},
	} {
		r := newRig(t, Config{HeadFirst: true}, nil)
		var pieces []string
		for rest := row.in; len(rest) > 0; {
			n := min(row.most, len(rest))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		r.send(pieces...)
		b, d := r.bodies[0], r.deferred[0]
		r.await("the body", background(func() {
			got, err := io.ReadAll(b)
			if err != nil || string(got) != body[:size/17*17] && string(got) != body {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			d.Reply(200, "text/plain", []byte(fmt.Sprint(len(got) > 0)))
		}))
		r.wantOut(ok("true"))
		r.wantLog("after 1: 200 <nil>")
		r.wantResting()
	}
}

// Whoever waits for a body that does not come is told why.
func TestReaderThatWaitsIsToldOfTheEnd(t *testing.T) {
	for _, row := range []struct {
		about string
		end   func(r *rig)
		want  error
		reply error // of a reply that comes then
	}{
		{"FIN", func(r *rig) { r.sendFIN() }, ErrBody, ErrReplied},
		{"deadline", func(r *rig) { r.m.Expire(); r.pump() }, ErrBody, ErrReplied},
		{"bad framing", func(r *rig) { r.send("x") }, ErrBody, ErrReplied},
		{"reply", func(r *rig) { r.happen("reply early") }, ErrReplied, ErrReplied},
		{"gone", func(r *rig) { r.m.Abandon(ErrGone) }, ErrGone, ErrGone},
	} {
		r := started(t, nil, strings.Replace(chunkedHead, "/", "/read/1", 1))
		b, d := r.bodies[0], r.deferred[0]
		waits := make(chan struct{})
		done := background(func() {
			close(waits)
			if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, row.want) {
				t.Errorf("%s: %d, %v", row.about, n, err)
			}
		})
		<-waits
		row.end(r)
		r.await("Read", done)
		wantError(t, row.about, d.Reply(200, "", nil), row.reply)
	}
}

func TestReadThatWouldWaitOnTheLoopPanics(t *testing.T) {
	r := started(t, func(c *Conn) {
		c.Defer()
		c.StreamBody().Read(make([]byte, 1))
	}, head100)
	r.wantLog("fault: handler panicked: conn: Body.Read waits on the loop's goroutine")
	r.wantOut(page("500 Internal Server Error"))
	r = started(t, func(c *Conn) {
		b := c.StreamBody()
		if n, err := b.Read(nil); n != 0 || err != nil {
			t.Error(n, err)
		}
		hello(c)
	}, head100)
	r.wantLog()
}

// What Each's function leaves comes again, and nothing is read until it has
// resumed.
func TestEachThatTakesLessPauses(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.env.SetHandler(func(c *Conn) {
		b := c.StreamBody()
		b.Each(func(c *Conn, p []byte, err error) int {
			r.say(fmt.Sprintf("%s %v", p, err))
			if err == io.EOF {
				hello(c)
			}
			return 2
		})
		b.Resume() // is not needed
	})
	r.send(headFor("/", 7)+"abc", "defg")
	r.runAllPosted()
	r.wantLog("abc <nil>")
	b := r.m.body.stream
	for _, want := range [][]string{{"c <nil>", "defg <nil>"}, {"fg <nil>", " EOF"}, nil} {
		if r.m.WantsRead() != (want == nil) {
			t.Errorf("wants to read %v before %q", r.m.WantsRead(), want)
		}
		b.Resume()
		b.Resume()
		r.runAllPosted()
		r.wantLog(want...)
	}
	r.wantOut(ok("hello\n"))
	r.wantResting()
}

// While Each's function pauses it is not the client that is waited for.
func TestDeadlineOfAPauseIsThatOfTheReply(t *testing.T) {
	r := started(t, nil, headFor("/upload-slow/1", 5)+"abc")
	if r.m.Class() != ForReply || r.m.WantsRead() {
		t.Errorf("waits for %v", r.m.Class())
	}
	r.m.Expire()
	r.pump()
	r.wantOut(page("503 Service Unavailable"))
	r.wantLog(`body: "a" `+ErrReplied.Error(), "after 1: 503 <nil>")
	r.wantState(Drain)
}

// A function that says it took more than there was, or less than nothing, has
// taken what there was, or nothing.
func TestEachTakesNoMoreThanThereIs(t *testing.T) {
	calls := 0
	r := started(t, func(c *Conn) {
		c.StreamBody().Each(func(c *Conn, p []byte, err error) int {
			if calls++; err == io.EOF {
				hello(c)
			}
			return []int{100, -5, 3, 0}[calls-1]
		})
	}, headFor("/", 6), "abc", "def")
	b := r.m.body.stream
	if calls != 2 || !b.paused {
		t.Errorf("%d calls, paused %v", calls, b.paused)
	}
	b.Resume()
	r.runAllPosted()
	r.wantOut(ok("hello\n"))
}

func TestPanicInEach(t *testing.T) {
	for _, row := range []struct {
		about  string
		begin  func(c *Conn)
		out    string
		after  State
		reason string
	}{
		{"before the reply", func(*Conn) {}, page("500 Internal Server Error"), Drain, "500 <nil>"},
		{"deferred", func(c *Conn) { c.Defer() }, page("500 Internal Server Error"), Drain, "500 <nil>"},
		{"behind its end", func(c *Conn) { c.ReplyStream(200, "", unknown).Close() }, "HTTP/1.1 200 OK\r\nDate: " + testDate + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Drain, "200 <nil>"},
		{"behind its head", func(c *Conn) { c.ReplyStream(200, "", 5) }, "HTTP/1.1 200 OK\r\nDate: " + testDate + "\r\nContent-Length: 5\r\n\r\n", Linger, "200 " + errPanicked.Error()},
	} {
		r := newRig(t, Config{HeadFirst: true}, nil)
		r.env.SetHandler(func(c *Conn) {
			r.noteAfter(c, row.about)
			c.StreamBody().Each(func(_ *Conn, p []byte, err error) int {
				if err == nil {
					panic("oops")
				}
				return 0
			})
			row.begin(c)
		})
		r.send(head100, "x")
		r.runAllPosted()
		r.wantOut(row.out)
		r.wantLog("fault: handler panicked: oops", "after "+row.about+": "+row.reason)
		r.wantState(row.after)
	}
}

func TestDeferredDoMayAskForTheBody(t *testing.T) {
	r := started(t, nil, headFor("/early-defer/1", 3, "Expect: 100-continue"))
	r.wantOut("")
	var got string
	ask := func(c *Conn) {
		c.StreamBody().Each(func(c *Conn, p []byte, err error) int {
			if got += string(p); err == io.EOF {
				c.Reply(200, "text/plain", []byte(got))
			}
			return len(p)
		})
	}
	r.deferred[0].Do(ask)
	r.runAllPosted()
	r.wantOut("HTTP/1.1 100 Continue\r\n\r\n")
	r.send("abc" + get("/hello"))
	r.wantOut(ok("abc") + ok("hello\n"))
	r.wantLog("after 1: 200 <nil>")

	got = ""
	r.send(headFor("/early-defer/2", 3) + "abc" + get("/hello")) // it is there already
	r.deferred[1].Do(ask)
	r.runAllPosted()
	r.wantOut(ok("abc") + ok("hello\n"))
}

// Replies of other kinds than a whole one may be made by a function of Each.
func TestEachMayReplyInAnyWay(t *testing.T) {
	for _, row := range []struct {
		reply func(r *rig, c *Conn)
		want  string
	}{
		{func(_ *rig, c *Conn) { hello(c) }, ok("hello\n")},
		{func(_ *rig, c *Conn) { c.Error(404) }, page("404 Not Found")},
		{func(r *rig, c *Conn) { c.ReplyFile(200, "text/plain", r.parts("3,0,5")...) }, ok("01234")},
		{func(r *rig, c *Conn) { c.ReplyResumable(200, "text/plain", 4, r.pieces(Again()), []byte("2")) }, ok("2\n1\n")},
		{func(r *rig, c *Conn) {
			s := c.ReplyStream(200, "text/plain", 3)
			s.TryWrite([]byte("abc"), nil)
			s.Close()
		}, ok("abc")},
		{func(r *rig, c *Conn) { c.Defer().Reply(200, "text/plain", []byte("late")) }, ok("late")},
	} {
		for _, first := range []bool{true, false} {
			r := newRig(t, Config{HeadFirst: true}, nil)
			r.env.SetHandler(func(c *Conn) {
				if string(c.Request().Path()) == "/hello" {
					hello(c)
					return
				}
				c.StreamBody().Each(func(c *Conn, p []byte, err error) int {
					if first && len(p) > 0 || !first && err == io.EOF {
						row.reply(r, c)
					}
					return len(p)
				})
			})
			r.send(headFor("/", 3) + "abc" + get("/hello"))
			r.runAllPosted()
			r.wantOut(row.want + ok("hello\n"))
			r.wantResting()
		}
	}
}

func TestNoHandlerIs503AtTheHead(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.env.SetHandler(nil)
	r.send(headFor("/", 3))
	r.wantOut(page("503 Service Unavailable"))
	r.env.SetHandler(hello)
	r.send("abc" + get("/"))
	r.wantOut(ok("hello\n"))
}

// What is done at a wrong time panics, at its caller.
func TestBodyAskedForAtAWrongTime(t *testing.T) {
	const stream = "handler panicked: conn: StreamBody outside of a request, or behind AwaitBody"
	const await = "handler panicked: conn: AwaitBody outside of a request, or behind Defer, StreamBody or a reply"
	var kept *Conn
	for _, row := range []struct {
		about string
		do    func(c *Conn)
		fault string
	}{
		{"StreamBody behind AwaitBody", func(c *Conn) { c.AwaitBody(hello); c.StreamBody() }, stream},
		{"AwaitBody behind StreamBody", func(c *Conn) { c.StreamBody(); c.AwaitBody(hello) }, await},
		{"AwaitBody behind Defer", func(c *Conn) { c.Defer(); c.AwaitBody(hello) }, await},
		{"AwaitBody behind a reply", func(c *Conn) { hello(c); c.AwaitBody(hello) }, await},
		{"two Each", func(c *Conn) {
			each := func(_ *Conn, p []byte, _ error) int { return len(p) }
			c.StreamBody().Each(each)
			c.StreamBody().Each(each)
		}, "handler panicked: conn: second Each of a body"},
	} {
		r := started(t, func(c *Conn) { kept = c; row.do(c) }, head100)
		r.wantLog("fault: " + row.fault)
		r.wantState(Drain)
	}
	if !panics(func() { kept.AwaitBody(hello) }) || !panics(func() { kept.StreamBody() }) {
		t.Error("no panic outside of a request")
	}
}

// The body of a reply that is made all the same is not awaited.
func TestReplyBehindAwaitBody(t *testing.T) {
	r := started(t, func(c *Conn) {
		c.AwaitBody(func(*Conn) { t.Error("called") })
		hello(c)
	}, head100, strings.Repeat("x", 100)+get("/"))
	r.wantOut(ok("hello\n") + ok("hello\n"))
	r.wantResting()
}

func TestAwaitBodyInTurn(t *testing.T) {
	calls := 0
	r := started(t, func(c *Conn) {
		c.AwaitBody(func(c *Conn) {
			c.AwaitBody(func(c *Conn) {
				calls++
				c.Reply(200, "text/plain", c.Request().Body())
			})
		})
	}, headFor("/", 3), "abc")
	if r.wantOut(ok("abc")); calls != 1 {
		t.Error(calls)
	}
}

// What nobody wants is thrown away, and takes no memory.
func TestDrainTakesNoMemory(t *testing.T) {
	r := started(t, nil, headFor("/early", maxDrain))
	for range maxDrain / 1024 {
		if r.send(strings.Repeat("x", 1024)); cap(r.m.in.b) > keptBuffer {
			t.Fatalf("%d bytes", cap(r.m.in.b))
		}
	}
	r.wantResting()
}

// Large heads lie in buffers that machines share; none is shared while it is seen.
func TestLentBuffersAreNobodyElsesWhileTheyAreSeen(t *testing.T) {
	const size = 2 * keptBuffer
	var seen View
	want := strings.Repeat("x", size)
	r := newRig(t, Config{HeadFirst: true}, func(c *Conn) {
		if string(c.Request().Path()) == "/other" {
			c.Defer()
			return
		}
		seen = c.Request().Header("x")
		c.AwaitBody(func(c *Conn) {
			if string(c.Request().Header("x")) != want || string(c.Request().Body()) != want {
				t.Errorf("%.20q and %.20q", c.Request().Header("x"), c.Request().Body())
			}
			hello(c)
		})
	})
	for range 3 {
		r.send(headFor("/", size, "X: "+want))
		var others []*Machine
		for range size / 512 {
			r.send(want[:512])
			other := NewMachine(r.env) // which takes what is given back
			other.Begin(Fresh, Identity{})
			other.Feed([]byte("GET /other HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", size) + "\r\n\r\n"))
			if others = append(others, other); r.m.State() == InBody && string(seen) != want {
				t.Fatalf("%.20q", seen)
			}
		}
		r.wantOut(ok("hello\n"))
		for _, m := range others {
			m.Abandon(ErrGone)
		}
	}
	r.wantLog()
}

// A reply that has begun is not followed by one that asks for the body.
func TestBodyAskedForBehindTheHeadOfTheReply(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.env.SetHandler(func(c *Conn) {
		r.stream(c, 200, 3)
		c.StreamBody()
	})
	r.send(headFor("/", 3, "Expect: 100-continue"))
	r.happen("write abc")
	r.happen("close")
	r.wantOut("HTTP/1.1 200 OK\r\nDate: " + testDate + "\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
	r.wantState(Linger)
}

// A body that does not come is the last there is, also where its client gets his reply.
func TestReplyBehindABodyThatDoesNotComeIsTheLast(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.env.SetHandler(func(c *Conn) {
		c.StreamBody()
		r.stream(c, 200, 3)
	})
	r.send(headFor("/", 3) + "a")
	if r.m.Class() != ForBody {
		t.Errorf("waits for %v", r.m.Class())
	}
	r.m.Expire()
	if r.wantState(Streaming); r.m.Class() != ForMore {
		t.Errorf("then for %v", r.m.Class())
	}
	r.happen("write abc")
	r.happen("close")
	if got, _ := decoded(t, r.takeOut()); got != "abc" {
		t.Error(got)
	}
	r.wantState(Linger)
}

// A body of many pieces takes the memory of one.
func TestPiecesOfALargeBodyAllocateNothing(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, func(c *Conn) {
		c.StreamBody().Each(func(_ *Conn, p []byte, _ error) int { return len(p) })
	})
	r.m.Feed([]byte(headFor("/", 1<<30)))
	piece := make([]byte, 32<<10)
	if n := testing.AllocsPerRun(100, func() { r.m.Feed(piece) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations a piece", n)
	}
}
