// Package loop is one epoll set: listeners, connections, timers, signals and
// wake-ups, all served by the goroutine that calls [Loop.Run].
//
// It knows descriptors, deadlines and when to stop. What the bytes on a
// connection mean is package conn's business.
//
// # What holds Run
//
// Run returns when nothing holds it: every listener is closed and every
// connection has ended. [Loop.EpollSize] counts what does. Timers, signals and
// the wake-up descriptor do not hold it.
//
// # Goroutines
//
// One goroutine runs the loop. Handlers, timers, functions given to Post and
// OnSignal all run on it, one after the other, so they need no locks among
// themselves, and none may wait. A handler's panic costs its client a 500; that of
// any other function unwinds Run and is the program's. From other goroutines these may be called:
// Post, StopListening, LastReplies, Cut, SetHandler, SetTimeouts, EpollSize and Counters.
//
// The package needs Linux.
package loop
