package mp4_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4"
)

// logged collects what the plugin logs while do runs; what the proxy behind it says of its own is left out.
func logged(do func()) string {
	var lines lockedBuffer
	log.SetOutput(&lines)
	do()
	log.SetOutput(os.Stderr)
	var ours string
	for _, line := range strings.SplitAfter(lines.String(), "\n") {
		if strings.HasPrefix(line, `"`) {
			ours += line
		}
	}
	return ours
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// asks reports whether a request is for the first bytes of the file: a first read.
func asks(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("Range"), "bytes=0-2") }

// deaf answers whole whatever the Range.
func deaf(w http.ResponseWriter, r *http.Request) bool {
	r.Header.Del("Range")
	return false
}

func TestNoRanges(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		for _, name := range []string{"first", "last"} {
			s := newStage(t, nil)
			film := s.origin.films["/"+name+".mp4"]
			s.origin.fault = deaf
			if chunked {
				s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
					w.Header().Set("Content-Type", "video/mp4")
					for rest := film.data; len(rest) > 0; rest = rest[1000:] {
						if len(rest) < 1000 {
							_, _ = w.Write(rest)
							break
						}
						_, _ = w.Write(rest[:1000])
						w.(http.Flusher).Flush()
					}
					return true
				}
			}
			for i := 0; i < 2; i++ {
				a := s.get("/" + name + ".mp4?start=5&end=8")
				if a.StatusCode != 200 || a.err != nil {
					t.Errorf("%s, chunked %v: status %d, %v", name, chunked, a.StatusCode, a.err)
					continue
				}
				film.checkCut(t, a.body, 125, 200)
				s.wantRequests(name, "GET /"+name+".mp4 bytes=0-2047")
			}
			whole := s.get("/" + name + ".mp4?start=5&end=8")
			if a := s.get("/"+name+".mp4?start=5&end=8", "Range: bytes=900-1899"); a.StatusCode != 206 || !bytes.Equal(a.body, whole.body[900:1900]) {
				t.Errorf("%s, chunked %v: a range has status %d", name, chunked, a.StatusCode)
			}
		}
	}
}

// TestNoRangesMoovTooFar is what no single pass can do: the owner is told how to help.
func TestNoRangesMoovTooFar(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.MaxBufferSize = "20k" })
	s.origin.fault = deaf
	lines := logged(func() {
		if a := s.get("/last.mp4?start=5"); a.StatusCode != 502 {
			t.Errorf("status %d", a.StatusCode)
		}
	})
	if !strings.Contains(lines, `"/last.mp4" `) || !strings.Contains(lines, "increase maxBufferSize") {
		t.Errorf("the log says %q", lines)
	}
	s.origin.films["/first.mp4"].checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)
}

func TestMoovTooLarge(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.BufferSize, c.MaxBufferSize = "100", "500" })
	lines := logged(func() {
		if a := s.get("/first.mp4?start=5"); a.StatusCode != 500 {
			t.Errorf("status %d", a.StatusCode)
		}
	})
	if want := fmt.Sprintf("\"/first.mp4\" mp4 moov atom is too large: %d, you may want to increase maxBufferSize\n", len(makeMoov(0))); lines != want {
		t.Errorf("the log says %q, want %q", lines, want)
	}
}

