package httpparse

import (
	"bytes"
	"strings"
)

// A diffRule explains one disagreement with net/http. Its predicate sees the
// bytes and both outcomes and must be true for nothing else of its kind: two rules
// that claim the same request fail the test like none. What and right are
// columns of docs/conformance.md.
type diffRule struct {
	name  string
	kind  kind
	what  string
	right string
	holds func(c *comparison) bool
}

// diffRules are all known disagreements. "The server" is net/http's Server, which
// looks again at what ReadRequest has let pass.
var diffRules = []diffRule{
	{"bare-lf", weRefuse, "A line ends in LF alone",
		"Both: a recipient MAY take it (9112 2.2). Parsers that differ here have been used to smuggle", func(c *comparison) bool {
			return c.at() == '\n' && (c.bad == errLineEnd || c.bad == errFieldName && c.lineStart())
		}},
	{"obs-fold", weRefuse, "A field value goes on in the next line; net/http joins the lines",
		"Both: a server MUST refuse or join (9112 5.2)", func(c *comparison) bool {
			return c.bad == errFieldName && c.lineStart() && isBlank(c.at())
		}},
	{"space-before-colon", weRefuse, "A space stands between field name and colon; net/http keeps it in the name",
		"Both: MUST be 400 (9112 5.1); in net/http the server says it, though not of a trailer", func(c *comparison) bool {
			return c.spacesInName(true)
		}},
	{"space-in-name", weRefuse, "A space stands within a field name",
		"Both: a name is a token (9110 5.1); in net/http the server says it, though not of a trailer", func(c *comparison) bool {
			return c.spacesInName(false)
		}},
	{"method-long", weRefuse, "The method has more than 32 bytes",
		"Both: longer than any implemented, SHOULD be 501 (9112 3)", because(errMethodLong)},
	{"target-high", weRefuse, "A byte above 0x7f stands in the target",
		"Catboat: not in the grammar of a URI (3986 2), SHOULD be 400 (9112 3.2)", func(c *comparison) bool {
			return c.bad == errTarget && c.at() >= 0x80
		}},
	{"target-fragment", weRefuse, "The target has a '#'",
		"Catboat: no form of a target has a fragment (9112 3.2)", func(c *comparison) bool {
			return c.bad == errTarget && c.at() == '#'
		}},
	{"path-nul", weRefuse, "The path has %00",
		"Both: the grammar allows it; no file has such a name, and C ends there", func(c *comparison) bool {
			return c.bad == errTargetEscape && bytes.Contains(c.target(), []byte("%00"))
		}},
	{"connect-form", weRefuse, "CONNECT without host and port, or with more than them",
		"Catboat: only authority-form (9112 3.2.3); without a port MUST be refused (9110 9.3.6)", func(c *comparison) bool {
			empty := c.bad == errTarget && c.at() == ' ' && len(c.target()) == 0
			return c.head.Method == "CONNECT" && (c.bad == errTargetForm || empty)
		}},
	{"asterisk-form", weRefuse, "The target is * and the method not OPTIONS",
		"Catboat: asterisk-form is for OPTIONS only (9112 3.2.4)", func(c *comparison) bool {
			return c.bad == errTargetForm && c.head.Method != "CONNECT" && string(c.target()) == "*"
		}},
	{"no-authority", weRefuse, "The target is a URI without \"://\", as mailto:x or http:/x",
		"Catboat: an http URI has an authority (9110 4.2.1), and no other is served", func(c *comparison) bool {
			return c.bad == errTargetForm && c.head.Method != "CONNECT" && bytes.IndexByte(c.target(), ':') > 0
		}},
	{"scheme", weRefuse, "The target's scheme is neither http nor https",
		"Both: what is not served must be refused (9110 7.4), by the parser or behind it", because(errTargetScheme)},
	{"userinfo", weRefuse, "The target has userinfo, as http://user@host/",
		"Both: SHOULD be treated as an error from an untrusted source (9110 4.2.4)", authority("userinfo")},
	{"host-empty", weRefuse, "The target has no host, as http:///x",
		"Catboat: MUST be rejected as invalid (9110 4.2.1)", authority("empty")},
	{"zone", weRefuse, "The target has an IPv6 address with a zone",
		"Both: 6874 had it and is obsolete (9844); a zone means nothing to another host", authority("zone")},
	{"port-large", weRefuse, "The target's port is above 65535",
		"Both: the grammar has only digits (3986 3.2.3); there is no such port", authority("port")},
	{"host-bytes", weRefuse, "The target's host has one of < > \" [ ]",
		"Catboat: not in the grammar of a host (3986 3.2.2)", authority("bytes")},
	{"version-major", weRefuse, "The version is not HTTP/1",
		"Both: 505 (9110 15.6.6); in net/http the server says it", because(errVersionMajor)},
	{"host-missing", weRefuse, "HTTP/1.1 without Host",
		"Both: MUST be 400 (9112 3.2); in net/http the server says it", because(errHostMissing)},
	{"host-malformed", weRefuse, "Host is not host and port",
		"Catboat: MUST be 400 (9112 3.2); net/http's server looks only for bytes that are in no host", because(errHost)},
	{"length-twice", weRefuse, "Content-Length stands there twice with the same value",
		"Both: refuse, or take it as one (9110 8.6)", func(c *comparison) bool {
			return c.bad == errLengthTwice && c.theirs.verdict != refused
		}},
	{"length-and-coding", weRefuse, "Content-Length and Transfer-Encoding",
		"Both: MAY be refused, or read as chunked and then the connection MUST be closed (9112 6.1), which net/http does not do", because(errLengthAndCode)},
	{"coding-in-10", weRefuse, "Transfer-Encoding in HTTP/1.0; net/http reads on as if it were not there",
		"Catboat: MUST be treated as faulty framing (9112 6.1)", because(errCodingIn10)},
	{"expectation", weRefuse, "An expectation that is not 100-continue",
		"Both: MAY be 417 (9110 10.1.1); in net/http the server says it", because(errExpect)},
	{"head-long", weRefuse, "The head is over 16 KiB, the limit in this test",
		"Both: 414 or 431 (9112 3, 9110 5.4); in net/http the server has the limit", func(c *comparison) bool {
			return c.bad == errTargetLong || c.bad == errHeadLong && c.trailerAt == 0
		}},
	{"fields-many", weRefuse, "There are more than 100 field lines, the limit in this test",
		"Both: a limit is the server's choice (9110 5.4); net/http counts bytes only", because(errFieldsMany)},
	{"chunk-size-blank", weRefuse, "White space stands between a chunk's size and its CRLF",
		"Catboat: not in the grammar (9112 7.1)", func(c *comparison) bool {
			return c.bad == errChunkSize && isBlank(c.at()) && bytes.HasPrefix(bytes.TrimLeft(c.in[c.stop:], " \t"), []byte("\r\n"))
		}},
	{"chunk-size-64", weRefuse, "A chunk's size has 64 bits",
		"Both: too large for anyone; Catboat says 413 at once", because(errChunkSizeLarge)},
	{"chunk-ext-bws", weRefuse, "White space stands around the parts of a chunk extension",
		"Neither: it is bad white space, to be taken and removed (9112 7.1.1, 9110 5.6.3). Catboat refuses it on purpose; net/http reads no extension at all", func(c *comparison) bool {
			return c.bad == errChunkExt && c.extensionIsRightWithoutBlanks()
		}},
	{"chunk-ext", weRefuse, "A chunk extension is malformed",
		"Catboat: not in the grammar (9112 7.1.1)", func(c *comparison) bool {
			return c.bad == errChunkExt && !c.extensionIsRightWithoutBlanks()
		}},
	{"chunk-framing", weRefuse, "Chunk extensions are over 16 KiB more than is free; net/http sets what large chunks leave of it off against small ones",
		"Both: a server ought to limit them (9112 7.1.1)", because(errChunkFraming)},

	{"line-not-ended", weAreFirst, "Catboat refuses at the first wrong byte, net/http when it has the line and the byte behind it",
		"Both", (*comparison).lineNotEnded},
	{"chunk-not-ended", weAreFirst, "No CR behind a chunk's data: net/http looks when it has two bytes",
		"Both", (*comparison).chunkNotEnded},
	{"trailer-not-ended", weAreFirst, "A trailer is wrong: net/http looks when it has the whole section",
		"Both", (*comparison).trailerNotEnded},

	{"empty-line-first", skipsEmptyLine, "An empty line stands before the request line; what is behind it is compared as ever",
		"Catboat: SHOULD be ignored (9112 2.2); net/http's server does it only after a POST", func(c *comparison) bool {
			return c.emptyLine
		}},
	{"host-escape", theyRefuse, "An ASCII character is percent-encoded in the target's host",
		"Catboat: the grammar allows it (3986 3.2.2)", func(c *comparison) bool {
			return strings.HasSuffix(c.theirs.why, "invalid URL escape "+quoteEscape(c.theirs.why)) && asciiEscape(c.targetHost())
		}},
	{"trailer-announced", theyRefuse, "Trailer announces Transfer-Encoding, Content-Length or Trailer",
		"Catboat: a sender MUST NOT (9110 6.5.1), but no section lets a recipient refuse it; such a trailer is not looked at", func(c *comparison) bool {
			return c.head.Chunked && strings.HasPrefix(c.theirs.why, "bad trailer key")
		}},
	{"chunk-line-long", theyRefuse, "A chunk's line has more than 4096 bytes with its CRLF",
		"Both: a limit is the server's choice (9112 7.1.1)", func(c *comparison) bool {
			return c.theirs.why == "header line too long" && c.longestLine > 4096
		}},
	{"trailer-long", theyRefuse, "A trailer section does not fit net/http's buffer of 4096 bytes",
		"Both: a limit is the server's choice (9110 5.4)", func(c *comparison) bool {
			return strings.Contains(c.theirs.why, "suspiciously long trailer") && c.trailerAt > 0 &&
				!bytes.Contains(c.in[c.trailerAt:min(len(c.in), c.trailerAt+4096)], []byte("\r\n\r\n"))
		}},
	{"chunk-size-63", theyRefuse, "A chunk's size has 63 bits: net/http's sum of what is free overflows",
		"Catboat: large sizes are to be expected (9112 7.1); neither will ever see the end", func(c *comparison) bool {
			return c.ours.verdict == waiting && strings.Contains(c.theirs.why, "too much non-data") && c.largestChunk >= 1<<62
		}},

	{"host-decoded", hostDiffers, "net/http decodes what is not ASCII in the target's host",
		"Both: the same host in another form (3986 3.2.2); Catboat gives it as it was sent", func(c *comparison) bool {
			host := c.targetHost()
			return bytes.IndexByte(host, '%') >= 0 && !bytes.Contains(host, []byte("%25")) && !asciiEscape(host)
		}},
	{"host-percent", hostDiffers, "net/http decodes %25 in the target's host, which may leave what looks like another escape",
		"Catboat: it gives the host as it was sent, and nothing may be decoded twice (3986 2.4)", func(c *comparison) bool {
			host := c.targetHost()
			return bytes.Contains(host, []byte("%25")) && !asciiEscape(host)
		}},
	{"pragma", fieldsDiffer, "net/http adds Cache-Control: no-cache to Pragma: no-cache",
		"Both: the meaning is the same (9111 5.4); Catboat gives the fields as they came", func(c *comparison) bool {
			return c.theirs.fields.Get("Pragma") == "no-cache" && c.ours.fields["Cache-Control"] == nil &&
				len(c.theirs.fields) == len(c.ours.fields)+1
		}},
}

