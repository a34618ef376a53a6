//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// workload is a way to load a server. Every request of it has the same answer.
type workload struct {
	name        string
	about       string
	conns       int    // connections at once
	depth       int    // requests that are written at once
	request     []byte // one of them
	contentType string // of every answer
	body        []byte // of every answer
	close       bool   // a connection for each request
	floor       []string
}

const echoed = 1024 // bytes of W8's body

var hello = []byte("Hello, World!")

// The names are those that the results have always had; serving files (W7, W9)
// has no floor here.
var workloads = []workload{
	{name: "W1", about: "keep-alive, 64 connections", conns: 64, depth: 1, request: get(), contentType: "text/plain", body: hello},
	{name: "W2", about: "keep-alive, one connection", conns: 1, depth: 1, request: get(), contentType: "text/plain", body: hello},
	{name: "W3", about: "keep-alive, 1,000 connections", conns: 1000, depth: 1, request: get(), contentType: "text/plain", body: hello},
	{name: "W4", about: "16 pipelined, 64 connections", conns: 64, depth: 16, request: get(), contentType: "text/plain", body: hello},
	{name: "W5", about: "a connection for each request, 32 at once", conns: 32, depth: 1, request: get("Connection: close"),
		contentType: "text/plain", body: hello, close: true, floor: []string{"-close"}},
	{name: "W6", about: "W1 with a browser's head of 12 fields, 620 bytes", conns: 64, depth: 1, request: get(browser...),
		contentType: "text/plain", body: hello},
	{name: "W8", about: "POST of 1 KiB, echoed (the floor has that answer ready), 64 connections", conns: 64, depth: 1, request: post(),
		contentType: "application/octet-stream", body: kibibyte, floor: []string{"-body", strconv.Itoa(echoed)}},
	{name: "W10", about: "W4 with W6's head", conns: 64, depth: 16, request: get(browser...), contentType: "text/plain", body: hello},
}

var kibibyte = bytes.Repeat([]byte("x"), echoed)

// browser is what Chromium sends with a navigation, and a cookie; with the Host
// field these are 12 fields, and with the request line 620 bytes.
var browser = []string{
	"Connection: keep-alive",
	`sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"`,
	"sec-ch-ua-mobile: ?0",
	`sec-ch-ua-platform: "Linux"`,
	"Upgrade-Insecure-Requests: 1",
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
	"Sec-Fetch-Mode: navigate",
	"Accept-Encoding: gzip, deflate, br, zstd",
	"Accept-Language: en-US,en;q=0.9,de;q=0.8",
	"Cookie: sid=8c1f0e6b5d2a49378e4f7a1b6c0d9e52; theme=dark; consent=1732600000.necessary.stats; tz=Eu",
}

// get is a GET with more fields. Its host is a constant, so that requests have
// the same length on every port: 41 bytes without further fields.
func get(fields ...string) []byte {
	var b strings.Builder
	b.WriteString("GET / HTTP/1.1\r\nHost: 127.0.0.1:18080\r\n")
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

func post() []byte {
	return fmt.Appendf(nil, "POST /echo HTTP/1.1\r\nHost: 127.0.0.1:18080\r\nContent-Type: application/octet-stream\r\n"+
		"Content-Length: %d\r\n\r\n%s", echoed, kibibyte)
}
