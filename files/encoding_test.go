//go:build linux

package files

import (
	"strings"
	"testing"
	"time"
)

func TestAcceptEncoding(t *testing.T) {
	const none = "none"
	all := []string{"br", "zstd", "gzip"}
	for _, row := range []struct {
		field string
		there []string
		want  string // "" is the file itself
	}{
		{"gzip", all, "gzip"},
		{"gzip, deflate, br, zstd", all, "br"},
		{"gzip, zstd", all, "zstd"},
		{"gzip, deflate, br, zstd", []string{"gzip"}, "gzip"},
		{"gzip, deflate, br, zstd", nil, ""},
		{"GZip", all, "gzip"},
		{"x-gzip", all, "gzip"},
		{"", all, ""},
		{"deflate", all, ""},
		{"*", all, "br"},
		{"*", nil, ""},
		{"gzip;q=1, br;q=0.9, zstd;q=0.95", all, "gzip"},
		{"gzip;q=0.5, br;q=0.50, zstd;q=0.500", all, "br"},
		{"gzip;q=0.001", all, "gzip"}, // more welcome than what nothing is said of
		{"gzip ; Q=0.5", all, "gzip"},
		{"gzip;x=1;q=0", all, ""},
		{"gzip;q=0", all, ""},
		{"gzip;q=0.000, *", all, "br"},
		{"br;q=0, *;q=0.5", all, "zstd"},
		{"*;q=0", all, none},
		{"*;q=0, gzip", all, "gzip"},
		{"*;q=0, gzip", []string{"br"}, none},
		{"identity;q=0", all, none},
		{"identity;q=0, gzip", all, "gzip"},
		{"identity;q=0, gzip", nil, none},
		{"identity;q=0, *", all, "br"},
		{"identity, gzip;q=0.5", all, ""},
		{"identity;q=0.5, gzip;q=0.5", all, "gzip"},
		{"identity;q=0.5, *;q=0", all, ""},
		{"identity;q=0.1, gzip;q=0", all, ""},
		{"gzip;q=2", all, ""}, // malformed members are ignored
		{"gzip;q=1.001", all, ""},
		{"gzip;q=0.0001", all, ""},
		{"gzip;q=", all, ""},
		{"gzip;q=.5, zstd", all, "zstd"},
		{"gzip;q=0,5", all, ""},
		{"gzip;q=-1", all, ""},
		{",, gzip ,", all, "gzip"},
		{"gzip br", all, ""},
	} {
		tree := &Tree{}
		e := &entry{variants: []variant{{data: &data{}}}}
		for i := range codings {
			v := variant{coding: &codings[i], data: &data{}}
			for _, name := range row.there {
				v.there = v.there || name == v.coding.name
			}
			e.variants = append(e.variants, v)
		}
		got := none
		if v := tree.choose(e, []byte(row.field)); v == &e.variants[0] {
			got = ""
		} else if v != nil {
			got = v.coding.name
		}
		if got != row.want {
			t.Errorf("%q with %v: got %q, want %q", row.field, row.there, got, row.want)
		}
	}
}

