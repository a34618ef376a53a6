//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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
	{name: "idle", about: "one request on each connection, in turn, and its answer read", send: get()},
	{name: "idle after a burst", about: "the requests of all written before the first answer is read", send: get(), burst: true},
	{name: "partial heads", about: "a request line and a field on each, and not the rest", send: []byte("GET / HTTP/1.1\r\nHost: x\r\n"), rest: []byte("\r\n")},
}

// Deadlines must not end what is held.
var patientArgs = []string{"-header", "10m", "-idle", "10m"}

// resident is the memory of a process that is in RAM, in bytes.
type resident struct {
	all       int64 // of files too: the program, mostly
	anonymous int64 // heap, stacks, data
}

// residentOf reads what /proc/PID/smaps_rollup counts. VmRSS and RssAnon of
// /proc/PID/status are the same, but kept for each core and summed up roughly:
// that can be some hundred KiB off. proc_pid_smaps_rollup(5)
func residentOf(pid int) (r resident, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return r, err
		}
		switch f[0] {
		case "Rss:":
			r.all = n << 10
		case "Anonymous:":
			r.anonymous = n << 10
		}
	}
	if r.all == 0 {
		return r, fmt.Errorf("no memory in %q", text)
	}
	return r, nil
}

// restSamples is how many samples in a row must be alike for memory to be at
// rest. Tests have less.
var restSamples = 20

const (
	restSlack = 32 << 10 // bytes that they may differ by
	restPace  = 100 * time.Millisecond
	restLimit = time.Minute
)

// atRest is the memory of a process when it does not change any more.
func atRest(pid int) (resident, error) {
	alike, first := 0, resident{}
	for limit := time.Now().Add(restLimit); time.Now().Before(limit); time.Sleep(restPace) {
		r, err := residentOf(pid)
		if err != nil {
			return r, err
		}
		if max(r.all-first.all, first.all-r.all) > restSlack {
			alike, first = 0, r
		}
		if alike++; alike == restSamples {
			return r, nil
		}
	}
	return resident{}, fmt.Errorf("memory was not at rest in %v", restLimit)
}

// footprint is the memory before connections came, with them, and when they had
// gone.
type footprint struct{ before, with, after resident }

// measureMemory starts a server, holds n connections to it, and reads its memory.
// At the end every connection proves that it was held: it is answered.
func measureMemory(s server, h holding, n int) (f footprint, err error) {
	s.args = patientArgs
	p, err := s.start(workload{})
	if err != nil {
		return f, err
	}
	defer p.stop()
	a, err := newAsker(p.address)
	if err != nil {
		return f, err
	}
	defer a.close()
	if err := a.awaitSize(2); err != nil {
		return f, err
	}
	if f.before, err = atRest(p.cmd.Process.Pid); err != nil {
		return f, err
	}
	crowd, err := gather(p.address, h, n)
	defer disperse(crowd)
	if err == nil {
		err = a.awaitSize(n + 2)
	}
	if err != nil {
		return f, err
	}
	if f.with, err = atRest(p.cmd.Process.Pid); err != nil {
		return f, err
	}
	for i, c := range crowd {
		c.send(h.next())
		if err := c.readHello(); err != nil {
			return f, fmt.Errorf("connection %d was not kept: %w", i, err)
		}
	}
	disperse(crowd)
	if err := a.awaitSize(2); err != nil {
		return f, err
	}
	f.after, err = atRest(p.cmd.Process.Pid)
	return f, err
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

// awaitSize asks until the server counts want descriptors, itself and the asker
// among them. Each question gives it a turn to see who has come or gone.
func (a *asker) awaitSize(want int) error {
	got := -1
	for limit := time.Now().Add(patience); got != want && time.Now().Before(limit); {
		a.send([]byte("GET /checkConnections HTTP/1.1\r\nHost: x\r\n\r\n"))
		body, err := a.answer()
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

// memoryReport runs all and is a table for people.
func memoryReport(s server, o options) (string, error) {
	var b strings.Builder
	m := thisMachine()
	fmt.Fprintf(&b, "%s, `go run . %s`: %d rounds, %d connections\n\n", time.Now().UTC().Format(time.DateTime+" MST"), strings.Join(os.Args[1:], " "), o.rounds, o.conns)
	fmt.Fprintf(&b, "Linux %s, %s, GOMAXPROCS %s; load average %s before\n\n", m.Kernel, m.Go, s.procs, m.LoadAverage)
	b.WriteString("| held | bytes per connection | min..max | of them anonymous | before, MB | with them, MB | when they had gone, MB |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, h := range holdings {
		var all []footprint
		for round := range o.rounds {
			f, err := measureMemory(s, h, o.conns)
			if err != nil {
				return "", fmt.Errorf("%s: %w", h.name, err)
			}
			all = append(all, f)
			fmt.Fprintf(os.Stderr, "round %d of %d: %-20s %6.0f bytes per connection\n", round+1, o.rounds, h.name, f.each(o.conns))
		}
		b.WriteString(memoryRow(h, all, o.conns))
	}
	b.WriteString("\n")
	for _, h := range holdings {
		fmt.Fprintf(&b, "- %s: %s\n", h.name, h.about)
	}
	return b.String(), nil
}

// each is what one of n connections has cost.
func (f footprint) each(n int) float64 { return float64(f.with.all-f.before.all) / float64(n) }

func memoryRow(h holding, all []footprint, n int) string {
	of := func(value func(footprint) float64) spread {
		var values []float64
		for _, f := range all {
			values = append(values, value(f))
		}
		return spreadOf(values)
	}
	each := of(func(f footprint) float64 { return f.each(n) })
	anonymous := of(func(f footprint) float64 { return float64(f.with.anonymous-f.before.anonymous) / float64(n) })
	total := func(value func(footprint) resident) float64 {
		return of(func(f footprint) float64 { return float64(value(f).all) / 1e6 }).Median
	}
	return fmt.Sprintf("| %s | %.0f | %.0f..%.0f | %.0f | %.1f | %.1f | %.1f |\n", h.name, each.Median, each.Min, each.Max, anonymous.Median,
		total(func(f footprint) resident { return f.before }),
		total(func(f footprint) resident { return f.with }),
		total(func(f footprint) resident { return f.after }))
}
