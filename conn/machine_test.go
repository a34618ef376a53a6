package conn

import (
	"strings"
	"testing"
)

const head100 = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"

// replies counts the replies in an output without bodies that look like one.
func replies(output []byte) int { return strings.Count(string(output), "HTTP/1.1 ") }

func TestTurnEndsWithItsQuota(t *testing.T) {
	const requests = 2*maxTurn + 3
	r := newRig(t, Config{}, nil)
	r.m.Feed([]byte(strings.Repeat(get("/empty"), requests)))
	for _, want := range []int{maxTurn, 2 * maxTurn, requests} {
		if got := replies(r.m.Output()); got != want {
			t.Errorf("%d replies, want %d", got, want)
		}
		if again := want < requests; r.m.Again() != again || r.m.WantsRead() == again {
			t.Errorf("behind %d of %d: again %v, wants to read %v", want, requests, r.m.Again(), r.m.WantsRead())
		}
		r.m.Continue()
	}
	r.wrote(len(r.m.Output()))
	r.wantResting()
}

func TestTurnBeginsAnewBehindADeferredReply(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.step = -1
	r.m.Feed([]byte(get("/defer") + strings.Repeat(get("/empty"), maxTurn+1)))
	if err := r.deferred[0].Reply(200, "", nil); err != nil {
		t.Fatal(err)
	}
	run := r.posted[0]
	run()
	if got := replies(r.m.Output()); got != 1+maxTurn || !r.m.Again() {
		t.Errorf("%d replies, again %v", got, r.m.Again())
	}
}

// Whether a next request is looked at depends on what is not written.
func TestOutputAboveItsMarkStopsTheNextRequest(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{MaxOutput: 300}}, nil)
	r.m.Feed([]byte(strings.Repeat(get("/hello"), 5)))
	length := len(ok("hello\n"))
	if got, want := replies(r.m.Output()), 300/length+1; got != want {
		t.Fatalf("%d replies of %d bytes, want %d", got, length, want)
	}
	over := len(r.m.Output()) - 300
	r.wrote(over - 1)
	if r.m.Again() || r.m.WantsRead() {
		t.Error("goes on above the mark")
	}
	r.wrote(1)
	if !r.m.Again() || r.m.WantsRead() {
		t.Error("does not go on at the mark")
	}
	r.pump()
	r.wantOut(strings.Repeat(ok("hello\n"), 5))
	r.wantResting()
}

func TestOutputAboveItsMarkStopsReading(t *testing.T) {
	for _, row := range []struct{ state, in string }{
		{"idle", ""},
		{"head", "GET"},
		{"body", head100},
	} {
		r := newRig(t, Config{Limits: Limits{MaxOutput: 10}}, nil)
		r.m.Feed([]byte("GE")) // so that the head is read before there is output
		r.m.Feed([]byte(strings.TrimPrefix(get("/hello"), "GE")))
		r.wrote(len(r.m.Output()))
		if row.in != "" {
			r.m.Feed([]byte(row.in))
		}
		r.m.out.add([]byte("eleven more"), &r.env.buffers)
		if got := r.m.State().String(); got != row.state || r.m.WantsRead() {
			t.Errorf("%s: state is %s, wants to read %v", row.state, got, r.m.WantsRead())
		}
		r.wrote(1)
		if !r.m.WantsRead() {
			t.Errorf("%s: does not want to read at the mark", row.state)
		}
	}
}

func TestWantsReadOnlyWhereBytesAreExpected(t *testing.T) {
	want := [states]bool{Fresh: true, Idle: true, InHead: true, InBody: true, Drain: true, Linger: true}
	for s := range State(states) {
		m := NewMachine(NewEnv(Config{}))
		if m.Begin(s, Identity{}); m.WantsRead() != want[s] {
			t.Errorf("%v: wants to read %v", s, m.WantsRead())
		}
	}
}

func TestLingerIsBounded(t *testing.T) {
	r := newRig(t, Config{}, nil)
	for range 2 { // the second time on a machine that has seen the first
		r.send(get("/close"), strings.Repeat("x", maxLinger))
		r.wantState(Linger)
		r.send("x")
		r.wantState(Closed)
		r.m.Abandon(ErrGone)
		r.accept()
	}
}

// A loop may close at once behind the last reply if nothing else has come.
func TestClientDone(t *testing.T) {
	r := newRig(t, Config{}, nil)
	for _, row := range []struct {
		about, in string
		want      bool
	}{
		{"the handler closes", get("/close"), false},
		{"it has announced its last request", "GET /hello HTTP/1.0\r\n\r\n", true},
		{"and sent something behind it", "GET /hello HTTP/1.0\r\n\r\n\r\n", false},
		{"it has announced it behind another", get("/hello") + "GET /hello HTTP/1.0\r\n\r\n", true},
		{"it is refused", "?", false},
	} {
		r.accept()
		r.send(row.in)
		r.wantState(Linger)
		if got := r.m.ClientDone(); got != row.want {
			t.Errorf("%s: %v", row.about, got)
		}
		r.m.Abandon(ErrGone)
	}
}

