// Package restart is leaving and coming back: stopping softly, executing the program
// anew with every connection open, handing over to another process.
//
// It knows how the process was started, how to try what it would start, signals, the
// service manager and the PID file. It does not know what is in a connection: the
// loop writes that down and takes it up again.
//
// A program that wants all of it:
//
//	l, err := loop.New(handler, loop.Options{Resumables: ...})
//	err = restart.Signals(l, restart.Options{}) // first: it may execute the program once more
//	addr, err := l.Listen("tcp", ":8080")       // or the one that was left
//	n, err := restart.Ready(l)                  // connections that were left go on
//	err = l.Run()
//
// One loop in a process can be restarted: an exec takes the others along to their end.
package restart
