//go:build linux

package loop

import (
	"math"
	"time"
)

// rate is what a client must reach while it is waited for.
type rate struct {
	least int64         // bytes a second
	grace time.Duration // it is judged over so long at least; waiting, not passing, time
}

var defaultRate = rate{least: 1 << 10, grace: 10 * time.Second}

func (r *rate) set(t Timeouts) {
	switch {
	case t.MinRate < 0:
		r.least = 0
	case t.MinRate > 0:
		r.least = int64(t.MinRate)
	}
	switch {
	case t.Grace < 0:
		r.grace = math.MaxInt64
	case t.Grace > 0:
		r.grace = t.Grace
	}
}

// pace is how fast a client has been in the present window: a stretch of time in
// which it was waited for, to send or to take, and after which it is judged.
type pace struct {
	waited time.Duration
	moved  int64 // bytes

	// Of output that has stopped:
	quiet time.Duration // since the client has last acknowledged some
	acked int64         // bytes that it has, which make room for as many to be written
}

// count adds a wait and the bytes that have ended it, and reports whether the client
// is too slow. If it is not, another window begins.
func (p *pace) count(waited time.Duration, moved int64, r rate) (slow bool) {
	p.waited += waited
	p.moved += moved
	if p.waited < r.grace {
		return false
	}
	if float64(p.moved) < float64(r.least)*p.waited.Seconds() {
		return true
	}
	p.waited, p.moved = 0, 0
	return false
}

// quietFor adds a wait that nothing has come of. It is judged with what comes next.
func (p *pace) quietFor(waited time.Duration) (inAll time.Duration) {
	p.waited += waited
	p.quiet += waited
	return p.quiet
}

// acknowledge notes bytes that have been counted, and will be written again.
func (p *pace) acknowledge(n int64) {
	p.quiet = 0
	p.acked += n
}

// renew begins anew with output: some was written, or none is left.
func (p *pace) renew() { p.quiet, p.acked = 0, 0 }

// slow counts bytes that have come, or were acknowledged, on a connection that has
// waited for them since its last activity.
func (l *Loop) slow(r *record, moved int64) bool {
	return l.machines.slots[r.slot].pace.count(time.Duration(l.now-r.since), moved, l.rate)
}

// slowToTake counts bytes that were written where output had stopped, but for those
// that were counted when they were acknowledged.
func (l *Loop) slowToTake(r *record, wrote int64) bool {
	return l.slow(r, max(0, wrote-l.machines.slots[r.slot].pace.acked))
}
