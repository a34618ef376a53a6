//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// built are the floor, testbed, and the floor that defers, as TestMain has built
// them.
var built []server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "bench")
		if err == nil {
			defer os.RemoveAll(folder)
			built, err = selectServers("floor,catboat,floor-defer", []string{"2"}, nil)
			err = errors.Join(err, prepareServers(built, folder, ".."))
		}
		if err = errors.Join(err, pinProcess(loadCore)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// startFloor runs the floor with further arguments and returns its address.
func startFloor(t *testing.T, args ...string) string {
	t.Helper()
	p, err := built[0].start(workload{}, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p.address
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn)
}

// basic is W1 with two connections, or a batch that closes.
func basic(close bool) workload {
	w := workloads[0]
	w.conns, w.close = 2, close
	return w
}

// scripted is a server that says whatever a test wants it to: say gets a
// connection's number and a request's on it, both from 0, and returns what to
// write; with end the connection is closed behind it. This process stands for
// its own.
func scripted(t *testing.T, say func(conn, request int) (text string, end bool)) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for k := 0; ; k++ {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					text, end := say(n, k)
					if _, err := c.Write([]byte(text)); err != nil || end {
						return
					}
				}
			}()
		}
	}()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return &process{cmd: &exec.Cmd{Process: self}, address: l.Addr().String()}
}

// rightAnswer is one that every check is content with now.
func rightAnswer(extra ...string) string {
	return "HTTP/1.1 200 OK\r\nServer: x\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nContent-Type: text/plain\r\n" +
		strings.Join(append(extra, ""), "\r\n") + "Content-Length: 13\r\n\r\n" + string(hello)
}
