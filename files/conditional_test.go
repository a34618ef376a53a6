//go:build linux

package files

import (
	"strings"
	"testing"
	"time"
)

func TestConditionsAreLookedAtInTheirOrder(t *testing.T) {
	r := newRig(t, Options{CacheControl: "no-cache"}, map[string]string{"a": "hello", "large": large})
	tag := r.get("/a").header.Get("Etag")
	const (
		before  = "Sat, 01 Jan 2000 00:00:00 GMT"
		after   = "Mon, 01 Jan 2024 00:00:00 GMT"
		garbage = "yesterday"
	)
	for _, row := range []struct {
		fields string // separated by |
		status int
	}{
		{"", 200},

		{"If-Match: *", 200},
		{"If-Match: TAG", 200},
		{`If-Match: "x", TAG`, 200},
		{`If-Match: "x"|If-Match: TAG`, 200},
		{`If-Match: "x"`, 412},
		{`If-Match: W/TAG`, 412}, // strong comparison
		{`If-Match: "*"`, 412},
		{`If-Match:`, 412},
		{`If-Match: TAG|If-Unmodified-Since: ` + before, 200}, // the second is not looked at
		{`If-Match: "x"|If-None-Match: TAG`, 412},
		{`If-Match: TAG|If-None-Match: TAG`, 304},

		{"If-Unmodified-Since: " + before, 412},
		{"If-Unmodified-Since: " + oldDate, 200},
		{"If-Unmodified-Since: " + after, 200},
		{"If-Unmodified-Since: " + garbage, 200},
		{"If-Unmodified-Since: " + before + "|If-None-Match: TAG", 412},
		{"If-Unmodified-Since: " + after + "|If-None-Match: TAG", 304},

		{"If-None-Match: *", 304},
		{"If-None-Match: TAG", 304},
		{"If-None-Match: W/TAG", 304}, // weak comparison
		{`If-None-Match: "x"`, 200},
		{`If-None-Match: "x", W/"y",TAG`, 304},
		{`If-None-Match: "x"|If-None-Match: TAG`, 304},
		{`If-None-Match: ,, "a,b" ,TAG ,`, 304},
		{`If-None-Match: "x" TAG`, 200}, // malformed
		{`If-None-Match: x, TAG`, 200},
		{`If-None-Match: w/TAG`, 200},
		{`If-None-Match: "TAG`, 200},
		{`If-None-Match: "x", *`, 200},
		{`If-None-Match: "x"|If-Modified-Since: ` + after, 200}, // the second is not looked at
		{`If-None-Match: TAG|If-Modified-Since: ` + before, 304},

		{"If-Modified-Since: " + before, 200},
		{"If-Modified-Since: " + oldDate, 304},
		{"If-Modified-Since: " + after, 304},
		{"If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT", 200},
		{"If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT", 304},
		{"If-Modified-Since: Tuesday, 14-Nov-23 22:13:19 GMT", 200},
		{"If-Modified-Since: Tue Nov 14 22:13:20 2023", 304},
		{"If-Modified-Since: Tue Nov 14 22:13:19 2023", 200},
		{"If-Modified-Since: " + garbage, 200},
		{"If-Modified-Since: " + oldDate + "|If-Modified-Since: " + oldDate, 200}, // no list
		{"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 CET", 200},
		{"If-Modified-Since: 1700000000", 200},

		{"Range: bytes=0-1|If-None-Match: TAG", 304},
		{`Range: bytes=0-1|If-Match: "x"`, 412},
		{"Range: bytes=99999-|If-Modified-Since: " + oldDate, 304},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			var fields []string
			if row.fields != "" {
				fields = strings.Split(strings.ReplaceAll(row.fields, "TAG", tag), "|")
			}
			p := r.ask(method, "/a", fields...)
			if p.status != row.status {
				t.Errorf("%s %s: got %v, want %d", method, row.fields, p, row.status)
			}
			if p.status == 304 && (p.header.Get("Etag") != tag || p.header.Get("Cache-Control") != "no-cache" || p.header.Get("Date") == "" || p.header.Get("Accept-Ranges") != "" || p.body != "") {
				t.Errorf("%s %s: 304 is %v", method, row.fields, p)
			}
		}
	}
	if p := r.ask("POST", "/a", "If-None-Match: *"); p.status != 405 {
		t.Errorf("POST with a condition: %v", p)
	}
	if p := r.get("/none", "If-None-Match: *", "If-Match: *"); p.status != 404 {
		t.Errorf("a condition on what is not there: %v", p)
	}
}

