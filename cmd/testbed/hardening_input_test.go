//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// goal is within how many KiB what never ends should be refused.
const goal = 64

// endless are requests that go on for ever, the status that ends each, and after how
// much.
var endless = []struct {
	name, first, next string
	status            int
}{
	{"method", "", "A", 501},
	{"target", "GET /", "a", 414},
	{"field name", line + host, "a", 431},
	{"field value", line + host + "X: ", "a", 431},
	{"blanks before a value", line + host + "X:", " ", 431},
	{"field lines", line + host, "X: y\r\n", 431},
	{"chunk size", parts, "0", 413},
	{"chunk extension", parts + "5;", "a", 413},
	{"chunk extension in quotes", parts + "5;a=\"", "b", 413},
	{"chunk extensions", parts, "1;a=b\r\nx\r\n", 413},
	{"tiny chunks", parts, "1\r\nx\r\n", 413},
	{"tiny chunks of a stream", "POST /upload HTTP/1.1\r\n" + host + coded + "\r\n", "1\r\nx\r\n", 413},
	{"tiny chunks to nobody", "POST /nothing HTTP/1.1\r\n" + host + coded + "\r\n", "1\r\nx\r\n", 404},
	{"trailer", parts + hi + "0\r\nX: ", "a", 431},
	{"trailers", parts + hi + "0\r\n", "X: y\r\n", 431},
}

// The server takes a piece at a time here: before the next is sent, it has answered
// somebody who asked behind it. So what was sent until the refusal is what it took.
func TestWhatNeverEndsIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	asker := s.dial(t)
	most := 0
	for _, test := range endless {
		c := s.dial(t)
		answer := make(chan int, 1)
		go func() {
			if resp, err := http.ReadResponse(c.r, nil); err == nil {
				answer <- resp.StatusCode
			}
			close(answer)
		}()
		sent, status := 0, 0
		next := strings.Repeat(test.next, goal*8/len(test.next))
		for text := test.first + next; status == 0 && sent < 3*goal<<10; text = next {
			n, _ := io.WriteString(c, text) // an error shows in the answer
			sent += n
			asker.ask("GET", "/", "")
			select {
			case status = <-answer:
			default:
			}
		}
		t.Logf("%-26s %d after %.1f KiB", test.name, status, float64(sent)/1024)
		if most = max(most, sent); status != test.status || sent > 3*goal<<10 {
			t.Errorf("%s: %d after %d bytes, want %d within %d KiB", test.name, status, sent, test.status, goal)
		}
		c.Close()
	}
	t.Logf("all refused within %.1f KiB", float64(most)/1024)
	asker.Close()
	s.awaitAlone(t)
}

func TestManyRangesAreNeverMoreThanTheFile(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), []byte(patternOf(size)), 0o644); err != nil {
		t.Fatal(err)
	}
	each := func(n int, form func(i int) string) string {
		var all []string
		for i := range n {
			all = append(all, form(i))
		}
		return strings.Join(all, ",")
	}
	s := start(t, "-static", root)
	most := 0
	for name, ranges := range map[string]string{
		"1000 times all":        each(1000, func(int) string { return "0-" }),
		"16 times all":          each(16, func(int) string { return "0-" }),
		"twice all":             "0-,0-",
		"1000 bytes":            each(1000, func(i int) string { return fmt.Sprintf("%d-%[1]d", 2*i) }),
		"growing":               each(200, func(i int) string { return fmt.Sprintf("%d-", i) }),
		"suffixes":              each(16, func(i int) string { return fmt.Sprintf("-%d", size-i) }),
		"two halves":            fmt.Sprintf("0-%d,%d-", size/2-1, size/2),
		"two halves that touch": fmt.Sprintf("0-%d,%d-", size/2, size/2),
		"backwards":             each(16, func(i int) string { return fmt.Sprintf("%d-%d", (15-i)<<16, (16-i)<<16-1) }),
	} {
		c := s.dial(t)
		io.WriteString(c, "GET "+staticPrefix+"file HTTP/1.1\r\n"+host+"Range: bytes="+ranges+"\r\n\r\n")
		resp, body := c.reply("GET")
		if most = max(most, len(body)); len(body) > size || resp.StatusCode != 200 && resp.StatusCode != 206 {
			t.Errorf("%s: %s, %d bytes of a file of %d", name, resp.Status, len(body), size)
		}
		c.Close()
	}
	t.Logf("at most %d bytes of %d", most, size)
}

