//go:build linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var restarts = flag.Int("restarts", 40, "how many restarts in a row the test of growth makes")

// witness is a client that is at something when a restart comes, and what it then sees.
type witness struct {
	name  string
	begin func(c *client)
	end   func(c *client)
}

// want reads a reply of that body.
func (c *client) want(body string) {
	c.t.Helper()
	if resp, got := c.reply("GET"); resp.StatusCode != 200 || resp.Close || got != body {
		c.t.Errorf("got %s, closed %v, %d bytes that begin with %.40q; want %d", resp.Status, resp.Close, len(got), got, len(body))
	}
}

// wantHello is a request that comes behind all else.
func (c *client) wantHello() {
	c.t.Helper()
	io.WriteString(c, request("GET", "/", ""))
	c.want("Hello, World!")
}

const someBytes = 100_000

var witnesses = []witness{
	{"silent", func(*client) {}, (*client).wantHello},
	{"idle", (*client).wantHello, (*client).wantHello},
	{"in a head", func(c *client) { io.WriteString(c, "GET / HTTP/1.1\r\nHost: loc") },
		func(c *client) { io.WriteString(c, "alhost\r\n\r\n"); c.want("Hello, World!") }},
	{"in a body", func(c *client) {
		whole := request("POST", "/echo", string(pattern(0, someBytes)))
		io.WriteString(c, whole[:len(whole)-someBytes/2])
	}, func(c *client) {
		c.Write(pattern(0, someBytes)[someBytes/2:])
		c.want(string(pattern(0, someBytes)))
	}},
	{"in a chunked body", func(c *client) {
		io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n8;a=\"b")
	}, func(c *client) { io.WriteString(c, "\"\r\n01234567\r\n0\r\nTrailer: x\r\n\r\n"); c.want("01234567") }},
	{"with a burst half answered", func(c *client) {
		io.WriteString(c, strings.Repeat(request("GET", "/big?bytes=1000000", ""), 16)+request("GET", "/fast", ""))
		c.want(string(pattern(0, 1_000_000)))
	}, func(c *client) {
		for range 15 {
			c.want(string(pattern(0, 1_000_000)))
		}
		c.want(string(pattern(0, 1024)))
	}},
	{"waiting for a slow reply", func(c *client) { io.WriteString(c, request("GET", "/slow?ms=1200", "")) },
		func(c *client) { c.want(string(pattern(0, 1024))) }},
	{"with a download", func(c *client) { io.WriteString(c, request("GET", "/big?bytes=20000000", "")); c.r.Peek(4096) },
		func(c *client) { c.want(string(pattern(0, 20_000_000))) }},
	{"with a file", func(c *client) { io.WriteString(c, request("GET", "/static/file", "")); c.r.Peek(4096) },
		func(c *client) { c.want(string(pattern(0, 20_000_000))) }},
	{"with a file and a request behind it", func(c *client) {
		io.WriteString(c, request("GET", "/static/file", "")+request("GET", "/static/file", ""))
		c.r.Peek(4096)
	}, func(c *client) { c.want(string(pattern(0, 20_000_000))); c.want(string(pattern(0, 20_000_000))) }},
}

// staticFolder has a file of 20 MB.
func staticFolder(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), pattern(0, 20_000_000), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// listens reads an event stream, whose events must be numbered without a gap.
type listens struct {
	c    *client
	body io.ReadCloser
	next int
}

func (b *bed) listen(t *testing.T) *listens {
	c := b.dial(t)
	io.WriteString(c, request("GET", "/sse?ms=10", ""))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &listens{c: c, body: resp.Body}
}

// hear reads so many events.
func (l *listens) hear(n int) {
	l.c.t.Helper()
	for range n {
		want := fmt.Sprintf("data: %d\n\n", l.next)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(l.body, got); err != nil || string(got) != want {
			l.c.t.Fatalf("heard %q, %v; want %q", got, err, want)
		}
		l.next++
	}
}

// ways are the two restarts that close nothing.
var ways = []struct {
	name    string
	signal  syscall.Signal
	samePID bool
}{
	{"in place", syscall.SIGUSR2, true},
	{"hand-over", syscall.SIGHUP, false},
}

