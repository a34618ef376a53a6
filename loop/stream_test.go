//go:build linux

package loop

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"catboat/conn"
	"catboat/internal/kernel"
)

// echo sends a body back as it comes, by a goroutine.
func echo(t testing.TB) conn.Handler {
	return func(c *conn.Conn) {
		in, out := c.StreamBody(), c.ReplyStream(200, "", -1)
		go func() {
			if _, err := io.Copy(out, in); err != nil {
				out.Abort(err)
				t.Errorf("copying: %v", err)
				return
			}
			out.Close()
		}()
	}
}

// source is n bytes that are made as they are read.
func source(n int64) io.Reader { return io.LimitReader(new(repeating), n) }

type repeating struct{ at int }

func (r *repeating) Read(p []byte) (n int, err error) {
	n = copy(p, big[r.at:])
	r.at = (r.at + n) % len(big)
	return n, nil
}

func TestUploadIsSentBackWhileItComes(t *testing.T) {
	const length = 50 << 20
	for _, row := range []struct {
		name string
		h    conn.Handler
	}{
		{"by a goroutine", echo(t)},
		{"on the loop", func(c *conn.Conn) {
			in, out := c.StreamBody(), c.ReplyStream(200, "", -1)
			in.Each(func(_ *conn.Conn, p []byte, err error) int {
				if err != nil {
					out.Close()
				}
				n, _ := out.TryWrite(p, in.Resume)
				return n
			})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := prepare(t, row.h, Options{HeadFirst: true})
			most := 0 // bytes that wait to be written
			s.k.batch = func(real []kernel.Event) []kernel.Event {
				for _, slot := range s.machines.slots {
					if slot.m != nil {
						most = max(most, len(slot.m.Output()))
					}
				}
				return real
			}
			s.run()
			c := s.dial()
			sent := make(chan error, 1)
			go func() {
				io.WriteString(c, upload("/", length))
				_, err := io.Copy(c.TCPConn, source(length))
				sent <- err
			}()
			r, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, want := sha256.New(), sha256.New()
			io.Copy(want, source(length))
			if n, err := io.Copy(got, r.Body); err != nil || n != length {
				t.Fatalf("%d bytes, %v", n, err)
			}
			if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Error("other bytes")
			}
			if err := within(t, "the upload", sent); err != nil {
				t.Error(err)
			}
			s.held(Held{Listeners: 1, Idle: 1})
			if s.on(func() {}); most > 256<<10+64<<10+64 {
				t.Errorf("%d bytes waited to be written", most)
			}
		})
	}
}

// A client that sends and does not read has to wait: the server takes in no more
// than a few buffers.
func TestUploaderWaitsForWhoDoesNotRead(t *testing.T) {
	s := serve(t, echo(t), Options{HeadFirst: true, Timeouts: Timeouts{Write: -1}})
	c := s.dialNarrow()
	const length = 64 << 20
	sent := make(chan error, 1)
	go func() {
		io.WriteString(c, upload("/", length))
		_, err := io.Copy(c.TCPConn, source(length))
		sent <- err
	}()
	s.until("the output to stop, and then the input", func() bool {
		h := s.Held()
		return h == Held{Listeners: 1, Write: 1} && s.records.at(s.waiting[conn.ForWrite].head).interest&kernel.In == 0
	})
	in, out := 0, 0
	s.on(func() {
		for _, e := range s.k.calls(0, onRead) {
			in += e.got
		}
		for _, e := range s.k.calls(0, onWrite) {
			out += e.got
		}
	})
	if in-out > 1<<20 {
		t.Errorf("%d bytes are read, and %d written", in, out)
	}
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r.Body); n != length || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := within(t, "the upload", sent); err != nil {
		t.Error(err)
	}
}

