//go:build linux

package restart

import (
	"context"
	"errors"

	"catboat/loop"
)

// Drain stops listening, lets each connection end behind its next reply, and waits
// until all have ended, or ctx has. It returns what was left then, by what it was
// waited for: connections without a request as Head, between two as Idle, in one as Body,
// Reply or Write, streams as Stream, outbound ones among Other. How patient the loop
// is with each is what its timeouts say ([loop.Loop.SetTimeouts]); event streams hear of it
// ([conn.Stream.Stopping], [conn.Piece.Stopping]). It is for goroutines; the loop goes
// on until Run returns. The error is that of ctx.
func Drain(ctx context.Context, l *loop.Loop) (left loop.Held, err error) {
	empty := make(chan struct{})
	err = l.Post(func() {
		l.StopListening()
		l.LastReplies()
		l.Inside().WhenEmpty(func() { close(empty) })
	})
	if errors.Is(err, loop.ErrStopped) {
		return loop.Held{}, nil
	}
	select {
	case <-empty:
		return loop.Held{}, nil
	case <-ctx.Done():
	}
	held := make(chan loop.Held, 1)
	if l.Post(func() { held <- l.Held() }) != nil {
		return loop.Held{}, nil
	}
	return <-held, ctx.Err()
}
