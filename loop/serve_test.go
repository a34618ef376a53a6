//go:build linux

package loop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
	"catboat/internal/kernel"
)

func TestConnectionsAreKept(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	for i := range 100 {
		path := fmt.Sprintf("/%d", i)
		c.ask(path, 200, path)
	}
}

func TestRequestsOfOneConnectionAreOneReadAndOneWriteEach(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	c.ask("/", 200, "hello")
	s.held(Held{Listeners: 1, Idle: 1})
	mark := s.k.mark()
	for range 10 {
		c.ask("/", 200, "hello")
		c.send(post("body"))
		c.want(200, "body")
	}
	s.held(Held{Listeners: 1, Idle: 1})
	reads, writes := s.k.count(mark, onRead), s.k.count(mark, onWrite)
	if others := s.k.calls(mark, onAccept, onCloseWrite, onUnacked, onAdd, onModify); reads != 20 || writes != 20 || len(others) > 0 {
		t.Errorf("20 requests: %d reads, %d writes, and %v", reads, writes, others)
	}
}

func TestPipelinedRequestsAreAnsweredInOneWrite(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	var requests strings.Builder
	for i := range 16 {
		requests.WriteString(get(fmt.Sprintf("/%d", i)))
	}
	c.send(requests.String())
	for i := range 16 {
		c.want(200, fmt.Sprintf("/%d", i))
	}
	s.settled()
	if n := s.k.count(0, onWrite); n != 1 {
		t.Errorf("%d writes", n)
	}
}

func TestBodiesAreEchoed(t *testing.T) {
	mib := string(pattern(1 << 20))
	chunks := func(body string) string {
		var b strings.Builder
		b.WriteString("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		for ; body != ""; body = body[min(len(body), 10007):] {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", min(len(body), 10007), body[:min(len(body), 10007)])
		}
		return b.String() + "0\r\n\r\n"
	}
	s := serve(t, site, Options{})
	for _, row := range []struct{ name, request, body string }{
		{"none", post(""), ""},
		{"one byte", post("x"), "x"},
		{"a MiB", post(mib), mib},
		{"a MiB in chunks", chunks(mib), mib},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			for range 2 {
				c.send(row.request)
				c.want(200, row.body)
			}
		})
	}
}

func TestSlowReaderGetsEveryByte(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	c.send(get("/big"))
	s.held(Held{Listeners: 1, Write: 1})
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r.Body)
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes of %d, or others; %v", len(got), len(big), err)
	}
	s.settled()
	full := false
	for _, e := range s.k.calls(0, onWrite, onModify) {
		switch {
		case e.call == onWrite:
			full = e.got < e.want
		case e.want&kernel.Out != 0 && !full:
			t.Fatal("watched for room when the socket had some")
		}
	}
}

func TestShortReplyIsNeverWaitedFor(t *testing.T) {
	s := serve(t, site, Options{})
	s.dial().ask("/", 200, "hello")
	s.settled()
	if made := s.k.calls(0, onModify); len(made) > 0 {
		t.Errorf("epoll_ctl to modify: %v", made)
	}
}

// The client of ten thousand requests that reads nothing.
func TestUnreadRepliesAreBoundedAndHoldUpNobody(t *testing.T) {
	const requests = 10_000
	body := strings.Repeat("x", 1<<10)
	s := serve(t, func(c *conn.Conn) { c.Reply(200, "", []byte(body)) }, Options{})
	c := s.dial()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, repeat(get("/"), requests))
		sent <- err
	}()
	s.held(Held{Listeners: 1, Write: 1})
	s.dial().ask("/", 200, body)
	s.on(func() {
		for _, slot := range s.machines.slots {
			if m := slot.m; m != nil && len(m.Output()) > 16<<10+len(body)+1<<10 {
				t.Errorf("%d bytes wait to be written", len(m.Output()))
			}
		}
	})
	for range requests {
		c.want(200, body)
	}
	if err := within(t, "the requests to be sent", sent); err != nil {
		t.Error(err)
	}
}

