package conn

import (
	"strings"
	"testing"
)

func bench(b *testing.B, h Handler, in string, requests int) {
	s := newSteady(b, h, in)
	s.round()
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		s.round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*requests), "ns/request")
}

func BenchmarkGet(b *testing.B)         { bench(b, small, browserGet, 1) }
func BenchmarkPipelined16(b *testing.B) { bench(b, small, strings.Repeat(get("/"), 16), 16) }
func BenchmarkPost1K(b *testing.B)      { bench(b, echo, post1K, 1) }
