//go:build linux

package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// near tells whether two tallies are the same but for rounding.
func near(a, b tally) bool {
	same := func(x, y float64) bool { return math.Abs(x-y) <= 1e-9*math.Abs(y) }
	return a.requests == b.requests && same(a.seconds, b.seconds) && same(a.p50, b.p50) && same(a.p99, b.p99)
}

const wrkOutput = `Running 1s test @ http://127.0.0.1:20001/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   625.34us  252.50us   5.54ms   91.96%
    Req/Sec    97.27k     6.04k  102.43k    90.91%
  Latency Distribution
     50%  589.00us
     75%  661.00us
     90%  749.00us
     99%    1.92ms
  106468 requests in 1.10s, 13.40MB read
Requests/sec:  96775.42
Transfer/sec:     12.18MB
`

func TestWrkIsParsed(t *testing.T) {
	want := tally{requests: 106468, seconds: 1.1, p50: 589, p99: 1920}
	slow := strings.NewReplacer("1.92ms", "1.10s", "1.10s,", "1.03m,")
	for _, row := range []struct {
		name, out string
		want      tally
		err       string
	}{
		{"all", wrkOutput, want, ""},
		{"longer units", slow.Replace(wrkOutput), tally{106468, 61.8, 589, 1.1e6}, ""},
		{"no latency", strings.ReplaceAll(wrkOutput, "%", ""), tally{requests: 106468, seconds: 1.1}, ""},
		{"errors", wrkOutput + "  Socket errors: connect 0, read 3, write 0, timeout 0\n", want, "read 3"},
		{"wrong answers", wrkOutput + "  Non-2xx or 3xx responses: 17\n", want, "17"},
		{"nothing", "", tally{}, "no count"},
		{"no requests", strings.Replace(wrkOutput, "106468", "0", 1), tally{}, "no count"},
		{"no number", strings.Replace(wrkOutput, "106468", "many", 1), tally{}, "many"},
		{"no time", strings.Replace(wrkOutput, "589.00us", "589.00", 1), tally{}, "unit"},
	} {
		check(t, "wrk, "+row.name, row.out, parseWrk, row.want, row.err)
	}
}

const h2loadOutput = `starting benchmark...
spawning thread #0: 64 total client(s). Timing-based test with 0s of warm-up time and 1s of main duration for measurements.
Warm-up started for thread #0.
progress: 10% of clients started
Application protocol: http/1.1
Warm-up phase is over for thread #0.
Main benchmark duration is started for thread #0.

finished in 1.00s, 83226.00 req/s, 10.48MB/s
requests: 83226 total, 83290 started, 83226 done, 83226 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 83290 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 10.48MB (10985832) total, 6.91MB (7241862) headers (space savings 0.00%), 1.03MB (1081938) data
                     min         max         mean         sd        +/- sd
time for request:      138us      6.23ms       761us       234us    86.55%
`

func TestH2loadIsParsed(t *testing.T) {
	want := tally{requests: 83226, seconds: 1}
	for _, row := range []struct {
		name, out string
		want      tally
		err       string
	}{
		{"all", h2loadOutput, want, ""},
		{"milliseconds", strings.Replace(h2loadOutput, "in 1.00s", "in 998.50ms", 1), tally{requests: 83226, seconds: 0.9985}, ""},
		{"failed", strings.Replace(h2loadOutput, " 0 failed", " 2 failed", 1), want, "2 failed"},
		{"errored", strings.Replace(h2loadOutput, " 0 errored", " 2 errored", 1), want, "2 errored"},
		{"redirected", strings.Replace(h2loadOutput, " 0 3xx", " 2 3xx", 1), want, "2 3xx"},
		{"wrong answers", strings.Replace(h2loadOutput, " 0 5xx", " 2 5xx", 1), want, "2 5xx"},
		{"nothing", "", tally{}, "no count"},
		{"another line", strings.Replace(h2loadOutput, "83226 total,", "total,", 1), tally{}, "total"},
	} {
		check(t, "h2load, "+row.name, row.out, parseH2load, row.want, row.err)
	}
}

func check(t *testing.T, name, out string, parse func(string) (tally, error), want tally, wrong string) {
	t.Helper()
	got, err := parse(out)
	switch {
	case wrong == "" && (err != nil || !near(got, want)):
		t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
	case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
		t.Errorf("%s: %+v, %v, want %q in it", name, got, err, wrong)
	}
}

func TestToolsGetWhatTheWorkloadSays(t *testing.T) {
	of := func(name string) workload {
		w, err := selectWorkloads(name)
		if err != nil {
			t.Fatal(err)
		}
		return w[0]
	}
	for _, row := range []struct {
		name string
		got  []string
		want string
	}{
		{"wrk", wrkArgs(of("W1"), "h:1", "/r", 2), "-t1 -c64 -d2s --timeout 10s --latency http://h:1/"},
		{"wrk, file", wrkArgs(of("W7"), "h:1", "/r", 2), "-t1 -c64 -d2s --timeout 10s --latency http://h:1/static/64k.bin"},
		{"wrk, POST", wrkArgs(of("W8"), "h:1", "/r", 2), "-t1 -c64 -d2s --timeout 10s --latency -H Content-Type: application/octet-stream -s /r/echo.lua http://h:1/echo"},
		{"h2load", h2loadArgs(of("W4"), "h:1", "/r", 2), "--h1 -t1 -c64 -m16 -D2 http://h:1/"},
		{"h2load, POST", h2loadArgs(of("W8"), "h:1", "/r", 2), "--h1 -t1 -c64 -m1 -D2 -H Content-Type: application/octet-stream -d /r/echo.bin http://h:1/echo"},
	} {
		if got := strings.Join(row.got, " "); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
	if args := wrkArgs(of("W6"), "h:1", "/r", 2); !slices.Contains(args, browser[5]) {
		t.Errorf("%q, without the browser's fields", args)
	}
}

func TestToolsAreUsedForWhatTheyCan(t *testing.T) {
	for _, row := range []struct{ workload, chosen, want, err string }{
		{"W1", "", "wrk", ""},
		{"W4", "", "own", ""},
		{"W1", "h2load", "h2load", ""},
		{"W4", "h2load", "h2load", ""},
		{"W4", "wrk", "", "wrk cannot pipeline"},
		{"W5", "wrk", "", "does not close"},
		{"W5", "h2load", "", "does not close"},
		{"W1", "ab", "", `no tool "ab"`},
	} {
		w, err := selectWorkloads(row.workload)
		if err != nil {
			t.Fatal(err)
		}
		got, err := toolOf(w[0], row.chosen)
		if got != row.want || (row.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s with %q: %q, %v", row.workload, row.chosen, got, err)
		}
	}
}
