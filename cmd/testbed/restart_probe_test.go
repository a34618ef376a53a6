//go:build linux

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var restartProbe = flag.Duration("restartprobe", 20*time.Second, "how long the restart probe runs in all")

// restartProbeFolder has the restart probe, on the machines that have it.
const restartProbeFolder = "../../../shared/restartprobe"

// harmless are the outcomes that the probe counts and that are none of a server's doing.
var harmless = []string{"ok"}

// The probe drives all its loads, event streams too, through restarts: not one request may
// fail, hard or in a way that a client may repeat, and no connection may be closed. Every
// fourth restart meets a frozen process with a full queue.
func TestRestartProbeFindsNothing(t *testing.T) {
	if _, err := os.Stat(restartProbeFolder); os.IsNotExist(err) {
		t.Skip("no ../shared/restartprobe beside the module: the restart probe is not here")
	}
	probe := filepath.Join(t.TempDir(), "restartprobe")
	build := exec.Command("go", "build", "-o", probe, ".")
	build.Dir = restartProbeFolder
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the probe: %v\n%s", err, out)
	}
	// 1 s of quiet and 1.5 s of watching a round, and 4 s behind the last; of the two ways
	// each has half of the time.
	rounds := max(2, int((*restartProbe/2-4*time.Second)/(2*time.Second)))
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			b := startBed(t)
			report := filepath.Join(t.TempDir(), "report")
			out, err := exec.Command(probe, "-addr", b.addr, "-match", b.program, "-json", report,
				"-loads", "new,ka,idle,slow,upload,download,pipe,silent,backlog,sse",
				"-restart", fmt.Sprintf("kill -%d $(cat %s)", way.signal, b.pidFile),
				"-rounds", fmt.Sprint(rounds), "-quiet", "500ms", "-window", "1500ms", "-last-wait", "2s", "-freeze-every", fmt.Sprint(min(4, rounds))).CombinedOutput()
			if err != nil {
				t.Fatalf("the probe: %v\n%s", err, out)
			}
			t.Logf("\n%s", out)
			text, err := os.ReadFile(report)
			if err != nil {
				t.Fatal(err)
			}
			var r struct {
				Counts map[string]map[string]map[string]int64
				Rounds []struct {
					Trigger   string `json:"trigger_error"`
					PeakProcs int    `json:"peak_procs"`
				}
				Notes []string
			}
			if err := json.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			for phase, kinds := range r.Counts {
				for kind, outcomes := range kinds {
					for outcome, n := range outcomes {
						if !slices.Contains(harmless, outcome) {
							t.Errorf("%s, %s: %d %s", phase, kind, n, outcome)
						}
					}
					if phase == "restart" && outcomes["ok"] == 0 {
						t.Errorf("%s, %s: nothing was answered", phase, kind)
					}
				}
			}
			for n, round := range r.Rounds {
				if round.Trigger != "" || round.PeakProcs > 2 {
					t.Errorf("restart %d: %q, %d processes", n+1, round.Trigger, round.PeakProcs)
				}
			}
			if len(r.Counts["restart"]) < 10 || len(r.Notes) > 0 {
				t.Errorf("%d kinds of load, notes %q", len(r.Counts["restart"]), r.Notes)
			}
			if generation, _ := b.status(); generation != rounds {
				t.Errorf("generation %d behind %d restarts", generation, rounds)
			}
			if log := b.logged(); strings.Contains(log, "ERROR") || strings.Contains(log, "WARN") {
				t.Error("there are errors")
			}
		})
	}
}
