package conn

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A reply is made as there is room, a turn at a time, and no faster.
func TestPiecesAreMadeAsThereIsRoom(t *testing.T) {
	made := 0
	count := NewResumable("count/1", func(p *Piece) Next {
		made++
		p.Write(make([]byte, 100))
		return Again()
	})
	handler := func(c *Conn) { c.ReplyResumable(200, "", unknown, count, nil) }

	r := newRig(t, Config{}, handler)
	r.step = -1
	r.m.Feed([]byte(get("/")))
	if made != maxTurn-1 || !r.m.Again() { // the request is one too
		t.Errorf("%d pieces in a turn, again %v", made, r.m.Again())
	}
	if r.m.Continue(); made != 2*maxTurn-1 {
		t.Errorf("%d pieces in two turns", made)
	}
	r.m.Abandon(ErrGone)

	made = 0
	r = newRig(t, Config{Limits: Limits{MaxOutput: 1000}}, handler)
	r.step = -1
	r.send(get("/"))
	if got := int(r.m.Pending()); got < 1000 || got > 1200 || r.m.Again() {
		t.Errorf("%d bytes are pending, mark is 1000", got)
	}
	before := made
	r.wrote(300)
	if r.m.Continue(); made != before+3 {
		t.Errorf("%d pieces into 300 bytes", made-before)
	}
	r.m.Abandon(ErrGone)
	r.wantResting()
}

// What a call has set is there at the next, and nothing of the reply before.
func TestStateIsKept(t *testing.T) {
	state := NewResumable("state/1", func(p *Piece) Next {
		n := len(p.State())
		p.SetState(append(p.State(), 'x'))
		fmt.Fprintf(p, "%d,", n)
		if n < 3 {
			return Again()
		}
		p.SetState(nil)
		p.WriteString(fmt.Sprint(len(p.State())))
		return End()
	})
	given := []byte("x")
	r := newRig(t, Config{}, func(c *Conn) {
		c.ReplyResumable(200, "", unknown, state, given)
		given[0] = 'y' // it is copied
	})
	for range 2 {
		r.send(get("/"))
		if got, _ := decoded(t, r.takeOut()); got != "1,2,3,0" {
			t.Error(got)
		}
		r.wantResting()
	}
	if state.Name() != "state/1" {
		t.Error(state.Name())
	}
}

func TestStateIsBounded(t *testing.T) {
	for _, n := range []int{maxState, maxState + 1} {
		r := newRig(t, Config{}, nil)
		r.env.SetHandler(func(c *Conn) {
			r.noteAfter(c, "it")
			c.ReplyResumable(200, "", unknown, NewResumable("large/1", func(p *Piece) Next {
				p.SetState(make([]byte, n))
				return End()
			}), nil)
		})
		r.send(get("/"))
		if n > maxState {
			r.wantLog("fault: resumable reply large/1 panicked: conn: the state of a resumable reply has more than 4 KiB", "after it: 200 "+errPanicked.Error())
			r.wantState(Linger)
		} else {
			r.wantLog("after it: 200 <nil>")
			r.wantResting()
		}
	}
}

// A loop is told once how long a reply waits, and may call it before that.
func TestWaitIsToldOnce(t *testing.T) {
	waits := []Next{After(time.Second), After(0), After(-1), After(time.Hour).OrStop(), End()}
	i := 0
	r := newRig(t, Config{}, func(c *Conn) {
		c.ReplyResumable(200, "", unknown, NewResumable("waits/1", func(p *Piece) Next {
			i++
			return waits[i-1]
		}), nil)
	})
	if _, ok := r.m.TakeWait(); ok {
		t.Error("something waits before the reply")
	}
	r.send(get("/"))
	for n, want := range []time.Duration{time.Second, 0, 0, time.Hour} {
		if d, ok := r.m.TakeWait(); d != want || !ok {
			t.Errorf("waits for %v, %v, want %v", d, ok, want)
		}
		if _, ok := r.m.TakeWait(); ok || r.m.Again() || r.m.OrStop() != (n == 3) {
			t.Errorf("is told twice, or again %v, or stop %v", r.m.Again(), r.m.OrStop())
		}
		if r.m.Continue(); i != n+1 { // which may be for something else
			t.Errorf("%d calls, want %d", i, n+1)
		}
		if r.m.Class() != ForMore {
			t.Errorf("waits for %v", r.m.Class())
		}
		r.m.Due()
		r.write()
	}
	if _, ok := r.m.TakeWait(); ok || r.m.OrStop() {
		t.Error("something waits behind the reply")
	}
	r.wantResting()
}

