//go:build linux

package loop

import (
	"math"
	"time"

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
	if l.waiting[class].tail == int32(fd) { // it is the last already
		r.since = since
		return
	}
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

// placeBehind places a connection by the time of its last activity, which may be before
// that of others in the class. Known is one that was not active later, or none.
func (l *Loop) placeBehind(fd int, r *record, known int32) {
	w := &l.waiting[r.class]
	prev, next := known, w.head
	if known != none {
		next = l.records.at(known).next
	}
	for next != none && l.records.at(next).since <= r.since {
		prev, next = next, l.records.at(next).next
	}
	r.prev, r.next = prev, next
	if prev == none {
		w.head = int32(fd)
	} else {
		l.records.at(prev).next = int32(fd)
	}
	if next == none {
		w.tail = int32(fd)
	} else {
		l.records.at(next).prev = int32(fd)
	}
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

// looks is how often, within the deadline for output, the kernel is asked whether the
// client reads.
const looks = 5

// wait is how long those of a class stay in its list before something is done.
func (l *Loop) wait(class conn.Class) time.Duration {
	if class == conn.ForWrite {
		return l.timeouts[class] / looks
	}
	return l.timeouts[class]
}

// deadline is the first of a class.
func (l *Loop) deadline(class conn.Class) (at int64, ok bool) {
	head := l.waiting[class].head
	if head == none || l.timeouts[class] == math.MaxInt64 {
		return 0, false
	}
	return l.records.at(head).since + int64(l.wait(class)), true
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
	case r.class == conn.ForWrite && r.slot != none:
		l.expiredOutput(fd, r)
	case l.readLast(fd, r): // what arrived in time counts, however late the loop is
	case r.class == conn.ForFIN && l.unacked(fd) > finUnacked:
		// The client is silent, and has not got all of its last reply. That it may
		// take as long as any other output.
		s := &l.machines.slots[r.slot]
		s.unacked = l.unacked(fd)
		s.pace.renew()
		l.place(fd, r, conn.ForWrite)
	case r.slot != none:
		m := l.machines.at(r.slot)
		m.Expire()
		l.settle(fd, r, m, active)
	default:
		l.close(fd, r, conn.ErrGone)
	}
}

// expiredOutput looks at a connection whose output has not moved. The kernel's
// buffer is large: it may be read all the while without room for more coming up.
// Just as well its client may take what is there for a while, and not read.
func (l *Loop) expiredOutput(fd int, r *record) {
	n, s := l.unacked(fd), &l.machines.slots[r.slot]
	acked := int64(s.unacked - n)
	switch {
	case n <= finUnacked && r.finSent:
		l.close(fd, r, nil)
		return
	case acked > 0 && !l.slow(r, acked):
		s.unacked = n
		s.pace.acknowledge(acked)
	case acked > 0 || s.pace.quietFor(time.Duration(l.now-r.since)) >= l.timeouts[conn.ForWrite]:
		l.reset(fd, r)
		return
	}
	l.place(fd, r, conn.ForWrite)
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
