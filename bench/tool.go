//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tool loads a server that runs, and tells what it has come to.
type tool func(p *process, w workload, want *answer, span time.Duration) (outcome, error)

// tools are those that can make the load. Ours checks each byte of each answer.
// wrk reads no body, but tells how long answers took; where requests are pipelined
// it is the slower side, and it has no way to close each connection. h2load does
// pipeline, but sends a request as soon as an answer is there, not 16 at once.
var tools = map[string]tool{
	"own":    applyLoad,
	"wrk":    foreign("wrk", wrkArgs, parseWrk),
	"h2load": foreign("h2load", h2loadArgs, parseH2load),
}

// toolOf is the name of the tool for a workload.
func toolOf(w workload, chosen string) (string, error) {
	name := cmp.Or(chosen, w.tool)
	switch {
	case tools[name] == nil:
		return "", fmt.Errorf("no tool %q", name)
	case name == "wrk" && w.depth > 1:
		return "", fmt.Errorf("%s: wrk cannot pipeline", w.name)
	case name != "own" && w.close:
		return "", fmt.Errorf("%s: %s does not close its connections", w.name, name)
	}
	return name, nil
}

// toolVersion is what a tool calls itself.
func toolVersion(name string) string {
	switch name {
	case "own":
		return "our own (load.go)"
	case "wrk":
		line, _, _ := strings.Cut(firstLine(name, "-v"), " [")
		return line
	}
	return firstLine(name, "--version")
}

// tally is what a tool of others tells.
type tally struct {
	requests int64 // that were answered with 2xx
	seconds  float64
	p50, p99 float64 // µs; 0 if it does not tell
}

const warmUp = 200 * time.Millisecond

// foreign makes a tool of a program. Before it comes, our own load is there for a
// moment, and checks all bytes of what it gets: the program does not. What the
// server does for the connections that the program opens is in the time.
func foreign(program string, args func(w workload, address, root string, seconds int) []string, parse func(string) (tally, error)) tool {
	return func(p *process, w workload, want *answer, span time.Duration) (o outcome, err error) {
		if _, err := applyLoad(p, w, want, warmUp); err != nil {
			return o, err
		}
		before, err := p.reading(0)
		if err != nil {
			return o, err
		}
		out, err := runLoad(program, args(w, p.address, p.root, int(math.Ceil(span.Seconds()))))
		if err != nil {
			return o, err
		}
		after, err := p.reading(0)
		if err != nil {
			return o, err
		}
		t, err := parse(out)
		if err != nil {
			return o, fmt.Errorf("%s: %w in\n%s", program, err, out)
		}
		o = before.to(after)
		o.Requests, o.Seconds, o.P50, o.P99 = t.requests, t.seconds, t.p50, t.p99
		return o, nil
	}
}

// runLoad runs a program on the core of the load.
func runLoad(program string, args []string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: bash install.sh, or -load own", program)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startOn(loadCore, cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", program, err, &out)
	}
	return out.String(), nil
}

// wrkArgs are those of wrk, for whole seconds. It takes what it is to send from a
// script in Lua.
func wrkArgs(w workload, address, root string, seconds int) []string {
	args := []string{"-t1", "-c" + strconv.Itoa(w.conns), fmt.Sprintf("-d%ds", seconds), "--timeout", "10s", "--latency"}
	for _, f := range w.fields {
		args = append(args, "-H", f)
	}
	if w.content != nil {
		args = append(args, "-s", filepath.Join(root, "echo.lua"))
	}
	return append(args, "http://"+address+w.path)
}

// h2loadArgs are those of h2load. It adds a User-Agent, and pipelines no POST.
func h2loadArgs(w workload, address, root string, seconds int) []string {
	args := []string{"--h1", "-t1", "-c" + strconv.Itoa(w.conns), "-m" + strconv.Itoa(w.depth), fmt.Sprintf("-D%d", seconds)}
	for _, f := range w.fields {
		args = append(args, "-H", f)
	}
	if w.content != nil {
		args = append(args, "-d", filepath.Join(root, "echo.bin"))
	}
	return append(args, "http://"+address+w.path)
}

// parseWrk reads what wrk prints with --latency. Any error that it counts is one.
func parseWrk(out string) (t tally, err error) {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case strings.Contains(line, "Socket errors:") || strings.Contains(line, "Non-2xx"):
			return t, fmt.Errorf("%s", strings.TrimSpace(line))
		case len(f) == 2 && f[0] == "50%":
			t.p50, err = microseconds(f[1])
		case len(f) == 2 && f[0] == "99%":
			t.p99, err = microseconds(f[1])
		case len(f) > 3 && f[1] == "requests" && f[2] == "in":
			if t.requests, err = strconv.ParseInt(f[0], 10, 64); err == nil {
				t.seconds, err = seconds(strings.TrimSuffix(f[3], ","))
			}
		}
		if err != nil {
			return t, err
		}
	}
	return t, t.check()
}

// parseH2load reads what h2load prints.
func parseH2load(out string) (t tally, err error) {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "finished in ") && len(f) > 2:
			t.seconds, err = seconds(strings.TrimSuffix(f[2], ","))
		case strings.HasPrefix(line, "requests: "):
			t.requests, err = parseH2loadRequests(line)
		case strings.HasPrefix(line, "status codes: ") && !strings.Contains(line, " 0 3xx, 0 4xx, 0 5xx"):
			err = fmt.Errorf("%s", strings.TrimSpace(line))
		}
		if err != nil {
			return t, err
		}
	}
	return t, t.check()
}

// parseH2loadRequests reads "requests: 5 total, 7 started, 5 done, 5 succeeded, 0
// failed, 0 errored, 0 timeout".
func parseH2loadRequests(line string) (succeeded int64, err error) {
	counts := map[string]int64{}
	for part := range strings.SplitSeq(strings.TrimPrefix(line, "requests: "), ",") {
		f := strings.Fields(part)
		if len(f) != 2 {
			return 0, fmt.Errorf("%q", line)
		}
		if counts[f[1]], err = strconv.ParseInt(f[0], 10, 64); err != nil {
			return 0, err
		}
	}
	if counts["failed"]+counts["errored"]+counts["timeout"] > 0 {
		return 0, fmt.Errorf("%s", strings.TrimSpace(line))
	}
	return counts["succeeded"], nil
}

func (t tally) check() error {
	if t.requests <= 0 || t.seconds <= 0 {
		return fmt.Errorf("no count of requests")
	}
	return nil
}

// seconds reads a time like 1.10s, 533.00us or 2.03m, which Go's durations can be
// written like too.
func seconds(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	return d.Seconds(), err
}

func microseconds(s string) (float64, error) {
	v, err := seconds(s)
	return v * 1e6, err
}
