package httpparse

import (
	"encoding/binary"
	"math/bits"
)

// Span is a range of positions in the buffer that was parsed.
type Span struct{ Start, End uint32 }

// Of is the range's bytes in the buffer b; it shares b's memory.
func (s Span) Of(b []byte) []byte { return b[s.Start:s.End:s.End] }

// Len is the number of bytes in the range.
func (s Span) Len() int { return int(s.End - s.Start) }

// Limits bounds a section of field lines. For a [Head] the bytes are those of
// the request line too.
type Limits struct {
	Bytes  int // at most 1 GiB
	Fields int // lines
}

// Form is one of the four forms of a request target (RFC 9112 section 3.2).
type Form uint8

// The forms of a request target.
const (
	Origin    Form = iota // /path?query
	Absolute              // http://host/path?query
	Authority             // host:port, with CONNECT
	Asterisk              // *, with OPTIONS
)

// Head is a parsed request head. The zero value is ready to use. Until
// [Head.Parse] has said n consumed, its fields mean nothing; after that they
// are valid until Reset.
type Head struct {
	Fields Fields // the header section

	Method string // a registered method's name, or "" for any other token
	Minor  int    // 0 or 1: the version is HTTP/1.Minor

	Form   Form // of the target
	Target Span // as sent
	Path   Span // of the target, as sent; empty for Authority, and for an Absolute without a path
	Plain  bool // Path is as AppendPath would leave it; false where that is not so, or takes a closer look
	Query  Span // behind the '?', as sent
	Host   Span // host and port: of an Absolute or Authority target, else of the Host field

	ContentLength int64 // -1 if chunked, 0 if there is no body
	Chunked       bool  // a chunked body follows
	KeepAlive     bool  // the client lets the connection stay open (RFC 9112 section 9.3)
	Continue      bool  // the client waits for 100 (Continue)
	Upgrade       bool  // Connection: upgrade with an Upgrade field, in HTTP/1.1

	method Span
	known  []byte // the last Host field that was found valid: mostly all have the same
	stage  stage
	pos    int // where to go on: all before has been looked at
}

// stage is the part of the request line, or what follows, at Head.pos.
type stage uint8

const (
	atStart stage = iota
	afterEmptyLine
	inMethod
	inTarget
	inVersion
	inFields
)

const maxMethod = 32 // bytes; the longest registered method has 17

// Reset makes h ready for another head. It keeps its memory.
func (h *Head) Reset() {
	list, known := h.Fields.list[:0], h.known
	*h = Head{}
	h.Fields.list, h.known = list, known
}

// Parse reads a request line and header section from the start of b. It returns
// the length of the head with its last empty line, or 0 if b holds only a part
// of it: then call again with the same bytes and more behind them. Whatever
// the cuts, the answer is the same.
//
// Only the first lim.Bytes bytes of b are looked at. A head that does not fit
// is refused with 414 when it is the request line that is too long, else 431.
func (h *Head) Parse(b []byte, lim Limits) (n int, bad *Error) {
	full := len(b) >= lim.Bytes
	if full {
		b = b[:lim.Bytes]
	}
	if h.stage == atStart && h.takeRequestLine(b) && h.Fields.takeLines(b, lim.Fields) {
		return h.interpret(b)
	}
	for more := false; h.stage != inFields && !more; {
		if more, bad = h.parseRequestLine(b); bad != nil {
			return 0, bad
		}
	}
	if h.stage == inFields {
		n, bad = h.Fields.parse(b, lim.Fields)
	}
	switch {
	case bad != nil:
		return 0, bad
	case n > 0:
		return h.interpret(b)
	case !full:
		return 0, nil
	case h.stage == inFields:
		return 0, errHeadLong
	}
	return 0, errTargetLong
}

// takeRequestLine takes a request line of the usual kind in one step, if it is
// there whole: a method of up to eight letters, a path without percent-encoding,
// perhaps a query, HTTP/1.1. Else it does nothing, and parseRequestLine has it.
func (h *Head) takeRequestLine(b []byte) bool {
	const version = " HTTP/1.1\r\n"
	if len(b) < len("GET /")+len(version) {
		return false
	}
	method, start := "GET", len("GET ")
	if string(b[:4]) != "GET " {
		n := bits.TrailingZeros64(equal(binary.LittleEndian.Uint64(b), ' ')) / 8
		method, start = methodName(b[:n]), n+1
	}
	if method == "" || method == "CONNECT" || b[start-1] != ' ' || b[start] != '/' {
		return false
	}
	path, dotted := scanPath(b, start+1)
	end := path
	if end < len(b) && b[end] == '?' {
		end = scanTarget(b, end+1)
	}
	if rest := b[end:]; len(rest) < len(version) || string(rest[:len(version)]) != version {
		return false
	}
	h.Method, h.Minor = method, 1
	h.method = Span{0, uint32(start - 1)}
	h.Target = Span{uint32(start), uint32(end)}
	h.Path = Span{uint32(start), uint32(path)}
	h.Plain = !dotted
	h.Query = Span{uint32(min(path+1, end)), uint32(end)}
	h.pos = end + len(version)
	h.Fields.pos = h.pos
	h.stage = inFields
	return true
}

