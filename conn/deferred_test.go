package conn

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// deferring is a rig with a request on it whose reply is deferred.
func deferring(t *testing.T, behind ...string) (*rig, Deferred) {
	t.Helper()
	r := newRig(t, Config{}, nil)
	in := get("/defer/1")
	for _, s := range behind {
		in += s
	}
	r.send(in)
	r.wantState(Pending)
	return r, r.deferred[0]
}

func lateReply(body string) string { return ok(body, "X-Deferred: yes") }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Whatever has ended a request, a late word about it is an error.
func TestLateWordIsAnError(t *testing.T) {
	for _, row := range []struct {
		about string
		end   func(r *rig, d Deferred)
		want  error
		after State
	}{
		{"a reply is on its way", func(r *rig, d Deferred) { d.Reply(200, "", nil) }, ErrReplied, Pending},
		{"a reply is made", func(r *rig, d Deferred) { d.Reply(200, "", nil); r.runPosted() }, ErrReplied, Idle},
		{"replied by Do", func(r *rig, d Deferred) { d.Do(hello); r.runPosted() }, ErrReplied, Idle},
		{"a function of Do panicked", func(r *rig, d Deferred) { d.Do(func(*Conn) { panic("oops") }); r.runPosted() }, ErrReplied, Idle},
		{"the deadline", func(r *rig, d Deferred) { r.m.Expire(); r.pump() }, ErrReplied, Idle},
		{"the client has gone", func(r *rig, d Deferred) { r.m.Abandon(errReset) }, ErrGone, Closed},
		{"another connection is on the machine", func(r *rig, d Deferred) {
			r.m.Abandon(errReset)
			r.accept()
			r.send(get("/defer/2"))
		}, ErrGone, Pending},
		{"the next request is deferred too", func(r *rig, d Deferred) {
			r.happen("reply now")
			r.send(get("/defer/2"))
		}, ErrReplied, Pending},
	} {
		t.Run(row.about, func(t *testing.T) {
			r, d := deferring(t)
			row.end(r, d)
			r.wantState(row.after)
			r.takeOut()
			queued := len(r.posted)
			wantError(t, "Reply", d.Reply(200, "text/plain", []byte("too late")), row.want)
			wantError(t, "Do", d.Do(func(*Conn) { t.Error("a late Do was done") }), row.want)
			if len(r.posted) != queued {
				t.Error("something was posted")
			}
			r.wantOut("")
			r.wantState(row.after)
		})
	}
}

// What was posted in time and comes too late is dropped.
func TestPostedReplyReachesItsRequestOrNone(t *testing.T) {
	for _, row := range []struct {
		about string
		end   func(r *rig)
	}{
		{"the client has gone", func(r *rig) { r.m.Abandon(errReset) }},
		{"another connection of the same number is on the machine", func(r *rig) {
			posted := r.posted
			r.m.Abandon(errReset)
			r.accept()
			r.who.Handle.Generation-- // as if the handle were not enough to tell
			r.send(get("/defer/2"))
			r.posted = posted
		}},
	} {
		for _, post := range []func(d Deferred) error{
			func(d Deferred) error { return d.Reply(200, "", nil) },
			func(d Deferred) error { return d.Do(hello) },
		} {
			r, d := deferring(t)
			if err := post(d); err != nil {
				t.Fatal(err)
			}
			row.end(r)
			state := r.m.State()
			r.runPosted()
			r.wantOut("")
			r.wantState(state)
		}
	}
}

