//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// bed is a testbed that may be restarted: all its processes, one behind the other.
type bed struct {
	*server
	t       *testing.T
	program string // a copy of its own, which may be replaced
	pidFile string
	log     string
	lines   chan string // what its processes print
	group   int         // of all its processes
}

// startBed runs testbed, under its own name in a folder of its own, on a free port.
func startBed(t *testing.T, args ...string) *bed {
	t.Helper()
	dir := t.TempDir()
	b := &bed{t: t, program: filepath.Join(dir, "testbed"), pidFile: filepath.Join(dir, "pid"), log: filepath.Join(dir, "log"),
		lines: make(chan string, 10_000)}
	b.install(program)
	b.run(exec.Command(b.program, append([]string{"-listen", "127.0.0.1:0", "-pid", b.pidFile, "-log", b.log}, args...)...))
	return b
}

// install puts a program in the place of the present one, as installers do.
func (b *bed) install(program string) {
	b.t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		b.t.Fatal(err)
	}
	b.installText(text, 0o755)
}

func (b *bed) installText(text []byte, mode os.FileMode) {
	b.t.Helper()
	err := os.WriteFile(b.program+".new", text, mode)
	if err == nil {
		err = os.Rename(b.program+".new", b.program)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// run starts the first process and waits until it listens.
func (b *bed) run(cmd *exec.Cmd) {
	b.t.Helper()
	b.server = &server{ended: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	stderr, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, stderr
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	w.Close()
	stderr.Close()
	b.process, b.group = cmd.Process, cmd.Process.Pid
	go func() {
		for in := bufio.NewScanner(r); in.Scan(); {
			b.lines <- in.Text()
		}
		r.Close()
	}()
	go func() {
		cmd.Wait()
		close(b.ended)
	}()
	b.t.Cleanup(func() {
		syscall.Kill(-b.group, syscall.SIGKILL)
		<-b.ended
		if b.t.Failed() {
			b.t.Logf("its log:\n%s", b.logged())
		}
	})
	line := await(b.t, b.lines, "the line that says where it listens")
	addr, ok := strings.CutPrefix(line, "listening on ")
	if !ok {
		b.t.Fatalf("it said %q: %s", line, b.logged())
	}
	b.addr = addr
}

// logged is its log so far.
func (b *bed) logged() string {
	text, _ := os.ReadFile(b.log)
	return string(text)
}

// awaitLog waits until the log has that text so many times.
func (b *bed) awaitLog(text string, times int) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q in the log", text), func() bool { return strings.Count(b.logged(), text) >= times })
}

// until looks again and again, at a pace that leaves the processor to others.
func (b *bed) until(what string, f func() bool) {
	b.t.Helper()
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for limit := time.Now().Add(patience); !f(); <-pace.C {
		if time.Now().After(limit) {
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// status is what the process says that answers: which generation it is, and which process.
func (b *bed) status() (generation, pid int) {
	b.t.Helper()
	c := b.dial(b.t)
	defer c.Close()
	return c.status()
}

func (c *client) status() (generation, pid int) {
	c.t.Helper()
	_, body := c.ask("GET", "/checkConnections", "")
	for line := range strings.Lines(body) {
		fmt.Sscanf(line, "generation %d", &generation)
		fmt.Sscanf(line, "pid %d", &pid)
	}
	return generation, pid
}

// awaitGeneration waits until one answers that is at least that.
func (b *bed) awaitGeneration(want int) (generation, pid int) {
	b.t.Helper()
	b.until(fmt.Sprint("generation ", want), func() bool {
		generation, pid = b.status()
		return generation >= want
	})
	return generation, pid
}

func (b *bed) signal(pid int, s syscall.Signal) {
	b.t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		b.t.Fatalf("%v to %d: %v", s, pid, err)
	}
}

// writtenPID is what the PID file says.
func (b *bed) writtenPID() int {
	text, _ := os.ReadFile(b.pidFile)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// processes are its processes that are alive.
func (b *bed) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range all {
		text, _ := os.ReadFile(name)
		at := strings.LastIndexByte(string(text), ')')
		var state string
		if at < 0 {
			continue
		}
		fmt.Sscan(string(text[at+1:]), &state)
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		if pid, _ := strconv.Atoi(strings.Split(name, "/")[2]); strings.Contains(string(line), b.program) && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// busy is clients that ask all the time, on connections that they keep, for which any
// end of those is a failure. A part of them opens a connection for each request.
type busy struct {
	t     *testing.T
	stop  chan struct{}
	asked atomic.Int64
	all   sync.WaitGroup
}

func (b *bed) busy() *busy {
	load := &busy{t: b.t, stop: make(chan struct{})}
	for i := range 4 {
		load.all.Go(func() {
			var c *client
			for {
				select {
				case <-load.stop:
					return
				default:
				}
				if c == nil {
					c = b.dialQuietly()
				}
				if c == nil || !load.ask(c) {
					return
				}
				if i%2 == 1 {
					c.Close()
					c = nil
				}
			}
		})
	}
	return load
}

func (b *busy) ask(c *client) bool {
	io.WriteString(c, request("GET", "/fast", ""))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		b.t.Errorf("a busy client: %v", err)
		return false
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Close || string(body) != string(pattern(0, 1024)) {
		b.t.Errorf("a busy client got %s, closed %v, %d bytes, %v", resp.Status, resp.Close, len(body), err)
		return false
	}
	b.asked.Add(1)
	return true
}

// end ends them. Nothing may have failed.
func (b *busy) end() {
	b.t.Helper()
	close(b.stop)
	b.all.Wait()
	if b.asked.Load() == 0 {
		b.t.Error("nobody was served")
	}
}

// variant builds testbed with a text replaced in one of the module's files.
func variant(t *testing.T, file, from, to string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %q", file, from)
	}
	changed, overlay, out := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay"), filepath.Join(dir, "testbed")
	os.WriteFile(changed, []byte(strings.ReplaceAll(string(text), from, to)), 0o600)
	os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, filepath.Join(root, file), changed), 0o600)
	if said, err := exec.Command("go", "build", "-overlay", overlay, "-o", out, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, said)
	}
	return out
}

// dialQuietly is dial for a goroutine; nil if that fails, which is an error.
func (b *bed) dialQuietly() *client {
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Errorf("connecting: %v", err)
		return nil
	}
	c.SetDeadline(time.Now().Add(patience))
	b.t.Cleanup(func() { c.Close() })
	return &client{b.t, c.(*net.TCPConn), bufio.NewReader(c)}
}
