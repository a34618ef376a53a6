//go:build linux

package files

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"catboat/loop"
)

// patience is for what must happen, and fails the test if it does not.
const patience = 10 * time.Second

// old is when the files of tests were modified.
var old = time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)

const oldDate = "Tue, 14 Nov 2023 22:13:20 GMT"

// rig is a tree behind a real loop, with a folder to serve and a clock to turn.
type rig struct {
	t     testing.TB
	dir   string
	tree  *Tree
	l     *loop.Loop
	addr  string
	start time.Time
	ahead atomic.Int64 // nanoseconds that the tree's clock is ahead of start: it stands still unless turned
}

// newRig serves dir, which is made with files of these names and contents.
// A name with a slash at its end is a folder's, a content "-> x" makes a link.
func newRig(t testing.TB, o Options, content map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, start: time.Now(), dir: filepath.Join(t.TempDir(), "served")}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range content {
		r.put(name, text)
	}
	tree, err := New(r.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	tree.clock = r.now
	r.tree = tree
	if r.l, err = loop.New(tree.Serve, loop.Options{Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))}); err != nil {
		t.Fatal(err)
	}
	addr, err := r.l.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = addr.String()
	ended := make(chan error, 1)
	go func() { ended <- r.l.Run() }()
	t.Cleanup(func() {
		r.l.StopListening()
		r.l.SetTimeouts(loop.Timeouts{Idle: time.Millisecond, Linger: time.Millisecond, Write: time.Millisecond})
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("the loop has not ended")
		}
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
		if open := r.open(); len(open) > 0 {
			t.Errorf("left open: %q", open)
		}
	})
	return r
}

// testLog is a loop's log, in which nothing should be.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Errorf("logged: %s", p)
	return len(p), nil
}

// put writes a file as old as all are, by renaming it over what is there.
func (r *rig) put(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	link, isLink := strings.CutPrefix(text, "-> ")
	switch {
	case err != nil:
	case strings.HasSuffix(name, "/"):
		err = os.MkdirAll(path, 0o755)
	case isLink:
		err = os.Symlink(link, path)
	default:
		temporary := filepath.Join(filepath.Dir(r.dir), "temporary")
		if err = os.WriteFile(temporary, []byte(text), 0o644); err == nil {
			if err = os.Chtimes(temporary, old, old); err == nil {
				err = os.Rename(temporary, path)
			}
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) chtimes(name string, when time.Time) {
	r.t.Helper()
	if err := os.Chtimes(filepath.Join(r.dir, name), when, when); err != nil {
		r.t.Fatal(err)
	}
}

// now is the time for the tree.
func (r *rig) now() time.Time { return r.start.Add(time.Duration(r.ahead.Load())) }

// turn turns the tree's clock on.
func (r *rig) turn(d time.Duration) { r.ahead.Add(int64(d)) }

// on calls f on the loop and waits for it.
func (r *rig) on(f func()) {
	r.t.Helper()
	done := make(chan struct{})
	if err := r.l.Post(func() { defer close(done); f() }); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(patience):
		r.t.Fatal("the loop does not come round")
	}
}

// open is the files beneath the served folder that the process has open, the
// folder itself included.
func (r *rig) open() (paths []string) {
	const fds = "/proc/self/fd"
	entries, err := os.ReadDir(fds)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		path, err := os.Readlink(filepath.Join(fds, e.Name()))
		if err == nil && strings.HasPrefix(path, filepath.Dir(r.dir)) {
			paths = append(paths, path)
		}
	}
	return paths
}

// reply is what a client got.
type reply struct {
	status int
	header http.Header
	body   string
	length int64 // Content-Length
}

func (p reply) String() string { return fmt.Sprintf("%d %v %.80q", p.status, p.header, p.body) }

// ask sends a request as it is written here, with fields as lines, and reads the reply.
func (r *rig) ask(method, target string, fields ...string) reply {
	r.t.Helper()
	c, in := r.send(method, target, fields...)
	defer c.Close()
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		r.t.Fatalf("%s %s: behind the reply came %q, %v", method, target, rest, err)
	}
	return reply{resp.StatusCode, resp.Header, string(body), resp.ContentLength}
}

func (r *rig) get(target string, fields ...string) reply {
	r.t.Helper()
	return r.ask("GET", target, fields...)
}

// send sends a request on a connection of its own.
func (r *rig) send(method, target string, fields ...string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	head := method + " " + target + " HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		r.t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// wantStatus asks for a target and wants a status.
func (r *rig) wantStatus(target string, status int) {
	r.t.Helper()
	if p := r.get(target); p.status != status {
		r.t.Errorf("%s: got %v, want %d", target, p, status)
	}
}

// wantBody asks for a target and wants 200 and a body.
func (r *rig) wantBody(target, body string) {
	r.t.Helper()
	if p := r.get(target); p.status != 200 || p.body != body {
		r.t.Errorf("%s: got %v, want 200 %.80q", target, p, body)
	}
}

// large is more than is kept in memory.
var large = strings.Repeat("0123456789abcde\n", 4096)

// kept is a connection for several requests.
type kept struct {
	r  *rig
	c  net.Conn
	in *bufio.Reader
}

func (r *rig) keep() *kept {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &kept{r, c, bufio.NewReader(c)}
}

func (k *kept) get(target string, fields ...string) reply {
	k.r.t.Helper()
	if _, err := io.WriteString(k.c, "GET "+target+" HTTP/1.1\r\nHost: example.org\r\n"+strings.Join(append(fields, ""), "\r\n")+"\r\n"); err != nil {
		k.r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil {
		k.r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		k.r.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body), resp.ContentLength}
}
