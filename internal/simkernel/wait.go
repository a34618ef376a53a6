//go:build linux

package simkernel

import (
	"container/heap"
	"syscall"
	"time"

	"catboat/internal/kernel"
)

// schedule is what will happen, the soonest on top.
type schedule []act

type act struct {
	at    time.Duration
	order int // among those of the same time
	do    func()
}

// Len is for package heap.
func (s schedule) Len() int { return len(s) }

// Less is for package heap.
func (s schedule) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].order < s[j].order
}

// Swap is for package heap.
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

// Push is for package heap.
func (s *schedule) Push(x any) { *s = append(*s, x.(act)) }

// Pop is for package heap.
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// At has f called within a Wait, when d has passed. Among acts of the same time
// the seed chooses.
func (k *Kernel) At(d time.Duration, f func()) {
	heap.Push(&k.queue, act{k.now + max(d, 0), k.rng.Int(), f})
}

// Now is documented at kernel.Kernel.
func (k *Kernel) Now() (monotonic time.Duration, wall time.Time) {
	return k.now, base.Add(k.now + k.jump)
}

// Wait is documented at kernel.Kernel. It lets the clients act: those whose time
// has come, and if nothing is ready after that, the next, until d has passed.
func (k *Kernel) Wait(events []kernel.Event, d time.Duration) (int, syscall.Errno) {
	if k.chance(k.faults.Jump) {
		k.stats.Jumps++
		k.jump = time.Duration(k.rng.Int64N(int64(48*time.Hour))) - 24*time.Hour
		k.Log("the wall clock jumps by %v", k.jump)
	}
	if k.chance(k.faults.Intr) {
		k.Log("epoll_wait = EINTR")
		return 0, k.interrupted()
	}
	until := k.now + d
	k.now += time.Duration(k.rng.IntN(50)) * time.Microsecond
	for {
		k.act()
		if n := k.report(events); n > 0 {
			return n, 0
		}
		switch {
		case d >= 0 && (len(k.queue) == 0 || k.queue[0].at > until):
			k.now = max(k.now, until)
			return 0, 0
		case len(k.queue) == 0:
			panic(Violation("epoll_wait for ever, and nobody left to act"))
		}
		k.now = k.queue[0].at
	}
}

// act lets those act whose time has come.
func (k *Kernel) act() {
	for len(k.queue) > 0 && k.queue[0].at <= k.now {
		heap.Pop(&k.queue).(act).do()
	}
}

// report puts what is ready into events, in any order, and perhaps not all.
func (k *Kernel) report(events []kernel.Event) (n int) {
	for _, fd := range k.rng.Perm(len(k.files)) {
		f := k.files[fd]
		if f == nil || !f.watched || n == len(events) {
			continue
		}
		ready := f.ready() & (f.interest | kernel.Hup | kernel.Err)
		if ready == 0 && k.chance(k.faults.Again/4) {
			ready = f.interest & (kernel.In | kernel.Out) // it was ready a moment ago
			k.stats.Spurious++
		}
		if ready == 0 {
			continue
		}
		k.Log("epoll_wait: %d is %s", fd, names(ready))
		events[n] = event(ready, f.data)
		n++
	}
	if k.woken && n < len(events) {
		k.woken = false
		k.Log("epoll_wait: woken")
		events[n] = event(kernel.In, kernel.Woken)
		n++
	}
	if n < len(events) && len(k.gone) > 0 && k.chance(k.faults.Ghost) {
		k.stats.Ghosts++
		k.Log("epoll_wait: a descriptor that is closed is HUP")
		events[n] = event(kernel.In|kernel.RDHup|kernel.Hup|kernel.Err, k.gone[k.rng.IntN(len(k.gone))])
		n++
	}
	if n > 1 && k.chance(100) {
		n = 1 + k.rng.IntN(n) // level-triggered: the others come again
	}
	return n
}

func event(ready uint32, data uint64) kernel.Event {
	return kernel.Event{Events: ready, Fd: int32(data), Pad: int32(data >> 32)}
}

// ready is what can be done with a file.
func (f *file) ready() (events uint32) {
	if f.listener != nil {
		if len(f.listener.queue) > 0 {
			return kernel.In
		}
		return 0
	}
	c := f.conn
	if c.reset {
		return kernel.In | kernel.Out | kernel.RDHup | kernel.Hup | kernel.Err
	}
	if len(c.toServer) > 0 || c.clientFIN {
		events |= kernel.In
	}
	if c.clientFIN {
		events |= kernel.RDHup
	}
	if len(c.toClient) < c.room {
		events |= kernel.Out
	}
	if c.clientFIN && c.serverFIN {
		events |= kernel.Hup
	}
	return events
}

// Slept is documented at kernel.Kernel. Time passes in a Wait alone.
func (k *Kernel) Slept() bool { return true }
