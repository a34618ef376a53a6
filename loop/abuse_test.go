//go:build linux

package loop

import (
	"errors"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
)

// After a stall of the loop's, what the clients had sent in time is answered,
// even if it is more than one batch of events.
func TestWhatArrivedInTimeIsAnsweredAfterAStall(t *testing.T) {
	const clients = maxEvents + 100
	s := serve(t, site, Options{Timeouts: Timeouts{Body: 5 * time.Second}})
	var all []*client
	for range clients {
		c := s.dial()
		c.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
		all = append(all, c)
	}
	s.held(Held{Listeners: 1, Body: clients})
	s.on(func() {
		for _, c := range all {
			c.send("b")
		}
		s.k.move(6 * time.Second)
	})
	for _, c := range all {
		c.want(200, "ab")
		c.Close()
	}
}

// A client that does not read its last reply does not leave it in the kernel.
func TestALastReplyThatIsNotReadIsReset(t *testing.T) {
	s := serve(t, func(c *conn.Conn) {
		c.CloseAfterReply()
		c.Reply(200, "", big[:1<<20])
	}, Options{})
	c := s.dialNarrow()
	c.send(get("/"))
	s.until("the reply to be in the kernel", func() bool { h := s.Held(); return h.Write+h.Linger == 1 })
	for range 4 { // linger, then a deadline for output or two
		s.pass(25 * time.Second)
	}
	s.held(Held{Listeners: 1})
	c.wantReset()
}

// The deadline of a deferred reply is not moved by talk about it.
func TestDoDoesNotProlongADeferral(t *testing.T) {
	h, given := later()
	s := serve(t, h, Options{Timeouts: Timeouts{Reply: 10 * time.Second}})
	c := s.dial()
	c.send(get("/"))
	d := within(t, "the handler", given)
	for range 3 {
		d.Do(func(*conn.Conn) {})
		s.pass(3 * time.Second)
	}
	d.Do(func(*conn.Conn) {})
	s.pass(time.Second)
	c.want(503, "")
}

func TestUnboundedMaxConnsServes(t *testing.T) {
	s := serve(t, site, Options{MaxConns: math.MaxInt})
	s.dial().ask("/", 200, "hello")
}

func TestServerFieldThatWouldSplitRepliesIsRefused(t *testing.T) {
	for _, server := range []string{"x\r\nSet-Cookie: a=b", "a\x00", "\x7f"} {
		if l, err := New(site, Options{Server: server}); err == nil || l != nil || !strings.Contains(err.Error(), "Options.Server") {
			t.Errorf("%q: %v", server, err)
		}
	}
}

// For want of descriptors the queue is kept until there are some, and then
// served, although listening has stopped.
func TestStopListeningWaitsForDescriptors(t *testing.T) {
	s := prepare(t, site, Options{})
	c := s.dial()
	c.send(get("/"))
	s.queued(1)
	s.k.fail(onAccept, syscall.EMFILE, syscall.ENFILE)
	s.StopListening()
	s.run()
	s.until("the pause", func() bool { return len(s.listeners) == 1 && s.listeners[0].paused })
	s.pass(pause)
	s.pass(pause)
	c.want(200, "hello")
	s.held(Held{Idle: 1})
}

func TestStopListeningWaitsForDescriptorsNotForEver(t *testing.T) {
	s := prepare(t, site, Options{})
	c := s.dial()
	c.send(get("/"))
	s.queued(1)
	for range 1000 {
		s.k.fail(onAccept, syscall.EMFILE)
	}
	s.StopListening()
	s.run()
	s.until("the pause", func() bool { return len(s.listeners) == 1 && s.listeners[0].paused })
	s.Post(func() { s.k.move(lastCall) })
	if err := s.ended(); err != nil {
		t.Error(err)
	}
	c.wantReset()
}

// A Unix socket says HUP when its client has closed; TCP says nothing yet. What
// was asked before is handled either way.
func TestWhatWasAskedBeforeCloseIsHandled(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			var handled atomic.Int64
			s := prepare(t, func(c *conn.Conn) { handled.Add(1); c.Reply(200, "", nil) }, Options{})
			addr := s.addr
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "socket")
				if _, err := s.Listen(network, addr); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				c, err := net.Dial(network, addr)
				if err != nil {
					t.Fatal(err)
				}
				c.Write([]byte(post("x")))
				c.Close()
			}
			s.run()
			s.until("all to be handled", func() bool { return handled.Load() == 10 })
		})
	}
}

func TestCutEndsWhateverIsLeft(t *testing.T) {
	h, given := later()
	s := serve(t, h, Options{})
	pending, idle := s.dial(), s.dial()
	pending.send(get("/"))
	d := within(t, "the handler", given)
	idle.send("GET")
	s.held(Held{Listeners: 1, Head: 1, Reply: 1})
	s.StopListening()
	s.Cut()
	if err := s.ended(); err != nil {
		t.Error(err)
	}
	pending.wantReset()
	idle.wantReset()
	if err := d.Reply(200, "", nil); !errors.Is(err, conn.ErrGone) {
		t.Errorf("a reply after the cut gives %v", err)
	}
}

// A panic of the program's in Run must not leave a door open to descriptors that
// are somebody else's by then.
func TestAPanicShutsTheDoor(t *testing.T) {
	l, err := New(site, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.Post(func() { panic("of the program's") })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		l.Run()
	}()
	var files []*os.File
	for range 4 { // they have the loop's numbers now
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	if err := l.Post(func() {}); err != ErrStopped {
		t.Errorf("Post gives %v", err)
	}
	for _, f := range files {
		if info, err := f.Stat(); err != nil || info.Size() > 0 {
			t.Errorf("%s has %d bytes", f.Name(), info.Size())
		}
	}
}

// A client that sends on without reading its last reply gets no more than the
// 10 s in all, whatever its deadlines turn to in between.
func TestLingerIsBoundedInAllForWhoSendsAndDoesNotRead(t *testing.T) {
	s := serve(t, func(c *conn.Conn) {
		c.CloseAfterReply()
		c.Reply(200, "", big[:1<<20])
	}, Options{})
	c := s.dialNarrow()
	c.send(get("/"))
	s.until("the reply to be in the kernel", func() bool { return s.Held().Linger == 1 })
	left := func() Held { h := s.Held(); h.Listeners = 0; return h }
	for range 3 { // 9 s: silent for long enough to be looked at, then a byte
		s.pass(3 * time.Second)
		s.until("its output to be waited for", func() bool { return left() == Held{Write: 1} })
		c.send("x")
		s.until("the byte to be read", func() bool { return left() == Held{Linger: 1} })
	}
	s.pass(3 * time.Second)
	c.send("x")
	s.until("the end", func() bool { return left() == Held{} })
}
