//go:build linux

package loop

import (
	"net"
	"testing"

	"catboat/conn"
)

func TestADeferredConnectionIsServedAndCostsNoWatching(t *testing.T) {
	s := prepare(t, func(c *conn.Conn) {
		c.CloseAfterReply()
		c.Reply(200, "", []byte("hello"))
	}, Options{DeferAccept: true})
	s.run()
	for range 3 {
		c := s.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		c.want(200, "hello")
		c.Close()
	}
	s.held(Held{Listeners: 1})
}

func TestADeferredConnectionThatStaysIsWatched(t *testing.T) {
	s := serve(t, site, Options{DeferAccept: true})
	c := s.dial()
	for range 3 {
		c.ask("/", 200, "hello")
	}
	s.held(Held{Listeners: 1, Idle: 1})
}

// The kernel has accepted a client that has said nothing, and not told of it. When
// listening stops it is not reset, but comes forth and is served.
func TestASilentClientOfADeferringListenerIsServedAtTheEnd(t *testing.T) {
	s := serve(t, site, Options{DeferAccept: true})
	silent := s.dial()
	s.StopListening()
	silent.ask("/", 200, "hello")
}

// At the limit too, where the listener is paused and its queue is full.
func TestASilentClientOfADeferringListenerIsServedAtTheLimit(t *testing.T) {
	s := serve(t, site, Options{DeferAccept: true, MaxConns: 1})
	first := s.dial()
	first.ask("/", 200, "hello")
	var others []*client
	for range 2 {
		c := s.dial()
		c.send(get("/"))
		others = append(others, c)
	}
	silent := s.dial()
	s.StopListening()
	first.Close()
	silent.send(get("/"))
	var got [1]byte
	if _, err := silent.Read(got[:]); err != nil {
		t.Errorf("the silent client gets %v", err)
	}
	for _, c := range append(others, silent) {
		c.Close()
	}
}

func TestHalfOpenConnectionsAreSeen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if holdsBack(ln.Addr().(*net.TCPAddr).Port) {
		t.Error("a listener that holds nothing back is said to")
	}
}
