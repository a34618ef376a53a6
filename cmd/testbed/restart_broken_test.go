//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"catboat/internal/cargo"
)

// A new program that does not come to its feet changes nothing: the old one serves on, its
// log says why, its PID file is as it was, and the next good one is started.
func TestBrokenSuccessorsChangeNothing(t *testing.T) {
	script := func(text string) func(b *bed) {
		return func(b *bed) { b.installText([]byte("#!/bin/sh\n"+text), 0o755) }
	}
	built := func(file, from, to string) func(b *bed) {
		p := variant(t, file, from, to)
		return func(b *bed) { b.install(p) }
	}
	mine, other := strconv.Itoa(cargo.Version), strconv.Itoa(cargo.Version+1)
	for _, row := range []struct {
		name    string
		install func(b *bed)
		says    [2]string // in place, and as a hand-over
	}{
		{"exits at once", script("exit 0"), [2]string{"it ended before it was ready", "it has ended: exit status 0"}},
		{"rejects its configuration", script("echo 'line 7: what is this?' >&2; exit 3"), [2]string{"exit status 3: line 7: what is this?", "exit status 3: line 7: what is this?"}},
		{"is killed", script("kill -9 $$"), [2]string{"signal: killed", "signal: killed"}},
		{"hangs", script("sleep 1000"), [2]string{"not ready within 300ms", "not ready within 300ms"}},
		{"hangs and says so", script("echo waiting for godot >&2; exec sleep 1000"), [2]string{"not ready within 300ms: waiting for godot", "not ready within 300ms: waiting for godot"}},
		{"is not executable", func(b *bed) { b.installText([]byte("x"), 0o600) }, [2]string{"permission denied", "permission denied"}},
		{"is junk", func(b *bed) { b.installText([]byte("junk"), 0o755) }, [2]string{"exec format error", "exec format error"}},
		{"is not there", func(b *bed) { os.Remove(b.program) }, [2]string{"no such file", "no such file"}},
		{"is a folder", func(b *bed) { os.Remove(b.program); os.Mkdir(b.program, 0o755) }, [2]string{"permission denied", "permission denied"}},
		{"has another version of the cargo", built("internal/cargo/cargo.go", "const Version = "+mine, "const Version = "+other),
			[2]string{"of version " + mine + ", and this program reads " + other, "of version " + mine + ", and this program reads " + other}},
		{"does not know a reply", built("cmd/testbed/resumable.go", "testbed/slow/1", "testbed/slow/2"),
			[2]string{`testbed/slow/1`, ""}},
		{"never comes to Ready", built("cmd/testbed/main.go", "restart.Ready(l)", "0, l.Run()"), [2]string{"Run before restart.Ready", "Run before restart.Ready"}},
	} {
		for i, way := range ways {
			if row.says[i] == "" { // that is no failure
				continue
			}
			t.Run(row.name+", "+way.name, func(t *testing.T) { tryBroken(t, row.install, row.says[i], way.signal) })
		}
	}
}

