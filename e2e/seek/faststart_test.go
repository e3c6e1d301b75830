package seek

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// newFastStage is a stage with faststart at the hosts fast-go, fast-nginx and fast-root.
func newFastStage(t *testing.T, fastProxy bool, films ...string) *stage {
	t.Helper()
	s := newStage(t, fastProxy, films...)
	d := s.dynamic()
	d.Plugin("fast", rig.Map{"faststart": true, "bufferSize": "16k"})
	d.Plugin("fast-root", rig.Map{"faststart": true, "root": s.dir})
	d.Host("fast-go", s.files.URL, "fast")
	d.Host("fast-nginx", s.nginx.Static, "fast")
	d.Host("fast-root", s.never.URL, "fast-root")
	if err := s.SetDynamic(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFaststart asks plainly for films whose moov is last. What comes is the same film, to a decoder and to a byte of the
// media, with the moov first: one resource with one ETag and length for GET, HEAD, ranges, conditions, and start=0.
func TestFaststart(t *testing.T) {
	films := []string{"moovlast.mp4", "mdat64last.mp4"}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newFastStage(t, fastProxy, films...)
		client := s.Client()
		for _, film := range films {
			var first []byte
			for _, host := range []string{"go", "nginx", "root"} {
				url := "http://fast-" + host + "/" + film
				source, err := os.ReadFile(filepath.Join(s.dir, film))
				if err != nil {
					t.Fatal(err)
				}
				whole := ask(t, client, "GET", url)
				size := len(whole.body)
				if whole.status != 200 || whole.failed != nil || whole.length != int64(size) {
					t.Fatalf("%s: %d, Content-Length %d of %d, %v", url, whole.status, whole.length, size, whole.failed)
				}
				if first == nil {
					first = whole.body
					if err := parser.Check(first); err != nil {
						t.Errorf("%s: %v", url, err)
					}
					if err := oracle.CheckBytes(filepath.Join(s.dir, film), first, 0, -1); err != nil {
						t.Errorf("%s: %v", url, err)
					}
					if cut := ask(t, client, "GET", url+"?start=3.21"); oracle.CheckBytes(filepath.Join(s.dir, film), cut.body, 3210, -1) != nil {
						t.Errorf("%s?start=3.21 is no exact cut", url)
					}
				}
				if !bytes.Equal(whole.body, first) || !bytes.HasSuffix(first, payload(source, "mdat")) {
					t.Errorf("%s: the media are not those of the film, or it is not what another origin's became", url)
				}

				tag, date := whole.header.Get("ETag"), whole.header.Get("Last-Modified")
				if plain := ask(t, client, "HEAD", "http://bare-go/"+film); tag == "" || tag == plain.header.Get("ETag") {
					t.Errorf("%s: the ETag is %s, the film's own %s", url, tag, plain.header.Get("ETag"))
				}
				for _, test := range []struct {
					method, query string
					header        []string
					status        int
					from, to      int // the part of the whole that comes; none where both are 0
				}{
					{"GET", "", nil, 200, 0, size},
					{"GET", "?start=0", nil, 200, 0, size},
					{"GET", "?other=1", nil, 200, 0, size},
					{"HEAD", "", nil, 200, 0, 0},
					{"GET", "", []string{"Range", "bytes=0-"}, 206, 0, size},
					{"GET", "", []string{"Range", "bytes=1000-1999"}, 206, 1000, 2000},
					{"GET", "", []string{"Range", "bytes=-500"}, 206, size - 500, size},
					{"GET", "", []string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, 0},
					{"GET", "", []string{"Range", fmt.Sprintf("bytes=%d-", size/2), "If-Range", tag}, 206, size / 2, size},
					{"GET", "", []string{"Range", fmt.Sprintf("bytes=%d-", size/2), "If-Range", `"other"`}, 200, 0, size},
					{"GET", "", []string{"If-None-Match", tag}, 304, 0, 0},
					{"GET", "", []string{"If-Modified-Since", date}, 304, 0, 0},
					{"GET", "", []string{"If-Match", `"other"`}, 412, 0, 0},
				} {
					name := fmt.Sprintf("%s %s%s %q", test.method, url, test.query, test.header)
					got := ask(t, client, test.method, url+test.query, test.header...)
					if got.status != test.status || got.failed != nil {
						t.Errorf("%s: %d %v, not %d", name, got.status, got.failed, test.status)
						continue
					}
					if test.status < 400 && (!bytes.Equal(got.body, whole.body[test.from:test.to]) || got.header.Get("ETag") != tag) {
						t.Errorf("%s: %d bytes with ETag %s, not those at [%d, %d) of %s", name, len(got.body), got.header.Get("ETag"), test.from, test.to, tag)
					}
					if test.method == "HEAD" && got.length != int64(size) {
						t.Errorf("%s: Content-Length %d, not %d", name, got.length, size)
					}
				}
			}
		}
	})
}

