//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// probeFolder has the conformance probe, on the machines that have it: it stands
// beside the module.
const probeFolder = "../../../shared/probe"

// exceptions are the cases of the probe that the server does not pass, each with
// its reason.
var exceptions = []struct{ id, why string }{
	{"ch-ext-bws", "blanks around the parts of a chunk extension (BWS) are refused on purpose: nobody sends them, and parsers that disagree about them have been used to smuggle"},
}

// verdict is what the probe says of one case. Ok is nil if it was left out.
type verdict struct {
	ID    string `json:"id"`
	Level string `json:"level"`
	OK    *bool  `json:"ok"`
	Note  string `json:"note"`
}

func TestProbePassesButForNamedExceptions(t *testing.T) {
	if _, err := os.Stat(probeFolder); os.IsNotExist(err) {
		t.Skip("no ../shared/probe beside the module: the conformance probe is not here")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("%v (make test installs it)", err)
	}
	log := filepath.Join(t.TempDir(), "log")
	root := t.TempDir()
	if out, err := exec.Command(python, "-B", filepath.Join(probeFolder, "probe.py"), "--make-static", root).CombinedOutput(); err != nil {
		t.Fatalf("the probe's files: %v\n%s", err, out)
	}
	s := start(t, "-log", log, "-static", filepath.Join(root, "static"))
	verdicts, table := runProbe(t, python, s.addr)
	t.Logf("\n%s", table)

	passed := map[string]int{}
	failed := map[string]string{}
	for _, v := range verdicts {
		switch {
		case v.OK == nil:
			t.Errorf("%s was left out: %s", v.ID, v.Note)
		case *v.OK:
			passed[v.Level]++
		default:
			failed[v.ID] = v.Note
			if !slices.ContainsFunc(exceptions, func(e struct{ id, why string }) bool { return e.id == v.ID }) {
				t.Errorf("%s %s: %s", v.Level, v.ID, v.Note)
			}
		}
	}
	for _, e := range exceptions {
		if failed[e.id] == "" {
			t.Errorf("the exception %s is stale: the server passes it, or there is no such case", e.id)
		}
	}
	for _, level := range []string{"MUST", "SHOULD", "BP"} {
		if passed[level] == 0 {
			t.Errorf("no case of level %s passed: was anything run?", level)
		}
	}
	s.awaitAlone(t)
	if text, err := os.ReadFile(log); err != nil || len(text) > 0 {
		t.Errorf("clients' mistakes are logged: %s (%v)", text, err)
	}
}

// runProbe returns what the probe found, and its table.
func runProbe(t *testing.T, python, addr string) (verdicts []verdict, table string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "probe.json")
	cmd := exec.Command(python, "-B", filepath.Join(probeFolder, "probe.py"), addr, "-q",
		"--cases", filepath.Join(probeFolder, "cases_open.jsonl"), "--json", file)
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 { // 1: a MUST failed, which may be an exception
		t.Fatalf("probe: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Results []verdict }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^TOTAL `).Match(out) {
		t.Errorf("no table in %s", out)
	}
	return all.Results, string(out)
}
