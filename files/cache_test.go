//go:build linux

package files

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAChangeIsSeenAfterASecond(t *testing.T) {
	for _, size := range []int{1, 4096} { // in memory, and open
		text := func(s string) string { return strings.Repeat(s, size*4) }
		r := newRig(t, Options{}, map[string]string{"a": text("old ")})
		r.wantBody("/a", text("old "))
		r.put("a", text("new "))
		r.wantBody("/a", text("old ")) // not looked at
		r.turn(recheck)
		r.wantBody("/a", text("new "))
		r.put("a", text("longer"))
		r.turn(recheck)
		r.wantBody("/a", text("longer"))
		if err := os.Remove(filepath.Join(r.dir, "a")); err != nil {
			t.Fatal(err)
		}
		r.wantBody("/a", text("longer"))
		r.turn(recheck)
		r.wantStatus("/a", 404)
		if open := r.open(); len(open) != 1 {
			t.Errorf("a file that is gone is open: %q", open)
		}
		r.put("a", text("back"))
		r.wantBody("/a", text("back")) // that there was none is not remembered
	}
}

// What has just been modified may be modified again without its time or size
// showing it: it has no validators, and is read again whenever it is looked at.
func TestAFileThatHasNotSettledHasNoValidators(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{"a": "old"})
	write := func(text string, when time.Time) {
		t.Helper()
		path := filepath.Join(r.dir, "a")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r.chtimes("a", when)
	}
	now := r.now()
	validators := func(want bool) {
		t.Helper()
		p := r.get("/a")
		if _, tag := p.header["Etag"]; tag != want {
			t.Errorf("tag: %v, want one: %v", p, want)
		}
		if _, modified := p.header["Last-Modified"]; modified != want {
			t.Errorf("Last-Modified: %v, want one: %v", p, want)
		}
	}
	write("one", now)
	validators(false)
	write("two", now) // its time of change differs here, but need not
	r.turn(recheck)
	r.wantBody("/a", "two")
	validators(false)
	if p := r.get("/a", "If-None-Match: *"); p.status != 304 {
		t.Errorf("If-None-Match: * of a file without a tag: %v", p)
	}
	if p := r.get("/a", "If-Match: *"); p.status != 200 {
		t.Errorf("If-Match: * of a file without a tag: %v", p)
	}
	for _, field := range []string{`If-Match: ""`, `If-Match: "a"`} {
		if p := r.get("/a", field); p.status != 412 {
			t.Errorf("%s of a file without a tag: %v", field, p)
		}
	}
	for _, field := range []string{`If-Modified-Since: ` + now.UTC().Format(imfFixdate), `If-Unmodified-Since: ` + oldDate} {
		if p := r.get("/a", field); p.status != 200 {
			t.Errorf("%s of a file without a date: %v", field, p)
		}
	}
	r.turn(settle)
	validators(true)

	future := now.Add(time.Hour)
	write("six", future)
	r.turn(recheck)
	if p := r.get("/a"); p.header["Etag"] == nil || p.header["Last-Modified"] != nil {
		t.Errorf("from the future: %v, want a tag and no date", p)
	}
}

func TestTimesThatAreConstantAreNotBelieved(t *testing.T) {
	for _, when := range []time.Time{time.Unix(0, 0), time.Unix(1, 0), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)} {
		r := newRig(t, Options{}, map[string]string{"a": "one"})
		r.turn(time.Hour)
		put := func(text string) string {
			t.Helper()
			r.put("temporary", text)
			r.chtimes("temporary", when)
			if err := os.Rename(filepath.Join(r.dir, "temporary"), filepath.Join(r.dir, "a")); err != nil {
				t.Fatal(err)
			}
			r.turn(time.Hour) // beyond the time of its change, which is real
			p := r.get("/a")
			if p.body != text || p.header["Last-Modified"] != nil {
				t.Errorf("%v: got %v", when, p)
			}
			return p.header.Get("Etag")
		}
		if one, two := put("one"), put("two"); one == "" || one == two {
			t.Errorf("%v: tags %s and %s", when, one, two)
		}
	}
}

