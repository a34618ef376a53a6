//go:build linux

package files

import (
	"bytes"
	"errors"
	"html"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"catboat/conn"
)

// list answers for a folder, named with its slash, that has no index. Names that
// would be 404 are left out. Of a folder with more than maxListing entries those
// are listed that the file system gives first, and the page says that there are more.
func (t *Tree) list(c *conn.Conn, name string) {
	folders, names, more, err := t.readFolder(name)
	if err != nil {
		t.refuse(c, name, err)
		return
	}
	title := html.EscapeString(printable(string(c.Request().Path())))
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>" + title + "</title>\n<h1>" + title + "</h1>\n<ul>\n")
	item := func(name, slash string) {
		b.WriteString("<li><a href=\"./" + escape(name, segmentBytes) + slash + "\">" + html.EscapeString(printable(name)) + slash + "</a>\n")
	}
	if name != "" {
		b.WriteString("<li><a href=\"../\">../</a>\n")
	}
	for _, name := range folders {
		item(name, "/")
	}
	for _, name := range names {
		item(name, "")
	}
	b.WriteString("</ul>\n")
	if more {
		b.WriteString("<p>There are more than " + strconv.Itoa(maxListing) + " entries; the others are not shown.\n")
	}
	b.WriteString("</html>\n")
	c.SetHeader("X-Content-Type-Options", "nosniff")
	c.Reply(200, "text/html; charset=utf-8", b.Bytes())
}

// readFolder is the sorted names of what is served of a folder.
func (t *Tree) readFolder(name string) (folders, names []string, more bool, err error) {
	if !validName(name, t.o.Hidden) {
		return nil, nil, false, unix.ENOENT
	}
	path := "./" + name
	fd, err := t.root.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, nil, false, err
	}
	f := os.NewFile(uintptr(fd), "/proc/self/fd/"+strconv.Itoa(fd)) // where ReadDir finds what has no type in the folder itself
	defer f.Close()
	entries, err := f.ReadDir(maxListing + 1)
	if err != nil && err != io.EOF {
		return nil, nil, false, errno(err)
	}
	if len(entries) > maxListing {
		entries, more = entries[:maxListing], true
	}
	for _, e := range entries {
		if !validName(name+e.Name(), t.o.Hidden) {
			continue
		}
		switch t.kind(path+e.Name(), e.Type()) {
		case os.ModeDir:
			folders = append(folders, e.Name())
		case 0:
			names = append(names, e.Name())
		}
	}
	slices.Sort(folders)
	slices.Sort(names)
	return folders, names, more, nil
}

// kind is the type of what is listed: of what it leads to, if it is a link.
func (t *Tree) kind(path string, mode os.FileMode) os.FileMode {
	if mode != os.ModeSymlink {
		return mode
	}
	fd, err := t.root.open(path, unix.O_PATH)
	if err != nil {
		return mode
	}
	defer unix.Close(fd)
	switch id, _ := fstat(fd); id.mode {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return os.ModeDir
	}
	return mode
}

// printable is a file's name, which may be any bytes, as text.
func printable(name string) string {
	name = strings.ToValidUTF8(name, "\ufffd")
	return strings.Map(func(c rune) rune {
		if c < ' ' || 0x7f <= c && c < 0xa0 {
			return '\ufffd'
		}
		return c
	}, name)
}

// errno is the error number within err, since refuse wants those.
func errno(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}
