//go:build linux

package cargo

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Inherited is what this process was left, by an earlier image or by a service
// manager. Each descriptor is taken by one, once.
type Inherited struct {
	Cargo *Cargo // nil: none
	FD    int    // its descriptor, -1: none
	Exe   int    // that of the executable that has written it, -1: none
	Err   error  // why there is no cargo, though there should be

	mu        sync.Mutex
	listeners []Listener
	named     []Named
}

// Here is what this process was left. It is looked for at the first call, the
// environment is relieved of it, and the descriptors that came along are made
// close-on-exec, as is all else.
var Here = sync.OnceValue(func() *Inherited {
	h := &Inherited{FD: -1, Exe: -1}
	if text, ok := os.LookupEnv(Variable); ok {
		os.Unsetenv(Variable)
		h.open(text)
	}
	if h.Err != nil && Unreadable != nil {
		Unreadable(h)
	}
	switch {
	case h.Cargo != nil:
		h.listeners = slices.Clone(h.Cargo.Listeners)
		h.named = slices.Clone(h.Cargo.Named)
	case h.Err == nil:
		h.takeListenFDs()
	}
	if h.Cargo != nil || len(h.listeners)+len(h.named) > 0 { // those of connections too
		unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	}
	return h
})

// Unreadable, if not nil, is called by Here if there is a cargo that this image cannot
// read. It may end the image.
var Unreadable func(h *Inherited)

// open reads what the variable names. Descriptors are not touched if that fails, so
// that the earlier image may have them back.
func (h *Inherited) open(text string) {
	if _, err := fmt.Sscanf(text, "%d:%d", &h.FD, &h.Exe); err != nil {
		h.Err = fmt.Errorf("cargo: %s=%q is not two descriptors", Variable, text)
		return
	}
	h.Cargo, h.Err = Open(h.FD)
}

// Value is what the variable is to say of those two descriptors.
func Value(fd, exe int) string { return fmt.Sprintf("%d:%d", fd, exe) }

// firstListenFD is where descriptors of sd_listen_fds(3) begin.
const firstListenFD = 3

// takeListenFDs takes over the sockets of a service manager (sd_listen_fds(3)).
// Those that do not listen go by their names, or by "unknown".
func (h *Inherited) takeListenFDs() {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if pid != strconv.Itoa(os.Getpid()) {
		return // they are for somebody else
	}
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(v)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1<<16 {
		h.Err = fmt.Errorf("cargo: LISTEN_FDS=%q is no number of descriptors", count)
		return
	}
	name := strings.Split(names, ":")
	for i := range n {
		fd := firstListenFD + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			h.Err = fmt.Errorf("cargo: LISTEN_FDS=%d, and descriptor %d is not open", n, fd)
			return
		}
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 1 {
			unix.SetNonblock(fd, true)
			h.listeners = append(h.listeners, Listener{FD: fd})
			continue
		}
		n := Named{fd, "unknown"}
		if i < len(name) && name[i] != "" {
			n.Name = name[i]
		}
		h.named = append(h.named, n)
	}
}

// TakeListener gives the listener that was asked for in the same words, or else
// one that is bound to that address.
func (h *Inherited) TakeListener(network, address string) (fd int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	same := func(ln Listener) bool { return ln.Network == network && ln.Address == address }
	i := slices.IndexFunc(h.listeners, same)
	if i < 0 {
		i = slices.IndexFunc(h.listeners, func(ln Listener) bool { return isBound(ln.FD, network, address) })
	}
	if i < 0 {
		return -1, false
	}
	fd = h.listeners[i].FD
	h.listeners = slices.Delete(h.listeners, i, i+1)
	return fd, true
}

// Take gives the descriptor of that name.
func (h *Inherited) Take(name string) (fd int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.named, func(n Named) bool { return n.Name == name })
	if i < 0 {
		return -1, false
	}
	fd = h.named[i].FD
	h.named = slices.Delete(h.named, i, i+1)
	return fd, true
}

// Left gives all descriptors that nobody has taken: listeners, and others.
func (h *Inherited) Left() (listeners, named []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ln := range h.listeners {
		listeners = append(listeners, ln.FD)
	}
	for _, n := range h.named {
		named = append(named, n.FD)
	}
	h.listeners, h.named = nil, nil
	return listeners, named
}

// isBound reports whether a socket is bound to that address. Port 0 stands for any.
func isBound(fd int, network, address string) bool {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	if un, ok := sa.(*unix.SockaddrUnix); ok {
		return network == "unix" && un.Name == address
	}
	var bound netip.AddrPort
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		bound = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		bound = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	default:
		return false
	}
	if !strings.HasPrefix(network, "tcp") {
		return false
	}
	a, err := net.ResolveTCPAddr(network, address)
	if err != nil || a.Port != 0 && a.Port != int(bound.Port()) {
		return false
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	if ip = ip.Unmap(); !ip.IsValid() || ip.IsUnspecified() {
		return bound.Addr().IsUnspecified()
	}
	return ip == bound.Addr().Unmap()
}
