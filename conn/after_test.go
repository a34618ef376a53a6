package conn

import (
	"fmt"
	"strings"
	"testing"
)

func TestAfterReplyComesWithTheLastByte(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.step = -1
	r.send(get("/after/1") + get("/hello") + get("/after/2") + get("/after/3"))
	one := len(ok("hello\n"))
	for written := 1; written <= 4*one; written++ {
		r.wrote(1)
		var want []string
		switch written {
		case one:
			want = []string{"after 1: <nil>"}
		case 3 * one:
			want = []string{"after 2: <nil>"}
		case 4 * one:
			want = []string{"after 3: <nil>"}
		}
		r.wantLog(want...)
	}
	r.m.Abandon(errReset)
	r.wantLog()
}

// Each function is called exactly once, whenever the connection ends.
func TestAfterReplyIsToldOfAConnectionThatEnds(t *testing.T) {
	one := len(ok("hello\n"))
	for _, row := range []struct {
		written int
		want    []string
	}{
		{0, []string{"after 1: reset by the client", "after 2: reset by the client"}},
		{one - 1, []string{"after 1: reset by the client", "after 2: reset by the client"}},
		{one, []string{"after 1: <nil>", "after 2: reset by the client"}},
		{2*one - 1, []string{"after 1: <nil>", "after 2: reset by the client"}},
		{2 * one, []string{"after 1: <nil>", "after 2: <nil>"}},
	} {
		r := newRig(t, Config{}, nil)
		r.step = -1
		r.send(get("/after/1") + get("/after/2"))
		r.wrote(row.written)
		r.m.Abandon(errReset)
		r.wantLog(row.want...)
		r.m.Abandon(errReset)
		r.wantLog()
		r.wantResting()
	}
}

// The functions of one reply are called in order, also those that the handler
// gives behind its reply, or before it panics.
func TestAfterReplyInOrder(t *testing.T) {
	for _, row := range []struct {
		about    string
		reply    func(c *Conn)
		deferred bool
	}{
		{"reply", hello, false},
		{"no reply", func(*Conn) {}, false},
		{"panic", func(*Conn) { panic("oops") }, false},
		{"deferred reply", func(c *Conn) { c.Defer() }, true},
	} {
		t.Run(row.about, func(t *testing.T) {
			var calls []string
			note := func(name string) func(*Conn, error) {
				return func(_ *Conn, err error) { calls = append(calls, fmt.Sprint(name, err)) }
			}
			r := newRig(t, Config{}, func(c *Conn) {
				c.AfterReply(note("first "))
				defer c.AfterReply(note("second "))
				row.reply(c)
			})
			r.send(get("/"))
			if row.deferred {
				r.m.Expire()
				r.pump()
			}
			if got := strings.Join(calls, ", "); got != "first <nil>, second <nil>" {
				t.Error(got)
			}
			r.wantResting()
		})
	}
}

// What a function of AfterReply must not do is a fault, and reaches neither the
// client nor the next request.
func TestWhatAfterReplyMayNotDo(t *testing.T) {
	const panicked = "AfterReply function panicked: "
	for _, row := range []struct {
		about string
		do    func(c *Conn)
		fault string
	}{
		{"reply", hello, "reply outside of a request"},
		{"set a field", func(c *Conn) { c.SetHeader("A", "1") }, panicked + `conn: field "A" set outside of a request`},
		{"defer", func(c *Conn) { c.Defer() }, panicked + "conn: Defer outside of a request, or behind its reply or AwaitBody"},
		{"call AfterReply", func(c *Conn) { c.AfterReply(func(*Conn, error) {}) }, panicked + "conn: AfterReply outside of a request"},
		{"panic", func(c *Conn) { panic("oops") }, panicked + "oops"},
	} {
		t.Run(row.about, func(t *testing.T) {
			r := newRig(t, Config{}, nil)
			r.env.SetHandler(func(c *Conn) {
				c.AfterReply(func(c *Conn, _ error) { row.do(c) })
				hello(c)
			})
			for _, end := range []func(){r.write, func() { r.m.Abandon(errReset) }} {
				r.accept()
				r.step = -1
				r.send(get("/") + get("/"))
				r.step = 0
				end()
				r.wantLog("fault: "+row.fault, "fault: "+row.fault)
				r.wantResting()
			}
			r.accept()
			r.env.SetHandler(hello)
			r.send(get("/"))
			r.wantOut(ok("hello\n"))
			r.wantLog()
		})
	}
}

