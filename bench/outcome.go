//go:build linux

package main

import "time"

// reading is what the counters say at one moment.
type reading struct {
	at       time.Time
	answered int64
	usage
}

// reading reads the counters of a server that is under load.
func (p *process) reading(answered int64) (r reading, err error) {
	r.usage, err = p.usage()
	r.at, r.answered = time.Now(), answered
	return r, err
}

func (r reading) to(later reading) outcome {
	return outcome{
		Requests: later.answered - r.answered,
		CPU:      (later.cpu - r.cpu).Seconds(),
		User:     (later.user - r.user).Seconds(),
		Seconds:  later.at.Sub(r.at).Seconds(),
		Waited:   (later.waited - r.waited).Seconds(),
	}
}

// outcome is what one run came to.
type outcome struct {
	Requests int64   `json:"requests"`         // that were answered
	Bytes    int     `json:"bytes"`            // of each answer
	CPU      float64 `json:"cpu_seconds"`      // that the server used
	User     float64 `json:"user_seconds"`     // of them in user mode, in ticks of 10 ms
	Seconds  float64 `json:"seconds"`          // that passed
	Waited   float64 `json:"waited"`           // seconds for which threads of the server waited for their core
	P50      float64 `json:"p50_us,omitempty"` // of the time for an answer; of wrk alone
	P99      float64 `json:"p99_us,omitempty"`
}

func (o outcome) perCPUSecond() float64 { return float64(o.Requests) / o.CPU }
func (o outcome) p99() float64          { return o.P99 }

// series is all runs of one server with one workload, in the order of rounds.
type series struct {
	Workload  string    `json:"workload"`
	Server    string    `json:"server"`
	Tool      string    `json:"tool"`
	PerSecond spread    `json:"requests_per_cpu_second"`
	Ratio     spread    `json:"ratio"`     // to the base's
	Busy      spread    `json:"busy"`      // share of its core that the server used
	User      spread    `json:"user"`      // share of its time that it was in user mode
	Waited    spread    `json:"waited"`    // share of the time that it waited for its core
	P50       spread    `json:"p50_us"`    // 0 if the tool does not tell
	P99       spread    `json:"p99_us"`    // the same
	P99Ratio  spread    `json:"p99_ratio"` // to the base's
	Runs      []outcome `json:"runs"`
}

func (s *series) summarize(base []outcome) {
	s.PerSecond = over(s.Runs, outcome.perCPUSecond)
	s.Busy = over(s.Runs, func(o outcome) float64 { return o.CPU / o.Seconds })
	s.User = over(s.Runs, func(o outcome) float64 { return o.User / o.CPU })
	s.Waited = over(s.Runs, func(o outcome) float64 { return o.Waited / o.Seconds })
	s.P50 = over(s.Runs, func(o outcome) float64 { return o.P50 })
	s.P99 = over(s.Runs, outcome.p99)
	s.Ratio = spreadOf(ratios(s.Runs, base, outcome.perCPUSecond))
	s.P99Ratio = spreadOf(ratios(s.Runs, base, outcome.p99))
}
