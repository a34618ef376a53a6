package httpparse

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// roomy lays bytes with as much room behind them as vector code reads ahead. What is
// there would change an answer if it counted.
func roomy(b []byte) []byte {
	all := append(make([]byte, 0, len(b)+192), b...)
	for i := range 192 {
		all = append(all, "\r\n\x00 :"[i%5])
	}
	return all[:len(b)]
}

// plainly does f without vector instructions.
func plainly(f func()) {
	defer func(has bool) { hasAVX2 = has }(hasAVX2)
	hasAVX2 = false
	f()
}

// ways are the ways through the code that are to come to the same.
var ways = []struct {
	name  string
	parse func(p prefixParser, v vector) (int, *Error)
}{
	{"with vector code", func(p prefixParser, v vector) (int, *Error) {
		return feed(p, v, roomy)
	}},
	{"with vector code while there is room", func(p prefixParser, v vector) (int, *Error) {
		return feed(p, v, inPlace)
	}},
	{"in plain code", func(p prefixParser, v vector) (n int, bad *Error) {
		plainly(func() { n, bad = feed(p, v, inPlace) })
		return n, bad
	}},
	{"byte by byte", func(p prefixParser, v vector) (int, *Error) { // no line is there whole before its last byte
		return feed(p, v, inPlace, slices.Collect(cuts(len(v.in)))...)
	}},
}

// testWays promises that all ways lead to the same answer, and the same parser.
func testWays(t *testing.T, v vector, fresh func() prefixParser) {
	t.Helper()
	var first prefixParser
	var wantN int
	var wantBad *Error
	for i, way := range ways {
		p := fresh()
		n, bad := way.parse(p, v)
		if i == 0 {
			first, wantN, wantBad = p, n, bad
			continue
		}
		if n != wantN || bad != wantBad || n > 0 && !reflect.DeepEqual(p, first) {
			t.Fatalf("%q, %v\n%s: %d, %v, %+v\n%s: %d, %v, %+v", v.in, v.lim, way.name, n, bad, p, ways[0].name, wantN, wantBad, first)
		}
	}
}

func TestAllWaysLeadToTheSame(t *testing.T) {
	for _, v := range vectors(t, "head") {
		testWays(t, v, func() prefixParser { return new(Head) })
	}
	for _, v := range vectors(t, "trailer") {
		testWays(t, v, func() prefixParser { return new(Fields) })
	}
}

// Marks are made for 64 bytes at once: a line may begin and end at any of them.
func TestLinesLieAnywhereInAWord(t *testing.T) {
	for at := range 130 {
		for size := range 130 {
			name, value := strings.Repeat("n", 1+size), strings.Repeat("v", size)
			in := fmt.Sprintf("A: %s\r\nB: %s\r\n%s: b\r\nHost:a\r\n\r\n", strings.Repeat("a", at), value, name)
			testWays(t, vector{in: []byte(in), lim: defaultLimits}, func() prefixParser { return new(Fields) })
		}
	}
}

// The marks of one word would do for the next here, up to the line that is wrong.
func TestNoWordIsTakenForTheOneBefore(t *testing.T) {
	for lines := range 40 {
		for _, wrong := range []string{"A: \x01cd\r\n", "\x01: bcd\r\n", "A: bcde\r\n", "A: bc\r\n", ": abcd\r\n"} {
			in := strings.Repeat("A: bcd\r\n", lines) + wrong + "\r\n"
			testWays(t, vector{in: []byte(in), lim: defaultLimits}, func() prefixParser { return new(Fields) })
		}
	}
}

// Every byte is put in every place of a short head, and of one with a line of each
// kind that vector code leaves to plain; in a long one only bytes at the edges of a class.
func TestEveryByteEverywhere(t *testing.T) {
	const unusual = "PUT /a?b HTTP/1.1\r\nHost: a\r\nA:  b\r\nC:\td\r\nE:\r\nF: g \r\nExpect:100-continue\r\nContent-Length: 5\r\n\r\n"
	const edges = "\x00\x08\t\n\r\x1f !\"#%/:;?@[`{~\x7f\x80\xff"
	var all [256]byte
	for c := range all {
		all[c] = byte(c)
	}
	for _, test := range []struct{ in, bytes string }{
		{smallRequest, string(all[:])}, {unusual, string(all[:])}, {browserRequest, edges},
	} {
		in := []byte(test.in)
		for at, was := range in {
			for _, in[at] = range []byte(test.bytes) {
				v := vector{in: in, lim: defaultLimits}
				var plain, vectored Head
				wantN, wantBad := ways[2].parse(&plain, v)
				n, bad := ways[0].parse(&vectored, v)
				if n != wantN || bad != wantBad || n > 0 && !reflect.DeepEqual(vectored, plain) {
					t.Fatalf("%q: %d, %v, %+v; want %d, %v, %+v", in, n, bad, vectored, wantN, wantBad, plain)
				}
			}
			in[at] = was
		}
	}
}

// What most clients send takes the short way, or the short way is for nothing.
func TestUsualHeadsAreTakenInTwoSteps(t *testing.T) {
	for _, bench := range benchmarks {
		in := roomy([]byte(bench.in))
		var h Head
		if !h.takeRequestLine(in) || !h.Fields.takeLines(in, 100) {
			t.Errorf("%s: stopped at %d, %d", bench.name, h.pos, h.Fields.pos)
		}
		if !hasAVX2 {
			continue
		}
		free := make([]Field, 100)
		n, next := takeLinesAVX2(in, h.pos, free)
		if want := h.Fields.List(); !slices.Equal(free[:n], want) || next != h.Fields.pos-len("\r\n") {
			t.Errorf("%s: vector code takes %d of %d lines", bench.name, n, len(want))
		}
	}
}

func FuzzWays(f *testing.F) {
	for _, v := range vectors(f, "head") {
		f.Add(v.in, uint16(v.lim.Bytes), uint8(v.lim.Fields))
	}
	for _, bench := range benchmarks {
		f.Add([]byte(bench.in), uint16(16384), uint8(100))
	}
	f.Fuzz(func(t *testing.T, in []byte, maxBytes uint16, maxFields uint8) {
		v, _ := fuzzVector(in, 0, maxBytes, maxFields)
		testWays(t, v, func() prefixParser { return new(Head) })
		testWays(t, v, func() prefixParser { return new(Fields) })
	})
}
