//go:build linux

package files

import (
	"math/rand/v2"
	"strconv"

	"catboat/conn"
)

// reply answers GET or HEAD for what e is.
func (t *Tree) reply(c *conn.Conn, e *entry) {
	q, now := c.Request(), e.used
	v := &e.variants[0]
	if len(e.variants) > 1 { // also where there are no siblings yet
		v = t.choose(e, q.Header("Accept-Encoding"))
		c.AddHeader("Vary", "Accept-Encoding")
	}
	if v == nil {
		c.Error(406)
		return
	}
	switch precondition(q, v, now) {
	case 304:
		t.setFields(c, v)
		c.Reply(304, "", nil)
		return
	case 412:
		c.Error(412)
		return
	}
	field := q.Header("Range")
	if field == nil || q.Method() != "GET" { // defined for GET alone (RFC 9110 section 14.2)
		t.sendWhole(c, e, v)
		return
	}
	if condition := q.Header("If-Range"); condition != nil && !ifRange(condition, v, now) {
		t.sendWhole(c, e, v)
		return
	}
	var room [maxRanges]span
	switch spans, answer := appendRanges(room[:0], field, v.id.size); {
	case answer == sendNone:
		c.SetHeader("Content-Range", "bytes */"+strconv.FormatInt(v.id.size, 10))
		c.Error(416)
	case answer == sendRanges && len(spans) == 1:
		t.setContentFields(c, v)
		var room [len("bytes -/") + 3*19]byte
		c.SetHeader("Content-Range", string(appendContentRange(room[:0], spans[0], v.id.size)))
		v.data.send(c, 206, e.typ, spans[0])
	case answer == sendRanges:
		t.sendParts(c, e, v, spans)
	default:
		t.sendWhole(c, e, v)
	}
}

// choose is the variant that a client welcomes most, opened; nil if it wants none
// of what there is.
func (t *Tree) choose(e *entry, accept []byte) *variant {
	if accept == nil {
		return &e.variants[0]
	}
	w := accepted(accept)
	for {
		best, weight := (*variant)(nil), 0
		for i := range codings {
			if v := &e.variants[1+i]; v.there && w[i] > weight {
				best, weight = v, w[i]
			}
		}
		if w[plain] > weight {
			best = &e.variants[0]
		}
		if best == nil || best.data != nil {
			return best
		}
		if err := t.open(best, e, e.used); err == nil {
			return best
		}
		best.there = false // it is looked at again in a second
	}
}

// setFields sets what 200 and 304 have in common (RFC 9110 section 15.4.5).
func (t *Tree) setFields(c *conn.Conn, v *variant) {
	if v.etag != "" {
		c.SetHeader("ETag", v.etag)
	}
	if t.o.CacheControl != "" {
		c.SetHeader("Cache-Control", t.o.CacheControl)
	}
}

// setContentFields sets what goes with bytes of v.
func (t *Tree) setContentFields(c *conn.Conn, v *variant) {
	t.setFields(c, v)
	if v.lastModified != "" {
		c.SetHeader("Last-Modified", v.lastModified)
	}
	c.SetHeader("Accept-Ranges", "bytes")
	c.SetHeader("X-Content-Type-Options", "nosniff") // a type is what we say, also of what somebody uploaded
	if v.coding != nil {
		c.SetHeader("Content-Encoding", v.coding.name)
	}
}

func (t *Tree) sendWhole(c *conn.Conn, e *entry, v *variant) {
	t.setContentFields(c, v)
	v.data.send(c, 200, e.typ, span{0, v.id.size})
}

// send replies with a range of d.
func (d *data) send(c *conn.Conn, status int, typ string, s span) {
	if d.fd < 0 {
		c.Reply(status, typ, d.content[s.start:s.start+s.length])
		return
	}
	d.users++
	c.ReplyFile(status, typ, conn.FilePart{FD: d.fd, Offset: s.start, Length: s.length, Done: d.done})
}

// part is the range as a part of a reply, behind what is to be sent first.
func (d *data) part(before []byte, s span) conn.FilePart {
	if d.fd < 0 {
		return conn.FilePart{Before: append(before, d.content[s.start:s.start+s.length]...)}
	}
	d.users++
	return conn.FilePart{Before: before, FD: d.fd, Offset: s.start, Length: s.length, Done: d.done}
}

// sendParts replies with several ranges (RFC 9110 section 14.6), as they were
// asked for, unless the whole file is shorter than that: so no choice of ranges
// makes a reply longer than the file.
func (t *Tree) sendParts(c *conn.Conn, e *entry, v *variant, spans []span) {
	boundary := strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36) // not to be foreseen in a file
	heads := make([][]byte, len(spans))
	end := "\r\n--" + boundary + "--\r\n"
	left := v.id.size - int64(len(end))
	for i, s := range spans {
		h := append(append([]byte("\r\n--"), boundary...), "\r\nContent-Type: "...)
		h = append(append(h, e.typ...), "\r\nContent-Range: "...)
		heads[i] = append(appendContentRange(h, s, v.id.size), "\r\n\r\n"...)
		if left -= int64(len(heads[i])); left < s.length {
			t.sendWhole(c, e, v)
			return
		}
		left -= s.length
	}
	parts := make([]conn.FilePart, 0, len(spans)+1)
	for i, s := range spans {
		parts = append(parts, v.data.part(heads[i], s))
	}
	parts = append(parts, conn.FilePart{Before: []byte(end)})
	t.setContentFields(c, v)
	c.ReplyFile(206, "multipart/byteranges; boundary="+boundary, parts...)
}

// appendContentRange appends the value of a Content-Range field (RFC 9110 section 14.4).
func appendContentRange(dst []byte, s span, size int64) []byte {
	dst = strconv.AppendInt(append(dst, "bytes "...), s.start, 10)
	dst = strconv.AppendInt(append(dst, '-'), s.start+s.length-1, 10)
	return strconv.AppendInt(append(dst, '/'), size, 10)
}
