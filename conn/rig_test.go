package conn

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const testDate = "Thu, 01 Jan 1970 00:00:00 GMT"

var errReset = errors.New("reset by the client")

// rig is a machine and the world around it, which does as a loop does: it feeds
// what is in the socket while the machine wants it, writes what there is, and
// calls what was posted when asked to.
type rig struct {
	t   testing.TB
	env *Env
	m   *Machine
	who Identity

	socket []string // what the client has sent and nobody has read
	fin    bool     // and FIN behind it
	step   int      // how many bytes the kernel takes at once; 0: all, negative: none
	out    []byte   // what it has taken

	mu     sync.Mutex
	posted []func()      // guarded by mu
	wake   chan struct{} // something is posted
	log    []string      // faults, AfterReply functions, whatever a handler says

	deferred []Deferred // as the handlers of handlers_test.go left them, like all below
	streams  []*Stream
	bodies   []*Body
	owed     map[string]int // calls that are yet to come, by what they are of
}

// files are what a FilePart's descriptor stands for.
var files = map[int]string{3: "0123456789", 4: "abcdef", 5: strings.Repeat("x", 5000)}

// newRig is a rig with a fresh connection whose requests are for h, or if it is
// nil for the handler of handlers_test.go.
func newRig(t testing.TB, c Config, h Handler) *rig {
	t.Helper()
	r := &rig{t: t, wake: make(chan struct{}, 1)}
	c.Post = r.post
	loop := goroutine()
	c.Here = func() bool { return goroutine() == loop }
	c.Fault = func(c *Conn, what string, value any) {
		if value != nil {
			what += fmt.Sprint(": ", value)
		}
		r.say("fault: " + what)
	}
	r.env = NewEnv(c)
	r.env.SetDate([]byte(testDate))
	if h == nil {
		h = r.handler
	}
	r.env.SetHandler(h)
	r.m = NewMachine(r.env)
	r.accept()
	return r
}

// accept gives the machine the next connection.
func (r *rig) accept() {
	r.who.ID++
	r.who.Handle.Generation++
	r.who.Peer = netip.MustParseAddrPort("192.0.2.1:4711")
	r.socket, r.fin, r.out, r.posted, r.log = nil, false, nil, nil, nil
	r.deferred, r.streams, r.bodies, r.owed = nil, nil, nil, map[string]int{}
	r.env.stopping = false
	r.m.Begin(Fresh, r.who)
}

// post queues f for runPosted, where it is called if the connection is still there.
func (r *rig) post(h Handle, f func(*Machine)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posted = append(r.posted, func() {
		if h == r.who.Handle && r.m.State() != Closed {
			f(r.m)
		}
	})
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return nil
}

// goroutine is the number of the one that calls.
func goroutine() string {
	var trace [32]byte
	number, _, _ := strings.Cut(string(trace[:runtime.Stack(trace[:], false)]), "[")
	return number
}

