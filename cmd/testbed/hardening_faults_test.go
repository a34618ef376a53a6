//go:build linux

package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server without descriptors that is polled by who waits must not spin.
func TestAServerThatIsFullIsIdleAndRecovers(t *testing.T) {
	t.Parallel()
	const served, told, flood = 230, 11, 300
	s := startCommand(t, "sh", "-c", `ulimit -n 256 && exec "$0" -listen 127.0.0.1:0`, program)
	var clients []*client
	for range flood {
		clients = append(clients, s.dial(t))
	}
	for _, c := range clients[:served] {
		c.ask("GET", "/", "")
	}
	for _, c := range clients[served : served+told] {
		c.reply("GET")
	}
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	used, begun := s.cpu(t), time.Now()
	for range 50 {
		<-pace.C
		clients[0].ask("GET", "/", "")
	}
	used, lasted := s.cpu(t)-used, time.Since(begun)
	percent := 100 * float64(used) / float64(lasted)
	if percent > 25 {
		t.Errorf("while full, and asked 50 times, it uses %.1f %% of a core", percent)
	}
	waiting := clients[served+told:]
	for _, c := range waiting {
		io.WriteString(c, whole)
	}
	recovers := time.Now()
	leave(clients[:served+told])
	for _, c := range waiting {
		if resp, _ := c.reply("GET"); resp.StatusCode != 200 {
			t.Fatalf("one who waited got %s", resp.Status)
		}
	}
	took := time.Since(recovers)
	if took > late {
		t.Errorf("those who waited were served after %v", took)
	}
	t.Logf("%.2f %% of a core while full, 50 requests included; all who waited served %v after there was room", percent, took.Round(100*time.Microsecond))
	leave(waiting)
	s.awaitAlone(t)
}

func TestWaitingGoroutinesKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	const n = 200
	s := start(t)
	s.settled(t)
	b := s.watch(t)
	all, _ := s.crowd(t, n, func(int) string { return request("GET", "/defer?ms=1000", "") })
	for _, c := range all {
		if resp, body := c.reply("GET"); resp.StatusCode != 200 || body != patternOf(1024) {
			t.Fatalf("%s, %.100q", resp.Status, body)
		}
	}
	p99, worst := b.done(t)
	t.Logf("%d wait in goroutines: bystander p99 %v, worst %v of %d", n, p99, worst, len(b.took))
	leave(all)
	s.awaitAlone(t)
}

func TestWhatIsNoFileIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	in := func(name string) string { return filepath.Join(root, name) }
	for _, err := range []error{
		syscall.Mkfifo(in("fifo"), 0o644),
		os.Mkdir(in("folder"), 0o755),
		os.Symlink("/dev/zero", in("device")),
		os.Symlink("fifo", in("to-fifo")),
		os.Symlink("loop", in("loop")),
		os.WriteFile(in("file"), []byte("hello"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, "-static", root)
	base := s.descriptors(t)
	b := s.watch(t)
	for name, status := range map[string]int{"fifo": 404, "folder": 301, "folder/": 404, "device": 404, "to-fifo": 404, "loop": 404, "file/": 404, "": 404, strings.Repeat("x", 300): 404, "file": 200} {
		c := s.dial(t)
		if resp, _ := c.ask("GET", staticPrefix+name, ""); resp.StatusCode != status {
			t.Errorf("%.50q: %s, want %d", name, resp.Status, status)
		}
		c.Close()
	}
	_, worst := b.done(t)
	s.awaitAlone(t)
	t.Logf("bystander's worst %v; %d descriptors before, %d after", worst, base, s.descriptors(t))
}

// Nothing is made up for what is gone, and the loop does not wait for more.
func TestAFileThatIsTruncatedWhileItIsSentEndsTheConnection(t *testing.T) {
	t.Parallel()
	const size = 256 << 20
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	s := start(t, "-static", filepath.Dir(file))
	c := s.narrow(t)
	io.WriteString(c, request("GET", staticPrefix+"file", ""))
	if _, err := c.r.Peek(100); err != nil {
		t.Fatal(err)
	}
	b := s.watch(t)
	if err := os.Truncate(file, 1<<20); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, c)
	if n >= size || err != nil && !wasReset(err) {
		t.Errorf("%d bytes of %d, and %v", n, size, err)
	}
	_, worst := b.done(t)
	t.Logf("ended with %v after %d bytes of %d, bystander's worst %v", err, n, size, worst)
	c.Close()
	s.awaitAlone(t)
}

// What a client sends cannot make a line of the log look like two, or like another.
func TestTargetsAreEscapedInTheLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	s := start(t, "-log", log)
	for _, target := range []string{`/panic?"+level=ERROR+msg="forged`, `/panic?%0alevel=ERROR%20msg=forged`, `/panic?a=b\nlevel=ERROR`} {
		c := s.dial(t)
		if resp, _ := c.ask("GET", target, ""); resp.StatusCode != 500 && resp.StatusCode != 400 {
			t.Errorf("%s: %s", target, resp.Status)
		}
		c.Close()
	}
	text, err := os.ReadFile(log)
	if err != nil || len(text) == 0 {
		t.Fatalf("nothing is in the log (%v)", err)
	}
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	for line := range strings.Lines(string(text)) {
		bare := quoted.ReplaceAllString(line, `""`)
		if !strings.HasPrefix(line, "time=") || strings.Count(bare, " level=") != 1 || strings.Contains(bare, "forged") {
			t.Errorf("a line of the log: %.300s", line)
		}
	}
}

