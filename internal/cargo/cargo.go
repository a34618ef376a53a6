//go:build linux

package cargo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"os"

	"golang.org/x/sys/unix"

	"catboat/internal/wire"
)

// Version is that of all that a cargo holds, the loop's and conn's parts too. One of
// another version is not read.
const Version = 3

// The variables of the environment by which an image finds what it was left.
const (
	Variable = "CATBOAT_CARGO"    // descriptors of the cargo and of the executable that has written it
	Trial    = "CATBOAT_TRIAL"    // descriptor for the outcome, if the image is only to try itself
	HandOver = "CATBOAT_HANDOVER" // descriptors by which a successor talks with the process before it
)

// Listener is a socket that listens, and how it was asked for.
type Listener struct {
	FD      int    // its descriptor
	Network string // as Listen was told, and
	Address string // where; both empty if a service manager has made it
}

// Named is a descriptor that goes by a name.
type Named struct {
	FD   int    // the descriptor
	Name string // as Add was told
}

// Cargo is what is left to the next image.
type Cargo struct {
	Generation uint64     // how many images there were before
	Listeners  []Listener // those that are open
	Named      []Named    // descriptors of the program's own
	Loop       []byte     // what the loop has written
	FDs        FDs        // all descriptors that must be open where the cargo is used

	mapped []byte // the memory of it, if it was opened
}

// FDs is descriptors, four bytes each: there may be ten thousand, and only who goes back
// to an earlier image looks at them.
type FDs []byte

// Add appends descriptors.
func (f *FDs) Add(fds ...int) {
	for _, fd := range fds {
		*f = binary.LittleEndian.AppendUint32(*f, uint32(fd))
	}
}

// All is the descriptors in their order.
func (f FDs) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for ; len(f) >= 4; f = f[4:] {
			if !yield(int(binary.LittleEndian.Uint32(f))) {
				return
			}
		}
	}
}

var magic = []byte("catboat\x00")

const header = 8 + 4 + 8 + 8 + 4 // magic, version, length of all behind it and of the loop's part, checksum

// Encode is the cargo as bytes.
func (c *Cargo) Encode() []byte {
	b := append(make([]byte, header, header+len(c.Loop)+len(c.FDs)+1024), c.Loop...)
	return c.finish(b)
}

// finish completes a cargo of which the loop's part is there, behind room for the header.
func (c *Cargo) finish(b []byte) []byte {
	w := wire.NewWriter(b)
	w.Uint(c.Generation)
	w.Uint(uint64(len(c.Listeners)))
	for _, ln := range c.Listeners {
		w.Uint(uint64(ln.FD))
		w.String(ln.Network)
		w.String(ln.Address)
	}
	w.Uint(uint64(len(c.Named)))
	for _, n := range c.Named {
		w.Uint(uint64(n.FD))
		w.String(n.Name)
	}
	w.Bytes(c.FDs)
	loop := len(b) - header
	b = w.Written()
	putHeader(b, loop)
	return b
}

func putHeader(b []byte, loop int) {
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], Version)
	binary.LittleEndian.PutUint64(b[12:], uint64(len(b)-header))
	binary.LittleEndian.PutUint64(b[20:], uint64(loop))
	binary.LittleEndian.PutUint32(b[28:], crc32.ChecksumIEEE(b[header:]))
}

// Decode reads what Encode has made. It shares b's memory. An error says why b is
// not a cargo that this image can read.
func Decode(b []byte) (*Cargo, error) {
	if len(b) < header || !bytes.Equal(b[:len(magic)], magic) {
		return nil, errNoCargo
	}
	version, sum := binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[28:])
	length, loop := binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:])
	payload := b[header:]
	switch {
	case version != Version:
		return nil, fmt.Errorf("cargo: it is of version %d, and this program reads %d", version, Version)
	case length != uint64(len(payload)) || loop > length:
		return nil, fmt.Errorf("cargo: %d bytes of %d are there", len(payload), max(length, loop))
	case crc32.ChecksumIEEE(payload) != sum:
		return nil, errors.New("cargo: the checksum is wrong")
	}
	c := &Cargo{Loop: payload[:loop:loop]}
	r := wire.NewReader(payload[loop:])
	c.Generation = r.Uint()
	for range r.Count() {
		c.Listeners = append(c.Listeners, Listener{int(r.Uint()), r.String(), r.String()})
	}
	for range r.Count() {
		c.Named = append(c.Named, Named{int(r.Uint()), r.String()})
	}
	c.FDs = r.Bytes()
	if r.Err() != nil || r.Rest() > 0 || len(c.FDs)%4 != 0 {
		return nil, errors.New("cargo: it ends too early or too late")
	}
	return c, nil
}

var errNoCargo = errors.New("cargo: not one")

const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Seal puts the cargo into memory that nobody can change any more, and returns its
// descriptor, which is close-on-exec.
func (c *Cargo) Seal() (fd int, err error) {
	h, err := NewHold(len(c.Loop) + len(c.FDs) + 1024)
	if err != nil {
		return -1, err
	}
	if _, err := h.Prepare(len(h.b)); err != nil {
		h.Drop()
		return -1, err
	}
	return h.Seal(c)
}

// Open reads the cargo behind a descriptor, which must be sealed: what is checked
// cannot change then. The descriptor stays open, and the memory mapped until Close.
func Open(fd int) (*Cargo, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("cargo: descriptor %d: %w", fd, os.NewSyscallError("fcntl", err))
	}
	if got&seals != seals {
		return nil, fmt.Errorf("cargo: descriptor %d is not sealed", fd)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if stat.Size < header { // and of nothing there is no mapping
		return nil, errNoCargo
	}
	b, err := unix.Mmap(fd, 0, int(stat.Size), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	c, err := Decode(b)
	if err != nil {
		unix.Munmap(b)
		return nil, err
	}
	c.mapped = b
	return c, nil
}

// Close gives up the memory of a cargo that was opened: Loop and FDs are gone then.
func (c *Cargo) Close() {
	if c.mapped != nil {
		unix.Munmap(c.mapped)
		c.mapped, c.Loop, c.FDs = nil, nil, nil
	}
}
