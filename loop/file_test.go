//go:build linux

package loop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
)

// diskFile is a descriptor of a file with that content, open until the test ends.
func diskFile(t testing.TB, content []byte) int {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

// fileSite answers "/file" with a file, which it opens and closes, and others as site
// does. What it notes is for the loop's goroutine.
type fileSite struct {
	name   string
	length int64
	done   int     // calls of Done
	told   []error // what AfterReply was told
	t      testing.TB
}

func newFileSite(t testing.TB, content []byte) *fileSite {
	t.Helper()
	f := &fileSite{name: filepath.Join(t.TempDir(), "file"), length: int64(len(content)), t: t}
	if err := os.WriteFile(f.name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fileSite) handle(c *conn.Conn) {
	if string(c.Request().Path()) != "/file" {
		site(c)
		return
	}
	file, err := os.Open(f.name)
	if err != nil {
		f.t.Error(err)
	}
	c.AfterReply(func(_ *conn.Conn, err error) { f.told = append(f.told, err) })
	c.ReplyFile(200, "", conn.FilePart{FD: int(file.Fd()), Length: f.length, Done: func() {
		f.done++
		file.Close()
	}})
}

// openFiles is how many descriptors the process has.
func openFiles(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestFileArrivesWhole(t *testing.T) {
	for _, length := range []int{1, 64 << 10, 64<<10 + 1, 20 << 20} {
		t.Run(fmt.Sprint(length, " bytes"), func(t *testing.T) {
			content := append(big[:len(big):len(big)], big...)[:length]
			f := newFileSite(t, content)
			s := serve(t, f.handle, Options{})
			before := openFiles(t)
			c := s.dial()
			c.send(get("/before") + get("/file") + strings.Replace(get("/file"), "GET", "HEAD", 1) + get("/file") + get("/behind"))
			c.want(200, "/before")
			for i := range 3 {
				r, err := http.ReadResponse(c.r, &http.Request{Method: []string{"GET", "HEAD", "GET"}[i]})
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r.Body)
				if err != nil || r.ContentLength != int64(length) || i != 1 && !bytes.Equal(got, content) {
					t.Errorf("%d bytes of %d, or others; %v", len(got), r.ContentLength, err)
				}
			}
			c.want(200, "/behind")
			c.Close()
			s.held(Held{Listeners: 1})
			s.on(func() {
				if f.done != 3 || len(f.told) != 3 || errors.Join(f.told...) != nil {
					t.Errorf("Done was called %d times, AfterReply told %v", f.done, f.told)
				}
			})
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors, then %d", before, after)
			}
		})
	}
}

// The head of a reply and the beginning of its file share a packet.
func TestBytesBeforeAFileWaitForIt(t *testing.T) {
	f := newFileSite(t, []byte("file"))
	s := serve(t, f.handle, Options{})
	c := s.dial()
	for range 3 {
		mark := s.k.mark()
		c.ask("/file", 200, "file")
		s.settled()
		var made []call
		for _, e := range s.k.calls(mark, onWrite, onWriteMore, onSendfile) {
			made = append(made, e.call)
		}
		if len(made) != 2 || made[0] != onWriteMore || made[1] != onSendfile {
			t.Errorf("calls %v", made)
		}
	}
}

func TestPartsArriveInTheirOrder(t *testing.T) {
	a, b := diskFile(t, []byte("0123456789")), diskFile(t, big)
	var want bytes.Buffer
	want.WriteString("<3456>")
	want.Write(big[1<<20:])
	want.WriteString("--56789")
	want.Write(big[:5000])
	want.WriteString("end")
	s := prepare(t, func(c *conn.Conn) {
		c.ReplyFile(206, "", conn.FilePart{Before: []byte("<"), FD: a, Offset: 3, Length: 4},
			conn.FilePart{Before: []byte(">"), FD: b, Offset: 1 << 20, Length: int64(len(big)) - 1<<20},
			conn.FilePart{Before: []byte("--"), FD: a, Offset: 5, Length: 5},
			conn.FilePart{FD: b, Length: 5000},
			conn.FilePart{Before: []byte("end")})
	}, Options{})
	s.k.short(onWriteMore, 1, 7, 100)
	s.k.short(onSendfile, 1, 2, 1, 100_000)
	s.k.fail(onSendfile, syscall.EINTR, syscall.EAGAIN)
	s.run()
	c := s.dial()
	c.send(repeat(get("/"), 2))
	for range 2 {
		c.want(206, want.String())
	}
}

func TestSlowReaderGetsEveryByteOfAFile(t *testing.T) {
	f := newFileSite(t, big)
	s := serve(t, f.handle, Options{})
	c := s.dialNarrow()
	c.send(get("/file"))
	s.held(Held{Listeners: 1, Write: 1})
	c.want(200, string(big))
	s.settled()
	full := 0
	for _, e := range s.k.calls(0, onSendfile) {
		if e.errno == syscall.EAGAIN || e.got < e.want {
			full++
		}
	}
	if full == 0 {
		t.Error("the socket was never full")
	}
}

// However fast the client reads, others have their turn behind so many bytes.
func TestOutputOfOneTurnIsBounded(t *testing.T) {
	for _, path := range []string{"/file", "/big"} {
		t.Run(path, func(t *testing.T) {
			f := newFileSite(t, big)
			s := serve(t, f.handle, Options{})
			c, other := s.dial(), s.dial()
			c.send(repeat(get(path), 4))
			for range 4 {
				c.want(200, string(big))
				other.ask("/", 200, "hello")
			}
			s.settled()
			sum, most, fd := 0, 0, 0
			for _, e := range s.k.calls(0, onWait, onWrite, onWriteMore, onSendfile) {
				switch {
				case e.call == onWait:
					sum = 0
				case fd == 0:
					fd = e.fd
					fallthrough
				case e.fd == fd:
					sum += e.got
					most = max(most, sum)
				}
			}
			if most == 0 || most >= maxFlush+maxWrite {
				t.Errorf("up to %d bytes in a turn", most)
			}
		})
	}
}

// Whatever becomes of a file, its descriptor is given back, once.
func TestDoneOfAFileIsCalledOnce(t *testing.T) {
	for _, row := range []struct {
		name    string
		request string
		end     func(s *server, f *fileSite, c *client)
		told    error
	}{
		{"HTTP/1.0", "GET /file HTTP/1.0\r\n\r\n", func(s *server, f *fileSite, c *client) {
			c.want(200, string(big))
			c.wantEnd()
			c.Close()
		}, nil},
		{"FIN of the client", get("/file"), func(s *server, f *fileSite, c *client) {
			c.CloseWrite()
			c.want(200, string(big))
			c.wantEnd()
		}, nil},
		{"reset", get("/file"), func(s *server, f *fileSite, c *client) { c.reset() }, conn.ErrGone},
		{"cut", get("/file"), func(s *server, f *fileSite, c *client) { s.Cut() }, conn.ErrGone},
		{"deadline", get("/file"), func(s *server, f *fileSite, c *client) {
			for range 3 { // what the socket's buffers took counts at the first
				s.pass(20 * time.Second)
			}
		}, conn.ErrGone},
		{"truncated", get("/file"), func(s *server, f *fileSite, c *client) {
			if err := os.Truncate(f.name, 0); err != nil {
				f.t.Fatal(err)
			}
			c.wantHalf()
		}, conn.ErrTruncated},
		{"truncated, with a request behind it", get("/file") + get("/"), func(s *server, f *fileSite, c *client) {
			if err := os.Truncate(f.name, 0); err != nil {
				f.t.Fatal(err)
			}
			c.wantHalf()
		}, conn.ErrTruncated},
		{"truncated within what is sent at once", get("/file"), func(s *server, f *fileSite, c *client) {
			if err := os.Truncate(f.name, 12<<20+5); err != nil {
				f.t.Fatal(err)
			}
			c.wantHalf()
		}, conn.ErrTruncated},
		{"a disk that fails", get("/file"), func(s *server, f *fileSite, c *client) {
			s.k.fail(onSendfile, syscall.EIO)
			c.wantHalf()
		}, conn.ErrGone},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFileSite(t, big)
			s := serve(t, f.handle, Options{})
			before := openFiles(t)
			c := s.dialNarrow()
			c.send(row.request)
			s.held(Held{Listeners: 1, Write: 1})
			s.on(func() {
				if f.done != 0 || len(f.told) != 0 {
					t.Errorf("while it is sent: Done was called %d times, AfterReply told %v", f.done, f.told)
				}
			})
			row.end(s, f, c)
			c.Close()
			s.held(Held{Listeners: 1})
			s.on(func() {
				if f.done != 1 || len(f.told) != 1 || f.told[0] != row.told {
					t.Errorf("Done was called %d times, AfterReply told %v", f.done, f.told)
				}
			})
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors, then %d", before, after)
			}
		})
	}
}

