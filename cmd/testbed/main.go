//go:build linux

// Testbed is the server that probes, benchmarks and fault tests run against. It
// is made of the public API alone: ordinary handlers, each at every default.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"catboat/loop"
)

func main() {
	var t loop.Timeouts
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.DurationVar(&t.Head, "header", 0, "time for a whole head (default 10s)")
	flag.DurationVar(&t.Body, "body", 0, "time between two bytes of a body (default 20s)")
	flag.DurationVar(&t.Write, "write", 0, "time for a client to take some of a reply (default 20s)")
	flag.DurationVar(&t.Idle, "idle", 0, "time between two requests (default 1m15s)")
	logFile := flag.String("log", "", "`file` for the server's own log (default stderr)")
	pidFile := flag.String("pid", "", "`file` for the process ID")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "testbed: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*listen, *logFile, *pidFile, t); err != nil {
		slog.Error("testbed failed", "error", err)
		os.Exit(1)
	}
}

func run(listen, logFile, pidFile string, t loop.Timeouts) error {
	o := loop.Options{HeadFirst: true, Timeouts: t}
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
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
	l.SetHandler(newPaths(l))
	bound, err := l.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if pidFile != "" {
		if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("listening on %s\n", bound)
	return l.Run()
}
