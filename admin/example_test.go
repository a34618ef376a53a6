//go:build linux

package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"catboat/admin"
	"catboat/conn"
	"catboat/loop"
)

// A server that nobody else is connected to has two descriptors in its loop: the
// listener's, and the one of who asks.
func ExampleCheckConnections() {
	l, err := loop.New(nil, loop.Options{})
	if err != nil {
		panic(err)
	}
	check := admin.CheckConnections(l)
	l.SetHandler(func(c *conn.Conn) {
		switch string(c.Request().Path()) {
		case "/checkConnections":
			check(c)
		default:
			c.Error(404)
		}
	})
	addr, err := l.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		r, err := http.Get("http://" + addr.String() + "/checkConnections")
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(r.Body)
		counts, process, _ := strings.Cut(string(body), "generation")
		fmt.Print(counts, strings.HasPrefix(process, " 0\npid "))
		http.DefaultClient.CloseIdleConnections()
		l.StopListening()
	}()
	if err := l.Run(); err != nil {
		panic(err)
	}
	// Output:
	// 2
	// listener 1
	// head 1
	// body 0
	// reply 0
	// stream 0
	// write 0
	// idle 0
	// linger 0
	// other 0
	// true
}
