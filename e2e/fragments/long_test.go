package fragments

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
)

// loop makes a film of ten seconds so many times over.
func (s *stage) loop(t *testing.T, name string, times int, movflags string) {
	t.Helper()
	film, err := media.Find("bframes.mp4")
	if err != nil {
		t.Fatal(err)
	}
	path, err := film.Make()
	if err != nil {
		t.Fatal(err)
	}
	run(t, "ffmpeg", "-v", "error", "-stream_loop", strconv.Itoa(times-1), "-i", path, "-c", "copy", "-movflags", movflags, filepath.Join(s.dir, name+".mp4"))
}

// TestLongClip: a clip of more fragments than its moov can have ends where it is to end, but for pictures that others are
// decoded from, which follow.
func TestLongClip(t *testing.T) {
	s := newStage(t, false)
	s.loop(t, "long", 60, "frag_keyframe+empty_moov+default_base_moof+skip_trailer")
	const start, end = 100, 550.24
	film := times(t, filepath.Join(s.dir, "long.mp4"), "v:0")
	for _, host := range []string{"go", "key"} {
		_, body := s.ask(t, "GET", fmt.Sprintf("http://%s/long.mp4?start=%d&end=%.2f", host, start, end))
		if err := parser.CheckFragmented(body); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		clip := filepath.Join(t.TempDir(), "clip.mp4")
		if err := os.WriteFile(clip, body, 0o644); err != nil {
			t.Fatal(err)
		}
		pictures, sounds := times(t, clip, "v:0"), times(t, clip, "a:0")
		// The last picture before the end, and how much later than in the film it is shown.
		last, _ := slices.BinarySearch(film, end)
		first, _ := slices.BinarySearch(film, start)
		shift := float64(start)
		if host == "go" {
			first--
		} else {
			first -= (first-1)%50 + 1 // to a key frame, one in 50 pictures
			shift = film[first] - pictures[0]
		}
		due := film[last-1] - shift
		n := last - first
		if len(pictures) < n || len(pictures) > n+3 || math.Abs(pictures[n-1]-due) > 0.001 || pictures[len(pictures)-1] > end-shift+0.001 {
			t.Errorf("%s: %d pictures, %d are due, the last at %f; there are at %v", host, len(pictures), n, due, pictures[max(0, len(pictures)-5):])
		}
		if at := sounds[len(sounds)-1]; at > end-shift || at < end-shift-0.05 {
			t.Errorf("%s: the last sound is at %v", host, at)
		}
	}
}

// times are when the frames of a stream are shown. Those before 0 are hidden, but ffprobe lists them all the same.
func times(t *testing.T, film, stream string) []float64 {
	t.Helper()
	var all []float64
	for _, line := range strings.Fields(run(t, "ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "frame=pts_time", "-of", "csv=p=0", film)) {
		at, err := strconv.ParseFloat(strings.Trim(line, ","), 64)
		if err != nil {
			t.Fatal(err)
		}
		if at >= 0 {
			all = append(all, at)
		}
	}
	return all
}

// TestLong counts what seeks in an hour of fragments of two seconds ask of the origin before the media: of the file's
// index, where it has one, or of a search.
func TestLong(t *testing.T) {
	s := newStage(t, false)
	const flags = "frag_keyframe+empty_moov+default_base_moof"
	for name, movflags := range map[string]string{"none": flags + "+skip_trailer", "mfra": flags, "sidx": flags + "+dash+global_sidx"} {
		s.loop(t, name, 360, movflags)
	}
	for _, test := range []struct {
		film, query, span string
		requests          int   // at most
		before            int64 // bytes before the media, at most
	}{
		{"none", "start=1234.5", "", 9, 768 << 10},
		{"none", "start=1234.5", "", 1, 0},
		{"none", "start=1236.9", "", 3, 64 << 10},
		{"none", "start=3000", "", 7, 128 << 10},
		{"none", "start=1234.5", "bytes=20000000-", 4, 128 << 10},
		{"none", "start=1234.5", "bytes=20000000-", 1, 0},
		{"mfra", "start=1234.5", "", 8, 700 << 10},
		{"mfra", "start=1234.5", "", 1, 0},
		{"mfra", "start=3000", "", 4, 64 << 10},
		{"mfra", "start=1234.5", "bytes=20000000-20000999", 4, 64 << 10},
		{"sidx", "start=1234.5", "", 6, 600 << 10},
		{"sidx", "start=1234.5", "", 1, 0},
		{"sidx", "start=3000", "", 4, 64 << 10},
	} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://go/%s.mp4?%s", test.film, test.query), nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.span != "" {
			request.Header.Set("Range", test.span)
		}
		s.origin.Take()
		response, err := s.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, response.Body)
		response.Body.Close()
		asked := s.origin.Take()
		all, before := int64(0), int64(0)
		for _, r := range asked {
			before = all
			all += r.Bytes
		}
		t.Logf("%s %s %s: %d requests, %d bytes before the media, %d sent", test.film, test.query, test.span, len(asked), before, n)
		if err != nil || response.StatusCode > 206 || n != response.ContentLength || len(asked) > test.requests || before > test.before {
			t.Errorf("%s %s %s: %d %v, more than %d requests or %d bytes", test.film, test.query, test.span, response.StatusCode, err, test.requests, test.before)
		}
	}
}
