package httpparse

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A vector is one file below testdata: what is expected, and of which bytes.
// The format is in testdata/README.md.
type vector struct {
	name string
	keys map[string][]string // what is expected and not yet compared
	in   []byte
	lim  Limits
}

var defaultLimits = Limits{Bytes: 16384, Fields: 100}

// vectors reads the files of one kind: head, chunked or trailer.
func vectors(t testing.TB, kind string) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", kind, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors of kind %s: %v", kind, err)
	}
	var all []vector
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parseVector(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		v.name = strings.TrimSuffix(filepath.Base(file), ".txt")
		all = append(all, v)
	}
	return all
}

func parseVector(text string) (v vector, err error) {
	v = vector{keys: map[string][]string{}, lim: defaultLimits}
	header, body, found := strings.Cut(text, "\n\n")
	if !found {
		return v, fmt.Errorf("no blank line")
	}
	for line := range strings.Lines(header) {
		key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !found {
			return v, fmt.Errorf("no colon in %q", line)
		}
		b, err := fragment(strings.TrimPrefix(value, " "))
		if err != nil {
			return v, err
		}
		switch value := string(b); key {
		case "about", "ref":
		case "max-bytes":
			v.lim.Bytes, err = strconv.Atoi(value)
		case "max-fields":
			v.lim.Fields, err = strconv.Atoi(value)
		default:
			v.keys[key] = append(v.keys[key], value)
		}
		if err != nil {
			return v, err
		}
	}
	for line := range strings.Lines(body) {
		b, err := fragment(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return v, err
		}
		v.in = append(v.in, b...)
	}
	return v, nil
}

// fragment reads text with the escapes of a Go string. "*300 x" is x 300 times.
func fragment(s string) (b []byte, err error) {
	times := 1
	if count, rest, found := strings.Cut(s, " "); found && strings.HasPrefix(count, "*") {
		if n, err := strconv.Atoi(count[1:]); err == nil {
			times, s = n, rest
		}
	}
	for len(s) > 0 {
		r, multibyte, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		if multibyte {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
		s = tail
	}
	return slices.Repeat(b, times), nil
}

// expect compares what came out with the vector's lines of that key. Where it
// has none the plain values are expected.
func (v vector) expect(t *testing.T, key string, got, plain []string) {
	t.Helper()
	want, given := v.keys[key]
	if !given {
		want = plain
	}
	delete(v.keys, key)
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", key, got, want)
	}
}

// expectOne is expect for a key that stands once.
func (v vector) expectOne(t *testing.T, key string, got any, plain string) {
	t.Helper()
	v.expect(t, key, []string{fmt.Sprint(got)}, []string{plain})
}

// expectAnswer compares the three ways of an answer.
func (v vector) expectAnswer(t *testing.T, done bool, bad *Error) {
	t.Helper()
	switch {
	case bad != nil:
		v.expectOne(t, "want", bad.Status, "")
		v.expectOne(t, "reason", bad.Reason, "")
	case done:
		v.expectOne(t, "want", "ok", "")
	default:
		v.expectOne(t, "want", "more", "")
	}
}

func (v vector) expectFields(t *testing.T, list []Field, plain ...string) {
	t.Helper()
	if _, given := v.keys["count"]; given {
		v.expectOne(t, "count", len(list), "")
		return
	}
	var got []string
	for _, f := range list {
		line := string(f.Name.Of(v.in)) + " = " + string(f.Value.Of(v.in))
		got = append(got, strings.TrimRight(line, " "))
	}
	if len(got) == 0 {
		got = []string{""}
	}
	v.expect(t, "field", got, plain)
}

// expectNothingElse fails for keys that nobody compared: misspelt, or of
// another kind or outcome.
func (v vector) expectNothingElse(t *testing.T) {
	t.Helper()
	for key := range v.keys {
		t.Errorf("nothing is called %q here", key)
	}
}

// cuts are the places to cut n bytes in two: all of them. Only of the few long
// vectors, where the time grows with the square, it is some 200.
func cuts(n int) iter.Seq[int] {
	step := 1 + n/2000*10
	return func(yield func(int) bool) {
		for cut := 0; cut < n; cut += step {
			if !yield(cut) {
				return
			}
		}
	}
}

// A layout puts the bytes that a parser is about to get where the test wants them.
type layout func([]byte) []byte

// inPlace lets the buffer grow where it is. The capacity ends with the bytes.
func inPlace(b []byte) []byte { return b[:len(b):len(b)] }

// moving gives the bytes another place each time and spoils the last one.
func moving() layout {
	var last []byte
	return func(b []byte) []byte {
		clear(last)
		last = slices.Clone(b)
		return last
	}
}

// prefixParser is a *Head or a *Fields.
type prefixParser interface {
	Parse([]byte, Limits) (int, *Error)
	Reset()
}

// feed gives p the bytes up to each of the ends and at last all of them, until
// it answers other than more.
func feed(p prefixParser, v vector, lay layout, ends ...int) (n int, bad *Error) {
	p.Reset()
	for _, end := range ends {
		if n, bad = p.Parse(lay(v.in[:end]), v.lim); n > 0 || bad != nil {
			return n, bad
		}
	}
	return p.Parse(lay(v.in), v.lim)
}

// testCuts promises that an answer, and every field of the parser that has
// accepted, is the same whatever the pieces were and wherever the buffer lay.
func testCuts(t *testing.T, v vector, fresh func() prefixParser) {
	whole := fresh()
	wantN, wantBad := feed(whole, v, inPlace)
	try := func(how string, lay layout, ends ...int) {
		again := fresh()
		n, bad := feed(again, v, lay, ends...)
		if n != wantN || bad != wantBad {
			t.Fatalf("%s %v: got %d, %v; want %d, %v", how, ends, n, bad, wantN, wantBad)
		}
		if n > 0 && !reflect.DeepEqual(again, whole) {
			t.Fatalf("%s %v: got %+v, want %+v", how, ends, again, whole)
		}
	}
	for cut := range cuts(len(v.in)) {
		try("cut at", inPlace, cut)
	}
	bytewise := slices.Collect(cuts(len(v.in)))
	try("cut at", inPlace, bytewise...)
	try("moved at", moving(), bytewise...)
}
