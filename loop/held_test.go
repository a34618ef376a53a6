//go:build linux

package loop

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"catboat/conn"
)

// The life of a few connections, with what is counted at each step.
func TestEpollSizeCountsWhatHoldsRun(t *testing.T) {
	var s *server
	h, given := later()
	s = prepare(t, func(c *conn.Conn) {
		switch string(c.Request().Path()) {
		case "/size":
			c.Reply(200, "", fmt.Append(nil, s.EpollSize()))
		case "/later":
			h(c)
		default:
			site(c)
		}
	}, Options{})
	s.run()
	asker := s.dial()
	counts := func(size int, want Held) {
		t.Helper()
		s.held(want)
		asker.ask("/size", 200, fmt.Sprint(size))
		if n := s.EpollSize(); n != size {
			t.Errorf("from elsewhere %d, want %d", n, size)
		}
		sum := 0
		for _, n := range want.All() {
			sum += n
		}
		if sum != size {
			t.Errorf("the classes sum to %d, want %d", sum, size)
		}
	}
	counts(2, Held{Listeners: 1, Head: 1})
	counts(2, Held{Listeners: 1, Idle: 1})

	silent := s.dial()
	counts(3, Held{Listeners: 1, Idle: 1, Head: 1})
	silent.ask("/", 200, "hello")
	counts(3, Held{Listeners: 1, Idle: 2})
	uploader := s.dial()
	uploader.send(halfBody)
	counts(4, Held{Listeners: 1, Idle: 2, Body: 1})
	waiter := s.dial()
	waiter.send(get("/later"))
	counts(5, Held{Listeners: 1, Idle: 2, Body: 1, Reply: 1})
	reader := s.dial()
	reader.send(get("/big"))
	counts(6, Held{Listeners: 1, Idle: 2, Body: 1, Reply: 1, Write: 1})
	lingerer := s.dial()
	lingerer.ask("/last", 200, "last")
	counts(7, Held{Listeners: 1, Idle: 2, Body: 1, Reply: 1, Write: 1, Linger: 1})

	s.on(func() {
		if _, err := s.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Error(err)
		}
	})
	counts(8, Held{Listeners: 2, Idle: 2, Body: 1, Reply: 1, Write: 1, Linger: 1})
	s.StopListening()
	counts(6, Held{Idle: 2, Body: 1, Reply: 1, Write: 1, Linger: 1})

	lingerer.Close()
	silent.Close()
	reader.reset()
	counts(3, Held{Idle: 1, Body: 1, Reply: 1})
	uploader.send(" body")
	uploader.want(200, "hello")
	uploader.Close()
	counts(2, Held{Idle: 1, Reply: 1})
	(<-given).Reply(200, "", nil)
	waiter.want(200, "")
	waiter.Close()
	counts(1, Held{Idle: 1})
	asker.Close()
	s.ended()
	if n := s.EpollSize(); n != 0 {
		t.Errorf("after Run %d", n)
	}
}

