//go:build linux

package files

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
)

var rangeRows = []struct {
	field  string
	size   int64
	answer rangeAnswer
	spans  []span
}{
	{"bytes=0-3", 12, sendRanges, []span{{0, 4}}},
	{"bytes=0-0", 12, sendRanges, []span{{0, 1}}},
	{"bytes=11-11", 12, sendRanges, []span{{11, 1}}},
	{"bytes=0-11", 12, sendRanges, []span{{0, 12}}},
	{"bytes=6-", 12, sendRanges, []span{{6, 6}}},
	{"bytes=6-100", 12, sendRanges, []span{{6, 6}}},
	{"bytes=-4", 12, sendRanges, []span{{8, 4}}},
	{"bytes=-12", 12, sendRanges, []span{{0, 12}}},
	{"bytes=-100", 12, sendRanges, []span{{0, 12}}},
	{"BYTES=0-3", 12, sendRanges, []span{{0, 4}}},
	{"bytes=007-0009", 12, sendRanges, []span{{7, 3}}},
	{"bytes= 0-3", 12, sendRanges, []span{{0, 4}}},
	{"bytes=0-3\t", 12, sendRanges, []span{{0, 4}}},
	{"bytes=0-1,3-4", 12, sendRanges, []span{{0, 2}, {3, 2}}},
	{"bytes=3-4 , 0-1,\t-1", 12, sendRanges, []span{{3, 2}, {0, 2}, {11, 1}}},
	{"bytes=,0-1,,3-4,", 12, sendRanges, []span{{0, 2}, {3, 2}}},
	{"bytes=0-1,12-,3-4,-0", 12, sendRanges, []span{{0, 2}, {3, 2}}},

	{"bytes=12-", 12, sendNone, nil},
	{"bytes=12-13,99-", 12, sendNone, nil},
	{"bytes=-0", 12, sendNone, nil},

	{"bytes=6-99999999999999999999", 12, sendRanges, []span{{6, 6}}},
	{"bytes=-99999999999999999999", 12, sendRanges, []span{{0, 12}}},
	{"bytes=18446744073709551616-18446744073709551620", 12, sendNone, nil},
	{"bytes=9223372036854775807-", 12, sendNone, nil},
	{"bytes=9223372036854775806-", 1<<63 - 1, sendRanges, []span{{1<<63 - 2, 1}}},
	{"bytes=0-", 1<<63 - 1, sendRanges, []span{{0, 1<<63 - 1}}},

	{"bytes=7-3", 12, sendWhole, nil},
	{"bytes=abc", 12, sendWhole, nil},
	{"bytes=", 12, sendWhole, nil},
	{"bytes", 12, sendWhole, nil},
	{"", 12, sendWhole, nil},
	{"bytes=-", 12, sendWhole, nil},
	{"bytes=--1", 12, sendWhole, nil},
	{"bytes=1", 12, sendWhole, nil},
	{"bytes=1-2-3", 12, sendWhole, nil},
	{"bytes=+1-2", 12, sendWhole, nil},
	{"bytes=0x1-2", 12, sendWhole, nil},
	{"bytes=1 - 2", 12, sendWhole, nil},
	{"bytes=,", 12, sendWhole, nil},
	{"bytes=0-1,a", 12, sendWhole, nil},
	{"bytes=12-,a", 12, sendWhole, nil},
	{"lines=0-3", 12, sendWhole, nil},
	{"bytes =0-3", 12, sendWhole, nil},
	{"bytes=0-1, bytes=6-8", 12, sendWhole, nil}, // two lines
	{"bytes=0-", 0, sendWhole, nil},
	{"bytes=-5", 0, sendWhole, nil},

	{"bytes=0-1" + strings.Repeat(",3-4", maxRanges-1), 12, sendRanges, append([]span{{0, 2}}, slices.Repeat([]span{{3, 2}}, maxRanges-1)...)},
	{"bytes=0-1" + strings.Repeat(",3-4", maxRanges), 12, sendWhole, nil},
	{"bytes=0-" + strings.Repeat(",0-", 999), 12, sendWhole, nil},
}

func TestRangesAreRead(t *testing.T) {
	for _, row := range rangeRows {
		var room [maxRanges]span
		spans, answer := appendRanges(room[:0], []byte(row.field), row.size)
		if answer != row.answer || answer == sendRanges && !slices.Equal(spans, row.spans) {
			t.Errorf("%.60q of %d: got %v %v, want %v %v", row.field, row.size, answer, spans, row.answer, row.spans)
		}
	}
}

