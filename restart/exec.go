//go:build linux

package restart

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"catboat/internal/cargo"
)

// invocation is how the process was started, noted before anything could change
// it.
type invocation struct {
	path        string // absolute
	args        []string
	dir         string
	environment []string
	err         error // why path or dir is not known
}

var first = note()

func note() invocation {
	v := invocation{args: slices.Clone(os.Args), environment: without(os.Environ())}
	v.dir, v.err = os.Getwd()
	if len(v.args) == 0 {
		v.err = errors.Join(v.err, errors.New("the program was started without a name"))
		return v
	}
	// As it was named, not where it is now (os.Executable): when a new version has
	// been put in its place, that is the one to start.
	path, err := exec.LookPath(v.args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) { // a name that is no path, as systemd may give
		if path, err = os.Executable(); err != nil {
			v.err = errors.Join(v.err, err)
			return v
		}
	}
	v.path, err = filepath.Abs(path)
	v.err = errors.Join(v.err, err)
	return v
}

// Exec replaces the process by the program as it was first invoked: the same
// path, made absolute at the start (a new file there is what is started), the
// same arguments, working directory and environment. It is for after Run has
// returned. The process ID stays.
//
// Exec returns only if that fails, with an error that says what was to be
// started and why it was not; then the process goes on as it was, in its
// present directory. Descriptors that are close-on-exec, as all of Go's and of
// the loop's are, do not come along.
//
// SIGUSR1 and SIGUSR2 are not deadly on the way. In a program that has called
// [Signals] they wait for the new one; else they are ignored from the call on, also
// if it fails, and one that comes then is lost. Other signals keep what they do.
func Exec() error {
	if !areBlocked() { // else they wait for the new program
		signal.Ignore(syscall.SIGUSR1, syscall.SIGUSR2) // what is ignored stays so over execve(2)
	}
	return first.exec(syscall.Exec)
}

func (v invocation) exec(execve func(path string, args, environment []string) error) error {
	return v.execWith(execve, v.environment)
}

// without is the environment with none of what a service manager says of descriptors
// that are no more, or what an earlier image has left.
func without(environment []string) (kept []string) {
	for _, v := range environment {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains(inheritance, name) {
			kept = append(kept, v)
		}
	}
	return kept
}

var inheritance = []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", cargo.Variable, cargo.Trial, handOverVariable, failed, againVariable, blockedMark}

// environment is that and more, for an image that follows. It need not block USR1 and
// USR2 if they are.
func environment(base []string, more ...string) []string {
	all := append(slices.Clone(base), more...)
	if areBlocked() {
		all = append(all, blockedMark+"=1")
	}
	return all
}

func (v invocation) execWith(execve func(path string, args, environment []string) error, environment []string) error {
	if v.err != nil {
		return fmt.Errorf("restart: how the program was started is not known: %w", v.err)
	}
	present, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if err := os.Chdir(v.dir); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	err = execve(v.path, v.args, environment)
	return errors.Join(fmt.Errorf("restart: exec %s: %w", v.path, err), os.Chdir(present))
}
