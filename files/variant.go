//go:build linux

package files

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// variant is one representation of a resource: a file, or its sibling in a
// coding. What a reply says of it is made when it is opened.
type variant struct {
	path   string // beneath the root
	coding *coding
	there  bool // a sibling: it was seen, and is not older than the file

	data    *data // nil: not open
	id      identity
	settled bool // it can have validators

	etag         string // with its quotes; empty: none
	lastModified string // empty: none
	modified     int64  // the same in seconds since 1970
}

// settle is how long a file's time must be past for another change to be sure
// to have another time. Two seconds is the step of FAT; others have finer ones.
const settle = 2 * time.Second

// packed is the time of modification up to which it is taken for a constant:
// 1980-01-01, the first of ZIP's times, in whatever time zone.
const packed = 315532800 + 86400

// same reports whether v is open and still what is there. What had not settled may
// have changed without a trace.
func (v *variant) same(id identity) bool { return v.data != nil && v.settled && v.id == id }

// open opens the file beneath the root, which may be another one than was just
// looked at.
func (v *variant) open(r *root, now time.Time) error {
	fd, err := r.open(v.path, readFlags)
	if err != nil {
		return err
	}
	id, err := fstat(fd)
	if err == nil {
		id, err = regular(id)
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	v.id = id
	v.describe(now)
	v.data = newData(fd, id.size)
	return nil
}

// describe makes the validators (RFC 9110 section 8.8), which the package
// comment explains.
func (v *variant) describe(now time.Time) {
	stamp, constant := v.id.modified, v.id.modified.Sec <= packed
	if constant {
		stamp = v.id.changed
	}
	age := now.Sub(time.Unix(stamp.Unix()))
	v.settled = age >= settle || age <= -settle
	v.etag, v.lastModified, v.modified = "", "", 0
	if !v.settled {
		return
	}
	tag := append(strconv.AppendInt([]byte{'"'}, v.id.size, 16), '-')
	tag = strconv.AppendUint(tag, uint64(stamp.Nano()), 16)
	if constant {
		tag = strconv.AppendUint(append(tag, '-'), v.id.ino, 16)
	}
	if v.coding != nil {
		tag = append(append(tag, '-'), v.coding.name...)
	}
	v.etag = string(append(tag, '"'))
	if !constant && age > 0 { // a later one may not be said (section 8.8.2.1)
		v.modified = stamp.Sec
		v.lastModified = time.Unix(stamp.Sec, 0).UTC().Format(imfFixdate)
	}
}

// data is a file's bytes: in memory, or behind a descriptor. It is given back
// once by each who has it: the variant, and every reply that sends it.
type data struct {
	fd      int // -1: they are in content
	content []byte
	users   int
	done    func() // release, made once
}

// newData takes fd over. A small file is read here, since that costs less than
// sendfile, once it is kept. One that has not the size that it should is just
// being written: it stays a descriptor.
func newData(fd int, size int64) *data {
	d := &data{fd: fd, users: 1}
	d.done = d.release
	if size <= smallFile {
		content := make([]byte, size+1)
		if n, err := pread(fd, content); err == nil && int64(n) == size {
			d.content = content[:size:size]
			d.fd = -1
			unix.Close(fd)
		}
	}
	return d
}

// pread reads what fits into p from the start of a file.
func pread(fd int, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(fd, p[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if m <= 0 || err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

func (d *data) release() {
	if d.users--; d.users == 0 && d.fd >= 0 {
		unix.Close(d.fd)
	}
}
