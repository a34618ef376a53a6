//go:build linux

package restart

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"catboat/internal/cargo"
	"catboat/internal/kernel"
	"catboat/loop"
)

// InPlace executes the program anew, as it was first invoked, in this process, with
// every connection open: half-read requests, half-sent replies, files that are being sent, resumable
// replies go on in the new image. Clients see a pause of milliseconds.
//
// First a child does the new program's start-up, up to [Ready]; if it fails nothing
// has happened. Then the loop waits, serving, until nothing ties a connection to
// this image (see [loop.Ties]): at most for Options.Patience. Functions of After are dropped; the new
// image sets its own. Functions of AfterReply whose reply is not out get conn.ErrCarried.
//
// It is called on the loop's goroutine and returns at once. done is called there
// if the restart has failed and the program goes on as it was; after success nobody is
// there to be told. A restart that is asked for during another waits for its
// outcome; all who ask meanwhile share the next one.
func InPlace(l *loop.Loop, o Options, done func(error)) {
	enqueue(l, inPlaceKind, done, func() {
		p := &inPlace{l: l, o: o.withDefaults()}
		stateOf(l).cancel = p.fail
		reloading()
		c := cargo.Cargo{Listeners: l.Inside().Listening(), Named: l.Inside().Watched()}
		l.Inside().Logger().Info("trying the new program", "path", first.path, "at most", p.o.Trial)
		go func() {
			err := first.try(c, p.o.Trial)
			l.Post(func() { p.tried(err) })
		}()
	})
}

// inPlace is one restart.
type inPlace struct {
	l        *loop.Loop
	o        Options
	patience *loop.Timer
	hold     *cargo.Hold
	over     bool
}

// tried goes on behind the trial.
func (p *inPlace) tried(err error) {
	if p.over {
		return
	}
	if err != nil {
		p.fail(fmt.Errorf("restart: the new program does not start: %w", err))
		return
	}
	p.patience = p.l.After(p.o.Patience, func() {
		p.fail(fmt.Errorf("restart: after %v there still are %v; a hand-over does not wait for them", p.o.Patience, p.l.Inside().Ties()))
	})
	// A child that is started from now on would inherit connections.
	syscall.ForkLock.RLock()
	if p.hold, err = cargo.NewHold(p.l.Inside().RestSize() + 4*p.l.Inside().Conns()); err != nil {
		p.fail(err)
		return
	}
	if ties := p.l.Inside().Ties(); ties.Sum() > 0 {
		p.l.Inside().Logger().Info("restart in place waits", "for", ties.String(), "at most", p.o.Patience)
	}
	p.keep()
}

// What is readied for the exec in a turn.
const (
	keepAtOnce    = 1000      // descriptors
	prepareAtOnce = 256 << 10 // bytes of the cargo
)

// keep readies descriptors and memory, some in each turn, and then waits for the moment.
func (p *inPlace) keep() {
	if p.over {
		return
	}
	ready, err := p.hold.Prepare(prepareAtOnce)
	switch {
	case err != nil:
		p.fail(err)
		return
	case !ready || !p.l.Inside().Keep(keepAtOnce):
		p.l.Post(p.keep)
		return
	}
	p.l.Inside().EachTurn(func() (again bool) {
		if p.over {
			return false
		}
		if p.l.Inside().Ties().Sum() > 0 {
			return true
		}
		p.fail(p.leave())
		return false
	})
}

// fail goes on as before, and tells who has asked.
func (p *inPlace) fail(err error) {
	if p.over {
		return
	}
	p.over = true
	if p.patience != nil {
		p.patience.Stop()
		p.l.Inside().KeepNot()
		if p.hold != nil {
			p.hold.Drop()
		}
		syscall.ForkLock.RUnlock()
	}
	finish(p.l, err)
}

// leave executes the program. It returns only if that fails.
func (p *inPlace) leave() error {
	logged := p.log()
	exe, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(exe)
	c := cargo.Cargo{Generation: Generation() + 1, Listeners: p.l.Inside().Listening(), Named: p.l.Inside().Watched()}
	written, conns, few := p.l.Inside().Rest(p.hold.Room())
	c.Loop = written
	few = append(few, exe)
	for _, ln := range c.Listeners {
		few = append(few, ln.FD)
	}
	if locked != nil {
		c.Named = append(c.Named, cargo.Named{FD: int(locked.f.Fd()), Name: pidFileName})
	}
	for _, n := range c.Named {
		few = append(few, n.FD)
	}
	c.FDs.Add(conns...)
	c.FDs.Add(few...)
	fd, err := p.hold.Seal(&c)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	few = append(few, fd)
	if err := keepAll(few, true); err != nil {
		return errors.Join(err, keepAll(few, false))
	}
	s := stateOf(p.l)
	passOn := s.passOn()
	if s.signals != nil {
		hupCame, err := s.signals.pauseForExec()
		if err != nil {
			s.signals.goOn()
			return errors.Join(err, keepAll(few, false))
		}
		if hupCame {
			passOn += " " + string(hup)
		}
	}
	<-logged
	err = first.execWith(syscall.Exec, environment(first.environment,
		cargo.Variable+"="+cargo.Value(fd, exe), againVariable+"="+passOn))
	if s.signals != nil {
		s.signals.goOn()
	}
	return errors.Join(err, keepAll(few, false))
}

// log tells of the restart while the rest of it goes on, since clients wait.
func (p *inPlace) log() (logged chan struct{}) {
	logged = make(chan struct{})
	conns, timers := p.l.Inside().Conns(), p.l.Inside().Timers()-1 // one is for our patience
	go func() {
		defer close(logged)
		p.l.Inside().Logger().Info("restarting in place", "generation", Generation()+1, "connections", conns, "timers dropped", timers)
	}()
	return logged
}

func keepAll(fds []int, keep bool) (err error) {
	for _, fd := range fds {
		err = errors.Join(err, kernel.KeepOnExec(fd, keep))
	}
	return err
}

// Options are the manners of leaving. A field that is zero means the default.
type Options struct {
	Grace      time.Duration // how long idle connections stay open at a stop, to hear "Connection: close" with their next reply; default 2 s
	Delay      time.Duration // how long accepting goes on at a stop while readiness already fails; default 0
	Deadline   time.Duration // for a stop, then the rest is cut; default 30 s, negative: none
	Trial      time.Duration // for a new program's start-up; default 10 s
	Head       time.Duration // for a head that has begun when a stop begins; default 2 s
	Patience   time.Duration // for what cannot be carried; default 10 s
	RetryAfter int           // seconds, of 503 replies; default 30
	OnHUP      func()        // what HUP does, on the loop's goroutine: other logs, another configuration, or HandOver
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		of    *time.Duration
		value time.Duration
	}{
		{&o.Grace, 2 * time.Second}, {&o.Deadline, 30 * time.Second}, {&o.Trial, 10 * time.Second},
		{&o.Head, 2 * time.Second}, {&o.Patience, 10 * time.Second},
	} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	if o.RetryAfter <= 0 {
		o.RetryAfter = 30
	}
	return o
}
