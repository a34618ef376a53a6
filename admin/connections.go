//go:build linux

package admin

import (
	"os"
	"strconv"

	"catboat/conn"
	"catboat/loop"
	"catboat/restart"
)

// CheckConnections is a handler that tells what holds the loop's Run: in its
// first line EpollSize and nothing else, then a line "class count" for each
// class of [loop.Held], and then the generation of the program, as package restart
// counts it, and its process ID. The question's own connection is counted, as idle or
// head. A lone 2 means a listener and you: nobody else is connected.
//
// It answers loopback and Unix peers; others get 403. Behind a proxy on the same
// host every client is a loopback peer: do not let the proxy pass the path on.
func CheckConnections(l *loop.Loop) conn.Handler {
	return func(c *conn.Conn) {
		if peer := c.Request().Peer(); peer.IsValid() && !peer.Addr().IsLoopback() {
			c.Error(403)
			return
		}
		var b []byte
		b = append(strconv.AppendInt(b, int64(l.EpollSize()), 10), '\n')
		for class, n := range l.Held().All() {
			b = append(append(b, class...), ' ')
			b = append(strconv.AppendInt(b, int64(n), 10), '\n')
		}
		b = append(strconv.AppendUint(append(b, "generation "...), restart.Generation(), 10), '\n')
		b = append(strconv.AppendInt(append(b, "pid "...), int64(os.Getpid()), 10), '\n')
		c.SetHeader("Cache-Control", "no-store")
		c.Reply(200, "text/plain; charset=utf-8", b)
	}
}
