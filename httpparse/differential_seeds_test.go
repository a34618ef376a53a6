package httpparse

import (
	"fmt"
	"strings"
)

// diffSeeds are the requests that mutants are made of: one of each thing that
// parsers read differently. Behind many stands another request, so that it shows
// where the first one ends.
var diffSeeds = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + nextRequest,
	"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" + nextRequest,
	"GET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + nextRequest,
	"HEAD /a/../b?x=1 HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: x/1.0 (y; z)\r\nAccept: */*\r\n\r\n" + nextRequest,
	"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
	"DELETE /a%2Fb/%7euser?q=%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"FROB /x HTTP/1.1\r\nHost: a\r\n\r\n" + nextRequest,
	"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
	"CONNECT [::1]:80 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://b.example/p?q HTTP/1.1\r\nHost: a\r\n\r\n" + nextRequest,
	"GET https://b:80/p HTTP/1.1\r\nHost: b:80\r\n\r\n",
	"GET http://[2001:db8::1]:80?q HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n",
	"GET http://b%41%c3%a4/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://%c3%a4.example/ HTTP/1.1\r\nHost: %c3%a4.example\r\n\r\n" + nextRequest,
	"GET http://b%2541/ HTTP/1.1\r\nHost: b\r\n\r\n",
	"GET http://[fe80::1%25eth0]/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a<b>\"c\"/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://b:65535/p HTTP/1.1\r\nHost: b:65535\r\n\r\n" + nextRequest,
	"GET mailto:x@y.z HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET //b//c/./..//?? HTTP/1.1\r\nHost: a\r\nAccept-Encoding:gzip,br;q=0\r\n\r\n" + nextRequest,
	"CONNECT /rpc HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://u:p@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
	"GET ftp://b/ HTTP/1.1\r\nHost: b\r\n\r\n",
	"GET /a%20b/%00/%c3%a4?%41#f HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /<>\"{}|\\^`[]?<>\"{}|\\^`[]% HTTP/1.1\r\nHost: a\r\n\r\n" + nextRequest,
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.1\r\nhOST: \t a%2d1 \t\r\nX-Empty:\r\nX-Tabs:\t\ta\tb\t\r\n\r\n" + nextRequest,
	"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX-Fold: a\r\n b\r\n\tc\r\nX: y\r\n\r\n" + nextRequest,
	"GET / HTTP/1.1\r\nHost: a\r\nX-Bytes: \xe4\xff\x80 caf\xc3\xa9\r\nX!#$%&'*+-.^_`|~9: ok\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + nextRequest,
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, ,Close ,\ty\r\n\r\n" + nextRequest,
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: foo;close, \"close\"\r\n\r\n" + nextRequest,
	"GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\nConnection: keep-alive\r\n\r\n",
	"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\nCookie: a=b; c=d\r\nCookie: e=f\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + nextRequest,
	"PUT /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
	"POST /e HTTP/1.1\r\nHost: a\r\ncontent-length: 00012\r\n\r\nhello\r\nworld" + nextRequest,
	"POST /e HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi" + nextRequest,
	"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\ntransfer-encoding: \tCHUNKED \r\n\r\n00A\r\n0123456789\r\n1;a\r\nx\r\n000\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d;\\\"e\"\r\nabc\r\n2;x\r\nde\r\n0;last\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Y\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\nY: 3\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 ; a = b\r\nx\r\n0 \r\nT: u\r\n v\r\n\r\n",
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + nextRequest,
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx",
	"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST /e HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
	"POST /e HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nx",
	chunkedHead + "5000000000000000\r\nx",
	chunkedHead + "8000000000000000\r\nx",
	chunkedHead + "5\r\nhello5\r\nworld\r\n0\r\n\r\n",
	chunkedHead + "5\r\nhello!",
	chunkedHead + "2\r\n\r\n\r\n1\r\n\n\r\n0\r\n\r\n" + nextRequest,
	chunkedHead + "1e;a;b;c=d;e=\"\"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n0;x=\"y\tz\xff\"\r\n\r\n" + nextRequest,
	chunkedHead + "3;a = b\r\nabc\r\n1; c\r\nd\r\n0\r\n\r\n" + nextRequest,
	chunkedHead + "3\r\nabc\r\n0\r\nHost: evil\r\nX:  y \r\n\r\n" + nextRequest,
	chunkedHead + "3\r\nabc\r\n0\r\nX y: z\r\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

