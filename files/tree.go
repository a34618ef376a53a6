//go:build linux

package files

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"catboat/conn"
)

// Tree serves the files beneath a folder. All of it is for the goroutine of one
// loop: a program with several loops makes a Tree for each.
type Tree struct {
	dir    string // absolute
	o      Options
	root   root
	clock  func() time.Time // tests have their own
	looked time.Time        // when dir was looked at

	entries map[string]*entry
	newest  *entry // by last use, a ring
	held    int    // files of entries that are open or in memory
}

// allow is the methods that a file has.
const allow = "GET, HEAD, OPTIONS"

// New opens dir. An error wraps what the system said (errors.Is), or says which
// of the options cannot be.
func New(dir string, o Options) (*Tree, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	r, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	t := &Tree{dir: dir, o: o, root: r, clock: time.Now, entries: map[string]*entry{}}
	t.looked = t.clock()
	return t, nil
}

// Close closes what is kept open, except what is still being sent: that is closed
// when it is sent. From then on Serve answers 503. It is called on the loop's
// goroutine, or when Run has returned.
func (t *Tree) Close() error {
	if t.root.fd < 0 {
		return nil
	}
	t.makeRoom(0, nil)
	return t.root.close()
}

// Serve answers a request, and is a [conn.Handler]. GET and HEAD get the file
// that the path names, OPTIONS gets 204, all else 405.
func (t *Tree) Serve(c *conn.Conn) {
	q := c.Request()
	switch q.Method() {
	case "GET", "HEAD":
	case "OPTIONS":
		c.SetHeader("Allow", allow)
		c.Reply(204, "", nil)
		return
	default:
		c.SetHeader("Allow", allow)
		c.Error(405)
		return
	}
	path, prefix := q.Path(), t.o.Prefix
	if len(path) < len(prefix) || string(path[:len(prefix)]) != prefix {
		if string(path) == prefix[:len(prefix)-1] {
			redirect(c)
		} else {
			t.notFound(c)
		}
		return
	}
	name := path[len(prefix):]
	e, err := t.find(name, q.Header("If-Range") != nil)
	switch {
	case err == nil:
		t.reply(c, e)
	case err == unix.EISDIR: // by a name without a slash
		redirect(c)
	case t.o.Listing && err == unix.ENOENT && namesFolder(string(name)):
		t.list(c, string(name))
	default:
		t.refuse(c, string(name), err)
	}
}

// refuse answers for a file that could not be had.
func (t *Tree) refuse(c *conn.Conn, name string, err error) {
	switch status := statusOf(err); status {
	case 404:
		t.notFound(c)
	case 403:
		c.Error(403)
	default:
		if t.o.OnError != nil {
			t.o.OnError(name, err)
		}
		if status == 503 {
			c.SetHeader("Retry-After", "1")
		}
		c.Error(status)
	}
}

func (t *Tree) notFound(c *conn.Conn) {
	if t.o.NotFound != nil {
		t.o.NotFound(c)
		return
	}
	c.Error(404)
}

// statusOf is what an error means to a client.
func statusOf(err error) int {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENAMETOOLONG),
		errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESTALE):
		return 404
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return 403
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EBADF):
		return 503
	}
	return 500
}

// namesFolder reports whether a name beneath the root can only be a folder's.
func namesFolder(name string) bool { return name == "" || strings.HasSuffix(name, "/") }

// validName checks a name beneath the root: segments that are not empty, a slash
// at the end allowed, and nothing in them that the system could take for something
// else than a name, or that hides a slash from us. Names that begin with a dot pass
// only if hidden, but for one (RFC 8615).
func validName(name string, hidden bool) bool {
	if strings.IndexByte(name, 0) >= 0 || hasSlash(name) {
		return false
	}
	for first := true; name != ""; first = false {
		segment, rest, _ := strings.Cut(name, "/")
		switch {
		case segment == "" || segment == "." || segment == "..":
			return false
		case segment[0] == '.' && !hidden && !(first && segment == ".well-known"):
			return false
		}
		name = rest
	}
	return true
}

// hasSlash reports whether an encoded slash is in a name: conn leaves it as it was
// sent.
func hasSlash(name string) bool {
	return strings.Contains(name, "%2F") || strings.Contains(name, "%2f")
}
