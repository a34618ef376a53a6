//go:build linux

package files

import (
	"fmt"
	"html"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var links = regexp.MustCompile(`<a href="([^"]*)">([^<]*)</a>`)

// listed is the hrefs and names of a listing's links, as a browser reads them.
func listed(p reply) (hrefs, names []string) {
	for _, m := range links.FindAllStringSubmatch(p.body, -1) {
		hrefs = append(hrefs, html.UnescapeString(m[1]))
		names = append(names, html.UnescapeString(m[2]))
	}
	return hrefs, names
}

func TestListing(t *testing.T) {
	content := map[string]string{
		"b.txt": "", "a.txt": "", "z/": "", "y/x/deep.txt": "", "indexed/index.html": "index", ".hidden": "", ".git/": "",
		"to-file": "-> b.txt", "to-folder": "-> z", "out": "-> ..", "out-file": "-> /etc/passwd", "dangling": "-> none",
		"<b>bold": "", `q"u'o&te`: "", "a:b": "", "a b?#%41": "", "%2F": "", "new\nline": "", "\xff": "",
	}
	r := newRig(t, Options{Listing: true, Prefix: "/files/"}, content)
	if err := unix.Mkfifo(filepath.Join(r.dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := r.get("/files/")
	_, names := listed(p)
	want := "indexed/|to-folder/|y/|z/|<b>bold|a b?#%41|a.txt|a:b|b.txt|new\ufffdline|" + `q"u'o&te|to-file|` + "\ufffd"
	if got := strings.Join(names, "|"); p.status != 200 || got != want || strings.Contains(p.body, "<b>") {
		t.Errorf("got %v\n%q, want\n%q", p, got, want)
	}
	if p.header.Get("Content-Type") != "text/html; charset=utf-8" || p.header.Get("X-Content-Type-Options") != "nosniff" || p.header["Etag"] != nil {
		t.Errorf("got %v", p)
	}
	base, err := url.Parse("http://example.org/files/")
	if err != nil {
		t.Fatal(err)
	}
	hrefs, _ := listed(p)
	for _, href := range hrefs { // every link leads somewhere
		u, err := base.Parse(href)
		if err != nil {
			t.Errorf("%s: %v", href, err)
			continue
		}
		r.wantStatus(u.RequestURI(), 200)
	}

	hrefs, _ = listed(r.get("/files/y/x/"))
	if strings.Join(hrefs, "|") != "../|./deep.txt" {
		t.Errorf("below: %q", hrefs)
	}
	r.wantBody("/files/indexed/", "index")
	for _, target := range []string{"/files/out/", "/files/.git/", "/files/none/", "/files/a.txt/", "/files//", "/files/dangling/"} {
		r.wantStatus(target, 404)
	}
	if p := r.get("/files/z?x"); p.header.Get("Location") != "/files/z/?x" {
		t.Errorf("got %v", p)
	}
	if p := r.ask("HEAD", "/files/z/"); p.status != 200 || p.length == 0 {
		t.Errorf("HEAD got %v", p)
	}
}

func TestTheTitleOfAListingIsEscaped(t *testing.T) {
	r := newRig(t, Options{Listing: true, Index: "-"}, map[string]string{"<script>/index.html": "x", ".env": ""})
	p := r.get("/%3Cscript%3E/")
	if _, names := listed(p); p.status != 200 || strings.Contains(p.body, "<script>") || strings.Join(names, "|") != "../|index.html" {
		t.Errorf("got %v %q", p, names)
	}
	if _, names := listed(r.get("/")); strings.Join(names, "|") != "<script>/" {
		t.Errorf("got %q", names)
	}
}

func TestALongFolderIsCutShort(t *testing.T) {
	content := map[string]string{}
	for i := range maxListing + 5 {
		content[fmt.Sprintf("sub/%04d", i)] = ""
	}
	r := newRig(t, Options{Listing: true}, content)
	p := r.get("/sub/")
	if _, names := listed(p); len(names) != maxListing+1 || !strings.Contains(p.body, "more than 1000") {
		t.Errorf("%d names, %v", len(names), p)
	}
}

func TestAFolderIsNotListedUnasked(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{"sub/a": ""})
	r.wantStatus("/sub/", 404)
	r.wantStatus("/", 404)
	r = newRig(t, Options{Index: "-"}, map[string]string{"sub/index.html": ""})
	r.wantStatus("/sub/", 404)
	r = newRig(t, Options{Index: "home.htm"}, map[string]string{"home.htm": "home", "index.html": "x"})
	r.wantBody("/", "home")
}
