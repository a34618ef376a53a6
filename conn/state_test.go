package conn

import (
	"strings"
	"testing"
)

// moveScripts has for each allowed move a short life of a connection that ends
// with it.
var moveScripts = []struct {
	from, to State
	about    string
	play     func(r *rig)
}{
	{Fresh, InHead, "bytes", func(r *rig) { r.send("G") }},
	{Fresh, Flush, "over the connection limit", func(r *rig) { r.step = -1; r.m.Refuse(503) }},
	{Fresh, Closed, "FIN", func(r *rig) { r.sendFIN() }},
	{Fresh, Closed, "reset", func(r *rig) { r.m.Abandon(errReset) }},
	{Fresh, Closed, "deadline", func(r *rig) { r.m.Expire() }},

	{Idle, InHead, "bytes", func(r *rig) { r.send(get("/hello"), "G") }},
	{Idle, Flush, "FIN before all is written", func(r *rig) { r.step = -1; r.send(get("/hello")); r.sendFIN() }},
	{Idle, Linger, "closed by a function of AfterReply", func(r *rig) { r.send(get("/after-close")) }},
	{Idle, Closed, "FIN", func(r *rig) { r.send(get("/hello")); r.sendFIN() }},
	{Idle, Closed, "reset", func(r *rig) { r.send(get("/hello")); r.m.Abandon(errReset) }},
	{Idle, Closed, "deadline", func(r *rig) { r.send(get("/hello")); r.m.Expire() }},

	{InHead, InBody, "a body follows", func(r *rig) { r.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n") }},
	{InHead, Ready, "none does", func(r *rig) { r.env.SetHandler(r.stop); r.send(get("/")) }},
	{InHead, Flush, "refused", func(r *rig) { r.step = -1; r.send("?") }},
	{InHead, Flush, "deadline", func(r *rig) { r.step = -1; r.send("G"); r.m.Expire() }},
	{InHead, Flush, "FIN", func(r *rig) { r.step = -1; r.send("G"); r.sendFIN() }},
	{Idle, Flush, "FIN behind an empty line, before all is written", func(r *rig) { r.step = -1; r.send(get("/hello") + "\r\n"); r.sendFIN() }},
	{Fresh, Closed, "FIN behind an empty line", func(r *rig) { r.send("\r\n"); r.sendFIN() }},
	{InHead, Closed, "reset", func(r *rig) { r.send("G"); r.m.Abandon(errReset) }},

	{InBody, Ready, "whole", func(r *rig) {
		r.env.SetHandler(r.stop)
		r.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "a")
	}},
	{InBody, Flush, "refused", func(r *rig) {
		r.step = -1
		r.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx")
	}},
	{InBody, Closed, "reset", func(r *rig) {
		r.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
		r.m.Abandon(errReset)
	}},

	{Ready, Idle, "replied", func(r *rig) { r.send(get("/hello")) }},
	{Ready, Pending, "deferred", func(r *rig) { r.send(get("/defer")) }},
	{Ready, Flush, "replied for the last time", func(r *rig) { r.step = -1; r.send(get("/close")) }},
	{Ready, InBody, "asked for the body", func(r *rig) { r.headFirst(func(c *Conn) { c.AwaitBody(hello) }); r.send(head100) }},
	{Ready, Streaming, "replied in part", func(r *rig) { r.headFirst(openStream); r.send(get("/")) }},
	{Ready, Drain, "replied before the body's end", func(r *rig) { r.headFirst(hello); r.send(head100) }},
	{Ready, Flush, "aborted", func(r *rig) {
		r.step = -1
		r.headFirst(func(c *Conn) { c.Inform(103); c.Abort(errReset) })
		r.send(get("/"))
	}},

	{Pending, Idle, "replied", func(r *rig) { r.send(get("/defer")); r.happen("reply now") }},
	{Pending, Idle, "deadline", func(r *rig) { r.send(get("/defer")); r.m.Expire() }},
	{Pending, Flush, "replied for the last time", func(r *rig) {
		r.step = -1
		r.send("GET /defer HTTP/1.0\r\n\r\n")
		r.happen("reply now")
	}},
	{Pending, Closed, "reset", func(r *rig) { r.send(get("/defer")); r.m.Abandon(errReset) }},
	{Pending, Streaming, "replied in part", func(r *rig) {
		r.send(get("/defer"))
		r.deferred[0].Do(openStream)
		r.runPosted()
	}},
	{Pending, Drain, "replied before the body's end", func(r *rig) {
		r.headFirst(r.handler)
		r.send("POST /early-defer HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
		r.happen("reply now")
	}},

	{Streaming, Idle, "complete", func(r *rig) { r.headFirst(closedStream); r.send(get("/")); r.runPosted() }},
	{Streaming, Drain, "complete before the body's end", func(r *rig) { r.headFirst(closedStream); r.send(head100); r.runPosted() }},
	{Streaming, Flush, "for the last time", func(r *rig) {
		r.step = -1
		r.headFirst(closedStream)
		r.send("GET / HTTP/1.0\r\n\r\n")
		r.runPosted()
	}},
	{Streaming, Closed, "reset", func(r *rig) { r.headFirst(openStream); r.send(get("/")); r.m.Abandon(errReset) }},

	{Drain, Idle, "read", func(r *rig) { r.headFirst(hello); r.send(head100, strings.Repeat("x", 100)) }},
	{Drain, Flush, "FIN before all is written", func(r *rig) { r.step = -1; r.headFirst(hello); r.send(head100); r.sendFIN() }},
	{Drain, Linger, "closed by a function of AfterReply", func(r *rig) {
		r.headFirst(func(c *Conn) {
			c.AfterReply(func(c *Conn, _ error) { c.CloseAfterReply() })
			hello(c)
		})
		r.send(head100)
	}},
	{Drain, Closed, "FIN", func(r *rig) { r.headFirst(hello); r.send(head100); r.sendFIN() }},
	{Drain, Linger, "deadline", func(r *rig) { r.headFirst(hello); r.send(head100); r.m.Expire() }},
	{Drain, Closed, "reset", func(r *rig) { r.headFirst(hello); r.send(head100); r.m.Abandon(errReset) }},

	{Flush, Linger, "written", func(r *rig) { r.send(get("/close")) }},
	{Flush, Closed, "written and the client is done", func(r *rig) { r.send("G"); r.sendFIN() }},
	{Flush, Closed, "reset", func(r *rig) { r.step = -1; r.send(get("/close")); r.m.Abandon(errReset) }},

	{Linger, Closed, "FIN", func(r *rig) { r.send(get("/close")); r.sendFIN() }},
	{Linger, Closed, "too much", func(r *rig) { r.send(get("/close"), strings.Repeat("x", maxLinger), "x") }},
	{Linger, Closed, "too long", func(r *rig) { r.send(get("/close")); r.m.Expire() }},
	{Linger, Closed, "reset", func(r *rig) { r.send(get("/close")); r.m.Abandon(errReset) }},
}

// stop is a handler in which nothing moves any more.
func (r *rig) stop(c *Conn) {
	r.env.moved = nil
	hello(c)
}

// headFirst has h called at the head.
func (r *rig) headFirst(h Handler) {
	r.env.headFirst = true
	r.env.SetHandler(h)
}

func openStream(c *Conn) { c.ReplyStream(200, "", -1) }

func closedStream(c *Conn) { c.ReplyStream(200, "", -1).Close() }

func TestEveryAllowedMoveHappens(t *testing.T) {
	type move struct{ from, to State }
	seen := map[move]bool{}
	for _, script := range moveScripts {
		t.Run(script.from.String()+" to "+script.to.String()+": "+script.about, func(t *testing.T) {
			r := newRig(t, Config{}, nil)
			var last move
			r.env.moved = func(from, to State) {
				last = move{from, to}
				seen[last] = true
			}
			script.play(r)
			if last != (move{script.from, script.to}) {
				t.Errorf("the last move is from %v to %v", last.from, last.to)
			}
		})
	}
	for from := range State(states) {
		for to := range State(states) {
			if moves[from]&(1<<to) != 0 && !seen[move{from, to}] {
				t.Errorf("no script moves from %v to %v, which the table allows", from, to)
			}
		}
	}
}

func TestMoveThatTheTableDoesNotHavePanics(t *testing.T) {
	for from := range State(states) {
		for to := range State(states) {
			if moves[from]&(1<<to) != 0 {
				continue
			}
			func() {
				defer func() {
					want := "conn: no move from " + from.String() + " to " + to.String()
					if got := recover(); got != want {
						t.Errorf("from %v to %v: %v", from, to, got)
					}
				}()
				m := NewMachine(NewEnv(Config{}))
				m.Begin(from, Identity{})
				m.move(to)
			}()
		}
	}
}

func TestClosedIsTheOnlyEnd(t *testing.T) {
	for s := range State(states) {
		if (moves[s] == 0) != (s == Closed) {
			t.Errorf("%v may move to %b", s, moves[s])
		}
	}
}

func TestEachStateWaitsForSomething(t *testing.T) {
	want := map[State]string{
		Fresh: "head", Idle: "idle", InHead: "head", InBody: "body", Ready: "reply",
		Pending: "reply", Streaming: "stream", Drain: "body", Flush: "write", Linger: "linger", Closed: "linger",
	}
	for s := range State(states) {
		if got := s.Class().String(); got != want[s] {
			t.Errorf("%v waits for %s, want %s", s, got, want[s])
		}
	}
}

// Whatever a connection waits for besides, what is not written comes first.
func TestOutputIsWaitedForFirst(t *testing.T) {
	for _, row := range []struct{ in, about string }{
		{get("/hello"), "idle"},
		{get("/hello") + "G", "in a head"},
		{get("/hello") + "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "in a body"},
		{get("/hello") + get("/defer"), "with a deferred reply"},
		{get("/close"), "behind the last reply"},
	} {
		r := newRig(t, Config{}, nil)
		r.step = -1
		r.send(row.in)
		if got := r.m.Class(); got != ForWrite {
			t.Errorf("%s: waits for %v", row.about, got)
		}
		r.wrote(len(r.m.Output()))
		if got := r.m.Class(); got != r.m.State().Class() {
			t.Errorf("%s: waits for %v when all is written", row.about, got)
		}
	}
}