// TestCrowded refuses at once what the interpreter would look at for many seconds.
func TestCrowded(t *testing.T) {
	s := newStage(t, nil)
	for what, n := range map[string]int{"free": 201, "trak": 201} {
		s.origin.films["/first.mp4"] = &film{data: atom("moov", bytes.Repeat(atom(what), n))}
		lines := logged(func() {
			if a := s.get("/first.mp4?start=5"); a.StatusCode != 500 {
				t.Errorf("%s: status %d", what, a.StatusCode)
			}
		})
		if want := "\"/first.mp4\" mp4: not parseable: moov at 0: too many boxes in it\n"; lines != want {
			t.Errorf("%s: the log says %q, want %q", what, lines, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := newStage(t, nil)
	s.get("/first.mp4?start=5")
	for _, code := range []int{400, 401, 403, 404, 410, 429, 500, 502, 503, 504} {
		s.origin.fault = refusing(code)
		for _, path := range []string{"/first.mp4?start=5", "/last.mp4?start=5"} { // cached, and not
			lines := logged(func() {
				a := s.get(path)
				if a.StatusCode != code || a.err != nil || string(a.body) != "no\n" ||
					a.Header.Get("Www-Authenticate") != "Basic" || a.Header.Get("Etag") != "" {
					t.Errorf("%s: status %d, want %d, %q, %v", path, a.StatusCode, code, a.body, a.Header)
				}
				if a := s.do(http.MethodHead, path); a.StatusCode != code || len(a.body) > 0 {
					t.Errorf("HEAD %s: status %d, want %d", path, a.StatusCode, code)
				}
			})
			if lines != "" {
				t.Errorf("the log says %q", lines)
			}
		}
	}
}

// refusing returns a function of its own for each code, since loops share their variable in the interpreter.
func refusing(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Www-Authenticate", "Basic")
		http.Error(w, "no", code)
		return true
	}
}

// TestConsent: what is cached is not shown to a client whom the origin refuses it.
func TestConsent(t *testing.T) {
	s := newStage(t, nil)
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return true
		}
		return false
	}
	etag := s.get("/first.mp4?start=5", "Authorization: me").Header.Get("Etag")
	for _, tt := range []struct {
		path    string
		headers []string
	}{
		{"/first.mp4?start=5", nil},
		{"/first.mp4?start=6", []string{"Range: bytes=0-9"}},
		{"/first.mp4?start=6", []string{"Range: bytes=9999999-"}},
		{"/first.mp4?start=5", []string{"If-None-Match: " + etag}},
		{"/first.mp4?start=5", []string{"If-Match: \"other\""}},
		{"/first.mp4?start=11", nil},
	} {
		if a := s.get(tt.path, tt.headers...); a.StatusCode != 401 || a.Header.Get("Etag") != "" || a.Header.Get("Content-Range") != "" {
			t.Errorf("%s %q: status %d, %v", tt.path, tt.headers, a.StatusCode, a.Header)
		}
		if a := s.do(http.MethodHead, tt.path, tt.headers...); a.StatusCode != 401 {
			t.Errorf("HEAD %s %q: status %d", tt.path, tt.headers, a.StatusCode)
		}
	}
}

// TestPassed are answers that are not ours to judge: the client gets what the origin has for its own request.
func TestPassed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(w http.ResponseWriter, r *http.Request) bool
		code  int
		body  string
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", "/elsewhere?"+r.URL.RawQuery)
			w.WriteHeader(302)
			return true
		}, 302, ""},
		{"HTML by range", func(w http.ResponseWriter, r *http.Request) bool {
			http.ServeContent(w, r, "a.html", modified, strings.NewReader("<!doctype html><p>Sign in, please."))
			return true
		}, 200, "<!doctype html><p>Sign in, please."},
		{"HTML whole", func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.WriteString(w, "<!doctype html><p>Sign in, please.")
			return true
		}, 200, "<!doctype html><p>Sign in, please."},
		{"empty file", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") != "" {
				http.Error(w, "nothing there", http.StatusRequestedRangeNotSatisfiable)
			}
			return true
		}, 200, ""},
		{"no content", func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(204)
			return true
		}, 204, ""},
	} {
		s := newStage(t, nil)
		s.origin.fault = tt.fault
		a := s.get("/first.mp4?start=5&x=1", "If-None-Match: \"kept\"")
		if a.StatusCode != tt.code || string(a.body) != tt.body || a.err != nil {
			t.Errorf("%s: status %d, %q, %v", tt.name, a.StatusCode, a.body, a.err)
		}
		if tt.code == 302 && a.Header.Get("Location") != "/elsewhere?start=5&x=1" {
			t.Errorf("%s: to %s", tt.name, a.Header.Get("Location"))
		}
		asked := s.origin.requests()
		if last := asked[len(asked)-1]; last != "GET /first.mp4?start=5&x=1" {
			t.Errorf("%s: the last request was %s", tt.name, last)
		}
	}
}

