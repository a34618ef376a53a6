//go:build linux

package loop

import (
	"bytes"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"catboat/conn"
)

const browserGet = "GET /index.html?lang=en HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=0123456789abcdef; theme=dark\r\n" +
	"Referer: https://www.example.com/\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Cache-Control: max-age=0\r\n\r\n"

// careful looks at what a handler may look at, and answers with the body or a
// greeting.
func careful(c *conn.Conn) {
	r := c.Request()
	body := []byte(r.Body())
	if len(body) == 0 {
		body = greeting
	}
	if len(r.Path()) == 0 || len(r.Host()) == 0 || string(r.Header("Accept-Language")) == "x" || !r.Peer().IsValid() {
		c.Error(500)
		return
	}
	c.SetHeader("Cache-Control", "no-store")
	c.Reply(200, "text/plain; charset=utf-8", body)
}

var greeting = []byte("Hello, World!\n")

// raw is a client's end that allocates nothing.
type raw struct {
	fd      int
	request []byte
	buffer  []byte
	reply   int // its length
}

// dialRaw connects to a loop's listener.
func dialRaw(t *testing.T, addr net.Addr, request string) *raw {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	a := addr.(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	return &raw{fd: fd, request: []byte(request), buffer: make([]byte, 64<<10)}
}

// send sends the request.
func (c *raw) send(t *testing.T) {
	if n, err := syscall.Write(c.fd, c.request); n != len(c.request) {
		t.Fatalf("sent %d bytes: %v", n, err)
	}
}

// receive reads one reply. All are as long as the first one.
func (c *raw) receive(t *testing.T) {
	for have := 0; have == 0 || have < c.reply; {
		n, err := syscall.Read(c.fd, c.buffer[have:])
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 {
			t.Fatalf("%d bytes of a reply: %v", have, err)
		}
		have += n
	}
}

// leave ends the connection.
func (c *raw) leave() { unix.Shutdown(c.fd, unix.SHUT_RDWR) }

// first sends the first request, and learns from its reply how long they are.
func (c *raw) first(t *testing.T, turn func()) {
	t.Helper()
	c.send(t)
	turn()
	n, err := syscall.Read(c.fd, c.buffer)
	if err != nil || !bytes.HasPrefix(c.buffer[:n], []byte("HTTP/1.1 200 OK\r\n")) || !bytes.Contains(c.buffer[:n], []byte("\r\nDate: ")) {
		t.Fatalf("%q, %v", c.buffer[:max(n, 0)], err)
	}
	c.reply = n
}

var steady = []struct {
	name     string
	requests int // in one go
	request  string
}{
	{"GET of a browser", 1, browserGet},
	{"POST of 1 KiB", 1, post(strings.Repeat("x", 1<<10))},
	{"POST of 1 KiB in chunks", 1, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
		repeat("100\r\n"+strings.Repeat("x", 256)+"\r\n", 4) + "0\r\n\r\n"},
	{"16 pipelined GETs", 16, repeat(browserGet, 16)},
}

// The whole way, over a socket: epoll_wait, read, parser, handler, Date, write.
func TestRequestAllocatesNothing(t *testing.T) {
	for _, row := range steady {
		t.Run(row.name, func(t *testing.T) {
			l, err := New(careful, Options{})
			if err != nil {
				t.Fatal(err)
			}
			addr, err := l.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			turn := func() {
				if err := l.turn(); err != nil {
					t.Fatal(err)
				}
			}
			c := dialRaw(t, addr, row.request)
			for l.EpollSize() < 2 {
				turn()
			}
			c.first(t, turn)
			n := testing.AllocsPerRun(1000, func() {
				c.send(t)
				turn()
				c.receive(t)
			})
			if n > 0 && !raceDetector {
				t.Errorf("%v allocations a request", n)
			}
			l.StopListening()
			c.leave()
			if err := l.Run(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same with the loop on a goroutine of its own. What else the process does
// meanwhile can only add, so the least of a few counts is the loop's.
func TestTenThousandRequestsAllocateNothing(t *testing.T) {
	const requests = 10_000
	for _, row := range steady {
		t.Run(row.name, func(t *testing.T) {
			l, err := New(careful, Options{})
			if err != nil {
				t.Fatal(err)
			}
			addr, err := l.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			end := make(chan error, 1)
			go func() { end <- l.Run() }()
			c := dialRaw(t, addr, row.request)
			c.first(t, func() {})
			least := uint64(requests)
			for range 10 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range requests / row.requests {
					c.send(t)
					c.receive(t)
				}
				runtime.ReadMemStats(&after)
				if least = min(least, after.Mallocs-before.Mallocs); least == 0 || raceDetector {
					break
				}
			}
			if least > 0 && !raceDetector {
				t.Errorf("%d allocations in %d requests", least, requests)
			}
			l.StopListening()
			c.leave()
			if err := within(t, "Run to return", end); err != nil {
				t.Error(err)
			}
		})
	}
}

// onceServed is a client that has had a reply, and what has the loop make another:
// its turns until the connection is idle.
func onceServed(t *testing.T, h conn.Handler, request string) (serve func(), c *raw) {
	t.Helper()
	l, err := New(h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	addr, err := l.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	turn := func() {
		if err := l.turn(); err != nil {
			t.Fatal(err)
		}
	}
	idleSince := int64(0)
	serve = func() {
		for {
			turn()
			if fd := l.waiting[conn.ForNext].head; fd != none && l.records.at(fd).since != idleSince {
				idleSince = l.records.at(fd).since
				return
			}
		}
	}
	c = dialRaw(t, addr, request)
	for l.EpollSize() < 2 {
		turn()
	}
	c.first(t, serve)
	t.Cleanup(func() {
		l.StopListening()
		c.leave()
		if err := l.Run(); err != nil {
			t.Error(err)
		}
	})
	return serve, c
}

// A file's reply is a few calls more, and no memory. That of several parts too.
func TestReplyFromAFileAllocatesNothing(t *testing.T) {
	fd := diskFile(t, big[:8<<10])
	var done int
	closed := func() { done++ }
	for _, row := range []struct {
		name  string
		parts []conn.FilePart
	}{
		{"a file", []conn.FilePart{{FD: fd, Length: 8 << 10, Done: closed}}},
		{"parts", []conn.FilePart{{Before: greeting, FD: fd, Length: 1000, Done: closed}, {FD: fd, Offset: 5, Length: 70}, {Before: greeting}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			serve, c := onceServed(t, func(c *conn.Conn) { c.ReplyFile(200, "text/plain", row.parts...) }, browserGet)
			n := testing.AllocsPerRun(1000, func() {
				c.send(t)
				serve()
				c.receive(t)
			})
			if n > 0 && !raceDetector {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
	if done < 2000 {
		t.Errorf("Done was called %d times", done)
	}
}

// Pieces cost nothing while they follow each other. A wait is a timer and its
// function.
func TestPiecesAllocateTheirTimersAlone(t *testing.T) {
	for _, row := range []struct {
		name string
		next conn.Next
		most float64
	}{
		{"again", conn.Again(), 0},
		{"after a time", conn.After(0), 2 * 9},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := conn.NewResumable("ten", func(p *conn.Piece) conn.Next {
				i := p.State()[0]
				p.Write(greeting)
				if i == 9 {
					return conn.End()
				}
				next := [1]byte{i + 1}
				p.SetState(next[:])
				return row.next
			})
			begin := []byte{0}
			serve, c := onceServed(t, func(c *conn.Conn) {
				c.ReplyResumable(200, "text/plain", int64(10*len(greeting)), r, begin)
			}, browserGet)
			n := testing.AllocsPerRun(100, func() {
				c.send(t)
				serve()
				c.receive(t)
			})
			if n > row.most && !raceDetector {
				t.Errorf("%v allocations a request, want %v", n, row.most)
			}
		})
	}
}
