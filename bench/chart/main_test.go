package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `{"started": "2026-01-02T03:04:05Z", "commit": "abc", "base": "floor",
	"workloads": [{"name": "W1", "about": "many"}, {"name": "W2", "about": "one"}],
	"series": [
		{"workload": "W1", "server": "floor", "ratio": {"median": 1, "min": 1, "max": 1}},
		{"workload": "W1", "server": "catboat", "ratio": {"median": 0.91, "min": 0.8, "max": 1.2}},
		{"workload": "W2", "server": "catboat", "ratio": {"median": 0, "min": 0, "max": 0}}]}`

func TestChartHasAPanelForEachWorkloadWithRatios(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "r.json"), filepath.Join(t.TempDir(), "r.svg")
	if err := os.WriteFile(from, []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(from, to); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "W1: many", "catboat", "0.91", "commit abc, 2026-01-02)", "</svg>"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in the chart", want)
		}
	}
	if strings.Contains(string(got), "W2") {
		t.Error("W2 has no ratios, and is in the chart")
	}
}

func TestNothingToDrawIsAnError(t *testing.T) {
	for name, text := range map[string]string{"no series": "{}", "no JSON": "x"} {
		from := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(from, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(from, from+".svg"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
