//go:build linux

package loop

import (
	"math"

	"catboat/conn"
)

// list is the connections of one class, those quiet for longest first. All have
// the same timeout, so each new activity goes to the end, and the order is kept
// even when the timeout changes.
type list struct {
	head, tail int32
	n          int
}

// place puts a connection at the end of its class, active as of now.
func (l *Loop) place(fd int, r *record, class conn.Class) { l.placeSince(fd, r, class, l.now) }

// placeSince is place for one that was active last at that time, which must not be
// before that of others in the class.
func (l *Loop) placeSince(fd int, r *record, class conn.Class, since int64) {
	if r.prev != none || r.next != none || l.waiting[r.class].head == int32(fd) {
		l.unplace(fd, r)
	}
	r.class = class
	r.since = since
	w := &l.waiting[class]
	r.prev, r.next = w.tail, none
	if w.tail == none {
		w.head = int32(fd)
	} else {
		l.records.at(w.tail).next = int32(fd)
	}
	w.tail = int32(fd)
	w.n++
}

// unplace takes a connection out of the list of its class.
func (l *Loop) unplace(fd int, r *record) {
	w := &l.waiting[r.class]
	if r.prev == none {
		w.head = r.next
	} else {
		l.records.at(r.prev).next = r.next
	}
	if r.next == none {
		w.tail = r.prev
	} else {
		l.records.at(r.next).prev = r.prev
	}
	r.prev, r.next = none, none
	w.n--
}

// deadline is the first of a class.
func (l *Loop) deadline(class conn.Class) (at int64, ok bool) {
	head, timeout := l.waiting[class].head, l.timeouts[class]
	if head == none || timeout == math.MaxInt64 {
		return 0, false
	}
	return l.records.at(head).since + int64(timeout), true
}

// expire deals with all whose deadline has passed.
func (l *Loop) expire() {
	for class := range conn.Classes {
		for {
			if at, ok := l.deadline(class); !ok || at > l.now {
				break
			}
			fd := l.waiting[class].head
			l.expired(int(fd), l.records.at(fd))
		}
	}
}

// expired deals with one. It leaves the connection closed, placed anew, or a step
// nearer to that.
func (l *Loop) expired(fd int, r *record) {
	switch {
	case r.class == conn.ForWrite:
		l.expiredOutput(fd, r)
	case l.readLast(fd, r): // what arrived in time counts, however late the loop is
	case r.class == conn.ForFIN && l.unacked(fd) > finUnacked:
		// The client is silent, and has not got all of its last reply. That it may
		// take as long as any other output.
		r.unacked = l.unacked(fd)
		l.place(fd, r, conn.ForWrite)
	case r.slot != none:
		m := l.machines.at(r.slot)
		m.Expire()
		l.settle(fd, r, m, active)
	default:
		l.close(fd, r, conn.ErrGone)
	}
}

// expiredOutput deals with a connection whose output has not moved. The kernel's
// buffer is large: it may be read all the while without room for more coming up.
func (l *Loop) expiredOutput(fd int, r *record) {
	n := l.unacked(fd)
	switch {
	case n <= finUnacked && r.finSent:
		l.close(fd, r, nil)
	case n < r.unacked && !(r.slot != none && l.slow(r, int64(r.unacked-n))):
		r.unacked = n
		l.place(fd, r, conn.ForWrite)
	default:
		l.reset(fd, r)
	}
}

// finUnacked is what a FIN counts among the unacknowledged bytes.
const finUnacked = 1

// unacked is how many bytes the client has yet to acknowledge; many if that cannot
// be known.
func (l *Loop) unacked(fd int) int32 {
	n, errno := l.k.Unacked(fd)
	if errno != 0 {
		return math.MaxInt32
	}
	return int32(min(n, math.MaxInt32))
}
