package tracks

import (
	"path/filepath"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
)

// TestOdd compares cuts of films with odd tables with what players show of them, or of the film that they were made of.
func TestOdd(t *testing.T) {
	for _, film := range media.Odd {
		t.Run(film.Name, func(t *testing.T) {
			t.Parallel()
			path, err := film.Make()
			if err != nil {
				t.Fatal(err)
			}
			by, err := film.Judge()
			if err != nil {
				t.Fatal(err)
			}
			judge, err := by.Make()
			if err != nil {
				t.Fatal(err)
			}
			intervals, err := media.Starts(by)
			if err != nil {
				t.Fatal(err)
			}
			ask := compiled(t, filepath.Dir(path), "exact")
			for i := 0; i < len(intervals); i += 8 {
				interval := intervals[i]
				status, body := ask("/" + filepath.Base(path) + "?" + interval.Query())
				if status != 200 {
					t.Errorf("%v: %d %.100s", interval, status, body)
					continue
				}
				all := interval.Start == 0 && interval.End < 0 // sizes and edits are as odd as they were then
				if err := parser.Check(body); err != nil && !all {
					t.Errorf("%v: mp4ff: %v", interval, err)
				}
				if err := oracle.CheckBytes(judge, body, interval.Start, interval.End); err != nil {
					t.Errorf("%v: %v", interval, err)
				}
			}
		})
	}
}
