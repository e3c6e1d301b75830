package mp4_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4"
)

// fakeOrigin serves films by path and notes what it is asked.
type fakeOrigin struct {
	mu    sync.Mutex
	films map[string]*film
	tags  map[string]string
	asked []string // "GET /a.mp4?x=1 bytes=0-99"
	fault func(w http.ResponseWriter, r *http.Request) bool
}

// modified is every film's time.
var modified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (o *fakeOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	line := r.Method + " " + r.URL.RequestURI()
	if r.Header.Get("Range") != "" {
		line += " " + r.Header.Get("Range")
	}
	o.mu.Lock()
	o.asked = append(o.asked, line)
	f, tag, fault := o.films[r.URL.Path], o.tags[r.URL.Path], o.fault
	o.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if f == nil {
		http.NotFound(w, r)
		return
	}
	if tag != "" {
		w.Header().Set("Etag", tag)
	}
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("X-Origin", "yes")
	http.ServeContent(w, r, "", modified, bytes.NewReader(f.data))
}

// requests returns what was asked since the last call.
func (o *fakeOrigin) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked := o.asked
	o.asked = nil
	return asked
}

// stage is a server with the plugin before a proxy to an origin.
type stage struct {
	origin *fakeOrigin
	url    string
	t      *testing.T
}

var stages int

// newStage starts one with the films /first.mp4, moov first, and /last.mp4, moov last.
func newStage(t *testing.T, change func(*mp4.Config)) *stage {
	t.Helper()
	origin := &fakeOrigin{
		films: map[string]*film{"/first.mp4": makeFilm(1, true), "/last.mp4": makeFilm(2, false)},
		tags:  map[string]string{"/first.mp4": `"first"`, "/last.mp4": `"last"`},
	}
	s := &stage{origin: origin, t: t}
	s.url = serve(t, instance(t, proxyTo(t, origin), change))
	return s
}

// proxyTo returns a proxy as Traefik's is, to a server of the handler.
func proxyTo(t *testing.T, handler http.Handler) http.Handler {
	t.Helper()
	target, err := url.Parse(serve(t, handler))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Director = func(r *http.Request) {
		// Traefik's proxies go by RequestURI.
		u, err := url.ParseRequestURI(r.RequestURI)
		if err != nil {
			panic(err)
		}
		r.URL.Scheme, r.URL.Host = target.Scheme, target.Host
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = u.Path, u.RawPath, u.RawQuery
		r.RequestURI = ""
	}
	return proxy
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// instance makes a plugin with small buffers and a name of its own, so that no two tests share cached indexes.
func instance(t *testing.T, next http.Handler, change func(*mp4.Config)) http.Handler {
	t.Helper()
	config := mp4.CreateConfig()
	config.BufferSize = "2K"
	if change != nil {
		change(config)
	}
	stages++
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	handler, err := mp4.New(ctx, next, config, fmt.Sprintf("%s-%d", t.Name(), stages))
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// answer is a response with its body, and how reading that ended.
type answer struct {
	*http.Response
	body []byte
	err  error
}

// do sends a request; headers come as "Name: value".
func (s *stage) do(method, path string, headers ...string) *answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return &answer{res, body, err}
}

func (s *stage) get(path string, headers ...string) *answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, headers...)
}

func TestCut(t *testing.T) {
	s := newStage(t, nil)
	for _, name := range []string{"first", "last"} {
		film := s.origin.films["/"+name+".mp4"]
		for _, tt := range []struct {
			query    string
			from, to int
		}{
			{"start=3", 75, 250},
			{"start=3.5", 75, 250},
			{"start=9.9", 225, 250},
			{"end=2", 0, 50},
			{"start=2&end=4", 50, 100},
			{"START=2&eNd=4", 50, 100},
			{"start=abc&end=4", 0, 100},
			{"x=1&start=5&end=3&y", 125, 250},
			{"start=5&end=99999999", 125, 250},
		} {
			a := s.get("/" + name + ".mp4?" + tt.query)
			if a.StatusCode != 200 || a.err != nil || a.ContentLength != int64(len(a.body)) {
				t.Errorf("%s %s: status %d, %d of %d bytes, %v", name, tt.query, a.StatusCode, len(a.body), a.ContentLength, a.err)
				continue
			}
			if err := film.compare(a.body, tt.from, tt.to); err != nil {
				t.Errorf("%s %s: %v", name, tt.query, err)
			}
		}
	}
}