// TestPageThenFilm: that one client gets a page instead of the film does not keep the film from the next.
func TestPageThenFilm(t *testing.T) {
	s := newStage(t, nil)
	film := s.origin.films["/first.mp4"]
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			return false
		}
		w.Header().Set("Etag", `"page"`)
		http.ServeContent(w, r, "a.html", modified, strings.NewReader("<!doctype html><p>Sign in, please."))
		return true
	}
	for i := 0; i < 2; i++ {
		if a := s.get("/first.mp4?start=5"); string(a.body) != "<!doctype html><p>Sign in, please." {
			t.Errorf("status %d, %q", a.StatusCode, a.body)
		}
		film.checkCut(t, s.get("/first.mp4?start=5", "Authorization: me").body, 125, 250)
	}
}

// TestLies are answers that no right bytes can be made of: the client sees a failure, and the owner reads why.
func TestLies(t *testing.T) {
	answerWith := func(code int, contentRange string, extra ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Etag", `"first"`)
			if contentRange != "" {
				w.Header().Set("Content-Range", contentRange)
			}
			for i := 0; i+1 < len(extra); i += 2 {
				w.Header().Set(extra[i], extra[i+1])
			}
			w.WriteHeader(code)
			_, _ = w.Write(make([]byte, 2048))
			return true
		}
	}
	for _, tt := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request) bool
		want  string
	}{
		{"no Content-Range", answerWith(206, ""), "Content-Range"},
		{"another unit", answerWith(206, "lines 0-2047/99999"), "Content-Range"},
		{"another place", answerWith(206, "bytes 1-2048/99999"), "Content-Range"},
		{"too much", answerWith(206, "bytes 0-2048/99999"), "Content-Range"},
		{"backwards", answerWith(206, "bytes 2047-0/99999"), "Content-Range"},
		{"past its own end", answerWith(206, "bytes 0-2047/2000"), "Content-Range"},
		{"negative", answerWith(206, "bytes -5-2047/99999"), "Content-Range"},
		{"encoded part", answerWith(206, "bytes 0-2047/99999", "Content-Encoding", "gzip"), "gzip"},
		{"encoded", answerWith(200, "", "Content-Encoding", "br"), "br"},
	} {
		s := newStage(t, nil)
		s.origin.fault = tt.fault
		lines := logged(func() {
			if a := s.get("/first.mp4?start=5"); a.StatusCode != 502 {
				t.Errorf("%s: status %d", tt.name, a.StatusCode)
			}
		})
		if !strings.HasPrefix(lines, `"/first.mp4" `) || !strings.Contains(lines, tt.want) {
			t.Errorf("%s: the log says %q", tt.name, lines)
		}
	}
}

// TestOddAnswers are right answers in unusual dress.
func TestOddAnswers(t *testing.T) {
	s := newStage(t, nil)
	film := s.origin.films["/first.mp4"]
	for _, tt := range []struct {
		name  string
		total string
		hint  bool
	}{
		{"chunked 206", strconv.Itoa(len(film.data)), false},
		{"no total", "*", false},
		{"early hints", strconv.Itoa(len(film.data)), true},
	} {
		s.origin.fault = oddly(film, tt.total, tt.hint)
		for i := 0; i < 2; i++ {
			a := s.get("/first.mp4?start=5&" + strconv.Itoa(len(tt.name)))
			if a.StatusCode != 200 || a.err != nil || a.Header.Get("Link") != "" {
				t.Errorf("%s: status %d, %v, %v", tt.name, a.StatusCode, a.err, a.Header)
				continue
			}
			film.checkCut(t, a.body, 125, 250)
		}
	}
}

