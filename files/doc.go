// Package files answers requests from the files beneath a folder (RFC 9110).
//
// It knows what a file is to a client: its type, its validators, conditions
// (section 13), ranges (section 14), precompressed siblings (section 12.5.3),
// the index of a folder and its listing. It does not know sockets, and how bytes
// get from a file into one: it hands a [conn.Conn] a descriptor and a range. Nor
// does it compress, or watch the folder.
//
// # What is served
//
// Regular files beneath the folder, by names that a client sent decoded: symbolic
// links are followed as long as they are relative and stay beneath it (openat2(2),
// RESOLVE_BENEATH). All else is 404, as if it were not there: links that lead out,
// devices, FIFOs and sockets, which are not even opened; names that begin with a
// dot (see [Options]); names with an encoded slash; paths with an empty segment,
// so that a file has one path. What the system forbids to read is 403, and for
// want of descriptors it is 503.
//
// # Validators
//
// The entity tag is made from a file's size and its time of modification in
// nanoseconds. It is a strong one, and the inode is not in it, so that copies of a
// tree on several machines have the same tags. Two things could make it lie,
// and are seen to:
//
//   - A file that was modified within the last 2 s may be modified again without
//     its time changing, since file systems count time in steps. Such a file has
//     neither tag nor Last-Modified until it has settled.
//   - Where times are set to a constant, as in reproducible packages, they say
//     nothing. A file from before 1980-01-02, the least that a ZIP archive can say,
//     has no Last-Modified, and its tag is made from the time of its last change
//     of status, which nobody can set, and the inode.
//
// So a tag lies only if somebody writes into a file, keeps its size, and sets
// its time back on purpose.
//
// # How soon a change is seen
//
// Files that are asked for stay open, or in memory if they are small, and are
// looked at again at most once a second: what replaces them is seen after a second
// at most, and at once by a client that goes on with what it has (If-Range). What
// nobody has asked for in a minute is let go with the next look at any other file.
//
// Replace files by renaming over them. What is written into a file in place may
// be sent under the old tag for up to a second, and a client that is just being
// sent the file gets a mixture, as from any server. A file that becomes shorter
// ends the connections that it is being sent on.
//
// The folder itself is looked at as often: when its path leads elsewhere, as after
// a deployment that switches a link, the new one is served, within 2 s.
//
// # System calls
//
// Files are looked at and opened on the loop's goroutine, so a slow disk holds
// up every connection. That is the price of a single loop, and small where files
// are in the page cache.
//
// All of a [Tree] is for one loop's goroutine, and takes no locks.
//
// The package needs Linux 5.6, for openat2.
package files
