//go:build linux

package loop

import (
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
)

const (
	halfHead = "GET / HTTP/1.1\r\nHo"
	halfBody = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf"
)

// read waits until the loop has read so many bytes in all.
func (s *server) read(bytes int) {
	s.t.Helper()
	s.until("bytes to be read", func() bool {
		sum := 0
		for _, e := range s.k.calls(0, onRead) {
			sum += e.got
		}
		return sum >= bytes
	})
}

func TestEachDeadlineIsKeptToTheNanosecond(t *testing.T) {
	for _, row := range []struct {
		name   string
		send   string
		reply  string // read before the time passes
		class  Held
		after  time.Duration
		status int // the answer when the time is up; 0 for none
	}{
		{"not a byte", "", "", Held{Head: 1}, 10 * time.Second, 0},
		{"an empty line", "\r\n", "", Held{Head: 1}, 10 * time.Second, 0},
		{"head", halfHead, "", Held{Head: 1}, 10 * time.Second, 408},
		{"a later head", get("/") + halfHead, "hello", Held{Head: 1}, 10 * time.Second, 408},
		{"body", halfBody, "", Held{Body: 1}, 20 * time.Second, 408},
		{"reply", get("/later"), "", Held{Reply: 1}, 5 * time.Minute, 503},
		{"idle", get("/"), "hello", Held{Idle: 1}, 75 * time.Second, 0},
		{"linger", get("/last"), "last", Held{Linger: 1}, 2 * time.Second, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, func(c *conn.Conn) {
				if string(c.Request().Path()) == "/later" {
					c.Defer()
					return
				}
				site(c)
			}, Options{})
			c := s.dial()
			c.send(row.send)
			if row.reply != "" {
				c.want(200, row.reply)
			}
			row.class.Listeners = 1
			s.read(len(row.send))
			s.held(row.class)
			s.pass(row.after - 1)
			s.held(row.class)
			s.pass(1)
			if row.status != 0 {
				c.want(row.status, "")
			} else {
				c.wantEnd()
			}
			s.held(map[int]Held{408: {Listeners: 1, Linger: 1}, 503: {Listeners: 1, Idle: 1}, 0: {Listeners: 1}}[row.status])
		})
	}
}

func TestHeadDeadlineIsNotMovedByDrippingBytes(t *testing.T) {
	for _, row := range []struct{ name, before string }{
		{"the first head", ""},
		{"a later head", get("/")},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{})
			c := s.dial()
			c.send(row.before)
			if row.before != "" {
				c.want(200, "hello")
				s.pass(time.Minute)
			}
			sent := len(row.before)
			for _, b := range []byte(halfHead)[:10] {
				c.send(string(b))
				sent++
				s.read(sent)
				s.pass(999 * time.Millisecond)
				s.held(Held{Listeners: 1, Head: 1})
			}
			s.pass(10 * time.Millisecond)
			c.want(408, "")
		})
	}
}

func TestHeadDeadlineBeginsAnewWithEachHead(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	c.send(get("/")[:20])
	sent := 20
	for range 5 { // each time the rest of a head and half of the next, in one read
		s.read(sent)
		s.pass(9 * time.Second)
		s.held(Held{Listeners: 1, Head: 1})
		c.send(get("/")[20:] + get("/")[:20])
		sent += len(get("/"))
	}
}

func TestBodyDeadlineIsMovedByEachByte(t *testing.T) {
	s := serve(t, site, Options{Timeouts: Timeouts{MinRate: -1}})
	c := s.dial()
	request := post("slow body")
	c.send(request[:len(request)-9])
	for i := len(request) - 9; i < len(request); i++ {
		s.read(i)
		s.pass(19 * time.Second)
		s.held(Held{Listeners: 1, Body: 1})
		c.send(request[i : i+1])
	}
	c.want(200, "slow body")
}

func TestReplyThatComesTooLateIsToldSo(t *testing.T) {
	h, given := later()
	s := serve(t, h, Options{})
	c := s.dial()
	c.send(get("/"))
	d := within(t, "the handler", given)
	s.held(Held{Listeners: 1, Reply: 1})
	s.pass(5 * time.Minute)
	if err := d.Reply(200, "", nil); err != conn.ErrReplied {
		t.Errorf("Reply returned %v", err)
	}
	within(t, "Done", d.Done())
	c.want(503, "")
}

