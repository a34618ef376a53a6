//go:build linux

package restart

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"catboat/internal/cargo"
	"catboat/internal/wire"
	"catboat/loop"
)

// handOverVariable names the descriptor by which a successor talks with the process
// before it.
const handOverVariable = cargo.HandOver

// What the two say to each other, in messages of a SOCK_SEQPACKET.
const (
	sayReady   = 'r' // the successor: its start-up is done, it will accept; and which resumable replies it knows
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
	enqueue(l, handOverKind, done, func() { beginHandOver(l, o.withDefaults()) })
}

// handOver is one hand-over, on the predecessor's side.
type handOver struct {
	l        *loop.Loop
	o        Options
	socket   int
	child    *exec.Cmd
	said     tail // to be read when it has ended
	limit    *loop.Timer
	watch    *loop.Watch
	ready    bool
	over     bool
	known    []string      // resumable replies that the successor knows
	sent     *loop.Handing // and not yet acknowledged
	patience *loop.Timer   // for that
	moved    int
	exited   chan struct{}
}

func beginHandOver(l *loop.Loop, o Options) {
	h := &handOver{l: l, o: o, exited: make(chan struct{})}
	l.Inside().Logger().Info("starting the successor", "path", first.path, "at most", o.Trial)
	reloading()
	if err := h.start(); err != nil {
		finish(l, fmt.Errorf("restart: starting the successor: %w", err))
		return
	}
	stateOf(l).cancel = h.fail
	h.limit = l.After(o.Trial, func() { h.fail(fmt.Errorf("it was not ready within %v", o.Trial)) })
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
	theirs := os.NewFile(uintptr(pair[1]), "handover")
	defer theirs.Close()
	h.socket = pair[0]
	h.watch, err = h.l.Add("", h.socket, loop.Readable, h.hear)
	if err == nil {
		if err = h.startChild(theirs); err != nil {
			h.watch.Remove()
		}
	}
	if err != nil {
		unix.Close(h.socket)
	}
	return err
}

func (h *handOver) startChild(theirs *os.File) error {
	passed, err := pass(cargo.Cargo{Generation: Generation() + 1, Listeners: h.l.Inside().Listening()})
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range passed {
			f.Close()
		}
	}()
	cmd := exec.Command(first.path)
	cmd.Args, cmd.Dir, cmd.Stdout = first.args, first.dir, os.Stdout
	// What it says on the way to Ready may be the reason why it does not come there.
	// From there on it has our own stderr.
	cmd.Stderr = io.MultiWriter(os.Stderr, &h.said)
	cmd.WaitDelay = time.Second
	cmd.ExtraFiles = append(passed, theirs, os.Stderr)
	n := firstPassed + len(passed)
	cmd.Env = environment(first.environment, cargo.Variable+"="+cargo.Value(firstPassed, -1),
		fmt.Sprintf("%s=%d:%d", handOverVariable, n, n+1))
	if err := cmd.Start(); err != nil {
		return err
	}
	h.child = cmd
	go func() {
		cmd.Wait()
		close(h.exited)
	}()
	return nil
}

// hear deals with what the successor says, or its end.
func (h *handOver) hear(loop.Events) {
	b := make([]byte, 64<<10)
	n, err := unix.Read(h.socket, b)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil || n == 0:
		h.fail(errEnded)
		return
	}
	switch b[0] {
	case sayReady:
		h.limit.Stop()
		h.ready, h.known = true, strings.Split(string(b[1:n]), nameEnd)
		stateOf(h.l).cancel = nil // it serves
		h.l.Inside().Logger().Info("handing over", "pid", h.child.Process.Pid, "connections", h.l.Inside().Conns())
		notify(fmt.Sprintf("MAINPID=%d", h.child.Process.Pid), "READY=1")
		h.l.Inside().PauseListening(false)
		if h.o.Deadline > 0 {
			h.limit = h.l.After(h.o.Deadline, h.late)
		}
		h.l.Inside().EachTurn(h.move)
	case sayGot:
		if h.sent != nil {
			h.patience.Stop()
			h.moved += len(h.sent.FDs)
			h.l.Inside().Handed(h.sent)
			h.sent = nil
		}
	case sayRefused:
		h.fail(errors.New(strings.TrimSpace(string(b[1:n]))))
	}
}

var errEnded = errors.New("it has ended")

// knows reports whether the successor knows a resumable reply.
func (h *handOver) knows(name string) bool { return slices.Contains(h.known, name) }

// nameEnd separates names.
const nameEnd = "\x00"

// late cuts what could not be handed over in time.
func (h *handOver) late() {
	told, cut := h.l.Inside().GiveUp()
	h.l.Inside().Logger().Warn("hand-over: the deadline has passed", "told 503", told, "cut", cut)
	h.limit = h.l.After(2*lastLinger, h.l.Cut)
}

