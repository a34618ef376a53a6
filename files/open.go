//go:build linux

package files

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// root is the folder beneath which files are opened.
type root struct {
	fd  int // -1 when closed
	dev uint64
	ino uint64
}

// identity tells a file from others, and from itself when it has changed.
type identity struct {
	dev, ino uint64
	size     int64
	modified unix.Timespec
	changed  unix.Timespec // of status, which cannot be set
	mode     uint32
}

func openRoot(dir string) (root, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return root{fd: -1}, fmt.Errorf("files: open %s: %w", dir, err)
	}
	r := root{fd: fd}
	probe, err := r.open(".", unix.O_PATH)
	if err != nil {
		r.close()
		return root{fd: -1}, fmt.Errorf("files: openat2 beneath %s: %w (Linux 5.6 has it)", dir, err)
	}
	defer unix.Close(probe)
	id, err := fstat(probe)
	if err != nil {
		r.close()
		return root{fd: -1}, fmt.Errorf("files: fstat %s: %w", dir, err)
	}
	r.dev, r.ino = id.dev, id.ino
	return r, nil
}

func (r *root) close() error {
	fd := r.fd
	r.fd = -1
	return unix.Close(fd)
}

// tries bounds how often a call is made again that others have disturbed: with
// RESOLVE_BENEATH openat2 says EAGAIN when something was renamed meanwhile.
const tries = 16

// open opens what is beneath the root, without waiting for a writer or a terminal.
func (r *root) open(path string, flags uint64) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range tries {
		fd, err = unix.Openat2(r.fd, path, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			break
		}
	}
	return fd, err
}

const readFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY

// stat looks at a regular file without opening it, since that alone does something
// to a FIFO and to many a device. It follows links wherever they lead: who
// finds something has to open it beneath the root before telling. EISDIR means a
// folder, ENXIO something else that is no regular file.
func (r *root) stat(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(r.fd, path, &st, unix.AT_NO_AUTOMOUNT); err != nil {
		return identity{}, err
	}
	return regular(identify(&st))
}

// isFolder checks that path is a folder beneath the root.
func (r *root) isFolder(path string) error {
	fd, err := r.open(path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func fstat(fd int) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return identity{}, err
	}
	return identify(&st), nil
}

func identify(st *unix.Stat_t) identity {
	return identity{dev: st.Dev, ino: st.Ino, size: st.Size, modified: st.Mtim, changed: st.Ctim, mode: st.Mode & unix.S_IFMT}
}

func regular(id identity) (identity, error) {
	switch id.mode {
	case unix.S_IFREG:
		return id, nil
	case unix.S_IFDIR:
		return id, unix.EISDIR
	}
	return id, unix.ENXIO
}

// relook opens the root anew if its path leads to another folder by now. If
// it leads nowhere, what is open is kept: it may be on its way back.
func (t *Tree) relook(now time.Time) {
	if now.Sub(t.looked) < recheck || t.root.fd < 0 {
		return
	}
	t.looked = now
	var st unix.Stat_t
	if err := unix.Stat(t.dir, &st); err != nil || st.Dev == t.root.dev && st.Ino == t.root.ino {
		return
	}
	if r, err := openRoot(t.dir); err == nil {
		t.root.close()
		t.root = r
	}
}
