package httpparse

import "golang.org/x/sys/cpu"

// hasAVX2 says that takeLinesAVX2 may be called.
var hasAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasBMI1 && cpu.X86.HasBMI2

// takeLinesAVX2 reads field lines from b[at:] into free. It returns how many, and
// where it has stopped: at a line that is cut, wrong or only unusual (a name of
// 64 bytes, more white space than one blank, no value), or where free is full. It
// reads up to 128 bytes ahead, within cap(b), but answers for those of b alone.
//
//go:noescape
func takeLinesAVX2(b []byte, at int, free []Field) (n, next int)

// tokenRows and tokenColumns are isToken as VPSHUFB looks things up: the byte
// 0xRC is a tchar if row R and column C have a bit in common.
//
//lint:ignore U1000 the assembly reads them
var tokenRows, tokenColumns = func() (rows, columns [16]byte) {
	for c, is := range isToken {
		if is {
			bit := byte(1) << (c>>4 - 2) // tchars are in the rows 2 to 7
			rows[c>>4] = bit
			columns[c&15] |= bit
		}
	}
	return
}()