// What is in the output when FIN or an empty line comes is written, and nothing
// behind it.
func TestFINBeforeAllIsWritten(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{get("/hello"), ok("hello\n")},
		{get("/hello") + "\r\n", ok("hello\n")},
		{get("/hello") + "\r", ok("hello\n")},
		{get("/hello") + "G", ok("hello\n") + page("400 Bad Request", "Connection: close")},
	} {
		r := newRig(t, Config{}, nil)
		r.step = -1
		r.send(row.in)
		r.sendFIN()
		r.wantState(Flush)
		r.step = 1
		r.write()
		r.wantOut(row.want)
		r.wantState(Closed)
	}
}

func TestNoHandlerIs503(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.env.SetHandler(nil)
	r.send(get("/hello"))
	r.wantOut(page("503 Service Unavailable"))
	r.env.SetHandler(hello)
	r.send(get("/hello"))
	r.wantOut(ok("hello\n"))
	r.wantResting()
}

func TestSetHandlerIsInForceFromTheNextRequest(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.env.SetHandler(func(c *Conn) {
		r.env.SetHandler(hello)
		c.Reply(200, "text/plain", []byte("first\n"))
	})
	r.send(get("/") + get("/"))
	r.wantOut(ok("first\n") + ok("hello\n"))
}

func TestDateAndServerOfThePresentSecond(t *testing.T) {
	r := newRig(t, Config{Server: "catboat"}, nil)
	r.send(get("/empty"))
	r.env.SetDate([]byte("Thu, 01 Jan 1970 00:00:01 GMT"))
	r.send(get("/empty"))
	r.wantOut("HTTP/1.1 200 OK\r\nServer: catboat\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nServer: catboat\r\nDate: Thu, 01 Jan 1970 00:00:01 GMT\r\nContent-Length: 0\r\n\r\n")
}

func TestLimitsHaveDefaultsAndCaps(t *testing.T) {
	defaults := Limits{MaxHead: 16 << 10, MaxFields: 100, MaxBody: 1 << 20, MaxOutput: 16 << 10}
	for _, row := range []struct{ given, want Limits }{
		{Limits{}, defaults},
		{Limits{-1, -1, -1, -1}, defaults},
		{Limits{1, 2, 3, 4}, Limits{1, 2, 3, 4}},
		{Limits{1 << 30, 1, 1, 1}, Limits{1 << 30, 1, 1, 1}},
	} {
		if got := row.given.withDefaults(); got != row.want {
			t.Errorf("%+v becomes %+v", row.given, got)
		}
	}
}

// Nothing is allocated by a size that a client has declared.
func TestMemoryGrowsWithWhatHasComeNotWithWhatIsDeclared(t *testing.T) {
	for _, in := range []string{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\nx",
	} {
		r := newRig(t, Config{}, nil)
		r.send(in)
		r.wantState(InBody)
		if got := cap(r.m.in.b); got > keptBuffer {
			t.Errorf("%d bytes for %d", got, len(in))
		}
	}
}

// The framing of chunks that have been read makes room for what comes.
func TestFramingTakesNoMemory(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 1000 {
		r.send("1;extension\r\nx\r\n")
	}
	if got := len(r.m.in.b); got > 1100 {
		t.Errorf("%d bytes for 1000 of body", got)
	}
	r.send("0\r\n\r\n")
	r.wantOut(ok(strings.Repeat("x", 1000)))
}

// Requests that have been answered make room, though never all input is used up.
func TestAnsweredRequestsTakeNoMemory(t *testing.T) {
	r := newRig(t, Config{}, nil)
	request := get("/empty")
	r.send(request[:5])
	for range 1000 {
		r.send(request[5:] + request[:5])
	}
	if got := cap(r.m.in.b); got > 200 {
		t.Errorf("%d bytes", got)
	}
}

// A large output that goes out slowly moves down instead of growing.
func TestWrittenOutputMakesRoom(t *testing.T) {
	body := []byte(strings.Repeat("x", 3*minMove))
	calls := 0
	r := newRig(t, Config{Limits: Limits{MaxOutput: len(body) + 1000}}, func(c *Conn) {
		c.AfterReply(func(*Conn, error) { calls++ })
		c.Reply(200, "text/plain", body)
	})
	r.step = -1
	r.send(get("/") + get("/"))
	one := len(ok(string(body)))
	for want := 0; len(r.m.Output()) > 0; want = len(r.out) / one {
		if calls != want {
			t.Fatalf("%d calls of AfterReply when %d of %d bytes are written", calls, len(r.out), 2*one)
		}
		r.wrote(min(1000, len(r.m.Output())))
		if o := &r.m.out; o.sent >= minMove && o.sent >= len(o.b)/2 {
			t.Fatalf("%d written bytes of %d are kept", o.sent, len(o.b))
		}
	}
	if got := r.takeOut(); got != strings.Repeat(ok(string(body)), 2) || calls != 2 {
		t.Errorf("%d bytes, %d calls", len(got), calls)
	}
	r.wantResting()
}