// TestFaststartResumes breaks a download off and goes on with it, as a download manager does.
func TestFaststartResumes(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newFastStage(t, fastProxy, "moovlast.mp4")
		client := s.Client()
		url := "http://fast-go/moovlast.mp4"
		whole := ask(t, client, "GET", url)
		var got []byte
		tag := ""
		for len(got) < len(whole.body) {
			request, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tag != "" {
				request.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(got)))
				request.Header.Set("If-Range", tag)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 200, false: 206}[tag == ""]; response.StatusCode != want {
				t.Fatalf("from %d on: %d", len(got), response.StatusCode)
			}
			tag = response.Header.Get("ETag")
			part := make([]byte, len(whole.body)/5)
			n, _ := response.Body.Read(part)
			got = append(got, part[:n]...)
			response.Body.Close()
		}
		if !bytes.Equal(got, whole.body) {
			t.Error("the pieces are not the whole")
		}
	})
}

// TestFaststartUntouched asks plainly for what needs no help. It comes as it is, and costs one request more the first time
// and none later.
func TestFaststartUntouched(t *testing.T) {
	fragmented := media.Film{
		Name: "fragmented.mp4", Shows: "fragments behind a moov without samples",
		From: "bframes.mp4", Args: "-i FROM -c copy -movflags +frag_keyframe+empty_moov+default_base_moof",
	}
	path, err := fragmented.Make()
	if err != nil {
		t.Fatal(err)
	}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newFastStage(t, fastProxy, "bframes.mp4", "sound.m4a")
		moovlast := copyFilm(t, t.TempDir(), "moovlast.mp4")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		films := map[string][]byte{
			"fragmented.mp4": content,
			"page.mp4":       []byte("<!doctype html><p>a page"),
			"damaged.mp4":    bytes.Replace(moovlast, []byte("mvhd"), []byte("mvhx"), 1),
			"torn.mp4":       moovlast[:len(moovlast)/2],
			"empty.mp4":      nil,
		}
		for name, content := range films {
			if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s.AllowLog(`damaged\.mp4.*no mvhd`, `torn\.mp4.*no moov found`)
		client := s.Client()
		for _, film := range []string{"bframes.mp4", "sound.m4a", "fragmented.mp4", "page.mp4", "damaged.mp4", "torn.mp4", "empty.mp4"} {
			bare := ask(t, client, "GET", "http://bare-go/"+film)
			s.files.Take()
			for i, header := range [][]string{nil, nil, {"Range", "bytes=5-999"}, {"If-None-Match", bare.header.Get("ETag")}} {
				got := ask(t, client, "GET", "http://fast-go/"+film, header...)
				requests := s.files.Take()
				want := ask(t, client, "GET", "http://bare-go/"+film, header...)
				s.files.Take()
				settle(got.header)
				settle(want.header)
				if got.status != want.status || !bytes.Equal(got.body, want.body) || fmt.Sprint(got.header) != fmt.Sprint(want.header) {
					t.Errorf("%s %q: %d, %d bytes, %v; without the plugin %d, %d bytes, %v", film, header,
						got.status, len(got.body), got.header, want.status, len(want.body), want.header)
				}
				var asked []string
				for _, request := range requests {
					asked = append(asked, request.Method+" "+request.Header.Get("Range"))
				}
				extra := 0
				if i == 0 {
					extra = 1
				}
				if i == 0 && film == "damaged.mp4" {
					extra = 2 // its moov, at the end, has to be read
				}
				if len(requests) != 1+extra {
					t.Errorf("%s %q: the origin was asked %d times: %q", film, header, len(requests), asked)
				}
			}
		}
		if got := ask(t, client, "GET", "http://fast-go/page.html"); got.status != 200 || len(s.files.Take()) != 1 {
			t.Errorf("a page: %d", got.status)
		}
	})
}

// TestFaststartRequests counts what a film whose moov is last costs the origin: its front and its end once, and then one
// request for each answer.
func TestFaststartRequests(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newFastStage(t, fastProxy, "moovlast.mp4")
		client := s.Client()
		url := "http://fast-go/moovlast.mp4"
		for i, test := range []struct {
			method string
			header []string
			most   int
		}{
			{"GET", nil, 4},
			{"GET", nil, 1},
			{"GET", []string{"Range", "bytes=20000-"}, 1},
			{"HEAD", nil, 1},
		} {
			ask(t, client, test.method, url, test.header...)
			requests := s.files.Take()
			var ranges []string
			for _, request := range requests {
				ranges = append(ranges, strings.TrimPrefix(request.Header.Get("Range"), "bytes="))
			}
			if len(requests) > test.most {
				t.Errorf("request %d: the origin was asked for %q", i+1, ranges)
			}
			t.Logf("%s %q asks the origin for %q", test.method, test.header, ranges)
		}
	})
}