// fuzzer makes requests that are mostly well-formed in their structure and wrong
// somewhere. The same seed makes the same ones.
type fuzzer struct{ *rand.Rand }

func pick[T any](f fuzzer, from ...T) T { return from[f.IntN(len(from))] }

// mostly is good, now and then one of the others.
func (f fuzzer) mostly(good string, others ...string) string {
	if f.IntN(15) > 0 {
		return good
	}
	return pick(f, others...)
}

func (f fuzzer) end() string   { return f.mostly("\r\n", "\r\n", "\r\n", "\n", "\r") }
func (f fuzzer) space() string { return f.mostly(" ", "  ", "\t", "") }

// request is one, or what is meant to look like one.
func (f fuzzer) request() string {
	target := f.mostly(pick(f, "/", "/fast", "/echo", "/upload", "/readyz", "/nothing", "/static/file", "/static/", "http://localhost/"),
		"/static/../file", "/static/%2e%2e/x", "*", "//", "/%zz", "/a b", "", "/"+strings.Repeat("a", f.IntN(20_000)))
	head := f.mostly(pick(f, "GET", "GET", "POST", "POST"), "PUT", "OPTIONS", "CONNECT", "get", "G\x00T", "") + f.space() +
		target + f.mostly("", "?a=b", "?", "#x", "\xff") + f.space() +
		f.mostly("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.", "") + f.end() +
		f.mostly(host, "", host+host, "Host: a b\r\n")
	for range f.IntN(3) {
		head += f.field() + f.end()
	}
	switch f.IntN(4) {
	case 0:
		return head + coded + f.end() + f.chunks()
	case 1:
		return head + "Content-Length: " + f.mostly("5", "6", "4", "-1", "5, 5", "99999999999999999999") + f.end() + f.end() + "hello"
	}
	return head + f.end()
}

func (f fuzzer) field() string {
	good := pick(f, "Connection: keep-alive", "Connection: upgrade", "Upgrade: h2c", "Expect: 100-continue", "Range: bytes=0-9", "Range: bytes=0-,0-", "Range: bytes=9999999-",
		"If-None-Match: *", "If-Match: \"x\"", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", "If-Range: \"x\"", "Accept-Encoding: gzip;q=x", "X: "+strings.Repeat("y", f.IntN(3000)), "X:")
	return f.mostly(good, "Connection: close", "Content-Length: 5", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked", "Expect: x",
		"Host: a", "X", ": y", " folded", "X : y", "X: \x00", "X: "+strings.Repeat("y", 20_000))
}

// chunks is a body in chunks.
func (f fuzzer) chunks() (s string) {
	for range f.IntN(4) {
		s += f.mostly(pick(f, hi, "1\r\nx\r\n", "5;a=b\r\nhello\r\n", "00005;a=\"b\"\r\nhello\r\n"), "fffffffffffffffff\r\n", "6\r\nhello\r\n", "5 \r\nhello\r\n", "\r\n", "5;\r\nhello\r\n", "5\nhello\n")
	}
	return s + f.mostly("0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0\r\nX\r\n\r\n", "")
}

// garbage is bytes without structure.
func (f fuzzer) garbage() string {
	b := make([]byte, f.IntN(300))
	for i := range b {
		b[i] = byte(f.Uint32())
	}
	return string(b)
}

// input is what one connection sends: requests, some of which are mutated, or
// garbage.
func (f fuzzer) input() string {
	if f.IntN(10) == 0 {
		return f.garbage()
	}
	b := ""
	for range 1 + f.IntN(3) {
		b += f.request()
	}
	p := []byte(b)
	for range max(0, f.IntN(6)-3) {
		at, to := f.IntN(len(p)+1), f.IntN(len(p)+1)
		at, to = min(at, to), max(at, to)
		switch f.IntN(4) {
		case 0:
			p = slices.Insert(p, at, byte(f.Uint32()))
		case 1:
			p = slices.Delete(p, at, min(to, at+8))
		case 2:
			p = slices.Insert(p, at, p[at:min(to, at+20)]...)
		case 3:
			p = p[:at]
		}
	}
	return strings.ReplaceAll(string(p), "HEAD", "GET") // whose replies no reader can tell apart
}

