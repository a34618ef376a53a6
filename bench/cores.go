//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// The servers have one core for themselves, the load has another.
const (
	serverCore = 0
	loadCore   = 1
)

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
