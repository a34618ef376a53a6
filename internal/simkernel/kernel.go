//go:build linux

package simkernel

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"catboat/internal/kernel"
)

// Faults is how often calls go wrong, in thousandths.
type Faults struct {
	Short   int // a read or write moves less than it could
	Again   int // a call that could do something says EAGAIN
	Intr    int // a call is interrupted
	Reset   int // a read or write finds the connection reset
	Accept  int // accept fails for a reason that is not the queue's
	Control int // epoll_ctl fails
	Jump    int // the wall clock jumps by up to a day, either way
	Ghost   int // a wait reports the end of a descriptor that is closed
	Meddle  int // clients act between two calls, not only in a wait
}

// Violation is what the simulation panics with when its user does what no
// correct program does.
type Violation string

// Kernel is one simulated kernel. It is used by one goroutine: clients act
// within Wait, when the time that was given to [Kernel.At] has come.
type Kernel struct {
	rng    *rand.Rand
	faults Faults
	trace  io.Writer // nil: none

	now   time.Duration
	jump  time.Duration // the wall clock's lead
	files []*file       // by descriptor
	most  int           // open files
	queue schedule
	woken bool
	disk  [][]byte // files; nil: closed
	gone  []uint64 // data of descriptors closed lately
	stats Stats
}

// Stats counts what happened, to show that a simulation reaches what it is for.
type Stats struct {
	Accepted     int // connections
	ShortReads   int // reads that moved less than they could
	ShortWrites  int // and writes
	Agains       int // calls that said EAGAIN and could have done something
	Interrupts   int // calls that said EINTR
	Resets       int // connections that the network has broken
	AcceptErrors int // also those for want of descriptors
	Spurious     int // events of descriptors that were not ready
	Ghosts       int // events of descriptors that were closed
	Jumps        int // of the wall clock
	Meddlings    int // acts of clients between two calls of a turn
}

// file is an open descriptor: a listener or the server's end of a Conn.
type file struct {
	listener *Listener
	conn     *Conn
	watched  bool
	interest uint32
	data     uint64
}

// Listener is a socket that clients connect to.
type Listener struct {
	FD    int // the server's descriptor
	k     *Kernel
	queue []*Conn
	open  bool
}

var base = time.Unix(1_800_000_000, 0)

// firstFD is where descriptors begin: lower ones are somebody else's.
const firstFD = 3

// New makes a kernel that obeys the seed and lets at most so many files be open.
// A trace gets a line for each call and each act.
func New(seed uint64, faults Faults, files int, trace io.Writer) *Kernel {
	return &Kernel{rng: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), faults: faults, most: files,
		files: make([]*file, firstFD), trace: trace}
}

// Rand is the seed's generator, for whoever acts in the simulation.
func (k *Kernel) Rand() *rand.Rand { return k.rng }

// Elapsed is the monotonic time since the kernel was made.
func (k *Kernel) Elapsed() time.Duration { return k.now }

// Stats is what has happened so far.
func (k *Kernel) Stats() Stats { return k.stats }

// Open is how many files are open, and how many of them are listeners.
func (k *Kernel) Open() (files, listeners int) {
	for _, f := range k.files {
		if f != nil {
			files++
			if f.listener != nil {
				listeners++
			}
		}
	}
	return files, listeners
}

// Interest is what the descriptor is watched for, and the data that goes with it.
func (k *Kernel) Interest(fd int) (interest uint32, data uint64) {
	f := k.file("look at", fd)
	return f.interest, f.data
}

// Conn is the connection at a descriptor, nil if it is a listener's.
func (k *Kernel) Conn(fd int) *Conn { return k.file("look at", fd).conn }

// Listen makes a listener.
func (k *Kernel) Listen() *Listener {
	ln := &Listener{k: k, open: true}
	ln.FD = k.open(&file{listener: ln})
	return ln
}

// open gives f the lowest free descriptor.
func (k *Kernel) open(f *file) int {
	for fd := firstFD; fd < len(k.files); fd++ {
		if k.files[fd] == nil {
			k.files[fd] = f
			return fd
		}
	}
	k.files = append(k.files, f)
	return len(k.files) - 1
}

// enter begins a call on the open file at fd. That there is one is the caller's
// duty.
func (k *Kernel) enter(call string, fd int) *file {
	if k.chance(k.faults.Meddle) {
		k.stats.Meddlings++
		k.now += time.Duration(k.rng.IntN(2000)) * time.Microsecond
		k.act()
	}
	return k.file(call, fd)
}

func (k *Kernel) file(call string, fd int) *file {
	if fd < 0 || fd >= len(k.files) || k.files[fd] == nil {
		panic(Violation(fmt.Sprintf("%s on descriptor %d, which is not open", call, fd)))
	}
	return k.files[fd]
}

// chance is true so many times in a thousand.
func (k *Kernel) chance(thousandths int) bool { return k.rng.IntN(1000) < thousandths }

// Log adds a line to the trace.
func (k *Kernel) Log(format string, args ...any) {
	if k.trace != nil {
		fmt.Fprintf(k.trace, "%12v  "+format+"\n", append([]any{k.now}, args...)...)
	}
}

