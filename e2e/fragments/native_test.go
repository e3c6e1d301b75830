package fragments

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/traefik-mp4/mp4"
	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// native is the plugin compiled, before a file server with the film's folder.
func native(t *testing.T, dir string, config func(*mp4.Config)) http.Handler {
	t.Helper()
	c := mp4.CreateConfig()
	if config != nil {
		config(c)
	}
	h, err := mp4.New(t.Context(), rig.Files(dir), c, "mp4")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestNative compares cuts of every fragmented film, by the plugin compiled, with what the film shows. Without FRAGMENTS=all
// it is one start in sixteen, of each film others.
func TestNative(t *testing.T) {
	all := os.Getenv("FRAGMENTS") == "all"
	for n, film := range media.Fragmented {
		t.Run(film.Name, func(t *testing.T) {
			t.Parallel()
			path, judge, intervals := prepare(t, film)
			h := native(t, filepath.Dir(path), nil)
			for i, interval := range intervals {
				if !all && (i+n)%16 != 0 {
					continue
				}
				got := httptest.NewRecorder()
				h.ServeHTTP(got, httptest.NewRequest("GET", "/"+film.Name+"?"+interval.Query(), nil))
				if got.Code != 200 {
					t.Errorf("%v: %d %q", interval, got.Code, got.Body)
					continue
				}
				if interval.Start == 0 && interval.End < 0 {
					continue // the film itself
				}
				if err := parser.CheckFragmented(got.Body.Bytes()); err != nil {
					t.Errorf("%v: mp4ff: %v", interval, err)
				}
				if err := oracle.CheckBytes(judge, got.Body.Bytes(), interval.Start, interval.End); err != nil {
					t.Errorf("%v: %v", interval, err)
				}
			}
		})
	}
}

// TestKeyFrames compares cuts by seek: keyframe in the same way: they begin with a picture that can be decoded, whatever the
// source's fragments begin with.
func TestKeyFrames(t *testing.T) {
	all := os.Getenv("FRAGMENTS") == "all"
	for n, film := range media.Fragmented {
		t.Run(film.Name, func(t *testing.T) {
			t.Parallel()
			path, judge, intervals := prepare(t, film)
			h := native(t, filepath.Dir(path), func(c *mp4.Config) { c.Seek = "keyframe" })
			for i, interval := range intervals {
				if interval.End >= 0 || interval.Start == 0 || !all && (i+n)%8 != 0 {
					continue
				}
				got := httptest.NewRecorder()
				h.ServeHTTP(got, httptest.NewRequest("GET", "/"+film.Name+"?"+interval.Query(), nil))
				if got.Code != 200 {
					t.Errorf("%v: %d %q", interval, got.Code, got.Body)
					continue
				}
				if err := parser.CheckFragmented(got.Body.Bytes()); err != nil {
					t.Errorf("%v: mp4ff: %v", interval, err)
				}
				if err := oracle.CheckKeyFrame(judge, got.Body.Bytes(), interval.Start); err != nil {
					t.Errorf("%v: %v", interval, err)
				}
			}
		})
	}
}

// TestKeyFramesControl: cuts that begin elsewhere, or hide what they begin with, are found wrong.
func TestKeyFramesControl(t *testing.T) {
	film, err := media.Find("fragments.mp4")
	if err != nil {
		t.Fatal(err)
	}
	path, judge, _ := prepare(t, film)
	for seek, starts := range map[string][]int64{"keyframe": {3500, 7500}, "exact": {5500}} {
		got := httptest.NewRecorder()
		native(t, filepath.Dir(path), func(c *mp4.Config) { c.Seek = seek }).
			ServeHTTP(got, httptest.NewRequest("GET", "/fragments.mp4?start=5.5", nil))
		for _, start := range starts {
			if err := oracle.CheckKeyFrame(judge, got.Body.Bytes(), start); err == nil {
				t.Errorf("the cut at 5.5 s by %s is taken for one by keyframe at %d ms", seek, start)
			}
		}
	}
}

// prepare makes a film and returns where it lies, where that by which it is judged, and the intervals to ask for.
func prepare(t *testing.T, film media.Film) (path, judge string, intervals []media.Interval) {
	t.Helper()
	path, err := film.Make()
	if err != nil {
		t.Fatal(err)
	}
	by, err := film.Judge()
	if err != nil {
		t.Fatal(err)
	}
	judge, err = by.Make()
	if err != nil {
		t.Fatal(err)
	}
	intervals, err = media.Starts(by)
	if err != nil {
		t.Fatal(err)
	}
	if film.Same == "" {
		// ffmpeg writes a first frame of sound that lasts 80 ms, of which it decodes 21.
		intervals = slices.DeleteFunc(intervals, func(v media.Interval) bool { return v.Start > 0 && v.Start < 80 })
	}
	return path, judge, intervals
}
