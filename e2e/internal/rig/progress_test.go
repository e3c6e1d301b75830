package rig

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestMeter follows a build into a log: some lines of many, and what is no progress in full.
func TestMeter(t *testing.T) {
	var build strings.Builder
	for i := range 150 {
		fmt.Fprintf(&build, "go: downloading example.com/module%d v1.2.3\n", i)
	}
	for i := range 400 {
		fmt.Fprintf(&build, "example.com/module%d/package\n", i)
	}
	build.WriteString("# example.com/broken\nbroken.go:3:4: undefined: nothing\n")
	var log bytes.Buffer
	m := newMeter(&log)
	said := m.follow(strings.NewReader(build.String()), 400)
	m.end()
	if want := "# example.com/broken\nbroken.go:3:4: undefined: nothing\n"; said != want {
		t.Errorf("said is %q, not %q", said, want)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 10 || strings.TrimSpace(lines[0]) != "40 of 400 packages compiled" || strings.TrimSpace(lines[9]) != "400 packages compiled" {
		t.Errorf("the log holds %q", lines)
	}
}

// TestMeterRenews: on a terminal there is one line, that ends when the step does.
func TestMeterRenews(t *testing.T) {
	var screen bytes.Buffer
	m := newMeter(&screen)
	m.terminal = true
	for i := range 1000 {
		m.set(i, 1000, fmt.Sprint(i))
	}
	m.end()
	if got := screen.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\r\x1b[K999\n") || strings.Count(got, "\r") > 20 {
		t.Errorf("the terminal got %q", got)
	}
}