// Accept is documented at kernel.Kernel.
func (k *Kernel) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	ln := k.enter("accept4", fd).listener
	errno := k.acceptErrno(ln)
	if errno != 0 {
		k.Log("accept4(%d) = %v", fd, errno)
		return -1, netip.AddrPort{}, errno
	}
	c := ln.queue[0]
	ln.queue = ln.queue[1:]
	c.fd, c.Accepted = k.open(&file{conn: c}), true
	k.stats.Accepted++
	k.Log("accept4(%d) = %d, client %d", fd, c.fd, c.ID)
	return c.fd, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(c.ID)), 0
}

func (k *Kernel) acceptErrno(ln *Listener) syscall.Errno {
	files, _ := k.Open()
	switch {
	case k.chance(k.faults.Intr):
		return k.interrupted()
	case k.chance(k.faults.Accept):
		k.stats.AcceptErrors++
		transient := []syscall.Errno{syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.ENETDOWN}
		return transient[k.rng.IntN(len(transient))]
	case len(ln.queue) == 0:
		return syscall.EAGAIN
	case files >= k.most:
		k.stats.AcceptErrors++
		return syscall.EMFILE
	}
	return 0
}

// Read is documented at kernel.Kernel.
func (k *Kernel) Read(fd int, p []byte) (n int, errno syscall.Errno) {
	c := k.enter("read", fd).conn
	defer func() { k.Log("read(%d) = %d %v", fd, n, errno) }()
	if errno := k.transferErrno(c); errno != 0 {
		return 0, errno
	}
	if len(c.toServer) == 0 {
		if c.clientFIN {
			return 0, 0
		}
		return 0, syscall.EAGAIN
	}
	n = k.some(min(len(p), len(c.toServer)), &k.stats.ShortReads)
	copy(p, c.toServer[:n])
	c.toServer = c.toServer[n:]
	return n, 0
}

// Write is documented at kernel.Kernel.
func (k *Kernel) Write(fd int, p []byte) (n int, errno syscall.Errno) {
	c := k.enter("write", fd).conn
	defer func() { k.Log("write(%d, %d bytes) = %d %v", fd, len(p), n, errno) }()
	if c.serverFIN {
		panic(Violation(fmt.Sprintf("write on descriptor %d behind its FIN", fd)))
	}
	if errno := k.transferErrno(c); errno != 0 {
		return 0, errno
	}
	room := c.room - len(c.toClient)
	if c.clientClosed { // nobody is there; the client's kernel will say so
		c.reset = true
		return len(p), 0
	}
	if room <= 0 {
		return 0, syscall.EAGAIN
	}
	n = k.some(min(len(p), room), &k.stats.ShortWrites)
	c.toClient = append(c.toClient, p[:n]...)
	return n, 0
}

// WriteMore is documented at kernel.Kernel.
func (k *Kernel) WriteMore(fd int, p []byte) (n int, errno syscall.Errno) { return k.Write(fd, p) }

// firstFile is where the descriptors of files on disk begin.
const firstFile = 1 << 20

// Disk puts a file on the disk, open for Sendfile until CloseDisk. It is none of those
// that Open counts.
func (k *Kernel) Disk(content []byte) (fd int) {
	k.disk = append(k.disk, append([]byte{}, content...))
	return firstFile + len(k.disk) - 1
}

// onDisk is the file of Disk's that a call needs.
func (k *Kernel) onDisk(call string, fd int) *[]byte {
	if fd < firstFile || fd-firstFile >= len(k.disk) || k.disk[fd-firstFile] == nil {
		panic(Violation(fmt.Sprintf("%s of descriptor %d, which is not open", call, fd)))
	}
	return &k.disk[fd-firstFile]
}

// Truncate cuts a file of Disk's.
func (k *Kernel) Truncate(fd, length int) {
	content := k.onDisk("truncate", fd)
	*content = (*content)[:min(length, len(*content))]
}

// CloseDisk closes a file of Disk's.
func (k *Kernel) CloseDisk(fd int) { *k.onDisk("close", fd) = nil }

// Files is how many files of Disk's are open.
func (k *Kernel) Files() (n int) {
	for _, content := range k.disk {
		if content != nil {
			n++
		}
	}
	return n
}

// Sendfile is documented at kernel.Kernel.
func (k *Kernel) Sendfile(fd, file int, offset int64, length int) (n int, errno syscall.Errno) {
	k.file("sendfile", fd)
	content := *k.onDisk("sendfile", file)
	content = content[min(offset, int64(len(content))):]
	content = content[:min(length, len(content))]
	if len(content) == 0 {
		k.Log("sendfile(%d, %d, %d bytes at %d) = 0", fd, file, length, offset)
		return 0, 0
	}
	return k.Write(fd, content)
}

