//go:build linux

package loop

import (
	"syscall"
	"testing"
	"time"
)

// control waits until so many calls to change what is watched were made, and no more.
func (s *server) control(times int) {
	s.t.Helper()
	s.until("epoll_ctl", func() bool { return s.k.count(0, onModify) >= times })
	for range 10 {
		s.settled()
	}
	if n := s.k.count(0, onModify); n != times {
		s.t.Fatalf("%d calls of epoll_ctl, want %d: the loop spins", n, times)
	}
}

// What cannot be watched now is watched in a moment. Until then it is not asked for
// again and again.
func TestWhatCannotBeWatchedIsWatchedLater(t *testing.T) {
	t.Run("room", func(t *testing.T) {
		s := prepare(t, site, Options{})
		s.k.short(onWrite, 1)
		s.k.fail(onModify, syscall.ENOMEM, syscall.ENOSPC)
		s.run()
		c := s.dial()
		c.send(get("/"))
		s.control(1)
		s.pass(pause)
		s.control(2)
		s.pass(pause)
		c.want(200, "hello")
	})
	t.Run("bytes", func(t *testing.T) {
		h, given := later()
		s := serve(t, h, Options{})
		c := s.dial()
		c.send(get("/"))
		d := within(t, "the handler", given)
		c.send(get("/"))
		s.control(1) // not watched for bytes
		s.k.fail(onModify, syscall.ENOMEM, syscall.ENOMEM)
		d.Reply(200, "", []byte("first"))
		c.want(200, "first")
		s.control(2)
		s.pass(pause)
		s.control(3)
		s.pass(pause)
		d = within(t, "the handler", given)
		d.Reply(200, "", []byte("second"))
		c.want(200, "second")
	})
	t.Run("many", func(t *testing.T) {
		s := prepare(t, site, Options{})
		s.k.plan(onWrite, fault{errno: syscall.EAGAIN, stays: true})
		s.k.plan(onModify, fault{errno: syscall.ENOMEM, stays: true})
		s.run()
		var all []*client
		for range 20 {
			all = append(all, s.dial())
			all[len(all)-1].send(get("/"))
		}
		s.held(Held{Listeners: 1, Write: 20})
		all[0].reset() // one is no more when its time comes
		all[1].send(get("/"))
		s.settled()
		s.on(func() {
			if n := len(s.timers.heap); n != 1 {
				t.Errorf("%d timers", n)
			}
		})
		s.k.heal(onWrite)
		s.k.heal(onModify)
		s.pass(pause)
		for _, c := range all[1:] {
			c.want(200, "hello")
		}
	})
}

func TestListenerThatCannotBeWatchedIsTriedAgain(t *testing.T) {
	s := serve(t, site, Options{})
	s.k.fail(onAccept, syscall.EMFILE)
	c := s.dial()
	c.send(get("/"))
	s.control(1)
	s.k.fail(onModify, syscall.ENOMEM, syscall.ENOMEM)
	for times := range 2 {
		s.pass(pause)
		s.control(2 + times)
	}
	s.pass(pause)
	c.want(200, "hello")
}

// While it cannot be paused it is accepted from, whatever comes of it.
func TestListenerThatCannotPauseIsPausedLater(t *testing.T) {
	s := prepare(t, site, Options{})
	s.k.fail(onModify, syscall.ENOMEM, syscall.ENOMEM)
	s.k.fail(onAccept, syscall.EMFILE, syscall.EMFILE, syscall.EMFILE)
	s.run()
	c := s.dial()
	c.send(get("/"))
	s.until("the pause", func() bool { return s.listeners[0].paused })
	s.control(3)
	s.pass(pause)
	c.want(200, "hello")
	if n := s.k.count(0, onAccept); n != 4 {
		t.Errorf("%d calls of accept4", n)
	}
}

// A connection that nobody is told of any more has its deadline all the same.
func TestWhatIsNeverWatchedIsEndedByItsDeadline(t *testing.T) {
	s := prepare(t, site, Options{Timeouts: Timeouts{Write: time.Second}})
	s.k.short(onWrite, 1)
	s.k.plan(onModify, fault{errno: syscall.ENOMEM, stays: true})
	s.run()
	c := s.dial()
	c.send(get("/"))
	s.held(Held{Listeners: 1, Write: 1})
	for range 20 {
		s.pass(pause)
	}
	s.held(Held{Listeners: 1})
	c.wantReset()
}
