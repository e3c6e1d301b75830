package seek

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/loader"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestRefusedFiles asks for files that cannot be cut.
func TestRefusedFiles(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, "bframes.mp4")
		d := s.dynamic()
		d.Plugin("tiny", rig.Map{"bufferSize": "1k", "maxBufferSize": "1k"})
		d.Host("tiny", s.files.URL, "tiny")
		if err := s.SetDynamic(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		client := s.Client()
		film, err := os.ReadFile(filepath.Join(s.dir, "bframes.mp4"))
		if err != nil {
			t.Fatal(err)
		}
		stsz := bytes.Index(film, []byte("stsz"))
		lying := bytes.Clone(film)
		binary.BigEndian.PutUint32(lying[stsz+12:], 1<<31)
		for name, content := range map[string][]byte{
			"lying.mp4":     lying,
			"truncated.mp4": film[:stsz],
			"text.mp4":      []byte(strings.Repeat("This is no film. ", 1000)),
			"page.mp4":      []byte("<!DOCTYPE html><title>Sign in</title>"),
			"empty.mp4":     nil,
		} {
			if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}

		moov := len(payload(film, "moov")) + 8
		tooLarge := fmt.Sprintf(`"/bframes.mp4" mp4 moov atom is too large: %d, you may want to increase maxBufferSize`, moov)
		s.AllowLog(tooLarge, "/lying.mp4.*stsz", "/truncated.mp4.*moov")
		if got := ask(t, client, "GET", "http://tiny/bframes.mp4?start=2"); got.status != 500 || bytes.Contains(got.body, []byte("moov")) {
			t.Errorf("a moov over maxBufferSize: %d %q", got.status, got.body)
		}
		s.AwaitLog(t, "^error: "+tooLarge)

		for _, host := range []string{"go", "nginx", "root"} {
			for name, line := range map[string]string{"lying.mp4": "/lying.mp4.*stsz", "truncated.mp4": "/truncated.mp4.*moov"} {
				before := len(s.events(line))
				begin := time.Now()
				if got := ask(t, client, "GET", fmt.Sprintf("http://%s/%s?start=2", host, name)); got.status != 500 || time.Since(begin) > time.Second {
					t.Errorf("%s from %s: %d after %v", name, host, got.status, time.Since(begin))
				}
				deadline := time.Now().Add(5 * time.Second)
				for len(s.events(line)) == before && time.Now().Before(deadline) {
					time.Sleep(10 * time.Millisecond)
				}
				if after := len(s.events(line)); after != before+1 {
					t.Errorf("%s from %s: %d lines in the log", name, host, after-before)
				}
			}
			// What is no MP4 is the next handler's to answer, as if it had been asked nothing before.
			for _, name := range []string{"text.mp4", "page.mp4", "empty.mp4"} {
				url := fmt.Sprintf("http://%s/%s", host, name)
				plain := ask(t, client, "GET", url, "Range", "bytes=0-3")
				got := ask(t, client, "GET", url+"?start=2", "Range", "bytes=0-3")
				if got.status != plain.status || got.length != plain.length || !bytes.Equal(got.body, plain.body) || got.header.Get("ETag") != plain.header.Get("ETag") {
					t.Errorf("%s from %s: %d %q, and %d %q without start", name, host, got.status, got.body, plain.status, plain.body)
				}
			}
		}
	})
}

// events are the lines of the log that contain the words, which a .* separates.
func (s *stage) events(words string) []string {
	var found []string
	for _, line := range strings.Split(s.Log(), "\n") {
		before, after, _ := strings.Cut(words, ".*")
		if at := strings.Index(line, before); strings.HasPrefix(line, "error: ") && at >= 0 && strings.Contains(line[at:], after) {
			found = append(found, line)
		}
	}
	return found
}

