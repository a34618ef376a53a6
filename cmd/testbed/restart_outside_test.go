//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The PID file's lock is held over every restart, and by nobody else.
func TestPIDFileBelongsToOne(t *testing.T) {
	b := startBed(t)
	other := func() string {
		out, err := exec.Command(program, "-listen", "127.0.0.1:0", "-pid", b.pidFile).CombinedOutput()
		if err == nil {
			t.Error("another process has taken it")
		}
		return string(out)
	}
	held := func() {
		t.Helper()
		f, err := os.Open(b.pidFile)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
			t.Errorf("locking it: %v", err)
		}
	}
	pid := b.process.Pid
	for n, way := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGUSR2} {
		if said := other(); !strings.Contains(said, fmt.Sprintf("belongs to process %d, which is alive", pid)) {
			t.Errorf("another process says %s", said)
		}
		held()
		b.signal(pid, way)
		_, pid = b.awaitGeneration(n + 1)
		b.until("the PID file", func() bool { return b.writtenPID() == pid })
		held()
	}
	if left, _ := filepath.Glob(b.pidFile + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// It is somebody else's now.
	os.Remove(b.pidFile)
	os.WriteFile(b.pidFile, []byte("1\n"), 0o600)
	b.signal(pid, syscall.SIGTERM)
	b.until("its end", func() bool { return len(b.processes()) == 0 })
	if b.writtenPID() != 1 {
		t.Error("it has removed another's file")
	}
	// One that nobody holds is taken, whatever it says.
	c := startBed(t)
	c.signal(c.process.Pid, syscall.SIGKILL)
	<-c.ended
	d := exec.Command(c.program, "-listen", "127.0.0.1:0", "-pid", c.pidFile, "-log", c.log)
	c.run(d)
	c.until("the PID file", func() bool { return c.writtenPID() == d.Process.Pid })
}

// The socket that a service manager has opened is served, and passed on.
func TestSocketActivation(t *testing.T) {
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatalf("%v (make test installs it: package systemd)", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	b := &bed{t: t, program: filepath.Join(dir, "testbed"), pidFile: filepath.Join(dir, "pid"), log: filepath.Join(dir, "log"), lines: make(chan string, 100)}
	b.install(program)
	cmd := exec.Command(activate, "-l", addr, b.program, "-listen", addr, "-pid", b.pidFile, "-log", b.log)
	go func() { // it starts the program when somebody connects
		for {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				<-time.After(time.Millisecond)
				continue
			}
			c.Close()
			return
		}
	}()
	b.run(cmd)
	pid := cmd.Process.Pid
	idle := b.dial(t)
	idle.wantHello()
	load := b.busy()
	for n, way := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGUSR2} {
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if n > 0 && strings.Contains(string(environment), "LISTEN_") {
			t.Errorf("process %d has %q", pid, environment)
		}
		b.signal(pid, way)
		_, pid = b.awaitGeneration(n + 1)
		b.awaitLog("hand", (n+1)/2*2)
	}
	idle.wantHello()
	load.end()
}

// What a service manager hears, in this order.
func TestServiceManagerIsNotified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	text := make([]byte, 4096)
	hear := func(want ...string) {
		t.Helper()
		for _, w := range want {
			heard := ""
			for heard == "" || heard == "WATCHDOG=1" && w != heard {
				socket.SetReadDeadline(time.Now().Add(patience))
				n, err := socket.Read(text)
				if err != nil {
					t.Fatalf("waiting for %q: %v", w, err)
				}
				heard = string(text[:n])
			}
			if !strings.HasPrefix(heard, w) {
				t.Errorf("heard %q, want %q", heard, w)
			}
		}
	}
	t.Setenv("WATCHDOG_USEC", "100000")
	b := startBed(t)
	hear("READY=1", "WATCHDOG=1")
	b.signal(b.process.Pid, syscall.SIGUSR2)
	hear("RELOADING=1\nMONOTONIC_USEC=", "READY=1", "WATCHDOG=1")
	good, _ := os.ReadFile(b.program)
	b.installText([]byte("#!/bin/sh\nexit 1"), 0o755)
	b.signal(b.process.Pid, syscall.SIGUSR2)
	hear("RELOADING=1\nMONOTONIC_USEC=", "READY=1")
	b.signal(b.process.Pid, syscall.SIGHUP)
	hear("RELOADING=1\nMONOTONIC_USEC=", "READY=1")
	b.installText(good, 0o755)
	b.signal(b.process.Pid, syscall.SIGHUP)
	hear("RELOADING=1\nMONOTONIC_USEC=", "MAINPID=")
	_, pid := b.awaitGeneration(2)
	hear("WATCHDOG=1")
	b.signal(pid, syscall.SIGTERM)
	hear("STOPPING=1")
}
