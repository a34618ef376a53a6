package httpparse_test

import (
	"fmt"
	"io"
	"os"
	"strings"

	"catboat/httpparse"
)

func ExampleHead_Parse() {
	var head httpparse.Head
	var buf []byte
	limits := httpparse.Limits{Bytes: 16384, Fields: 100}
	client := strings.NewReader("GET /search?q=cat HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n")
	for {
		piece := make([]byte, 10) // as a socket might give them
		n, err := client.Read(piece)
		if err == io.EOF {
			return
		}
		buf = append(buf, piece[:n]...)

		n, bad := head.Parse(buf, limits)
		if bad != nil {
			fmt.Println(bad.Status, bad.Reason)
			return
		}
		if n > 0 {
			break
		}
	}
	fmt.Printf("%s %s ? %s\n", head.Method, head.Path.Of(buf), head.Query.Of(buf))
	for _, f := range head.Fields.List() {
		fmt.Printf("%s = %s\n", f.Name.Of(buf), f.Value.Of(buf))
	}
	// Output:
	// GET /search ? q=cat
	// Host = example.com
	// Accept = */*
}

func ExampleChunked_Next() {
	var body httpparse.Chunked
	buf := []byte("5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nDigest: x\r\n\r\n")
	for !body.Ended() && len(buf) > 0 {
		data, n, bad := body.Next(buf)
		if bad != nil {
			fmt.Println(bad.Status, bad.Reason)
			return
		}
		os.Stdout.Write(data)
		buf = buf[n:]
	}
	fmt.Printf("\ntrailer section: %q\n", buf)
	// Output:
	// hello, world
	// trailer section: "Digest: x\r\n\r\n"
}

func ExampleAppendPath() {
	for _, path := range []string{"/a/./b%20c", "/a/../../etc", "/a/%2e%2e/b", "/a%2Fb/"} {
		fmt.Printf("%s\n", httpparse.AppendPath(nil, []byte(path)))
	}
	// Output:
	// /a/b c
	// /etc
	// /b
	// /a%2Fb/
}
