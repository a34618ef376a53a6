package conn

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"catboat/internal/wire"
)

// rest writes the rig's connection down.
func (r *rig) rest() []byte {
	var w wire.Writer
	r.m.Rest(&w, 5)
	return w.Written()
}

// anotherEnv is an Env as another image of the program has it: of the same make, and
// with nothing of this one's in it.
func (r *rig) anotherEnv() *Env {
	e := r.env
	c := Config{Limits: e.limits, Server: e.server, HeadFirst: e.headFirst, NoHint: e.noHint, Pages: e.pages,
		Post: e.post, Fault: e.fault, Here: e.here}
	if known := r.m.reply.resumable; known != nil {
		c.Resumables = []*Resumable{known}
	}
	other := NewEnv(c)
	other.SetDate([]byte(testDate))
	other.handler.Store(e.handler.Load())
	other.stopping = e.stopping
	return other
}

// carry has the connection go on in another machine of another Env, if nothing ties
// it to this one. It reports whether it does.
func (r *rig) carry() bool {
	r.t.Helper()
	if r.m.Tie() != Free || r.m.State() == Closed {
		return false
	}
	written, files := bytes.Clone(r.rest()), r.m.Files()
	next := NewMachine(r.anotherEnv())
	r.who.ID++
	r.who.Handle.Generation++
	source := wire.NewReader(written)
	err := next.Adopt(r.who, source, nil, func(fd int) { r.say(fmt.Sprint("done with ", fd)) })
	if err != nil || source.Rest() > 0 {
		r.t.Fatalf("%v cannot be carried: %v, and %d bytes are left of %q", r.m.State(), err, source.Rest(), written)
	}
	if !slices.Equal(next.Files(), files) || next.Pending() != r.m.Pending() {
		r.t.Errorf("%v: files %v and %d bytes in all have become %v and %d", r.m.State(), files, r.m.Pending(), next.Files(), next.Pending())
	}
	r.m.Leave()
	r.env, r.m = next.env, next
	r.pump()
	return true
}

// playCarried is play with a connection that is carried behind each piece and event
// for which carry holds. note is told of each.
func (tr *transcript) playCarried(r *rig, take int, cuts func(i int, s *step) []int, carry func(i, piece int) bool) {
	r.accept()
	for i := range tr.steps {
		s := &tr.steps[i]
		at := cuts(i, s)
		r.step = take
		pieces := s.pieces(at)
		if s.event != "" {
			pieces = []string{""}
			r.happen(s.event)
		}
		for n, p := range pieces {
			if s.event == "" {
				r.send(p)
			}
			r.runAllPosted()
			if carry(i, n) {
				r.carry()
			}
		}
		if take == late {
			r.step = 0
			r.pump()
			r.runAllPosted()
		}
		if got, want := r.takeOut(), s.expected(at); got != want {
			r.t.Errorf("line %d, cut at %v: wrote\n%q\nwant\n%q", s.line, at, got, want)
		}
		if got := r.m.State().String(); s.state != "" && got != s.state {
			r.t.Errorf("line %d, cut at %v: state is %s, want %s", s.line, at, got, s.state)
		}
	}
	r.end()
}

func always(int, int) bool { return true }

// carriedToo are transcripts of what the others have no example of, cut off where it
// can be carried.
var carriedToo = map[string]string{
	"a length, and requests behind it": `max-output: 100

> GET /pieces-length/3/6 HTTP/1.1\r\nHost: a\r\n\r\n
> GET /hello HTTP/1.1\r\nHost: a\r\n\r\n
< HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n
< 3\n2\n1\n
< HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n
< hello\n
= idle
`,
	"HTTP/1.0": `head-first: yes

> POST /await/x HTTP/1.0\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nabcd
< HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n
< Connection: keep-alive\r\n\r\n/await/x "abcd" ""
= idle
> GET /pieces-after/1 HTTP/1.0\r\n\r\nGET /hello
< HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n
< Connection: close\r\n\r\n1\n
= streaming
! due
= linger
`,
	"a head behind a reply that waits": `

> GET /pieces-after/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /hel
< HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n
< Transfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n
= streaming
! due
< 0\r\n\r\n
= head
> lo HTTP/1.1\r\nHost: a\r\n\r\n
< HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n
< hello\n
= idle
`,
}

