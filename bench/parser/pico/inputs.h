/* The inputs of httpparse/bench_test.go: 41, 628 and 2048 bytes. */
#define SMALL "GET / HTTP/1.1\r\nHost: localhost:18080\r\n\r\n"
#define BROWSER_LINES "GET /index.html?q=1 HTTP/1.1\r\n" \
 "Host: www.example.com\r\n" \
 "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n" \
 "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" \
 "Accept-Language: en-US,en;q=0.5\r\n" \
 "Accept-Encoding: gzip, deflate, br\r\n" \
 "Connection: keep-alive\r\n" \
 "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; " \
 "consent=all; visitor=89ab4567cdef0123; last=20240229T101112Z; tz=Europe%2FLo\r\n" \
 "Upgrade-Insecure-Requests: 1\r\n" \
 "Sec-Fetch-Dest: document\r\n" \
 "Sec-Fetch-Mode: navigate\r\n" \
 "Sec-Fetch-Site: none\r\n" \
 "Cache-Control: max-age=0\r\n"
#define BROWSER BROWSER_LINES "\r\n"
#define X5(s) s s s s s
#define X70(s) X5(X5(s s)) X5(s s s s)
#define COOKIES BROWSER_LINES "Cookie: " X70("c=0123456789abcdef; ") "d=01234567\r\n\r\n"
#define PIPELINED X5(SMALL SMALL SMALL) SMALL
