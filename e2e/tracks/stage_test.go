// Package tracks proves that every track and table follows a cut. By the boxes alone, where decoders can't judge: which
// samples a file shows at a moment. And for seek: sample beside nginx, whose choice of samples it promises: both are
// asked the same of the same films, and their answers compared sample by sample.
package tracks

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/traefik-mp4/mp4"
	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// asker answers a GET of a path with its query.
type asker func(target string) (status int, body []byte)

// compiled is the plugin over a folder, compiled into this process: much faster than behind Traefik.
func compiled(t *testing.T, dir, seek string) asker {
	t.Helper()
	config := mp4.CreateConfig()
	config.Seek = seek
	return configured(t, config, rig.Files(dir))
}

// configured is the plugin before an origin, for all paths.
func configured(t *testing.T, config *mp4.Config, origin http.Handler) asker {
	t.Helper()
	config.Extensions = []string{"*"}
	plugin, err := mp4.New(t.Context(), origin, config, config.Seek)
	if err != nil {
		t.Fatal(err)
	}
	return func(target string) (int, []byte) {
		recorder := httptest.NewRecorder()
		plugin.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, target, nil))
		return recorder.Code, recorder.Body.Bytes()
	}
}

// cut asks for a cut and takes it apart.
func (ask asker) cut(t *testing.T, target string) ([]byte, *film) {
	t.Helper()
	status, body := ask(target)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %.100s", target, status, body)
	}
	f, err := parse(body)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return body, f
}

// read returns the content of a film of the tests.
func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := media.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// write puts a file into a folder.
func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
