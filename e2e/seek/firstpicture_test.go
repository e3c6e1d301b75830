package seek

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// minute is a film of a minute at four megabits a second, too long to be read to its end on the way to its moov.
var minute = media.Film{
	Name: "minute.mp4", Shows: "a minute at a constant 4 Mbit/s, the moov last",
	Args: "-f lavfi -i testsrc2=s=640x360:r=25:d=60 -f lavfi -i sine=440:r=48000:d=60 -c:v libx264 -preset ultrafast " +
		"-x264-params threads=1:keyint=50:nal-hrd=cbr -b:v 4M -minrate 4M -maxrate 4M -bufsize 4M -c:a aac -b:a 96k",
}

// copyRecipe is copyFilm for a film that is not among those of package media.
func copyRecipe(t *testing.T, dir string, film media.Film) []byte {
	t.Helper()
	content, err := film.Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, film.Name), content, 0o644); err != nil {
		t.Fatal(err)
	}
	return content
}

// TestFirstPicture measures what faststart is for: the time, bytes and requests until Chromium shows the first picture of a
// film whose moov is last, over an origin that takes 50 ms to answer and sends 40 megabits a second.
func TestFirstPicture(t *testing.T) {
	const rounds = 5
	dir := t.TempDir()
	copyRecipe(t, dir, minute)
	origin := rig.NewOrigin(t, slowly(50*time.Millisecond, 5e6, rig.Files(dir)))
	var d rig.Dynamic
	d.Plugin("fast", rig.Map{"faststart": true})
	d.Plugin("mp4", nil)
	d.Host("fast", origin.URL, "fast")
	d.Host("bare", origin.URL, "mp4")
	traefik := rig.Start(t, rig.Config{Dynamic: d})

	// Each round has a name of its own for the film, whose index is not known yet.
	films := []string{"http://bare/minute.mp4?warmup"}
	ways := []struct{ name, address string }{
		{"without", "http://bare/%d.mp4"},
		{"with, the first time", "http://fast/%d.mp4"},
		{"with, later", "http://fast/%d.mp4?later"},
	}
	for round := range rounds {
		if err := os.Link(filepath.Join(dir, minute.Name), filepath.Join(dir, fmt.Sprintf("%d.mp4", round))); err != nil {
			t.Fatal(err)
		}
		for _, way := range ways {
			films = append(films, fmt.Sprintf(way.address, round))
		}
	}
	command := exec.CommandContext(t.Context(), "node", append([]string{"firstpicture.mjs", traefik.Address("web")}, films...)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	opened := make([][]opening, len(ways))
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	for i, line := range lines {
		var o opening
		if err := json.Unmarshal(line, &o); err != nil || o.Error != "" {
			t.Fatalf("%s: %v", line, err)
		}
		if i > 0 {
			opened[(i-1)%len(ways)] = append(opened[(i-1)%len(ways)], o)
		}
	}
	if len(lines) != len(films) {
		t.Fatalf("%d films were opened of %d", len(lines), len(films))
	}
	var medians []opening
	for i, way := range ways {
		m := median(opened[i])
		medians = append(medians, m)
		t.Logf("%-20s first picture after %3.0f ms, with %3.0f kB, by %d requests", way.name, m.Seconds*1000, float64(m.Bytes)/1000, len(m.Ranges))
	}
	without, later := medians[0], medians[2]
	if len(without.Ranges) < 2 || len(later.Ranges) != 1 {
		t.Errorf("the browser asked without faststart for %q, with it for %q", without.Ranges, later.Ranges)
	}
	if later.Seconds >= without.Seconds {
		t.Errorf("the first picture comes no sooner: %v s, without %v s", later.Seconds, without.Seconds)
	}
}

// opening is what firstpicture.mjs tells of a film.
type opening struct {
	Error   string
	Seconds float64
	Bytes   int64
	Ranges  []string
}

func median(all []opening) opening {
	slices.SortFunc(all, func(a, b opening) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return all[len(all)/2]
}

// slowly makes each answer wait, and go out at a rate in bytes a second.
func slowly(wait time.Duration, rate float64, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(wait)
		handler.ServeHTTP(&slow{ResponseWriter: w, began: time.Now(), rate: rate}, r)
	})
}

type slow struct {
	http.ResponseWriter
	began time.Time
	rate  float64
	sent  int
}

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(time.Until(s.began.Add(time.Duration(float64(s.sent) / s.rate * 1e9))))
	n, err := s.ResponseWriter.Write(p)
	s.sent += n
	return n, err
}
