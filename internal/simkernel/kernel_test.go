//go:build linux

package simkernel

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"catboat/internal/kernel"
)

// accepted makes a kernel without faults, and a connection on it.
func accepted(t *testing.T) (k *Kernel, ln *Listener, c *Conn, fd int) {
	t.Helper()
	k = New(1, Faults{}, 10, nil)
	ln = k.Listen()
	c = ln.Dial(1, 100)
	fd, _, errno := k.Accept(ln.FD)
	if errno != 0 {
		t.Fatal(errno)
	}
	return k, ln, c, fd
}

func TestNoCorrectProgramIsFaulted(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(k *Kernel, fd int)
		says string
	}{
		{"read after close", func(k *Kernel, fd int) { k.Close(fd); k.Read(fd, nil) }, "not open"},
		{"close twice", func(k *Kernel, fd int) { k.Close(fd); k.Close(fd) }, "not open"},
		{"add twice", func(k *Kernel, fd int) { k.Add(fd, kernel.In, 0); k.Add(fd, kernel.In, 0) }, "added twice"},
		{"modify what is not there", func(k *Kernel, fd int) { k.Modify(fd, kernel.In, 0) }, "not added"},
		{"delete what is not there", func(k *Kernel, fd int) { k.Delete(fd) }, "not added"},
		{"write behind FIN", func(k *Kernel, fd int) { k.CloseWrite(fd); k.Write(fd, []byte("x")) }, "behind its FIN"},
		{"sendfile of no file", func(k *Kernel, fd int) { k.Sendfile(fd, fd, 0, 1) }, "not open"},
		{"sendfile of a file that is closed", func(k *Kernel, fd int) {
			file := k.Disk([]byte("file"))
			k.CloseDisk(file)
			k.Sendfile(fd, file, 0, 1)
		}, "not open"},
		{"close a file twice", func(k *Kernel, fd int) {
			file := k.Disk([]byte("file"))
			k.CloseDisk(file)
			k.CloseDisk(file)
		}, "not open"},
		{"sendfile behind FIN", func(k *Kernel, fd int) {
			k.CloseWrite(fd)
			k.Sendfile(fd, k.Disk([]byte("file")), 0, 1)
		}, "behind its FIN"},
		{"sendfile of a file's end after close", func(k *Kernel, fd int) {
			k.Close(fd)
			k.Sendfile(fd, k.Disk(nil), 0, 1)
		}, "not open"},
		{"wait for nothing", func(k *Kernel, fd int) { k.Wait(make([]kernel.Event, 1), -1) }, "for ever"},
	} {
		k, _, _, fd := accepted(t)
		func() {
			defer func() {
				if v, ok := recover().(Violation); !ok || !strings.Contains(string(v), row.says) {
					t.Errorf("%s: %q, want %q", row.name, v, row.says)
				}
			}()
			row.do(k, fd)
		}()
	}
}

func TestACloseWithUnreadBytesDestroysTheReply(t *testing.T) {
	k, _, c, fd := accepted(t)
	c.Send([]byte("two requests"))
	k.Read(fd, make([]byte, 3))
	k.Write(fd, []byte("reply"))
	k.Close(fd)
	if p, ended, reset := c.Recv(100); len(p) > 0 || !ended || !reset {
		t.Errorf("client got %q, ended %v, reset %v", p, ended, reset)
	}
}

func TestAnOrderlyCloseDeliversTheReply(t *testing.T) {
	k, _, c, fd := accepted(t)
	c.Send([]byte("ask"))
	k.Read(fd, make([]byte, 3))
	k.Write(fd, []byte("reply"))
	k.Close(fd)
	if p, ended, reset := c.Recv(100); string(p) != "reply" || !ended || reset {
		t.Errorf("client got %q, ended %v, reset %v", p, ended, reset)
	}
	if c.Send([]byte("more")) {
		t.Error("a socket that is closed takes bytes")
	}
}

func TestDescriptorsAreReusedAtOnce(t *testing.T) {
	k, ln, _, fd := accepted(t)
	k.Close(fd)
	ln.Dial(2, 100)
	if again, _, _ := k.Accept(ln.FD); again != fd {
		t.Errorf("descriptor %d after %d", again, fd)
	}
}

func TestAClosedListenerResetsItsQueue(t *testing.T) {
	k, ln, _, _ := accepted(t)
	c := ln.Dial(2, 100)
	k.Close(ln.FD)
	if _, ended, reset := c.Recv(1); !ended || !reset {
		t.Error("a connection in the queue outlives its listener")
	}
	if ln.Dial(3, 100) != nil {
		t.Error("a closed listener is connected to")
	}
}

