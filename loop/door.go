//go:build linux

package loop

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"catboat/conn"
)

// door is the one way in from other goroutines.
type door struct {
	mu     sync.Mutex
	queue  []func()
	spare  []func() // the queue's other array
	shut   bool
	posted atomic.Bool // there is something in the queue
}

// Post has f called on the loop, in order with others, before the loop waits
// again. It does not wait itself, may be called from any goroutine, and before
// Run. It returns ErrStopped if f will never be called because Run has returned.
func (l *Loop) Post(f func()) error {
	d := &l.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return ErrStopped
	}
	d.queue = append(d.queue, f)
	if !d.posted.Swap(true) {
		l.k.Wake() // under the lock, since Run gives up the descriptor when it has shut the door
	}
	return nil
}

// postTo is Post for a function that needs a connection's machine, if there
// still is one.
func (l *Loop) postTo(h conn.Handle, f func(*conn.Machine)) error {
	return l.Post(func() {
		if r := l.records.find(h); r != nil && r.slot != none {
			m := l.machines.at(r.slot)
			f(m)
			l.settle(int(h.FD), r, m, passive) // a reply moves the deadline, other talk does not
		}
	})
}

// runPosted calls what was posted until now, and what that posts the next time.
func (l *Loop) runPosted() {
	d := &l.door
	if !d.posted.Swap(false) {
		return
	}
	d.mu.Lock()
	run := d.queue
	d.queue, d.spare = d.spare[:0], nil
	d.mu.Unlock()
	for i, f := range run {
		f()
		run[i] = nil
	}
	d.spare = run
}

// here reports whether it is called on the loop's goroutine. That takes microseconds.
func (l *Loop) here() bool { return l.goroutine.Load() == goroutineID() }

// goroutineID is the number that a goroutine's stack trace begins with. There is no
// other way to it.
func goroutineID() uint64 {
	var trace [32]byte
	n := runtime.Stack(trace[:], false)
	digits, _, _ := strings.Cut(strings.TrimPrefix(string(trace[:n]), "goroutine "), " ")
	id, _ := strconv.ParseUint(digits, 10, 64)
	return id
}

// isOpen reports whether something waits to be run.
func (d *door) isOpen() bool { return d.posted.Load() }

// close shuts the door, unless something was posted meanwhile. With force, what
// was posted is never called.
func (d *door) close(force bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = force || len(d.queue) == 0
	return d.shut
}

func (d *door) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shut
}

// OnSignal has f called on the loop for each of the signals that comes. It is
// called before Run, or on the loop's goroutine. When Run has returned the
// signals do nothing: a late one does not kill the process before it has exited
// or executed its successor.
func (l *Loop) OnSignal(f func(os.Signal), signals ...os.Signal) {
	c := make(chan os.Signal, 64)
	signal.Notify(c, signals...)
	go func() {
		for s := range c {
			if l.Post(func() { f(s) }) != nil {
				return
			}
		}
	}()
}
