//go:build linux

package loop

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
)

// upload is the head of a request with a body of so many bytes.
func upload(path string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", path, length)
}

// dripper is a client that sends bytes one wait apart.
type dripper struct {
	*client
	s    *server
	sent int
}

// drips sends a head, which the loop has read when it returns.
func (s *server) drips(head string) *dripper {
	s.t.Helper()
	d := &dripper{client: s.dial(), s: s}
	d.drip(head)
	return d
}

// drip sends what the loop reads at the present time.
func (d *dripper) drip(p string) {
	d.t.Helper()
	d.send(p)
	d.sent += len(p)
	d.s.read(d.sent)
	d.s.settled()
}

// step is times of waiting, with so many bytes behind each.
type step struct {
	times int
	wait  time.Duration
	bytes int
}

func TestBodyIsHeldToAMinimumRate(t *testing.T) {
	const s, kib = time.Second, 1 << 10
	for _, row := range []struct {
		name    string
		set     Timeouts
		steps   []step // after which it is still there
		refused []step // or after these not
	}{
		{"a byte at a time", Timeouts{}, []step{{1, 9 * s, 1}}, []step{{1, s, 1}}},
		{"a byte just before each deadline", Timeouts{}, nil, []step{{1, 20*s - 1, 1}}},
		{"exactly the rate", Timeouts{}, []step{{100, s, kib}}, nil},
		{"a byte less", Timeouts{}, []step{{9, s, kib}}, []step{{1, s, kib - 1}}},
		{"an honest 2 KiB a second", Timeouts{}, []step{{300, s, 2 * kib}}, nil},
		{"in bursts", Timeouts{}, []step{{20, 15 * s, 16 * kib}}, nil},
		{"a burst, then nothing", Timeouts{}, []step{{1, 0, 1024 * kib}, {1, 20*s - 1, 0}}, []step{{1, 1, 0}}},
		{"a burst buys the rest of its window", Timeouts{}, []step{{1, 0, 1024 * kib}, {2, 9 * s, 1}, {1, 9 * s, 1}}, []step{{1, s, 1}}},
		{"slow once in a while", Timeouts{}, []step{{10, s, 2 * kib}, {9, s, 1}}, []step{{1, s, 1}}},
		{"no rate", Timeouts{MinRate: -1}, []step{{60, 19 * s, 1}}, nil},
		{"no grace is for ever", Timeouts{Grace: -1}, []step{{60, 19 * s, 1}}, nil},
		{"a lower rate", Timeouts{MinRate: 10}, []step{{30, s, 10}, {9, s, 9}}, []step{{1, s, 9}}},
		{"a longer grace", Timeouts{Grace: time.Minute}, []step{{11, 5 * s, 1}}, []step{{1, 5 * s, 1}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{Timeouts: row.set, Limits: conn.Limits{MaxBody: 4 << 20}})
			d := s.drips(upload("/echo", 4<<20))
			d.steps(row.steps)
			s.held(Held{Listeners: 1, Body: 1})
			d.steps(row.refused)
			if row.refused != nil {
				d.want(408, "")
			}
		})
	}
}

// Who is late with the end of a body is answered, and begins anew.
func TestSlowBodyThatHasEndedIsAnswered(t *testing.T) {
	s := serve(t, site, Options{})
	d := s.drips(upload("/echo", 3) + "ab")
	s.pass(19 * time.Second)
	d.drip("c" + upload("/echo", 9))
	d.want(200, "abc")
	for range 9 {
		s.held(Held{Listeners: 1, Body: 1})
		s.pass(time.Second)
		d.drip("x")
	}
	d.want(200, "xxxxxxxxx")
}

func (d *dripper) steps(all []step) {
	d.t.Helper()
	for _, p := range all {
		for range p.times {
			d.s.pass(p.wait)
			d.drip(strings.Repeat("x", p.bytes))
		}
	}
}

func TestRateOfSetTimeoutsIsInForceAtOnce(t *testing.T) {
	for _, row := range []struct {
		name    string
		before  Timeouts
		set     Timeouts
		refused bool
	}{
		{"a rate", Timeouts{MinRate: -1}, Timeouts{MinRate: 1}, true},
		{"none", Timeouts{}, Timeouts{MinRate: -1}, false},
		{"a shorter grace", Timeouts{Grace: time.Hour}, Timeouts{Grace: time.Second}, true},
		{"zero keeps the rate", Timeouts{}, Timeouts{Idle: time.Minute}, true},
		{"zero keeps none", Timeouts{MinRate: -1}, Timeouts{Idle: time.Minute}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{Timeouts: row.before})
			d := s.drips(upload("/echo", 100))
			d.steps([]step{{1, 9 * time.Second, 1}})
			s.SetTimeouts(row.set)
			d.steps([]step{{1, 19 * time.Second, 1}})
			if row.refused {
				d.want(408, "")
				return
			}
			s.held(Held{Listeners: 1, Body: 1})
		})
	}
}