// diffLongSeeds are about limits. They take longer, so they are taken less often.
var diffLongSeeds = []string{
	"GET /" + strings.Repeat("long/", 3500) + " HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 16300) + "\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n" + numberedFields(105) + "\r\n" + nextRequest,
	"VERYLONGMETHODNAMEOFMORETHAN32BYTES / HTTP/1.1\r\nHost: a\r\n\r\n",
	chunkedHead + "5;x=" + strings.Repeat("y", 4200) + "\r\nhello\r\n0\r\n\r\n" + nextRequest,
	chunkedHead + "5\r\nhello\r\n0\r\nX: " + strings.Repeat("y", 4200) + "\r\n\r\n" + nextRequest,
	chunkedHead + "5\r\nhello\r\n0\r\n" + numberedFields(105) + "\r\n" + nextRequest,
	chunkedHead + strings.Repeat("c00;x="+strings.Repeat("y", 3900)+"\r\n"+strings.Repeat("z", 0xc00)+"\r\n1;"+strings.Repeat("q", 4000)+"\r\nz\r\n", 5) + "0\r\n\r\n",
	chunkedHead + strings.Repeat("1;"+strings.Repeat("q", 60)+"\r\nz\r\n", 300) + "0\r\n\r\n",
}

const (
	nextRequest = "GET /n HTTP/1.1\r\nHost: n\r\n\r\n"
	chunkedHead = "POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
)

func numberedFields(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "F%d: %d\r\n", i, i)
	}
	return s.String()
}

// nasty are bytes and strings that parsers trip over.
var nasty = []string{
	"\r", "\n", "\r\n", "\r\r\n", "\n\r", "\r\n ", "\r\n\t", "\r\n\r\n", "\n\n", "\x00", "\x01", "\x07", "\x0b", "\x0c", "\x1b", "\x7f",
	"\x80", "\xa0", "\xc3\xa4", "\xff", " ", "\t", "  ", ":", ";", ",", "=", "\"", "\\", "/", "//", "..", "?", "#", "%", "%00", "%2F", "%41",
	"%e4", "%zz", "%2", "*", "@", "[", "]", "[::1]", "[fe80::1%25eth0]", "<", "{", "|", "+", "-", "_", ".", "0", "1", "9", "a", "Z", "x", "'", "(", "&", "~",
	"HTTP/1.1", "http://", "https://", "GET ", ":99999", ":80", "close", "chunked", "keep-alive", "0x", "\x85", "\u2028",
}

// nastyLines are put between other lines.
var nastyLines = []string{
	"Host: b", "Host : b", "Host:", "Host: a b", "Host: a/b", "Host: [::1", "Content-Length: 3", "Content-Length: 5", "Content-Length: +5",
	"Content-Length: 0x5", "Content-Length: 5_0", "Content-Length: 5,5", "Content-Length:", "Content-Length: -1", "Content-Length : 5",
	"Content-Length: 9223372036854775807", "Content-Length: 9223372036854775808", "Content-Length: 18446744073709551621",
	"Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, chunked",
	"Transfer-Encoding: chunked;q=1", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: ,chunked", "Transfer-Encoding: \vchunked",
	"Transfer-Encoding:", "Transfer-Encoding: identity", "Transfer_Encoding: chunked", "Connection: close", "Connection: keep-alive",
	"Connection: Transfer-Encoding", "Expect: 100-continue", "Expect: 200-ok", "Expect: ,", "Upgrade: h2c", "Trailer: Host", "Trailer: Trailer",
	"Pragma: no-cache", "Cache-Control: max-age=0", " folded", "\tfolded", "X", ": empty", "X y: z", "(x): y", "X\t: y", "0", "", "5", "GET / HTTP/1.1",
}

// numbers stand in for others.
var numbers = []string{
	"0", "00", "1", "2", "3", "4", "5", "6", "05", "+5", "-5", "5.0", "5e0", "0x5", "5_0", "0b1", "5 ", " 5", "\t5", "a", "A", "F", "g", "10", "1b", "00000000000000005", "0000000000000005",
	"7fffffffffffffff", "4000000000000000", "3fffffffffffffff", "8000000000000000", "ffffffffffffffff", "10000000000000005", "2147483648", "4294967301",
	"9223372036854775807", "9223372036854775808", "18446744073709551616", "65535", "65536", "99999999999999999999",
}