// TestOriginFails asks origins that answer otherwise than a file server, or not at all.
func TestOriginFails(t *testing.T) {
	film := copyFilm(t, t.TempDir(), "plain.mp4")
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"film"`)
		w.Header().Set("Content-Type", "video/mp4")
		http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(film))
	}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		gone := make(chan struct{}, 100)
		mux := http.NewServeMux()
		mux.HandleFunc("/whole/", serve)
		mux.HandleFunc("/status/{code}/", func(w http.ResponseWriter, r *http.Request) {
			var code int
			fmt.Sscan(r.PathValue("code"), &code)
			w.Header().Set("X-Origin", "said so")
			w.Header().Set("WWW-Authenticate", `Basic realm="films"`)
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "/elsewhere.mp4")
			w.WriteHeader(code)
			fmt.Fprintf(w, "status %d", code)
		})
		mux.HandleFunc("/norange/", func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			serve(w, r)
		})
		// Everything comes until the media's second half.
		mux.HandleFunc("/breaks/", func(w http.ResponseWriter, r *http.Request) {
			serve(&breaking{ResponseWriter: w, left: int64(len(film)) * 3 / 4, last: film[len(film)-8:]}, r)
		})
		mux.HandleFunc("/stalls/", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "bytes=0-524287" {
				serve(w, r)
				return
			}
			w.Header().Set("Content-Length", "1000000000")
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			gone <- struct{}{}
		})
		origin := rig.NewOrigin(t, mux)

		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
		var d rig.Dynamic
		d.Plugin("mp4", nil)
		d.Middleware("compress", rig.Map{"compress": rig.Map{"minResponseBodyBytes": 1}})
		d.Host("go", origin.URL, "mp4")
		d.Host("compressed", origin.URL, "compress", "mp4")
		d.Host("closed", "http://"+closed.Addr().String(), "mp4")
		d.Host("bare-closed", "http://"+closed.Addr().String())
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
		client := traefik.Client()

		want := ask(t, client, "GET", "http://go/whole/film.mp4?start=3.3")
		if err := parser.Check(want.body); want.status != 200 || err != nil {
			t.Fatalf("a cut: %d %v", want.status, err)
		}
		for range 2 {
			if got := ask(t, client, "GET", "http://go/norange/film.mp4?start=3.3"); got.status != 200 || !bytes.Equal(got.body, want.body) {
				t.Errorf("from an origin that ignores Range: %d, %d bytes, not %d", got.status, len(got.body), len(want.body))
			}
		}

		origin.Take()
		for _, code := range []int{301, 302, 307, 401, 403, 404, 429, 500, 503} {
			uri := fmt.Sprintf("/status/%d/film.mp4?start=1", code)
			got := ask(t, client, "GET", "http://go"+uri)
			if got.status != code || got.header.Get("X-Origin") != "said so" || got.header.Get("Retry-After") != "7" || string(got.body) != fmt.Sprintf("status %d", code) {
				t.Errorf("status %d came as %d %v %q", code, got.status, got.header, got.body)
			}
			asked := origin.Take()
			last := asked[len(asked)-1]
			if redirect := code < 400; redirect && (last.URI != uri || last.Header.Get("Range") != "") || !redirect && len(asked) != 1 {
				t.Errorf("status %d: the origin was asked %+v", code, asked)
			}
		}

		traefik.AllowLog("/film.mp4")
		if got, bare := ask(t, client, "GET", "http://closed/film.mp4?start=1"), ask(t, client, "GET", "http://bare-closed/film.mp4"); got.status != bare.status || got.status != 502 {
			t.Errorf("an unreachable origin: %d, without the plugin %d", got.status, bare.status)
		}
		for _, host := range []string{"go", "compressed"} {
			for _, encoding := range []string{"identity", "gzip", "br", "zstd"} {
				got := ask(t, client, "GET", "http://"+host+"/breaks/film.mp4?start=1", "Accept-Encoding", encoding)
				if got.status == 200 && got.failed == nil {
					t.Errorf("%s, %s: an origin that breaks in mid-body looks complete, with %d bytes", host, encoding, len(got.body))
				}
			}
		}
		traefik.AwaitLog(t, "error: .*/breaks/film.mp4")

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, "GET", "http://go/stalls/film.mp4?start=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond, cancel)
		if response, err := client.Do(request); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		if fastProxy {
			return // which lets go when the origin does
		}
		select {
		case <-gone:
		case <-time.After(time.Second):
			t.Error("the client is gone for a second, and the origin still answers")
		}
	})
}

// breaking ends the connection where the body comes to what last is the end of, or after so many bytes of one answer.
type breaking struct {
	http.ResponseWriter
	left int64
	last []byte
}

func (w *breaking) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 || bytes.HasSuffix(p, w.last) {
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(p)
}

// TestPlugindemo puts the official demo plugin before ours in one Traefik.
func TestPlugindemo(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	film := copyFilm(t, dir, "plain.mp4")
	demo, _, err := loader.Module("github.com/traefik/plugindemo", "v0.2.2")
	if err != nil {
		t.Fatal(err)
	}
	origin := rig.FileServer(t, dir)
	var d rig.Dynamic
	d.Plugin("mp4", nil)
	d.Middleware("demo", rig.Map{"plugin": rig.Map{"demo": rig.Map{"headers": rig.Map{"X-Demo": "here"}}}})
	d.Host("both", origin.URL, "demo", "mp4")
	d.Host("ours", origin.URL, "mp4")
	traefik := rig.Start(t, rig.Config{Dynamic: d, Plugins: map[string]string{"mp4": root, "demo": demo}})
	for _, query := range []string{"", "?start=2.2"} {
		both := ask(t, traefik.Client(), "GET", "http://both/plain.mp4"+query)
		for _, request := range origin.Take() {
			if request.Header.Get("X-Demo") != "here" {
				t.Errorf("%q: the origin was asked without the demo's header", query)
			}
		}
		ours := ask(t, traefik.Client(), "GET", "http://ours/plain.mp4"+query)
		origin.Take()
		if both.status != 200 || !bytes.Equal(both.body, ours.body) || bytes.Equal(both.body, film) != (query == "") {
			t.Errorf("%q: %d, %d bytes, and %d without the demo", query, both.status, len(both.body), len(ours.body))
		}
	}
}
