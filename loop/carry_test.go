//go:build linux

package loop

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
	"catboat/internal/kernel"
	"catboat/internal/wire"
)

// image is a loop that may be carried into another, as over an exec, but that both are in
// one process. Its clock is a script's.
type image struct {
	*server
	linux *kernel.Linux
	h     conn.Handler
	o     Options
	ended chan struct{} // it runs no more
}

// newImage makes one that does not run yet and has no listener.
func newImage(t testing.TB, h conn.Handler, o Options) *image {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	linux, err := kernel.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	k := &script{Kernel: linux, start: time.Now()}
	i := &image{&server{Loop: newLoop(k, h, o), t: t, k: k, end: make(chan error, 1)}, linux, h, o, make(chan struct{})}
	i.Loop.linux, i.shut = linux, linux.Shut
	return i
}

// firstImage makes one with a listener that runs.
func firstImage(t testing.TB, h conn.Handler, o Options) *image {
	t.Helper()
	i := newImage(t, h, o)
	addr, err := i.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i.addr = addr.String()
	i.start()
	return i
}

// start has it run, until it is carried on.
func (i *image) start() {
	go func() {
		defer close(i.ended)
		i.end <- i.Run()
	}()
}

// rest ends the image when nothing ties a connection to it, and returns what it leaves.
func (i *image) rest() (written []byte, conns, others []int) {
	i.t.Helper()
	i.on(func() {
		i.Inside().EachTurn(func() bool {
			if i.Inside().Ties().Sum() > 0 {
				return true
			}
			written, conns, others = i.Loop.Inside().Rest(nil)
			written = bytes.Clone(written)
			i.shut = func() {} // all stays open
			runtime.Goexit()
			return false
		})
	})
	within(i.t, "the image's end", i.ended)
	return written, conns, others
}

// next carries all into another image, which is returned and runs.
func (i *image) next() *image {
	i.t.Helper()
	size := i.EpollSize()
	written, conns, _ := i.rest()
	n := newImage(i.t, i.h, i.o)
	for _, ln := range i.listeners {
		if err := n.addListener(ln.fd, socketFile{}); err != nil {
			i.t.Fatal(err)
		}
	}
	n.addr = i.addr
	adopted, err := n.Inside().Adopt(written)
	if err != nil || adopted != len(conns) || n.EpollSize() != size {
		i.t.Fatalf("adopted %d of %d: %v; EpollSize is %d and was %d", adopted, len(conns), err, n.EpollSize(), size)
	}
	n.start()
	return n
}

// finish ends the last image: all its clients have gone, or are cut.
func (i *image) finish() {
	i.t.Helper()
	i.StopListening()
	i.Cut()
	if err := within(i.t, "Run to return", i.end); err != nil {
		i.t.Error(err)
	}
}

// carrySite is site, and "/file" a file, "/wait" a reply that waits for 100 s, "/peer" who asks.
func carrySite(file *os.File) conn.Handler {
	return func(c *conn.Conn) {
		switch string(c.Request().Path()) {
		case "/file":
			fd, _ := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			c.ReplyFile(200, "text/plain", conn.FilePart{FD: fd, Length: int64(len(big)), Done: func() { unix.Close(fd) }})
		case "/wait":
			c.ReplyResumable(200, "text/plain", 4, waiting, nil)
		case "/peer":
			c.Reply(200, "text/plain", fmt.Append(nil, c.Request().Peer(), " ", c.ID()))
		default:
			site(c)
		}
	}
}

var waiting = conn.NewResumable("wait/1", func(p *conn.Piece) conn.Next {
	if len(p.State()) == 0 {
		p.SetState([]byte{1})
		return conn.After(100 * time.Second)
	}
	p.WriteString("done")
	return conn.End()
})

var carried = Options{Resumables: []*conn.Resumable{waiting}}

