//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is clients that ask all the time, each in its own way, and check what
// they get.
type load struct {
	addr     string
	answered atomic.Int64 // 200
	refused  atomic.Int64 // 503
	cut      atomic.Int64 // no byte of a reply came: the door was shut
	faults   chan error   // replies that were not whole, or wrong
	ended    chan struct{}
	workers  sync.WaitGroup
	warm     chan struct{} // gets one from each worker that has been served
}

const workers = 9

func startLoad(addr string) *load {
	l := &load{addr: addr, faults: make(chan error, workers), ended: make(chan struct{}), warm: make(chan struct{}, workers)}
	for i := range workers {
		l.workers.Add(1)
		go func() {
			defer l.workers.Done()
			burst, fresh := 1, false
			switch i % 3 {
			case 1:
				fresh = true
			case 2:
				burst = 16
			}
			if err := l.work(burst, fresh); err != nil {
				l.faults <- err
			}
		}()
	}
	return l
}

// work asks in bursts of so many pipelined requests, on a connection each or on
// one as long as it lasts, until the load is ended.
func (l *load) work(burst int, fresh bool) error {
	var c net.Conn
	var r *bufio.Reader
	warmed := false
	for {
		select {
		case <-l.ended:
			return nil
		default:
		}
		if c == nil {
			var err error
			if c, err = net.Dial("tcp", l.addr); err != nil {
				l.cut.Add(1)
				select { // the pace of trying again
				case <-l.ended:
				case <-time.After(5 * time.Millisecond):
				}
				continue
			}
			c.SetDeadline(time.Now().Add(patience))
			r = bufio.NewReader(c)
		}
		keep, err := l.ask(c, r, burst)
		if err != nil {
			return err
		}
		if !warmed && keep {
			warmed = true
			l.warm <- struct{}{}
		}
		if fresh || !keep {
			c.Close()
			c = nil
		}
	}
}

// ask sends a burst and reads the replies. It reports whether more may be asked
// on the connection; an error means that a reply was begun and not completed, or
// is not what it should be.
func (l *load) ask(c net.Conn, r *bufio.Reader, burst int) (keep bool, err error) {
	if _, err := io.WriteString(c, strings.Repeat(get("/"), burst)); err != nil {
		l.cut.Add(1)
		return false, nil
	}
	for i := range burst {
		if _, err := r.Peek(1); err != nil {
			l.cut.Add(1)
			return false, nil
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return false, fmt.Errorf("reply %d of %d was cut: %w", i, burst, err)
		}
		body, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			return false, fmt.Errorf("body of reply %d of %d was cut: %w", i, burst, err)
		case resp.StatusCode == 200 && string(body) == greeting:
			l.answered.Add(1)
		case resp.StatusCode == 503 && (resp.Close || i < burst-1) && resp.Header.Get("Retry-After") == "30":
			l.refused.Add(1)
		default:
			return false, fmt.Errorf("wrong reply: %s, %v, %q", resp.Status, resp.Header, body)
		}
		if resp.Close {
			if _, err := r.ReadByte(); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
				return false, fmt.Errorf("after a last reply came %v, not the end", err)
			}
			return false, nil
		}
	}
	return true, nil
}

func (l *load) awaitWarm(t *testing.T) {
	t.Helper()
	for range workers {
		await(t, l.warm, "every client to be served")
	}
}

// end stops the clients and reports what they have seen.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.ended)
	l.workers.Wait()
	close(l.faults)
	for err := range l.faults {
		t.Error(err)
	}
	t.Logf("answered %d, refused %d, not answered %d", l.answered.Load(), l.refused.Load(), l.cut.Load())
}