func TestClientThatDoesNotReadIsReset(t *testing.T) {
	var told []error
	s := serve(t, func(c *conn.Conn) {
		c.AfterReply(func(_ *conn.Conn, err error) { told = append(told, err) })
		site(c)
	}, Options{})
	c := s.dial()
	c.send(get("/big"))
	s.held(Held{Listeners: 1, Write: 1})
	s.pass(20*time.Second - 1)
	s.held(Held{Listeners: 1, Write: 1})
	for range 3 { // what the socket's buffers still took since the output stopped is progress
		s.pass(20 * time.Second)
	}
	s.held(Held{Listeners: 1})
	c.wantReset()
	if s.on(func() {}); len(told) != 1 || told[0] != conn.ErrGone {
		t.Errorf("AfterReply was told %v", told)
	}
	if n := s.k.count(0, onReset); n != 1 {
		t.Errorf("%d resets", n)
	}
}

func TestWriteDeadlineIsMovedByWhatTheClientAcknowledges(t *testing.T) {
	s := prepare(t, site, Options{Timeouts: Timeouts{MinRate: -1}})
	s.k.batch = noRoom
	s.k.short(onUnacked, 1000, 999, 998, 10, 10)
	s.run()
	c := s.dial()
	c.send(get("/big"))
	s.held(Held{Listeners: 1, Write: 1})
	for range 3 {
		s.pass(20 * time.Second)
		s.held(Held{Listeners: 1, Write: 1})
	}
	for range 4 {
		s.pass(4 * time.Second)
		s.held(Held{Listeners: 1, Write: 1})
	}
	s.pass(4*time.Second - 1)
	s.held(Held{Listeners: 1, Write: 1})
	s.pass(1)
	s.held(Held{Listeners: 1})
	c.wantReset()
}

// It is looked at five times within the deadline. So what the sockets of one that does
// not read still take when the output stops costs a fifth more, and one that reads
// a little within each deadline lives.
func TestWriteDeadlineCountsFromTheLastThatWasAcknowledged(t *testing.T) {
	for _, row := range []struct {
		name    string
		unacked []int // when the output stops, and each 4 s
		looks   int   // so many of them
	}{
		{"nothing", []int{100, 100, 100, 100, 100, 100}, 5},
		{"a little at first", []int{100, 90, 90, 90, 90, 90, 90}, 6},
		{"a little in time", []int{100, 100, 100, 100, 100, 90, 90, 90, 90, 80, 80, 80, 80, 80, 80}, 14},
		{"more than before is nothing", []int{100, 110, 120, 110, 120, 110}, 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := prepare(t, site, Options{Timeouts: Timeouts{MinRate: -1}})
			s.k.batch = noRoom
			s.k.short(onUnacked, row.unacked...)
			s.run()
			c := s.dial()
			c.send(get("/big"))
			s.held(Held{Listeners: 1, Write: 1})
			for range row.looks - 1 {
				s.pass(4 * time.Second)
				s.held(Held{Listeners: 1, Write: 1})
			}
			s.pass(4*time.Second - 1)
			s.held(Held{Listeners: 1, Write: 1})
			s.pass(1)
			s.held(Held{Listeners: 1})
			c.wantReset()
		})
	}
}

// A write is progress, and with it the time begins anew.
func TestWriteDeadlineForgetsWhatWasBeforeAWrite(t *testing.T) {
	s := prepare(t, site, Options{Timeouts: Timeouts{MinRate: -1}})
	room := make(chan bool, 1)
	s.k.batch = whenRoom(room)
	s.k.short(onWrite, 1, 1)
	s.k.plan(onUnacked, fault{most: 1000, stays: true})
	s.run()
	c := s.dial()
	c.send(get("/"))
	s.held(Held{Listeners: 1, Write: 1})
	for range 4 {
		s.pass(4 * time.Second)
	}
	room <- true
	s.until("a write", func() bool { return s.k.count(0, onWrite) > 1 })
	for range 4 {
		s.pass(4 * time.Second)
		s.held(Held{Listeners: 1, Write: 1})
	}
	s.pass(4 * time.Second)
	s.held(Held{Listeners: 1})
	c.wantReset()
}

