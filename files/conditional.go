//go:build linux

package files

import (
	"bytes"
	"time"

	"catboat/conn"
)

// precondition is the status with which the conditions of a request for v end it:
// 304 or 412, or 0 if it goes on. They are looked at in the order of RFC 9110
// section 13.2.2; the method is GET or HEAD.
func precondition(q *conn.Request, v *variant, now time.Time) int {
	if list := q.Header("If-Match"); list != nil {
		if !hasTag(list, v.etag, strong) {
			return 412
		}
	} else if date := q.Header("If-Unmodified-Since"); date != nil && v.lastModified != "" {
		if since, ok := parseDate(date, v, now); ok && v.modified > since {
			return 412
		}
	}
	if list := q.Header("If-None-Match"); list != nil {
		if hasTag(list, v.etag, weak) {
			return 304
		}
	} else if date := q.Header("If-Modified-Since"); date != nil && v.lastModified != "" {
		if since, ok := parseDate(date, v, now); ok && v.modified <= since {
			return 304
		}
	}
	return 0
}

// ifRange reports whether the validator of an If-Range field is v's (RFC 9110
// section 13.1.5). Both kinds of ours are strong: see [variant.describe].
func ifRange(field []byte, v *variant, now time.Time) bool {
	if field = trim(field); len(field) > 0 && (field[0] == '"' || field[0] == 'W') && bytes.IndexByte(field, '"') >= 0 {
		return v.etag != "" && string(field) == v.etag
	}
	date, ok := parseDate(field, v, now)
	return ok && v.lastModified != "" && date == v.modified
}

// comparison is how entity tags are compared (RFC 9110 section 8.8.3.2).
type comparison bool

const (
	strong comparison = false
	weak   comparison = true
)

// hasTag reports whether a list of entity tags has ours, which is a strong one, or
// is "*". A list is read up to where it is malformed.
func hasTag(list []byte, ours string, c comparison) bool {
	if list = trim(list); string(list) == "*" {
		return true
	}
	for ours != "" {
		list = bytes.TrimLeft(list, ", \t")
		isWeak := bytes.HasPrefix(list, []byte("W/"))
		if isWeak {
			list = list[2:]
		}
		if len(list) == 0 || list[0] != '"' {
			return false
		}
		end := bytes.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		tag := list[:1+end+1]
		if string(tag) == ours && (c == weak || !isWeak) {
			return true
		}
		list = bytes.TrimLeft(list[len(tag):], " \t")
		if len(list) > 0 && list[0] != ',' {
			return false
		}
	}
	return false
}

// The formats of dates (RFC 9110 section 5.6.7). Ours are in the first.
const (
	imfFixdate = "Mon, 02 Jan 2006 15:04:05 GMT"
	rfc850     = "Monday, 02-Jan-06 15:04:05 GMT"
	asctime    = "Mon Jan _2 15:04:05 2006"
)

// parseDate reads a date in any of the formats, in seconds since 1970. Most often
// it is v's.
func parseDate(p []byte, v *variant, now time.Time) (seconds int64, ok bool) {
	if len(p) > 0 && string(p) == v.lastModified {
		return v.modified, true
	}
	for _, layout := range [...]string{imfFixdate, rfc850, asctime} {
		d, err := time.Parse(layout, string(p))
		if err != nil {
			continue
		}
		if layout == rfc850 {
			d = inCentury(d, now)
		}
		return d.Unix(), true
	}
	return 0, false
}

// inCentury gives a date whose year has two digits the century that the RFC
// wants: one that seems to be more than 50 years ahead is past.
func inCentury(d, now time.Time) time.Time {
	d = d.AddDate((now.Year()/100-d.Year()/100)*100, 0, 0)
	if d.After(now.AddDate(50, 0, 0)) {
		d = d.AddDate(-100, 0, 0)
	}
	return d
}
