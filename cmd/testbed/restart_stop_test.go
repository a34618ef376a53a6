//go:build linux

package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A stop answers what has come and tells those who come again, in the order of the
// documentation: see restart.Stop.
func TestStopHasManners(t *testing.T) {
	for _, row := range []struct {
		name   string
		signal syscall.Signal
		status int // of requests that come behind it
	}{
		{"TERM", syscall.SIGTERM, 200},
		{"INT", syscall.SIGINT, 200},
		{"QUIT", syscall.SIGQUIT, 200},
		{"USR1", syscall.SIGUSR1, 503},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := startBed(t, "-stop-grace", "1s")
			// One that has been idle for longer than the grace has all of it.
			old, idle, silent, head := b.dial(t), b.dial(t), b.dial(t), b.dial(t)
			old.wantHello()
			idle.wantHello()
			slow, burst := b.dial(t), b.dial(t)
			<-time.After(1200 * time.Millisecond)
			io.WriteString(slow, request("GET", "/slow?ms=1500", ""))
			io.WriteString(head, "GET / HTTP/1.1\r\nHo")
			io.WriteString(burst, strings.Repeat(request("GET", "/big?bytes=1000000", ""), 16))
			burst.want(string(pattern(0, 1_000_000)))
			b.until("all to have come", func() bool {
				_, s := idle.ask("GET", "/checkConnections", "")
				return strings.Contains(s, "stream 1\n") && strings.Contains(s, "head 2\n")
			})
			b.signal(b.process.Pid, row.signal)
			b.until("the door to be shut", func() bool {
				c, err := net.Dial("tcp", b.addr)
				if err == nil {
					c.Close()
				}
				return err != nil
			})
			silent.awaitEnd() // at once
			last := func(c *client, what string) {
				t.Helper()
				resp, _ := c.reply("GET")
				if resp.StatusCode != row.status || !resp.Close || (row.status == 503) != (resp.Header.Get("Retry-After") == "30") {
					t.Errorf("%s: %s, closed %v, %v; want %d", what, resp.Status, resp.Close, resp.Header, row.status)
				}
				c.awaitEnd()
			}
			io.WriteString(old, request("GET", "/", ""))
			last(old, "one that was idle for long")
			io.WriteString(head, "st: localhost\r\n\r\n")
			last(head, "one in a head")
			for n := range 15 {
				if resp, body := burst.reply("GET"); row.status == 200 && (resp.StatusCode != 200 || len(body) != 1_000_000) {
					t.Fatalf("request %d of a burst: %s, %d bytes", n+2, resp.Status, len(body))
				} else if resp.Close {
					break
				}
			}
			began := time.Now()
			idle.awaitEnd()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the grace took %v", took)
			}
			if resp, body := slow.reply("GET"); resp.StatusCode != 200 || body != string(pattern(0, 1024)) {
				t.Errorf("the slow reply: %s, %d bytes", resp.Status, len(body))
			}
			slow.Close()
			await(t, b.ended, "the process's end")
			if b.writtenPID() != 0 {
				t.Error("the PID file is still there")
			}
		})
	}
}

// Readiness fails first; clients are let in as long as it is said.
func TestReadinessFailsFirst(t *testing.T) {
	b := startBed(t, "-stop-delay", "700ms")
	if resp, _ := b.dial(t).ask("GET", "/readyz", ""); resp.StatusCode != 200 {
		t.Errorf("ready: %s", resp.Status)
	}
	b.signal(b.process.Pid, syscall.SIGTERM)
	b.until("readiness to fail", func() bool { resp, _ := b.dial(t).ask("GET", "/readyz", ""); return resp.StatusCode == 503 })
	c := b.dial(t)
	c.wantHello()
	await(t, b.ended, "the process's end")
}

