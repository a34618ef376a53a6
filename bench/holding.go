//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// holding is a state that many connections are held in while the memory of the
// server is read.
type holding struct {
	name  string
	about string
	send  []byte // on each connection
	burst bool   // on all of them, before the first answer is read
	rest  []byte // what makes a request of it, if it is none yet
}

// next is what has an answer when the connection is held.
func (h holding) next() []byte {
	if h.rest != nil {
		return h.rest
	}
	return h.send
}

var holdings = []holding{
	{name: "idle", about: "one request on each connection, in turn, and its answer read", send: workloads[0].request()},
	{name: "idle after a burst", about: "the requests of all written before the first answer is read", send: workloads[0].request(), burst: true},
	{name: "partial heads", about: "a request line and a field on each, and not the rest", send: []byte("GET / HTTP/1.1\r\nHost: x\r\n"), rest: []byte("\r\n")},
}

// selectHoldings finds states by their names.
func selectHoldings(names string) (chosen []holding, err error) {
	if names == "all" {
		return holdings, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(holdings, func(h holding) bool { return h.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no state %q", name)
		}
		chosen = append(chosen, holdings[i])
	}
	return chosen, nil
}

// gather opens the connections and brings each into the state.
func gather(address string, h holding, n int) (crowd []*asker, err error) {
	inTurn := h.rest == nil && !h.burst
	for range n {
		c, err := newAsker(address)
		if err != nil {
			return crowd, err
		}
		crowd = append(crowd, c)
		c.send(h.send)
		if inTurn {
			if err := c.readHello(); err != nil {
				return crowd, err
			}
		}
	}
	if h.burst {
		for _, c := range crowd {
			if err := c.readHello(); err != nil {
				return crowd, err
			}
		}
	}
	return crowd, nil
}

func disperse(crowd []*asker) {
	for _, c := range crowd {
		c.close()
	}
}

// asker is a connection that asks one thing at a time.
type asker struct{ conn net.Conn }

func newAsker(address string) (*asker, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &asker{c}, nil
}

func (a *asker) close() { a.conn.Close() }

// send writes; that it fails is seen when the answer is read.
func (a *asker) send(p []byte) { a.conn.Write(p) }

// answer reads one, whole.
func (a *asker) answer() ([]byte, error) {
	a.conn.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReaderSize(a.conn, 512), nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("answer %s", resp.Status)
	}
	return body, err
}

func (a *asker) readHello() error {
	body, err := a.answer()
	if err == nil && !bytes.Equal(body, hello) {
		err = fmt.Errorf("wrong body %q", body)
	}
	return err
}

// counter asks a server how many connections it has. Without an asker it believes
// that they are there.
type counter struct{ *asker }

// await asks until the server counts n connections besides the asker's; its
// listener counts too. Each question gives it a turn to see who has come or gone.
func (c counter) await(n int) error {
	if c.asker == nil {
		return nil
	}
	got, want := -1, n+2
	for limit := time.Now().Add(patience); got != want && time.Now().Before(limit); {
		c.send([]byte("GET /checkConnections HTTP/1.1\r\nHost: x\r\n\r\n"))
		body, err := c.answer()
		if err != nil {
			return fmt.Errorf("checkConnections: %w", err)
		}
		first, _, _ := strings.Cut(string(body), "\n")
		if got, err = strconv.Atoi(first); err != nil {
			return fmt.Errorf("checkConnections: %w", err)
		}
	}
	if got != want {
		return fmt.Errorf("EpollSize is %d, want %d", got, want)
	}
	return nil
}
