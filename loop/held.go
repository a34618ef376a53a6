//go:build linux

package loop

import (
	"iter"

	"catboat/conn"
)

// EpollSize is how many descriptors hold Run: listeners, connections until they
// are closed, whatever their state, and those of Add and Connect. A server that only answers your own
// question has 2. It is exact, and may be called from any goroutine. What the
// kernel has queued and the loop has not accepted yet it cannot know.
func (l *Loop) EpollSize() int { return int(l.held.Load()) }

// Held is what EpollSize counts, by what the loop waits for.
type Held struct {
	Listeners int // open, also those that do not accept for lack of descriptors
	Head      int // the client has yet to send a whole head; that includes those that said nothing yet
	Body      int // the client has yet to send the rest of a body
	Reply     int // the application has yet to reply
	Stream    int // the application has yet to go on with its reply
	Write     int // the client has yet to read what was written
	Idle      int // a next request may come
	Linger    int // the client has yet to close its side
	Other     int // descriptors of Add and Connect
}

// Held is for the loop's goroutine, for instance in a handler. The connection
// whose handler asks is counted where it was before its request came.
func (l *Loop) Held() Held {
	n := func(c conn.Class) int { return l.waiting[c].n }
	return Held{
		Listeners: len(l.listeners),
		Head:      n(conn.ForHead),
		Body:      n(conn.ForBody),
		Reply:     n(conn.ForReply),
		Stream:    n(conn.ForMore),
		Write:     n(conn.ForWrite),
		Idle:      n(conn.ForNext),
		Linger:    n(conn.ForFIN),
		Other:     len(l.watches),
	}
}

// All is the classes with their counts, in the order of a request's life.
func (h Held) All() iter.Seq2[string, int] {
	return func(yield func(class string, count int) bool) {
		_ = yield("listener", h.Listeners) && yield("head", h.Head) && yield("body", h.Body) &&
			yield("reply", h.Reply) && yield("stream", h.Stream) &&
			yield("write", h.Write) && yield("idle", h.Idle) && yield("linger", h.Linger) &&
			yield("other", h.Other)
	}
}
