//go:build linux

package files

import (
	"fmt"
	"maps"
	"strings"

	"catboat/conn"
)

// Options of a [Tree]. A field that is zero means the default.
type Options struct {
	// Prefix is the path under which the tree is mounted, as in "/static/"; default
	// "/". It begins with a slash; the one at its end may be left out. It is what
	// [conn.Request.Path] has, so it is not percent-encoded. Paths that are not
	// beneath it are 404, and without its last slash it is redirected.
	Prefix string

	// Index is the name of the file that stands for its folder; default
	// "index.html", "-" for none.
	Index string

	// Listing lists folders that have no index, at most 1,000 entries each; default
	// is 404. Reading a folder is not cached.
	Listing bool

	// Hidden serves names that begin with a dot, too; default is 404, so that a
	// .git or .env that came along does not get out. "/.well-known/" (RFC 8615) is
	// served always.
	Hidden bool

	// Precompressed sends NAME.br, NAME.zst or NAME.gz in place of NAME to clients
	// that accept the coding, ranges and validators being those of what is sent. A
	// sibling that is older than NAME is ignored, as one that somebody forgot to
	// make again. Off by default: siblings cost three calls more whenever a file
	// is looked at, and a NAME.gz need not be the same thing as NAME. A client that
	// wants none of what there is gets 406.
	Precompressed bool

	// Types has media types by extension in lower case, with its dot: in place of
	// the built-in ones, or beside them. What has none is application/octet-stream.
	Types map[string]string

	// CacheControl is the Cache-Control field of files (RFC 9111 section 5.2), and of
	// 304; default none.
	CacheControl string

	// Cached is how many files are kept open, or in memory if they have at most 8
	// KiB; default 128. Files that are being sent come on top. The loop's MaxConns
	// leaves a tenth of the descriptors for all such.
	Cached int

	// NotFound answers in place of the 404 page: another tree, or a page that finds
	// its way by itself. It sees GET and HEAD.
	NotFound conn.Handler

	// OnError gets what the system said when it costs a client a 500 or 503, with
	// the path beneath the root. Clients can cause many such at once (EMFILE).
	OnError func(path string, err error)
}

const (
	maxListing = 1000
	smallFile  = 8 << 10
)

// withDefaults is o completed, or an error that names what no reply could have.
func (o Options) withDefaults() (Options, error) {
	if !strings.HasSuffix(o.Prefix, "/") {
		o.Prefix += "/"
	}
	switch o.Index {
	case "":
		o.Index = "index.html"
	case "-":
		o.Index = ""
	}
	if o.Cached <= 0 {
		o.Cached = 128
	}
	o.Types = maps.Clone(o.Types)
	return o, o.check()
}

func (o Options) check() error {
	if o.Prefix[0] != '/' || !validName(o.Prefix[1:], true) {
		return fmt.Errorf("files: Options.Prefix %q is no path that a request can have", o.Prefix)
	}
	if o.Index != "" && (strings.Contains(o.Index, "/") || !validName(o.Index, true)) {
		return fmt.Errorf("files: Options.Index %q is not the name of a file", o.Index)
	}
	if !validValue(o.CacheControl) {
		return fmt.Errorf("files: control character in Options.CacheControl %q", o.CacheControl)
	}
	for ext, typ := range o.Types {
		if !validValue(typ) || typ == "" {
			return fmt.Errorf("files: media type %q of %q in Options.Types", typ, ext)
		}
		if !strings.HasPrefix(ext, ".") || strings.LastIndexByte(ext, '.') > 0 || ext != strings.ToLower(ext) {
			return fmt.Errorf("files: %q in Options.Types is no extension in lower case with its dot", ext)
		}
	}
	return nil
}

// validValue checks for what would split a reply (RFC 9110 section 5.5).
func validValue(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
