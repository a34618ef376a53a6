//go:build linux

package kernel

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what is bound to come.
const patience = 30 * time.Second

func newKernel(t *testing.T) *Linux {
	t.Helper()
	k, err := NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Shut)
	return k
}

// pair is two connected sockets that do not block.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// listen makes a listener, and gives its descriptor away in a form that does
// not block.
func listen(t *testing.T, network, address string) (fd int, addr net.Addr) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); l.Close() })
	return int(f.Fd()), l.Addr()
}

// accept waits for a connection and takes it.
func accept(t *testing.T, k *Linux, fd int) (conn int, peer netip.AddrPort) {
	t.Helper()
	unix.SetNonblock(fd, true)
	if errno := k.Add(fd, In, 1); errno != 0 {
		t.Fatal(errno)
	}
	wait(t, k, Event{Events: In, Fd: 1})
	conn, peer, errno := k.Accept(fd)
	if errno != 0 {
		t.Fatal(errno)
	}
	return conn, peer
}

// wait wants exactly these events.
func wait(t *testing.T, k *Linux, want ...Event) {
	t.Helper()
	events := make([]Event, len(want)+1)
	n, errno := k.Wait(events, patience)
	for errno == syscall.EINTR {
		n, errno = k.Wait(events, patience)
	}
	if errno != 0 || n != len(want) {
		t.Fatalf("%d events, %v", n, errno)
	}
	for i := range want {
		if events[i] != want[i] {
			t.Errorf("event %d is %+v, want %+v", i, events[i], want[i])
		}
	}
}

func TestAcceptTellsThePeer(t *testing.T) {
	for _, row := range []struct{ network, address, host string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp6", "[::1]:0", "::1"},
		{"tcp", ":0", "127.0.0.1"}, // an IPv6 socket that takes IPv4
		{"tcp", ":0", "::1"},
		{"unix", filepath.Join(t.TempDir(), "s"), ""},
	} {
		t.Run(row.network+" "+row.host, func(t *testing.T) {
			k := newKernel(t)
			fd, addr := listen(t, row.network, row.address)
			to := addr.String()
			if row.network != "unix" {
				to = netip.AddrPortFrom(netip.MustParseAddr(row.host), addr.(*net.TCPAddr).AddrPort().Port()).String()
			}
			c, err := net.Dial(addr.Network(), to)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conn, peer := accept(t, k, fd)
			defer k.Close(conn)
			var want netip.AddrPort
			if row.network != "unix" {
				want = c.LocalAddr().(*net.TCPAddr).AddrPort()
			}
			if peer != want {
				t.Errorf("peer %v, want %v", peer, want)
			}
			flags, _ := unix.FcntlInt(uintptr(conn), unix.F_GETFL, 0)
			onExec, _ := unix.FcntlInt(uintptr(conn), unix.F_GETFD, 0)
			if flags&unix.O_NONBLOCK == 0 || onExec&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %#x and %#x", flags, onExec)
			}
			if _, _, errno := k.Accept(fd); errno != syscall.EAGAIN {
				t.Errorf("from an empty queue: %v", errno)
			}
		})
	}
}

func TestReadAndWrite(t *testing.T) {
	k := newKernel(t)
	a, b := pair(t)
	p := make([]byte, 10)
	if n, errno := k.Read(a, p); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("from an empty socket: %d, %v", n, errno)
	}
	if n, errno := k.Write(a, []byte("0123456789abc")); n != 13 || errno != 0 {
		t.Errorf("written: %d, %v", n, errno)
	}
	for _, want := range []string{"0123456789", "abc"} {
		if n, errno := k.Read(b, p); errno != 0 || string(p[:n]) != want {
			t.Errorf("read %q, %v, want %q", p[:n], errno, want)
		}
	}
	if n, errno := k.Write(a, nil); n != 0 || errno != 0 {
		t.Errorf("nothing written: %d, %v", n, errno)
	}
	if errno := k.CloseWrite(a); errno != 0 {
		t.Error(errno)
	}
	if n, errno := k.Read(b, p); n != 0 || errno != 0 {
		t.Errorf("at the end: %d, %v", n, errno)
	}
	if n, errno := k.Write(b, p); n != 10 || errno != 0 {
		t.Errorf("against the end: %d, %v", n, errno)
	}
	if errno := k.Close(b); errno != 0 {
		t.Error(errno)
	}
	if n, errno := k.Read(b, p); n != 0 || errno != syscall.EBADF {
		t.Errorf("from what is closed: %d, %v", n, errno)
	}
}

