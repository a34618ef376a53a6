//go:build linux

package loop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
	"catboat/internal/cargo"
	"catboat/internal/kernel"
	"catboat/internal/wire"
)

// Ties counts what keeps connections from being carried into another image of the
// program: what lives in this one alone.
type Ties struct {
	Deferred int // replies that somebody has yet to make
	Streams  int // replies that somebody has yet to end
	Bodies   int // that somebody has yet to read to their end
	Outbound int // descriptors of Connect
	Unnamed  int // resumable replies that are not among Options.Resumables
}

// Sum is how many there are.
func (t Ties) Sum() int { return t.Deferred + t.Streams + t.Bodies + t.Outbound + t.Unnamed }

// String says it in words.
func (t Ties) String() string {
	var all []string
	for _, kind := range []struct {
		n    int
		what string
	}{
		{t.Deferred, "deferred replies"}, {t.Streams, "streams"}, {t.Bodies, "streamed bodies"}, {t.Outbound, "outbound connections"},
		{t.Unnamed, "resumable replies that are not among Options.Resumables"},
	} {
		if kind.n > 0 {
			all = append(all, strconv.Itoa(kind.n)+" "+kind.what)
		}
	}
	return strings.Join(all, ", ")
}

// Ties is for the loop's goroutine. It looks at every connection that has a request
// on it.
func (in Inside) Ties() (t Ties) {
	l := in.l
	for i := range l.machines.slots {
		m := l.machines.slots[i].m
		if m == nil {
			continue
		}
		switch m.Tie() {
		case conn.ToDeferred:
			t.Deferred++
		case conn.ToStream:
			t.Streams++
		case conn.ToBody:
			t.Bodies++
		case conn.ToUnnamed:
			t.Unnamed++
		}
	}
	for _, w := range l.watches {
		if w.outbound {
			t.Outbound++
		}
	}
	return t
}

// Rest writes down, for [Inside.Adopt] in another image of the program, all that this
// loop's connections need to go on, into the memory of room as far as that reaches, and
// tells the descriptors that must stay open for it: those of connections, which Keep has
// readied, and others. AfterReply functions whose reply is not out get conn.ErrCarried.
// It is called on the loop's goroutine, when there are no Ties.
func (in Inside) Rest(room []byte) (written []byte, conns, others []int) {
	l := in.l
	w, machines := wire.NewWriter(room[:0]), &wire.Writer{}
	w.Grow(l.conns*packedSize + 4096)
	conns = make([]int, 0, l.conns)
	epoll, event := l.linux.Descriptors()
	others = append(others, epoll, event)
	w.Uint(uint64(epoll))
	w.Uint(uint64(event))
	w.Uint(l.lastID)
	l.counters.Counts = *l.env.Counts()
	for _, n := range l.counters.all() {
		w.Uint(*n)
	}
	w.Uint(uint64(len(l.watches)))
	for fd := range l.watches {
		w.Uint(uint64(fd))
	}
	w.Uint(uint64(l.conns))
	for class := range l.waiting {
		for fd := l.waiting[class].head; fd != none; fd = l.records.at(fd).next {
			conns = append(conns, int(fd))
			r := l.records.at(fd)
			l.restRecord(w, int(fd), r)
			if r.slot != none {
				others = append(others, l.restMachine(machines, r)...)
				l.machines.at(r.slot).Leave()
			}
		}
	}
	w.Raw(machines.Written())
	return w.Written(), conns, others
}

// restRecord writes down what the loop knows of a connection.
func (l *Loop) restRecord(w *wire.Writer, fd int, r *record) {
	r.pack(w.Extend(packedSize), fd, l.now)
}

// restMachine writes down the rest, of one that has a machine, and returns the
// descriptors of its files.
func (l *Loop) restMachine(w *wire.Writer, r *record) (files []int) {
	s := &l.machines.slots[r.slot]
	w.Int(int64(s.pace.waited))
	w.Int(s.pace.moved)
	w.Int(l.now - s.finSince)
	w.Int(int64(s.unacked))
	remaining := time.Duration(0)
	if s.timer != nil && s.timer.i != none {
		remaining = time.Duration(s.timer.at - l.now)
	}
	s.m.Rest(w, remaining)
	return s.m.Files()
}

// adoption is a loop's part of a cargo, but for the connections.
type adoption struct {
	epoll, event int
	lastID       uint64
	counters     Counters
	watched      []int // descriptors of the program's own
}

// adopted is a connection that was carried here.
type adopted struct {
	fd int
	r  record
	adoptedMachine
}

// adoptedMachine is what a connection has only while it has a request on it.
type adoptedMachine struct {
	m *conn.Machine // nil: it has none
	ending
}