func oddly(f *film, total string, hint bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if hint {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(103)
			w.Header().Del("Link")
		}
		span := strings.TrimPrefix(r.Header.Get("Range"), "bytes=")
		first, last, _ := strings.Cut(span, "-")
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(last)
		if to >= len(f.data) {
			to = len(f.data) - 1
		}
		w.Header().Set("Etag", `"odd"`)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%s", from, to, total))
		w.WriteHeader(206)
		w.(http.Flusher).Flush()
		_, _ = w.Write(f.data[from : to+1])
		return true
	}
}

// breaking sends no more than n bytes of each answer it is asked to break, and closes the connection.
func breaking(s *stage, when func(*http.Request) bool, n int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !when(r) {
			return false
		}
		recorder := httptest.NewRecorder()
		w.Header().Set("Etag", `"first"`)
		http.ServeContent(recorder, r, "", modified, bytes.NewReader(s.origin.films[r.URL.Path].data))
		addAll(w.Header(), recorder.Header())
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes()[:n])
		w.(http.Flusher).Flush()
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return true
	}
}

func addAll(to, from http.Header) {
	for name, values := range from {
		to[name] = values
	}
}

func TestBroken(t *testing.T) {
	s := newStage(t, nil)
	s.origin.fault = breaking(s, asks, 1000)
	lines := logged(func() {
		if a := s.get("/first.mp4?start=5"); a.StatusCode != 502 {
			t.Errorf("broken first read: status %d", a.StatusCode)
		}
	})
	if !strings.Contains(lines, `"/first.mp4" `) {
		t.Errorf("broken first read: the log says %q", lines)
	}

	s.origin.fault = breaking(s, func(r *http.Request) bool { return !asks(r) }, 1000)
	for _, seek := range []string{"first", "repeated"} {
		lines = logged(func() {
			if a := s.get("/first.mp4?start=5"); a.err == nil {
				t.Errorf("broken media, %s seek: status %d, %d bytes, %v", seek, a.StatusCode, len(a.body), a.err)
			}
		})
		if !strings.Contains(lines, `"/first.mp4" `) {
			t.Errorf("broken media, %s seek: the log says %q", seek, lines)
		}
	}

	whole := s.origin.films["/first.mp4"].data
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		deaf(w, r)
		return breaking(s, func(*http.Request) bool { return true }, len(whole)/2)(w, r)
	}
	lines = logged(func() {
		if a := s.get("/first.mp4?start=4&other"); a.err == nil {
			t.Errorf("broken stream: status %d, %d bytes", a.StatusCode, len(a.body))
		}
	})
	if !strings.Contains(lines, `"/first.mp4" `) {
		t.Errorf("broken stream: the log says %q", lines)
	}
}

// chunking is a middleware that drops the length, as compress does. What is behind it must not end well when it does
// not end: the length is no longer there to tell.
type chunking struct {
	http.ResponseWriter
}

func (c *chunking) WriteHeader(code int) {
	c.Header().Del("Content-Length")
	c.ResponseWriter.WriteHeader(code)
}

func TestBrokenBehindCompress(t *testing.T) {
	s := newStage(t, nil)
	handler := instance(t, proxyTo(t, s.origin), nil)
	s.url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&chunking{w}, r)
	}))
	if a := s.get("/first.mp4?start=5"); a.err != nil || a.ContentLength != -1 {
		t.Fatalf("length %d, %v", a.ContentLength, a.err)
	}
	s.origin.fault = breaking(s, func(r *http.Request) bool { return !asks(r) }, 40000)
	logged(func() {
		if a := s.get("/first.mp4?start=5"); a.err == nil {
			t.Errorf("status %d, %d bytes, %v", a.StatusCode, len(a.body), a.err)
		}
	})
}

