package tidy

import (
	"fmt"
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageIsExplained(t *testing.T)      { hold(t, packagesExplained) }
func TestEveryExportedNameIsExplained(t *testing.T) { hold(t, namesExplained) }

func packagesExplained(files []source) []string {
	missing := map[string]string{}
	for _, s := range files {
		if !s.test {
			missing[s.pkg] = fmt.Sprintf(
				"%s:1: package %s has no package comment; it says what the package knows and what it does not, and begins \"Package %[3]s\" (a command's may begin otherwise)",
				s.path, s.pkg, s.file.Name.Name)
		}
	}
	for _, s := range files {
		doc := s.file.Doc.Text()
		if !s.test && (strings.HasPrefix(doc, "Package "+s.file.Name.Name+" ") || doc != "" && s.file.Name.Name == "main") {
			delete(missing, s.pkg)
		}
	}
	return slices.Sorted(maps.Values(missing))
}

// namesExplained holds for what a user of the packages can name: not for
// commands, tests and this package.
func namesExplained(files []source) []string {
	d := docs{}
	for _, s := range files {
		if s.test || s.pkg == "internal/tidy" || strings.HasPrefix(s.pkg, "cmd/") {
			continue
		}
		d.source = s
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				d.function(decl)
			case *ast.GenDecl:
				d.group(decl)
			}
		}
	}
	return d.complaints
}

// docs collects the names without a comment.
type docs struct {
	source     source
	complaints []string
}

func (d *docs) complain(name *ast.Ident, format string, args ...any) {
	d.complaints = append(d.complaints, d.source.at(name.Pos())+": "+fmt.Sprintf(format, args...))
}

func (d *docs) function(f *ast.FuncDecl) {
	if f.Name.IsExported() && (f.Recv == nil || ast.IsExported(receiver(f))) {
		d.begins(f.Name, f.Doc)
	}
}

// receiver is the name of the type that f is a method of.
func receiver(f *ast.FuncDecl) string {
	name := ""
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name // the first: behind it are type parameters
		}
		return true
	})
	return name
}

// begins wants a comment that begins with the name, so that it reads well where
// tools show it alone.
func (d *docs) begins(name *ast.Ident, comment *ast.CommentGroup) {
	switch text := comment.Text(); {
	case strings.TrimSpace(text) == "":
		d.complain(name, "%s has no doc comment; every exported name says what may be relied on", name.Name)
	case !regexp.MustCompile(`^((A|An|The) )?` + name.Name + `\b`).MatchString(text):
		d.complain(name, "the comment on %s does not begin with its name (after A, An or The, if need be)", name.Name)
	}
}

func (d *docs) group(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			d.typeSpec(g, spec)
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && !said(g.Doc, spec.Doc, spec.Comment) {
					d.complain(name, "%s has no comment, nor has its group; every exported name says what may be relied on", name.Name)
				}
			}
		}
	}
}

func (d *docs) typeSpec(g *ast.GenDecl, spec *ast.TypeSpec) {
	if !spec.Name.IsExported() {
		return
	}
	doc := spec.Doc
	if doc == nil && !g.Lparen.IsValid() {
		doc = g.Doc
	}
	d.begins(spec.Name, doc)
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		d.fields(spec.Name.Name, doc, typ.Fields)
	case *ast.InterfaceType:
		d.fields(spec.Name.Name, doc, typ.Methods)
	}
}

// fields wants a comment above or behind each field or method, one for all names
// that share its line. It may also stand above an earlier one, or be the type's
// own, if it names them all. A struct that fits on the line of its name is
// explained by the type's comment, an embedded field where its type is.
func (d *docs) fields(of string, typeDoc *ast.CommentGroup, list *ast.FieldList) {
	if d.source.line(list.Opening) == d.source.line(list.Closing) {
		return
	}
	var above *ast.CommentGroup
	for _, field := range list.List {
		if field.Doc != nil {
			above = field.Doc
		}
		for _, name := range field.Names {
			if name.IsExported() && !said(field.Doc, field.Comment) && !names(above, name) && !names(typeDoc, name) {
				d.complain(name, "%s.%s has no comment above or behind it; every exported name says what may be relied on", of, name.Name)
			}
		}
		if inner, ok := field.Type.(*ast.StructType); ok {
			d.fields(of, typeDoc, inner.Fields)
		}
	}
}

// names reports whether a comment has name as a word.
func names(comment *ast.CommentGroup, name *ast.Ident) bool {
	return regexp.MustCompile(`\b` + name.Name + `\b`).MatchString(comment.Text())
}

func said(comments ...*ast.CommentGroup) bool {
	return slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return strings.TrimSpace(c.Text()) != "" })
}
