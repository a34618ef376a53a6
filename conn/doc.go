// Package conn is one HTTP/1.1 connection as a state machine: bytes in, a
// handler called, bytes out (RFC 9110, RFC 9112).
//
// It knows HTTP: requests and their bodies, keep-alive, pipelining, replies,
// refusals, closing. It knows no socket, no clock and no goroutine; a loop
// feeds it what it read, writes what it gives, and tells it when a deadline has
// passed. So a connection can be tested with every request cut at every byte.
//
// There are two sides. A program writes a [Handler], which sees a [Conn] with its
// [Request], made of [View], and perhaps a [Deferred]; it sets [Limits]. All else
// is for who writes a loop, which sees a [Machine]. A handler cannot re-enter the
// machine: what it says becomes data in the output queue.
//
// The states and their moves stand in state.go; Machine.run is the one function
// that follows input through them.
package conn
