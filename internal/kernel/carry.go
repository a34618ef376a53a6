//go:build linux

package kernel

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors are the epoll set and what Wake writes to, for [Linux.Adopt] in
// another image of the program.
func (k *Linux) Descriptors() (epoll, event int) { return k.epoll, k.event }

// Adopt goes on with an epoll set that an earlier image has left, in place of the
// present one. All that it watches stays watched. After an error nothing has changed.
func (k *Linux) Adopt(epoll, event int) error {
	before := *k
	k.epoll, k.event = epoll, event
	if errno := k.addWaker(k.alarm.fd); errno != 0 { // that of the earlier image is closed
		*k = before
		return os.NewSyscallError("epoll_ctl", errno)
	}
	unix.Close(before.event)
	unix.Close(before.epoll)
	return nil
}

// KeepAccepted has connections accepted so that they stay open over an exec, or
// no more.
func (k *Linux) KeepAccepted(keep bool) {
	k.acceptFlags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	if keep {
		k.acceptFlags = unix.SOCK_NONBLOCK
	}
}

// KeepOnExec has a descriptor stay open over an exec, or no more.
func KeepOnExec(fd int, keep bool) error {
	flag := uintptr(unix.FD_CLOEXEC)
	if keep {
		flag = 0
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_SETFD, flag); errno != 0 {
		return os.NewSyscallError("fcntl", errno)
	}
	return nil
}
