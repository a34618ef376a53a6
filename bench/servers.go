//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// server is a program that can be measured. It is one of three kinds: a file in C,
// a Go program, or one that is installed.
type server struct {
	name  string
	about string

	source  string   // in C
	module  string   // folder of a Go program's module,
	pkg     string   // and its package there
	program string   // that is installed
	version []string // arguments that make it tell its version
	config  string   // template of its configuration

	args      func(s site, w workload) []string
	memory    []string // more arguments when the memory of 10,000 connections is measured: no deadline may end them
	procs     string   // GOMAXPROCS; "" or unset for none
	lacks     []string // workloads that it has nothing for
	fixedDate bool     // its Date is always the same
	counts    bool     // it tells how many connections it has, on /checkConnections

	path   string // of the executable, when it is prepared
	told   string // its version
	folder string // for what is built and written while all goes on
}

// site is what a server is told when it is started.
type site struct {
	Host, Port string
	Folder     string // the server's own, to write to
	Root       string // with index.txt, which is "Hello, World!", static/64k.bin and static/1m.bin
	Config     string // the file that was made of the template
}

// Address is where the server is to listen.
func (s site) Address() string { return s.Host + ":" + s.Port }

// servers are all there are. Who takes -listen serves any address, also with port
// 0, and says "listening on HOST:PORT"; who is installed has a configuration.
var servers = []server{
	{name: "floor", about: "C, parses nothing, a fixed answer from memory", source: "floor/floor.c", args: floorArgs, fixedDate: true},
	{name: "floor-defer", about: "the floor with a deferred accept and a read right behind it", source: "floor/floor.c", args: deferringFloorArgs, fixedDate: true},
	{name: "catboat", about: "`cmd/testbed`: the public API, every limit and deadline at its default", module: "..", pkg: "./cmd/testbed", args: goArgs,
		memory: []string{"-header", "10m", "-idle", "10m"}, counts: true},
	{name: "catboat-defer", about: "the same with `-defer-accept`", module: "..", pkg: "./cmd/testbed", args: deferringGoArgs, counts: true},
	{name: "nethttp", about: "Go's net/http", module: "peers", pkg: "./nethttp", args: goArgs},
	{name: "fasthttp", about: "fasthttp", module: "peers", pkg: "./fasthttp", args: goArgs},
	{name: "gnet", about: "gnet with a reader that validates nothing", module: "peers", pkg: "./gnet", args: goArgs, lacks: []string{"W7", "W9"}},
	{name: "nginx", about: "nginx, one worker", program: "nginx", version: []string{"-v"}, config: "peers/nginx/nginx.conf",
		args: func(s site, _ workload) []string { return []string{"-p", s.Folder, "-c", s.Config, "-e", "stderr"} }, lacks: []string{"W8"}},
	{name: "lighttpd", about: "lighttpd, one process", program: "lighttpd", version: []string{"-v"}, config: "peers/lighttpd/lighttpd.conf",
		args: func(s site, _ workload) []string { return []string{"-D", "-f", s.Config} }, lacks: []string{"W8"}},
	{name: "h2o", about: "h2o, one thread", program: "h2o", version: []string{"-v"}, config: "peers/h2o/h2o.conf",
		args: func(s site, _ workload) []string { return []string{"-c", s.Config} }, lacks: []string{"W8"}},
	{name: "haproxy", about: "HAProxy, one thread, `http-request return`", program: "haproxy", version: []string{"-v"}, config: "peers/haproxy/haproxy.cfg",
		args: func(s site, _ workload) []string { return []string{"-db", "-f", s.Config} }, lacks: []string{"W7", "W8", "W9"}},
}

func deferringGoArgs(s site, w workload) []string { return append(goArgs(s, w), "-defer-accept") }

func floorArgs(s site, w workload) []string {
	args := []string{"-listen", s.Address()}
	if w.close {
		args = append(args, "-close")
	}
	switch {
	case w.file != "":
		args = append(args, "-body", filepath.Join(s.Root, "static", w.file))
	case w.content != nil:
		args = append(args, "-body", filepath.Join(s.Root, "echo.bin"))
	}
	return args
}

func deferringFloorArgs(s site, w workload) []string { return append(floorArgs(s, w), "-defer") }

func goArgs(s site, w workload) []string {
	args := []string{"-listen", s.Address()}
	if w.file != "" {
		args = append(args, "-static", filepath.Join(s.Root, "static"))
	}
	return args
}

// serves tells whether a server has something for a workload.
func (s *server) serves(w workload) bool { return !slices.Contains(s.lacks, w.name) }

// serverNames are all names, with commas.
func serverNames() string {
	var names []string
	for _, s := range servers {
		names = append(names, s.name)
	}
	return strings.Join(names, ",")
}

// selectServers finds servers by their names and adds those of -also. Catboat is
// there once for each value of GOMAXPROCS, and the first value is for all others
// in Go.
func selectServers(names string, procs, also []string) (chosen []server, err error) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(servers, func(s server) bool { return s.name == name })
		switch {
		case name == "all":
			for _, s := range servers {
				chosen = append(chosen, variants(s, procs)...)
			}
		case i < 0:
			return nil, fmt.Errorf("no server %q", name)
		default:
			chosen = append(chosen, variants(servers[i], procs)...)
		}
	}
	for _, a := range also {
		name, path, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("-also %s: no = in it", a)
		}
		chosen = append(chosen, server{name: name, about: "`" + path + "`", path: path, args: goArgs, procs: procs[0]})
	}
	return chosen, nil
}

func variants(s server, procs []string) (all []server) {
	if s.module == "" {
		return []server{s}
	}
	s.procs = procs[0]
	if s.name != "catboat" || len(procs) == 1 {
		return []server{s}
	}
	for _, p := range procs {
		v := s
		v.procs = p
		v.name += ", GOMAXPROCS " + p
		all = append(all, v)
	}
	return all
}
