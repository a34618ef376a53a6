//go:build linux

package loop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
)

// patience is how long a test waits for what is bound to come.
const patience = 30 * time.Second

// within waits for a channel to be closed.
func within[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

// server is a loop on a scripted kernel, with a listener on loopback.
type server struct {
	*Loop
	t    testing.TB
	k    *script
	addr string
	end  chan error // what Run returned
}

// prepare makes a server that does not run yet.
func prepare(t testing.TB, h conn.Handler, o Options) *server {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	k := newScript(t)
	s := &server{Loop: newLoop(k, h, o), t: t, k: k, end: make(chan error, 1)}
	addr, err := s.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = addr.String()
	return s
}

// serve makes a server that runs. When the test ends, and its clients have gone,
// Run must return nil.
func serve(t testing.TB, h conn.Handler, o Options) *server {
	t.Helper()
	s := prepare(t, h, o)
	s.run()
	return s
}

func (s *server) run() {
	go func() { s.end <- s.Run() }()
	s.t.Cleanup(s.stop)
}

// stop ends the loop, which takes a few deadlines if a client is still there.
func (s *server) stop() {
	s.StopListening()
	s.SetTimeouts(Timeouts{Head: time.Second, Body: time.Second, Reply: time.Second, Write: time.Second, Idle: time.Second, Linger: time.Second})
	s.Post(func() { s.k.batch = nil })
	for range 10 {
		s.Post(func() { s.k.move(time.Minute) })
		done := make(chan struct{})
		if s.Post(func() { s.Post(func() { close(done) }) }) != nil { // a turn later
			break
		}
		select {
		case <-done:
		case err := <-s.end:
			s.end <- err
		}
	}
	if err := s.ended(); err != nil {
		s.t.Errorf("Run returned %v", err)
	}
}

// ended waits for Run to return.
func (s *server) ended() error {
	s.t.Helper()
	err := within(s.t, "Run to return", s.end)
	s.end <- err
	return err
}

// on has f run on the loop, and waits for that.
func (s *server) on(f func()) {
	s.t.Helper()
	done := make(chan struct{})
	if err := s.Post(func() { f(); close(done) }); err != nil {
		s.t.Fatal(err)
	}
	within(s.t, "a posted function", done)
}

// until waits for f to hold between two turns of the loop.
func (s *server) until(what string, f func() bool) {
	s.t.Helper()
	s.k.until(s.t, what, f)
}

// settled waits until the loop has done what it is doing, so that the log has it.
func (s *server) settled() { s.t.Helper(); s.on(func() {}) }

// held waits until so many connections are of each class, and none has more to do in
// the next turn.
func (s *server) held(want Held) {
	s.t.Helper()
	var have atomic.Value // a Held
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the last counts were %+v, not %+v", have.Load(), want)
		}
	}()
	s.until("other counts", func() bool {
		h := s.Held()
		have.Store(h)
		return h == want && len(s.again) == 0
	})
}

// pass has time pass, and waits until the loop has dealt with what was due.
func (s *server) pass(d time.Duration) {
	s.t.Helper()
	now := int64(s.k.move(d))
	s.until("the time", func() bool { return s.now >= now })
}

// client is a client's end of a connection.
type client struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

// dial connects a client, which is closed when the test ends.
func (s *server) dial() *client { s.t.Helper(); return dial(s.t, s.addr, 0) }

// dialNarrow connects a client whose socket never holds more than some KiB. Those
// of others do when they have begun to read.
func (s *server) dialNarrow() *client { s.t.Helper(); return dial(s.t, s.addr, 32<<10) }

func dial(t testing.TB, addr string, receiveBuffer int) *client {
	t.Helper()
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) (err error) {
		if receiveBuffer > 0 {
			c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
			})
		}
		return err
	}}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &client{nc.(*net.TCPConn), t, bufio.NewReader(nc)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// want reads a reply.
func (c *client) want(status int, body string) *http.Response {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("no reply: %v", err)
	}
	got, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("half a reply: %v", err)
	}
	if r.StatusCode != status || body != "" && string(got) != body {
		c.t.Fatalf("got %d and %.100q, want %d and %.100q", r.StatusCode, got, status, body)
	}
	return r
}

// ask sends a request and reads the reply.
func (c *client) ask(path string, status int, body string) {
	c.t.Helper()
	c.send(get(path))
	c.want(status, body)
}

// wantEnd wants FIN and nothing before it.
func (c *client) wantEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("got %.100q and %v, want the end", rest, err)
	}
}

// wantReset wants a reset, whatever comes before it.
func (c *client) wantReset() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.r); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("got %v, want a reset", err)
	}
}

// reset ends the connection with RST.
func (c *client) reset() {
	c.SetLinger(0)
	c.Close()
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" }

func post(body string) string {
	return fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// pattern is n bytes of which no two places look the same for long.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// site answers "/" with "hello", "/echo" with the request's body, "/big" with
// big, "/last" for the last time, and others with their path.
func site(c *conn.Conn) {
	switch r := c.Request(); string(r.Path()) {
	case "/":
		c.Reply(200, "text/plain", []byte("hello"))
	case "/echo":
		c.Reply(200, "text/plain", r.Body())
	case "/big":
		c.Reply(200, "text/plain", big)
	case "/last":
		c.CloseAfterReply()
		c.Reply(200, "text/plain", []byte("last"))
	default:
		c.Reply(200, "text/plain", r.Path())
	}
}

// big is more than sockets hold.
var big = pattern(16 << 20)

// later is a handler that defers, and hands each deferral to the test.
func later() (conn.Handler, chan conn.Deferred) {
	given := make(chan conn.Deferred, 1<<10)
	return func(c *conn.Conn) { given <- c.Defer() }, given
}

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// repeat is n times the same request.
func repeat(request string, n int) string { return strings.Repeat(request, n) }
