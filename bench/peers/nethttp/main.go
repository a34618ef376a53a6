// Nethttp is Go's net/http as a peer in the benchmarks: GET /, POST /echo, and
// files below /static/.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	static := flag.String("static", "", "`folder` whose files are served below /static/")
	flag.Parse()
	mime.AddExtensionType(".bin", "application/octet-stream") // both are well-formed
	http.HandleFunc("GET /{$}", hello)
	http.HandleFunc("POST /echo", echo)
	if *static != "" {
		http.Handle("GET /static/", named(http.StripPrefix("/static/", http.FileServer(http.Dir(*static)))))
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", l.Addr())
	log.Fatal(http.Serve(l, nil))
}

// named adds what net/http does not say by itself.
func named(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "nethttp")
		h.ServeHTTP(w, r)
	})
}

var greeting = []byte("Hello, World!")

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Server", "nethttp")
	w.Header().Set("Content-Type", "text/plain")
	w.Write(greeting)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "bad body", http.StatusBadRequest)
		return
	}
	w.Header().Set("Server", "nethttp")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write(body)
}
