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
	"syscall"
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
	v := invocation{args: slices.Clone(os.Args), environment: os.Environ()}
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
// SIGUSR1 and SIGUSR2 are ignored from the call on, also if it fails, and by the
// new program until its Go runtime has started: neither is deadly on the way,
// but one that comes then is lost. Other signals keep what they do.
func Exec() error { return first.exec(syscall.Exec) }

func (v invocation) exec(execve func(path string, args, environment []string) error) error {
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
	signal.Ignore(syscall.SIGUSR1, syscall.SIGUSR2) // what is ignored stays so over execve(2)
	err = execve(v.path, v.args, v.environment)
	return errors.Join(fmt.Errorf("restart: exec %s: %w", v.path, err), os.Chdir(present))
}
