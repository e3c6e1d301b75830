package fragments

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/media"
)

// TestLong counts what seeks in an hour of fragments of two seconds ask of the origin before the media: of the file's
// index, where it has one, or of a search.
func TestLong(t *testing.T) {
	s := newStage(t, false)
	film, err := media.Find("bframes.mp4")
	if err != nil {
		t.Fatal(err)
	}
	path, err := film.Make()
	if err != nil {
		t.Fatal(err)
	}
	const flags = "frag_keyframe+empty_moov+default_base_moof"
	for name, movflags := range map[string]string{"none": flags + "+skip_trailer", "mfra": flags, "sidx": flags + "+dash+global_sidx"} {
		run(t, "ffmpeg", "-v", "error", "-stream_loop", "359", "-i", path, "-c", "copy", "-movflags", movflags, filepath.Join(s.dir, name+".mp4"))
	}
	for _, test := range []struct {
		film, query, span string
		requests          int   // at most
		before            int64 // bytes before the media, at most
	}{
		{"none", "start=1234.5", "", 12, 3 << 19},
		{"none", "start=1234.5", "", 1, 0},
		{"none", "start=1236.9", "", 3, 64 << 10},
		{"none", "start=3000", "", 7, 1 << 20},
		{"none", "start=1234.5", "bytes=20000000-", 7, 1 << 20},
		{"none", "start=1234.5", "bytes=20000000-", 1, 0},
		{"mfra", "start=1234.5", "", 8, 3 << 19},
		{"mfra", "start=1234.5", "", 1, 0},
		{"mfra", "start=3000", "", 4, 64 << 10},
		{"mfra", "start=1234.5", "bytes=20000000-20000999", 4, 64 << 10},
		{"sidx", "start=1234.5", "", 6, 3 << 19},
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