func TestWriteToAFullSocketIsShort(t *testing.T) {
	k := newKernel(t)
	a, _ := pair(t)
	p := make([]byte, 8<<20)
	n, errno := k.Write(a, p)
	if n <= 0 || n >= len(p) || errno != 0 {
		t.Errorf("%d, %v", n, errno)
	}
	if n, errno = k.Write(a, p); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("then %d, %v", n, errno)
	}
}

// numbered is a file of that many bytes, each the low byte of its place.
func numbered(t *testing.T, length int) *os.File {
	t.Helper()
	content := make([]byte, length)
	for i := range content {
		content[i] = byte(i)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSendfileSendsARange(t *testing.T) {
	f := numbered(t, 100)
	for _, row := range []struct {
		name   string
		offset int64
		length int
		first  byte
		n      int
	}{
		{"the whole", 0, 100, 0, 100},
		{"a part", 10, 5, 10, 5},
		{"the last byte", 99, 1, 99, 1},
		{"beyond the end", 90, 20, 90, 10},
		{"at the end", 100, 1, 0, 0},
		{"behind it", 1 << 40, 1, 0, 0},
		{"nothing", 50, 0, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := newKernel(t)
			a, b := pair(t)
			for range 2 { // the file's own position does not matter, and stays
				if n, errno := k.Sendfile(a, int(f.Fd()), row.offset, row.length); n != row.n || errno != 0 {
					t.Fatalf("%d, %v, want %d", n, errno, row.n)
				}
				p := make([]byte, 200)
				if n, _ := k.Read(b, p); n != row.n || n > 0 && (p[0] != row.first || p[n-1] != row.first+byte(n-1)) {
					t.Errorf("read % d", p[:n])
				}
				if at, err := f.Seek(0, io.SeekCurrent); at != 100 || err != nil {
					t.Errorf("the file's position is %d, %v", at, err)
				}
			}
		})
	}
}

func TestSendfileFails(t *testing.T) {
	k := newKernel(t)
	a, _ := pair(t)
	f := numbered(t, 1)
	closed, gone := pair(t)
	k.Close(gone)
	for _, row := range []struct {
		name     string
		fd, file int
		offset   int64
		want     syscall.Errno
	}{
		{"no file", a, -1, 0, syscall.EBADF},
		{"no socket", -1, int(f.Fd()), 0, syscall.EBADF},
		{"a range before the file", a, int(f.Fd()), -1, syscall.EINVAL},
		{"nobody there", closed, int(f.Fd()), 0, syscall.EPIPE},
	} {
		if n, errno := k.Sendfile(row.fd, row.file, row.offset, 1); n != 0 || errno != row.want {
			t.Errorf("%s: %d, %v, want %v", row.name, n, errno, row.want)
		}
	}
}

func TestSendfileToAFullSocketIsShort(t *testing.T) {
	k := newKernel(t)
	conn, client := tcp(t, k)
	defer k.Close(conn)
	const length = 64 << 20 // more than both ends hold
	f := numbered(t, 0)
	if err := f.Truncate(length); err != nil {
		t.Fatal(err)
	}
	sent := int64(0)
	for {
		n, errno := k.Sendfile(conn, int(f.Fd()), sent, length)
		if errno == syscall.EAGAIN && n == 0 {
			break
		}
		if n <= 0 || errno != 0 || sent >= length {
			t.Fatalf("%d, %v behind %d bytes", n, errno, sent)
		}
		sent += int64(n)
	}
	if n, err := io.CopyN(io.Discard, client, sent); err != nil {
		t.Errorf("%d bytes of %d arrived, %v", n, sent, err)
	}
}

// A packet that could be larger waits for what follows, for a moment: mostly the two
// calls are made within it.
func TestWriteMoreSharesAPacketWithWhatFollows(t *testing.T) {
	k := newKernel(t)
	f := numbered(t, 5)
	for try := 0; ; try++ {
		conn, client := tcp(t, k)
		if n, errno := k.WriteMore(conn, []byte("head ")); n != 5 || errno != 0 {
			t.Fatalf("%d, %v", n, errno)
		}
		k.Sendfile(conn, int(f.Fd()), 0, 5)
		p := make([]byte, 10)
		if _, err := io.ReadFull(client, p); err != nil || string(p) != "head \x00\x01\x02\x03\x04" {
			t.Fatalf("%q, %v", p, err)
		}
		info, err := unix.GetsockoptTCPInfo(conn, unix.IPPROTO_TCP, unix.TCP_INFO)
		k.Close(conn)
		client.Close()
		if err == nil && info.Data_segs_out == 1 {
			return
		}
		if try == 20 {
			t.Fatalf("%d segments, %v", info.Data_segs_out, err)
		}
	}
}

func TestWriteMoreFailsAsWriteDoes(t *testing.T) {
	k := newKernel(t)
	a, b := pair(t)
	p := make([]byte, 8<<20)
	if n, errno := k.WriteMore(a, p); n <= 0 || n >= len(p) || errno != 0 {
		t.Errorf("%d, %v", n, errno)
	}
	if n, errno := k.WriteMore(a, p); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("to a full socket: %d, %v", n, errno)
	}
	k.Close(b)
	if n, errno := k.WriteMore(a, p); n != 0 || errno != syscall.EPIPE && errno != syscall.ECONNRESET {
		t.Errorf("with nobody there: %d, %v", n, errno)
	}
}

