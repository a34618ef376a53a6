package httpparse

import "bytes"

// AppendPath appends to dst the path p of a parsed head, decoded once and with
// its dot segments removed (RFC 3986 sections 2.4 and 5.2.4), and returns the
// extended slice. The decoded dots of %2E%2E count as dots. An encoded slash
// stays as it was sent, %2F or %2f, so that a decoded path has the segments
// that the sent one had; an encoded %252F then looks the same, and only the
// target tells the two apart. Empty segments stay. An empty path becomes "/".
func AppendPath(dst, p []byte) []byte {
	root := len(dst)
	for len(p) > 0 {
		p = p[1:] // a slash
		dst = append(dst, '/')
		start := len(dst)
		end := bytes.IndexByte(p, '/')
		if end < 0 {
			end = len(p)
		}
		dst = appendDecoded(dst, p[:end])
		p = p[end:]
		switch segment := dst[start:]; {
		case len(segment) == 1 && segment[0] == '.':
			dst = dst[:start-1]
		case len(segment) == 2 && segment[0] == '.' && segment[1] == '.':
			dst = dst[:max(root, root+bytes.LastIndexByte(dst[root:start-1], '/'))]
		default:
			continue
		}
		if len(p) == 0 {
			dst = append(dst, '/') // "/a/." and "/a/b/.." name the directory
		}
	}
	if len(dst) == root {
		dst = append(dst, '/')
	}
	return dst
}

// plainPath reports whether [AppendPath] would give p back unchanged. It may
// say no of a path that is plain.
func plainPath(p []byte) bool {
	return len(p) > 0 && p[0] == '/' && bytes.IndexByte(p, '%') < 0 && !bytes.Contains(p, []byte("/."))
}

func appendDecoded(dst, p []byte) []byte {
	for len(p) > 0 {
		if p[0] == '%' {
			if c, ok := unescape(p); ok && c != '/' {
				dst = append(dst, c)
				p = p[3:]
				continue
			}
		}
		dst = append(dst, p[0])
		p = p[1:]
	}
	return dst
}
