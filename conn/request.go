package conn

import (
	"iter"
	"net/netip"

	"catboat/httpparse"
)

// Request is what a client asked: views into the connection's buffer. All of it
// is valid until the reply is complete, also while the reply is deferred; what
// is to be kept longer is copied, part by part or with [Request.Clone].
// Its methods are for the loop's goroutine, except those of a clone.
type Request struct {
	head    httpparse.Head
	trailer httpparse.Fields

	raw   []byte // the head, the body without its framing
	tail  []byte // the trailer section
	body  []byte
	peer  netip.AddrPort
	path  View   // decoded, once it was asked for
	host  View   // in lower case, once it was asked for
	spare []byte // memory for what cannot be a view of raw
	clone bool
}

// begin shows the head that has been read.
func (r *Request) begin(raw []byte) { r.raw = raw }

// end makes r an empty request, and what was seen of it invalid.
func (r *Request) end() {
	poison(r.raw, r.body, r.tail, r.spare)
	if r.head.Chunked {
		r.trailer.Reset()
	}
	r.head.Reset()
	r.raw, r.body, r.tail, r.path, r.host = nil, nil, nil, nil, nil
	r.spare = emptied(r.spare)
}

// Method is the name of a registered method, such as "GET": others never reach
// a handler (501).
func (r *Request) Method() string { return r.head.Method }

// Target is the request target as sent (RFC 9112 section 3.2).
func (r *Request) Target() View { return View(r.head.Target.Of(r.raw)) }

// Path is the target's path, decoded once and without dot segments: "/a b" for
// "/x/../a%20b". An encoded slash stays %2F. It begins with a slash, except that
// it is "*" for OPTIONS *.
func (r *Request) Path() View {
	if r.path != nil {
		return r.path
	}
	p := r.head.Path.Of(r.raw)
	if r.head.Plain {
		r.path = View(p)
	} else {
		r.path = r.keep(httpparse.AppendPath(r.room(), p))
	}
	return r.path
}

// Query is the target's query behind the question mark, as sent; empty if there
// is none.
func (r *Request) Query() View { return View(r.head.Query.Of(r.raw)) }

// Host is the host, with its port if there was one, that the request is for:
// valid by the grammar and in lower case. It is that of an absolute target, else
// of the Host field; empty only where the client sent no host.
func (r *Request) Host() View {
	if r.host != nil {
		return r.host
	}
	h := r.head.Host.Of(r.raw)
	r.host = View(h)
	for _, c := range h {
		if 'A' <= c && c <= 'Z' {
			r.host = r.keep(appendLower(r.room(), h))
			break
		}
	}
	return r.host
}

func appendLower(dst, p []byte) []byte {
	for _, c := range p {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// Header is the value of the field of that name, in any case; nil if there is
// none. Several lines of the name are joined by ", " (those of Cookie by "; "),
// so that whoever looks at a list sees all of it.
func (r *Request) Header(name string) View { return r.lookup(&r.head.Fields, r.raw, name) }

// Trailer is like [Request.Header] for the fields behind a chunked body. They
// never override those of the head.
func (r *Request) Trailer(name string) View { return r.lookup(&r.trailer, r.tail, name) }

// Headers is the header section's lines in the order they came, as sent.
func (r *Request) Headers() iter.Seq2[View, View] {
	return func(yield func(name, value View) bool) {
		for _, f := range r.head.Fields.List() {
			if !yield(View(f.Name.Of(r.raw)), View(f.Value.Of(r.raw))) {
				return
			}
		}
	}
}

// Body is the whole body without its framing; empty if there is none, and as long
// as it is not read whole: see [Conn.AwaitBody] and [Conn.StreamBody].
func (r *Request) Body() View { return View(r.body) }

// ContentLength is the body's length as declared: -1 if it came in chunks, 0 if
// there is none.
func (r *Request) ContentLength() int64 { return r.head.ContentLength }

// Minor is 1 for HTTP/1.1, 0 for HTTP/1.0.
func (r *Request) Minor() int { return r.head.Minor }

// Peer is the client's address; the zero AddrPort for a Unix socket.
func (r *Request) Peer() netip.AddrPort { return r.peer }

// Clone is a copy that stays valid for ever and that any number of goroutines
// may read at once.
func (r *Request) Clone() *Request {
	c := &Request{head: r.head, trailer: r.trailer, peer: r.peer, clone: true}
	all := make([]byte, 0, len(r.raw)+len(r.tail)+len(r.Path())+len(r.Host())+len(r.body))
	add := func(p []byte) []byte {
		at := len(all)
		all = append(all, p...)
		return all[at:len(all):len(all)]
	}
	c.raw, c.tail, c.path, c.host, c.body = add(r.raw), add(r.tail), add(r.Path()), add(r.Host()), add(r.body)
	c.head.Fields = r.head.Fields.Clone()
	c.trailer = r.trailer.Clone()
	return c
}

func (r *Request) lookup(fields *httpparse.Fields, b []byte, name string) View {
	list := fields.List()
	for i, f := range list {
		if f.Name.Len() == len(name) && equalFold(f.Name.Of(b), name) {
			return r.join(f.Value.Of(b), list[i+1:], b, name)
		}
	}
	return nil
}

// join adds to first the values of the other lines of that name, if there are.
func (r *Request) join(first []byte, rest []httpparse.Field, b []byte, name string) View {
	var joined []byte
	for _, f := range rest {
		if f.Name.Len() != len(name) || !equalFold(f.Name.Of(b), name) {
			continue
		}
		if joined == nil {
			joined = append(r.room(), first...)
		}
		separator := ", "
		if f.Name.Len() == len("cookie") && equalFold(f.Name.Of(b), "cookie") { // RFC 6265 section 5.4
			separator = "; "
		}
		joined = append(append(joined, separator...), f.Value.Of(b)...)
	}
	if joined == nil {
		return View(first)
	}
	return r.keep(joined)
}

// room is where made-up bytes may be appended, to be kept with keep. A clone has
// no such place, since several goroutines may be reading it.
func (r *Request) room() []byte {
	if r.clone {
		return []byte{}
	}
	return r.spare[len(r.spare):]
}

// keep makes what was appended to room permanent until the request's end.
func (r *Request) keep(made []byte) View {
	if r.clone {
		return View(made)
	}
	at := len(r.spare)
	if cap(made) > cap(r.spare)-at { // has moved; earlier views keep the old array
		at = 0
		r.spare = append(make([]byte, 0, 2*cap(r.spare)+len(made)), made...)
	} else {
		r.spare = r.spare[:at+len(made)]
	}
	return View(r.spare[at:len(r.spare):len(r.spare)])
}

func equalFold(b []byte, s string) bool {
	for i, c := range b {
		if c != s[i] && lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
