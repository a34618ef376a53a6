//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRatiosAreWithinRounds(t *testing.T) {
	run := func(requests int64, cpu float64) outcome { return outcome{Requests: requests, CPU: cpu, Seconds: 3} }
	for _, row := range []struct {
		name        string
		runs, floor []outcome
		want        []float64
	}{
		{"none", nil, nil, nil},
		{"equal", []outcome{run(100, 1)}, []outcome{run(100, 1)}, []float64{1}},
		{"half the requests", []outcome{run(50, 1)}, []outcome{run(100, 1)}, []float64{0.5}},
		{"twice the time", []outcome{run(100, 2)}, []outcome{run(100, 1)}, []float64{0.5}},
		{"a slow round slows both", []outcome{run(90, 1), run(45, 1)}, []outcome{run(100, 1), run(50, 1)}, []float64{0.9, 0.9}},
		{"the floor is ahead in rounds", []outcome{run(90, 1)}, []outcome{run(100, 1), run(50, 1)}, []float64{0.9}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ratios(row.runs, row.floor)
			if !slices.EqualFunc(got, row.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
				t.Errorf("%v, want %v", got, row.want)
			}
		})
	}
}

func TestSpreadIsMedianAndExtremes(t *testing.T) {
	for _, row := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{4, 1}, spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(row.values); got != row.want {
			t.Errorf("%v: %v, want %v", row.values, got, row.want)
		}
	}
}

func sample() report {
	r := report{
		Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Command: "go run . ", Seconds: 3, LoadAverageAfter: "7 8 9",
		Machine: machine{Kernel: "6.1", CPU: "a CPU", Cores: 2, Go: "go1.26", CC: "cc 12", LoadAverage: "1 2 3"},
		Series: []series{
			{Workload: "W1", Server: "floor", Runs: []outcome{{Requests: 300, Bytes: 132, CPU: 1, Seconds: 2}, {Requests: 100, Bytes: 132, CPU: 1, Seconds: 2}}},
			{Workload: "W1", Server: "testbed", Runs: []outcome{{Requests: 240, Bytes: 132, CPU: 1, Seconds: 2}, {Requests: 90, Bytes: 132, CPU: 1, Seconds: 2, Waited: 0.4}}},
		},
	}
	r.summarize()
	return r
}

func TestReportIsATable(t *testing.T) {
	r := sample()
	got := r.markdown()
	for _, want := range []string{
		"2026-01-02 03:04:05 UTC, `go run .`: 2 rounds of 3 s each\n",
		"Linux 6.1, a CPU, 2 cores, go1.26, cc 12; load average 1 2 3 before, 7 8 9 after\n",
		"| W1 | floor | 1.00 | 1.00..1.00 | 200 | 5000.00 | 132 | 50 % | 0 % |\n",
		"| W1 | testbed | 0.85 | 0.80..0.90 | 165 | 6060.61 | 132 | 50 % | 10 % |\n",
		"- W1: keep-alive, 64 connections\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "W4") {
		t.Errorf("W4 was not run, but is in\n%s", got)
	}
}

func TestReportIsJSON(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.json")
	r, back := sample(), report{}
	if err := r.writeJSON(name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &back); err != nil || back.Series[1].Runs[1] != r.Series[1].Runs[1] || back.Series[1].Ratio != r.Series[1].Ratio {
		t.Errorf("%v, %s", err, text)
	}
}

func TestMachineIsKnown(t *testing.T) {
	m := thisMachine()
	if m.Kernel == "" || m.CPU == "" || m.Cores < 1 || !strings.HasPrefix(m.Go, "go") || m.CC == "" || len(strings.Fields(m.LoadAverage)) != 3 {
		t.Errorf("%+v", m)
	}
}

func TestRequestsAreWhatTheirNamesSay(t *testing.T) {
	for _, row := range []struct {
		workload    string
		size, field int
	}{{"W1", 41, 1}, {"W5", 60, 2}, {"W6", 620, 12}, {"W10", 620, 12}, {"W8", 1132, 3}} {
		w, err := selectWorkloads(row.workload)
		if err != nil {
			t.Fatal(err)
		}
		text := w[0].request
		head, _, _ := bytes.Cut(text, []byte("\r\n\r\n"))
		if fields := bytes.Count(head, []byte("\r\n")); len(text) != row.size || fields != row.field {
			t.Errorf("%s: %d bytes and %d fields, want %d and %d", row.workload, len(text), fields, row.size, row.field)
		}
		if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text))); err != nil {
			t.Errorf("%s: %v", row.workload, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"-workloads W1,W9", `no workload "W9"`},
		{"-rounds 0", "above 0"},
		{"-seconds 0", "above 0"},
		{"W1", `unexpected argument "W1"`},
	} {
		if _, err := parseOptions(strings.Fields(row.args)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q in it", row.args, err, row.want)
		}
	}
	o, err := parseOptions(strings.Fields("-workloads W4,W1 -gomaxprocs unset,2 -seconds 0.5 -also old=/bin/old"))
	if err != nil || len(o.workloads) != 2 || o.workloads[0].name != "W4" || o.span != 500*time.Millisecond ||
		!slices.Equal(o.procs, []string{"unset", "2"}) || !slices.Equal(o.also, []string{"old=/bin/old"}) {
		t.Errorf("%+v, %v", o, err)
	}
}
