//go:build linux

package loop

import (
	"fmt"
	"time"

	"catboat/conn"
	"catboat/internal/kernel"
	"catboat/internal/wire"
)

// Handing is connections on their way to another process. Until it has said that it has
// them they are still this loop's, but nobody reads or writes them.
type Handing struct {
	Written []byte // what AdoptSome needs
	FDs     []int  // descriptors that must be passed with it: of connections and files, none twice

	conns []conn.Handle
}

// HandSome takes connections that nothing ties to this image out of the loop, as many
// as have at most so many descriptors, to be passed to another process; nil if there
// are none. Resumable replies that the other process does not know stay; a nil knows is
// for one that knows all.
func (in Inside) HandSome(most int, knows func(resumable string) bool) *Handing {
	l := in.l
	h := &Handing{}
	var w wire.Writer
	for class := range l.waiting {
		for fd := l.waiting[class].head; fd != none; {
			r := l.records.at(fd)
			next := r.next
			if r.slot != none && knows != nil {
				if name, ok := l.machines.at(r.slot).Resumes(); ok && !knows(name) {
					fd = next
					continue
				}
			}
			if !l.hand(h, &w, int(fd), r, most) {
				break
			}
			fd = next
		}
	}
	if len(h.conns) == 0 {
		return nil
	}
	var all wire.Writer
	all.Uint(uint64(len(h.conns)))
	h.Written = append(all.Written(), w.Written()...)
	return h
}

// hand takes one out, if it can be. It reports whether there is room for more.
func (l *Loop) hand(h *Handing, w *wire.Writer, fd int, r *record, most int) (room bool) {
	var files []int
	if r.slot != none {
		m := l.machines.at(r.slot)
		if m.Tie() != conn.Free {
			return true
		}
		files = m.Files()
	}
	if len(h.FDs)+1+len(files) > most {
		return len(h.FDs) == 0 // one with too many files stays
	}
	l.restRecord(w, fd, r)
	if r.slot != none {
		l.restMachine(w, r)
	}
	h.FDs = append(h.FDs, fd)
	for _, file := range files {
		h.addFile(file)
	}
	h.conns = append(h.conns, conn.Handle{FD: uint32(fd), Generation: r.generation})
	l.k.Delete(fd)
	l.unplace(fd, r)
	r.away = true
	if r.slot != none {
		if t := l.machines.slots[r.slot].timer; t != nil {
			t.Stop()
		}
	}
	return true
}

func (h *Handing) addFile(fd int) {
	for _, have := range h.FDs {
		if have == fd {
			return
		}
	}
	h.FDs = append(h.FDs, fd)
}

// Handed says that the other process has them: here their descriptors are closed.
func (in Inside) Handed(h *Handing) {
	l := in.l
	for _, c := range h.conns {
		fd := int(c.FD)
		r := l.records.at(int32(fd))
		if r.slot != none {
			l.machines.at(r.slot).Leave()
			l.machines.at(r.slot).Abandon(conn.ErrCarried)
			l.machines.giveBack(r.slot)
		}
		r.kind, r.away = isFree, false
		l.k.Close(fd)
		l.connClosed()
	}
}

// TakeBack says that the other process does not have them: they go on here.
func (in Inside) TakeBack(h *Handing) {
	l := in.l
	for _, c := range h.conns {
		fd := int(c.FD)
		r := l.records.at(int32(fd))
		r.away, r.again = false, false
		class := r.class
		l.place(fd, r, class)
		if errno := l.k.Add(fd, r.interest, data(c)); errno != 0 {
			l.trouble("epoll_ctl failed", errno)
			l.close(fd, r, conn.ErrGone)
			continue
		}
		if r.slot == none {
			continue
		}
		l.scheduleRest(fd, r, l.machines.at(r.slot))
		if t := l.machines.slots[r.slot].timer; t != nil {
			l.machines.slots[r.slot].timer = l.After(time.Duration(t.at-l.now), t.f)
		}
	}
}

// AdoptSome takes over what another process has handed. The descriptors are those that
// were passed, in that order; names is what they were called there. An error says that none is taken over.
func (in Inside) AdoptSome(written []byte, names, fds []int) error {
	l := in.l
	number := map[int]int{}
	for i, name := range names {
		number[name] = fds[i]
	}
	r := wire.NewReader(written)
	files := fileUses{}
	var seen numbers
	var all []adopted
	for range r.Count() {
		c, err := l.readHanded(r, files, number)
		if err != nil {
			return err
		}
		if seen.add(c.fd) || l.records.isOpen(c.fd) {
			return fmt.Errorf("loop: two connections are handed over in descriptor %d", c.fd)
		}
		all = append(all, c)
	}
	if r.Err() != nil || r.Rest() > 0 {
		return errNoAdoption
	}
	var last [conn.Classes]int32 // of each class in the batch, which is in order of time
	for class := range last {
		last[class] = none
	}
	for i := range all {
		l.installNew(&all[i], &last)
	}
	return nil
}

// installNew makes a connection that was handed over one of the loop's, and has it
// watched.
func (l *Loop) installNew(c *adopted, last *[conn.Classes]int32) {
	l.lastID++
	c.r.id = l.lastID
	c.r.generation = l.records.generationOf(c.fd)
	h := conn.Handle{FD: uint32(c.fd), Generation: c.r.generation}
	if c.m != nil {
		c.m.Rename(conn.Identity{Handle: h, ID: c.r.id, Peer: c.r.addrPort()})
	}
	r, _ := l.records.open(c.fd, isConn)
	*r = c.r
	l.placeBehind(c.fd, r, last[r.class])
	l.install(c.fd, r, c.adoptedMachine)
	if errno := l.k.Add(c.fd, r.interest, data(h)); errno != 0 {
		l.trouble("epoll_ctl failed", errno)
		l.close(c.fd, r, conn.ErrGone)
		return
	}
	last[r.class] = int32(c.fd)
}

// PauseListening has no listener watched: another process accepts from the same
// sockets. With resume they are watched again.
func (in Inside) PauseListening(resume bool) {
	l := in.l
	for _, ln := range l.listeners {
		if !resume {
			l.watchListener(ln, 0)
		} else if !ln.paused && !l.watchListener(ln, kernel.In) {
			ln.paused = true
			l.retryLater(ln)
		}
	}
}

// AbandonListeners closes the listeners, which another process has too: what is in
// their queues is left to that, as are the files of Unix sockets.
func (in Inside) AbandonListeners() {
	l := in.l
	l.stopping.Store(true)
	for len(l.listeners) > 0 {
		ln := l.listeners[len(l.listeners)-1]
		ln.file = socketFile{}
		l.closeListener(ln)
	}
}

// Conns is how many connections the loop has. It is for the loop's goroutine.
func (in Inside) Conns() int { return in.l.conns }
