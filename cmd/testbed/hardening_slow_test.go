//go:build linux

package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crowd opens n connections and sends text on each.
func (s *server) crowd(t *testing.T, n int, text func(i int) string) (all []*client, begun []time.Time) {
	t.Helper()
	for i := range n {
		begun = append(begun, time.Now())
		c := s.dial(t)
		c.SetDeadline(time.Now().Add(4 * patience))
		io.WriteString(c, text(i))
		all = append(all, c)
	}
	return all, begun
}

// leave closes all. Who goes on sending behind a FIN is borne with for a while.
func leave(all []*client) {
	for _, c := range all {
		c.Close()
	}
}

// trickle sends a byte on each, again and again, until the test's end.
func trickle(t *testing.T, all []*client, every time.Duration) {
	stop, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		<-ended
	})
	go func() {
		defer close(ended)
		pace := time.NewTicker(every)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			for _, c := range all {
				c.Write([]byte("a")) // whether it has been cut is for its reader to see
			}
		}
	}()
}

func TestSlowHeadsAreCutAtTheWholeHeadsDeadline(t *testing.T) {
	t.Parallel()
	const n = 1000
	deadline := either(5*time.Second, 2*time.Second)
	s := start(t, "-header", deadline.String(), "-body", "5s", "-write", "5s", "-idle", "10s")
	before := s.settled(t)
	b := s.watch(t)
	all, begun := s.crowd(t, n, func(int) string { return line + host + "X: " })
	ends := endings(all, begun)
	trickle(t, all, 250*time.Millisecond)
	first, last := checkEnds(t, awaitAll(t, ends, "the ends"), 408, deadline, deadline)
	p99, worst := b.done(t)
	cost := each(before, b.peak, n)
	t.Logf("cut after %v to %v, %.1f KiB a connection, bystander p99 %v, worst %v", first, last, cost, p99, worst)
	atMost(t, "KiB a connection", cost, 4)
	leave(all)
	s.awaitAlone(t)
}

// Those that send a byte a second are cut after the grace, although each byte comes
// in time; who sends twice the least rate is not.
func TestSlowBodiesAreCutByTheMinimumRate(t *testing.T) {
	t.Parallel()
	const n = 300
	grace := either(10*time.Second, 3*time.Second)
	s := start(t, "-header", "5s", "-body", "5s", "-write", "5s", "-idle", "10s", "-grace", grace.String())
	before := s.settled(t)
	b := s.watch(t)
	honest := s.honestUpload(t, 2<<10, 2*grace+time.Second)
	all, begun := s.crowd(t, n, func(i int) string {
		return "POST " + []string{"/echo", "/upload"}[i%2] + " HTTP/1.1\r\n" + host + "Content-Length: 1000000\r\n\r\n"
	})
	ends := endings(all, begun)
	trickle(t, all, time.Second)
	first, last := checkEnds(t, awaitAll(t, ends, "the ends"), 408, grace, grace+time.Second)
	if err := awaitAll(t, honest, "the honest upload"); err != nil {
		t.Errorf("2 KiB a second: %v", err)
	}
	p99, worst := b.done(t)
	cost := each(before, b.peak, n)
	t.Logf("cut after %v to %v, %.1f KiB a connection, bystander p99 %v, worst %v; 2 KiB/s lives", first, last, cost, p99, worst)
	atMost(t, "KiB a connection", cost, 16)
	leave(all)
	s.awaitAlone(t)
}

func TestMinimumRateIsAsTheFlagSays(t *testing.T) {
	t.Parallel()
	s := start(t, "-min-rate", "100000", "-grace", "500ms", "-body", "5s")
	all, begun := s.crowd(t, 1, func(int) string { return "POST /upload HTTP/1.1\r\n" + host + "Content-Length: 1000000\r\n\r\n" })
	ends := endings(all, begun)
	trickle(t, all, 50*time.Millisecond)
	checkEnds(t, awaitAll(t, ends, "the end"), 408, 500*time.Millisecond, time.Second)
}

// honestUpload sends a body at a steady rate, for so long, and reports what was
// wrong with the answer.
func (s *server) honestUpload(t *testing.T, rate int, lasts time.Duration) <-chan error {
	t.Helper()
	c := s.dial(t)
	c.SetDeadline(time.Now().Add(lasts + patience))
	size := int(lasts.Seconds() * float64(rate))
	result := make(chan error, 1)
	go func() {
		defer c.Close()
		io.WriteString(c, "POST /upload HTTP/1.1\r\n"+host+"Content-Length: "+strconv.Itoa(size)+"\r\n\r\n")
		pace := time.NewTicker(50 * time.Millisecond)
		defer pace.Stop()
		sent, begun := 0, time.Now()
		for sent < size {
			<-pace.C
			due := min(size, int(time.Since(begun).Seconds()*float64(rate))) // what a late tick missed is made up for
			n, err := io.WriteString(c, strings.Repeat("x", due-sent))
			if sent += n; err != nil {
				result <- err
				return
			}
		}
		status, body, err := exchange(c, c.r, "")
		if err == nil && (status != 200 || body != strconv.Itoa(size)+"\n") {
			err = io.ErrUnexpectedEOF
		}
		result <- err
	}()
	return result
}

