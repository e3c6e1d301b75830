package tracks

import (
	"bytes"
	"fmt"
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

// TestOddSound: uncompressed sound whose sizes are wrong is cut as the same with right sizes, in the other modes, too.
func TestOddSound(t *testing.T) {
	films := map[string]media.Film{}
	for _, name := range []string{"pcm-last.mov", "odd-pcm.mov"} {
		film, err := media.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		films[name] = film
	}
	judge, err := films["pcm-last.mov"].Make()
	if err != nil {
		t.Fatal(err)
	}
	odd, err := films["odd-pcm.mov"].Make()
	if err != nil {
		t.Fatal(err)
	}
	for _, seek := range []string{"keyframe", "sample"} {
		plainly, oddly := compiled(t, filepath.Dir(judge), seek), compiled(t, filepath.Dir(odd), seek)
		for _, start := range []int64{1, 2500, 5960} {
			query := fmt.Sprintf("?start=%d.%03d", start/1000, start%1000)
			_, due := plainly("/" + filepath.Base(judge) + query)
			status, is := oddly("/" + filepath.Base(odd) + query)
			if status != 200 || !bytes.Equal(is, due) {
				t.Errorf("%s%s: %d, %d bytes, not the %d of the film with right sizes", seek, query, status, len(is), len(due))
			}
			if seek != "keyframe" {
				continue
			}
			if err := oracle.CheckBytes(judge, is, start/2000*2000, -1); err != nil {
				t.Errorf("%s%s: %v", seek, query, err)
			}
		}
	}
}
