package conn

import (
	"strconv"
	"strings"
	"testing"
)

func TestFieldsOfTheReply(t *testing.T) {
	for _, row := range []struct {
		about string
		set   func(c *Conn)
		want  []string
	}{
		{"none", func(c *Conn) {}, nil},
		{"set", func(c *Conn) { c.SetHeader("A", "1") }, []string{"A: 1"}},
		{"set replaces", func(c *Conn) { c.SetHeader("A", "1"); c.SetHeader("A", "2") }, []string{"A: 2"}},
		{"in any case", func(c *Conn) { c.SetHeader("Aa", "1"); c.SetHeader("aA", "2") }, []string{"aA: 2"}},
		{"all of the name", func(c *Conn) {
			c.AddHeader("A", "1")
			c.AddHeader("B", "2")
			c.AddHeader("a", "3")
			c.SetHeader("A", "4")
		}, []string{"B: 2", "A: 4"}},
		{"and no other's", func(c *Conn) {
			c.SetHeader("Aa", "1")
			c.SetHeader("A", "2")
			c.SetHeader("Aaa", "3")
			c.SetHeader("Aa", "4")
		}, []string{"A: 2", "Aaa: 3", "Aa: 4"}},
		{"nor what looks like it in a value", func(c *Conn) { c.SetHeader("B", "A: 1"); c.SetHeader("A", "2") }, []string{"B: A: 1", "A: 2"}},
		{"an empty value removes", func(c *Conn) { c.SetHeader("A", "1"); c.SetHeader("B", "2"); c.SetHeader("a", "") }, []string{"B: 2"}},
		{"all of the name", func(c *Conn) { c.AddHeader("A", "1"); c.AddHeader("a", "2"); c.SetHeader("A", "") }, nil},
		{"or nothing", func(c *Conn) { c.SetHeader("A", "") }, nil},
		{"a name longer than any line", func(c *Conn) { c.SetHeader("A", "1"); c.SetHeader(strings.Repeat("a", 99), "") }, []string{"A: 1"}},
		{"add", func(c *Conn) { c.AddHeader("Vary", "A"); c.AddHeader("Vary", "B") }, []string{"Vary: A", "Vary: B"}},
		{"add an empty value", func(c *Conn) { c.AddHeader("A", "") }, []string{"A: "}},
		{"tab and bytes over ASCII", func(c *Conn) { c.SetHeader("A", "\tä\xff") }, []string{"A: \tä\xff"}},
		{"every byte of a token", func(c *Conn) { c.SetHeader("!#$%&'*+-.^_`|~09azAZ", "1") }, []string{"!#$%&'*+-.^_`|~09azAZ: 1"}},
	} {
		t.Run(row.about, func(t *testing.T) {
			r := newRig(t, Config{}, func(c *Conn) {
				row.set(c)
				hello(c)
			})
			r.send(get("/"))
			r.wantOut(ok("hello\n", row.want...))
			r.wantLog()
		})
	}
}

func TestFieldThatIsNotTakenCostsA500(t *testing.T) {
	type field struct{ name, value, why string }
	rows := []field{
		{"", "1", `field name "" is not a token`},
		{"A", "1\r\nB: 2", `control character in the value of A: "1\r\nB: 2"`},
	}
	for b := range 256 {
		c := string([]byte{byte(b)})
		if b < ' ' && b != '\t' || b == 0x7f {
			rows = append(rows, field{"A", "x" + c, "control character in the value of A: " + strconv.Quote("x"+c)})
		}
		if b <= ' ' || b >= 0x7f || strings.Contains(`"(),/:;<=>?@[\]{}`, c) {
			rows = append(rows, field{"A" + c, "1", "field name " + strconv.Quote("A"+c) + " is not a token"})
		}
	}
	for _, name := range []string{"Connection", "content-length", "CONTENT-TYPE", "Date", "keep-alive", "Server", "Transfer-Encoding", "upgrade"} {
		rows = append(rows, field{name, "1", "field " + strconv.Quote(name) + " is set by the connection itself (Content-Type is an argument of Reply)"})
		rows = append(rows, field{name, "", "field " + strconv.Quote(name) + " is set by the connection itself (Content-Type is an argument of Reply)"})
	}
	for _, row := range rows {
		for _, set := range []func(*Conn, string, string){(*Conn).SetHeader, (*Conn).AddHeader} {
			r := newRig(t, Config{}, func(c *Conn) {
				c.SetHeader("Set-Before", "1")
				set(c, row.name, row.value)
				hello(c)
			})
			r.send(get("/"))
			r.wantOut(page("500 Internal Server Error"))
			r.wantLog("fault: handler panicked: conn: " + row.why)
			r.wantState(Idle)
		}
	}
}

