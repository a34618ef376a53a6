//go:build linux

package kernel

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Event is the readiness of one descriptor, as epoll_wait(2) reports it. Make
// sense of it with [Data].
type Event = unix.EpollEvent

// What to watch a descriptor for, and what an Event reports (epoll_ctl(2)).
const (
	In    = unix.EPOLLIN
	Out   = unix.EPOLLOUT
	RDHup = unix.EPOLLRDHUP // the peer has sent FIN
	Hup   = unix.EPOLLHUP   // both directions are shut; reported unasked
	Err   = unix.EPOLLERR   // reported unasked
)

// Woken is the Data of the event that Wake causes.
const Woken = ^uint64(0)

// Data is what Add or Modify was told to report with the descriptor.
func Data(e *Event) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// Kernel is the system calls of a running loop, on one epoll set. An errno of 0
// is success. Memory handed over must not be on a goroutine's stack, or each
// call allocates. All but Wake are for the loop's goroutine.
type Kernel interface {
	// Accept takes a connection from a listener's queue, non-blocking and
	// close-on-exec. The peer is zero for a Unix socket. accept4(2)
	Accept(fd int) (conn int, peer netip.AddrPort, errno syscall.Errno)

	// Read reads at most len(p) bytes. 0 bytes are the end. recv(2)
	Read(fd int, p []byte) (n int, errno syscall.Errno)

	// Write writes the first n bytes of p, perhaps not all. send(2)
	Write(fd int, p []byte) (n int, errno syscall.Errno)

	// WriteMore is Write for what something follows at once: what does not fill a
	// packet waits for that. sendto(2), MSG_MORE
	WriteMore(fd int, p []byte) (n int, errno syscall.Errno)

	// Sendfile writes at most length bytes of a file, from offset on. 0 bytes are the
	// file's end. It may wait for a disk. sendfile(2)
	Sendfile(fd, file int, offset int64, length int) (n int, errno syscall.Errno)

	// CloseWrite sends FIN behind what was written. shutdown(2)
	CloseWrite(fd int) syscall.Errno

	// Unacked is how many written bytes the peer has yet to acknowledge. tcp(7)
	Unacked(fd int) (n int, errno syscall.Errno)

	// Close gives up the descriptor, and so its place in the epoll set. close(2)
	Close(fd int) syscall.Errno

	// Reset is Close with RST in place of FIN: what is unsent is dropped. socket(7)
	Reset(fd int) syscall.Errno

	// Add and Modify have fd watched for events, level-triggered, and reported
	// with data. epoll_ctl(2)
	Add(fd int, events uint32, data uint64) syscall.Errno
	Modify(fd int, events uint32, data uint64) syscall.Errno

	// Wait waits for events, at most for d, for ever if d is negative, and puts
	// them into events. epoll_wait(2)
	Wait(events []Event, d time.Duration) (n int, errno syscall.Errno)

	// Slept reports whether the last Wait has waited, or may have: if not, all time
	// since the one before it went into the turn.
	Slept() bool

	// Wake makes a Wait that is under way, or else the next, return an event with
	// Woken. It may be called from any goroutine. eventfd(2)
	Wake()

	// Now is the time since some moment before, which only goes forward, and the
	// time of day, which may jump. clock_gettime(2)
	Now() (monotonic time.Duration, wall time.Time)

	// Delete ends what Add began. epoll_ctl(2)
	Delete(fd int) syscall.Errno
}
