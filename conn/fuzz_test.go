package conn

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// played is what came of a connection on which the client sent something and
// then FIN.
type played struct {
	out      string
	reset    bool
	accepted []string // methods of the requests that reached a handler, or would have
	refused  int      // before
	log      []string
}

// playPieces feeds in, cut to the sizes that cuts says in turn, and takes as much
// output behind each piece as writes says in turn. Without writes it takes all.
func playPieces(t *testing.T, in string, headFirst bool, cuts, writes []byte) (p played) {
	t.Helper()
	r := newRig(t, Config{HeadFirst: headFirst, Limits: Limits{MaxHead: 500, MaxFields: 20, MaxBody: 1000, MaxOutput: 600}}, nil)
	r.env.SetHandler(r.sameInPieces)
	awaited := false
	r.env.moved = func(from, to State) {
		switch {
		case to == InHead:
			awaited = false
		case from == Ready && to == InBody:
			awaited = true
		case to == Ready && !awaited:
			p.accepted = append(p.accepted, r.m.conn.req.head.Method)
		case to == Flush && (from == InHead || from == InBody) && !awaited:
			p.refused++
		}
	}
	if len(writes) > 0 {
		r.step = -1
	}
	for i := 0; len(in) > 0; i++ {
		n := len(in)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		r.send(in[:n])
		in = in[n:]
		if len(writes) > 0 {
			r.wrote(min(int(writes[i%len(writes)]), len(r.next())))
		}
		r.settle()
	}
	r.sendFIN()
	r.step = 0
	r.settle()
	r.wantState(Closed)
	p.out, p.reset = r.takeOut(), r.m.Reset()
	for _, line := range r.takeLog() {
		if !strings.HasPrefix(line, "body: ") { // how far it had come depends on the cuts
			p.log = append(p.log, line)
		}
	}
	slices.Sort(p.log) // faults come with the request, AfterReply with the write
	r.end()
	return p
}

// sameInPieces is the rig's handler but for the answers that depend on how bytes
// come and go.
func (r *rig) sameInPieces(c *Conn) {
	switch path, argument := split(c.Request()); path {
	case "/after-close", "/read":
		hello(c)
	case "/upload-first": // whether the connection is kept
		if c.Request().ContentLength() < 0 {
			hello(c)
			return
		}
		r.handler(c)
	case "/pieces", "/pieces-after", "/pieces-or-stop", "/pieces-length":
		if len(argument) > 5 {
			hello(c) // there are too many
			return
		}
		r.handler(c)
	default:
		r.handler(c)
	}
}

// settle does what is waited for, until only the client is.
func (r *rig) settle() {
	for again := true; again; {
		r.pump()
		r.runAllPosted()
		again = false
		if len(r.deferred) > 0 {
			r.happen("reply late")
			again = true
		}
		for _, s := range r.streams {
			s.TryWrite([]byte("late"), nil)
			s.Close()
			again = true
		}
		r.streams = nil
		for _, b := range r.bodies {
			again = again || b.paused
			b.Resume()
		}
		if r.m.reply.waiting {
			r.m.Due()
			again = true
		}
	}
}

// final splits an output into its replies, as net/http reads them, and leaves out
// those that are interim.
func (p *played) final(t *testing.T, in string) (replies []string) {
	t.Helper()
	source := strings.NewReader(p.out)
	b := bufio.NewReader(source)
	for start := 0; start < len(p.out); {
		method := "GET"
		if len(replies) < len(p.accepted) {
			method = p.accepted[len(replies)]
		} else if strings.Contains(in, "HEAD ") && strings.HasSuffix(p.out, "\r\n\r\n") {
			method = "HEAD" // it was refused, and a page does not end so
		}
		res, err := http.ReadResponse(b, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", p.out[start:], err)
		}
		body, err := io.ReadAll(res.Body)
		end := len(p.out) - source.Len() - b.Buffered()
		if err != nil && (end != len(p.out) || !p.brokeOff()) {
			t.Fatalf("body of %q: %v", p.out[start:], err)
		}
		p.checkReply(t, res, method, body, end, err)
		reply := p.out[start:end]
		if head := strings.Index(reply, "\r\n\r\n") + 4; err != nil {
			reply = reply[:head] + "broken off"
		} else if len(res.TransferEncoding) > 0 { // the chunks depend on the cuts
			reply = reply[:head] + fmt.Sprintf("%s %v", body, res.Trailer)
		}
		if res.StatusCode >= 200 {
			replies = append(replies, reply)
		}
		start = end
	}
	return replies
}

