package seek

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestSeek asks for cuts from every origin: whole answers with exact lengths, the same bytes from each.
func TestSeek(t *testing.T) {
	films := []string{"bframes.mp4", "moovlast.mp4", "sound.m4a", "mdat64last.mp4"}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, films...)
		client := s.Client()
		for _, film := range films {
			for _, query := range []string{"start=2.5", "start=2.5&end=4.25", "end=3", "start=0.001", "START=7.77777&x=1"} {
				var first []byte
				for _, host := range []string{"go", "nginx", "root"} {
					url := fmt.Sprintf("http://%s/%s?%s", host, film, query)
					plain := ask(t, client, "HEAD", fmt.Sprintf("http://%s/%s", host, film))
					for _, time := range []string{"first", "repeated"} {
						got := ask(t, client, "GET", url)
						if got.status != 200 || got.failed != nil || got.length != int64(len(got.body)) {
							t.Fatalf("%s seek of %s: %d, Content-Length %d, %d bytes, %v\n%s", time, url, got.status, got.length, len(got.body), got.failed, got.body[:min(200, len(got.body))])
						}
						if err := parser.Check(got.body); err != nil {
							t.Errorf("%s seek of %s: %v", time, url, err)
						}
						if first == nil {
							first = got.body
						}
						if !bytes.Equal(got.body, first) {
							t.Errorf("%s seek of %s: other bytes than from the first origin", time, url)
						}
						tag := got.header.Get("ETag")
						if tag == "" || tag == plain.header.Get("ETag") || strings.HasPrefix(tag, "W/") != strings.HasPrefix(plain.header.Get("ETag"), "W/") {
							t.Errorf("%s: the cut's ETag is %s, the file's %s", url, tag, plain.header.Get("ETag"))
						}
						if got.header.Get("Accept-Ranges") != "bytes" {
							t.Errorf("%s: no Accept-Ranges", url)
						}
						for _, name := range []string{"Content-Type", "Last-Modified"} {
							if a, b := got.header.Get(name), plain.header.Get(name); a != b || a == "" {
								t.Errorf("%s: %s is %q, the file's %q", url, name, a, b)
							}
						}
					}
				}
			}
		}
		if asked := s.never.Take(); len(asked) != 0 {
			t.Errorf("the handler behind root was asked %v", asked)
		}
	})
}

