//go:build linux

package loop

import "catboat/conn"

// machines lends a Machine to each connection that has a request on it.
type machines struct {
	slots []slot
	empty []int32 // numbers of slots
	idle  []*conn.Machine
}

// slot is a machine while it is lent, and what else a connection needs only then.
type slot struct {
	m *conn.Machine
	ending
	timer *Timer // of a resumable reply
}

// ending is how fast the client is, and how its connection comes to its end.
type ending struct {
	pace     pace
	finSince int64 // when FIN was sent
	unacked  int32 // bytes, when the output came to a stop
}

// maxIdleMachines is how many are kept, with their buffers, for the next burst.
const maxIdleMachines = 256

func (s *machines) at(i int32) *conn.Machine { return s.slots[i].m }

// lend returns a machine and the number of its slot.
func (s *machines) lend(env *conn.Env) (m *conn.Machine, i int32) {
	if n := len(s.idle); n > 0 {
		m, s.idle = s.idle[n-1], s.idle[:n-1]
	} else {
		m = conn.NewMachine(env)
	}
	return m, s.put(m)
}

// put gives a machine a slot.
func (s *machines) put(m *conn.Machine) (i int32) {
	if n := len(s.empty); n > 0 {
		i, s.empty = s.empty[n-1], s.empty[:n-1]
	} else {
		i = int32(len(s.slots))
		s.slots = append(s.slots, slot{})
	}
	s.slots[i].m = m
	return i
}

func (s *machines) giveBack(i int32) {
	if len(s.idle) < maxIdleMachines {
		s.idle = append(s.idle, s.slots[i].m)
	}
	if t := s.slots[i].timer; t != nil {
		t.Stop()
	}
	s.slots[i] = slot{}
	s.empty = append(s.empty, i)
}
