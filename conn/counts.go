package conn

import "math/bits"

// Buckets is how many a histogram of durations has. Bucket 0 is for less than a
// microsecond, bucket i for 2^(i-1) up to 2^i microseconds, the last for all above.
const Buckets = 26

// Bucket is that of a duration in nanoseconds.
func Bucket(ns int64) int { return min(bits.Len64(uint64(max(ns, 0))/1000), Buckets-1) }

// Counts is what the connections of one loop have done so far.
type Counts struct {
	Requests uint64          // of which a byte has come
	Statuses [6]uint64       // final replies, by the first digit of the status; refusals too
	Latency  [Buckets]uint64 // of replies: from the request's first byte until it was complete in the output, by the loop's clock, which is read once a turn
}

// Counts is what is counted, for the loop's goroutine.
func (e *Env) Counts() *Counts { return e.counts }

// SetNow sets the time in nanoseconds from which latencies are taken. It only goes
// forward.
func (e *Env) SetNow(ns int64) { e.now = ns }
