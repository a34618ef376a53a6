//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patternOf is n bytes of the pattern, written down anew: record k is the decimal
// k with 15 digits and a line feed.
func patternOf(n int) string {
	var b strings.Builder
	for k := 0; b.Len() < n; k++ {
		digits := strconv.Itoa(k)
		b.WriteString(strings.Repeat("0", 15-len(digits)) + digits + "\n")
	}
	return b.String()[:n]
}

func TestPatternIsRecordsThatCount(t *testing.T) {
	if got := patternOf(40); got != "000000000000000\n000000000000001\n00000000" {
		t.Errorf("%q", got)
	}
	for _, n := range []int{0, 1, 16, 17, 160_001} {
		if string(pattern(0, n)) != patternOf(n) {
			t.Errorf("%d bytes are not those of the pattern", n)
		}
	}
}

func TestPathsAnswer(t *testing.T) {
	s := start(t)
	everything := everyByte() + strings.Repeat("\x00\r\n", 100)
	full := strings.Repeat("0123456789abcdef", 1<<16)
	for _, test := range []struct {
		method, target, send string
		status               int
		contentType, body    string
	}{
		{"GET", "/", "", 200, plain, "Hello, World!"},
		{"GET", "/?any=thing", "", 200, plain, "Hello, World!"},
		{"GET", "http://localhost/", "", 200, plain, "Hello, World!"},
		{"GET", "/x/../fast", "", 200, octets, patternOf(1024)},
		{"GET", "/", "a body", 200, plain, "Hello, World!"},
		{"POST", "/echo", "hello", 200, octets, "hello"},
		{"POST", "/echo", "", 200, octets, ""},
		{"POST", "/echo", everything, 200, octets, everything},
		{"POST", "/echo", full, 200, octets, full},
		{"GET", "/fast", "", 200, octets, patternOf(1024)},
		{"GET", "/slow", "", 200, octets, patternOf(1024)},
		{"GET", "/slow?ms=1", "", 200, octets, patternOf(1024)},
		{"GET", "/slow?ms=x", "", 200, octets, patternOf(1024)},
		{"GET", "/slow?ms=-1", "", 200, octets, patternOf(1024)},
		{"GET", "/defer", "", 200, octets, patternOf(1024)},
		{"GET", "/defer?ms=1", "", 200, octets, patternOf(1024)},
		{"GET", "/big?bytes=0", "", 200, octets, ""},
		{"GET", "/big?bytes=1", "", 200, octets, "0"},
		{"GET", "/big?bytes=1000003", "", 200, octets, patternOf(1_000_003)},
		{"GET", "/big?bytes=16777216", "", 200, octets, patternOf(16 << 20)},
		{"GET", "/readyz", "", 200, plain, "ready\n"},
	} {
		c := s.dial(t)
		resp, body := c.ask(test.method, test.target, test.send)
		if resp.StatusCode != test.status || resp.Header.Get("Content-Type") != test.contentType || resp.Close {
			t.Errorf("%s %s: %s, %v", test.method, test.target, resp.Status, resp.Header)
		}
		if body != test.body || resp.ContentLength != int64(len(test.body)) {
			t.Errorf("%s %s: length %d, %.100q", test.method, test.target, resp.ContentLength, body)
		}
		if n := c.epollSize(); n != 2 { // the connection is kept, and those before have gone
			t.Errorf("behind %s %s EpollSize is %d, want 2", test.method, test.target, n)
		}
		c.Close()
		s.awaitAlone(t)
	}
}

func TestHeadIsAnsweredAsGetWithoutBody(t *testing.T) {
	c := start(t).dial(t)
	for _, target := range []string{"/", "/fast", "/slow?ms=1", "/defer?ms=1", "/big?bytes=70000", "/checkConnections", "/readyz", "/panic", "/nothing"} {
		want, wantBody := c.ask("GET", target, "")
		got, body := c.ask("HEAD", target, "")
		if got.StatusCode != want.StatusCode || got.ContentLength != int64(len(wantBody)) || got.Header.Get("Content-Type") != want.Header.Get("Content-Type") || body != "" {
			t.Errorf("HEAD %s: %s, length %d, %v, %q; GET: %s, length %d", target, got.Status, got.ContentLength, got.Header, body, want.Status, want.ContentLength)
		}
	}
}