// Adopt takes over the connections that Rest has written down, with the epoll set
// that watches them. It is called before Run, and after Listen. An
// error says that the cargo cannot be read here; then nothing has been touched.
func (in Inside) Adopt(written []byte) (conns int, err error) {
	l := in.l
	if l.linux == nil || l.ran || l.conns > 0 {
		return 0, errors.New("loop: connections are adopted before Run, once")
	}
	a, err := l.readAdoption(wire.NewReader(written))
	if err == nil {
		l.door.mu.Lock() // who posts wakes what is given up
		err = l.linux.Adopt(a.epoll, a.event)
		l.door.mu.Unlock()
	}
	if err != nil {
		l.disown()
		return 0, err
	}
	l.lastID = a.lastID
	l.counters, *l.env.Counts() = a.counters, a.counters.Counts
	l.publish()
	for _, fd := range a.watched { // or nobody could ever end the watching of one that stays open
		l.linux.Delete(fd)
	}
	l.rewatch()
	return l.conns, nil
}

// readAdoption makes what was carried the loop's, as far as it can be read.
func (l *Loop) readAdoption(r *wire.Reader) (*adoption, error) {
	l.tick()
	a := &adoption{epoll: int(r.Uint()), event: int(r.Uint()), lastID: r.Uint()}
	for _, n := range a.counters.all() {
		*n = r.Uint()
	}
	for range r.Count() {
		a.watched = append(a.watched, int(r.Uint()))
	}
	files := fileUses{}
	for records := r.Raw(r.Count() * packedSize); len(records) > 0; records = records[packedSize:] {
		if err := l.readConn(records, r, files); err != nil {
			return nil, err
		}
	}
	if r.Err() != nil || r.Rest() > 0 || !isEpoll(a.epoll) {
		return nil, errNoAdoption
	}
	return a, nil
}

// readConn makes a connection the loop's: a packed record and, behind those of all, what
// its machine has written.
func (l *Loop) readConn(packed []byte, r *wire.Reader, files fileUses) error {
	fd := packedFD(packed)
	switch {
	case fd == maxFD:
		return errNoAdoption
	case l.records.isOpen(fd):
		return fmt.Errorf("loop: two connections are carried in descriptor %d", fd)
	}
	record, _ := l.records.open(fd, isConn)
	hasMachine, ok := record.unpack(packed, l.now)
	if !ok {
		record.kind = isFree
		return errNoAdoption
	}
	var m adoptedMachine
	var err error
	if hasMachine {
		m, err = l.readMachine(fd, record, r, files, nil)
	}
	if err != nil {
		record.kind = isFree
		return err
	}
	l.placeSince(fd, record, record.class, record.since)
	l.install(fd, record, m)
	return nil
}

// disown undoes what readAdoption has done: nothing but the loop's tables knows of it.
func (l *Loop) disown() {
	for class := range l.waiting {
		for fd := l.waiting[class].head; fd != none; fd = l.records.at(fd).next {
			l.records.at(fd).kind = isFree
		}
		l.waiting[class] = list{head: none, tail: none}
	}
	for i := range l.machines.slots {
		if t := l.machines.slots[i].timer; t != nil {
			t.Stop()
		}
	}
	l.held.Add(-int64(l.conns))
	l.conns, l.machines, l.again = 0, machines{}, nil
}

// all is the counters, in an order.
func (c *Counters) all() (all []*uint64) {
	all = append(all, &c.Requests, &c.Accepted, &c.BytesIn, &c.BytesOut, &c.Turns)
	for _, many := range [...][]uint64{c.Statuses[:], c.Latency[:], c.Lag[:]} {
		for i := range many {
			all = append(all, &many[i])
		}
	}
	return all
}

var errNoAdoption = errors.New("loop: what was carried are no connections of a loop")

const maxFD = 1 << 24

// numbers is a set of descriptors.
type numbers []uint64

// add reports whether a descriptor was in it before.
func (s *numbers) add(fd int) (was bool) {
	for fd/64 >= len(*s) {
		*s = append(*s, make([]uint64, fd/64+1-len(*s))...)
	}
	word, bit := &(*s)[fd/64], uint64(1)<<(fd%64)
	was = *word&bit != 0
	*word |= bit
	return was
}

// readHanded reads a connection that another process has handed over. number is what
// descriptors are called here.
func (l *Loop) readHanded(r *wire.Reader, files fileUses, number map[int]int) (c adopted, err error) {
	b := r.Raw(packedSize)
	if b == nil {
		return c, errNoAdoption
	}
	hasMachine, ok := c.r.unpack(b, l.now)
	var known bool
	if c.fd, known = number[packedFD(b)]; !known || !ok {
		return c, errNoAdoption
	}
	if hasMachine {
		c.adoptedMachine, err = l.readMachine(c.fd, &c.r, r, files, number)
	}
	return c, err
}