// transferErrno is what keeps a read or write from doing anything.
func (k *Kernel) transferErrno(c *Conn) syscall.Errno {
	switch {
	case c.reset:
		return syscall.ECONNRESET
	case k.chance(k.faults.Reset):
		k.stats.Resets++
		k.Log("client %d: the network resets", c.ID)
		c.reset, c.Faulty = true, true
		c.toClient, c.toServer = nil, nil
		return syscall.ECONNRESET
	case k.chance(k.faults.Intr):
		return k.interrupted()
	case k.chance(k.faults.Again):
		k.stats.Agains++
		return syscall.EAGAIN
	}
	return 0
}

func (k *Kernel) interrupted() syscall.Errno {
	k.stats.Interrupts++
	return syscall.EINTR
}

// some is n, or less, but not nothing.
func (k *Kernel) some(n int, count *int) int {
	if n > 1 && k.chance(k.faults.Short) {
		*count++
		return 1 + k.rng.IntN(n-1)
	}
	return n
}

// CloseWrite is documented at kernel.Kernel.
func (k *Kernel) CloseWrite(fd int) syscall.Errno {
	c := k.enter("shutdown", fd).conn
	k.Log("shutdown(%d)", fd)
	if c.reset {
		return syscall.ENOTCONN
	}
	c.serverFIN = true
	return 0
}

// Unacked is documented at kernel.Kernel.
func (k *Kernel) Unacked(fd int) (int, syscall.Errno) {
	return len(k.file("ioctl", fd).conn.toClient), 0
}

// Close is documented at kernel.Kernel.
func (k *Kernel) Close(fd int) syscall.Errno {
	f := k.enter("close", fd)
	k.Log("close(%d)", fd)
	k.files[fd] = nil
	k.gone = append(k.gone[max(0, len(k.gone)-4):], f.data)
	if f.listener != nil {
		f.listener.open = false
		for _, c := range f.listener.queue { // the kernel resets what nobody accepted
			c.destroy()
		}
		f.listener.queue = nil
		return 0
	}
	f.conn.closeServer()
	return 0
}

// Reset is documented at kernel.Kernel.
func (k *Kernel) Reset(fd int) syscall.Errno {
	c := k.enter("reset", fd).conn
	k.Log("reset(%d)", fd)
	k.files[fd] = nil
	c.WasReset = true
	c.fd = -1
	c.destroy()
	return 0
}

// Add is documented at kernel.Kernel.
func (k *Kernel) Add(fd int, events uint32, data uint64) syscall.Errno {
	f := k.file("epoll_ctl", fd)
	if k.chance(k.faults.Control) && f.listener == nil {
		k.Log("epoll_ctl(ADD, %d) = ENOMEM", fd)
		f.conn.Faulty = true
		return syscall.ENOMEM
	}
	if f.watched {
		panic(Violation(fmt.Sprintf("descriptor %d is added twice", fd)))
	}
	f.watched, f.interest, f.data = true, events, data
	k.Log("epoll_ctl(ADD, %d, %s)", fd, names(events))
	return 0
}

// Modify is documented at kernel.Kernel.
func (k *Kernel) Modify(fd int, events uint32, data uint64) syscall.Errno {
	f := k.file("epoll_ctl", fd)
	if !f.watched {
		panic(Violation(fmt.Sprintf("descriptor %d is modified, but was not added", fd)))
	}
	f.interest, f.data = events, data
	k.Log("epoll_ctl(MOD, %d, %s)", fd, names(events))
	return 0
}

// Delete is documented at kernel.Kernel.
func (k *Kernel) Delete(fd int) syscall.Errno {
	f := k.file("epoll_ctl", fd)
	if !f.watched {
		panic(Violation(fmt.Sprintf("descriptor %d is deleted, but was not added", fd)))
	}
	f.watched = false
	k.Log("epoll_ctl(DEL, %d)", fd)
	return 0
}

// Wake is documented at kernel.Kernel.
func (k *Kernel) Wake() { k.woken = true }

// names spells events.
func names(events uint32) (s string) {
	for _, e := range []struct {
		bit  uint32
		name string
	}{{kernel.In, "IN"}, {kernel.Out, "OUT"}, {kernel.RDHup, "RDHUP"}, {kernel.Hup, "HUP"}, {kernel.Err, "ERR"}} {
		if events&e.bit != 0 {
			s += "|" + e.name
		}
	}
	if s == "" {
		return "nothing"
	}
	return s[1:]
}

// Add sums up.
func (s *Stats) Add(t Stats) {
	s.Accepted += t.Accepted
	s.ShortReads += t.ShortReads
	s.ShortWrites += t.ShortWrites
	s.Agains += t.Agains
	s.Interrupts += t.Interrupts
	s.Resets += t.Resets
	s.AcceptErrors += t.AcceptErrors
	s.Spurious += t.Spurious
	s.Ghosts += t.Ghosts
	s.Jumps += t.Jumps
	s.Meddlings += t.Meddlings
}

// Complete reports whether everything has happened at least once.
func (s Stats) Complete() bool {
	return min(s.Accepted, s.ShortReads, s.ShortWrites, s.Agains, s.Interrupts, s.Resets, s.AcceptErrors,
		s.Spurious, s.Ghosts, s.Jumps, s.Meddlings) > 0
}
