//go:build linux

package restart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"catboat/internal/cargo"
)

// ready is what a trial writes when its start-up has come to Ready.
const ready = "ready\n"

// try has a child of the program do its start-up, with the listeners and named
// descriptors at hand, until it calls Ready. It waits for the outcome, so it is
// called by a goroutine of its own.
func (v invocation) try(c cargo.Cargo, limit time.Duration) error {
	if v.err != nil {
		return fmt.Errorf("how the program was started is not known: %w", v.err)
	}
	report, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	passed, err := pass(c)
	if err != nil {
		theirs.Close()
		return err
	}
	passed = append(passed, theirs)
	var said tail
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.path)
	cmd.Args, cmd.Dir, cmd.Stderr, cmd.ExtraFiles = v.args, v.dir, &said, passed
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // what it has started itself ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = environment(v.environment,
		cargo.Variable+"="+cargo.Value(firstPassed, -1),
		fmt.Sprintf("%s=%d", cargo.Trial, firstPassed+len(passed)-1))
	err = cmd.Start()
	for _, f := range passed {
		f.Close()
	}
	if err != nil {
		return err
	}
	// A child of the child may have the pipe too, and live on.
	defer context.AfterFunc(ctx, func() { report.SetReadDeadline(time.Now()) })()
	text, _ := io.ReadAll(io.LimitReader(report, 4096)) // until the child ends, or is ended
	err = cmd.Wait()
	switch {
	case string(text) == ready:
		return nil
	case len(text) > 0:
		return errors.New(strings.TrimSpace(string(text)))
	case ctx.Err() != nil:
		return fmt.Errorf("it was not ready within %v%s", limit, said.quoted())
	case err != nil:
		return fmt.Errorf("it ended before it was ready: %w%s", err, said.quoted())
	}
	return fmt.Errorf("it ended before it was ready%s", said.quoted())
}

// firstPassed is the number that a child has of the first descriptor passed to it.
const firstPassed = 3

// pass makes the descriptors that c names, and a cargo that names them as the child
// will, ready to be passed to it. The cargo is the first.
func pass(c cargo.Cargo) (passed []*os.File, err error) {
	passed = []*os.File{nil}
	add := func(fd *int) {
		n, errno := unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, 0)
		if err = errors.Join(err, os.NewSyscallError("fcntl", errno)); errno != nil {
			return
		}
		passed = append(passed, os.NewFile(uintptr(n), "passed"))
		*fd = firstPassed + len(passed) - 1
	}
	for i := range c.Listeners {
		add(&c.Listeners[i].FD)
	}
	for i := range c.Named {
		add(&c.Named[i].FD)
	}
	if err == nil {
		var fd int
		if fd, err = c.Seal(); err == nil {
			passed[0] = os.NewFile(uintptr(fd), "cargo")
		}
	}
	if err != nil {
		for _, f := range passed[1:] {
			f.Close()
		}
	}
	return passed, err
}

// tail keeps the end of what a child says.
type tail struct{ b []byte }

// Write adds to it.
func (t *tail) Write(p []byte) (int, error) {
	const most = 16 << 10 // a panic of many goroutines, from its first line
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-most):]
	return len(p), nil
}

// quoted is what says most of it, to stand behind a sentence: of a panic its first line,
// else the last three.
func (t *tail) quoted() string {
	lines := bytes.Split(bytes.TrimSpace(t.b), []byte("\n"))
	said := lines[max(0, len(lines)-3):]
	for i, line := range lines {
		if bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) {
			said = lines[i : i+1]
			break
		}
	}
	if text := bytes.Join(said, []byte("; ")); len(text) > 0 {
		return ": " + string(text)
	}
	return ""
}
