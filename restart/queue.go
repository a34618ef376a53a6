//go:build linux

package restart

import "catboat/loop"

// queue is the restarts of one loop: one that is under way, and one that all who have
// asked since share.
type queue struct {
	done []func(error)
	next func()
	wait []func(error)
}

// running is the queues of loops that are being restarted.
var running = map[*loop.Loop]*queue{}

// enqueue begins a restart, or has it begun behind the one that is under way. Of those
// that wait the last one asked for is done, and all who wait get its outcome.
func enqueue(l *loop.Loop, done func(error), begin func()) {
	if q := running[l]; q != nil {
		q.next, q.wait = begin, append(q.wait, done)
		return
	}
	running[l] = &queue{done: []func(error){done}}
	begin()
}

// finish ends the restart that is under way, tells who has asked, and begins the next.
func finish(l *loop.Loop, err error) {
	q := running[l]
	delete(running, l)
	if err != nil {
		notify("READY=1") // as before
	}
	for _, f := range q.done {
		if f != nil {
			f(err)
		}
	}
	if q.next != nil {
		running[l] = &queue{done: q.wait}
		q.next()
	}
}
