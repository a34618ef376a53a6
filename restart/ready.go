//go:build linux

package restart

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"catboat/internal/cargo"
	"catboat/internal/kernel"
	"catboat/loop"
)

// generation is how many images of the program there have been before this one.
var generation atomic.Uint64

// Generation counts the restarts that have brought the program here: 0 for one that
// was started. It may be called from any goroutine, after Ready.
func Generation() uint64 { return generation.Load() }

// Ready says that the program's start-up is done. It is called behind Listen and before
// Run. What an earlier image of the program has left is taken over here: its
// connections go on as if nothing had happened. It returns how many; those of a hand-over
// come later.
//
// In a trial, which is what [InPlace] does before anything moves, a child of the
// program runs up to here, reports, and exits. So whatever stands before Ready happens twice, and ought to be
// such that it may: no writing to a database, no taking of locks.
//
// Should the program be unable to take over what it was left, it has not touched it
// yet: the earlier one is executed again, with everything, and goes on. An error is
// returned only where that cannot be.
func Ready(l *loop.Loop) (adopted int, err error) {
	here := cargo.Here()
	if text, ok := os.LookupEnv(cargo.Trial); ok {
		reportTrial(text, here.Err)
	}
	if here.Err == nil && here.Cargo != nil {
		generation.Store(here.Cargo.Generation)
		if len(here.Cargo.Loop) > 0 {
			adopted, here.Err = l.Inside().Adopt(here.Cargo.Loop)
		}
	}
	if here.Err != nil {
		return 0, refuse(here)
	}
	if reason, ok := os.LookupEnv(failed); ok {
		os.Unsetenv(failed)
		generation.Add(^uint64(0)) // it was no restart
		l.Inside().Logger().Error("restart in place failed; serving on", "error", reason)
	}
	if here.Cargo != nil {
		here.Cargo.Close()
	}
	for _, fd := range [...]int{here.FD, here.Exe} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if err := leaveRest(l, here); err != nil {
		return adopted, err
	}
	keepWatchdog(l)
	if kinds := takeAgain(); kinds != "" {
		l.Post(func() { again(l, kinds) })
	}
	if text, ok := os.LookupEnv(handOverVariable); ok {
		os.Unsetenv(handOverVariable)
		socket, stderr, err := handOverDescriptors(text)
		if err != nil {
			return adopted, err
		}
		return adopted, succeed(l, socket, stderr)
	}
	notify("READY=1")
	return adopted, nil
}

// reportTrial ends a trial.
func reportTrial(text string, err error) {
	fd, bad := strconv.Atoi(text)
	if bad != nil {
		os.Exit(2)
	}
	report := os.NewFile(uintptr(fd), "report")
	if err != nil {
		fmt.Fprintln(report, err)
		os.Exit(1)
	}
	report.WriteString(ready)
	os.Exit(0)
}

// Inherited is the descriptor that an earlier image, or a service manager, has left under
// that name (see loop.Add and sd_listen_fds(3)). It is asked for once, before [Ready],
// which closes those that nobody has asked for.
func Inherited(name string) (fd int, ok bool) { return cargo.Here().Take(name) }

func init() {
	// Behind this its listeners cannot be taken over, so nothing else can be done.
	cargo.Unreadable = func(here *cargo.Inherited) { here.Err = refuse(here) }
}

// refuse says to who has left it that a cargo cannot be taken over.
func refuse(here *cargo.Inherited) error {
	if text, ok := os.LookupEnv(cargo.Trial); ok {
		reportTrial(text, here.Err)
	}
	if text, ok := os.LookupEnv(handOverVariable); ok {
		if socket, _, err := handOverDescriptors(text); err == nil {
			unix.Write(socket, append([]byte{sayRefused}, here.Err.Error()...))
		}
		return here.Err
	}
	return goBack(here)
}

// leaveRest closes what nobody has asked for.
func leaveRest(l *loop.Loop, here *cargo.Inherited) error {
	if fd, ok := here.Take(pidFileName); ok {
		inherited = fd
	}
	listeners, named := here.Left()
	for _, fd := range listeners {
		if err := l.Inside().CloseListener(fd); err != nil {
			return err
		}
	}
	for _, fd := range named {
		unix.Close(fd)
	}
	return nil
}

// goBack executes the image that has left the cargo. Nothing of it has been touched.
func goBack(here *cargo.Inherited) error {
	reason := fmt.Errorf("restart: what an earlier image has left cannot be taken over: %w", here.Err)
	if _, isBack := os.LookupEnv(failed); isBack || here.Exe < 0 {
		return reason // nor by that one itself: to and fro is no way
	}
	if here.Cargo != nil {
		for fd := range here.Cargo.FDs.All() {
			kernel.KeepOnExec(fd, true)
		}
		keepAll([]int{here.FD, here.Exe}, true)
	}
	fmt.Fprintln(os.Stderr, reason)
	all := environment(first.environment, cargo.Variable+"="+cargo.Value(here.FD, here.Exe),
		againVariable+"="+takeAgain(), failed+"="+here.Err.Error())
	err := syscall.Exec("/proc/self/fd/"+strconv.Itoa(here.Exe), first.args, all)
	return errors.Join(reason, os.NewSyscallError("execve", err))
}

// failed is the variable by which an image that is back learns why.
const failed = "CATBOAT_FAILED"
