//go:build linux

package loop

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
)

// ticks is a reply of so many pieces, with that behind each. When the loop is about to
// end it says goodbye.
func ticks(n int, next conn.Next) conn.Handler {
	r := conn.NewResumable("ticks", func(p *conn.Piece) conn.Next {
		i := int(p.State()[0])
		switch {
		case p.Stopping():
			p.WriteString("goodbye")
			return conn.End()
		case i == n:
			return conn.End()
		}
		fmt.Fprintf(p, "tick %d ", i)
		p.SetState([]byte{byte(i + 1)})
		return next
	})
	return func(c *conn.Conn) { c.ReplyResumable(200, "", -1, r, []byte{0}) }
}

// chunk reads from a reply's body as much as want has.
func (c *client) chunk(body io.Reader, want string) {
	c.t.Helper()
	p := make([]byte, len(want))
	if n, err := io.ReadFull(body, p); err != nil || string(p) != want {
		c.t.Fatalf("got %q, %v, want %q", p[:n], err, want)
	}
}

// body reads the head of a reply.
func (c *client) body() io.Reader {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return r.Body
}

func TestPieceIsMadeWhenItsTimeHasCome(t *testing.T) {
	for _, wait := range []time.Duration{time.Nanosecond, time.Second, 24 * time.Hour} {
		t.Run(fmt.Sprint(wait), func(t *testing.T) {
			s := serve(t, ticks(3, conn.After(wait)), Options{})
			c := s.dial()
			c.send(get("/") + get("/"))
			for range 2 {
				body := c.body()
				for i := range 3 {
					c.chunk(body, fmt.Sprintf("tick %d ", i))
					s.held(Held{Listeners: 1, Stream: 1})
					writes := s.k.count(0, onWrite)
					s.pass(wait - 1)
					if s.k.count(0, onWrite) != writes {
						t.Error("too early")
					}
					s.pass(1)
				}
				if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
					t.Errorf("got %q, %v", rest, err)
				}
			}
			s.held(Held{Listeners: 1, Idle: 1})
			s.on(func() {
				if n := len(s.timers.heap); n > 0 {
					t.Errorf("%d timers", n)
				}
			})
		})
	}
}

// Nothing has to be waited for then, and others have their turn.
func TestPieceWithoutAWaitIsMadeAtOnce(t *testing.T) {
	for _, row := range []struct {
		name string
		next conn.Next
	}{
		{"again", conn.Again()},
		{"after no time", conn.After(0)},
		{"after less than that", conn.After(-time.Hour)},
		{"or when the loop ends", conn.After(0).OrStop()},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, ticks(200, row.next), Options{})
			c := s.dial()
			c.send(get("/"))
			var want strings.Builder
			for i := range 200 {
				fmt.Fprintf(&want, "tick %d ", i)
			}
			c.want(200, want.String())
		})
	}
}

