package conn

import (
	"math"
	"strings"
	"testing"
)

// The largest length that can be declared is not added to anything.
func TestLengthThatMaxBodyAllowsDoesNotOverflow(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{MaxBody: math.MaxInt}}, nil)
	for _, head := range []string{"Content-Length: 9223372036854775807\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n"} {
		r.m.Begin(Fresh, Identity{})
		r.m.Feed([]byte("POST /echo HTTP/1.1\r\nHost: a\r\n" + head + "x"))
		r.wantState(InBody)
		r.m.Abandon(ErrGone)
	}
}

// What has arrived is copied a bounded number of times, however much there is.
func TestAGrowingBodyIsMovedSeldom(t *testing.T) {
	const size = 64 << 20
	r := newRig(t, Config{Limits: Limits{MaxBody: size}}, nil)
	r.m.Feed([]byte("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4000000\r\n"))
	piece := []byte(strings.Repeat("x", 64<<10))
	moves, last := 0, 0
	for range size / len(piece) {
		r.m.Feed(piece)
		if cap(r.m.in.b) != last {
			moves, last = moves+1, cap(r.m.in.b)
		}
	}
	if moves > 30 || last > 2*size {
		t.Errorf("%d bytes were moved %d times, to %d", size, moves, last)
	}
	r.m.Abandon(ErrGone)
}

// The request of an AfterReply function is over, and the one that the connection
// is at by then is none of its business.
func TestAfterReplySeesNoRequest(t *testing.T) {
	seen := "nothing"
	r := newRig(t, Config{}, func(c *Conn) {
		if string(c.Request().Path()) != "/first" {
			c.Defer()
			return
		}
		c.AfterReply(func(c *Conn, _ error) {
			seen = c.Request().Method() + string(c.Request().Body()) + string(c.Request().Target())
		})
		c.Reply(200, "", nil)
	})
	r.m.Feed([]byte(get("/first") + "POST /secret HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
	r.m.Wrote(len(r.m.Output()))
	r.wantState(Pending)
	if seen != "" {
		t.Errorf("AfterReply sees %q", seen)
	}
	r.m.Abandon(ErrGone)
}
