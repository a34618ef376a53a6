// Gnet is gnet as a peer in the benchmarks, with a reader that validates nothing:
// it looks for the end of a head, for Content-Length if the request is a POST,
// and for Connection: close. GET gets a greeting, POST its body.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.Parse()
	address, err := free(*listen)
	if err != nil {
		log.Fatal(err)
	}
	s := &server{address: address}
	s.setDate()
	log.Fatal(gnet.Run(s, "tcp://"+address, gnet.WithNumEventLoop(1), gnet.WithTicker(true), gnet.WithReuseAddr(true), gnet.WithLogger(quiet{})))
}

// free finds the port that port 0 stands for: gnet does not tell it.
func free(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// quiet logs nothing but what is wrong: gnet's own logger writes to our output.
type quiet struct{}

func (quiet) Debugf(string, ...any)             {}
func (quiet) Infof(string, ...any)              {}
func (quiet) Warnf(format string, args ...any)  { log.Printf(format, args...) }
func (quiet) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (quiet) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

type server struct {
	gnet.BuiltinEventEngine
	address string
	date    atomic.Pointer[string]
	out     []byte // of the one event loop
}

func (s *server) OnBoot(gnet.Engine) gnet.Action {
	fmt.Printf("listening on %s\n", s.address)
	return gnet.None
}

func (s *server) OnTick() (time.Duration, gnet.Action) {
	s.setDate()
	return time.Second, gnet.None
}

func (s *server) setDate() {
	date := time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	s.date.Store(&date)
}

// OnTraffic answers all requests that are there whole, in one write.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	in, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	s.out = s.out[:0]
	used, end := 0, false
	for used < len(in) && !end {
		var n int
		if n, end = s.answer(in[used:]); n == 0 {
			break
		}
		used += n
	}
	if used > 0 { // 0 would be all
		c.Discard(used) // so much is there
	}
	if len(s.out) > 0 {
		if _, err := c.Write(s.out); err != nil {
			return gnet.Close
		}
	}
	if end {
		return gnet.Close
	}
	return gnet.None
}

// answer puts the answer to the first request behind the others and returns the
// request's length, 0 if there is more to come.
func (s *server) answer(in []byte) (n int, end bool) {
	head, body, ok := bytes.Cut(in, []byte("\r\n\r\n"))
	if !ok {
		return 0, false
	}
	n = len(head) + 4
	contentType, answer := "text/plain", []byte("Hello, World!")
	if head[0] == 'P' {
		length := contentLength(head)
		if len(body) < length {
			return 0, false
		}
		n += length
		contentType, answer = "application/octet-stream", body[:length]
	}
	end = bytes.Contains(head, []byte("\r\nConnection: close"))
	s.out = append(s.out, "HTTP/1.1 200 OK\r\nServer: gnet\r\nDate: "...)
	s.out = append(s.out, *s.date.Load()...)
	if end {
		s.out = append(s.out, "\r\nConnection: close"...)
	}
	s.out = append(s.out, "\r\nContent-Type: "...)
	s.out = append(s.out, contentType...)
	s.out = append(s.out, "\r\nContent-Length: "...)
	s.out = strconv.AppendInt(s.out, int64(len(answer)), 10)
	s.out = append(s.out, "\r\n\r\n"...)
	s.out = append(s.out, answer...)
	return n, end
}

func contentLength(head []byte) int {
	_, rest, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, _ := strconv.Atoi(string(digits)) // what is no number is none
	return max(n, 0)
}
