//go:build linux

package restart

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// report is what a process tells of itself.
type report struct {
	PID    int
	Args   []string
	Dir    string
	Said   string // the variable SAID
	Failed string // what Exec returned
}

// TestMain is the program that restarts, where a test has set REPORTS: a file to
// which each start adds a line. The second start is the last.
func TestMain(m *testing.M) {
	file := os.Getenv("REPORTS")
	if file == "" {
		os.Exit(m.Run())
	}
	if starts := tell(file, ""); starts == 2 {
		os.Exit(0)
	}
	// Whatever the program does to these must not be passed on.
	os.Chdir("/")
	os.Setenv("SAID", "otherwise")
	os.Setenv("REPORTS", "/dev/null")
	os.Args[1] = "changed"
	os.Args = os.Args[:2]
	if change := os.Getenv("CHANGE"); change != "" { // a shell's command: what happens to the file meanwhile
		if out, err := exec.Command("sh", "-c", change).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", change, err, out)
			os.Exit(2)
		}
	}
	tell(file, Exec().Error())
	os.Exit(1)
}

// tell adds a line to the reports, and returns how many there are.
func tell(file, failed string) (lines int) {
	dir, _ := os.Getwd()
	line, _ := json.Marshal(report{os.Getpid(), os.Args, dir, os.Getenv("SAID"), failed})
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	all, _ := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return strings.Count(string(all), "\n")
}

// arguments are such as a shell would take apart.
var arguments = []string{"plain", "with blanks", `"quoted" and 'quoted'`, "$HOME;`id`", "", "-x=*", "ü\n"}

// start starts a copy of this program in a folder of its own, under the name
// that it is given, and returns what its starts have told.
func start(t *testing.T, name, change string) (folder string, told []report, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder, err = filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	reports := filepath.Join(folder, "reports")
	os.MkdirAll(filepath.Join(folder, "work"), 0o700)
	if err := os.Link(self, filepath.Join(folder, "server")); err != nil { // another file system
		b, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, "server"), b, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(folder, "server"))
	cmd.Args = append([]string{strings.ReplaceAll(name, "FOLDER", folder)}, arguments...)
	cmd.Dir = filepath.Join(folder, "work")
	cmd.Env = append(os.Environ(), "REPORTS="+reports, "SAID=at the start", "PATH="+folder+":"+os.Getenv("PATH"),
		"CHANGE="+strings.ReplaceAll(change, "FOLDER", folder))
	out, err := cmd.CombinedOutput()
	if len(out) > 0 {
		t.Logf("%s", out)
	}
	lines, _ := os.ReadFile(reports)
	for line := range strings.Lines(string(lines)) {
		var r report
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		told = append(told, r)
	}
	if len(told) != 2 {
		t.Fatalf("%d reports: %s", len(told), lines)
	}
	return folder, told, err
}

func TestExecStartsTheSameAgain(t *testing.T) {
	for _, row := range []struct{ how, name string }{
		{"by a relative path", "../server"},
		{"by an absolute path", "FOLDER/server"},
		{"by a name in PATH", "server"},
	} {
		t.Run(row.how, func(t *testing.T) {
			folder, told, err := start(t, row.name, "")
			if err != nil {
				t.Error(err)
			}
			want := report{
				PID:  told[0].PID,
				Args: append([]string{strings.ReplaceAll(row.name, "FOLDER", folder)}, arguments...),
				Dir:  filepath.Join(folder, "work"),
				Said: "at the start",
			}
			for i, r := range told {
				if !reflect.DeepEqual(r, want) {
					t.Errorf("start %d: %+v, want %+v", i+1, r, want)
				}
			}
		})
	}
}

// The new version is put where the old one was, by a rename as installers do.
func TestExecStartsWhatIsThereNow(t *testing.T) {
	const version2 = `#!/bin/sh
printf '{"PID":%d,"Args":["%s","%s"],"Dir":"%s","Said":"%s"}\n' $$ "version 2" "$2" "$PWD" "$SAID" >>"$REPORTS"
`
	folder, told, err := start(t, "../server", "cat >FOLDER/new <<'END'\n"+version2+"END\nchmod 700 FOLDER/new\nmv FOLDER/new FOLDER/server")
	if err != nil {
		t.Error(err)
	}
	want := report{told[0].PID, []string{"version 2", "with blanks"}, filepath.Join(folder, "work"), "at the start", ""}
	if !reflect.DeepEqual(told[1], want) {
		t.Errorf("%+v, want %+v", told[1], want)
	}
}

func TestExecThatFailsLeavesTheProcessAsItWas(t *testing.T) {
	for _, row := range []struct{ name, change, says string }{
		{"no file", "rm FOLDER/server", "no such file"},
		{"not executable", "echo >FOLDER/new; chmod 600 FOLDER/new; mv FOLDER/new FOLDER/server", "permission denied"},
		{"no program", "echo nonsense >FOLDER/new; chmod 700 FOLDER/new; mv FOLDER/new FOLDER/server", "exec format error"},
		{"no folder", "rmdir FOLDER/work", "chdir"},
	} {
		t.Run(row.name, func(t *testing.T) {
			folder, told, err := start(t, "../server", row.change)
			if err == nil {
				t.Error("it ended well")
			}
			after := told[1]
			if after.PID != told[0].PID || after.Dir != "/" || after.Said != "otherwise" {
				t.Errorf("after Exec: %+v", after)
			}
			if !strings.Contains(after.Failed, row.says) || !strings.Contains(after.Failed, folder) {
				t.Errorf("Exec returned %q, which does not say %q and %q", after.Failed, row.says, folder)
			}
		})
	}
}

// What was wrong at the start, or is wrong now, can be branched on.
func TestExecErrorsAreTheSystems(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		v    invocation
		is   error
	}{
		{"no file", invocation{path: "/nowhere/server", dir: "/"}, fs.ErrNotExist},
		{"a folder", invocation{path: "/", dir: "/"}, fs.ErrPermission},
		{"no folder to start in", invocation{path: "/bin/true", dir: "/nowhere"}, fs.ErrNotExist},
		{"a start that is not known", invocation{path: "/bin/true", dir: "/", err: exec.ErrNotFound}, exec.ErrNotFound},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.v.exec(syscall.Exec); !errors.Is(err, row.is) {
				t.Errorf("%v is not %v", err, row.is)
			}
			if now, _ := os.Getwd(); now != dir {
				t.Errorf("in %s, and was in %s", now, dir)
			}
		})
	}
}
