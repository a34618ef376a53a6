//go:build linux

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStatIsParsed(t *testing.T) {
	const rest = " S 7 42 42 0 -1 4194560 1 2 3 4 150 25 9 9 20 0 1 0 1234 5678 90"
	want := stat{parent: 7, user: 1500 * time.Millisecond, system: 250 * time.Millisecond}
	for _, row := range []struct {
		name, line string
		ok         bool
	}{
		{"plain", "42 (nginx)" + rest, true},
		{"with spaces", "42 (nginx: worker)" + rest, true},
		{"with brackets", "42 (a) b (c))" + rest, true},
		{"empty", "", false},
		{"short", "42 (nginx) S 7 42", false},
		{"no numbers", "42 (nginx) S x 42 42 0 -1 4194560 1 2 3 4 a b 9 9", false},
		{"no name", strings.Repeat("1 ", 30), false},
	} {
		got, err := parseStat(row.line)
		if (err == nil) != row.ok || row.ok && got != want {
			t.Errorf("%s: %+v, %v", row.name, got, err)
		}
	}
}

func TestFamilyIsAllThatDescend(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & sleep 60 & echo started; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pids, err := p.pids()
	if err != nil || len(pids) != 3 || pids[0] != cmd.Process.Pid {
		t.Errorf("%v of %d, %v", pids, cmd.Process.Pid, err)
	}
	if _, err := p.usage(); err != nil {
		t.Error(err)
	}
	var ends []unix.PollFd // readable when the process has ended
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		ends = append(ends, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	p.stop()
	for i := range ends {
		n, err := unix.Poll(ends[i:i+1], 5000)
		for err == unix.EINTR {
			n, err = unix.Poll(ends[i:i+1], 5000)
		}
		if n != 1 || err != nil {
			t.Errorf("%d is there after stop (%v)", pids[i], err)
		}
	}
}

func TestRollupIsParsed(t *testing.T) {
	const text = "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:                2312 kB\nPss:                 400 kB\nAnonymous:           612 kB\n"
	if got, err := parseRollup(text); err != nil || got != (resident{2312 << 10, 612 << 10}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, wrong := range []string{"", "Rss: x kB\n"} {
		if _, err := parseRollup(wrong); err == nil {
			t.Errorf("%q has memory", wrong)
		}
	}
}

func TestResidentMemoryIsWhatTheKernelCounts(t *testing.T) {
	self := []int{os.Getpid()}
	before, err := residentOf(self)
	if err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	p, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(p)
	after, err := residentOf(self)
	if err != nil || after.All-before.All < size*9/10 || after.Anonymous-before.Anonymous < size*9/10 {
		t.Errorf("%+v, then with %d more bytes %+v, %v", before, size, after, err)
	}
	if _, err := residentOf([]int{1 << 30}); err == nil {
		t.Error("a process that is not there has memory")
	}
}

func TestCPUTimeIsThatOfAllThreads(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // on another thread, which ends: the goroutine keeps it locked
		runtime.LockOSThread()
		var begun, now unix.Timespec
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &begun)
		for now = begun; now.Nano()-begun.Nano() < int64(20*time.Millisecond); {
			unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now)
		}
		close(done)
	}()
	<-done
	after, err := cpuOf(os.Getpid())
	if err != nil || after-before < 20*time.Millisecond {
		t.Errorf("%v for a loop of 20 ms, %v", after-before, err)
	}
}
