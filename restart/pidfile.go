//go:build linux

package restart

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PIDFile is a file with this process's ID, held by a lock as long as the process
// lives, over an exec too.
type PIDFile struct {
	path  string
	f     *os.File
	given bool // a successor has taken over, and its file is where this one was, or will be
}

// WritePIDFile makes the file, or takes it over from an earlier image or a predecessor
// of this program. It is called behind [Ready]. The file comes to be by a rename, so nobody reads half of
// it. If another program that is alive holds it, that is an error, and the file is
// left alone.
func WritePIDFile(path string) (*PIDFile, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if p := takePIDFile(path); p != nil {
		return p, nil
	}
	if err := ownedByOther(path); err != nil {
		return nil, err
	}
	p := &PIDFile{path: path}
	if err := p.write(); err != nil {
		return nil, fmt.Errorf("restart: PID file: %w", err)
	}
	locked = p
	return p, nil
}

// write puts the file in its place.
func (p *PIDFile) write() error {
	f, err := os.CreateTemp(filepath.Dir(p.path), filepath.Base(p.path)+".*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	if err == nil {
		err = errors.Join(f.Chmod(0o644), lock(f))
	}
	if err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return err
	}
	p.f = f
	return nil
}

// again puts the file in its place if a successor, which has ended, had put its own there.
func (p *PIDFile) again() error {
	there, err := os.Stat(p.path)
	ours, bad := p.f.Stat()
	if err == nil && bad == nil && os.SameFile(there, ours) {
		return nil
	}
	old := p.f
	defer old.Close()
	return p.write()
}

// locked is this process's PID file, nil if it has none. Its descriptor goes along with
// an exec, so that the lock does not lapse.
var locked *PIDFile

// pidFileName is what that descriptor is called in a cargo.
const pidFileName = "restart: PID file"

// inherited is the descriptor that an earlier image has left, -1 if none has.
var inherited = -1

// takePIDFile goes on with the file of an earlier image of this process.
func takePIDFile(path string) *PIDFile {
	if inherited < 0 {
		return nil
	}
	p := &PIDFile{path: path, f: os.NewFile(uintptr(inherited), path)}
	inherited = -1
	there, err := os.Stat(path)
	ours, bad := p.f.Stat()
	if err != nil || bad != nil || !os.SameFile(there, ours) {
		p.f.Close()
		return nil
	}
	locked = p
	return p
}

// Remove removes the file, unless it is another's by now. It may be called again.
func (p *PIDFile) Remove() error {
	if p.given {
		return nil
	}
	there, err := os.Stat(p.path)
	if err != nil {
		return nil
	}
	ours, err := p.f.Stat()
	if err != nil || !os.SameFile(there, ours) {
		return nil
	}
	return os.Remove(p.path)
}

// lock takes the lock of a file that nobody else has open.
func lock(f *os.File) error {
	return os.NewSyscallError("flock", unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

// ownedByOther is an error if a process holds the file that is neither this one nor the
// one whose successor this is.
func ownedByOther(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if lock(f) == nil {
		return nil // whoever wrote it has ended
	}
	var text [32]byte
	n, _ := f.Read(text[:])
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if pid == os.Getpid() || pid == predecessor {
		return nil
	}
	return fmt.Errorf("restart: PID file %s belongs to process %d, which is alive", path, pid)
}

// predecessor is the process that hands over to this one, 0 if none does.
var predecessor = func() int {
	if os.Getenv(handOverVariable) == "" {
		return 0
	}
	return os.Getppid()
}()