// tcp is a connection over loopback: our end, and a client's.
func tcp(t *testing.T, k *Linux) (conn int, client *net.TCPConn) {
	t.Helper()
	fd, addr := listen(t, "tcp4", "127.0.0.1:0")
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	conn, _ = accept(t, k, fd)
	return conn, c.(*net.TCPConn)
}

func TestPeerSeesHowAConnectionEnds(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(*Linux, int) syscall.Errno
		want error // nil is FIN
	}{
		{"Close", (*Linux).Close, nil},
		{"CloseWrite", (*Linux).CloseWrite, nil},
		{"Reset", (*Linux).Reset, syscall.ECONNRESET},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := newKernel(t)
			conn, c := tcp(t, k)
			if errno := row.end(k, conn); errno != 0 {
				t.Fatal(errno)
			}
			n, err := c.Read(make([]byte, 1))
			if n != 0 || err == nil || row.want != nil && !errors.Is(err, row.want) || row.want == nil && err.Error() != "EOF" {
				t.Errorf("the peer reads %d, %v", n, err)
			}
			gone := row.name != "CloseWrite"
			if errno := k.Close(conn); gone != (errno == syscall.EBADF) {
				t.Errorf("closed again: %v", errno)
			}
		})
	}
}

func TestUnackedFallsAsThePeerReads(t *testing.T) {
	k := newKernel(t)
	conn, c := tcp(t, k)
	if n, errno := k.Unacked(conn); n != 0 || errno != 0 {
		t.Errorf("at first %d, %v", n, errno)
	}
	p := make([]byte, 64<<10)
	written := 0
	for n, errno := k.Write(conn, p); errno == 0; n, errno = k.Write(conn, p) {
		written += n
	}
	full, errno := k.Unacked(conn)
	if full <= 0 || full > written || errno != 0 {
		t.Errorf("%d of %d written, %v", full, written, errno)
	}
	go io.CopyN(io.Discard, c, int64(written))
	if errno := k.Add(conn, Out, 7); errno != 0 {
		t.Fatal(errno)
	}
	wait(t, k, Event{Events: Out, Fd: 7})
	if n, errno := k.Unacked(conn); n >= full || errno != 0 {
		t.Errorf("%d, and before %d; %v", n, full, errno)
	}
	if _, errno := k.Unacked(-1); errno != syscall.EBADF {
		t.Errorf("of no descriptor: %v", errno)
	}
}

