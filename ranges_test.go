package mp4_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4"
)

// asked takes the first and the last byte out of a Range; last is -1 where it has none.
func asked(r *http.Request) (first, last int, ranged bool) {
	from, to, ranged := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	first, _ = strconv.Atoi(from)
	last, err := strconv.Atoi(to)
	if err != nil {
		last = -1
	}
	return first, last, ranged
}

// capped is an origin that answers no more than so many bytes to a range; where it has no total, it says so.
func capped(s *stage, most int, total bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		first, last, ranged := asked(r)
		if !ranged {
			return false
		}
		if last < 0 || last >= first+most {
			last = first + most - 1
		}
		if total {
			r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, last))
			return false
		}
		data := s.origin.films[r.URL.Path].data
		w.Header().Set("Etag", s.origin.tags[r.URL.Path])
		if first >= len(data) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}
		if last >= len(data) {
			last = len(data) - 1
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", first, last))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[first : last+1])
		return true
	}
}

// TestLessThanAsked has origins that answer less than they are asked for (RFC 9110, 15.3.7).
func TestLessThanAsked(t *testing.T) {
	for _, most := range []int{1 << 20, 3000, 701} {
		for _, total := range []bool{true, false} {
			for _, name := range []string{"first", "last"} {
				s := newStage(t, nil)
				film := s.origin.films["/"+name+".mp4"]
				full := s.get("/" + name + ".mp4?start=5")
				s.origin.requests()
				s.origin.fault = capped(s, most, total)
				what := fmt.Sprintf("%s, %d bytes at most, total %v", name, most, total)
				for i, query := range []string{"?start=5", "?start=5", "?start=5&other"} {
					a := s.get("/" + name + ".mp4" + query)
					if a.StatusCode != 200 || a.err != nil || a.ContentLength != int64(len(a.body)) || !total && !bytes.Equal(a.body, full.body) {
						t.Errorf("%s: status %d, %d of %d bytes, %v", what, a.StatusCode, len(a.body), a.ContentLength, a.err)
					}
					film.checkCut(t, a.body, 125, 250)
					media := 125 * sampleSize
					least := (media + most - 1) / most
					if n := len(s.origin.requests()); n < least || i > 0 && total && n != least {
						t.Errorf("%s: time %d takes %d requests, and %d at least", what, i+1, n, least)
					}
				}
				if a := s.get("/"+name+".mp4?start=5", "Range: bytes=600-9999"); a.StatusCode != 206 || !bytes.Equal(a.body, full.body[600:10000]) {
					t.Errorf("%s: a range has status %d, %d bytes, %v", what, a.StatusCode, len(a.body), a.err)
				}
			}
		}
	}
}

// TestLessThanAskedChanges replaces the file between two answers of one stretch: no byte of the other version is sent.
func TestLessThanAskedChanges(t *testing.T) {
	other := makeFilm(9, true)
	for _, cached := range []bool{false, true} {
		for _, after := range []int{1, 2, 7} {
			s := newStage(t, nil)
			film := s.origin.films["/first.mp4"]
			whole := s.get("/first.mp4?start=5").body
			path := "/first.mp4?start=5"
			if !cached {
				s = newStage(t, nil)
			}
			less, answers := capped(s, 2000, true), 0
			s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if first, _, _ := asked(r); first >= len(film.data)-125*sampleSize {
					answers++
				}
				if answers > after {
					s.origin.films["/first.mp4"], s.origin.tags["/first.mp4"] = other, `"other"`
					w.Header().Set("Etag", `"other"`)
					less(w, r)
					http.ServeContent(w, r, "", modified, bytes.NewReader(other.data))
					return true
				}
				return less(w, r)
			}
			lines := logged(func() {
				a := s.get(path)
				if a.err == nil || !bytes.HasPrefix(whole, a.body) {
					t.Errorf("cached %v, after %d: status %d, %d bytes, %v", cached, after, a.StatusCode, len(a.body), a.err)
				}
			})
			if !strings.Contains(lines, "the file changed") {
				t.Errorf("cached %v, after %d: the log says %q", cached, after, lines)
			}
		}
	}
}

