//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// full has the tests of hardening measured as docs/hardening.md has them. Without
// it deadlines are shorter and loads smaller, and the properties the same.
var full = flag.Bool("full", false, "measure hardening with the deadlines and loads of docs/hardening.md")

// either is what a test takes with -full, or else.
func either[T any](inFull, short T) T {
	if *full {
		return inFull
	}
	return short
}

// memory is what is resident of the server, in bytes.
func (s *server) memory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nRss:")
	number, _, ok := strings.Cut(rest, "kB")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || !ok {
		return 0, fmt.Errorf("no memory in %q", text)
	}
	return n << 10, nil
}

// settled is the server's memory before an attack. It has served requests of the
// kinds to come, so that its code is resident, and made enough garbage for the
// heap to have its normal size.
func (s *server) settled(t *testing.T, targets ...string) int64 {
	t.Helper()
	c := s.dial(t)
	for _, target := range append(targets, "/", "/defer", "/nothing", "/checkConnections") {
		for range 20 {
			c.ask("GET", target, "")
		}
	}
	c.ask("POST", "/echo", "hello")
	c.ask("POST", "/upload", "hello")
	const burst = 50
	for range 5000 / burst {
		io.WriteString(c, strings.Repeat(request("GET", "/fast", ""), burst))
		for range burst {
			c.reply("GET")
		}
	}
	c.Close()
	s.awaitAlone(t)
	n, err := s.memory()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cpu is the processor time that the server has used. clock_getcpuclockid(3)
func (s *server) cpu(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^s.process.Pid<<3|2), &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// descriptors is how many the server has open when nobody but the one who asks is
// connected, whose own is among them.
func (s *server) descriptors(t *testing.T) int {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	c.awaitSize(2)
	names, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(s.process.Pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// exchange sends a request and reads the reply. Unlike ask it may be called on any
// goroutine.
func exchange(c net.Conn, r *bufio.Reader, text string) (status int, body string, err error) {
	if _, err := io.WriteString(c, text); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, "", err
	}
	p, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(p), err
}

// bystander is a client that does nothing wrong while others attack. It asks every
// 2 ms, and looks at the server's memory now and then.
type bystander struct {
	took   []time.Duration
	peak   int64
	rises  []sample // of memory
	err    error
	stop   chan struct{}
	ended  chan struct{}
	stops  sync.Once
	server *server
}

// sample is the memory at a time since the bystander began.
type sample struct {
	at    time.Duration
	bytes int64
}

// watch begins to ask. The bystander is to be stopped with done.
func (s *server) watch(t *testing.T) *bystander {
	t.Helper()
	c := s.dial(t)
	c.SetDeadline(time.Time{})
	b := &bystander{stop: make(chan struct{}), ended: make(chan struct{}), server: s}
	go b.run(c)
	t.Cleanup(func() {
		b.stops.Do(func() { close(b.stop) })
		<-b.ended
	})
	return b
}

func (b *bystander) run(c *client) {
	defer close(b.ended)
	defer c.Close()
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	begun := time.Now()
	for i := 0; ; i++ {
		asked := time.Now()
		c.SetDeadline(asked.Add(patience))
		status, body, err := exchange(c, c.r, whole)
		b.took = append(b.took, time.Since(asked))
		if err != nil || status != 200 || body != "Hello, World!" {
			b.err = fmt.Errorf("question %d: %d, %q, %w", i, status, body, err)
			return
		}
		if i%25 == 0 {
			n, err := b.server.memory()
			if err != nil {
				b.err = err
				return
			}
			b.peak = max(b.peak, n)
			b.rises = append(b.rises, sample{time.Since(begun), n})
		}
		select {
		case <-b.stop:
			return
		case <-pace.C:
		}
	}
}

// done stops asking and checks that each question had its answer, mostly soon.
// The machines that tests run on are crowded, so "soon" is not much.
func (b *bystander) done(t *testing.T) (p99, worst time.Duration) {
	t.Helper()
	b.stops.Do(func() { close(b.stop) })
	<-b.ended
	if b.err != nil || len(b.took) == 0 {
		t.Fatalf("a bystander was not served, after %d answers: %v", len(b.took), b.err)
	}
	slices.Sort(b.took)
	p99, worst = b.took[len(b.took)*99/100], b.took[len(b.took)-1]
	if p99 > time.Second/2 {
		t.Errorf("a bystander waited for %v and more, one time in 100", p99)
	}
	return p99.Round(10 * time.Microsecond), worst.Round(10 * time.Microsecond)
}

// narrow is a connection that holds little unread: its window is small.
func (s *server) narrow(t *testing.T) *client {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	return &client{t, c.(*net.TCPConn), bufio.NewReaderSize(c, 512)}
}

// ending is how a connection has ended: when, after which status, and with what.
type ending struct {
	took   time.Duration
	status int
	err    error
}

// awaitEnding reads what comes until the end.
func awaitEnding(c *client, begun time.Time) (e ending) {
	var first bytes.Buffer
	_, e.err = io.Copy(&first, io.LimitReader(c.r, 1<<10))
	if e.err == nil {
		_, e.err = io.Copy(io.Discard, c.r)
	}
	e.took = time.Since(begun)
	fmt.Sscanf(first.String(), "HTTP/1.1 %d", &e.status)
	return e
}

// endings awaits the ends of all, each on a goroutine of its own.
func endings(all []*client, begun []time.Time) <-chan []ending {
	ends := make([]ending, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { ends[i] = awaitEnding(c, begun[i]) })
	}
	c := make(chan []ending, 1)
	go func() {
		wg.Wait()
		c <- ends
	}()
	return c
}

// checkEnds checks that each came in time and was told why, and returns the first
// and the last time.
func checkEnds(t *testing.T, ends []ending, status int, from, to time.Duration) (first, last time.Duration) {
	t.Helper()
	first = time.Hour
	for i, e := range ends {
		first, last = min(first, e.took), max(last, e.took)
		if e.status != status || e.err != nil {
			t.Fatalf("client %d of %d got %d and %v after %v, want %d and FIN", i, len(ends), e.status, e.err, e.took, status)
		}
	}
	if first < from*9/10 || last > to+late {
		t.Errorf("they were ended after %v to %v, want %v to %v", first, last, from, to)
	}
	return first.Round(time.Millisecond), last.Round(time.Millisecond)
}

// awaitAll is await for what takes as long as several deadlines.
func awaitAll[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	for range 4 {
		select {
		case v := <-c:
			return v
		case <-time.After(patience):
		}
	}
	t.Fatalf("waited in vain for %s", what)
	panic("unreachable")
}

// each is what one of n clients cost, in KiB.
func each(before, with int64, n int) float64 { return float64(with-before) / 1024 / float64(n) }

// atMost checks a figure against its goal, with room for a crowded machine.
func atMost(t *testing.T, what string, got, goal float64) {
	t.Helper()
	if got > 3*goal {
		t.Errorf("%s: %.1f, want far less than 3 times %.1f", what, got, goal)
	}
}

// wasReset reports whether err is a reset.
func wasReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
