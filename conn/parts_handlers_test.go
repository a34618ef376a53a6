package conn

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// atHead are the answers that need no whole body: replies and bodies in parts.
// What they are stands in testdata/README.md.
var atHead = map[string]func(r *rig, c *Conn, argument string){
	"/early": func(r *rig, c *Conn, _ string) { hello(c) },
	"/early-defer": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		r.deferred = append(r.deferred, c.Defer())
	},
	"/await": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		target := c.Request().Target()
		c.AwaitBody(func(c *Conn) {
			c.Reply(200, "text/plain", []byte(fmt.Sprintf("%s %q %q", target, c.Request().Body(), c.Request().Trailer("t"))))
		})
	},
	"/abort": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		c.Abort(errAborted)
	},
	"/inform": func(r *rig, c *Conn, _ string) {
		c.SetHeader("Link", "</a>")
		c.Inform(103)
		c.SetHeader("Link", "")
		hello(c)
	},
	"/ask": func(r *rig, c *Conn, _ string) { // to be told to continue, and no more
		c.Inform(100)
		hello(c)
	},

	"/upload":      func(r *rig, c *Conn, name string) { r.upload(c, name, false) },
	"/upload-slow": func(r *rig, c *Conn, name string) { r.upload(c, name, true) },
	"/upload-first": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		c.StreamBody().Each(func(c *Conn, p []byte, err error) int {
			if c.Status() == 0 {
				hello(c)
			}
			if err != nil {
				r.say("body: " + err.Error())
			}
			return len(p)
		})
	},
	"/upload-abort": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		c.StreamBody().Each(func(c *Conn, p []byte, err error) int {
			if err == nil {
				c.Abort(errAborted)
			} else {
				r.say("body: " + err.Error())
			}
			return len(p)
		})
	},
	"/upload-forgotten": func(r *rig, c *Conn, _ string) {
		c.StreamBody().Each(func(_ *Conn, p []byte, _ error) int { return len(p) })
	},
	"/read": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		r.bodies = append(r.bodies, c.StreamBody())
		r.deferred = append(r.deferred, c.Defer())
	},
	"/copy": (*rig).copy,

	"/stream": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		r.stream(c, 200, unknown)
	},
	"/stream-length": func(r *rig, c *Conn, length string) {
		r.noteAfter(c, length)
		n, _ := strconv.Atoi(length)
		r.stream(c, 200, int64(n))
	},
	"/stream-status": func(r *rig, c *Conn, code string) {
		n, _ := strconv.Atoi(code)
		s := r.stream(c, n, unknown)
		s.TryWrite([]byte("body"), nil)
		s.Close()
	},
	"/stream-whole": func(r *rig, c *Conn, text string) {
		r.noteAfter(c, text)
		c.SetHeader("Trailer", "Sum")
		s := r.stream(c, 200, unknown)
		s.TryWrite([]byte(text), nil)
		s.Trailer("Sum", strconv.Itoa(len(text)))
		s.Close()
	},
	"/stream-close": func(r *rig, c *Conn, _ string) {
		c.CloseAfterReply()
		r.stream(c, 200, unknown).Close()
	},
	"/stream-panic": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		r.stream(c, 200, unknown)
		panic("oops")
	},
	"/stream-panic-late": func(r *rig, c *Conn, name string) {
		r.noteAfter(c, name)
		r.stream(c, 200, unknown).Close()
		panic("oops")
	},
	"/stream-twice": func(r *rig, c *Conn, _ string) {
		r.stream(c, 200, unknown).Close()
		r.stream(c, 404, unknown)
	},
	"/stream-inform": func(r *rig, c *Conn, _ string) {
		c.Inform(103)
		r.stream(c, 200, unknown).Close()
	},

	"/pieces": func(r *rig, c *Conn, count string) {
		r.noteAfter(c, count)
		c.ReplyResumable(200, "text/plain", unknown, r.pieces(Again()), []byte(count))
	},
	"/pieces-after": func(r *rig, c *Conn, count string) {
		r.noteAfter(c, count)
		c.ReplyResumable(200, "text/plain", unknown, r.pieces(After(5)), []byte(count))
	},
	"/pieces-or-stop": func(r *rig, c *Conn, count string) {
		c.ReplyResumable(200, "text/plain", unknown, r.pieces(After(5).OrStop()), []byte(count))
	},
	"/pieces-length": func(r *rig, c *Conn, argument string) {
		count, length, _ := strings.Cut(argument, "/")
		r.noteAfter(c, count)
		n, _ := strconv.Atoi(length)
		c.ReplyResumable(200, "text/plain", int64(n), r.pieces(Again()), []byte(count))
	},

	"/file": func(r *rig, c *Conn, argument string) {
		r.noteAfter(c, argument)
		c.ReplyFile(200, "text/plain", r.parts(argument)...)
	},
	"/file-status": func(r *rig, c *Conn, code string) {
		n, _ := strconv.Atoi(code)
		c.ReplyFile(n, "text/plain", r.parts("3,0,5")...)
	},
	"/file-twice": func(r *rig, c *Conn, _ string) {
		hello(c)
		c.ReplyFile(200, "text/plain", r.parts("3,0,5")...)
	},
}