// A connection has 64 requests in a turn, so that others do not wait for it.
func TestPipelineTakesTurns(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	c.ask("/", 200, "hello")
	mark := s.k.mark()
	const requests = 1000
	c.send(repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", requests))
	for range requests {
		c.want(200, "hello")
	}
	s.settled()
	if n := s.k.count(mark, onWrite); n < requests/64 {
		t.Errorf("%d writes for %d requests", n, requests)
	}
}

func TestHalfClosedClientIsAnswered(t *testing.T) {
	for _, row := range []struct {
		name     string
		request  string
		statuses []int
	}{
		{"one request", get("/"), []int{200}},
		{"three", repeat(get("/"), 3), []int{200, 200, 200}},
		{"more than a turn's", repeat(get("/"), 100), slicesRepeat(200, 100)},
		{"a large reply", get("/big"), []int{200}},
		{"a whole one and half of one", get("/") + "GET / HT", []int{200, 400}},
		{"half of a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf", []int{400}},
		{"nothing", "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{})
			c := s.dial()
			c.send(row.request)
			c.CloseWrite()
			for _, status := range row.statuses {
				c.want(status, "")
			}
			c.wantEnd()
			s.held(Held{Listeners: 1})
		})
	}
}

func slicesRepeat(v, n int) (s []int) {
	for range n {
		s = append(s, v)
	}
	return s
}

func TestRefusedClientReadsTheAnswerThoughItGoesOnSending(t *testing.T) {
	for _, row := range []struct {
		name, request string
		status        int
	}{
		{"no request", "no request\r\n\r\n", 400},
		{"a body too large", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n", 413},
		{"a last reply of ours", get("/last"), 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{})
			c := s.dial()
			c.send(row.request)
			s.held(Held{Listeners: 1, Linger: 1})
			c.send(string(big[:1<<20]))
			c.want(row.status, "")
			c.wantEnd()
			c.send("more")
			c.Close()
			s.held(Held{Listeners: 1})
			if resets := s.k.count(0, onReset); resets > 0 {
				t.Error("reset")
			}
		})
	}
}

// The client has said that it sends no more, so its FIN need not be waited for.
func TestAnnouncedLastRequestClosesAtOnce(t *testing.T) {
	for _, row := range []struct {
		name, request string
		shutdowns     int
	}{
		{"close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 0},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 0},
		{"close behind another", get("/a") + "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 0},
		{"close with more behind it", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + get("/"), 1},
		{"not announced", get("/last"), 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{})
			c := s.dial()
			c.send(row.request)
			if strings.Contains(row.request, "/a") {
				c.want(200, "/a")
			}
			c.want(200, "")
			c.wantEnd()
			c.Close()
			s.held(Held{Listeners: 1})
			if n := s.k.count(0, onCloseWrite); n != row.shutdowns {
				t.Errorf("%d calls of shutdown(2), want %d", n, row.shutdowns)
			}
		})
	}
}

// A read that fills the buffer may have left something in the socket, and to
// close then would be to reset.
func TestAnnouncedLastRequestThatFillsTheBufferLingers(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	s := prepare(t, site, Options{})
	s.buffer = s.buffer[:len(request)]
	s.run()
	c := s.dial()
	c.send(request + "more")
	c.want(200, "hello")
	c.wantEnd()
	c.Close()
	s.held(Held{Listeners: 1})
}

// What a client sends behind its last request must not turn our FIN into a reset
// while the reply is still on its way.
func TestBytesBehindAnAnnouncedLastRequestDoNotCostItsReply(t *testing.T) {
	body := string(pattern(128 << 10)) // the kernel takes all of it, the client's socket does not
	const request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	s := prepare(t, func(c *conn.Conn) { c.Reply(200, "", []byte(body)) }, Options{})
	s.k.short(onWrite, 1)
	s.run()
	c := s.dialNarrow()
	c.send(request)
	s.held(Held{Listeners: 1, Linger: 1})
	c.send("more")
	s.read(len(request + "more"))
	s.settled()
	c.send("and more")
	c.want(200, body)
	c.wantEnd()
}

