package conn

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// Whatever becomes of a reply, each Done is called once, and not before its range
// is not needed any more.
func TestDoneOfEachRangeIsCalledOnce(t *testing.T) {
	const parts = "a;3,0,10;b;4,1,2;c"
	whole := len(ok("a0123456789bbcc"))
	first := whole - len("bbcc")
	for _, row := range []struct {
		about string
		end   func(r *rig)
		log   []string
	}{
		{"not a byte is sent", func(r *rig) {}, nil},
		{"the first is not yet sent", func(r *rig) { r.writeInAll(first - 1) }, nil},
		{"the first is", func(r *rig) { r.writeInAll(first) }, []string{"done 3,0,10"}},
		{"the second is not yet", func(r *rig) { r.writeInAll(whole - 2) }, []string{"done 3,0,10"}},
		{"both are", func(r *rig) { r.writeInAll(whole - 1) }, []string{"done 3,0,10", "done 4,1,2"}},
		{"all is", func(r *rig) { r.writeInAll(whole) }, []string{"done 3,0,10", "done 4,1,2", "after " + parts + ": 200 <nil>"}},
	} {
		for _, size := range []int{1, 3, 1000} {
			r := newRig(t, Config{}, nil)
			r.step = -1
			r.send(get("/file/" + parts))
			r.step = size
			row.end(r)
			r.wantLog(row.log...)
			rest := []string{"done 3,0,10", "done 4,1,2", "after " + parts + ": 200 reset by the client"}[len(row.log):]
			r.m.Abandon(errReset)
			r.wantLog(rest...)
			r.m.Abandon(errReset)
			r.wantLog()
			r.wantResting()
		}
	}
}

// writeInAll has the kernel take so many bytes, in steps.
func (r *rig) writeInAll(n int) {
	for n > 0 {
		taken := min(n, r.step, len(r.next()))
		r.wrote(taken)
		n -= taken
	}
}

// What a client can have held open is what one reply does.
func TestNothingIsTakenBehindARangeThatWaits(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.step = -1
	r.send(get("/hello")+get("/file/3,0,5")+get("/hello")+get("/hello"), get("/hello"))
	r.wantState(Idle)
	if got := replies(r.m.Output()); got != 2 || r.m.Again() || r.m.WantsRead() || r.m.Resting() {
		t.Errorf("%d replies, again %v, reads %v", got, r.m.Again(), r.m.WantsRead())
	}
	if got := r.m.Class(); got != ForWrite {
		t.Errorf("waits for %v", got)
	}
	if _, ok := r.m.File(); ok {
		t.Error("the range is before its head")
	}
	r.wrote(len(r.m.Output()))
	if f, ok := r.m.File(); !ok || f != (FileRange{FD: 3, Offset: 0, Length: 5}) || len(r.m.Output()) != 0 || r.m.Pending() != 5 || r.m.Again() {
		t.Errorf("%+v, %v, output of %d, %d pending", f, ok, len(r.m.Output()), r.m.Pending())
	}
	r.wrote(2)
	if f, ok := r.m.File(); !ok || f != (FileRange{FD: 3, Offset: 2, Length: 3}) || r.m.Pending() != 3 || r.m.Again() {
		t.Errorf("%+v, %v, %d pending", f, ok, r.m.Pending())
	}
	r.wrote(3)
	if _, ok := r.m.File(); ok || !r.m.Again() {
		t.Error("does not go on behind the range")
	}
	r.step = 0
	r.pump()
	r.wantOut(ok("hello\n") + ok("01234") + strings.Repeat(ok("hello\n"), 3))
	r.wantLog("done 3,0,5", "after 3,0,5: 200 <nil>")
	r.wantResting()
}

// Bytes that are cut off the front of a long output do not move the ranges in it.
func TestRangesKeepTheirPlaces(t *testing.T) {
	large := []byte(strings.Repeat("x", 3*minMove))
	for _, size := range []int{1000, minMove, 1 << 30} {
		r := newRig(t, Config{}, func(c *Conn) {
			part := FilePart{Before: large, FD: 3, Length: 10}
			c.ReplyFile(200, "text/plain", part, part, FilePart{Before: large})
		})
		r.step = size
		r.send(get("/"))
		want := ok(string(large) + files[3] + string(large) + files[3] + string(large))
		if got := r.takeOut(); got != want {
			t.Errorf("%d bytes of %d", len(got), len(want))
		}
		r.wantResting()
	}
}

