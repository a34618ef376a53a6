//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// measureTime runs all servers with all workloads, in rounds.
func (r *report) measureTime(o options) error {
	defer r.summarize()
	r.Seconds = o.span.Seconds()
	type pair struct {
		server
		workload
	}
	var pairs []pair
	for _, w := range o.workloads {
		name, err := toolOf(w, o.tool)
		if err != nil {
			return err
		}
		r.Workloads = append(r.Workloads, about{w.name, w.about})
		r.addTool(name)
		for _, s := range o.servers {
			if s.serves(w) {
				pairs = append(pairs, pair{s, w})
				r.Series = append(r.Series, series{Workload: w.name, Server: s.name, Tool: name})
			}
		}
	}
	for round := range o.rounds {
		for i, p := range pairs {
			one, err := measure(p.server, p.workload, tools[r.Series[i].Tool], o.span)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.workload.name, p.server.name, err)
			}
			r.Series[i].Runs = append(r.Series[i].Runs, one)
			fmt.Fprintf(os.Stderr, "round %d of %d: %-4s %-26s %9.0f requests per CPU second\n",
				round+1, o.rounds, p.workload.name, p.server.name, one.perCPUSecond())
		}
	}
	return nil
}

// measure starts a server, sees that it answers rightly, loads it for a while,
// and stops it.
func measure(s server, w workload, apply tool, span time.Duration) (outcome, error) {
	p, err := s.start(w)
	if err != nil {
		return outcome{}, err
	}
	defer p.stop()
	want, err := firstAnswer(p.address, w, s.fixedDate)
	if err != nil {
		return outcome{}, fmt.Errorf("the first answer: %w", err)
	}
	one, err := apply(p, w, want, span)
	if err == nil && one.CPU <= 0 {
		err = errIdle
	}
	one.Bytes = len(want.bytes)
	return one, err
}

// errIdle is of a server that did not have its turn in all the time of a run.
var errIdle = errors.New("it used no processor time")
