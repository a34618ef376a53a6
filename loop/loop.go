//go:build linux

package loop

import (
	"errors"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"catboat/conn"
	"catboat/internal/cargo"
	"catboat/internal/kernel"
)

// ErrStopped is what calls return that come after Run has returned.
var ErrStopped = conn.ErrStopped

// Loop serves connections. Make one with New, give it listeners with Listen,
// and call Run.
type Loop struct {
	k       kernel.Kernel
	linux   *kernel.Linux // the same, if it is one that can be carried
	shut    func()        // gives the kernel's part up
	options Options
	env     *conn.Env

	events []kernel.Event
	buffer []byte // every read goes here

	records   slab
	machines  machines
	waiting   [conn.Classes]list // connections in the order of their last activity
	timeouts  byClass
	rate      rate
	again     []conn.Handle        // connections that have used up their turn, the first to go on first
	unwatched map[conn.Handle]bool // connections that the epoll set would not watch as it should
	listeners []*listener
	watches   map[int]*Watch // by descriptor
	conns     int            // accepted and not yet closed
	held      atomic.Int64   // listeners, conns and watches
	lastID    uint64
	stopping  atomic.Bool // StopListening has been called

	now      int64 // nanoseconds on the monotonic clock, read once a turn
	second   int64 // of the Date line
	troubled int64 // when a line about the system was logged last
	date     []byte

	whenEmpty []func()    // see WhenEmpty
	eachTurn  func() bool // see EachTurn
	keptTo    int         // descriptors below stay open over an exec; 0: none

	counters  Counters
	published published

	timers timers
	door   door
	ran    bool

	goroutine atomic.Uint64 // on which Run is
}

// The sizes of what a turn deals with.
const (
	maxEvents  = 512
	readBuffer = 64 << 10
)

// New makes a loop. A nil handler answers 503 until SetHandler. An error says that
// Options.Server cannot stand in a field, or is the system's: no descriptors left.
func New(h conn.Handler, o Options) (*Loop, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	k, err := kernel.NewLinux()
	if err != nil {
		return nil, err
	}
	l := newLoop(k, h, o)
	l.linux = k
	l.shut = k.Shut
	return l, nil
}

func newLoop(k kernel.Kernel, h conn.Handler, o Options) *Loop {
	o = o.withDefaults()
	l := &Loop{
		k:         k,
		shut:      func() {},
		options:   o,
		events:    make([]kernel.Event, maxEvents),
		buffer:    make([]byte, readBuffer),
		timeouts:  defaultTimeouts,
		rate:      defaultRate,
		second:    -1,
		unwatched: map[conn.Handle]bool{},
		watches:   map[int]*Watch{},
		troubled:  -int64(time.Second),
	}
	l.timeouts.set(o.Timeouts)
	l.rate.set(o.Timeouts)
	l.env = conn.NewEnv(conn.Config{
		Limits:     o.Limits,
		HeadFirst:  o.HeadFirst,
		NoHint:     o.NoHint,
		Resumables: o.Resumables,
		Server:     o.Server,
		Counts:     &l.counters.Counts,
		Pages:      o.Pages,
		Post:       l.postTo,
		Fault:      l.fault,
		Here:       l.here,
	})
	l.env.SetHandler(h)
	for class := range l.waiting {
		l.waiting[class] = list{head: none, tail: none}
	}
	l.tick()
	return l
}

// Run serves until nothing holds it (see EpollSize), at once if nothing does. It
// returns nil then, or the error of an epoll set that cannot be waited for. A
// loop runs once: another call returns ErrStopped.
func (l *Loop) Run() error {
	if l.ran {
		return ErrStopped
	}
	for _, v := range [...]string{cargo.Trial, cargo.HandOver} {
		if _, is := os.LookupEnv(v); is {
			return errors.New("loop: Run before restart.Ready, by which another process decides: this child must not serve")
		}
	}
	l.ran = true
	l.goroutine.Store(goroutineID())
	returned := false
	defer func() {
		if !returned { // a function of the program's has panicked: nobody is left waiting
			l.abandonAll()
		}
		l.door.close(true)
		l.shut()
	}()
	l.tick()
	l.runPosted()
	for l.held.Load() > 0 || !l.door.close(false) {
		if err := l.turn(); err != nil {
			l.cutConns()
			for _, ln := range slices.Clone(l.listeners) {
				l.closeListener(ln)
			}
			returned = true
			return err
		}
	}
	returned = true
	return nil
}

// abandonAll tells goroutines that wait for the loop, at a Stream or a Body, that it
// has ended.
func (l *Loop) abandonAll() {
	for i := range l.machines.slots {
		if m := l.machines.slots[i].m; m != nil && m.Tie() != conn.Free {
			m.Abandon(ErrStopped)
		}
	}
}