func TestStopWakesWhoWaitsForIt(t *testing.T) {
	for _, row := range []struct {
		name  string
		next  conn.Next
		woken bool
	}{
		{"a time or the end", conn.After(time.Hour).OrStop(), true},
		{"a time", conn.After(time.Hour), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, ticks(2, row.next), Options{})
			c := s.dial()
			c.send(get("/"))
			body := c.body()
			c.chunk(body, "tick 0 ")
			s.held(Held{Listeners: 1, Stream: 1})
			s.StopListening()
			if !row.woken {
				s.held(Held{Stream: 1})
				if n := s.EpollSize(); n != 1 {
					t.Errorf("EpollSize %d", n)
				}
				s.pass(time.Hour)
			}
			c.chunk(body, "goodbye")
			if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
				t.Errorf("got %q, %v", rest, err)
			}
			c.Close()
			if err := s.ended(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Who waits for the loop's end may have output waiting as well, or a body to come.
func TestStopWakesWhateverElseIsWaitedFor(t *testing.T) {
	for _, row := range []struct {
		name  string
		plan  func(*script)
		class Held
	}{
		{"output", func(k *script) { k.batch = noRoom; k.fail(onWrite, syscall.EAGAIN) }, Held{Listeners: 1, Write: 1}},
		{"a body", func(*script) {}, Held{Listeners: 1, Body: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := ticks(9, conn.After(time.Hour).OrStop())
			s := prepare(t, func(c *conn.Conn) {
				if row.class.Body > 0 {
					c.StreamBody()
				}
				h(c)
			}, Options{HeadFirst: true})
			row.plan(s.k)
			s.run()
			c := s.dial()
			c.send(upload("/", 10))
			s.held(row.class)
			s.StopListening()
			s.Post(func() { s.k.batch = nil })
			c.want(200, "tick 0 goodbye")
		})
	}
}

// A connection that ends takes the timer of its reply along.
func TestTimerOfAPieceGoesWithItsConnection(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(s *server, c *client)
	}{
		{"reset", func(s *server, c *client) { c.reset() }},
		{"cut", func(s *server, c *client) { s.Cut(); c.wantReset() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, ticks(9, conn.After(time.Hour)), Options{})
			for range 3 {
				c := s.dial()
				c.send(get("/"))
				s.held(Held{Listeners: 1, Stream: 1})
				s.on(func() {
					if n := len(s.timers.heap); n != 1 {
						t.Errorf("%d timers while it waits", n)
					}
				})
				row.end(s, c)
				s.held(Held{Listeners: 1})
				s.on(func() {
					if n := len(s.timers.heap); n != 0 {
						t.Errorf("%d timers behind it", n)
					}
				})
			}
			s.dial().send(get("/"))
			s.held(Held{Listeners: 1, Stream: 1})
			s.pass(time.Hour) // nothing of the old ones is due
			s.held(Held{Listeners: 1, Stream: 1})
			if n := s.k.count(0, onWrite); n != 5 {
				t.Errorf("%d writes", n)
			}
			s.Cut()
		})
	}
}

// While nothing arrives, the epoll set stays as it is: for who waits for the
// application as for who is idle.
func TestReplyThatIsWaitedForCostsNoControlCall(t *testing.T) {
	for _, row := range []struct {
		name string
		h    conn.Handler
		body string
	}{
		{"resumable", ticks(2, conn.After(time.Second)), "tick 0 tick 1 "},
		{"resumable of many pieces", ticks(100, conn.Again()), ""},
		{"deferred", func(c *conn.Conn) {
			d := c.Defer()
			go d.Reply(200, "", []byte("late"))
		}, "late"},
		{"stream", func(c *conn.Conn) {
			out := c.ReplyStream(200, "", -1)
			go func() {
				out.Write([]byte("in "))
				out.Write([]byte("parts"))
				out.Close()
			}()
		}, "in parts"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, row.h, Options{})
			c := s.dial()
			for range 3 {
				c.send(get("/"))
				body := c.body()
				for range 2 {
					s.settled()
					s.pass(time.Second)
				}
				got, err := io.ReadAll(body)
				if err != nil || row.body != "" && string(got) != row.body {
					t.Errorf("got %q, %v", got, err)
				}
			}
			s.settled()
			if made := s.k.calls(0, onModify); len(made) > 0 {
				t.Errorf("epoll_ctl to modify: %v", made)
			}
		})
	}
}

func TestHeldCountsWhoGoesOnWithAReply(t *testing.T) {
	h, given := streams()
	pieces := ticks(9, conn.After(time.Hour).OrStop())
	s := serve(t, func(c *conn.Conn) {
		if string(c.Request().Path()) == "/stream" {
			h(c)
			return
		}
		pieces(c)
	}, Options{})
	var clients []*client
	for _, path := range slices.Repeat([]string{"/stream", "/pieces"}, 3) {
		c := s.dial()
		c.send(get(path))
		clients = append(clients, c)
	}
	s.held(Held{Listeners: 1, Stream: 6})
	if n := s.EpollSize(); n != 7 {
		t.Errorf("EpollSize %d", n)
	}
	s.StopListening()
	s.held(Held{Stream: 3, Idle: 3})
	for range 3 {
		within(t, "a stream", given).Close()
	}
	s.held(Held{Idle: 6})
	for _, c := range clients {
		c.want(200, "")
		c.Close()
	}
	if err := s.ended(); err != nil {
		t.Error(err)
	}
}
