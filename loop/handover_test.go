//go:build linux

package loop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
	"catboat/internal/wire"
)

// hand takes connections out of the image, as many as have at most so many descriptors.
func (i *image) hand(most int) (h *Handing) {
	i.t.Helper()
	i.on(func() { h = i.Inside().HandSome(most, nil) })
	return h
}

// passed is what a descriptor is called when it has come to another process.
func passed(t *testing.T, fds []int) (as []int) {
	t.Helper()
	for _, fd := range fds {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, n)
	}
	return as
}

// handTo hands over what is free, and returns how many connections are left.
func (i *image) handTo(t *testing.T, n *image) (left int) {
	t.Helper()
	for {
		h := i.hand(5)
		if h == nil {
			i.on(func() { left = i.Inside().Conns() })
			return left
		}
		if len(h.FDs) > 5 {
			t.Errorf("%d descriptors in a batch", len(h.FDs))
		}
		as := passed(t, h.FDs)
		n.on(func() {
			if err := n.Inside().AdoptSome(h.Written, h.FDs, as); err != nil {
				t.Error(err)
			}
		})
		i.on(func() { i.Inside().Handed(h) })
	}
}

// Whatever a connection is at, as long as nothing ties it, it goes on in another
// process, and there and back again.
func TestConnectionsAreHandedOver(t *testing.T) {
	h := carrySite(bigFile(t))
	deferred, given := later()
	handler := func(c *conn.Conn) {
		if string(c.Request().Path()) == "/defer" {
			deferred(c)
			return
		}
		h(c)
	}
	a := firstImage(t, handler, carried)
	b := firstImage(t, handler, carried)
	var idle, heads, bodies, waits, slow []*client
	head, body := get("/long/path"), post("abcdef")
	for n := range 7 {
		idle, heads, bodies, waits = append(idle, a.dial()), append(heads, a.dial()), append(bodies, a.dial()), append(waits, a.dial())
		idle[n].ask("/", 200, "hello")
		heads[n].send(head[:n+1])
		bodies[n].send(body[:len(body)-n-1])
		waits[n].send(get("/wait"))
	}
	for n := range 4 {
		slow = append(slow, dial(t, a.addr, 1<<20))
		slow[n].send(get([]string{"/big", "/file"}[n%2]) + get("/"))
	}
	tied, silent := a.dial(), a.dial()
	tied.send(get("/defer"))
	d := within(t, "a deferral", given)
	all := Held{Listeners: 1, Head: 9, Body: 6, Reply: 1, Stream: 7, Write: 4, Idle: 7} // of one body not even the head is whole
	a.held(all)
	for n := range 3 {
		from, to := a, b
		if n%2 == 1 {
			from, to = b, a
		}
		left := from.handTo(t, to)
		if want := 1 - n%2; left != want {
			t.Errorf("%d are left, want %d", left, want)
		}
		if size := from.EpollSize(); size != 1+left {
			t.Errorf("EpollSize is %d with %d left", size, left)
		}
		all.Reply = n % 2
		to.held(all)
		idle[n].ask("/", 200, "hello")
	}
	d.Reply(200, "text/plain", []byte("later"))
	tied.want(200, "later")
	if left := a.handTo(t, b); left != 0 {
		t.Errorf("%d are left", left)
	}
	for n := range 7 {
		idle[n].ask("/", 200, "hello")
		heads[n].send(head[n+1:])
		heads[n].want(200, "/long/path")
		bodies[n].send(body[len(body)-n-1:])
		bodies[n].want(200, "abcdef")
	}
	for _, c := range slow {
		c.want(200, string(big))
		c.want(200, "hello")
	}
	silent.ask("/", 200, "hello")
	tied.ask("/peer", 200, fmt.Sprint(tied.LocalAddr(), " 67")) // it has a new number here: 33 have come back before
	b.pass(100 * time.Second)
	for _, c := range waits {
		c.want(200, "done")
	}
	a.finish()
	b.finish()
}

