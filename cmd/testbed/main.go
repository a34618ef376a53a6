//go:build linux

// Testbed is the server that probes, benchmarks and fault tests run against. It
// is made of the public API alone: ordinary handlers, each at every default.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"catboat/files"
	"catboat/loop"
	"catboat/restart"
)

// settings is what the flags say.
type settings struct {
	listen, static, logFile, pidFile string
	timeouts                         loop.Timeouts
	deferAccept                      bool
	manners                          restart.Options
}

func main() {
	var s settings
	t := &s.timeouts
	flag.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.StringVar(&s.static, "static", "", "`folder` to serve as /static/ (default none)")
	flag.DurationVar(&t.Head, "header", 0, "time for a whole head (default 10s)")
	flag.DurationVar(&t.Body, "body", 0, "time between two bytes of a body (default 20s)")
	flag.DurationVar(&t.Write, "write", 0, "time for a client to take some of a reply (default 20s)")
	flag.DurationVar(&t.Idle, "idle", 0, "time between two requests (default 1m15s)")
	flag.IntVar(&t.MinRate, "min-rate", 0, "`bytes` a second that a client must send of a body, or take of a reply (default 1024)")
	flag.DurationVar(&t.Grace, "grace", 0, "time over which that is judged (default 10s)")
	flag.BoolVar(&s.deferAccept, "defer-accept", false, "accept connections when their clients have said something")
	m := &s.manners
	flag.DurationVar(&m.Grace, "stop-grace", 0, "time for idle connections at a stop (default 2s)")
	flag.DurationVar(&m.Delay, "stop-delay", 0, "time for which clients are let in while readiness fails")
	flag.DurationVar(&m.Deadline, "deadline", 0, "time for a stop, or a hand-over (default 30s)")
	flag.DurationVar(&m.Trial, "trial", 0, "time for a new program's start-up (default 10s)")
	flag.DurationVar(&m.Patience, "patience", 0, "time for what a restart in place cannot carry (default 10s)")
	flag.StringVar(&s.logFile, "log", "", "`file` for the server's own log (default stderr)")
	flag.StringVar(&s.pidFile, "pid", "", "`file` for the process ID")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "testbed: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if err := s.run(); err != nil {
		slog.Error("testbed failed", "error", err)
		os.Exit(1)
	}
}

// twoProcessors keeps Go's monitor from taking the only processor away from the loop
// whenever that has waited for 20 us, and giving it back. Where there is another one that is
// idle it leaves it alone for 10 ms. Bench has what it brings.
func twoProcessors() { runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) }

// run serves until the loop ends.
func (s *settings) run() error {
	twoProcessors()
	o := loop.Options{HeadFirst: true, DeferAccept: s.deferAccept, Resumables: resumables, Timeouts: s.timeouts}
	o.Logger = slog.Default()
	if s.logFile != "" {
		f, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		o.Logger = slog.New(slog.NewTextHandler(f, nil))
	}
	l, err := loop.New(nil, o)
	if err != nil {
		return err
	}
	manners := s.manners
	manners.OnHUP = func() {
		restart.HandOver(l, manners, func(err error) {
			if err != nil && !errors.Is(err, restart.ErrStopping) {
				o.Logger.Error("hand-over failed; serving on", "error", err)
			}
		})
	}
	if err := restart.Signals(l, manners); err != nil {
		return err
	}
	paths := newPaths(l)
	if s.static != "" {
		tree, err := files.New(s.static, files.Options{Prefix: staticPrefix})
		if err != nil {
			return err
		}
		defer tree.Close()
		paths.tree = tree.Serve
	}
	l.SetHandler(paths.serve)
	bound, err := l.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	adopted, err := restart.Ready(l)
	if err != nil {
		return err
	}
	if s.pidFile != "" {
		p, err := restart.WritePIDFile(s.pidFile)
		if err != nil {
			return err
		}
		defer p.Remove()
	}
	if n := restart.Generation(); n > 0 {
		fmt.Printf("generation %d with %d connections\n", n, adopted)
	} else {
		fmt.Printf("listening on %s\n", bound)
	}
	return l.Run()
}
