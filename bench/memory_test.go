//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestMemoryOfHeldConnectionsIsMeasured(t *testing.T) {
	restSamples = 3
	for _, h := range holdings {
		f, err := measureMemory(built[1], h, 300)
		if err != nil {
			t.Fatalf("%s: %v", h.name, err)
		}
		if f.Before.All <= f.Before.Anonymous || f.With.All <= f.Before.All || f.After.All <= 0 {
			t.Errorf("%s: %+v", h.name, f)
		}
	}
}

func TestAConnectionThatIsNotKeptSpoilsTheMeasurement(t *testing.T) {
	address := scripted(t, func(_, request int) (string, bool) { return rightAnswer(), request == 0 }).address
	crowd, err := gather(address, holdings[0], 3)
	if err != nil || len(crowd) != 3 {
		t.Fatal(len(crowd), err)
	}
	defer disperse(crowd)
	crowd[0].send(holdings[0].next())
	if err := crowd[0].readHello(); err == nil {
		t.Error("a connection that the server had closed was answered")
	}
	if err := (counter{crowd[1]}).await(0); err == nil || !strings.Contains(err.Error(), "checkConnections") {
		t.Errorf("EpollSize of a server that does not tell it: %v", err)
	}
}

func TestMemoryTableHasMediansAndRange(t *testing.T) {
	run := func(with int64) footprint {
		return footprint{Before: resident{5e6, 2e6}, With: resident{5e6 + with, 2e6 + with/2}, After: resident{6e6, 3e6}}
	}
	m := memorySeries{Held: "idle", Server: "x", Each: spread{200, 100, 300}, Runs: []footprint{run(1000), run(3000), run(2000)}}
	got := m.row(10)
	if want := "| idle | x | 200 | 100..300 | 100 | 5.0 | 5.0 | 6.0 |\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