func TestChanges(t *testing.T) {
	s := newStage(t, nil)
	s.get("/first.mp4?start=5")

	// The same length, other bytes.
	changed := makeFilm(9, true)
	s.origin.films["/first.mp4"], s.origin.tags["/first.mp4"] = changed, `"changed"`
	changed.checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)

	// Another length, and the moov elsewhere.
	s.origin.films["/first.mp4"] = s.origin.films["/last.mp4"]
	s.origin.tags["/first.mp4"] = `"last"`
	s.origin.films["/last.mp4"].checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)

	// Between two requests of one seek, and shorter than thought.
	for _, length := range []int{len(changed.data), len(changed.data) / 2} {
		s = newStage(t, nil)
		s.origin.fault = replacing(s.origin, &film{data: changed.data[:length], samples: changed.samples})
		var a *answer
		logged(func() { a = s.get("/first.mp4?start=5") })
		if length == len(changed.data) {
			changed.checkCut(t, a.body, 125, 250)
		} else if a.StatusCode != 500 { // half a film: its tables do not fit
			t.Errorf("half a film: status %d, %d bytes, %v", a.StatusCode, len(a.body), a.err)
		}
	}
}

// replacing puts another film in the place of the first after the first read.
func replacing(o *fakeOrigin, by *film) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if asks(r) {
			return false
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.films["/first.mp4"] != by {
			o.films["/first.mp4"] = by
			o.tags["/first.mp4"] = `"changed"`
			http.ServeContent(w, r, "", modified, bytes.NewReader(by.data))
			return true
		}
		return false
	}
}

// TestReplicas asks two in turn whose copies have different tags.
func TestReplicas(t *testing.T) {
	s := newStage(t, nil)
	film := s.origin.films["/first.mp4"]
	turn := 0
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		s.origin.mu.Lock()
		defer s.origin.mu.Unlock()
		turn++
		s.origin.tags["/first.mp4"] = fmt.Sprintf(`"replica %d"`, turn%2)
		w.Header().Set("Etag", s.origin.tags["/first.mp4"])
		w.Header().Set("Content-Type", "video/mp4")
		http.ServeContent(w, r, "", modified, bytes.NewReader(film.data))
		return true
	}
	for i := 0; i < 4; i++ {
		a := s.get("/first.mp4?start=5")
		if a.StatusCode != 200 || a.err != nil {
			t.Fatalf("status %d, %v", a.StatusCode, a.err)
		}
		film.checkCut(t, a.body, 125, 250)
		if n := len(s.origin.requests()); n > 5 {
			t.Errorf("%d requests", n)
		}
	}
}

// TestSticky: the cookie that a load balancer sets in answer to the first read goes with the next ones and to the
// client.
func TestSticky(t *testing.T) {
	s := newStage(t, nil)
	var mu sync.Mutex
	var cookies []string
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		cookies = append(cookies, r.Header.Get("Cookie"))
		if c, err := r.Cookie("replica"); err != nil || c.Value != "2" {
			http.SetCookie(w, &http.Cookie{Name: "replica", Value: "2", HttpOnly: true})
		}
		return false
	}
	a := s.get("/first.mp4?start=5", "Cookie: a=b; replica=1; c=d")
	if got := strings.Join(a.Header["Set-Cookie"], "|"); got != "replica=2; HttpOnly" {
		t.Errorf("the client gets the cookie %q", got)
	}
	want := "a=b; replica=1; c=d|a=b; c=d; replica=2"
	if got := strings.Join(cookies, "|"); got != want {
		t.Errorf("the origin gets the cookies %q, want %q", got, want)
	}
}

