package conn

import (
	"fmt"
	"strconv"
	"strings"
)

// handler answers as the path says; what the answers are stands in
// testdata/README.md. Called at the head it awaits the body where no other
// answer is listed among atHead.
func (r *rig) handler(c *Conn) {
	path, argument := split(c.Request())
	if answer, ok := atHead[path]; ok {
		answer(r, c, argument)
		return
	}
	if r.env.headFirst {
		c.AwaitBody(r.whole)
		return
	}
	r.whole(c)
}

// whole answers a request whose body is whole.
func (r *rig) whole(c *Conn) {
	path, argument := split(c.Request())
	if answer, ok := answers[path]; ok {
		answer(r, c, argument)
		return
	}
	c.Error(404)
}

func split(q *Request) (path, argument string) {
	path = string(q.Path())
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[:i+1], path[i+2:]
	}
	return path, ""
}

func hello(c *Conn) { c.Reply(200, "text/plain", []byte("hello\n")) }

var answers = map[string]func(r *rig, c *Conn, argument string){
	"/hello": func(r *rig, c *Conn, _ string) { hello(c) },
	"/empty": func(r *rig, c *Conn, _ string) { c.Reply(200, "", nil) },
	"/big":   func(r *rig, c *Conn, _ string) { c.Reply(200, "text/plain", []byte(strings.Repeat("x", 5000))) },
	"/echo":  func(r *rig, c *Conn, _ string) { c.Reply(200, "text/plain", c.Request().Body()) },
	"/seen":  func(r *rig, c *Conn, _ string) { c.Reply(200, "text/plain", []byte(seen(c.Request()))) },
	"/trailer": func(r *rig, c *Conn, name string) {
		c.Reply(200, "text/plain", []byte(fmt.Sprintf("head %q, trailer %q\n", c.Request().Header(name), c.Request().Trailer(name))))
	},
	"/status": func(r *rig, c *Conn, code string) {
		n, _ := strconv.Atoi(code)
		c.Reply(n, "text/plain", []byte("body\n"))
	},
	"/error": func(r *rig, c *Conn, code string) {
		n, _ := strconv.Atoi(code)
		c.Error(n)
	},
	"/fields": func(r *rig, c *Conn, _ string) {
		c.SetHeader("Cache-Control", "no-store")
		c.AddHeader("Set-Cookie", "a=1")
		c.AddHeader("Set-Cookie", "b=2")
		c.SetHeader("cache-control", "no-cache")
		hello(c)
	},
	"/location": func(r *rig, c *Conn, to string) {
		c.SetHeader("Location", to)
		c.Reply(302, "", nil)
	},

	"/panic": func(r *rig, c *Conn, _ string) {
		c.SetHeader("Content-Encoding", "gzip")
		panic("oops")
	},
	"/panic-late": func(r *rig, c *Conn, _ string) {
		hello(c)
		panic("oops")
	},
	"/nothing": func(r *rig, c *Conn, _ string) { c.SetHeader("Content-Encoding", "gzip") },
	"/twice": func(r *rig, c *Conn, _ string) {
		hello(c)
		c.Reply(404, "", nil)
	},
	"/close": func(r *rig, c *Conn, _ string) {
		c.CloseAfterReply()
		hello(c)
	},
	"/close-late": func(r *rig, c *Conn, _ string) {
		hello(c)
		c.CloseAfterReply()
	},
	"/after": func(r *rig, c *Conn, name string) {
		c.AfterReply(func(c *Conn, err error) { r.say(fmt.Sprint("after ", name, ": ", err)) })
		hello(c)
	},
	"/after-panic": func(r *rig, c *Conn, _ string) {
		c.AfterReply(func(*Conn, error) { panic("oops") })
		hello(c)
	},
	"/after-close": func(r *rig, c *Conn, _ string) {
		c.AfterReply(func(c *Conn, _ error) { c.CloseAfterReply() })
		hello(c)
	},
	"/defer": func(r *rig, c *Conn, name string) {
		c.SetHeader("X-Deferred", "yes")
		c.AfterReply(func(_ *Conn, err error) { r.say(fmt.Sprint("after ", name, ": ", err)) })
		r.deferred = append(r.deferred, c.Defer())
	},
}

// seen is all that a handler can see of a request.
func seen(q *Request) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s HTTP/1.%d from %v\n", q.Method(), q.Target(), q.Minor(), q.Peer())
	fmt.Fprintf(&s, "path %q query %q host %q\n", q.Path(), q.Query(), q.Host())
	for name, value := range q.Headers() {
		fmt.Fprintf(&s, "%s: %s\n", name, value)
	}
	fmt.Fprintf(&s, "body of %d: %q\n", q.ContentLength(), q.Body())
	return s.String()
}
