//go:build linux

// Bench measures how much processor time the server needs for a request, as a
// ratio to the floor: a server in C that parses nothing. README.md says how, and
// what came of it.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// The servers have one core for themselves, the load has another.
const (
	serverCore = 0
	loadCore   = 1
)

// options are what the command line says.
type options struct {
	workloads []workload
	rounds    int
	span      time.Duration // of one run
	procs     []string      // values of GOMAXPROCS that testbed is run with
	also      []string      // NAME=PATH of other servers
	memory    bool          // measure memory, not processor time
	conns     int           // that are held for it
	json      string
	root      string
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if err == flag.ErrHelp {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := f.String("workloads", "W1,W4,W5", "`names` of workloads, with commas; all for all of them")
	procs := f.String("gomaxprocs", "2", "`values` of GOMAXPROCS for Go servers, with commas; unset leaves it to Go")
	seconds := f.Float64("seconds", 3, "`length` of one run")
	f.IntVar(&o.rounds, "rounds", 7, "`number` of times that each server is run")
	f.BoolVar(&o.memory, "memory", false, "measure the memory of connections that are held, not processor time; of the others -rounds, -gomaxprocs and -root apply")
	f.IntVar(&o.conns, "conns", 10_000, "`number` of connections for -memory")
	f.StringVar(&o.json, "json", "", "`file` for the figures of each run")
	f.StringVar(&o.root, "root", "..", "`folder` of the module with cmd/testbed")
	f.Func("also", "`NAME=PATH` of another server that is started as testbed is; may be repeated", func(s string) error {
		o.also = append(o.also, s)
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
	o.procs = strings.Split(*procs, ",")
	o.workloads, err = selectWorkloads(*names)
	return o, err
}

func selectWorkloads(names string) (chosen []workload, err error) {
	if names == "all" {
		return workloads, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no workload %q", name)
		}
		chosen = append(chosen, workloads[i])
	}
	return chosen, nil
}

// run measures all and prints the report. Any wrong answer ends it.
func run(o options) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	servers, err := buildServers(folder, o)
	if err != nil {
		return err
	}
	if err := pinProcess(loadCore); err != nil {
		return err
	}
	if o.memory {
		text, err := memoryReport(servers[1], o)
		fmt.Print(text)
		return err
	}
	r := report{
		Started: time.Now().UTC().Truncate(time.Second),
		Command: "go run . " + strings.Join(os.Args[1:], " "),
		Machine: thisMachine(),
		Seconds: o.span.Seconds(),
	}
	for _, w := range o.workloads {
		for _, s := range servers {
			r.Series = append(r.Series, series{Workload: w.name, Server: s.name})
		}
	}
	for round := range o.rounds {
		for i := range r.Series {
			w, s := o.workloads[i/len(servers)], servers[i%len(servers)]
			one, err := measure(s, w, o.span)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", w.name, s.name, err)
			}
			r.Series[i].Runs = append(r.Series[i].Runs, one)
			fmt.Fprintf(os.Stderr, "round %d of %d: %-4s %-26s %9.0f requests per CPU second\n",
				round+1, o.rounds, w.name, s.name, one.perCPUSecond())
		}
	}
	r.LoadAverageAfter = loadAverage()
	r.summarize()
	fmt.Print(r.markdown())
	return r.writeJSON(o.json)
}

// measure starts a server, sees that it answers rightly, loads it for a while,
// and stops it.
func measure(s server, w workload, span time.Duration) (outcome, error) {
	p, err := s.start(w)
	if err != nil {
		return outcome{}, err
	}
	defer p.stop()
	want, err := firstAnswer(p.address, w, s.fixedDate)
	if err != nil {
		return outcome{}, fmt.Errorf("the first answer: %w", err)
	}
	one, err := applyLoad(p, w, want, span)
	one.Bytes = len(want.bytes)
	return one, err
}
