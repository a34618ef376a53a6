//go:build linux

package loop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
	"catboat/internal/cargo"
	"catboat/internal/kernel"
)

// listener is a socket that connections are accepted from.
type listener struct {
	fd        int
	network   string // as Listen was told, with
	address   string // this
	handle    conn.Handle
	file      socketFile // of a Unix socket
	burst     int        // how many to accept at an event
	full      int        // how often in a row so many were there
	crowded   bool       // clients wait in the queue, since the limit was reached
	deferring bool       // StopListening waits for what the kernel holds back
	paused    bool       // not watched, for lack of descriptors
	retry     *Timer     // when it is watched again all the same
}

const (
	maxBurst   = 64
	sureOfMore = 8       // bursts that were full, before a larger one is tried
	acceptLast = 1 << 16 // at most this many when listening stops
	pause      = 100 * time.Millisecond
	lastCall   = 10 * time.Second // for a queue that cannot be accepted when listening stops
)

// Listen opens a listener and has the loop accept from it. The network is "tcp4",
// "tcp6" or "tcp", which is both where the address names no host; or "unix",
// whose address is a path, or "@" and an abstract name. It returns the address
// as bound: the port of ":0" is one that was free. It is called before Run, or on
// the loop's goroutine. Errors are *net.OpError.
//
// The file of a Unix socket is made with Options.SocketMode before anybody can
// connect. One that is there already is replaced if nobody listens behind it.
// When listening stops it is removed, unless it is another's by then.
//
// A listener of that address that this process was left, by an earlier image of the
// program (see package restart) or by a service manager (sd_listen_fds(3)), is
// used in place of a new one.
func (l *Loop) Listen(network, address string) (net.Addr, error) {
	fail := func(err error) (net.Addr, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	switch {
	case l.door.isClosed():
		return fail(ErrStopped)
	case l.stopping.Load():
		return fail(errNotListening)
	}
	fd, file, err := l.openListener(network, address)
	if err != nil {
		return fail(err)
	}
	bound, err := boundAddr(fd)
	if err == nil {
		err = l.addListener(fd, file)
	}
	if err == nil {
		ln := l.listeners[len(l.listeners)-1]
		ln.network, ln.address = network, address
	}
	if err != nil {
		unix.Close(fd)
		file.remove()
		return fail(err)
	}
	return bound, nil
}

func (l *Loop) openListener(network, address string) (fd int, file socketFile, err error) {
	here := cargo.Here()
	if here.Err != nil { // somebody has that address, and it is not ours
		return -1, socketFile{}, here.Err
	}
	if fd, ok := here.TakeListener(network, address); ok {
		if network == "unix" {
			file = fileOf(address)
		}
		return fd, file, nil
	}
	switch network {
	case "unix":
		return listenUnix(address, l.options.SocketMode, l.options.Backlog)
	case "tcp", "tcp4", "tcp6":
		a, err := net.ResolveTCPAddr(network, address)
		if err != nil {
			return -1, socketFile{}, err
		}
		fd, err := listenTCP(network, a, l.options.Backlog)
		if err == nil && l.options.DeferAccept {
			err = deferAccept(fd, true)
		}
		return fd, socketFile{}, err
	}
	return -1, socketFile{}, net.UnknownNetworkError(network)
}

// listenTCP binds a socket. A wildcard of network "tcp" is one IPv6 socket
// that takes IPv4 too, or where there is no IPv6, an IPv4 socket.
func listenTCP(network string, a *net.TCPAddr, backlog int) (fd int, err error) {
	ip, _ := netip.AddrFromSlice(a.IP)
	ip = ip.Unmap()
	dual := network == "tcp" && (!ip.IsValid() || ip.Is6() && ip.IsUnspecified())
	if network == "tcp4" || ip.Is4() {
		if !ip.IsValid() {
			ip = netip.IPv4Unspecified()
		}
		return bindAndListen(unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: ip.As4()}, false, backlog)
	}
	if !ip.IsValid() {
		ip = netip.IPv6Unspecified()
	}
	sa := &unix.SockaddrInet6{Port: a.Port, Addr: ip.As16()}
	if a.Zone != "" {
		i, err := net.InterfaceByName(a.Zone)
		if err != nil {
			return -1, err
		}
		sa.ZoneId = uint32(i.Index)
	}
	fd, err = bindAndListen(unix.AF_INET6, sa, dual, backlog)
	if dual && noIPv6(err) {
		return bindAndListen(unix.AF_INET, &unix.SockaddrInet4{Port: a.Port}, false, backlog)
	}
	return fd, err
}

