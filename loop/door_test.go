//go:build linux

package loop

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bare makes a loop without a listener.
func bare(t *testing.T) *Loop { t.Helper(); return newLoop(newScript(t), nil, Options{}) }

func TestPostKeepsTheOrder(t *testing.T) {
	l := bare(t)
	var got []int
	for i := range 3 {
		l.Post(func() {
			got = append(got, i)
			l.Post(func() {
				got = append(got, i+10)
				l.Post(func() { got = append(got, i+20) })
			})
		})
	}
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 1, 2, 10, 11, 12, 20, 21, 22}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Each goroutine's functions are called in the order it posted them, and none
// is lost or called twice.
func TestPostFromManyGoroutines(t *testing.T) {
	s := serve(t, site, Options{})
	const posters, posts = 8, 1000
	var got [posters][]int
	var all sync.WaitGroup
	for p := range posters {
		all.Go(func() {
			for i := range posts {
				if err := s.Post(func() { got[p] = append(got[p], i) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.settled()
	for p := range got {
		if len(got[p]) != posts || !slices.IsSorted(got[p]) {
			t.Errorf("%d functions of goroutine %d, in order: %v", len(got[p]), p, slices.IsSorted(got[p]))
		}
	}
}

func TestPostAfterRunIsAnError(t *testing.T) {
	l := bare(t)
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if err := l.Post(func() { t.Error("called") }); err != ErrStopped {
		t.Errorf("Post returned %v", err)
	}
	l.StopListening()
	l.SetTimeouts(Timeouts{Idle: time.Second})
	l.SetHandler(site)
}

// What Post has accepted is called, even if Run is just about to return.
func TestPostIsNeverLostWhenRunReturns(t *testing.T) {
	for range 200 {
		l := bare(t)
		var accepted, called atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for l.Post(func() { called.Add(1) }) == nil {
					accepted.Add(1)
				}
			})
		}
		if err := l.Run(); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		if a, c := accepted.Load(), called.Load(); a != c {
			t.Fatalf("%d accepted, %d called", a, c)
		}
	}
}

func TestRunWithNothingToDoReturnsAtOnce(t *testing.T) {
	l := bare(t)
	l.After(time.Hour, func() { t.Error("called") }) // does not hold it
	l.OnSignal(func(os.Signal) {}, syscall.SIGUSR1)  // nor does this
	if err := l.Run(); err != nil {
		t.Error(err)
	}
	if n := len(l.k.(*script).calls(0, onWait)); n != 0 {
		t.Errorf("waited %d times", n)
	}
}

func TestLoopRunsOnce(t *testing.T) {
	l := bare(t)
	for i, want := range []error{nil, ErrStopped, ErrStopped} {
		if err := l.Run(); err != want {
			t.Errorf("Run %d returned %v, want %v", i, err, want)
		}
	}
}

// After Run there must be no descriptor of the loop's left.
func TestRunGivesUpItsDescriptors(t *testing.T) {
	lowest := func() int {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return fd
	}
	before := lowest()
	l, err := New(site, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	l.StopListening()
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if after := lowest(); after > before {
		t.Errorf("the lowest free descriptor was %d and is %d", before, after)
	}
}

func TestSignalsAreCallsOnTheLoop(t *testing.T) {
	s := serve(t, site, Options{})
	got := make(chan os.Signal, 16)
	turns := 0
	s.OnSignal(func(sig os.Signal) { turns++; got <- sig }, syscall.SIGUSR1, syscall.SIGUSR2)
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGUSR1} {
		if err := unix.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		if have := within(t, "the signal", got); have != sig {
			t.Errorf("got %v, want %v", have, sig)
		}
	}
	s.on(func() {
		if turns != 3 {
			t.Errorf("%d calls", turns)
		}
	})
}

// A signal that comes late must not end the process.
func TestSignalsAfterRunDoNothing(t *testing.T) {
	l := bare(t)
	l.OnSignal(func(os.Signal) { t.Error("called") }, syscall.SIGUSR1)
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	other := serve(t, site, Options{})
	got := make(chan os.Signal, 1)
	other.OnSignal(func(s os.Signal) { got <- s }, syscall.SIGUSR1)
	for range 3 {
		if err := unix.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		within(t, "the other loop's signal", got)
	}
}

func TestSignalStopsListening(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	c.ask("/", 200, "hello")
	s.OnSignal(func(os.Signal) { s.StopListening() }, syscall.SIGUSR1)
	if err := unix.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.held(Held{Idle: 1})
	c.ask("/", 200, "hello")
	c.Close()
	if err := s.ended(); err != nil && !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
}