// TestRequestHeaders: the client's own but for those that would change the answer.
func TestRequestHeaders(t *testing.T) {
	s := newStage(t, nil)
	var mu sync.Mutex
	var got []http.Header
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Clone())
		return false
	}
	s.get("/first.mp4?start=5", "Authorization: me", "User-Agent: test", "Accept-Encoding: gzip, br", "Range: bytes=0-",
		"If-Range: \"x\"", "If-None-Match: \"x\"", "If-Modified-Since: "+modified.Format(http.TimeFormat))
	if len(got) != 2 {
		t.Fatalf("%d requests", len(got))
	}
	for _, h := range got {
		for name, want := range map[string]string{
			"Authorization": "me", "User-Agent": "test", "Accept-Encoding": "identity", "If-Range": "", "If-None-Match": "",
			"If-Modified-Since": "",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, h.Get(name), want)
			}
		}
	}
}

// TestClientGone: the origin's request ends within a second of the client's, and the log is silent.
func TestClientGone(t *testing.T) {
	for _, when := range []string{"first read", "media", "stream"} {
		s := newStage(t, nil)
		started := make(chan bool, 10)
		ended := make(chan bool, 10)
		s.origin.fault = dripping(s, when, started, ended)
		ctx, cancel := context.WithCancel(context.Background())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/first.mp4?start=5", nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := logged(func() {
			gone := make(chan bool)
			go get(req, gone)
			<-started
			cancel()
			<-gone
			select {
			case <-ended:
			case <-time.After(time.Second):
				t.Errorf("%s: the origin's request goes on", when)
			}
		})
		if lines != "" {
			t.Errorf("%s: the log says %q", when, lines)
		}
	}
}

func get(req *http.Request, gone chan bool) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	close(gone)
}

// dripping stops in the middle of the answer that when names until its client goes away.
func dripping(s *stage, when string, started, ended chan bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if when == "stream" {
			deaf(w, r)
		}
		if when == "media" && asks(r) {
			return false
		}
		recorder := httptest.NewRecorder()
		http.ServeContent(recorder, r, "", modified, bytes.NewReader(s.origin.films["/first.mp4"].data))
		addAll(w.Header(), recorder.Header())
		w.Header().Set("Etag", `"first"`)
		w.WriteHeader(recorder.Code)
		n := recorder.Body.Len() / 2
		_, _ = w.Write(recorder.Body.Bytes()[:n])
		w.(http.Flusher).Flush()
		started <- true
		<-r.Context().Done()
		ended <- true
		return true
	}
}

// heedless is a next handler that, as the fast proxy, stops only where it cannot write.
type heedless struct {
	status  int
	started chan bool
}

func (h *heedless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Range", "bytes 0-2047/99999")
	w.WriteHeader(h.status)
	_, err := w.Write([]byte("\x00\x00\x00\x08free"))
	close(h.started)
	for i := 0; i < 2000 && err == nil; i++ {
		time.Sleep(time.Millisecond)
		_, err = w.Write([]byte{0})
	}
}

// TestClientGoneBeforeTheAnswer: nothing is written to the client yet, so that only its context tells.
func TestClientGoneBeforeTheAnswer(t *testing.T) {
	for _, status := range []int{200, 206} {
		next := &heedless{status: status, started: make(chan bool)}
		ctx, cancel := context.WithCancel(context.Background())
		req := httptest.NewRequest(http.MethodGet, "/first.mp4?start=5", nil).WithContext(ctx)
		done := make(chan bool)
		go serveAndClose(instance(t, next, nil), req, done)
		<-next.started
		cancel()
		select {
		case <-done:
		case <-time.After(time.Second):
			t.Errorf("%d: the next handler goes on", status)
			<-done
		}
	}
}

func serveAndClose(handler http.Handler, req *http.Request, done chan bool) {
	handler.ServeHTTP(httptest.NewRecorder(), req)
	close(done)
}

// TestUnreachable relays what the proxy says.
func TestUnreachable(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "Bad Gateway", http.StatusBadGateway)
	})
	rw := httptest.NewRecorder()
	instance(t, next, nil).ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/first.mp4?start=5", nil))
	if rw.Code != 502 || rw.Body.String() != "Bad Gateway\n" {
		t.Errorf("status %d, %q", rw.Code, rw.Body.String())
	}
}