func TestWhatIsNotThereIsRefusedAndTheConnectionKept(t *testing.T) {
	c := start(t).dial(t)
	for _, test := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/echo/", 404, ""},
		{"GET", "//", 404, ""},
		{"POST", "/nothing", 404, ""},
		{"OPTIONS", "/nothing", 404, ""},
		{"POST", "/", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/big?bytes=1", 405, "GET, HEAD, OPTIONS"},
		{"TRACE", "/", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/echo", 405, "POST, OPTIONS"},
		{"PUT", "/echo", 405, "POST, OPTIONS"},
		{"OPTIONS", "/", 204, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/echo", 204, "POST, OPTIONS"},
		{"FROB", "/", 501, ""},
		{"get", "/", 501, ""},
		{"GET", "/big", 400, ""},
		{"GET", "/big?bytes=", 400, ""},
		{"GET", "/big?bytes=x", 400, ""},
		{"GET", "/big?bytes=-1", 400, ""},
		{"GET", "/big?bytes=1073741825", 400, ""},
		{"GET", "/big?bytes=99999999999999999999", 400, ""},
	} {
		resp, body := c.ask(test.method, test.target, "")
		if resp.StatusCode != test.status || resp.Header.Get("Allow") != test.allow || resp.Close || (body == "") != (test.status == 204) {
			t.Errorf("%s %s: %s, Allow %q, %q", test.method, test.target, resp.Status, resp.Header.Get("Allow"), body)
		}
	}
	if resp, body := c.ask("GET", "/", ""); resp.StatusCode != 200 || body != "Hello, World!" {
		t.Errorf("then: %s, %q", resp.Status, body)
	}
}

func TestEchoTakesChunksAndWaitsForContinue(t *testing.T) {
	c := start(t).dial(t)
	io.WriteString(c, parts+"5;a=b\r\nhello\r\n8\r\n, again!\r\n0\r\nX: y\r\n\r\n")
	if resp, body := c.reply("POST"); resp.StatusCode != 200 || body != "hello, again!" {
		t.Errorf("chunks: %s, %q", resp.Status, body)
	}
	io.WriteString(c, post+"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if resp, _ := c.reply("POST"); resp.StatusCode != 100 {
		t.Fatalf("before the body comes %s", resp.Status)
	}
	io.WriteString(c, "hello")
	if resp, body := c.reply("POST"); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("behind 100: %s, %q", resp.Status, body)
	}
}

// Whoever waits keeps nobody waiting: 50 wait for as long as one, and others are
// served meanwhile.
func TestSlowAndDeferredRepliesTakeTheirTimeAndNobodyElses(t *testing.T) {
	const n, wait = 50, 300 * time.Millisecond
	s := start(t)
	bystander := s.dial(t)
	for _, path := range []string{"/slow?ms=", "/defer?ms="} {
		begun := time.Now()
		var all []*client
		for range n {
			c := s.dial(t)
			io.WriteString(c, request("GET", path+strconv.Itoa(int(wait.Milliseconds())), ""))
			all = append(all, c)
		}
		served := 0
		for ; time.Since(begun) < wait/2; served++ {
			bystander.ask("GET", "/", "")
		}
		for _, c := range all {
			resp, body := c.reply("GET")
			if took := time.Since(begun); resp.StatusCode != 200 || body != patternOf(1024) || took < wait || took > wait+late {
				t.Errorf("%s: %s, %.50q after %v", path, resp.Status, body, took)
			}
			c.Close()
		}
		if served == 0 {
			t.Errorf("%s: nobody else was served", path)
		}
	}
	bystander.Close()
	s.awaitAlone(t)
}

func TestClientsThatLeaveBeforeTheirReplyAreForgotten(t *testing.T) {
	s := start(t)
	asker := s.dial(t)
	for _, target := range []string{"/slow?ms=600000", "/defer?ms=600000", "/big?bytes=16777216"} {
		c := s.dial(t)
		io.WriteString(c, request("GET", target, ""))
		asker.awaitSize(3)
		c.SetLinger(0) // it goes by reset
		c.Close()
		asker.awaitSize(2)
	}
}

func TestPanicsAreAnsweredLoggedAndSurvived(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	s := start(t, "-log", log)
	for i := range 50 {
		c := s.dial(t)
		if resp, _ := c.ask("GET", "/panic", ""); resp.StatusCode != 500 {
			t.Fatalf("panic %d: %s", i, resp.Status)
		}
		text, err := os.ReadFile(log)
		if n := bytes.Count(text, []byte("asked for")); err != nil || n != i+1 {
			t.Fatalf("%d lines of %d panics are in the log: %s (%v)", n, i+1, text, err)
		}
		c.Close()
	}
	s.awaitAlone(t)
	s.kill()
	if s.stderr.Len() > 0 {
		t.Errorf("with -log, stderr got %s", s.stderr.String())
	}
}

func TestLogIsAppendedTo(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "-log", log).dial(t).ask("GET", "/panic", "")
	if text, err := os.ReadFile(log); err != nil || !strings.HasPrefix(string(text), "before\n") || !strings.Contains(string(text), "asked for") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestWithoutALogFileTheLogIsOnStderr(t *testing.T) {
	s := start(t)
	s.dial(t).ask("GET", "/panic", "")
	s.kill()
	if !strings.Contains(s.stderr.String(), "asked for") {
		t.Errorf("stderr: %s", s.stderr.String())
	}
}

func TestPidFileIsThereWhenTheServerCanBeAsked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	s := start(t, "-pid", file)
	if text, err := os.ReadFile(file); err != nil || string(text) != fmt.Sprintf("%d\n", s.process.Pid) {
		t.Errorf("the process is %d, and the file says %q (%v)", s.process.Pid, text, err)
	}
}

