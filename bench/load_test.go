//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEveryWorkloadIsAnsweredByFloorsAndTestbedAlike(t *testing.T) {
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			size := 0
			for _, s := range built {
				if s.name == "floor-defer" && w.name != "W1" && !w.close {
					continue // it is as the floor then
				}
				one, err := measure(s, w, applyLoad, 100*time.Millisecond)
				for tries := 0; errors.Is(err, errIdle) && tries < 20; tries++ { // on a machine that is busy with others
					one, err = measure(s, w, applyLoad, 100*time.Millisecond)
				}
				if err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				if one.Requests <= 0 || one.CPU <= 0 || one.Seconds < 0.1 {
					t.Errorf("%s: %+v", s.name, one)
				}
				if w.file == "" && size != 0 && one.Bytes != size { // a file has more fields
					t.Errorf("%s answers %d bytes, the floor %d", s.name, one.Bytes, size)
				}
				size = one.Bytes
			}
		})
	}
}

func TestServerHasItsCoreAndGOMAXPROCS(t *testing.T) {
	t.Setenv("GOMAXPROCS", "7")
	p, err := built[1].start(workload{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	var set, want unix.CPUSet
	want.Set(serverCore)
	if err := unix.SchedGetaffinity(p.cmd.Process.Pid, &set); err != nil || set != want {
		t.Errorf("it runs on %v, %v", set, err)
	}
	for procs, want := range map[string]string{"2": "GOMAXPROCS=2", "unset": "", "": ""} {
		got := ""
		for _, v := range environment(procs) {
			if strings.HasPrefix(v, "GOMAXPROCS=") {
				got += v
			}
		}
		if got != want {
			t.Errorf("GOMAXPROCS %q: %q in the environment", procs, got)
		}
	}
}

func TestAnyWrongAnswerFailsTheRun(t *testing.T) {
	patience = time.Second
	t.Cleanup(func() { patience = 5 * time.Second })
	closing := "Connection: close"
	for _, row := range []struct {
		name  string
		close bool
		say   func(request int) (string, bool)
		want  string
	}{
		{"right", false, func(int) (string, bool) { return rightAnswer(), false }, ""},
		{"right, closed", true, func(int) (string, bool) { return rightAnswer(closing), true }, ""},
		{"another body", false, func(int) (string, bool) { return strings.ReplaceAll(rightAnswer(), "Hello", "Hallo"), false }, "wrong at byte 0"},
		{"another status", false, func(int) (string, bool) { return strings.Replace(rightAnswer(), "200 OK", "500 No", 1), false }, "wrong at byte 0"},
		{"an old date", false, func(int) (string, bool) {
			now := time.Now().UTC()
			return strings.Replace(rightAnswer(), now.Format("2006"), now.AddDate(-1, 0, 0).Format("2006"), 1), false
		}, "wrong at byte 0"},
		{"wrong later", false, func(k int) (string, bool) {
			if k < 20 {
				return rightAnswer(), false
			}
			return strings.ToLower(rightAnswer()), false
		}, "wrong at byte 0"},
		{"too long", false, func(int) (string, bool) { return rightAnswer() + "\n", false }, "behind the answer"},
		{"too short", false, func(int) (string, bool) { return rightAnswer()[:50], true }, "1 answers missing and 50 bytes of the next"},
		{"closed behind the answer", false, func(int) (string, bool) { return rightAnswer(), true }, "the connection ended|reset|broken pipe"},
		{"not closed", true, func(int) (string, bool) { return rightAnswer(closing), false }, "no answer in 1s"},
		{"nothing", false, func(int) (string, bool) { return "", false }, "no answer in 1s"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := basic(row.close)
			p := scripted(t, func(conn, request int) (string, bool) {
				if conn == 0 { // the one whose answer is taken as the right one
					return rightAnswer(map[bool][]string{true: {closing}}[row.close]...), row.close
				}
				return row.say(request)
			})
			want, err := firstAnswer(p.address, w, false)
			if err != nil {
				t.Fatal(err)
			}
			o, err := applyLoad(p, w, want, 100*time.Millisecond)
			switch {
			case row.want == "" && (err != nil || o.Requests == 0):
				t.Errorf("%+v, %v", o, err)
			case row.want != "" && (err == nil || !regexp.MustCompile(row.want).MatchString(err.Error())):
				t.Errorf("%v, want %q in it", err, row.want)
			}
		})
	}
}

// A run goes on while anything is answered; what is not is found at its end.
func TestConnectionThatIsNeverAnsweredFailsTheRun(t *testing.T) {
	patience = time.Second
	t.Cleanup(func() { patience = 5 * time.Second })
	w := basic(false)
	p := scripted(t, func(conn, request int) (string, bool) {
		if conn == 1 {
			return "", false
		}
		return rightAnswer(), false
	})
	want, err := firstAnswer(p.address, w, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := applyLoad(p, w, want, 100*time.Millisecond); err == nil || !strings.Contains(err.Error(), "1 connections were not answered") {
		t.Error(err)
	}
}

func TestFirstAnswerIsRefusedIfAnythingIsWrong(t *testing.T) {
	right := rightAnswer()
	for _, row := range []struct{ name, text, want string }{
		{"status", strings.Replace(right, "200", "404", 1), "status line"},
		{"version", strings.Replace(right, "1.1", "1.0", 1), "status line"},
		{"body", strings.Replace(right, "World", "world", 1), "wrong body"},
		{"length", strings.Replace(right, "13", "12", 1), "behind its end"},
		{"type", strings.Replace(right, "plain", "html", 1), "wrong Content-Type"},
		{"server", strings.Replace(right, "Server", "Serves", 1), "no Server"},
		{"no date", strings.Replace(right, "Date", "Data", 1), "wrong Date"},
		{"no such date", strings.Replace(right, "GMT", "MET", 1), "wrong Date"},
		{"announces its end", strings.Replace(right, "Server", "Connection: close\r\nServer", 1), "wrong Connection"},
		{"short", right[:len(right)-1], "EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := scripted(t, func(int, int) (string, bool) { return row.text, true })
			if _, err := firstAnswer(p.address, basic(false), false); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q in it", err, row.want)
			}
		})
	}
}

