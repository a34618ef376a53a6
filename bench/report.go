//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// report is all that was measured.
type report struct {
	Started          time.Time      `json:"started"`
	Command          string         `json:"command"`
	Commit           string         `json:"commit"`
	Machine          machine        `json:"machine"`
	Tools            []string       `json:"tools"` // with their versions
	Servers          []entrant      `json:"servers"`
	LoadAverageAfter string         `json:"load_average_after"`
	Rounds           int            `json:"rounds"`
	Seconds          float64        `json:"seconds"` // of each run
	Workloads        []about        `json:"workloads"`
	Base             string         `json:"base"`            // that others are compared with
	Series           []series       `json:"series"`          // of processor time, or
	Conns            int            `json:"conns"`           // that were held to measure memory,
	Held             []about        `json:"held"`            // in these states,
	Memory           []memorySeries `json:"memory_of_conns"` // and what they took
}

// entrant is a server that took part.
type entrant struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Version string `json:"version"`
}

// about tells what a name means.
type about struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// newReport knows all but the runs.
func newReport(o options) report {
	r := report{
		Started: time.Now().UTC().Truncate(time.Second),
		Command: o.command,
		Commit:  commitOf(o.root),
		Machine: thisMachine(),
		Rounds:  o.rounds,
		Base:    o.base,
	}
	for _, s := range o.servers {
		r.Servers = append(r.Servers, entrant{s.name, s.about, s.told})
	}
	return r
}

// addTool notes a tool with its version.
func (r *report) addTool(name string) {
	if v := toolVersion(name); !slices.Contains(r.Tools, v) {
		r.Tools = append(r.Tools, v)
	}
}

// find is the series of a server with a workload, nil if there is none.
func (r *report) find(workload, server string) *series {
	i := slices.IndexFunc(r.Series, func(s series) bool { return s.Workload == workload && s.Server == server })
	if i < 0 {
		return nil
	}
	return &r.Series[i]
}

// summarize fills in what follows from the runs.
func (r *report) summarize() {
	for i := range r.Series {
		var base []outcome
		if b := r.find(r.Series[i].Workload, r.Base); b != nil {
			base = b.Runs
		}
		r.Series[i].summarize(base)
	}
}

// write writes the files that the command line names. folder is for others.
func (r *report) write(o options, folder string) error {
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return err
		}
		name := filepath.Join(o.out, r.Started.Format("2006-01-02-1504-")+r.Commit)
		o.json, o.markdown, o.svg = name+".json", name+".md", name+".svg"
		if r.Series == nil {
			o.svg = "" // there is no chart of memory
		}
	}
	if err := writeFile(o.markdown, []byte(r.markdown())); err != nil {
		return err
	}
	if o.svg == "" {
		return r.writeJSON(o.json)
	}
	if o.json == "" {
		o.json = filepath.Join(folder, "report.json")
	}
	if err := r.writeJSON(o.json); err != nil {
		return err
	}
	return build("", chartIn(folder), o.json, o.svg)
}

// chartIn is where the program is that draws the chart. It is a module of its own,
// since what it needs is large.
func chartIn(folder string) string { return filepath.Join(folder, "chart") }

// writeJSON writes the report for programs, if a file is named.
func (r *report) writeJSON(name string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(name, append(text, '\n'))
}

func writeFile(name string, text []byte) error {
	if name == "" {
		return nil
	}
	return os.WriteFile(name, text, 0o644)
}
