// Fasthttp is fasthttp as a peer in the benchmarks: GET /, POST /echo, and files
// below /static/.
package main

import (
	"flag"
	"fmt"
	"log"
	"mime"
	"net"

	"github.com/valyala/fasthttp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	static := flag.String("static", "", "`folder` whose files are served below /static/")
	flag.Parse()
	mime.AddExtensionType(".bin", "application/octet-stream") // both are well-formed
	files := fasthttp.RequestHandler(notFound)
	if *static != "" {
		fs := &fasthttp.FS{Root: *static, PathRewrite: fasthttp.NewPathSlashesStripper(1), AcceptByteRange: true}
		files = fs.NewRequestHandler()
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", l.Addr())
	s := &fasthttp.Server{Name: "fasthttp", Handler: func(c *fasthttp.RequestCtx) { route(c, files) }}
	log.Fatal(s.Serve(l))
}

func route(c *fasthttp.RequestCtx, files fasthttp.RequestHandler) {
	switch path := string(c.Path()); {
	case path == "/" && c.IsGet():
		c.SetContentType("text/plain")
		c.SetBodyString("Hello, World!")
	case path == "/echo" && c.IsPost():
		c.SetContentType("application/octet-stream")
		c.SetBody(c.PostBody())
	default:
		files(c)
	}
}

func notFound(c *fasthttp.RequestCtx) { c.Error("not found", fasthttp.StatusNotFound) }
