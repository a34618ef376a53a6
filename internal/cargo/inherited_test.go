//go:build linux

package cargo

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is also the program that is left something: it tells what Here says.
func TestMain(m *testing.M) {
	if os.Getenv("TELL") == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("LISTEN_PID") == "mine" {
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	h := Here()
	s := story{Left: h.FD, Exe: h.Exe, Cargo: h.Cargo}
	if h.Err != nil {
		s.Err = h.Err.Error()
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") || strings.HasPrefix(v, "CATBOAT_") {
			s.Environment = append(s.Environment, v)
		}
	}
	for fd := 3; fd < 8; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			s.Passed = append(s.Passed, fd)
		}
	}
	if text := os.Getenv("ASK"); text != "" {
		network, address, _ := strings.Cut(text, " ")
		s.Taken, s.Took = h.TakeListener(network, address)
	}
	if name := os.Getenv("ASK_NAME"); name != "" {
		s.Taken, s.Took = h.Take(name)
	}
	s.Listeners, s.Named = h.Left()
	json.NewEncoder(os.Stdout).Encode(s)
	os.Exit(0)
}

// story is what a program was left, and has taken.
type story struct {
	Left, Exe        int
	Cargo            *Cargo
	Err              string
	Environment      []string
	Passed           []int // descriptors that would be passed on by an exec
	Taken            int
	Took             bool
	Listeners, Named []int // what was left of it
}

// leave starts a program with that environment and those descriptors from 3 on.
func leave(t *testing.T, files []*os.File, environment ...string) (s story) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(environment, "TELL=1")
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return s
}

