//go:build linux

package cargo

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// full has something of everything.
func full() *Cargo {
	return &Cargo{
		Generation: 1 << 40,
		Listeners:  []Listener{{3, "tcp", "127.0.0.1:80"}, {9, "unix", "/run/a b"}, {1 << 20, "", ""}},
		Named:      []Named{{7, "a name: with\x00anything"}},
		Loop:       bytes.Repeat([]byte("loop\x00"), 3000),
		FDs:        FDs{0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0x10, 0},
	}
}

func TestEncodedIsDecoded(t *testing.T) {
	for name, c := range map[string]*Cargo{"full": full(), "empty": {Loop: []byte{}, FDs: FDs{}}} {
		got, err := Decode(c.Encode())
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// framed is a payload with a right header before it, which says that so much is the loop's.
func framed(payload []byte, loop int) []byte {
	b := append(make([]byte, header), payload...)
	putHeader(b, loop)
	return b
}

func TestWhatIsNoCargoIsRefusedWithTheReason(t *testing.T) {
	good := full().Encode()
	with := func(at int, by byte) []byte {
		b := bytes.Clone(good)
		b[at] ^= by
		return b
	}
	payload, loop := good[header:], len(full().Loop)
	for _, row := range []struct {
		name, says string
		b          []byte
	}{
		{"nothing", "not one", nil},
		{"too little", "not one", good[:header-1]},
		{"another magic", "not one", with(0, 1)},
		{"another version", "of version 2, and this program reads 3", with(8, Version^2)},
		{"cut", "bytes of", good[:len(good)-1]},
		{"longer", "bytes of", append(bytes.Clone(good), 0)},
		{"a byte changed", "checksum", with(len(good)-1, 4)},
		{"a payload that ends too early", "too early or too late", framed(payload[:len(payload)-1], loop)},
		{"a payload that ends too late", "too early or too late", framed(append(bytes.Clone(payload), 0), loop)},
		{"no payload", "too early or too late", framed(nil, 0)},
		{"more of the loop's than there is", "bytes of", framed(payload, len(payload)+1)},
	} {
		c, err := Decode(row.b)
		if err == nil || c != nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, %v; want no cargo and %q", row.name, c, err, row.says)
		}
	}
}

// A sealed cargo is read as often as it is asked for, and nobody can change it.
func TestSealedIsOpenedAndStaysAsItIs(t *testing.T) {
	fd, err := full().Seal()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v: it is not close-on-exec", flags, err)
	}
	for range 2 {
		got, err := Open(fd)
		if err != nil {
			t.Fatal(err)
		}
		want := full()
		want.mapped = got.mapped
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v", got)
		}
		got.Close()
		if got.Loop != nil || got.FDs != nil {
			t.Error("it has something that is not mapped any more")
		}
	}
	if _, err := unix.Write(fd, []byte("x")); err != unix.EPERM {
		t.Errorf("writing: %v", err)
	}
	for _, size := range []int64{0, 1 << 20} {
		if err := unix.Ftruncate(fd, size); err != unix.EPERM {
			t.Errorf("cutting to %d: %v", size, err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); err != unix.EPERM {
		t.Errorf("another seal: %v", err)
	}
}

// A hold gives the same cargo whether the loop's part lies in it, beside it or does not
// fit, and whether it was made ready before.
func TestHoldSealsWhatIsInItAndBesideIt(t *testing.T) {
	for _, row := range []struct {
		name   string
		room   int
		inRoom bool
	}{
		{"in it", 1 << 20, true}, {"beside it", 1 << 20, false}, {"too large", 5000, false}, {"in it, and the rest does not fit", 15_000, true}, {"no room", 0, false},
	} {
		h, err := NewHold(row.room)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Drop()
		for all := false; !all; {
			if all, err = h.Prepare(10_000); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := h.Prepare(1); !all || err != nil {
			t.Errorf("%s: all is ready, and then %v, %v", row.name, all, err)
		}
		c := full()
		if row.inRoom {
			c.Loop = append(h.Room(), c.Loop...)
		}
		fd, err := h.Seal(c)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		got, err := Open(fd)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		defer got.Close()
		if want := full().Encode(); !bytes.Equal(got.Encode(), want) {
			t.Errorf("%s: another cargo", row.name)
		}
	}
}

func TestWhatIsNotSealedIsNotRead(t *testing.T) {
	memory := func(seals int) int {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		unix.Write(fd, full().Encode())
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "cargo"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.Write(full().Encode())
	for name, fd := range map[string]int{
		"no seals":              memory(0),
		"it may still be cut":   memory(seals &^ unix.F_SEAL_SHRINK),
		"it may still grow":     memory(seals &^ unix.F_SEAL_GROW),
		"it may be written to":  memory(seals &^ unix.F_SEAL_WRITE),
		"a file":                int(file.Fd()),
		"no descriptor":         -1,
		"one that is not open":  1 << 20,
		"one that is too large": 1 << 31,
	} {
		if c, err := Open(fd); err == nil {
			t.Errorf("%s: it was read as %+v", name, c)
		}
	}
	if c, err := Open(memory(seals)); err != nil || c.Generation != full().Generation {
		t.Errorf("sealed by others: %v, %v", c, err)
	}
}

// FuzzDecode: no bytes crash it, and what is decoded is encoded as the same.
func FuzzDecode(f *testing.F) {
	small := full()
	small.Loop = small.Loop[:9]
	f.Add(small.Encode()[header:], 9, false)
	f.Add(small.Encode(), 0, true)
	f.Add((&Cargo{}).Encode()[header:], 0, false)
	f.Fuzz(func(t *testing.T, b []byte, loop int, whole bool) {
		if !whole { // a checksum cannot be guessed
			b = framed(b, loop)
		}
		c, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(c.Encode())
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v is encoded as %+v (%v)", c, again, err)
		}
	})
}