// TestLessThanAskedEnds has what else may come instead of the next bytes.
func TestLessThanAskedEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(w http.ResponseWriter, r *http.Request) bool
		says  string
	}{
		{"a refusal", refusing(403), "answers 403 in the middle of a file"},
		{"all of the file", deaf, "answers 200 to a range"},
		{"not satisfiable", refusing(416), "answers 416 to a range"},
		{"the same bytes again", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Etag", `"first"`)
			w.Header().Set("Content-Range", "bytes 0-99/9999")
			w.WriteHeader(http.StatusPartialContent)
			return true
		}, "Content-Range"},
	} {
		s := newStage(t, nil)
		s.get("/first.mp4?start=5")
		less, answers := capped(s, 2000, true), 0
		s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
			answers++
			if answers == 3 {
				return tt.fault(w, r)
			}
			return less(w, r)
		}
		lines := logged(func() {
			if a := s.get("/first.mp4?start=5"); a.err == nil || a.StatusCode != 200 {
				t.Errorf("%s: status %d, %d bytes, %v", tt.name, a.StatusCode, len(a.body), a.err)
			}
		})
		if !strings.Contains(lines, tt.says) {
			t.Errorf("%s: the log says %q", tt.name, lines)
		}
	}
}

// TestLessThanAskedClientGone: the request that is under way ends with the client's, and no other follows.
func TestLessThanAskedClientGone(t *testing.T) {
	s := newStage(t, nil)
	started, ended := make(chan bool, 10), make(chan bool, 10)
	less, answers := capped(s, 2000, true), 0
	s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
		answers++
		if answers < 5 {
			return less(w, r)
		}
		started <- true
		<-r.Context().Done()
		ended <- true
		return true
	}
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
			t.Error("the origin's request goes on")
		}
		time.Sleep(50 * time.Millisecond)
	})
	if lines != "" || answers != 5 {
		t.Errorf("%d requests, the log says %q", answers, lines)
	}
}

// TestLessThanAskedPaced measures by the clock, as TestLimitRate does.
func TestLessThanAskedPaced(t *testing.T) {
	s := newStage(t, func(c *mp4.Config) { c.LimitRate, c.LimitRateAfter = "10", "2s" })
	s.origin.fault = capped(s, 3000, true)
	begun := time.Now()
	a := s.get("/last.mp4?start=0")
	took := time.Since(begun)
	s.origin.films["/last.mp4"].checkCut(t, a.body, 0, 250)
	if took < 700*time.Millisecond || took > 3*time.Second {
		t.Errorf("%d bytes in %v", len(a.body), took)
	}
}

// crumbs is a next handler that answers one byte at a time.
type crumbs struct {
	data  []byte
	asked int
}

func (c *crumbs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.asked++
	first, _, _ := asked(r)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first, len(c.data)))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(c.data[first : first+1])
}

// TestCrumbs bounds the requests for an index.
func TestCrumbs(t *testing.T) {
	const most = 10000
	next := &crumbs{data: atom("moov", make([]byte, 2*most))}
	handler := instance(t, next, nil)
	rw := httptest.NewRecorder()
	lines := logged(func() {
		handler.ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/first.mp4?start=5", nil))
	})
	if rw.Code != 502 || next.asked != most+1 || !strings.Contains(lines, "10000 requests and no index yet") {
		t.Errorf("status %d after %d requests, the log says %q", rw.Code, next.asked, lines)
	}
}

// strict is an origin that refuses a range past the end of a file; where it names the length, it does so.
func strict(s *stage, names bool, refused int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		_, last, ranged := asked(r)
		length := len(s.origin.films[r.URL.Path].data)
		if !ranged || last < length && refused == 0 {
			return false
		}
		if names {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", length))
		}
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return true
	}
}