var errAborted = errors.New("aborted")

func (r *rig) noteAfter(c *Conn, name string) {
	r.owed["AfterReply"]++
	c.AfterReply(func(c *Conn, err error) {
		r.owed["AfterReply"]--
		r.say(fmt.Sprint("after ", name, ": ", c.Status(), " ", err))
	})
}

func (r *rig) stream(c *Conn, status int, length int64) *Stream {
	s := c.ReplyStream(status, "text/plain", length)
	r.streams = append(r.streams, s)
	return s
}

// upload replies with the body when that has ended. If it is slow it takes a
// byte and waits to be resumed.
func (r *rig) upload(c *Conn, name string, slow bool) {
	r.noteAfter(c, name)
	target := c.Request().Target()
	var got []byte
	b := c.StreamBody()
	r.bodies = append(r.bodies, b)
	r.owed["Each"]++
	b.Each(func(c *Conn, p []byte, err error) int {
		if err != nil {
			r.owed["Each"]--
		}
		if slow && len(p) > 1 {
			p = p[:1]
		}
		got = append(got, p...)
		switch {
		case err == io.EOF && c.Status() == 0:
			c.Reply(200, "text/plain", []byte(fmt.Sprintf("%s %q %q", target, got, c.Request().Trailer("t"))))
		case err != nil:
			r.say(fmt.Sprintf("body: %q %v", got, err))
		}
		return len(p)
	})
}

// copy replies with the body while it comes, if its length is known.
func (r *rig) copy(c *Conn, name string) {
	r.noteAfter(c, name)
	b := c.StreamBody()
	s := c.ReplyStream(200, "text/plain", c.Request().ContentLength())
	r.owed["Each"]++
	b.Each(func(c *Conn, p []byte, err error) int {
		if err != nil {
			r.owed["Each"]--
		}
		switch {
		case err == io.EOF:
			s.Close()
		case err != nil:
			s.Abort(err)
		}
		n, _ := s.TryWrite(p, b.Resume)
		return n
	})
}

// pieces are as many as the state says, each with a number.
func (r *rig) pieces(next Next) *Resumable {
	pieces := NewResumable("pieces/1", func(p *Piece) Next {
		n, _ := strconv.Atoi(string(p.State()))
		switch {
		case p.Stopping():
			p.WriteString("stopping\n")
			return End()
		case n == 0:
			return End()
		case n < 0:
			panic("oops")
		}
		fmt.Fprintf(p, "%d\n", n)
		p.SetState([]byte(strconv.Itoa(n - 1)))
		return next
	})
	r.env.resumables[pieces.name] = pieces // as Config.Resumables would
	return pieces
}

// parts reads "bytes;3,0,5;more;4,1,2": what lies before each range, and it.
func (r *rig) parts(argument string) (parts []FilePart) {
	before := ""
	for _, s := range strings.Split(argument, ";") {
		var part FilePart
		if n, _ := fmt.Sscanf(s, "%d,%d,%d", &part.FD, &part.Offset, &part.Length); n != 3 {
			before = s
			continue
		}
		part.Before, before = []byte(before), ""
		r.owed["Done"]++
		part.Done = func() { r.owed["Done"]--; r.say("done " + s) }
		parts = append(parts, part)
	}
	if before != "" {
		parts = append(parts, FilePart{Before: []byte(before)})
	}
	return parts
}
