//go:build linux

package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// prepareServers builds what has to be built, once, and finds what has to be
// installed. root is the module of catboat.
func prepareServers(chosen []server, folder, root string) error {
	if err := writeRoot(filepath.Join(folder, "root")); err != nil {
		return err
	}
	paths := map[string]string{}
	for i := range chosen {
		s := &chosen[i]
		if s.module == ".." {
			s.module = root
		}
		s.folder = folder
		key := s.source + s.module + s.pkg
		if key != "" && paths[key] != "" {
			s.path = paths[key]
		} else if err := s.prepare(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		paths[key] = s.path
		s.told = s.tellVersion()
	}
	return nil
}

func (s *server) prepare() (err error) {
	built := filepath.Join(s.folder, s.name)
	switch {
	case s.source != "":
		s.path = built
		return build("", cmp.Or(os.Getenv("CC"), "cc"), "-O2", "-o", built, s.source)
	case s.module != "":
		s.path = built
		return build(s.module, "go", "build", "-o", built, s.pkg)
	case s.program != "":
		if s.path, err = lookPath(s.program); err != nil {
			return fmt.Errorf("it is not installed: bash install.sh (%w)", err)
		}
	}
	return nil
}

// lookPath finds a program, also where Debian has its daemons.
func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", program))
	}
	return path, err
}

func build(folder string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// tellVersion is what the program says of itself, or the library that it was
// built with; "" if it says nothing.
func (s *server) tellVersion() string {
	if s.program != "" {
		return firstLine(s.path, s.version...)
	}
	info, err := buildinfo.ReadFile(s.path)
	if err != nil || s.module != "peers" {
		return ""
	}
	for _, m := range info.Deps {
		if strings.Contains(m.Path, "/"+s.name) {
			return m.Path + " " + m.Version
		}
	}
	return info.GoVersion
}

// firstLine is the first line that a program prints, whatever its status.
func firstLine(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// writeRoot writes the files that are served. Servers may run as another user. The
// files are a day old: of one that may still change within the same second a
// server may tell no validators, and later answers would differ from the first.
func writeRoot(folder string) error {
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, "static"), 0o755); err != nil {
		return err
	}
	files := map[string][]byte{"index.txt": hello, "echo.bin": kibibyte, "echo.lua": echoScript(folder)}
	for _, w := range workloads {
		if w.file != "" {
			files[filepath.Join("static", w.file)] = w.body
		}
	}
	old := time.Now().AddDate(0, 0, -1)
	for name, contents := range files {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, contents, 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(path, old, old); err != nil {
			return err
		}
	}
	return nil
}

// echoScript makes wrk send what is echoed.
func echoScript(folder string) []byte {
	return fmt.Appendf(nil, "local f = io.open(%q, 'rb')\nwrk.method, wrk.body = 'POST', f:read('*a')\nf:close()\n", filepath.Join(folder, "echo.bin"))
}
