//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What a request costs the kernel, with 64 clients that ask at once on connections
// that stay: a read, a write, and its share of a wait for events. The server is
// stopped while they ask, so that it finds all of them in one turn.
func TestARequestCostsAReadAndAWrite(t *testing.T) {
	const clients, rounds, most = 64, 20, 2.05
	s := start(t)
	var all []*client
	for range clients {
		c := s.dial(t)
		c.ask("GET", "/", "")
		all = append(all, c)
	}
	calls := s.trace(t, func() {
		for range rounds {
			s.process.Signal(syscall.SIGSTOP)
			for _, c := range all {
				io.WriteString(c, request("GET", "/", ""))
			}
			s.process.Signal(syscall.SIGCONT)
			for _, c := range all {
				c.reply("GET")
			}
		}
	})
	sum := 0
	for _, n := range calls {
		sum += n
	}
	each := float64(sum) / (clients * rounds)
	t.Logf("%.3f calls a request: %v", each, calls)
	if each < 2 || each > most {
		t.Errorf("%.3f calls a request, want 2 to %.2f: %v", each, most, calls)
	}
}

// trace counts the calls that the server makes for its connections while f runs.
func (s *server) trace(t *testing.T, f func()) (calls map[string]int) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := s.strace(t, log, "-e", "signal=none",
		"-e", "trace=recvfrom,sendto,sendfile,accept4,epoll_ctl,epoll_wait,epoll_pwait,close,shutdown,ioctl,setsockopt")
	f()
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	calls = map[string]int{}
	for line := range strings.Lines(string(text)) {
		var pid int
		var call string
		if _, err := fmt.Sscanf(line, "%d %s", &pid, &call); err != nil || strings.HasPrefix(call, "<") {
			continue // the second half of a call that others have interrupted
		}
		if name, _, isCall := strings.Cut(call, "("); isCall {
			calls[name]++
		}
	}
	return calls
}

// strace attaches strace to the server, to write what it sees into a file.
func (s *server) strace(t *testing.T, log string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("strace", append([]string{"-f", "-p", strconv.Itoa(s.process.Pid), "-o", log}, args...)...)
	says, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (.ci/install installs it)", err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	attached := make(chan string, 1)
	go func() {
		r := bufio.NewReader(says)
		text, _ := r.ReadString('\n')
		attached <- text
		io.Copy(io.Discard, r)
	}()
	if said := await(t, attached, "strace"); !strings.Contains(said, " attached") {
		t.Fatalf("strace says %q", said)
	}
	return cmd
}
