//go:build linux

package loop

import (
	"syscall"

	"catboat/conn"
	"catboat/internal/kernel"
)

const (
	readable = kernel.In | kernel.RDHup
	writable = kernel.Out
)

// serve deals with an event on a connection.
func (l *Loop) serve(fd int, r *record, events uint32) {
	// HUP alone is of a Unix socket whose client has closed: what it sent before is
	// read, as long as somebody wants it.
	wanted := r.slot == none || l.machines.at(r.slot).WantsRead()
	if events&kernel.Err != 0 && !r.finSent || events&kernel.Hup != 0 && !wanted {
		l.close(fd, r, conn.ErrGone)
		return
	}
	if events&writable != 0 && r.slot != none {
		r.blocked = false
		if !l.settle(fd, r, l.machines.at(r.slot), passive) {
			return
		}
	}
	if events&^writable == 0 {
		return
	}
	if r.slot == none || l.machines.at(r.slot).WantsRead() {
		l.read(fd, r)
		return
	}
	// Nobody wants what has come. It stays in the socket, and is not reported
	// again until somebody does.
	off := uint32(kernel.In)
	if events&kernel.RDHup != 0 {
		l.machines.at(r.slot).Leaving()
		off = readable
	}
	l.watch(fd, r, r.interest&^off)
}

// readRequests is how many bytes are read at once where requests are due, so that a
// pipeline waits in the socket. It is more than are answered in a turn.
const readRequests = 16 << 10

// room is where a read goes.
func (l *Loop) room(r *record) []byte {
	if r.class == conn.ForHead || r.class == conn.ForNext {
		return l.buffer[:readRequests]
	}
	return l.buffer
}

// read reads once. If there is more, the epoll set will say so again.
func (l *Loop) read(fd int, r *record) {
	p := l.room(r)
	n, errno := l.k.Read(fd, p)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
	case errno != 0:
		l.close(fd, r, conn.ErrGone)
	case n == 0:
		l.readEnd(fd, r)
	default:
		l.feed(fd, r, p[:n])
	}
}

// readLast reads before a deadline ends a connection that waits for bytes: what
// has arrived is answered. It reports whether there was something.
func (l *Loop) readLast(fd int, r *record) bool {
	if r.slot != none && !l.machines.at(r.slot).WantsRead() {
		return false
	}
	p := l.room(r)
	n, errno := l.k.Read(fd, p)
	for errno == syscall.EINTR {
		n, errno = l.k.Read(fd, p)
	}
	if n == 0 || errno != 0 {
		return false
	}
	l.feed(fd, r, p[:n])
	return true
}

// feed gives bytes to the connection's machine, which it gets if it has none.
func (l *Loop) feed(fd int, r *record, p []byte) {
	l.counters.BytesIn += uint64(len(p))
	m := l.machine(fd, r)
	// More may lie in the socket than was read: then it is us who were slow.
	slow := r.class == conn.ForBody && l.slow(r, int64(len(p))) && len(p) < len(l.room(r))
	switch m.Feed(p); {
	case slow && m.Class() == conn.ForBody:
		m.Expire()
	case slow: // it was the end
		l.machines.slots[r.slot].pace = pace{}
	}
	if r.finSent && l.now-l.machines.slots[r.slot].finSince > int64(lingerInAll) {
		l.close(fd, r, nil)
		return
	}
	// Bytes of a head do not move its deadline. One behind another is a new one,
	// but then a reply was written, and that does.
	moves := activity(r.class != conn.ForHead)
	if m.ClientDone() && !r.finSent && len(p) < len(l.room(r)) && l.finish(fd, r, m) {
		return
	}
	l.settle(fd, r, m, moves)
}

// finish writes the last reply to a client that has announced its last request
// and closes at once: nothing is left unread that could turn the FIN into a
// reset. It reports false, and leaves the rest to settle, if not all is written.
func (l *Loop) finish(fd int, r *record, m *conn.Machine) bool {
	if l.flush(fd, r, m); m.State() != conn.Linger {
		return false
	}
	l.close(fd, r, nil)
	return true
}

// readEnd deals with the client's FIN.
func (l *Loop) readEnd(fd int, r *record) {
	if r.slot == none {
		l.close(fd, r, nil)
		return
	}
	m := l.machines.at(r.slot)
	m.EOF()
	l.settle(fd, r, m, active)
}

