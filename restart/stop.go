//go:build linux

package restart

import (
	"strconv"
	"time"

	"catboat/conn"
	"catboat/loop"
)

// Stop is the graceful end: listening stops, requests that have come are answered, an
// idle connection stays open for Options.Grace and hears with its next reply that it was
// the last. At Options.Deadline what is left is cut. Then Run returns. It is called on
// the loop's goroutine.
func Stop(l *loop.Loop, o Options) { stop(l, o, nil) }

// SoftStop is Stop, but that every further request gets 503 with Retry-After.
func SoftStop(l *loop.Loop, o Options) {
	o = o.withDefaults()
	after := strconv.Itoa(o.RetryAfter)
	stop(l, o, func(c *conn.Conn) {
		c.SetHeader("Retry-After", after)
		c.Error(503)
	})
}

func stop(l *loop.Loop, o Options, h conn.Handler) {
	o = o.withDefaults()
	notify("STOPPING=1")
	l.After(o.Delay, func() {
		l.StopListening()
		if h != nil {
			l.SetHandler(h)
		}
		l.LastReplies()
		l.SetTimeouts(loop.Timeouts{Head: o.Head, Idle: o.Grace, Linger: time.Second})
	})
	if o.Deadline > 0 {
		l.After(o.Delay+o.Deadline, l.Cut)
	}
}
