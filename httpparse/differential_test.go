package httpparse

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	diffRequests = flag.Uint64("requests", 0, "how many requests TestDifferential plays; 0: 200,000, or 20,000 under the race detector")
	diffSeed     = flag.Uint64("seed", 0, "the one request to play, with all that is made of it")
)

const allRequests = 200_000

// TestDifferential plays mutated requests to this parser and to net/http's.
// Wherever they disagree one of diffRules must say why.
func TestDifferential(t *testing.T) {
	if *diffSeed != 0 {
		c := compare(mutant(*diffSeed))
		t.Logf("seed %d: %v", *diffSeed, c)
		if c.unexplained() {
			t.Fail()
		}
		return
	}
	n := *diffRequests
	if n == 0 {
		n = allRequests
		if raceDetector {
			n = allRequests / 10
		}
	}
	total := playAll(t, n)
	t.Logf("%d requests: %d taken, %d refused and %d waited for by both alike; %d disagreements", n, total.alike[taken], total.alike[refused], total.alike[waiting], total.disagreements)
	for i, rule := range diffRules {
		t.Logf("%8d %s", total.applied[i], rule.name)
		if n >= allRequests && total.applied[i] == 0 {
			t.Errorf("no request shows the rule %s", rule.name)
		}
	}
	for verdict, count := range total.alike {
		if count < int(n/20) {
			t.Errorf("only %d of %d requests are %s by both: the mutants are too wild, or too tame", count, n, verdictNames[verdict])
		}
	}
	if *updateConformance && !t.Failed() {
		updateTable(t, n, total.applied)
	}
}

// tally is what the requests of a run came to.
type tally struct {
	applied       []int  // for each rule, in how many requests
	alike         [3]int // by verdict
	disagreements int
}

func playAll(t *testing.T, n uint64) tally {
	total := tally{applied: make([]int, len(diffRules))}
	var next atomic.Uint64
	var mu sync.Mutex
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			mine := tally{applied: make([]int, len(diffRules))}
			for seed := next.Add(1); seed <= n && !t.Failed(); seed = next.Add(1) {
				c := compare(mutant(seed))
				if mine.add(&c); c.unexplained() {
					small := compare(shrink(c.in, c.class()))
					t.Errorf("seed %d: %v\nthe least that shows it: %v\nreplay with: go test ./httpparse -run 'TestDifferential$' -v -seed %d", seed, c, small, seed)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i, count := range mine.applied {
				total.applied[i] += count
			}
			for i, count := range mine.alike {
				total.alike[i] += count
			}
			total.disagreements += mine.disagreements
		})
	}
	all.Wait()
	return total
}

func (s *tally) add(c *comparison) {
	if len(c.kinds) == 0 {
		s.alike[c.ours.verdict]++
	}
	s.disagreements += len(c.kinds)
	for _, rules := range c.rules {
		for _, i := range rules {
			s.applied[i]++
		}
	}
}

// verdict is what a parser makes of all the bytes of an input.
type verdict int

const (
	taken   verdict = iota // there is a whole request
	refused                // there never will be
	waiting                // for more bytes
)

var verdictNames = []string{"taken", "refused", "waited for"}

// outcome is what one parser made of an input. All behind why is of a request
// that is taken.
type outcome struct {
	verdict verdict
	why     string // it was refused

	method, target, host string
	fields               textproto.MIMEHeader // without those that net/http takes away
	body                 string
	trailers             textproto.MIMEHeader
	used                 int // where the next request would start
	keepAlive            bool
}

// comparison is an input, both outcomes, and in what they differ.
type comparison struct {
	in     []byte
	ours   outcome
	theirs outcome

	head      Head
	bad       *Error // why it is refused here
	stop      int    // the byte that it is refused for, or behind what it is refused for
	bodyAt    int    // 0 if the head is not whole
	trailerAt int    // 0 if there is none

	emptyLine bool // net/http did not get over it, so theirs is what it makes of the rest

	longestLine  int // of a chunk, with its CRLF
	largestChunk int64

	kinds []kind
	rules [][]int // for each kind which rules explain it: one does, or the test fails
}

