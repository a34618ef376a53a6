//go:build linux

package loop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of outbound connections.
var (
	ErrTimeout = errors.New("loop: connecting took too long")
	ErrFull    = errors.New("loop: too much output is waiting") // Outbound.Write has taken nothing
)

// OutboundOptions is what an outbound connection does with what comes. Its
// functions are called on the loop. A field that is zero means the default.
type OutboundOptions struct {
	Timeout   time.Duration // to connect; default 10 s, negative: for ever. Afterwards there is no deadline: use After
	MaxOutput int           // bytes that may wait to be written; default 256 KiB

	// OnConnect is called when the connection stands. What is written before
	// waits until then.
	OnConnect func(o *Outbound)

	// OnData is called with bytes that have come. They are valid until it returns.
	OnData func(o *Outbound, p []byte)

	// OnRoom is called when output had waited, and all of it is written.
	OnRoom func(o *Outbound)

	// OnEOF is called when the peer has sent FIN. The default closes.
	OnEOF func(o *Outbound)

	// OnClose is called once, when the connection has ended: with nil after
	// Close, ErrTimeout, or what the system said.
	OnClose func(o *Outbound, err error)
}

// Outbound is a connection that the program has asked for. It holds Run until
// it has ended. Its methods are for the loop's goroutine.
type Outbound struct {
	l         *Loop
	options   OutboundOptions
	fd        int
	watch     *Watch
	deadline  *Timer
	connected bool
	ended     bool
	paused    bool
	finishing bool // FIN follows the output, or has been sent
	eof       bool // the peer has sent FIN
	out       []byte
}

// Connect begins a connection and does not wait for it. The network is "tcp",
// whose address is an IP address and a port, since resolving a name would wait;
// or "unix", with a path. It is called before Run or on the loop's goroutine. An
// error says that nothing was begun, EAGAIN that a Unix listener's queue is full;
// what goes wrong later is OnClose's.
func (l *Loop) Connect(network, address string, o OutboundOptions) (*Outbound, error) {
	fail := func(err error) (*Outbound, error) {
		return nil, &net.OpError{Op: "connect", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	family, sa, err := outboundAddr(network, address)
	if err != nil {
		return fail(err)
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(os.NewSyscallError("socket", err))
	}
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return fail(os.NewSyscallError("connect", err))
	}
	out := &Outbound{l: l, options: o.withDefaults(), fd: fd}
	if out.watch, err = l.Add(network+" "+address, fd, Writable, out.ready); err != nil {
		unix.Close(fd)
		return fail(err)
	}
	out.watch.outbound = true
	if out.options.Timeout > 0 {
		out.deadline = l.After(out.options.Timeout, func() { out.end(ErrTimeout) })
	}
	return out, nil
}

func (o OutboundOptions) withDefaults() OutboundOptions {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = 256 << 10
	}
	if o.OnConnect == nil {
		o.OnConnect = func(*Outbound) {}
	}
	if o.OnData == nil {
		o.OnData = func(*Outbound, []byte) {}
	}
	if o.OnRoom == nil {
		o.OnRoom = func(*Outbound) {}
	}
	if o.OnEOF == nil {
		o.OnEOF = (*Outbound).Close
	}
	if o.OnClose == nil {
		o.OnClose = func(*Outbound, error) {}
	}
	return o
}

func outboundAddr(network, address string) (family int, sa unix.Sockaddr, err error) {
	switch network {
	case "unix":
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: address}, nil
	case "tcp":
		a, err := netip.ParseAddrPort(address)
		switch {
		case err != nil:
			return 0, nil, err
		case a.Addr().Zone() != "":
			return 0, nil, errors.New("address with a zone")
		case a.Addr().Unmap().Is4():
			return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}, nil
		}
		return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, nil
	}
	return 0, nil, net.UnknownNetworkError(network)
}

// Write queues a copy of p and returns its length. The error is ErrFull if more
// would wait than MaxOutput, and net.ErrClosed if CloseWrite was called or the
// connection has ended, which a write may find out: OnClose is called within it
// then. Nothing is queued with an error.
func (o *Outbound) Write(p []byte) (int, error) {
	switch {
	case o.ended || o.finishing:
		return 0, net.ErrClosed
	case len(o.out)+len(p) > o.options.MaxOutput:
		return 0, ErrFull
	}
	waited := len(o.out) > 0
	o.out = append(o.out, p...)
	if o.connected && !waited {
		if o.flush(); o.ended { // OnClose has been told why
			return 0, net.ErrClosed
		}
	}
	return len(p), nil
}

