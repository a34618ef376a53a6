package httpparse

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

const (
	smallRequest = "GET / HTTP/1.1\r\nHost: localhost:18080\r\n\r\n"

	browserLines = "GET /index.html?q=1 HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Accept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\n" +
		"Connection: keep-alive\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; " +
		"consent=all; visitor=89ab4567cdef0123; last=20240229T101112Z; tz=Europe%2FLo\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"Sec-Fetch-Dest: document\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Sec-Fetch-Site: none\r\n" +
		"Cache-Control: max-age=0\r\n"
	browserRequest = browserLines + "\r\n"
)

// benchmarks are the inputs by which parsers are compared: of 41, 628 and 2048
// bytes, and the first sixteen times in a row.
var benchmarks = []struct {
	name, in string
	heads    int
}{
	{"small", smallRequest, 1},
	{"browser", browserRequest, 1},
	{"cookies", browserLines + "Cookie: " + strings.Repeat("c=0123456789abcdef; ", 70) + "d=01234567\r\n\r\n", 1},
	{"pipelined", strings.Repeat(smallRequest, 16), 16},
}

// inBuffer is s as a connection has it, with room behind it.
func inBuffer(s string) []byte { return append(make([]byte, 0, len(s)+64), s...) }

func BenchmarkHead(b *testing.B) { benchmarkHead(b) }

func BenchmarkHeadInPlainCode(b *testing.B) { plainly(func() { benchmarkHead(b) }) }

func benchmarkHead(b *testing.B) {
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			in := inBuffer(bench.in)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var h Head
			for b.Loop() {
				for rest := in; len(rest) > 0; {
					h.Reset()
					n, bad := h.Parse(rest, defaultLimits)
					if bad != nil || n == 0 {
						b.Fatal(n, bad)
					}
					rest = rest[n:]
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bench.heads), "ns/head")
		})
	}
}

func BenchmarkNetHTTP(b *testing.B) {
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.in)))
			b.ReportAllocs()
			in := bytes.NewReader(nil)
			br := bufio.NewReader(in)
			for b.Loop() {
				in.Reset([]byte(bench.in))
				br.Reset(in)
				for range bench.heads {
					if _, err := http.ReadRequest(br); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bench.heads), "ns/head")
		})
	}
}
