// Package providers executes the files in examples/: Traefik reads them through its file, Docker and Kubernetes providers,
// from a real dockerd and a real kube-apiserver, and a decoder judges the cuts that come.
package providers

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/lab"
	"github.com/traefik-mp4/mp4/e2e/internal/loader"
	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

const (
	module  = "github.com/traefik-mp4/mp4"
	version = "vX.Y.Z" // as the examples write it, since they name no release
)

// stage is what every way in needs: a lab, Traefik, the film that is asked for, a catalog.
type stage struct {
	*lab.Lab
	checkout string
	traefik  string // the program
	film     string
	folder   string // that holds the film as film.mp4
	catalog  *lab.Catalog
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{Lab: lab.New(t), folder: t.TempDir()}
	var err error
	if s.checkout, err = rig.Checkout(); err != nil {
		t.Fatal(err)
	}
	if s.traefik, err = rig.Build(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	film, err := media.Find("moovlast.mp4")
	if err != nil {
		t.Fatal(err)
	}
	if s.film, err = film.Make(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(s.film)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, "film.mp4"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	archive, err := lab.Archive(s.checkout)
	if err != nil {
		t.Fatal(err)
	}
	s.catalog = s.Catalog(module, version, archive)
	return s
}

// example is the text of a file in examples/.
func (s *stage) example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.checkout, "examples", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// local copies the checkout to where Traefik's local mode looks for the plugin.
func (s *stage) local(t *testing.T, root string) {
	t.Helper()
	files, err := loader.Tracked(s.checkout)
	if err == nil {
		err = loader.Copy(filepath.Join(root, "plugins-local", "src", filepath.FromSlash(module)), s.checkout, files)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// origin serves the stage's folder on a machine's port, and remembers what it was asked.
func (s *stage) origin(t *testing.T, machine *lab.Machine, port int) *rig.Origin {
	t.Helper()
	return rig.NewOriginAt(t, machine.Listen(port), rig.Files(s.folder))
}

// fetched asks until Traefik knows the route and returns its answer.
func fetched(t *testing.T, client *http.Client, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		response, body, err := ask(client, url, header...)
		if err != nil {
			last = err.Error()
			continue
		}
		// 404 is also what Traefik answers as long as it does not know the router.
		if response.StatusCode != http.StatusNotFound && response.StatusCode < 500 {
			return response, body
		}
		last = fmt.Sprintf("%d %.200s", response.StatusCode, body)
	}
	t.Fatalf("%s: no answer within a minute but %s", url, last)
	return nil, nil
}

func ask(client *http.Client, url string, header ...string) (*http.Response, []byte, error) {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

// cut fetches [start, end) of the film, in milliseconds (end -1: to the end), and has the decoder judge it.
func (s *stage) cut(t *testing.T, client *http.Client, url string, start, end int64, header ...string) (*http.Response, []byte) {
	t.Helper()
	response, body := fetched(t, client, url, header...)
	if response.StatusCode != http.StatusOK || response.ContentLength != int64(len(body)) {
		t.Fatalf("%s: %d, Content-Length %d of %d: %.200s", url, response.StatusCode, response.ContentLength, len(body), body)
	}
	if err := oracle.CheckBytes(s.film, body, start, end); err != nil {
		t.Fatalf("%s: not what the film shows: %v", url, err)
	}
	t.Logf("%s: %d, %d bytes, ETag %s: exactly what the film shows", url, response.StatusCode, len(body), response.Header.Get("ETag"))
	return response, body
}

// status asks until the answer has that status.
func status(t *testing.T, client *http.Client, url string, want int, header ...string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		response, body, err := ask(client, url, header...)
		if err == nil && response.StatusCode == want {
			return
		}
		last = fmt.Sprintf("%v", err)
		if err == nil {
			last = fmt.Sprintf("%d %.200s", response.StatusCode, body)
		}
	}
	t.Fatalf("%s: %s instead of %d", url, last, want)
}

// archived makes sure that the catalog was asked for the release.
func (s *stage) archived(t *testing.T) {
	t.Helper()
	asked := s.catalog.Asked()
	for _, path := range []string{"download", "validate"} {
		if want := fmt.Sprintf("GET /public/%s/%s/%s", path, module, version); !strings.Contains(asked, want) {
			t.Errorf("the catalog was asked\n%s\nand not %s", asked, want)
		}
	}
}

// awaitLine waits for a line of Traefik's log that holds both.
func awaitLine(t *testing.T, log func() string, first, second string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(strings.ReplaceAll(log(), `\"`, `"`)) {
			if strings.Contains(line, first) && strings.Contains(line, second) {
				return strings.TrimSpace(line)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Traefik's log has no line with %q and %q", first, second)
		}
	}
}
