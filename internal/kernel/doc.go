// Package kernel is the seam between a loop and the system: the few calls that
// a loop makes while it runs, as an interface, and their implementation for
// Linux. A simulated kernel can stand in its place, so that every short read,
// full queue and reused descriptor can be played at will.
//
// It knows descriptors, errno and the clock. It knows nothing of HTTP, nor what
// a descriptor is for. No call blocks but Wait.
package kernel
