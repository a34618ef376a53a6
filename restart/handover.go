//go:build linux

package restart

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"catboat/internal/cargo"
	"catboat/internal/wire"
	"catboat/loop"
)

// handOverVariable names the descriptor by which a successor talks with the process
// before it.
const handOverVariable = "CATBOAT_HANDOVER"

// What the two say to each other, in messages of a SOCK_SEQPACKET.
const (
	sayReady   = 'r' // the successor: its start-up is done, it will accept
	sayBatch   = 'b' // the predecessor: connections
	sayGot     = 'g' // the successor: it has them
	sayRefused = 'x' // the successor: it cannot take them, and why
	sayAll     = 'a' // the predecessor: there will be no more
)

// perMessage is how many descriptors a message can carry (unix(7)); one is the batch's
// own.
const perMessage = 253 - 1

// HandOver starts the program as it was first invoked, as another process, and hands
// the listeners and then the connections over to it. A connection that nothing
// ties to this process (see [loop.Ties]) moves at once, in the middle of a request too;
// others follow when they are free. Run returns when the last has moved. Options.Deadline
// bounds that.
//
// The successor's start-up, up to [Ready], is the trial: until then, and if it ends or
// refuses, this process goes on as if nothing had happened, takes its listeners and
// what the successor has not acknowledged back, and done gets the reason. If the
// successor ends later, what it had acknowledged is lost with it.
//
// It is called on the loop's goroutine and returns at once. done is called there, with
// nil when all is handed over. Requests for a restart meanwhile are as for [InPlace].
func HandOver(l *loop.Loop, o Options, done func(error)) {
	enqueue(l, done, func() { beginHandOver(l, o.withDefaults()) })
}

// handOver is one hand-over, on the predecessor's side.
type handOver struct {
	l      *loop.Loop
	o      Options
	socket int
	child  *exec.Cmd
	said   tail
	limit  *loop.Timer
	watch  *loop.Watch
	ready  bool
	sent   *loop.Handing // and not yet acknowledged
	moved  int
	exited chan struct{}
}

func beginHandOver(l *loop.Loop, o Options) {
	h := &handOver{l: l, o: o, exited: make(chan struct{})}
	reloading()
	if err := h.start(); err != nil {
		finish(l, fmt.Errorf("restart: starting the successor: %w", err))
		return
	}
	h.limit = l.After(o.Trial, func() {
		h.fail(fmt.Errorf("it was not ready within %v%s", o.Trial, h.said.quoted()))
	})
}

