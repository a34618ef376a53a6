// Package httpparse reads the head of an HTTP/1.1 request and the framing of a
// chunked body (RFC 9112).
//
// It knows bytes and nothing else: no socket, no clock, no goroutine. Every
// function answers in one of three ways:
//
//   - bad: a non-nil *[Error], with the status the client should get;
//   - more: no error and nothing consumed; call again with the same bytes and
//     more behind them;
//   - n bytes consumed.
//
// The caller owns the memory. Nothing is copied: a [Head] holds positions in
// the caller's buffer ([Span]), so the buffer may move between calls as long as
// its content stays. Nothing is allocated, except that a Head's list of fields
// grows once and is kept over Reset, and that net/netip makes an error for a
// malformed IPv6 literal. Bytes already seen are not looked at again when more
// arrive, so a head that comes byte by byte costs time linear in its length.
//
// What is there whole and of the usual kind, a request line or a field line, is taken
// in one step; only what is cut, wrong or unusual goes through the states that
// can stop at any byte. On amd64 with AVX2 the ends of names and values are
// found by vector instructions, 64 bytes at a time. They read up to 128 bytes
// ahead, behind the length of the caller's slice too but never behind its capacity:
// those bytes mean nothing, and nobody may be writing them at the time. Where there
// are fewer than 64 the last lines are read in plain Go, which costs more.
//
// # Strictness
//
// The grammar of RFC 9110 and RFC 9112 is applied as written, with CRLF as the
// only line end, and a request whose length could be read in two ways is
// refused. Beyond the letter of the RFCs these are refused too:
//
//   - Content-Length given twice or as a list, even if the values are equal;
//   - Transfer-Encoding together with Content-Length, or in HTTP/1.0;
//   - empty members in Transfer-Encoding, and white space around the parts of a
//     chunk extension;
//   - a chunk size of more than 16 digits, leading zeros counted;
//   - a port above 65535, a port without a host, userinfo, an IPvFuture literal
//     and a zone in an IPv6 literal;
//   - a path with %00, and a target with bytes outside of printable ASCII or with
//     a fragment.
//
// The leniencies, all of them:
//
//   - one empty line before the request line is skipped (RFC 9112 section 2.2:
//     old clients send one after a body);
//   - HTTP/1.2 to HTTP/1.9 are read as HTTP/1.1 (RFC 9110 section 2.5);
//   - characters that no URI may have but browsers send (" < > [ \ ] ^ ` { | })
//     are taken in a path or query;
//   - a percent sign without two hexadecimal digits is taken in a query, where
//     forms written by hand put it, though never in a path;
//   - members of Connection that are not tokens are ignored;
//   - an empty Host is taken, as the grammar allows (RFC 9110 section 7.2).
package httpparse