// TestPanics: a panic in the next handler ends neither the process nor a goroutine of ours.
func TestPanics(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { panic("in the next handler") })
	rw := httptest.NewRecorder()
	lines := logged(func() {
		instance(t, next, nil).ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/first.mp4?start=5", nil))
	})
	if rw.Code != 502 || !strings.Contains(lines, `"/first.mp4" `) {
		t.Errorf("status %d, log %q", rw.Code, lines)
	}
}

// oneByOne is a next handler that ignores Range and notes when two requests are under way, or one outlives its client's.
type oneByOne struct {
	mu      sync.Mutex
	data    []byte
	running int
	most    int
}

func (o *oneByOne) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.count(1)
	w.Header().Set("Etag", `"one"`)
	w.WriteHeader(http.StatusOK)
	for i := 0; i < len(o.data); i += 100 {
		piece := o.data[i:]
		if len(piece) > 100 {
			piece = piece[:100]
		}
		if _, err := w.Write(piece); err != nil {
			break
		}
	}
	time.Sleep(time.Millisecond)
	o.count(-1)
}

func (o *oneByOne) count(n int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running += n
	if o.running > o.most {
		o.most = o.running
	}
	return o.running
}

// TestOneByOne: Traefik's log of a request bears one request to the origin at a time, and none after the client's own.
func TestOneByOne(t *testing.T) {
	next := &oneByOne{data: makeFilm(1, true).data}
	handler := instance(t, next, nil)
	for _, tt := range []struct{ method, query, header, value string }{
		{"GET", "start=5", "", ""},
		{"GET", "start=5", "Range", "bytes=0-9"},
		{"GET", "start=5", "Range", "bytes=99999999-"},
		{"GET", "start=5", "If-None-Match", "*"},
		{"GET", "start=5", "If-Match", `"x"`},
		{"HEAD", "start=5", "", ""},
		{"GET", "start=11", "", ""},
		{"GET", "start=0", "", ""},
	} {
		req := httptest.NewRequest(tt.method, "/first.mp4?"+tt.query, nil)
		if tt.header != "" {
			req.Header.Set(tt.header, tt.value)
		}
		handler.ServeHTTP(httptest.NewRecorder(), req)
		if n := next.count(0); n != 0 || next.most != 1 {
			t.Errorf("%v: %d requests go on, %d were under way at once", tt, n, next.most)
		}
	}
}

// TestCodings: a word that is no content coding does not change bytes.
func TestCodings(t *testing.T) {
	for _, tt := range []struct {
		coding string
		real   bool
	}{
		{"aws-chunked", false},
		{"none", false},
		{"utf-8", false},
		{"identity", false},
		{"Identity, aws-chunked,", false},
		{"", false},
		{"gzip", true},
		{"X-GZIP", true},
		{"deflate", true},
		{"br", true},
		{"zstd", true},
		{"compress", true},
		{"x-compress", true},
		{"dcb", true},
		{"dcz", true},
		{"aws-chunked, gzip", true},
		{"gzip,aws-chunked", true},
	} {
		for _, ranges := range []bool{true, false} {
			s := newStage(t, nil)
			s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header()["Content-Encoding"] = []string{"none", tt.coding}
				if !ranges {
					r.Header.Del("Range")
				}
				return false
			}
			logged(func() {
				for i := 0; i < 2; i++ {
					a := s.get("/first.mp4?start=5")
					if tt.real && a.StatusCode != 502 || !tt.real && (a.StatusCode != 200 || a.err != nil || a.Header["Content-Encoding"] != nil) {
						t.Errorf("%q, ranges %v: status %d, %v, %q", tt.coding, ranges, a.StatusCode, a.err, a.Header["Content-Encoding"])
					}
					if !tt.real {
						s.origin.films["/first.mp4"].checkCut(t, a.body, 125, 250)
					}
				}
			})
		}
	}
}

