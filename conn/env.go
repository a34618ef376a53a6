package conn

import (
	"net/netip"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"
)

// Limits bounds what one connection may ask of the server. A zero field means
// the default.
type Limits struct {
	MaxHead   int // bytes of request line and header section, and of a trailer section; default 16 KiB, at most 1 GiB
	MaxFields int // field lines in a section; default 100
	MaxBody   int // bytes of a body that is read whole; default 1 MiB
	MaxOutput int // bytes waiting to be written above which no next request is looked at, and no next piece of a reply made; default 16 KiB
}

func (l Limits) withDefaults() Limits {
	orDefault := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	orDefault(&l.MaxHead, 16<<10)
	orDefault(&l.MaxFields, 100)
	orDefault(&l.MaxBody, 1<<20)
	orDefault(&l.MaxOutput, 16<<10) // a write for so much costs little more than its copy, and clients that do not read cost as much
	l.MaxHead = min(l.MaxHead, 1<<30)
	return l
}

// What bounds a connection and is no option.
const (
	maxTurn    = 64        // requests answered before other connections have their turn
	maxDrain   = 64 << 10  // bytes of a body thrown away in order to keep the connection
	maxLinger  = 16 << 20  // bytes thrown away after FIN
	maxQueue   = 64 << 10  // bytes between a goroutine and the loop, in a Body or a Stream
	maxState   = 4 << 10   // bytes of a resumable reply's state
	maxPiece   = 256 << 10 // bytes of memory that stay for the next piece of any resumable reply
	keptBuffer = 4 << 10   // bytes of a buffer that stays with its Machine
)

// Env is what the machines of one loop share, and what they need of the world.
// All of it but SetHandler is for the loop's goroutine.
type Env struct {
	limits      Limits
	headFirst   bool
	noHint      bool
	stopping    bool
	resumables  map[string]*Resumable
	lastReplies bool
	stop        signal // of Stream.Stopping
	pages       map[int][]byte
	server      string
	ok          []byte // how a reply with 200 begins in the present second: the line, Server and Date
	checkedType string // a content type that can stand in a field: the last one
	usual       []byte // ok, and how it goes on with that type, up to the length
	handler     atomic.Pointer[Handler]
	buffers     bytebufferpool.Pool
	piece       []byte // of a resumable reply, while it is made

	counts *Counts
	now    int64

	post  func(Handle, func(*Machine)) error
	fault func(c *Conn, what string, value any)

	here  func() bool
	moved func(from, to State) // tests count moves here
}

// Config is what [NewEnv] is made from.
type Config struct {
	Limits     Limits         // zero fields: the defaults
	Server     string         // the Server field; empty: none
	HeadFirst  bool           // handlers are called at the head, and read the body themselves or await it
	NoHint     bool           // a client's FIN closes no Done
	Resumables []*Resumable   // those that may be carried here from another image
	Pages      map[int][]byte // HTML, sent as text/html, for the statuses whose generic page does not please

	// Counts is where it is counted; nil: in memory of the Env's own.
	Counts *Counts

	// Post has f called on the loop's goroutine, between two events, with the
	// machine of the connection, unless that has ended. It may be called from any
	// goroutine, and returns ErrStopped when f will never be called.
	Post func(h Handle, f func(*Machine)) error

	// Fault reports a mistake of the application's: what is wrong, and what a
	// handler panicked with, if it did (then it is called with the stack still
	// unwinding).
	Fault func(c *Conn, what string, value any)

	// Here reports whether it is called on the loop's goroutine. It is asked only
	// by who is about to wait for the loop. Nil: it cannot be told.
	Here func() bool
}

// Handle names a connection for as long as it lives, and nothing after.
type Handle struct {
	FD         uint32 // the descriptor
	Generation uint32 // how many connections and listeners have had that number before, and this one
}

// Identity is what the loop knows of a connection.
type Identity struct {
	Handle Handle         // for as long as it lives
	ID     uint64         // never used twice; for logs
	Peer   netip.AddrPort // zero for a Unix socket
}

// NewEnv makes an Env without a handler: requests get 503 until SetHandler.
func NewEnv(c Config) *Env {
	if c.Counts == nil {
		c.Counts = &Counts{}
	}
	if c.Here == nil {
		c.Here = func() bool { return false }
	}
	e := &Env{ok: []byte(okLine), limits: c.Limits.withDefaults(), headFirst: c.HeadFirst, noHint: c.NoHint, resumables: named(c.Resumables),
		server: c.Server, pages: c.Pages, post: c.Post, fault: c.Fault, here: c.Here, counts: c.Counts}
	e.setType("")
	return e
}

// named is the resumable replies by their names.
func named(all []*Resumable) map[string]*Resumable {
	m := make(map[string]*Resumable, len(all))
	for _, r := range all {
		m[r.name] = r
	}
	return m
}

// LastReplies lets every reply from now on be the last of its connection, unless
// more requests have come behind it.
func (e *Env) LastReplies() { e.lastReplies = true }

// Stop says that the loop is about to end: see [Piece.Stopping].
func (e *Env) Stop() {
	e.stopping = true
	e.stop.set()
}

// SetHandler is in force from the next request on any connection. A nil handler
// answers 503. It may be called from any goroutine.
func (e *Env) SetHandler(h Handler) {
	if h == nil {
		e.handler.Store(nil)
		return
	}
	e.handler.Store(&h)
}

// SetDate sets the value of the Date field (RFC 9110 section 6.6.1).
func (e *Env) SetDate(imfFixdate []byte) {
	e.ok = append(e.ok[:0], okLine...)
	if e.server != "" {
		e.ok = append(append(append(e.ok, "Server: "...), e.server...), "\r\n"...)
	}
	e.ok = append(append(append(e.ok, "Date: "...), imfFixdate...), "\r\n"...)
	e.setType(e.checkedType)
}

// setType prepares replies of a content type that can stand in a field.
func (e *Env) setType(contentType string) {
	e.checkedType = contentType
	e.usual = append(appendType(append(e.usual[:0], e.ok...), contentType), "Content-Length: "...)
}

const okLine = "HTTP/1.1 200 OK\r\n"
