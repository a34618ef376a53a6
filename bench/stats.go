//go:build linux

package main

import "slices"

// spread is where values lie.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return spread{}
	}
	return spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// over is the spread of a value of all runs.
func over[T any](runs []T, value func(T) float64) spread {
	var values []float64
	for _, r := range runs {
		values = append(values, value(r))
	}
	return spreadOf(values)
}

// ratios compares a value of runs with that of the base's, each with its own
// round's: what slows the machine for a while slows both. Where the base has none
// there is no ratio.
func ratios(runs, base []outcome, value func(outcome) float64) (all []float64) {
	for i := range min(len(runs), len(base)) {
		if b := value(base[i]); b > 0 {
			all = append(all, value(runs[i])/b)
		}
	}
	return all
}
