// Package simkernel is a kernel that exists in memory: the second implementation
// of kernel.Kernel. Sockets, epoll set and clock obey a seed, so that short
// reads, full buffers, failing calls, resets and reused descriptors come in
// thousands of orders within a second, and every order can be had again.
//
// It knows what a kernel may do, at its worst. In particular a reset destroys
// what the other side has not read yet, descriptors are reused at once,
// readiness is reported in any order, and calls that were said to be possible
// say EAGAIN or EINTR. It knows nothing of HTTP, and has no opinion on what the
// loop does, except where no correct program would: a descriptor used after its
// close, or a wait that nothing can end. Then it panics with a [Violation].
package simkernel
