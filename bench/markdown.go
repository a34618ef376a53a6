//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// markdown is the report for people.
func (r *report) markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, `%s`, commit %s\n\n", r.Started.Format(time.DateTime+" MST"), strings.TrimSpace(r.Command), r.Commit)
	fmt.Fprintf(&b, "Linux %s, %s, %d cores, %s, %s; load average %s before, %s after\n\n",
		m.Kernel, m.CPU, m.Cores, m.Go, m.CC, m.LoadAverage, r.LoadAverageAfter)
	if r.Series != nil {
		r.writeRatios(&b)
		r.writeDetails(&b)
	}
	if r.Memory != nil {
		r.writeMemory(&b)
	}
	r.writeServers(&b)
	return b.String()
}

// writeRatios is a table with a row for each server and a column for each
// workload.
func (r *report) writeRatios(b *strings.Builder) {
	fmt.Fprintf(b, "Requests per second of the server's processor time, %s = 1: median (min..max) of the ratios within %d rounds of %g s\n\n", r.Base, r.Rounds, r.Seconds)
	b.WriteString("| |")
	for _, w := range r.Workloads {
		b.WriteString(" " + w.Name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.Workloads)) + "\n")
	for _, e := range r.Servers {
		b.WriteString("| " + e.Name + " |")
		for _, w := range r.Workloads {
			b.WriteString(" " + r.find(w.Name, e.Name).cell() + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// cell is a ratio in the table; nothing if there is no base for it.
func (s *series) cell() string {
	if s == nil || s.Ratio.Median == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f..%.2f)", s.Ratio.Median, s.Ratio.Min, s.Ratio.Max)
}

// writeDetails is a table with a row for each series.
func (r *report) writeDetails(b *strings.Builder) {
	b.WriteString("| workload | server | load | requests per CPU second | CPU µs per request | user mode | answer, bytes | core used | core waited for | p50, µs | p99, µs | p99, ratio |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Series {
		if len(s.Runs) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %.0f | %.2f | %.0f %% | %d | %.0f %% | %.0f %% | %s |\n", s.Workload, s.Server, s.Tool, s.PerSecond.Median, 1e6/s.PerSecond.Median,
			100*s.User.Median, s.Runs[0].Bytes, 100*s.Busy.Median, 100*s.Waited.Median, s.latency())
	}
	b.WriteString("\n")
	for _, w := range r.Workloads {
		fmt.Fprintf(b, "- %s: %s\n", w.Name, w.About)
	}
	b.WriteString("\n")
}

// latency is three cells, which are empty if the tool does not tell.
func (s *series) latency() string {
	if s.P99.Median == 0 {
		return "| |"
	}
	ratio := ""
	if s.P99Ratio.Median > 0 {
		ratio = fmt.Sprintf("%.2f (%.2f..%.2f)", s.P99Ratio.Median, s.P99Ratio.Min, s.P99Ratio.Max)
	}
	return fmt.Sprintf("%.0f | %.0f | %s", s.P50.Median, s.P99.Median, ratio)
}

// writeMemory is a table with a row for each server and state.
func (r *report) writeMemory(b *strings.Builder) {
	fmt.Fprintf(b, "Resident memory with %d connections, %d rounds\n\n", r.Conns, r.Rounds)
	b.WriteString("| held | server | bytes per connection | min..max | of them anonymous | before, MB | with them, MB | when they had gone, MB |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, m := range r.Memory {
		if len(m.Runs) > 0 {
			b.WriteString(m.row(r.Conns))
		}
	}
	b.WriteString("\n")
	for _, h := range r.Held {
		fmt.Fprintf(b, "- %s: %s\n", h.Name, h.About)
	}
	b.WriteString("\n")
}

// writeServers tells what took part.
func (r *report) writeServers(b *strings.Builder) {
	for _, e := range r.Servers {
		fmt.Fprintf(b, "- %s: %s", e.Name, e.About)
		if e.Version != "" {
			b.WriteString("; " + e.Version)
		}
		b.WriteString("\n")
	}
	if len(r.Tools) > 0 {
		fmt.Fprintf(b, "- load: %s\n", strings.Join(r.Tools, ", "))
	}
}
