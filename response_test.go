package mp4_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4"
)

// TestOneReader: concurrent first seeks of one file read its moov once.
func TestOneReader(t *testing.T) {
	s := newStage(t, nil)
	film := s.origin.films["/first.mp4"]
	hold := make(chan bool)
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if asks(r) {
			<-hold
		}
		return false
	}
	var all sync.WaitGroup
	for i := 0; i < 10; i++ {
		all.Add(1)
		go seek(s, film, "/first.mp4?start=5", &all)
	}
	time.Sleep(200 * time.Millisecond) // all are there
	close(hold)
	all.Wait()
	reads := 0
	for _, line := range s.origin.requests() {
		if strings.HasSuffix(line, " bytes=0-2047") {
			reads++
		}
	}
	if reads != 1 {
		t.Errorf("%d first reads", reads)
	}
}

func seek(s *stage, f *film, path string, all *sync.WaitGroup) {
	defer all.Done()
	a := s.get(path)
	if a.StatusCode != 200 || a.err != nil {
		s.t.Errorf("%s: status %d, %v", path, a.StatusCode, a.err)
		return
	}
	if err := f.compare(a.body, 125, 250); err != nil {
		s.t.Errorf("%s: %v", path, err)
	}
}

// TestTakeOver: where the client of the one who reads goes away, one of those who wait reads.
func TestTakeOver(t *testing.T) {
	s := newStage(t, nil)
	film := s.origin.films["/first.mp4"]
	first := make(chan bool, 1)
	first <- true
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if asks(r) {
			select {
			case <-first:
				<-r.Context().Done() // the first gets no answer
				return true
			default:
			}
		}
		return false
	}
	client := &http.Client{Timeout: 300 * time.Millisecond}
	gone := make(chan bool)
	go giveUp(client, s.url+"/first.mp4?start=5", gone)
	time.Sleep(100 * time.Millisecond)
	var all sync.WaitGroup
	for i := 0; i < 5; i++ {
		all.Add(1)
		go seek(s, film, "/first.mp4?start=5", &all)
	}
	<-gone
	all.Wait()
	reads := 0
	for _, line := range s.origin.requests() {
		if strings.HasSuffix(line, " bytes=0-2047") {
			reads++
		}
	}
	if reads != 2 {
		t.Errorf("%d first reads", reads)
	}
}

func giveUp(client *http.Client, url string, gone chan bool) {
	res, err := client.Get(url)
	if err == nil {
		_ = res.Body.Close()
	}
	close(gone)
}

// TestMaxMemory: many first seeks at once of films of their own, with memory for two.
func TestMaxMemory(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.CacheSize, c.MaxMemory = "0", "20k" })
	film := s.origin.films["/last.mp4"]
	for i := 0; i < 20; i++ {
		s.origin.films[fmt.Sprintf("/%d.mp4", i)] = film
	}
	var all sync.WaitGroup
	for i := 0; i < 20; i++ {
		all.Add(1)
		go seek(s, film, fmt.Sprintf("/%d.mp4?start=5", i), &all)
	}
	all.Wait()
}

// TestNoMemory: what needs more than there will ever be does not wait for it.
func TestNoMemory(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.MaxMemory = "2500" })
	film := s.origin.films["/last.mp4"]
	lines := logged(func() {
		begun := time.Now()
		a := s.get("/last.mp4?start=5")
		for i := 0; i < 100 && a.StatusCode == 200; i++ {
			time.Sleep(10 * time.Millisecond) // the instance of a test before goes by itself, and its limit with it
			path := fmt.Sprintf("/%d.mp4", i)
			s.origin.films[path] = film
			a = s.get(path + "?start=5")
		}
		if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("status %d, %v", a.StatusCode, a.Header)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("after %v", took)
		}
	})
	if !strings.Contains(lines, "maxMemory") {
		t.Errorf("the log says %q", lines)
	}
}