// start starts the successor with the listeners, and a socket to talk.
func (h *handOver) start() error {
	if first.err != nil {
		return first.err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	h.socket = pair[0]
	theirs := os.NewFile(uintptr(pair[1]), "handover")
	defer theirs.Close()
	passed, err := pass(cargo.Cargo{Generation: Generation() + 1, Listeners: h.l.Listening()})
	if err != nil {
		unix.Close(h.socket)
		return err
	}
	defer func() {
		for _, f := range passed {
			f.Close()
		}
	}()
	cmd := exec.Command(first.path)
	cmd.Args, cmd.Dir, cmd.Stdout = first.args, first.dir, os.Stdout
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = append(passed, theirs)
	cmd.Env = append(append([]string{}, first.environment...),
		cargo.Variable+"="+cargo.Value(firstPassed, -1),
		fmt.Sprintf("%s=%d", handOverVariable, firstPassed+len(passed)))
	if areBlocked() { // a child has this thread's mask
		cmd.Env = append(cmd.Env, blockedMark+"=1")
	}
	if err := cmd.Start(); err != nil {
		unix.Close(h.socket)
		return err
	}
	h.child = cmd
	go func() {
		cmd.Wait()
		close(h.exited)
	}()
	h.watch, err = h.l.Add("", h.socket, loop.Readable, h.hear)
	return err
}

// hear deals with what the successor says, or its end.
func (h *handOver) hear(loop.Events) {
	var b [4096]byte
	n, err := unix.Read(h.socket, b[:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil || n == 0:
		h.fail(errors.New("the successor has ended"))
		return
	}
	switch b[0] {
	case sayReady:
		h.limit.Stop()
		h.ready = true
		notify(fmt.Sprintf("MAINPID=%d", h.child.Process.Pid), "READY=1")
		h.l.PauseListening(false)
		if h.o.Deadline > 0 {
			h.limit = h.l.After(h.o.Deadline, h.l.Cut)
		}
		h.l.EachTurn(h.move)
	case sayGot:
		if h.sent != nil {
			h.moved += len(h.sent.FDs)
			h.l.Handed(h.sent)
			h.sent = nil
		}
	case sayRefused:
		h.fail(errors.New(strings.TrimSpace(string(b[1:n]))))
	}
}

// move hands over what is free, a batch at a time, and ends when nothing is left.
func (h *handOver) move() (again bool) {
	if running[h.l] == nil || !h.ready {
		return false
	}
	if h.sent != nil {
		return true
	}
	if h.sent = h.l.HandSome(perMessage); h.sent != nil {
		if err := send(h.socket, h.sent); err != nil {
			h.fail(err)
			return false
		}
		return true
	}
	if h.l.Conns() > 0 {
		return true
	}
	h.end()
	return false
}

// end leaves the rest to the successor.
func (h *handOver) end() {
	h.limit.Stop()
	unix.Write(h.socket, []byte{sayAll})
	h.watch.Remove()
	unix.Close(h.socket)
	h.l.AbandonListeners()
	h.l.Logger().Info("handed over", "pid", h.child.Process.Pid, "descriptors", h.moved)
	finish(h.l, nil)
}

// fail goes on without the successor.
func (h *handOver) fail(err error) {
	h.limit.Stop()
	h.watch.Remove()
	unix.Close(h.socket)
	h.child.Process.Kill() // it is ours, and has not been waited for if it still runs
	if h.sent != nil {
		h.l.TakeBack(h.sent)
		h.sent = nil
	}
	if h.ready {
		h.l.PauseListening(true)
		notify(fmt.Sprintf("MAINPID=%d", os.Getpid()))
	}
	finish(h.l, fmt.Errorf("restart: hand-over to process %d: %w%s", h.child.Process.Pid, err, h.said.quoted()))
}

// send sends a batch: a piece of memory with the connections and what their
// descriptors are called here, and the descriptors.
func send(socket int, batch *loop.Handing) error {
	var w wire.Writer
	w.Uint(uint64(len(batch.FDs)))
	for _, fd := range batch.FDs {
		w.Uint(uint64(fd))
	}
	w.Bytes(batch.Written)
	c := cargo.Cargo{Loop: w.Written()}
	memory, err := c.Seal()
	if err != nil {
		return err
	}
	defer unix.Close(memory)
	rights := unix.UnixRights(append([]int{memory}, batch.FDs...)...)
	return os.NewSyscallError("sendmsg", unix.Sendmsg(socket, []byte{sayBatch}, rights, nil, 0))
}

// succeed is the successor's side of a hand-over, from Ready on.
func succeed(l *loop.Loop, socket int) error {
	unix.CloseOnExec(socket)
	s := &successor{l: l, socket: socket}
	var err error
	if s.watch, err = l.Add("", socket, loop.Readable, s.hear); err != nil {
		return err
	}
	_, err = unix.Write(socket, []byte{sayReady})
	return os.NewSyscallError("write", err)
}

type successor struct {
	l      *loop.Loop
	socket int
	watch  *loop.Watch
}

// hear takes batches until the predecessor says that there are no more, or ends.
func (s *successor) hear(loop.Events) {
	var b [64]byte
	rights := make([]byte, unix.CmsgSpace(4*(perMessage+1)))
	n, rn, flags, _, err := unix.Recvmsg(s.socket, b[:], rights, unix.MSG_CMSG_CLOEXEC)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil || n == 0 || b[0] == sayAll:
		s.watch.Remove()
		unix.Close(s.socket)
		return
	}
	if err := s.take(rights[:rn], flags); err != nil {
		s.l.Logger().Error("hand-over refused", "error", err)
		unix.Write(s.socket, append([]byte{sayRefused}, err.Error()...))
		return
	}
	unix.Write(s.socket, []byte{sayGot})
}

// take takes one batch over. After an error its descriptors are closed here, and go on
// where they came from.
func (s *successor) take(rights []byte, flags int) (err error) {
	var fds []int
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}()
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return err
	}
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		fds = append(fds, got...)
	}
	if flags&unix.MSG_CTRUNC != 0 || len(fds) == 0 {
		return errors.New("descriptors were lost on the way: is the limit of open files too low?")
	}
	c, err := cargo.Open(fds[0])
	if err != nil {
		return err
	}
	r := wire.NewReader(c.Loop)
	var names []int
	for range r.Count() {
		names = append(names, int(r.Uint()))
	}
	written := r.Bytes()
	if r.Err() != nil || len(names) != len(fds)-1 {
		return errors.New("a batch does not name its descriptors")
	}
	if err := s.l.AdoptSome(written, names, fds[1:]); err != nil {
		return err
	}
	unix.Close(fds[0])
	return nil
}
