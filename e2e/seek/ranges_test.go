package seek

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// less is an origin of files that answers no more than so many bytes to a range (RFC 9110, 15.3.7).
func less(files http.Handler, most int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, last, ranged := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
		from, _ := strconv.Atoi(first)
		to, err := strconv.Atoi(last)
		if ranged && (err != nil || to >= from+most) {
			r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+most-1))
		}
		files.ServeHTTP(w, r)
	})
}

// strict is an origin of files that refuses a range which reaches past the end, with or without the length.
func strict(dir string, names bool) http.Handler {
	files := rig.Files(dir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := os.Stat(filepath.Join(dir, r.URL.Path))
		_, last, _ := strings.Cut(r.Header.Get("Range"), "-")
		to, bad := strconv.ParseInt(last, 10, 64)
		if err != nil || bad != nil || to < info.Size() {
			files.ServeHTTP(w, r)
			return
		}
		if names {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", info.Size()))
		}
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	})
}

// follow reads n bytes of a file by ranges, each from where the answer to the one before ended.
func follow(client *http.Client, url string, n int64) error {
	for at := int64(0); at < n; {
		request, err := http.NewRequest("GET", url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, n-1))
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		k, err := io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil || k == 0 || response.StatusCode != http.StatusPartialContent {
			return fmt.Errorf("at %d: %s, %d bytes, %v", at, response.Status, k, err)
		}
		at += k
	}
	return nil
}

// TestLessThanAsked streams a cut from origins that answer 256 KB or 1 MB at most, and compares the rate with that of a
// client which follows the plain file by ranges through the same Traefik.
func TestLessThanAsked(t *testing.T) {
	for _, fastProxy := range []bool{false, true} {
		dir := t.TempDir()
		size := int64(len(copyRecipe(t, dir, minute)))
		var d rig.Dynamic
		d.Plugin("mp4", nil)
		d.Host("all", rig.FileServer(t, dir).URL, "mp4")
		limits := map[string]int{"256 KB": 256 << 10, "1 MB": 1 << 20}
		for name, most := range limits {
			origin := rig.NewOrigin(t, less(rig.Files(dir), most)).URL
			host := strings.ReplaceAll(name, " ", "")
			d.Host(host, origin, "mp4")
			d.Host("bare-"+host, origin)
		}
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
		client := patient(traefik)
		want := ask(t, client, "GET", "http://all/minute.mp4?start=1")
		if err := parser.Check(want.body); err != nil || want.status != 200 {
			t.Fatalf("%d, %v", want.status, err)
		}
		for name := range limits {
			host := strings.ReplaceAll(name, " ", "")
			for i := 0; i < 2; i++ {
				got := ask(t, client, "GET", "http://"+host+"/minute.mp4?start=1")
				if got.status != 200 || got.failed != nil || got.length != int64(len(got.body)) || !bytes.Equal(got.body, want.body) {
					t.Errorf("%s at most: %d, %d of %d bytes, %v", name, got.status, len(got.body), got.length, got.failed)
				}
			}
			var ratios []float64
			var cut, plain time.Duration
			for i := 0; i < 9; i++ {
				began := time.Now()
				if err := follow(client, "http://bare-"+host+"/minute.mp4", size); err != nil {
					t.Fatal(err)
				}
				plain = time.Since(began)
				began = time.Now()
				came, err := download(t.Context(), client, "http://"+host+"/minute.mp4?start=1", 0)
				if err != nil {
					t.Fatal(err)
				}
				cut = time.Since(began)
				ratios = append(ratios, float64(came[len(came)-1].bytes)/cut.Seconds()/(float64(size)/plain.Seconds()))
			}
			sort.Float64s(ratios)
			t.Logf("%s at most, fastProxy %v: a cut of %d bytes streams at %.2f of the rate of a client that follows by ranges (%.2f to %.2f; last %v and %v)",
				name, fastProxy, len(want.body), ratios[4], ratios[0], ratios[8], cut, plain)
			if ratios[4] < 0.5 {
				t.Errorf("%s at most, fastProxy %v: %.2f of the rate", name, fastProxy, ratios[4])
			}
		}
	}
}

// TestPastTheEnd has a file smaller than the first read, and origins that refuse that.
func TestPastTheEnd(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		dir := t.TempDir()
		size := len(copyFilm(t, dir, "bframes.mp4"))
		var d rig.Dynamic
		d.Plugin("mp4", rig.Map{"bufferSize": "10M"})
		d.Host("clamps", rig.FileServer(t, dir).URL, "mp4")
		d.Host("names", rig.NewOrigin(t, strict(dir, true)).URL, "mp4")
		d.Host("silent", rig.NewOrigin(t, strict(dir, false)).URL, "mp4")
		client := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d}).Client()
		want := ask(t, client, "GET", "http://clamps/bframes.mp4?start=2.5")
		if want.status != 200 || len(want.body) >= size {
			t.Fatalf("%d, %d bytes", want.status, len(want.body))
		}
		for _, host := range []string{"names", "silent"} {
			for i := 0; i < 2; i++ {
				got := ask(t, client, "GET", "http://"+host+"/bframes.mp4?start=2.5")
				if got.status != 200 || got.failed != nil || !bytes.Equal(got.body, want.body) {
					t.Errorf("%s: %d, %d bytes, %v", host, got.status, len(got.body), got.failed)
				}
			}
		}
	})
}

// TestHeadRange has a HEAD with Range answered as the GET is, and as the origins answer it for a plain file.
func TestHeadRange(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, "bframes.mp4")
		for _, host := range []string{"nginx", "go", "root"} {
			for _, span := range []string{"bytes=0-9", "bytes=-10", "bytes=0-99", "bytes=99999999-"} {
				head := ask(t, s.Client(), "HEAD", "http://"+host+"/bframes.mp4?start=2.5", "Range", span)
				get := ask(t, s.Client(), "GET", "http://"+host+"/bframes.mp4?start=2.5", "Range", span)
				if head.status != get.status || get.status != 206 && get.status != 416 || len(head.body) > 0 {
					t.Errorf("%s, %s: %d, and %d of a GET", host, span, head.status, get.status)
				}
				for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Etag"} {
					if head.header.Get(name) != get.header.Get(name) {
						t.Errorf("%s, %s: %s is %q, and %q of a GET", host, span, name, head.header.Get(name), get.header.Get(name))
					}
				}
				if host == "root" {
					continue
				}
				plain := ask(t, s.Client(), "HEAD", "http://bare-"+host+"/bframes.mp4", "Range", span)
				if plain.status != head.status || plain.status == 206 && plain.length != head.length {
					t.Errorf("%s, %s: %d and length %d, and %d and %d of the plain file", host, span, head.status, head.length, plain.status, plain.length)
				}
			}
		}
	})
}
