//go:build linux

package cargo

import (
	"os"

	"golang.org/x/sys/unix"
)

// Hold is memory for a cargo that is to come. It can be made ready before: a page that
// nobody has touched yet costs microseconds, and clients wait when it is needed.
type Hold struct {
	fd    int
	b     []byte // all of it, mapped
	ready int    // so much of it is there
}

// NewHold makes one in which a loop's part and all else have so many bytes of room. What
// does not fit costs more time, and that is all.
func NewHold(room int) (*Hold, error) {
	fd, err := unix.MemfdCreate("catboat-cargo", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, int64(header+room)); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("ftruncate", err)
	}
	b, err := unix.Mmap(fd, 0, header+room, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("mmap", err)
	}
	return &Hold{fd: fd, b: b}, nil
}

// Prepare makes n more bytes ready, and reports whether those are all. Nothing may be
// written before: where there is no memory that would be a fault, and this is an error.
func (h *Hold) Prepare(n int) (all bool, err error) {
	if n = min(n, len(h.b)-h.ready); n == 0 {
		return true, nil
	}
	for {
		err = unix.Fallocate(h.fd, 0, int64(h.ready), int64(n))
		if err == nil {
			break
		}
		if err != unix.EINTR { // some kernels give up at any signal
			return false, os.NewSyscallError("fallocate", err)
		}
	}
	for to := h.ready + n; h.ready < to; h.ready = min(h.ready+os.Getpagesize(), to) {
		h.b[h.ready] = 0
	}
	return h.ready == len(h.b), nil
}

// Room is where the loop's part is to be written.
func (h *Hold) Room() []byte { return h.b[header:header] }

// Seal completes the cargo, of which Loop mostly is in the Room, and returns its
// descriptor, close-on-exec. Nobody can change it any more. The Hold is gone, and
// with it what is in the Room and c.Loop.
func (h *Hold) Seal(c *Cargo) (fd int, err error) {
	loop := h.b[:header]
	if len(c.Loop) > 0 && len(h.b) > header && &c.Loop[0] == &h.b[header] {
		loop = h.b[:header+len(c.Loop)]
	} else {
		loop = append(loop, c.Loop...)
	}
	b := c.finish(loop)
	if &b[0] == &h.b[0] {
		err = os.NewSyscallError("ftruncate", unix.Ftruncate(h.fd, int64(len(b))))
	} else {
		err = h.write(b)
	}
	unix.Munmap(h.b)
	h.b, c.Loop = nil, nil // which may have been there
	if err == nil {
		_, err = unix.FcntlInt(uintptr(h.fd), unix.F_ADD_SEALS, seals)
		err = os.NewSyscallError("fcntl", err)
	}
	if err != nil {
		unix.Close(h.fd)
		return -1, err
	}
	return h.fd, nil
}

// write is for what has outgrown the mapped memory.
func (h *Hold) write(b []byte) error {
	for at := 0; at < len(b); {
		n, err := unix.Pwrite(h.fd, b[at:], int64(at))
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("pwrite", err)
		}
		at += max(n, 0)
	}
	return os.NewSyscallError("ftruncate", unix.Ftruncate(h.fd, int64(len(b))))
}

// Drop gives a Hold up that is not needed any more. After Seal it does nothing.
func (h *Hold) Drop() {
	if h.b != nil {
		unix.Munmap(h.b)
		unix.Close(h.fd)
		h.b = nil
	}
}
