//go:build linux

package loop

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestTimersAreCalledWhenTheyAreDueInOrder(t *testing.T) {
	s := serve(t, site, Options{})
	var got []int
	s.on(func() {
		for _, seconds := range []int{5, 1, 4, 2, 3} {
			s.After(time.Duration(seconds)*time.Second, func() { got = append(got, seconds) })
		}
	})
	for _, row := range []struct {
		pass time.Duration
		want []int
	}{
		{time.Second - 1, nil},
		{1, []int{1}},
		{3 * time.Second, []int{1, 2, 3, 4}},
		{time.Hour, []int{1, 2, 3, 4, 5}},
		{time.Hour, []int{1, 2, 3, 4, 5}},
	} {
		s.pass(row.pass)
		s.on(func() {
			if !slices.Equal(got, row.want) {
				t.Errorf("after another %v: %v, want %v", row.pass, got, row.want)
			}
		})
	}
}

func TestTimersThatAreDueAreCalledBeforeTheLoopWaits(t *testing.T) {
	s := serve(t, site, Options{})
	for _, d := range []time.Duration{0, -1, math.MinInt64} {
		called := make(chan struct{})
		s.on(func() { s.After(d, func() { close(called) }) })
		within(t, "the timer", called)
	}
}

func TestTimerOfForeverIsNotDue(t *testing.T) {
	s := serve(t, site, Options{})
	s.on(func() { s.After(math.MaxInt64, func() { t.Error("called") }) })
	s.pass(1000 * time.Hour)
	s.dial().ask("/", 200, "hello")
}

func TestStoppedTimerIsNotCalled(t *testing.T) {
	s := serve(t, site, Options{})
	var called, stopped []bool
	var timers []*Timer
	s.on(func() {
		for i := range 10 {
			called = append(called, false)
			timers = append(timers, s.After(time.Duration(i)*time.Second, func() { called[i] = true }))
		}
		for i := 9; i > 0; i -= 2 {
			stopped = append(stopped, timers[i].Stop())
		}
	})
	s.pass(time.Minute)
	s.on(func() {
		for i, was := range called {
			if was != (i%2 == 0) {
				t.Errorf("timer %d called: %v", i, was)
			}
			if timers[i].Stop() {
				t.Errorf("timer %d was stopped late", i)
			}
		}
		if slices.Contains(stopped, false) {
			t.Errorf("Stop returned %v", stopped)
		}
	})
}

func TestTimersMakeAndStopTimers(t *testing.T) {
	s := serve(t, site, Options{})
	var got []string
	s.on(func() {
		var victim *Timer
		var again func()
		again = func() {
			if got = append(got, "again"); len(got) < 4 {
				s.After(time.Second, again)
			}
		}
		s.After(time.Second, func() {
			got = append(got, "first")
			if !victim.Stop() {
				t.Error("one that is due in the same turn could not be stopped")
			}
			s.After(time.Second, again)
		})
		victim = s.After(time.Second+1, func() { got = append(got, "victim") })
	})
	for range 5 {
		s.pass(time.Second + 1)
	}
	s.on(func() {
		if want := []string{"first", "again", "again", "again"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
