package conn

import (
	"strings"
	"testing"
)

// browserGet is what a browser sends, with its twelve fields.
const browserGet = "GET /articles/2024/a-long-title?utm_source=feed HTTP/1.1\r\n" +
	"Host: www.example.org\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://www.example.org/articles\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"\r\n"

var post1K = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)

var helloBody = []byte("hello, world\n")

func small(c *Conn) { c.Reply(200, "text/plain", helloBody) }

func echo(c *Conn) { c.Reply(200, "application/octet-stream", c.Request().Body()) }

func notFound(c *Conn) { c.Error(404) }

// lookup is a handler that looks at all of a request, as a router and a log do.
func lookup(c *Conn) {
	q := c.Request()
	if len(q.Path()) == 0 || len(q.Host()) == 0 || q.Header("user-agent") == nil || q.Header("None") != nil {
		panic("not there")
	}
	n := len(q.Query()) + len(q.Target()) + len(q.Method()) + len(q.Body())
	for name, value := range q.Headers() {
		n += len(name) + len(value)
	}
	switch string(q.Path()) {
	case "/none":
		panic(n)
	}
	c.SetHeader("Cache-Control", "no-store")
	c.AddHeader("Vary", "Accept-Encoding")
	small(c)
}

// steady is one connection, with a machine as a loop lends it for each round.
type steady struct {
	m   *Machine
	in  []byte
	who Identity
}

func newSteady(t testing.TB, h Handler, in string) *steady {
	r := newRig(t, Config{Server: "catboat"}, h)
	return &steady{m: r.m, in: []byte(in), who: r.who}
}

// round is a turn of the loop: bytes come, are answered, and nothing is left.
func (s *steady) round() {
	s.m.Begin(Idle, s.who)
	s.m.Feed(s.in)
	s.m.Wrote(len(s.m.Output()))
	if !s.m.Resting() {
		panic("not resting")
	}
}

var steadyRows = []struct {
	name    string
	handler Handler
	in      string
}{
	{"a browser's GET", small, browserGet},
	{"a browser's GET looked at", lookup, browserGet},
	{"POST of 1 KiB echoed", echo, post1K},
	{"chunked POST", echo, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"},
	{"16 pipelined", small, strings.Repeat(get("/"), 16)},
	{"HEAD", small, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"404", notFound, browserGet},
	{"unknown method", small, "FROB / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"a path and a host that are made", lookup, "GET /a/../%62%20c HTTP/1.1\r\nHost: Example.ORG\r\nUser-Agent: x\r\nUser-Agent: y\r\n\r\n"},
	{"AfterReply", func(c *Conn) { c.AfterReply(func(*Conn, error) {}); small(c) }, browserGet},
	{"a large reply", func(c *Conn) { c.Reply(200, "", largeBody) }, browserGet},
}

var largeBody = make([]byte, 64<<10)

var countdown = NewResumable("countdown/1", func(p *Piece) Next {
	n := p.State()[0]
	if n == 0 {
		return End()
	}
	p.Write(helloBody)
	p.SetState([]byte{n - 1})
	return Again()
})

// partsRows are replies and bodies in parts, and what each may allocate: for the
// handles that a goroutine may keep, and what is queued between it and the loop.
var partsRows = []struct {
	name    string
	handler Handler
	in      string
	most    float64
}{
	{"GET at the head", small, browserGet, 0},
	{"POST at the head, its body thrown away", small, post1K, 0},
	{"AwaitBody", func(c *Conn) { c.AwaitBody(echo) }, post1K, 0},
	{"AwaitBody where there is none", func(c *Conn) { c.AwaitBody(echo) }, browserGet, 0},
	{"Inform", func(c *Conn) { c.Inform(103); small(c) }, browserGet, 0},
	{"16 pieces", func(c *Conn) { c.ReplyResumable(200, "", unknown, countdown, []byte{16}) }, browserGet, 0},
	{"a file", func(c *Conn) { c.ReplyFile(200, "", FilePart{Before: helloBody, FD: 3, Length: 10}) }, browserGet, 0},
	{"StreamBody", func(c *Conn) {
		c.StreamBody().Each(func(c *Conn, p []byte, err error) int {
			if err != nil {
				small(c)
			}
			return len(p)
		})
	}, post1K, 3}, // Body, its queue, and that this grows
	{"ReplyStream", func(c *Conn) {
		s := c.ReplyStream(200, "", unknown)
		s.TryWrite(helloBody, nil)
		s.TryWrite(helloBody, nil)
		s.Close()
	}, browserGet, 4}, // Stream, its queue, that this grows, the function that is posted
}

func TestPartsAllocateLittle(t *testing.T) {
	for _, row := range partsRows {
		for _, size := range []int{1 << 20, 50} {
			r := newRig(t, Config{HeadFirst: true}, row.handler)
			var posted func(*Machine)
			r.env.post = func(_ Handle, f func(*Machine)) error {
				posted = f
				return nil
			}
			in := []byte(row.in)
			round := func() {
				r.m.Begin(Idle, r.who)
				for rest := in; len(rest) > 0; {
					n := min(size, len(rest))
					r.m.Feed(rest[:n])
					rest = rest[n:]
				}
				if f := posted; f != nil {
					posted = nil
					f(r.m)
				}
				for r.m.Pending() > 0 {
					if f, ok := r.m.File(); ok {
						r.m.Wrote(int(f.Length))
					}
					r.m.Wrote(len(r.m.Output()))
				}
				if !r.m.Resting() {
					t.Fatalf("%s: not resting", row.name)
				}
			}
			for range 3 { // buffers grow to what pieces need
				round()
			}
			if n := testing.AllocsPerRun(100, round); n > row.most && !raceEnabled {
				t.Errorf("%s, %d bytes at once: %v allocations, want %v", row.name, size, n, row.most)
			}
		}
	}
}

func TestRequestAllocatesNothing(t *testing.T) {
	for _, row := range steadyRows {
		s := newSteady(t, row.handler, row.in)
		s.round()
		if n := testing.AllocsPerRun(100, s.round); n != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", row.name, n)
		}
	}
}

// So does one that comes in pieces and goes out in pieces.
func TestRequestInPiecesAllocatesNothing(t *testing.T) {
	for _, row := range steadyRows {
		s := newSteady(t, row.handler, row.in)
		round := func() {
			s.m.Begin(Idle, s.who)
			for rest := s.in; len(rest) > 0; {
				n := min(50, len(rest))
				s.m.Feed(rest[:n])
				rest = rest[n:]
				for s.m.Pending() > 100 {
					s.m.Wrote(100)
				}
			}
			s.m.Wrote(len(s.m.Output()))
		}
		for range 3 { // buffers grow to what pieces need
			round()
		}
		if n := testing.AllocsPerRun(100, round); n != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", row.name, n)
		}
	}
}
