package tidy

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestNothingIsLeftForLater(t *testing.T)        { hold(t, nothingLeft) }
func TestTestsWaitForEventsNotForTime(t *testing.T) { hold(t, noSleep) }
func TestTestsDoNotSkipThemselves(t *testing.T)     { hold(t, noSkip) }

var later = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)

func nothingLeft(files []source) (complaints []string) {
	for _, s := range files {
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if word := later.FindString(c.Text); word != "" {
					complaints = append(complaints, fmt.Sprintf(
						"%s: %s in a comment; do it now, or say in plain words what is not done and why", s.at(c.Pos()), word))
				}
			}
		}
	}
	return complaints
}

func noSleep(files []source) []string {
	return eachTestCall(files, func(s source, call *ast.SelectorExpr, on string) string {
		if on != "time" || call.Sel.Name != "Sleep" {
			return ""
		}
		return "time.Sleep in a test is too long on a fast machine and too short on a slow one; wait for the event"
	})
}

// noSkip lets only those tests skip that need files from ../shared, a folder
// that stands beside the module on some machines and not on others.
func noSkip(files []source) []string {
	return eachTestCall(files, func(s source, call *ast.SelectorExpr, on string) string {
		line := s.text[s.line(call.Pos())-1]
		if !slices.Contains([]string{"t", "b", "f", "tb"}, on) || !strings.HasPrefix(call.Sel.Name, "Skip") ||
			strings.Contains(s.path, "shared") || strings.Contains(line, "shared") {
			return ""
		}
		return fmt.Sprintf("%s.%s: a test that skips itself passes untested; only one that needs ../shared may, and its line says so", on, call.Sel.Name)
	})
}

// eachTestCall asks about each call of the form on.Name() in tests.
func eachTestCall(files []source, ask func(s source, call *ast.SelectorExpr, on string) string) (complaints []string) {
	for _, s := range files {
		if !s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := call.X.(*ast.Ident); ok {
				if answer := ask(s, call, on.Name); answer != "" {
					complaints = append(complaints, s.at(call.Pos())+": "+answer)
				}
			}
			return true
		})
	}
	return complaints
}