// Whatever is done with a body, a client that drips it is refused.
func TestEveryKindOfBodyIsHeldToTheRate(t *testing.T) {
	ended := make(chan error, 1)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	var s *server
	for _, row := range []struct {
		name string
		h    conn.Handler
	}{
		{"read by a goroutine", func(c *conn.Conn) {
			b, d := c.StreamBody(), c.Defer()
			go func() {
				_, err := io.Copy(io.Discard, b)
				end(err)
				d.Reply(200, "", nil)
			}()
		}},
		{"on the loop", func(c *conn.Conn) {
			c.StreamBody().Each(func(_ *conn.Conn, p []byte, err error) int {
				if err != nil {
					end(err)
				}
				return len(p)
			})
		}},
		{"sent back at once", func(c *conn.Conn) {
			out := c.ReplyStream(200, "", -1)
			c.StreamBody().Each(func(_ *conn.Conn, p []byte, err error) int {
				if err != nil {
					end(err)
					out.Abort(err)
				}
				n, _ := out.TryWrite(p, nil)
				return n
			})
		}},
		{"sent back by a goroutine", func(c *conn.Conn) {
			out, b := c.ReplyStream(200, "", -1), c.StreamBody()
			go func() {
				_, err := io.Copy(out, b)
				end(err)
				out.Abort(io.ErrUnexpectedEOF)
			}()
		}},
		{"while events are sent", func(c *conn.Conn) {
			out := c.ReplyStream(200, "", -1)
			var event func()
			event = func() {
				if _, err := out.TryWrite([]byte("event"), nil); err == nil {
					s.After(time.Second, event)
				}
			}
			event()
			c.StreamBody().Each(func(_ *conn.Conn, p []byte, err error) int {
				if err != nil {
					end(err)
					out.Abort(err)
				}
				return len(p)
			})
		}},
		{"while pieces are sent", func(c *conn.Conn) {
			c.ReplyResumable(200, "", -1, conn.NewResumable("tick", func(p *conn.Piece) conn.Next {
				p.WriteString("tick")
				return conn.After(time.Second)
			}), nil)
			c.StreamBody().Each(func(c *conn.Conn, p []byte, err error) int {
				if err != nil {
					end(err)
				}
				return len(p)
			})
		}},
	} {
		for _, every := range []time.Duration{time.Second, 4 * time.Second, 30 * time.Second} {
			t.Run(fmt.Sprint(row.name, ", a byte each ", every), func(t *testing.T) {
				s = prepare(t, row.h, Options{HeadFirst: true})
				s.run()
				d := s.drips(upload("/", 1000))
				for range 40 * time.Second / every {
					for range every / time.Second {
						s.pass(time.Second)
					}
					if _, err := io.WriteString(d.client, "x"); err != nil {
						break // a reply has been broken off
					}
					s.settled()
				}
				if err := within(t, "the end of the body", ended); !errors.Is(err, conn.ErrBody) {
					t.Errorf("it ended with %v", err)
				}
				d.client.reset()
			})
		}
	}
}

