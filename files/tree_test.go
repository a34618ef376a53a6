//go:build linux

package files

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
)

func TestAFileIsServedWithWhatIsKnownOfIt(t *testing.T) {
	r := newRig(t, Options{CacheControl: "max-age=60"}, map[string]string{"hello.txt": "hello\n", "large.bin": large, "empty.css": ""})
	for _, row := range []struct{ target, typ, body, tag string }{
		{"/hello.txt", "text/plain; charset=utf-8", "hello\n", `"6-17979cfe362a0000"`},
		{"/large.bin", "application/octet-stream", large, `"10000-17979cfe362a0000"`},
		{"/empty.css", "text/css; charset=utf-8", "", `"0-17979cfe362a0000"`},
	} {
		for _, method := range []string{"GET", "HEAD", "GET"} {
			p := r.ask(method, row.target)
			body := row.body
			if method == "HEAD" {
				body = ""
			}
			if p.status != 200 || p.body != body || p.length != int64(len(row.body)) {
				t.Errorf("%s %s: got %v, length %d", method, row.target, p, p.length)
			}
			for name, want := range map[string]string{
				"Content-Type": row.typ, "Etag": row.tag, "Last-Modified": oldDate, "Cache-Control": "max-age=60",
				"Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff", "Vary": "", "Content-Encoding": "",
			} {
				if got := strings.Join(p.header[name], "|"); got != want {
					t.Errorf("%s %s: %s is %q, want %q", method, row.target, name, got, want)
				}
			}
		}
	}
}

func TestOtherMethodsAreToldWhichThereAre(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{"a": "x"})
	for method, status := range map[string]int{"POST": 405, "PUT": 405, "DELETE": 405, "TRACE": 405, "OPTIONS": 204} {
		for _, target := range []string{"/a", "/none"} {
			p := r.ask(method, target)
			if p.status != status || p.header.Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("%s %s: got %v", method, target, p)
			}
		}
	}
	if p := r.ask("OPTIONS", "*"); p.status != 204 {
		t.Errorf("OPTIONS *: got %v", p)
	}
}

