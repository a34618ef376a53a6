//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// process is a server that runs.
type process struct {
	cmd     *exec.Cmd
	address string
	log     string // file with what it says, if that is not ours
	root    string // folder with the files that it serves, and a tool sends
}

// start starts the server on its core and waits until it listens.
func (s *server) start(w workload, more ...string) (*process, error) {
	site, err := s.site()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(s.path, append(s.args(site, w), more...)...)
	cmd.Env = environment(s.procs)
	p := &process{cmd: cmd, address: site.Address(), root: site.Root}
	if s.config == "" {
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return p, p.awaitWord()
	}
	p.log = filepath.Join(site.Folder, "log") // they say that they are there, and more
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	// A master that is killed leaves its workers behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return p, p.awaitListener()
}

// site is a place for one run of the server. Who says where it listens may listen
// where it likes; the others get a port, and their configuration is written.
func (s *server) site() (site, error) {
	t := site{Host: "127.0.0.1", Port: "0", Root: filepath.Join(s.folder, "root")}
	if s.config == "" {
		return t, nil
	}
	t.Folder = filepath.Join(s.folder, s.name+".d")
	if err := os.MkdirAll(t.Folder, 0o755); err != nil {
		return t, err
	}
	port, err := freePort()
	if err != nil {
		return t, err
	}
	t.Port = strconv.Itoa(port)
	t.Config = filepath.Join(t.Folder, filepath.Base(s.config))
	form, err := template.ParseFiles(s.config)
	if err != nil {
		return t, err
	}
	var text bytes.Buffer
	if err := form.Execute(&text, t); err != nil {
		return t, err
	}
	return t, os.WriteFile(t.Config, text.Bytes(), 0o644)
}

// freePort is a port that nobody listens on, of those that no client is given.
func freePort() (port int, err error) {
	for range 100 {
		port = 20_000 + rand.IntN(10_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}

// awaitWord starts a server that says where it listens.
func (p *process) awaitWord() error {
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := startOn(serverCore, p.cmd); err != nil {
		return err
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		p.stop()
		return fmt.Errorf("it said %q and not where it listens (%v)", line, err)
	}
	p.address = address
	go io.Copy(io.Discard, r) // until stop closes it
	return nil
}

// awaitListener starts a server that does not, and tries until it is there.
func (p *process) awaitListener() error {
	if err := startOn(serverCore, p.cmd); err != nil {
		return err
	}
	var err error
	for limit := time.Now().Add(patience); time.Now().Before(limit) && !p.ended(); time.Sleep(5 * time.Millisecond) {
		var c net.Conn
		if c, err = net.Dial("tcp", p.address); err == nil {
			return c.Close()
		}
	}
	p.stop()
	said, _ := os.ReadFile(p.log)
	return fmt.Errorf("it does not listen (%v), and says %q", err, said)
}

// ended tells whether the process is a zombie, for nobody waits for it but stop.
func (p *process) ended() bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	return err != nil || strings.Contains(string(line), ") Z ")
}

// environment is ours with one GOMAXPROCS or none.
func environment(procs string) (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GOMAXPROCS=") {
			env = append(env, v)
		}
	}
	if procs != "" && procs != "unset" {
		env = append(env, "GOMAXPROCS="+procs)
	}
	return env
}

// pids are the process and its workers.
func (p *process) pids() ([]int, error) { return family(p.cmd.Process.Pid) }

// usage is what they all have used.
func (p *process) usage() (usage, error) {
	pids, err := p.pids()
	if err != nil {
		return usage{}, err
	}
	return usageOf(pids)
}

// stop ends the process and its workers, at once.
func (p *process) stop() {
	pids, err := p.pids()
	p.cmd.Process.Kill()
	if err == nil {
		for _, pid := range pids[1:] {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if err := p.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}