// move hands over what is free, a batch at a time, and ends when nothing is left.
func (h *handOver) move() (again bool) {
	if h.over {
		return false
	}
	if h.sent != nil {
		return true
	}
	if h.sent = h.l.Inside().HandSome(perMessage, h.knows); h.sent != nil {
		h.patience = h.l.After(h.o.Trial, func() { h.fail(fmt.Errorf("it has not taken connections within %v", h.o.Trial)) })
		if err := send(h.socket, h.sent); err != nil {
			h.fail(err)
			return false
		}
		return true
	}
	if h.l.Inside().Conns() > 0 {
		return true
	}
	h.end()
	return false
}

// end leaves the rest to the successor, also what was asked for meanwhile.
func (h *handOver) end() {
	h.over = true
	h.limit.Stop()
	s := stateOf(h.l)
	unix.Write(h.socket, append([]byte{sayAll}, s.passOn()...))
	h.watch.Remove()
	unix.Close(h.socket)
	if locked != nil {
		locked.given = true
	}
	h.l.Inside().AbandonListeners()
	h.l.Inside().Logger().Info("handed over", "pid", h.child.Process.Pid, "descriptors", h.moved)
	s.gone = true
	for _, r := range s.waiting {
		s.running = append(s.running, r.done...)
	}
	s.waiting = nil
	finish(h.l, nil)
}

// fail goes on without the successor. What was asked for meanwhile begins when that has
// ended: there are never more than two processes.
func (h *handOver) fail(err error) {
	if h.over {
		return
	}
	h.over = true
	h.limit.Stop()
	h.watch.Remove()
	unix.Close(h.socket)
	h.child.Process.Kill() // it is ours, and has not been waited for if it still runs
	if h.sent != nil {
		h.patience.Stop()
		h.l.Inside().TakeBack(h.sent)
		h.sent = nil
	}
	if h.ready {
		h.l.Inside().PauseListening(true)
		notify(fmt.Sprintf("MAINPID=%d", os.Getpid()))
	}
	stateOf(h.l).cancel = nil
	go func() {
		<-h.exited
		h.l.Post(func() {
			if locked != nil && h.ready { // it may have put its own in that place
				err = errors.Join(err, locked.again())
			}
			if err == errEnded {
				err = fmt.Errorf("it has ended: %v", h.child.ProcessState)
			}
			finish(h.l, fmt.Errorf("restart: hand-over to process %d, which had taken %d descriptors: %w%s", h.child.Process.Pid, h.moved, err, h.said.quoted()))
		})
	}()
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

// handOverDescriptors reads what handOverVariable says: descriptors of the socket and of
// the stderr that the predecessor has.
func handOverDescriptors(text string) (socket, stderr int, err error) {
	if _, err := fmt.Sscanf(text, "%d:%d", &socket, &stderr); err != nil {
		return -1, -1, fmt.Errorf("restart: %s=%q is not two descriptors", handOverVariable, text)
	}
	return socket, stderr, nil
}

// succeed is the successor's side of a hand-over, from Ready on.
func succeed(l *loop.Loop, socket, stderr int) error {
	unix.CloseOnExec(socket)
	unix.Dup3(stderr, 2, 0)
	unix.Close(stderr)
	s := &successor{l: l, socket: socket}
	var err error
	if s.watch, err = l.Add("", socket, loop.Readable, s.hear); err != nil {
		return err
	}
	stateOf(l).busy = true // until all has come
	_, err = unix.Write(socket, append([]byte{sayReady}, strings.Join(l.Inside().Resumables(), nameEnd)...))
	return os.NewSyscallError("write", err)
}

type successor struct {
	l      *loop.Loop
	socket int
	watch  *loop.Watch
}

// hear takes batches until the predecessor says that there are no more, or ends.
func (s *successor) hear(loop.Events) {
	var b [256]byte
	rights := make([]byte, unix.CmsgSpace(4*(perMessage+1)))
	n, rn, flags, _, err := unix.Recvmsg(s.socket, b[:], rights, unix.MSG_CMSG_CLOEXEC)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil || n == 0:
		s.end("")
		return
	case b[0] == sayAll:
		s.end(string(b[1:n]))
		return
	}
	if err := s.take(rights[:rn], flags); err != nil {
		s.l.Inside().Logger().Error("hand-over refused", "error", err)
		unix.Write(s.socket, append([]byte{sayRefused}, err.Error()...))
		return
	}
	unix.Write(s.socket, []byte{sayGot})
}

// end is for all having come. Now this process may be restarted itself.
func (s *successor) end(kinds string) {
	s.watch.Remove()
	unix.Close(s.socket)
	finish(s.l, nil)
	again(s.l, kinds)
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
	defer c.Close()
	r := wire.NewReader(c.Loop)
	var names []int
	for range r.Count() {
		names = append(names, int(r.Uint()))
	}
	written := r.Bytes()
	if r.Err() != nil || len(names) != len(fds)-1 {
		return errors.New("a batch does not name its descriptors")
	}
	if err := s.l.Inside().AdoptSome(written, names, fds[1:]); err != nil {
		return err
	}
	unix.Close(fds[0])
	return nil
}
