//go:build linux

package loop

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"catboat/conn"
	"catboat/internal/kernel"
)

// Events is what a descriptor is watched for, or ready for.
type Events uint8

// The events of a descriptor.
const (
	Readable Events = 1 << iota // a read would not block; also at the end and after an error
	Writable                    // a write would not block
	Ended                       // both directions are shut, or there was an error; reported unasked, until Remove
)

// Watch is a descriptor of the program's own in the loop's epoll set. Its
// methods are for the loop's goroutine.
type Watch struct {
	l         *Loop
	name      string
	fd        int
	handle    conn.Handle
	events    Events
	suspended bool // not in the epoll set, though it holds Run
	outbound  bool // of Connect
	f         func(ready Events)
}

// Add has the loop watch a descriptor of the program's own: f is called on the
// loop when it is ready for some of e, again and again while it is. It holds Run
// until Remove. The descriptor must be non-blocking, stays the caller's, and
// must not be closed before it is removed. The name is for logs and errors. Add
// is called before Run, or on the loop's goroutine. A descriptor that cannot be
// watched, such as a file's, or is watched already, is an error.
func (l *Loop) Add(name string, fd int, e Events, f func(ready Events)) (*Watch, error) {
	if l.door.isClosed() {
		return nil, fmt.Errorf("loop: adding %s: %w", name, ErrStopped)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil { // before its number means anything
		return nil, fmt.Errorf("loop: adding %s: descriptor %d: %w", name, fd, os.NewSyscallError("fcntl", err))
	}
	if l.records.isOpen(fd) {
		return nil, fmt.Errorf("loop: adding %s: descriptor %d is watched already", name, fd)
	}
	r, h := l.records.open(fd, isWatch)
	if errno := l.k.Add(fd, e.bits(), data(h)); errno != 0 {
		r.kind = isFree
		return nil, fmt.Errorf("loop: adding %s: %w", name, os.NewSyscallError("epoll_ctl", errno))
	}
	w := &Watch{l: l, name: name, fd: fd, handle: h, events: e, f: f}
	l.watches[fd] = w
	l.held.Add(1)
	return w, nil
}

// Name is the name that was given to Add.
func (w *Watch) Name() string { return w.name }

// Set has the descriptor watched for e from now on; 0 leaves Ended alone.
func (w *Watch) Set(e Events) error {
	if w.l.records.find(w.handle) == nil {
		return fmt.Errorf("loop: %s has been removed", w.name)
	}
	if e == w.events && !w.suspended {
		return nil
	}
	control := w.l.k.Modify
	if w.suspended {
		control = w.l.k.Add
	}
	if errno := control(w.fd, e.bits(), data(w.handle)); errno != 0 {
		return fmt.Errorf("loop: watching %s: %w", w.name, os.NewSyscallError("epoll_ctl", errno))
	}
	w.events, w.suspended = e, false
	return nil
}

// suspend has not even Ended reported until the next Set.
func (w *Watch) suspend() {
	if !w.suspended {
		w.l.k.Delete(w.fd)
		w.suspended = true
	}
}

// Remove ends the watching. The descriptor stays open. It may be called again.
func (w *Watch) Remove() {
	r := w.l.records.find(w.handle)
	if r == nil {
		return
	}
	w.suspend()
	r.kind = isFree
	delete(w.l.watches, w.fd)
	w.l.held.Add(-1)
}

// ready calls the watcher of a descriptor.
func (w *Watch) ready(events uint32) {
	var e Events
	if events&(kernel.In|kernel.RDHup) != 0 {
		e |= Readable
	}
	if events&kernel.Out != 0 {
		e |= Writable
	}
	if events&(kernel.Hup|kernel.Err) != 0 {
		e |= Ended
	}
	w.f(e)
}

// bits is e as the kernel knows it.
func (e Events) bits() (bits uint32) {
	if e&Readable != 0 {
		bits |= kernel.In | kernel.RDHup
	}
	if e&Writable != 0 {
		bits |= kernel.Out
	}
	return bits
}
