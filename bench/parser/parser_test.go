// Package parser compares parsers of request heads on the inputs of
// catboat/httpparse's own benchmarks.
package parser

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"catboat/httpparse"

	"github.com/valyala/fasthttp"
)

const (
	small        = "GET / HTTP/1.1\r\nHost: localhost:18080\r\n\r\n"
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
)

var inputs = []struct {
	name, in string
	heads    int
}{
	{"small", small, 1},
	{"browser", browserLines + "\r\n", 1},
	{"cookies", browserLines + "Cookie: " + strings.Repeat("c=0123456789abcdef; ", 70) + "d=01234567\r\n\r\n", 1},
	{"pipelined", strings.Repeat(small, 16), 16},
}

// each runs one parser over all inputs; parse reads the heads in a buffer.
func each(b *testing.B, parse func(b *testing.B, in []byte, heads int)) {
	for _, input := range inputs {
		b.Run(input.name, func(b *testing.B) {
			in := append(make([]byte, 0, len(input.in)+64), input.in...)
			b.ReportAllocs()
			for b.Loop() {
				parse(b, in, input.heads)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*input.heads), "ns/head")
		})
	}
}

func BenchmarkCatboat(b *testing.B) {
	var h httpparse.Head
	each(b, func(b *testing.B, in []byte, heads int) {
		for range heads {
			h.Reset()
			n, bad := h.Parse(in, httpparse.Limits{Bytes: 16384, Fields: 100})
			if bad != nil || n == 0 {
				b.Fatal(bad)
			}
			in = in[n:]
		}
	})
}

func BenchmarkFastHTTP(b *testing.B) {
	var h fasthttp.RequestHeader
	in := bytes.NewReader(nil)
	br := bufio.NewReader(in)
	each(b, func(b *testing.B, buf []byte, heads int) {
		in.Reset(buf)
		br.Reset(in)
		for range heads {
			if err := h.Read(br); err != nil {
				b.Fatal(err)
			}
			h.Host() // parses what it has put off
		}
	})
}