func TestIfRange(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{"a": "hello", "large": large})
	for _, name := range []string{"a", "large"} {
		tag := r.get("/" + name).header.Get("Etag")
		for _, row := range []struct {
			condition string
			status    int
		}{
			{tag, 206},
			{"W/" + tag, 200},
			{`"x"`, 200},
			{tag + `, "x"`, 200},
			{"*", 200},
			{"", 200},
			{oldDate, 206},
			{"Tue Nov 14 22:13:20 2023", 206},
			{"Tue, 14 Nov 2023 22:13:19 GMT", 200},
			{"Tue, 14 Nov 2023 22:13:21 GMT", 200},
			{"Wednesday", 200},
		} {
			p := r.get("/"+name, "Range: bytes=1-3", "If-Range: "+row.condition)
			if p.status != row.status {
				t.Errorf("If-Range: %s: got %v, want %d", row.condition, p, row.status)
			}
		}
		if p := r.get("/"+name, "If-Range: "+tag); p.status != 200 {
			t.Errorf("If-Range without Range: %v", p)
		}
		// A client that goes on with what it has of a file is not given a second to
		// mix it with another.
		r.put(name, strings.ToUpper(r.get("/"+name).body))
		r.chtimes(name, old.Add(time.Second))
		if p := r.get("/"+name, "Range: bytes=1-3", "If-Range: "+tag); p.status != 200 || strings.ToUpper(p.body) != p.body {
			t.Errorf("If-Range of a file that was replaced: %v", p)
		}
	}
}

func TestDatesOfTwoDigits(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for text, year := range map[string]int{"94": 1994, "26": 2026, "75": 2075, "77": 1977, "00": 2000, "69": 2069, "68": 2068} {
		got, ok := parseDate([]byte("Sunday, 06-Nov-"+text+" 08:49:37 GMT"), &variant{}, now)
		if y := time.Unix(got, 0).UTC().Year(); !ok || y != year {
			t.Errorf("%s is %d, want %d", text, y, year)
		}
	}
}

// parseDate takes what is a date, and the three formats only.
func FuzzDate(f *testing.F) {
	for _, s := range []string{oldDate, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun Nov 6 08:49:37 1994", "", "0"} {
		f.Add(s)
	}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		seconds, ok := parseDate([]byte(s), &variant{}, now)
		if !ok {
			return
		}
		again, ok := parseDate([]byte(time.Unix(seconds, 0).UTC().Format(imfFixdate)), &variant{}, now)
		if !ok || again != seconds {
			t.Errorf("%q is %d, printed and read again %d", s, seconds, again)
		}
	})
}

// A tag is found in every list that it is a member of, and only there.
func FuzzHasTag(f *testing.F) {
	for _, s := range []string{`"a"`, `W/"a"`, `"b", "a"`, "*", `"a`, `"b"x`, ",", `W/`, ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		const tag = `"a"`
		found := hasTag([]byte(list), tag, weak)
		if found && !strings.Contains(list, tag) && strings.Trim(list, " \t") != "*" {
			t.Errorf("%q is not in %q", tag, list)
		}
		if hasTag([]byte(list), tag, strong) && !found {
			t.Errorf("%q has %q strongly and not weakly", list, tag)
		}
		if !hasTag([]byte(tag+","+list), tag, strong) {
			t.Errorf("%q is not found before %q", tag, list)
		}
		if hasTag([]byte(list), "", weak) && strings.Trim(list, " \t") != "*" {
			t.Errorf("no tag is found in %q", list)
		}
	})
}