// brokeOff reports whether a reply did, as its AfterReply function was told.
func (p *played) brokeOff() bool {
	return slices.ContainsFunc(p.log, func(line string) bool {
		return strings.HasPrefix(line, "after ") && !strings.HasSuffix(line, " <nil>") || strings.HasPrefix(line, "fault: reply is ")
	})
}

// checkReply checks a reply that ends at the end-th byte, or has broken off there.
func (p *played) checkReply(t *testing.T, res *http.Response, method string, body []byte, end int, cut error) {
	t.Helper()
	interim := res.StatusCode < 200
	chunked := len(res.TransferEncoding) == 1 && res.TransferEncoding[0] == "chunked"
	bodiless := interim || res.StatusCode == 204 || res.StatusCode == 304
	switch {
	case res.ProtoMajor != 1 || res.ProtoMinor != 1 || len(res.TransferEncoding) > 0 && !chunked:
		t.Errorf("reply %+v", res)
	case interim != (res.Header.Get("Date") == ""):
		t.Errorf("%d with Date %q", res.StatusCode, res.Header.Get("Date"))
	case bodiless && res.Header.Get("Content-Length") != "":
		t.Errorf("%d with a length", res.StatusCode)
	case bodiless && chunked:
		t.Errorf("%d in chunks", res.StatusCode)
	case !bodiless && res.ContentLength < 0 && !chunked && !res.Close:
		t.Errorf("%d without a length", res.StatusCode)
	case !bodiless && method != "HEAD" && cut == nil && res.ContentLength >= 0 && res.ContentLength != int64(len(body)):
		t.Errorf("%d bytes of %d", len(body), res.ContentLength)
	case res.Close && end != len(p.out):
		t.Errorf("something follows the last reply: %q", p.out[end:])
	}
}

// FuzzMachine: the replies do not depend on how bytes come and go, and each is
// framed as net/http reads it.
func FuzzMachine(f *testing.F) {
	for _, tr := range transcripts(f) {
		var in strings.Builder
		for _, s := range tr.steps {
			in.WriteString(s.in)
		}
		f.Add(in.String(), tr.config.HeadFirst, []byte{0}, []byte{3})
		f.Add(in.String(), tr.config.HeadFirst, []byte{30, 1, 7}, []byte{0, 200, 1})
		f.Add(in.String(), !tr.config.HeadFirst, []byte{50, 2}, []byte{7, 70, 0})
	}
	f.Fuzz(func(t *testing.T, in string, headFirst bool, cuts, writes []byte) {
		whole := playPieces(t, in, headFirst, nil, nil)
		want := whole.final(t, in)
		aborted := 0
		for _, line := range whole.log {
			if strings.HasSuffix(line, ": 0 aborted") {
				aborted++
			}
		}
		if n := len(whole.accepted); len(want) != n+whole.refused-aborted || whole.refused > 1 || aborted > 1 {
			t.Errorf("%d replies to %d requests, %d refused and %d aborted", len(want), n, whole.refused, aborted)
		}
		pieces := playPieces(t, in, headFirst, cuts, writes)
		if got := pieces.final(t, in); !slices.Equal(got, want) {
			t.Errorf("in pieces the replies are\n%q\nwant\n%q", got, want)
		}
		if !slices.Equal(pieces.accepted, whole.accepted) || !slices.Equal(pieces.log, whole.log) || pieces.reset != whole.reset {
			t.Errorf("in pieces: %q, %q\nwhole: %q, %q", pieces.accepted, pieces.log, whole.accepted, whole.log)
		}
	})
}
