//go:build linux

package files

import (
	"bytes"
	"strings"
)

// coding is a content coding that a sibling may be in (RFC 9110 section 8.4.1).
type coding struct{ name, suffix string }

// codings are those looked for, by preference where a client has none.
var codings = [...]coding{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// isCompressed reports whether a path is a sibling's, which has none itself.
func isCompressed(path string) bool {
	for i := range codings {
		if strings.HasSuffix(path, codings[i].suffix) {
			return true
		}
	}
	return false
}

// weights is how welcome each of codings is, and behind them no coding at all:
// 0 is forbidden.
type weights [len(codings) + 1]int

const plain = len(codings)

// accepted reads an Accept-Encoding field (RFC 9110 section 12.5.3). Weights are
// in thousandths, doubled, so that no coding at all, when nothing is said of it,
// is below every coding that is named. A member that is malformed is ignored.
func accepted(field []byte) (w weights) {
	const unsaid = -1
	star := unsaid
	for i := range w {
		w[i] = unsaid
	}
	for rest := field; len(rest) > 0; {
		var member []byte
		member, rest, _ = bytes.Cut(rest, []byte(","))
		name, params, _ := bytes.Cut(member, []byte(";"))
		q, ok := quality(params)
		if !ok {
			continue
		}
		name = trim(name)
		if string(name) == "*" {
			star = 2 * q
		} else if i := codingIndex(name); i >= 0 {
			w[i] = 2 * q
		}
	}
	for i := range w {
		switch {
		case w[i] != unsaid:
		case star != unsaid:
			w[i] = star
		case i == plain:
			w[i] = 1
		default:
			w[i] = 0
		}
	}
	return w
}

func codingIndex(name []byte) int {
	switch {
	case equalFold(name, "identity"):
		return plain
	case equalFold(name, "x-gzip"): // section 8.4.1.3
		name = []byte("gzip")
	}
	for i := range codings {
		if equalFold(name, codings[i].name) {
			return i
		}
	}
	return -1
}

// quality is the weight among parameters, in thousandths (RFC 9110 section
// 12.4.2); 1000 if there is none.
func quality(params []byte) (q int, ok bool) {
	q = 1000
	for rest := params; len(rest) > 0; {
		var p []byte
		p, rest, _ = bytes.Cut(rest, []byte(";"))
		if p = trim(p); len(p) < 2 || p[0]|0x20 != 'q' || p[1] != '=' {
			continue
		}
		if q, ok = qvalue(p[2:]); !ok {
			return 0, false
		}
	}
	return q, true
}

// qvalue reads 0 to 1 with up to three decimals.
func qvalue(p []byte) (q int, ok bool) {
	if len(p) == 0 || len(p) > len("0.000") || p[0] != '0' && p[0] != '1' || len(p) > 1 && p[1] != '.' {
		return 0, false
	}
	q = int(p[0]-'0') * 1000
	for i, unit := 2, 100; i < len(p); i, unit = i+1, unit/10 {
		if p[i] < '0' || p[i] > '9' {
			return 0, false
		}
		q += int(p[i]-'0') * unit
	}
	return q, q <= 1000
}

// trim cuts optional white space off (RFC 9110 section 5.6.3).
func trim(p []byte) []byte { return bytes.Trim(p, " \t") }

// equalFold compares with a name in lower case.
func equalFold(p []byte, lower string) bool {
	if len(p) != len(lower) {
		return false
	}
	for i, c := range p {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