// TestRefusedPastTheEnd has files smaller than the first read, and origins that refuse a range which reaches past the
// end (RFC 9110, 15.5.17, has it for those that begin there).
func TestRefusedPastTheEnd(t *testing.T) {
	for _, name := range []string{"first", "last"} {
		film := "/" + name + ".mp4"
		for _, tt := range []struct {
			name   string
			names  bool
			always int
			want   []string // the requests before those for the media
		}{
			{"which names the length", true, 0, []string{"bytes=0-524287", "bytes=0-%d"}},
			{"which does not", false, 0, []string{"bytes=0-524287", "bytes=0-"}},
			{"which refuses all ranges and names the length", true, 1, []string{"bytes=0-524287", "bytes=0-%d", ""}},
			{"which refuses all ranges", false, 1, []string{"bytes=0-524287", "bytes=0-", ""}},
		} {
			s := newStage(t, func(c *mp4.Config) { c.BufferSize = "512k" })
			f := s.origin.films[film]
			s.origin.fault = strict(s, tt.names, tt.always)
			for i := 0; i < 2; i++ {
				a := s.get(film + "?start=5")
				if a.StatusCode != 200 || a.err != nil {
					t.Errorf("%s, %s: status %d, %v", name, tt.name, a.StatusCode, a.err)
					continue
				}
				f.checkCut(t, a.body, 125, 250)
				got := s.origin.requests()
				if i > 0 && tt.always == 0 {
					if len(got) != 1 {
						t.Errorf("%s, %s: a repeated seek asks %q", name, tt.name, got)
					}
					continue
				}
				for k, want := range tt.want {
					if strings.Contains(want, "%d") {
						want = fmt.Sprintf(want, len(f.data)-1)
					}
					want = strings.TrimSpace("GET " + film + " " + want)
					if k >= len(got) || got[k] != want {
						t.Errorf("%s, %s: request %d of %q is not %q", name, tt.name, k+1, got, want)
					}
				}
				if more := len(got) - len(tt.want); more > 1 {
					t.Errorf("%s, %s: %q", name, tt.name, got)
				}
			}
		}
	}
}

// TestRefusedLater has an origin that does not say how long the file is, and refuses a range past its end later on.
func TestRefusedLater(t *testing.T) {
	for _, names := range []bool{false, true} {
		s := newStage(t, nil)
		film := s.origin.films["/last.mp4"]
		whole, less := strict(s, names, 0), capped(s, 1<<20, false)
		s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool { return whole(w, r) || less(w, r) }
		a := s.get("/last.mp4?start=5")
		if a.StatusCode != 200 || a.err != nil {
			t.Errorf("length named: %v: status %d, %v", names, a.StatusCode, a.err)
		}
		film.checkCut(t, a.body, 125, 250)
	}
}

// TestEmptyFile: only an answer that says 0 is of an empty file.
func TestEmptyFile(t *testing.T) {
	s := newStage(t, nil)
	s.origin.films["/first.mp4"] = &film{}
	a := s.get("/first.mp4?start=5")
	if a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("status %d, %q", a.StatusCode, a.body)
	}
	s.wantRequests("net/http, which answers 200 for it", "GET /first.mp4 bytes=0-2047", "GET /first.mp4?start=5")
	s.origin.fault = strict(s, true, 1)
	a = s.get("/first.mp4?start=5")
	if a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("status %d, %q", a.StatusCode, a.body)
	}
	s.wantRequests("one that answers 416", "GET /first.mp4 bytes=0-2047", "GET /first.mp4?start=5")
}