func TestRangeThatNoFileCanHavePanics(t *testing.T) {
	const most = math.MaxInt64
	for _, parts := range [][]FilePart{
		{{Length: -1}},
		{{Offset: -1}},
		{{Offset: -1, Length: 1}},
		{{Offset: most, Length: 1}},
		{{Length: most}, {Length: 1}},
		{{Length: most}, {Before: []byte("x")}},
		{{Length: 1}, {Length: -1}},
	} {
		done := 0
		for i := range parts {
			parts[i].Done = func() { done++ }
		}
		r := newRig(t, Config{}, func(c *Conn) { c.ReplyFile(200, "", parts...) })
		r.send(get("/"))
		r.wantOut(page("500 Internal Server Error"))
		if log := r.takeLog(); len(log) != 1 || !strings.Contains(log[0], "no file can have the range of") || done != len(parts) {
			t.Errorf("%v: %q, %d done", parts, log, done)
		}
		r.wantResting()
	}
}

func TestPanicOfDoneCostsALine(t *testing.T) {
	for _, end := range []func(r *rig){
		func(r *rig) { r.step = 0; r.pump() },
		func(r *rig) { r.m.Abandon(errReset) },
	} {
		calls := 0
		r := newRig(t, Config{}, func(c *Conn) {
			part := FilePart{FD: 3, Length: 1, Done: func() { calls++; panic("oops") }}
			c.ReplyFile(200, "", part, FilePart{Done: part.Done}, part)
		})
		r.step = -1
		r.send(get("/"))
		end(r)
		if calls != 3 {
			t.Errorf("%d calls", calls)
		}
		r.wantLog(strings.Split(strings.Repeat("fault: Done of a file's range panicked: oops\n", 3), "\n")[:3]...)
		r.wantResting()
	}
}

// A file that was cut off ends the connection, also where more was to come.
func TestTruncatedFile(t *testing.T) {
	for _, row := range []struct {
		about string
		in    []string
		after State
	}{
		{"with a next request", []string{get("/file/3,5,6") + get("/hello"), get("/hello")}, Linger},
		{"with half of one", []string{get("/file/3,5,6") + "G"}, Linger},
		{"for the last time", []string{"GET /file/3,5,6 HTTP/1.0\r\n\r\n"}, Linger},
		{"with the rest of a body", []string{headFor("/file/3,5,6", 10) + "abc"}, Linger},
	} {
		r := started(t, nil, row.in...)
		if got := r.takeOut(); !strings.HasSuffix(got, "\r\n\r\n56789") {
			t.Errorf("%s: %q", row.about, got)
		}
		r.wantLog("done 3,5,6", "after 3,5,6: 200 "+ErrTruncated.Error())
		r.wantState(row.after)
		r.m.Abandon(ErrGone)
		r.wantResting()
	}
}

// A connection that ends while a range waits has it sent.
func TestFINBehindARangeThatWaits(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.step = -1
	r.send(get("/file/3,0,10") + get("/file/4,0,6"))
	r.sendFIN()
	r.step = 1
	r.pump()
	r.wantOut(ok("0123456789") + ok("abcdef"))
	r.wantState(Closed)
}

func TestManyRanges(t *testing.T) {
	var parts []string
	var want strings.Builder
	for i := range 100 {
		parts = append(parts, fmt.Sprintf("3,%d,1", i%10))
		want.WriteByte(files[3][i%10])
	}
	r := newRig(t, Config{}, nil)
	r.send(get("/file/" + strings.Join(parts, ";")))
	r.wantOut(ok(want.String()))
	if log := r.takeLog(); len(log) != 101 || log[0] != "done 3,0,1" || log[99] != "done 3,9,1" {
		t.Errorf("%d lines: %q", len(log), log)
	}
	r.wantResting()
}