// because is for a reason that says all; lax readers take what it refuses.
func because(bad *Error) func(c *comparison) bool {
	return func(c *comparison) bool { return c.bad == bad }
}

// authority is for targets whose authority has just this fault.
func authority(fault string) func(c *comparison) bool {
	return func(c *comparison) bool { return c.bad == errAuthority && authorityFault(c.targetHost()) == fault }
}

func authorityFault(host []byte) string {
	name, port := string(host), ""
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "]") {
		name, port = name[:i], strings.TrimLeft(name[i+1:], "0")
	}
	digits := strings.Trim(port, "0123456789") == ""
	switch {
	case bytes.IndexByte(host, '@') >= 0:
		return "userinfo"
	case name == "":
		return "empty"
	case name[0] == '[' && strings.Contains(name, "%25"):
		return "zone"
	case strings.ContainsAny(strings.Trim(name, "[]"), "<>\"[]") || name[0] != '[' && strings.Contains(name, "]"):
		return "bytes"
	case digits && (len(port) > 5 || len(port) == 5 && port > "65535"):
		return "port"
	}
	return "another"
}

// at is the byte that was refused, or 0 behind the last.
func (c *comparison) at() byte {
	if c.stop < len(c.in) {
		return c.in[c.stop]
	}
	return 0
}

