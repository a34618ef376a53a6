//go:build linux

package loop

import (
	"fmt"
	"io"
	"testing"

	"catboat/conn"
)

// refusing answers at the head, "/404" for instance with that, and reads no body.
func refusing(c *conn.Conn) {
	status := 200
	fmt.Sscanf(string(c.Request().Path()), "/%d", &status)
	c.Reply(status, "text/plain", pattern(100_000))
}

// A client that sends its whole body before it reads gets the whole answer: it is
// not lost to a reset.
func TestEarlyAnswerReachesWhoGoesOnSending(t *testing.T) {
	const length = 10 << 20
	for _, row := range []struct {
		name string
		head string
		body func(w io.Writer) error
	}{
		{"of known length", upload("/413", length), func(w io.Writer) error {
			_, err := io.Copy(w, source(length))
			return err
		}},
		{"in chunks", "POST /404 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", func(w io.Writer) error {
			for range length / (1 << 20) {
				if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", 1<<20, big[:1<<20]); err != nil {
					return err
				}
			}
			_, err := io.WriteString(w, "0\r\n\r\n")
			return err
		}},
		{"whose end is not sent", upload("/413", 2*length), func(w io.Writer) error {
			_, err := io.Copy(w, source(length))
			return err
		}},
	} {
		for _, last := range []string{"", "FIN"} {
			t.Run(row.name+" "+last, func(t *testing.T) {
				s := serve(t, refusing, Options{HeadFirst: true})
				c := s.dial()
				c.send(row.head)
				if err := row.body(c.TCPConn); err != nil {
					t.Fatal(err)
				}
				if last != "" {
					c.CloseWrite()
				}
				status := 413
				if row.name == "in chunks" {
					status = 404
				}
				r := c.want(status, string(pattern(100_000)))
				if !r.Close {
					t.Error("the reply does not say that it is the last")
				}
				c.wantEnd()
				c.Close()
				s.held(Held{Listeners: 1})
				if n := s.k.count(0, onReset); n > 0 {
					t.Error("reset")
				}
			})
		}
	}
}

// What is left of a small body is thrown away, and the connection goes on.
func TestEarlyAnswerKeepsAConnectionWithASmallBody(t *testing.T) {
	for _, length := range []int{1, 1000, 64 << 10} {
		t.Run(fmt.Sprint(length, " bytes"), func(t *testing.T) {
			s := serve(t, refusing, Options{HeadFirst: true})
			c := s.dial()
			for range 3 {
				c.send(upload("/404", length))
				c.want(404, "") // before a byte of the body
				s.held(Held{Listeners: 1, Body: 1})
				c.send(string(big[:length]))
				s.held(Held{Listeners: 1, Idle: 1})
			}
			for range 3 {
				c.send(upload("/404", length) + string(big[:length]) + get("/"))
				c.want(404, "")
				c.want(200, "")
			}
			s.held(Held{Listeners: 1, Idle: 1})
			if n := s.k.count(0, onCloseWrite); n > 0 {
				t.Errorf("%d calls of shutdown(2)", n)
			}
		})
	}
}
