package httpparse

import (
	"fmt"
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

// The budget is for the whole body, however the framing is spread over it. What is
// free hangs on the data: three bytes of framing for each of the first 16, then two.
func TestChunkFramingBudgetIsForTheBody(t *testing.T) {
	// A chunk behind another, with so many bytes of framing: the CRLF of the one
	// before, and a line.
	chunk := func(data, framing int) string {
		line := fmt.Sprintf("%x", data)
		switch more := framing - len("\r\n"+line+"\r\n"); more {
		case 0, 1:
			line = strings.Repeat("0", more) + line
		default:
			line += ";" + strings.Repeat("a", more-1)
		}
		return line + "\r\n" + strings.Repeat("d", data) + "\r\n"
	}
	const last = len("\r\n0\r\n") // has no data, so all of it counts
	tests := []struct {
		name          string
		data, framing int // of each chunk
		chunks        int
		bad           *Error
	}{
		{"one byte, as short as can be", 1, 5, (maxFraming - last) / 2, nil},
		{"one more", 1, 5, maxFraming/2 + 1, errChunkFraming},
		{"two bytes, for ever", 2, 5, 3 * maxFraming, nil},
		{"two bytes, all that is free", 2, 6, 3 * maxFraming, nil},
		{"sixteen", 16, 48, 3 * maxFraming, nil},
		{"more than sixteen", 100, 216, maxFraming, nil},
		{"all of the budget, a byte a chunk", 100, 217, maxFraming - last, nil},
		{"a byte more", 100, 217, maxFraming + 1, errChunkFraming},
		{"all of the budget in four", 100, 216 + maxFraming/4, 3, nil},
		{"a fifth", 100, 216 + maxFraming/4, 5, errChunkFraming},
		{"of a chunk that is large", 1 << 20, 1 << 15, 2, nil},
		{"of a chunk that is larger, no more is free", 1 << 20, 2*maxFraming + 2*freeFraming + maxFraming, 1, errChunkFraming},
	}
	for _, tt := range tests {
		in := "2\r\nab\r\n" + strings.Repeat(chunk(tt.data, tt.framing), tt.chunks) + "0\r\n"
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
