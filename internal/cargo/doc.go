// Package cargo is what one image of a program leaves to the next: a sealed piece
// of memory behind a descriptor, and the descriptors that it names.
//
// It knows the frame: version, checksum, seals, the listeners and other descriptors
// that go by a name, and where the new image finds it. It knows LISTEN_FDS, by which
// a service manager leaves the like. It does not know what a loop writes into its
// part.
package cargo
