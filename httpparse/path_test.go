package httpparse

import (
	"strings"
	"testing"
)

func TestAppendPath(t *testing.T) {
	tests := []struct{ about, path, want string }{
		{"an empty path is the root", "", "/"},
		{"the root", "/", "/"},
		{"a file", "/a/b.txt", "/a/b.txt"},
		{"a directory", "/a/b/", "/a/b/"},

		{"a dot in the middle", "/a/./b", "/a/b"},
		{"a dot at the end names the directory", "/a/.", "/a/"},
		{"a dot alone", "/.", "/"},
		{"a dot before a slash", "/./", "/"},
		{"two dots in the middle", "/a/../b", "/b"},
		{"two dots at the end name the directory", "/a/b/..", "/a/"},
		{"two dots up to the root", "/a/..", "/"},
		{"two dots before a slash", "/a/b/../", "/a/"},
		{"as often as there are segments", "/a/b/c/../../d", "/a/d"},
		{"RFC 3986 section 5.2.4", "/a/b/c/./../../g", "/a/g"},

		{"above the root", "/..", "/"},
		{"far above the root", "/../../../a", "/a"},
		{"above the root and down again", "/a/../../b/../c", "/c"},

		{"three dots are a name", "/a/.../b", "/a/.../b"},
		{"a name that starts with a dot", "/.a/..b", "/.a/..b"},
		{"a name that ends in a dot", "/a./b..", "/a./b.."},
		{"parameters make a name of dots", "/..;/a", "/..;/a"},
		{"a backslash makes a name of dots", `/..\a`, `/..\a`},

		{"empty segments stay", "//a///b//", "//a///b//"},
		{"two dots take an empty segment", "/a//../b", "/a/b"},
		{"a dot after an empty segment", "//.", "//"},
		{"two dots after empty segments", "///..", "//"},

		{"a letter", "/%41%6a%6A", "/Ajj"},
		{"a space", "/a%20b", "/a b"},
		{"CR and LF", "/a%0d%0Ab", "/a\r\nb"},
		{"bytes beyond ASCII", "/%c3%A9%ff", "/\xc3\xa9\xff"},
		{"a question mark", "/a%3fb", "/a?b"},
		{"a slash stays encoded", "/a%2Fb%2fc", "/a%2Fb%2fc"},
		{"a percent sign, decoded once", "/%25/%2541/%252e", "/%/%41/%2e"},
		{"a percent sign before a slash's digits", "/%252F", "/%2F"},

		{"encoded dot", "/a/%2e/b", "/a/b"},
		{"encoded dots", "/a/%2e%2E/b", "/b"},
		{"half of them encoded", "/a/.%2e/b/%2e./c", "/c"},
		{"encoded dots at the end", "/a/b/%2e%2e", "/a/"},
		{"encoded dots above the root", "/%2e%2e/%2e%2e/etc/passwd", "/etc/passwd"},
		{"dots encoded twice are a name", "/a/%252e%252e/b", "/a/%2e%2e/b"},
		{"dots and an encoded slash are a name", "/a/..%2f..%2fb", "/a/..%2f..%2fb"},
		{"two dots take a name with an encoded slash whole", "/a/b%2Fc/../d", "/a/d"},
	}
	for _, tt := range tests {
		if got := string(AppendPath(nil, []byte(tt.path))); got != tt.want {
			t.Errorf("%s: %s becomes %s, want %s", tt.about, tt.path, got, tt.want)
		}
		// What dst holds is neither read nor changed.
		if got := string(AppendPath([]byte("/x/"), []byte(tt.path))); got != "/x/"+tt.want {
			t.Errorf("%s: behind /x/ %s becomes %s", tt.about, tt.path, got)
		}
		if plainPath([]byte(tt.path)) && tt.want != tt.path {
			t.Errorf("%s: %s is called plain", tt.about, tt.path)
		}
	}
}

// The request line's fast way and the slow one agree on which paths are plain, and such
// a path is left alone.
func TestPlainIsPlainPath(t *testing.T) {
	const letters = "/.a%?!'"
	var try func(path string, deeper int)
	try = func(path string, deeper int) {
		var h Head
		n, bad := h.Parse([]byte("GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"), Limits{Bytes: 1000, Fields: 10})
		if bad == nil && n > 0 {
			p, _, _ := strings.Cut(path, "?")
			if h.Plain != plainPath([]byte(p)) {
				t.Errorf("%q: plain is %v", path, h.Plain)
			}
			if h.Plain && string(AppendPath(nil, []byte(p))) != p {
				t.Errorf("%q is called plain and changes", path)
			}
		}
		if deeper > 0 {
			for _, c := range letters {
				try(path+string(c), deeper-1)
			}
		}
	}
	try("/", 5)
	try("/aaaaaa", 4) // across the end of a word
	try("/aaaaa/", 4)
}

func TestPlainPath(t *testing.T) {
	tests := []struct {
		path string
		want bool
	}{
		{"/", true},
		{"/a/b.txt", true},
		{"//a//", true},
		{"/a./b..c/", true},
		{"", false},
		{"*", false}, // the target of OPTIONS, which is no path
		{"/.", false},
		{"/a/../b", false},
		{"/%41", false},
		{"/.well-known", false}, // plain, but it would take a closer look to say so
	}
	for _, tt := range tests {
		if got := plainPath([]byte(tt.path)); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.path, got, tt.want)
		}
	}
}