// descriptors are a TCP listener, a Unix one, a file that is neither, and their addresses.
func descriptors(t *testing.T) (files []*os.File, tcp, unixPath string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.Listen("unix", t.TempDir()+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.(*net.TCPListener).File()
	b, bad := u.(*net.UnixListener).File()
	c, worse := os.Open(os.DevNull)
	if err != nil || bad != nil || worse != nil {
		t.Fatal(err, bad, worse)
	}
	for _, f := range []*os.File{a, b, c} {
		t.Cleanup(func() { f.Close() })
	}
	t.Cleanup(func() { l.Close(); u.Close() })
	return []*os.File{a, b, c}, l.Addr().String(), u.Addr().String()
}

// A service manager's sockets are taken by their addresses, and the rest by name; all
// of it is gone from the environment, and nothing is passed on by itself.
func TestListenFDs(t *testing.T) {
	files, tcp, path := descriptors(t)
	_, port, _ := net.SplitHostPort(tcp)
	manager := []string{"LISTEN_PID=mine", "LISTEN_FDS=3", "LISTEN_FDNAMES=web:admin:random", "LISTEN_PIDFDID=7"}
	for _, row := range []struct {
		name             string
		ask              string
		taken            int
		listeners, named []int
	}{
		{"by address", "ASK=tcp " + tcp, 3, []int{4}, []int{5}},
		{"by a name of the address", "ASK=tcp localhost:" + port, 3, []int{4}, []int{5}},
		{"any port", "ASK=tcp4 127.0.0.1:0", 3, []int{4}, []int{5}},
		{"another port", "ASK=tcp 127.0.0.1:1", -1, []int{3, 4}, []int{5}},
		{"another host", "ASK=tcp 127.0.0.2:" + port, -1, []int{3, 4}, []int{5}},
		{"every host", "ASK=tcp :" + port, -1, []int{3, 4}, []int{5}},
		{"no address", "ASK=tcp nonsense", -1, []int{3, 4}, []int{5}},
		{"a path", "ASK=unix " + path, 4, []int{3}, []int{5}},
		{"another path", "ASK=unix " + path + "2", -1, []int{3, 4}, []int{5}},
		{"another network", "ASK=udp " + tcp, -1, []int{3, 4}, []int{5}},
		{"a name", "ASK_NAME=random", 5, []int{3, 4}, nil},
		{"the name of a listener", "ASK_NAME=web", -1, []int{3, 4}, []int{5}},
	} {
		s := leave(t, files, append([]string{row.ask}, manager...)...)
		if s.Err != "" || s.Taken != row.taken || s.Took != (row.taken >= 0) || !slices.Equal(s.Listeners, row.listeners) || !slices.Equal(s.Named, row.named) {
			t.Errorf("%s: %+v", row.name, s)
		}
		if len(s.Environment)+len(s.Passed) > 0 || s.Cargo != nil {
			t.Errorf("%s: passed on are %v and %v", row.name, s.Environment, s.Passed)
		}
	}
}

func TestListenFDsThatAreNotSo(t *testing.T) {
	files, _, _ := descriptors(t)
	for _, row := range []struct {
		name        string
		environment []string
		err         string
		listeners   []int
		stays       bool // for whom it is meant
	}{
		{"for somebody else", []string{"LISTEN_PID=1", "LISTEN_FDS=3"}, "", nil, true},
		{"for nobody", []string{"LISTEN_FDS=3"}, "", nil, true},
		{"none", []string{"LISTEN_PID=mine", "LISTEN_FDS=0"}, "", nil, false},
		{"fewer than there are", []string{"LISTEN_PID=mine", "LISTEN_FDS=1"}, "", []int{3}, false},
		{"more than there are", []string{"LISTEN_PID=mine", "LISTEN_FDS=2000"}, "descriptor", []int{3, 4}, false},
		{"less than none", []string{"LISTEN_PID=mine", "LISTEN_FDS=-1"}, "-1", nil, false},
		{"no number", []string{"LISTEN_PID=mine", "LISTEN_FDS=x"}, `"x"`, nil, false},
		{"far too many", []string{"LISTEN_PID=mine", "LISTEN_FDS=99999999999999999999"}, "no number", nil, false},
		{"not said", []string{"LISTEN_PID=mine"}, `""`, nil, false},
	} {
		s := leave(t, files, row.environment...)
		if (row.err == "") != (s.Err == "") || !strings.Contains(s.Err, row.err) || !slices.Equal(s.Listeners, row.listeners) {
			t.Errorf("%s: %+v", row.name, s)
		}
		if row.stays != (len(s.Environment) > 0) {
			t.Errorf("%s: the environment has %v", row.name, s.Environment)
		}
	}
}

// What an earlier image has left is found, and goes before what a manager says.
func TestCargoIsFound(t *testing.T) {
	files, tcp, _ := descriptors(t)
	c := Cargo{Generation: 3, Listeners: []Listener{{4, "tcp", "somewhere:80"}, {5, "tcp", tcp}}, Named: []Named{{6, "x"}}}
	fd, err := c.Seal()
	if err != nil {
		t.Fatal(err)
	}
	memory := os.NewFile(uintptr(fd), "cargo")
	defer memory.Close()
	all := append([]*os.File{memory}, files...)
	for _, row := range []struct {
		ask   string
		taken int
	}{
		{"ASK=tcp somewhere:80", 4}, // by the words in which it was asked for
		{"ASK=tcp " + tcp, 5},
		{"ASK_NAME=x", 6},
	} {
		s := leave(t, all, row.ask, Variable+"="+Value(3, 9), "LISTEN_PID=mine", "LISTEN_FDS=4")
		if s.Err != "" || s.Cargo == nil || s.Cargo.Generation != 3 || s.Taken != row.taken || s.Left != 3 || s.Exe != 9 || len(s.Passed) > 0 {
			t.Errorf("%s: %+v", row.ask, s)
		}
	}
	for _, row := range []struct{ value, says string }{
		{"nonsense", "nonsense"}, {"", `""`}, {"3", "3"}, {"4:9", "descriptor 4"}, {"-1:9", "descriptor -1"}, {"200:9", "descriptor 200"},
	} {
		s := leave(t, all, Variable+"="+row.value)
		if s.Cargo != nil || !strings.Contains(s.Err, row.says) || slices.Contains(s.Environment, Variable) {
			t.Errorf("%q: %+v", row.value, s)
		}
		if want := []int{3, 4, 5, 6}; !slices.Equal(s.Passed, want) { // an earlier image may want them back
			t.Errorf("%q: passed on are %v, want %v", row.value, s.Passed, want)
		}
	}
	if got := fmt.Sprint(Value(3, -1)); got != "3:-1" {
		t.Errorf("Value is %q", got)
	}
}
