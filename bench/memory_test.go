//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMemoryOfHeldConnectionsIsMeasured(t *testing.T) {
	restSamples = 3
	for _, h := range holdings {
		f, err := measureMemory(built[1], h, 300)
		if err != nil {
			t.Fatalf("%s: %v", h.name, err)
		}
		if f.before.all <= f.before.anonymous || f.with.all <= f.before.all || f.after.all <= 0 {
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
	if err := crowd[1].awaitSize(2); err == nil || !strings.Contains(err.Error(), "checkConnections") {
		t.Errorf("EpollSize of a server that does not tell it: %v", err)
	}
}

func TestResidentMemoryIsWhatTheKernelCounts(t *testing.T) {
	before, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	p, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(p)
	after, err := residentOf(os.Getpid())
	if err != nil || after.all-before.all < size*9/10 || after.anonymous-before.anonymous < size*9/10 {
		t.Errorf("%+v, then with %d more bytes %+v, %v", before, size, after, err)
	}
	if _, err := residentOf(1 << 30); err == nil {
		t.Error("a process that is not there has memory")
	}
}

func TestMemoryTableHasMediansAndRange(t *testing.T) {
	run := func(with int64) footprint {
		return footprint{before: resident{5e6, 2e6}, with: resident{5e6 + with, 2e6 + with/2}, after: resident{6e6, 3e6}}
	}
	got := memoryRow(holdings[0], []footprint{run(1000), run(3000), run(2000)}, 10)
	if want := "| idle | 200 | 100..300 | 100 | 5.0 | 5.0 | 6.0 |\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
