//go:build linux

package restart

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
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
	s := &signals{l: l, o: o.withDefaults(), c: make(chan os.Signal, 64)}
	s.notify()
	of[l] = s
	return nil
}

// of is the signals of each loop that has asked for them.
var of = map[*loop.Loop]*signals{}

// signals is what a loop does with them.
type signals struct {
	l     *loop.Loop
	o     Options
	c     chan os.Signal
	stops int // TERM and INT so far
}

var obeyed = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP}

// notify has signals come to the loop.
func (s *signals) notify() {
	c := s.c
	signal.Notify(c, obeyed...)
	go func() {
		for sig := range c {
			if s.l.Post(func() { s.obey(sig) }) != nil {
				return
			}
		}
	}()
}

// pauseForExec ends that for an exec. What came and was not obeyed yet is raised
// again: blocked, it waits for the next image.
func (s *signals) pauseForExec() {
	signal.Stop(s.c) // waits for those that are being delivered
	signal.Ignore(syscall.SIGHUP)
	close(s.c)
	for sig := range s.c {
		if sig == syscall.SIGUSR1 || sig == syscall.SIGUSR2 {
			unix.Kill(os.Getpid(), sig.(syscall.Signal))
		}
	}
}

// goOn is for an exec that has failed.
func (s *signals) goOn() {
	s.c = make(chan os.Signal, 64)
	s.notify()
}

func (s *signals) obey(sig os.Signal) {
	log := s.l.Logger()
	switch sig {
	case syscall.SIGUSR2:
		InPlace(s.l, s.o, func(err error) {
			if err != nil {
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
	err := first.execWith(syscall.Exec, append(os.Environ(), blockedMark+"=1"))
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
