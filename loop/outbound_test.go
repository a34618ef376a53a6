//go:build linux

package loop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peer accepts one connection of the loop's and hands it to the test.
func peer(t *testing.T, network, addr string) (net.Listener, chan net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			c.SetDeadline(time.Now().Add(patience))
			t.Cleanup(func() { c.Close() })
			accepted <- c
		}
	}()
	return ln, accepted
}

// outbound connects on the loop; what comes and the end go to channels.
type outbound struct {
	*Outbound
	data   chan []byte
	closed chan error
	room   chan struct{}
}

func (s *server) connect(network, addr string, o OutboundOptions) *outbound {
	s.t.Helper()
	out := &outbound{data: make(chan []byte, 100), closed: make(chan error, 2), room: make(chan struct{}, 100)}
	if o.OnData == nil {
		o.OnData = func(_ *Outbound, p []byte) { out.data <- bytes.Clone(p) }
	}
	o.OnClose = func(_ *Outbound, err error) { out.closed <- err }
	o.OnRoom = func(*Outbound) { out.room <- struct{}{} }
	s.on(func() {
		var err error
		if out.Outbound, err = s.Connect(network, addr, o); err != nil {
			s.t.Error(err)
		}
	})
	return out
}

func TestOutboundTalksBothWays(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "socket")
			}
			s := serve(t, site, Options{})
			ln, accepted := peer(t, network, addr)
			out := s.connect(network, ln.Addr().String(), OutboundOptions{OnEOF: func(o *Outbound) {
				o.Write([]byte("and last"))
				o.CloseWrite()
			}})
			s.on(func() { out.Write([]byte("ask")) }) // perhaps before it stands
			c := within(t, "the connection", accepted)
			if n := s.heldNow().Other; n != 1 {
				t.Errorf("%d others are held", n)
			}
			got := make([]byte, 3)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "ask" {
				t.Fatalf("peer got %q, %v", got, err)
			}
			io.WriteString(c, "answer")
			if p := within(t, "the answer", out.data); string(p) != "answer" {
				t.Errorf("got %q", p)
			}
			c.(interface{ CloseWrite() error }).CloseWrite()
			if rest, err := io.ReadAll(c); err != nil || string(rest) != "and last" {
				t.Errorf("peer got %q, %v", rest, err)
			}
			if err := within(t, "the end", out.closed); err != nil {
				t.Errorf("ended with %v", err)
			}
			if n := s.heldNow().Other; n != 0 {
				t.Errorf("%d others are held after the end", n)
			}
			s.on(func() {
				if _, err := out.Write(nil); err != net.ErrClosed {
					t.Errorf("writing after the end gives %v", err)
				}
			})
		})
	}
}

func TestOutboundOutputIsBounded(t *testing.T) {
	s := serve(t, site, Options{})
	ln, accepted := peer(t, "tcp", "127.0.0.1:0")
	out := s.connect("tcp", ln.Addr().String(), OutboundOptions{MaxOutput: 100 << 10})
	c := within(t, "the connection", accepted)
	sent := 0
	s.on(func() {
		for {
			n, err := out.Write(big[sent : sent+50<<10])
			if err == ErrFull {
				return
			}
			sent += n
		}
	})
	got := make([]byte, sent)
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, big[:sent]) {
		t.Fatalf("of %d bytes the peer got others: %v", sent, err)
	}
	within(t, "room", out.room)
	s.on(out.Close)
	if err := within(t, "the end", out.closed); err != nil {
		t.Error(err)
	}
}

// What is queued before the connection stands is written with it, and that is room
// too.
func TestOutboundTellsOfRoomBehindItsConnection(t *testing.T) {
	s := serve(t, site, Options{})
	ln, accepted := peer(t, "tcp", "127.0.0.1:0")
	room := make(chan struct{}, 10)
	var out *Outbound
	s.on(func() {
		var err error
		out, err = s.Connect("tcp", ln.Addr().String(), OutboundOptions{
			MaxOutput: 1000,
			OnRoom:    func(*Outbound) { room <- struct{}{} },
		})
		if err != nil {
			t.Error(err)
			return
		}
		out.Write(big[:1000])
		if _, err := out.Write(big[:1]); err != ErrFull {
			t.Errorf("Write returned %v", err)
		}
	})
	got := make([]byte, 1000)
	if _, err := io.ReadFull(within(t, "the connection", accepted), got); err != nil || !bytes.Equal(got, big[:1000]) {
		t.Error("other bytes", err)
	}
	within(t, "room", room)
	s.on(out.Close)
}

