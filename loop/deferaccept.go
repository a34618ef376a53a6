//go:build linux

package loop

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What Options.DeferAccept does at the end of listening: the kernel has accepted
// connections on its own then that it has not told of, since their clients have said
// nothing yet. The option is switched off, and they come forth within 3 s.
const (
	deferLook = 20 * time.Millisecond
	deferMost = 3200 * time.Millisecond
)

// deferAccept has the kernel tell of a connection when its client has said something,
// or after a second (tcp(7), TCP_DEFER_ACCEPT).
func deferAccept(fd int, on bool) error {
	seconds := 0
	if on {
		seconds = 1
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds))
}

// acceptDeferred accepts on until no connection is held back any more, and then the
// rest of the queue.
func (l *Loop) acceptDeferred(ln *listener) {
	deferAccept(ln.fd, false)
	limit := l.now + int64(deferMost)
	var look func()
	look = func() {
		if l.records.find(ln.handle) == nil {
			return
		}
		if l.now < limit && holdsBack(ln.fd) {
			l.After(deferLook, look)
			return
		}
		l.acceptRest(ln)
	}
	look()
}

// holdsBack reports whether the kernel has half-open connections of a listener's port
// (proc(5), /proc/net/tcp: state 03, SYN_RECV).
func holdsBack(fd int) bool {
	addr, err := boundAddr(fd)
	tcp, ok := addr.(*net.TCPAddr)
	if err != nil || !ok {
		return false
	}
	port := fmt.Appendf(nil, ":%04X ", tcp.Port)
	for _, file := range [...]string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(file)
		for line := range bytes.Lines(text) {
			fields := bytes.Fields(line)
			if len(fields) > 3 && string(fields[3]) == "03" && bytes.HasSuffix(append(fields[1], ' '), port) {
				return true
			}
		}
	}
	return false
}
