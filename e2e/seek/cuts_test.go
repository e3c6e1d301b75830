package seek

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
)

// TestCuts compares cuts of every film with what the film itself shows, by ffmpeg's decoders: from each origin in turn,
// through both of Traefik's proxies in turn, at the starts that media chooses. That takes minutes; without CUTS=all it is
// one start in four, of each film others.
func TestCuts(t *testing.T) {
	var names []string
	for _, film := range media.Films {
		names = append(names, film.Name)
	}
	stages := []*stage{newStage(t, false, names...), newStage(t, true, names...)}
	hosts := []string{"go", "nginx", "root"}

	all := os.Getenv("CUTS") == "all"
	var tried, exact atomic.Int64
	t.Run("films", func(t *testing.T) {
		for n, film := range media.Films {
			t.Run(film.Name, func(t *testing.T) {
				t.Parallel()
				intervals, err := media.Starts(film)
				if err != nil {
					t.Fatal(err)
				}
				if len(intervals) == 0 {
					t.Fatal("there is no interval to cut")
				}
				for i, interval := range intervals {
					if !all && (i+n)%4 != 0 {
						continue
					}
					s, host := stages[i/4%len(stages)], hosts[i%len(hosts)]
					tried.Add(1)
					if err := checkCut(t, s, host, film, interval); err != nil {
						t.Errorf("%v from %s, fastProxy %v: %v", interval, host, s.FastProxy(), err)
						continue
					}
					exact.Add(1)
				}
			})
		}
	})
	t.Logf("cuts tried %d, exact %d", tried.Load(), exact.Load())
}

func checkCut(t *testing.T, s *stage, host string, film media.Film, interval media.Interval) error {
	got := ask(t, s.Client(), "GET", fmt.Sprintf("http://%s/%s?%s", host, film.Name, interval.Query()))
	if got.status != 200 || got.failed != nil || got.length != int64(len(got.body)) {
		return fmt.Errorf("%d %q, Content-Length %d of %d, %v", got.status, got.body[:min(len(got.body), 100)], got.length, len(got.body), got.failed)
	}
	source := filepath.Join(s.dir, film.Name)
	if interval.Start == 0 && interval.End < 0 {
		// Then the file itself is due if its moov comes first, whose boxes are not the plugin's.
		if whole, err := os.ReadFile(source); err == nil && bytes.Equal(got.body, whole) && bytes.Index(whole, []byte("moov")) < bytes.Index(whole, []byte("mdat")) {
			return nil
		}
	}
	if err := parser.Check(got.body); err != nil {
		return fmt.Errorf("mp4ff: %w", err)
	}
	if err := oracle.CheckBytes(source, got.body, interval.Start, interval.End); err != nil {
		return fmt.Errorf("not what the film shows: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}
