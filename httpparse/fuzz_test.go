package httpparse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fuzzVector is what a fuzzer made up, with its place to cut.
func fuzzVector(in []byte, cut, maxBytes uint16, maxFields uint8) (vector, int) {
	return vector{in: in, lim: Limits{Bytes: int(maxBytes), Fields: int(maxFields)}}, int(cut) % (len(in) + 1)
}

func FuzzHead(f *testing.F) {
	for _, v := range vectors(f, "head") {
		f.Add(v.in, uint16(len(v.in)/2), uint16(v.lim.Bytes), uint8(v.lim.Fields))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut, maxBytes uint16, maxFields uint8) {
		v, at := fuzzVector(in, cut, maxBytes, maxFields)
		var whole, again Head
		n, bad := feed(&whole, v, inPlace)
		againN, againBad := feed(&again, v, moving(), at)
		if againN != n || againBad != bad || n > 0 && !reflect.DeepEqual(again, whole) {
			t.Fatalf("cut at %d: got %d, %v, %+v; want %d, %v, %+v", at, againN, againBad, again, n, bad, whole)
		}
		if n == 0 {
			return
		}
		checkHeadSpans(t, &whole, n)
		checkRewritten(t, &whole, in)
		checkNetHTTPAgrees(t, &whole, in[:n])
	})
}

func checkHeadSpans(t *testing.T, h *Head, n int) {
	t.Helper()
	for _, s := range []Span{h.method, h.Target, h.Path, h.Query, h.Host} {
		if s.Start > s.End || int(s.End) > n {
			t.Errorf("span %v in a head of %d bytes", s, n)
		}
	}
	checkFieldSpans(t, h.Fields.List(), int(h.Target.End), n)
}

// checkFieldSpans: names and values follow each other and do not overlap.
func checkFieldSpans(t *testing.T, list []Field, start, end int) {
	t.Helper()
	last := uint32(start)
	for _, f := range list {
		if f.Name.Start < last || f.Name.Start >= f.Name.End || f.Name.End >= f.Value.Start || f.Value.Start > f.Value.End {
			t.Errorf("field %v behind %d", f, last)
		}
		last = f.Value.End
	}
	if int(last) > end {
		t.Errorf("fields end at %d, behind %d", last, end)
	}
}

// meaning is all that a head says, in words instead of positions.
func meaning(h *Head, b []byte) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%q %q %d %d\n", h.Method, h.method.Of(b), h.Minor, h.Form)
	fmt.Fprintf(&s, "%q %q %q %q\n", h.Target.Of(b), h.Path.Of(b), h.Query.Of(b), h.Host.Of(b))
	fmt.Fprintln(&s, h.ContentLength, h.Chunked, h.KeepAlive, h.Continue, h.Upgrade)
	for _, f := range h.Fields.List() {
		fmt.Fprintf(&s, "%q %q\n", f.Name.Of(b), f.Value.Of(b))
	}
	return s.String()
}

// checkRewritten writes the head anew, as a proxy would, and reads it again.
func checkRewritten(t *testing.T, h *Head, b []byte) {
	t.Helper()
	var w bytes.Buffer
	fmt.Fprintf(&w, "%s %s HTTP/1.%d\r\n", h.method.Of(b), h.Target.Of(b), h.Minor)
	for _, f := range h.Fields.List() {
		fmt.Fprintf(&w, "%s:%s\r\n", f.Name.Of(b), f.Value.Of(b))
	}
	w.WriteString("\r\n")
	var again Head
	n, bad := again.Parse(w.Bytes(), Limits{Bytes: w.Len(), Fields: len(h.Fields.List())})
	if bad != nil || n != w.Len() {
		t.Fatalf("%q is not taken again: %d, %v", w.Bytes(), n, bad)
	}
	if got, want := meaning(&again, w.Bytes()), meaning(h, b); got != want {
		t.Errorf("%q means\n%s\nwant\n%s", w.Bytes(), got, want)
	}
}

// checkNetHTTPAgrees: what is taken here net/http takes too, and reads the same.
func checkNetHTTPAgrees(t *testing.T, h *Head, b []byte) {
	t.Helper()
	// net/http takes no empty line before the request line.
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[h.method.Start:])))
	if err != nil {
		if netHTTPReason(h, b) == "" {
			t.Errorf("net/http refuses %q: %v", b, err)
		}
		return
	}
	host := string(h.Host.Of(b))
	if h.Form == Absolute || h.Form == Authority { // net/url decodes what is not ASCII in a target's host
		host, _ = url.PathUnescape(host)
	}
	got := fmt.Sprintf("%q %q %q %q %d %v", r.Method, r.RequestURI, r.URL.RawQuery, r.Host, r.ContentLength, !r.Close)
	want := fmt.Sprintf("%q %q %q %q %d %v", h.method.Of(b), h.Target.Of(b), h.Query.Of(b), host, h.ContentLength, h.KeepAlive)
	if got != want {
		t.Errorf("net/http reads %q as %s, want %s", b, got, want)
	}
}

