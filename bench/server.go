//go:build linux

package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// server is a program that takes -listen and says "listening on HOST:PORT".
type server struct {
	name      string
	path      string
	procs     string // GOMAXPROCS; "" or unset for none
	floor     bool   // takes the floor's arguments
	args      []string
	fixedDate bool
}

// process is a server that runs.
type process struct {
	cmd     *exec.Cmd
	address string
}

// buildServers builds the floor, which comes first, and testbed, once for each
// value of GOMAXPROCS.
func buildServers(folder string, o options) ([]server, error) {
	floor, testbed := filepath.Join(folder, "floor"), filepath.Join(folder, "testbed")
	if err := build("", cmp.Or(os.Getenv("CC"), "cc"), "-O2", "-o", floor, "floor/floor.c"); err != nil {
		return nil, err
	}
	if err := build(o.root, "go", "build", "-o", testbed, "./cmd/testbed"); err != nil {
		return nil, err
	}
	servers := []server{{name: "floor", path: floor, floor: true, fixedDate: true}}
	for _, procs := range o.procs {
		name := "testbed"
		if len(o.procs) > 1 {
			name += ", GOMAXPROCS " + procs
		}
		servers = append(servers, server{name: name, path: testbed, procs: procs})
	}
	for _, also := range o.also {
		name, path, ok := strings.Cut(also, "=")
		if !ok {
			return nil, fmt.Errorf("-also %s: no = in it", also)
		}
		servers = append(servers, server{name: name, path: path, procs: o.procs[0]})
	}
	return servers, nil
}

func build(folder string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// start starts the server on its core and waits until it listens.
func (s server) start(w workload) (*process, error) {
	args := append([]string{"-listen", "127.0.0.1:0"}, s.args...)
	if s.floor {
		args = append(args, w.floor...)
	}
	cmd := exec.Command(s.path, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = environment(s.procs)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(serverCore, cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		p.stop()
		return nil, fmt.Errorf("it said %q and not where it listens (%v)", line, err)
	}
	p.address = address
	return p, nil
}

// environment is ours with one GOMAXPROCS or none.
func environment(procs string) (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GOMAXPROCS=") {
			env = append(env, v)
		}
	}
	if procs != "" && procs != "unset" {
		env = append(env, "GOMAXPROCS="+procs)
	}
	return env
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// cpu is the processor time that the process has used, all its threads, those
// that have ended too, in user and kernel mode. The clock counts nanoseconds,
// where /proc/PID/stat has ticks of 10 ms. clock_getcpuclockid(3)
func (p *process) cpu() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|2), &t)
	return time.Duration(t.Nano()), err
}

// waited is how long the threads of the process were able to run and had to
// wait for their core. A server that is alone there does not wait, so this is
// what others have disturbed.
func (p *process) waited() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return 0, errors.Join(errors.New("no schedstat of the server"), err)
	}
	total := time.Duration(0)
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

// startOn starts a command that runs on one core from its first instruction:
// a child has the affinity of the thread that it comes from.
func startOn(core int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	if err := pinThread(0, core); err != nil {
		return err
	}
	return errors.Join(cmd.Start(), os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before)))
}

// pinProcess puts all threads of this process on a core; those to come follow
// the ones that they come from.
func pinProcess(core int) error {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			return err
		}
		if err := pinThread(id, core); err != nil {
			return err
		}
	}
	return nil
}

// pinThread puts a thread on a core; 0 is the calling one.
func pinThread(id, core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
		return fmt.Errorf("core %d: %w", core, os.NewSyscallError("sched_setaffinity", err))
	}
	return nil
}
