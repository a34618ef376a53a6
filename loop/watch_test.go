//go:build linux

package loop

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// pipe makes a non-blocking pipe.
func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func TestAnAddedDescriptorIsReportedWhileItIsReady(t *testing.T) {
	s := serve(t, site, Options{})
	r, w := pipe(t)
	var watch *Watch
	seen := make(chan Events)
	s.on(func() {
		var err error
		if watch, err = s.Add("pipe", r, Readable, func(e Events) {
			if watch.Set(0); e&Ended != 0 {
				watch.Remove()
			}
			seen <- e
		}); err != nil {
			t.Error(err)
		}
	})
	unix.Write(w, []byte("x"))
	for range 3 { // the byte stays, and each Set has it reported again
		if e := within(t, "the pipe to be readable", seen); e != Readable {
			t.Errorf("reported %b", e)
		}
		s.on(func() { watch.Set(Readable) })
	}
	within(t, "the pipe to be readable", seen)
	unix.Close(w)
	if e := within(t, "the pipe's end", seen); e != Ended {
		t.Errorf("at the end reported %b", e)
	}
	s.on(func() { watch.Remove(); watch.Remove() })
	if err := watch.Set(Readable); err == nil {
		t.Error("a watch that was removed can be set")
	}
}

func TestAnAddedDescriptorHoldsRun(t *testing.T) {
	s := serve(t, site, Options{})
	_, w := pipe(t)
	var watch *Watch
	written := make(chan struct{}, 1)
	s.on(func() {
		watch, _ = s.Add("pipe", w, Writable, func(e Events) { watch.Set(0); written <- struct{}{} })
	})
	within(t, "the pipe to be writable", written)
	if n, held := s.EpollSize(), s.heldNow(); n != 2 || held.Other != 1 {
		t.Errorf("EpollSize is %d and %d are others, want 2 and 1", n, held.Other)
	}
	s.StopListening()
	s.until("the listener's end", func() bool { return s.EpollSize() == 1 })
	s.Post(watch.Remove)
	if err := s.ended(); err != nil {
		t.Error(err)
	}
	if _, err := s.Add("late", w, Writable, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("adding after Run gives %v", err)
	}
}

// heldNow is Held from another goroutine.
func (s *server) heldNow() (h Held) {
	s.on(func() { h = s.Held() })
	return h
}

func TestADescriptorThatCannotBeWatchedIsRefused(t *testing.T) {
	s := serve(t, site, Options{})
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, _ := pipe(t)
	s.on(func() {
		for _, row := range []struct {
			name string
			fd   int
			says string
		}{
			{"a file", int(file.Fd()), syscall.EPERM.Error()},
			{"none", 1 << 20, syscall.EBADF.Error()},
			{"a huge one", 1 << 30, syscall.EBADF.Error()},
			{"a negative one", -1, syscall.EBADF.Error()},
		} {
			if _, err := s.Add(row.name, row.fd, Readable, nil); err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), row.name) {
				t.Errorf("%s: %v, want %q", row.name, err, row.says)
			}
		}
		if n := len(s.records); n > 10 {
			t.Errorf("the records take %d pages", n)
		}
		watch, err := s.Add("first", r, Readable, func(Events) {})
		if err != nil {
			t.Error(err)
		}
		if _, err := s.Add("second", r, Readable, nil); err == nil {
			t.Error("a descriptor can be added twice")
		}
		if s.Held().Other != 1 {
			t.Errorf("%d are held", s.Held().Other)
		}
		watch.Remove()
	})
}
