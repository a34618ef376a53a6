//go:build linux

package admin_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"catboat/admin"
	"catboat/conn"
	"catboat/loop"
)

// ask has the handler answer a peer, without a socket.
func ask(t *testing.T, h conn.Handler, peer netip.AddrPort) (status int, header http.Header, body string) {
	t.Helper()
	env := conn.NewEnv(conn.Config{})
	env.SetHandler(h)
	m := conn.NewMachine(env)
	m.Begin(conn.Fresh, conn.Identity{Peer: peer})
	m.Feed([]byte("GET /checkConnections HTTP/1.1\r\nHost: h\r\n\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(m.Output())), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, r.Header, string(b)
}

func TestCheckConnectionsAnswersTheHostItself(t *testing.T) {
	l, err := loop.New(nil, loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check := admin.CheckConnections(l)
	for _, row := range []struct {
		name, peer string
		status     int
	}{
		{"loopback", "127.0.0.1:4711", 200},
		{"loopback by another name", "127.9.9.9:1", 200},
		{"loopback of IPv6", "[::1]:4711", 200},
		{"a Unix socket", "", 200},
		{"somebody on the net", "192.0.2.1:4711", 403},
		{"somebody on the same net", "10.0.0.1:4711", 403},
		{"somebody on the net of IPv6", "[2001:db8::1]:4711", 403},
		{"a neighbour", "[fe80::1]:4711", 403},
		{"the unspecified address", "0.0.0.0:1", 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			var peer netip.AddrPort
			if row.peer != "" {
				peer = netip.MustParseAddrPort(row.peer)
			}
			status, header, body := ask(t, check, peer)
			if status != row.status {
				t.Fatalf("%d, want %d", status, row.status)
			}
			if counts := "0\nlistener 0\nhead 0\nbody 0\nreply 0\nstream 0\nwrite 0\nidle 0\nlinger 0\nother 0\ngeneration 0\npid " + strconv.Itoa(os.Getpid()) + "\n"; (body == counts) != (status == 200) {
				t.Errorf("body %q", body)
			}
			if status == 200 && header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", header)
			}
		})
	}
	if err := l.Run(); err != nil {
		t.Error(err)
	}
}
