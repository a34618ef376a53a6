//go:build linux

// Hello is a small server to copy from: it greets, tells what is connected, and
// stops and restarts without losing anybody.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"

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
	if err := serve(*addr); err != nil {
		slog.Error("hello failed", "error", err)
		os.Exit(1)
	}
}

// serve runs the server until a signal has stopped it and the last client has gone.
func serve(addr string) error {
	l, err := loop.New(nil, loop.Options{})
	if err != nil {
		return err
	}
	// TERM and INT stop, USR1 stops with 503, USR2 starts the program again in place.
	if err := restart.Signals(l, restart.Options{}); err != nil {
		return err
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
		return err
	}
	if _, err := restart.Ready(l); err != nil {
		return err
	}
	fmt.Printf("listening on %s, pid %d: USR1 stops, USR2 restarts\n", bound, os.Getpid())
	return l.Run()
}
