// Package middlewares puts the plugin between Traefik's own middlewares, services and protocols.
package middlewares

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// users is "films" with the password "secret", by htpasswd's SHA1.
const users = "films:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="

var chains = []struct {
	name        string
	middlewares []string // mp4 among them
	header      []string // of the request: names and values in turn
	encoding    string   // of the answer
	answered    string   // a header of the answer that the chain adds
}{
	{name: "plain", middlewares: []string{"mp4"}},
	{name: "gzip", middlewares: []string{"compress", "mp4"}, header: []string{"Accept-Encoding", "gzip"}, encoding: "gzip"},
	{name: "br", middlewares: []string{"compress", "mp4"}, header: []string{"Accept-Encoding", "br"}, encoding: "br"},
	{name: "zstd", middlewares: []string{"compress", "mp4"}, header: []string{"Accept-Encoding", "zstd"}, encoding: "zstd"},
	{name: "excluded", middlewares: []string{"compress-text", "mp4"}, header: []string{"Accept-Encoding", "gzip, br, zstd"}},
	{name: "compress-behind", middlewares: []string{"mp4", "compress"}, header: []string{"Accept-Encoding", "gzip, br, zstd"}},
	{name: "retry", middlewares: []string{"retry", "mp4"}},
	{name: "retry-behind", middlewares: []string{"mp4", "retry"}},
	{name: "buffering", middlewares: []string{"buffering", "mp4"}},
	{name: "buffering-behind", middlewares: []string{"mp4", "buffering"}},
	{name: "errors", middlewares: []string{"errors", "mp4"}},
	{name: "errors-behind", middlewares: []string{"mp4", "errors"}},
	{name: "headers", middlewares: []string{"headers", "mp4"}, answered: "X-Chain"},
	{name: "headers-behind", middlewares: []string{"mp4", "headers"}, answered: "X-Chain"},
	{name: "auth", middlewares: []string{"auth", "mp4"}, header: []string{"Authorization", "Basic ZmlsbXM6c2VjcmV0"}},
	{name: "auth-behind", middlewares: []string{"mp4", "auth"}, header: []string{"Authorization", "Basic ZmlsbXM6c2VjcmV0"}},
	{name: "strip", middlewares: []string{"strip", "mp4"}},
	{name: "strip-behind", middlewares: []string{"mp4", "strip"}},
	{name: "breaker", middlewares: []string{"breaker", "mp4"}},
	{name: "breaker-behind", middlewares: []string{"mp4", "breaker"}},
	{name: "mirrored", middlewares: []string{"mp4"}},
	{name: "sticky", middlewares: []string{"mp4"}, answered: "Set-Cookie"},
	{name: "everything", middlewares: []string{"headers", "auth", "strip", "compress", "buffering", "errors", "breaker", "retry", "mp4"},
		header: []string{"Accept-Encoding", "zstd", "Authorization", "Basic ZmlsbXM6c2VjcmV0"}, encoding: "zstd", answered: "X-Chain"},
}

var middlewares = rig.Map{
	"compress":      rig.Map{"compress": rig.Map{"minResponseBodyBytes": 1}},
	"compress-text": rig.Map{"compress": rig.Map{"minResponseBodyBytes": 1, "excludedContentTypes": []string{"video/mp4"}}},
	"retry":         rig.Map{"retry": rig.Map{"attempts": 3, "status": []string{"503"}}},
	"buffering":     rig.Map{"buffering": rig.Map{"memResponseBodyBytes": 1 << 16}},
	"errors":        rig.Map{"errors": rig.Map{"status": []string{"500-599"}, "service": "pages", "query": "/{status}"}},
	"headers":       rig.Map{"headers": rig.Map{"customRequestHeaders": rig.Map{"X-Asked": "yes"}, "customResponseHeaders": rig.Map{"X-Chain": "yes"}}},
	"auth":          rig.Map{"basicAuth": rig.Map{"users": []string{users}}},
	"strip":         rig.Map{"stripPrefix": rig.Map{"prefixes": []string{"/below"}}},
	"breaker":       rig.Map{"circuitBreaker": rig.Map{"expression": "ResponseCodeRatio(500, 600, 0, 600) > 0.5"}},
}