// readMachine reads the rest, of a connection that had a machine. number is nil if
// descriptors are called as they were.
func (l *Loop) readMachine(fd int, record *record, r *wire.Reader, files fileUses, number map[int]int) (a adoptedMachine, err error) {
	a.pace = pace{waited: time.Duration(r.Int()), moved: r.Int()}
	a.finSince, a.unacked = l.now-max(0, r.Int()), int32(r.Int())
	a.m = conn.NewMachine(l.env)
	err = a.m.Adopt(conn.Identity{
		Handle: conn.Handle{FD: uint32(fd), Generation: record.generation},
		ID:     record.id,
		Peer:   record.addrPort(),
	}, r, number, files.done)
	for _, fd := range a.m.Files() {
		files[fd]++
	}
	if err == nil && r.Err() != nil {
		err = errNoAdoption
	}
	return a, err
}

// packedSize is how many bytes a record takes when it is written down.
const packedSize = 2*8 + 3*4 + 16 + 2 + 3 + 1

// The bits of a packed record.
const (
	packedBlocked = 1 << iota
	packedFINSent
	packedMachine // the connection has one
	packedAll     = 1<<iota - 1
)

// pack writes a record into packedSize bytes, with times as they have passed. It is done
// for all of it at once, since there may be ten thousand, and clients wait.
func (r *record) pack(b []byte, fd int, now int64) {
	little := binary.LittleEndian
	b = b[:packedSize]
	little.PutUint64(b, r.id)
	little.PutUint64(b[8:], uint64(now-r.since))
	little.PutUint32(b[16:], uint32(fd))
	little.PutUint32(b[20:], r.generation)
	little.PutUint32(b[24:], r.interest)
	*(*[16]byte)(b[28:]) = r.peer
	little.PutUint16(b[44:], r.port)
	b[46], b[47], b[48] = byte(r.peerKind), byte(r.state), byte(r.class)
	bits := byte(0)
	if r.blocked {
		bits |= packedBlocked
	}
	if r.finSent {
		bits |= packedFINSent
	}
	if r.slot != none {
		bits |= packedMachine
	}
	b[49] = bits
}

// packedFD is the descriptor that a packed record is of, maxFD if it cannot be one.
func packedFD(b []byte) int { return int(min(binary.LittleEndian.Uint32(b[16:]), maxFD)) }

// unpack reads what pack has written. It reports whether that was a record, and
// whether a machine follows.
func (r *record) unpack(b []byte, now int64) (hasMachine, ok bool) {
	little := binary.LittleEndian
	b = b[:packedSize]
	bits := b[packedSize-1]
	*r = record{kind: isConn, prev: none, next: none, slot: none, watched: true,
		id:         little.Uint64(b),
		since:      now - max(0, int64(little.Uint64(b[8:]))),
		generation: little.Uint32(b[20:]),
		interest:   little.Uint32(b[24:]),
		peer:       [16]byte(b[28:44]),
		port:       little.Uint16(b[44:]),
		peerKind:   peerKind(b[46]),
		state:      conn.State(b[47]),
		class:      conn.Class(b[48]),
		blocked:    bits&packedBlocked != 0,
		finSent:    bits&packedFINSent != 0,
	}
	hasMachine = bits&packedMachine != 0
	ok = bits <= packedAll && r.class < conn.Classes && r.peerKind <= ip6Peer &&
		(hasMachine || (r.state == conn.Fresh || r.state == conn.Idle) && r.class == r.state.Class())
	return hasMachine, ok
}

// install makes a connection that was carried here, and has its deadline, one of the loop's.
func (l *Loop) install(fd int, r *record, m adoptedMachine) {
	l.conns++
	l.held.Add(1)
	if m.m == nil {
		return
	}
	r.slot = l.machines.put(m.m)
	l.machines.slots[r.slot].ending = m.ending
	l.scheduleRest(fd, r, m.m)
}

// rewatch has the epoll set that was adopted watch what this image has opened. Some of
// that it may watch already, with the number that it had before.
func (l *Loop) rewatch() {
	for _, ln := range l.listeners {
		l.addAnew(ln.fd, kernel.In, ln.handle)
	}
	for _, w := range l.watches {
		if !w.suspended {
			l.addAnew(w.fd, w.events.bits(), w.handle)
		}
	}
}

// addAnew has the epoll set watch a descriptor that it may watch already, on behalf
// of an earlier image.
func (l *Loop) addAnew(fd int, events uint32, h conn.Handle) syscall.Errno {
	errno := l.k.Add(fd, events, data(h))
	if errno == syscall.EEXIST {
		errno = l.k.Modify(fd, events, data(h))
	}
	return errno
}

// fileUses counts the ranges that need a descriptor: several replies may send one
// file.
type fileUses map[int]int

// done closes a descriptor with its last range.
func (u fileUses) done(fd int) {
	if u[fd]--; u[fd] == 0 {
		delete(u, fd)
		unix.Close(fd)
	}
}