// In a function of AfterReply the request is over. Who looks at it all the same
// sees nothing, and nothing of it sticks.
func TestRequestSeenInAfterReplyIsNotTheNextOnes(t *testing.T) {
	r := newRig(t, Config{}, func(c *Conn) {
		c.AfterReply(func(c *Conn, _ error) {
			q := c.Request()
			r := fmt.Sprint(q.Method(), q.Host(), q.Query(), q.Header("Host"), q.Body(), q.Path())
			if strings.ContainsAny(r, "GETa") {
				panic(r)
			}
		})
		c.Reply(200, "text/plain", []byte(seen(c.Request())))
	})
	for _, path := range []string{"/one", "/two", "/t%77o"} {
		r.send(get(path))
		if got := r.takeOut(); !strings.Contains(got, `path "`+strings.Replace(path, "%77", "w", 1)+`" query "" host "a"`) {
			t.Errorf("%s: %q", path, got)
		}
	}
	r.wantLog()
}

// So it is where the connection ends before the reply.
func TestRequestIsOverWhenAfterReplyIsToldOfTheEnd(t *testing.T) {
	var d Deferred
	r := newRig(t, Config{}, func(c *Conn) {
		c.AfterReply(func(c *Conn, err error) {
			if c.Request().Method() != "" || !isClosed(d.Done()) || c.Status() != 0 {
				t.Error("the request is not over")
			}
			wantError(t, "Reply", d.Reply(200, "", nil), ErrGone)
		})
		d = c.Defer()
	})
	r.send(get("/"))
	r.m.Abandon(errReset)
	r.wantLog()
	r.wantResting()
}

// CloseAfterReply in a function of AfterReply ends the connection as soon as it
// can end without cutting off what has begun.
func TestCloseInAfterReply(t *testing.T) {
	closing := ok("hello\n", "Connection: close")
	for _, row := range []struct {
		about  string
		in     string // behind a request whose function of AfterReply closes
		rest   string // what comes later
		want   string
		before State
		after  State
	}{
		{"idle", "", "", "", Linger, Linger},
		{"the next head has begun", "GET /hello HTTP/1.1\r\n", "Host: a\r\n\r\n", closing, InHead, Linger},
		{"the next body has begun", "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "a", closing, InBody, Linger},
		{"the next reply is deferred", get("/defer/2"), "", ok("late", "X-Deferred: yes", "Connection: close"), Pending, Linger},
		{"the next reply is made", get("/hello"), "", ok("hello\n"), Linger, Linger},
	} {
		t.Run(row.about, func(t *testing.T) {
			r := newRig(t, Config{}, nil)
			r.step = -1
			r.send(get("/after-close") + row.in)
			r.step = 1
			r.write()
			r.wantState(row.before)
			if row.before == Pending {
				r.happen("reply late")
			}
			if row.rest != "" {
				r.send(row.rest)
			}
			r.wantOut(ok("hello\n") + row.want)
			r.wantState(row.after)
		})
	}
}

// Requests that have come before are answered, the last of them with the news.
func TestCloseInAfterReplyBehindTheQuota(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.m.Feed([]byte(get("/after-close") + strings.Repeat(get("/hello"), maxTurn+1)))
	r.pump()
	r.wantOut(strings.Repeat(ok("hello\n"), maxTurn) + ok("hello\n", "Connection: close"))
	r.wantState(Linger)
}
