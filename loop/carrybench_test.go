//go:build linux

package loop

import (
	"testing"

	"catboat/conn"
	"catboat/internal/cargo"
	"catboat/internal/kernel"
	"catboat/internal/wire"
)

// What a restart in place costs for 10,000 idle connections, on both sides of the exec.
func BenchmarkCarry(b *testing.B) {
	linux, err := kernel.NewLinux()
	if err != nil {
		b.Fatal(err)
	}
	defer linux.Shut()
	l := newLoop(linux, site, Options{})
	l.linux = linux
	for fd := 1000; fd < 11_000; fd++ {
		r, _ := l.records.open(fd, isConn)
		r.watched, r.state, r.interest = true, conn.Idle, readable
		r.peerKind = ip4Peer
		l.place(fd, r, conn.ForNext)
		l.conns++
	}
	room := make([]byte, l.Inside().RestSize())
	rest := func() []byte {
		var c cargo.Cargo
		loop, fds, _ := l.Inside().Rest(room)
		c.Loop = loop
		c.FDs.Add(fds...)
		return c.Encode()
	}
	b.Run("rest", func(b *testing.B) {
		for b.Loop() {
			rest()
		}
	})
	written := rest()
	b.Run("adopt", func(b *testing.B) {
		for b.Loop() {
			c, err := cargo.Decode(written)
			if err != nil {
				b.Fatal(err)
			}
			n := newLoop(linux, site, Options{})
			n.linux = linux
			if _, err := n.readAdoption(wire.NewReader(c.Loop)); err != nil || n.conns != 10_000 {
				b.Fatal(n.conns, err)
			}
		}
	})
}