// parseRequestLine takes one step along the request line: it moves h.stage
// and h.pos on, or wants more.
func (h *Head) parseRequestLine(b []byte) (more bool, bad *Error) {
	switch h.stage {
	case atStart:
		more, bad = h.skipEmptyLine(b)
	case afterEmptyLine:
		if more = h.pos == len(b); !more {
			h.method.Start = uint32(h.pos)
			h.stage = inMethod
		}
	case inMethod:
		more, bad = h.parseMethod(b)
	case inTarget:
		more, bad = h.parseTarget(b)
	case inVersion:
		more, bad = h.parseVersion(b)
	}
	return more, bad
}

func (h *Head) skipEmptyLine(b []byte) (more bool, bad *Error) {
	if len(b) == 0 || len(b) == 1 && b[0] == '\r' {
		return true, nil
	}
	if b[0] == '\r' {
		if b[1] != '\n' {
			return false, errLineEnd
		}
		h.pos = 2
	}
	h.stage = afterEmptyLine
	return false, nil
}

func (h *Head) parseMethod(b []byte) (more bool, bad *Error) {
	i := scanToken(b, h.pos)
	h.pos = i
	h.method.End = uint32(i)
	switch {
	case h.method.Len() > maxMethod:
		return false, errMethodLong
	case i == len(b):
		return true, nil
	case b[i] != ' ' || h.method.Len() == 0:
		return false, errMethod
	}
	h.Method = methodName(h.method.Of(b))
	h.pos = i + 1
	h.Target.Start = uint32(h.pos)
	h.stage = inTarget
	return false, nil
}

func (h *Head) parseTarget(b []byte) (more bool, bad *Error) {
	i := scanTarget(b, h.pos)
	h.pos = i
	h.Target.End = uint32(i)
	switch {
	case i == len(b):
		return true, nil
	case b[i] != ' ' || h.Target.Len() == 0:
		return false, errTarget
	}
	h.pos = i + 1
	h.stage = inVersion
	return false, nil
}

// parseVersion reads HTTP/d.d and the line's end: ten bytes. Mostly they are
// there and say HTTP/1.1. Else a byte that does not fit is refused as soon as it
// comes, so that nobody waits for a version that is too short.
func (h *Head) parseVersion(b []byte) (more bool, bad *Error) {
	const pattern = "HTTP/d.d\r\n"
	start := int(h.Target.End) + 1
	if rest := b[start:]; len(rest) >= len(pattern) && string(rest[:len(pattern)]) == "HTTP/1.1\r\n" {
		h.pos = start + len(pattern)
	}
	for ; h.pos < len(b) && h.pos < start+len(pattern); h.pos++ {
		at, c := h.pos-start, b[h.pos]
		if want := pattern[at]; want == 'd' && isDigit(c) || want == c && want != 'd' {
			continue
		}
		if at >= len(pattern)-2 {
			return false, errLineEnd
		}
		return false, errVersion
	}
	if h.pos < start+len(pattern) {
		return true, nil
	}
	if b[start+5] != '1' {
		return false, errVersionMajor
	}
	h.Minor = min(int(b[start+7]-'0'), 1)
	h.stage = inFields
	h.Fields.pos = h.pos
	return false, h.parseTargetForm(b)
}

// interpret decides, of a head that is whole, what its fields mean for the
// connection: the host, the body's framing, persistence and expectations. Then
// its length is h.Fields.pos.
func (h *Head) interpret(b []byte) (n int, bad *Error) {
	var seen facts
	if bad = seen.gather(h.Fields.list, b); bad != nil {
		return 0, bad
	}
	if bad = h.setHost(b, &seen); bad != nil {
		return 0, bad
	}
	if bad = h.setFraming(&seen); bad != nil {
		return 0, bad
	}
	h.KeepAlive = !seen.close && (h.Minor == 1 || seen.keepAlive)
	h.Upgrade = h.Minor == 1 && seen.upgrade && seen.upgradeOption
	if h.Minor == 1 && seen.expectsOther {
		return 0, errExpect
	}
	h.Continue = h.Minor == 1 && seen.expectsContinue
	return h.Fields.pos, nil
}
