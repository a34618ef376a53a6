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
		if !validAuthority(t) || hostOf(t) == len(t) || t[len(t)-1] == ':' {
			return errTargetForm
		}
		return nil
	case t[0] == '/':
		h.Form = Origin
		return h.splitPath(b, h.Target)
	case len(t) == 1 && t[0] == '*':
		h.Form = Asterisk
		h.Path = h.Target
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

// hostOf returns the length of the host in host[:port]. It finds the colon
// behind an IPv6 literal, not one in it.
func hostOf(b []byte) int {
	i := bytes.LastIndexByte(b, ']') + 1
	if j := bytes.IndexByte(b[i:], ':'); j >= 0 {
		return i + j
	}
	return len(b)
}

// validAuthority checks uri-host [ ":" port ] with a host that is not empty and
// a port of at most 65535 (RFC 3986 section 3.2, RFC 9110 section 4.2).
func validAuthority(b []byte) bool {
	n := hostOf(b)
	if n < len(b) && !validPort(b[n+1:]) {
		return false
	}
	host := b[:n]
	if len(host) > 0 && host[0] == '[' {
		return validLiteral(host)
	}
	return validName(host)
}

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

// validName checks reg-name, which covers IPv4 addresses: unreserved,
// sub-delims and percent-encodings (RFC 3986 section 3.2.2).
func validName(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '%':
			if _, ok := unescape(b[i:]); !ok {
				return false
			}
			i += 2
		case c == '^' || c == '`' || c == '|' || c == '#': // tchar, but not in a name
			return false
		case !isToken[c] && c != '(' && c != ')' && c != ',' && c != ';' && c != '=':
			return false
		}
	}
	return true
}

// validLiteral checks "[" IPv6address "]". IPvFuture has no user yet and is
// refused, as are zones, which mean nothing to another host.
func validLiteral(b []byte) bool {
	if len(b) < 4 || b[len(b)-1] != ']' {
		return false
	}
	in := b[1 : len(b)-1]
	addr, err := netip.ParseAddr(unsafe.String(&in[0], len(in)))
	return err == nil && addr.Is6() && addr.Zone() == ""
}
