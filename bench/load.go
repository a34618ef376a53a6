//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// load is one thread with an epoll set that sends a workload's requests and
// checks every byte of the answers. It shares its core with nobody and must keep
// a server busy that does little more than itself: so it has its requests ready,
// reads all connections into one buffer, and makes its calls raw.
type load struct {
	work     workload
	want     *answer
	server   unix.RawSockaddrInet4
	epoll    int
	batch    []byte // the requests that are written at once
	clients  []client
	events   []unix.EpollEvent
	one      unix.EpollEvent // memory for epoll_ctl
	buffer   []byte
	answered int64
	seen     int64     // what answered was when it was last looked at,
	moved    time.Time // and when it had changed
	ending   bool      // no request is begun any more
	busy     int       // clients with a batch that is not answered
}

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

// applyLoad measures a server that runs. The first tenth or so is not counted:
// connections are made there, and memory grows.
func applyLoad(p *process, w workload, want *answer, span time.Duration) (o outcome, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pinThread(0, loadCore); err != nil {
		return o, err
	}
	l, err := newLoad(p.address, w, want)
	if err != nil {
		return o, err
	}
	defer l.close()
	for i := range l.clients {
		if err := l.begin(i); err != nil {
			return o, err
		}
	}
	start := time.Now().Add(min(max(span/10, 50*time.Millisecond), 300*time.Millisecond))
	if err := l.until(start); err != nil {
		return o, err
	}
	before, err := p.reading(l.answered)
	if err != nil {
		return o, err
	}
	if err := l.until(before.at.Add(span)); err != nil {
		return o, err
	}
	for l.answered == before.answered { // on a crowded machine nobody may have had a core
		if err := l.until(time.Now().Add(time.Millisecond)); err != nil {
			return o, err
		}
	}
	after, err := p.reading(l.answered)
	if err != nil {
		return o, err
	}
	return before.to(after), l.end()
}

func newLoad(address string, w workload, want *answer) (*load, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !a.Addr().Is4() {
		return nil, fmt.Errorf("address %q: not an IPv4 address and a port", address)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	l := &load{
		work:    w,
		want:    want,
		server:  unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()},
		epoll:   epoll,
		batch:   bytes.Repeat(w.request, w.depth),
		clients: make([]client, w.conns),
		events:  make([]unix.EpollEvent, 512),
		buffer:  make([]byte, 64<<10),
		moved:   time.Now(),
	}
	port := (*[2]byte)(unsafe.Pointer(&l.server.Port)) // in network byte order
	port[0], port[1] = byte(a.Port()>>8), byte(a.Port())
	for i := range l.clients {
		l.clients[i].fd = -1
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.clients {
		if c.fd >= 0 {
			unix.Close(c.fd)
		}
	}
	unix.Close(l.epoll)
}

// until deals with events until a time has come. That a server answers nothing
// for long is an error.
func (l *load) until(t time.Time) error {
	for now := time.Now(); now.Before(t); now = time.Now() {
		n, err := l.wait(min(t.Sub(now), patience))
		if err != nil {
			return err
		}
		for i := range n {
			if err := l.serve(&l.events[i]); err != nil {
				return err
			}
		}
		if l.answered != l.seen {
			l.seen, l.moved = l.answered, now
		} else if now.Sub(l.moved) > patience {
			return fmt.Errorf("no answer in %v", patience)
		}
	}
	return nil
}

// end waits for the answers that are under way: one that never comes is an error.
func (l *load) end() error {
	l.ending = true
	for limit := time.Now().Add(patience); l.busy > 0 && time.Now().Before(limit); {
		if err := l.until(time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
	}
	if l.busy > 0 {
		return fmt.Errorf("%d connections were not answered in %v", l.busy, patience)
	}
	return nil
}

// wait looks first, and only if there is nothing lets Go know that it blocks.
func (l *load) wait(d time.Duration) (int, error) {
	events := uintptr(unsafe.Pointer(unsafe.SliceData(l.events)))
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), events, uintptr(len(l.events)), 0, 0, 0)
	if n == 0 {
		ms := uintptr((d + time.Millisecond - 1) / time.Millisecond)
		n, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), events, uintptr(len(l.events)), ms, 0, 0)
	}
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, os.NewSyscallError("epoll_wait", errno)
}

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
			return fmt.Errorf("%q behind the answer", p)
		}
		n := min(len(p), len(l.want.bytes)-c.at)
		if !l.want.matches(p[:n], c.at) {
			return fmt.Errorf("wrong at byte %d of an answer: %q, want %q", c.at, p[:n], l.want.bytes[c.at:][:n])
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
