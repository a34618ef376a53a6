package conn_test

import (
	"fmt"
	"strings"

	"catboat/conn"
)

// exchange sends requests to a handler over a connection without a socket and
// prints what comes back. In a program the loop does this.
func exchange(h conn.Handler, requests ...string) {
	posted := make(chan func(*conn.Machine), 1)
	env := conn.NewEnv(conn.Config{
		Post: func(_ conn.Handle, f func(*conn.Machine)) error {
			posted <- f
			return nil
		},
		Fault: func(_ *conn.Conn, what string, _ any) { fmt.Println("fault:", what) },
	})
	env.SetDate([]byte("Thu, 01 Jan 1970 00:00:00 GMT"))
	env.SetHandler(h)
	m := conn.NewMachine(env)
	m.Begin(conn.Fresh, conn.Identity{ID: 1})
	for _, request := range requests {
		m.Feed([]byte(request + " HTTP/1.1\r\nHost: example.org\r\n\r\n"))
		for m.State() == conn.Pending || m.State() == conn.Streaming {
			f := <-posted
			f(m)
		}
		fmt.Println(strings.ReplaceAll(string(m.Output()), "\r\n", "\n"))
		m.Wrote(len(m.Output()))
	}
}

func ExampleHandler() {
	handler := func(c *conn.Conn) {
		switch string(c.Request().Path()) { // does not allocate
		case "/hello":
			c.Reply(200, "text/plain", []byte("hello\n"))
		default:
			c.Error(404)
		}
	}
	exchange(handler, "GET /hello")
	// Output:
	// HTTP/1.1 200 OK
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Content-Type: text/plain
	// Content-Length: 6
	//
	// hello
}

// A middleware does something before the handler that it is given, or behind it,
// or in its place.
func ExampleMiddleware() {
	readOnly := func(next conn.Handler) conn.Handler {
		return func(c *conn.Conn) {
			if m := c.Request().Method(); m != "GET" && m != "HEAD" {
				c.SetHeader("Allow", "GET, HEAD")
				c.Error(405)
				return
			}
			next(c)
		}
	}
	logged := func(next conn.Handler) conn.Handler {
		return func(c *conn.Conn) {
			line := c.Request().Method() + " " + c.Request().Path().String() // copies: the request is over by then
			c.AfterReply(func(c *conn.Conn, err error) { fmt.Println(line, c.Status(), err) })
			next(c)
		}
	}
	hello := func(c *conn.Conn) { c.Reply(200, "", []byte("hello\n")) }
	exchange(logged(readOnly(hello)), "GET /", "DELETE /")
	// Output:
	// HTTP/1.1 200 OK
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Content-Length: 6
	//
	// hello
	//
	// GET / 200 <nil>
	// HTTP/1.1 405 Method Not Allowed
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Content-Type: text/html; charset=utf-8
	// Content-Length: 110
	// Allow: GET, HEAD
	//
	// <!doctype html>
	// <html lang="en"><title>405 Method Not Allowed</title>
	// <h1>405 Method Not Allowed</h1>
	// </html>
	//
	// DELETE / 405 <nil>
}

func ExampleConn_SetHeader() {
	handler := func(c *conn.Conn) {
		c.SetHeader("Cache-Control", "no-store")
		c.AddHeader("Set-Cookie", "theme=dark")
		c.AddHeader("Set-Cookie", "lang=en")
		c.SetHeader("cache-control", "no-cache") // in place of no-store
		c.Reply(204, "", nil)
	}
	exchange(handler, "GET /")
	// Output:
	// HTTP/1.1 204 No Content
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Set-Cookie: theme=dark
	// Set-Cookie: lang=en
	// cache-control: no-cache
}

// What takes long is done in a goroutine, while the loop serves others.
func ExampleConn_Defer() {
	slow := func(name string) string { return "nothing is known of " + name + "\n" }
	handler := func(c *conn.Conn) {
		name := string(c.Request().Query()) // a copy, which may be kept
		d := c.Defer()
		go func() {
			if err := d.Reply(200, "text/plain", []byte(slow(name))); err != nil {
				fmt.Println("the client has not waited:", err)
			}
		}()
	}
	exchange(handler, "GET /about?catboats")
	// Output:
	// HTTP/1.1 200 OK
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Content-Type: text/plain
	// Content-Length: 29
	//
	// nothing is known of catboats
}

func ExampleConn_AfterReply() {
	handler := func(c *conn.Conn) {
		path := c.Request().Path().String() // a copy: the request will be over
		c.AfterReply(func(c *conn.Conn, err error) {
			fmt.Printf("connection %d: %s is sent, error %v\n", c.ID(), path, err)
		})
		c.Reply(200, "", []byte("hello\n"))
	}
	exchange(handler, "GET /hello")
	// Output:
	// HTTP/1.1 200 OK
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Content-Length: 6
	//
	// hello
	//
	// connection 1: /hello is sent, error <nil>
}

// A reply that is written while it is made, by a goroutine that waits for the
// client where it has to.
func ExampleConn_ReplyStream() {
	handler := func(c *conn.Conn) {
		s := c.ReplyStream(200, "text/plain", int64(len("one\ntwo\n")))
		go func() {
			for _, line := range []string{"one\n", "two\n"} {
				if _, err := s.Write([]byte(line)); err != nil {
					return // nobody reads it any more
				}
			}
			s.Close()
		}()
	}
	exchange(handler, "GET /")
	// Output:
	// HTTP/1.1 200 OK
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Content-Type: text/plain
	// Content-Length: 8
	//
	// one
	// two
}

// A reply that keeps one byte between its pieces, and no goroutine.
func ExampleNewResumable() {
	countdown := conn.NewResumable("countdown/1", func(p *conn.Piece) conn.Next {
		n := p.State()[0]
		if n == 0 {
			return conn.End()
		}
		fmt.Fprintln(p, n)
		p.SetState([]byte{n - 1})
		return conn.Again() // or conn.After(time.Second)
	})
	handler := func(c *conn.Conn) {
		c.ReplyResumable(200, "text/plain", int64(len("3\n2\n1\n")), countdown, []byte{3})
	}
	exchange(handler, "GET /")
	// Output:
	// HTTP/1.1 200 OK
	// Date: Thu, 01 Jan 1970 00:00:00 GMT
	// Content-Type: text/plain
	// Content-Length: 6
	//
	// 3
	// 2
	// 1
}