// TestResource treats a cut as any other resource: HEAD, ranges and validators give parts of one and the same answer.
func TestResource(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, "bframes.mp4", "moovlast.mp4")
		client := s.Client()
		for _, host := range []string{"go", "nginx", "root"} {
			for _, film := range []string{"bframes.mp4", "moovlast.mp4"} {
				url := fmt.Sprintf("http://%s/%s?start=3.21", host, film)
				whole := ask(t, client, "GET", url)
				if whole.status != 200 {
					t.Fatalf("%s: %d", url, whole.status)
				}
				tag, date, size := whole.header.Get("ETag"), whole.header.Get("Last-Modified"), len(whole.body)
				const past, future = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"

				for _, test := range []struct {
					method   string
					header   []string
					status   int
					from, to int // the part of the whole that comes; none where both are 0
				}{
					{"HEAD", nil, 200, 0, 0},
					{"GET", []string{"Range", "bytes=0-"}, 206, 0, size},
					{"GET", []string{"Range", "bytes=0-1"}, 206, 0, 2},
					{"GET", []string{"Range", "bytes=100-199"}, 206, 100, 200},
					{"GET", []string{"Range", fmt.Sprintf("bytes=%d-", size-5000)}, 206, size - 5000, size},
					{"GET", []string{"Range", fmt.Sprintf("bytes=500-%d", size*2)}, 206, 500, size},
					{"GET", []string{"Range", "bytes=-777"}, 206, size - 777, size},
					{"GET", []string{"Range", fmt.Sprintf("bytes=-%d", size*2)}, 206, 0, size},
					{"GET", []string{"Range", "bytes=0-9,20-29"}, 200, 0, size},
					{"GET", []string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, 0},
					{"GET", []string{"Range", "pieces=0-9"}, 200, 0, size},
					{"GET", []string{"If-None-Match", tag}, 304, 0, 0},
					{"GET", []string{"If-None-Match", `"other", ` + tag}, 304, 0, 0},
					{"GET", []string{"If-None-Match", "*"}, 304, 0, 0},
					{"GET", []string{"If-None-Match", `"other"`}, 200, 0, size},
					{"HEAD", []string{"If-None-Match", tag}, 304, 0, 0},
					{"GET", []string{"If-Modified-Since", date}, 304, 0, 0},
					{"GET", []string{"If-Modified-Since", past}, 200, 0, size},
					{"GET", []string{"If-Modified-Since", future, "If-None-Match", `"other"`}, 200, 0, size},
					{"GET", []string{"If-Match", tag}, 200, 0, size},
					{"GET", []string{"If-Match", `"other"`}, 412, 0, 0},
					{"GET", []string{"If-Unmodified-Since", past}, 412, 0, 0},
					{"GET", []string{"If-Unmodified-Since", date}, 200, 0, size},
					{"GET", []string{"Range", "bytes=10-19", "If-Range", tag}, 206, 10, 20},
					{"GET", []string{"Range", "bytes=10-19", "If-Range", `"other"`}, 200, 0, size},
					{"GET", []string{"Range", "bytes=10-19", "If-Range", date}, 206, 10, 20},
					{"GET", []string{"Range", "bytes=10-19", "If-Range", past}, 200, 0, size},
				} {
					name := fmt.Sprintf("%s %s %q", test.method, url, test.header)
					got := ask(t, client, test.method, url, test.header...)
					if got.status != test.status || got.failed != nil {
						t.Errorf("%s: %d %v, not %d", name, got.status, got.failed, test.status)
						continue
					}
					if test.status < 400 && !bytes.Equal(got.body, whole.body[test.from:test.to]) {
						t.Errorf("%s: %d bytes, not those at [%d, %d) of the whole", name, len(got.body), test.from, test.to)
					}
					if test.status < 400 && got.header.Get("ETag") != tag {
						t.Errorf("%s: ETag %s, not %s", name, got.header.Get("ETag"), tag)
					}
					length, contentRange := strconv.Itoa(test.to-test.from), ""
					switch test.status {
					case 200:
						length = strconv.Itoa(size)
					case 206:
						contentRange = fmt.Sprintf("bytes %d-%d/%d", test.from, test.to-1, size)
					case 304:
						length = ""
					case 416:
						length, contentRange = got.header.Get("Content-Length"), fmt.Sprintf("bytes */%d", size)
					default:
						length = got.header.Get("Content-Length")
					}
					if a, b := got.header.Get("Content-Length"), got.header.Get("Content-Range"); a != length || b != contentRange {
						t.Errorf("%s: Content-Length %q and Content-Range %q, not %q and %q", name, a, b, length, contentRange)
					}
				}
			}
		}
	})
}

// TestBeginAndEnd asks for what begins at 0 or past the end.
func TestBeginAndEnd(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, "bframes.mp4", "moovlast.mp4")
		client := s.Client()
		for _, host := range []string{"go", "nginx", "root"} {
			plain := ask(t, client, "GET", "http://"+host+"/bframes.mp4")
			zero := ask(t, client, "GET", "http://"+host+"/bframes.mp4?start=0")
			if zero.status != 200 || zero.header.Get("ETag") != plain.header.Get("ETag") || !bytes.Equal(zero.body, plain.body) {
				t.Errorf("%s: start=0 of a file whose moov comes first is not the file: %d %v", host, zero.status, zero.header)
			}

			plain = ask(t, client, "GET", "http://"+host+"/moovlast.mp4")
			zero = ask(t, client, "GET", "http://"+host+"/moovlast.mp4?start=0")
			if zero.status != 200 || zero.header.Get("ETag") == plain.header.Get("ETag") || zero.length != int64(len(zero.body)) {
				t.Errorf("%s: start=0 of a file whose moov comes last: %d, ETag %s, Content-Length %d of %d", host, zero.status, zero.header.Get("ETag"), zero.length, len(zero.body))
			}
			if err := parser.Check(zero.body); err != nil {
				t.Errorf("%s: start=0 of a file whose moov comes last: %v", host, err)
			}
			if !bytes.HasSuffix(zero.body, payload(plain.body, "mdat")) {
				t.Errorf("%s: start=0 of a file whose moov comes last has not the same media", host)
			}

			for _, query := range []string{"start=100000", "start=60&end=70", "start=9223372036854775.807"} {
				if got := ask(t, client, "GET", "http://"+host+"/bframes.mp4?"+query); got.status != 404 {
					t.Errorf("%s: %s, which is past the end, gives %d", host, query, got.status)
				}
			}
			if got := ask(t, client, "GET", "http://"+host+"/nothing.mp4?start=1"); got.status != 404 {
				t.Errorf("%s: a missing file gives %d", host, got.status)
			}
		}
		missing := ask(t, client, "GET", "http://root/nothing.mp4")
		page := ask(t, client, "GET", "http://root/page.html")
		if asked := s.never.Take(); missing.status != 404 || page.status != 404 || len(asked) != 1 || asked[0].URI != "/page.html" {
			t.Errorf("below root, a missing film gives %d, and the next handler was asked %+v", missing.status, asked)
		}
	})
}