func TestFaultsOfCallsAreNotTheClients(t *testing.T) {
	body := string(pattern(1000))
	for _, row := range []struct {
		name string
		plan func(k *script)
	}{
		{"read interrupted", func(k *script) { k.fail(onRead, syscall.EINTR, syscall.EINTR) }},
		{"read with nothing there", func(k *script) { k.fail(onRead, syscall.EAGAIN) }},
		{"short reads", func(k *script) { k.short(onRead, 1, 1, 2, 30, 40, 1) }},
		{"write interrupted", func(k *script) { k.fail(onWrite, syscall.EINTR, syscall.EINTR) }},
		{"write to a full socket", func(k *script) { k.fail(onWrite, syscall.EAGAIN) }},
		{"short writes", func(k *script) { k.short(onWrite, 1, 1, 2, 30, 40, 1) }},
		{"short writes and interruptions", func(k *script) {
			k.short(onWrite, 1)
			k.fail(onWrite, syscall.EINTR)
			k.short(onWrite, 7)
			k.fail(onWrite, syscall.EAGAIN)
		}},
		{"wait interrupted", func(k *script) { k.fail(onWait, syscall.EINTR, syscall.EINTR) }},
		{"one event at a time", func(k *script) { k.plan(onWait, fault{most: 1, stays: true}) }},
		{"no room watched for", func(k *script) {
			k.short(onWrite, 1)
			k.fail(onModify, syscall.ENOMEM)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := prepare(t, site, Options{})
			row.plan(s.k)
			s.run()
			c := s.dial()
			c.send(post(body) + post(body+body))
			if row.name == "no room watched for" {
				s.held(Held{Listeners: 1, Write: 1})
				s.pass(pause)
			}
			c.want(200, body)
			c.want(200, body+body)
		})
	}
}

// A connection may be reset whatever it is waiting for.
func TestResetEndsAConnectionInEveryState(t *testing.T) {
	for _, row := range []struct {
		state string
		send  string
		reply string // what the client reads before it goes
		class Held
		hooks int // functions of AfterReply that must be told
	}{
		{"fresh", "", "", Held{Head: 1}, 0},
		{"head", "GET / HT", "", Held{Head: 1}, 0},
		{"body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf", "", Held{Body: 1}, 0},
		{"pending", get("/later"), "", Held{Reply: 1}, 1},
		{"pending with more behind it", get("/later") + get("/"), "", Held{Reply: 1}, 1},
		{"idle", get("/"), "hello", Held{Idle: 1}, 0},
		{"writing", get("/big"), "", Held{Write: 1}, 1},
		{"writing its last", "GET /big HTTP/1.0\r\n\r\n", "", Held{Write: 1}, 1},
		{"linger", get("/last"), "last", Held{Linger: 1}, 0},
	} {
		t.Run(row.state, func(t *testing.T) {
			var told []error
			given := make(chan conn.Deferred, 1)
			s := serve(t, func(c *conn.Conn) {
				path := string(c.Request().Path())
				if path == "/later" || path == "/big" {
					c.AfterReply(func(_ *conn.Conn, err error) { told = append(told, err) })
				}
				if path == "/later" {
					given <- c.Defer()
					return
				}
				site(c)
			}, Options{})
			c := s.dial()
			c.send(row.send)
			if row.reply != "" {
				c.want(200, row.reply)
			}
			row.class.Listeners = 1
			s.held(row.class)
			c.reset()
			s.held(Held{Listeners: 1})
			s.on(func() {
				if len(told) != row.hooks || row.hooks > 0 && told[0] != conn.ErrGone {
					t.Errorf("AfterReply was told %v", told)
				}
			})
			if row.class.Reply > 0 {
				d := <-given
				within(t, "Done", d.Done())
				if err := d.Reply(200, "", nil); err != conn.ErrGone {
					t.Errorf("Reply returned %v", err)
				}
			}
		})
	}
}

// Replies come from everywhere while clients come and go. Each reply is a
// client's own, or an error.
func TestDeferredRepliesReachNobodyElse(t *testing.T) {
	var replied, gone atomic.Int64
	s := serve(t, func(c *conn.Conn) {
		path, d := c.Request().Path().String(), c.Defer()
		go func() {
			switch err := d.Reply(200, "", []byte(path)); {
			case err == nil:
				replied.Add(1)
			case errors.Is(err, conn.ErrGone):
				gone.Add(1)
			default:
				t.Errorf("Reply: %v", err)
			}
		}()
	}, Options{})
	const clients, requests = 16, 20
	done := make(chan struct{})
	for i := range clients {
		go func() {
			defer func() { done <- struct{}{} }()
			for j := range requests {
				c := s.dial()
				path := fmt.Sprintf("/%d/%d", i, j)
				switch c.send(get(path)); j % 3 {
				case 0:
					c.reset()
				case 1:
					c.Close()
				case 2:
					if r, err := http.ReadResponse(c.r, nil); err != nil {
						t.Error(err)
					} else if body, _ := io.ReadAll(r.Body); string(body) != path {
						t.Errorf("%q got the reply to %q", path, body)
					}
					c.Close()
				}
			}
		}()
	}
	for range clients {
		within(t, "a client", done)
	}
	s.held(Held{Listeners: 1})
	if n := replied.Load(); n < clients*requests/3 {
		t.Errorf("%d replies, %d clients gone", n, gone.Load())
	}
}

