//go:build linux

package restart

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"catboat/loop"
)

// blockedMark is the variable by which an image knows that it was started with USR1 and
// USR2 blocked.
const blockedMark = "CATBOAT_BLOCKED"

// Signals has the loop obey the signals of an operator:
//
//	TERM, INT   graceful stop: no new connections, all requests answered, within
//	            Options.Deadline; the second time at once
//	QUIT        graceful stop without a deadline
//	USR1        soft stop: every further request gets 503
//	USR2        restart in place: see [InPlace]
//	HUP         Options.OnHUP; without one nothing: it is not deadly
//
// It is called first, before Listen: in a program that was not started by itself it
// executes the program once more, with USR1 and USR2 blocked, which takes
// milliseconds. From then on neither is lost nor deadly, not even while one image
// of the program follows another: they wait. TERM and INT cannot be had so; in the
// milliseconds of an exec they end the process at once.
func Signals(l *loop.Loop, o Options) error {
	if err := block(); err != nil {
		return err
	}
	s := &signals{l: l, o: o.withDefaults()}
	s.notify()
	stateOf(l).signals = s
	return nil
}

// signals is what a loop does with them.
type signals struct {
	l     *loop.Loop
	o     Options
	c     chan os.Signal
	ended chan struct{} // nobody listens to c any more
	stops int           // TERM and INT so far

	mu   sync.Mutex
	came []os.Signal // and were not obeyed yet
}

var obeyed = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP}

// notify has signals come to the loop.
func (s *signals) notify() {
	c, ended := make(chan os.Signal, 64), make(chan struct{})
	s.c, s.ended = c, ended
	signal.Notify(c, obeyed...)
	go func() {
		defer close(ended)
		for sig := range c {
			s.mu.Lock()
			s.came = append(s.came, sig)
			s.mu.Unlock()
			s.l.Post(s.obeyAll) // fails when Run has returned: then signals do nothing
		}
	}()
}

// take takes those that have come.
func (s *signals) take() (came []os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	came, s.came = s.came, nil
	return came
}

func (s *signals) obeyAll() {
	for _, sig := range s.take() {
		s.obey(sig)
	}
}

// pauseForExec ends that for an exec. What came and was not obeyed yet is for the next
// image: USR1 and USR2 are raised again, and wait, since they are blocked; of HUP it
// hears. If the program was told to stop there is to be no next image: that is an error.
func (s *signals) pauseForExec() (hupCame bool, err error) {
	signal.Stop(s.c) // waits for those that are being delivered
	signal.Ignore(syscall.SIGHUP)
	close(s.c)
	<-s.ended
	came := s.take()
	for _, sig := range came {
		switch sig {
		case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
			s.mu.Lock()
			s.came = came
			s.mu.Unlock()
			return false, ErrStopping
		}
	}
	for _, sig := range came {
		switch sig {
		case syscall.SIGUSR1, syscall.SIGUSR2:
			unix.Kill(os.Getpid(), sig.(syscall.Signal))
		case syscall.SIGHUP:
			hupCame = true
		}
	}
	return hupCame, nil
}

// goOn is for an exec that has failed.
func (s *signals) goOn() {
	s.notify()
	s.l.Post(s.obeyAll)
}

func (s *signals) obey(sig os.Signal) {
	log := s.l.Inside().Logger()
	switch sig {
	case syscall.SIGUSR2:
		InPlace(s.l, s.o, func(err error) {
			switch {
			case errors.Is(err, ErrStopping):
				log.Info("no restart in place", "reason", err)
			case err != nil:
				log.Error("restart in place failed; serving on", "error", err)
			}
		})
	case syscall.SIGHUP:
		if s.o.OnHUP != nil {
			s.o.OnHUP()
		}
	case syscall.SIGUSR1:
		SoftStop(s.l, s.o)
	case syscall.SIGQUIT:
		o := s.o
		o.Deadline = -1
		Stop(s.l, o)
	default:
		if s.stops++; s.stops > 1 {
			log.Warn("stopping at once", "signal", sig.String(), "held", s.l.EpollSize())
			s.l.Cut()
			return
		}
		Stop(s.l, s.o)
	}
}

// block executes the program again with USR1 and USR2 blocked, unless it was started
// so. All threads of the new image have the block then, but the one by which the Go
// runtime takes signals that somebody wants.
func block() error {
	if areBlocked() {
		os.Unsetenv(blockedMark)
		return nil
	}
	if first.err != nil {
		return fmt.Errorf("restart: how the program was started is not known: %w", first.err)
	}
	runtime.LockOSThread() // whose mask the new image has
	if err := setBlocked(true); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGHUP) // until the new image asks for it
	err := first.execWith(syscall.Exec, append(os.Environ(), blockedMark+"=1"))
	signal.Reset(syscall.SIGHUP)
	setBlocked(false)
	runtime.UnlockOSThread()
	return err
}

// startedBlocked is whether this image was started so.
var startedBlocked = os.Getenv(blockedMark) != ""

func areBlocked() bool { return startedBlocked }

// setBlocked blocks USR1 and USR2 in this thread, or no more.
func setBlocked(blocked bool) error {
	var set unix.Sigset_t
	for _, s := range [...]syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
		set.Val[0] |= 1 << (s - 1)
	}
	how := unix.SIG_UNBLOCK
	if blocked {
		how = unix.SIG_BLOCK
	}
	return os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(how, &set, nil))
}
