//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on all that Go
// runs on.
const tick = 10 * time.Millisecond

// stat is what /proc/PID/stat tells of a process. proc_pid_stat(5)
type stat struct {
	parent       int
	user, system time.Duration // in ticks
}

// parseStat reads the line. The name of the program is in brackets, and may have
// spaces and brackets in it.
func parseStat(line string) (s stat, err error) {
	f := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(f) < 13 || !strings.Contains(line, ")") {
		return s, fmt.Errorf("no line of /proc/PID/stat: %q", line)
	}
	number := func(i int) int {
		n, wrong := strconv.Atoi(f[i-3]) // fields count from 1, and the third is the first here
		err = errors.Join(err, wrong)
		return n
	}
	s = stat{parent: number(4), user: time.Duration(number(14)) * tick, system: time.Duration(number(15)) * tick}
	return s, err
}

// family is a process, first, and all that descend from it: its workers.
func family(root int) (pids []int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, name := range files {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		s, err := parseStat(string(line))
		if err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, err
		}
		children[s.parent] = append(children[s.parent], pid)
	}
	pids = []int{root}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, slices.Sorted(slices.Values(children[pids[i]]))...)
	}
	return pids, nil
}

// usage is what a process and its descendants have used.
type usage struct {
	cpu    time.Duration // user and system mode
	user   time.Duration // in ticks
	waited time.Duration // that threads were able to run and had to wait for a core
}

// usageOf adds up what processes have used.
func usageOf(pids []int) (u usage, err error) {
	for _, pid := range pids {
		cpu, err := cpuOf(pid)
		if err != nil {
			return u, err
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return u, err
		}
		s, err := parseStat(string(line))
		if err != nil {
			return u, err
		}
		waited, err := waitedOf(pid)
		if err != nil {
			return u, err
		}
		u.cpu += cpu
		u.user += s.user
		u.waited += waited
	}
	return u, nil
}

// cpuOf is the processor time that a process has used, all its threads, those
// that have ended too, in user and kernel mode: the sum that /proc/PID/stat
// tells, but this clock counts nanoseconds. clock_getcpuclockid(3)
func cpuOf(pid int) (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|2), &t)
	return time.Duration(t.Nano()), os.NewSyscallError("clock_gettime", err)
}

// waitedOf is how long the threads of a process were able to run and had to wait
// for their core. A server that is alone there does not wait, so this is what
// others have disturbed.
func waitedOf(pid int) (total time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, errors.Join(errors.New("no schedstat of the server"), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended meanwhile
		}
		if f := strings.Fields(string(text)); len(f) == 3 {
			n, _ := strconv.ParseInt(f[1], 10, 64) // the kernel writes numbers
			total += time.Duration(n)
		}
	}
	return total, nil
}

// resident is the memory of processes that is in RAM, in bytes.
type resident struct {
	All       int64 `json:"all"`       // of files too: the program, mostly
	Anonymous int64 `json:"anonymous"` // heap, stacks, data
}

// residentOf adds up the memory of processes. What they share is in it once for
// each.
func residentOf(pids []int) (sum resident, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return sum, err
		}
		r, err := parseRollup(string(text))
		if err != nil {
			return sum, err
		}
		sum.All += r.All
		sum.Anonymous += r.Anonymous
	}
	return sum, nil
}

// parseRollup reads /proc/PID/smaps_rollup. VmRSS and RssAnon of /proc/PID/status
// are the same, but kept for each core and summed up roughly: that can be some
// hundred KiB off. proc_pid_smaps_rollup(5)
func parseRollup(text string) (r resident, err error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return r, err
		}
		switch f[0] {
		case "Rss:":
			r.All = n << 10
		case "Anonymous:":
			r.Anonymous = n << 10
		}
	}
	if r.All == 0 {
		return r, fmt.Errorf("no memory in %q", text)
	}
	return r, nil
}