// A body that nobody takes waits in the client, and that is not the client's fault.
func TestHandlersOwnTimeIsNotTheClients(t *testing.T) {
	const length = 1 << 20
	bodies, given := make(chan *conn.Body, 1), make(chan conn.Deferred, 1)
	s := serve(t, func(c *conn.Conn) {
		bodies <- c.StreamBody()
		given <- c.Defer()
	}, Options{HeadFirst: true})
	c := s.dial()
	c.send(upload("/", length))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(big[:length-1])
		sent <- err
	}()
	b, d := within(t, "the body", bodies), within(t, "the deferral", given)
	half := make([]byte, length/2)
	for range 3 {
		s.held(Held{Listeners: 1, Reply: 1})
		s.pass(4 * time.Minute)
		s.held(Held{Listeners: 1, Reply: 1})
		if _, err := io.ReadFull(b, half[:100<<10]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(b, make([]byte, length-1-3*100<<10)); err != nil {
		t.Fatal(err)
	}
	if err := within(t, "the client", sent); err != nil {
		t.Fatal(err)
	}
	s.held(Held{Listeners: 1, Body: 1})
	s.pass(9 * time.Second)
	c.send("x")
	if n, err := io.ReadFull(b, make([]byte, 1)); n != 1 || err != nil {
		t.Fatal(err)
	}
	d.Reply(200, "", []byte("all"))
	c.want(200, "all")
}

func TestQuietBetweenTheEventsOfAStreamDoesNotCount(t *testing.T) {
	given := make(chan *conn.Stream, 1)
	s := serve(t, func(c *conn.Conn) { given <- c.ReplyStream(200, "", -1) }, Options{})
	c := s.dial()
	c.send(get("/"))
	out := within(t, "the stream", given)
	for range 20 {
		s.held(Held{Listeners: 1, Stream: 1})
		s.pass(10 * time.Minute)
		if _, err := out.Write([]byte("event")); err != nil {
			t.Fatal(err)
		}
	}
	out.Close()
	c.want(200, strings.Repeat("event", 20))
}

// The kernel tells at each deadline how much the client has acknowledged.
func TestOutputIsHeldToAMinimumRateAtEachDeadline(t *testing.T) {
	const kib = 1 << 10
	for _, row := range []struct {
		name  string
		set   Timeouts
		acked []int // in KiB, before each deadline
		lives bool
	}{
		{"a little", Timeouts{}, []int{1}, false},
		{"just enough", Timeouts{}, []int{20, 20, 20, 20}, true},
		{"less at last", Timeouts{}, []int{20, 20, 20, 19}, false},
		{"much at first", Timeouts{}, []int{10000, 1}, false},
		{"no rate", Timeouts{MinRate: -1}, []int{1, 1, 1, 1}, true},
		{"no rate, and nothing", Timeouts{MinRate: -1}, []int{1, 0}, false},
		{"no grace", Timeouts{Grace: -1}, []int{1, 1, 1, 1}, true},
		{"a longer grace", Timeouts{Grace: time.Minute}, []int{1, 1}, true},
		{"a longer grace that ends", Timeouts{Grace: time.Minute}, []int{1, 1, 1}, false},
		{"enough in all of a longer grace", Timeouts{Grace: time.Minute}, []int{1, 1, 58, 1, 1}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := prepare(t, site, Options{Timeouts: row.set})
			s.k.batch = noRoom
			s.k.fail(onWrite, syscall.EAGAIN) // what the kernel's buffer takes at first would count
			left := 100_000 * kib
			s.k.short(onUnacked, left)
			for _, n := range row.acked {
				left -= n * kib
				s.k.short(onUnacked, left)
			}
			s.run()
			c := s.dial()
			c.send(get("/big"))
			for range row.acked[1:] {
				s.held(Held{Listeners: 1, Write: 1})
				s.pass(20 * time.Second)
			}
			s.held(Held{Listeners: 1, Write: 1})
			s.pass(20 * time.Second)
			if row.lives {
				s.held(Held{Listeners: 1, Write: 1})
				return
			}
			s.held(Held{Listeners: 1})
			c.wantReset()
		})
	}
}

// A socket with room for a few bytes now and then is no way around the rate.
func TestOutputIsHeldToAMinimumRateAtEachWrite(t *testing.T) {
	for _, row := range []struct {
		name  string
		most  int // bytes that a write takes, each 5 s
		lives bool
	}{
		{"a byte", 1, false},
		{"a byte less than the rate", 5<<10 - 1, false},
		{"the rate", 5 << 10, true},
	} {
		for _, path := range []string{"/big", "/file"} {
			t.Run(row.name+" of "+path, func(t *testing.T) {
				room := make(chan bool, 1)
				fd := diskFile(t, big)
				s := prepare(t, func(c *conn.Conn) {
					if string(c.Request().Path()) == "/file" {
						c.ReplyFile(200, "", conn.FilePart{FD: fd, Length: int64(len(big))})
						return
					}
					site(c)
				}, Options{})
				s.k.batch = whenRoom(room)
				s.k.plan(onWrite, fault{most: row.most, stays: true})
				s.k.plan(onSendfile, fault{most: row.most, stays: true})
				s.run()
				c := s.dial()
				c.send(get(path))
				s.held(Held{Listeners: 1, Write: 1})
				for range 2 {
					written := s.k.count(0, onWrite) + s.k.count(0, onSendfile)
					s.pass(5 * time.Second)
					room <- true
					s.until("a write", func() bool { return s.k.count(0, onWrite)+s.k.count(0, onSendfile) > written })
				}
				if row.lives {
					s.held(Held{Listeners: 1, Write: 1})
					return
				}
				s.held(Held{Listeners: 1})
				c.wantReset()
			})
		}
	}
}

// Who has to be waited for in turns, to send and to read, is judged by both.
func TestPaceIsKeptWhenTheClassChanges(t *testing.T) {
	ended := make(chan error, 1)
	s := prepare(t, func(c *conn.Conn) {
		out := c.ReplyStream(200, "", -1)
		c.StreamBody().Each(func(_ *conn.Conn, p []byte, err error) int {
			if err != nil {
				ended <- err
				out.Abort(err)
			}
			n, _ := out.TryWrite(p, nil)
			return n
		})
	}, Options{HeadFirst: true})
	room := make(chan bool, 1)
	s.k.batch = whenRoom(room)
	s.run()
	d := s.drips(upload("/", 1000))
	s.held(Held{Listeners: 1, Body: 1})
	s.pass(4 * time.Second)
	s.k.fail(onWrite, syscall.EAGAIN)
	d.drip("x")
	s.held(Held{Listeners: 1, Write: 1})
	s.pass(4 * time.Second)
	room <- true
	s.held(Held{Listeners: 1, Body: 1})
	s.pass(2 * time.Second)
	d.drip("x")
	if err := within(t, "the end of the body", ended); err != conn.ErrBody {
		t.Errorf("it ended with %v", err)
	}
}
