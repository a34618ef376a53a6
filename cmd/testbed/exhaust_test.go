//go:build linux

package main

import (
	"testing"
	"time"
)

// With 256 descriptors 230 connections are served, 11 more are told that they
// are not, and the rest wait in the listener's queue until others have gone.
func TestAFloodBeyondTheDescriptorsIsServedInTheEnd(t *testing.T) {
	const served, told, flood = 230, 11, 300
	s := startCommand(t, "sh", "-c", `ulimit -n 256 && exec "$0" -listen 127.0.0.1:0`, program)
	var clients []*client
	for range flood {
		clients = append(clients, s.dial(t))
	}
	for i, c := range clients[:served] {
		if resp, _ := c.ask("GET", "/", ""); resp.StatusCode != 200 {
			t.Fatalf("client %d of %d got %s", i, served, resp.Status)
		}
	}
	for i, c := range clients[served : served+told] {
		if resp, _ := c.reply("GET"); resp.StatusCode != 503 || !resp.Close {
			t.Fatalf("client %d of %d over the limit got %s", i, told, resp.Status)
		}
	}
	if n := clients[0].epollSize(); n != 1+served+told {
		t.Errorf("EpollSize is %d, want the listener, %d and %d", n, served, told)
	}
	waiting := clients[served+told:]
	waiting[0].SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := waiting[0].r.ReadByte(); err == nil {
		t.Error("a client for whom there is no descriptor got a byte")
	}
	waiting[0].SetReadDeadline(time.Now().Add(patience))
	for _, c := range clients[:served+told] {
		c.Close()
	}
	for i, c := range waiting {
		if resp, _ := c.ask("GET", "/", ""); resp.StatusCode != 200 {
			t.Fatalf("client %d of those that waited got %s", i, resp.Status)
		}
		c.Close()
	}
	s.awaitAlone(t)
}