// netHTTPReason names why net/http refuses a head that is right.
func netHTTPReason(h *Head, b []byte) string {
	if h.Form != Origin && bytes.IndexByte(h.Host.Of(b), '%') >= 0 {
		return "net/url decodes no ASCII in a host"
	}
	for _, f := range h.Fields.List() {
		if h.Chunked && is(f.Name.Of(b), "trailer") {
			return "net/http checks the names that Trailer announces"
		}
	}
	return ""
}

func FuzzChunked(f *testing.F) {
	for _, v := range vectors(f, "chunked") {
		f.Add(v.in, uint16(len(v.in)/2))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		v, at := fuzzVector(in, cut, 0, 0)
		whole := feedChunked(v, inPlace)
		if again := feedChunked(v, moving(), at); !reflect.DeepEqual(again, whole) {
			t.Fatalf("cut at %d: got %+v, want %+v", at, again, whole)
		}
		if len(whole.data) > len(in) {
			t.Fatalf("%d bytes of data out of %d", len(whole.data), len(in))
		}
		if !whole.ended {
			return
		}
		checkNetHTTPReadsBody(t, in[:whole.used], whole.data)
	})
}

func checkNetHTTPReadsBody(t *testing.T, framed, want []byte) {
	t.Helper()
	request := slices.Concat([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), framed, []byte("\r\n"))
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r.Body)
	if err != nil && strings.Contains(err.Error(), "line too long") {
		return // net/http takes lines of up to 4096 bytes
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("net/http reads %q as %q, %v; want %q", framed, got, err, want)
	}
}

func FuzzTrailer(f *testing.F) {
	for _, v := range vectors(f, "trailer") {
		f.Add(v.in, uint16(len(v.in)/2), uint16(v.lim.Bytes), uint8(v.lim.Fields))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut, maxBytes uint16, maxFields uint8) {
		v, at := fuzzVector(in, cut, maxBytes, maxFields)
		var whole, again Fields
		n, bad := feed(&whole, v, inPlace)
		againN, againBad := feed(&again, v, moving(), at)
		if againN != n || againBad != bad || n > 0 && !reflect.DeepEqual(again, whole) {
			t.Fatalf("cut at %d: got %d, %v, %+v; want %d, %v, %+v", at, againN, againBad, again, n, bad, whole)
		}
		if n == 0 {
			return
		}
		checkFieldSpans(t, whole.List(), 0, n)
		want := textproto.MIMEHeader{}
		for _, f := range whole.List() {
			want.Add(string(f.Name.Of(in)), string(f.Value.Of(in)))
		}
		got, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(in[:n]))).ReadMIMEHeader()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("net/textproto reads %q as %q, %v; want %q", in[:n], got, err, want)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, v := range vectors(f, "head") {
		var h Head
		if n, _ := feed(&h, v, inPlace); n > 0 {
			f.Add(string(h.Path.Of(v.in)))
		}
	}
	f.Fuzz(func(t *testing.T, p string) {
		if p != "" && p[0] != '/' {
			return // no path of a parsed head, but for the asterisk
		}
		got := string(AppendPath(nil, []byte(p)))
		if got[0] != '/' || len(got) > max(1, len(p)) {
			t.Errorf("%q becomes %q", p, got)
		}
		for segment := range strings.SplitSeq(got, "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q becomes %q, with a dot segment", p, got)
			}
		}
		if plainPath([]byte(p)) && got != p {
			t.Errorf("%q is called plain and becomes %q", p, got)
		}
		if want, ok := slowPath(p); ok && got != want {
			t.Errorf("%q becomes %q, want %q", p, got, want)
		}
	})
}

// slowPath is AppendPath by other means. It has no answer for a malformed escape.
func slowPath(p string) (string, bool) {
	clean := []string{""} // the root, which stays
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, segment := range segments {
		segment = strings.NewReplacer("%2F", "%252F", "%2f", "%252f").Replace(segment)
		segment, err := url.PathUnescape(segment)
		if err != nil {
			return "", false
		}
		switch {
		case segment != "." && segment != "..":
			clean = append(clean, segment)
			continue
		case segment == ".." && len(clean) > 1:
			clean = clean[:len(clean)-1]
		}
		if i == len(segments)-1 {
			clean = append(clean, "")
		}
	}
	return strings.Join(clean, "/"), true
}
