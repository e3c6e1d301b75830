package seek

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestNames has players of several conventions behind one Traefik: each host's arguments give the same cuts, and those of the
// others are the origin's business.
func TestNames(t *testing.T) {
	conventions := []struct{ host, start, end string }{
		{"nginx", "start", "end"},
		{"from-to", "from", "to"},
		{"short", "t", "t.end"},
		{"shouting", "BEGIN_AT", "END_AT"},
		{"one-letter", "s", "e"},
	}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		dir := t.TempDir()
		copyFilm(t, dir, "bframes.mp4")
		origin := rig.FileServer(t, dir)
		var d rig.Dynamic
		d.Host("bare", origin.URL)
		for _, c := range conventions {
			d.Plugin(c.host, rig.Map{"startParam": c.start, "endParam": c.end})
			d.Host(c.host, origin.URL, c.host)
		}
		client := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d}).Client()
		whole := ask(t, client, "GET", "http://bare/bframes.mp4")
		var cut []byte
		for _, c := range conventions {
			url := "http://" + c.host + "/bframes.mp4"
			query := fmt.Sprintf("?%s=3.21&token=a%%2Fb&%s=7.5", c.start, c.end)
			origin.Take()
			got := ask(t, client, "GET", url+query)
			if cut == nil {
				cut = got.body
				if err := oracle.CheckBytes(filepath.Join(dir, "bframes.mp4"), cut, 3210, 7500); err != nil {
					t.Errorf("%s%s: %v", url, query, err)
				}
			}
			if got.status != 200 || !bytes.Equal(got.body, cut) {
				t.Errorf("%s%s: %d, other bytes than by the other names", url, query, got.status)
			}
			for _, request := range origin.Take() {
				if request.URI != "/bframes.mp4?token=a%2Fb" {
					t.Errorf("%s%s: the origin was asked for %s", url, query, request.URI)
				}
			}
			if other := ask(t, client, "GET", url+strings.ToLower(query)); !bytes.Equal(other.body, cut) {
				t.Errorf("%s%s: other bytes", url, strings.ToLower(query))
			}
			for _, o := range conventions {
				if o.host == c.host {
					continue
				}
				query := fmt.Sprintf("?%s=3.21&%s=7.5", o.start, o.end)
				origin.Take()
				got := ask(t, client, "GET", url+query)
				requests := origin.Take()
				if !bytes.Equal(got.body, whole.body) || len(requests) != 1 || requests[0].URI != "/bframes.mp4"+query {
					t.Errorf("%s%s: %d bytes, the origin was asked %+v", url, query, len(got.body), requests)
				}
			}
		}
	})
}

// TestEveryPath handles every path: films without an extension are cut, and what is no MP4 comes as it does without the
// plugin, whatever it is.
func TestEveryPath(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		dir := t.TempDir()
		origin := rig.NewOrigin(t, application(copyFilm(t, dir, "bframes.mp4")))
		var d rig.Dynamic
		d.Plugin("every", rig.Map{"extensions": "*"})
		d.Host("every", origin.URL, "every")
		d.Host("bare", origin.URL)
		client := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d}).Client()

		var cut []byte
		for _, address := range []string{"/?start=3.21", "/watch/17?start=3.21", "/watch?id=17&start=3.21", "/watch.php?start=3.21&id=17"} {
			got := ask(t, client, "GET", "http://every"+address)
			if cut == nil {
				cut = got.body
				if err := oracle.CheckBytes(filepath.Join(dir, "bframes.mp4"), cut, 3210, -1); err != nil {
					t.Errorf("%s: %v", address, err)
				}
			}
			if got.status != 200 || !bytes.Equal(got.body, cut) {
				t.Errorf("%s: %d, other bytes than by another address", address, got.status)
			}
		}
		for _, path := range []string{"/page", "/page.html", "/packed", "/nothing", "/moved", "/empty", "/no-content", "/picture.png", "/list.m3u8", "/endless"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				for _, header := range [][]string{nil, {"Range", "bytes=2-5"}, {"Accept-Encoding", "gzip"}} {
					got := ask(t, client, method, "http://every"+path+"?start=5&end=8", header...)
					want := ask(t, client, method, "http://bare"+path+"?start=5&end=8", header...)
					settle(got.header)
					settle(want.header)
					if got.failed != nil || want.failed != nil || got.status != want.status || got.length != want.length || !bytes.Equal(got.body, want.body) || fmt.Sprint(got.header) != fmt.Sprint(want.header) {
						t.Errorf("%s %s %q: %d, %d bytes, %v; without the plugin %d, %d bytes, %v", method, path, header,
							got.status, len(got.body), got.header, want.status, len(want.body), want.header)
					}
				}
			}
		}
	})
}

// application is an origin that has a film at addresses without an extension, among other things.
func application(film []byte) http.Handler {
	changed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	serve := func(kind string, content []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("ETag", fmt.Sprintf(`"%x"`, len(content)))
			http.ServeContent(w, r, "", changed, bytes.NewReader(content))
		}
	}
	page := []byte("<!doctype html><p>a page, " + strings.Repeat("and more of it, ", 1000))
	mux := http.NewServeMux()
	mux.Handle("/", serve("video/mp4", film))
	mux.Handle("/page", serve("text/html", page))
	mux.Handle("/page.html", serve("text/html", page))
	mux.Handle("/picture.png", serve("image/png", append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 5000)...)))
	mux.Handle("/list.m3u8", serve("application/vnd.apple.mpegurl", []byte("#EXTM3U\n#EXT-X-VERSION:7\n#EXTINF:4,\npart1.mp4\n")))
	mux.Handle("/empty", serve("text/plain", nil))
	mux.Handle("/nothing", http.NotFoundHandler())
	mux.Handle("/moved", http.RedirectHandler("/page", http.StatusFound))
	mux.HandleFunc("/no-content", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/packed", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Write(page)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		packer := gzip.NewWriter(w)
		packer.Write(page)
		packer.Close()
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) { // of no known length
		for range 20 {
			io.WriteString(w, strings.Repeat("a line of a log\n", 1000))
			http.NewResponseController(w).Flush()
		}
	})
	return mux
}
