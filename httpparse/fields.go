package httpparse

// Field is one field line: positions of its name and of its value without the
// white space around it.
type Field struct{ Name, Value Span }

// Fields is a section of field lines: a header section (as part of a [Head]) or
// a trailer section. The zero value is ready to parse a section.
type Fields struct {
	list  []Field
	line  Field // the one that is being read
	stage fieldStage
	pos   int // where to go on: all before has been looked at
}

// fieldStage is the part of a field line, or what follows the last, at Fields.pos.
type fieldStage uint8

const (
	atLine fieldStage = iota
	inName
	beforeValue
	inValue
	atLineFeed
	atLastLineFeed
)

// Reset makes f ready for another section. Its list keeps its memory.
func (f *Fields) Reset() { *f = Fields{list: f.list[:0]} }

// List is the lines in the order they came, valid until Reset.
func (f *Fields) List() []Field { return f.list }

// Clone is a copy of f with a list of its own.
func (f *Fields) Clone() Fields {
	c := *f
	c.list = append([]Field(nil), f.list...)
	return c
}

// Parse reads field lines and the empty line that ends them from the start of
// b, a trailer section (RFC 9112 section 7.1.2). It returns the section's
// length, or 0 if b holds only a part of it: then call again with the same bytes
// and more behind them. A section over the limits is refused with 431.
func (f *Fields) Parse(b []byte, lim Limits) (n int, bad *Error) {
	full := len(b) >= lim.Bytes
	if full {
		b = b[:lim.Bytes]
	}
	n, bad = f.parse(b, lim.Fields)
	if n == 0 && bad == nil && full {
		bad = errHeadLong
	}
	return n, bad
}

// parse goes on at f.pos; positions are those in b. See [Fields.Parse].
func (f *Fields) parse(b []byte, maxFields int) (n int, bad *Error) {
	for f.pos < len(b) {
		switch f.stage {
		case atLine:
			if f.takeLines(b, maxFields) {
				return f.pos, nil
			}
			if f.pos == len(b) {
				return 0, nil
			}
			if b[f.pos] == '\r' {
				f.pos++
				f.stage = atLastLineFeed
				continue
			}
			if len(f.list) == maxFields {
				return 0, errFieldsMany
			}
			f.line.Name.Start = uint32(f.pos)
			f.stage = inName
			fallthrough
		case inName:
			if f.pos = scanToken(b, f.pos); f.pos == len(b) {
				return 0, nil
			}
			f.line.Name.End = uint32(f.pos)
			if b[f.pos] != ':' || f.line.Name.Len() == 0 {
				return 0, errFieldName
			}
			f.pos++
			f.stage = beforeValue
			fallthrough
		case beforeValue:
			for f.pos < len(b) && isBlank(b[f.pos]) {
				f.pos++
			}
			if f.pos == len(b) {
				return 0, nil
			}
			f.line.Value.Start = uint32(f.pos)
			f.stage = inValue
			fallthrough
		case inValue:
			if f.pos = scanValue(b, f.pos); f.pos == len(b) {
				return 0, nil
			}
			if bad := f.endValue(b); bad != nil {
				return 0, bad
			}
		case atLineFeed, atLastLineFeed:
			if b[f.pos] != '\n' {
				return 0, errLineEnd
			}
			f.pos++
			if f.stage == atLastLineFeed {
				return f.pos, nil
			}
			f.stage = atLine
		}
	}
	return 0, nil
}

// endValue closes the line that is being read at the CR which f.pos is to be at.
func (f *Fields) endValue(b []byte) *Error {
	switch b[f.pos] {
	case '\r':
	case '\n':
		return errLineEnd
	default:
		return errFieldValue
	}
	end := uint32(f.pos)
	for end > f.line.Value.Start && isBlank(b[end-1]) {
		end--
	}
	f.line.Value.End = end
	f.list = append(f.list, f.line)
	f.line = Field{}
	f.pos++
	f.stage = atLineFeed
	return nil
}