// Streams are written by many goroutines at once, each to a client of its own.
func TestManyStreamsAtOnce(t *testing.T) {
	const clients, requests, pieces = 20, 5, 50
	s := serve(t, func(c *conn.Conn) {
		path := c.Request().Path().String()
		out := c.ReplyStream(200, "", -1)
		go func() {
			for i := range pieces {
				if _, err := fmt.Fprintf(out, "%s/%d ", path, i); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
			if err := out.Close(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			within(t, "Done", out.Done())
			if _, err := out.Write([]byte("more")); err != conn.ErrReplied {
				t.Errorf("a write behind Close gives %v", err)
			}
		}()
	}, Options{})
	var all sync.WaitGroup
	for i := range clients {
		c := s.dial()
		all.Go(func() {
			for j := range requests {
				io.WriteString(c, get(fmt.Sprintf("/%d/%d", i, j)))
			}
			for j := range requests {
				var want strings.Builder
				for k := range pieces {
					fmt.Fprintf(&want, "/%d/%d/%d ", i, j, k)
				}
				r, err := http.ReadResponse(c.r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(r.Body); err != nil || string(got) != want.String() {
					t.Errorf("got %.100q, %v", got, err)
				}
			}
			c.Close()
		})
	}
	all.Wait()
	s.held(Held{Listeners: 1})
}

// streams is a handler that hands each stream to the test.
func streams() (conn.Handler, chan *conn.Stream) {
	given := make(chan *conn.Stream, 100)
	return func(c *conn.Conn) { given <- c.ReplyStream(200, "", -1) }, given
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestResetEndsAStreamForItsWriter(t *testing.T) {
	for _, row := range []struct {
		name    string
		waiting bool // the writer waits for room then
	}{
		{"between two writes", false},
		{"in a write", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, given := streams()
			s := serve(t, h, Options{})
			c := s.dial()
			c.send(get("/"))
			out := within(t, "the stream", given)
			wrote := make(chan error, 1)
			if row.waiting {
				go func() {
					_, err := io.Copy(out, source(1<<30))
					wrote <- err
				}()
				s.held(Held{Listeners: 1, Write: 1})
			}
			c.reset()
			within(t, "Done", out.Done())
			if !row.waiting {
				_, err := out.Write([]byte("x"))
				wrote <- err
			}
			if err := within(t, "the write", wrote); err != conn.ErrGone {
				t.Errorf("Write returned %v", err)
			}
			if err := out.Close(); err != conn.ErrGone {
				t.Errorf("Close returned %v", err)
			}
			s.held(Held{Listeners: 1})
		})
	}
}

// FIN is a hint that NoHint keeps from Done. Either way the reply goes on.
func TestStreamGoesOnBehindFIN(t *testing.T) {
	for _, noHint := range []bool{false, true} {
		t.Run(fmt.Sprint("NoHint ", noHint), func(t *testing.T) {
			h, given := streams()
			s := serve(t, h, Options{NoHint: noHint})
			c := s.dial()
			c.send(get("/"))
			out := within(t, "the stream", given)
			done := out.Done()
			c.CloseWrite()
			if !noHint {
				within(t, "Done", done)
			}
			s.until("FIN to be seen", func() bool {
				return s.records.at(s.waiting[conn.ForMore].head).interest&kernel.RDHup == 0
			})
			for range 10 {
				if _, err := out.Write([]byte("still written ")); err != nil {
					t.Fatal(err)
				}
				s.settled()
			}
			if noHint && isClosed(done) {
				t.Error("Done is closed")
			}
			out.Close()
			c.want(200, strings.Repeat("still written ", 10))
			within(t, "Done", done)
			c.wantEnd()
			s.held(Held{Listeners: 1})
		})
	}
}

func TestNoHintKeepsTheDoneOfADeferralOpen(t *testing.T) {
	h, given := later()
	s := serve(t, h, Options{NoHint: true})
	c := s.dial()
	c.send(repeat(get("/"), 2))
	c.CloseWrite()
	for range 2 {
		d := within(t, "the handler", given)
		s.until("FIN to be seen", func() bool {
			return s.records.at(s.waiting[conn.ForReply].head).interest&kernel.RDHup == 0
		})
		if isClosed(d.Done()) {
			t.Error("Done is closed")
		}
		d.Reply(200, "", []byte("late"))
		within(t, "Done", d.Done())
		c.want(200, "late")
	}
	c.wantEnd()
}

// When Run has returned nobody waits for the loop any more.
func TestStreamAndBodyBehindRunFail(t *testing.T) {
	var out *conn.Stream
	var in *conn.Body
	s := serve(t, func(c *conn.Conn) {
		in, out = c.StreamBody(), c.ReplyStream(200, "", -1)
	}, Options{HeadFirst: true})
	c := s.dial()
	c.send(upload("/", 10) + "half")
	s.held(Held{Listeners: 1, Body: 1})
	s.StopListening()
	s.Cut()
	if err := s.ended(); err != nil {
		t.Fatal(err)
	}
	c.wantReset()
	if _, err := out.Write([]byte("x")); err != conn.ErrGone {
		t.Errorf("Write returned %v", err)
	}
	if _, err := out.TryWrite([]byte("x"), nil); err != conn.ErrGone {
		t.Errorf("TryWrite returned %v", err)
	}
	if err := out.Close(); err != conn.ErrGone {
		t.Errorf("Close returned %v", err)
	}
	if got, err := io.ReadAll(in); string(got) != "half" || err != conn.ErrGone {
		t.Errorf("got %q, %v", got, err)
	}
	if !isClosed(out.Done()) {
		t.Error("Done is open")
	}
}

// On the loop's goroutine nobody would ever make room, or bring bytes.
func TestToWaitOnTheLoopIsAPanic(t *testing.T) {
	for _, row := range []struct {
		name string
		h    conn.Handler
		says string
		want func(c *client)
	}{
		{"read", func(c *conn.Conn) {
			c.StreamBody().Read(make([]byte, 1))
		}, "Body.Read waits", func(c *client) { c.want(500, "") }},
		{"write", func(c *conn.Conn) {
			c.ReplyStream(200, "", -1).Write(make([]byte, 1<<20))
		}, "Stream.Write waits", func(c *client) {
			r, err := http.ReadResponse(c.r, nil)
			if err != nil {
				c.t.Fatal(err)
			}
			if _, err := io.ReadAll(r.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				c.t.Errorf("the reply ends with %v", err)
			}
		}},
		{"write of little", func(c *conn.Conn) {
			out := c.ReplyStream(200, "", -1)
			out.Write([]byte("little"))
			out.Close()
		}, "", func(c *client) { c.want(200, "little") }},
		{"read in a posted function", func(c *conn.Conn) {
			in, d := c.StreamBody(), c.Defer()
			d.Do(func(*conn.Conn) { in.Read(make([]byte, 1)) })
		}, "Body.Read waits", func(c *client) { c.want(500, "") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log strings.Builder
			s := serve(t, row.h, Options{HeadFirst: true, Logger: textLogger(&log)})
			c := s.dial()
			c.send(upload("/", 10))
			row.want(c)
			s.SetHandler(site)
			s.dial().ask("/", 200, "hello")
			s.settled()
			if !strings.Contains(log.String(), row.says) {
				t.Errorf("no %q in %s", row.says, &log)
			}
		})
	}
}

func TestAPanicThatEndsRunLeavesNobodyWaiting(t *testing.T) {
	l, err := New(nil, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	l.SetHandler(func(c *conn.Conn) {
		s := c.ReplyStream(200, "", -1)
		go func() {
			var err error
			for err == nil {
				_, err = s.Write(big)
			}
			wrote <- err
		}()
	})
	addr, err := l.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		l.Run()
	}()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, get("/"))
	var one [1]byte
	c.Read(one[:]) // the stream has begun
	l.Post(func() { panic("a fault of the program's") })
	if within(t, "the panic", ended) == nil {
		t.Error("no panic")
	}
	if err := within(t, "the writer's end", wrote); err != ErrStopped {
		t.Errorf("the writer got %v", err)
	}
}