// longest is how long a client may be borne with that does not read: a fifth more
// than the deadline. Its kernel and the server's may go on for a while before.
func longest(deadline time.Duration) time.Duration { return deadline*6/5 + late }

// Replies are of a file, which costs the server no memory, or made piece by piece:
// then what the socket has left of a piece waits in memory.
func TestRepliesThatNobodyReadsAreResetAndBoundedInMemory(t *testing.T) {
	t.Parallel()
	deadline := either(5*time.Second, time.Second)
	for _, test := range []struct {
		name, target string
		n            int
		most         float64 // KiB of memory for each
	}{
		{"file", staticPrefix + "large", 200, 4},
		{"pieces", "/big?bytes=67108864", either(40, 20), 64},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, "large"), make([]byte, 8<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			s := start(t, "-header", "5s", "-body", "5s", "-write", deadline.String(), "-idle", "10s", "-static", root)
			before := s.settled(t, staticPrefix+"large", "/big?bytes=300000")
			b := s.watch(t)
			begun := time.Now()
			var all []*client
			for range test.n {
				c := s.narrow(t)
				io.WriteString(c, request("GET", test.target, ""))
				all = append(all, c)
			}
			asked := time.Now()
			s.dial(t).awaitSize(3) // all have been cut: the listener, the bystander and this one are left
			took := time.Since(asked)
			if took < deadline/2 || took > longest(deadline) {
				t.Errorf("the last was cut after %v, the deadline is %v", took, deadline)
			}
			for i, c := range all {
				if e := awaitEnding(c, begun); !wasReset(e.err) {
					t.Fatalf("connection %d of %d ended with %v, want a reset", i, test.n, e.err)
				}
			}
			p99, worst := b.done(t)
			cost := each(before, b.peak, test.n)
			t.Logf("%s: cut after %v, %.1f KiB a connection, bystander p99 %v, worst %v", test.name, took.Round(time.Millisecond), cost, p99, worst)
			atMost(t, "KiB a connection", cost, test.most)
		})
	}
}

func TestPipeliningWithoutReadingIsBoundedInMemoryAndHarmsNobody(t *testing.T) {
	t.Parallel()
	n, deadline := either(100, 50), either(5*time.Second, 2*time.Second)
	s := start(t, "-header", "5s", "-body", "5s", "-write", deadline.String(), "-idle", "10s")
	before := s.settled(t)
	b := s.watch(t)
	pipeline := strings.Repeat(request("GET", "/fast", ""), 2000)
	ended := make(chan int, n) // with what it has sent
	asked := time.Now()
	for range n {
		c := s.narrow(t)
		go func() {
			sent, err := 0, error(nil)
			for err == nil {
				var m int
				m, err = io.WriteString(c, pipeline)
				sent += m
			}
			ended <- sent
		}()
	}
	sent := 0
	for range n {
		sent += awaitAll(t, ended, "the end of a pipeline")
	}
	took := time.Since(asked)
	if took > longest(deadline)+late { // the sockets take megabytes of requests first
		t.Errorf("the last was cut after %v, the deadline is %v", took, deadline)
	}
	p99, worst := b.done(t)
	cost := each(before, b.peak, n)
	t.Logf("cut after %v, %d KiB of requests taken from each, %.1f KiB a connection, bystander p99 %v, worst %v",
		took.Round(time.Millisecond), sent/n>>10, cost, p99, worst)
	atMost(t, "KiB a connection", cost, 64)
	s.awaitAlone(t)
}

// The server's 10,000 ends are in its process, the clients' in this one: each may
// have 20,000 descriptors.
func TestTenThousandIdleConnectionsCostLittleAndHarmNobody(t *testing.T) {
	t.Parallel()
	const n = 10_000
	s := start(t, "-header", "60s", "-idle", "60s")
	before := s.settled(t)
	var all []*client
	for range n {
		c := s.dial(t)
		if status, _, err := exchange(c, c.r, whole); status != 200 || err != nil {
			t.Fatalf("connection %d: %d, %v", len(all), status, err)
		}
		all = append(all, c)
	}
	asker := s.dial(t)
	asker.awaitSize(n + 2)
	b := s.watch(t)
	asked := time.Now()
	for i := 0; i < len(all) && time.Since(asked) < 2*time.Second; i++ { // idle is what they are mostly
		all[i].SetDeadline(time.Now().Add(patience))
		if status, _, err := exchange(all[i], all[i].r, whole); status != 200 || err != nil {
			t.Fatalf("connection %d after a while: %d, %v", i, status, err)
		}
	}
	p99, worst := b.done(t)
	t.Logf("%.1f MB in all, %.1f before, %.2f KiB a connection, bystander p99 %v, worst %v",
		float64(b.peak)/1e6, float64(before)/1e6, each(before, b.peak, n), p99, worst)
	atMost(t, "MB in all", float64(b.peak)/1e6, 16)
	leave(all)
	asker.awaitSize(2)
}
