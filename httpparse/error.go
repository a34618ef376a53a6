package httpparse

// Error says why a request is refused and with which status.
// All values are made at start; they are compared by pointer and never change.
type Error struct {
	Status int    // 400, 413, 414, 417, 431, 501 or 505
	Reason string // for logs, without any byte of the request
}

// Error is the reason alone.
func (e *Error) Error() string { return e.Reason }

var (
	errMethod         = &Error{400, "method is not a token"}
	errMethodLong     = &Error{501, "method longer than any known"}
	errTarget         = &Error{400, "byte not allowed in a request target"}
	errTargetForm     = &Error{400, "request target does not fit the method"}
	errTargetEscape   = &Error{400, "malformed percent-encoding in the path"}
	errTargetScheme   = &Error{400, "scheme is neither http nor https"}
	errAuthority      = &Error{400, "malformed authority in the request target"}
	errVersion        = &Error{400, "malformed protocol version"}
	errVersionMajor   = &Error{505, "protocol version is not HTTP/1"}
	errLineEnd        = &Error{400, "line does not end in CRLF"}
	errFieldName      = &Error{400, "field name is not a token followed by a colon"}
	errFieldValue     = &Error{400, "control character in a field value"}
	errHostMissing    = &Error{400, "no Host field"}
	errHostTwice      = &Error{400, "more than one Host field"}
	errHost           = &Error{400, "malformed Host"}
	errLength         = &Error{400, "malformed Content-Length"}
	errLengthTwice    = &Error{400, "more than one Content-Length"}
	errLengthAndCode  = &Error{400, "Content-Length with Transfer-Encoding"}
	errCoding         = &Error{400, "malformed Transfer-Encoding, or chunked is not its last coding"}
	errCodingUnknown  = &Error{501, "transfer coding is not chunked"}
	errCodingIn10     = &Error{400, "Transfer-Encoding in HTTP/1.0"}
	errExpect         = &Error{417, "expectation is not 100-continue"}
	errTargetLong     = &Error{414, "request line over the limit"}
	errHeadLong       = &Error{431, "header section over the limit"}
	errFieldsMany     = &Error{431, "too many fields"}
	errChunkSize      = &Error{400, "malformed chunk size"}
	errChunkSizeLarge = &Error{413, "chunk size over 63 bits"}
	errChunkExt       = &Error{400, "malformed chunk extension"}
	errChunkEnd       = &Error{400, "chunk data does not end in CRLF"}
	errChunkFraming   = &Error{413, "chunk framing over its budget"}
)
