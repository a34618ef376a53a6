//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	dateField = "\r\ndate: " // in whatever letters
	dateLen   = len("Thu, 01 Jan 2026 00:00:00 GMT")
	dateSlack = 5 * time.Second // a crowded machine may keep an answer waiting
)

// patience is how long a server may do nothing. Tests have less of it.
var patience = 5 * time.Second

// answer is what every answer to a workload must be, byte for byte but for the
// value of Date, which has to be a date, and of now unless it is fixed.
type answer struct {
	bytes     []byte
	date      int // where the value begins
	fixedDate bool
	lastDate  [dateLen]byte // one that was found to be right
}

// firstAnswer asks once and has Go's client parse the answer. What it finds
// complete and correct is what all others are compared with.
func firstAnswer(address string, w workload, fixedDate bool) (*answer, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(w.request()); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	r := bufio.NewReader(io.TeeReader(c, &raw))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if r.Buffered() > 0 {
		return nil, fmt.Errorf("%d bytes behind its end", r.Buffered())
	}
	if w.close {
		if _, err := r.ReadByte(); err != io.EOF {
			return nil, fmt.Errorf("the connection was not closed behind it: %v", err)
		}
	}
	a := &answer{bytes: raw.Bytes(), fixedDate: fixedDate}
	if err := a.check(resp, body, w); err != nil {
		return nil, fmt.Errorf("%w in %q", err, a.bytes[:min(len(a.bytes), shown)])
	}
	return a, nil
}

// check looks at a parsed answer, and finds its date.
func (a *answer) check(resp *http.Response, body []byte, w workload) error {
	switch h := resp.Header; {
	case resp.Proto != "HTTP/1.1" || resp.StatusCode != 200:
		return fmt.Errorf("status line %s %s", resp.Proto, resp.Status)
	case resp.ContentLength != int64(len(w.body)) || !bytes.Equal(body, w.body):
		return errors.New("wrong body")
	case h.Get("Content-Type") != w.contentType:
		return errors.New("wrong Content-Type")
	case h.Get("Server") == "":
		return errors.New("no Server")
	case resp.Close != w.close:
		return errors.New("wrong Connection")
	}
	a.date = dateOf(a.bytes)
	if a.date < len(dateField) || !a.dateIsRight(a.bytes[a.date:min(a.date+dateLen, len(a.bytes))]) {
		return errors.New("wrong Date")
	}
	return nil
}

// dateOf is where the value of Date begins, less than the length of dateField if
// there is none.
func dateOf(answer []byte) int {
	head, _, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	return bytes.Index(bytes.ToLower(head), []byte(dateField)) + len(dateField)
}

// matches reports whether p is right as the part of an answer that begins at
// position at. A date of which p has only a part is not looked at.
func (a *answer) matches(p []byte, at int) bool {
	if !same(p, a.bytes, at, 0, a.date) || !same(p, a.bytes, at, a.date+dateLen, len(a.bytes)) {
		return false
	}
	from := a.date - at
	return from < 0 || from+dateLen > len(p) || a.dateIsRight(p[from:][:dateLen])
}

// same compares p, which begins at position at, with want, but only what lies
// between from and to.
func same(p, want []byte, at, from, to int) bool {
	from, to = max(from, at), min(to, at+len(p))
	return from >= to || bytes.Equal(p[from-at:to-at], want[from:to])
}

// dateIsRight parses a date, and remembers it: mostly the next is the same.
func (a *answer) dateIsRight(d []byte) bool {
	if string(d) == string(a.lastDate[:]) {
		return true
	}
	t, err := http.ParseTime(string(d))
	if err != nil || !a.fixedDate && time.Since(t).Abs() > dateSlack {
		return false
	}
	copy(a.lastDate[:], d)
	return true
}