func TestAnotherFolderInThePlaceOfTheRootIsSeen(t *testing.T) {
	base := t.TempDir()
	path := func(name string) string { return filepath.Join(base, name) }
	for _, release := range []string{"1", "2"} {
		if err := os.Mkdir(path(release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path(release), "a"), []byte(release), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	current := func(release string) {
		t.Helper()
		os.Remove(path("new"))
		if err := os.Symlink(release, path("new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path("new"), path("current")); err != nil {
			t.Fatal(err)
		}
	}
	current("1")
	r := newRig(t, Options{}, nil)
	r.on(func() {
		root, err := openRoot(path("current"))
		if err != nil {
			t.Error(err)
			return
		}
		r.tree.root.close()
		r.tree.root, r.tree.dir = root, path("current")
	})
	r.wantBody("/a", "1")
	current("2")
	r.turn(2 * recheck)
	r.wantBody("/a", "2")
	current("none")
	r.turn(2 * recheck)
	r.wantBody("/a", "2") // better than nothing
	current("1")
	r.turn(2 * recheck)
	r.wantBody("/a", "1")
}

func TestAtMostSoManyFilesAreKept(t *testing.T) {
	content := map[string]string{}
	for i := range 20 {
		content[fmt.Sprint("large", i)] = large
		content[fmt.Sprint("small", i)] = "x"
	}
	r := newRig(t, Options{Cached: 5}, content)
	check := func(openWant int) {
		t.Helper()
		r.on(func() {
			n := 0
			for e, first := r.tree.newest, true; e != nil && (first || e != r.tree.newest); e, first = e.older, false {
				n++
				if r.tree.entries[e.name] != e || e.older.newer != e || e.newer.older != e {
					t.Errorf("%s is not where it belongs", e.name)
				}
			}
			if n != len(r.tree.entries) || n != r.tree.held || n > 5 {
				t.Errorf("%d in the ring, %d in the map, %d held", n, len(r.tree.entries), r.tree.held)
			}
		})
		if open := r.open(); len(open) != 1+openWant {
			t.Errorf("open: %q, want %d and the root", open, openWant)
		}
	}
	get := func(name string, i int) {
		t.Helper()
		target := fmt.Sprint("/", name, i)
		r.wantBody(target, content[target[1:]])
	}
	for i := range 20 {
		get("large", i)
		check(min(i+1, 5))
	}
	get("large", 15) // the oldest of those that are kept becomes the newest
	get("large", 0)
	check(5)
	r.on(func() {
		if r.tree.entries["large15"] == nil || r.tree.entries["large16"] != nil {
			t.Error("not the least recently used was evicted")
		}
	})
	for i := range 5 {
		get("small", i)
	}
	check(0)
	get("large", 1)
	check(1)
	r.turn(forget) // what nobody asks for goes
	get("small", 7)
	check(0)
	for i := range 20 {
		get("large", i)
		r.wantStatus(fmt.Sprint("/none", i), 404)
		r.turn(recheck)
	}
	check(5)
}

// A descriptor that is being sent stays open when its file is not kept any more,
// and is closed when it is sent, or the client has gone.
func TestWhatIsBeingSentStaysOpen(t *testing.T) {
	huge := strings.Repeat(large, 256) // 16 MiB: more than sockets hold
	r := newRig(t, Options{}, map[string]string{"huge": huge})
	const clients = 3
	for range clients {
		c, in := r.send("GET", "/huge")
		defer c.Close()
		if _, err := in.Peek(1); err != nil {
			t.Fatal(err)
		}
		defer func() {
			body, err := io.ReadAll(in)
			if _, text, _ := strings.Cut(string(body), "\r\n\r\n"); err != nil || text != huge {
				t.Errorf("got %d bytes and %v", len(text), err)
			}
		}()
	}
	gone, in := r.send("GET", "/huge", "Range: bytes=0-9999999,11111111-")
	if _, err := in.Peek(1); err != nil {
		t.Fatal(err)
	}
	users := func(want int) {
		t.Helper()
		for n := -1; n != want; {
			r.on(func() { n = r.tree.entries["huge"].variants[0].data.users })
			if n > clients+3 || n < want {
				t.Fatalf("%d users, want %d", n, want)
			}
		}
	}
	users(1 + clients + 2) // a range of two parts
	if err := gone.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	gone.Close() // by a reset
	users(1 + clients)
	r.put("huge", "small")
	r.turn(recheck)
	r.wantBody("/huge", "small")
	if open := r.open(); len(open) != 2 {
		t.Errorf("open: %q, want the root and the file that is gone", open)
	}
}

// A file that becomes shorter while it is sent ends the connection: the client
// can tell that something is missing.
func TestAFileThatBecomesShorterEndsTheConnection(t *testing.T) {
	huge := strings.Repeat(large, 256)
	r := newRig(t, Options{}, map[string]string{"huge": huge})
	c, in := r.send("GET", "/huge")
	defer c.Close()
	if _, err := in.Peek(1); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(r.dir, "huge"), 0); err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(in) // EOF or a reset
	if _, text, _ := strings.Cut(string(body), "\r\n\r\n"); len(text) >= len(huge) || !strings.HasPrefix(huge, text) {
		t.Errorf("got %d bytes of %d, the right ones: %v", len(text), len(huge), strings.HasPrefix(huge, text))
	}
	r.turn(recheck)
	r.wantBody("/huge", "")
}

func TestWantOfDescriptors(t *testing.T) {
	var said []string
	r := newRig(t, Options{OnError: func(path string, err error) { said = append(said, path+": "+err.Error()) }},
		map[string]string{"one": large, "two": large, "small": "x", "gz": "y"})
	k := r.keep()
	if p := k.get("/one"); p.status != 200 {
		t.Fatal(p)
	}
	var limit unix.Rlimit
	var filled []int
	r.on(func() {
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
		low := unix.Rlimit{Cur: 100, Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Error(err)
		}
		for {
			fd, err := unix.Dup(r.tree.root.fd)
			if err != nil {
				return
			}
			filled = append(filled, fd)
		}
	})
	two, small := k.get("/two"), k.get("/small") // there is one descriptor, that of "one"
	r.on(func() {
		fd, err := unix.Dup(r.tree.root.fd) // and now there is none
		for err == nil {
			filled = append(filled, fd)
			r.tree.makeRoom(0, nil)
			fd, err = unix.Dup(r.tree.root.fd)
		}
	})
	none, missing := k.get("/one"), k.get("/missing")
	r.on(func() {
		for _, fd := range filled {
			unix.Close(fd)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	if two.body != large || small.body != "x" {
		t.Errorf("what is kept did not make room: %v, %v", two, small)
	}
	if none.status != 503 || none.header.Get("Retry-After") != "1" || missing.status != 404 {
		t.Errorf("without descriptors: %v, %v", none, missing)
	}
	if got := k.get("/one"); got.body != large {
		t.Errorf("afterwards: %v", got)
	}
	r.on(func() {
		if len(said) != 1 || said[0] != "one: too many open files" {
			t.Errorf("OnError got %q", said)
		}
	})
}

func TestWhatMayNotBeReadIsForbidden(t *testing.T) {
	r := newRig(t, Options{Listing: true}, map[string]string{"a": "a", "closed/b": "b", "open/c": "c"})
	r.wantBody("/a", "a")
	for name, mode := range map[string]os.FileMode{"a": 0, "closed": 0} {
		if err := os.Chmod(filepath.Join(r.dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	asNobody := func(uid int) { // for file access only, and on the loop's thread: root may read all
		t.Helper()
		r.on(func() {
			runtime.LockOSThread()
			unix.Setfsuid(uid)
		})
	}
	asNobody(nobody)
	r.wantBody("/a", "a")
	r.turn(recheck) // the change of mode is seen
	for _, target := range []string{"/a", "/closed/b", "/closed/"} {
		r.wantStatus(target, 403)
	}
	r.wantBody("/open/c", "c")
	asNobody(os.Geteuid())
	if err := os.Chmod(filepath.Join(r.dir, "closed"), 0o755); err != nil { // for who removes it
		t.Fatal(err)
	}
}

// A tree behind a loop whose clients come and go leaves nothing open.
func TestDescriptorsReturnToBase(t *testing.T) {
	content := map[string]string{"a.txt": large, "a.txt.gz": large[1:], "b": "b", "sub/index.html": large, "sub/x/y": "", "out": "-> .."}
	r := newRig(t, Options{Precompressed: true, Listing: true}, content)
	for range 3 {
		for _, target := range []string{"/a.txt", "/b", "/sub/", "/sub", "/sub/x/", "/sub/x/y", "/out", "/none", "/a.txt/", "/"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				r.ask(method, target, "Accept-Encoding: gzip")
				r.ask(method, target, "Range: bytes=0-10,20-30,-5")
				r.ask(method, target, "If-None-Match: *")
			}
		}
		r.turn(recheck)
	}
	if open := r.open(); len(open) != 4 { // the root, a.txt in two codings, an index
		t.Errorf("open: %q", open)
	}
	r.on(func() {
		for name, e := range r.tree.entries {
			for _, v := range e.variants {
				if v.data != nil && v.data.users != 1 {
					t.Errorf("%s has %d users", name, v.data.users)
				}
			}
		}
		r.tree.makeRoom(0, nil)
	})
	if open := r.open(); len(open) != 1 {
		t.Errorf("open: %q, want the root", open)
	}
}