// saysLast finds a request that its client says is its last. The connection is closed
// at once behind its reply, and what is sent all the same is met with a reset.
var saysLast = regexp.MustCompile(`HTTP/1\.0|(?i:connection: close)`)

// verify sends an input, and FIN, and reads what comes of it, to the end.
func (s *server) verify(c *client, input string, piece int) (statuses []int, err error) {
	for rest := input; rest != ""; {
		n := min(piece, len(rest))
		if _, err := io.WriteString(c, rest[:n]); err != nil {
			break // shows when the answer is read
		}
		rest = rest[n:]
	}
	c.CloseWrite()
	all, err := io.ReadAll(c.r)
	switch {
	case wasReset(err) && saysLast.MatchString(input):
		return nil, nil
	case err != nil:
		return nil, err
	}
	r := bufio.NewReader(bytes.NewReader(all))
	for {
		if _, err := r.Peek(1); err == io.EOF {
			return statuses, nil
		}
		resp, err := http.ReadResponse(r, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		switch {
		case err != nil:
			return statuses, fmt.Errorf("malformed: %w in %.300q", err, all)
		case resp.StatusCode >= 500 && resp.StatusCode != 501 && resp.StatusCode != 505:
			return statuses, errors.New(resp.Status)
		case resp.StatusCode >= 200 && resp.Header.Get("Date") == "":
			return statuses, fmt.Errorf("no Date in %.300q", all)
		}
		statuses = append(statuses, resp.StatusCode)
	}
}

// found is what came of many inputs.
type found struct {
	sync.Mutex
	statuses map[int]int
	worst    time.Duration
	wrong    []string
}

// fuzz sends n inputs, one connection for each.
func (s *server) fuzz(t *testing.T, seed uint64, n int, all *found) {
	f := fuzzer{rand.New(rand.NewPCG(seed, 0))}
	for range n {
		input, piece := f.input(), 1<<20
		if f.IntN(10) == 0 {
			piece = 1
		}
		c := s.dial(t)
		begun := time.Now()
		statuses, err := s.verify(c, input, piece)
		took := time.Since(begun)
		c.Close()
		all.Lock()
		for _, status := range statuses {
			all.statuses[status]++
		}
		all.worst = max(all.worst, took)
		if err != nil {
			all.wrong = append(all.wrong, fmt.Sprintf("%v in pieces of %d, after %v: %.2000q", err, piece, took, input))
		}
		all.Unlock()
	}
}

func TestFuzzedRequestsAreAnsweredWellFormedAndSoon(t *testing.T) {
	t.Parallel()
	const workers = 4
	n := either(50_000, 5_000)
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), []byte(patternOf(5000)), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	s := start(t, "-static", root, "-log", log)
	all := found{statuses: map[int]int{}}
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() { s.fuzz(t, uint64(worker), n/workers, &all) })
	}
	wg.Wait()
	for _, wrong := range all.wrong[:min(5, len(all.wrong))] {
		t.Error(wrong)
	}
	var counts []string
	answers := 0
	for status, count := range all.statuses {
		counts = append(counts, fmt.Sprintf("%d: %d", status, count))
		answers += count
	}
	slices.Sort(counts)
	t.Logf("%d inputs, %d answers (%s), worst after %v, %d wrong", n, answers, strings.Join(counts, ", "), all.worst.Round(time.Millisecond), len(all.wrong))
	if answers < n/2 || all.statuses[200] < n/20 || all.statuses[400] < n/10 {
		t.Error("there is too little in the inputs to be of use")
	}
	s.awaitAlone(t)
	if text, err := os.ReadFile(log); err != nil || len(text) > 0 {
		t.Errorf("clients' mistakes are logged: %.1000s (%v)", text, err)
	}
}
