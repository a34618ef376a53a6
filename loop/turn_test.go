//go:build linux

package loop

import (
	"slices"
	"testing"
	"time"

	"catboat/conn"
	"catboat/internal/kernel"
)

// However many connections have more to do, who asks meanwhile does not have to wait
// for all of them; and each has its turn.
func TestThoseWhoGoOnHoldUpNobodyForLong(t *testing.T) {
	const clients = 20
	var s *server
	made, inTurn, most := []uint64{}, 0, 0
	busy := conn.NewResumable("busy", func(p *conn.Piece) conn.Next {
		made = append(made, uint64(p.State()[0]))
		inTurn++
		s.k.move(turnTime)
		p.WriteString("x")
		return conn.Again()
	})
	s = prepare(t, func(c *conn.Conn) {
		if string(c.Request().Path()) != "/busy" {
			site(c)
			return
		}
		c.ReplyResumable(200, "", -1, busy, []byte{byte(c.ID())})
	}, Options{Timeouts: Timeouts{Head: 24 * time.Hour}}) // an hour or two pass on that clock while a client is about to ask
	s.k.batch = func(real []kernel.Event) []kernel.Event {
		if len(made) > 2*clients*maxPieces {
			most = max(most, inTurn)
		}
		inTurn = 0
		return real
	}
	var all []*client
	for range clients {
		all = append(all, s.dial())
		all[len(all)-1].send(get("/busy"))
	}
	s.run()
	s.until("some rounds", func() bool { return len(made) > 6*clients*maxPieces })
	s.dial().ask("/", 200, "hello")
	s.on(func() {
		if most == 0 || most > 2*maxPieces {
			t.Errorf("%d pieces in a turn", most)
		}
		counts := map[uint64]int{}
		for _, id := range made[len(made)-2*clients*maxPieces:] {
			counts[id]++
		}
		if len(counts) != clients {
			t.Errorf("%d of %d connections go on", len(counts), clients)
		}
	})
	for _, c := range all {
		c.reset()
	}
}

// maxPieces is conn's quota: how many pieces, or requests, one connection has in a turn.
const maxPieces = 64

// A client that pipelines and does not read is not read from any more, as soon as its
// socket is full.
func TestUnreadPipelineWaitsInTheSocket(t *testing.T) {
	answered := 0
	s := prepare(t, func(c *conn.Conn) {
		answered++
		c.Reply(200, "", big[:1000])
	}, Options{})
	s.k.batch = noRoom
	s.k.plan(onWrite, fault{most: 10_000})
	s.run()
	c := s.dial()
	c.send(repeat(get("/"), 10_000))
	s.held(Held{Listeners: 1, Write: 1})
	s.on(func() {
		if answered > maxPieces {
			t.Errorf("%d requests are answered", answered)
		}
		for _, e := range s.k.calls(0, onRead) {
			if e.want > readRequests {
				t.Errorf("a read of %d bytes", e.want)
			}
		}
	})
	if n := s.k.count(0, onRead); n != 1 {
		t.Errorf("%d reads", n)
	}
	c.reset()
}

// They go on in the order in which they had to stop.
func TestTurnsGoOnInOrder(t *testing.T) {
	l := newLoop(newScript(t), site, Options{})
	var order []uint32
	k := l.k.(*script)
	for fd := range uint32(5) {
		r, h := l.records.open(int(fd+100), isConn)
		r.again = true
		l.again = append(l.again, h)
	}
	for len(l.again) > 0 {
		order = append(order, l.again[0].FD)
		k.move(time.Second)
		l.continueTurns()
		l.tick()
	}
	if want := []uint32{100, 101, 102, 103, 104}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}
