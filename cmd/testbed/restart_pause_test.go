//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"
)

var pauses = flag.Int("pauses", 0, "how many restarts in place the test of pauses measures with 10, 1,000 and 10,000 idle connections; 0: 3 with 10")

// How long a restart in place keeps a client waiting: the longest gap between two answers
// of one that asks all the time, less the longest one of an equally long quiet time before
// it. It says what it has measured; what a machine is to reach is not for every machine.
func TestPauseOfARestartInPlace(t *testing.T) {
	counts, rounds := []int{10}, 3
	if *pauses > 0 {
		counts, rounds = []int{10, 1000, 10_000}, *pauses
	}
	for _, idle := range counts {
		t.Run(fmt.Sprint(idle), func(t *testing.T) {
			b := startBed(t, "-idle", "10m")
			for range idle {
				b.dial(t).wantHello()
			}
			c := b.dial(t)
			c.SetDeadline(time.Now().Add(10 * time.Minute))
			io.WriteString(c, request("GET", "/fast", ""))
			c.r.Peek(1025)
			reply := make([]byte, c.r.Buffered()) // all of them are as long, and come in one piece
			io.ReadFull(c.r, reply)
			// gap asks for so long and returns the longest time without an answer.
			gap := func(d time.Duration) (longest time.Duration) {
				last := time.Now()
				for end := last.Add(d); last.Before(end); {
					io.WriteString(c, request("GET", "/fast", ""))
					if _, err := io.ReadFull(c.r, reply); err != nil {
						t.Fatal(err)
					}
					now := time.Now()
					longest = max(longest, now.Sub(last))
					last = now
				}
				return longest
			}
			var all []time.Duration
			for range rounds {
				quiet := gap(250 * time.Millisecond)
				b.signal(b.process.Pid, syscall.SIGUSR2)
				all = append(all, gap(250*time.Millisecond)-quiet)
			}
			b.awaitGeneration(rounds)
			slices.Sort(all)
			t.Logf("%d idle connections, %d restarts: pause %v in the median, %v to %v", idle, rounds, all[len(all)/2], all[0], all[len(all)-1])
		})
	}
}
