//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The pieces that requests here are made of.
const (
	line  = "GET / HTTP/1.1\r\n"
	host  = "Host: localhost\r\n"
	whole = line + host + "\r\n"
	post  = "POST /echo HTTP/1.1\r\n" + host
	coded = "Transfer-Encoding: chunked\r\n"
	parts = post + coded + "\r\n" // of a body follow
	hi    = "5\r\nhello\r\n"      // a chunk
)

// abuse is what somebody sends, and the status of each reply to it. The
// connection ends behind the last; without any it ends and nothing is said.
type abuse struct {
	name string
	send string
	want []int
}

// refused is an abuse that gets one reply.
func refused(status int, name, send string) abuse { return abuse{name, send, []int{status}} }

// head is a request with further field lines.
func head(fields string) string { return line + host + fields + "\r\n" }

// malformed are requests that are wrong by their bytes, whatever follows.
var malformed = slices.Concat(strangers, badRequestLines, badFields, badFraming, badChunks, overLimits)

// strangers are not HTTP/1.
var strangers = []abuse{
	refused(400, "TLS client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("\xa5", 500)),
	refused(400, "SSLv2 client hello", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
	refused(505, "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
	refused(400, "HTTP/0.9", "GET /\r\n"),
	refused(400, "SSH banner", "SSH-2.0-OpenSSH_9.2p1\r\n"),
	refused(400, "SMTP", "EHLO example.org\r\n"),
	refused(400, "Redis", "*1\r\n$4\r\nPING\r\n"),
	refused(400, "PROXY protocol 1", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"+whole),
	refused(400, "PROXY protocol 2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"+strings.Repeat("\x7f", 12)+whole),
	refused(400, "SOCKS 5", "\x05\x01\x00"),
	refused(400, "an HTTP reply", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	refused(400, "JSON", `{"jsonrpc": "2.0"}`+"\r\n"),
	refused(400, "NULs", strings.Repeat("\x00", 300)),
	refused(400, "0xff", strings.Repeat("\xff", 300)),
	refused(400, "UTF-16", "\xff\xfeG\x00E\x00T\x00 \x00/\x00"),
	refused(400, "a byte order mark", "\xef\xbb\xbf"+whole),
	refused(400, "line feeds", strings.Repeat("\n", 300)),
	refused(400, "every byte", everyByte()),
}

func everyByte() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

var badRequestLines = []abuse{
	refused(400, "a space first", " "+whole),
	refused(400, "two empty lines first", "\r\n\r\n"+whole),
	refused(400, "an empty line of LF first", "\n"+whole),
	refused(400, "no target", "GET HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "nothing behind the method", "GET \r\n"+host+"\r\n"),
	refused(400, "method alone", "GET\r\n"+host+"\r\n"),
	refused(400, "method that is no token", "G@T / HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "NUL in the method", "G\x00T / HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "two spaces before the target", "GET  / HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "two spaces before the version", "GET /  HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "tab before the target", "GET\t/ HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "space behind the version", "GET / HTTP/1.1 \r\n"+host+"\r\n"),
	refused(400, "a fourth word", "GET / HTTP/1.1 x\r\n"+host+"\r\n"),
	refused(400, "space in the target", "GET /a b HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "line of bare LF", "GET / HTTP/1.1\n"+host+"\r\n"),
	refused(400, "line of bare CR", "GET / HTTP/1.1\r"+host+"\r\n"),
	refused(400, "NUL in the target", "GET /\x00 HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "raw UTF-8 in the target", "GET /\xc3\xa4 HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "DEL in the target", "GET /\x7f HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "CR in the target", "GET /\r/ HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "fragment", "GET /#top HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "target without a slash", "GET index HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "asterisk with GET", "GET * HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "CONNECT without a port", "CONNECT localhost HTTP/1.1\r\n"+host+"\r\n"),
	refused(501, "CONNECT, and what is in the tunnel", "CONNECT localhost:80 HTTP/1.1\r\n"+host+"\r\n"+whole),
	refused(400, "absolute target without a host", "GET http:/// HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "absolute target with a user", "GET http://me@localhost/ HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "absolute target of ftp", "GET ftp://localhost/ HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "half an escape", "GET /%4 HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "escape of no digits", "GET /%zz HTTP/1.1\r\n"+host+"\r\n"),
	refused(400, "escaped NUL", "GET /a%00.txt HTTP/1.1\r\n"+host+"\r\n"),
	refused(505, "HTTP/2.0", "GET / HTTP/2.0\r\n"+host+"\r\n"),
	refused(505, "HTTP/0.9 as a version", "GET / HTTP/0.9\r\n"+host+"\r\n"),
	refused(400, "HTTP/1", "GET / HTTP/1\r\n"+host+"\r\n"),
	refused(400, "HTTP/1.10", "GET / HTTP/1.10\r\n"+host+"\r\n"),
	refused(400, "HTTP/11.1", "GET / HTTP/11.1\r\n"+host+"\r\n"),
	refused(400, "http/1.1", "GET / http/1.1\r\n"+host+"\r\n"),
	refused(400, "HTTPS/1.1", "GET / HTTPS/1.1\r\n"+host+"\r\n"),
	refused(400, "HTTP/-1.1", "GET / HTTP/-1.1\r\n"+host+"\r\n"),
}

var badFields = []abuse{
	refused(400, "no Host", line+"\r\n"),
	refused(400, "two Hosts", head(host)),
	refused(400, "Host with a space", line+"Host: a b\r\n\r\n"),
	refused(400, "Host with a path", line+"Host: a/b\r\n\r\n"),
	refused(400, "Host with a user", line+"Host: me@a\r\n\r\n"),
	refused(400, "Host with a huge port", line+"Host: a:99999999999999999999\r\n\r\n"),
	refused(400, "Host with a port of letters", line+"Host: a:http\r\n\r\n"),
	refused(400, "Host with half a literal", line+"Host: [::1\r\n\r\n"),
	refused(400, "list of Hosts", line+"Host: a, b\r\n\r\n"),
	refused(400, "space before the colon", head("X : y\r\n")),
	refused(400, "no name", head(": y\r\n")),
	refused(400, "no colon", head("X\r\n")),
	refused(400, "space in a name", head("X Y: z\r\n")),
	refused(400, "NUL in a name", head("X\x00: y\r\n")),
	refused(400, "folded line", head("X: y\r\n z\r\n")),
	refused(400, "space before the first field", line+" "+host+"\r\n"),
	refused(400, "NUL in a value", head("X: y\x00z\r\n")),
	refused(400, "control character in a value", head("X: y\x1bz\r\n")),
	refused(400, "DEL in a value", head("X: y\x7fz\r\n")),
	refused(400, "bare CR in a value", head("X: y\rz\r\n")),
	refused(400, "bare LF at a field's end", head("X: y\nZ: z\r\n")),
	refused(400, "bare CR at the head's end", line+host+"\rX"),
	refused(400, "bare LF at the head's end", line+host+"\n"),
	refused(417, "unknown expectation", head("Expect: the-best\r\n")),
	{"good, then bad", whole + whole + "GET\r\n" + whole, []int{200, 200, 400}},
}

var badFraming = []abuse{
	refused(400, "length of letters", post+"Content-Length: five\r\n\r\nhello"),
	refused(400, "no length", post+"Content-Length:\r\n\r\nhello"),
	refused(400, "length with a plus", post+"Content-Length: +5\r\n\r\nhello"),
	refused(400, "negative length", post+"Content-Length: -1\r\n\r\nhello"),
	refused(400, "hexadecimal length", post+"Content-Length: 0x5\r\n\r\nhello"),
	refused(400, "length with a fraction", post+"Content-Length: 5.0\r\n\r\nhello"),
	refused(400, "length with a space inside", post+"Content-Length: 1 5\r\n\r\nhello"),
	refused(400, "list of lengths", post+"Content-Length: 5, 5\r\n\r\nhello"),
	refused(400, "two lengths alike", post+"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
	refused(400, "two lengths", post+"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
	refused(400, "length of 64 bits", post+"Content-Length: 18446744073709551621\r\n\r\nhello"),
	refused(400, "length of a thousand digits", post+"Content-Length: "+strings.Repeat("9", 1000)+"\r\n\r\n"),
	refused(413, "length of 63 bits", post+"Content-Length: 9223372036854775807\r\n\r\nhello"),
	refused(413, "length over the limit", post+"Content-Length: 1048577\r\n\r\n"),
	refused(413, "length over the limit, with 100-continue", post+"Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n"),
	refused(400, "length with a coding", post+"Content-Length: 5\r\n"+coded+"\r\n0\r\n\r\n"),
	refused(400, "coding with a length", post+coded+"Content-Length: 5\r\n\r\n0\r\n\r\n"),
	refused(400, "coding in HTTP/1.0", "POST /echo HTTP/1.0\r\n"+coded+"\r\n0\r\n\r\n"),
	refused(400, "no coding", post+"Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
	refused(400, "chunked twice", post+"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
	refused(400, "chunked in two fields", post+coded+coded+"\r\n0\r\n\r\n"),
	refused(400, "chunked not last", post+"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
	refused(400, "chunked in quotes", post+"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
	refused(400, "chunked with a parameter", post+"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
	refused(400, "chunked behind a control character", post+"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
	refused(501, "gzip, then chunked", post+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	refused(501, "identity", post+"Transfer-Encoding: identity\r\n\r\nhello"),
	refused(501, "xchunked", post+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
}

var badChunks = []abuse{
	refused(400, "no size", parts+"\r\nhello\r\n"),
	refused(400, "size of letters", parts+"xyz\r\nhello\r\n"),
	refused(400, "negative size", parts+"-5\r\nhello\r\n"),
	refused(400, "size with a plus", parts+"+5\r\nhello\r\n"),
	refused(400, "size with 0x", parts+"0x5\r\nhello\r\n"),
	refused(400, "size behind a space", parts+" 5\r\nhello\r\n"),
	refused(400, "size before a space", parts+"5 \r\nhello\r\n"),
	refused(400, "size and bare LF", parts+"5\nhello\r\n"),
	refused(400, "size and bare CR", parts+"5\rhello\r\n"),
	refused(413, "size of 63 bits, refused before its data", parts+"7fffffffffffffff\r\n"),
	refused(413, "size over the limit, refused before its data", parts+"100001\r\n"),
	refused(413, "size of 64 bits", parts+"ffffffffffffffff\r\nhello"),
	refused(413, "size of a thousand digits", parts+strings.Repeat("0", 1000)),
	refused(400, "data shorter than its size", parts+"6\r\nhello\r\n0\r\n\r\n"),
	refused(400, "data longer than its size", parts+"4\r\nhello\r\n0\r\n\r\n"),
	refused(400, "data and bare LF", parts+"5\r\nhello\n0\r\n\r\n"),
	refused(400, "empty extension", parts+"5;\r\nhello\r\n"),
	refused(400, "extension without a value", parts+"5;a=\r\nhello\r\n"),
	refused(400, "extension with half a string", parts+"5;a=\"b\r\nhello\r\n"),
	refused(400, "extension with bare LF", parts+"5;a\nhello\r\n"),
	refused(400, "NUL in an extension", parts+"5;a=\x00\r\nhello\r\n"),
	refused(400, "trailer without a colon", parts+hi+"0\r\nX\r\n\r\n"),
	refused(400, "trailer with a space before the colon", parts+hi+"0\r\nX : y\r\n\r\n"),
	refused(400, "folded trailer", parts+hi+"0\r\nX: y\r\n z\r\n\r\n"),
	refused(400, "NUL in a trailer", parts+hi+"0\r\nX: \x00\r\n\r\n"),
	refused(400, "trailer and bare LF", parts+hi+"0\r\nX: y\n\r\n"),
	refused(400, "no end of the trailers", parts+hi+"0\r\n"+whole),
}

var overLimits = []abuse{
	refused(501, "method of 40,000 bytes", strings.Repeat("A", 40_000)),
	refused(414, "target of 20,000 bytes", "GET /"+strings.Repeat("a", 20_000)+" HTTP/1.1\r\n"+host+"\r\n"),
	refused(431, "name of 20,000 bytes", head(strings.Repeat("a", 20_000)+": b\r\n")),
	refused(431, "value of 20,000 bytes", head("A: "+strings.Repeat("b", 20_000)+"\r\n")),
	refused(431, "blanks before a value", head("A:"+strings.Repeat(" ", 20_000)+"b\r\n")),
	refused(431, "head of 20,000 bytes", head(strings.Repeat("A: "+strings.Repeat("b", 195)+"\r\n", 100))),
	refused(431, "101 fields", head(strings.Repeat("A: b\r\n", 100))),
	refused(431, "101 trailers", parts+hi+"0\r\n"+strings.Repeat("A: b\r\n", 101)+"\r\n"),
	refused(431, "trailer of 20,000 bytes", parts+hi+"0\r\nA: "+strings.Repeat("b", 20_000)+"\r\n\r\n"),
	refused(413, "extension of 20,000 bytes", parts+"5;"+strings.Repeat("a", 20_000)+"\r\nhello\r\n"),
	refused(413, "extensions of 40,000 bytes on tiny chunks", parts+strings.Repeat("1;a="+strings.Repeat("b", 40)+"\r\nc\r\n", 1000)),
}

// cutOff are requests whose client half-closes before they are whole.
var cutOff = []abuse{
	{"FIN at once", "", nil},
	{"FIN behind an empty line", "\r\n", nil},
	{"FIN behind a request", whole, []int{200}},
	refused(400, "FIN in the method", "GE"),
	refused(400, "FIN in the target", "GET /inde"),
	refused(400, "FIN in the head", line+host),
	refused(400, "FIN in a length's body", post+"Content-Length: 6\r\n\r\nhello"),
	refused(400, "FIN in a chunk", parts+"6\r\nhello"),
	refused(400, "FIN between chunks", parts+hi),
	refused(400, "FIN in the trailers", parts+hi+"0\r\nX: y\r\n"),
	{"FIN in the second", whole + line, []int{200, 400}},
}

// unfinished are requests that never become whole: a deadline ends them.
var unfinished = []abuse{
	{"silence", "", nil},
	{"an empty line", "\r\n", nil},
	{"silence behind a request", whole, []int{200}},
	{"an empty line behind a request", whole + "\r\n", []int{200}},
	refused(408, "one byte", "G"),
	refused(408, "method", "GET "),
	refused(408, "half a version", "GET / HTTP/1."),
	refused(408, "request line", line),
	refused(408, "half a field", line+"Ho"),
	refused(408, "all but the last byte", whole[:len(whole)-1]),
	refused(408, "nothing of a body", post+"Content-Length: 5\r\n\r\n"),
	refused(408, "half a body", post+"Content-Length: 5\r\n\r\nhel"),
	refused(408, "no chunk", parts),
	refused(408, "half a size", parts+"5"),
	refused(408, "half a chunk", parts+"5\r\nhel"),
	refused(408, "no last chunk", parts+hi),
	refused(408, "half a trailer", parts+hi+"0\r\nX: y\r\n"),
	{"good, then half", whole + line, []int{200, 408}},
	{"100-continue, then nothing", post + "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", []int{100, 408}},
}

// manners are the ways to send.
var manners = []struct {
	name  string
	piece int
}{{"whole", 1 << 30}, {"byte by byte", 1}}

func TestMalformedRequestsAreRefusedAndClosedWithoutReset(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	s := start(t, "-log", log)
	eachManner(t, malformed, func(t *testing.T, a abuse, piece int) {
		c := s.dial(t)
		c.sendPieces(a.send, piece)
		c.awaitStatuses(a.want)
		c.awaitEnd()
		c.sendMore()
	})
	s.awaitAlone(t)
	if text, err := os.ReadFile(log); err != nil || len(text) > 0 {
		t.Errorf("clients' mistakes are logged: %s (%v)", text, err)
	}
}

func TestRequestsCutOffByFINAreRefused(t *testing.T) {
	s := start(t)
	eachManner(t, cutOff, func(t *testing.T, a abuse, piece int) {
		c := s.dial(t)
		c.sendPieces(a.send, piece)
		c.CloseWrite()
		c.awaitStatuses(a.want)
		c.awaitEnd()
	})
	s.awaitAlone(t)
}

// late is how much later than its deadline an end may come: machines are crowded.
const late = 5 * time.Second

func TestUnfinishedRequestsEndAtTheirDeadline(t *testing.T) {
	const deadline = time.Second
	s := start(t, "-header", "1s", "-body", "1s", "-idle", "1s")
	type waiting struct {
		*client
		name        string
		want        []int
		begun, sent time.Time
	}
	var all []waiting
	for _, how := range manners {
		for _, a := range unfinished {
			w := waiting{client: s.dial(t), name: how.name + "/" + a.name, want: a.want, begun: time.Now()}
			w.sendPieces(a.send, how.piece)
			w.sent = time.Now()
			all = append(all, w)
		}
	}
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			w.t = t
			w.awaitStatuses(w.want)
			w.awaitEnd()
			if early, took := time.Since(w.begun) < deadline*9/10, time.Since(w.sent); early || took > deadline+late {
				t.Errorf("it was ended after %v, the deadline is %v", took, deadline)
			}
			w.Close()
		})
	}
	s.awaitAlone(t)
}

// Bytes of a head do not move its deadline.
func TestAHeadThatTricklesEndsAtItsDeadline(t *testing.T) {
	const deadline = time.Second
	s := start(t, "-header", "1s")
	c := s.dial(t)
	begun := time.Now()
	go func() {
		io.WriteString(c, line)
		pace := time.NewTicker(deadline / 50)
		defer pace.Stop()
		for range pace.C {
			if _, err := io.WriteString(c, "A"); err != nil {
				return // by the end of the test
			}
		}
	}()
	c.awaitStatuses([]int{408})
	c.awaitEnd()
	if took := time.Since(begun); took < deadline*9/10 || took > deadline+late {
		t.Errorf("it was ended after %v, the deadline is %v", took, deadline)
	}
	c.Close()
	s.awaitAlone(t)
}

// eachManner tests each row in each of the ways to send: in pieces of so many
// bytes.
func eachManner(t *testing.T, rows []abuse, test func(t *testing.T, a abuse, piece int)) {
	for _, how := range manners {
		for _, a := range rows {
			t.Run(how.name+"/"+a.name, func(t *testing.T) { test(t, a, how.piece) })
		}
	}
}

// sendPieces sends text in pieces, each with a call of its own; Go has Nagle's
// algorithm off. The server must not end the connection by a reset meanwhile.
func (c *client) sendPieces(text string, piece int) {
	c.t.Helper()
	for len(text) > 0 {
		n := min(piece, len(text))
		if _, err := io.WriteString(c, text[:n]); err != nil {
			c.t.Fatalf("%d bytes before the end: %v", len(text), err)
		}
		text = text[n:]
	}
}

// awaitStatuses reads replies with these statuses.
func (c *client) awaitStatuses(want []int) {
	c.t.Helper()
	for i, status := range want {
		resp, _ := c.reply("GET")
		if resp.StatusCode != status {
			c.t.Fatalf("reply %d is %s, want %d", i, resp.Status, status)
		}
		if last := i == len(want)-1; status >= 400 && resp.Close != last {
			c.t.Errorf("reply %d, %s: close is %v", i, resp.Status, resp.Close)
		}
	}
}

// sendMore sends behind the server's FIN: a reset would come of it if the server
// had closed its socket, and could take the reply with it on its way.
func (c *client) sendMore() {
	c.t.Helper()
	for range 3 {
		if _, err := c.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
			c.t.Errorf("after FIN: %v", err)
			return
		}
	}
	c.CloseWrite()
	if _, err := c.TCPConn.Read(make([]byte, 1)); err != io.EOF {
		c.t.Errorf("after FIN: %v", err)
	}
}
