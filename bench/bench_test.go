package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The bench itself works, on short films. What it measures is nothing that a test could judge.
func TestBench(t *testing.T) {
	out := t.TempDir()
	err := run(t.Context(), options{out: out, rounds: 1, minutes: []int{10}, only: "seeks,load,inside,asked"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results.json", "results.md", "seeks.svg"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
