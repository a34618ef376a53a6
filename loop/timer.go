//go:build linux

package loop

import (
	"container/heap"
	"math"
	"time"
)

// Timer is a function that is due. It does not hold Run.
type Timer struct {
	l      *Loop
	at     int64
	serial uint64 // among those of the same time
	f      func()
	i      int // in the heap, or none
}

// longest is as good as for ever, and added to the present time is no overflow.
const longest = math.MaxInt64 / 2

// After has f called once on the loop, when d has passed on the monotonic clock
// and the loop gets to it. It is called before Run, or on the loop's goroutine.
// A timer that is not due when Run returns is not called any more.
func (l *Loop) After(d time.Duration, f func()) *Timer {
	now, _ := l.k.Now()
	t := &Timer{l: l, at: int64(now + min(max(d, 0), longest)), serial: l.timers.last + 1, f: f}
	l.timers.last++
	heap.Push(&l.timers, t)
	return t
}

// Stop reports whether it has kept the function from being called. It is called
// on the loop's goroutine, or before Run.
func (t *Timer) Stop() bool {
	if t.i == none {
		return false
	}
	heap.Remove(&t.l.timers, t.i)
	return true
}

// runTimers calls those that are due, but not those that they begin: these have
// to wait for the next turn.
func (l *Loop) runTimers() {
	last := l.timers.last
	for len(l.timers.heap) > 0 {
		if next := l.timers.heap[0]; next.at > l.now || next.serial > last {
			return
		}
		heap.Pop(&l.timers).(*Timer).f()
	}
}

// timers is a heap, the next one due on top.
type timers struct {
	heap []*Timer
	last uint64 // serial
}

// Len is for package heap.
func (t *timers) Len() int { return len(t.heap) }

// Less is for package heap.
func (t *timers) Less(i, j int) bool {
	a, b := t.heap[i], t.heap[j]
	return a.at < b.at || a.at == b.at && a.serial < b.serial
}

// Swap is for package heap.
func (t *timers) Swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].i, t.heap[j].i = i, j
}

// Push is for package heap.
func (t *timers) Push(x any) {
	x.(*Timer).i = len(t.heap)
	t.heap = append(t.heap, x.(*Timer))
}

// Pop is for package heap.
func (t *timers) Pop() any {
	last := len(t.heap) - 1
	x := t.heap[last]
	t.heap[last] = nil
	t.heap = t.heap[:last]
	x.i = none
	return x
}
