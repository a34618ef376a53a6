package conn

import (
	"bufio"
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
	accepted []string // methods of the requests that were whole
	refused  int
	log      []string
}

// playPieces feeds in, cut to the sizes that cuts says in turn, and takes as much
// output behind each piece as writes says in turn. Without writes it takes all.
func playPieces(t *testing.T, in string, cuts, writes []byte) (p played) {
	t.Helper()
	r := newRig(t, Config{Limits: Limits{MaxHead: 500, MaxFields: 20, MaxBody: 1000, MaxOutput: 600}}, nil)
	r.env.SetHandler(func(c *Conn) {
		if strings.HasPrefix(string(c.Request().Path()), "/after-close") {
			hello(c) // which replies are out when it closes depends on the writes
			return
		}
		r.handler(c)
	})
	r.env.moved = func(from, to State) {
		switch {
		case to == Ready:
			p.accepted = append(p.accepted, r.m.conn.req.head.Method)
		case to == Flush && (from == InHead || from == InBody):
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
			r.wrote(min(int(writes[i%len(writes)]), len(r.m.Output())))
		}
		r.settle()
	}
	r.sendFIN()
	r.step = 0
	r.settle()
	r.wantState(Closed)
	p.out, p.log = r.takeOut(), r.takeLog()
	slices.Sort(p.log) // faults come with the request, AfterReply with the write
	r.end()
	return p
}

// settle makes the replies that are deferred, until none is.
func (r *rig) settle() {
	for r.pump(); len(r.deferred) > 0; r.pump() {
		r.happen("reply late")
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
		if err != nil {
			t.Fatalf("body of %q: %v", p.out[start:], err)
		}
		end := len(p.out) - source.Len() - b.Buffered()
		p.checkReply(t, res, method, body, end)
		if res.StatusCode != 100 {
			replies = append(replies, p.out[start:end])
		}
		start = end
	}
	return replies
}

// checkReply checks a reply that ends at the end-th byte.
func (p *played) checkReply(t *testing.T, res *http.Response, method string, body []byte, end int) {
	t.Helper()
	interim := res.StatusCode == 100
	bodiless := interim || res.StatusCode == 204 || res.StatusCode == 304
	switch {
	case res.ProtoMajor != 1 || res.ProtoMinor != 1 || len(res.TransferEncoding) > 0:
		t.Errorf("reply %+v", res)
	case interim != (res.Header.Get("Date") == ""):
		t.Errorf("%d with Date %q", res.StatusCode, res.Header.Get("Date"))
	case bodiless && res.Header.Get("Content-Length") != "":
		t.Errorf("%d with a length", res.StatusCode)
	case !bodiless && res.ContentLength < 0:
		t.Errorf("%d without a length", res.StatusCode)
	case !bodiless && method != "HEAD" && res.ContentLength != int64(len(body)):
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
		f.Add(in.String(), []byte{0}, []byte{3})
		f.Add(in.String(), []byte{30, 1, 7}, []byte{0, 200, 1})
	}
	f.Fuzz(func(t *testing.T, in string, cuts, writes []byte) {
		whole := playPieces(t, in, nil, nil)
		want := whole.final(t, in)
		if n := len(whole.accepted); len(want) != n+whole.refused || whole.refused > 1 {
			t.Errorf("%d replies to %d requests and %d refused", len(want), n, whole.refused)
		}
		pieces := playPieces(t, in, cuts, writes)
		if got := pieces.final(t, in); !slices.Equal(got, want) {
			t.Errorf("in pieces the replies are\n%q\nwant\n%q", got, want)
		}
		if !slices.Equal(pieces.accepted, whole.accepted) || !slices.Equal(pieces.log, whole.log) {
			t.Errorf("in pieces: %q, %q\nwhole: %q, %q", pieces.accepted, pieces.log, whole.accepted, whole.log)
		}
	})
}