// kind is one way in which outcomes differ.
type kind string

const (
	weRefuse       kind = "refused here, not there"
	weAreFirst     kind = "refused here, and there not yet" // it may be refused when more comes
	theyRefuse     kind = "refused there, not here"
	skipsEmptyLine kind = "skipped here, refused there"
	endDiffers     kind = "taken by one, while the other waits"

	methodDiffers    kind = "method"
	targetDiffers    kind = "target"
	hostDiffers      kind = "host"
	fieldsDiffer     kind = "fields"
	bodyDiffers      kind = "body"
	trailersDiffer   kind = "trailers"
	usedDiffers      kind = "where the next request starts"
	keepAliveDiffers kind = "keep-alive"
)

func compare(in []byte) comparison {
	c := comparison{in: in}
	c.playOurs()
	c.theirs = playTheirs(in)
	if c.emptyLine = bytes.HasPrefix(in, []byte("\r\n")) && c.theirs.why == `malformed HTTP request ""`; c.emptyLine {
		if c.ours.verdict != refused {
			c.kinds = append(c.kinds, skipsEmptyLine)
		}
		c.theirs = playTheirs(in[2:])
		c.theirs.used += 2
	}
	c.kinds = append(c.kinds, c.differences()...)
	for _, k := range c.kinds {
		var found []int
		for i, rule := range diffRules {
			if rule.kind == k && rule.holds(&c) {
				found = append(found, i)
			}
		}
		c.rules = append(c.rules, found)
	}
	return c
}

func (c *comparison) differences() (kinds []kind) {
	a, b := &c.ours, &c.theirs
	switch {
	case a.verdict != b.verdict && a.verdict == refused && c.first():
		return []kind{weAreFirst}
	case a.verdict != b.verdict && a.verdict == refused:
		return []kind{weRefuse}
	case a.verdict != b.verdict && b.verdict == refused:
		return []kind{theyRefuse}
	case a.verdict != b.verdict:
		return []kind{endDiffers}
	case a.verdict != taken:
		return nil
	}
	equal := func(a, b textproto.MIMEHeader) bool { return maps.EqualFunc(a, b, slices.Equal) }
	differs := func(k kind, same bool) {
		if !same {
			kinds = append(kinds, k)
		}
	}
	differs(methodDiffers, a.method == b.method)
	differs(targetDiffers, a.target == b.target)
	differs(hostDiffers, a.host == b.host)
	differs(fieldsDiffer, equal(a.fields, b.fields))
	differs(bodyDiffers, a.body == b.body)
	differs(trailersDiffer, equal(a.trailers, b.trailers))
	differs(usedDiffers, a.used == b.used)
	differs(keepAliveDiffers, a.keepAlive == b.keepAlive)
	return kinds
}

// unexplained reports whether a difference has no rule, or two that claim it.
func (c *comparison) unexplained() bool {
	return slices.ContainsFunc(c.rules, func(found []int) bool { return len(found) != 1 })
}

// class is what stays the same while a failure is made smaller.
func (c *comparison) class() string {
	return fmt.Sprint(c.kinds, c.rules, c.bad)
}

func (c comparison) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%q\nours:   %+v\ntheirs: %+v\n", c.in, c.ours, c.theirs)
	for i, k := range c.kinds {
		fmt.Fprintf(&s, "differs: %s; rules:", k)
		for _, r := range c.rules[i] {
			fmt.Fprintf(&s, " %s", diffRules[r].name)
		}
		s.WriteString("\n")
	}
	return s.String()
}

// playOurs reads the whole of a request as conn does: head, body, trailers.
func (c *comparison) playOurs() {
	h, o := &c.head, &c.ours
	n, bad := h.Parse(c.in, defaultLimits)
	switch {
	case bad != nil:
		c.stop = h.pos
		if h.stage == inFields {
			c.stop = h.Fields.pos
		}
		c.refuse(bad)
		return
	case n == 0:
		o.verdict = waiting
		return
	}
	c.bodyAt = n
	o.method = string(h.method.Of(c.in))
	o.target = string(h.Target.Of(c.in))
	o.host = string(h.Host.Of(c.in))
	o.fields = mimeHeader(h.Fields.List(), c.in)
	o.keepAlive = h.KeepAlive
	withoutFraming(o.fields)
	rest := c.in[n:]
	switch {
	case h.Chunked:
		c.playChunked()
	case h.ContentLength > int64(len(rest)):
		o.verdict = waiting
	default:
		o.body = string(rest[:h.ContentLength])
		o.used = n + int(h.ContentLength)
	}
}

