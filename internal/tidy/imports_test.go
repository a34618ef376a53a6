package tidy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says for each package which others of the module it may import.
var arrows = map[string][]string{
	"httpparse":          {},
	"conn":               {"httpparse", "internal/wire"},
	"internal/wire":      {},
	"internal/cargo":     {"internal/wire"},
	"internal/kernel":    {},
	"internal/simkernel": {"internal/kernel"},
	"files":              {"conn"},
	"loop":               {"conn", "internal/kernel", "internal/wire", "internal/cargo"},
	"restart":            {"loop", "conn", "internal/cargo", "internal/kernel", "internal/wire"},
	"admin":              {"restart", "loop", "conn"},
	"cmd/*":              {"admin", "restart", "loop", "files", "conn"},
	"internal/tidy":      {},
}

// pure is what the two packages that know only bytes may import directly:
// nothing from which a socket, a clock or a goroutine can be had.
var pure = map[string][]string{
	"httpparse": bytesOnly,
	// Locks, since a body is read and a reply written by goroutines of the
	// program's; of time only what a duration is, see clockStaysOut.
	"conn": append([]string{"catboat/httpparse", "catboat/internal/wire", "github.com/valyala/bytebufferpool", "sync", "time"}, bytesOnly...),
}

var bytesOnly = []string{
	"bytes", "encoding/binary", "errors", "io", "iter", "math", "math/bits", "net/netip", "slices",
	"strconv", "strings", "sync/atomic", "unicode/utf8", "unsafe", "golang.org/x/sys/cpu",
}

// required are the modules that the root module requires, and helper those that
// only its tests may.
var (
	required = []string{"github.com/valyala/bytebufferpool", "golang.org/x/sys"}
	helper   = []string{"github.com/google/go-cmp"}
)

func TestImportsPointDown(t *testing.T)                           { hold(t, importsPointDown) }
func TestPureLayersImportNeitherSocketNorClock(t *testing.T)      { hold(t, importsStayPure) }
func TestConnHasDurationsButNoClock(t *testing.T)                 { hold(t, clockStaysOut) }
func TestOnlyTestsImportWhatIsRequiredForTestsAlone(t *testing.T) { hold(t, importsAreRequired) }

func TestRootModuleRequiresTwoModules(t *testing.T) {
	// Opened here too, so that a cached result is not used when go.mod has changed.
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	for _, complaint := range requirements(out) {
		t.Error(complaint)
	}
}

// requirements checks what "go mod edit -json" prints.
func requirements(goMod []byte) (complaints []string) {
	var mod struct{ Require []struct{ Path string } }
	if err := json.Unmarshal(goMod, &mod); err != nil {
		return []string{"go.mod: " + err.Error()}
	}
	var have []string
	for _, r := range mod.Require {
		have = append(have, r.Path)
		if !slices.Contains(required, r.Path) && !slices.Contains(helper, r.Path) {
			complaints = append(complaints, fmt.Sprintf(
				"go.mod: requires %s; who embeds this server gets %s and nothing else: a package that brings more has a go.mod of its own",
				r.Path, strings.Join(required, ", ")))
		}
	}
	for _, path := range required {
		if !slices.Contains(have, path) {
			complaints = append(complaints, fmt.Sprintf("go.mod: does not require %s, which this house is built on", path))
		}
	}
	return complaints
}

func importsPointDown(files []source) []string {
	return eachImport(files, func(s source, path string) string {
		to, ours := strings.CutPrefix(path, "catboat/")
		if !ours {
			return ""
		}
		key := s.pkg
		if strings.HasPrefix(key, "cmd/") {
			key = "cmd/*"
		}
		if slices.Contains(arrows[key], to) {
			return ""
		}
		return fmt.Sprintf("package %s imports %s; arrows point down only, and it may import: %s",
			s.pkg, to, cmp.Or(strings.Join(arrows[key], ", "), "none of ours"))
	}, unknownPackages(files)...)
}

// unknownPackages complains of packages that no row of arrows is about.
func unknownPackages(files []source) []string {
	unknown := map[string]string{}
	for _, s := range files {
		if _, known := arrows[s.pkg]; !known && !s.test && !strings.HasPrefix(s.pkg, "cmd/") {
			unknown[s.pkg] = fmt.Sprintf("%s:1: package %s is unknown: add it to the table and to ARCHITECTURE.md", s.path, s.pkg)
		}
	}
	return slices.Sorted(maps.Values(unknown))
}

func importsStayPure(files []source) []string {
	return eachImport(files, func(s source, path string) string {
		allowed, held := pure[s.pkg]
		if !held || slices.Contains(allowed, path) {
			return ""
		}
		return fmt.Sprintf("package %s imports %s; it knows bytes, and may import only what reaches neither a socket nor a clock: %s",
			s.pkg, path, strings.Join(allowed, ", "))
	})
}

// clockStaysOut lets conn speak of durations, which are numbers, and of nothing
// else that package time has.
func clockStaysOut(files []source) (complaints []string) {
	for _, s := range files {
		if s.pkg != "conn" || s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			use, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := use.X.(*ast.Ident); ok && on.Name == "time" && use.Sel.Name != "Duration" {
				complaints = append(complaints, s.at(use.Pos())+": package conn uses time."+use.Sel.Name+"; the clock is the loop's")
			}
			return true
		})
	}
	return complaints
}

// importsAreRequired holds for packages outside of the standard library, which
// are those with a dot in their first element.
func importsAreRequired(files []source) []string {
	return eachImport(files, func(s source, path string) string {
		first, _, _ := strings.Cut(path, "/")
		within := func(module string) bool { return path == module || strings.HasPrefix(path, module+"/") }
		if !strings.Contains(first, ".") || slices.ContainsFunc(required, within) {
			return ""
		}
		return fmt.Sprintf("package %s imports %s; outside of tests only %s come from elsewhere",
			s.pkg, path, strings.Join(required, ", "))
	})
}

// eachImport asks about every import of every file that is not a test, and adds
// the answers to complaints.
func eachImport(files []source, ask func(s source, path string) string, complaints ...string) []string {
	for _, s := range files {
		if s.test {
			continue
		}
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value) // the parser has seen that it is quoted
			if answer := ask(s, path); answer != "" {
				complaints = append(complaints, s.at(spec.Pos())+": "+answer)
			}
		}
	}
	return complaints
}
