package faults_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestSameAddress lets two routers with one middleware send to two origins what is one address to the plugin: films of one
// length and one date, of which only the tags and the bytes differ.
func TestSameAddress(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		film := faults.Load(t, "plain.mp4")
		var d rig.Dynamic
		d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
		d.Middleware("strip", rig.Map{"stripPrefix": rig.Map{"prefixes": []string{"/one", "/two"}}})
		d.Middleware("replace", rig.Map{"replacePathRegex": rig.Map{"regex": "^/(one|two)/", "replacement": "/"}})
		origins := map[string]*rig.Origin{}
		for name, version := range map[string]faults.Film{"one": film, "two": film.Other()} {
			origins[name] = rig.NewOrigin(t, http.HandlerFunc(version.Serve))
			d.Host("only-"+name, origins[name].URL, "mp4")
			for _, how := range []string{"strip", "replace"} { // replace leaves no trace in a header
				rule := fmt.Sprintf("Host(`%s`) && PathPrefix(`/%s/`)", how, name)
				d.Route(how+name, rig.Router{Rule: rule, Service: "only-" + name, Middlewares: []string{how, "mp4"}})
			}
		}
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
		client := traefik.Client()
		for _, query := range []string{"?start=1", "?start=4.5", "?start=1&end=8", "?start=4.5"} {
			want := map[string]faults.Answer{}
			for name := range origins {
				want[name] = faults.Ask(t, client, "GET", "http://only-"+name+"/film.mp4"+query)
			}
			if bytes.Equal(want["one"].Body, want["two"].Body) || len(want["one"].Body) != len(want["two"].Body) {
				t.Fatal("the two films cannot be told apart")
			}
			for range 2 {
				for _, how := range []string{"strip", "replace"} {
					for _, name := range []string{"one", "two"} {
						got := faults.Ask(t, client, "GET", "http://"+how+"/"+name+"/film.mp4"+query)
						if got.Status != 200 || got.Failed != nil || !bytes.Equal(got.Body, want[name].Body) || got.Header.Get("ETag") != want[name].Header.Get("ETag") {
							t.Errorf("%s to %s, %s: %d, %d bytes, %v", how, name, query, got.Status, len(got.Body), got.Failed)
						}
					}
				}
			}
			// Where the prefix is known, neither is asked in vain.
			for name, origin := range origins {
				origin.Take()
				faults.Ask(t, client, "GET", "http://strip/"+name+"/film.mp4"+query)
				if asked := origin.Take(); len(asked) != 1 {
					t.Errorf("%s, %s: a repeated seek took %d requests", name, query, len(asked))
				}
			}
		}
	})
}

// TestPresigned gives every viewer an address of his own for one film: the index is read once, and every signature arrives
// as it was.
func TestPresigned(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		film := faults.Load(t, "moovlast.mp4")
		origin := rig.NewOrigin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.RawQuery, "X-Amz-Date=2026&X-Amz-Signature=") || r.Method != "GET" {
				http.Error(w, "SignatureDoesNotMatch", http.StatusForbidden)
				return
			}
			film.Serve(w, r)
		}))
		var d rig.Dynamic
		d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
		d.Host("bucket", origin.URL, "mp4")
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
		var want []byte
		for viewer := range 20 {
			signature := fmt.Sprintf("X-Amz-Date=2026&X-Amz-Signature=%%2B%d%%3D", viewer)
			method := []string{"GET", "HEAD"}[viewer%2]
			got := faults.Ask(t, traefik.Client(), method, "http://bucket/film.mp4?"+signature+"&start=2")
			asked := origin.Take()
			if viewer == 0 {
				want = got.Body
			}
			if got.Status != 200 || method == "GET" && !bytes.Equal(got.Body, want) || viewer > 0 && len(asked) != 1 {
				t.Errorf("viewer %d: %d %q by %d requests", viewer, got.Status, got.Body[:min(len(got.Body), 100)], len(asked))
			}
			for _, request := range asked {
				if request.URI != "/film.mp4?"+signature {
					t.Errorf("viewer %d: the origin was asked for %s", viewer, request.URI)
				}
			}
		}
		if err := parser.Check(want); err != nil {
			t.Error(err)
		}
		if got := faults.Ask(t, traefik.Client(), "GET", "http://bucket/film.mp4?X-Amz-Signature=stolen&start=2"); got.Status != 403 || got.Header.Get("ETag") != "" {
			t.Errorf("with a wrong signature: %d %v", got.Status, got.Header)
		}
	})
}

// TestMaxMemory sends 500 clients at once for as many films, with memory for sixteen of them: they wait for each other, and
// whose turn does not come within ten seconds is told to come again.
func TestMaxMemory(t *testing.T) {
	const clients, buffer, memory = 500, 64 << 10, 1 << 20
	film := faults.Load(t, "bframes.mp4")
	var now, most atomic.Int64
	origin := rig.NewOrigin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
			n := now.Add(1)
			defer now.Add(-1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
			time.Sleep(500 * time.Millisecond)
		}
		film.Serve(w, r)
	}))
	var d rig.Dynamic
	d.Plugin("mp4", rig.Map{"bufferSize": "64k", "maxBufferSize": "256k", "maxMemory": "1m"})
	d.Host("films", origin.URL, "mp4")
	faults.Watch(&d)
	traefik := rig.Start(t, rig.Config{Dynamic: d, Static: faults.Watched})
	traefik.AllowLog(`^error: "/\d+.mp4" mp4: requests in flight hold all of maxMemory`)
	client := traefik.Client()
	want := faults.Ask(t, client, "GET", "http://films/first.mp4?start=8")
	before := faults.Measure(t, traefik)

	var group sync.WaitGroup
	answers := make([]faults.Answer, clients)
	begin := time.Now()
	for i := range answers {
		group.Go(func() { answers[i] = faults.Ask(t, client, "GET", fmt.Sprintf("http://films/%d.mp4?start=8", i)) })
	}
	peak := faults.Measure(t, traefik)
	group.Wait()
	took := time.Since(begin)
	count := map[int]int{}
	for i, got := range answers {
		count[got.Status]++
		switch {
		case got.Status == 200 && got.Failed == nil && bytes.Equal(got.Body, want.Body):
		case got.Status == 503 && got.Header.Get("Retry-After") == "10":
		default:
			t.Errorf("client %d: %d, %d bytes, %v", i, got.Status, len(got.Body), got.Failed)
		}
	}
	client.CloseIdleConnections()
	// Not the heap: five hundred indexes are in the cache now.
	after, settled := faults.Settle(t, traefik, faults.Vitals{Goroutines: before.Goroutines, Descriptors: before.Descriptors})
	t.Logf("%d clients within %v: %v; %d first reads at once\nbefore: %v\nwhile:  %v\nafter:  %v", clients, took.Round(100*time.Millisecond), count, most.Load(), before, peak, after)
	if most.Load() > memory/buffer || count[200] < 100 || count[503] == 0 || took > 30*time.Second || !settled {
		t.Error("that is not what maxMemory promises")
	}
	if got := faults.Ask(t, client, "GET", "http://films/last.mp4?start=8"); !bytes.Equal(got.Body, want.Body) {
		t.Errorf("after that: %d", got.Status)
	}
}
