//go:build linux

package loop

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
)

func TestListenersAreReachedWhereTheySay(t *testing.T) {
	const v4, v6 = "127.0.0.1", "::1"
	for _, row := range []struct {
		network, address string
		hosts            []string // the others are refused
	}{
		{"tcp", "127.0.0.1:0", []string{v4}},
		{"tcp", "0.0.0.0:0", []string{v4}},
		{"tcp4", ":0", []string{v4}},
		{"tcp4", "localhost:0", []string{v4}},
		{"tcp", "[::1]:0", []string{v6}},
		{"tcp6", "[::1]:0", []string{v6}},
		{"tcp6", ":0", []string{v6}},
		{"tcp", ":0", []string{v4, v6}},
		{"tcp", "[::]:0", []string{v4, v6}},
	} {
		t.Run(row.network+" "+row.address, func(t *testing.T) {
			s := serve(t, func(c *conn.Conn) {
				c.Reply(200, "", []byte(c.Request().Peer().Addr().String()))
			}, Options{})
			var bound net.Addr
			var err error
			s.on(func() { bound, err = s.Listen(row.network, row.address) })
			if err != nil {
				t.Fatal(err)
			}
			for _, host := range []string{v4, v6} {
				address := net.JoinHostPort(host, fmt.Sprint(bound.(*net.TCPAddr).Port))
				if slices.Contains(row.hosts, host) {
					c := dial(t, address, 0)
					c.ask("/", 200, host)
				} else if _, err := net.DialTimeout("tcp", address, patience); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%s: %v", address, err)
				}
			}
		})
	}
}

func TestListenersThatCannotBeAreErrors(t *testing.T) {
	s := serve(t, site, Options{})
	for _, row := range []struct {
		name, network, address string
		is                     error // if there is something to branch on
		says                   string
	}{
		{"an unknown network", "udp", "127.0.0.1:0", net.UnknownNetworkError("udp"), "unknown network udp"},
		{"no port", "tcp", "127.0.0.1", nil, "missing port"},
		{"the wrong family", "tcp4", "[::1]:0", nil, "no suitable address"},
		{"somebody else's address", "tcp", "192.0.2.1:0", syscall.EADDRNOTAVAIL, "bind"},
		{"in use", "tcp", s.addr, syscall.EADDRINUSE, s.addr},
		{"an unknown zone", "tcp", "[fe80::1%none]:0", nil, "no such network interface"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var addr net.Addr
			var err error
			s.on(func() { addr, err = s.Listen(row.network, row.address) })
			var op *net.OpError
			switch {
			case addr != nil || !errors.As(err, &op) || op.Op != "listen" || op.Net != row.network:
				t.Errorf("%v, %#v", addr, err)
			case row.is != nil && !errors.Is(err, row.is):
				t.Errorf("%v is not %v", err, row.is)
			case !strings.Contains(err.Error(), row.says):
				t.Errorf("%q does not say %q", err, row.says)
			}
			if n := s.EpollSize(); n != 1 {
				t.Errorf("EpollSize %d", n)
			}
		})
	}
}

func TestListenerThatCannotBeWatchedIsAnError(t *testing.T) {
	l := newLoop(newScript(t), site, Options{})
	l.k.(*script).fail(onAdd, syscall.ENOSPC)
	if _, err := l.Listen("tcp", "127.0.0.1:0"); !errors.Is(err, syscall.ENOSPC) || l.EpollSize() != 0 {
		t.Errorf("%v, EpollSize %d", err, l.EpollSize())
	}
	if err := l.Run(); err != nil {
		t.Error(err)
	}
}

func TestNobodyListensAfterStopListening(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	c.ask("/", 200, "hello")
	var err error
	s.on(func() {
		s.StopListening()
		_, err = s.Listen("tcp", "127.0.0.1:0")
	})
	if err == nil || !strings.Contains(err.Error(), "StopListening") {
		t.Errorf("Listen returned %v", err)
	}
	c.ask("/", 200, "hello")
	c.Close()
	s.ended()
	if _, err = s.Listen("tcp", "127.0.0.1:0"); !errors.Is(err, ErrStopped) {
		t.Errorf("after Run Listen returned %v", err)
	}
}

