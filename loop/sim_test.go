//go:build linux

package loop

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
	"catboat/internal/kernel"
	"catboat/internal/simkernel"
)

var (
	simSeeds = flag.Uint64("seeds", 0, "how many schedules TestSimulation plays; 0: 2,000, or 200 under the race detector")
	simSeed  = flag.Uint64("seed", 0, "the one schedule to play, with its trace")
)

// TestSimulation plays hostile schedules, each from a seed, and holds the loop
// to its invariants after every step (see world.check) and every client's
// replies to what it asked (see simClient.verify).
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		if _, err := simulate(*simSeed, t.Output()); err != nil {
			t.Fatal(err)
		}
		return
	}
	if *simSeeds == 0 {
		*simSeeds = 2000
		if raceDetector {
			*simSeeds = 200
		}
	}
	var next atomic.Uint64
	var total simkernel.Stats
	var mu sync.Mutex
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1); seed <= *simSeeds && !t.Failed(); seed = next.Add(1) {
				stats, err := simulate(seed, nil)
				if err != nil {
					t.Errorf("seed %d: %v\n%s\nreplay with: go test ./loop -run 'TestSimulation$' -v -seed %d", seed, err, traceOf(seed), seed)
				}
				mu.Lock()
				total.Add(stats)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	t.Logf("%d seeds: %+v", *simSeeds, total)
	if *simSeeds >= 1000 && !total.Complete() {
		t.Errorf("not every fault was played: %+v", total)
	}
}

