//go:build linux

// Hello is a small server to copy from: it greets, tells what is connected, and
// stops or restarts softly.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"catboat/admin"
	"catboat/conn"
	"catboat/loop"
	"catboat/restart"
)

func main() {
	addr := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "hello: unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	again, err := serve(*addr)
	if err == nil && again {
		err = restart.Exec()
	}
	if err != nil {
		slog.Error("hello failed", "error", err)
		os.Exit(1)
	}
}

// serve runs the server until a signal has stopped it and the last client has
// gone. It reports whether it is to start again.
func serve(addr string) (again bool, err error) {
	l, err := loop.New(nil, loop.Options{})
	if err != nil {
		return false, err
	}
	check := admin.CheckConnections(l)
	l.SetHandler(func(c *conn.Conn) {
		switch string(c.Request().Path()) {
		case "/":
			c.Reply(200, "text/plain", []byte("Hello, World!\n"))
		case "/checkConnections":
			check(c)
		default:
			c.Error(404)
		}
	})
	bound, err := l.Listen("tcp", addr)
	if err != nil {
		return false, err
	}
	// USR1 stops softly, USR2 stops softly and starts again.
	l.OnSignal(func(s os.Signal) {
		again = s == syscall.SIGUSR2
		l.StopListening()
		l.SetHandler(goodbye)
		l.SetTimeouts(loop.Timeouts{Head: 2 * time.Second, Idle: 2 * time.Second, Linger: time.Second})
		l.After(30*time.Second, l.Cut) // who trickles on does not hold the stop for ever
		slog.Info("stopping", "signal", s, "left", l.EpollSize())
	}, syscall.SIGUSR1, syscall.SIGUSR2)

	fmt.Printf("listening on %s, pid %d: USR1 stops, USR2 restarts\n", bound, os.Getpid())
	err = l.Run() // again is known when it has returned
	return again, err
}

// goodbye answers everybody who asks while the server is stopping.
func goodbye(c *conn.Conn) {
	c.SetHeader("Retry-After", "30")
	c.CloseAfterReply()
	c.Error(503)
}