// machine is that of the connection; one is lent to it if it has none.
func (l *Loop) machine(fd int, r *record) *conn.Machine {
	if r.slot != none {
		return l.machines.at(r.slot)
	}
	m, slot := l.machines.lend(l.env)
	r.slot = slot
	m.Begin(r.state, conn.Identity{
		Handle: conn.Handle{FD: uint32(fd), Generation: r.generation},
		ID:     r.id,
		Peer:   r.addrPort(),
	})
	return m
}

// activity is whether something has happened that moves a connection's deadline
// even if its class stays.
type activity bool

const (
	active  activity = true
	passive activity = false
)

// settle follows anything that has happened to a connection's machine: it
// writes, closes, or watches and sets the deadline for what comes next. It
// reports whether the connection is still there.
func (l *Loop) settle(fd int, r *record, m *conn.Machine, a activity) bool {
	wrote := l.flush(fd, r, m)
	if r.class == conn.ForWrite && wrote > 0 && l.slowToTake(r, wrote) && m.Pending() > 0 {
		l.reset(fd, r)
		return false
	}
	if m.State() == conn.Linger && !r.finSent {
		r.finSent, l.machines.slots[r.slot].finSince = true, l.now
		l.k.CloseWrite(fd)
	}
	if m.State() == conn.Closed {
		if m.Reset() {
			l.reset(fd, r)
		} else {
			l.close(fd, r, conn.ErrGone)
		}
		return false
	}
	if class := m.Class(); class != r.class || moves(class, wrote, a) {
		l.machines.slots[r.slot].pace.renew()
		l.place(fd, r, class)
	}
	if m.Resting() {
		r.state = m.State()
		l.machines.giveBack(r.slot)
		r.slot = none
	} else {
		l.scheduleRest(fd, r, m)
	}
	l.watchFor(fd, r, m)
	return true
}

// moves reports whether the deadline of a class begins anew: that of output with each
// write, that of a body with each piece of it, and no write.
func moves(class conn.Class, wrote int64, a activity) bool {
	switch class {
	case conn.ForWrite:
		return wrote > 0
	case conn.ForBody:
		return a == active
	}
	return a == active || wrote > 0
}

// scheduleRest sees to it that what the machine can do without an event is done:
// in the next turn, or when a resumable reply's time has come.
func (l *Loop) scheduleRest(fd int, r *record, m *conn.Machine) {
	m.Blocked(r.blocked)
	h := conn.Handle{FD: uint32(fd), Generation: r.generation}
	if (m.Again() || m.Pending() > 0 && !r.blocked) && !r.again {
		r.again = true
		l.again = append(l.again, h)
	}
	if d, ok := m.TakeWait(); ok {
		l.machines.slots[r.slot].timer = l.After(d, func() { l.due(h) })
	}
}

// wakeWaiting lets the resumable replies go on that wait for the loop's end, whatever
// else their connections wait for.
func (l *Loop) wakeWaiting() {
	var all []conn.Handle
	for _, class := range [...]conn.Class{conn.ForBody, conn.ForMore, conn.ForWrite} {
		for fd := l.waiting[class].head; fd != none; fd = l.records.at(fd).next {
			if r := l.records.at(fd); r.slot != none && l.machines.at(r.slot).OrStop() {
				all = append(all, conn.Handle{FD: uint32(fd), Generation: r.generation})
			}
		}
	}
	for _, h := range all {
		l.due(h)
	}
}

// due lets a resumable reply go on.
func (l *Loop) due(h conn.Handle) {
	if r := l.records.find(h); r != nil && r.slot != none {
		if t := l.machines.slots[r.slot].timer; t != nil {
			t.Stop()
		}
		m := l.machines.at(r.slot)
		m.Due()
		l.settle(int(h.FD), r, m, passive)
	}
}

// watchFor has the epoll set watch for what the connection needs. Read interest
// that is not needed stays until an event comes of it, since mostly none does.
func (l *Loop) watchFor(fd int, r *record, m *conn.Machine) {
	want := r.interest &^ writable
	if r.slot == none || m.WantsRead() {
		want |= readable
	}
	if r.blocked {
		want |= writable
	}
	if want&kernel.RDHup == 0 {
		m.Leaving() // the FIN was seen before a request that has begun since
	}
	l.watch(fd, r, want)
}

func (l *Loop) watch(fd int, r *record, interest uint32) {
	if interest == r.interest && r.watched {
		return
	}
	var errno syscall.Errno
	if d := data(conn.Handle{FD: uint32(fd), Generation: r.generation}); r.watched {
		errno = l.k.Modify(fd, interest, d)
	} else {
		errno = l.k.Add(fd, interest, d)
	}
	if errno != 0 {
		l.trouble("epoll_ctl failed", errno)
		l.watchLater(fd, r)
		return
	}
	r.watched, r.interest = true, interest
}

