package httpparse

import (
	"slices"
	"testing"
)

func TestNextMember(t *testing.T) {
	tests := []struct {
		list string
		want []string
	}{
		{"", []string{""}},
		{"a", []string{"a"}},
		{"a,b", []string{"a", "b"}},
		{"a, b ,\tc\t", []string{"a", "b", "c"}},
		{" \t a b \t", []string{"a b"}},
		{",", []string{"", ""}},
		{"a,", []string{"a", ""}},
		{",a", []string{"", "a"}},
		{"a, ,b", []string{"a", "", "b"}},
		{" , \t,", []string{"", "", ""}},
		{`"a,b"`, []string{`"a`, `b"`}}, // none of the lists here has quoted strings
	}
	for _, tt := range tests {
		var got []string
		rest := []byte(tt.list)
		for more := true; more; {
			var m []byte
			m, rest, more = nextMember(rest)
			got = append(got, string(m))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.list, got, tt.want)
		}
	}
}