// carriedTranscripts are those that are carried.
func carriedTranscripts(t testing.TB) (all []transcript) {
	for _, tr := range transcripts(t) {
		if !tr.depends() {
			all = append(all, tr)
		}
	}
	for name, text := range carriedToo {
		tr := transcript{name: name}
		if err := tr.parse(text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, tr)
	}
	return all
}

// depends reports whether a transcript's AfterReply functions have a say in what comes
// next: they do not come along.
func (tr *transcript) depends() bool {
	return slices.ContainsFunc(tr.steps, func(s step) bool { return strings.Contains(s.in, "/after-close") })
}

// A client cannot tell that its connection was carried: not by a byte, wherever it was
// cut, once or behind each byte, with all written or nothing.
func TestCarriedConnectionsAnswerAsOthersDo(t *testing.T) {
	for _, tr := range carriedTranscripts(t) {
		t.Run(tr.name, func(t *testing.T) {
			r := newRig(t, tr.config, nil)
			for _, take := range []int{0, 1, 7, late} {
				tr.playCarried(r, take, uncut, always)
				tr.playCarried(r, take, everywhere, always)
			}
			stride := 1
			if raceEnabled { // a machine has nothing to race with
				stride = 11
			}
			for i, s := range tr.steps {
				for at := 1; at < len(s.in) && !t.Failed(); at += stride {
					here := func(j, piece int) bool { return j == i && piece == 0 }
					tr.playCarried(r, 0, cutOnce(i, at), here)
					tr.playCarried(r, late, cutOnce(i, at), here)
				}
			}
		})
	}
}

// notes is what a connection has about it that must be carried, in words.
func (m *Machine) notes() (all []string) {
	all = append(all, m.state.String())
	with := func(what string, is bool) {
		if is {
			all = append(all, m.state.String()+" with "+what)
		}
	}
	with("unread bytes", m.unread() > 0)
	with("output", m.Pending() > 0)
	with("files", len(m.out.files) > 0)
	with("a chunked body", m.state == InBody && m.conn.req.head.Chunked)
	with("a chunked body at its trailers", m.state == InBody && m.conn.req.head.Chunked && m.body.chunked.Ended())
	with("a counted body", m.state == InBody && m.body.left > 0)
	with("a part of a body", m.state == InBody && m.body.end > m.body.start)
	with("a time to wait for", m.reply.waiting)
	with("chunks to come", m.reply.open() && m.reply.chunked)
	with("a length", m.reply.open() && m.reply.left >= 0)
	with("HTTP/1.0", m.conn.req.raw != nil && m.conn.req.head.Minor == 0)
	with("its last reply", m.last)
	return all
}

// What the transcripts carry is all that there is.
func TestEachKindOfConnectionIsCarried(t *testing.T) {
	seen := map[string]int{}
	for _, tr := range carriedTranscripts(t) {
		for _, take := range []int{0, 7, late} {
			r := newRig(t, tr.config, nil)
			note := func(int, int) bool {
				if r.m.Tie() == Free && r.m.State() != Closed {
					for _, n := range r.m.notes() {
						seen[n]++
					}
				}
				return true
			}
			tr.playCarried(r, take, uncut, note)
			tr.playCarried(r, take, everywhere, note)
		}
	}
	for _, want := range []string{
		"fresh", "fresh with unread bytes", "head with unread bytes", "head with output",
		"idle with unread bytes", "idle with output", "idle with files",
		"body with a chunked body", "body with a chunked body at its trailers", "body with a counted body", "body with a part of a body", "body with output", "body with HTTP/1.0",
		"streaming with a time to wait for", "streaming with chunks to come", "streaming with a length", "streaming with output", "streaming with unread bytes", "streaming with HTTP/1.0",
		"drain", "drain with output", "flush with output", "flush with files", "linger with its last reply",
	} {
		if seen[want] == 0 {
			t.Errorf("no connection was carried that was in %s", want)
		}
	}
}

