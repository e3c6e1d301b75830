package mp4_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4"
)

// newFolder makes a stage whose films lie in a folder, beside what must not be served; the next handler is no origin
// but fails the test.
func newFolder(t *testing.T, change func(*mp4.Config)) (s *stage, outer string) {
	t.Helper()
	outer = t.TempDir()
	root := filepath.Join(outer, "root")
	for _, dir := range []string{"root", "root/dir.mp4", "root-sibling"} {
		if err := os.MkdirAll(filepath.Join(outer, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	secret := []byte("a secret, were it served")
	for name, data := range map[string][]byte{
		"root/first.mp4": makeFilm(1, true).data, "root/last.mp4": makeFilm(2, false).data, "root/page.mp4": []byte("<html>"),
		"root/empty.mp4": nil, "root/film.m4a": makeFilm(3, true).data, "root/film.mov": makeFilm(4, true).data,
		"root/a b+c%.mp4": makeFilm(5, true).data,
		"secret.mp4":      secret, "root-sibling/secret.mp4": secret,
	} {
		if err := os.WriteFile(filepath.Join(outer, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"root/inside.mp4": "first.mp4", "root/outside.mp4": "../secret.mp4", "root/up": "..", "root/loop.mp4": "loop.mp4",
		"root/sibling.mp4": filepath.Join(outer, "root-sibling/secret.mp4"), "root/device.mp4": "/dev/zero",
		"root/nothing.mp4": "missing.mp4", "link": "root",
	} {
		if err := os.Symlink(target, filepath.Join(outer, name)); err != nil {
			t.Fatal(err)
		}
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "the next handler", http.StatusTeapot) })
	s = &stage{t: t}
	s.url = serve(t, instance(t, next, func(c *mp4.Config) {
		c.Root = root
		if change != nil {
			change(c)
		}
	}))
	return s, outer
}

func TestRoot(t *testing.T) {
	s, _ := newFolder(t, nil)
	makeFilm(1, true).checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)
	makeFilm(1, true).checkCut(t, s.get("/first.mp4?start=5&end=8").body, 125, 200)
	makeFilm(1, true).checkCut(t, s.get("/inside.mp4?start=5").body, 125, 250)
	makeFilm(2, false).checkCut(t, s.get("/last.mp4?start=5").body, 125, 250)
	makeFilm(2, false).checkCut(t, s.get("/last.mp4?start=0").body, 0, 250)
	makeFilm(5, true).checkCut(t, s.get("/a%20b+c%25.mp4?start=5").body, 125, 250)
	for _, tt := range []struct {
		method, path string
		code         int
		kind         string
		length       int // -1: any
	}{
		{"GET", "/first.mp4", 200, "video/mp4", len(makeFilm(1, true).data)},
		{"GET", "/first.mp4?start=0", 200, "video/mp4", len(makeFilm(1, true).data)},
		{"GET", "/film.m4a?start=5", 200, "audio/mp4", -1},
		{"GET", "/film.mov", 200, "video/quicktime", -1},
		{"HEAD", "/first.mp4?start=5", 200, "video/mp4", 0},
		{"GET", "/page.mp4?start=5", 200, "video/mp4", 6},
		{"GET", "/empty.mp4?start=5", 200, "video/mp4", 0},
		{"GET", "/empty.mp4", 200, "video/mp4", 0},
		{"GET", "/first.mp4?start=11", 404, "", -1},
		{"GET", "/missing.mp4", 404, "", -1},
		{"GET", "/missing.mp4?start=5", 404, "", -1},
		{"GET", "/nothing.mp4?start=5", 404, "", -1},
		{"GET", "/loop.mp4?start=5", 404, "", -1},
		{"GET", "/dir.mp4", 404, "", -1},
		{"GET", "/dir.mp4?start=5", 404, "", -1},
		{"GET", "/first.mp4/x.mp4?start=5", 404, "", -1},
		{"GET", "/" + strings.Repeat("x", 300) + ".mp4?start=5", 404, "", -1},
		{"POST", "/first.mp4?start=5", 418, "", -1},
		{"GET", "/index.html", 418, "", -1},
	} {
		a := s.do(tt.method, tt.path)
		if a.StatusCode != tt.code || tt.kind != "" && a.Header.Get("Content-Type") != tt.kind || tt.length >= 0 && len(a.body) != tt.length {
			t.Errorf("%s %s: status %d, %s, %d bytes", tt.method, tt.path, a.StatusCode, a.Header.Get("Content-Type"), len(a.body))
		}
	}
	plain := s.get("/first.mp4")
	etag := plain.Header.Get("Etag")
	if a := s.get("/first.mp4", "If-None-Match: "+etag); a.StatusCode != 304 || etag == "" {
		t.Errorf("If-None-Match %s: status %d", etag, a.StatusCode)
	}
	if a := s.get("/first.mp4", "Range: bytes=5-9"); a.StatusCode != 206 || !bytes.Equal(a.body, plain.body[5:10]) {
		t.Errorf("a range: status %d", a.StatusCode)
	}
}

// TestOutsideRoot: no way of writing an address leads out.
func TestOutsideRoot(t *testing.T) {
	s, _ := newFolder(t, nil)
	for _, path := range []string{
		"/outside.mp4", "/sibling.mp4", "/up/secret.mp4", "/device.mp4",
		"/../secret.mp4", "/%2e%2e/secret.mp4", "/..%2fsecret.mp4", "/%2e%2e%2fsecret.mp4", "/dir.mp4/../../secret.mp4",
		"/%252e%252e/secret.mp4", "/..%5csecret.mp4", "/..\\secret.mp4", "/first.mp4%00.mp4", "/%00/secret.mp4",
		"/../root-sibling/secret.mp4", "//secret.mp4", "/./../secret.mp4", "/.../secret.mp4", "/%c0%ae%c0%ae/secret.mp4",
		"/root/../../secret.mp4",
	} {
		for _, query := range []string{"", "?start=0", "?start=1"} {
			a := s.get(path + query)
			if a.Response.Request == nil && a.err != nil {
				t.Errorf("%s%s: %v", path, query, a.err)
				continue
			}
			if a.StatusCode != 404 && a.StatusCode != 403 && a.StatusCode != 400 || bytes.Contains(a.body, []byte("secret,")) {
				t.Errorf("%s%s: status %d, %q", path, query, a.StatusCode, a.body)
			}
		}
	}
}

// TestRootLink: the folder itself may be a link.
func TestRootLink(t *testing.T) {
	_, outer := newFolder(t, nil)
	s := &stage{t: t}
	s.url = serve(t, instance(t, http.NotFoundHandler(), func(c *mp4.Config) { c.Root = filepath.Join(outer, "link") }))
	makeFilm(1, true).checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)
	if a := s.get("/outside.mp4"); a.StatusCode != 403 {
		t.Errorf("status %d", a.StatusCode)
	}
}

// TestRootMissing: a folder that is mounted later.
func TestRootMissing(t *testing.T) {
	outer := t.TempDir()
	s := &stage{t: t}
	s.url = serve(t, instance(t, http.NotFoundHandler(), func(c *mp4.Config) { c.Root = filepath.Join(outer, "later") }))
	if a := s.get("/first.mp4?start=5"); a.StatusCode != 404 {
		t.Errorf("status %d", a.StatusCode)
	}
	if err := os.Mkdir(filepath.Join(outer, "later"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outer, "later/first.mp4"), makeFilm(1, true).data, 0o644); err != nil {
		t.Fatal(err)
	}
	makeFilm(1, true).checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)
}