// wantHalf wants less of a reply than its head says, and FIN.
func (c *client) wantHalf() {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := io.ReadAll(r.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(big, got) {
		c.t.Errorf("got %d bytes, or others, and %v", len(got), err)
	}
}

// What the disk refuses is no fault of the client's, so the log tells.
func TestFailureOfADiskIsLogged(t *testing.T) {
	for _, row := range []struct {
		errno syscall.Errno
		says  string
	}{
		{syscall.EIO, "input/output error"},
		{syscall.EINVAL, "invalid argument"},
		{syscall.EPIPE, ""},
		{syscall.ECONNRESET, ""},
		{syscall.ETIMEDOUT, ""},
	} {
		t.Run(fmt.Sprint(row.errno), func(t *testing.T) {
			var log strings.Builder
			f := newFileSite(t, big)
			s := serve(t, f.handle, Options{Logger: textLogger(&log)})
			s.k.fail(onSendfile, row.errno)
			c := s.dial()
			c.send(get("/file"))
			c.wantHalf()
			s.held(Held{Listeners: 1})
			s.on(func() {})
			if row.says == "" && log.Len() > 0 || !strings.Contains(log.String(), row.says) {
				t.Errorf("the log is %q, want %q in it", &log, row.says)
			}
		})
	}
}
