//go:build linux

package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	command   string
	servers   []server
	workloads []workload
	tool      string // that makes the load; "" is each workload's own
	base      string // name of the server that others are compared with
	rounds    int
	span      time.Duration // of one run
	memory    bool          // measure memory, not processor time
	conns     int           // that are held for it,
	held      []holding     // in these states
	root      string

	out, json, markdown, svg string // files
}

func parseOptions(args []string) (o options, err error) {
	var also []string
	o.command = "go run . " + strings.Join(args, " ")
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := f.String("workloads", "W1,W4,W5", "`names` of workloads, with commas; all for all of them")
	servers := f.String("servers", "floor,catboat", "`names` of servers, with commas; all for all of them: "+serverNames())
	procs := f.String("gomaxprocs", "unset", "`values` of GOMAXPROCS for catboat, with commas, the first for other Go servers too; unset leaves it to Go")
	seconds := f.Float64("seconds", 3, "`length` of one run; wrk and h2load take it rounded up")
	f.StringVar(&o.tool, "load", "", "`name` of the tool that makes the load: own, wrk or h2load (default that of each workload)")
	f.StringVar(&o.base, "base", "floor", "`name` of the server that the others are compared with; if it is not there, the first")
	f.IntVar(&o.rounds, "rounds", 7, "`number` of times that each server is run")
	f.BoolVar(&o.memory, "memory", false, "measure the memory of connections that are held, not processor time; -workloads, -seconds, -load and -base mean nothing then")
	f.IntVar(&o.conns, "conns", 10_000, "`number` of connections for -memory")
	held := f.String("held", "all", "`names` of the states for -memory, with commas: idle, idle after a burst, partial heads")
	f.StringVar(&o.out, "out", "", "`folder` for all three of the following, named by date and commit")
	f.StringVar(&o.json, "json", "", "`file` for the figures of each run")
	f.StringVar(&o.markdown, "markdown", "", "`file` for what is printed")
	f.StringVar(&o.svg, "svg", "", "`file` for a chart of the ratios")
	f.StringVar(&o.root, "root", "..", "`folder` of the module with cmd/testbed")
	f.Func("also", "`NAME=PATH` of another server that is started as catboat is; may be repeated", func(s string) error {
		also = append(also, s)
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.rounds < 1 || *seconds <= 0 || o.conns < 1 {
		return o, fmt.Errorf("-rounds, -seconds and -conns must be above 0")
	}
	o.span = time.Duration(*seconds * float64(time.Second))
	o.workloads, err = selectWorkloads(*names)
	if err != nil {
		return o, err
	}
	o.servers, err = selectServers(*servers, strings.Split(*procs, ","), also)
	if err != nil {
		return o, err
	}
	o.held, err = selectHoldings(*held)
	if err != nil {
		return o, err
	}
	if !slices.ContainsFunc(o.servers, func(s server) bool { return s.name == o.base }) {
		o.base = o.servers[0].name
	}
	for _, w := range o.workloads {
		if _, err := toolOf(w, o.tool); err != nil && !o.memory {
			return o, err
		}
	}
	return o, nil
}