func TestReadinessIsThatOfTheSocket(t *testing.T) {
	k, _, c, fd := accepted(t)
	k.Add(fd, kernel.In|kernel.Out|kernel.RDHup, 7)
	events := make([]kernel.Event, 4)
	want := func(when string, ready uint32) {
		t.Helper()
		if n, _ := k.Wait(events, 0); n != 1 || events[0].Events != ready || kernel.Data(&events[0]) != 7 {
			t.Errorf("%s: %d events, the first %s, want %s", when, n, names(events[0].Events), names(ready))
		}
	}
	want("fresh", kernel.Out)
	c.Send([]byte("x"))
	want("with a byte", kernel.In|kernel.Out)
	k.Write(fd, make([]byte, 100))
	want("full", kernel.In)
	if n, errno := k.Write(fd, []byte("x")); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("a full socket takes %d bytes, %v", n, errno)
	}
	c.CloseWrite()
	want("after FIN", kernel.In|kernel.RDHup)
	c.Abort()
	want("after a reset", kernel.In|kernel.Out|kernel.RDHup|kernel.Hup|kernel.Err)
}

func TestTimePassesOnlyInWait(t *testing.T) {
	k := New(1, Faults{}, 10, nil)
	acted := false
	k.At(time.Second, func() { acted = true })
	k.Wait(nil, time.Second-1)
	if now, _ := k.Now(); acted || now > time.Second {
		t.Errorf("acted %v at %v", acted, now)
	}
	k.Wait(nil, time.Millisecond)
	if now, _ := k.Now(); !acted || now < time.Second || now > time.Second+10*time.Millisecond {
		t.Errorf("acted %v at %v", acted, now)
	}
}

func TestSendfileIsAWriteOfWhatIsThere(t *testing.T) {
	for _, row := range []struct {
		name   string
		offset int64
		length int
		want   string
	}{
		{"the whole", 0, 10, "0123456789"},
		{"a part", 3, 4, "3456"},
		{"beyond the end", 8, 100, "89"},
		{"at the end", 10, 1, ""},
		{"behind it", 1 << 40, 1, ""},
	} {
		k, _, c, fd := accepted(t)
		file := k.Disk([]byte("0123456789"))
		if n, errno := k.Sendfile(fd, file, row.offset, row.length); n != len(row.want) || errno != 0 {
			t.Errorf("%s: %d, %v", row.name, n, errno)
		}
		if p, _, _ := c.Recv(100); string(p) != row.want {
			t.Errorf("%s: %q, want %q", row.name, p, row.want)
		}
	}
}

func TestSendfileToAFullSocketSaysSo(t *testing.T) {
	k, _, c, fd := accepted(t) // has room for 100 bytes
	file := k.Disk(make([]byte, 150))
	for _, want := range []struct {
		n     int
		errno syscall.Errno
	}{{100, 0}, {0, syscall.EAGAIN}} {
		if n, errno := k.Sendfile(fd, file, 0, 150); n != want.n || errno != want.errno {
			t.Errorf("%d, %v, want %d, %v", n, errno, want.n, want.errno)
		}
	}
	c.Recv(30)
	if n, errno := k.Sendfile(fd, file, 100, 50); n != 30 || errno != 0 {
		t.Errorf("with room for 30: %d, %v", n, errno)
	}
	c.Abort()
	if n, errno := k.Sendfile(fd, file, 130, 20); n != 0 || errno != syscall.ECONNRESET {
		t.Errorf("after a reset: %d, %v", n, errno)
	}
}

func TestATruncatedFileEndsSooner(t *testing.T) {
	k, _, c, fd := accepted(t)
	file, other := k.Disk([]byte("0123456789")), k.Disk([]byte("other"))
	k.Truncate(file, 5)
	if n, errno := k.Sendfile(fd, file, 3, 7); n != 2 || errno != 0 {
		t.Errorf("%d, %v", n, errno)
	}
	if n, errno := k.Sendfile(fd, file, 5, 5); n != 0 || errno != 0 {
		t.Errorf("at its end: %d, %v", n, errno)
	}
	k.Sendfile(fd, other, 0, 5)
	if p, _, _ := c.Recv(100); string(p) != "34other" {
		t.Errorf("got %q", p)
	}
}

func TestFilesOnDiskAreNoneOfTheOpenOnes(t *testing.T) {
	k, _, _, _ := accepted(t)
	before, _ := k.Open()
	file := k.Disk([]byte("file"))
	if after, _ := k.Open(); after != before || k.Files() != 1 {
		t.Errorf("%d open, then %d; %d on the disk", before, after, k.Files())
	}
	k.CloseDisk(file)
	if k.Files() != 0 {
		t.Errorf("%d on the disk", k.Files())
	}
}

// Faults of a write are faults of sendfile too.
func TestSendfileIsFaulted(t *testing.T) {
	k := New(1, Faults{Short: 300, Again: 200, Intr: 200}, 10, nil)
	ln := k.Listen()
	c := ln.Dial(1, 1000)
	fd := -1
	for fd < 0 {
		fd, _, _ = k.Accept(ln.FD)
	}
	file := k.Disk(make([]byte, 10))
	for range 200 {
		k.Sendfile(fd, file, 0, 10)
		c.Recv(10)
	}
	if s := k.Stats(); min(s.ShortWrites, s.Agains, s.Interrupts) == 0 {
		t.Errorf("%+v", s)
	}
}