// traceOf is the end of a seed's trace.
func traceOf(seed uint64) string {
	var trace bytes.Buffer
	simulate(seed, &trace)
	lines := strings.Split(strings.TrimSpace(trace.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

// world is one schedule: a loop on a simulated kernel, and clients.
type world struct {
	k       *simkernel.Kernel
	ln      *simkernel.Listener
	l       *Loop
	clients []*simClient
	log     func(format string, args ...any)

	stopped   bool // the server has been told to stop
	goodbye   bool // and to answer 503
	stoppedAt time.Duration
	hooks     map[int]int // how often the AfterReply function of a request was called
	done      []<-chan struct{}
	requests  map[int]*simRequest
	resumable *conn.Resumable // of "events"
	blamed    []string
	turns     int
}

// maxTurns is far more than any schedule needs.
const maxTurns = 200_000

// The timeouts of the simulation. Honest clients are much faster, others much
// slower.
var simTimeouts = Timeouts{
	Head:   time.Second,
	Body:   time.Second,
	Reply:  2 * time.Second,
	Write:  time.Second,
	Idle:   3 * time.Second,
	Linger: 300 * time.Millisecond,
	// A client with room for a byte takes 200 a second.
	MinRate: 64,
	Grace:   3 * time.Second,
}

// simulate plays one seed to its end.
func simulate(seed uint64, trace io.Writer) (stats simkernel.Stats, err error) {
	w := newWorld(seed, trace)
	defer func() {
		stats = w.k.Stats()
		if v := recover(); v != nil {
			violation, ok := v.(simkernel.Violation)
			if !ok {
				panic(v)
			}
			err = fmt.Errorf("at %v: %s", w.k.Elapsed(), violation)
		}
	}()
	if err := w.l.Run(); err != nil {
		return stats, err
	}
	w.checkEnd()
	return stats, nil
}

func newWorld(seed uint64, trace io.Writer) *world {
	var faults simkernel.Faults
	if seed%4 != 0 { // every fourth has none but those of the network
		f := int(seed % 3 * 20)
		faults = simkernel.Faults{Short: 10 * f, Again: 2 * f, Intr: f, Accept: 2 * f, Control: f / 4, Reset: int(seed % 5), Jump: f / 2, Ghost: f, Meddle: f}
	}
	k := simkernel.New(seed, faults, 4+int(seed%13), trace)
	w := &world{k: k, log: k.Log, hooks: map[int]int{}, requests: map[int]*simRequest{}}
	o := Options{
		Timeouts: simTimeouts,
		MaxConns: 2 + int(seed%11),
		Limits:   conn.Limits{MaxOutput: 1 << (8 + seed%8), MaxBody: 8 << 10, MaxHead: 2 << 10},
		Logger:   quiet,
	}
	handler := w.handle
	if seed%2 != 0 {
		o.HeadFirst, handler = true, w.handleAtHead
	}
	w.resumable = w.simEvents()
	w.l = newLoop(checkedKernel{k, w}, handler, o)
	w.ln = k.Listen()
	if err := w.l.addListener(w.ln.FD, socketFile{}); err != nil {
		panic(err)
	}
	r := k.Rand()
	for id := 1; id <= 1+r.IntN(12); id++ {
		c := newSimClient(w, id)
		w.clients = append(w.clients, c)
		k.At(time.Duration(r.IntN(800))*time.Millisecond, c.connect)
	}
	k.At(time.Duration(r.IntN(6000))*time.Millisecond, w.stop)
	return w
}

// stop is what an operator does, perhaps while requests are on their way.
func (w *world) stop() {
	w.log("the server is told to stop")
	w.stopped, w.stoppedAt = true, w.k.Elapsed()
	w.l.StopListening()
	if w.k.Rand().IntN(2) == 0 {
		w.goodbye = true
		w.l.SetHandler(func(c *conn.Conn) {
			c.CloseAfterReply()
			c.Error(503)
		})
	}
	w.l.SetTimeouts(Timeouts{Idle: 200 * time.Millisecond})
	w.l.StopListening() // again, which must do nothing
}

// checkedKernel is the simulated kernel, with the invariants checked whenever
// the loop has finished a turn.
type checkedKernel struct {
	*simkernel.Kernel
	w *world
}

func (k checkedKernel) Wait(events []kernel.Event, d time.Duration) (int, syscall.Errno) {
	k.w.check(d)
	return k.Kernel.Wait(events, d)
}

func violate(format string, args ...any) {
	panic(simkernel.Violation(fmt.Sprintf(format, args...)))
}

// blame is violate for code that runs within a handler, where a panic would be
// caught.
func (w *world) blame(format string, args ...any) {
	w.blamed = append(w.blamed, fmt.Sprintf(format, args...))
}

// check holds the loop to its invariants, before it waits for d.
func (w *world) check(d time.Duration) {
	l := w.l
	files, listeners := w.k.Open()
	if w.turns++; w.turns > maxTurns {
		violate("the loop has turned %d times: it spins", w.turns)
	}
	if len(w.blamed) > 0 {
		violate("%s", w.blamed[0])
	}
	if l.EpollSize() != files {
		violate("EpollSize is %d, and %d descriptors are open", l.EpollSize(), files)
	}
	if files == 0 && d != 0 {
		violate("the loop waits although nothing holds it")
	}
	conns := 0
	for class := range conn.Classes {
		conns += w.checkList(class, d)
	}
	if conns != files-listeners || conns != l.conns {
		violate("%d connections have a deadline, %d are open, the loop counts %d", conns, files-listeners, l.conns)
	}
	lent := len(l.machines.slots) - len(l.machines.empty)
	if lent > conns {
		violate("%d machines are lent to %d connections", lent, conns)
	}
}

// checkList walks the connections of one class.
func (w *world) checkList(class conn.Class, d time.Duration) (n int) {
	l := w.l
	last := int64(0)
	for fd := l.waiting[class].head; fd != none; fd = l.records.at(fd).next {
		r := l.records.at(fd)
		n++
		switch {
		case r.kind != isConn || r.class != class:
			violate("descriptor %d is in the list of class %v, but is of kind %d and class %v", fd, class, r.kind, r.class)
		case r.since < last:
			violate("descriptor %d is behind one of later activity", fd)
		case l.timeouts[class] < longest && r.since+int64(l.wait(class)) <= l.now && d != 0:
			violate("descriptor %d is past its deadline in class %v, and the loop waits", fd, class)
		}
		last = r.since
		w.checkConn(int(fd), r)
	}
	if n != l.waiting[class].n {
		violate("%d connections in the list of class %v, and %d counted", n, class, l.waiting[class].n)
	}
	return n
}

// checkConn holds a connection to what it needs in order to go on.
func (w *world) checkConn(fd int, r *record) {
	interest, data := w.k.Interest(fd)
	if interest != r.interest || handleOf(data).Generation != r.generation {
		violate("descriptor %d is watched for %x with generation %d, its record says %x and %d",
			fd, interest, handleOf(data).Generation, r.interest, r.generation)
	}
	if r.slot == none {
		if interest&readable != readable {
			violate("descriptor %d is %v and not watched for reading", fd, r.state)
		}
		return
	}
	m := w.l.machines.at(r.slot)
	switch {
	case m.Resting():
		violate("descriptor %d keeps a machine that it does not need", fd)
	case m.WantsRead() && interest&kernel.In == 0 && !w.l.door.isOpen(): // else it is about to be
		violate("descriptor %d in state %v wants to read and is not watched for it", fd, m.State())
	case m.Pending() > 0 && interest&writable == 0 && !r.again:
		violate("descriptor %d has output and is not watched for writing", fd)
	case m.WantsRead() && m.State() <= conn.InBody && len(m.Output()) > w.l.options.Limits.MaxOutput:
		violate("descriptor %d has %d bytes of output and wants to read more requests", fd, len(m.Output()))
	case m.Again() && !r.again:
		violate("descriptor %d could go on and nobody will let it", fd)
	}
}

// checkEnd is what must be so when Run has returned.
func (w *world) checkEnd() {
	if files, _ := w.k.Open(); files != 0 {
		violate("Run has returned with %d descriptors open", files)
	}
	if len(w.blamed) > 0 {
		violate("%s", w.blamed[0])
	}
	if !w.stopped {
		violate("Run has returned and nobody had told it to stop")
	}
	if slices.ContainsFunc(w.l.machines.slots, func(s slot) bool { return s.m != nil }) {
		violate("a machine was not given back")
	}
	if w.l.Post(func() {}) != ErrStopped {
		violate("the door is open after Run has returned")
	}
	for id, n := range w.hooks {
		if n != 1 {
			violate("the AfterReply function of request %d (%s) was called %d times", id, w.requests[id].kind, n)
		}
	}
	if n := w.k.Files(); n != 0 {
		violate("the Done of %d files was not called", n)
	}
	for _, done := range w.done {
		select {
		case <-done:
		default:
			violate("a Done channel is open after Run has returned")
		}
	}
	for _, c := range w.clients {
		c.finish()
	}
}

var quiet = slog.New(slog.DiscardHandler)

// A seed is a schedule: played again it is the same to the byte, or a failure
// could not be looked into.
func TestASeedPlaysTheSameScheduleAgain(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		var first, second bytes.Buffer
		simulate(seed, &first)
		simulate(seed, &second)
		if first.Len() == 0 || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("seed %d plays differently: %d bytes of trace, then %d", seed, first.Len(), second.Len())
		}
	}
}
