//go:build linux

package loop

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socketFile is the file of a Unix listener, as it was when it was bound.
type socketFile struct {
	path string // empty: there is none
	info fs.FileInfo
}

// listenUnix binds a Unix socket. A file that nobody listens behind, left by a
// process that has ended, is replaced; one of somebody who listens is not.
func listenUnix(path string, mode fs.FileMode, backlog int) (fd int, file socketFile, err error) {
	full, err := filepath.Abs(path) // the directory may be another when the file is removed
	if err != nil {
		return -1, socketFile{}, err
	}
	fd, err = bindUnix(path, mode, backlog)
	if errors.Is(err, unix.EADDRINUSE) && isStale(path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return -1, socketFile{}, err
		}
		fd, err = bindUnix(path, mode, backlog)
	}
	if err != nil || path[0] == '@' {
		return fd, socketFile{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		unix.Close(fd)
		return -1, socketFile{}, err
	}
	return fd, socketFile{full, info}, nil
}

// fileOf is the file of a socket that was bound before; none if it is not there.
func fileOf(path string) socketFile {
	full, err := filepath.Abs(path)
	if err != nil {
		return socketFile{}
	}
	info, err := os.Lstat(full)
	if err != nil {
		return socketFile{}
	}
	return socketFile{full, info}
}

func bindUnix(path string, mode fs.FileMode, backlog int) (fd int, err error) {
	if path == "" {
		return -1, errors.New("a Unix socket needs a path")
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	if mode != 0 && path[0] != '@' { // before anybody can connect
		err = os.Chmod(path, mode)
	}
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
	}
	if err != nil {
		unix.Close(fd)
		if path[0] != '@' {
			os.Remove(path)
		}
		return -1, err
	}
	return fd, nil
}

// isStale reports whether path is a socket that refuses connections.
func isStale(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) == unix.ECONNREFUSED
}

// remove removes the file, unless it is another's by now.
func (f socketFile) remove() {
	if f.path == "" {
		return
	}
	if info, err := os.Lstat(f.path); err == nil && os.SameFile(info, f.info) {
		os.Remove(f.path)
	}
}
