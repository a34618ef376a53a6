//go:build linux

package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// client is one connection. Its requests are written together, and the next when
// all answers are there.
type client struct {
	fd       int
	unsent   int // bytes of the batch
	left     int // answers
	at       int // bytes of the present answer
	blocked  bool
	watching bool
}

// shown is how much of a wrong answer an error tells.
const shown = 512

func (l *load) serve(e *unix.EpollEvent) error {
	i := int(e.Fd)
	if e.Events&unix.EPOLLOUT != 0 {
		if err := l.send(i); err != nil {
			return err
		}
	}
	if e.Events&^unix.EPOLLOUT == 0 {
		return nil
	}
	return l.receive(i)
}

// begin starts the next batch of a client, on a new connection if it has none.
func (l *load) begin(i int) error {
	c := &l.clients[i]
	if l.ending {
		return nil
	}
	if c.fd < 0 {
		if err := l.connect(c); err != nil {
			return err
		}
	}
	l.busy++
	c.unsent, c.left, c.at = len(l.batch), l.work.depth, 0
	return l.send(i)
}

func (l *load) connect(c *client) error {
	fd, _, errno := syscall.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return os.NewSyscallError("socket", errno)
	}
	*c = client{fd: int(fd)}
	_, _, errno = syscall.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&l.server)), unsafe.Sizeof(l.server))
	if errno != 0 && errno != unix.EINPROGRESS {
		return os.NewSyscallError("connect", errno)
	}
	if l.work.close {
		return nil // one write: there is nothing for Nagle to hold back
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
}

// send writes what is left of a client's batch. The connection may still be
// coming up: that is EAGAIN too.
func (l *load) send(i int) error {
	c := &l.clients[i]
	for c.unsent > 0 {
		p := l.batch[len(l.batch)-c.unsent:]
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			unix.MSG_NOSIGNAL, 0, 0)
		if errno == unix.EAGAIN {
			return l.watch(i, true)
		}
		if errno != 0 {
			return os.NewSyscallError("send", errno)
		}
		c.unsent -= int(n)
	}
	return l.watch(i, false)
}

// watch has the epoll set tell of what can be read, and if blocked of room to
// write.
func (l *load) watch(i int, blocked bool) error {
	c := &l.clients[i]
	if c.watching && c.blocked == blocked {
		return nil
	}
	op := uintptr(unix.EPOLL_CTL_ADD)
	if c.watching {
		op = unix.EPOLL_CTL_MOD
	}
	l.one = unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
	if blocked {
		l.one.Events |= unix.EPOLLOUT
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(l.epoll), op, uintptr(c.fd), uintptr(unsafe.Pointer(&l.one)), 0, 0)
	c.watching, c.blocked = true, blocked
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// receive reads once.
func (l *load) receive(i int) error {
	c := &l.clients[i]
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(l.buffer))), uintptr(len(l.buffer)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil
	case errno != 0:
		return os.NewSyscallError("read", errno)
	case n == 0:
		return l.ended(i)
	}
	if err := l.compare(c, l.buffer[:n]); err != nil {
		return err
	}
	if c.left > 0 || l.work.close {
		return nil // the end of the connection is part of the answer
	}
	l.busy--
	return l.begin(i)
}

// compare counts the answers in p, which is what follows on a connection.
func (l *load) compare(c *client, p []byte) error {
	for len(p) > 0 {
		if c.left == 0 {
			return fmt.Errorf("%q behind the answer", p[:min(len(p), shown)])
		}
		n := min(len(p), len(l.want.bytes)-c.at)
		if !l.want.matches(p[:n], c.at) {
			n = min(n, shown)
			return fmt.Errorf("wrong at byte %d or behind it: %q, want %q", c.at, p[:n], l.want.bytes[c.at:][:n])
		}
		p = p[n:]
		if c.at += n; c.at == len(l.want.bytes) {
			c.at = 0
			c.left--
			if !l.work.close {
				l.answered++
			}
		}
	}
	return nil
}

// ended deals with the server's FIN.
func (l *load) ended(i int) error {
	c := &l.clients[i]
	if !l.work.close || c.left > 0 {
		return fmt.Errorf("the connection ended, with %d answers missing and %d bytes of the next", c.left, c.at)
	}
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(c.fd), 0, 0)
	c.fd = -1
	l.answered++
	l.busy--
	return l.begin(i)
}
