//go:build linux

package main

import (
	"fmt"
	"os"
	"time"
)

// restSamples is how many samples in a row must be alike for memory to be at
// rest. Tests have less.
var restSamples = 20

const (
	restSlack = 32 << 10 // bytes that they may differ by
	restPace  = 100 * time.Millisecond
	restLimit = time.Minute
)

// atRest is the memory of a server when it does not change any more.
func (p *process) atRest() (resident, error) {
	alike, first := 0, resident{}
	for limit := time.Now().Add(restLimit); time.Now().Before(limit); time.Sleep(restPace) {
		pids, err := p.pids() // a worker may still have to come
		if err != nil {
			return resident{}, err
		}
		r, err := residentOf(pids)
		if err != nil {
			return r, err
		}
		if max(r.All-first.All, first.All-r.All) > restSlack {
			alike, first = 0, r
		}
		if alike++; alike == restSamples {
			return r, nil
		}
	}
	return resident{}, fmt.Errorf("memory was not at rest in %v", restLimit)
}

// footprint is the memory before connections came, with them, and when they had
// gone, in bytes.
type footprint struct {
	Before resident `json:"before"`
	With   resident `json:"with"`
	After  resident `json:"after"`
}

// each is what one of n connections has cost.
func (f footprint) each(n int) float64 { return float64(f.With.All-f.Before.All) / float64(n) }

// memorySeries is all runs of one server with its connections in one state.
type memorySeries struct {
	Held   string      `json:"held"`
	Server string      `json:"server"`
	Each   spread      `json:"bytes_per_connection"`
	Runs   []footprint `json:"runs"`
}

// row is that of the table, for n connections.
func (m memorySeries) row(n int) string {
	anonymous := over(m.Runs, func(f footprint) float64 { return float64(f.With.Anonymous-f.Before.Anonymous) / float64(n) })
	total := func(value func(footprint) resident) float64 {
		return over(m.Runs, func(f footprint) float64 { return float64(value(f).All) / 1e6 }).Median
	}
	return fmt.Sprintf("| %s | %s | %.0f | %.0f..%.0f | %.0f | %.1f | %.1f | %.1f |\n", m.Held, m.Server, m.Each.Median, m.Each.Min, m.Each.Max, anonymous.Median,
		total(func(f footprint) resident { return f.Before }),
		total(func(f footprint) resident { return f.With }),
		total(func(f footprint) resident { return f.After }))
}

// measureMemory runs all servers with their connections in each state.
func (r *report) measureMemory(o options) error {
	r.Conns = o.conns
	for _, h := range o.held {
		r.Held = append(r.Held, about{h.name, h.about})
		for _, s := range o.servers {
			r.Memory = append(r.Memory, memorySeries{Held: h.name, Server: s.name})
		}
	}
	for round := range o.rounds {
		for i := range r.Memory {
			m, h, s := &r.Memory[i], o.held[i/len(o.servers)], o.servers[i%len(o.servers)]
			f, err := measureMemory(s, h, o.conns)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", h.name, s.name, err)
			}
			m.Runs = append(m.Runs, f)
			m.Each = over(m.Runs, func(f footprint) float64 { return f.each(o.conns) })
			fmt.Fprintf(os.Stderr, "round %d of %d: %-20s %-26s %6.0f bytes per connection\n", round+1, o.rounds, h.name, s.name, f.each(o.conns))
		}
	}
	return nil
}

// measureMemory starts a server, holds n connections to it, and reads its memory.
// At the end every connection proves that it was held: it is answered.
func measureMemory(s server, h holding, n int) (f footprint, err error) {
	p, err := s.start(workload{}, s.memory...)
	if err != nil {
		return f, err
	}
	defer p.stop()
	c := counter{}
	if s.counts {
		if c.asker, err = newAsker(p.address); err != nil {
			return f, err
		}
		defer c.close()
	}
	if err := c.await(0); err != nil {
		return f, err
	}
	if f.Before, err = p.atRest(); err != nil {
		return f, err
	}
	crowd, err := gather(p.address, h, n)
	defer disperse(crowd)
	if err == nil {
		err = c.await(n)
	}
	if err != nil {
		return f, err
	}
	if f.With, err = p.atRest(); err != nil {
		return f, err
	}
	for i, a := range crowd {
		a.send(h.next())
		if err := a.readHello(); err != nil {
			return f, fmt.Errorf("connection %d was not kept: %w", i, err)
		}
	}
	disperse(crowd)
	if err := c.await(0); err != nil {
		return f, err
	}
	f.After, err = p.atRest()
	return f, err
}
