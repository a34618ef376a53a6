package tidy

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"testing"
)

// House limits. In servers that read well the longest function stops at 55 to
// 76 lines; in those that do not, the one that serves a connection has hundreds.
const (
	maxFunction = 76
	maxFile     = 600
)

func TestEveryFunctionFitsOnAScreen(t *testing.T) {
	hold(t, functionsFit)
	if files, err := module(); err == nil {
		logSizes(t, files)
	}
}

func TestEveryFileCanBeReadAtOnce(t *testing.T) { hold(t, filesFit) }

// span is a function and its number of lines, from "func" to its brace.
type span struct {
	name, at string
	lines    int
}

func functionsFit(files []source) (complaints []string) {
	for _, f := range functions(files) {
		if f.lines > maxFunction {
			complaints = append(complaints, fmt.Sprintf(
				"%s: %s has %d lines; the house limit is %d, so that a function can be seen whole: split it where it changes its subject",
				f.at, f.name, f.lines, maxFunction))
		}
	}
	return complaints
}

func filesFit(files []source) (complaints []string) {
	for _, s := range files {
		if len(s.text) > maxFile {
			complaints = append(complaints, fmt.Sprintf(
				"%s:%d: the file has %d lines; the house limit is %d: split it by subject",
				s.path, maxFile+1, len(s.text), maxFile))
		}
	}
	return complaints
}

// functions are those outside of tests, longest first. Those without a name
// count when they are not within another.
func functions(files []source) (all []span) {
	for _, s := range files {
		if s.test {
			continue
		}
		add := func(n ast.Node, name string) bool {
			all = append(all, span{name, s.at(n.Pos()), s.line(n.End()) - s.line(n.Pos()) + 1})
			return false
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return add(n, n.Name.Name)
			case *ast.FuncLit:
				return add(n, "a function without a name")
			}
			return true
		})
	}
	slices.SortStableFunc(all, func(a, b span) int { return b.lines - a.lines })
	return all
}

func logSizes(t *testing.T, files []source) {
	code, tests := map[string]int{}, map[string]int{}
	for _, s := range files {
		if code[s.pkg] += 0; s.test {
			tests[s.pkg] += len(s.text)
		} else {
			code[s.pkg] += len(s.text)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(code)) {
		t.Logf("%-18s %5d lines, tests %5d", pkg, code[pkg], tests[pkg])
	}
	all := functions(files)
	for _, f := range all[:min(5, len(all))] {
		t.Logf("%3d lines: %s at %s", f.lines, f.name, f.at)
	}
}