func TestPausedOutboundReadsNothing(t *testing.T) {
	s := serve(t, site, Options{})
	ln, accepted := peer(t, "tcp", "127.0.0.1:0")
	out := s.connect("tcp", ln.Addr().String(), OutboundOptions{OnConnect: (*Outbound).Pause})
	c := within(t, "the connection", accepted)
	io.WriteString(c, "early")
	s.dial().ask("/", 200, "hello") // some turns of the loop
	select {
	case p := <-out.data:
		t.Errorf("got %q while paused", p)
	default:
	}
	s.on(out.Resume)
	if p := within(t, "the data", out.data); string(p) != "early" {
		t.Errorf("got %q", p)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if err := within(t, "the end", out.closed); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a reset ends it with %v", err)
	}
}

func TestConnectingFails(t *testing.T) {
	s := serve(t, site, Options{})
	gone, _ := peer(t, "tcp", "127.0.0.1:0")
	gone.Close()
	out := s.connect("tcp", gone.Addr().String(), OutboundOptions{})
	if err := within(t, "the end", out.closed); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	s.on(func() {
		for _, row := range []struct{ network, addr string }{
			{"tcp", "localhost:80"}, {"tcp", "127.0.0.1"}, {"udp", "127.0.0.1:80"}, {"unix", t.TempDir() + "/none"}, {"tcp", "[fe80::1%lo]:80"},
		} {
			var op *net.OpError
			if _, err := s.Connect(row.network, row.addr, OutboundOptions{}); !errors.As(err, &op) {
				t.Errorf("%s %s: %v", row.network, row.addr, err)
			}
		}
		if n := s.Held().Other; n != 0 {
			t.Errorf("%d others are held", n)
		}
	})
}

func TestConnectingHasADeadline(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	addr, err := boundAddr(fd)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, site, Options{})
	connected := make(chan struct{}, 1)
	first := s.connect("tcp", addr.String(), OutboundOptions{OnConnect: func(*Outbound) { connected <- struct{}{} }})
	within(t, "the queue's only place", connected)
	out := s.connect("tcp", addr.String(), OutboundOptions{Timeout: time.Second}) // the kernel drops what does not fit
	s.pass(999 * time.Millisecond)
	select {
	case err := <-out.closed:
		t.Errorf("ended early with %v", err)
	default:
	}
	s.pass(time.Millisecond)
	if err := within(t, "the deadline", out.closed); err != ErrTimeout {
		t.Errorf("ended with %v", err)
	}
	s.on(first.Close)
}

// A peer that closes its side and then resets ends the connection; nothing is
// reported for ever.
func TestOutboundIsResetAfterFIN(t *testing.T) {
	s := serve(t, site, Options{})
	ln, accepted := peer(t, "tcp", "127.0.0.1:0")
	eof := make(chan struct{}, 100)
	out := s.connect("tcp", ln.Addr().String(), OutboundOptions{OnEOF: func(*Outbound) { eof <- struct{}{} }})
	c := within(t, "the connection", accepted).(*net.TCPConn)
	c.CloseWrite()
	within(t, "the peer's FIN", eof)
	c.SetLinger(0)
	c.Close()
	if err := within(t, "the end", out.closed); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("ended with %v", err)
	}
	if len(eof) > 0 {
		t.Errorf("OnEOF was called %d times more", len(eof))
	}
}

func TestPausedOutboundStaysPausedAtItsEnd(t *testing.T) {
	s := serve(t, site, Options{})
	ln, accepted := peer(t, "tcp", "127.0.0.1:0")
	out := s.connect("tcp", ln.Addr().String(), OutboundOptions{OnConnect: func(o *Outbound) { o.Pause(); o.CloseWrite() }})
	c := within(t, "the connection", accepted)
	c.Write([]byte("all there is"))
	c.Close()
	s.until("both FINs", func() bool { return out.Outbound != nil && out.watch.suspended })
	if len(out.data) > 0 || len(out.closed) > 0 {
		t.Error("something came while paused")
	}
	s.on(out.Resume)
	if p := within(t, "the data", out.data); string(p) != "all there is" {
		t.Errorf("got %q", p)
	}
	if err := within(t, "the end", out.closed); err != nil {
		t.Errorf("ended with %v", err)
	}
}