// Whatever a client is at, it does not notice three restarts in the middle of it.
func TestRestartIsNotNoticed(t *testing.T) {
	static := staticFolder(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := startBed(t, "-static", static)
			var clients []*client
			for _, w := range witnesses {
				c := b.dial(t)
				w.begin(c)
				clients = append(clients, c)
			}
			events := b.listen(t)
			events.hear(3)
			load := b.busy()
			_, pid := b.status()
			for n := range 3 {
				b.signal(pid, way.signal)
				generation, now := b.awaitGeneration(n + 1)
				if generation != n+1 || (now == pid) != way.samePID {
					t.Errorf("generation %d as process %d, which was %d", generation, now, pid)
				}
				if !way.samePID {
					b.awaitLog("handed over", n+1)
				}
				events.hear(5)
				pid = now
				b.until("the PID file", func() bool { return b.writtenPID() == pid })
			}
			if all := b.processes(); !slices.Equal(all, []int{pid}) {
				b.until("one process to be left", func() bool { return slices.Equal(b.processes(), []int{pid}) })
			}
			for i, w := range witnesses {
				t.Run(w.name, func(t *testing.T) {
					c := clients[i]
					c.t = t
					w.end(c)
					c.wantHello()
				})
			}
			events.hear(5)
			load.end()
			if log := b.logged(); strings.Contains(log, "ERROR") {
				t.Errorf("there are errors")
			}
		})
	}
}

// What a goroutine has yet to answer is waited for, at full speed for all others.
func TestRestartWaitsForWhatCannotBeCarried(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := startBed(t)
			_, pid := b.status()
			c, d := b.dial(t), b.dial(t)
			io.WriteString(c, request("GET", "/defer?ms=700", ""))
			whole := request("POST", "/upload", string(pattern(0, 1000)))
			io.WriteString(d, whole[:len(whole)-10])
			load := b.busy()
			b.until("the two", func() bool {
				_, s := b.dial(t).ask("GET", "/checkConnections", "")
				return strings.Contains(s, "reply 1\n")
			})
			b.signal(pid, way.signal)
			c.want(string(pattern(0, 1024)))
			io.WriteString(d, whole[len(whole)-10:])
			d.want("1000\n")
			b.awaitGeneration(1)
			c.wantHello()
			d.wantHello()
			load.end()
		})
	}
}

// What does not end within its patience ends the restart in place, and nothing else.
func TestPatienceEndsARestartInPlace(t *testing.T) {
	b := startBed(t, "-patience", "100ms")
	c := b.dial(t)
	io.WriteString(c, request("GET", "/defer?ms=1000", ""))
	load := b.busy()
	b.until("the question", func() bool {
		_, s := b.dial(t).ask("GET", "/checkConnections", "")
		return strings.Contains(s, "reply 1\n")
	})
	b.signal(b.process.Pid, syscall.SIGUSR2)
	b.awaitLog("1 deferred", 1)
	if generation, _ := b.status(); generation != 0 {
		t.Errorf("it is generation %d", generation)
	}
	c.want(string(pattern(0, 1024)))
	b.signal(b.process.Pid, syscall.SIGUSR2)
	b.awaitGeneration(1)
	c.wantHello()
	load.end()
}

// The program that is started is the file that lies there, not the one that lay there.
func TestTheFileThatLiesThereIsStarted(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := startBed(t)
			pid := b.process.Pid
			for n := range 2 {
				b.install(program)
				b.signal(pid, way.signal)
				_, pid = b.awaitGeneration(n + 1)
				b.wantRunning(pid)
			}
		})
	}
}

// wantRunning wants a process to run the file that lies there.
func (b *bed) wantRunning(pid int) {
	b.t.Helper()
	runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	lies, bad := os.Stat(b.program)
	if err != nil || bad != nil || !os.SameFile(runs, lies) {
		b.t.Errorf("process %d does not run what lies there (%v, %v)", pid, err, bad)
	}
}

