//go:build linux

package loop

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"catboat/conn"
)

// overUnix is an answer that tells the peer's address and a client that asks at path.
func overUnix(t *testing.T, path string) string {
	t.Helper()
	nc, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	nc.Write([]byte(get("/")))
	b := make([]byte, 4096)
	n, err := nc.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func (s *server) listenUnix(path string) (err error) {
	s.t.Helper()
	s.on(func() {
		var addr net.Addr
		if addr, err = s.Listen("unix", path); err == nil && (addr.Network() != "unix" || addr.String() != path) {
			s.t.Errorf("bound to %v", addr)
		}
	})
	return err
}

func TestUnixSocketIsServedWithItsModeAndRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s := serve(t, func(c *conn.Conn) {
		if c.Request().Peer().IsValid() {
			c.Error(500)
			return
		}
		c.Reply(200, "", nil)
	}, Options{SocketMode: 0o600})
	if err := s.listenUnix(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if got := overUnix(t, path); got[:15] != "HTTP/1.1 200 OK" {
		t.Errorf("%q", got)
	}
	s.stop()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestAStaleSocketFileIsReplacedAndOthersAreNot(t *testing.T) {
	dir := t.TempDir()
	stale, used, file := filepath.Join(dir, "stale"), filepath.Join(dir, "used"), filepath.Join(dir, "file")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	other, err := net.Listen("unix", used)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := serve(t, site, Options{})
	if err := s.listenUnix(stale); err != nil {
		t.Errorf("stale: %v", err)
	}
	for _, path := range []string{used, file, stale} {
		if err := s.listenUnix(path); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"", filepath.Join(dir, "no", "such"), filepath.Join(dir, string(make([]byte, 200)))} {
		if err := s.listenUnix(path); err == nil {
			t.Errorf("listens at %q", path)
		}
	}
	if b, err := os.ReadFile(file); string(b) != "mine" {
		t.Errorf("file is %q, %v", b, err)
	}
}

func TestASocketFileOfAnotherIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	s := serve(t, site, Options{})
	if err := s.listenUnix(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	successor, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer successor.Close()
	s.stop()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's file: %v", err)
	}
}

func TestAbstractUnixSocketNeedsNoFile(t *testing.T) {
	s := serve(t, site, Options{SocketMode: 0o600})
	name := "@catboat-" + filepath.Base(t.TempDir()) + "-" + time.Now().Format(time.RFC3339Nano)
	if err := s.listenUnix(name); err != nil {
		t.Fatal(err)
	}
	if got := overUnix(t, name); got[:15] != "HTTP/1.1 200 OK" {
		t.Errorf("%q", got)
	}
}
