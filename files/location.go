//go:build linux

package files

import (
	"strings"

	"catboat/conn"
)

// redirect sends a client to the same path with a slash behind it, and the query
// that it had. What it went to is a folder by our own names, so the path has no
// empty segment; still no second slash, nor a backslash that browsers take for
// one, stands at its start, where it would be read as a host.
func redirect(c *conn.Conn) {
	q := c.Request()
	to := append([]byte{'/'}, escape(strings.TrimLeft(string(q.Path()), "/"), pathBytes)...)
	to = append(to, '/')
	if query := q.Query(); len(query) > 0 {
		to = append(append(to, '?'), escape(string(query), queryBytes)...)
	}
	c.SetHeader("Location", string(to))
	c.Error(301)
}

// byteSet has a bit for each byte of ASCII.
type byteSet [2]uint64

func newByteSet(members string) (b byteSet) {
	for _, c := range []byte(members) {
		b[c>>6] |= 1 << (c & 63)
	}
	return b
}

func (b *byteSet) has(c byte) bool { return c < 0x80 && b[c>>6]>>(c&63)&1 != 0 }

// What stands for itself in a URI (RFC 3986 appendix A), beside letters and digits.
const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	marks   = "-._~!$&'()*+,;=:@"
)

var (
	segmentBytes = newByteSet(letters + marks)
	pathBytes    = newByteSet(letters + marks + "/")
	queryBytes   = newByteSet(letters + marks + "/?%") // it is encoded already
)

// escape percent-encodes all of s that is not in keep.
func escape(s string, keep byteSet) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if keep.has(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
