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
	moved    time.Time // when it had changed,
	looks    int       // and how often it was looked at since
	ending   bool      // no request is begun any more
	busy     int       // clients with a batch that is not answered
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
		batch:   bytes.Repeat(w.request(), w.depth),
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
		n, err := l.wait(min(t.Sub(now), lookPace))
		if err != nil {
			return err
		}
		for i := range n {
			if err := l.serve(&l.events[i]); err != nil {
				return err
			}
		}
		if l.answered != l.seen {
			l.seen, l.moved, l.looks = l.answered, now, 0
		} else if l.looks++; l.looks > minLooks && now.Sub(l.moved) > patience {
			return l.complaint()
		}
	}
	return nil
}

// A machine may stand still for seconds, and no server is to blame for that: so it
// is looked often enough, besides, before one is.
const (
	lookPace = 10 * time.Millisecond
	minLooks = 50
)

func (l *load) complaint() error {
	if l.ending {
		return fmt.Errorf("%d connections were not answered in %v", l.busy, patience)
	}
	return fmt.Errorf("no answer in %v", patience)
}

// end waits for the answers that are under way: one that never comes is an error.
func (l *load) end() error {
	l.ending = true
	for l.busy > 0 {
		if err := l.until(time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
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