// origin has one film at every address below /well/. The media of those below /broken/ break off, and those below /flaky/
// come at the second attempt.
type origin struct {
	film  faults.Film
	mutex sync.Mutex
	tried map[string]bool
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mutex.Lock()
	request := r.URL.Path + r.Header.Get("Range")
	again := o.tried[request]
	o.tried[request] = true
	o.mutex.Unlock()
	switch {
	case strings.Contains(r.URL.Path, "/broken/") && !strings.HasPrefix(r.Header.Get("Range"), "bytes=0-"):
		faults.Find("closed in mid-body").Answer(w, r, o.film)
	case strings.Contains(r.URL.Path, "/flaky/") && !again:
		http.Error(w, "not yet", http.StatusServiceUnavailable)
	default:
		o.film.Serve(w, r)
	}
}

func TestChains(t *testing.T) {
	t.Run("httputil", func(t *testing.T) { t.Parallel(); testChains(t, false) })
	t.Run("fastProxy", func(t *testing.T) { t.Parallel(); testChains(t, true) })
}

func testChains(t *testing.T, fastProxy bool) {
	film := faults.Load(t, "bframes.mp4")
	serve := func(film faults.Film) *rig.Origin {
		return rig.NewOrigin(t, &origin{film: film, tried: map[string]bool{}})
	}
	first, second, mirror := serve(film), serve(faults.Film{Bytes: film.Bytes, Tag: `"second"`}), serve(film)
	pages := rig.NewOrigin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page ", r.URL.Path) }))

	d := rig.Dynamic{Middlewares: maps.Clone(middlewares)}
	d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
	d.Service("pages", pages.URL)
	d.Service("mirror", mirror.URL)
	for _, chain := range chains {
		d.Host(chain.name, first.URL, chain.middlewares...)
	}
	d.Service("first", first.URL)
	d.Services["mirrored"] = rig.Map{"mirroring": rig.Map{"service": "first", "mirrors": []rig.Map{{"name": "mirror", "percent": 100}}}}
	d.Service("sticky", first.URL, second.URL)
	d.Services["sticky"].(rig.Map)["loadBalancer"].(rig.Map)["sticky"] = rig.Map{"cookie": rig.Map{"name": "replica"}}
	traefik := rig.Start(t, rig.Config{
		FastProxy:   fastProxy,
		Dynamic:     d,
		EntryPoints: rig.Map{"secure": rig.Map{"http": rig.Map{"tls": rig.Map{}}}},
		// They note in maps what a request's services answer.
		Static: rig.Map{"accessLog": rig.Map{"filePath": "access.log", "format": "json"}, "metrics": rig.Map{"prometheus": rig.Map{"entryPoint": "web", "manualRouting": true}}},
	})
	traefik.AllowLog(`^error: "[^"]*/broken/`)

	h1, h2, h2c := traefik.Client(), traefik.ClientOf("secure"), traefik.Client()
	for client, clear := range map[*http.Client]bool{h2: false, h2c: true} {
		transport := client.Transport.(*http.Transport)
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(clear)
		transport.Protocols.SetHTTP2(!clear)
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	const query = "?start=3.3"
	want := faults.Ask(t, h1, "GET", "http://plain/well/film.mp4"+query)
	if err := parser.Check(want.Body); want.Status != 200 || err != nil {
		t.Fatalf("a cut: %d %v", want.Status, err)
	}

	for _, kind := range []string{"well", "broken"} {
		for _, protocol := range []struct {
			name, url string
			client    *http.Client
			major     int
		}{{"HTTP/1.1", "http://", h1, 1}, {"h2c", "http://", h2c, 2}, {"HTTP/2", "https://", h2, 2}} {
			for _, chain := range chains {
				name := fmt.Sprintf("%s, %s, %s", chain.name, protocol.name, kind)
				prefix := ""
				if slices.Contains(chain.middlewares, "strip") {
					prefix = "/below"
				}
				url := protocol.url + chain.name + prefix + "/" + kind + "/film.mp4" + query
				for _, seek := range []string{"first", "repeated"} {
					got := faults.Ask(t, protocol.client, "GET", url, chain.header...)
					if kind == "broken" {
						if got.Failed == nil && got.Status < 500 {
							t.Errorf("%s, %s seek: %d with %d bytes looks complete", name, seek, got.Status, len(got.Body))
						}
						continue
					}
					body, err := decode(got)
					if got.Failed != nil || err != nil || got.Status != 200 || got.Protocol != protocol.major || !bytes.Equal(body, want.Body) {
						t.Errorf("%s, %s seek: HTTP/%d %d, %d bytes, %v %v", name, seek, got.Protocol, got.Status, len(body), got.Failed, err)
					}
					if got.Header.Get("Content-Encoding") != chain.encoding {
						t.Errorf("%s, %s seek: Content-Encoding %q", name, seek, got.Header.Get("Content-Encoding"))
					}
					if chain.answered != "" && len(got.Header.Values(chain.answered)) != 1 {
						t.Errorf("%s, %s seek: %s is %q", name, seek, chain.answered, got.Header.Values(chain.answered))
					}
				}
			}
		}
	}
	traefik.AwaitLog(t, "error: .*/broken/film.mp4")

	for _, chain := range []string{"auth", "auth-behind"} {
		url := "http://" + chain + "/well/film.mp4" + query
		first.Take()
		if got := faults.Ask(t, h1, "GET", url); got.Status != 401 || got.Header.Get("WWW-Authenticate") == "" || len(first.Take()) != 0 {
			t.Errorf("%s, without a password: %d", chain, got.Status)
		}
	}
	for _, chain := range []string{"retry", "retry-behind"} {
		got := faults.Ask(t, h1, "GET", "http://"+chain+"/flaky/"+chain+".mp4"+query)
		// Before the plugin, retry asks for all of the cut again, of which each time another part is refused.
		if got.Status != 200 || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("%s of an origin that refuses first: %d", chain, got.Status)
		}
	}
	for _, chain := range []string{"errors", "errors-behind"} {
		got := faults.Ask(t, h1, "GET", "http://"+chain+"/flaky/"+chain+".mp4"+query)
		if got.Status != 503 || string(got.Body) != "page /503" {
			t.Errorf("%s of an origin that refuses: %d %q", chain, got.Status, got.Body)
		}
	}

	first.Take()
	for _, request := range []string{"headers", "headers-behind"} {
		faults.Ask(t, h1, "GET", "http://"+request+"/well/film.mp4"+query)
	}
	for _, request := range first.Take() {
		if request.Header.Get("X-Asked") != "yes" {
			t.Errorf("headers: the origin was asked without X-Asked: %v", request.Header)
		}
	}
	if mirrored := mirror.Take(); len(mirrored) == 0 {
		t.Error("nothing was mirrored")
	}
	testSticky(t, h1, first, second)
}

