//go:build linux

// Bench measures how much processor time servers need for a request, as a ratio
// to the floor: a server in C that parses nothing. README.md says how, and what
// came of it.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	o, err := parseOptions(os.Args[1:])
	if err == flag.ErrHelp {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures all and prints the report. Any wrong answer ends it.
func run(o options) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := prepareServers(o.servers, folder, o.root); err != nil {
		return err
	}
	if o.svg != "" || o.out != "" && !o.memory {
		if err := build("chart", "go", "build", "-o", chartIn(folder), "."); err != nil {
			return err
		}
	}
	r := newReport(o)
	if err := pinProcess(loadCore); err != nil {
		return err
	}
	if o.memory {
		err = r.measureMemory(o)
	} else {
		err = r.measureTime(o)
	}
	r.LoadAverageAfter = loadAverage()
	fmt.Print(r.markdown())
	if err != nil {
		return err // and no files of what there is
	}
	return r.write(o, folder)
}
