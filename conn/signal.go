package conn

import "sync/atomic"

// signal is a channel that is closed once, and made when somebody asks for it.
type signal struct {
	isSet  atomic.Bool
	made   atomic.Pointer[chan struct{}]
	closed atomic.Bool // what was made is, or is about to be
}

// channel is the same for all, from any goroutine.
func (s *signal) channel() <-chan struct{} {
	c := s.made.Load()
	if c == nil {
		made := make(chan struct{})
		s.made.CompareAndSwap(nil, &made)
		c = s.made.Load()
	}
	if s.isSet.Load() {
		s.set()
	}
	return *c
}

// set closes the channel, now or as soon as someone asks for it.
func (s *signal) set() {
	s.isSet.Store(true)
	if c := s.made.Load(); c != nil && s.closed.CompareAndSwap(false, true) {
		close(*c)
	}
}