// What the other process does not take goes on here as if nothing had happened.
func TestConnectionsAreTakenBack(t *testing.T) {
	a := firstImage(t, carrySite(bigFile(t)), carried)
	idle, head, waits, slow, lingers := a.dial(), a.dial(), a.dial(), dial(t, a.addr, 1<<20), a.dial()
	idle.ask("/", 200, "hello")
	head.send("GET /")
	waits.send(get("/wait"))
	slow.send(get("/file") + get("/"))
	lingers.ask("/last", 200, "last")
	all := Held{Listeners: 1, Head: 1, Stream: 1, Write: 1, Idle: 1, Linger: 1}
	a.held(all)
	a.pass(time.Second)
	for range 3 {
		h := a.hand(100)
		if h == nil || len(h.FDs) != 6 {
			t.Fatalf("taken out: %+v", h)
		}
		idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") // nobody reads it meanwhile
		a.held(Held{Listeners: 1})
		if n := a.EpollSize(); n != 6 {
			t.Errorf("EpollSize is %d", n)
		}
		if more := a.hand(100); more != nil {
			t.Errorf("taken out twice: %+v", more)
		}
		a.on(func() { a.Inside().TakeBack(h) })
		idle.want(200, "hello")
		a.held(all)
	}
	lingers.Close()
	head.send(" HTTP/1.1\r\nHost: h\r\n\r\n")
	head.want(200, "hello")
	slow.want(200, string(big))
	slow.want(200, "hello")
	a.pass(99 * time.Second)
	waits.want(200, "done")
	a.finish()
}

// Deadlines of who is away do not pass, and the end of a loop waits for them.
func TestWhoIsAwayIsLeftAlone(t *testing.T) {
	a := firstImage(t, site, Options{})
	c := a.dial()
	c.ask("/", 200, "hello")
	h := a.hand(100)
	a.pass(time.Hour)
	a.Cut()
	a.settled()
	if n := a.EpollSize(); n != 2 {
		t.Errorf("EpollSize is %d", n)
	}
	a.on(func() { a.Inside().TakeBack(h) })
	c.ask("/", 200, "hello")
	a.finish()
}

// A batch that cannot be read changes nothing.
func TestBatchThatIsNoneIsRefusedWhole(t *testing.T) {
	a, b := firstImage(t, carrySite(bigFile(t)), carried), firstImage(t, site, Options{})
	c, d, w := a.dial(), dial(t, a.addr, 1<<20), a.dial()
	c.ask("/", 200, "hello")
	d.send(get("/file"))
	a.held(Held{Listeners: 1, Head: 1, Write: 1, Idle: 1})
	h := a.hand(100)
	as := passed(t, h.FDs)
	refused := func(what string, written []byte, names, fds []int) {
		t.Helper()
		size := b.EpollSize()
		b.on(func() {
			if err := b.Inside().AdoptSome(written, names, fds); err == nil {
				t.Errorf("%s: adopted", what)
			}
		})
		if n := b.EpollSize(); n != size {
			t.Errorf("%s: EpollSize is %d and was %d", what, n, size)
		}
	}
	for cut := range h.Written {
		refused(fmt.Sprint("cut at ", cut), h.Written[:cut], h.FDs, as)
	}
	refused("longer", append(slices.Clone(h.Written), 0), h.FDs, as)
	for n := range h.FDs {
		refused("a descriptor too few", h.Written, slices.Delete(slices.Clone(h.FDs), n, n+1), slices.Delete(slices.Clone(as), n, n+1))
	}
	same := slices.Clone(as)
	for n := range same {
		same[n] = as[0]
	}
	refused("one descriptor for all", h.Written, h.FDs, same)
	b.on(func() {
		if err := b.Inside().AdoptSome(h.Written, h.FDs, as); err != nil {
			t.Error(err)
		}
	})
	refused("a second time", h.Written, h.FDs, as)
	a.on(func() { a.Inside().Handed(h) })
	c.ask("/", 200, "hello")
	d.want(200, string(big))
	w.ask("/", 200, "hello")
	a.finish()
	b.finish()
}

// The listener of another process goes on while this one does not look at it.
func TestListenersPauseAndAreLeft(t *testing.T) {
	a := firstImage(t, site, Options{})
	a.on(func() { a.Inside().PauseListening(false) })
	c := a.dial()
	c.send(get("/"))
	a.held(Held{Listeners: 1})
	a.on(func() { a.Inside().PauseListening(true) })
	c.want(200, "hello")
	var other int
	a.on(func() {
		other = passed(t, []int{a.listeners[0].fd})[0]
		a.Inside().AbandonListeners()
	})
	defer unix.Close(other)
	if n := a.EpollSize(); n != 1 {
		t.Errorf("EpollSize is %d", n)
	}
	a.dial() // the other one's queue takes it
	c.ask("/", 200, "hello")
	c.Close()
	if err := within(t, "Run to return", a.end); err != nil {
		t.Error(err)
	}
}

// FuzzAdoptSome: no batch crashes a loop.
func FuzzAdoptSome(f *testing.F) {
	for _, b := range restSeeds(f) {
		f.Add(b, uint16(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, named uint16) {
		l := newLoop(newScript(t), site, carried)
		r := wire.NewReader(b)
		numbers := map[int]int{int(named): 1000}
		files := fileUses{}
		for range r.Count() {
			if _, err := l.readHanded(r, files, numbers); err != nil {
				return
			}
		}
	})
}
