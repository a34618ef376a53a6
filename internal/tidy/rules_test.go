package tidy

import (
	"strings"
	"testing"
)

// A rule that finds nothing may be a rule that sees nothing. Each row is a file
// and what its rule must say of it: a place and a piece of the sentence, or
// nothing at all.
func TestEachRuleFindsWhatItForbids(t *testing.T) {
	long := func(lines int) string { return strings.Repeat("\n", lines) }
	for _, row := range []struct {
		name string
		rule rule
		path string
		text string
		at   string
		want string
	}{
		{"an arrow up", importsPointDown, "conn/a.go", "package conn\nimport \"catboat/loop\"", "conn/a.go:2:", "conn imports loop"},
		{"an arrow over a layer", importsPointDown, "loop/a.go", "package loop\nimport \"catboat/httpparse\"", "loop/a.go:2:", "loop imports httpparse"},
		{"an arrow down", importsPointDown, "loop/a.go", "package loop\nimport \"catboat/conn\"", "", ""},
		{"a command imports", importsPointDown, "cmd/hello/a.go", "package main\nimport \"catboat/loop\"", "", ""},
		{"a command imports what no row has", importsPointDown, "cmd/hello/a.go", "package main\nimport \"catboat/new\"", "cmd/hello/a.go:2:", "imports new"},
		{"a test may import up", importsPointDown, "conn/a_test.go", "package conn\nimport \"catboat/loop\"", "", ""},
		{"an unknown package", importsPointDown, "new/a.go", "package new", "new/a.go:1:", "add it to the table and to ARCHITECTURE.md"},
		{"an unknown package of tests", importsPointDown, "new/a_test.go", "package new", "", ""},

		{"a clock", importsStayPure, "httpparse/a.go", "package httpparse\nimport \"time\"", "httpparse/a.go:2:", "imports time"},
		{"a pool below conn", importsStayPure, "httpparse/a.go", "package httpparse\nimport \"github.com/valyala/bytebufferpool\"", "httpparse/a.go:2:", "bytebufferpool"},
		{"a pool in conn", importsStayPure, "conn/a.go", "package conn\nimport \"github.com/valyala/bytebufferpool\"", "", ""},
		{"the time in conn", clockStaysOut, "conn/a.go", "package conn\nimport \"time\"\nvar t = time.Now()", "conn/a.go:3:", "uses time.Now"},
		{"a duration in conn", clockStaysOut, "conn/a.go", "package conn\nimport \"time\"\nvar d time.Duration", "", ""},
		{"a clock above", importsStayPure, "loop/a.go", "package loop\nimport \"time\"", "", ""},
		{"a stranger", importsAreRequired, "loop/a.go", "package loop\nimport \"example.com/x\"", "loop/a.go:2:", "example.com/x"},
		{"a test's helper in code", importsAreRequired, "loop/a.go", "package loop\nimport \"github.com/google/go-cmp/cmp\"", "loop/a.go:2:", "go-cmp"},
		{"a test's helper in a test", importsAreRequired, "loop/a_test.go", "package loop\nimport \"github.com/google/go-cmp/cmp\"", "", ""},
		{"a required module's package", importsAreRequired, "loop/a.go", "package loop\nimport \"golang.org/x/sys/unix\"", "", ""},

		{"no package comment", packagesExplained, "conn/a.go", "package conn", "conn/a.go:1:", "no package comment"},
		{"another package's comment", packagesExplained, "conn/a.go", "// Package loop is.\npackage conn", "conn/a.go:1:", "no package comment"},
		{"a command's comment", packagesExplained, "cmd/hello/a.go", "// Hello greets.\npackage main", "", ""},

		{"a bare function", namesExplained, "conn/a.go", "package conn\nfunc A() {}", "conn/a.go:2:", "A has no doc comment"},
		{"a bare method", namesExplained, "conn/a.go", "package conn\n// T is.\ntype T[K any] int\nfunc (t *T[K]) M() {}", "conn/a.go:4:", "M has no doc comment"},
		{"a method of an unexported type", namesExplained, "conn/a.go", "package conn\ntype t int\nfunc (t) M() {}", "", ""},
		{"a bare type", namesExplained, "conn/a.go", "package conn\ntype T int", "conn/a.go:2:", "T has no doc comment"},
		{"a type in a group with a comment", namesExplained, "conn/a.go", "package conn\n// Types.\ntype (\n\tT int\n)", "conn/a.go:4:", "T has no doc comment"},
		{"a comment on something else", namesExplained, "conn/a.go", "package conn\n// Returns it.\nfunc A() {}", "conn/a.go:3:", "does not begin with its name"},
		{"a comment on a longer name", namesExplained, "conn/a.go", "package conn\n// Abc is.\nfunc A() {}", "conn/a.go:3:", "does not begin with its name"},
		{"an article", namesExplained, "conn/a.go", "package conn\n// An Error is.\ntype Error int", "", ""},
		{"a bare constant", namesExplained, "conn/a.go", "package conn\nconst A = 1", "conn/a.go:2:", "A has no comment"},
		{"a group with a comment", namesExplained, "conn/a.go", "package conn\n// All.\nconst (\n\tA = 1\n\tB = 2\n)", "", ""},
		{"a bare field", namesExplained, "conn/a.go", "package conn\n// T is.\ntype T struct {\n\tA int // said\n\n\tB int\n}", "conn/a.go:6:", "T.B has no comment"},
		{"a bare method of an interface", namesExplained, "conn/a.go", "package conn\n// T is.\ntype T interface {\n\tM()\n}", "conn/a.go:4:", "T.M has no comment"},
		{"fields that share a comment", namesExplained, "conn/a.go", "package conn\n// T is.\ntype T struct {\n\tA, B int // said\n}", "", ""},
		{"methods named by one comment", namesExplained, "conn/a.go", "package conn\n// T is.\ntype T interface {\n\t// M and N do.\n\tM()\n\tN()\n}", "", ""},
		{"a method that the comment above does not name", namesExplained, "conn/a.go", "package conn\n// T is.\ntype T interface {\n\t// M and Next do.\n\tM()\n\tN()\n}", "conn/a.go:6:", "T.N has no comment"},
		{"a field named by the type's comment", namesExplained, "conn/a.go", "package conn\n// T has at most N.\ntype T struct {\n\tN int\n}", "", ""},
		{"a struct on one line", namesExplained, "conn/a.go", "package conn\n// T is from A to B.\ntype T struct{ A, B int }", "", ""},
		{"a command's names", namesExplained, "cmd/hello/a.go", "package main\nfunc A() {}", "", ""},

		{"a long function", functionsFit, "conn/a.go", "package conn\n\nfunc a() {" + long(maxFunction) + "}", "conn/a.go:3:", "a has 77 lines; the house limit is 76"},
		{"a function at the limit", functionsFit, "conn/a.go", "package conn\n\n// A doc.\nfunc a() {" + long(maxFunction-1) + "}", "", ""},
		{"a long function in a variable", functionsFit, "conn/a.go", "package conn\n\nvar a = func() {" + long(maxFunction) + "}", "conn/a.go:3:", "77 lines"},
		{"a long function of a test", functionsFit, "conn/a_test.go", "package conn\n\nfunc a() {" + long(maxFunction) + "}", "", ""},
		{"a long file", filesFit, "conn/a_test.go", "package conn" + long(maxFile) + "// end\n", "conn/a_test.go:601:", "601 lines; the house limit is 600"},
		{"a file at the limit", filesFit, "conn/a.go", "package conn" + long(maxFile-1) + "// end\n", "", ""},

		{"something for later", nothingLeft, "conn/a.go", "package conn\n\n/* " + "TO" + "DO: more */", "conn/a.go:3:", "do it now"},
		{"the word in a string", nothingLeft, "conn/a.go", "package conn\nvar a = \"XX\" + \"X\"", "", ""},
		{"a sleep", noSleep, "conn/a_test.go", "package conn\nfunc a() {\n\ttime.Sleep(1)\n}", "conn/a_test.go:3:", "wait for the event"},
		{"a sleep outside of tests", noSleep, "conn/a.go", "package conn\nfunc a() {\n\ttime.Sleep(1)\n}", "", ""},
		{"a skip", noSkip, "conn/a_test.go", "package conn\nfunc a(t T) {\n\tt.Skipf(\"\")\n}", "conn/a_test.go:3:", "t.Skipf"},
		{"a skip for want of shared files", noSkip, "conn/a_test.go", "package conn\nfunc a(t T) {\n\tt.Skip(\"no ../shared\")\n}", "", ""},
		{"another thing's skip", noSkip, "conn/a_test.go", "package conn\nfunc a(in In) {\n\tin.Skip(1)\n}", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			file, err := parse(row.path, row.text)
			if err != nil {
				t.Fatal(err)
			}
			wantOne(t, row.rule([]source{file}), row.at, row.want)
		})
	}
}

func TestRequirementsAreTwoAndATestsHelper(t *testing.T) {
	const x, pool = `{"Path":"golang.org/x/sys"}`, `{"Path":"github.com/valyala/bytebufferpool"}`
	for _, row := range []struct{ name, require, want string }{
		{"both", x + "," + pool, ""},
		{"with a helper", x + "," + pool + `,{"Path":"github.com/google/go-cmp"}`, ""},
		{"with a stranger", x + "," + pool + `,{"Path":"example.com/x"}`, "requires example.com/x"},
		{"one missing", x, "does not require github.com/valyala/bytebufferpool"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantOne(t, requirements([]byte(`{"Require":[`+row.require+`]}`)), "go.mod:", row.want)
		})
	}
}

// wantOne wants a single complaint that begins and says as given, or none if
// there is nothing to say.
func wantOne(t *testing.T, complaints []string, at, want string) {
	t.Helper()
	switch {
	case want == "" && len(complaints) == 0:
	case want == "" || len(complaints) != 1:
		t.Errorf("%d complaints: %q", len(complaints), complaints)
	case !strings.HasPrefix(complaints[0], at) || !strings.Contains(complaints[0], want):
		t.Errorf("got %q, want %q and %q", complaints[0], at, want)
	}
}