func noIPv6(err error) bool {
	e, ok := err.(*os.SyscallError)
	return ok && (e.Err == unix.EAFNOSUPPORT || e.Err == unix.EADDRNOTAVAIL)
}

func bindAndListen(family int, sa unix.Sockaddr, dual bool, backlog int) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	v6only := 1
	if dual {
		v6only = 0
	}
	steps := []struct {
		call string
		do   func() error
	}{
		{"setsockopt", func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }},
		// Accepted connections inherit it: one call for all of them.
		{"setsockopt", func() error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }},
		{"setsockopt", func() error {
			if family != unix.AF_INET6 {
				return nil
			}
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only)
		}},
		{"bind", func() error { return unix.Bind(fd, sa) }},
		{"listen", func() error { return unix.Listen(fd, backlog) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			unix.Close(fd)
			return -1, os.NewSyscallError(s.call, err)
		}
	}
	return fd, nil
}

func boundAddr(fd int) (net.Addr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))), nil
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))), nil
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}, nil
	}
	return nil, fmt.Errorf("loop: listener of family %T", sa)
}

// addListener has the loop accept from a socket that listens.
func (l *Loop) addListener(fd int, file socketFile) error {
	r, h := l.records.open(fd, isListener)
	if errno := l.addAnew(fd, kernel.In, h); errno != 0 {
		r.kind = isFree
		return os.NewSyscallError("epoll_ctl", errno)
	}
	r.slot = int32(len(l.listeners))
	l.listeners = append(l.listeners, &listener{fd: fd, handle: h, file: file, burst: 1})
	l.held.Add(1)
	return nil
}

// accept takes connections from a listener that is ready. To find the queue
// empty costs as much as three requests, so it takes one, and twice as many when
// that has been right eight times in a row.
func (l *Loop) accept(ln *listener) {
	for range ln.burst {
		if l.conns >= l.mostConns(ln) {
			l.trouble("connection limit reached, clients wait in the queue", nil)
			l.pauseListener(ln)
			ln.crowded = true
			return
		}
		if came := l.acceptOne(ln); came != accepted {
			ln.crowded = ln.crowded && came != empty
			ln.burst, ln.full = 1, 0
			return
		}
	}
	if ln.full++; ln.full == sureOfMore {
		ln.burst, ln.full = min(2*ln.burst, maxBurst), 0
	}
}

// outcome is what came of accepting once.
type outcome int

const (
	accepted outcome = iota // or failed for a reason of that one connection's
	empty                   // there is nobody in the queue
	paused                  // the queue is as full as before
)

// acceptOne takes one connection. No error of accept(2) is fatal. Some are of the connection that was to be; after others, such as
// too many descriptors, the queue is as full as before, and the listener has to
// pause or the loop would spin.
func (l *Loop) acceptOne(ln *listener) outcome {
	fd, peer, errno := l.k.Accept(ln.fd)
	switch errno {
	case 0:
		l.admit(fd, peer)
		return accepted
	case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO, syscall.ENOPROTOOPT,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENONET:
		return accepted
	case syscall.EAGAIN:
		return empty
	}
	l.trouble("accept4 failed", errno)
	l.pauseListener(ln)
	l.retryLater(ln)
	return paused
}

// mostConns is up to how many connections a listener accepts: as many as are
// served, and a twentieth more that are told that they are not. Who has had to
// wait in the queue is not told any more, but served when his turn comes.
func (l *Loop) mostConns(ln *listener) int {
	if ln.crowded {
		return l.options.MaxConns
	}
	return l.options.MaxConns + max(1, l.options.MaxConns/20)
}

// admit takes up a connection.
func (l *Loop) admit(fd int, peer netip.AddrPort) {
	r, h := l.records.open(fd, isConn)
	if !l.options.DeferAccept {
		if errno := l.k.Add(fd, readable, data(h)); errno != 0 {
			l.trouble("epoll_ctl failed", errno)
			r.kind = isFree
			l.k.Close(fd)
			return
		}
		r.watched = true
	}
	r.interest = readable
	l.lastID++
	l.counters.Accepted++
	r.id = l.lastID
	r.setPeer(peer)
	l.conns++
	l.held.Add(1)
	l.place(fd, r, conn.ForHead)
	if l.conns > l.options.MaxConns {
		m := l.machine(fd, r)
		m.Refuse(503)
		l.settle(fd, r, m, true)
		return
	}
	if l.options.DeferAccept { // mostly the request is there, and often it is the only one
		l.read(fd, r)
		if r := l.records.find(h); r != nil && !r.watched {
			l.watch(fd, r, readable)
		}
	}
}

