package conn

// State is where a connection stands, in the order of a request's life.
type State uint8

// The states of a connection.
const (
	Fresh     State = iota // accepted, not a byte yet
	Idle                   // between two requests
	InHead                 // in a request's head
	InBody                 // the head is whole, the body is not, and is wanted whole
	Ready                  // the handler is called, or runs
	Pending                // the reply is yet to be made
	Streaming              // its head is made, the rest is yet to be
	Drain                  // it is made, and the request's body, which nobody wants, is thrown away
	Flush                  // the last reply is in the output; nothing more is read
	Linger                 // FIN is due or sent; what still comes is thrown away
	Closed                 // the descriptor is to be closed
	states    = iota
)

// String is the state's name in lower case.
func (s State) String() string {
	return [states]string{"fresh", "idle", "head", "body", "ready", "pending", "streaming", "drain", "flush", "linger", "closed"}[s]
}

// moves has a bit for each state that may follow.
var moves = [states]uint16{
	Fresh:     to(InHead, Flush, Closed),                          // bytes; over the connection limit; FIN, reset or deadline
	Idle:      to(InHead, Flush, Linger, Closed),                  // bytes; FIN before all is written; closed by a hook; FIN, reset or deadline
	InHead:    to(InBody, Ready, Flush, Closed),                   // the body is awaited; the handler is called; refused; reset
	InBody:    to(Ready, Flush, Closed),                           // whole; refused; reset
	Ready:     to(Idle, InBody, Pending, Streaming, Drain, Flush), // replied; asked for the body; deferred; replied in part; before the body's end; for the last time, or aborted
	Pending:   to(Idle, Streaming, Drain, Flush, Closed),          // replied; in part; before the body's end; for the last time; reset
	Streaming: to(Idle, Drain, Flush, Closed),                     // complete; before the body's end; for the last time; reset
	Drain:     to(Idle, Flush, Linger, Closed),                    // read; FIN before all is written; closed by a hook; FIN, reset or deadline
	Flush:     to(Linger, Closed),                                 // written; written and the client is done, or reset
	Linger:    to(Closed),                                         // FIN, too much, too long or reset
}

// answering reports whether the application has a request and not yet replied whole.
func (s State) answering() bool { return s == Pending || s == Streaming }

func to(s ...State) (bits uint16) {
	for _, s := range s {
		bits |= 1 << s
	}
	return bits
}

// move goes to the next state. A move that the table does not have is a fault
// of this package.
func (m *Machine) move(next State) {
	if moves[m.state]&(1<<(next&15)) == 0 {
		m.noMove(next)
	}
	if m.env.moved != nil {
		m.env.moved(m.state, next)
	}
	m.state = next
}

func (m *Machine) noMove(next State) {
	panic("conn: no move from " + m.state.String() + " to " + next.String())
}

// Class is what a connection waits for, the kind of deadline it is under.
type Class uint8

// The classes of waiting.
const (
	ForHead  Class = iota // the client has yet to send a whole head
	ForBody               // the client has yet to send the rest of a body
	ForReply              // the application has yet to reply
	ForMore               // the application has yet to go on with its reply
	ForWrite              // the client has yet to read what was written
	ForNext               // a next request may come
	ForFIN                // the client has yet to close its side
	Classes               // how many there are
)

// String is the class's name in lower case.
func (c Class) String() string {
	return [Classes]string{"head", "body", "reply", "stream", "write", "idle", "linger"}[c]
}

// Class is the kind of deadline that a connection without a Machine is under:
// one that is Fresh or Idle. For others ask the Machine.
func (s State) Class() Class {
	switch s {
	case Fresh, InHead:
		return ForHead
	case InBody, Drain:
		return ForBody
	case Ready, Pending:
		return ForReply
	case Streaming:
		return ForMore
	case Flush:
		return ForWrite
	case Idle:
		return ForNext
	}
	return ForFIN
}
