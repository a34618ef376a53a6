//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

func TestServersLackOnlyWorkloadsThatThereAre(t *testing.T) {
	for _, s := range servers {
		for _, name := range s.lacks {
			if _, err := selectWorkloads(name); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	}
}

func TestConfigurationsAreFilledIn(t *testing.T) {
	for _, s := range servers {
		if s.config == "" {
			continue
		}
		s.folder = t.TempDir()
		site, err := s.site()
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		text, err := os.ReadFile(site.Config)
		if err != nil || !strings.Contains(string(text), site.Port) || strings.Contains(string(text), "{{") {
			t.Errorf("%s: %v in\n%s", s.name, err, text)
		}
		if args := strings.Join(s.args(site, workloads[0]), " "); !strings.Contains(args, site.Config) {
			t.Errorf("%s: started with %s, without its configuration", s.name, args)
		}
	}
}