// A wait that is over before it was told is told no more.
func TestWaitThatIsOverIsNotTold(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.send(get("/pieces-after/1"))
	r.m.Due()
	if _, ok := r.m.TakeWait(); ok {
		t.Error("it is")
	}
	r.m.Abandon(ErrGone)
	r.accept()
	r.send(get("/pieces-after/2"))
	r.m.out.add(make([]byte, r.env.limits.MaxOutput+1), &r.env.buffers)
	r.m.Due() // there is no room for another piece
	if _, ok := r.m.TakeWait(); ok || r.m.OrStop() || r.m.Again() {
		t.Error("one that waits for room now is")
	}
	r.m.Abandon(ErrGone)
	r.accept()
	if _, ok := r.m.TakeWait(); ok {
		t.Error("one of another connection is")
	}
}

func TestStoppingIsSeenInEachPiece(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.send(get("/pieces-after/9"))
	r.env.Stop()
	r.m.Due()
	r.pump()
	if got, _ := decoded(t, r.takeOut()); got != "9\nstopping\n" {
		t.Error(got)
	}
	r.send(get("/pieces/9"))
	if got, _ := decoded(t, r.takeOut()); got != "stopping\n" {
		t.Error(got)
	}
}

// A large piece is one chunk, and no memory stays.
func TestLargePieceIsOneChunk(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	r := newRig(t, Config{}, func(c *Conn) {
		c.ReplyResumable(200, "", unknown, NewResumable("large/1", func(p *Piece) Next {
			p.WriteString(large)
			return End()
		}), nil)
	})
	r.send(get("/"))
	if out := r.takeOut(); !strings.Contains(out, "\r\n\r\n186a0\r\n"+large+"\r\n0\r\n\r\n") {
		t.Errorf("%.200q", out)
	}
	r.wantResting()
}

// An empty piece is no chunk: one of no bytes would be the last.
func TestEmptyPieceIsNoChunk(t *testing.T) {
	i := 0
	r := newRig(t, Config{}, func(c *Conn) {
		c.ReplyResumable(200, "", unknown, NewResumable("empty/1", func(p *Piece) Next {
			if i++; i < 5 {
				return Again()
			}
			p.WriteString("x")
			return End()
		}), nil)
	})
	r.send(get("/"))
	if got := r.takeOut(); !strings.HasSuffix(got, "\r\n\r\n1\r\nx\r\n0\r\n\r\n") {
		t.Error(got)
	}
}

// The body of a request and pieces of its reply do not disturb each other.
func TestPiecesWhileTheBodyComes(t *testing.T) {
	var got string
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.env.SetHandler(func(c *Conn) {
		if string(c.Request().Path()) == "/hello" {
			hello(c)
			return
		}
		c.StreamBody().Each(func(_ *Conn, p []byte, err error) int {
			got += fmt.Sprintf("%s %v,", p, err)
			return len(p)
		})
		c.ReplyResumable(200, "", unknown, r.pieces(After(1)), []byte("2"))
	})
	r.send(headFor("/", 4), "ab")
	r.m.Due()
	r.send("cd" + get("/hello"))
	r.m.Due()
	r.pump()
	if want := "ab <nil>,cd <nil>, EOF,"; got != want {
		t.Errorf("got %q", got)
	}
	if out := r.takeOut(); !strings.HasSuffix(out, "0\r\n\r\n"+ok("hello\n")) || !strings.Contains(out, "2\r\n2\n\r\n2\r\n1\n\r\n") {
		t.Errorf("%q", out)
	}
	r.wantResting()
}

// Downloads of large pieces take the memory of one in all.
func TestLargePiecesAllocateNothing(t *testing.T) {
	piece := make([]byte, 32<<10)
	r := newRig(t, Config{Limits: Limits{MaxOutput: 1}}, func(c *Conn) {
		c.ReplyResumable(200, "", unknown, NewResumable("large/1", func(p *Piece) Next {
			p.Write(piece)
			return Again()
		}), nil)
	})
	r.m.Feed([]byte(get("/")))
	next := func() {
		r.m.Wrote(len(r.m.Output()))
		r.m.Continue()
	}
	if n := testing.AllocsPerRun(100, next); n > 0 && !raceEnabled {
		t.Errorf("%v allocations a piece", n)
	}
	piece = make([]byte, maxPiece+1)
	next()
	piece = nil
	if next(); cap(r.env.piece) > maxPiece {
		t.Errorf("%d bytes stay", cap(r.env.piece))
	}
}