func TestCheckConnectionsCountsWhoIsConnected(t *testing.T) {
	s := start(t)
	asker := s.dial(t)
	for _, send := range []string{"", line, post + "Content-Length: 5\r\n\r\n", request("GET", "/defer?ms=600000", ""), request("GET", "/slow?ms=600000", "")} {
		io.WriteString(s.dial(t), send)
	}
	idle := s.dial(t)
	idle.ask("GET", "/", "")
	const want = "8\nlistener 1\nhead 2\nbody 1\nreply 1\nstream 1\nwrite 0\nidle 2\nlinger 0\nother 0\n"
	body := ""
	for limit := time.Now().Add(patience); body != want && time.Now().Before(limit); {
		_, body = asker.ask("GET", "/checkConnections", "")
		body, _, _ = strings.Cut(body, "generation")
	}
	if body != want {
		t.Errorf("%q, want %q", body, want)
	}
}

// The deadlines of -header and -body are those of the unfinished requests.
func TestIdleConnectionsEndAtTheirDeadline(t *testing.T) {
	const deadline = 500 * time.Millisecond
	s := start(t, "-idle", deadline.String())
	c := s.dial(t)
	c.ask("GET", "/", "")
	begun := time.Now()
	c.awaitEnd()
	if took := time.Since(begun); took < deadline*9/10 || took > deadline+late {
		t.Errorf("the connection ended after %v, the deadline is %v", took, deadline)
	}
	s.awaitAlone(t)
}

func TestClientsThatDoNotReadAreResetAtTheirDeadline(t *testing.T) {
	const deadline = 500 * time.Millisecond
	s := start(t, "-write", deadline.String())
	c := s.dial(t)
	begun := time.Now()
	io.WriteString(c, request("GET", "/big?bytes=16777216", ""))
	s.awaitAlone(t) // asks until the one that does not read has been cut
	if took := time.Since(begun); took < deadline*9/10 || took > 2*deadline+late {
		t.Errorf("the connection ended after %v, the deadline is %v", took, deadline)
	}
	n, err := io.Copy(io.Discard, c)
	if n >= maxBig || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %d bytes the connection gives %v, want a reset", n, err)
	}
}

func TestUnusableArgumentsAreRefused(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "no", "file")
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-listen", "127.0.0.1:99999"}, 1, "invalid port"},
		{[]string{"-listen", "192.0.2.1:0"}, 1, "cannot assign requested address"},
		{[]string{"-listen", "127.0.0.1:0", "-log", nowhere}, 1, "no such file"},
		{[]string{"-listen", "127.0.0.1:0", "-pid", nowhere}, 1, "no such file"},
		{[]string{"-idle", "5"}, 2, "parse error"},
		{[]string{"8080"}, 2, `unexpected argument "8080"`},
	} {
		cmd := exec.Command(program, test.args...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.says) {
			t.Errorf("testbed %q: %v: %s; want status %d and %q", test.args, err, out, test.code, test.says)
		}
	}
}