// However its pieces come: a read takes 64 KiB at most, and more than that may wait.
func TestUploadsAreTakenWhateverTheirSize(t *testing.T) {
	t.Parallel()
	s := start(t)
	asker := s.dial(t)
	for _, n := range []int{1, 1 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200_000, 10_000_000} {
		for name, framing := range map[string]string{"length": "Content-Length: " + strconv.Itoa(n) + "\r\n", "chunks": coded} {
			c := s.dial(t)
			c.SetDeadline(time.Now().Add(late))
			io.WriteString(c, "POST /upload HTTP/1.1\r\n"+host+framing+"\r\n")
			asker.ask("GET", "/", "") // the head is seen before the body comes
			body := strings.Repeat("x", n)
			if name == "chunks" {
				body = strconv.FormatInt(int64(n), 16) + "\r\n" + body + "\r\n0\r\n\r\n"
			}
			status, got, err := exchange(c, c.r, body)
			if status != 200 || got != strconv.Itoa(n)+"\n" {
				t.Errorf("%d bytes, %s: %d, %q, %v", n, name, status, got, err)
			}
			c.Close()
		}
	}
}

// A client that leaves with FIN may still read, for all the server knows.
func TestClientsThatLeaveWithFINAreForgotten(t *testing.T) {
	t.Parallel()
	s := start(t)
	asker := s.dial(t)
	for _, target := range []string{"/slow?ms=100", "/defer?ms=600000", "/sse?ms=10", "/big?bytes=16777216"} {
		c := s.dial(t)
		io.WriteString(c, request("GET", target, ""))
		asker.awaitSize(3)
		c.Close()
		asker.awaitSize(2)
	}
}

// mix is what a client may do, good and bad. Each is on a connection of its own.
var mix = []func(c *client){
	func(c *client) {
		for range 20 {
			exchange(c, c.r, whole)
		}
	},
	func(c *client) { exchange(c, c.r, request("POST", "/echo", strings.Repeat("x", 100_000))) },
	func(c *client) { exchange(c, c.r, request("POST", "/upload", strings.Repeat("x", 500_000))) },
	func(c *client) { exchange(c, c.r, request("GET", "/big?bytes=1000000", "")) },
	func(c *client) { exchange(c, c.r, request("GET", staticPrefix+"file", "")) },
	func(c *client) { exchange(c, c.r, request("GET", "/defer?ms=5", "")) },
	func(c *client) { exchange(c, c.r, request("GET", "/slow?ms=5", "")) },
	func(c *client) { exchange(c, c.r, request("GET", "/panic", "")) },
	func(c *client) { exchange(c, c.r, "GET\r\n") },
	func(c *client) { io.WriteString(c, line) },
	func(c *client) { io.WriteString(c, request("GET", "/defer?ms=100", "")) },
	func(c *client) {
		io.WriteString(c, request("GET", "/sse?ms=1", ""))
		io.CopyN(io.Discard, c, 500)
	},
	func(c *client) {
		io.WriteString(c, request("GET", "/big?bytes=10000000", ""))
		io.CopyN(io.Discard, c, 100_000)
		c.SetLinger(0)
	},
	func(c *client) {
		const n = 200
		io.WriteString(c, strings.Repeat(request("GET", "/fast", ""), n))
		for range n {
			exchange(c, c.r, "")
		}
	},
}

// slope is how memory rises, in KiB a second: that of the line with the least
// squares.
func slope(all []sample) float64 {
	var x, y, xx, xy float64
	for _, s := range all {
		at, kib := s.at.Seconds(), float64(s.bytes)/1024
		x, y, xx, xy = x+at, y+kib, xx+at*at, xy+at*kib
	}
	n := float64(len(all))
	return (n*xy - x*y) / (n*xx - x*x)
}

func TestSlopeIsThatOfALine(t *testing.T) {
	line := []sample{{0, 5 << 10}, {time.Second, 8 << 10}, {3 * time.Second, 14 << 10}}
	if got := slope(line); got < 2.999 || got > 3.001 {
		t.Errorf("%v, want 3 KiB a second", got)
	}
}

func TestMemoryDoesNotRiseUnderMixedLoad(t *testing.T) {
	t.Parallel()
	const workers = 4
	lasts := either(60*time.Second, 5*time.Second)
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), make([]byte, 300_000), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, "-static", root, "-log", filepath.Join(root, ".log"), "-header", "5s", "-body", "5s", "-write", "5s", "-idle", "10s")
	s.settled(t)
	base := s.descriptors(t)
	b := s.watch(t)
	var wg sync.WaitGroup
	until := time.Now().Add(lasts)
	counts := make([]int, workers)
	for worker := range workers {
		wg.Go(func() {
			for ; time.Now().Before(until); counts[worker]++ {
				c := s.dial(t)
				mix[(worker*5+counts[worker])%len(mix)](c)
				c.Close()
			}
		})
	}
	wg.Wait()
	p99, worst := b.done(t)
	from := slices.IndexFunc(b.rises, func(s sample) bool { return s.at > lasts/3 })
	if from < 0 || len(b.rises)-from < 10 {
		t.Fatalf("there are %d samples", len(b.rises))
	}
	rise := slope(b.rises[from:])
	t.Logf("%v of mixed load, %v connections, slope %.2f KiB/s from a third on, peak %.1f MB, bystander p99 %v, worst %v", lasts, counts, rise, float64(b.peak)/1e6, p99, worst)
	if rise > 2048 {
		t.Errorf("memory rises by %.0f KiB a second", rise)
	}
	s.awaitAlone(t)
	if n := s.descriptors(t); n > base+1 { // the file that is kept open
		t.Errorf("%d descriptors, before %d", n, base)
	}
}
