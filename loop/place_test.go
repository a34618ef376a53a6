//go:build linux

package loop

import (
	"slices"
	"testing"

	"catboat/conn"
)

// Connections that come from elsewhere have their place by time among those that are here,
// however their batches and those here lie.
func TestPlaceBehindKeepsTheOrderOfTime(t *testing.T) {
	for _, row := range []struct {
		about   string
		here    []int64   // times of last activity
		batches [][]int64 // each in order
	}{
		{"nobody is here", nil, [][]int64{{1, 2, 2, 5}}},
		{"all are older", []int64{10, 11}, [][]int64{{1, 2}, {3, 9}}},
		{"all are younger", []int64{1, 2}, [][]int64{{3, 4}, {5}}},
		{"among each other", []int64{2, 4, 4, 8}, [][]int64{{1, 4, 5}, {3, 8, 9}}},
		{"a batch is older than the one before", []int64{5}, [][]int64{{4, 6}, {1, 2, 7}}},
	} {
		l := newLoop(newScript(t), nil, Options{})
		fd := 100
		var want []int64
		open := func(since int64) *record {
			fd++
			r, _ := l.records.open(fd, isConn)
			r.class, r.since = conn.ForNext, since
			want = append(want, since)
			return r
		}
		for _, since := range row.here {
			r := open(since)
			l.placeSince(fd, r, conn.ForNext, since)
		}
		for _, batch := range row.batches {
			known := int32(none)
			for _, since := range batch {
				r := open(since)
				l.placeBehind(fd, r, known)
				known = int32(fd)
			}
		}
		slices.Sort(want)
		w := l.waiting[conn.ForNext]
		var forth, back []int64
		for at := w.head; at != none; at = l.records.at(at).next {
			forth = append(forth, l.records.at(at).since)
		}
		for at := w.tail; at != none; at = l.records.at(at).prev {
			back = append(back, l.records.at(at).since)
		}
		slices.Reverse(back)
		if !slices.Equal(forth, want) || !slices.Equal(back, want) || w.n != len(want) {
			t.Errorf("%s: %v, from behind %v, %d in all; want %v", row.about, forth, back, w.n, want)
		}
	}
}