// isEpoll reports whether a descriptor is an epoll set.
func isEpoll(fd int) bool {
	var one [1]unix.EpollEvent
	_, err := unix.EpollWait(fd, one[:], 0)
	return err == nil || err == unix.EINTR
}

// Listening is the listeners that are open.
func (in Inside) Listening() (all []cargo.Listener) {
	l := in.l
	for _, ln := range l.listeners {
		all = append(all, cargo.Listener{FD: ln.fd, Network: ln.network, Address: ln.address})
	}
	return all
}

// Watched is the descriptors that were added under a name.
func (in Inside) Watched() (all []cargo.Named) {
	l := in.l
	for _, w := range l.watches {
		if !w.outbound && w.name != "" {
			all = append(all, cargo.Named{FD: w.fd, Name: w.name})
		}
	}
	return all
}

// CloseListener takes what is in the queue of a listener that this process was left and
// nobody has asked for, and closes it. It is called before Run.
func (in Inside) CloseListener(fd int) error {
	l := in.l
	if err := l.addListener(fd, socketFile{}); err != nil {
		return err
	}
	addr, _ := boundAddr(fd)
	l.options.Logger.Warn("closing a listener that this program has not asked for", "address", addr)
	ln := l.listeners[len(l.listeners)-1]
	return l.Post(func() { l.acceptRest(ln) })
}

// Timers is how many functions of After wait, those of resumable replies left out.
func (in Inside) Timers() int {
	l := in.l
	n := len(l.timers.heap)
	for i := range l.machines.slots {
		if t := l.machines.slots[i].timer; t != nil && t.i != none {
			n--
		}
	}
	return n
}

// Keep has connections stay open over an exec: those accepted from now on, and with
// each call at most n more descriptors. It reports whether those are all.
func (in Inside) Keep(n int) (all bool) {
	l := in.l
	if l.keptTo == 0 {
		l.linux.KeepAccepted(true)
	}
	to := min(l.keptTo+n, len(l.records)*pageSize)
	l.keep(l.keptTo, to, true)
	l.keptTo = to
	return l.keptTo == len(l.records)*pageSize
}

// KeepNot undoes Keep.
func (in Inside) KeepNot() {
	l := in.l
	l.linux.KeepAccepted(false)
	l.keep(0, len(l.records)*pageSize, false)
	l.keptTo = 0
}

func (l *Loop) keep(from, to int, keep bool) {
	for fd := from; fd < to; fd++ {
		if l.records.at(int32(fd)).kind == isConn {
			kernel.KeepOnExec(fd, keep)
		}
	}
}

// RestSize is how many bytes Rest is going to need, roughly.
func (in Inside) RestSize() int { return in.l.conns*packedSize + 64<<10 }

// EachTurn has f called at the end of each turn, when nothing that was posted waits,
// as long as it returns true.
func (in Inside) EachTurn(f func() bool) { in.l.eachTurn = f }

// endTurn calls the function of EachTurn.
func (l *Loop) endTurn() {
	if f := l.eachTurn; f != nil && !l.door.isOpen() && !f() {
		l.eachTurn = nil
	}
}

// BeginAnew has the deadlines of those who are between two requests, or in a head, count
// from now.
func (in Inside) BeginAnew() {
	l := in.l
	for _, class := range [...]conn.Class{conn.ForHead, conn.ForNext} {
		for fd := l.waiting[class].head; fd != none; fd = l.records.at(fd).next {
			l.records.at(fd).since = l.now
		}
	}
}

// GiveUp is a last word before Cut. Who waits for the head of a reply gets 503, who waits
// for nothing is closed, and who is in the middle of a reply is cut, so that it can tell.
// It returns how many were told so, and cut. Those that have their last reply, this
// or another, may still read it.
func (in Inside) GiveUp() (told, cut int) {
	l := in.l
	var all []int
	for class := range l.waiting {
		for fd := l.waiting[class].head; fd != none; fd = l.records.at(fd).next {
			all = append(all, int(fd))
		}
	}
	for _, fd := range all {
		r := l.records.at(int32(fd))
		switch {
		case r.kind != isConn || r.finSent: // it may have ended with another
		case r.slot == none:
			l.close(fd, r, nil)
		case l.machines.at(r.slot).GiveUp():
			told++
			l.settle(fd, r, l.machines.at(r.slot), active)
		default:
			cut++
			l.reset(fd, r)
		}
	}
	return told, cut
}

// Resumables is the names of the resumable replies that may be carried here.
func (in Inside) Resumables() (names []string) {
	l := in.l
	for _, r := range l.options.Resumables {
		names = append(names, r.Name())
	}
	return names
}

// Logger is that of the options.
func (in Inside) Logger() *slog.Logger { return in.l.options.Logger }
