//go:build linux

package loop

import (
	"testing"
	"unsafe"

	"catboat/conn"
)

// A record that was carried is what it was. Without a machine a connection waits for what
// its state says, or its deadline would look for one.
func TestCarriedRecordIsWhatItWas(t *testing.T) {
	for _, row := range []struct {
		state conn.State
		class conn.Class
		slot  int32
		ok    bool
	}{
		{conn.Idle, conn.ForNext, none, true}, {conn.Fresh, conn.ForHead, none, true},
		{conn.Idle, conn.ForFIN, none, false}, {conn.Fresh, conn.ForNext, none, false}, {conn.Linger, conn.ForFIN, none, false},
		{conn.Linger, conn.ForFIN, 7, true}, {conn.Idle, conn.ForWrite, 7, true}, {conn.Idle, conn.Classes, 7, false},
	} {
		was := record{kind: isConn, prev: none, next: none, slot: row.slot, watched: true, id: 1 << 40, since: 100,
			generation: 9, interest: readable, port: 80, state: row.state, class: row.class, peerKind: ip4Peer, finSent: row.slot != none}
		b := make([]byte, packedSize)
		was.pack(b, 12, 150)
		var is record
		hasMachine, ok := is.unpack(b, 1150)
		was.slot, was.since = none, 1100
		if ok != row.ok || ok && (is != was || hasMachine != (row.slot != none) || packedFD(b) != 12) {
			t.Errorf("%v, %v: %v, %+v", row.state, row.class, ok, is)
		}
	}
}

// What an idle connection costs, and a restart carries.
func TestRecordIsACacheLine(t *testing.T) {
	if n := unsafe.Sizeof(record{}); n != 64 {
		t.Errorf("a record has %d bytes", n)
	}
	if n := unsafe.Sizeof([pageSize]record{}); n != 16<<10 {
		t.Errorf("a page of records has %d bytes", n)
	}
}
