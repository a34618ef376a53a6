//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"catboat/admin"
	"catboat/conn"
	"catboat/loop"
	"catboat/restart"
)

const (
	plain  = "text/plain"
	octets = "application/octet-stream"
	events = "text/event-stream"
)

var hello = []byte("Hello, World!")

// path is a handler and the methods that it knows.
type path struct {
	handler conn.Handler
	methods []string
	atHead  bool // it is called before the body has come
}

// newPaths is the handler of all paths, to be called at the head. What it refuses
// by the head alone is refused before the body has come.
func newPaths(l *loop.Loop) conn.Handler {
	read, write := []string{"GET", "HEAD"}, []string{"POST"}
	paths := map[string]path{
		"/":                 {func(c *conn.Conn) { c.Reply(200, plain, hello) }, read, false},
		"/echo":             {echo, write, false},
		"/fast":             {func(c *conn.Conn) { c.Reply(200, octets, pattern(0, 1024)) }, read, false},
		"/slow":             {slow, read, false},
		"/big":              {big, read, false},
		"/upload":           {upload, write, true},
		"/sse":              {sse, read, false},
		"/defer":            {deferred, read, false},
		"/panic":            {func(c *conn.Conn) { panic("asked for") }, read, false},
		"/checkConnections": {admin.CheckConnections(l), read, false},
		"/readyz":           {readiness(l), read, false},
	}
	return func(c *conn.Conn) {
		r := c.Request()
		p, ok := paths[string(r.Path())]
		switch {
		case !ok:
			c.Error(404)
		case !slices.Contains(p.methods, r.Method()):
			refuseMethod(c, p.methods)
		case p.atHead:
			p.handler(c)
		default:
			c.AwaitBody(p.handler)
		}
	}
}

// readiness tells a load balancer whether to send more.
func readiness(l *loop.Loop) conn.Handler {
	return func(c *conn.Conn) {
		if restart.Leaving(l) {
			c.Error(503)
			return
		}
		c.Reply(200, plain, []byte("ready\n"))
	}
}

const staticPrefix = "/static/"

// beside has the tree answer what is beneath staticPrefix, and paths all else.
func beside(paths, tree conn.Handler) conn.Handler {
	return func(c *conn.Conn) {
		if p := c.Request().Path(); bytes.HasPrefix(p, []byte(staticPrefix)) || string(p) == strings.TrimSuffix(staticPrefix, "/") {
			tree(c)
			return
		}
		paths(c)
	}
}

func refuseMethod(c *conn.Conn, methods []string) {
	c.SetHeader("Allow", strings.Join(append(methods, "OPTIONS"), ", "))
	if c.Request().Method() == "OPTIONS" {
		c.Reply(204, "", nil)
		return
	}
	c.Error(405)
}

func echo(c *conn.Conn) { c.Reply(200, octets, c.Request().Body()) }

// upload answers with the number of bytes that were sent, and keeps none.
func upload(c *conn.Conn) {
	n := 0
	c.StreamBody().Each(func(c *conn.Conn, p []byte, err error) int {
		n += len(p)
		if err == io.EOF {
			c.Reply(200, plain, fmt.Appendf(nil, "%d\n", n))
		}
		return len(p)
	})
}

// deferred answers when ms milliseconds have passed, with a goroutine. A client that
// may have left meanwhile gets 503, or its connection would be held.
func deferred(c *conn.Conn) {
	d, wait := c.Defer(), milliseconds(query(c).Get("ms"))
	go func() {
		select {
		case <-time.After(wait):
			d.Reply(200, octets, pattern(0, 1024))
		case <-d.Done():
			d.Reply(503, plain, []byte("you seem to have left\n"))
		}
	}()
}

func query(c *conn.Conn) url.Values {
	v, _ := url.ParseQuery(c.Request().Query().String()) // what is malformed is not there
	return v
}

// milliseconds reads a query's value; what is no number is none.
func milliseconds(s string) time.Duration {
	n, _ := strconv.Atoi(s)
	return time.Duration(min(max(n, 0), 600_000)) * time.Millisecond
}

// record is 16 bytes of the pattern, which count: so each place can be told from
// the others.
const record = 16

// pattern is n bytes of the pattern, from record number first on.
func pattern(first, n int) []byte {
	b := make([]byte, 0, n+record)
	for k := first; len(b) < n; k++ {
		b = fmt.Appendf(b, "%015d\n", k)
	}
	return b[:n]
}
