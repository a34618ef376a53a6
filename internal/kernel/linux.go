//go:build linux

package kernel

import (
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Linux is the Kernel that it says.
//
// Calls that cannot block are made raw, without telling Go's scheduler: that
// saves 75 to 180 ns each, and keeps the runtime's monitor from taking the
// processor away in the middle of a turn.
type Linux struct {
	epoll, event int // descriptors
	alarm        alarm
	start        time.Time

	// Memory for calls, so that none is on a stack.
	address     unix.RawSockaddrAny
	addressLen  uint32
	one         unix.EpollEvent
	linger      unix.Linger
	queued      int32
	acceptFlags uintptr
	offset      int64

	slept   bool          // the last Wait has waited
	alone   bool          // and one event has ended it
	now     time.Duration // as of the last Now
	waited  time.Duration // the same before the last Wait
	yielded time.Duration // the same when Go's scheduler was called last
}

// NewLinux makes an epoll set with the descriptor of Wake in it.
func NewLinux() (*Linux, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	k := &Linux{epoll: epoll, event: event, start: time.Now()}
	k.KeepAccepted(false)
	if k.alarm, err = newAlarm(); err != nil {
		unix.Close(epoll)
		unix.Close(event)
		return nil, err
	}
	for _, fd := range [...]int{event, k.alarm.fd} {
		if errno := k.addWaker(fd); errno != 0 {
			k.Shut()
			return nil, os.NewSyscallError("epoll_ctl", errno)
		}
	}
	return k, nil
}

// addWaker has a descriptor end a Wait. Edge-triggered: each time is one event, and
// nobody has to read.
func (k *Linux) addWaker(fd int) syscall.Errno { return k.Add(fd, unix.EPOLLIN|unix.EPOLLET, Woken) }

// Shut gives up the epoll set.
func (k *Linux) Shut() {
	unix.Close(k.alarm.fd)
	unix.Close(k.event)
	unix.Close(k.epoll)
}

// Accept is documented at [Kernel].
func (k *Linux) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	k.addressLen = unix.SizeofSockaddrAny
	conn, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&k.address)),
		uintptr(unsafe.Pointer(&k.addressLen)), k.acceptFlags, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(conn), k.peer(), 0
}

// peer is the address that accept4 has left in k.address.
func (k *Linux) peer() netip.AddrPort {
	switch k.address.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(&k.address))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), port(&a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(&k.address))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), port(&a.Port))
	}
	return netip.AddrPort{}
}

// port reads a port in network byte order.
func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// Read is documented at [Kernel].
func (k *Linux) Read(fd int, p []byte) (int, syscall.Errno) {
	return transfer(syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0))
}

// Write is documented at [Kernel].
func (k *Linux) Write(fd int, p []byte) (int, syscall.Errno) {
	return transfer(syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0))
}

// WriteMore is documented at [Kernel].
func (k *Linux) WriteMore(fd int, p []byte) (int, syscall.Errno) {
	return transfer(syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		unix.MSG_MORE|unix.MSG_NOSIGNAL, 0, 0))
}

// Sendfile is documented at [Kernel]. It may wait, so Go's scheduler is told.
func (k *Linux) Sendfile(fd, file int, offset int64, length int) (int, syscall.Errno) {
	k.offset = offset
	return transfer(syscall.Syscall6(unix.SYS_SENDFILE, uintptr(fd), uintptr(file), uintptr(unsafe.Pointer(&k.offset)), uintptr(length), 0, 0))
}

func transfer(n, _ uintptr, errno syscall.Errno) (int, syscall.Errno) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// CloseWrite is documented at [Kernel].
func (k *Linux) CloseWrite(fd int) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return errno
}

// Unacked is documented at [Kernel].
func (k *Linux) Unacked(fd int) (int, syscall.Errno) {
	_, _, errno := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&k.queued)))
	return int(k.queued), errno
}

// Close is documented at [Kernel].
func (k *Linux) Close(fd int) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errno
}

// Reset is documented at [Kernel].
func (k *Linux) Reset(fd int) syscall.Errno {
	k.linger = unix.Linger{Onoff: 1}
	syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&k.linger)), unsafe.Sizeof(k.linger), 0)
	return k.Close(fd)
}

// Add is documented at [Kernel].
func (k *Linux) Add(fd int, events uint32, data uint64) syscall.Errno {
	return k.control(unix.EPOLL_CTL_ADD, fd, events, data)
}

// Modify is documented at [Kernel].
func (k *Linux) Modify(fd int, events uint32, data uint64) syscall.Errno {
	return k.control(unix.EPOLL_CTL_MOD, fd, events, data)
}

// Delete is documented at [Kernel].
func (k *Linux) Delete(fd int) syscall.Errno {
	return k.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (k *Linux) control(op uintptr, fd int, events uint32, data uint64) syscall.Errno {
	k.one = unix.EpollEvent{Events: events, Fd: int32(data), Pad: int32(data >> 32)}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(k.epoll), op, uintptr(fd), uintptr(unsafe.Pointer(&k.one)), 0, 0)
	return errno
}

// quick is how soon one event may follow another for it to be likely that the next
// has not come yet when the present one is dealt with.
const quick = 100 * time.Microsecond

// yieldEvery is less than the 10 ms that a goroutine may go on for, in calls or not,
// before the runtime's monitor wants it to make way. It then looks every 20 us, for a
// while, whether it has: W2 of the benchmarks is a tenth faster without that.
const yieldEvery = 8 * time.Millisecond

// Wait is documented at [Kernel]. It looks first, raw, and only if there is
// nothing lets Go's scheduler know that it is going to block: a raw call that
// blocks would hold up the collector. It does not look where that was in vain,
// as with a single client that waits for its answer before it asks again.
func (k *Linux) Wait(events []Event, d time.Duration) (int, syscall.Errno) {
	n, errno := k.wait(events, d)
	if k.now-k.yielded > yieldEvery {
		k.yielded = k.now
		runtime.Gosched()
	}
	return n, errno
}

func (k *Linux) wait(events []Event, d time.Duration) (int, syscall.Errno) {
	quickly := k.now-k.waited < quick
	k.waited = k.now
	if !k.alone || !quickly || d == 0 {
		n, _, errno := syscall.RawSyscall6(sysEpollWait, uintptr(k.epoll),
			uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
		if k.slept = n == 0 && d != 0; !k.slept {
			k.alone = false
			return transfer(n, 0, errno)
		}
	}
	n, _, errno := syscall.Syscall6(sysEpollWait, uintptr(k.epoll),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(k.timeout(d)), 0, 0)
	k.alone = n == 1
	return transfer(n, 0, errno)
}

// Slept is documented at [Kernel].
func (k *Linux) Slept() bool { return k.slept }

// Wake is documented at [Kernel].
func (k *Linux) Wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for { // EAGAIN says that the counter is full: a wake-up is on its way
		if _, err := unix.Write(k.event, one[:]); err != unix.EINTR {
			return
		}
	}
}

// Now is documented at [Kernel].
func (k *Linux) Now() (monotonic time.Duration, wall time.Time) {
	wall = time.Now()
	k.now = wall.Sub(k.start)
	return k.now, wall
}