func TestContentTypeCannotSplitAReply(t *testing.T) {
	r := newRig(t, Config{}, func(c *Conn) { c.Reply(200, "text/plain\r\nA: b", nil) })
	r.send(get("/"))
	r.wantOut(page("500 Internal Server Error"))
	r.wantLog(`fault: handler panicked: conn: control character in content type "text/plain\r\nA: b"`)
}

// What is done at a wrong time is a fault, and does nothing else.
func TestReplyAtAWrongTime(t *testing.T) {
	const lateField = `conn: field "A" set after the reply was made`
	for _, row := range []struct {
		about string
		do    func(c *Conn) // behind the reply
		fault string
	}{
		{"second reply", func(c *Conn) { c.Reply(404, "", nil) }, "second reply to a request"},
		{"second page", func(c *Conn) { c.Error(404) }, "second reply to a request"},
		{"bad second reply", func(c *Conn) { c.Reply(99, "", nil) }, "handler panicked: conn: status 99 is not from 200 to 599"},
		{"late field", func(c *Conn) { c.SetHeader("A", "1") }, "handler panicked: " + lateField},
		{"late added field", func(c *Conn) { c.AddHeader("A", "1") }, "handler panicked: " + lateField},
		{"late Defer", func(c *Conn) { c.Defer() }, "handler panicked: conn: Defer outside of a request, or behind its reply or AwaitBody"},
	} {
		t.Run(row.about, func(t *testing.T) {
			r := newRig(t, Config{}, func(c *Conn) {
				hello(c)
				row.do(c)
			})
			r.send(get("/"))
			r.wantOut(ok("hello\n"))
			r.wantLog("fault: " + row.fault)
			r.wantState(Idle)
			r.wantResting()
		})
	}
}

func TestConnKeptBehindItsRequestDoesNothing(t *testing.T) {
	var kept *Conn
	r := newRig(t, Config{}, func(c *Conn) {
		kept = c
		hello(c)
	})
	r.send(get("/"))
	r.takeOut()
	kept.Reply(200, "", nil)
	kept.Error(404)
	r.wantLog("fault: reply outside of a request", "fault: reply outside of a request")
	for _, call := range []func(){
		func() { kept.SetHeader("A", "1") },
		func() { kept.AddHeader("A", "1") },
		func() { kept.Defer() },
		func() { kept.AfterReply(func(*Conn, error) {}) },
	} {
		if !panics(call) {
			t.Error("a call behind the end of the request did not panic")
		}
	}
	r.pump()
	r.wantOut("")
	r.wantResting()
}

func panics(f func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	f()
	return
}

func TestStatusOfTheReply(t *testing.T) {
	var seen []int
	r := newRig(t, Config{}, func(c *Conn) {
		c.AfterReply(func(c *Conn, _ error) { seen = append(seen, c.Status()) })
		seen = append(seen, c.Status())
		c.Error(404)
		seen = append(seen, c.Status())
	})
	r.send(get("/"), get("/"))
	want := []int{0, 404, 404, 0, 404, 404}
	for i, status := range want {
		if len(seen) != len(want) || seen[i] != status {
			t.Fatalf("statuses are %d, want %d", seen, want)
		}
	}
}

func TestReplyCopiesItsBody(t *testing.T) {
	body := []byte("hello\n")
	r := newRig(t, Config{}, func(c *Conn) {
		c.Reply(200, "text/plain", body)
		copy(body, "other\n")
	})
	r.send(get("/"))
	r.wantOut(ok("hello\n"))
}

func TestMiddlewareSeesTheReply(t *testing.T) {
	r := newRig(t, Config{}, nil)
	logged := Middleware(func(next Handler) Handler {
		return func(c *Conn) {
			c.SetHeader("X-Middleware", "yes")
			next(c)
			r.say(strconv.Itoa(c.Status()) + " to connection " + strconv.Itoa(int(c.ID())))
		}
	})
	r.env.SetHandler(logged(hello))
	r.send(get("/"))
	r.wantOut(ok("hello\n", "X-Middleware: yes"))
	r.wantLog("200 to connection 1")
}

// Every status of a final reply has a line and a page of its own.
func TestEveryStatusHasALineAndAPage(t *testing.T) {
	for status := 200; status < 600; status++ {
		title := strconv.Itoa(status) + " " + reasons[status]
		r := newRig(t, Config{}, func(c *Conn) { c.Error(status) })
		r.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := r.takeOut(); !strings.HasPrefix(got, "HTTP/1.1 "+title+"\r\n") {
			t.Errorf("%d: %q", status, got)
		}
		if got := string(r.env.page(status)); !strings.Contains(got, "<title>"+title+"</title>") {
			t.Errorf("%d: %q", status, got)
		}
	}
}