// TestRootChanges: a file that is replaced is cut anew, and one that is written to while it is sent breaks off.
func TestRootChanges(t *testing.T) {
	s, outer := newFolder(t, nil)
	name := filepath.Join(outer, "root/first.mp4")
	etag := s.get("/first.mp4?start=5").Header.Get("Etag")
	if err := os.WriteFile(name+".new", makeFilm(7, true).data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	a := s.get("/first.mp4?start=5")
	makeFilm(7, true).checkCut(t, a.body, 125, 250)
	if a.Header.Get("Etag") == etag {
		t.Error("the ETag stays")
	}

	handler := instance(t, http.NotFoundHandler(), func(c *mp4.Config) { c.Root = filepath.Join(outer, "root") })
	writing := &writingTo{ResponseWriter: httptest.NewRecorder(), name: name}
	s.url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writing.ResponseWriter = w
		handler.ServeHTTP(writing, r)
	}))
	logged(func() {
		if a := s.get("/first.mp4?start=5"); a.err == nil {
			t.Errorf("status %d, %d bytes of a file that changed under them", a.StatusCode, len(a.body))
		}
	})
}

// writingTo changes the file when its first bytes are sent.
type writingTo struct {
	http.ResponseWriter
	name string
	done bool
}

func (w *writingTo) Write(p []byte) (int, error) {
	if !w.done {
		w.done = true
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(w.name, later, later); err != nil {
			return 0, err
		}
	}
	return w.ResponseWriter.Write(p)
}

func TestRootFaststart(t *testing.T) {
	s, _ := newFolder(t, func(c *mp4.Config) { c.Faststart = "true" })
	makeFilm(2, false).checkCut(t, s.get("/last.mp4").body, 0, 250)
	if a := s.get("/first.mp4"); !bytes.Equal(a.body, makeFilm(1, true).data) {
		t.Error("a file whose moov is first does not stay as it is")
	}
	if a := s.get("/page.mp4"); string(a.body) != "<html>" {
		t.Errorf("a page is answered %q", a.body)
	}
	if a := s.get("/missing.mp4"); a.StatusCode != 404 {
		t.Errorf("status %d", a.StatusCode)
	}
}