// SetTimeouts counts the time from there too.
func TestSetTimeoutsKeepsWhatAClientHasNotRead(t *testing.T) {
	for _, row := range []struct {
		name string
		set  time.Duration
		left time.Duration // from then on
	}{
		{"as it is", 20 * time.Second, 8 * time.Second},
		{"longer", 100 * time.Second, 88 * time.Second},
		{"shorter", 15 * time.Second, 3 * time.Second},
		{"passed already", 10 * time.Second, 2 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := prepare(t, site, Options{})
			s.k.batch = noRoom
			s.k.plan(onUnacked, fault{most: 1000, stays: true})
			s.run()
			c := s.dial()
			c.send(get("/big"))
			s.held(Held{Listeners: 1, Write: 1})
			for range 3 {
				s.pass(4 * time.Second)
			}
			s.SetTimeouts(Timeouts{Write: row.set})
			s.pass(row.left - 1)
			s.held(Held{Listeners: 1, Write: 1})
			s.pass(row.set / looks)
			s.held(Held{Listeners: 1})
			c.wantReset()
		})
	}
}

// To send is not to read.
func TestWriteDeadlineIsNotMovedByRequests(t *testing.T) {
	s := prepare(t, site, Options{})
	s.k.batch = noRoom
	s.k.fail(onWrite, syscall.EAGAIN)
	s.run()
	c := s.dial()
	for range 5 { // which is not even read
		c.send(get("/"))
		s.held(Held{Listeners: 1, Write: 1})
		s.pass(4 * time.Second)
	}
	s.held(Held{Listeners: 1})
	c.wantReset()
}

func TestWriteDeadlineIsMovedByEachWrite(t *testing.T) {
	s := prepare(t, site, Options{Timeouts: Timeouts{MinRate: -1}})
	room := make(chan bool, 1)
	s.k.batch = whenRoom(room)
	s.k.short(onWrite, 1, 1, 1, 1)
	s.k.plan(onUnacked, fault{most: 1000, stays: true})
	s.run()
	c := s.dial()
	c.send(get("/"))
	for written := range 4 {
		if written > 0 {
			room <- true
		}
		s.until("a write", func() bool { return s.k.count(0, onWrite) > written })
		s.pass(20*time.Second - 1)
		s.held(Held{Listeners: 1, Write: 1})
	}
	s.pass(4 * time.Second)
	s.held(Held{Listeners: 1})
	c.wantReset()
}

func TestLingerEndsAfterTenSecondsInAll(t *testing.T) {
	s := serve(t, site, Options{})
	c := s.dial()
	c.ask("/", 200, "hello")
	s.pass(time.Minute)
	c.send(get("/last"))
	c.want(200, "last")
	s.held(Held{Listeners: 1, Linger: 1})
	sent := len(get("/") + get("/last"))
	for range 5 {
		s.pass(2*time.Second - 1)
		c.send("x")
		sent++
		s.read(sent)
		s.held(Held{Listeners: 1, Linger: 1})
	}
	s.pass(time.Second)
	c.send("x")
	s.held(Held{Listeners: 1})
}

// A request that has arrived when the deadline passes is answered: the loop
// reads once more before it closes.
func TestRequestAtTheDeadlineIsAnswered(t *testing.T) {
	for _, row := range []struct {
		name string
		idle bool
		plan func(*script)
	}{
		{"the first", false, func(*script) {}},
		{"a later one", true, func(*script) {}},
		{"read interrupted", true, func(k *script) { k.fail(onRead, syscall.EINTR) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{})
			c := s.dial()
			class := Held{Listeners: 1, Head: 1}
			if row.idle {
				c.ask("/", 200, "hello")
				class = Held{Listeners: 1, Idle: 1}
			}
			s.held(class)
			arrived := make(chan struct{})
			s.on(func() { s.k.batch = withhold(arrived) })
			row.plan(s.k)
			c.send(get("/") + get("/"))
			within(t, "the bytes", arrived)
			s.pass(75 * time.Second)
			c.want(200, "hello")
			c.want(200, "hello")
		})
	}
}

