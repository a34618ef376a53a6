//go:build linux

package loop

import (
	"sync"

	"catboat/conn"
)

// Counters is what a loop has done since it was made.
type Counters struct {
	conn.Counts

	Accepted uint64 // connections
	BytesIn  uint64 // read from clients
	BytesOut uint64 // written to them
	Turns    uint64 // of the loop

	// Lag is how long turns took behind which something was waiting already: so long
	// an event had to wait that came at their beginning. Buckets as of Latency.
	Lag [conn.Buckets]uint64
}

// Counters is what has been counted up to the end of the last turn. It may be called
// from any goroutine.
func (l *Loop) Counters() Counters {
	l.published.mu.Lock()
	defer l.published.mu.Unlock()
	return l.published.counters
}

// published is the counters as others see them.
type published struct {
	mu       sync.Mutex
	counters Counters
}

// publish is called once a turn. If somebody reads at the moment, the next turn will do.
func (l *Loop) publish() {
	if l.published.mu.TryLock() {
		l.counters.Counts = *l.env.Counts()
		l.published.counters = l.counters
		l.published.mu.Unlock()
	}
}

// countTurn notes how long the last turn took, if all of the time since it began went
// into it.
func (l *Loop) countTurn(since int64) {
	l.counters.Turns++
	if !l.k.Slept() {
		l.counters.Lag[conn.Bucket(l.now-since)]++
	}
}