func TestPrefix(t *testing.T) {
	content := map[string]string{"a.txt": "a", "index.html": "i", "sub/index.html": "s"}
	for _, prefix := range []string{"/static/", "/static"} {
		r := newRig(t, Options{Prefix: prefix}, content)
		r.wantBody("/static/a.txt", "a")
		r.wantBody("/static/", "i")
		r.wantBody("/static/sub/", "s")
		for _, target := range []string{"/a.txt", "/", "/statica.txt", "/static../a.txt", "/static%2Fa.txt", "/STATIC/a.txt", "//static/a.txt"} {
			r.wantStatus(target, 404)
		}
		if p := r.get("/static?q"); p.status != 301 || p.header.Get("Location") != "/static/?q" {
			t.Errorf("without its slash the prefix gets %v", p)
		}
	}
	r := newRig(t, Options{Prefix: "/a b/ü"}, content)
	r.wantBody("/a%20b/%C3%BC/a.txt", "a")
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	dir := t.TempDir()
	for _, o := range []Options{
		{Prefix: "static/"}, {Prefix: "//"}, {Prefix: "/a/../b/"}, {Prefix: "/a//b"}, {Prefix: "/a%2Fb"},
		{Index: "a/b"}, {Index: ".."}, {Index: "/"},
		{CacheControl: "a\r\nb: c"},
		{Types: map[string]string{".x": "a\nb"}}, {Types: map[string]string{".x": ""}},
		{Types: map[string]string{"x": "a/b"}}, {Types: map[string]string{".X": "a/b"}}, {Types: map[string]string{".tar.gz": "a/b"}},
	} {
		if tree, err := New(dir, o); err == nil {
			t.Errorf("%+v is taken", o)
			tree.Close()
		}
	}
	if _, err := New(filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(file, Options{}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as folder: %v", err)
	}
}

// What is not a regular file beneath the root is not there.
func TestOnlyRegularFilesBeneathTheRootAreThere(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{
		"ok.txt": "ok", "sub/ok.txt": "sub", "deep/er/up": "-> ../../ok.txt",
		"inside": "-> ok.txt", "folder": "-> sub", "index.html/": "",
		"out": "-> ../secret", "out-by-folder": "-> ..", "absolute": "-> /etc/passwd", "absolute-root": "-> /",
		"loop1": "-> loop2", "loop2": "-> loop1", "nowhere": "-> none", "proc": "-> /proc/self/root/etc/passwd",
		"null": "-> /dev/null", "zero": "-> /dev/zero",
	})
	outside := filepath.Join(filepath.Dir(r.dir), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(r.dir, "ok.txt"), filepath.Join(r.dir, "absolute-inside")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(r.dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(r.dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	r.wantBody("/inside", "ok")
	r.wantBody("/folder/ok.txt", "sub")
	r.wantBody("/deep/er/up", "ok")
	for _, target := range []string{
		"/none", "/none/", "/none/none", "/ok.txt/", "/ok.txt/ok.txt", "/sub/", "/",
		"/out", "/out-by-folder", "/out-by-folder/", "/out-by-folder/secret", "/absolute", "/absolute-root", "/absolute-root/etc/passwd",
		"/absolute-inside", "/loop1", "/nowhere", "/proc", "/null", "/zero", "/fifo", "/socket", "/fifo/", "/socket/a",
		"/" + strings.Repeat("a", 300), "/" + strings.Repeat("a/", 4000),
		"/../secret", "/%2e%2e/secret", "/..%2fsecret", "/..%2Fsecret", "/%2e%2e%2fsecret", "/sub%2Fok.txt", "/sub%2fok.txt",
		"/..%252fsecret", "/..%5csecret", "/..\\secret", "/..;/secret", "/.../secret", "/sub/../../secret",
		"//etc/passwd", "//ok.txt", "/sub//ok.txt", "/sub///", "//", "/./", "/%2e/",
	} {
		if p := r.get(target); p.status != 404 || strings.Contains(p.body, "secret") {
			t.Errorf("%s: got %v, want 404", target, p)
		}
	}
	r.wantStatus("/..%00/secret", 400)
}

// A device is looked at through a link above. Here one is in the tree, when the
// test may make it; a FIFO in its place shows the same to whoever may not.
func TestADeviceIsNotOpened(t *testing.T) {
	r := newRig(t, Options{}, nil)
	path := filepath.Join(r.dir, "device")
	if err := unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))); err != nil {
		if err := unix.Mkfifo(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.wantStatus("/device", 404)
}

// A writer that waits for a reader of a FIFO goes on waiting.
func TestAFIFOIsNotOpened(t *testing.T) {
	r := newRig(t, Options{}, nil)
	path := filepath.Join(r.dir, "fifo")
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	r.wantStatus("/fifo", 404)
	if fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != unix.ENXIO {
		t.Errorf("a writer finds a reader: %v", err)
		unix.Close(fd)
	}
}

// What is no file any more when it is opened, though it was when it was looked at,
// does not hold up the loop.
func TestWhatTurnsIntoAFIFOIsNotWaitedFor(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{"folder/": ""})
	if err := unix.Mkfifo(filepath.Join(r.dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{"fifo": unix.ENXIO, "folder": unix.EISDIR} {
		opened := make(chan error, 1)
		go func() {
			v := variant{path: path}
			opened <- v.open(&r.tree.root, r.now())
		}()
		select {
		case err := <-opened:
			if err != want {
				t.Errorf("%s: got %v, want %v", path, err, want)
			}
		case <-time.After(patience):
			t.Fatalf("opening %s waits", path)
		}
	}
}

func TestNamesMayBeOdd(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{
		"a b.txt": "space", "100%.txt": "percent", "what?.txt": "question", "a#b": "hash", "\xff\xfe": "bytes",
		"new\nline": "newline", "back\\slash": "backslash", "..;": "dots", "%41": "escape", "ü.txt": "umlaut", "a:b": "colon",
		"...": "three", "~": "tilde", "a+b": "plus",
	})
	for target, body := range map[string]string{
		"/a%20b.txt": "space", "/100%25.txt": "percent", "/what%3F.txt": "question", "/a%23b": "hash", "/%FF%fe": "bytes",
		"/new%0Aline": "newline", "/back%5Cslash": "backslash", "/back\\slash": "backslash", "/%2541": "escape",
		"/%C3%BC.txt": "umlaut", "/a:b": "colon", "/~": "tilde", "/%7E": "tilde", "/a+b": "plus", "/x/../a+b": "plus", "/a+b?q=/../x": "plus",
	} {
		r.wantBody(target, body)
	}
	r.wantStatus("/..;", 404) // hidden
	r.wantStatus("/...", 404)
	r.wantStatus("/A", 404) // "%41" is another file
	if got, _, _ := strings.Cut(r.get("/\xff").body, " "); got == "bytes" {
		t.Error("a target with a raw byte is taken")
	}
}

func TestHiddenNames(t *testing.T) {
	content := map[string]string{
		".env": "e", "sub/.git/config": "g", ".well-known/security.txt": "w", ".well-known/.x": "x", "sub/.well-known/a": "a",
	}
	r := newRig(t, Options{}, content)
	r.wantBody("/.well-known/security.txt", "w")
	for _, target := range []string{"/.env", "/%2eenv", "/sub/.git/config", "/sub/.git", "/.well-known/.x", "/sub/.well-known/a"} {
		r.wantStatus(target, 404)
	}
	r = newRig(t, Options{Hidden: true}, content)
	r.wantBody("/.env", "e")
	r.wantBody("/sub/.git/config", "g")
}

func TestWhatTheSystemSaysBecomesAStatus(t *testing.T) {
	for err, status := range map[error]int{
		unix.ENOENT: 404, unix.ENOTDIR: 404, unix.ENAMETOOLONG: 404, unix.ELOOP: 404, unix.EXDEV: 404, unix.ENXIO: 404, unix.EISDIR: 404,
		unix.EACCES: 403, unix.EPERM: 403, unix.EMFILE: 503, unix.ENFILE: 503, unix.ENOMEM: 503, unix.EAGAIN: 503,
		unix.EIO: 500, errors.New("other"): 500, &os.PathError{Err: unix.EACCES}: 403,
	} {
		if got := statusOf(err); got != status {
			t.Errorf("%v: got %d, want %d", err, got, status)
		}
	}
}

func TestNotFoundIsAnsweredByWhoWants(t *testing.T) {
	r := newRig(t, Options{NotFound: func(c *conn.Conn) { c.Reply(200, "", []byte("app")) }}, map[string]string{"a": "a", "sub/b": "b"})
	r.wantBody("/a", "a")
	r.wantBody("/none", "app")
	r.wantBody("/sub/", "app")
	if p := r.ask("POST", "/none"); p.status != 405 {
		t.Errorf("POST: got %v", p)
	}
}

func TestTypes(t *testing.T) {
	r := newRig(t, Options{Types: map[string]string{".foo": "application/foo", ".txt": "text/plain; charset=iso-8859-1"}}, map[string]string{
		"a.foo": "", "a.txt": "", "a.HTML": "", "a.tar.gz": "", "a.b/c": "", "a.": "", "a.js": "", "a.json": "", "a.svg": "",
	})
	for target, want := range map[string]string{
		"/a.foo": "application/foo", "/a.txt": "text/plain; charset=iso-8859-1", "/a.HTML": "text/html; charset=utf-8",
		"/a.tar.gz": "application/gzip", "/a.b/c": unknownType, "/a.": unknownType, "/a.js": "text/javascript; charset=utf-8",
		"/a.json": "application/json", "/a.svg": "image/svg+xml",
	} {
		if got := r.get(target).header.Get("Content-Type"); got != want {
			t.Errorf("%s is %q, want %q", target, got, want)
		}
	}
	for ext, typ := range types {
		if (Options{Prefix: "/", Types: map[string]string{ext: typ}}).check() != nil {
			t.Errorf("%s, %s could not be an option", ext, typ)
		}
		if strings.HasPrefix(typ, "text/") != strings.HasSuffix(typ, "; charset=utf-8") {
			t.Errorf("%s, %s: text has a charset, and nothing else", ext, typ)
		}
	}
}

func TestCloseIsTheEnd(t *testing.T) {
	r := newRig(t, Options{}, map[string]string{"a": large})
	r.wantBody("/a", large)
	r.on(func() {
		for range 2 {
			if err := r.tree.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if open := r.open(); len(open) > 0 {
		t.Errorf("open after Close: %q", open)
	}
	if p := r.get("/a"); p.status != 503 || p.header.Get("Retry-After") != "1" {
		t.Errorf("after Close: %v", p)
	}
}

// Whatever path is asked for, nothing from outside is sent, and nothing breaks.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/", "/sub", "/sub/", "/a.txt", "/../secret", "/..%2fsecret", "/out", "/out/secret", "/%2e%2e/secret", "//secret", "/fifo", "/a.txt/", "/\\", "*"} {
		f.Add(s)
	}
	s := newSteady(f, Options{Listing: true, Hidden: true, Precompressed: true}, map[string]string{"a.txt": "a", "../secret": "OUTSIDE"}, "")
	dir := s.dir
	for name, to := range map[string]string{"out": "..", "secret": "../secret", "absolute": filepath.Join(dir, "../secret"), "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			out := s.once(method + " " + target + " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n")
			if strings.Contains(out, "OUTSIDE") || strings.HasPrefix(out, "HTTP/1.1 5") {
				t.Errorf("%s %q: %q", method, target, out)
			}
			if head, _, _ := strings.Cut(out, "\r\n\r\n"); strings.Contains(head, "\nLocation: //") || strings.Contains(head, "\nLocation: /\\") {
				t.Errorf("%s %q leads elsewhere: %q", method, target, out)
			}
		}
	})
}
