package conn

import (
	"strings"
	"testing"
)

// While a client does not read, nothing more is made for it, nor read from it.
func TestNothingIsMadeWhileTheSocketIsBlocked(t *testing.T) {
	pieces, stream := 0, (*Stream)(nil)
	endless := NewResumable("endless/1", func(p *Piece) Next {
		pieces++
		p.WriteString("piece")
		return Again()
	})
	for _, row := range []struct {
		name, in string
		more     func(r *rig) // happens while the socket is blocked
		made     func() int
	}{
		{"requests", strings.Repeat(get("/"), 100), func(*rig) {}, nil},
		{"the rest of a head", get("/") + "GET / HT", func(*rig) {}, nil},
		{"the rest of a body", get("/") + head100, func(*rig) {}, nil},
		{"pieces", get("/pieces"), func(*rig) {}, func() int { return pieces }},
		{"a stream", get("/stream"), func(r *rig) {
			stream.TryWrite([]byte("more"), nil)
			r.runAllPosted()
		}, nil},
	} {
		r := newRig(t, Config{HeadFirst: true}, func(c *Conn) {
			switch string(c.Request().Path()) {
			case "/pieces":
				c.ReplyResumable(200, "", unknown, endless, nil)
			case "/stream":
				stream = c.ReplyStream(200, "", unknown)
			default:
				c.AwaitBody(func(c *Conn) { c.Reply(200, "", []byte("hello")) })
			}
		})
		r.step = -1
		r.m.Feed([]byte(row.in))
		r.m.Wrote(1)
		r.m.Blocked(true)
		row.more(r)
		before, made := r.m.Pending(), pieces
		r.m.Continue()
		if r.m.Pending() != before || pieces != made || r.m.Again() || r.m.WantsRead() {
			t.Errorf("%s: %d bytes more, again %v, wants to read %v", row.name, r.m.Pending()-before, r.m.Again(), r.m.WantsRead())
		}
		r.m.Blocked(false)
		if !r.m.Again() && !r.m.WantsRead() {
			t.Errorf("%s: does not go on when there is room", row.name)
		}
		r.m.Blocked(true)
		r.m.Wrote(len(r.m.Output()))
		if !r.m.Again() && !r.m.WantsRead() {
			t.Errorf("%s: does not go on when all is written", row.name)
		}
		r.m.Abandon(ErrGone)
	}
}

// The next connection knows nothing of the socket of the one before.
func TestANewConnectionIsNotBlocked(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.step = -1
	r.send(get("/hello"))
	r.m.Blocked(true)
	r.m.Abandon(ErrGone)
	r.accept()
	r.send(get("/hello") + get("/hello"))
	if got := replies(r.m.Output()); got != 2 {
		t.Errorf("%d replies of 2", got)
	}
}

// What waits for a client that does not read takes little more memory than it has
// bytes. Once it is read, so slowly that it is blocked again and again, it is not
// copied each time.
func TestWhatWaitsInABlockedSocketTakesLittleMemory(t *testing.T) {
	const size = 200_000
	body := strings.Repeat("0123456789", size/10)
	r := newRig(t, Config{}, func(c *Conn) { c.Reply(200, "text/plain", []byte(body)) })
	r.step = -1
	r.send(get("/"))
	copies := 0
	for r.m.Pending() > 0 {
		if r.wrote(min(1000, len(r.m.Output()))); r.m.Pending() == 0 {
			break
		}
		at := &r.m.out.b[0]
		if r.m.Blocked(true); &r.m.out.b[0] != at {
			copies++
		}
		if rest, have := len(r.m.Output()), cap(r.m.out.b); have > max(rest+rest/2+2048, keptBuffer) {
			t.Fatalf("%d bytes of memory for %d", have, rest)
		}
		r.m.Blocked(false)
	}
	if copies > 20 {
		t.Errorf("%d copies", copies)
	}
	r.wantOut(ok(body))
	r.wantResting()
}

// A range of a file keeps its place when the bytes before it move.
func TestFilesKeepTheirPlaceInABlockedSocket(t *testing.T) {
	before, between := strings.Repeat("a", 20_000), strings.Repeat("b", 10_000)
	for written := 0; written < 30_000; written += 500 {
		r := newRig(t, Config{}, func(c *Conn) {
			c.ReplyFile(200, "text/plain", FilePart{Before: []byte(before), FD: 3, Length: 10}, FilePart{Before: []byte(between), FD: 4, Length: 6})
		})
		r.step = -1
		r.send(get("/"))
		for rest := written; rest > 0; {
			n := min(rest, len(r.next()))
			r.wrote(n)
			rest -= n
			r.m.Blocked(true)
			r.m.Blocked(false)
		}
		r.step = 0
		r.pump()
		r.wantOut(ok(before + files[3] + between + files[4]))
		r.wantResting()
	}
}