func TestDeferredDo(t *testing.T) {
	nothing := func(*Conn) {}
	for _, row := range []struct {
		about string
		do    []func(c *Conn)
		out   string
		log   []string
		after State
	}{
		{"replies", []func(*Conn){hello}, lateReply("hello\n"), []string{"after 1: <nil>"}, Idle},
		{"with fields", []func(*Conn){func(c *Conn) { c.SetHeader("A", "1"); hello(c) }}, ok("hello\n", "X-Deferred: yes", "A: 1"), []string{"after 1: <nil>"}, Idle},
		{"leaves it to a later call", []func(*Conn){nothing, hello}, lateReply("hello\n"), []string{"after 1: <nil>"}, Idle},
		{"sets a field for a later call", []func(*Conn){func(c *Conn) { c.SetHeader("A", "1") }, hello}, ok("hello\n", "X-Deferred: yes", "A: 1"), []string{"after 1: <nil>"}, Idle},
		{"leaves it to nobody", []func(*Conn){nothing}, "", nil, Pending},
		{"replies twice", []func(*Conn){func(c *Conn) { hello(c); hello(c) }}, lateReply("hello\n"), []string{"fault: second reply to a request", "after 1: <nil>"}, Idle},
		{"replies in two calls", []func(*Conn){hello, hello}, lateReply("hello\n"), []string{"after 1: <nil>"}, Idle},
		{"panics", []func(*Conn){func(c *Conn) { panic("oops") }}, page("500 Internal Server Error"), []string{"fault: handler panicked: oops", "after 1: <nil>"}, Idle},
		{"panics behind the reply", []func(*Conn){func(c *Conn) { hello(c); panic("oops") }}, lateReply("hello\n"), []string{"fault: handler panicked: oops", "after 1: <nil>"}, Idle},
		{"closes", []func(*Conn){func(c *Conn) { c.CloseAfterReply(); hello(c) }}, ok("hello\n", "X-Deferred: yes", "Connection: close"), []string{"after 1: <nil>"}, Linger},
		{"sees the request", []func(*Conn){func(c *Conn) { c.Reply(200, "text/plain", c.Request().Path()) }}, lateReply("/defer/1"), []string{"after 1: <nil>"}, Idle},
		{"defers once more", []func(*Conn){func(c *Conn) { c.Defer() }, hello}, lateReply("hello\n"), []string{"after 1: <nil>"}, Idle},
	} {
		t.Run(row.about, func(t *testing.T) {
			r, d := deferring(t)
			for _, f := range row.do {
				if err := d.Do(f); err != nil {
					t.Error(err)
				}
			}
			r.runPosted()
			r.wantOut(row.out)
			r.wantLog(row.log...)
			r.wantState(row.after)
		})
	}
}

// Do and Reply keep their order, so that fields can be set for a reply.
func TestDoBeforeReply(t *testing.T) {
	r, d := deferring(t)
	wantError(t, "Do", d.Do(func(c *Conn) { c.SetHeader("A", "1") }), nil)
	wantError(t, "Reply", d.Reply(200, "text/plain", []byte("late")), nil)
	r.runPosted()
	r.wantOut(ok("late", "X-Deferred: yes", "A: 1"))
}

// Whoever has the right to reply first has it alone.
func TestDoCannotOvertakeAReply(t *testing.T) {
	r, d := deferring(t)
	for range 2 { // the second time on a connection that has seen the first
		wantError(t, "Do", d.Do(hello), nil)
		wantError(t, "Reply", d.Reply(200, "text/plain", []byte("late")), nil)
		r.runPosted()
		r.wantOut(lateReply("late"))
		r.wantLog("fault: second reply to a request", "after 1: <nil>")
		r.send(get("/defer/1"))
		d = r.deferred[len(r.deferred)-1]
	}
}

func TestHandlerThatDefersMay(t *testing.T) {
	var d Deferred
	deferAnd := func(f func(c *Conn)) Handler {
		return func(c *Conn) {
			d = c.Defer()
			f(c)
		}
	}
	for _, row := range []struct {
		about   string
		handler Handler
		out     string
		log     []string
		late    error
	}{
		{"reply itself", deferAnd(hello), ok("hello\n"), nil, ErrReplied},
		{"panic", deferAnd(func(*Conn) { panic("oops") }), page("500 Internal Server Error"), []string{"fault: handler panicked: oops"}, ErrReplied},
		{"reply by what it has", deferAnd(func(*Conn) { d.Reply(200, "text/plain", []byte("late")) }), ok("late"), nil, ErrReplied},
		{"do that and panic", deferAnd(func(*Conn) { d.Reply(200, "text/plain", []byte("late")); panic("oops") }), ok("late"), []string{"fault: handler panicked: oops"}, ErrReplied},
		{"not do both", deferAnd(func(c *Conn) { d.Reply(200, "text/plain", []byte("late")); hello(c) }), ok("late"), []string{"fault: second reply to a request"}, ErrReplied},
		{"defer twice", deferAnd(func(c *Conn) { c.Defer().Reply(200, "text/plain", []byte("late")) }), ok("late"), nil, ErrReplied},
	} {
		t.Run(row.about, func(t *testing.T) {
			r := newRig(t, Config{}, row.handler)
			for range 2 { // the second time on a connection that has seen the first
				r.send(get("/"))
				r.runPosted()
				r.wantOut(row.out)
				r.wantLog(row.log...)
				wantError(t, "a late Reply", d.Reply(200, "", nil), row.late)
				r.wantResting()
			}
		})
	}
}

