package seek

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestUntouched asks for what is none of the plugin's business once with it and once without: client and origin must see the same.
func TestUntouched(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		s := newStage(t, fastProxy, "bframes.mp4")
		client := s.Client()
		etag := ask(t, client, "GET", "http://bare-go/bframes.mp4").header.Get("ETag")
		for _, test := range []struct {
			name, method, uri string
			header            []string
		}{
			{"a plain file", "GET", "/bframes.mp4", nil},
			{"HEAD", "HEAD", "/bframes.mp4", nil},
			{"a range", "GET", "/bframes.mp4", []string{"Range", "bytes=1000-2999"}},
			{"two ranges", "GET", "/bframes.mp4", []string{"Range", "bytes=0-9,100-109"}},
			{"a range past the end", "GET", "/bframes.mp4", []string{"Range", "bytes=99999999-"}},
			{"a validator", "GET", "/bframes.mp4", []string{"If-None-Match", etag}},
			{"an invalid start", "GET", "/bframes.mp4?start=-1", nil},
			{"start with an exponent", "GET", "/bframes.mp4?start=1e1", nil},
			{"an escaped start", "GET", "/bframes.mp4?start=%35", nil},
			{"end without a use", "GET", "/bframes.mp4?end=0", nil},
			{"another argument", "GET", "/bframes.mp4?token=a%2Fb&starts=5", nil},
			{"POST", "POST", "/bframes.mp4?start=1", nil},
			{"another extension", "GET", "/page.html?start=1", nil},
			{"nothing there", "GET", "/nothing.mp4", nil},
			{"a compressed answer", "GET", "/page.html", []string{"Accept-Encoding", "gzip"}},
		} {
			for _, origin := range []string{"go", "nginx"} {
				name := test.name + " from " + origin
				s.files.Take()
				s.nginx.Take(t, 0)
				with := ask(t, client, test.method, "http://"+origin+test.uri, test.header...)
				origins := s.files.Take()
				bare := ask(t, client, test.method, "http://bare-"+origin+test.uri, test.header...)
				origins = append(origins, s.files.Take()...)

				settle(with.header)
				settle(bare.header)
				if with.status != bare.status || with.length != bare.length || !maps.EqualFunc(with.header, bare.header, slices.Equal) {
					t.Errorf("%s: answered\n%d %v, without the plugin\n%d %v", name, with.status, with.header, bare.status, bare.header)
				}
				if several := strings.HasPrefix(with.header.Get("Content-Type"), "multipart/"); !several && !bytes.Equal(with.body, bare.body) {
					t.Errorf("%s: other bytes than without the plugin", name)
				}
				if origin == "nginx" {
					if lines := s.nginx.Take(t, 2); len(lines) != 2 || lines[0] != lines[1] {
						t.Errorf("%s: nginx was asked, with and without the plugin, %q", name, lines)
					}
					continue
				}
				if len(origins) != 2 {
					t.Errorf("%s: the origin was asked %d times, with and without the plugin", name, len(origins))
					continue
				}
				for _, request := range origins {
					request.Header.Del("X-Forwarded-Host")
				}
				if a, b := origins[0], origins[1]; a.Method != b.Method || a.URI != b.URI || !maps.EqualFunc(a.Header, b.Header, slices.Equal) {
					t.Errorf("%s: the origin was asked\n%s %s %v, without the plugin\n%s %s %v", name, a.Method, a.URI, a.Header, b.Method, b.URI, b.Header)
				}
			}
		}
	})
}

// settle removes what differs between any two answers: the date, and the random boundary between several ranges.
func settle(header http.Header) {
	header.Del("Date")
	if kind, _, several := strings.Cut(header.Get("Content-Type"), "boundary="); several {
		header.Set("Content-Type", kind)
	}
}
