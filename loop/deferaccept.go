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
// rest of the queue. With many connections it takes long to look, so a goroutine does.
func (l *Loop) acceptDeferred(ln *listener) {
	ln.deferring = true
	deferAccept(ln.fd, false)
	limit := l.now + int64(deferMost)
	addr, _ := boundAddr(ln.fd)
	tcp, isTCP := addr.(*net.TCPAddr)
	var look func()
	looked := func(held bool) {
		switch {
		case l.records.find(ln.handle) == nil:
		case held && l.now < limit:
			l.After(deferLook, look)
		default:
			ln.deferring = false
			l.acceptRest(ln)
		}
	}
	look = func() {
		go func() {
			held := isTCP && holdsBack(tcp.Port)
			l.Post(func() { looked(held) })
		}()
	}
	look()
}

// holdsBack reports whether the kernel has half-open connections of a port
// (proc(5), /proc/net/tcp: state 03, SYN_RECV).
func holdsBack(port int) bool {
	suffix := fmt.Appendf(nil, ":%04X", port)
	for _, file := range [...]string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(file)
		for line := range bytes.Lines(text) {
			fields := bytes.Fields(line)
			if len(fields) > 3 && string(fields[3]) == "03" && bytes.HasSuffix(fields[1], suffix) {
				return true
			}
		}
	}
	return false
}
