//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// reading is what the counters say at one moment.
type reading struct {
	at          time.Time
	answered    int64
	cpu, waited time.Duration
}

// reading reads the counters of a server that is under load.
func (p *process) reading(answered int64) (r reading, err error) {
	if r.waited, err = p.waited(); err != nil {
		return r, err
	}
	r.at, r.answered = time.Now(), answered
	r.cpu, err = p.cpu()
	return r, err
}

func (r reading) to(later reading) outcome {
	return outcome{
		Requests: later.answered - r.answered,
		CPU:      (later.cpu - r.cpu).Seconds(),
		Seconds:  later.at.Sub(r.at).Seconds(),
		Waited:   (later.waited - r.waited).Seconds(),
	}
}

// outcome is what one run came to.
type outcome struct {
	Requests int64   `json:"requests"`    // that were answered
	Bytes    int     `json:"bytes"`       // of each answer
	CPU      float64 `json:"cpu_seconds"` // that the server used
	Seconds  float64 `json:"seconds"`     // that passed
	Waited   float64 `json:"waited"`      // seconds for which threads of the server waited for their core
}

func (o outcome) perCPUSecond() float64 { return float64(o.Requests) / o.CPU }

// series is all runs of one server with one workload, in the order of rounds.
type series struct {
	Workload  string    `json:"workload"`
	Server    string    `json:"server"`
	PerSecond spread    `json:"requests_per_cpu_second"`
	Ratio     spread    `json:"ratio_to_floor"`
	Busy      spread    `json:"busy"`   // share of its core that the server used
	Waited    spread    `json:"waited"` // share of the time that it waited for it
	Runs      []outcome `json:"runs"`
}

// spread is where values lie.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return spread{}
	}
	return spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// ratios compares runs with those of the floor, each with that of its round: what
// slows the machine for a while slows both.
func ratios(runs, floor []outcome) (all []float64) {
	for i := range min(len(runs), len(floor)) {
		all = append(all, runs[i].perCPUSecond()/floor[i].perCPUSecond())
	}
	return all
}

func (s *series) summarize(floor []outcome) {
	each := func(f func(outcome) float64) spread {
		var values []float64
		for _, r := range s.Runs {
			values = append(values, f(r))
		}
		return spreadOf(values)
	}
	s.PerSecond = each(outcome.perCPUSecond)
	s.Busy = each(func(o outcome) float64 { return o.CPU / o.Seconds })
	s.Waited = each(func(o outcome) float64 { return o.Waited / o.Seconds })
	s.Ratio = spreadOf(ratios(s.Runs, floor))
}

// report is all that was measured.
type report struct {
	Started          time.Time `json:"started"`
	Command          string    `json:"command"`
	Machine          machine   `json:"machine"`
	LoadAverageAfter string    `json:"load_average_after"`
	Seconds          float64   `json:"seconds"` // of each run
	Series           []series  `json:"series"`
}

// summarize fills in what follows from the runs.
func (r *report) summarize() {
	for i := range r.Series {
		s := &r.Series[i]
		floor := slices.IndexFunc(r.Series, func(f series) bool { return f.Workload == s.Workload && f.Server == "floor" })
		if floor >= 0 {
			s.summarize(r.Series[floor].Runs)
		}
	}
}

// markdown is the report for people.
func (r *report) markdown() string {
	var b strings.Builder
	rounds := 0
	for _, s := range r.Series {
		rounds = max(rounds, len(s.Runs))
	}
	m := r.Machine
	fmt.Fprintf(&b, "%s, `%s`: %d rounds of %g s each\n\n", r.Started.Format(time.DateTime+" MST"), strings.TrimSpace(r.Command), rounds, r.Seconds)
	fmt.Fprintf(&b, "Linux %s, %s, %d cores, %s, %s; load average %s before, %s after\n\n",
		m.Kernel, m.CPU, m.Cores, m.Go, m.CC, m.LoadAverage, r.LoadAverageAfter)
	b.WriteString("| workload | server | of the floor | min..max | requests per CPU second | CPU µs per request | answer, bytes | core used | core waited for |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Series {
		if len(s.Runs) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %.2f | %.2f..%.2f | %.0f | %.2f | %d | %.0f %% | %.0f %% |\n", s.Workload, s.Server, s.Ratio.Median, s.Ratio.Min, s.Ratio.Max,
			s.PerSecond.Median, 1e6/s.PerSecond.Median, s.Runs[0].Bytes, 100*s.Busy.Median, 100*s.Waited.Median)
	}
	b.WriteString("\n")
	for _, w := range workloads {
		if slices.ContainsFunc(r.Series, func(s series) bool { return s.Workload == w.name }) {
			fmt.Fprintf(&b, "- %s: %s\n", w.name, w.about)
		}
	}
	return b.String()
}

// writeJSON writes the report for programs, if a file is named.
func (r *report) writeJSON(name string) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}
