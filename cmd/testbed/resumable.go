//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"catboat/conn"
)

// resumables are the replies that go on behind an exec. Their states are numbers
// of 8 bytes each.
var resumables = []*conn.Resumable{slowPiece, bigPiece, ssePiece}

func packed(numbers ...int) (state []byte) {
	for _, n := range numbers {
		state = binary.BigEndian.AppendUint64(state, uint64(n))
	}
	return state
}

func unpacked(state []byte) (numbers [2]int) {
	for i := range numbers {
		numbers[i] = int(binary.BigEndian.Uint64(state[8*i:]))
	}
	return numbers
}

// slow answers when ms milliseconds have passed; only the head is there at once.
func slow(c *conn.Conn) {
	wait := milliseconds(query(c).Get("ms"))
	c.ReplyResumable(200, octets, 1024, slowPiece, packed(int(wait), 0))
}

var slowPiece = conn.NewResumable("testbed/slow/1", func(p *conn.Piece) conn.Next {
	state := unpacked(p.State())
	wait, waited := state[0], state[1] != 0
	if !waited {
		p.SetState(packed(0, 1))
		return conn.After(time.Duration(wait))
	}
	p.Write(pattern(0, 1024))
	return conn.End()
})

// big answers with as many bytes of the pattern as the query asks for.
func big(c *conn.Conn) {
	n, err := strconv.Atoi(query(c).Get("bytes"))
	if err != nil || n < 0 || n > maxBig {
		c.Error(400)
		return
	}
	c.ReplyResumable(200, octets, int64(n), bigPiece, packed(0, n))
}

const (
	maxBig  = 1 << 30
	onePart = 64 << 10 // bytes of big that are made at once
)

var bigPiece = conn.NewResumable("testbed/big/1", func(p *conn.Piece) conn.Next {
	state := unpacked(p.State())
	from, n := state[0], state[1]
	part := min(onePart, n-from)
	p.Write(pattern(from/record, part))
	if from += part; from == n {
		return conn.End()
	}
	p.SetState(packed(from, n))
	return conn.Again()
})

// sse is an event stream: one event each ms milliseconds, numbered, until the client
// leaves or the server stops.
func sse(c *conn.Conn) {
	c.SetHeader("Cache-Control", "no-store")
	wait := max(milliseconds(query(c).Get("ms")), time.Millisecond)
	c.ReplyResumable(200, events, -1, ssePiece, packed(0, int(wait)))
}

var ssePiece = conn.NewResumable("testbed/sse/1", func(p *conn.Piece) conn.Next {
	state := unpacked(p.State())
	n, wait := state[0], state[1]
	if p.Stopping() {
		return conn.End()
	}
	fmt.Fprintf(p, "data: %d\n\n", n)
	p.SetState(packed(n+1, wait))
	return conn.After(time.Duration(wait)).OrStop()
})