func TestDoneIsClosedWhenTheClientSendsFIN(t *testing.T) {
	for _, row := range []struct {
		name, behind string
	}{
		{"alone", ""},
		{"behind a next request", get("/")},
		{"behind many bytes", repeat(get("/"), 1000)},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, given := later()
			s := serve(t, h, Options{})
			c := s.dial()
			c.send(get("/"))
			d := within(t, "the handler", given)
			c.send(row.behind)
			s.settled()
			select {
			case <-d.Done():
				t.Error("Done is closed, and the client is there")
			default:
			}
			c.CloseWrite()
			within(t, "Done", d.Done())
			if err := d.Reply(200, "", []byte("still written")); err != nil {
				t.Error(err)
			}
			c.want(200, "still written")
		})
	}
}

// The FIN is seen once, but every request that came before it has a Done.
func TestDoneIsClosedForEveryRequestBeforeTheFIN(t *testing.T) {
	h, given := later()
	s := serve(t, h, Options{})
	c := s.dial()
	c.send(repeat(get("/"), 3))
	c.CloseWrite()
	for range 3 {
		d := within(t, "the handler", given)
		within(t, "Done", d.Done())
		d.Reply(200, "", []byte("late"))
		c.want(200, "late")
	}
	c.wantEnd()
}

// An event that belongs to a connection that was closed in the same batch must
// not touch the one that has its descriptor now.
func TestStaleEventsAreDropped(t *testing.T) {
	s := prepare(t, site, Options{})
	turn := func() {
		t.Helper()
		if err := s.turn(); err != nil {
			t.Fatal(err)
		}
	}
	a := s.dial()
	for s.EpollSize() < 2 {
		turn()
	}
	fd := s.k.calls(0, onAdd)[1].fd
	stale := kernel.Event{Events: kernel.Hup | kernel.Err, Fd: int32(fd), Pad: int32(s.records.at(int32(fd)).generation)}
	b := s.dial()
	played := false
	s.k.batch = func(real []kernel.Event) []kernel.Event {
		for _, e := range real {
			if int(e.Fd) == s.listeners[0].fd && !played {
				played = true
				return []kernel.Event{stale, e, stale, stale}
			}
		}
		return nil
	}
	s.k.accepts = fd
	for !played {
		turn()
	}
	if r := s.records.at(int32(fd)); r.kind != isConn || r.generation != uint32(stale.Pad)+1 || s.EpollSize() != 2 {
		t.Fatalf("descriptor %d is %+v, EpollSize %d", fd, *r, s.EpollSize())
	}
	a.Close()
	s.k.batch = nil
	s.run()
	b.ask("/", 200, "hello")
}

func TestWaitThatFailsEndsRun(t *testing.T) {
	s := prepare(t, site, Options{})
	go func() { s.end <- s.Run() }()
	s.until("a turn", func() bool {
		s.k.fail(onWait, syscall.EBADF)
		s.Post(func() { t.Error("called after Run") })
		return true
	})
	if err := s.ended(); !errors.Is(err, syscall.EBADF) || !strings.Contains(err.Error(), "epoll_wait") {
		t.Errorf("Run returned %v", err)
	}
	if err := s.Post(func() {}); err != ErrStopped {
		t.Errorf("Post returned %v", err)
	}
}

func TestManyLoopsLiveInOneProcess(t *testing.T) {
	var loops []*server
	for i := range 4 {
		name := []byte{byte('a' + i)}
		loops = append(loops, serve(t, func(c *conn.Conn) { c.Reply(200, "", name) }, Options{}))
	}
	for i, s := range loops {
		s.dial().ask("/", 200, string(rune('a'+i)))
		if n := s.EpollSize(); n != 2 {
			t.Errorf("EpollSize %d", n)
		}
	}
}

func TestDateIsOfThePresentSecond(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	for range 3 {
		c.send(get("/"))
		r := c.want(200, "hello")
		_, wall := s.k.Now()
		if got, want := r.Header.Get("Date"), wall.UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date: %s, want %s", got, want)
		}
		s.pass(time.Second)
	}
}
