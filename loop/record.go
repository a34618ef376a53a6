//go:build linux

package loop

import (
	"net/netip"

	"catboat/conn"
)

// none is the index that points nowhere.
const none = -1

// kind is what a descriptor is.
type kind uint8

const (
	isFree kind = iota
	isListener
	isConn
	isWatch
)

// record is what the loop knows of a descriptor between events: a cache line. It has
// no pointers, so the collector passes the slab by: fifty thousand idle
// connections cost it nothing.
type record struct {
	id         uint64
	since      int64 // of its last activity, what its deadline counts from
	generation uint32
	prev, next int32 // in the list of its class
	slot       int32 // of its Machine, or none; of a listener
	interest   uint32
	peer       [16]byte
	port       uint16
	kind       kind
	state      conn.State // while it has no Machine
	class      conn.Class
	peerKind   peerKind
	blocked    bool // the socket takes no more output for now
	again      bool // it is in Loop.again
	finSent    bool
	watched    bool // in the epoll set
	away       bool // on its way to another process
}

// peerKind is how a record's peer is to be read.
type peerKind uint8

const (
	unixPeer peerKind = iota
	ip4Peer
	ip6Peer
)

func (r *record) setPeer(p netip.AddrPort) {
	r.port = p.Port()
	switch a := p.Addr(); {
	case a.Is4():
		r.peerKind, r.peer = ip4Peer, a.As16()
	case a.Is6():
		r.peerKind, r.peer = ip6Peer, a.As16()
	default:
		r.peerKind = unixPeer
	}
}

func (r *record) addrPort() netip.AddrPort {
	switch r.peerKind {
	case ip4Peer:
		return netip.AddrPortFrom(netip.AddrFrom16(r.peer).Unmap(), r.port)
	case ip6Peer:
		return netip.AddrPortFrom(netip.AddrFrom16(r.peer), r.port)
	}
	return netip.AddrPort{}
}

// slab has a record for each descriptor, at its number. It grows by pages, so
// that records stay where they are.
type slab []*[pageSize]record

const pageSize = 256

func (s slab) at(fd int32) *record { return &s[uint32(fd)/pageSize][uint32(fd)%pageSize] }

// open makes the record of a descriptor that has just come up.
func (s *slab) open(fd int, k kind) (*record, conn.Handle) {
	for fd >= len(*s)*pageSize {
		*s = append(*s, new([pageSize]record))
	}
	r := s.at(int32(fd))
	generation := r.generation + 1
	*r = record{generation: generation, kind: k, prev: none, next: none, slot: none}
	return r, conn.Handle{FD: uint32(fd), Generation: generation}
}

// generationOf is the generation that a descriptor that has just come up has.
func (s slab) generationOf(fd int) uint32 {
	if fd >= len(s)*pageSize {
		return 1
	}
	return s.at(int32(fd)).generation + 1
}

// isOpen reports whether a record is in use.
func (s slab) isOpen(fd int) bool {
	return fd >= 0 && fd < len(s)*pageSize && s.at(int32(fd)).kind != isFree
}

// find is the record that h means, or nil if that is no more.
func (s slab) find(h conn.Handle) *record {
	if uint64(h.FD) >= uint64(len(s)*pageSize) {
		return nil
	}
	if r := s.at(int32(h.FD)); r.generation == h.Generation && r.kind != isFree && !r.away {
		return r
	}
	return nil
}

// data is a handle as the epoll set stores it.
func data(h conn.Handle) uint64 { return uint64(h.FD) | uint64(h.Generation)<<32 }

func handleOf(data uint64) conn.Handle {
	return conn.Handle{FD: uint32(data), Generation: uint32(data >> 32)}
}
