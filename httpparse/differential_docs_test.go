package httpparse

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var updateConformance = flag.Bool("update", false, "let TestDifferential write its table into docs/conformance.md")

const (
	conformanceFile = "../docs/conformance.md"
	tableBegin      = "<!-- TestDifferential -update writes from here -->\n"
	tableEnd        = "<!-- to here -->\n"
)

// TestConformanceNamesEveryRule holds the table of docs/conformance.md against
// the rules: all but the counts, which change with every seed that is added.
func TestConformanceNamesEveryRule(t *testing.T) {
	text, err := os.ReadFile(conformanceFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(text), tableBegin)
	table, _, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		t.Fatalf("no table between %q and %q", tableBegin, tableEnd)
	}
	have, want := strings.Split(table, "\n"), strings.Split(diffTable(allRequests, make([]int, len(diffRules))), "\n")
	for i := range max(len(have), len(want)) {
		if h, w := withoutCount(have, i), withoutCount(want, i); h != w {
			t.Fatalf("the table says %q, the rules %q; write it anew with: go test ./httpparse -run 'TestDifferential$' -update", h, w)
		}
	}
}

func withoutCount(rows []string, i int) string {
	if i >= len(rows) {
		return "nothing"
	}
	if end := strings.LastIndex(strings.TrimSuffix(rows[i], "|"), "|"); end > 0 {
		return rows[i][:end]
	}
	return rows[i]
}

func updateTable(t *testing.T, n uint64, applied []int) {
	text, err := os.ReadFile(conformanceFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(text), tableBegin)
	_, behind, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		t.Fatalf("no table between %q and %q", tableBegin, tableEnd)
	}
	text = []byte(before + tableBegin + diffTable(n, applied) + tableEnd + behind)
	if err := os.WriteFile(conformanceFile, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// diffTable is the rules in Markdown, a table for each kind.
func diffTable(n uint64, applied []int) string {
	var s strings.Builder
	var last kind
	for i, rule := range diffRules {
		if rule.kind != last {
			fmt.Fprintf(&s, "\n**Differs: %s**\n\n| rule | what | who is right | in %d |\n|---|---|---|---:|\n", rule.kind, n)
			last = rule.kind
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %d |\n", rule.name, rule.what, rule.right, applied[i])
	}
	return s.String() + "\n"
}