// watchLater has what a connection needs watched in a moment, or at its next event: to
// try at once again would be to spin.
func (l *Loop) watchLater(fd int, r *record) {
	if len(l.unwatched) == 0 {
		l.After(pause, l.watchUnwatched)
	}
	l.unwatched[conn.Handle{FD: uint32(fd), Generation: r.generation}] = true
}

func (l *Loop) watchUnwatched() {
	all := l.unwatched
	l.unwatched = map[conn.Handle]bool{}
	for h := range all {
		if r := l.records.find(h); r != nil {
			var m *conn.Machine
			if r.slot != none {
				m = l.machines.at(r.slot)
			}
			l.watchFor(int(h.FD), r, m)
		}
	}
}

// What bounds the output of a connection in one go, so that others have their turn
// and the collector need not wait for long.
const (
	maxWrite = 256 << 10 // bytes from memory in one call
	maxFlush = 1 << 20   // bytes, until the next turn; of a file in one call
)

// flush writes what there is, until the socket is full or others have to have their
// turn. One that has had its turn writes nothing until the next.
func (l *Loop) flush(fd int, r *record, m *conn.Machine) (wrote int64) {
	for m.Pending() > 0 && !r.blocked && !r.again && wrote < maxFlush {
		n, full, errno := l.writeNext(fd, m, maxFlush-wrote)
		switch errno {
		case 0, syscall.EAGAIN, syscall.EINTR:
		default:
			m.Abandon(conn.ErrGone)
			return wrote
		}
		if full {
			r.blocked = true
			l.machines.slots[r.slot].unacked = l.unacked(fd)
		}
		if n > 0 {
			m.Wrote(n)
		}
		wrote += int64(n)
		l.counters.BytesOut += uint64(n)
	}
	return wrote
}

// writeNext writes some of what is next, of a file as much as may be written in this turn.
// It reports whether the socket is full.
func (l *Loop) writeNext(fd int, m *conn.Machine, most int64) (n int, full bool, errno syscall.Errno) {
	out := m.Output()
	switch {
	case len(out) == 0:
		f, _ := m.File()
		f.Length = min(f.Length, most)
		return l.writeFile(fd, m, f)
	case len(out) > maxWrite:
		out = out[:maxWrite]
		n, errno = l.k.Write(fd, out)
	case int64(len(out)) < m.Pending():
		n, errno = l.k.WriteMore(fd, out)
	default:
		n, errno = l.k.Write(fd, out)
	}
	return n, n < len(out), errno
}

// writeFile writes some of a file.
func (l *Loop) writeFile(fd int, m *conn.Machine, f conn.FileRange) (n int, full bool, errno syscall.Errno) {
	n, errno = l.k.Sendfile(fd, f.FD, f.Offset, int(f.Length))
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return 0, true, errno
	case errno != 0:
		if !ofSocket(errno) {
			l.trouble("sendfile failed", errno)
		}
		return 0, false, errno
	case n == 0:
		m.Truncated()
		return 0, false, 0
	}
	return n, n < int(f.Length), 0
}

// ofSocket reports whether an errno of sendfile says that the client has gone, and
// nothing of the file.
func ofSocket(errno syscall.Errno) bool {
	switch errno {
	case syscall.EPIPE, syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return true
	}
	return false
}

// close ends a connection. Replies that are not out yet fail with reason.
func (l *Loop) close(fd int, r *record, reason error) {
	l.forget(fd, r, reason)
	l.k.Close(fd)
	l.connClosed()
}

// reset is close for a client that does not read: what is unsent is dropped.
func (l *Loop) reset(fd int, r *record) {
	l.forget(fd, r, conn.ErrGone)
	l.k.Reset(fd)
	l.connClosed()
}

func (l *Loop) forget(fd int, r *record, reason error) {
	if r.slot != none {
		l.machines.at(r.slot).Abandon(reason)
		l.machines.giveBack(r.slot)
		r.slot = none
	}
	l.unplace(fd, r)
	r.kind = isFree
}

func (l *Loop) connClosed() {
	l.conns--
	l.held.Add(-1)
	l.resumeListeners()
	if l.conns == 0 && len(l.whenEmpty) > 0 {
		all := l.whenEmpty
		l.whenEmpty = nil
		for _, f := range all {
			f()
		}
	}
}
