//go:build linux

package files

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	recheck = time.Second // after which a file is looked at again, when asked for
	forget  = time.Minute // after which one that nobody asks for is not kept
)

// entry is what a path leads to: a file, and what there is of it in other
// codings. The first variant is the file itself.
type entry struct {
	name     string // of the request, beneath the prefix
	typ      string
	variants []variant

	checked time.Time
	used    time.Time

	newer, older *entry // in the ring of Tree.newest
}

// find is the entry of a name, looked at within the last second, or now if fresh
// is wanted. EISDIR means a folder that was named without a slash.
func (t *Tree) find(name []byte, fresh bool) (*entry, error) {
	now := t.clock()
	e := t.entries[string(name)]
	if e != nil && !fresh && now.Sub(e.checked) < recheck {
		t.use(e, now)
		return e, nil
	}
	t.relook(now)
	t.forgetOld(now)
	if e = t.entries[string(name)]; e != nil {
		t.use(e, now) // before its files are opened, which makes room among the others
	} else {
		var err error
		if e, err = t.newEntry(string(name)); err != nil {
			return nil, err
		}
	}
	if err := t.look(e, now); err != nil {
		t.evict(e)
		return nil, t.explain(e, err)
	}
	t.use(e, now)
	return e, nil
}

// newEntry is an entry for a name that nobody has looked at.
func (t *Tree) newEntry(name string) (*entry, error) {
	if !validName(name, t.o.Hidden) {
		return nil, unix.ENOENT
	}
	path := name
	if namesFolder(name) {
		if t.o.Index == "" {
			return nil, unix.ENOENT
		}
		path += t.o.Index
	}
	e := &entry{name: name, typ: t.typeOf(path)}
	e.variants = append(e.variants, variant{path: path})
	if t.o.Precompressed && !isCompressed(path) {
		for i := range codings {
			e.variants = append(e.variants, variant{path: path + codings[i].suffix, coding: &codings[i]})
		}
	}
	return e, nil
}

// explain makes of an error about a file one about the name that was asked for.
func (t *Tree) explain(e *entry, err error) error {
	switch {
	case err != unix.EISDIR:
		return err
	case namesFolder(e.name): // its index is a folder
		return unix.ENOENT
	}
	if err := t.root.isFolder(e.name); err != nil {
		return err
	}
	return unix.EISDIR
}

// look looks at the file of e and its siblings, and opens what has changed.
func (t *Tree) look(e *entry, now time.Time) error {
	e.checked = now
	file := &e.variants[0]
	id, err := t.root.stat(file.path)
	if err != nil {
		return err
	}
	if !file.same(id) {
		t.drop(file)
		if err := t.open(file, e, now); err != nil {
			return err
		}
	}
	for i := range e.variants[1:] {
		v := &e.variants[1+i]
		id, err := t.root.stat(v.path)
		there := err == nil && !before(id.modified, file.id.modified)
		if !there || !v.same(id) {
			t.drop(v)
		}
		v.there = there // opened when it is asked for
	}
	return nil
}

func before(a, b unix.Timespec) bool { return a.Sec < b.Sec || a.Sec == b.Sec && a.Nsec < b.Nsec }

// open opens a variant of e, making room for it among those that are kept.
func (t *Tree) open(v *variant, e *entry, now time.Time) error {
	err := v.open(&t.root, now)
	if (err == unix.EMFILE || err == unix.ENFILE) && t.makeRoom(0, e) {
		err = v.open(&t.root, now)
	}
	if err != nil {
		return err
	}
	t.held++
	t.makeRoom(t.o.Cached, e)
	return nil
}

// makeRoom forgets entries, oldest first, until at most n files are held or it comes
// to keep, and reports whether there were any.
func (t *Tree) makeRoom(n int, keep *entry) (found bool) {
	for t.held > n && t.newest != nil && t.newest.newer != keep {
		t.evict(t.newest.newer)
		found = true
	}
	return found
}

func (t *Tree) drop(v *variant) {
	if v.data != nil {
		v.data.release()
		v.data = nil
		t.held--
	}
}

// use makes e the newest.
func (t *Tree) use(e *entry, now time.Time) {
	e.used = now
	if t.newest == e {
		return
	}
	if e.newer != nil {
		e.unlink()
	} else {
		t.entries[e.name] = e
	}
	if t.newest == nil {
		e.newer, e.older = e, e
	} else { // between the newest and, around the ring, the oldest
		e.older, e.newer = t.newest, t.newest.newer
		e.older.newer, e.newer.older = e, e
	}
	t.newest = e
}

func (e *entry) unlink() {
	e.older.newer, e.newer.older = e.newer, e.older
	e.older, e.newer = nil, nil
}

// evict forgets e, which need not be in the ring yet.
func (t *Tree) evict(e *entry) {
	for i := range e.variants {
		t.drop(&e.variants[i])
	}
	if e.newer == nil {
		return
	}
	delete(t.entries, e.name)
	if t.newest == e {
		t.newest = e.older
	}
	if t.newest == e { // it was the only one
		t.newest = nil
	}
	e.unlink()
}

// forgetOld forgets what nobody has asked for in a while: the space of a file
// that was removed is free only when nobody has it open.
func (t *Tree) forgetOld(now time.Time) {
	for t.newest != nil && now.Sub(t.newest.newer.used) >= forget {
		t.evict(t.newest.newer)
	}
}