// TestOriginRequests counts what a seek costs the origin.
func TestOriginRequests(t *testing.T) {
	const buffer = 16 << 10
	films := []string{"bframes.mp4", "moovlast.mp4"}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, films...)
		d := s.dynamic()
		d.Plugin("small", rig.Map{"bufferSize": "16k"})
		d.Host("small", s.files.URL, "small")
		if err := s.SetDynamic(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		client := s.Client()
		for _, film := range films {
			plain := ask(t, client, "GET", "http://bare-go/"+film)
			moov := int64(len(payload(plain.body, "moov")))
			s.files.Take()
			url := "http://small/" + film + "?start=4.5&token=a%2Fb"

			got := ask(t, client, "GET", url, "Authorization", "Basic eDp5", "Cookie", "a=b", "Accept-Encoding", "gzip, br")
			requests := s.files.Take()
			// The start, the rest of the moov or a hop or two to it, and the media.
			if got.status != 200 || len(requests) > 4 {
				t.Errorf("first seek of %s: %d, by %d requests", film, got.status, len(requests))
			}
			asked := int64(0)
			for i, request := range requests {
				asked += request.Bytes
				if request.Method != "GET" || request.URI != "/"+film+"?token=a%2Fb" || request.Header.Get("Authorization") != "Basic eDp5" ||
					request.Header.Get("Cookie") != "a=b" || request.Header.Get("Accept-Encoding") != "identity" || request.Status != 206 {
					t.Errorf("first seek of %s: request %d was %d to %s %s %v", film, i, request.Status, request.Method, request.URI, request.Header)
				}
			}
			if requests[0].Header.Get("Range") != "bytes=0-16383" {
				t.Errorf("first seek of %s begins with %s", film, requests[0].Header.Get("Range"))
			}
			if most := int64(len(got.body)) + moov + 2*buffer; asked > most {
				t.Errorf("first seek of %s: %d bytes came from the origin for %d, the moov has %d", film, asked, len(got.body), moov)
			}

			for _, start := range []string{"4.5", "1.25", "8"} {
				again := ask(t, client, "GET", strings.Replace(url, "4.5", start, 1))
				requests = s.files.Take()
				if again.status != 200 || len(requests) != 1 || requests[0].Bytes > int64(len(again.body)) {
					t.Errorf("repeated seek of %s to %s: %d, %d bytes, the origin was asked %+v", film, start, again.status, len(again.body), requests)
				}
			}
			head := ask(t, client, "HEAD", url)
			requests = s.files.Take()
			if head.length != int64(len(got.body)) || len(requests) != 1 || requests[0].Method != "GET" || requests[0].Header.Get("Range") != "bytes=0-0" {
				t.Errorf("HEAD of %s: Content-Length %d, the origin was asked %+v", film, head.length, requests)
			}
			// The index outlives the instance that made it.
			d.Middleware("another", rig.Map{"headers": rig.Map{"customResponseHeaders": rig.Map{"X-Reload": film}}})
			if err := s.SetDynamic(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			again := ask(t, client, "GET", url)
			if requests = s.files.Take(); len(requests) != 1 || !bytes.Equal(again.body, got.body) {
				t.Errorf("seek of %s after a reload: the origin was asked %+v", film, requests)
			}
		}
	})
}

// TestHTTP2 asks by HTTP/2 without TLS, and at a second entry point.
func TestHTTP2(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, "bframes.mp4")
		want := ask(t, s.Client(), "GET", "http://go/bframes.mp4?start=2.5")
		for _, point := range []string{"web", "second"} {
			client := s.ClientOf(point)
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			client.Transport.(*http.Transport).Protocols = protocols
			got := ask(t, client, "GET", "http://go/bframes.mp4?start=2.5")
			if got.protocol != 2 || got.status != 200 || got.failed != nil || !bytes.Equal(got.body, want.body) {
				t.Errorf("%s: HTTP/%d %d, %d bytes, %v", point, got.protocol, got.status, len(got.body), got.failed)
			}
		}
	})
}

// payload is what a top-level box of the file holds.
func payload(file []byte, kind string) []byte {
	for len(file) >= 8 {
		header, size := 8, uint64(binary.BigEndian.Uint32(file))
		switch size {
		case 0:
			size = uint64(len(file))
		case 1:
			header, size = 16, binary.BigEndian.Uint64(file[8:])
		}
		if string(file[4:8]) == kind {
			return file[header:size]
		}
		file = file[size:]
	}
	return nil
}