func tryBroken(t *testing.T, install func(b *bed), says string, signal syscall.Signal) {
	b := startBed(t, "-trial", "300ms")
	before, err := os.Stat(b.pidFile)
	if err != nil {
		t.Fatal(err)
	}
	idle, waits := b.dial(t), b.dial(t)
	idle.wantHello()
	io.WriteString(waits, request("GET", "/slow?ms=1500", ""))
	load := b.busy()
	pid := b.process.Pid
	install(b)
	b.signal(pid, signal)
	b.awaitLog("serving on", 1)
	log := b.logged()
	if line := log[strings.LastIndex(log[:strings.Index(log, "serving on")], "\n")+1:]; !strings.Contains(strings.ReplaceAll(line, `\`, ""), says) {
		t.Errorf("the log does not say %q", says)
	}
	if generation, now := b.status(); generation != 0 || now != pid {
		t.Errorf("generation %d as %d, want 0 as %d", generation, now, pid)
	}
	if after, err := os.Stat(b.pidFile); err != nil || b.writtenPID() != pid || !os.SameFile(before, after) && !strings.Contains(says, "slow") {
		t.Errorf("the PID file says %d (%v)", b.writtenPID(), err)
	}
	idle.wantHello()
	if info, err := os.Lstat(b.program); err == nil && info.IsDir() {
		os.Remove(b.program)
	}
	b.install(program)
	b.signal(pid, signal)
	b.awaitGeneration(1)
	waits.want(string(pattern(0, 1024)))
	idle.wantHello()
	load.end()
	b.until("one process", func() bool { return len(b.processes()) == 1 })
}

// children are the processes that a process has started.
func children(pid int) (pids []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range tasks {
		more, _ := os.ReadFile(name)
		text = append(append(text, ' '), more...)
	}
	for field := range strings.FieldsSeq(string(text)) {
		child, _ := strconv.Atoi(field)
		pids = append(pids, child)
	}
	return pids
}

// successor waits, without a pause, for the process to which another one is to hand over.
func (b *bed) successor(pid int) int {
	b.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		for _, child := range children(pid) { // the runtime tries a call in one that is no successor
			environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", child))
			if strings.Contains(string(environment), "CATBOAT_HANDOVER=") {
				return child
			}
		}
	}
	b.t.Fatal("there is no successor")
	return 0
}

// A successor that is killed takes along what it has, and nothing else: the old one takes
// the rest back and serves on.
func TestSuccessorThatDiesInTheMiddle(t *testing.T) {
	const connections = 1200
	for _, row := range []struct {
		name string
		when func(b *bed, child int) bool
	}{
		{"as soon as it is there", func(*bed, int) bool { return true }},
		{"with its first descriptors", func(_ *bed, child int) bool { return opened(child) > 8 }},
		{"with one batch", func(_ *bed, child int) bool { return opened(child) > 100 }},
		{"with two", func(_ *bed, child int) bool { return opened(child) > 400 }},
		{"with four", func(_ *bed, child int) bool { return opened(child) > 900 }},
		{"with all that can move", func(_ *bed, child int) bool { return opened(child) > connections }},
		{"when its PID file is there", func(b *bed, child int) bool { return b.writtenPID() == child }},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := startBed(t)
			var idle []*client
			for range connections {
				c := b.dial(t)
				c.wantHello()
				idle = append(idle, c)
			}
			tied := b.dial(t)
			io.WriteString(tied, request("GET", "/defer?ms=3000", ""))
			b.until("the question", func() bool {
				_, s := b.dial(t).ask("GET", "/checkConnections", "")
				return strings.Contains(s, "reply 1\n")
			})
			pid := b.process.Pid
			b.signal(pid, syscall.SIGHUP)
			child := b.successor(pid)
			for limit := time.Now().Add(patience); !row.when(b, child); {
				if time.Now().After(limit) {
					t.Fatal("the moment does not come")
				}
			}
			syscall.Kill(child, syscall.SIGKILL)
			b.awaitLog("serving on", 1)
			if generation, now := b.status(); generation != 0 || now != pid || b.writtenPID() != pid {
				t.Errorf("generation %d as %d, the PID file has %d, want 0 as %d", generation, now, b.writtenPID(), pid)
			}
			lost := 0
			for _, c := range idle {
				io.WriteString(c, request("GET", "/", ""))
				if _, err := c.r.Peek(1); err != nil {
					lost++
					continue
				}
				c.want("Hello, World!")
			}
			t.Logf("%d of %d are lost with it", lost, connections)
			taken := 0
			if _, after, ok := strings.Cut(b.logged(), "which had taken "); ok {
				fmt.Sscanf(after, "%d descriptors", &taken)
			}
			if lost > taken {
				t.Errorf("%d are lost, and it had taken %d", lost, taken)
			}
			tied.want(string(pattern(0, 1024)))
			load := b.busy()
			b.signal(pid, syscall.SIGHUP)
			_, now := b.awaitGeneration(1)
			load.end()
			b.until("the PID file", func() bool { return b.writtenPID() == now })
			tied.wantHello()
		})
	}
}

// opened is how many descriptors a process has open.
func opened(pid int) int {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 1 << 20 // it is gone
	}
	return len(all)
}

// A successor that is ready and then takes nothing is given up.
func TestSuccessorThatHangsIsGivenUp(t *testing.T) {
	b := startBed(t, "-trial", "500ms")
	idle := b.dial(t)
	idle.wantHello()
	pid := b.process.Pid
	b.signal(pid, syscall.SIGHUP)
	child := b.successor(pid)
	syscall.Kill(child, syscall.SIGSTOP)
	b.awaitLog("serving on", 1)
	b.until("one process", func() bool { return len(b.processes()) == 1 })
	idle.wantHello()
	if generation, now := b.status(); generation != 0 || now != pid {
		t.Errorf("generation %d as %d", generation, now)
	}
}

// What the log says has the reason, wherever a restart in place breaks off, and the
// process goes on: here behind the exec, by going back.
func TestGoingBackKeepsWhatWasAskedFor(t *testing.T) {
	broken := variant(t, "cmd/testbed/resumable.go", "testbed/slow/1", "testbed/slow/2")
	b := startBed(t)
	waits := b.dial(t)
	io.WriteString(waits, request("GET", "/slow?ms=2000", ""))
	idle := b.dial(t)
	idle.wantHello()
	load := b.busy()
	b.install(broken)
	for range 3 {
		b.signal(b.process.Pid, syscall.SIGUSR2)
	}
	b.awaitLog("serving on", 1)
	b.awaitLog("not known here", 1)
	waits.want(string(pattern(0, 1024)))
	b.signal(b.process.Pid, syscall.SIGUSR2) // now nothing is in its way
	b.awaitGeneration(1)
	b.wantRunning(b.process.Pid)
	idle.wantHello()
	load.end()
}

// A reply that the successor does not know ends where it has begun; all others move.
func TestReplyThatTheSuccessorDoesNotKnowStays(t *testing.T) {
	b := startBed(t)
	waits, idle := b.dial(t), b.dial(t)
	io.WriteString(waits, request("GET", "/slow?ms=1000", ""))
	idle.wantHello()
	events := b.listen(t)
	events.hear(2)
	load := b.busy()
	b.install(variant(t, "cmd/testbed/resumable.go", "testbed/slow/1", "testbed/slow/2"))
	b.signal(b.process.Pid, syscall.SIGHUP)
	b.awaitGeneration(1)
	events.hear(3)
	if generation, _ := idle.status(); generation != 1 {
		t.Errorf("an idle connection is still with generation %d", generation)
	}
	waits.want(string(pattern(0, 1024)))
	b.awaitLog("handed over", 1)
	waits.wantHello() // it has followed
	events.hear(2)
	load.end()
}
