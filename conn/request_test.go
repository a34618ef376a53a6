package conn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// handle has a rig's handler look at one request.
func handle(t *testing.T, in string, look func(q *Request)) {
	t.Helper()
	called := false
	r := newRig(t, Config{}, func(c *Conn) {
		called = true
		look(c.Request())
		hello(c)
	})
	r.send(in)
	if r.wantLog(); !called {
		t.Errorf("no handler was called for %q", in)
	}
}

func TestPathQueryAndHost(t *testing.T) {
	for _, row := range []struct{ target, host, path, query, wantHost string }{
		{"/", "a", "/", "", "a"},
		{"/a/b", "a", "/a/b", "", "a"},
		{"/a%20b", "a", "/a b", "", "a"},
		{"/a%2Fb", "a", "/a%2Fb", "", "a"},
		{"/x/../a/./b", "a", "/a/b", "", "a"},
		{"/%2e%2e/a", "a", "/a", "", "a"},
		{"/?", "a", "/", "", "a"},
		{"/a?b=c&d=%20?", "a", "/a", "b=c&d=%20?", "a"},
		{"/", "Example.ORG:8080", "/", "", "example.org:8080"},
		{"/%41", "EXAMPLE", "/A", "", "example"},
		{"/", "[2001:DB8::1]", "/", "", "[2001:db8::1]"},
		{"/", "", "/", "", ""},
		{"http://B", "a", "/", "", "b"},
		{"http://B?c", "a", "/", "c", "b"},
		{"http://b:1/%63?d", "a", "/c", "d", "b:1"},
	} {
		handle(t, "GET "+row.target+" HTTP/1.1\r\nHost: "+row.host+"\r\n\r\n", func(q *Request) {
			for range 2 { // the second time from memory
				for _, part := range []struct {
					name string
					got  View
					want string
				}{
					{"target", q.Target(), row.target},
					{"host", q.Host(), row.wantHost},
					{"path", q.Path(), row.path},
					{"query", q.Query(), row.query},
				} {
					if string(part.got) != part.want {
						t.Errorf("%s of %s at %s: got %q, want %q", part.name, row.target, row.host, part.got, part.want)
					}
				}
			}
		})
	}
	handle(t, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", func(q *Request) {
		if got := string(q.Path()); got != "*" {
			t.Errorf("path of * is %q", got)
		}
	})
}

func TestHeaderJoinsTheLinesOfAName(t *testing.T) {
	const in = "POST / HTTP/1.1\r\n" +
		"Host: a\r\n" +
		"Transfer-Encoding: chunked\r\n" +
		"Accept: a, b\r\n" +
		"Empty:\r\n" +
		"ACCEPT: c\r\n" +
		"Cookie: a=1\r\n" +
		"Gap: \r\n" +
		"accept:\r\n" +
		"cookie: b=2; c=3\r\n" +
		"Gap: x\r\n" +
		"Accept-Not: d\r\n" +
		"\r\n0\r\n" +
		"Sum: 1\r\n" +
		"sum: 2\r\n" +
		"Accept: trailer\r\n" +
		"Nil:\r\n" +
		"\r\n"
	handle(t, in, func(q *Request) {
		for _, look := range []struct {
			where string
			field func(string) View
			rows  [][2]string
		}{
			{"header", q.Header, [][2]string{
				{"Accept", "a, b, c, "}, {"aCCEPT", "a, b, c, "}, {"Accept-Not", "d"}, {"Host", "a"}, {"Empty", ""}, {"Gap", ", x"},
				{"Cookie", "a=1; b=2; c=3"}, {"cookie", "a=1; b=2; c=3"},
			}},
			{"trailer", q.Trailer, [][2]string{{"Sum", "1, 2"}, {"accept", "trailer"}, {"nil", ""}}},
		} {
			for _, row := range look.rows {
				if got := look.field(row[0]); got == nil || string(got) != row[1] {
					t.Errorf("%s %s: got %q (nil: %v), want %q", look.where, row[0], got, got == nil, row[1])
				}
			}
			for _, absent := range []string{"", "Acce", "Accept-", "Accept:", "None"} {
				if got := look.field(absent); got != nil {
					t.Errorf("%s %q: got %q", look.where, absent, got)
				}
			}
		}
		if got := q.Trailer("Host"); got != nil {
			t.Errorf("a header field among the trailers: %q", got)
		}
		if got := q.Header("Sum"); got != nil {
			t.Errorf("a trailer field among the headers: %q", got)
		}
	})
}

