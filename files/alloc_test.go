//go:build linux

package files

import (
	"os"
	"path/filepath"
	"testing"

	"catboat/conn"
)

// steady is a connection without a socket, whose requests are for a tree.
type steady struct {
	dir string
	env *conn.Env
	m   *conn.Machine
	in  []byte
}

func newSteady(t testing.TB, o Options, content map[string]string, request string) *steady {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "served")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	env := conn.NewEnv(conn.Config{Fault: func(_ *conn.Conn, what string, v any) { t.Errorf("%s: %v", what, v) }})
	env.SetDate([]byte(oldDate))
	env.SetHandler(tree.Serve)
	s := &steady{dir: dir, env: env, m: conn.NewMachine(env), in: []byte(request)}
	s.m.Begin(conn.Fresh, conn.Identity{})
	return s
}

// once is what a connection of its own gets for what it sends, up to the first
// byte that lies in a file.
func (s *steady) once(in string) string {
	m := conn.NewMachine(s.env)
	m.Begin(conn.Fresh, conn.Identity{})
	m.Feed([]byte(in))
	defer m.Abandon(conn.ErrGone)
	return string(m.Output())
}

// round is a request and its reply, taken as a loop does.
func (s *steady) round() (status string) {
	s.m.Feed(s.in)
	out := s.m.Output()
	status = statuses[string(out[len("HTTP/1.1 "):len("HTTP/1.1 200")])]
	for s.m.Pending() > 0 {
		if f, ok := s.m.File(); ok {
			s.m.Wrote(int(f.Length))
		} else {
			s.m.Wrote(len(s.m.Output()))
		}
	}
	return status
}

var statuses = map[string]string{"200": "200", "206": "206", "304": "304", "404": "404"}

var steadyRows = []struct {
	name, request, status string
	o                     Options
	allocations           float64
}{
	{"small", "GET /small.txt", "200", Options{CacheControl: "max-age=60"}, 0},
	{"large", "GET /large.bin", "200", Options{CacheControl: "max-age=60"}, 0},
	{"HEAD", "HEAD /large.bin", "200", Options{}, 0},
	{"index", "GET /", "200", Options{}, 0},
	{"a path that is made", "GET /x/../%6carge.bin", "200", Options{}, 0},
	{"304", "GET /large.bin HTTP/1.1\r\nIf-Modified-Since: " + oldDate + "\r\nX: GET /", "304", Options{}, 0},
	{"precompressed", "GET /large.bin HTTP/1.1\r\nAccept-Encoding: gzip, deflate, br;q=0.9, zstd\r\nX: GET /", "200", Options{Precompressed: true}, 0},
	{"a range", "GET /large.bin HTTP/1.1\r\nRange: bytes=100-199\r\nX: GET /", "206", Options{}, 1},
	{"missing", "GET /none", "404", Options{}, 5},
}

func newSteadyRow(t testing.TB, i int) *steady {
	t.Helper()
	content := map[string]string{"small.txt": "small", "large.bin": large, "large.bin.gz": large, "index.html": "index"}
	return newSteady(t, steadyRows[i].o, content, steadyRows[i].request+" HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\n\r\n")
}

func TestAFileThatIsKeptIsServedWithoutAllocating(t *testing.T) {
	for i, row := range steadyRows {
		s := newSteadyRow(t, i)
		if got := s.round(); got != row.status {
			t.Errorf("%s: status %s, want %s", row.name, got, row.status)
		}
		if n := testing.AllocsPerRun(100, func() { s.round() }); n > row.allocations && !raceDetector {
			t.Errorf("%s: %v allocations, want at most %v", row.name, n, row.allocations)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	for i, row := range steadyRows {
		s := newSteadyRow(b, i)
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.round()
			}
		})
	}
}