func TestUSR1StopsSoftlyUnderLoad(t *testing.T) {
	s := start(t, "", binary, "-listen", "127.0.0.1:0")
	l := startLoad(s.addr)
	l.awaitWarm(t)

	half, idle, silent := s.dial(), s.dial(), s.dial()
	io.WriteString(idle, get("/"))
	idleReader := bufio.NewReader(idle)
	readReply(t, idleReader)
	whole := get("/")
	io.WriteString(half, whole[:len(whole)/2])
	asker := s.dial()
	epollSize(t, asker, bufio.NewReader(asker)) // they have come
	asker.Close()

	began := time.Now()
	s.signal(syscall.SIGUSR1)
	for { // until the door is shut
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			break
		}
		c.Close()
	}
	io.WriteString(half, whole[len(whole)/2:])
	resp, _ := readReply(t, bufio.NewReader(half))
	if resp.StatusCode != 503 || !resp.Close || resp.Header.Get("Retry-After") != "30" {
		t.Errorf("a request that was half sent at the stop got %s, %v", resp.Status, resp.Header)
	}
	half.Close()
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection that said nothing ended with %v, want EOF", err)
	}
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection ended with %v, want EOF", err)
	}
	s.awaitExit()
	if took := time.Since(began); took > 5*time.Second { // 2 s of grace, on a busy machine
		t.Errorf("the stop took %v", took)
	}
	l.end(t)
	if l.answered.Load() == 0 {
		t.Error("the load was not served")
	}
}

func TestTERMAndINTStopGracefully(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s := start(t, "", binary, "-listen", "127.0.0.1:0")
		c := s.dial()
		r := bufio.NewReader(c)
		epollSize(t, c, r)
		s.signal(sig)
		s.signal(syscall.SIGHUP) // does nothing
		for {
			io.WriteString(c, get("/"))
			if resp, body := readReply(t, r); resp.StatusCode != 200 || body != greeting {
				t.Fatalf("%v: %s, %q", sig, resp.Status, body)
			} else if resp.Close {
				break
			}
		}
		s.awaitExit()
	}
}

// Not one of the clients that ask all the time is refused, cut or closed.
func TestUSR2RestartsInPlaceUnderLoad(t *testing.T) {
	// Started by a relative path with an argument that a shell would break.
	dir := filepath.Join(t.TempDir(), "some where")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(binary, filepath.Join(dir, "hello")); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "./hello", "-listen", "127.0.0.1:0")
	before := cmdline(t, s.process.Pid)
	l := startLoad(s.addr)
	l.awaitWarm(t)
	c := s.dial()
	r := bufio.NewReader(c)
	for round := range 3 {
		answered := l.answered.Load()
		s.signal(syscall.SIGUSR2)
		addr := s.addr
		s.awaitListening()                     // with the PID it was started with
		for l.answered.Load() < answered+100 { // the load goes on
			epollSize(t, c, r)
		}
		if after := cmdline(t, s.process.Pid); after != before || s.addr != addr {
			t.Errorf("round %d: command line is %q on %s, was %q on %s", round, after, s.addr, before, addr)
		}
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", s.process.Pid)); err != nil || cwd != dir {
			t.Errorf("round %d: directory is %q (%v), was %q", round, cwd, err, dir)
		}
	}
	if n, m := l.cut.Load(), l.refused.Load(); n+m > 0 {
		t.Errorf("%d were cut and %d refused", n, m)
	}
	l.end(t)
	c.Close()
	s.signal(syscall.SIGUSR1)
	s.awaitExit()
}

func cmdline(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAFailedRestartIsToldAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hello")
	if err := os.Link(binary, path); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, path, "-listen", "127.0.0.1:0")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c := s.dial()
	r := bufio.NewReader(c)
	s.signal(syscall.SIGUSR2)
	for range 100 {
		epollSize(t, c, r)
	}
	if err := os.Link(binary, path); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR2)
	s.awaitListening()
	epollSize(t, c, r)
	c.Close()
	s.signal(syscall.SIGTERM)
	s.awaitExit()
	if !strings.Contains(s.stderr.String(), "no such file") {
		t.Errorf("it said %q, which is not the reason", s.stderr.String())
	}
}
