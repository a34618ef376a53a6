package httpparse

import (
	"slices"
	"testing"
)

func TestHeadVectors(t *testing.T) {
	for _, v := range vectors(t, "head") {
		t.Run(v.name, func(t *testing.T) {
			var h Head
			n, bad := feed(&h, v, inPlace)
			v.expectAnswer(t, n > 0, bad)
			if n > 0 {
				expectHead(t, v, &h, n)
			}
			v.expectNothingElse(t)
		})
	}
}

// expectHead compares an accepted head. Where the vector says nothing it is to be
// as for "GET / HTTP/1.1" with "Host: a".
func expectHead(t *testing.T, v vector, h *Head, n int) {
	t.Helper()
	form := [...]string{Origin: "origin", Absolute: "absolute", Authority: "authority", Asterisk: "asterisk"}
	v.expectOne(t, "rest", len(v.in)-n, "0")
	v.expectOne(t, "method", h.Method, "GET")
	v.expectOne(t, "minor", h.Minor, "1")
	v.expectOne(t, "form", form[h.Form], "origin")
	v.expectOne(t, "clean", string(AppendPath(nil, h.Path.Of(v.in))), string(h.Path.Of(v.in)))
	target := string(h.Target.Of(v.in))
	v.expectOne(t, "path", string(h.Path.Of(v.in)), target)
	v.expectOne(t, "target", target, "/")
	v.expectOne(t, "query", string(h.Query.Of(v.in)), "")
	v.expectOne(t, "host", string(h.Host.Of(v.in)), "a")
	v.expectOne(t, "length", h.ContentLength, "0")
	v.expectOne(t, "chunked", yesNo(h.Chunked), "no")
	v.expectOne(t, "keepalive", yesNo(h.KeepAlive), "yes")
	v.expectOne(t, "continue", yesNo(h.Continue), "no")
	v.expectOne(t, "upgrade", yesNo(h.Upgrade), "no")
	v.expectFields(t, h.Fields.List(), "Host = a")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func TestHeadAnswerDoesNotDependOnCuts(t *testing.T) {
	for _, v := range vectors(t, "head") {
		t.Run(v.name, func(t *testing.T) {
			testCuts(t, v, func() prefixParser { return new(Head) })
		})
	}
}

// Only the CR of an empty line before the request line is looked at twice.
func TestHeadResumesWhereTheBytesEnded(t *testing.T) {
	for _, v := range vectors(t, "head") {
		var h Head
		for end := range len(v.in) {
			if n, bad := h.Parse(v.in[:end], v.lim); n > 0 || bad != nil {
				break
			}
			pos := h.pos
			if h.stage == inFields {
				pos = h.Fields.pos
			}
			if pos != end && string(v.in[:end]) != "\r" {
				t.Errorf("%s: goes on at %d after %d bytes", v.name, pos, end)
			}
		}
	}
}

func TestHeadIsReadyAgainAfterReset(t *testing.T) {
	var used Head
	for _, v := range vectors(t, "head") {
		var fresh Head
		wantN, wantBad := feed(&fresh, v, inPlace)
		n, bad := feed(&used, v, inPlace) // starts with Reset
		if n != wantN || bad != wantBad || n > 0 && !slices.Equal(used.Fields.List(), fresh.Fields.List()) {
			t.Errorf("%s: got %d, %v; want %d, %v", v.name, n, bad, wantN, wantBad)
		}
	}
}
