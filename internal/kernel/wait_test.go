//go:build linux

package kernel

import (
	"math"
	"testing"
	"time"
)

func TestWaitIsNeverTooShort(t *testing.T) {
	k := newKernel(t)
	for _, d := range []time.Duration{0, 1, time.Microsecond, time.Millisecond, 1500 * time.Microsecond} {
		began, _ := k.Now()
		n, errno := k.Wait(make([]Event, 1), d)
		ended, _ := k.Now()
		if waited := ended - began; errno == 0 && (n != 0 || waited < d) {
			t.Errorf("%v: %d events after %v", d, n, waited)
		}
	}
}

// Behind one event that came alone, and soon, nobody looks for the next one before a
// sleep: what Slept says stays. Else one looks.
func TestWaitLooksWhereThatIsNotInVain(t *testing.T) {
	k := newKernel(t)
	for _, row := range []struct {
		alone  bool
		passed time.Duration
		slept  bool
	}{{false, 0, false}, {true, quick, false}, {true, quick - 1, true}} {
		k.slept, k.alone, k.now = true, row.alone, k.waited+row.passed
		k.Wake()
		if n, errno := k.Wait(make([]Event, 1), -1); n != 1 || errno != 0 || k.Slept() != row.slept {
			t.Errorf("%+v: %d events, %v, slept %v", row, n, errno, k.Slept())
		}
	}
}

// A deadline that moves on costs a call when the alarm has rung, and none before; one that
// comes nearer is told to the kernel at once, or is the timeout.
func TestAlarmIsSetForTheFirstDeadline(t *testing.T) {
	k := newKernel(t)
	k.Now()
	for _, row := range []struct {
		about   string
		passed  time.Duration // since the row before
		d       time.Duration
		timeout int
		set     bool
	}{
		{"none", 0, -1, -1, false},
		{"far away", 0, 75 * time.Second, -1, true},
		{"moved on", time.Second, 75 * time.Second, -1, false},
		{"the same", time.Second, 73 * time.Second, -1, false},
		{"none again", 0, -1, -1, false},
		{"nearer", 0, 10 * time.Second, -1, true},
		{"near", 0, 20 * time.Millisecond, 20, false},
		{"has rung", 11 * time.Second, 75 * time.Second, -1, true},
		{"beyond all clocks", 0, math.MaxInt64 - 1, 1 << 30, false},
		{"beyond all clocks, and unset", 76 * time.Second, math.MaxInt64 - 1, 1 << 30, false},
	} {
		k.now += row.passed
		before := k.alarm.at
		if timeout := k.timeout(row.d); timeout != row.timeout {
			t.Errorf("%s: timeout %d, want %d", row.about, timeout, row.timeout)
		}
		if set := k.alarm.at != before; set != row.set || set && k.alarm.at != k.now+row.d {
			t.Errorf("%s: set for %v, before for %v", row.about, k.alarm.at, before)
		}
	}
}

// A wait of more than a second ends by the alarm, and not before its time. It is the
// one test that waits for that.
func TestAlarmEndsAWait(t *testing.T) {
	const d = nearby + time.Millisecond
	k := newKernel(t)
	began, _ := k.Now()
	n, errno := k.Wait(make([]Event, 1), d)
	if ended, _ := k.Now(); errno == 0 && (n != 1 || ended-began < d) {
		t.Errorf("%d events after %v", n, ended-began)
	}
}

func TestMillisecondsRoundUp(t *testing.T) {
	const longest = 1 << 30
	for _, row := range []struct {
		d    time.Duration
		want int
	}{
		{math.MinInt64, -1}, {-1, -1}, {0, 0}, {1, 1}, {time.Millisecond - 1, 1}, {time.Millisecond, 1},
		{time.Millisecond + 1, 2}, {time.Second, 1000}, {longest * time.Millisecond, longest},
		{longest*time.Millisecond + 1, longest}, {math.MaxInt64 - 1, longest}, {math.MaxInt64, longest},
	} {
		if got := milliseconds(row.d); got != row.want {
			t.Errorf("%v: %d, want %d", row.d, got, row.want)
		}
	}
}
