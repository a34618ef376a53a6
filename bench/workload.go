//go:build linux

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// workload is a way to load a server. Every request of it has the same answer.
type workload struct {
	name        string
	about       string
	tool        string // that makes the load, if the command line does not say
	conns       int    // connections at once
	depth       int    // requests that are written at once
	method      string // "" is GET
	path        string
	fields      []string // of the head, besides Host; Content-Length is not among them
	content     []byte   // that is sent
	contentType string   // of every answer
	body        []byte   // of every answer
	file        string   // whose contents that is, below /static/
	close       bool     // a connection for each request
}

var (
	hello    = []byte("Hello, World!")
	kibibyte = pattern(1 << 10)
)

const (
	text   = "text/plain"
	binary = "application/octet-stream"
)

// The names are those that the results have always had.
var workloads = []workload{
	{name: "W1", about: "keep-alive, 64 connections", tool: "wrk", conns: 64, depth: 1, path: "/", contentType: text, body: hello},
	{name: "W2", about: "keep-alive, one connection", tool: "wrk", conns: 1, depth: 1, path: "/", contentType: text, body: hello},
	{name: "W3", about: "keep-alive, 1,000 connections", tool: "wrk", conns: 1000, depth: 1, path: "/", contentType: text, body: hello},
	{name: "W4", about: "16 pipelined, 64 connections", tool: "own", conns: 64, depth: 16, path: "/", contentType: text, body: hello},
	{name: "W5", about: "a connection for each request, 32 at once", tool: "own", conns: 32, depth: 1, path: "/",
		fields: []string{"Connection: close"}, contentType: text, body: hello, close: true},
	{name: "W6", about: "W1 with a browser's head of 12 fields, 620 bytes", tool: "wrk", conns: 64, depth: 1, path: "/", fields: browser,
		contentType: text, body: hello},
	{name: "W7", about: "a file of 64 KiB (the floor: from memory), 64 connections", tool: "wrk", conns: 64, depth: 1, path: "/static/64k.bin",
		contentType: binary, body: pattern(64 << 10), file: "64k.bin"},
	{name: "W8", about: "POST of 1 KiB, echoed (the floor: ready before), 64 connections", tool: "wrk", conns: 64, depth: 1, method: "POST", path: "/echo",
		fields: []string{"Content-Type: " + binary}, content: kibibyte, contentType: binary, body: kibibyte},
	{name: "W9", about: "a file of 1 MiB (the floor: from memory), 16 connections", tool: "wrk", conns: 16, depth: 1, path: "/static/1m.bin",
		contentType: binary, body: pattern(1 << 20), file: "1m.bin"},
	{name: "W10", about: "W4 with W6's head", tool: "own", conns: 64, depth: 16, path: "/", fields: browser, contentType: text, body: hello},
}

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

// request is what a client sends. Its host is a constant, so that requests have
// the same length on every port: W1's has 41 bytes.
func (w *workload) request() []byte {
	var b bytes.Buffer
	method := "GET"
	if w.method != "" {
		method = w.method
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:18080\r\n", method, w.path)
	for _, f := range w.fields {
		b.WriteString(f + "\r\n")
	}
	if w.content != nil {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(w.content))
	}
	b.WriteString("\r\n")
	b.Write(w.content)
	return b.Bytes()
}

// pattern is n bytes in which each place can be told from the others: records of
// 16 bytes that count. The first byte is none of a text's, lest a server takes
// the file for one.
func pattern(n int) []byte {
	b := make([]byte, 0, n+16)
	for k := 0; len(b) < n; k++ {
		b = fmt.Appendf(b, "\x00%014d\n", k)
	}
	return b[:n]
}

// selectWorkloads finds workloads by their names.
func selectWorkloads(names string) (chosen []workload, err error) {
	if names == "all" {
		return workloads, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no workload %q", name)
		}
		chosen = append(chosen, workloads[i])
	}
	return chosen, nil
}