// testSticky asks two replicas whose tags differ: a client's first answer says which one is its own.
func testSticky(t *testing.T, client *http.Client, first, second *rig.Origin) {
	for i := range 4 {
		second.Take()
		first.Take()
		url := fmt.Sprintf("http://sticky/well/%d.mp4", i)
		got := faults.Ask(t, client, "GET", url+"?start=3.3")
		cookies := (&http.Response{Header: got.Header}).Cookies()
		one, other := first.Take(), second.Take()
		if got.Status != 200 || len(cookies) != 1 || min(len(one), len(other)) != 0 || max(len(one), len(other)) < 2 {
			t.Fatalf("sticky, first seek: %d, cookies %v, %d requests to one replica and %d to the other", got.Status, cookies, len(one), len(other))
		}
		again := faults.Ask(t, client, "GET", url+"?start=7", "Cookie", cookies[0].Name+"="+cookies[0].Value)
		oneMore, otherMore := first.Take(), second.Take()
		if again.Status != 200 || len(oneMore)+len(otherMore) != 1 || len(oneMore) > 0 != (len(one) > 0) {
			t.Errorf("sticky, repeated seek: %d, %d requests to one replica and %d to the other", again.Status, len(oneMore), len(otherMore))
		}
	}
}

func decode(answer faults.Answer) ([]byte, error) {
	body := bytes.NewReader(answer.Body)
	var decoded io.Reader = body
	var err error
	switch answer.Header.Get("Content-Encoding") {
	case "gzip":
		decoded, err = gzip.NewReader(body)
	case "br":
		decoded = brotli.NewReader(body)
	case "zstd":
		decoded, err = zstd.NewReader(body)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(decoded)
}
