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
	"testing"
	"time"
)

// patience bounds every wait for an event. A test that needs it has failed.
const patience = 30 * time.Second

// program is the built testbed.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "testbed")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "testbed")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // static, as docs/restarting.md recommends
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building testbed:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is a running testbed.
type server struct {
	process *os.Process
	addr    string
	ended   chan struct{}
	stderr  bytes.Buffer // to be read after ended
}

// start runs testbed on a free port and waits until it listens.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	return startCommand(t, program, append([]string{"-listen", "127.0.0.1:0"}, args...)...)
}

// startCommand is start for a command that becomes testbed.
func startCommand(t *testing.T, name string, args ...string) *server {
	t.Helper()
	s := &server{ended: make(chan struct{})}
	cmd := exec.Command(name, args...)
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
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(r).ReadString('\n')
		line <- text
	}()
	go func() {
		cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		s.kill()
		r.Close()
	})
	said := await(t, line, "the line that says where the server listens")
	addr, ok := strings.CutPrefix(strings.TrimSpace(said), "listening on ")
	if !ok {
		s.kill()
		t.Fatalf("server said %q; stderr: %s", said, s.stderr.String())
	}
	s.addr = addr
	return s
}

// kill ends the process, if it has not ended; stderr is complete then.
func (s *server) kill() {
	s.process.Kill()
	<-s.ended
}

// client is a connection to the server, and what is read from it.
type client struct {
	t *testing.T
	*net.TCPConn
	r *bufio.Reader
}

func (s *server) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &client{t, c.(*net.TCPConn), bufio.NewReader(c)}
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

// request is the text of one, with a body if there is one.
func request(method, target, body string) string {
	head := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n"
	if body != "" {
		head += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return head + "\r\n" + body
}

// ask sends a request and reads the reply.
func (c *client) ask(method, target, body string) (*http.Response, string) {
	c.t.Helper()
	io.WriteString(c, request(method, target, body)) // an error shows when the reply is read
	return c.reply(method)
}

// reply reads one reply, whole, and checks what every reply has.
func (c *client) reply(method string) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("reading a reply: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading a reply's body: %v", err)
	}
	if resp.StatusCode >= 200 {
		date, err := http.ParseTime(resp.Header.Get("Date"))
		if err != nil || time.Since(date).Abs() > patience || resp.Header.Get("Server") != "catboat" || resp.Proto != "HTTP/1.1" {
			c.t.Errorf("%s %s: Date %q, Server %q", resp.Proto, resp.Status, resp.Header.Get("Date"), resp.Header.Get("Server"))
		}
	}
	return resp, string(body)
}

// awaitEnd reads the connection's end: FIN, with nothing before it.
func (c *client) awaitEnd() {
	c.t.Helper()
	if p, err := io.ReadAll(c.r); err != nil || len(p) > 0 {
		c.t.Errorf("the connection goes on with %q and ends with %v, want FIN", p, err)
	}
}

// epollSize asks on the connection.
func (c *client) epollSize() int {
	c.t.Helper()
	resp, body := c.ask("GET", "/checkConnections", "")
	first, _, _ := strings.Cut(body, "\n")
	n, err := strconv.Atoi(first)
	if resp.StatusCode != 200 || err != nil {
		c.t.Fatalf("checkConnections: %s, %q", resp.Status, body)
	}
	return n
}

// awaitSize asks until EpollSize is want. Each question gives the server a turn to
// see who has come or gone.
func (c *client) awaitSize(want int) {
	c.t.Helper()
	for limit, n := time.Now().Add(patience), -1; n != want; {
		if n = c.epollSize(); n != want && time.Now().After(limit) {
			c.t.Fatalf("EpollSize is %d, want %d", n, want)
		}
	}
}

// awaitAlone awaits that nobody but the listener and the asker is connected, and
// sees that the server still serves.
func (s *server) awaitAlone(t *testing.T) {
	t.Helper()
	c := s.dial(t)
	c.awaitSize(2)
	if resp, body := c.ask("GET", "/", ""); resp.StatusCode != 200 || body != "Hello, World!" {
		t.Errorf("the server does not serve any more: %s, %q", resp.Status, body)
	}
	c.Close()
}
