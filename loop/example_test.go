//go:build linux

package loop_test

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"catboat/conn"
	"catboat/loop"
)

// A server that says hello to one client and stops.
func Example() {
	l, err := loop.New(func(c *conn.Conn) {
		c.Reply(200, "text/plain", []byte("hello"))
	}, loop.Options{})
	if err != nil {
		panic(err)
	}
	addr, err := l.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { // a client
		r, err := http.Get("http://" + addr.String())
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("%s %s\n", r.Status, body)
		http.DefaultClient.CloseIdleConnections()
		l.StopListening()
	}()
	fmt.Println(l.Run(), l.EpollSize())
	// Output:
	// 200 OK hello
	// <nil> 0
}

// A server that stops when its time has come, and is soon done with clients that
// do nothing.
func ExampleLoop_StopListening() {
	l, err := loop.New(nil, loop.Options{})
	if err != nil {
		panic(err)
	}
	if _, err := l.Listen("tcp", "127.0.0.1:0"); err != nil {
		panic(err)
	}
	l.After(10*time.Millisecond, func() {
		l.StopListening()
		l.SetTimeouts(loop.Timeouts{Idle: time.Second})
	})
	fmt.Println(l.EpollSize(), "to end")
	fmt.Println(l.Run(), l.EpollSize())
	// Output:
	// 1 to end
	// <nil> 0
}

func ExampleLoop_After() {
	l, err := loop.New(nil, loop.Options{})
	if err != nil {
		panic(err)
	}
	if _, err := l.Listen("tcp", "127.0.0.1:0"); err != nil { // a timer alone does not hold Run
		panic(err)
	}
	never := l.After(time.Millisecond, func() { fmt.Println("never") })
	l.After(2*time.Millisecond, func() {
		fmt.Println("done")
		l.StopListening()
	})
	fmt.Println("stopped:", never.Stop())
	l.Run()
	// Output:
	// stopped: true
	// done
}

// Other goroutines leave to the loop what only the loop may do.
func ExampleLoop_Post() {
	l, err := loop.New(nil, loop.Options{})
	if err != nil {
		panic(err)
	}
	if _, err := l.Listen("tcp", "127.0.0.1:0"); err != nil {
		panic(err)
	}
	go func() {
		for i := range 3 {
			l.Post(func() { fmt.Println("on the loop:", i) })
		}
		l.StopListening()
	}()
	l.Run()
	fmt.Println(l.Post(func() { fmt.Println("never") }))
	// Output:
	// on the loop: 0
	// on the loop: 1
	// on the loop: 2
	// catboat: the loop has ended
}