func (c *comparison) playChunked() {
	var chunked Chunked
	var body []byte
	at := c.bodyAt
	for at < len(c.in) && !chunked.Ended() {
		data, n, bad := chunked.Next(c.in[at:])
		line := n - len(data)
		if at > c.bodyAt {
			line -= len("\r\n") // of the last chunk's data
		}
		at += n
		c.longestLine = max(c.longestLine, line)
		c.largestChunk = max(c.largestChunk, int64(len(data))+chunked.Left())
		if body = append(body, data...); bad != nil {
			c.stop = at
			c.refuse(bad)
			return
		}
	}
	if !chunked.Ended() {
		c.ours.verdict = waiting
		return
	}
	c.trailerAt = at
	var trailers Fields
	n, bad := trailers.Parse(c.in[at:], defaultLimits)
	switch {
	case bad != nil:
		c.stop = at + trailers.pos
		c.refuse(bad)
	case n == 0:
		c.ours.verdict = waiting
	default:
		c.ours.body = string(body)
		c.ours.trailers = mimeHeader(trailers.List(), c.in[at:])
		c.ours.used = at + n
	}
}

func (c *comparison) refuse(bad *Error) {
	c.bad = bad
	c.ours = outcome{verdict: refused, why: bad.Reason}
}

func mimeHeader(list []Field, b []byte) textproto.MIMEHeader {
	m := textproto.MIMEHeader{}
	for _, f := range list {
		m.Add(string(f.Name.Of(b)), string(f.Value.Of(b)))
	}
	return m
}

// framingFields are fields that net/http takes out of the header; they show in
// the host, the framing and the trailers.
var framingFields = []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"}

func withoutFraming(m textproto.MIMEHeader) {
	for _, name := range framingFields {
		delete(m, name)
	}
}

// wire is the input as a connection would bring it. Asked for more than there is
// it notes that: on a connection net/http would be waiting then, whatever it
// says when it gets to see an end instead.
type wire struct {
	b     []byte
	asked bool
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.b) == 0 {
		w.asked = true
		return 0, io.EOF
	}
	n := copy(p, w.b)
	w.b = w.b[n:]
	return n, nil
}

var wires = sync.Pool{New: func() any { return bufio.NewReader(nil) }} // of 4096 bytes, as the server's

// playTheirs reads the whole of a request with net/http.
func playTheirs(in []byte) (o outcome) {
	w := &wire{b: in}
	br := wires.Get().(*bufio.Reader)
	defer wires.Put(br)
	br.Reset(w)
	r, err := http.ReadRequest(br)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(r.Body)
	}
	switch {
	case w.asked:
		return outcome{verdict: waiting}
	case err != nil:
		return outcome{verdict: refused, why: err.Error()}
	}
	o.method, o.target, o.host = r.Method, r.RequestURI, r.Host
	o.fields = textproto.MIMEHeader(r.Header)
	o.body = string(body)
	o.trailers = textproto.MIMEHeader(r.Trailer)
	maps.DeleteFunc(o.trailers, func(_ string, values []string) bool { return values == nil }) // announced, and did not come
	withoutFraming(o.fields)
	o.used = len(in) - len(w.b) - br.Buffered()
	o.keepAlive = !r.Close
	return o
}

// shrink takes bytes away for as long as the rest is of the same class.
func shrink(in []byte, class string) []byte {
	for size := len(in) / 2; size > 0; {
		smaller := false
		for at := 0; at+size <= len(in); {
			try := slices.Concat(in[:at], in[at+size:])
			if c := compare(try); c.class() == class {
				in, smaller = try, true
			} else {
				at += size
			}
		}
		if !smaller {
			size /= 2
		}
	}
	return bytes.Clone(in)
}
