//go:build linux

package loop

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
)

// Options of a Loop. A field that is zero means the default.
type Options struct {
	Limits   conn.Limits // of one connection
	Timeouts Timeouts    // of the connections that wait for something

	// HeadFirst has the handler called when the head of a request is there, before
	// its body: it may refuse at once, take the body in pieces (Conn.StreamBody), or
	// await it (Conn.AwaitBody). Otherwise the body is read whole before.
	HeadFirst bool

	// Resumables are the resumable replies that may be carried here from an earlier
	// image of the program, which finds them by their names: see package restart.
	Resumables []*conn.Resumable

	// NoHint keeps a client's FIN from closing Done. With clients that close their
	// side behind a request, and wait for the reply, FIN says nothing.
	NoHint bool

	// MaxConns is how many connections are served at once; default 90 % of the
	// descriptor limit. Some more are accepted to be told so (503), and beyond
	// those clients wait in the listener's queue.
	MaxConns int

	// Backlog is the length of a listener's queue; default what the system allows
	// (listen(2), net.core.somaxconn).
	Backlog int

	// DeferAccept has TCP connections accepted when their clients have said something,
	// and read at once: a connection for each request then costs a fifth less. A client
	// that says nothing is accepted after a second, and counted only then; when listening
	// stops, that may take 3 s longer.
	DeferAccept bool

	// SocketMode is the mode of a Unix listener's file; default what the umask
	// leaves.
	SocketMode fs.FileMode

	// Server is the Server field of every reply; default "catboat", "-" for none.
	Server string

	// Pages has the HTML that Conn.Error, and the connection itself, send with a
	// status as text/html, in place of the generic page.
	Pages map[int][]byte

	// Logger gets a line for each mistake of a handler's and each trouble with the
	// system; default slog.Default(). What clients do wrong is not logged, and does
	// not reach a handler.
	Logger *slog.Logger
}

// Timeouts is how long the loop waits for what. In Options a field that is zero
// means the default, in SetTimeouts "as it is"; a negative one means for ever.
type Timeouts struct {
	Head   time.Duration // from accept, or the first byte of a later request, to the whole head; default 10 s, then 408
	Body   time.Duration // between two bytes of a body; default 20 s, then 408
	Reply  time.Duration // from Defer to the reply; default 5 min, then 503
	Stream time.Duration // between two pieces of a reply that is made in pieces; default for ever, else it is broken off
	Write  time.Duration // for the client to take some of what waits to be written, or up to a fifth more; default 20 s, then reset
	Idle   time.Duration // between two requests; default 75 s, then close
	Linger time.Duration // after FIN, between two reads; default 2 s, and 10 s in all, then close

	// Progress of output is what the client's system acknowledges, which at a few KiB a
	// second comes in steps of its whole window, with more than Write between two:
	// who serves such clients sets Write to a minute or more.

	// A client must send a body, and take output, at MinRate bytes a second at
	// least, or is treated as if it did nothing at all; default 1 KiB. That
	// is judged over each Grace of waiting for it; default 10 s. A handler's own time
	// does not count, nor the quiet in a stream.
	MinRate int
	Grace   time.Duration
}

const lingerInAll = 10 * time.Second

// byClass is a duration for each class of waiting, in the order of conn's.
type byClass [conn.Classes]time.Duration

var defaultTimeouts = byClass{
	conn.ForHead:  10 * time.Second,
	conn.ForBody:  20 * time.Second,
	conn.ForReply: 5 * time.Minute,
	conn.ForMore:  math.MaxInt64,
	conn.ForWrite: 20 * time.Second,
	conn.ForNext:  75 * time.Second,
	conn.ForFIN:   2 * time.Second,
}

// set takes over what t says.
func (b *byClass) set(t Timeouts) {
	for class, d := range [...]time.Duration{
		conn.ForHead: t.Head, conn.ForBody: t.Body, conn.ForReply: t.Reply, conn.ForMore: t.Stream,
		conn.ForWrite: t.Write, conn.ForNext: t.Idle, conn.ForFIN: t.Linger,
	} {
		switch {
		case d < 0:
			b[class] = math.MaxInt64
		case d > 0:
			b[class] = min(d, longest)
		}
	}
	b[conn.ForFIN] = min(b[conn.ForFIN], lingerInAll)
}

func (o Options) withDefaults() Options {
	switch o.Server {
	case "":
		o.Server = "catboat"
	case "-":
		o.Server = ""
	}
	if o.Backlog <= 0 {
		o.Backlog = 1 << 16 // the kernel takes less where it allows less
	}
	if o.MaxConns <= 0 {
		o.MaxConns = descriptorLimit() * 9 / 10
	}
	o.MaxConns = min(o.MaxConns, 1<<24)
	o.Pages = maps.Clone(o.Pages)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// check refuses what would make every reply malformed.
func (o Options) check() error {
	for i := range len(o.Server) {
		if c := o.Server[i]; c < ' ' || c == 0x7f {
			return fmt.Errorf("loop: control character in Options.Server %q", o.Server)
		}
	}
	return nil
}

// descriptorLimit is RLIMIT_NOFILE, which Go has raised to its hard limit.
func descriptorLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 1024
	}
	return int(min(r.Cur, 1<<24))
}
