package httpparse

import (
	"reflect"
	"slices"
	"testing"
)

func TestTrailerVectors(t *testing.T) {
	for _, v := range vectors(t, "trailer") {
		t.Run(v.name, func(t *testing.T) {
			var f Fields
			n, bad := feed(&f, v, inPlace)
			v.expectAnswer(t, n > 0, bad)
			if n > 0 {
				v.expectOne(t, "rest", len(v.in)-n, "0")
				v.expectFields(t, f.List(), "")
			}
			v.expectNothingElse(t)
		})
	}
}

func TestTrailerAnswerDoesNotDependOnCuts(t *testing.T) {
	for _, v := range vectors(t, "trailer") {
		t.Run(v.name, func(t *testing.T) {
			var whole, again Fields
			wantN, wantBad := feed(&whole, v, inPlace)
			check := func(how string, at int, n int, bad *Error) {
				if n != wantN || bad != wantBad || n > 0 && !reflect.DeepEqual(again, whole) {
					t.Fatalf("%s %d: got %d, %v, %+v; want %d, %v, %+v", how, at, n, bad, again, wantN, wantBad, whole)
				}
			}
			for cut := range cuts(len(v.in)) {
				n, bad := feed(&again, v, inPlace, cut)
				check("cut at", cut, n, bad)
			}
			bytewise := slices.Collect(cuts(len(v.in)))
			n, bad := feed(&again, v, inPlace, bytewise...)
			check("cuts:", len(bytewise), n, bad)
			n, bad = feed(&again, v, moving(), bytewise...)
			check("moved at each of", len(bytewise), n, bad)
		})
	}
}

func TestTrailerResumesWhereTheBytesEnded(t *testing.T) {
	for _, v := range vectors(t, "trailer") {
		var f Fields
		for end := range len(v.in) {
			if n, bad := f.Parse(v.in[:end], v.lim); n > 0 || bad != nil {
				break
			}
			if f.pos != end {
				t.Errorf("%s: goes on at %d after %d bytes", v.name, f.pos, end)
			}
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	var f Fields
	f.Parse([]byte("A: b\r\nC: d\r\n\r\n"), defaultLimits)
	want := slices.Clone(f.List())
	c := f.Clone()
	f.Reset()
	f.Parse([]byte("Other: field\r\n\r\n"), defaultLimits)
	if !slices.Equal(c.List(), want) {
		t.Errorf("got %v, want %v", c.List(), want)
	}
}
