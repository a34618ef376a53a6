package conn

import "slices"

// output is what waits to be written: bytes, with ranges of files between them.
type output struct {
	buffer           // the bytes
	sent   int       // of b, already written
	files  []fileOut // in the order of their places
	inFile int64     // bytes of all of them
	taken  int64     // bytes that the kernel has had since Begin
}

// fileOut is a range of a file, and its place.
type fileOut struct {
	FileRange
	at   int // in b: before the byte there
	done func()
}

// FileRange is output that lies in a file: what sendfile(2) needs.
type FileRange struct {
	FD     int   // an open descriptor
	Offset int64 // of what is still to be sent
	Length int64 // bytes from there
}

// minMove is how many bytes must have been written for the rest to be moved.
const minMove = 64 << 10

// pending is how many bytes wait.
func (o *output) pending() int64 { return int64(len(o.b)-o.sent) + o.inFile }

// end is how many bytes the kernel will have had when it has all.
func (o *output) end() int64 { return o.taken + o.pending() }

// full reports whether more would be more than the mark. A file, however short,
// holds a descriptor, so behind one there is no room.
func (o *output) full(mark int) bool { return len(o.b)-o.sent > mark || len(o.files) > 0 }

// next is the bytes before the next file; if there are none, that.
func (o *output) next() (p []byte, f *fileOut) {
	if len(o.files) == 0 {
		return o.b[o.sent:], nil
	}
	if f = &o.files[0]; f.at == o.sent {
		return nil, f
	}
	return o.b[o.sent:f.at], nil
}

// addFile puts a range behind what waits.
func (o *output) addFile(f FileRange, done func()) {
	o.files = append(o.files, fileOut{FileRange: f, at: len(o.b), done: done})
	o.inFile += f.Length
}

// wrote takes n bytes off, which are of what next has told. A file that is sent
// whole is taken out and its done returned, to be called.
func (o *output) wrote(n int, pool *pool) (done func()) {
	o.taken += int64(n)
	if o.sent+n == len(o.b) && len(o.files) == 0 { // mostly all is written at once
		o.sent = 0
		o.reset(pool)
		return nil
	}
	if p, f := o.next(); p == nil && f != nil {
		o.inFile -= int64(n)
		f.Offset += int64(n)
		if f.Length -= int64(n); f.Length == 0 {
			done = f.done
			o.files = slices.Delete(o.files, 0, 1)
		}
		return done
	}
	o.sent += n
	switch {
	case o.sent == len(o.b):
		o.moveFiles()
		o.reset(pool)
	case o.sent >= minMove && o.sent >= len(o.b)/2: // what is left moves down
		o.moveFiles()
		o.b = o.b[:copy(o.b, o.b[o.sent:])]
	default:
		return nil
	}
	o.sent = 0
	return nil
}

// tighten moves what waits into as little memory as it needs, unless more would be
// copied than is won. A client that reads slowly comes here again and again.
func (o *output) tighten(pool *pool) {
	rest := o.b[o.sent:]
	if cap(o.b) <= max(keptBuffer, len(rest)+len(rest)/2) {
		return
	}
	tight := append(o.kept[:0], rest...)
	o.moveFiles()
	o.giveBack(pool)
	o.b, o.sent = tight, 0
}

// moveFiles keeps the files' places when the bytes sent are cut off.
func (o *output) moveFiles() {
	for i := range o.files {
		o.files[i].at -= o.sent
	}
}

// drop forgets all that waits. The files' done functions are returned.
func (o *output) drop(pool *pool) (dones []func()) {
	for i := range o.files {
		dones = append(dones, o.files[i].done)
	}
	clear(o.files)
	o.files, o.inFile, o.sent = o.files[:0], 0, 0
	o.reset(pool)
	return dones
}