// await serves what is posted until done is closed.
func (r *rig) await(what string, done <-chan struct{}) {
	r.t.Helper()
	tooLong := time.After(time.Minute)
	for {
		select {
		case <-r.wake:
			r.runPosted()
		case <-done:
			r.runPosted()
			return
		case <-tooLong:
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// background runs f in a goroutine that has ended when the channel is closed.
func background(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// runPosted calls what is posted, and not what that posts.
func (r *rig) runPosted() {
	r.mu.Lock()
	run := r.posted
	r.posted = nil
	r.mu.Unlock()
	for _, f := range run {
		f()
		r.pump()
	}
}

// runAllPosted calls what is posted until nothing is.
func (r *rig) runAllPosted() {
	for r.hasPosted() {
		r.runPosted()
	}
}

func (r *rig) hasPosted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.posted) > 0
}

func (r *rig) say(what string) { r.log = append(r.log, what) }

// send puts pieces into the socket. Each is read by itself.
func (r *rig) send(pieces ...string) {
	r.socket = append(r.socket, pieces...)
	r.pump()
}

// sendFIN is the client's FIN behind all that it has sent.
func (r *rig) sendFIN() {
	r.fin = true
	if !r.m.WantsRead() {
		r.m.Leaving()
	}
	r.pump()
}

// pump goes on until the machine waits for the client, or for a handler.
func (r *rig) pump() {
	for {
		r.write()
		switch {
		case r.m.Again():
			r.m.Continue()
		case !r.m.WantsRead():
			return
		case len(r.socket) > 0:
			p := r.socket[0]
			r.socket = r.socket[1:]
			r.m.Feed([]byte(p))
		case r.fin:
			r.fin = false
			r.m.EOF()
		default:
			return
		}
	}
}

// write has the kernel take what there is, in steps.
func (r *rig) write() {
	for r.step >= 0 && r.m.Pending() > 0 {
		n := len(r.next())
		if r.step > 0 {
			n = min(n, r.step)
		}
		r.wrote(n)
	}
}

// next is what write(2) or sendfile(2) would take next.
func (r *rig) next() []byte {
	f, ok := r.m.File()
	if !ok {
		return r.m.Output()
	}
	text := files[f.FD]
	text = text[min(f.Offset, int64(len(text))):]
	return []byte(text[:min(f.Length, int64(len(text)))])
}

// wrote has it take n bytes.
func (r *rig) wrote(n int) {
	p := r.next()
	if _, ok := r.m.File(); ok && len(p) == 0 {
		r.m.Truncated()
		return
	}
	r.out = append(r.out, p[:n]...)
	r.m.Wrote(n)
}

// takeOut is what was written since it was last asked.
func (r *rig) takeOut() string {
	out := string(r.out)
	r.out = nil
	return out
}

// takeLog is what was said since it was last asked.
func (r *rig) takeLog() []string {
	log := r.log
	r.log = nil
	return log
}

func (r *rig) wantState(want State) {
	r.t.Helper()
	if got := r.m.State(); got != want {
		r.t.Errorf("state is %v, want %v", got, want)
	}
}

func (r *rig) wantOut(want string) {
	r.t.Helper()
	if got := r.takeOut(); got != want {
		r.t.Errorf("wrote\n%q\nwant\n%q", got, want)
	}
}

func (r *rig) wantLog(want ...string) {
	r.t.Helper()
	if got := r.takeLog(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.t.Errorf("log is %q, want %q", got, want)
	}
}

// wantResting wants nothing to be left of the connection but its state.
func (r *rig) wantResting() {
	r.t.Helper()
	if !r.m.Resting() {
		r.t.Errorf("%v and not resting", r.m.State())
	}
	r.wantNothingKept()
}

// wantNothingKept wants the machine to keep nothing of the requests it has had.
func (r *rig) wantNothingKept() {
	r.t.Helper()
	m, req := r.m, &r.m.conn.req
	if len(m.in.b)+len(m.held.b) > 0 || m.Pending() > 0 {
		r.t.Errorf("%d and %d bytes in, %d out are kept", len(m.in.b), len(m.held.b), m.Pending())
	}
	for _, f := range m.out.files[:cap(m.out.files)] {
		if f.done != nil {
			r.t.Error("a Done is kept")
		}
	}
	if reply := m.reply; reply.open() || reply.piece.env != nil || len(reply.piece.state) > 0 || reply.waiting || reply.waits || reply.told {
		r.t.Error("something of the last reply is kept")
	}
	if m.body.stream != nil || m.body.whole != nil {
		r.t.Error("something of the last body is kept")
	}
	if m.in.lent != nil || m.held.lent != nil || m.out.lent != nil {
		r.t.Error("a buffer of the pool is kept")
	}
	if m.conn.deferral != nil || m.sealed != 0 || len(m.conn.fields) != 0 || req.raw != nil || req.body != nil || req.tail != nil {
		r.t.Error("something of the last request is kept")
	}
	for _, f := range m.hooks[:cap(m.hooks)] {
		if f.f != nil {
			r.t.Error("a function of AfterReply is kept")
		}
	}
	for _, kept := range [][]byte{m.in.b, m.in.kept, m.held.b, m.held.kept, m.out.b, m.out.kept, m.conn.fields, req.spare, m.reply.piece.state} {
		if cap(kept) > keptBuffer {
			r.t.Errorf("%d bytes of memory are kept", cap(kept))
		}
	}
}

// get is a request to that path.
func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// ok is a plain reply with a body.
func ok(body string, fields ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n", testDate, len(body))
	for _, f := range fields {
		s.WriteString(f + "\r\n")
	}
	return s.String() + "\r\n" + body
}

// page is a reply with the generic page.
func page(status string, fields ...string) string {
	body := "<!doctype html>\n<html lang=\"en\"><title>" + status + "</title>\n<h1>" + status + "</h1>\n</html>\n"
	var s strings.Builder
	fmt.Fprintf(&s, "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n", status, testDate, len(body))
	for _, f := range fields {
		s.WriteString(f + "\r\n")
	}
	return s.String() + "\r\n" + body
}

func newReader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }
