//go:build linux

package kernel

import "golang.org/x/sys/unix"

// sysEpollWait is the plainest epoll_wait(2): that with a signal mask costs 50 ns more.
const sysEpollWait = unix.SYS_EPOLL_WAIT
