//go:build linux

package main

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"catboat/admin"
	"catboat/conn"
	"catboat/loop"
)

const (
	plain  = "text/plain"
	binary = "application/octet-stream"
	maxBig = 16 << 20
)

var hello = []byte("Hello, World!")

// path is a handler and the methods that it knows.
type path struct {
	handler conn.Handler
	methods []string
}

// newPaths is the handler of all paths.
func newPaths(l *loop.Loop) conn.Handler {
	read, write := []string{"GET", "HEAD"}, []string{"POST"}
	paths := map[string]path{
		"/":                 {func(c *conn.Conn) { c.Reply(200, plain, hello) }, read},
		"/echo":             {echo, write},
		"/fast":             {func(c *conn.Conn) { c.Reply(200, binary, pattern(1024)) }, read},
		"/slow":             {slow(l), read},
		"/big":              {big, read},
		"/defer":            {deferred, read},
		"/panic":            {func(c *conn.Conn) { panic("asked for") }, read},
		"/checkConnections": {admin.CheckConnections(l), read},
		"/readyz":           {func(c *conn.Conn) { c.Reply(200, plain, []byte("ready\n")) }, read},
	}
	return func(c *conn.Conn) {
		r := c.Request()
		p, ok := paths[string(r.Path())]
		switch {
		case !ok:
			c.Error(404)
		case slices.Contains(p.methods, r.Method()):
			p.handler(c)
		default:
			c.SetHeader("Allow", strings.Join(append(p.methods, "OPTIONS"), ", "))
			if r.Method() == "OPTIONS" {
				c.Reply(204, "", nil)
				return
			}
			c.Error(405)
		}
	}
}

func echo(c *conn.Conn) { c.Reply(200, binary, c.Request().Body()) }

// slow answers when ms milliseconds have passed, without a goroutine.
func slow(l *loop.Loop) conn.Handler {
	return func(c *conn.Conn) {
		d := c.Defer()
		l.After(milliseconds(query(c).Get("ms")), func() { d.Reply(200, binary, pattern(1024)) })
	}
}

// deferred is slow with a goroutine.
func deferred(c *conn.Conn) {
	d, wait := c.Defer(), milliseconds(query(c).Get("ms"))
	go func() {
		select {
		case <-time.After(wait):
			d.Reply(200, binary, pattern(1024))
		case <-d.Done():
		}
	}()
}

func big(c *conn.Conn) {
	n, err := strconv.Atoi(query(c).Get("bytes"))
	if err != nil || n < 0 || n > maxBig {
		c.Error(400)
		return
	}
	c.Reply(200, binary, pattern(n))
}

func query(c *conn.Conn) url.Values {
	v, _ := url.ParseQuery(c.Request().Query().String()) // what is malformed is not there
	return v
}

// pattern is n bytes in which each place can be told from the others: records of
// 16 bytes that count.
func pattern(n int) []byte {
	b := make([]byte, 0, n+16)
	for k := 0; len(b) < n; k++ {
		b = fmt.Appendf(b, "%015d\n", k)
	}
	return b[:n]
}
