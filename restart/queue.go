//go:build linux

package restart

import (
	"errors"
	"os"
	"strings"
	"sync"

	"catboat/loop"
)

// kind is one of the ways to restart.
type kind string

const (
	inPlaceKind  kind = "in-place"
	handOverKind kind = "hand-over"
	hup          kind = "hup" // a signal that came in the middle of an exec
)

// againVariable is the variable by which an image learns what restarts were asked for
// while the one was under way that has led to it.
const againVariable = "CATBOAT_AGAIN"

// ErrStopping is why a restart ends, or does not begin, when the loop is being
// stopped.
var ErrStopping = errors.New("restart: the program is being stopped")

// state is what this package knows of a loop. Its fields are for the loop's goroutine.
type state struct {
	signals *signals // nil: they were not asked for
	leaving bool     // a stop has begun
	gone    bool     // another process has taken over

	running []func(error) // who has asked for the restart that is under way
	cancel  func(error)   // ends it, if it still can be
	busy    bool          // one is under way
	waiting []*request    // those that come next, one of a kind
}

// request is a restart that waits for another's end, and who has asked for it.
type request struct {
	kind  kind
	begin func()
	done  []func(error)
}

var states struct {
	sync.Mutex
	of map[*loop.Loop]*state
}

// stateOf is that of a loop.
func stateOf(l *loop.Loop) *state {
	states.Lock()
	defer states.Unlock()
	s := states.of[l]
	if s == nil {
		if states.of == nil {
			states.of = map[*loop.Loop]*state{}
		}
		s = &state{}
		states.of[l] = s
	}
	return s
}

// enqueue begins a restart, or has it begun behind the one that is under way. Of each
// kind one waits, the last one asked for, and all who have asked get its outcome.
func enqueue(l *loop.Loop, k kind, done func(error), begin func()) {
	s := stateOf(l)
	if done == nil {
		done = func(error) {}
	}
	switch {
	case s.leaving || s.gone:
		done(ErrStopping)
		return
	case !s.busy:
		s.busy, s.running = true, []func(error){done}
		begin()
		return
	}
	for _, r := range s.waiting {
		if r.kind == k {
			r.begin, r.done = begin, append(r.done, done)
			return
		}
	}
	s.waiting = append(s.waiting, &request{k, begin, []func(error){done}})
}

// finish ends the restart that is under way, tells who has asked, and begins the next.
func finish(l *loop.Loop, err error) {
	s := stateOf(l)
	all := s.running
	s.running, s.busy, s.cancel = nil, false, nil
	if err != nil {
		notify("READY=1") // as before
	}
	for _, f := range all {
		f(err)
	}
	if len(s.waiting) > 0 && !s.busy {
		next := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.busy, s.running = true, next.done
		next.begin()
	}
}

// cancel ends what is under way, if it can be, and what waits.
func (s *state) cancelAll() {
	waiting := s.waiting
	s.waiting = nil
	if s.cancel != nil {
		s.cancel(ErrStopping)
	}
	for _, r := range waiting {
		for _, f := range r.done {
			f(ErrStopping)
		}
	}
}

// passOn is the kinds of what waits, as [again] reads them, for a successor to do.
func (s *state) passOn() string {
	var kinds []string
	for _, r := range s.waiting {
		kinds = append(kinds, string(r.kind))
	}
	return strings.Join(kinds, " ")
}

// again does what was asked for while an earlier image, or another process, was leaving.
func again(l *loop.Loop, kinds string) {
	for k := range strings.FieldsSeq(kinds) {
		s := stateOf(l)
		var o Options
		if s.signals != nil {
			o = s.signals.o
		}
		log := func(err error) {
			if err != nil {
				l.Inside().Logger().Error("restart failed; serving on", "error", err)
			}
		}
		switch kind(k) {
		case inPlaceKind:
			InPlace(l, o, log)
		case handOverKind:
			HandOver(l, o, log)
		case hup:
			if o.OnHUP != nil {
				o.OnHUP()
			}
		}
	}
}

// takeAgain is what an earlier image has left to do.
func takeAgain() string {
	kinds := os.Getenv(againVariable)
	os.Unsetenv(againVariable)
	return kinds
}
