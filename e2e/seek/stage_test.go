// Package seek asks for films through a real Traefik with the plugin, from real origins.
package seek

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// stage is a Traefik with a folder of films behind it in three ways. Its hosts are
//
//	nginx, go        the plugin before Debian's nginx, and before net/http's file server
//	root             the plugin over the folder itself, with an origin behind it that must never be asked
//	bare-nginx …     the same origins without the plugin
type stage struct {
	*rig.Traefik
	dir   string
	nginx *rig.Nginx
	files *rig.Origin
	never *rig.Origin
}

func newStage(t *testing.T, fastProxy bool, films ...string) *stage {
	t.Helper()
	s := &stage{dir: t.TempDir()}
	for _, name := range films {
		copyFilm(t, s.dir, name)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "page.html"), []byte("<p>a page"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.nginx, s.files = rig.StartNginx(t, s.dir), rig.FileServer(t, s.dir)
	s.never = rig.NewOrigin(t, http.NotFoundHandler())
	s.Traefik = rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: s.dynamic(), EntryPoints: rig.Map{"second": nil}})
	return s
}

func (s *stage) dynamic() rig.Dynamic {
	var d rig.Dynamic
	d.Plugin("mp4", nil)
	d.Plugin("root", rig.Map{"root": s.dir})
	d.Host("nginx", s.nginx.Static, "mp4")
	d.Host("go", s.files.URL, "mp4")
	d.Host("root", s.never.URL, "root")
	d.Host("bare-nginx", s.nginx.Static)
	d.Host("bare-go", s.files.URL)
	return d
}

// copyFilm puts a film of the tests into a folder: a copy, because a link would leave the plugin's root.
func copyFilm(t *testing.T, dir, name string) []byte {
	t.Helper()
	film, err := media.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return copyRecipe(t, dir, film)
}

// answer is a response with its body.
type answer struct {
	protocol int // the major version of HTTP
	status   int
	header   http.Header
	length   int64 // what Content-Length announced, -1 without
	body     []byte
	failed   error // why the body ended before its time
}

// ask sends one request; header holds names and values in turn.
func ask(t *testing.T, client *http.Client, method, url string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.ProtoMajor, response.StatusCode, response.Header, response.ContentLength, body, err}
}

// eachProxy runs a test under both of Traefik's proxies.
func eachProxy(t *testing.T, test func(t *testing.T, fastProxy bool)) {
	t.Run("httputil", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("fastProxy", func(t *testing.T) { t.Parallel(); test(t, true) })
}
