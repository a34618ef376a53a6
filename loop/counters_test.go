//go:build linux

package loop

import (
	"sync"
	"testing"

	"catboat/conn"
)

func TestCountersCountWhatHasHappened(t *testing.T) {
	s := serve(t, func(c *conn.Conn) {
		if string(c.Request().Path()) == "/" {
			c.Reply(200, "", []byte("hello"))
			return
		}
		c.Reply(404, "", nil)
	}, Options{})
	c := s.dial()
	for range 3 {
		c.ask("/", 200, "hello")
	}
	c.ask("/nowhere", 404, "")
	d := s.dial()
	d.send("?\r\n")
	d.want(400, "")
	s.settled()
	s.on(func() {}) // the turn before this one has been published
	got := s.Counters()
	if got.Accepted != 2 || got.Requests != 5 || got.Statuses != [6]uint64{2: 3, 4: 2} {
		t.Errorf("accepted %d, requests %d, statuses %v", got.Accepted, got.Requests, got.Statuses)
	}
	latencies := uint64(0)
	for _, n := range got.Latency {
		latencies += n
	}
	if latencies != 4 { // a refusal has none
		t.Errorf("%d latencies", latencies)
	}
	if want := uint64(3*len(get("/")) + len(get("/nowhere")) + len("?\r\n")); got.BytesIn != want || got.BytesOut < 5*100 || got.Turns == 0 {
		t.Errorf("%d bytes in, want %d; %d out in %d turns", got.BytesIn, want, got.BytesOut, got.Turns)
	}
}

// The race detector sees who reads while the loop counts.
func TestCountersCanBeReadAllTheTime(t *testing.T) {
	s := serve(t, site, Options{})
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		last := uint64(0)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if n := s.Counters().Requests; n < last {
				t.Errorf("%d requests, and before %d", n, last)
			} else {
				last = n
			}
		}
	})
	c := s.dial()
	for range 200 {
		c.ask("/", 200, "hello")
	}
	close(stop)
	reader.Wait()
}

func TestBucketsDouble(t *testing.T) {
	for _, row := range []struct {
		ns   int64
		want int
	}{{-1, 0}, {0, 0}, {999, 0}, {1000, 1}, {1999, 1}, {2000, 2}, {3999, 2}, {4000, 3}, {1 << 62, conn.Buckets - 1}} {
		if got := conn.Bucket(row.ns); got != row.want {
			t.Errorf("%d ns are in bucket %d, want %d", row.ns, got, row.want)
		}
	}
}

// What counting costs a request, and a turn.
func BenchmarkCounting(b *testing.B) {
	l := newLoop(newScript(b), nil, Options{})
	counts := l.env.Counts()
	b.Run("request", func(b *testing.B) {
		for i := int64(0); b.Loop(); i++ {
			counts.Requests++
			counts.Statuses[2]++
			counts.Latency[conn.Bucket(i)]++
			l.counters.BytesIn += 41
			l.counters.BytesOut += 132
		}
	})
	b.Run("turn", func(b *testing.B) {
		for b.Loop() {
			l.countTurn(l.now)
			l.publish()
		}
	})
}

// Many loops can live in one process: each is one thread's worth of work.
func TestTwoLoopsInOneProcess(t *testing.T) {
	one := serve(t, site, Options{})
	other := serve(t, func(c *conn.Conn) { c.Reply(200, "", []byte("other")) }, Options{})
	a, b := one.dial(), other.dial()
	for range 5 {
		a.ask("/", 200, "hello")
		b.ask("/", 200, "other")
	}
	one.StopListening()
	a.Close()
	one.ended()
	b.ask("/", 200, "other")
}
