//go:build linux

package main

import (
	"cmp"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what the figures depend on.
type machine struct {
	Kernel      string `json:"kernel"`
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	Go          string `json:"go"`
	CC          string `json:"cc"`
	LoadAverage string `json:"load_average"` // before the first run
}

func thisMachine() machine {
	var u unix.Utsname
	unix.Uname(&u) // fails for a bad address alone
	return machine{
		Kernel:      unix.ByteSliceToString(u.Release[:]),
		CPU:         cpuModel(),
		Cores:       runtime.NumCPU(),
		Go:          runtime.Version(),
		CC:          firstLine(cmp.Or(os.Getenv("CC"), "cc"), "--version"),
		LoadAverage: loadAverage(),
	}
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// loadAverage is that of the last minute, five and fifteen: much of it is not ours
// if something else runs.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(text))
	return strings.Join(f[:min(3, len(f))], " ")
}

// commitOf is the commit of a work tree, with + if it was changed since, apart
// from results; "unknown" without git.
func commitOf(folder string) string {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"--no-optional-locks", "-C", folder}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return "unknown"
	}
	if changed, err := git("status", "--porcelain", "--", ".", ":!bench/results"); err != nil || changed != "" {
		commit += "+"
	}
	return commit
}
