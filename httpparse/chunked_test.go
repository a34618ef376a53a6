package httpparse

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// bodyAnswer is what came of a chunked body.
type bodyAnswer struct {
	data  []byte
	used  int // bytes of the body that were consumed
	ended bool
	bad   *Error
}

// feedChunked gives a body in pieces up to each of the ends, and at last the rest.
func feedChunked(v vector, lay layout, ends ...int) (a bodyAnswer) {
	var c Chunked
	start := 0
	for _, end := range append(slices.Clip(ends), len(v.in)) {
		for b := lay(v.in[start:end]); len(b) > 0 && !c.Ended(); {
			data, n, bad := c.Next(b)
			a.data = append(a.data, data...)
			a.used += n
			if a.bad = bad; bad != nil {
				return a
			}
			b = b[n:]
		}
		start = end
	}
	a.ended = c.Ended()
	return a
}

func TestChunkedVectors(t *testing.T) {
	for _, v := range vectors(t, "chunked") {
		t.Run(v.name, func(t *testing.T) {
			a := feedChunked(v, inPlace)
			v.expectAnswer(t, a.ended, a.bad)
			v.expectOne(t, "body", string(a.data), "")
			if a.bad == nil {
				v.expectOne(t, "rest", len(v.in)-a.used, "0")
			}
			v.expectNothingElse(t)
		})
	}
}

func TestChunkedAnswerDoesNotDependOnCuts(t *testing.T) {
	for _, v := range vectors(t, "chunked") {
		t.Run(v.name, func(t *testing.T) {
			whole := feedChunked(v, inPlace)
			for cut := range cuts(len(v.in)) {
				if a := feedChunked(v, inPlace, cut); !reflect.DeepEqual(a, whole) {
					t.Fatalf("cut at %d: got %+v, want %+v", cut, a, whole)
				}
			}
			bytewise := slices.Collect(cuts(len(v.in)))
			if a := feedChunked(v, inPlace, bytewise...); !reflect.DeepEqual(a, whole) {
				t.Fatalf("byte by byte: got %+v, want %+v", a, whole)
			}
			if a := feedChunked(v, moving(), bytewise...); !reflect.DeepEqual(a, whole) {
				t.Fatalf("moved at each byte: got %+v, want %+v", a, whole)
			}
		})
	}
}

// The budget is for the whole body, however the framing is spread over it.
func TestChunkFramingBudgetIsForTheBody(t *testing.T) {
	// One chunk: the CRLF of the one before, a line, and one byte of data.
	const allowance = freeFraming + 2
	chunk := func(excess int) string {
		ext := strings.Repeat("a", allowance+excess-len("\r\n1;\r\n"))
		return "1;" + ext + "\r\na\r\n"
	}
	tests := []struct {
		name   string
		excess int // of each chunk
		chunks int
		bad    *Error
	}{
		{"nothing over the allowance", 0, 3 * maxFraming, nil},
		{"all of the budget, a byte a chunk", 1, maxFraming, nil},
		{"a byte more", 1, maxFraming + 1, errChunkFraming},
		{"all of the budget in four", maxFraming / 4, 4, nil},
		{"a fifth", maxFraming / 4, 5, errChunkFraming},
	}
	for _, tt := range tests {
		in := "1\r\na\r\n" + strings.Repeat(chunk(tt.excess), tt.chunks) + "0\r\n"
		if a := feedChunked(vector{in: []byte(in)}, inPlace); a.bad != tt.bad || a.ended != (tt.bad == nil) {
			t.Errorf("%s: got %v, ended %v", tt.name, a.bad, a.ended)
		}
	}
}

// Data is handed out where it lies, never copied, and cannot be appended to.
func TestChunkDataIsAPartOfTheBuffer(t *testing.T) {
	in := []byte("5\r\nhello\r\n0\r\n")
	var c Chunked
	data, n, bad := c.Next(in)
	if bad != nil || string(data) != "hello" || n != len("5\r\nhello") {
		t.Fatalf("got %q, %d, %v", data, n, bad)
	}
	if &data[0] != &in[3] || cap(data) != len(data) {
		t.Error("data is a copy, or reaches beyond the chunk")
	}
}