// A machine keeps little of a request that was large, in whatever way.
func TestMemoryIsGivenBack(t *testing.T) {
	large := strings.Repeat("x", 5000)
	for _, row := range []struct {
		about, in string
		handler   Handler
	}{
		{"head", "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + large + "\r\n\r\n", nil},
		{"body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + large, nil},
		{"output", get("/big"), nil},
		{"path", "GET /%78" + large + " HTTP/1.1\r\nHost: a\r\n\r\n", nil},
		{"joined lines", "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + large + "\r\nX: y\r\n\r\n", func(c *Conn) {
			c.Request().Header("x")
			hello(c)
		}},
		{"fields of the reply", get("/"), func(c *Conn) {
			c.SetHeader("X", large)
			hello(c)
		}},
		{"many lookups", "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n", func(c *Conn) {
			for range 5000 {
				c.Request().Header("x")
			}
			hello(c)
		}},
	} {
		t.Run(row.about, func(t *testing.T) {
			r := newRig(t, Config{}, row.handler)
			r.send(row.in)
			r.wantState(Idle)
			r.wantResting()
			r.send(get("/") + row.in)
			r.wantResting()
		})
	}
}

// What one connection has said, or was about to say, is not in the next on the
// same machine.
func TestMachineForgetsAConnection(t *testing.T) {
	for _, row := range []struct{ about, in string }{
		{"in a head", "GET /nowhere HTTP/1.0\r\nHost: b\r\nX-"},
		{"in a body", "POST /nowhere HTTP/1.0\r\nHost: b\r\nContent-Length: 3\r\n\r\na"},
		{"in chunks", "POST /nowhere HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na"},
		{"in a trailer section", "POST /nowhere HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nZ"},
		{"deferred", get("/defer") + get("/nowhere")},
		{"with output", get("/nowhere")},
		{"refused", "?"},
		{"closing", get("/close")},
		{"behind an empty line", "\r\n"},
	} {
		t.Run(row.about, func(t *testing.T) {
			r := newRig(t, Config{}, nil)
			r.step = -1
			r.send(row.in)
			r.wrote(len(r.m.Output()) / 2)
			r.m.Abandon(errReset)
			r.wantResting()
			r.accept()
			r.step = 0
			r.send(get("/seen"))
			r.wantOut(ok("GET /seen HTTP/1.1 from 192.0.2.1:4711\npath \"/seen\" query \"\" host \"a\"\nHost: a\nbody of 0: \"\"\n"))
			r.wantState(Idle)
			r.wantResting()
		})
	}
}

// An empty line is not a connection's rest: the loop may lend the machine on
// only when nothing is left in it.
func TestRestingWithNothingLeft(t *testing.T) {
	for _, row := range []struct {
		about string
		play  func(r *rig)
		want  bool
	}{
		{"fresh", func(r *rig) {}, true},
		{"idle", func(r *rig) { r.send(get("/hello")) }, true},
		{"idle with output", func(r *rig) { r.step = -1; r.send(get("/hello")) }, false},
		{"idle over its quota", func(r *rig) { r.m.Feed([]byte(strings.Repeat(get("/hello"), maxTurn+1))); r.wrote(len(r.m.Output())) }, false},
		{"behind an empty line", func(r *rig) { r.send("\r\n") }, false},
		{"in a head", func(r *rig) { r.send("G") }, false},
		{"in a body", func(r *rig) { r.send(head100) }, false},
		{"pending", func(r *rig) { r.send(get("/defer")) }, false},
		{"flush", func(r *rig) { r.step = -1; r.send("?") }, false},
		{"linger", func(r *rig) { r.send("?") }, false},
		{"closed behind an empty line", func(r *rig) { r.send("\r\n"); r.sendFIN() }, true},
		{"closed behind a request", func(r *rig) { r.send(get("/close")); r.sendFIN() }, true},
	} {
		r := newRig(t, Config{}, nil)
		row.play(r)
		if got := r.m.Resting(); got != row.want {
			t.Errorf("%s: resting %v", row.about, got)
		}
		if row.want {
			r.wantResting()
			r.accept()
			r.step = 0
			r.send(get("/hello"))
			r.wantOut(ok("hello\n"))
		}
	}
}