func TestDeferredReplyIsDoneOnceOfMany(t *testing.T) {
	r, d := deferring(t)
	var replied, refused atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			switch err := d.Reply(200, "text/plain", []byte{'a' + byte(i)}); {
			case err == nil:
				replied.Add(1)
			case errors.Is(err, ErrReplied):
				refused.Add(1)
			}
			if <-d.Done(); !isClosed(d.Done()) {
				t.Error("Done is open again")
			}
		})
	}
	for r.m.State() == Pending {
		r.runPosted()
	}
	all.Wait()
	if replied.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d replied, %d were refused", replied.Load(), refused.Load())
	}
	if got := replies([]byte(r.takeOut())); got != 1 {
		t.Errorf("%d replies", got)
	}
}

// A deadline that passes while a reply is on its way leaves it its chance.
func TestDeadlineDoesNotOvertakeAReply(t *testing.T) {
	r, d := deferring(t)
	wantError(t, "Reply", d.Reply(200, "text/plain", []byte("late")), nil)
	r.m.Expire()
	r.wantState(Pending)
	r.runPosted()
	r.wantOut(lateReply("late"))
	r.wantState(Idle)
}

func TestLoopThatHasEnded(t *testing.T) {
	r, d := deferring(t)
	r.env.post = func(Handle, func(*Machine)) error { return ErrStopped }
	wantError(t, "Do", d.Do(hello), ErrStopped)
	wantError(t, "Reply", d.Reply(200, "", nil), ErrStopped)
}

func TestDeferredReplyCopiesItsBody(t *testing.T) {
	r, d := deferring(t)
	body := []byte("late")
	wantError(t, "Reply", d.Reply(200, "text/plain", body), nil)
	copy(body, "gone")
	r.runPosted()
	r.wantOut(lateReply("late"))
}

func TestDone(t *testing.T) {
	for _, row := range []struct {
		about string
		end   func(r *rig, d Deferred)
		want  bool
	}{
		{"nothing has happened", func(*rig, Deferred) {}, false},
		{"a reply is on its way", func(r *rig, d Deferred) { d.Reply(200, "", nil) }, false},
		{"a reply is made", func(r *rig, d Deferred) { d.Reply(200, "", nil); r.runPosted() }, true},
		{"the deadline", func(r *rig, d Deferred) { r.m.Expire() }, true},
		{"the client has sent FIN", func(r *rig, d Deferred) { r.sendFIN() }, true},
		{"the client has gone", func(r *rig, d Deferred) { r.m.Abandon(errReset) }, true},
	} {
		for _, early := range []bool{true, false} {
			r, d := deferring(t)
			var done <-chan struct{}
			if early {
				done = d.Done()
			}
			row.end(r, d)
			if !early {
				done = d.Done()
			}
			if isClosed(done) != row.want {
				t.Errorf("%s: closed %v; asked for before: %v", row.about, !row.want, early)
			}
			if d.Done() != done {
				t.Errorf("%s: not the same channel", row.about)
			}
		}
	}
}

// FIN is a hint. What was asked before it is answered, deferred or not.
func TestReplyBehindFIN(t *testing.T) {
	r, d := deferring(t, get("/hello"), get("/defer/2"), get("/hello"))
	r.sendFIN()
	if !isClosed(d.Done()) {
		t.Error("Done is open")
	}
	r.happen("reply one")
	r.wantState(Pending)
	if isClosed(r.deferred[0].Done()) {
		t.Error("Done of the next is closed, though nobody has said so again")
	}
	r.m.Leaving()
	if !isClosed(r.deferred[0].Done()) {
		t.Error("Done of the next is open")
	}
	r.happen("reply two")
	r.wantOut(lateReply("one") + ok("hello\n") + lateReply("two") + ok("hello\n"))
	r.wantState(Closed)
}

func TestLeavingIsForDeferredRepliesAlone(t *testing.T) {
	r := newRig(t, Config{}, nil)
	for _, in := range []string{"", "G", "ET /hello HTTP/1.1\r\nHost: a\r\n\r\n", get("/close")} {
		r.send(in)
		state := r.m.State()
		r.m.Leaving()
		r.wantState(state)
	}
}

// What a handler has seen before it deferred stays as it was.
func TestViewsStayWhileTheReplyIsDeferred(t *testing.T) {
	var path, host, body, cookie View
	r := newRig(t, Config{}, nil)
	r.env.SetHandler(func(c *Conn) {
		q := c.Request()
		path, host, body, cookie = q.Path(), q.Host(), q.Body(), q.Header("cookie")
		r.deferred = append(r.deferred, c.Defer())
	})
	r.send("POST /%61 HTTP/1.1\r\nHost: A\r\nCookie: a\r\nCookie: b\r\nContent-Length: 3\r\n\r\nabc"+get("/b"), get("/c"))
	r.wantState(Pending)
	if got := path.String() + host.String() + body.String() + cookie.String(); got != "/aaabca; b" {
		t.Error(got)
	}
}
