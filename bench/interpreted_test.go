package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestCopyPlugin: the inner packages are copied and timed like the root, and nothing else of the checkout is.
func TestCopyPlugin(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"mp4.go":                   "package mp4\n\nfunc (p *plugin) serve() { p.next() }\n",
		"mp4_test.go":              "package mp4\n",
		"README.md":                "# Read me\n",
		"internal/lanes/lanes.go":  "package lanes\n\nfunc Sum(of []int) (sum int) { return }\n",
		"internal/lanes/a_test.go": "package lanes\n",
		"e2e/seek/seek.go":         "package seek\n",
	} {
		file := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := &clock{}
	if err := c.copyPlugin(to, from, func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(c.names)
	if want := []string{"internal/lanes.Sum", "plugin.serve"}; !slices.Equal(c.names, want) {
		t.Errorf("the functions are %q, not %q", c.names, want)
	}
	files, err := filepath.Glob(filepath.Join(to, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Errorf("copied are %q", files)
	}
	text, err := os.ReadFile(filepath.Join(to, "internal", "lanes", "lanes.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `; import "stopwatch"`) || !strings.Contains(string(text), "stopwatch.Enter(") {
		t.Errorf("the inner package is not timed: %s", text)
	}
}

// TestPhases: the functions that phases begin in are there.
func TestPhases(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	if err := c.copyPlugin(t.TempDir(), root, func(name string) bool { return phaseOf(name) != "" }); err != nil {
		t.Fatal(err)
	}
	for _, p := range phases {
		for _, function := range p.functions {
			if !slices.Contains(c.names, function) {
				t.Errorf("the plugin has no function %s, in which %s begins", function, p.name)
			}
		}
	}
}
