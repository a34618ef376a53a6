package httpparse

import (
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
			testCuts(t, v, func() prefixParser { return new(Fields) })
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