// lineStart reports whether the byte that was refused begins a line.
func (c *comparison) lineStart() bool { return c.stop > 0 && c.in[c.stop-1] == '\n' }

// spacesInName is about a name that is refused for a space in it: all before the
// colon is spaces, or not.
func (c *comparison) spacesInName(allTheRest bool) bool {
	if c.bad != errFieldName || c.lineStart() || c.at() != ' ' {
		return false
	}
	rest, _, colon := bytes.Cut(c.in[c.stop:], []byte(":"))
	return colon && bytes.IndexByte(rest, '\n') < 0 && (len(bytes.Trim(rest, " ")) == 0) == allTheRest
}

func (c *comparison) target() []byte { return c.head.Target.Of(c.in) }

// targetHost is the authority of the target, with what stands in its place.
func (c *comparison) targetHost() []byte {
	t := c.target()
	if c.head.Method == "CONNECT" {
		return t
	}
	_, host, _ := bytes.Cut(t, []byte("://"))
	if end := bytes.IndexAny(host, "/?"); end >= 0 {
		host = host[:end]
	}
	return host
}

// asciiEscape reports whether host has one of %00 to %7f other than %25.
func asciiEscape(host []byte) bool {
	for i := range host {
		if c, ok := unescape(host[i:]); ok && host[i] == '%' && c < 0x80 && c != '%' {
			return true
		}
	}
	return false
}

