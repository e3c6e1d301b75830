package rig

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plugin is a stand-in for a plugin whose handler sets a header, panics on /panic, and logs an error on /error.
var plugin = map[string]string{
	".traefik.yml": "displayName: Probe\ntype: middleware\nimport: example.com/probe\nsummary: A probe.\ntestData: {}\n",
	"go.mod":       "module example.com/probe\n\ngo 1.21\n",
	"probe.go": `package probe

import (
	"context"
	"log"
	"net/http"
)

type Config struct{ Value string }

func CreateConfig() *Config { return &Config{} }

type probe struct {
	next  http.Handler
	value string
}

func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	return &probe{next: next, value: config.Value}, nil
}

func (p *probe) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/panic" {
		panic("probed")
	}
	if req.URL.Path == "/error" {
		log.Print("probed")
	}
	rw.Header().Set("X-Probe", p.value)
	p.next.ServeHTTP(rw, req)
}
`,
}

func TestTraefik(t *testing.T) {
	dir := t.TempDir()
	for name, text := range plugin {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "film.mp4"), []byte("a film"), 0o644); err != nil {
		t.Fatal(err)
	}
	origin, nginx := FileServer(t, files), StartNginx(t, files)

	dynamic := func(value string) Dynamic {
		var d Dynamic
		d.Middleware("probe", Map{"plugin": Map{"probe": Map{"value": value}}})
		d.Host("go", origin.URL, "probe")
		d.Host("nginx", nginx.Static, "probe")
		return d
	}
	for _, fast := range []bool{false, true} {
		traefik := Start(t, Config{Plugins: map[string]string{"probe": dir}, FastProxy: fast, Dynamic: dynamic("one")})
		get := func(url string) *http.Response {
			t.Helper()
			response, err := traefik.Client().Get(url)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
			return response
		}
		if got := get("http://go/film.mp4"); got.StatusCode != 200 || got.Header.Get("X-Probe") != "one" || got.Header.Get("ETag") == "" {
			t.Errorf("through the Go origin: %d %v", got.StatusCode, got.Header)
		}
		if got := origin.Take(); len(got) != 1 || got[0].URI != "/film.mp4" || got[0].Bytes != 6 || got[0].Status != 200 {
			t.Errorf("the Go origin was asked %+v", got)
		}
		if err := traefik.SetDynamic(t.Context(), dynamic("two")); err != nil {
			t.Fatal(err)
		}
		if got := get("http://nginx/film.mp4"); got.StatusCode != 200 || got.Header.Get("X-Probe") != "two" {
			t.Errorf("through nginx: %d %v", got.StatusCode, got.Header)
		}
		if got := nginx.Take(t, 1); len(got) != 1 || got[0] != "GET /film.mp4 200 6 -" {
			t.Errorf("nginx was asked %q", got)
		}

		if unexpected := traefik.Unexpected(); len(unexpected) != 0 {
			t.Errorf("the log holds %q", unexpected)
		}
		for path, word := range map[string]string{"/panic": "Recovered from panic", "/error": "probed module"} {
			get("http://go" + path)
			traefik.AwaitLog(t, word)
			if unexpected := strings.Join(traefik.Unexpected(), "\n"); !strings.Contains(unexpected, word) {
				t.Errorf("%s goes unnoticed: %q", path, unexpected)
			}
		}
		origin.Take()
		traefik.AllowLog("probed", "panic: example.com/probe", "^error: Stack: ")
	}
}