// pauseListener stops accepting until a connection is closed. If the epoll set does
// not take it, the next event tries again.
func (l *Loop) pauseListener(ln *listener) {
	if !ln.paused {
		ln.paused = l.watchListener(ln, 0)
	}
}

// watchListener reports whether the epoll set has taken it.
func (l *Loop) watchListener(ln *listener, events uint32) bool {
	errno := l.k.Modify(ln.fd, events, data(ln.handle))
	if errno != 0 {
		l.trouble("epoll_ctl failed", errno)
	}
	return errno == 0
}

// retryLater accepts again in a moment: what was lacking may be there without a
// connection's end.
func (l *Loop) retryLater(ln *listener) {
	if ln.retry == nil {
		ln.retry = l.After(pause, func() {
			ln.retry = nil
			l.resumeListener(ln)
		})
	}
}

func (l *Loop) resumeListeners() {
	for i := len(l.listeners) - 1; i >= 0; i-- { // the last ones first: one may close
		l.resumeListener(l.listeners[i])
	}
}

// resumeListener lets in those who wait in the queue: to be served, not to be told
// that they are too many.
func (l *Loop) resumeListener(ln *listener) {
	switch {
	case !ln.paused || l.records.find(ln.handle) == nil:
	case l.stopping.Load() && !ln.deferring:
		l.acceptRest(ln)
	case l.conns < l.options.MaxConns:
		if ln.paused = !l.watchListener(ln, kernel.In); ln.paused {
			l.retryLater(ln)
		}
	}
}

// StopListening closes all listeners, for ever, before the loop waits again.
// What their queues hold at that time is accepted first, and served. From then
// on clients are refused. Where descriptors run out before the queue does, the
// listener stays until some are given back, for 10 s at most. It may be called from any goroutine, and again.
func (l *Loop) StopListening() {
	l.stopping.Store(true)
	l.Post(func() {
		l.env.Stop()
		l.wakeWaiting()
		for _, ln := range slices.Clone(l.listeners) {
			if l.options.DeferAccept && ln.network != "unix" {
				l.acceptDeferred(ln)
			} else {
				l.acceptRest(ln)
			}
		}
		l.After(lastCall, func() {
			for _, ln := range slices.Clone(l.listeners) {
				l.closeListener(ln)
			}
		})
	})
}

// LastReplies lets every reply from now on be the last of its connection and say so,
// unless more requests have come behind it, and closes connections that have not
// said anything yet. It is for a loop that has stopped listening, and may be called
// from any goroutine.
func (l *Loop) LastReplies() {
	l.Post(func() {
		l.env.LastReplies()
		var silent []conn.Handle
		for fd := l.waiting[conn.ForHead].head; fd != none; fd = l.records.at(fd).next {
			if r := l.records.at(fd); r.slot == none {
				silent = append(silent, conn.Handle{FD: uint32(fd), Generation: r.generation})
			}
		}
		for _, h := range silent {
			if r := l.records.find(h); !l.readLast(int(h.FD), r) {
				l.close(int(h.FD), r, nil)
			}
		}
	})
}

// WhenEmpty has f called once, on the loop, when there is no connection, at once if
// there is none. It is called on the loop's goroutine.
func (in Inside) WhenEmpty(f func()) {
	l := in.l
	if l.conns == 0 {
		f()
		return
	}
	l.whenEmpty = append(l.whenEmpty, f)
}

// acceptRest takes what is in the queue and closes the listener. For want of
// descriptors that may have to wait until some are given back.
func (l *Loop) acceptRest(ln *listener) {
	ln.paused = false // or the end of a connection meanwhile would begin this again
	for range acceptLast {
		switch l.acceptOne(ln) {
		case paused:
			return // resumeListener goes on
		case empty:
			l.closeListener(ln)
			return
		}
	}
	l.closeListener(ln)
}

func (l *Loop) closeListener(ln *listener) {
	i := slices.Index(l.listeners, ln)
	if i < 0 {
		return
	}
	l.listeners = slices.Delete(l.listeners, i, i+1)
	for i, ln := range l.listeners {
		l.records.at(int32(ln.fd)).slot = int32(i)
	}
	l.records.at(int32(ln.fd)).kind = isFree
	l.k.Delete(ln.fd) // another process may have it too, and then closing does not end the watching
	l.k.Close(ln.fd)
	ln.file.remove()
	l.held.Add(-1)
}