// scattered makes a file whose pictures have an mdat each, of which only the first bytes are there, and the moov last.
func scattered(t *testing.T, name string, pictures, size int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ftyp := atom("ftyp", []byte("isom"), be32(512), []byte("isomavc1"))
	_, err = f.Write(ftyp)
	at, offsets := len(ftyp), []int{}
	for i := 0; i < pictures && err == nil; i++ {
		_, err = f.WriteAt(bytes.Join([][]byte{be32(8 + size), []byte("mdat"), be32(i)}, nil), int64(at))
		offsets = append(offsets, at+8)
		at += 8 + size
	}
	if err == nil {
		_, err = f.WriteAt(moovOf(pictures, size, offsets...), int64(at))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestScattered counts what it takes to find a moov behind very many boxes, and looks at the cut of such a file.
func TestScattered(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		pictures, size  int
		requests, bytes int // at most, before the media
	}{
		{1200, 5000, 3, 1 << 20},
		{30000, 20000, 4, 1 << 20},
		{59, 600000, 25, 1<<20 + 128<<10},
	} {
		name := fmt.Sprintf("%d.mp4", tt.pictures)
		path := filepath.Join(dir, name)
		scattered(t, path, tt.pictures, tt.size)
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		s := newStage(t, func(c *mp4.Config) { c.BufferSize = "512K" })
		s.origin.fault = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Etag", `"scattered"`)
			http.ServeContent(w, r, "", modified, io.NewSectionReader(file, 0, info.Size()))
			return true
		}
		below := &stage{t: t, url: serve(t, instance(t, http.NotFoundHandler(), func(c *mp4.Config) { c.Root = dir }))}
		start := tt.pictures / perSecond / 2
		query := fmt.Sprintf("/%s?start=%d&end=%d", name, start, start+1)
		for where, from := range map[string]*stage{"an origin": s, "root": below} {
			a := from.get(query)
			if a.StatusCode != 200 || a.err != nil {
				t.Errorf("%d boxes, %s: status %d, %v", tt.pictures, where, a.StatusCode, a.err)
				continue
			}
			media := a.body[len(a.body)-perSecond*(tt.size+8)+8:]
			for i := 0; i < perSecond; i++ {
				if got := media[i*(tt.size+8):][:4]; !bytes.Equal(got, be32(start*perSecond+i)) {
					t.Errorf("%d boxes, %s: picture %d is % x", tt.pictures, where, i, got)
				}
			}
		}
		requests := s.origin.requests()
		fetched := 0
		for _, line := range requests[:len(requests)-1] {
			span := strings.TrimPrefix(line, "GET /"+name+" bytes=")
			first, last, _ := strings.Cut(span, "-")
			from, _ := strconv.Atoi(first)
			to, _ := strconv.Atoi(last)
			fetched += to + 1 - from
		}
		t.Logf("%d boxes of %d bytes: %d requests and %d bytes before the media", tt.pictures, tt.size, len(requests)-1, fetched)
		if len(requests)-1 > tt.requests || fetched > tt.bytes {
			t.Errorf("%d boxes: %d requests and %d bytes before the media: %q", tt.pictures, len(requests)-1, fetched, requests)
		}
	}
}

// TestNoRangesManyBoxes: what comes in order is not looked at from its end.
func TestNoRangesManyBoxes(t *testing.T) {
	film := makeFilm(1, false)
	ftyp := len(film.data) - len(makeMoov(0)) - len(atom("mdat", bytes.Join(film.samples, nil)))
	at := ftyp + 100*500 + len(makeMoov(0)) + 8
	film.data = bytes.Join([][]byte{film.data[:ftyp], bytes.Repeat(atom("free", make([]byte, 492)), 100), makeMoov(at),
		atom("mdat", bytes.Join(film.samples, nil)), atom("free", make([]byte, 1<<16))}, nil)
	for _, most := range []string{"60K", "10M"} {
		s := newStage(t, func(c *mp4.Config) { c.MaxBufferSize = most })
		s.origin.films["/first.mp4"] = film
		s.origin.fault = deaf
		film.checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)
	}
}

// TestManyHops bounds the requests for the headers of boxes, where the moov is not at the end of the file either.
func TestManyHops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "film.mp4")
	scattered(t, path, 2500, 6000)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, nil)
	s.origin.films["/first.mp4"] = &film{data: append(data, 1, 2, 3)}
	lines := logged(func() {
		if a := s.get("/first.mp4?start=5"); a.StatusCode != 500 {
			t.Errorf("status %d", a.StatusCode)
		}
	})
	if want := "\"/first.mp4\" mp4: not parseable: 1000 requests for box headers that lie apart, and no moov yet\n"; lines != want {
		t.Errorf("the log says %q, want %q", lines, want)
	}
	if n := len(s.origin.requests()); n < 1000 || n > 1020 {
		t.Errorf("%d requests", n)
	}
}
