//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for an event. A test that needs it has failed.
const patience = 30 * time.Second

// binary is the built hello.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hello")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "hello")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building hello:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is a running hello.
type server struct {
	t       *testing.T
	process *os.Process
	addr    string
	lines   chan string // of its output
	exited  chan error
	stderr  bytes.Buffer // to be read after exited
}

// start runs the program at path with its directory at dir and waits until it
// listens.
func start(t *testing.T, dir, path string, args ...string) *server {
	t.Helper()
	s := &server{t: t, lines: make(chan string, 100), exited: make(chan error, 1)}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Stderr = &s.stderr
	// A pipe of our own: that of StdoutPipe is closed by Wait, before all is read.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s.process = cmd.Process
	go func() {
		for in := bufio.NewScanner(r); in.Scan(); {
			s.lines <- in.Text()
		}
		close(s.lines)
		r.Close()
	}()
	ended := make(chan struct{})
	go func() {
		s.exited <- cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	s.awaitListening()
	return s
}

// awaitListening reads the line that says where the server listens.
func (s *server) awaitListening() {
	s.t.Helper()
	var pid int
	line := await(s.t, s.lines, "the line that says where the server listens")
	if _, err := fmt.Sscanf(line, "listening on %s pid %d:", &s.addr, &pid); err != nil {
		s.t.Fatalf("server said %q: %v; stderr: %s", line, err, s.stderr.String())
	}
	s.addr = strings.TrimSuffix(s.addr, ",")
	if pid != s.process.Pid {
		s.t.Fatalf("server says that it is %d, but was started as %d", pid, s.process.Pid)
	}
}

// awaitExit waits for the process to end well.
func (s *server) awaitExit() {
	s.t.Helper()
	if err := await(s.t, s.exited, "the server's exit"); err != nil {
		s.t.Fatalf("server ended with %v; stderr: %s", err, s.stderr.String())
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return c
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

const greeting = "Hello, World!\n"

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }

// readReply reads one reply, whole.
func readReply(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("reading a reply: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading a reply's body: %v", err)
	}
	return resp, string(body)
}

// epollSize asks on an open connection.
func epollSize(t *testing.T, c net.Conn, r *bufio.Reader) int {
	t.Helper()
	io.WriteString(c, get("/checkConnections"))
	resp, body := readReply(t, r)
	first, _, _ := strings.Cut(body, "\n")
	n, err := strconv.Atoi(first)
	if resp.StatusCode != 200 || err != nil {
		t.Fatalf("checkConnections: %s, %q", resp.Status, body)
	}
	return n
}

func TestCurlIsServed(t *testing.T) {
	s := start(t, "", binary, "-listen", "127.0.0.1:0")
	curl := func(args ...string) string {
		out, err := exec.Command("curl", append([]string{"-sS", "--max-time", "20"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %q: %v (make test installs it): %s", args, err, out)
		}
		return string(out)
	}
	url := "http://" + s.addr
	status := []string{"-o", os.DevNull, "-w", "%{http_code} %{num_connects} %{size_download}"}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"get", []string{url + "/"}, greeting},
		{"head", append(status, "-I", url+"/"), "200 1 0"},
		{"post", []string{"-d", "some=form", url + "/"}, greeting},
		{"post that waits for 100", []string{"-H", "Expect: 100-continue", "-d", "x", url + "/"}, greeting},
		{"chunked upload", []string{"-H", "Transfer-Encoding: chunked", "-d", "x", url + "/"}, greeting},
		{"not found", append(status, url+"/nothing"), "404 1 92"},
		{"http/1.0", []string{"-0", url + "/"}, greeting},
		{"two on one connection", []string{"-w", "%{num_connects}", url + "/", url + "/"}, greeting + "1" + greeting + "0"},
	} {
		if got := curl(test.args...); got != test.want {
			t.Errorf("%s: curl printed %q, want %q", test.name, got, test.want)
		}
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	s := start(t, "", binary, "-listen", "127.0.0.1:0")
	c := s.dial()
	const n = 200
	var all strings.Builder
	for i := range n {
		path := "/"
		if i%3 == 1 {
			path = "/nothing"
		}
		all.WriteString(get(path))
	}
	go func() {
		for in := all.String(); in != ""; { // in pieces that end anywhere
			piece := in[:min(len(in), 97)]
			io.WriteString(c, piece)
			in = in[len(piece):]
		}
	}()
	for i, r := 0, bufio.NewReader(c); i < n; i++ {
		want := 200
		if i%3 == 1 {
			want = 404
		}
		if resp, _ := readReply(t, r); resp.StatusCode != want {
			t.Fatalf("reply %d is %s, want %d", i, resp.Status, want)
		}
	}
}

func TestGoClientKeepsItsConnection(t *testing.T) {
	s := start(t, "", binary, "-listen", "127.0.0.1:0")
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for range 50 {
		resp, err := client.Post("http://"+s.addr+"/", "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != greeting || resp.Header.Get("Date") == "" {
			t.Fatalf("%v, %q, %v", err, body, resp.Header)
		}
	}
	c := s.dial()
	if n := epollSize(t, c, bufio.NewReader(c)); n != 3 {
		t.Errorf("EpollSize is %d, want 3: the listener, the asker, and one connection for 50 requests", n)
	}
}

func TestEpollSizeCountsWhoIsConnected(t *testing.T) {
	s := start(t, "", binary, "-listen", "127.0.0.1:0")
	asker := s.dial()
	r := bufio.NewReader(asker)
	if n := epollSize(t, asker, r); n != 2 {
		t.Fatalf("EpollSize is %d, want 2: the listener and the asker", n)
	}
	var idle []net.Conn
	for range 5 {
		c := s.dial()
		io.WriteString(c, get("/"))
		readReply(t, bufio.NewReader(c))
		idle = append(idle, c)
	}
	if n := epollSize(t, asker, r); n != 7 {
		t.Errorf("EpollSize with 5 idle clients is %d, want 7", n)
	}
	for _, c := range idle {
		c.Close()
	}
	for epollSize(t, asker, r) != 2 { // each question gives the server a turn to see a FIN
	}
	s.signal(syscall.SIGUSR1)
	for { // the asker is the last: when it has gone, Run returns
		io.WriteString(asker, get("/checkConnections"))
		resp, _ := readReply(t, r)
		if resp.StatusCode == 503 {
			break
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after 503 the connection gives %v, want EOF", err)
	}
	asker.Close()
	s.awaitExit()
}

func TestUnusableArgumentsAreRefused(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-listen", "127.0.0.1:99999"}, 1, "invalid port"},
		{[]string{"-listen", "192.0.2.1:0"}, 1, "cannot assign requested address"},
		{[]string{"8080"}, 2, `unexpected argument "8080"`},
	} {
		cmd := exec.Command(binary, test.args...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.says) {
			t.Errorf("hello %q: %v: %s; want status %d and %q", test.args, err, out, test.code, test.says)
		}
	}
}
