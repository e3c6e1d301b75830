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
		return &answer{&http.Response{}, nil, err} // broken off before the headers went out
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return &answer{res, body, err}
}

func (s *stage) get(path string, headers ...string) *answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, headers...)
}

// wantRequests fails unless the origin was asked just that since the last call.
func (s *stage) wantRequests(what string, want ...string) {
	s.t.Helper()
	if got := s.origin.requests(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		s.t.Errorf("%s: the origin was asked\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
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

func TestUntouched(t *testing.T) {
	var got *http.Request
	var to http.ResponseWriter
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { to, got = w, r })
	handler := instance(t, next, nil)
	for _, tt := range []struct{ method, target string }{
		{"GET", "/first.mp4"},
		{"GET", "/first.mp4?x=1"},
		{"GET", "/first.mp4?start=abc"},
		{"GET", "/first.mp4?restart=5"},
		{"GET", "/first.mp4?start=-1"},
		{"GET", "/page.html?start=5"},
		{"GET", "/mp4?start=5"},
		{"GET", "/first.mp4/?start=5"},
		{"POST", "/first.mp4?start=5"},
		{"OPTIONS", "/first.mp4?start=5"},
		{"PUT", "/first.mp4?start=5"},
	} {
		req := httptest.NewRequest(tt.method, tt.target, nil)
		rw := httptest.NewRecorder()
		got = nil
		to = nil
		handler.ServeHTTP(rw, req)
		if got != req || to != http.ResponseWriter(rw) || len(rw.Header()) != 0 {
			t.Errorf("%s %s does not reach the next handler as it came", tt.method, tt.target)
		}
	}
}

func TestExtensions(t *testing.T) {
	for _, tt := range []struct {
		extensions []string
		path       string
		ours       bool
	}{
		{nil, "/a.mp4", true},
		{nil, "/a.MP4", true},
		{nil, "/a.m4v", true},
		{nil, "/a.m4a", true},
		{nil, "/a.mov", true},
		{nil, "/a.webm", false},
		{[]string{".mp4", " .f4v "}, "/a.f4v", true},
		{[]string{".mp4, .f4v"}, "/a.f4v", true},
		{[]string{".F4V"}, "/a.f4v", true},
		{[]string{".f4v"}, "/a.mp4", false},
		{[]string{"*"}, "/a", true},
		{[]string{"*"}, "/a/b.html", true},
	} {
		asked := ""
		next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = r.Header.Get("Range")
			http.NotFound(w, r)
		})
		handler := instance(t, next, func(c *mp4.Config) { c.Extensions = tt.extensions })
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, tt.path+"?start=5", nil))
		if (asked != "") != tt.ours {
			t.Errorf("%q: %s: ours is %v", tt.extensions, tt.path, asked != "")
		}
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*mp4.Config)
		want   string // in the error; none where empty
	}{
		{"defaults", func(c *mp4.Config) {}, ""},
		{"sizes", func(c *mp4.Config) { c.BufferSize, c.MaxBufferSize, c.MaxMemory = "4096", "1g", "2G" }, ""},
		{"spaces", func(c *mp4.Config) { c.BufferSize, c.Seek, c.Faststart = " 64k ", " sample ", " 1 " }, ""},
		{"seconds", func(c *mp4.Config) { c.LimitRate, c.LimitRateAfter = "1.1", "90" }, ""},
		{"no cache", func(c *mp4.Config) { c.CacheSize = "0" }, ""},
		{"root that may come later", func(c *mp4.Config) { c.Root = "/nowhere/at/all" }, ""},
		{"size", func(c *mp4.Config) { c.BufferSize = "512KB" }, `bufferSize: "512KB"`},
		{"no size", func(c *mp4.Config) { c.BufferSize = "" }, `bufferSize: ""`},
		{"size 0", func(c *mp4.Config) { c.MaxBufferSize = "0" }, `maxBufferSize: "0"`},
		{"negative size", func(c *mp4.Config) { c.CacheSize = "-1" }, `cacheSize: "-1"`},
		{"signed size", func(c *mp4.Config) { c.MaxMemory = "+1" }, `maxMemory: "+1"`},
		{"size beyond int64", func(c *mp4.Config) { c.MaxMemory = "9000000000g" }, `maxMemory: "9000000000g"`},
		{"seek", func(c *mp4.Config) { c.Seek = "fast" }, `seek: "fast"`},
		{"extension", func(c *mp4.Config) { c.Extensions = []string{"mp4"} }, `extensions: "mp4"`},
		{"param", func(c *mp4.Config) { c.StartParam = "a&b" }, `startParam: "a&b"`},
		{"no param", func(c *mp4.Config) { c.EndParam = "" }, `endParam: ""`},
		{"one param", func(c *mp4.Config) { c.StartParam, c.EndParam = "t", "T" }, `endParam: "T"`},
		{"bool", func(c *mp4.Config) { c.Faststart = "maybe" }, `faststart: "maybe"`},
		{"rate", func(c *mp4.Config) { c.LimitRate = "-1" }, `limitRate: "-1"`},
		{"no rate", func(c *mp4.Config) { c.LimitRate = "NaN" }, `limitRate: "NaN"`},
		{"duration", func(c *mp4.Config) { c.LimitRateAfter = "soon" }, `limitRateAfter: "soon"`},
	} {
		config := mp4.CreateConfig()
		tt.change(config)
		ctx, cancel := context.WithCancel(context.Background())
		_, err := mp4.New(ctx, http.NotFoundHandler(), config, "test")
		cancel()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestRequests counts what the origin is asked.
func TestRequests(t *testing.T) {
	s := newStage(t, nil)
	film := s.origin.films["/first.mp4"]
	end := len(film.data) - 1

	film.checkCut(t, s.get("/first.mp4?start=5&x=1").body, 125, 250)
	media := len(film.data) - 125*sampleSize
	s.wantRequests("first seek", "GET /first.mp4?x=1 bytes=0-2047", fmt.Sprintf("GET /first.mp4?x=1 bytes=%d-%d", media, end))

	film.checkCut(t, s.get("/first.mp4?start=6&x=1").body, 150, 250)
	media = len(film.data) - 100*sampleSize
	s.wantRequests("repeated seek", fmt.Sprintf("GET /first.mp4?x=1 bytes=%d-%d", media, end))

	film.checkCut(t, s.get("/first.mp4?start=6&x=other").body, 150, 250)
	s.wantRequests("another query", fmt.Sprintf("GET /first.mp4?x=other bytes=%d-%d", media, end))

	s.do(http.MethodHead, "/first.mp4?start=6")
	s.wantRequests("HEAD", "GET /first.mp4 bytes=0-0")
	s.get("/first.mp4?start=6", "Range: bytes=0-9")
	s.wantRequests("a range in the head", "GET /first.mp4 bytes=0-0")
	s.get("/first.mp4?start=6", "Range: bytes=9999999-")
	s.wantRequests("416", "GET /first.mp4 bytes=0-0")
	s.get("/first.mp4?start=11")
	s.wantRequests("404", "GET /first.mp4 bytes=0-0")
	s.get("/first.mp4?start=6", "If-None-Match: *")
	s.wantRequests("304", "GET /first.mp4 bytes=0-0")
	s.get("/first.mp4?start=6", "Range: bytes=-400")
	s.wantRequests("the last sample", fmt.Sprintf("GET /first.mp4 bytes=%d-%d", end-399, end))
	s.get("/first.mp4?start=0")
	s.wantRequests("start=0", "GET /first.mp4?start=0")

	film = s.origin.films["/last.mp4"]
	film.checkCut(t, s.get("/last.mp4?start=0").body, 0, 250)
	requests := s.origin.requests()
	if len(requests) != 3 || requests[0] != "GET /last.mp4 bytes=0-2047" {
		t.Errorf("moov last: %q", requests)
	}
}

// TestResource is the cut as an HTTP resource, each case on a first and on a repeated seek.
func TestResource(t *testing.T) {
	for _, cached := range []bool{false, true} {
		s := newStage(t, func(c *mp4.Config) {
			if !cached {
				c.CacheSize = "0"
			}
		})
		full := s.get("/first.mp4?start=5")
		etag, length := full.Header.Get("Etag"), len(full.body)
		if etag == "" || etag == `"first"` || strings.HasPrefix(etag, "W/") {
			t.Fatalf("ETag %q", etag)
		}
		at := modified.Format(http.TimeFormat)
		before := modified.Add(-time.Hour).Format(http.TimeFormat)
		later := modified.Add(time.Hour).Format(http.TimeFormat)
		for _, tt := range []struct {
			name     string
			headers  []string
			code     int
			from, to int
		}{
			{"plain", nil, 200, 0, length},
			{"range", []string{"Range: bytes=0-99"}, 206, 0, 100},
			{"range in the media", []string{"Range: bytes=2000-2099"}, 206, 2000, 2100},
			{"range over the head's end", []string{"Range: bytes=500-2099"}, 206, 500, 2100},
			{"open range", []string{"Range: bytes=700-"}, 206, 700, length},
			{"all", []string{"Range: bytes=0-"}, 206, 0, length},
			{"suffix", []string{"Range: bytes=-100"}, 206, length - 100, length},
			{"suffix longer than all", []string{"Range: bytes=-9999999"}, 206, 0, length},
			{"range past the end", []string{"Range: bytes=700-99999999999999999999"}, 206, 700, length},
			{"several ranges", []string{"Range: bytes=0-1,5-6"}, 200, 0, length},
			{"unknown unit", []string{"Range: lines=0-1"}, 200, 0, length},
			{"backward range", []string{"Range: bytes=9-5"}, 200, 0, length},
			{"no range", []string{"Range: bytes=-"}, 200, 0, length},
			{"not satisfiable", []string{fmt.Sprintf("Range: bytes=%d-", length)}, 416, 0, 0},
			{"no bytes", []string{"Range: bytes=-0"}, 416, 0, 0},

			{"If-Range", []string{"Range: bytes=5-9", "If-Range: " + etag}, 206, 5, 10},
			{"If-Range of the source", []string{"Range: bytes=5-9", `If-Range: "first"`}, 200, 0, length},
			{"If-Range weak", []string{"Range: bytes=5-9", "If-Range: W/" + etag}, 200, 0, length},
			{"If-Range date", []string{"Range: bytes=5-9", "If-Range: " + at}, 206, 5, 10},
			{"If-Range later", []string{"Range: bytes=5-9", "If-Range: " + later}, 200, 0, length},

			{"If-None-Match", []string{"If-None-Match: " + etag}, 304, 0, 0},
			{"If-None-Match weak", []string{"If-None-Match: W/" + etag}, 304, 0, 0},
			{"If-None-Match list", []string{`If-None-Match: "a", W/"b" ,` + etag}, 304, 0, 0},
			{"If-None-Match any", []string{"If-None-Match: *"}, 304, 0, 0},
			{"If-None-Match other", []string{`If-None-Match: "first"`}, 200, 0, length},
			{"If-None-Match before If-Modified-Since", []string{`If-None-Match: "x"`, "If-Modified-Since: " + at}, 200, 0, length},
			{"If-None-Match before Range", []string{"If-None-Match: " + etag, "Range: bytes=0-1"}, 304, 0, 0},

			{"If-Match", []string{"If-Match: " + etag}, 200, 0, length},
			{"If-Match any", []string{"If-Match: *"}, 200, 0, length},
			{"If-Match other", []string{`If-Match: "a", "b"`}, 412, 0, 0},
			{"If-Match weak", []string{"If-Match: W/" + etag}, 412, 0, 0},
			{"If-Match before If-Unmodified-Since", []string{"If-Match: " + etag, "If-Unmodified-Since: " + before}, 200, 0, length},

			{"If-Modified-Since", []string{"If-Modified-Since: " + at}, 304, 0, 0},
			{"If-Modified-Since earlier", []string{"If-Modified-Since: " + before}, 200, 0, length},
			{"If-Modified-Since nonsense", []string{"If-Modified-Since: yesterday"}, 200, 0, length},
			{"If-Unmodified-Since", []string{"If-Unmodified-Since: " + at}, 200, 0, length},
			{"If-Unmodified-Since earlier", []string{"If-Unmodified-Since: " + before}, 412, 0, 0},
		} {
			a := s.get("/first.mp4?start=5", tt.headers...)
			what := fmt.Sprintf("%s, cached %v", tt.name, cached)
			if a.StatusCode != tt.code || a.err != nil {
				t.Errorf("%s: status %d, %v, want %d", what, a.StatusCode, a.err, tt.code)
				continue
			}
			if !bytes.Equal(a.body, full.body[tt.from:tt.to]) {
				t.Errorf("%s: %d other bytes than [%d, %d)", what, len(a.body), tt.from, tt.to)
			}
			wantRange := ""
			switch tt.code {
			case 206:
				wantRange = fmt.Sprintf("bytes %d-%d/%d", tt.from, tt.to-1, length)
			case 416:
				wantRange = fmt.Sprintf("bytes */%d", length)
			}
			if got := a.Header.Get("Content-Range"); got != wantRange {
				t.Errorf("%s: Content-Range %q, want %q", what, got, wantRange)
			}
			if a.Header.Get("Etag") != etag || a.Header.Get("X-Origin") != "yes" {
				t.Errorf("%s: headers %v", what, a.Header)
			}

			head := s.do(http.MethodHead, "/first.mp4?start=5", tt.headers...)
			if head.StatusCode != tt.code || len(head.body) > 0 {
				t.Errorf("HEAD %s: status %d, %d bytes", what, head.StatusCode, len(head.body))
			}
			for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Etag", "Last-Modified", "Accept-Ranges", "X-Origin"} {
				if got, want := strings.Join(head.Header[name], "|"), strings.Join(a.Header[name], "|"); got != want {
					t.Errorf("HEAD %s: %s: %q, and %q of a GET", what, name, got, want)
				}
			}
			if (tt.code == 200 || tt.code == 206) && head.ContentLength != int64(tt.to-tt.from) {
				t.Errorf("HEAD %s: length %d", what, head.ContentLength)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	s := newStage(t, nil)
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		h := w.Header()
		h.Set("Cache-Control", "max-age=60")
		h.Set("Vary", "Origin")
		h.Set("Content-Disposition", "inline")
		for _, name := range []string{"Content-Digest", "Repr-Digest", "Digest", "Content-MD5", "X-Amz-Checksum-Crc32", "X-Goog-Hash"} {
			h.Set(name, "of the whole file")
		}
		return false
	}
	for _, seek := range []string{"first", "repeated"} {
		h := s.get("/first.mp4?start=5").Header
		for name, want := range map[string]string{
			"Cache-Control": "max-age=60", "Vary": "Origin", "Content-Disposition": "inline", "Content-Type": "video/mp4",
			"Accept-Ranges": "bytes", "Last-Modified": modified.Format(http.TimeFormat),
			"Content-Digest": "", "Repr-Digest": "", "Digest": "", "Content-Md5": "", "X-Amz-Checksum-Crc32": "",
			"X-Goog-Hash": "", "Content-Range": "",
		} {
			if got := strings.Join(h[name], "|"); got != want {
				t.Errorf("%s seek: %s: %q, want %q", seek, name, got, want)
			}
		}
	}
}

func TestETag(t *testing.T) {
	tag := func(tag, path string, change func(*mp4.Config)) string {
		s := newStage(t, change)
		s.origin.tags["/first.mp4"] = tag
		return s.get(path).Header.Get("Etag")
	}
	base := tag(`"a"`, "/first.mp4?start=5", nil)
	if again := tag(`"a"`, "/first.mp4?x&start=5.0", nil); again != base {
		t.Errorf("another instance gives %s, not %s", again, base)
	}
	seen := map[string]string{base: "base"}
	for name, other := range map[string]string{
		"another version":  tag(`"b"`, "/first.mp4?start=5", nil),
		"another start":    tag(`"a"`, "/first.mp4?start=5.001", nil),
		"an end":           tag(`"a"`, "/first.mp4?start=5&end=9", nil),
		"another mode":     tag(`"a"`, "/first.mp4?start=5", func(c *mp4.Config) { c.Seek = "keyframe" }),
		"a weak tag":       tag(`W/"a"`, "/first.mp4?start=5", nil),
		"no tag but a day": tag("", "/first.mp4?start=5", nil),
	} {
		if seen[other] != "" || other == "" {
			t.Errorf("%s has the ETag %s of %s", name, other, seen[other])
		}
		seen[other] = name
		if weak := name == "a weak tag" || name == "no tag but a day"; strings.HasPrefix(other, "W/") != weak {
			t.Errorf("%s has the ETag %s", name, other)
		}
	}
}
