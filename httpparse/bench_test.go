package httpparse

import "testing"

const (
	smallRequest = "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"

	browserRequest = "GET /index.html?q=1 HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Accept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\n" +
		"Connection: keep-alive\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"Sec-Fetch-Dest: document\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Sec-Fetch-Site: none\r\n" +
		"Cache-Control: max-age=0\r\n" +
		"\r\n"
)

func BenchmarkHead(b *testing.B) {
	for _, bench := range []struct{ name, in string }{
		{"small", smallRequest},
		{"browser", browserRequest},
	} {
		b.Run(bench.name, func(b *testing.B) {
			in := []byte(bench.in)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var h Head
			for b.Loop() {
				h.Reset()
				if n, bad := h.Parse(in, defaultLimits); bad != nil || n != len(in) {
					b.Fatal(n, bad)
				}
			}
		})
	}
}