func TestFaststart(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.Faststart = "true" })
	last := s.origin.films["/last.mp4"]

	plain := s.get("/last.mp4")
	last.checkCut(t, plain.body, 0, 250)
	if zero := s.get("/last.mp4?start=0"); zero.Header.Get("Etag") != plain.Header.Get("Etag") || !bytes.Equal(zero.body, plain.body) {
		t.Error("start=0 gives another answer")
	}
	part := s.get("/last.mp4", "Range: bytes=100-999", "If-Range: "+plain.Header.Get("Etag"))
	if part.StatusCode != 206 || !bytes.Equal(part.body, plain.body[100:1000]) {
		t.Errorf("a range: status %d, %d bytes", part.StatusCode, len(part.body))
	}
	if head := s.do(http.MethodHead, "/last.mp4"); head.ContentLength != int64(len(plain.body)) {
		t.Errorf("HEAD: length %d of %d", head.ContentLength, len(plain.body))
	}
	last.checkCut(t, s.get("/last.mp4?start=5").body, 125, 250)

	s.origin.requests()
	first := s.origin.films["/first.mp4"]
	if a := s.get("/first.mp4"); !bytes.Equal(a.body, first.data) || a.Header.Get("Etag") != `"first"` {
		t.Error("a file whose moov is first does not pass untouched")
	}
	s.wantRequests("first time", "GET /first.mp4 bytes=0-2047", "GET /first.mp4")
	if a := s.get("/first.mp4", "Range: bytes=5-9"); !bytes.Equal(a.body, first.data[5:10]) {
		t.Error("a range does not pass untouched")
	}
	s.wantRequests("second time", "GET /first.mp4 bytes=5-9")

	s.origin.films["/page.mp4"] = &film{data: []byte("<!doctype html><p>Hello.")}
	s.origin.tags["/page.mp4"] = `"page"`
	if a := s.get("/page.mp4"); string(a.body) != "<!doctype html><p>Hello." {
		t.Errorf("a page is answered %q", a.body)
	}
	s.wantRequests("a page", "GET /page.mp4 bytes=0-2047", "GET /page.mp4")
	s.get("/page.mp4")
	s.wantRequests("a page again", "GET /page.mp4")
}

// TestFaststartPasses: whatever cannot be understood, and a moov that need not be, is sent as it is to who asks for nothing
// else, and found out once.
func TestFaststartPasses(t *testing.T) {
	torn := makeFilm(3, false)
	torn.data = bytes.Replace(torn.data, []byte("mvhd"), []byte("dhvm"), 1)
	for _, tt := range []struct {
		name   string
		film   *film
		change func(*mp4.Config)
		fault  func(http.ResponseWriter, *http.Request) bool
		extra  int // requests of the first time
		says   string
	}{
		{"a moov beyond the first read", makeFilm(3, true), func(c *mp4.Config) { c.BufferSize = "100" }, nil, 1, ""},
		{"a moov that is not parseable", torn, nil, nil, 2, "no mvhd"},
		{"a moov that is too large", makeFilm(3, false), func(c *mp4.Config) { c.BufferSize, c.MaxBufferSize = "100", "200" }, nil, 1, "increase maxBufferSize"},
		{"an origin without ranges", makeFilm(3, false), nil, deaf, 1, ""},
	} {
		s := newStage(t, func(c *mp4.Config) {
			c.Faststart = "true"
			if tt.change != nil {
				tt.change(c)
			}
		})
		s.origin.fault = tt.fault
		s.origin.films["/first.mp4"] = tt.film
		lines := logged(func() {
			for i := 0; i < 3; i++ {
				a := s.get("/first.mp4")
				if a.StatusCode != 200 || a.Header.Get("Etag") != `"first"` || !bytes.Equal(a.body, tt.film.data) {
					t.Errorf("%s: status %d, %d bytes", tt.name, a.StatusCode, len(a.body))
				}
				asked := s.origin.requests()
				if i == 0 && len(asked) != tt.extra+1 || i > 0 && len(asked) != 1 {
					t.Errorf("%s: time %d asks %q", tt.name, i+1, asked)
				}
			}
		})
		if n := strings.Count(lines, "\n"); tt.says == "" && n != 0 || tt.says != "" && n != 1 || !strings.Contains(lines, tt.says) {
			t.Errorf("%s: the log says %q", tt.name, lines)
		}
	}
}

