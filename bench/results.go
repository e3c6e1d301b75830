package main

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// results are all that was found.
type results struct {
	Machine         machine     `json:"machine"`
	Seeks           []seeks     `json:"seeks,omitempty"`
	Load            *load       `json:"load,omitempty"`
	Compared        *compared   `json:"compared,omitempty"`
	Rates           *rates      `json:"rates,omitempty"`
	Untouched       *untouched  `json:"untouched,omitempty"`
	Asked           []asked     `json:"asked,omitempty"`
	Memory          *memory     `json:"memory,omitempty"`
	InsideFirst     *inside     `json:"insideFirst,omitempty"`
	InsideRepeated  *inside     `json:"insideRepeated,omitempty"`
	ProfileFirst    *cpuProfile `json:"profileFirst,omitempty"`
	ProfileRepeated *cpuProfile `json:"profileRepeated,omitempty"`
	Worst           []worst     `json:"worst,omitempty"`
}

// write writes everything that there is into dir.
func (r *results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	if err := r.writeMarkdown(filepath.Join(dir, "results.md")); err != nil {
		return err
	}
	if len(r.Seeks) == 0 {
		return nil
	}
	return plotSeeks(filepath.Join(dir, "seeks.svg"), r.Seeks)
}