func TestAnswersMatchWholeAndInPieces(t *testing.T) {
	text := []byte(rightAnswer())
	a := answer{bytes: text, date: dateOf(text)}
	for i := range text {
		if !a.matches(text[:i], 0) || !a.matches(text[i:], i) {
			t.Errorf("split at %d: the right answer does not match", i)
		}
		if i >= a.date && i < a.date+dateLen {
			continue
		}
		wrong := bytes.Clone(text)
		wrong[i] ^= 1
		if a.matches(wrong, 0) || a.matches(wrong[:i+1], 0) || a.matches(wrong[i:], i) {
			t.Errorf("byte %d is wrong, and it matches", i)
		}
	}
}

func TestFloorCountsHeadsAcrossReads(t *testing.T) {
	for _, row := range []struct {
		name, sent string
		answers    int
	}{
		{"one", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1},
		{"three", strings.Repeat("a\r\nb\r\n\r\n", 3), 3},
		{"bare line ends", "a\n\nb\r\r\n\r\r\n\n\r\n", 0},
		{"a CR too many before", "a\r\r\n\r\n", 1},
		{"nothing but ends", "\r\n\r\n\r\n\r\n", 2},
	} {
		for _, step := range []int{len(row.sent), 1, 3} {
			t.Run(fmt.Sprint(row.name, " in steps of ", step), func(t *testing.T) {
				c := dial(t, startFloor(t))
				for from := 0; from < len(row.sent); from += step {
					io.WriteString(c, row.sent[from:min(from+step, len(row.sent))])
				}
				c.CloseWrite()
				if got := readAnswers(t, c); got != row.answers {
					t.Errorf("%d answers, want %d", got, row.answers)
				}
			})
		}
	}
}

// Nobody reads until neither side can write any more.
func TestFloorGoesOnAfterAShortWrite(t *testing.T) {
	const heads = 200_000
	c := dial(t, startFloor(t))
	c.SetReadBuffer(64 << 10)
	c.SetWriteBuffer(64 << 10)
	all := bytes.Repeat(workloads[0].request(), heads)
	c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	n, err := c.Write(all)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d of %d bytes were taken: %v", n, len(all), err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(all[n:])
		c.CloseWrite()
		sent <- err
	}()
	got, err := io.ReadAll(c)
	if err = errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if len(got)%heads != 0 || !bytes.Equal(got, bytes.Repeat(got[:len(got)/heads], heads)) {
		t.Errorf("%d bytes for %d heads, which are not %[2]d times the same answer", len(got), heads)
	}
}

// readAnswers parses answers until the connection ends.
func readAnswers(t *testing.T, c io.Reader) (n int) {
	t.Helper()
	r := bufio.NewReader(c)
	for ; ; n++ {
		if _, err := r.Peek(1); err == io.EOF {
			return n
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("after %d answers: %v", n, err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, hello) {
			t.Fatalf("after %d answers: %q, %v", n, body, err)
		}
	}
}
