package conn

// View is bytes borrowed from a request: valid until its reply is complete, and
// read only. string(v) is a copy that keeps. As map key or operand of == a
// string(v) costs no allocation.
type View []byte

// String is a copy, for fmt.
func (v View) String() string { return string(v) }

// MarshalText is a copy, so that slog and encoding/json print text.
func (v View) MarshalText() ([]byte, error) { return append([]byte{}, v...), nil }