func TestConnectionThatCannotBeWatchedIsClosed(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, site, Options{Logger: textLogger(&log)})
	s.k.fail(onAdd, syscall.ENOSPC)
	s.dial().wantEnd()
	s.held(Held{Listeners: 1})
	s.dial().ask("/", 200, "hello")
	if s.on(func() {}); !strings.Contains(log.String(), "epoll_ctl") {
		t.Errorf("log: %s", &log)
	}
}

// The queue is as full as before after such an error: to try at once again would
// be to spin.
func TestAcceptPausesWhenTheSystemHasNoRoom(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.EINVAL, syscall.EIO,
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			var log bytes.Buffer
			s := serve(t, site, Options{Logger: textLogger(&log)})
			open := s.dial()
			open.ask("/", 200, "hello")
			s.settled()
			mark := s.k.mark()
			s.k.plan(onAccept, fault{errno: errno, stays: true})
			c := s.dial()
			c.send(get("/"))
			tried := func(times int) {
				t.Helper()
				s.until("another try", func() bool { return s.k.count(mark, onAccept) >= times })
				for range 10 {
					s.settled()
					open.ask("/", 200, "hello")
				}
				if n := s.k.count(mark, onAccept); n != times {
					t.Errorf("%d calls of accept4, want %d", n, times)
				}
			}
			tried(1)
			s.pass(pause - 1)
			tried(1)
			s.pass(1) // it tries again now and then
			tried(2)
			s.pass(pause)
			tried(3)
			if n := strings.Count(log.String(), "accept4"); n != 1 {
				t.Errorf("%d lines in one second: %s", n, &log)
			}
			s.k.heal(onAccept)
			open.Close() // and as soon as there is a descriptor
			c.want(200, "hello")
			if n := s.EpollSize(); n != 2 {
				t.Errorf("EpollSize %d", n)
			}
		})
	}
}

func TestAcceptGoesOnAfterAConnectionThatFailed(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.ECONNABORTED, syscall.EPROTO, syscall.EINTR, syscall.ENETDOWN, syscall.EHOSTUNREACH, syscall.EAGAIN,
	} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			s := prepare(t, site, Options{})
			s.k.fail(onAccept, errno, errno, errno)
			s.run()
			s.dial().ask("/", 200, "hello")
			s.settled()
			if n := s.k.count(0, onAccept); n < 4 || n > 6 {
				t.Errorf("%d calls of accept4", n)
			}
			if n := s.k.count(0, onModify); n > 0 {
				t.Error("the listener has paused")
			}
		})
	}
}

// To find the queue empty costs as much as three requests.
func TestAcceptSeldomFindsTheQueueEmpty(t *testing.T) {
	s := serve(t, site, Options{})
	for range 20 {
		s.dial().ask("/", 200, "hello")
	}
	s.settled()
	empty := 0
	for _, e := range s.k.calls(0, onAccept) {
		if e.errno != 0 {
			empty++
		}
	}
	if empty > 2 {
		t.Errorf("for 20 connections the queue was found empty %d times", empty)
	}
}

func TestAcceptTakesTwiceAsManyWhenTheQueueHasBeenFullForLong(t *testing.T) {
	s := prepare(t, site, Options{})
	for range 40 {
		s.dial()
	}
	s.queued(40)
	var got []int
	for s.EpollSize() < 41 {
		mark := s.k.mark()
		if err := s.turn(); err != nil {
			t.Fatal(err)
		}
		got = append(got, s.k.count(mark, onAccept))
	}
	want := slices.Concat(slices.Repeat([]int{1}, 8), slices.Repeat([]int{2}, 8), slices.Repeat([]int{4}, 4))
	if !slices.Equal(got, want) {
		t.Errorf("calls of accept4 by turns: %v, want %v", got, want)
	}
	s.run()
}

