package conn

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// transcript is one file below testdata/transcripts. The format is in
// testdata/README.md.
type transcript struct {
	name   string
	config Config
	steps  []step
}

// step is something that happens, and all that is to come of it.
type step struct {
	line  int    // in the file
	event string // what happens; empty: bytes come
	in    string
	waits []int // where in in a client that stops is told to continue
	out   []piece
	log   []string
	state string // afterwards; empty: not said
}

// piece is a part of the output: text, or the 100 (Continue) of the n-th place
// in step.waits, which is there only if the input was cut in that place.
type piece struct {
	text string
	wait int // -1 for text
}

func transcripts(t testing.TB) []transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var all []transcript
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tr := transcript{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
		if err := tr.parse(string(text)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, tr)
	}
	return all
}

func (tr *transcript) parse(text string) error {
	header, _, found := strings.Cut(text, "\n\n")
	if !found {
		return fmt.Errorf("no blank line")
	}
	first := strings.Count(header, "\n") + 2
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		var err error
		switch {
		case line == "":
		case i < first:
			err = tr.parseKey(line)
		default:
			err = tr.parseLine(i+1, line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if last := &tr.steps[len(tr.steps)-1]; last.state == "" {
		return fmt.Errorf("does not say how it ends")
	}
	return nil
}

func (tr *transcript) parseKey(line string) (err error) {
	key, value, _ := strings.Cut(line, ": ")
	switch key {
	case "about", "ref":
	case "server":
		tr.config.Server = value
	case "page": // status, then the body
		var status int
		code, body, _ := strings.Cut(value, " ")
		if status, err = strconv.Atoi(code); err == nil {
			tr.config.Pages = map[int][]byte{status: []byte(body)}
		}
	case "head-first":
		tr.config.HeadFirst = value == "yes"
	case "no-hint":
		tr.config.NoHint = value == "yes"
	case "max-head":
		tr.config.Limits.MaxHead, err = strconv.Atoi(value)
	case "max-fields":
		tr.config.Limits.MaxFields, err = strconv.Atoi(value)
	case "max-body":
		tr.config.Limits.MaxBody, err = strconv.Atoi(value)
	case "max-output":
		tr.config.Limits.MaxOutput, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("unknown key in %q", line)
	}
	return err
}

func (tr *transcript) parseLine(number int, line string) error {
	mark, rest := line[:1], strings.TrimPrefix(line[1:], " ")
	var last *step
	if len(tr.steps) > 0 {
		last = &tr.steps[len(tr.steps)-1]
	}
	if mark == "!" || mark == ">" && (last == nil || last.event != "" || len(last.out)+len(last.log) > 0 || last.state != "") {
		tr.steps = append(tr.steps, step{line: number, event: rest})
		last = &tr.steps[len(tr.steps)-1]
	}
	var b []byte
	var err error
	switch {
	case last == nil:
		return fmt.Errorf("nothing has happened yet")
	case mark == "!":
	case line == "> ~":
		last.event = ""
		last.waits = append(last.waits, len(last.in))
	case line == "< ~":
		last.out = append(last.out, piece{wait: countWaits(last.out)})
	case mark == ">":
		b, err = fragment(rest)
		last.event = ""
		last.in += string(b)
	case mark == "<":
		b, err = fragment(rest)
		last.out = append(last.out, piece{text: string(b), wait: -1})
	case mark == "*":
		last.log = append(last.log, rest)
	case mark == "=":
		last.state = rest
	default:
		return fmt.Errorf("unknown mark in %q", line)
	}
	return err
}

func countWaits(pieces []piece) (n int) {
	for _, p := range pieces {
		if p.wait >= 0 {
			n++
		}
	}
	return n
}

// fragment reads text with the escapes of a Go string. "*300 x" is x 300 times.
func fragment(s string) (b []byte, err error) {
	times := 1
	if count, rest, found := strings.Cut(s, " "); found && strings.HasPrefix(count, "*") {
		if n, err := strconv.Atoi(count[1:]); err == nil {
			times, s = n, rest
		}
	}
	for len(s) > 0 {
		r, multibyte, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		if multibyte {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
		s = tail
	}
	return slices.Repeat(b, times), nil
}

// expected is the output of a step whose input was cut in these places.
func (s *step) expected(cuts []int) string {
	var out strings.Builder
	for _, p := range s.out {
		switch {
		case p.wait < 0:
			out.WriteString(p.text)
		case slices.Contains(cuts, s.waits[p.wait]):
			out.WriteString("HTTP/1.1 100 Continue\r\n\r\n")
		}
	}
	return out.String()
}

// pieces cuts the step's input.
func (s *step) pieces(cuts []int) (pieces []string) {
	from := 0
	for _, cut := range cuts {
		pieces = append(pieces, s.in[from:cut])
		from = cut
	}
	return append(pieces, s.in[from:])
}

// late takes no output before all of a step's input is fed.
const late = -1

// play plays the transcript on the rig's next connection. take is as in rig.step;
// cuts says where each step's input is cut.
func (tr *transcript) play(r *rig, take int, cuts func(i int, s *step) []int) {
	r.accept()
	for i := range tr.steps {
		s := &tr.steps[i]
		at := cuts(i, s)
		r.step = take
		if s.event != "" {
			r.happen(s.event)
		} else {
			r.send(s.pieces(at)...)
		}
		r.runAllPosted()
		if take == late {
			r.step = 0
			r.pump()
			r.runAllPosted()
		}
		if got, want := r.takeOut(), s.expected(at); got != want {
			r.t.Errorf("line %d, cut at %v: wrote\n%q\nwant\n%q", s.line, at, got, want)
		}
		if log := r.takeLog(); !slices.Equal(log, s.log) {
			r.t.Errorf("line %d, cut at %v: log is %q, want %q", s.line, at, log, s.log)
		}
		if got := r.m.State().String(); s.state != "" && got != s.state {
			r.t.Errorf("line %d, cut at %v: state is %s, want %s", s.line, at, got, s.state)
		}
	}
	r.end()
}

// happen does what a line with an exclamation mark says.
func (r *rig) happen(event string) {
	what, argument, _ := strings.Cut(event, " ")
	switch what {
	case "eof":
		r.sendFIN()
	case "hint":
		r.m.Leaving()
	case "expire":
		r.m.Expire()
		r.pump()
	case "reset":
		r.m.Abandon(errReset)
	case "refuse":
		status, _ := strconv.Atoi(argument)
		r.m.Refuse(status)
		r.pump()
	case "reply":
		if err := r.deferred[0].Reply(200, "text/plain", []byte(argument)); err != nil {
			r.say(err.Error())
		}
		r.deferred = r.deferred[1:]
		r.runPosted()
	default:
		if !r.happenInParts(what, argument) {
			r.t.Errorf("unknown event %q", event)
		}
	}
}

// happenInParts does what has to do with replies and bodies in parts.
func (r *rig) happenInParts(what, argument string) (known bool) {
	switch what {
	case "write":
		if n, err := r.streams[0].TryWrite([]byte(argument), nil); err != nil || n < len(argument) {
			r.say(fmt.Sprintf("write: %d %v", n, err))
		}
	case "trailer":
		name, value, _ := strings.Cut(argument, " ")
		r.streams[0].Trailer(name, value)
	case "close":
		if err := r.streams[0].Close(); err != nil {
			r.say("close: " + err.Error())
		}
	case "abort":
		r.streams[0].Abort(errAborted)
	case "done":
		r.say(fmt.Sprint("done: ", isClosed(r.streams[0].Done())))
	case "next": // stream
		r.streams = r.streams[1:]
	case "stream":
		if err := r.deferred[0].Do(func(c *Conn) { r.stream(c, 200, unknown) }); err != nil {
			r.say(err.Error())
		}
	case "due":
		r.m.Due()
	case "stop":
		r.env.Stop()
		if r.m.OrStop() {
			r.m.Due()
		}
	case "read":
		r.say(r.read(argument))
	case "resume":
		r.bodies[0].Resume()
	default:
		return false
	}
	r.pump()
	r.runAllPosted()
	return true
}

// read reads of the body what is there, n bytes at most.
func (r *rig) read(n string) string {
	most, _ := strconv.Atoi(n)
	p := make([]byte, most)
	if b := r.bodies[0]; b.isEmpty() {
		return "read: nothing yet"
	}
	got, err := r.bodies[0].Read(p)
	return fmt.Sprintf("read: %q %v", p[:got], err)
}

// isEmpty reports whether Read would wait.
func (b *Body) isEmpty() bool {
	p, err := b.front()
	return len(p) == 0 && err == nil
}

// end ends the connection as a loop does.
func (r *rig) end() {
	r.t.Helper()
	switch r.m.State() {
	case Idle:
		r.wantResting()
	case Linger, Closed:
		r.wantNothingKept()
	}
	r.m.Abandon(ErrGone)
	r.takeLog()
	r.wantResting()
}

func uncut(int, *step) []int { return nil }

func everywhere(_ int, s *step) (cuts []int) {
	for at := 1; at < len(s.in); at++ {
		cuts = append(cuts, at)
	}
	return cuts
}

func cutOnce(which, at int) func(int, *step) []int {
	return func(i int, _ *step) []int {
		if i == which {
			return []int{at}
		}
		return nil
	}
}

// The same bytes have the same answer, wherever they are cut on the way in and
// on the way out.
func TestTranscripts(t *testing.T) {
	for _, tr := range transcripts(t) {
		t.Run(tr.name, func(t *testing.T) {
			r := newRig(t, tr.config, nil)
			for _, take := range []int{0, 1, 7, late} {
				tr.play(r, take, uncut)
				tr.play(r, take, everywhere)
			}
			for i, s := range tr.steps {
				for at := 1; at < len(s.in) && !t.Failed(); at++ { // the first failure is telling enough
					tr.play(r, 0, cutOnce(i, at))
					tr.play(r, late, cutOnce(i, at))
				}
			}
		})
	}
}

// Requests that come together are answered together, in one output.
func TestOutputOfOneFeedHoldsAllReplies(t *testing.T) {
	for _, tr := range transcripts(t) {
		t.Run(tr.name, func(t *testing.T) {
			r := newRig(t, tr.config, nil)
			s := &tr.steps[0]
			r.step = -1
			r.m.Feed([]byte(s.in))
			r.runAllPosted()
			got, want := string(r.m.Output()), s.expected(nil)
			if r.m.Again() || r.m.isFull() { // the rest comes in another turn
				want = want[:min(len(got), len(want))]
			}
			if s.event == "" && got != want {
				t.Errorf("output is\n%q\nwant\n%q", got, want)
			}
		})
	}
}