func TestWatchedDescriptorsAreReportedWithTheirData(t *testing.T) {
	k := newKernel(t)
	a, b := pair(t)
	const handle = uint64(a5)<<32 | 3
	if errno := k.Add(a, In|RDHup, handle); errno != 0 {
		t.Fatal(errno)
	}
	event := func(events uint32, data uint64) Event {
		return Event{Events: events, Fd: int32(data), Pad: int32(data >> 32)}
	}
	k.Write(b, []byte("x"))
	for range 2 { // level-triggered
		wait(t, k, event(In, handle))
	}
	if e := event(0, handle); Data(&e) != handle {
		t.Errorf("Data is %#x, want %#x", Data(&e), handle)
	}
	k.Modify(a, Out, handle+1)
	wait(t, k, event(Out, handle+1))
	k.Modify(a, 0, handle)
	if n, errno := k.Wait(make([]Event, 1), 0); n != 0 || errno != 0 {
		t.Errorf("of one that is not watched: %d, %v", n, errno)
	}
	k.Modify(a, In|RDHup, handle)
	k.CloseWrite(b)
	wait(t, k, event(In|RDHup, handle))
	k.CloseWrite(a)
	wait(t, k, event(In|RDHup|Hup, handle))
	k.Close(a)
	if n, errno := k.Wait(make([]Event, 1), 0); n != 0 || errno != 0 {
		t.Errorf("of one that is closed: %d, %v", n, errno)
	}
	if errno := k.Modify(a, In, handle); errno != syscall.EBADF {
		t.Errorf("Modify of one that is closed: %v", errno)
	}
	if errno := k.Add(-1, In, handle); errno != syscall.EBADF {
		t.Errorf("Add of none: %v", errno)
	}
}

// a5 has its sign bit set, as a generation may.
const a5 = 0xa5a5a5a5

func TestWaitReturnsAsManyEventsAsThereIsRoomFor(t *testing.T) {
	k := newKernel(t)
	for i := range 3 {
		a, _ := pair(t)
		k.Add(a, Out, uint64(i))
	}
	for _, room := range []int{1, 2, 3, 4} {
		if n, errno := k.Wait(make([]Event, room), -1); n != min(room, 3) || errno != 0 {
			t.Errorf("with room for %d: %d, %v", room, n, errno)
		}
	}
}

func TestWakeEndsAWait(t *testing.T) {
	k := newKernel(t)
	woken := Event{Events: In, Fd: -1, Pad: -1}
	if Data(&woken) != Woken {
		t.Fatalf("Data is %#x", Data(&woken))
	}
	none := func() {
		t.Helper()
		if n, errno := k.Wait(make([]Event, 1), 0); n != 0 || errno != 0 {
			t.Errorf("an event without Wake: %d, %v", n, errno)
		}
	}
	none()
	k.Wake()
	k.Wake() // before the Wait: one event for both
	wait(t, k, woken)
	none()
	for range 100 {
		go k.Wake()
		wait(t, k, woken)
		none()
	}
}

func TestNowIsMonotonicAndTheTimeOfDay(t *testing.T) {
	k := newKernel(t)
	first, wall := k.Now()
	if away := time.Since(wall).Abs(); away > time.Minute {
		t.Errorf("the time of day is %v away", away)
	}
	if second, _ := k.Now(); second < first {
		t.Errorf("%v after %v", second, first)
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	k := newKernel(t)
	a, b := pair(t)
	k.Add(b, In, 1)
	p, events := make([]byte, 100), make([]Event, 4)
	file := int(numbered(t, 100).Fd())
	n := testing.AllocsPerRun(100, func() {
		k.Write(a, p)
		k.Wait(events, -1)
		k.Read(b, p)
		k.WriteMore(a, p)
		k.Read(b, p)
		k.Sendfile(a, file, 0, 100)
		k.Read(b, p)
		k.Modify(b, In|RDHup, 1)
		k.Unacked(b)
		k.Accept(a)
		k.Now()
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestShutGivesUpAllDescriptors(t *testing.T) {
	k, err := NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	k.Shut()
	for _, fd := range []int{k.epoll, k.event, k.alarm.fd} {
		if errno := k.Close(fd); errno != syscall.EBADF {
			t.Errorf("descriptor %d: %v", fd, errno)
		}
	}
}
