//go:build linux

package loop

import (
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"catboat/internal/kernel"
)

// script is the real kernel with a clock that stands until the test moves it.
// Calls fail or fall short as the test says, and all are in the log.
type script struct {
	kernel.Kernel
	start time.Time

	// batch, if set, changes what Wait returns. It runs on the loop's goroutine.
	batch func(real []kernel.Event) []kernel.Event

	accepts int // if not 0, the descriptor that the next connection is to have

	mu     sync.Mutex
	passed time.Duration
	faults [calls][]fault
	log    []entry
	wanted func() bool // what a test waits for, and
	seen   chan struct{}
}

// call is one of the kernel's.
type call uint8

const (
	onAccept call = iota
	onRead
	onWrite
	onWriteMore
	onSendfile
	onCloseWrite
	onUnacked
	onClose
	onReset
	onAdd
	onModify
	onWait
	calls
)

// fault is what a call does in place of what it should.
type fault struct {
	errno syscall.Errno
	most  int  // if not 0, how much is read, written or said to be unacknowledged
	stays bool // for all calls, until the test takes it back
}

// entry is a call that was made. What it wanted is bytes, or events to watch.
type entry struct {
	call      call
	fd        int
	want, got int
	errno     syscall.Errno
}

// newScript makes a kernel and gives it up when the test ends.
func newScript(t testing.TB) *script {
	t.Helper()
	k, err := kernel.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Shut)
	return &script{Kernel: k, start: time.Now()}
}

// fail has the next calls of that kind fail, one after the other.
func (k *script) fail(c call, with ...syscall.Errno) {
	for _, errno := range with {
		k.plan(c, fault{errno: errno})
	}
}

// short has the next calls of that kind deal with so many bytes at most.
func (k *script) short(c call, most ...int) {
	for _, n := range most {
		k.plan(c, fault{most: n})
	}
}

func (k *script) plan(c call, f fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults[c] = append(k.faults[c], f)
}

// heal takes back what is planned for that kind of call.
func (k *script) heal(c call) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults[c] = nil
}

// due is the fault that the next call of that kind has.
func (k *script) due(c call) (f fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if plan := k.faults[c]; len(plan) > 0 {
		f = plan[0]
		if !f.stays {
			k.faults[c] = plan[1:]
		}
	}
	return f
}

// do makes a call, or has its fault, and notes it.
func (k *script) do(c call, fd, want int, real func(most int) (int, syscall.Errno)) (int, syscall.Errno) {
	f := k.due(c)
	most := want
	if f.most > 0 {
		most = min(want, f.most)
	}
	n, errno := 0, f.errno
	if errno == 0 {
		n, errno = real(most)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.log = append(k.log, entry{c, fd, want, n, errno})
	return n, errno
}

// calls is the calls of those kinds, all but the first few of the log.
func (k *script) calls(from int, kinds ...call) (made []entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.log[from:] {
		for _, c := range kinds {
			if e.call == c {
				made = append(made, e)
			}
		}
	}
	return made
}

// count is how many calls of that kind were made since the log had from entries.
func (k *script) count(from int, c call) int { return len(k.calls(from, c)) }

// mark is how many entries the log has.
func (k *script) mark() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.log)
}

func (k *script) Accept(fd int) (conn int, peer netip.AddrPort, errno syscall.Errno) {
	conn, errno = k.do(onAccept, fd, 0, func(int) (n int, errno syscall.Errno) {
		n, peer, errno = k.Kernel.Accept(fd)
		if errno == 0 && k.accepts != 0 && n != k.accepts {
			syscall.Dup3(n, k.accepts, syscall.O_CLOEXEC)
			k.Kernel.Close(n)
			n = k.accepts
		}
		return n, errno
	})
	return conn, peer, errno
}

func (k *script) Read(fd int, p []byte) (int, syscall.Errno) {
	return k.do(onRead, fd, len(p), func(most int) (int, syscall.Errno) { return k.Kernel.Read(fd, p[:most]) })
}

func (k *script) WriteMore(fd int, p []byte) (int, syscall.Errno) {
	return k.do(onWriteMore, fd, len(p), func(most int) (int, syscall.Errno) { return k.Kernel.WriteMore(fd, p[:most]) })
}

func (k *script) Write(fd int, p []byte) (int, syscall.Errno) {
	return k.do(onWrite, fd, len(p), func(most int) (int, syscall.Errno) { return k.Kernel.Write(fd, p[:most]) })
}

