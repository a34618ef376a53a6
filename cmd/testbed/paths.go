//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
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

// paths is the handlers of all paths.
type paths struct {
	connections conn.Handler // /checkConnections
	ready       conn.Handler // /readyz
	tree        conn.Handler // what is beneath staticPrefix; nil: there is nothing
}

func newPaths(l *loop.Loop) *paths {
	return &paths{connections: admin.CheckConnections(l), ready: readiness(l)}
}

const staticPrefix = "/static/"

// serve is called at the head. What it refuses by the head alone is refused before the
// body has come.
func (p *paths) serve(c *conn.Conn) {
	path := c.Request().Path()
	switch string(path) {
	case "/":
		onGet(c, root)
	case "/echo":
		onPost(c, echo)
	case "/fast":
		onGet(c, fast)
	case "/slow":
		onGet(c, slow)
	case "/big":
		onGet(c, big)
	case "/upload":
		if allowed(c, "POST", "") {
			upload(c) // as it comes
		}
	case "/sse":
		onGet(c, sse)
	case "/defer":
		onGet(c, deferred)
	case "/panic":
		onGet(c, func(c *conn.Conn) { panic("asked for") })
	case "/checkConnections":
		onGet(c, p.connections)
	case "/readyz":
		onGet(c, p.ready)
	default:
		if p.tree != nil && (bytes.HasPrefix(path, []byte(staticPrefix)) || string(path) == strings.TrimSuffix(staticPrefix, "/")) {
			p.tree(c)
		} else {
			c.Error(404)
		}
	}
}

// onGet has h answer GET and HEAD when the body has come, which may be empty.
func onGet(c *conn.Conn, h conn.Handler) {
	if allowed(c, "GET", "HEAD") {
		c.AwaitBody(h)
	}
}

// onPost is the same for POST.
func onPost(c *conn.Conn, h conn.Handler) {
	if allowed(c, "POST", "") {
		c.AwaitBody(h)
	}
}

// allowed reports whether the request has one of two methods, and answers if not.
func allowed(c *conn.Conn, first, second string) bool {
	m := c.Request().Method()
	if m == first || m == second {
		return true
	}
	allow := first + ", OPTIONS"
	if second != "" {
		allow = first + ", " + second + ", OPTIONS"
	}
	c.SetHeader("Allow", allow)
	if m == "OPTIONS" {
		c.Reply(204, "", nil)
	} else {
		c.Error(405)
	}
	return false
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

func root(c *conn.Conn) { c.Reply(200, plain, hello) }

func fast(c *conn.Conn) { c.Reply(200, octets, pattern(0, 1024)) }

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
