//go:build linux

package restart_test

import (
	"log"
	"os"
	"syscall"

	"catboat/conn"
	"catboat/loop"
	"catboat/restart"
)

// A server that starts the present version of itself when it gets USR2, after
// the last client has gone.
func ExampleExec() {
	l, err := loop.New(func(c *conn.Conn) { c.Reply(200, "text/plain", []byte("hello\n")) }, loop.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := l.Listen("tcp", ":8080"); err != nil {
		log.Fatal(err)
	}
	l.OnSignal(func(os.Signal) { l.StopListening() }, syscall.SIGUSR2)
	if err := l.Run(); err != nil {
		log.Fatal(err)
	}
	log.Fatal(restart.Exec()) // what it returns is why it failed
}