func TestRangesAreSent(t *testing.T) {
	content := map[string]string{"small": "hello world\n", "large": large, "empty": "", "medium": large[:smallFile]}
	r := newRig(t, Options{CacheControl: "no-cache"}, content)
	for _, name := range []string{"small", "medium", "large", "empty"} {
		text := content[name]
		size := int64(len(text))
		whole := r.get("/" + name)
		for _, field := range []string{
			"bytes=0-3", "bytes=2-", "bytes=-2", "bytes=5-99999999", "bytes=0-", "bytes=11-11", "bytes=70000-", "bytes=-0",
			"bytes=0-1,5-6", "bytes=0-,0-", "bytes=0-1,70000-", "bytes=-1,0-0,100-200", "bytes=0-0" + strings.Repeat(",1-1", 15),
			"bytes=0-0" + strings.Repeat(",1-1", 16), "bytes=100-,0-20000", "bytes=1-0", "x=0-1",
		} {
			what := name + ", " + field
			p := r.get("/"+name, "Range: "+field)
			head := r.ask("HEAD", "/"+name, "Range: "+field)
			if head.status != 200 || head.length != size || head.header["Content-Range"] != nil {
				t.Errorf("%s: HEAD got %v", what, head)
			}
			spans, answer := appendRanges(nil, []byte(field), size)
			switch {
			case answer == sendNone:
				if p.status != 416 || p.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
					t.Errorf("%s: got %v, want 416", what, p)
				}
				continue
			case answer == sendRanges && len(spans) == 1:
				s := spans[0]
				cr := fmt.Sprintf("bytes %d-%d/%d", s.start, s.start+s.length-1, size)
				if p.status != 206 || p.header.Get("Content-Range") != cr || p.body != text[s.start:s.start+s.length] {
					t.Errorf("%s: got %v, want %s", what, p, cr)
				}
			case answer == sendRanges && p.status == 206:
				wantParts(t, what, p, text, spans)
			case p.status != 200 || p.body != text || p.header["Content-Range"] != nil:
				t.Errorf("%s: got %v, want all", what, p)
			}
			if len(p.body) > len(text) {
				t.Errorf("%s: %d bytes for a file of %d", what, len(p.body), len(text))
			}
			for _, field := range []string{"Etag", "Last-Modified", "Cache-Control", "Accept-Ranges"} {
				if p.header.Get(field) != whole.header.Get(field) {
					t.Errorf("%s: %s is %q, of the whole it is %q", what, field, p.header.Get(field), whole.header.Get(field))
				}
			}
		}
	}
	p := r.get("/large", "Range: bytes=0-1,5-6")
	if p.status != 206 || p.header.Get("Content-Range") != "" {
		t.Errorf("two ranges: %v", p)
	}
	if again := r.get("/large", "Range: bytes=0-1,5-6"); again.header.Get("Content-Type") == p.header.Get("Content-Type") {
		t.Errorf("a boundary is used twice: %v", p)
	}
	if p := r.get("/small", "Range: bytes=0-1,5-6"); p.status != 200 {
		t.Errorf("ranges of what is shorter than their heads: %v", p)
	}
	if p := r.get("/none", "Range: bytes=0-1"); p.status != 404 {
		t.Errorf("ranges of nothing: %v", p)
	}
}

func wantParts(t *testing.T, what string, p reply, text string, spans []span) {
	t.Helper()
	typ, params, err := mime.ParseMediaType(p.header.Get("Content-Type"))
	if err != nil || typ != "multipart/byteranges" {
		t.Errorf("%s: got %v, %v", what, p, err)
		return
	}
	parts := multipart.NewReader(strings.NewReader(p.body), params["boundary"])
	for _, s := range spans {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		body, err := io.ReadAll(part)
		cr := fmt.Sprintf("bytes %d-%d/%d", s.start, s.start+s.length-1, len(text))
		if err != nil || string(body) != text[s.start:s.start+s.length] || part.Header.Get("Content-Range") != cr || part.Header.Get("Content-Type") != unknownType {
			t.Errorf("%s: part %v is %v %.80q, %v", what, s, part.Header, body, err)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("%s: more parts than ranges, or %v", what, err)
	}
}

// Whatever is asked, what is sent lies within the file, and is what a second
// look at the field finds.
func FuzzRange(f *testing.F) {
	for _, row := range rangeRows {
		f.Add(row.field, row.size)
	}
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			return
		}
		spans, answer := appendRanges(nil, []byte(field), size)
		if (answer == sendRanges) != (len(spans) > 0) || len(spans) > maxRanges {
			t.Fatalf("%q of %d: %v with %v", field, size, answer, spans)
		}
		var again []string
		for _, s := range spans {
			if s.start < 0 || s.length <= 0 || s.start > size-s.length {
				t.Fatalf("%q of %d: %v", field, size, s)
			}
			again = append(again, fmt.Sprintf("%d-%d", s.start, s.start+s.length-1))
		}
		if answer == sendRanges {
			if same, _ := appendRanges(nil, []byte("bytes="+strings.Join(again, ",")), size); !slices.Equal(same, spans) {
				t.Fatalf("%q of %d: %v, read again %v", field, size, spans, same)
			}
		}
	})
}