// No signal kills, whenever it comes; and behind the last one there is a whole restart, so that
// what has been installed before it runs.
func TestSignalsInBurstsMerge(t *testing.T) {
	for _, row := range []struct {
		name    string
		signals []syscall.Signal
	}{
		{"USR2", []syscall.Signal{syscall.SIGUSR2}},
		{"USR2 and HUP", []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := startBed(t)
			idle := b.dial(t)
			idle.wantHello()
			load := b.busy()
			pid := b.process.Pid
			for range 3 {
				for n := range 1000 {
					if syscall.Kill(pid, row.signals[n%len(row.signals)]) == syscall.ESRCH {
						break // a successor has taken over
					}
				}
				b.install(program)
				_, pid = b.status()
				syscall.Kill(pid, syscall.SIGUSR2)
				b.until("what was installed to run", func() bool {
					_, pid = b.status()
					runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
					lies, bad := os.Stat(b.program)
					return err == nil && bad == nil && os.SameFile(runs, lies)
				})
				idle.wantHello()
			}
			load.end()
		})
	}
}

// HUPs in a burst end with one process that serves.
func TestHandOversInABurst(t *testing.T) {
	b := startBed(t)
	idle := b.dial(t)
	idle.wantHello()
	load := b.busy()
	pid := b.process.Pid
	for range 100 {
		syscall.Kill(pid, syscall.SIGHUP)
	}
	b.awaitGeneration(1) // and perhaps one more: how many have become one only the kernel knows
	idle.wantHello()
	b.until("one process", func() bool { return len(b.processes()) == 1 })
	_, pid = b.status()
	if all := b.processes(); all[0] != pid || b.writtenPID() != pid {
		t.Errorf("processes %v, PID file %d, and %d answers", all, b.writtenPID(), pid)
	}
	b.signal(pid, syscall.SIGUSR2) // and it can be restarted
	generation, _ := b.status()
	b.awaitGeneration(generation + 1)
	load.end()
}

// A successor that is told to restart while connections still come is patient.
func TestSuccessorRestartsWhenItHasEverything(t *testing.T) {
	b := startBed(t)
	c := b.dial(t)
	io.WriteString(c, request("GET", "/defer?ms=800", ""))
	load := b.busy()
	b.until("the question", func() bool {
		_, s := b.dial(t).ask("GET", "/checkConnections", "")
		return strings.Contains(s, "reply 1\n")
	})
	b.signal(b.process.Pid, syscall.SIGHUP)
	_, pid := b.awaitGeneration(1)
	b.signal(pid, syscall.SIGUSR2)
	c.want(string(pattern(0, 1024)))
	generation, now := b.awaitGeneration(2)
	if generation != 2 || now != pid {
		t.Errorf("generation %d as %d, want 2 as %d", generation, now, pid)
	}
	c.wantHello()
	load.end()
}

// usage is the open descriptors of a process, and its resident memory in KiB.
func usage(t *testing.T, pid int) (descriptors, resident int) {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range bytes.Lines(text) {
		fmt.Sscanf(string(line), "VmRSS: %d kB", &resident)
	}
	return len(all), resident
}

// Restarts leave nothing behind, however many there are. (-restarts 1000 makes more.)
func TestNothingGrowsFromRestartToRestart(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := startBed(t)
			var idle []*client
			for range 200 {
				c := b.dial(t)
				c.wantHello()
				idle = append(idle, c)
			}
			asker := b.dial(t)
			pid, descriptors, resident := b.process.Pid, 0, 0
			generation := 0
			for n := range *restarts {
				b.signal(pid, way.signal)
				for generation <= n {
					generation, pid = asker.status()
				}
				if !way.samePID {
					b.awaitLog("handed over", n+1)
					b.until("one process", func() bool { return len(b.processes()) == 1 })
				}
				c := idle[n%len(idle)]
				c.SetDeadline(time.Now().Add(patience))
				c.wantHello()
				if all := b.processes(); len(all) > 2 {
					t.Errorf("%d processes", len(all))
				}
				if n == *restarts/4 {
					descriptors, resident = usage(t, pid)
				}
				asker.SetDeadline(time.Now().Add(patience))
			}
			nowOpen, nowResident := usage(t, pid)
			t.Logf("%d restarts: %d descriptors, then %d; %d KiB, then %d", *restarts, descriptors, nowOpen, resident, nowResident)
			if nowOpen > descriptors || nowResident > resident+4096 {
				t.Error("something grows")
			}
		})
	}
}