// TestFaststartThenSeek: what a plain request was content to know is not enough for a seek.
func TestFaststartThenSeek(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.Faststart, c.BufferSize = "true", "100" })
	film := s.origin.films["/first.mp4"]
	s.get("/first.mp4")
	s.origin.requests()
	var all sync.WaitGroup
	for i := 0; i < 10; i++ {
		all.Add(1)
		go seek(s, film, "/first.mp4?start=5", &all)
	}
	all.Wait()
	if asked := s.origin.requests(); len(asked) != 12 { // two to the moov, and one for each answer
		t.Errorf("ten seeks ask %q", asked)
	}
	s.get("/first.mp4")
	s.wantRequests("plain", "GET /first.mp4")
}

// TestFaststartMisbehaving: an origin whose answers to ranges are useless is asked plainly.
func TestFaststartMisbehaving(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.Faststart = "true" })
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if asks(r) {
			w.Header().Set("Content-Range", "bytes 5-9/10")
			w.WriteHeader(http.StatusPartialContent)
			return true
		}
		return false
	}
	lines := logged(func() {
		if a := s.get("/last.mp4"); a.StatusCode != 200 || !bytes.Equal(a.body, s.origin.films["/last.mp4"].data) {
			t.Errorf("status %d", a.StatusCode)
		}
	})
	if !strings.Contains(lines, "misbehaves") {
		t.Errorf("the log says %q", lines)
	}
}

// TestLimitRate measures by the clock: ten seconds of film at ten times its rate, after the first two.
func TestLimitRate(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.LimitRate, c.LimitRateAfter = "10", "2s" })
	for _, tt := range []struct {
		headers []string
		want    time.Duration
	}{
		{nil, 800 * time.Millisecond},
		{[]string{"Range: bytes=50000-"}, 300 * time.Millisecond}, // half of the bytes, of which two fifths at once
		{[]string{"Range: bytes=0-15000"}, 0},
	} {
		begun := time.Now()
		a := s.get("/last.mp4?start=0", tt.headers...)
		took := time.Since(begun)
		// A body is sent in pieces of up to 100 ms, each when it begins to be due; a busy machine is late by what it likes.
		if a.err != nil || took < tt.want-100*time.Millisecond || took > tt.want+2*time.Second {
			t.Errorf("%q: %d bytes in %v, want %v (%v)", tt.headers, len(a.body), took, tt.want, a.err)
		}
	}
}

func TestParams(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.StartParam, c.EndParam = "t", "to" })
	film := s.origin.films["/first.mp4"]
	film.checkCut(t, s.get("/first.mp4?T=5&to=8&start=1").body, 125, 200)
	if line := s.origin.requests()[0]; line != "GET /first.mp4?start=1 bytes=0-2047" {
		t.Errorf("the origin was asked %s", line)
	}
	if a := s.get("/first.mp4?start=5"); !bytes.Equal(a.body, film.data) {
		t.Error("start is still an argument")
	}
}

// TestEveryPath: what is not MP4 passes as it came.
func TestEveryPath(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.Extensions = []string{"*"} })
	s.origin.films["/video/17"] = s.origin.films["/first.mp4"]
	s.origin.films["/first.mp4"].checkCut(t, s.get("/video/17?start=5").body, 125, 250)
	s.origin.films["/page"] = &film{data: []byte("<!doctype html><p>Hello.")}
	if a := s.get("/page?start=5"); string(a.body) != "<!doctype html><p>Hello." {
		t.Errorf("a page is answered %q", a.body)
	}
}