func TestPrecompressedSiblings(t *testing.T) {
	content := map[string]string{
		"a.css": large, "a.css.gz": "gzipped", "a.css.br": large + "brotli", "b.css": "b", "c.css.gz": "without c",
		"d.css": "d", "d.css.gz": "-> ../secret", "d.css.br/": "", "index.html": "i", "index.html.zst": "zstandard",
	}
	r := newRig(t, Options{Precompressed: true}, content)
	for _, row := range []struct{ target, accept, coding, typ, body string }{
		{"/a.css", "gzip", "gzip", "text/css; charset=utf-8", "gzipped"},
		{"/a.css", "gzip, br", "br", "text/css; charset=utf-8", large + "brotli"},
		{"/a.css", "zstd", "", "text/css; charset=utf-8", large},
		{"/a.css.gz", "gzip", "", "application/gzip", "gzipped"},
		{"/b.css", "gzip, br", "", "text/css; charset=utf-8", "b"},
		{"/d.css", "gzip, br", "", "text/css; charset=utf-8", "d"},
		{"/", "zstd", "zstd", "text/html; charset=utf-8", "zstandard"},
	} {
		p := r.get(row.target, "Accept-Encoding: "+row.accept)
		vary := "Accept-Encoding"
		if strings.HasSuffix(row.target, ".gz") {
			vary = ""
		}
		if p.status != 200 || p.body != row.body || p.header.Get("Content-Encoding") != row.coding || p.header.Get("Content-Type") != row.typ || p.header.Get("Vary") != vary {
			t.Errorf("%s, %s: got %v", row.target, row.accept, p)
		}
	}
	if p := r.get("/a.css"); p.body != large || p.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("no field: got %v", p)
	}
	r.wantStatus("/c.css", 404)
	if p := r.get("/b.css", "Accept-Encoding: gzip, identity;q=0"); p.status != 406 || p.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("nothing acceptable: got %v", p)
	}

	// Validators and ranges are those of what is sent.
	tags := map[string]bool{}
	for _, accept := range []string{"identity", "gzip", "br"} {
		p := r.get("/a.css", "Accept-Encoding: "+accept)
		tag := p.header.Get("Etag")
		if tag == "" || tags[tag] {
			t.Errorf("%s: the tag %s is not its own", accept, tag)
		}
		tags[tag] = true
		if again := r.get("/a.css", "Accept-Encoding: "+accept, "If-None-Match: "+tag); again.status != 304 || again.header.Get("Vary") == "" || again.header.Get("Etag") != tag {
			t.Errorf("%s: got %v, want 304", accept, again)
		}
		if again := r.get("/a.css", "Accept-Encoding: deflate", "If-None-Match: "+tag); (again.status == 304) != (accept == "identity") {
			t.Errorf("%s, then no coding: got %v", accept, again)
		}
		part := r.get("/a.css", "Accept-Encoding: "+accept, "Range: bytes=-3", "If-Range: "+tag)
		if part.status != 206 || part.body != p.body[len(p.body)-3:] || part.header.Get("Content-Encoding") != p.header.Get("Content-Encoding") {
			t.Errorf("%s: a range is %v", accept, part)
		}
	}
}

func TestASiblingThatIsOlderIsIgnored(t *testing.T) {
	r := newRig(t, Options{Precompressed: true}, map[string]string{"a": "new", "a.gz": "zipped"})
	get := func(want string) {
		t.Helper()
		r.turn(recheck)
		if p := r.get("/a", "Accept-Encoding: gzip"); p.body != want || p.header.Get("Vary") == "" {
			t.Errorf("got %v, want %s", p, want)
		}
	}
	get("zipped") // as old: gzip keeps the time
	r.chtimes("a.gz", old.Add(-time.Nanosecond))
	get("new")
	r.chtimes("a.gz", old.Add(time.Minute))
	get("zipped")
	r.put("a.gz", "zipped again")
	get("zipped again")
}

func TestSiblingsAreServedOnlyIfAskedFor(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{"a": "a", "a.gz": "zipped"})
	for _, accept := range []string{"gzip", "gzip, identity;q=0"} {
		if p := r.get("/a", "Accept-Encoding: "+accept); p.body != "a" || p.header.Get("Vary") != "" {
			t.Errorf("got %v", p)
		}
	}
}

// Whatever the field says, weights are within their bounds, and what it forbids
// in so many words is not welcome.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"", "gzip", "gzip;q=0.5, *;q=0", "identity;q=0", "br;q=1.000", ";;q=,", "*;q=0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		for i, w := range accepted([]byte(field)) {
			if w < 0 || w > 2000 {
				t.Errorf("%q: weight %d is %d", field, i, w)
			}
		}
		if w := accepted([]byte(field + ",gzip;q=0,identity;q=0")); w[2] != 0 || w[plain] != 0 {
			t.Errorf("%q, gzip;q=0, identity;q=0: %v", field, w)
		}
	})
}
