//go:build linux

package files

import (
	"net/url"
	"strings"
	"testing"
)

func TestAFolderWithoutItsSlashIsRedirected(t *testing.T) {
	content := map[string]string{
		"sub/index.html": "i", "sub/deep/x": "", "a b/": "", "a?b/": "", "a#b/": "", "100%/": "", "\\evil.example/": "", "evil.example/": "",
		"new\r\nX-Injected: yes/": "", "a:b/": "", "ü/": "", "\xff/": "", "link": "-> sub", "out": "-> ..", "a\"<>/": "", "@evil.example/": "",
	}
	r := newRig(t, Options{}, content)
	for _, row := range []struct{ target, location string }{
		{"/sub", "/sub/"},
		{"/sub/deep", "/sub/deep/"},
		{"/sub?q=1&r=/x?y", "/sub/?q=1&r=/x?y"},
		{"/sub?", "/sub/"},
		{"/sub?a%20b%0d%0a%22", "/sub/?a%20b%0d%0a%22"},
		{"/sub?<\"'>", "/sub/?%3C%22'%3E"},
		{"/sub?//evil.example", "/sub/?//evil.example"},
		{"/x/../sub", "/sub/"},
		{"/%73ub", "/sub/"},
		{"/link", "/link/"},
		{"/a%20b", "/a%20b/"},
		{"/a%3Fb", "/a%3Fb/"},
		{"/a%23b", "/a%23b/"},
		{"/100%25", "/100%25/"},
		{"/a:b", "/a:b/"},
		{"/%c3%bc", "/%C3%BC/"},
		{"/%ff", "/%FF/"},
		{"/a%22%3c%3e", "/a%22%3C%3E/"},
		{"/new%0d%0aX-Injected:%20yes", "/new%0D%0AX-Injected:%20yes/"},
		// Ways to another host.
		{"/\\evil.example", "/%5Cevil.example/"},
		{"/%5cevil.example", "/%5Cevil.example/"},
		{"/@evil.example", "/@evil.example/"},
		{"//evil.example", ""},
		{"///evil.example", ""},
		{"/x/..//evil.example", ""},
		{"/%2Fevil.example", ""},
		{"//evil.example/%2e%2e/sub", ""},
		{"/.//evil.example", ""},
		{"http://example.org//evil.example", ""},
		{"http://evil.example/sub", "/sub/"},
		{"/out", ""},
		{"/none", ""},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			p := r.ask(method, row.target)
			location := p.header.Get("Location")
			if row.location == "" {
				if p.status != 404 || location != "" {
					t.Errorf("%s: got %v, want 404", row.target, p)
				}
				continue
			}
			if p.status != 301 || location != row.location || p.header["X-Injected"] != nil {
				t.Errorf("%s: got %v, want to %s", row.target, p, row.location)
			}
			u, err := url.Parse(location)
			if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//") {
				t.Errorf("%s leads to %v, %v", row.target, u, err)
			}
		}
	}
}

// What is escaped is what was meant, and made of what a URI may have.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"a b", "100%", "ü", "\xff\x00\r\n", "a/b?c#d", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, keep := range []byteSet{segmentBytes, pathBytes} {
			e := escape(s, keep)
			if back, err := url.PathUnescape(e); err != nil || back != s {
				t.Errorf("%q becomes %q, and back %q, %v", s, e, back, err)
			}
			if strings.ContainsFunc(e, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"<>\\^`{|}?#[]", c) }) {
				t.Errorf("%q becomes %q", s, e)
			}
		}
	})
}
