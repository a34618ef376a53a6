//go:build linux

package simkernel

// Conn is a connection. Its methods are the client's side.
type Conn struct {
	ID int // of the client that made it

	// Faulty says that the kernel has broken the connection on its own, so that
	// nobody can be blamed for what is missing. WasReset says that the server
	// has reset it on purpose.
	Faulty, WasReset bool

	// Accepted says that the server has taken it from the queue.
	Accepted bool

	k        *Kernel
	fd       int // the server's descriptor; -1 before accept and after close
	toServer []byte
	toClient []byte
	room     int // bytes that toClient may hold

	clientFIN    bool
	clientClosed bool // and the client reads no more either
	serverFIN    bool
	serverClosed bool
	reset        bool
}

// Dial connects, with room for so many bytes on the way to the client. It
// returns nil if nobody listens.
func (ln *Listener) Dial(id, room int) *Conn {
	if !ln.open {
		return nil
	}
	c := &Conn{ID: id, k: ln.k, fd: -1, room: room}
	ln.queue = append(ln.queue, c)
	c.k.Log("client %d: connects", id)
	return c
}

// Send sends p whole. It reports false if the connection has been reset.
func (c *Conn) Send(p []byte) bool {
	c.k.Log("client %d: sends %q", c.ID, p)
	if c.serverClosed && !c.reset {
		c.destroy() // bytes for a socket that is closed are answered by RST
	}
	if c.reset {
		return false
	}
	c.toServer = append(c.toServer, p...)
	return true
}

// Recv takes at most n bytes. ended says that no more will come, reset that
// bytes may be missing.
func (c *Conn) Recv(n int) (p []byte, ended, reset bool) {
	n = min(n, len(c.toClient))
	p = c.toClient[:n:n]
	c.toClient = c.toClient[n:]
	return p, len(c.toClient) == 0 && c.Ended(), c.reset
}

// Ended reports whether the server has ended the connection.
func (c *Conn) Ended() bool { return c.serverFIN || c.serverClosed || c.reset }

// CloseWrite sends FIN.
func (c *Conn) CloseWrite() {
	c.k.Log("client %d: sends FIN", c.ID)
	c.clientFIN = true
}

// Close closes. What was not read makes it a reset, as in TCP.
func (c *Conn) Close() {
	c.k.Log("client %d: closes", c.ID)
	c.clientFIN, c.clientClosed = true, true
	if len(c.toClient) > 0 {
		c.destroy()
	}
}

// Abort resets.
func (c *Conn) Abort() {
	c.k.Log("client %d: resets", c.ID)
	c.destroy()
}

// destroy is a reset, with all that it destroys.
func (c *Conn) destroy() {
	c.reset = true
	c.toServer, c.toClient = nil, nil
}

// closeServer is the server's close(2). Bytes that it has not read make it a
// reset, which destroys what the client has not read.
func (c *Conn) closeServer() {
	c.fd = -1
	c.serverClosed = true
	if len(c.toServer) > 0 && !c.reset {
		c.k.Log("client %d: is reset, since %d bytes were not read", c.ID, len(c.toServer))
		c.destroy()
	}
}