// bigFile has what "/big" has.
func bigFile(t *testing.T) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(name, big, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Whatever a connection is at, it goes on in another image, and in one behind that, and
// so for a while.
func TestConnectionsGoOnInAnotherImage(t *testing.T) {
	i := firstImage(t, carrySite(bigFile(t)), carried)
	slow := []*client{dial(t, i.addr, 1<<20), dial(t, i.addr, 1<<20)} // sockets of a fixed size
	slow[0].send(get("/big") + get("/"))
	slow[1].send(get("/file") + get("/"))
	silent, idle, waits := i.dial(), i.dial(), i.dial()
	idle.ask("/peer", 200, fmt.Sprint(idle.LocalAddr(), " 4"))
	waits.send(get("/wait") + get("/"))
	head, body := get("/long/path"), post(string(pattern(3000)))
	var heads, bodies []*client
	cuts := []int{1, 5, len(head) - 1}
	for _, n := range cuts {
		c := i.dial()
		c.send(head[:n])
		heads = append(heads, c)
		d := i.dial()
		d.send(body[:len(body)-1000*n/len(head)-1])
		bodies = append(bodies, d)
	}
	lingers := i.dial()
	lingers.ask("/last", 200, "last")
	want := Held{Listeners: 1, Head: 4, Body: 3, Stream: 1, Write: 2, Idle: 1, Linger: 1}
	for n := range 4 {
		i.held(want)
		was := i.Counters()
		i = i.next()
		idle.ask("/peer", 200, fmt.Sprint(idle.LocalAddr(), " 4"))
		if is := i.Counters(); is.Accepted != was.Accepted || is.Requests < was.Requests || is.BytesIn < was.BytesIn || is.Statuses[2] < was.Statuses[2] {
			t.Errorf("image %d: the counters begin anew: %+v, were %+v", n, is, was)
		}
		part := make([]byte, 1<<20)
		for _, c := range slow {
			if _, err := io.ReadFull(c.TCPConn, part); err != nil {
				t.Fatal(err)
			}
			c.r = bufio.NewReader(io.MultiReader(bytes.NewReader(slices.Clone(part)), c.TCPConn))
			c.want(200, string(big))
			c.want(200, "hello")
			c.send(get([]string{"/big", "/file"}[n%2]) + get("/"))
		}
	}
	fresh := i.dial()
	fresh.ask("/peer", 200, fmt.Sprint(fresh.LocalAddr(), " 13"))
	fresh.Close()
	for n, c := range heads {
		c.send(head[cuts[n]:])
		c.want(200, "/long/path")
	}
	for n, c := range bodies {
		c.send(body[len(body)-1000*cuts[n]/len(head)-1:])
		c.want(200, string(pattern(3000)))
	}
	silent.ask("/", 200, "hello")
	i.pass(99 * time.Second) // and no more: behind it the other deadlines
	i.pass(time.Second)
	waits.want(200, "done")
	waits.want(200, "hello")
	lingers.Close()
	i.finish()
}

// What is left of a time to wait is what was left of it before.
func TestRemainingTimesAreCarried(t *testing.T) {
	i := firstImage(t, carrySite(nil), Options{Resumables: []*conn.Resumable{waiting},
		Timeouts: Timeouts{Head: 40 * time.Second, Body: 50 * time.Second, Idle: 60 * time.Second, MinRate: -1}})
	head, body, idle, waits := i.dial(), i.dial(), i.dial(), i.dial()
	i.held(Held{Listeners: 1, Head: 4})
	i.pass(5 * time.Second)
	head.send("GET /")
	idle.ask("/", 200, "hello")
	waits.send(get("/wait"))
	i.held(Held{Listeners: 1, Head: 2, Idle: 1, Stream: 1})
	i.pass(5 * time.Second)
	body.send(post("abcd")[:len(post("abcd"))-2])
	i.held(Held{Listeners: 1, Head: 1, Body: 1, Idle: 1, Stream: 1})
	i.pass(10 * time.Second) // 20
	i = i.next()
	i.pass(10 * time.Second) // 30
	i = i.next()
	i.pass(9 * time.Second) // 39
	i.held(Held{Listeners: 1, Head: 1, Body: 1, Idle: 1, Stream: 1})
	i.pass(time.Second)
	head.want(408, "")
	i.pass(20 * time.Second) // 60
	body.want(408, "")
	i.held(Held{Listeners: 1, Linger: 1, Idle: 1, Stream: 1})
	body.Close()
	i.held(Held{Listeners: 1, Idle: 1, Stream: 1})
	i.pass(4 * time.Second) // 64
	i.settled()
	i.held(Held{Listeners: 1, Idle: 1, Stream: 1})
	i.pass(time.Second)
	idle.wantEnd()
	i.pass(39 * time.Second) // 104
	i.held(Held{Listeners: 1, Stream: 1})
	i.pass(time.Second)
	waits.want(200, "done")
	i.finish()
}

// A client that trickles is not given another window by each restart.
func TestPaceIsCarried(t *testing.T) {
	i := firstImage(t, site, Options{Timeouts: Timeouts{MinRate: 100, Grace: 10 * time.Second, Body: time.Hour}})
	c := i.dial()
	c.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
	i.held(Held{Listeners: 1, Body: 1})
	for n := range 5 {
		i.pass(3 * time.Second)
		c.send("x")
		if n < 3 {
			i.until("the byte", func() bool { return i.machines.slots[0].pace.moved == int64(n+1) })
			i = i.next()
			continue
		}
		break
	}
	c.want(408, "")
	i.Cut()
	i.finish()
}

// What ties a connection to an image is waited for.
func TestTiesAreWaitedFor(t *testing.T) {
	h, given := later()
	streamed := make(chan *conn.Stream, 1)
	bodies := make(chan *conn.Body, 1)
	i := firstImage(t, func(c *conn.Conn) {
		switch string(c.Request().Path()) {
		case "/defer":
			h(c)
		case "/stream":
			streamed <- c.ReplyStream(200, "text/plain", -1)
		case "/body":
			b := c.StreamBody()
			b.Each(func(c *conn.Conn, p []byte, err error) int {
				if err == io.EOF {
					c.Reply(200, "text/plain", []byte("body"))
				}
				return len(p)
			})
			bodies <- b
		default:
			site(c)
		}
	}, Options{HeadFirst: true})
	a, b, d := i.dial(), i.dial(), i.dial()
	a.send(get("/defer"))
	b.send(get("/stream"))
	d.send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
	deferral, stream := within(t, "a deferral", given), within(t, "a stream", streamed)
	within(t, "a body", bodies)
	ties := func(want Ties) {
		t.Helper()
		i.until("the ties", func() bool { return i.Inside().Ties() == want })
	}
	ties(Ties{Deferred: 1, Streams: 1, Bodies: 1})
	var n *image
	got := make(chan struct{})
	go func() {
		defer close(got)
		n = i.next()
	}()
	i.until("the function of a turn", func() bool { return i.eachTurn != nil })
	deferral.Reply(200, "text/plain", []byte("later"))
	a.want(200, "later")
	ties(Ties{Streams: 1, Bodies: 1})
	stream.Write([]byte("streamed"))
	stream.Close()
	b.want(200, "streamed")
	ties(Ties{Bodies: 1})
	a.ask("/", 200, "hello") // it serves on
	d.send("b")
	within(t, "the image to be carried", got)
	d.want(200, "body")
	for _, c := range []*client{a, b, d} {
		c.ask("/", 200, "hello")
	}
	n.finish()
}

// Posting from other goroutines goes on while the epoll set is taken over.
func TestPostsAreNotLostWhileALoopIsAdopted(t *testing.T) {
	i := firstImage(t, site, Options{})
	c := i.dial()
	c.ask("/", 200, "hello")
	for range 3 {
		written, _, _ := i.rest()
		n := newImage(t, site, Options{})
		for _, ln := range i.listeners {
			n.addListener(ln.fd, socketFile{})
		}
		var all sync.WaitGroup
		var called sync.WaitGroup
		for range 4 {
			called.Add(50)
			all.Go(func() {
				for range 50 {
					n.Post(called.Done)
				}
			})
		}
		if _, err := n.Inside().Adopt(written); err != nil {
			t.Fatal(err)
		}
		n.start()
		all.Wait()
		called.Wait()
		i = n
		c.ask("/", 200, "hello")
	}
	i.finish()
}

// flags is whether a descriptor is closed by an exec.
func closedOnExec(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC != 0
}

// Connections are kept some at a time, those that come meanwhile too, and KeepNot takes
// all of it back.
func TestKeep(t *testing.T) {
	i := firstImage(t, site, Options{})
	var clients []*client
	open := func(n int) {
		for range n {
			c := i.dial()
			c.ask("/", 200, "hello")
			clients = append(clients, c)
		}
	}
	all := func(want bool) {
		t.Helper()
		i.on(func() {
			for fd := range len(i.records) * pageSize {
				if r := i.records.at(int32(fd)); r.kind == isConn && closedOnExec(t, fd) == want {
					t.Errorf("descriptor %d is closed by an exec: %v", fd, !want)
				}
			}
			if !closedOnExec(t, i.listeners[0].fd) {
				t.Error("the listener is kept already")
			}
		})
	}
	open(10)
	all(false)
	calls := 0
	for done := false; !done; calls++ {
		i.on(func() { done = i.Inside().Keep(100) })
		open(1)
	}
	if calls != 3 { // of a page of 256
		t.Errorf("%d calls", calls)
	}
	open(300) // on the next page
	i.on(func() { i.Inside().Keep(1000) })
	all(true)
	i.on(i.Inside().KeepNot)
	all(false)
	open(1)
	all(false)
	i.finish()
}

func TestWhatCannotBeAdoptedTouchesNothing(t *testing.T) {
	i := firstImage(t, carrySite(bigFile(t)), carried)
	c, d, w := i.dial(), dial(t, i.addr, 1<<20), i.dial()
	c.ask("/", 200, "hello")
	d.send(get("/file"))
	w.send(get("/wait"))
	i.held(Held{Listeners: 1, Idle: 1, Write: 1, Stream: 1})
	written, conns, others := i.rest()
	n := newImage(t, i.h, carried)
	refused := func(what string, n *image, b []byte, says string) {
		t.Helper()
		if got, err := n.Inside().Adopt(b); err == nil || got != 0 || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: adopted %d, %v; want %q", what, got, err, says)
		}
		if n.EpollSize() != 0 || n.conns != 0 {
			t.Errorf("%s: EpollSize is %d", what, n.EpollSize())
		}
	}
	for cut := range written {
		refused(fmt.Sprint("cut at ", cut), n, written[:cut], "")
	}
	refused("longer", n, append(slices.Clone(written), 0), "")
	refused("no epoll set", n, append([]byte{byte(conns[0])}, written[1:]...), "")
	unknown := newImage(t, i.h, Options{})
	refused("unknown", unknown, written, `"wait/1"`)
	taken := newImage(t, i.h, carried)
	taken.records.open(conns[0], isWatch)
	refused("taken", taken, written, fmt.Sprint("descriptor ", conns[0]))
	for _, fd := range slices.Concat(conns, others) {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("descriptor %d is closed", fd)
		}
	}
	if got, err := n.Inside().Adopt(written); err != nil || got != 3 {
		t.Fatalf("then adopted %d, %v", got, err)
	}
	if _, err := n.Inside().Adopt(written); err == nil {
		t.Error("adopted again")
	}
	n.addListener(i.listeners[0].fd, socketFile{})
	n.start()
	c.ask("/", 200, "hello")
	d.want(200, string(big))
	n.finish()
}

