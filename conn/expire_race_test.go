//go:build race

package conn

import (
	"strings"
	"testing"
)

// Under the race detector a view that was kept shows that it has expired.
func TestExpiredViewIsOverwritten(t *testing.T) {
	const in = "POST /plain?query HTTP/1.1\r\nHost: a\r\nX: one\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nT: trailer\r\n\r\n"
	const made = "GET /m%61de HTTP/1.1\r\nHost: MADE\r\nX: one\r\nX: two\r\n\r\n"
	for _, row := range []struct {
		about, in string
		view      func(q *Request) View
	}{
		{"target", in, (*Request).Target},
		{"path", in, (*Request).Path},
		{"query", in, (*Request).Query},
		{"host", in, (*Request).Host},
		{"body", in, (*Request).Body},
		{"field", in, func(q *Request) View { return q.Header("x") }},
		{"trailer", in, func(q *Request) View { return q.Trailer("t") }},
		{"decoded path", made, (*Request).Path},
		{"host in lower case", made, (*Request).Host},
		{"joined field", made, func(q *Request) View { return q.Header("x") }},
	} {
		for _, end := range []struct {
			about string
			of    func(r *rig)
		}{
			{"reply", func(r *rig) { r.happen("reply late") }},
			{"deadline", func(r *rig) { r.m.Expire() }},
			{"reset", func(r *rig) { r.m.Abandon(errReset) }},
		} {
			var kept View
			r := newRig(t, Config{}, nil)
			r.env.SetHandler(func(c *Conn) {
				kept = row.view(c.Request())
				r.deferred = append(r.deferred, c.Defer())
			})
			r.send(row.in)
			before := string(kept)
			end.of(r)
			if got := string(kept); before == "" || got != strings.Repeat("\xdb", len(before)) {
				t.Errorf("%s, once %q, is %q behind the %s", row.about, before, got, end.about)
			}
		}
	}
}

// What has not been looked at yet is not touched.
func TestExpiryStopsAtTheNextRequest(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/hello") + "GET /hel")
	r.send("lo HTTP/1.1\r\nHost: a\r\n\r\n")
	r.wantOut(ok("abc") + ok("hello\n") + ok("hello\n"))
}

// So does one of a head whose body has come later, and of that body.
func TestExpiredViewOfAHeadIsOverwritten(t *testing.T) {
	var head, field, body View
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.env.SetHandler(func(c *Conn) {
		head, field = c.Request().Path(), c.Request().Header("x")
		c.AwaitBody(func(c *Conn) {
			body = c.Request().Body()
			r.deferred = append(r.deferred, c.Defer())
		})
	})
	r.send("POST /path HTTP/1.1\r\nHost: a\r\nX: one\r\nContent-Length: 4\r\n\r\n", "bo", "dy")
	if got := string(head) + string(field) + string(body); got != "/pathonebody" {
		t.Errorf("%q while the reply is awaited", got)
	}
	r.happen("reply late")
	if got := string(head) + string(field) + string(body); got != strings.Repeat("\xdb", len("/pathonebody")) {
		t.Errorf("%q behind it", got)
	}
}
