//go:build linux && !amd64

package kernel

import "golang.org/x/sys/unix"

// sysEpollWait is the one that every architecture has; the mask is none.
const sysEpollWait = unix.SYS_EPOLL_PWAIT
