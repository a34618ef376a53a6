package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// root is the module's folder, seen from the one that tests run in.
const root = "../.."

// source is one Go file of the module, whatever its build tags.
type source struct {
	path string // from the module's root, with slashes
	pkg  string // the folder of path: its package, as the tables here name it
	test bool   // its name ends in _test.go
	text []string
	fset *token.FileSet
	file *ast.File
}

// at is where pos is, for a message.
func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.line(pos))
}

// line is the number of pos's line, from 1.
func (s source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// rule looks at files and returns a sentence for each place that breaks it.
type rule func([]source) []string

// hold fails t with what r says of the module.
func hold(t *testing.T, r rule) {
	t.Helper()
	files, err := module()
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range r(files) {
		t.Error(complaint)
	}
}

// module is all Go files of the module, parsed once.
var module = sync.OnceValues(func() (files []source, err error) {
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && foreign(name):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		file, err := parse(filepath.ToSlash(rel), string(text))
		files = append(files, file)
		return err
	})
	return files, err
})

// foreign reports whether a folder and what is in it are not the module's.
func foreign(folder string) bool {
	base := filepath.Base(folder)
	if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}

func parse(name, text string) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{
		path: name,
		pkg:  path.Dir(name),
		test: strings.HasSuffix(name, "_test.go"),
		text: strings.Split(strings.TrimSuffix(text, "\n"), "\n"),
		fset: fset,
		file: file,
	}, err
}