// At the deadline who has no head yet gets 503, and who has one can tell that it is cut;
// the log counts both. QUIT has no deadline. TERM again is now.
func TestDeadlineOfAStop(t *testing.T) {
	begin := func(t *testing.T) (b *bed, deferred, slow, half *client) {
		b = startBed(t, "-deadline", "500ms")
		deferred, slow, half = b.dial(t), b.dial(t), b.dial(t)
		io.WriteString(deferred, request("GET", "/defer?ms=20000", ""))
		io.WriteString(slow, request("GET", "/slow?ms=20000", ""))
		whole := request("POST", "/echo", string(pattern(0, 1000)))
		io.WriteString(half, whole[:len(whole)-10])
		b.until("all to have come", func() bool {
			_, s := b.dial(t).ask("GET", "/checkConnections", "")
			return strings.Contains(s, "stream 1\n") && strings.Contains(s, "reply 1\n") && strings.Contains(s, "body 1\n")
		})
		return b, deferred, slow, half
	}
	cut := func(c *client) {
		c.t.Helper()
		resp, err := http.ReadResponse(c.r, nil)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		if err == nil {
			c.t.Error("it looks whole")
		}
	}
	t.Run("TERM", func(t *testing.T) {
		b, deferred, slow, half := begin(t)
		b.signal(b.process.Pid, syscall.SIGTERM)
		for _, c := range []*client{deferred, half} {
			if resp, _ := c.reply("GET"); resp.StatusCode != 503 || !resp.Close {
				t.Errorf("%s, closed %v", resp.Status, resp.Close)
			}
			c.awaitEnd()
			c.Close()
		}
		cut(slow)
		b.awaitLog(`"told 503"=2 cut=1`, 1)
		await(t, b.ended, "the process's end")
	})
	t.Run("TERM twice", func(t *testing.T) {
		b, deferred, slow, half := begin(t)
		b.signal(b.process.Pid, syscall.SIGTERM)
		b.awaitLog("stopping", 1)
		b.signal(b.process.Pid, syscall.SIGTERM)
		for _, c := range []*client{deferred, slow, half} {
			cut(c)
		}
		await(t, b.ended, "the process's end")
	})
	t.Run("QUIT", func(t *testing.T) {
		b, deferred, slow, _ := begin(t)
		b.signal(b.process.Pid, syscall.SIGQUIT)
		b.awaitLog("stopping", 1)
		select {
		case <-b.ended:
			t.Error("it has ended")
		case <-time.After(1500 * time.Millisecond):
		}
		b.signal(b.process.Pid, syscall.SIGTERM)
		b.signal(b.process.Pid, syscall.SIGINT)
		cut(deferred)
		cut(slow)
		await(t, b.ended, "the process's end")
	})
}

// A stop goes before a restart, whichever was asked for first, and nothing is left.
func TestStopEndsARestart(t *testing.T) {
	for _, way := range ways {
		for _, order := range [][]syscall.Signal{{way.signal, syscall.SIGTERM}, {syscall.SIGTERM, way.signal}, {way.signal, way.signal, syscall.SIGTERM}} {
			b := startBed(t, "-stop-grace", "50ms")
			b.dial(t).wantHello()
			c := b.dial(t)
			io.WriteString(c, request("GET", "/defer?ms=400", "")) // so that it is not done already
			b.until("the question", func() bool {
				_, s := b.dial(t).ask("GET", "/checkConnections", "")
				return strings.Contains(s, "reply 1\n")
			})
			if way.signal == syscall.SIGHUP { // a successor that was ready would serve on
				b.installText([]byte("#!/bin/sh\nexec sleep 1000"), 0o755)
			}
			for _, s := range order {
				b.signal(b.process.Pid, s)
			}
			if resp, body := c.reply("GET"); resp.StatusCode != 200 || body != string(pattern(0, 1024)) {
				t.Errorf("%s, %d bytes", resp.Status, len(body))
			}
			c.Close()
			await(t, b.ended, "the process's end")
			b.until("no process to be left", func() bool { return len(b.processes()) == 0 })
		}
	}
}