func TestSetTimeoutsIsInForceAtOnce(t *testing.T) {
	for _, row := range []struct {
		name   string
		set    Timeouts
		within time.Duration // both are there until then
		first  time.Duration // then the one that is idle for longer has gone
		second time.Duration // then both
	}{
		{"unset", Timeouts{}, 65 * time.Second, 66 * time.Second, 76 * time.Second},
		{"zero keeps", Timeouts{Head: 1, Body: 1, Reply: 1, Write: 1, Linger: 1}, 65 * time.Second, 66 * time.Second, 76 * time.Second},
		{"shorter", Timeouts{Idle: 20 * time.Second}, 10 * time.Second, 11 * time.Second, 21 * time.Second},
		{"passed already", Timeouts{Idle: 5 * time.Second}, -1, 0, 6 * time.Second},
		{"passed already for both", Timeouts{Idle: time.Nanosecond}, -1, -1, 1},
		{"longer", Timeouts{Idle: 200 * time.Second}, 190 * time.Second, 191 * time.Second, 201 * time.Second},
		{"none", Timeouts{Idle: -1}, 1000 * time.Hour, -1, -1},
		{"the longest", Timeouts{Idle: math.MaxInt64 - 1}, 1000 * time.Hour, -1, -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, site, Options{})
			s.dial().ask("/", 200, "hello")
			s.pass(10*time.Second - 500*time.Millisecond)
			s.dial().ask("/", 200, "hello")
			s.held(Held{Listeners: 1, Idle: 2})
			s.SetTimeouts(row.set)
			s.settled()
			at := time.Duration(0)
			for i, step := range []time.Duration{row.within, row.first, row.second} {
				if step < 0 {
					continue
				}
				s.pass(step - at)
				at = step
				s.held(Held{Listeners: 1, Idle: 2 - i})
			}
		})
	}
}

func TestTimeoutsOfOptions(t *testing.T) {
	l := newLoop(newScript(t), nil, Options{Timeouts: Timeouts{Head: time.Second, Idle: -1}})
	want := defaultTimeouts
	want[conn.ForHead], want[conn.ForNext] = time.Second, math.MaxInt64
	if l.timeouts != want {
		t.Errorf("got %v, want %v", l.timeouts, want)
	}
	l.timeouts.set(Timeouts{Reply: -1, Idle: time.Minute})
	want[conn.ForReply], want[conn.ForNext] = math.MaxInt64, time.Minute
	if l.timeouts != want {
		t.Errorf("after SetTimeouts: got %v, want %v", l.timeouts, want)
	}
}

// waits is what a naive model knows of a connection.
type waits struct {
	fd    int32
	class conn.Class
	since int64
}

// The lists must say what a model says that keeps one slice in order of activity.
func TestListsOfDeadlinesAgreeWithANaiveModel(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		k := newScript(t)
		l := newLoop(k, nil, Options{})
		var model []waits
		for step := range 2000 {
			fd := random.IntN(40)
			at := slices.IndexFunc(model, func(w waits) bool { return w.fd == int32(fd) })
			class := conn.Class(random.IntN(int(conn.Classes)))
			switch op := random.IntN(10); {
			case op == 0:
				l.now += random.Int64N(int64(time.Minute))
			case op == 1:
				d := time.Duration(1 + random.Int64N(int64(time.Minute)))
				l.timeouts[class] = d
			case op < 4 && at >= 0:
				l.unplace(fd, l.records.at(int32(fd)))
				model = slices.Delete(model, at, at+1)
			default:
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				} else {
					l.records.open(fd, isConn)
				}
				l.place(fd, l.records.at(int32(fd)), class)
				model = append(model, waits{int32(fd), class, l.now})
			}
			if !agrees(t, l, model) {
				t.Fatalf("seed %d, step %d", seed, step)
			}
		}
	}
}

// agrees compares the lists with the model, forwards and backwards.
func agrees(t *testing.T, l *Loop, model []waits) bool {
	t.Helper()
	for class := range conn.Classes {
		var want, there, back []int32
		first, due := int64(math.MaxInt64), false
		for _, w := range model {
			if w.class == class {
				due = l.timeouts[class] != math.MaxInt64
				want = append(want, w.fd)
			}
			if w.class == class && due {
				first = min(first, w.since+int64(l.wait(class)))
			}
		}
		for fd := l.waiting[class].head; fd != none; fd = l.records.at(fd).next {
			there = append(there, fd)
		}
		for fd := l.waiting[class].tail; fd != none; fd = l.records.at(fd).prev {
			back = append(back, fd)
		}
		slices.Reverse(back)
		if !slices.Equal(there, want) || !slices.Equal(back, want) || l.waiting[class].n != len(want) {
			t.Errorf("%v: got %v, backwards %v, %d in all, want %v", class, there, back, l.waiting[class].n, want)
			return false
		}
		if at, ok := l.deadline(class); ok != due || due && at != first {
			t.Errorf("%v: the first is due at %d, %v; want %d, %v", class, at, ok, first, due)
			return false
		}
	}
	return true
}
