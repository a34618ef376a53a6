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
	*p = pace{}
	return false
}

// slow counts bytes that have come or gone on a connection that has waited for them
// since its last activity.
func (l *Loop) slow(r *record, moved int64) bool {
	return l.machines.slots[r.slot].pace.count(time.Duration(l.now-r.since), moved, l.rate)
}