func TestHeldNamesItsClassesInTheOrderOfALife(t *testing.T) {
	var got []string
	h := Held{Listeners: 1, Head: 2, Body: 3, Reply: 4, Stream: 5, Write: 6, Idle: 7, Linger: 8, Other: 9}
	for class, n := range h.All() {
		got = append(got, fmt.Sprint(class, " ", n))
		if class == "other" {
			break
		}
	}
	want := []string{"listener 1", "head 2", "body 3", "reply 4", "stream 5", "write 6", "idle 7", "linger 8", "other 9"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range h.All() {
		break // must not go on
	}
	if n := reflect.TypeFor[Held]().NumField(); n != len(want) {
		t.Errorf("Held has %d fields, All tells %d", n, len(want))
	}
}

// What one asks in a handler, another's class tells.
func TestHeldInAHandlerCountsTheAskerAsItWas(t *testing.T) {
	var s *server
	s = prepare(t, func(c *conn.Conn) { c.Reply(200, "", fmt.Append(nil, s.Held())) }, Options{})
	s.run()
	c := s.dial()
	c.ask("/", 200, fmt.Sprint(Held{Listeners: 1, Head: 1}))
	c.ask("/", 200, fmt.Sprint(Held{Listeners: 1, Idle: 1}))
}

func TestSetHandlerIsInForceFromTheNextRequest(t *testing.T) {
	s := serve(t, nil, Options{})
	c := s.dial()
	c.ask("/", 503, "")
	for range 3 {
		s.SetHandler(site)
		c.ask("/", 200, "hello")
		s.SetHandler(func(c *conn.Conn) { c.Reply(404, "", nil) })
		c.ask("/", 404, "")
		s.SetHandler(nil)
		c.ask("/", 503, "")
	}
}

func TestHandlersFaultIsOneLineOfTheLog(t *testing.T) {
	for _, row := range []struct {
		name string
		h    conn.Handler
		says []string
	}{
		{"panic", func(*conn.Conn) { panic("ouch") }, []string{"panicked", "panic=ouch", "method=GET", "target=/fault", "held_test.go"}},
		{"no reply", func(*conn.Conn) {}, []string{"without a reply", "target=/fault"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var log strings.Builder
			s := serve(t, row.h, Options{Logger: textLogger(&log)})
			c := s.dial()
			c.ask("/fault", 500, "")
			s.SetHandler(site)
			c.ask("/", 200, "hello")
			s.settled()
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d lines: %s", n, &log)
			}
			for _, piece := range row.says {
				if !strings.Contains(log.String(), piece) {
					t.Errorf("no %q in %s", piece, &log)
				}
			}
		})
	}
}

// An idle connection costs its record, and that costs the collector nothing.
func TestRecordIsSmallAndWithoutPointers(t *testing.T) {
	typ := reflect.TypeFor[record]()
	if typ.Size() > 88 {
		t.Errorf("%d bytes", typ.Size())
	}
	for i := range typ.NumField() {
		kind := typ.Field(i).Type
		for kind.Kind() == reflect.Array {
			kind = kind.Elem()
		}
		if kind.Kind() < reflect.Bool || kind.Kind() > reflect.Complex128 {
			t.Errorf("field %s is a %v", typ.Field(i).Name, kind)
		}
	}
}

func TestIdleConnectionHasNoMachine(t *testing.T) {
	s := serve(t, site, Options{})
	for range 10 {
		s.dial().ask("/", 200, "hello")
	}
	s.dial()
	s.held(Held{Listeners: 1, Head: 1, Idle: 10})
	s.on(func() {
		if lent := len(s.machines.slots) - len(s.machines.empty); lent != 0 {
			t.Errorf("%d machines are lent", lent)
		}
	})
}

func TestPeersSurviveTheirRecord(t *testing.T) {
	k := newScript(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := newLoop(k, nil, Options{})
		addr, err := l.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, addr.String(), 0)
		for l.EpollSize() < 2 {
			if err := l.turn(); err != nil {
				t.Fatal(err)
			}
		}
		added := k.calls(0, onAdd)
		r := l.records.at(int32(added[len(added)-1].fd))
		if got, want := r.addrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort(); got != want {
			t.Errorf("%v, want %v", got, want)
		}
		l.StopListening()
		c.Close()
		l.Run()
	}
}

// Timers, deadlines and the door may be set up before Run, in any order.
func TestEverythingMayBeSetUpBeforeRun(t *testing.T) {
	s := prepare(t, nil, Options{})
	due := make(chan struct{})
	s.After(time.Second, func() { close(due) })
	s.SetTimeouts(Timeouts{Idle: time.Second})
	s.SetHandler(site)
	s.k.move(time.Hour)
	s.run()
	within(t, "the timer", due)
	s.dial().ask("/", 200, "hello")
	s.held(Held{Listeners: 1, Idle: 1})
	s.pass(time.Second)
	s.held(Held{Listeners: 1})
}
