package conn

// State is where a connection stands, in the order of a request's life.
type State uint8

// The states of a connection.
const (
	Fresh   State = iota // accepted, not a byte yet
	Idle                 // between two requests
	Head                 // in a request's head
	Body                 // the head is whole, the body is not
	Ready                // the request is whole; the handler is called, or runs
	Pending              // the handler has deferred the reply
	Flush                // the last reply is in the output; nothing more is read
	Linger               // FIN is due or sent; what still comes is thrown away
	Closed               // the descriptor is to be closed
	states  = iota
)

// String is the state's name in lower case.
func (s State) String() string {
	return [states]string{"fresh", "idle", "head", "body", "ready", "pending", "flush", "linger", "closed"}[s]
}

// moves has a bit for each state that may follow.
var moves = [states]uint16{
	Fresh:   to(Head, Flush, Closed),         // bytes; over the connection limit; FIN, reset or deadline
	Idle:    to(Head, Flush, Linger, Closed), // bytes; FIN before all is written; closed by a hook; FIN, reset or deadline
	Head:    to(Body, Ready, Flush, Closed),  // a body follows; none does, or it is here; refused; reset
	Body:    to(Ready, Flush, Closed),        // whole; refused; reset
	Ready:   to(Idle, Pending, Flush),        // replied; deferred; replied for the last time
	Pending: to(Idle, Flush, Closed),         // replied; replied for the last time; reset
	Flush:   to(Linger, Closed),              // written; written and the client is done, or reset
	Linger:  to(Closed),                      // FIN, too much, too long or reset
}

func to(s ...State) (bits uint16) {
	for _, s := range s {
		bits |= 1 << s
	}
	return bits
}

// move goes to the next state. A move that the table does not have is a fault
// of this package.
func (m *Machine) move(next State) {
	if moves[m.state]&(1<<next) == 0 {
		panic("conn: no move from " + m.state.String() + " to " + next.String())
	}
	if m.env.moved != nil {
		m.env.moved(m.state, next)
	}
	m.state = next
}

// Class is what a connection waits for, the kind of deadline it is under.
type Class uint8

// The classes of waiting.
const (
	ForHead  Class = iota // the client has yet to send a whole head
	ForBody               // the client has yet to send the rest of a body
	ForReply              // the application has yet to reply
	ForWrite              // the client has yet to read what was written
	ForNext               // a next request may come
	ForFIN                // the client has yet to close its side
	Classes               // how many there are
)

// String is the class's name in lower case.
func (c Class) String() string {
	return [Classes]string{"head", "body", "reply", "write", "idle", "linger"}[c]
}

// Class is the kind of deadline that a connection without a Machine is under:
// one that is Fresh or Idle. For others ask the Machine.
func (s State) Class() Class {
	switch s {
	case Fresh, Head:
		return ForHead
	case Body:
		return ForBody
	case Ready, Pending:
		return ForReply
	case Flush:
		return ForWrite
	case Idle:
		return ForNext
	}
	return ForFIN
}