// quoteEscape is the escape that net/url complains of, in the quotes that it ends in.
func quoteEscape(why string) string { return why[max(0, len(why)-len(`"%41"`)):] }

// extensionIsRightWithoutBlanks takes away the blanks around ; and = and at the
// line's end, but for those in quotes, and reads the line of the chunk again.
func (c *comparison) extensionIsRightWithoutBlanks() bool {
	line := c.in[bytes.LastIndexByte(c.in[:c.stop], '\n')+1:]
	line = line[:bytes.IndexByte(line, '\n')+1]
	var out []byte
	quoted, escaped := false, false
	for i, b := range line {
		if !quoted && isBlank(b) && besideSeparator(line, i) {
			continue
		}
		out = append(out, b)
		quoted = quoted != (b == '"' && !escaped)
		escaped = quoted && b == '\\' && !escaped
	}
	var again Chunked
	_, n, bad := again.Next(out)
	return len(out) < len(line) && bad == nil && n == len(out)
}

// besideSeparator reports whether nothing but blanks is between line[i] and ; or
// = or the line's end.
func besideSeparator(line []byte, i int) bool {
	before := bytes.TrimRight(line[:i], " \t")
	behind := bytes.TrimLeft(line[i:], " \t")
	return len(before) > 0 && (before[len(before)-1] == ';' || before[len(before)-1] == '=') ||
		len(behind) > 0 && (behind[0] == ';' || behind[0] == '=' || behind[0] == '\r')
}

// first reports whether a refusal here only comes sooner than what net/http will say.
func (c *comparison) first() bool {
	return c.lineNotEnded() || c.chunkNotEnded() || c.trailerNotEnded()
}

// lineNotEnded: net/http has not got the end of the line with the wrong byte, or
// of a field not the byte behind it, which might fold it.
func (c *comparison) lineNotEnded() bool {
	if c.theirs.verdict != waiting || c.trailerNotEnded() || c.chunkNotEnded() {
		return false
	}
	for rest := c.in[min(c.stop, len(c.in)):]; ; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return true
		}
		rest = rest[end+1:]
		inField := c.head.stage == inFields && (c.bad == errFieldName || c.bad == errFieldValue || c.bad == errLineEnd)
		switch {
		case !inField:
			return false
		case len(rest) == 0:
			return true
		case !isBlank(rest[0]):
			return false
		}
	}
}

func (c *comparison) chunkNotEnded() bool {
	return c.theirs.verdict == waiting && c.bad == errChunkEnd && c.stop == len(c.in)-1
}

func (c *comparison) trailerNotEnded() bool {
	return c.theirs.verdict == waiting && c.trailerAt > 0 && !bytes.Contains(c.in[c.trailerAt:], []byte("\r\n\r\n"))
}