// CloseWrite sends FIN behind what is queued. Bytes still come in.
func (o *Outbound) CloseWrite() {
	o.finishing = true
	if o.connected && len(o.out) == 0 && !o.ended {
		o.sendFIN()
	}
}

// sendFIN ends what goes out; when nothing comes in either, that is all.
func (o *Outbound) sendFIN() {
	o.l.k.CloseWrite(o.fd)
	if o.eof {
		o.end(nil)
	}
}

// Close ends the connection; what is queued is not sent.
func (o *Outbound) Close() { o.end(nil) }

// Pause has nothing read until Resume: then what comes waits in the socket, and
// after that at the peer.
func (o *Outbound) Pause() { o.setPaused(true) }

// Resume ends a Pause. After the peer's FIN there is nothing to resume.
func (o *Outbound) Resume() { o.setPaused(o.eof) }

func (o *Outbound) setPaused(paused bool) {
	o.paused = paused
	if o.connected && !o.ended {
		o.watchAgain()
	}
}

func (o *Outbound) watchAgain() {
	var e Events
	if !o.paused {
		e |= Readable
	}
	if len(o.out) > 0 {
		e |= Writable
	}
	o.watch.Set(e)
}

// ready deals with an event.
func (o *Outbound) ready(e Events) {
	waited := len(o.out) > 0
	if !o.connected && !o.establish() {
		return
	}
	waited = waited || len(o.out) > 0
	if e&Writable != 0 && len(o.out) > 0 {
		o.flush()
	}
	if waited && !o.ended && len(o.out) == 0 {
		o.options.OnRoom(o)
	}
	switch {
	case o.ended:
	case e&Ended != 0 && o.eof: // nothing comes any more, and nothing gets out
		o.end(o.socketError("read"))
	case o.paused && e&Ended != 0:
		o.watch.suspend() // or it would be reported again and again
	case !o.paused && e&(Readable|Ended) != 0:
		o.read()
	}
}

// establish looks how connecting went.
func (o *Outbound) establish() bool {
	if err := o.socketError("connect"); err != nil {
		o.end(err)
		return false
	}
	o.connected = true
	o.stopDeadline()
	if o.options.OnConnect(o); !o.ended {
		o.flush()
	}
	return !o.ended
}

func (o *Outbound) stopDeadline() {
	if o.deadline != nil {
		o.deadline.Stop()
	}
}

// socketError is the error that the socket has noted, if any.
func (o *Outbound) socketError(call string) error {
	code, err := unix.GetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return os.NewSyscallError(call, err)
}

// flush writes what the socket takes.
func (o *Outbound) flush() {
	for len(o.out) > 0 {
		n, errno := o.l.k.Write(o.fd, o.out)
		o.out = o.out[:copy(o.out, o.out[n:])]
		switch errno {
		case 0, syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			o.end(os.NewSyscallError("write", errno))
			return
		}
		break
	}
	if len(o.out) == 0 && o.finishing {
		o.sendFIN()
	}
	if !o.ended {
		o.watchAgain()
	}
}

func (o *Outbound) read() {
	n, errno := o.l.k.Read(o.fd, o.l.buffer)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
	case errno != 0:
		o.end(os.NewSyscallError("read", errno))
	case n == 0:
		o.readEnd()
	default:
		o.options.OnData(o, o.l.buffer[:n])
	}
}

// readEnd deals with the peer's FIN.
func (o *Outbound) readEnd() {
	if o.finishing && len(o.out) == 0 {
		o.end(nil)
		return
	}
	o.eof = true
	o.Pause() // the end is reported again and again
	o.options.OnEOF(o)
}

// end closes, once.
func (o *Outbound) end(err error) {
	if o.ended {
		return
	}
	o.ended = true
	o.stopDeadline()
	o.watch.Remove()
	o.l.k.Close(o.fd)
	o.options.OnClose(o, err)
}
