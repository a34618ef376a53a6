//go:build linux

package files_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"catboat/files"
	"catboat/loop"
)

// A server of a folder's files, which a client asks for a part of one.
func Example() {
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("hello, world\n"), 0o644); err != nil {
		panic(err)
	}

	site, err := files.New(dir, files.Options{CacheControl: "max-age=60"})
	if err != nil {
		panic(err)
	}
	l, err := loop.New(site.Serve, loop.Options{})
	if err != nil {
		panic(err)
	}
	addr, err := l.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { // a client
		q, err := http.NewRequest("GET", "http://"+addr.String()+"/hello.txt", nil)
		if err != nil {
			panic(err)
		}
		q.Header.Set("Range", "bytes=0-4")
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Status, r.Header.Get("Content-Type"), r.Header.Get("Content-Range"))
		fmt.Printf("%s\n", body)
		http.DefaultClient.CloseIdleConnections()
		l.StopListening()
	}()
	fmt.Println(l.Run(), site.Close())
	// Output:
	// 206 Partial Content text/plain; charset=utf-8 bytes 0-4/13
	// hello
	// <nil> <nil>
}
