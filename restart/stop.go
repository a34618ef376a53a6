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
// the last; one that has not said anything is closed. At Options.Deadline who waits for
// the head of a reply gets 503, the rest is cut, and the log says how many. Then Run
// returns. A restart that is under way is given up, if it still can be. Stop is called
// on the loop's goroutine.
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

// Leaving reports whether a stop of the loop has begun: then whoever is asked for
// readiness says no, also while Options.Delay lets clients in. It is for the loop's goroutine, as in
// a handler.
func Leaving(l *loop.Loop) bool { return stateOf(l).leaving }

// lastLinger is how long a client has to close its side while the program stops.
const lastLinger = time.Second

func stop(l *loop.Loop, o Options, h conn.Handler) {
	o = o.withDefaults()
	s := stateOf(l)
	s.leaving = true
	s.cancelAll()
	notify("STOPPING=1")
	about := []any{"connections", l.Inside().Conns()}
	if o.Deadline > 0 {
		about = append(about, "at most", o.Delay+o.Deadline)
	}
	l.Inside().Logger().Info("stopping", about...)
	shut := func() {
		l.StopListening()
		l.LastReplies()
		if h != nil {
			l.Post(func() { l.SetHandler(h) }) // behind that: each 503 says that it was the last
		}
		l.SetTimeouts(loop.Timeouts{Head: o.Head, Idle: o.Grace, Linger: lastLinger})
		l.Post(l.Inside().BeginAnew)
	}
	if o.Delay > 0 {
		l.After(o.Delay, shut)
	} else {
		shut()
	}
	if o.Deadline > 0 {
		l.After(o.Delay+o.Deadline, func() {
			told, cut := l.Inside().GiveUp()
			l.Inside().Logger().Warn("stop: the deadline has passed", "told 503", told, "cut", cut)
			l.After(2*lastLinger, l.Cut)
		})
	}
}
