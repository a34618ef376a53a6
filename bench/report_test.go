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
		{"the floor had nothing", []outcome{run(90, 1)}, []outcome{run(0, 1)}, nil},
		{"the floor is ahead in rounds", []outcome{run(90, 1)}, []outcome{run(100, 1), run(50, 1)}, []float64{0.9}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := ratios(row.runs, row.floor, outcome.perCPUSecond)
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
		Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Command: "go run . ", Commit: "abc", Rounds: 2, Seconds: 3, Base: "floor", LoadAverageAfter: "7 8 9",
		Machine:   machine{Kernel: "6.1", CPU: "a CPU", Cores: 2, Go: "go1.26", CC: "cc 12", LoadAverage: "1 2 3"},
		Servers:   []entrant{{"floor", "C", ""}, {"catboat", "Go", "1.2"}, {"other", "idle", ""}},
		Workloads: []about{{"W1", "many"}, {"W2", "one"}},
		Tools:     []string{"wrk 4"},
		Series: []series{
			{Workload: "W1", Server: "floor", Tool: "own", Runs: []outcome{{Requests: 300, Bytes: 132, CPU: 1, Seconds: 2}, {Requests: 100, Bytes: 132, CPU: 1, Seconds: 2}}},
			{Workload: "W1", Server: "catboat", Tool: "own", Runs: []outcome{{Requests: 240, Bytes: 132, CPU: 1, User: 0.2, Seconds: 2},
				{Requests: 90, Bytes: 132, CPU: 1, User: 0.4, Seconds: 2, Waited: 0.4}}},
			{Workload: "W2", Server: "catboat", Tool: "wrk", Runs: []outcome{{Requests: 100, Bytes: 9, CPU: 1, Seconds: 1, P50: 10, P99: 20}}},
			{Workload: "W2", Server: "other", Tool: "wrk"},
		},
	}
	r.summarize()
	return r
}

func TestReportIsATable(t *testing.T) {
	r := sample()
	got := r.markdown()
	for _, want := range []string{
		"2026-01-02 03:04:05 UTC, `go run .`, commit abc\n",
		"Linux 6.1, a CPU, 2 cores, go1.26, cc 12; load average 1 2 3 before, 7 8 9 after\n",
		"within 2 rounds of 3 s\n",
		"| | W1 | W2 |\n|---|---|---|\n| floor | 1.00 (1.00..1.00) |  |\n| catboat | 0.85 (0.80..0.90) |  |\n| other |  |  |\n",
		"| W1 | floor | own | 200 | 5000.00 | 0 % | 132 | 50 % | 0 % | | | |\n",
		"| W1 | catboat | own | 165 | 6060.61 | 30 % | 132 | 50 % | 10 % | | | |\n",
		"| W2 | catboat | wrk | 100 | 10000.00 | 0 % | 9 | 100 % | 0 % | 10 | 20 |  |\n",
		"- W1: many\n- W2: one\n",
		"- catboat: Go; 1.2\n",
		"- load: wrk 4\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, not := range []string{"W4", "W2 | other"} {
		if strings.Contains(got, not) {
			t.Errorf("%s was not run, but is in\n%s", not, got)
		}
	}
}

func TestReportIsFilesNamedByDateAndCommit(t *testing.T) {
	folder := t.TempDir()
	r := sample()
	r.Series, r.Memory = nil, []memorySeries{{Held: "idle", Server: "floor", Runs: []footprint{{}}}}
	r.Conns = 10
	if err := r.write(options{out: filepath.Join(folder, "new")}, folder); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"json", "md"} {
		if _, err := os.Stat(filepath.Join(folder, "new", "2026-01-02-0304-abc."+end)); err != nil {
			t.Error(err)
		}
	}
}

func TestMedianOfLatenciesIsComparedWithinRounds(t *testing.T) {
	base := []outcome{{Requests: 1, CPU: 1, P99: 100}, {Requests: 1, CPU: 1, P99: 200}}
	s := series{Runs: []outcome{{Requests: 1, CPU: 1, P99: 110}, {Requests: 1, CPU: 1, P99: 260}}}
	s.summarize(base)
	if math.Abs(s.P99Ratio.Median-1.2) > 1e-9 || s.P99.Median != 185 {
		t.Errorf("%+v", s)
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
		text := w[0].request()
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
		{"-workloads W1,W99", `no workload "W99"`},
		{"-servers apache", `no server "apache"`},
		{"-held breath", `no state "breath"`},
		{"-also x", "no = in it"},
		{"-load wrk", "wrk cannot pipeline"},
		{"-rounds 0", "above 0"},
		{"-seconds 0", "above 0"},
		{"W1", `unexpected argument "W1"`},
	} {
		if _, err := parseOptions(strings.Fields(row.args)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q in it", row.args, err, row.want)
		}
	}
	for _, row := range []struct{ args, workloads, servers, base string }{
		{"", "W1 W4 W5", "floor; catboat", "floor"},
		{"-workloads W4,W1 -gomaxprocs unset,2 -also old=/bin/old", "W4 W1", "floor; catboat, GOMAXPROCS unset; catboat, GOMAXPROCS 2; old", "floor"},
		{"-servers nginx,lighttpd", "W1 W4 W5", "nginx; lighttpd", "nginx"},
		{"-servers floor,lighttpd,catboat -base lighttpd -workloads W9", "W9", "floor; lighttpd; catboat", "lighttpd"},
		{"-servers all -workloads all", "W1 W2 W3 W4 W5 W6 W7 W8 W9 W10",
			"floor; floor-defer; catboat; catboat-defer; nethttp; fasthttp; gnet; nginx; lighttpd; h2o; haproxy", "floor"},
	} {
		o, err := parseOptions(strings.Fields(row.args))
		var ran, ours []string
		for _, w := range o.workloads {
			ran = append(ran, w.name)
		}
		for _, s := range o.servers {
			ours = append(ours, s.name)
		}
		if err != nil || strings.Join(ran, " ") != row.workloads || strings.Join(ours, "; ") != row.servers || o.base != row.base {
			t.Errorf("%s: %q, %q, %q, %v", row.args, ran, ours, o.base, err)
		}
	}
}
