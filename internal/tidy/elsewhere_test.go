package tidy

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

// elsewhere are systems that the server does not run on.
var elsewhere = []string{"darwin", "windows"}

func TestPureLayersVetOnOtherSystems(t *testing.T) {
	for _, pkg := range []string{"httpparse", "conn"} {
		for _, system := range elsewhere {
			if out, err := vetOn(t, system, pkg); err != nil {
				t.Errorf("GOOS=%s go vet ./%s: %v; it knows bytes, so it must build on every system:\n%s", system, pkg, err, out)
			}
		}
	}
}

// The compiler's message is all that someone sees who tries it on another
// system, so it must name the reason: an undefined name does, in a file for
// those systems alone.
func TestLoopSaysElsewhereThatItNeedsLinux(t *testing.T) {
	needs := regexp.MustCompile(`(?i)needs[_ ]linux`)
	for _, system := range elsewhere {
		out, err := vetOn(t, system, "loop")
		if out != nil && (err == nil || !needs.Match(out)) {
			t.Errorf("GOOS=%s go vet ./loop: no \"needs_Linux\" in what it says; a file with //go:build !linux must make the compiler say it, and no other file may be built there:\n%s", system, out)
		}
	}
}

// vetOn vets one package for another system. Of a package that is not there it
// returns nothing.
func vetOn(t *testing.T, system, pkg string) (out []byte, err error) {
	t.Helper()
	files, err := module()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(s source) bool { return s.pkg == pkg && !s.test }) {
		t.Logf("no package %s yet", pkg)
		return nil, nil
	}
	cmd := exec.Command("go", "vet", "./"+pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	out, err = cmd.CombinedOutput()
	return append([]byte{}, out...), err
}