// turn waits for events once and deals with what has come.
func (l *Loop) turn() error {
	n, errno := l.k.Wait(l.events, l.untilNext())
	if errno != 0 && errno != syscall.EINTR {
		return os.NewSyscallError("epoll_wait", errno)
	}
	since := l.now
	l.tick()
	l.countTurn(since)
	l.continueTurns() // first, so that nobody has two turns in one
	l.runPosted()
	for i := range n {
		l.dispatch(&l.events[i])
	}
	l.expire()
	l.runTimers()
	l.endTurn()
	l.publish()
	return nil
}

// Cut resets every connection, whatever it is at, before the loop waits again: a
// last word when a stop has taken too long. Replies that are not out yet are lost;
// their AfterReply functions get ErrGone, as do deferrals. Listeners, and
// descriptors of Add and Connect, stay. It may be called from any goroutine.
func (l *Loop) Cut() { l.Post(l.cutConns) }

func (l *Loop) cutConns() {
	for class := range conn.Classes {
		for fd := l.waiting[class].head; fd != none; fd = l.waiting[class].head {
			l.reset(int(fd), l.records.at(fd))
		}
	}
}

// untilNext is how long to wait for events: until the first deadline or timer.
func (l *Loop) untilNext() time.Duration {
	if len(l.again) > 0 || l.door.isOpen() {
		return 0
	}
	next := int64(-1)
	earlier := func(t int64) {
		if next < 0 || t < next {
			next = t
		}
	}
	for class := range l.waiting {
		if at, ok := l.deadline(conn.Class(class)); ok {
			earlier(at)
		}
	}
	if len(l.timers.heap) > 0 {
		earlier(l.timers.heap[0].at)
	}
	if next < 0 {
		return -1
	}
	return time.Duration(max(0, next-l.now))
}

// tick reads the clock, and renews the Date line when the second has changed.
func (l *Loop) tick() {
	monotonic, wall := l.k.Now()
	l.now = int64(monotonic)
	l.env.SetNow(l.now)
	if second := wall.Unix(); second != l.second {
		l.second = second
		l.date = wall.UTC().AppendFormat(l.date[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
		l.env.SetDate(l.date)
	}
}

// dispatch deals with one event. One for a descriptor that was closed earlier in
// the same turn, and perhaps opened again as another, has an old generation.
func (l *Loop) dispatch(e *kernel.Event) {
	data := kernel.Data(e)
	if data == kernel.Woken {
		return
	}
	h := handleOf(data)
	r := l.records.find(h)
	switch {
	case r == nil:
	case r.kind == isListener:
		l.accept(l.listeners[r.slot])
	case r.kind == isWatch:
		l.watches[int(h.FD)].ready(e.Events)
	default:
		l.serve(int(h.FD), r, e.Events)
	}
}

// turnTime is how long those may take in a turn that go on behind an earlier one, and
// whom nobody waits for: others have to.
const turnTime = time.Millisecond

// continueTurns lets those go on that had to let others have their turn, until their
// time is up; the rest are first in the next turn.
func (l *Loop) continueTurns() {
	n, done := len(l.again), 0
	for now := time.Duration(l.now); done < n && now < time.Duration(l.now)+turnTime; now, _ = l.k.Now() {
		h := l.again[done]
		done++
		r := l.records.find(h)
		if r == nil {
			continue
		}
		if r.again = false; r.slot != none {
			m := l.machines.at(r.slot)
			m.Continue()
			l.settle(int(h.FD), r, m, passive)
		}
	}
	l.again = slices.Delete(l.again, 0, done)
}

// SetHandler is in force from the next request on any connection. A nil handler
// answers 503. It may be called from any goroutine.
func (l *Loop) SetHandler(h conn.Handler) { l.env.SetHandler(h) }

// SetTimeouts is in force before the loop waits again, and for connections that
// wait already too: their deadlines are counted anew from their last activity.
// Fields that are zero leave a timeout as it is. It may be called from any
// goroutine; after Run has returned it does nothing.
func (l *Loop) SetTimeouts(t Timeouts) {
	l.Post(func() {
		l.timeouts.set(t)
		l.rate.set(t)
	})
}

// fault logs a mistake of the application's.
func (l *Loop) fault(c *conn.Conn, what string, value any) {
	r := c.Request()
	args := []any{"conn", c.ID(), "method", r.Method(), "target", r.Target().String()}
	if value != nil {
		args = append(args, "panic", value)
	}
	l.options.Logger.Error(what, append(args, "stack", string(debug.Stack()))...)
}

// trouble logs what the system refuses, or cannot do any more, at most once a
// second.
func (l *Loop) trouble(what string, err error) {
	if l.now-l.troubled < int64(time.Second) {
		return
	}
	l.troubled = l.now
	l.options.Logger.Warn(what, "error", err, "held", l.EpollSize())
}

var errNotListening = errors.New("loop: StopListening has been called")