// The number of connections is that of the loop's: what was written by hand names
// one twice.
func TestNoDescriptorIsAdoptedTwice(t *testing.T) {
	i := firstImage(t, site, Options{})
	i.dial().ask("/", 200, "hello")
	written, _, _ := i.rest()
	head := i.restHeadSize(t, written)
	twice := append(slices.Clone(written[:head-1]), 2)
	twice = append(append(twice, written[head:]...), written[head:]...)
	n := newImage(t, site, Options{})
	if _, err := n.Inside().Adopt(twice); err == nil || !strings.Contains(err.Error(), "two connections") {
		t.Errorf("adopted twice: %v", err)
	}
	if got, err := n.Inside().Adopt(written); err != nil || got != 1 {
		t.Fatal(got, err)
	}
	n.addListener(i.listeners[0].fd, socketFile{})
	n.start()
	n.finish()
}

// restHeadSize is where the connections begin, one byte behind their number.
func (i *image) restHeadSize(t testing.TB, written []byte) int {
	r := wire.NewReader(written)
	for range 3 + len(new(Counters).all()) + 1 { // no descriptor of its own is watched
		r.Uint()
	}
	r.Count()
	return len(written) - r.Rest()
}

// FuzzAdopt: no bytes crash a loop that is to adopt them.
func FuzzAdopt(f *testing.F) {
	linux, err := kernel.NewLinux()
	if err != nil {
		f.Fatal(err)
	}
	epoll, event := linux.Descriptors()
	var head wire.Writer
	head.Uint(uint64(epoll))
	head.Uint(uint64(event))
	for range 1 + len(new(Counters).all()) {
		head.Uint(1)
	}
	head.Uint(0) // descriptors of its own
	for _, b := range restSeeds(f) {
		f.Add(b)
		f.Add(append(b, 0)) // is refused when all of it has been taken over
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLoop(linux, site, carried)
		l.linux = linux
		_, err := l.readAdoption(wire.NewReader(append(slices.Clone(head.Written()), b...)))
		if l.conns != l.EpollSize() {
			t.Errorf("%d connections, EpollSize %d", l.conns, l.EpollSize())
		}
		if err == nil {
			l.Inside().Rest(nil)
			return
		}
		l.disown()
		for fd := range len(l.records) * pageSize {
			if l.records.isOpen(fd) {
				t.Errorf("descriptor %d is left", fd)
			}
		}
		if l.conns != 0 || l.EpollSize() != 0 || len(l.machines.slots) > 0 || len(l.timers.heap) > 0 {
			t.Errorf("%d connections are left, EpollSize %d", l.conns, l.EpollSize())
		}
	})
}

// restSeeds are connections as loops write them down, behind the loop's own part.
func restSeeds(f *testing.F) (seeds [][]byte) {
	for _, sent := range []string{"", "GET /", get("/"), get("/wait"), post("abcd")[:len(post("abcd"))-2], get("/last")} {
		linux, err := kernel.NewLinux()
		if err != nil {
			f.Fatal(err)
		}
		l := newLoop(linux, carrySite(nil), carried)
		l.linux = linux
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			f.Fatal(err)
		}
		l.admit(pair[0], (&record{peerKind: ip4Peer}).addrPort())
		if sent != "" {
			l.feed(pair[0], l.records.at(int32(pair[0])), []byte(sent))
		}
		written, _, _ := l.Inside().Rest(nil)
		i := image{}
		seeds = append(seeds, bytes.Clone(written[i.restHeadSize(f, written)-1:]))
		l.Cut()
		unix.Close(pair[1])
		linux.Shut()
	}
	return seeds
}
