package conn

import (
	"strconv"
	"sync"
)

// reasons is the registry of RFC 9110 section 15, and RFC 6585.
var reasons = map[int]string{
	100: "Continue", 102: "Processing", 103: "Early Hints",
	200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
	205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
	305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
	409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
	414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
	421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked", 424: "Failed Dependency",
	425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
	431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
	507: "Insufficient Storage", 508: "Loop Detected", 511: "Network Authentication Required",
}

// prepared is what replies other than 200 are made of, for each status from 200 to 599.
type prepared struct {
	lines [400]string
	pages [400][]byte
}

// ofStatus is made when it is asked for: clients wait for a program that begins anew.
var ofStatus = sync.OnceValue(func() *prepared {
	p := &prepared{}
	for i := range p.lines {
		title := strconv.Itoa(200+i) + " " + reasons[200+i]
		p.lines[i] = "HTTP/1.1 " + title + "\r\n"
		p.pages[i] = []byte("<!doctype html>\n<html lang=\"en\"><title>" + title + "</title>\n<h1>" + title + "</h1>\n</html>\n")
	}
	return p
})

const pageType = "text/html; charset=utf-8"

func statusLine(status int) string { return ofStatus().lines[status-200] }

// page is the body of an error reply.
func (e *Env) page(status int) []byte {
	if p, ok := e.pages[status]; ok {
		return p
	}
	if status < 200 || status > 599 {
		return nil // the reply is refused
	}
	return ofStatus().pages[status-200]
}