func (k *script) Sendfile(fd, file int, offset int64, length int) (int, syscall.Errno) {
	return k.do(onSendfile, fd, length, func(most int) (int, syscall.Errno) { return k.Kernel.Sendfile(fd, file, offset, most) })
}

func (k *script) CloseWrite(fd int) syscall.Errno {
	return k.plain(onCloseWrite, fd, 0, func() syscall.Errno { return k.Kernel.CloseWrite(fd) })
}

func (k *script) Unacked(fd int) (int, syscall.Errno) {
	return k.do(onUnacked, fd, 1<<30, func(most int) (int, syscall.Errno) {
		n, errno := k.Kernel.Unacked(fd)
		if most < 1<<30 {
			n = most
		}
		return n, errno
	})
}

func (k *script) Close(fd int) syscall.Errno {
	return k.plain(onClose, fd, 0, func() syscall.Errno { return k.Kernel.Close(fd) })
}

func (k *script) Reset(fd int) syscall.Errno {
	return k.plain(onReset, fd, 0, func() syscall.Errno { return k.Kernel.Reset(fd) })
}

func (k *script) Add(fd int, events uint32, data uint64) syscall.Errno {
	return k.plain(onAdd, fd, events, func() syscall.Errno { return k.Kernel.Add(fd, events, data) })
}

func (k *script) Modify(fd int, events uint32, data uint64) syscall.Errno {
	return k.plain(onModify, fd, events, func() syscall.Errno { return k.Kernel.Modify(fd, events, data) })
}

// plain is do for calls that return an errno alone.
func (k *script) plain(c call, fd int, events uint32, real func() syscall.Errno) syscall.Errno {
	_, errno := k.do(c, fd, int(events), func(int) (int, syscall.Errno) { return 0, real() })
	return errno
}

func (k *script) Wait(events []kernel.Event, d time.Duration) (int, syscall.Errno) {
	k.look()
	return k.do(onWait, none, len(events), func(most int) (int, syscall.Errno) {
		n, errno := k.Kernel.Wait(events[:most], d)
		if k.batch != nil && errno == 0 {
			n = copy(events, k.batch(events[:n]))
		}
		return n, errno
	})
}

// withhold is a batch function that keeps all events from the loop, and closes
// arrived when there is one.
func withhold(arrived chan struct{}) func([]kernel.Event) []kernel.Event {
	told := false
	return func(real []kernel.Event) (given []kernel.Event) {
		for _, e := range real {
			if kernel.Data(&e) == kernel.Woken {
				given = append(given, e)
			} else if !told {
				told = true
				close(arrived)
			}
		}
		return given
	}
}

// noRoom is a batch function that keeps from the loop that sockets take output.
func noRoom(real []kernel.Event) (given []kernel.Event) {
	for _, e := range real {
		if e.Events &^= kernel.Out; e.Events != 0 {
			given = append(given, e)
		}
	}
	return given
}

// whenRoom is noRoom but for one wait each time that room says so.
func whenRoom(room chan bool) func([]kernel.Event) []kernel.Event {
	return func(real []kernel.Event) []kernel.Event {
		if !slices.ContainsFunc(real, func(e kernel.Event) bool { return e.Events&kernel.Out != 0 }) {
			return real
		}
		select {
		case <-room:
			return real
		default:
			return noRoom(real)
		}
	}
}

// Now is documented at [kernel.Kernel].
func (k *script) Now() (monotonic time.Duration, wall time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.passed, k.start.Add(k.passed)
}

// look sees whether what a test waits for has come. The loop is about to wait
// then: nothing is half done.
func (k *script) look() {
	k.mu.Lock()
	wanted := k.wanted
	k.mu.Unlock()
	if wanted != nil && wanted() {
		k.mu.Lock()
		k.wanted = nil
		k.mu.Unlock()
		close(k.seen)
	}
}

// until waits for f to hold. f is called on the loop's goroutine, each time that
// the loop is about to wait.
func (k *script) until(t testing.TB, what string, f func() bool) {
	t.Helper()
	seen := make(chan struct{})
	k.mu.Lock()
	k.wanted, k.seen = f, seen
	k.mu.Unlock()
	k.Wake()
	within(t, what, seen)
}

// move sets the clock forward.
func (k *script) move(d time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passed += d
	return k.passed
}
