package httpparse

import (
	"encoding/binary"
	"math"
)

// facts is what the fields of one head said, gathered line by line, before
// anything is decided.
type facts struct {
	host  Span
	hosts int

	length  int64
	lengths int

	codings      int // transfer codings, over all lines
	chunked      int // how many of them are chunked
	chunkedLast  bool
	codingBroken bool // an empty member, or one that is not a token

	close, keepAlive, upgradeOption bool // members of Connection
	upgrade                         bool
	expectsContinue, expectsOther   bool
}

// A name's key is its first four letters in lower case, read as a number: all that
// is looked at of most names that mean nothing here.
const (
	keyHost             = 'h' | 'o'<<8 | 's'<<16 | 't'<<24
	keyExpect           = 'e' | 'x'<<8 | 'p'<<16 | 'e'<<24
	keyUpgrade          = 'u' | 'p'<<8 | 'g'<<16 | 'r'<<24
	keyConnection       = 'c' | 'o'<<8 | 'n'<<16 | 'n'<<24
	keyContentLength    = 'c' | 'o'<<8 | 'n'<<16 | 't'<<24
	keyTransferEncoding = 't' | 'r'<<8 | 'a'<<16 | 'n'<<24
)

// gather notes what the field lines of b say.
func (s *facts) gather(list []Field, b []byte) (bad *Error) {
	for i := range list {
		f := &list[i]
		switch binary.LittleEndian.Uint32(b[f.Name.Start:]) | 0x20202020 { // no line is shorter
		case keyHost:
			if f.Name.Len() == len("host") {
				s.host = f.Value
				s.hosts++
			}
		case keyExpect, keyUpgrade, keyConnection, keyContentLength, keyTransferEncoding:
			if bad = s.take(f.Name.Of(b), f.Value.Of(b)); bad != nil {
				return bad
			}
		}
	}
	return nil
}

// take notes what one of the other field lines says.
func (s *facts) take(name, value []byte) *Error {
	switch {
	case is(name, "connection"):
		s.takeConnection(value)
	case is(name, "content-length"):
		return s.takeLength(value)
	case is(name, "transfer-encoding"):
		s.takeCodings(value)
	case is(name, "expect"):
		s.takeExpect(value)
	case is(name, "upgrade"):
		s.upgrade = true
	}
	return nil
}

func (s *facts) takeConnection(value []byte) {
	if string(value) == "keep-alive" { // as browsers write it
		s.keepAlive = true
		return
	}
	for more := true; more; {
		var m []byte
		m, value, more = nextMember(value)
		switch {
		case is(m, "close"):
			s.close = true
		case is(m, "keep-alive"):
			s.keepAlive = true
		case is(m, "upgrade"):
			s.upgradeOption = true
		}
	}
}

// takeExpect ignores empty members, as any list's (RFC 9110 section 5.6.1.2).
func (s *facts) takeExpect(value []byte) {
	for more := true; more; {
		var m []byte
		m, value, more = nextMember(value)
		switch {
		case is(m, "100-continue"):
			s.expectsContinue = true
		case len(m) > 0:
			s.expectsOther = true
		}
	}
}

// takeLength reads 1*DIGIT (RFC 9110 section 8.6). A value beyond 63 bits is
// as bad as one that is no number.
func (s *facts) takeLength(value []byte) *Error {
	s.lengths++
	if s.lengths > 1 {
		return errLengthTwice
	}
	if len(value) == 0 {
		return errLength
	}
	for _, c := range value {
		if !isDigit(c) || s.length > (math.MaxInt64-int64(c-'0'))/10 {
			return errLength
		}
		s.length = s.length*10 + int64(c-'0')
	}
	return nil
}

func (s *facts) takeCodings(value []byte) {
	for more := true; more; {
		var m []byte
		m, value, more = nextMember(value)
		if len(m) == 0 || scanToken(m, 0) != len(m) {
			s.codingBroken = true
		}
		s.codings++
		s.chunkedLast = is(m, "chunked")
		if s.chunkedLast {
			s.chunked++
		}
	}
}

// nextMember splits the first member, trimmed, off a comma-separated list.
func nextMember(list []byte) (member, rest []byte, more bool) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:], true
		}
	}
	return trim(list), nil, false
}

// setFraming decides how long the body is (RFC 9112 section 6.3). A request
// that could be framed in two ways is refused, never repaired.
func (h *Head) setFraming(s *facts) *Error {
	switch {
	case s.codings == 0:
		h.ContentLength = s.length
		return nil
	case h.Minor == 0:
		return errCodingIn10
	case s.lengths > 0:
		return errLengthAndCode
	case s.codingBroken || s.chunked > 1 || s.chunked == 1 && !s.chunkedLast:
		return errCoding
	case s.codings > 1 || s.chunked == 0:
		return errCodingUnknown
	}
	h.Chunked = true
	h.ContentLength = -1
	return nil
}

// maxKnown is how many bytes of a host are kept: all of one that is a name in DNS, and
// a port.
const maxKnown = 255 + len(":65535")

// setHost checks the Host field (RFC 9112 section 3.2) and sets h.Host, which
// an absolute target's authority overrides (section 3.2.2).
func (h *Head) setHost(b []byte, s *facts) *Error {
	switch {
	case s.hosts > 1:
		return errHostTwice
	case s.hosts == 0 && h.Minor == 1:
		return errHostMissing
	}
	if host := s.host.Of(b); len(host) > 0 && string(host) != string(h.known) {
		if !validAuthority(host) {
			return errHost
		}
		if len(host) <= maxKnown {
			h.known = append(h.known[:0], host...)
		}
	}
	if h.Form != Absolute && h.Form != Authority {
		h.Host = s.host
	}
	return nil
}
