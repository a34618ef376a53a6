package httpparse

import "encoding/binary"

// crlf is the end of a line, read as a number.
const crlf = '\r' | '\n'<<8

// takeLines takes the field lines that are there whole, each in one step, and the
// section's end. It stops at a line that is cut, wrong or one too many, and at an
// end that is cut: those are for parse.
func (f *Fields) takeLines(b []byte, maxFields int) (ended bool) {
	for {
		if hasAVX2 && len(f.list) < maxFields {
			n, next := takeLinesAVX2(b, f.pos, f.list[len(f.list):min(cap(f.list), maxFields)])
			f.list, f.pos = f.list[:len(f.list)+n], next
		}
		if f.takeEnd(b) {
			return true
		}
		if len(f.list) >= maxFields || !f.takeLine(b) {
			return false
		}
	}
}

// takeEnd takes the empty line that ends a section, if it is next.
func (f *Fields) takeEnd(b []byte) bool {
	if f.pos+2 > len(b) || binary.LittleEndian.Uint16(b[f.pos:]) != crlf {
		return false
	}
	f.pos += 2
	f.stage = atLastLineFeed
	return true
}

// takeLine takes one line, or says that it cannot.
func (f *Fields) takeLine(b []byte) bool {
	colon := scanToken(b, f.pos)
	if colon >= len(b) || b[colon] != ':' || colon == f.pos {
		return false
	}
	start := colon + 1
	for start < len(b) && isBlank(b[start]) {
		start++
	}
	end := scanValue(b, start)
	if end+2 > len(b) || binary.LittleEndian.Uint16(b[end:]) != crlf {
		return false
	}
	next := end + 2
	for end > start && isBlank(b[end-1]) {
		end--
	}
	f.list = append(f.list, Field{Span{uint32(f.pos), uint32(colon)}, Span{uint32(start), uint32(end)}})
	f.pos = next
	return true
}