func TestHeadersInTheOrderTheyCame(t *testing.T) {
	handle(t, "GET / HTTP/1.1\r\nB: 2\r\nHost: a\r\nA:1 \r\nb: 3\r\nE:\r\n\r\n", func(q *Request) {
		var got []string
		for name, value := range q.Headers() {
			got = append(got, name.String()+"="+value.String())
		}
		if want := []string{"B=2", "Host=a", "A=1", "b=3", "E="}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for name := range q.Headers() {
			if string(name) == "Host" {
				break
			}
		}
	})
}

func TestBodyAndItsLength(t *testing.T) {
	for _, row := range []struct {
		in, body string
		length   int64
		minor    int
	}{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", 0, 1},
		{"GET / HTTP/1.9\r\nHost: a\r\n\r\n", "", 0, 1},
		{"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", "abc", 3, 0},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", -1, 1},
	} {
		handle(t, row.in, func(q *Request) {
			if string(q.Body()) != row.body || q.ContentLength() != row.length || q.Minor() != row.minor {
				t.Errorf("%q: body %q, length %d, minor %d", row.in, q.Body(), q.ContentLength(), q.Minor())
			}
		})
	}
}

// A view stays as it was while others are made.
func TestViewsDoNotDisturbEachOther(t *testing.T) {
	const in = "GET /%61 HTTP/1.1\r\nHost: A\r\nX: 1\r\nX: 2\r\nCookie: 1\r\nCookie: 2\r\n\r\n"
	r := newRig(t, Config{}, func(c *Conn) {
		q := c.Request()
		parts := []View{q.Host(), q.Path(), q.Header("x"), q.Header("cookie"), q.Header("x")}
		for i := range parts {
			parts[i] = append(parts[i], "!"...) // must not reach what lies behind
		}
		if got := fmt.Sprint(parts); got != "[a! /a! 1, 2! 1; 2! 1, 2!]" {
			t.Errorf("views are %s", got)
		}
		if got := fmt.Sprint(q.Host(), q.Path(), q.Header("x")); got != "a /a 1, 2" {
			t.Errorf("views are %s afterwards", got)
		}
		hello(c)
	})
	for range 4 { // with the memory of the last
		r.send(in)
	}
	r.wantLog()
}

const cloned = "POST /%61?b HTTP/1.1\r\nHost: A\r\nX: 1\r\nX: 2\r\nE:\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 3\r\nt: 4\r\n\r\n"

func aboutClone(q *Request) string {
	return seen(q) + fmt.Sprintf("%q %q %v %v\n", q.Header("x"), q.Trailer("t"), q.Header("e") == nil, q.Header("none") == nil)
}

// A clone is as good as its request, for ever.
func TestCloneOutlivesItsRequest(t *testing.T) {
	var clones []*Request
	var want string
	r := newRig(t, Config{}, func(c *Conn) {
		want = aboutClone(c.Request())
		clones = append(clones, c.Request().Clone())
		hello(c)
	})
	r.send(cloned)
	r.env.SetHandler(hello)
	r.send("GET /" + strings.Repeat("z", 300) + " HTTP/1.1\r\nHost: ZZZ\r\n\r\n")
	r.m.Abandon(errReset)
	clones = append(clones, clones[0].Clone())
	var all sync.WaitGroup
	for _, q := range slices.Repeat(clones, 4) {
		all.Go(func() {
			if got := aboutClone(q); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	all.Wait()
}

func TestViewPrintsAsText(t *testing.T) {
	v := View("a<b")
	if got := fmt.Sprintf("%v %s", v, v); got != "a<b a<b" {
		t.Errorf("fmt: %s", got)
	}
	if got, err := json.Marshal(map[string]View{"v": View("ab")}); err != nil || string(got) != `{"v":"ab"}` {
		t.Errorf("JSON: %s, %v", got, err)
	}
	for _, row := range []struct {
		name string
		make func(*bytes.Buffer) slog.Handler
		want string
	}{
		{"text", func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }, "v=ab"},
		{"JSON", func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }, `"v":"ab"`},
	} {
		var log bytes.Buffer
		if slog.New(row.make(&log)).Info("m", "v", View("ab")); !strings.Contains(log.String(), row.want) {
			t.Errorf("slog as %s: %s", row.name, &log)
		}
	}
	text, err := v.MarshalText()
	if text[0] = 'x'; err != nil || v.String() != "a<b" {
		t.Errorf("the text is not a copy: %s, %v", v, err)
	}
}