func TestConnectionsBeyondTheLimitAreToldSo(t *testing.T) {
	s := serve(t, site, Options{MaxConns: 40}) // and two more that are told
	var served []*client
	for range 40 {
		c := s.dial()
		c.ask("/", 200, "hello")
		served = append(served, c)
	}
	var told []*client
	for range 2 {
		c := s.dial()
		c.send(get("/"))
		if r := c.want(503, ""); !r.Close {
			t.Error("no Connection: close")
		}
		c.wantEnd()
		told = append(told, c)
	}
	s.held(Held{Listeners: 1, Idle: 40, Linger: 2})
	mark := s.k.mark()
	waiting := s.dial() // in the listener's queue
	waiting.send(get("/"))
	next := s.dial() // behind it
	next.send(get("/"))
	s.until("the pause", func() bool { return s.listeners[0].paused })
	for range 3 {
		s.pass(pause)
		s.until("the pause", func() bool { return s.listeners[0].paused })
	}
	served[0].ask("/", 200, "hello")
	if n := s.k.count(mark, onAccept); n > 0 {
		t.Errorf("%d more accepted", n)
	}
	told[0].Close()
	told[1].Close()
	s.held(Held{Listeners: 1, Idle: 40}) // it waits until it can be served
	served[1].Close()
	waiting.want(200, "hello")
	s.until("the pause", func() bool { return s.listeners[0].paused }) // nor is the next told
	served[2].Close()
	next.want(200, "hello")
	waiting.Close()
	next.Close()
	s.held(Held{Listeners: 1, Idle: 38})
	s.dial().ask("/", 200, "hello")
	if n := s.EpollSize(); n != 40 {
		t.Errorf("EpollSize %d", n)
	}
}

// What waits in the queue when StopListening is called is accepted and served.
func TestStopListeningServesTheQueue(t *testing.T) {
	s := prepare(t, site, Options{})
	var clients []*client
	for range 100 {
		c := s.dial()
		c.send(get("/"))
		clients = append(clients, c)
	}
	s.queued(100)
	s.StopListening()
	s.StopListening()
	s.run()
	for _, c := range clients {
		c.want(200, "hello")
		if _, err := net.DialTimeout("tcp", s.addr, patience); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial: %v", err)
		}
	}
	s.held(Held{Idle: 100})
	s.StopListening()
	for _, c := range clients {
		c.ask("/", 200, "hello")
		c.Close()
	}
	if err := s.ended(); err != nil || s.EpollSize() != 0 {
		t.Errorf("Run returned %v, EpollSize %d", err, s.EpollSize())
	}
}

// queued waits until so many connections are in the listener's queue. The kernel
// tells only who asks.
func (s *server) queued(n int) {
	s.t.Helper()
	for began := time.Now(); time.Since(began) < patience; runtime.Gosched() {
		info, err := unix.GetsockoptTCPInfo(s.listeners[0].fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			s.t.Fatal(err)
		}
		if int(info.Unacked) == n {
			return
		}
	}
	s.t.Fatal("the queue does not fill")
}

func TestStopListeningEndsAPausedListener(t *testing.T) {
	s := serve(t, site, Options{})
	s.k.fail(onAccept, syscall.EMFILE)
	c := s.dial()
	s.until("the pause", func() bool { return s.listeners[0].paused })
	s.StopListening()
	c.ask("/", 200, "hello")
	s.pass(pause) // its timer finds it gone
	c.Close()
	s.ended()
}

// However long the program took to start, who is accepted in the end has all the
// time to ask.
func TestDeadlinesBeginWhenRunDoes(t *testing.T) {
	s := prepare(t, site, Options{})
	c := s.dial()
	s.queued(1)
	s.k.move(time.Hour)
	s.StopListening()
	s.run()
	s.held(Held{Head: 1})
	c.ask("/", 200, "hello")
	c.Close()
	s.ended()
}