// TestCookies: what the origin sets on the way reaches the client once, and what it takes back is not sent to it again.
func TestCookies(t *testing.T) {
	past, future := "Thu, 01 Jan 1970 00:00:00 GMT", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		name   string
		sets   [][]string // by each answer, and the last by all that follow
		wants  string     // what the client gets
		second string     // what the origin gets with the second request,
		third  string     // and with the third
	}{
		{"the same each time", [][]string{{"a=1"}}, "a=1", "old=0; own=1; a=1", "old=0; own=1; a=1"},
		{"another value each time", [][]string{{"a=1; Path=/"}, {"a=2; Path=/"}, {"a=3; Path=/"}}, "a=3; Path=/", "old=0; own=1; a=1", "old=0; own=1; a=2"},
		{"one of the client's", [][]string{{"old=9"}}, "old=9", "own=1; old=9", "own=1; old=9"},
		{"another path is another cookie", [][]string{{"a=1; Path=/", "a=2; Path=/x"}}, "a=1; Path=/|a=2; Path=/x", "old=0; own=1; a=1; a=2", "old=0; own=1; a=1; a=2"},
		{"another domain, too", [][]string{{"a=1; Domain=x.org", "a=2; Domain=.X.org", "a=3; Domain=y.org"}}, "a=2; Domain=.X.org|a=3; Domain=y.org", "old=0; own=1; a=2; a=3", "old=0; own=1; a=2; a=3"},
		{"taken back by Max-Age", [][]string{{"a=1"}, {"a=; Max-Age=0"}}, "a=; Max-Age=0", "old=0; own=1; a=1", "old=0; own=1"},
		{"taken back by a negative one", [][]string{{"a=1"}, {"a=; Max-Age=-1"}}, "a=; Max-Age=-1", "old=0; own=1; a=1", "old=0; own=1"},
		{"taken back by Expires", [][]string{{"a=1"}, {"a=; Expires=" + past}}, "a=; Expires=" + past, "old=0; own=1; a=1", "old=0; own=1"},
		{"the client's taken back", [][]string{{"old=x; Max-Age=0"}}, "old=x; Max-Age=0", "own=1", "own=1"},
		{"Max-Age before Expires", [][]string{{"a=1; Expires=" + past + "; Max-Age=9"}}, "a=1; Expires=" + past + "; Max-Age=9", "old=0; own=1; a=1", "old=0; own=1; a=1"},
		{"not yet expired", [][]string{{"a=1; Expires=" + future}}, "a=1; Expires=" + future, "old=0; own=1; a=1", "old=0; own=1; a=1"},
		{"set again", [][]string{{"a=; Max-Age=0"}, {"a=2"}}, "a=2", "old=0; own=1", "old=0; own=1; a=2"},
		{"no cookies, but lines", [][]string{{"=x", "=x", "b=1"}}, "=x|b=1", "old=0; own=1; b=1", "old=0; own=1; b=1"},
	} {
		s := newStage(t, nil)
		var got []string
		s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
			i := len(got)
			if i >= len(tt.sets) {
				i = len(tt.sets) - 1
			}
			got = append(got, r.Header.Get("Cookie"))
			w.Header()["Set-Cookie"] = tt.sets[i]
			return false
		}
		a := s.get("/last.mp4?start=5", "Cookie: old=0; own=1")
		s.origin.films["/last.mp4"].checkCut(t, a.body, 125, 250)
		if set := strings.Join(a.Header["Set-Cookie"], "|"); set != tt.wants {
			t.Errorf("%s: the client gets %q, want %q", tt.name, set, tt.wants)
		}
		if len(got) != 3 || got[0] != "old=0; own=1" || got[1] != tt.second || got[2] != tt.third {
			t.Errorf("%s: the origin gets %q, want %q and %q", tt.name, got, tt.second, tt.third)
		}
	}
}
