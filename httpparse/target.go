package httpparse

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// parseTargetForm tells the form of the target at h.Target, all of printable
// ASCII, and finds its parts.
func (h *Head) parseTargetForm(b []byte) *Error {
	t := h.Target.Of(b)
	switch {
	case h.Method == "CONNECT":
		h.Form = Authority
		h.Host = h.Target
		if !validAuthority(t) || scanHost(t) >= len(t)-1 { // a port is needed
			return errTargetForm
		}
		return nil
	case t[0] == '/':
		h.Form = Origin
		return h.splitPath(b, h.Target)
	case len(t) == 1 && t[0] == '*':
		h.Form = Asterisk
		h.Path, h.Plain = h.Target, true
		if h.Method != "OPTIONS" {
			return errTargetForm
		}
		return nil
	}
	return h.parseAbsolute(b)
}

// parseAbsolute reads http://authority[/path][?query].
func (h *Head) parseAbsolute(b []byte) *Error {
	t := h.Target.Of(b)
	colon := bytes.Index(t, []byte("://"))
	switch {
	case colon < 0:
		return errTargetForm
	case !is(t[:colon], "http") && !is(t[:colon], "https"):
		return errTargetScheme
	}
	h.Form = Absolute
	host := colon + len("://")
	end := host
	for end < len(t) && t[end] != '/' && t[end] != '?' {
		end++
	}
	if !validAuthority(t[host:end]) {
		return errAuthority
	}
	h.Host = Span{h.Target.Start + uint32(host), h.Target.Start + uint32(end)}
	return h.splitPath(b, Span{h.Host.End, h.Target.End})
}

// splitPath divides s at its '?' and checks the percent-encoding of the path.
func (h *Head) splitPath(b []byte, s Span) *Error {
	h.Path = s
	h.Query = Span{s.End, s.End}
	if i := bytes.IndexByte(s.Of(b), '?'); i >= 0 {
		h.Path.End = s.Start + uint32(i)
		h.Query.Start = h.Path.End + 1
	}
	path := h.Path.Of(b)
	h.Plain = plainPath(path)
	for {
		i := bytes.IndexByte(path, '%')
		if i < 0 {
			return nil
		}
		if c, ok := unescape(path[i:]); !ok || c == 0 {
			return errTargetEscape
		}
		path = path[i+3:]
	}
}

// unescape reads the byte that the three bytes %XX at the start of b stand for.
func unescape(b []byte) (c byte, ok bool) {
	if len(b) < 3 {
		return 0, false
	}
	high, low := unhex(b[1]), unhex(b[2])
	return byte(high<<4 | low), high >= 0 && low >= 0
}

// validAuthority checks uri-host [ ":" port ] with a host that is not empty and
// a port of at most 65535 (RFC 3986 section 3.2, RFC 9110 section 4.2).
func validAuthority(b []byte) bool {
	n := scanHost(b)
	return n > 0 && (n == len(b) || b[n] == ':' && validPort(b[n+1:]))
}

// scanHost returns the length of the host that b begins with, or 0 if there is
// none. It mostly is a name without percent-encoding.
func scanHost(b []byte) int {
	plain := &isHostName
	for n, c := range b {
		if plain[c] {
			continue
		}
		if c == '%' || c == '[' {
			return scanOddHost(b)
		}
		return n
	}
	return len(b)
}

// scanOddHost is scanHost for all hosts: a literal in brackets, or a name.
func scanOddHost(b []byte) int {
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']') + 1
		if !validLiteral(b[:end]) {
			return 0
		}
		return end
	}
	for i := 0; i < len(b); i++ {
		if isHostName[b[i]] {
			continue
		}
		if _, ok := unescape(b[i:]); b[i] != '%' || !ok {
			return i
		}
		i += 2
	}
	return len(b)
}

// isHostName tells which bytes a reg-name is made of, which covers IPv4
// addresses: unreserved and sub-delims (RFC 3986 section 3.2.2). There may be
// percent-encodings too.
var isHostName = func() (t [256]bool) {
	t = isToken
	for _, c := range "%^`|#" { // tchar, but not here
		t[c] = false
	}
	for _, c := range "(),;=" {
		t[c] = true
	}
	return
}()

// validPort checks *DIGIT: a port may be empty.
func validPort(b []byte) bool {
	port := 0
	for _, c := range b {
		if port = port*10 + int(c-'0'); !isDigit(c) || port > 65535 {
			return false
		}
	}
	return true
}

// validLiteral checks "[" IPv6address "]". IPvFuture has no user yet and is
// refused, as are zones, which mean nothing to another host.
func validLiteral(b []byte) bool {
	if len(b) < len("[::]") {
		return false
	}
	in := b[1 : len(b)-1]
	addr, err := netip.ParseAddr(unsafe.String(&in[0], len(in)))
	return err == nil && addr.Is6() && addr.Zone() == ""
}
