package media_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
)

// Every film can be made, and its pictures count up from 0 (from wherever it begins, where it was trimmed).
func TestFilms(t *testing.T) {
	for _, f := range media.Films {
		t.Run(f.Name, func(t *testing.T) {
			path, err := f.Make()
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(f.Name) == ".m4a" {
				return // sound alone
			}
			got := numbers(t, path)
			first := 0
			if f.From != "" && len(got) > 0 {
				first = got[0]
			}
			want := make([]int, max(len(got), 100))
			for i := range want {
				want[i] = first + i
			}
			if !slices.Equal(got, want) {
				t.Fatalf("pictures %v", got)
			}
		})
	}
}

// numbers decodes the film and reads each picture's number.
func numbers(t *testing.T, path string) []int {
	t.Helper()
	const width, height = 192, 24
	out, err := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-fps_mode", "passthrough",
		"-vf", "crop=192:24:0:0", "-pix_fmt", "gray", "-f", "rawvideo", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for pictures := range slices.Chunk(out, width*height) {
		n := 0
		for bit := range 16 {
			if pictures[height/2*width+width/32+bit*width/16] > 125 {
				n |= 1 << bit
			}
		}
		all = append(all, n)
	}
	return all
}

func TestStarts(t *testing.T) {
	for _, f := range media.Films {
		t.Run(f.Name, func(t *testing.T) {
			all, err := media.Starts(f)
			if err != nil {
				t.Fatal(err)
			}
			again, err := media.Starts(f)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) < 15 || !slices.Equal(all, again) {
				t.Fatalf("%d intervals at first, then %d: %v, %v", len(all), len(again), all, again)
			}
		})
	}
}