// What lives in this image ties its connection to it, and as long as it lives.
func TestTies(t *testing.T) {
	for _, row := range []struct {
		path, end string
		tie       Tie
	}{
		{"/hello", "", Free},
		{"/pieces-after/3", "due", Free},
		{"/await/x", "", Free},
		{"/early-defer/x", "reply late", ToDeferred},
		{"/stream/x", "close", ToStream},
		{"/upload/x", "", ToBody},
		{"/upload-slow/x", "resume", ToBody},
		{"/read/x", "reply late", ToBody},
		{"/copy/x", "", ToBody},
	} {
		t.Run(row.path, func(t *testing.T) {
			r := newRig(t, Config{HeadFirst: true}, nil)
			if r.m.Tie() != Free {
				t.Errorf("a connection without a request is tied to %v", r.m.Tie())
			}
			r.send("POST " + row.path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
			if got := r.m.Tie(); got != row.tie {
				t.Errorf("tied to %v, want %v", got, row.tie)
			}
			r.send("b")
			if row.end != "" {
				r.happen(row.end)
			}
			r.runAllPosted()
			if got := r.m.Tie(); got != Free {
				t.Errorf("tied to %v at the end", got)
			}
		})
	}
}

// Functions of AfterReply do not come along, and hear of it, once. Those whose reply
// is out have had their turn.
func TestAfterReplyHearsThatItsReplyWasCarried(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.send(get("/pieces/0"))
	r.wantLog("after 0: 200 <nil>")
	r.step = -1
	r.send(get("/file/3,0,5"), get("/hello"))
	r.carry()
	r.wantLog("after 3,0,5: 200 " + ErrCarried.Error())
	r.step = 0
	r.pump()
	r.wantLog("done with 3")
	if got := r.takeOut(); !strings.HasSuffix(got, ok("hello\n")) {
		t.Errorf("behind it came %q", got)
	}
}

// A connection that was carried can be carried on before it has done anything.
func TestCarriedTwiceInATurn(t *testing.T) {
	r := newRig(t, Config{HeadFirst: true}, nil)
	r.send("POST /await/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
	for range 3 {
		written := bytes.Clone(r.rest())
		next := NewMachine(r.anotherEnv())
		if err := next.Adopt(r.who, wire.NewReader(written), nil, nil); err != nil {
			t.Fatal(err)
		}
		r.m.Leave()
		r.env, r.m = next.env, next
	}
	r.takeLog()
	r.send("cd")
	r.wantOut(ok(`/await/x "abcd" ""`))
	r.wantLog("after x: 200 <nil>")
}

// One that was adopted and has not had its turn can end like any other.
func TestAdoptedMayEndAtOnce(t *testing.T) {
	for _, end := range []string{"reset", "expire", "eof"} {
		t.Run(end, func(t *testing.T) {
			r := newRig(t, Config{HeadFirst: true}, nil)
			r.send("POST /await/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
			next := NewMachine(r.anotherEnv())
			if err := next.Adopt(r.who, wire.NewReader(bytes.Clone(r.rest())), nil, nil); err != nil {
				t.Fatal(err)
			}
			r.m.Leave()
			r.env, r.m = next.env, next
			r.happen(end)
			r.end()
		})
	}
}

// How long a request takes counts from its beginning, in whichever image that was.
func TestLatencyIsCarried(t *testing.T) {
	const second = int64(time.Second)
	for _, row := range []struct{ name, half, rest string }{
		{"a head", "GET /hello HTTP/1.1\r\n", "Host: a\r\n\r\n"},
		{"a body", "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab", "cd"},
		{"a reply", get("/pieces-after/1"), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, Config{}, nil)
			r.env.SetNow(100 * second)
			r.send(row.half)
			r.env.SetNow(103 * second)
			written := bytes.Clone(r.rest())
			next := NewMachine(r.anotherEnv())
			next.env.SetNow(1 * second)
			if err := next.Adopt(r.who, wire.NewReader(written), nil, nil); err != nil {
				t.Fatal(err)
			}
			r.env, r.m = next.env, next
			r.env.SetNow(2 * second)
			r.send(row.rest)
			for r.m.State() == Streaming {
				r.m.Due()
			}
			if n := r.env.Counts().Latency[Bucket(4*second)]; n != 1 {
				t.Errorf("the latencies are %v, want one of 4 s", r.env.Counts().Latency)
			}
		})
	}
}

// A handler that has come to read its body in pieces has all of it, also what came
// before.
func TestBodyThatWasAwaitedMayBeStreamedElsewhere(t *testing.T) {
	for _, framing := range []struct{ head, a, b string }{
		{"Content-Length: 4", "ab", "cd"},
		{"Transfer-Encoding: chunked", "3\r\nab", "c\r\n1\r\nd\r\n0\r\n\r\n"},
	} {
		r := newRig(t, Config{HeadFirst: true}, nil)
		r.send("POST /await/x HTTP/1.1\r\nHost: a\r\n" + framing.head + "\r\n\r\n" + framing.a)
		next := NewMachine(r.anotherEnv())
		if err := next.Adopt(r.who, wire.NewReader(bytes.Clone(r.rest())), nil, nil); err != nil {
			t.Fatal(err)
		}
		r.env, r.m = next.env, next
		r.env.SetHandler(func(c *Conn) { r.upload(c, "x", false) })
		r.pump()
		r.send(framing.b)
		r.runAllPosted()
		r.wantOut(ok(`/await/x "abcd" ""`))
	}
}

// adopt makes a machine of what was written, which may be anything.
func adopt(t testing.TB, written []byte, headFirst bool) (*rig, error) {
	r := newRig(t, Config{HeadFirst: headFirst, Limits: Limits{MaxHead: 500, MaxBody: 1000}}, nil)
	r.env.resumables = named([]*Resumable{r.pieces(After(5))})
	return r, r.m.Adopt(r.who, wire.NewReader(written), nil, func(fd int) { r.say("done") })
}

// A reply whose function is not there, or goes by another name now, is known as such.
func TestUnknownResumableIsNamed(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.send(get("/pieces-after/3"))
	next := NewMachine(NewEnv(Config{}))
	err := next.Adopt(r.who, wire.NewReader(r.rest()), nil, nil)
	if err == nil || !strings.Contains(err.Error(), `"pieces/1"`) {
		t.Errorf("error is %v, and does not name the reply", err)
	}
}

// What is cut, or has a byte too few in front, is refused, and so is a file whose
// descriptor has not come along.
func TestGarbageIsNotAdopted(t *testing.T) {
	r := newRig(t, Config{}, nil)
	r.step = -1
	r.send(get("/file/bytes;3,0,5"), get("/hello"))
	whole := bytes.Clone(r.rest())
	for n := range whole {
		if _, err := adopt(t, whole[:n], false); err == nil {
			t.Errorf("%d bytes of %d were adopted", n, len(whole))
		}
	}
	for state := State(0); state <= states; state++ {
		garbled := append([]byte{byte(state)}, whole[1:]...)
		_, err := adopt(t, garbled, false)
		if refused := state == InBody || state == Ready || state == Pending || state == Streaming || state >= Closed; refused != (err != nil) {
			t.Errorf("as state %d: %v", state, err)
		}
	}
	m := NewMachine(NewEnv(Config{}))
	if err := m.Adopt(r.who, wire.NewReader(whole), map[int]int{4: 4}, nil); err == nil {
		t.Error("a file was adopted whose descriptor is not there")
	}
	if err := m.Adopt(r.who, wire.NewReader(whole), map[int]int{3: 9}, nil); err != nil || !slices.Equal(m.Files(), []int{9}) {
		t.Errorf("files %v, %v; want 9", m.Files(), err)
	}
}

// FuzzAdopt: no bytes crash a machine that adopts them, then or later.
func FuzzAdopt(f *testing.F) {
	for _, tr := range carriedTranscripts(f) {
		for _, take := range []int{0, late} {
			r := newRig(f, tr.config, nil)
			seen := map[State]bool{}
			tr.playCarried(r, take, uncut, func(int, int) bool {
				if s := r.m.State(); r.m.Tie() == Free && !seen[s] && s != Closed {
					seen[s] = true
					f.Add(bytes.Clone(r.rest()), tr.config.HeadFirst, "lo HTTP/1.1\r\nHost: a\r\n\r\n")
				}
				return false
			})
		}
	}
	f.Fuzz(func(t *testing.T, written []byte, headFirst bool, more string) {
		r, err := adopt(t, written, headFirst)
		if err != nil {
			return
		}
		var again wire.Writer
		r.m.Rest(&again, 5)
		if err := NewMachine(r.anotherEnv()).Adopt(r.who, wire.NewReader(again.Written()), nil, nil); err != nil {
			t.Errorf("what was adopted cannot be carried on: %v", err)
		}
		r.pump()
		for range 3 {
			if r.m.State() == Streaming {
				r.m.Due()
				r.pump()
			}
		}
		r.send(more)
		r.runAllPosted()
		r.sendFIN()
		r.m.Abandon(ErrGone)
	})
}
