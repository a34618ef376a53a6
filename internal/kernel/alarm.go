//go:build linux

package kernel

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm ends a Wait in the place of a timeout. A deadline far away moves on with each
// request, mostly, and to tell the kernel each time costs a twelfth of a request on
// one connection. So the alarm is set for one of them and stays: when it rings the
// loop looks, as after any event, and finds nothing to do, or the deadline passed.
type alarm struct {
	fd   int           // timerfd_create(2)
	base int64         // CLOCK_MONOTONIC at Linux.start
	at   time.Duration // when it rings, or has rung; by the clock of Now
	spec unix.ItimerSpec
}

func newAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return alarm{}, os.NewSyscallError("timerfd_create", err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		unix.Close(fd)
		return alarm{}, os.NewSyscallError("clock_gettime", err)
	}
	return alarm{fd: fd, base: now.Nano()}, nil
}

// nearby is for how short a wait the alarm is not set, since it would be again soon.
const nearby = time.Second

// timeout is that of epoll_wait(2), for a Wait of at most d. It sets the alarm if that
// is better.
func (k *Linux) timeout(d time.Duration) int {
	a, at := &k.alarm, k.now+d
	switch {
	case d < 0 || k.now < a.at && a.at <= at:
		return -1
	case d < nearby || !a.set(at):
		return milliseconds(d)
	}
	return -1
}

// set has the alarm ring at a time, and not before.
func (a *alarm) set(at time.Duration) bool {
	a.spec.Value = unix.NsecToTimespec(a.base + int64(at))
	_, _, errno := syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(a.fd), unix.TFD_TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&a.spec)), 0, 0, 0)
	if errno != 0 {
		return false
	}
	a.at = at
	return true
}

// milliseconds rounds up, so that nobody wakes before the time.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((min(d, 1<<30*time.Millisecond) + time.Millisecond - 1) / time.Millisecond)
}
