//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// injected are errors that system calls return in place of being made: each nth
// call of a thread's. That some calls are not here, or not with every error, has
// its reasons:
//
//   - close gives its descriptor up even when it fails; one that is not made at all
//     would leak it, which no kernel does.
//   - epoll_wait has EINTR alone: any other error that Linux documents says that
//     the descriptor or the memory is wrong.
//   - write is only how goroutines wake pollers, the loop's and Go's own, which takes
//     no error there.
var injected = []struct {
	call   string
	every  int
	errors string
}{
	{"recvfrom", 25, "EINTR EAGAIN ENOMEM EIO ECONNRESET ENOBUFS"},
	{"sendto", 25, "EINTR EAGAIN ENOMEM EIO ECONNRESET ENOBUFS EPIPE"},
	{"sendfile", 15, "EINTR EAGAIN ENOMEM EIO ECONNRESET"},
	{"accept4", 5, "EINTR EAGAIN ECONNABORTED EMFILE ENFILE ENOBUFS ENOMEM EPROTO EPERM EIO"},
	{"epoll_ctl", 15, "ENOMEM ENOSPC EIO"},
	{waitCall, 5, "EINTR"},
	{"shutdown", 5, "ENOBUFS ENOMEM EIO"},
	{"setsockopt", 2, "ENOBUFS ENOMEM EIO"},
	{"ioctl", 2, "ENOMEM EIO"},
	{"openat2", 4, "EINTR EAGAIN EMFILE ENOMEM EIO"},
}

// waitCall is how the loop waits.
var waitCall = map[bool]string{true: "epoll_wait", false: "epoll_pwait"}[runtime.GOARCH == "amd64"]

// injection is strace at work on the server.
type injection struct {
	cmd *exec.Cmd
	log string
}

// inject has the call fail with errno, every so many times.
func (s *server) inject(t *testing.T, call, errno string, every int) *injection {
	t.Helper()
	i := &injection{log: filepath.Join(t.TempDir(), "strace")}
	i.cmd = s.strace(t, i.log, "-e", "trace="+call,
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%d+%d", call, errno, min(every, 3), every))
	return i
}

// end lets the server go and returns how often the call has failed.
func (i *injection) end(t *testing.T) int {
	t.Helper()
	i.cmd.Process.Signal(syscall.SIGINT)
	i.cmd.Wait() // it says that it was interrupted
	text, err := os.ReadFile(i.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "(INJECTED)")
}

// tally is how many requests were sent, and what became of them.
type tally struct {
	sync.Mutex
	asked, served int
	hung          []string
	opened        *atomic.Int32
}

// next is the number of a small file that has not been opened yet.
func (a *tally) next() int { return int(a.opened.Add(1)) }

const (
	rounds      = 8         // of a client's work
	refusedHead = "GET\r\n" // is answered too
)

// work is one client's, a connection for a few requests of all kinds, again and
// again. Where one breaks off another is opened for the rest.
func (s *server) work(rounds int, all *tally) {
	for range rounds {
		requests := []string{whole, request("GET", "/fast", ""), request("GET", staticPrefix+"file", ""), request("POST", "/echo", "hello"),
			request("POST", "/upload", "hello"), request("GET", staticPrefix+strconv.Itoa(all.next()), ""), request("GET", "/defer?ms=1", ""), refusedHead}
		var c net.Conn
		var r *bufio.Reader
		for _, text := range requests {
			if c == nil {
				if c, _ = net.Dial("tcp", s.addr); c == nil {
					continue
				}
				r = bufio.NewReader(c)
			}
			c.SetDeadline(time.Now().Add(late))
			status, _, err := exchange(c, r, text)
			all.Lock()
			all.asked++
			if wanted := status == 200 || text == refusedHead && status == 400; err == nil && wanted {
				all.served++
			} else if net, ok := err.(net.Error); ok && net.Timeout() {
				all.hung = append(all.hung, text)
			}
			all.Unlock()
			if err != nil || text == refusedHead {
				c.Close()
				c = nil
			}
		}
	}
}

// neglect has clients that do not read, so that they are reset. It returns when
// they have been.
func (s *server) neglect(t *testing.T, n int) {
	for range n {
		c := s.narrow(t)
		io.WriteString(c, request("GET", "/big?bytes=16777216", ""))
		defer c.Close()
	}
	c := s.dial(t)
	defer c.Close()
	c.awaitSize(2)
}

// attacked is what came of one call and one error.
func (s *server) attacked(t *testing.T, call, errno string, every int, opened *atomic.Int32) (all *tally, failed int) {
	t.Helper()
	all = &tally{opened: opened}
	i := s.inject(t, call, errno, every)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { s.work(rounds, all) })
	}
	wg.Wait()
	if call == "setsockopt" || call == "ioctl" {
		s.neglect(t, 4)
	}
	return all, i.end(t)
}

func TestErrorsOfSystemCallsAreSurvived(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), []byte(patternOf(100_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(root, strconv.Itoa(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, "-static", root, "-log", filepath.Join(t.TempDir(), "log"), "-header", "5s", "-body", "5s", "-write", "500ms", "-idle", "10s")
	s.settled(t, staticPrefix+"file")
	opened := new(atomic.Int32)
	s.work(1, &tally{opened: opened})
	s.awaitAlone(t)
	base := s.descriptors(t)
	cases, worst := 0, 100.0
	for _, row := range injected {
		for errno := range strings.FieldsSeq(row.errors) {
			cases++
			all, failed := s.attacked(t, row.call, errno, row.every, opened)
			percent := 100 * float64(all.served) / float64(all.asked)
			t.Logf("%-11s %-12s failed %3d times, %d of %d requests served", row.call, errno, failed, all.served, all.asked)
			if worst = min(worst, percent); percent < 80 || failed == 0 || len(all.hung) > 0 {
				t.Errorf("%s %s: it failed %d times and %.0f %% was served; hung: %q", row.call, errno, failed, percent, all.hung)
			}
			s.awaitAlone(t)
			if n := s.descriptors(t); n > base {
				t.Errorf("behind %s %s there are %d descriptors, before %d", row.call, errno, n, base)
			}
		}
	}
	t.Logf("%d of %d survived, at least %.0f %% served meanwhile", cases, cases, worst)
}
