// Package soak lets many clients seek at random for a while, before an origin that does whatever origins do.
package soak

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

var films = []string{
	"bframes.mp4", "moovlast.mp4", "plain.mp4", "opengop.mp4", "sound.m4a", "ntsc.mp4", "soundlate.mp4", "uneven.mp4", "co64.mp4", "chunks.mp4",
}

const noAnswer = "no answer within a minute"

const (
	clients = 200
	seconds = 10  // of each film
	step    = 0.5 // between the starts
)

// origin answers one request in three with a fault, and replaces its films now and then.
type origin struct {
	faults   []faults.Fault
	versions map[string][2]faults.Film // by path
	calm     atomic.Bool
	replaced sync.Map // of path → bool
	count    sync.Map // of fault → *atomic.Int64
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.RawQuery, "start=") {
		w.Header().Set("X-Own", "yes") // a request that the plugin passes on as it came
	}
	versions, ok := o.versions[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if !o.calm.Load() && rand.IntN(500) == 0 {
		was, _ := o.replaced.Load(r.URL.Path)
		o.replaced.Store(r.URL.Path, was != true)
	}
	film := versions[0]
	if is, _ := o.replaced.Load(r.URL.Path); is == true {
		film = versions[1]
	}
	if o.calm.Load() || rand.IntN(3) > 0 {
		film.Serve(w, r)
		return
	}
	fault := o.faults[rand.IntN(len(o.faults))]
	counter, _ := o.count.LoadOrStore(fault.Name, new(atomic.Int64))
	counter.(*atomic.Int64).Add(1)
	fault.Answer(w, r, film)
}

// tally counts what became of the requests.
type tally struct {
	mutex sync.Mutex
	count map[string]int
	bad   []string
}

func (t *tally) add(outcome string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.count[outcome]++
}

func (t *tally) wrong(format string, args ...any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.bad = append(t.bad, fmt.Sprintf(format, args...))
}

// TestSoak takes a minute in all, or what SOAK says of each of Traefik's proxies: "10m".
func TestSoak(t *testing.T) {
	duration := 28 * time.Second
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
	}
	t.Run("httputil", func(t *testing.T) { soak(t, false, duration) })
	t.Run("fastProxy", func(t *testing.T) { soak(t, true, duration) })
}

func soak(t *testing.T, fastProxy bool, duration time.Duration) {
	o := &origin{versions: map[string][2]faults.Film{}}
	for _, fault := range faults.Faults {
		if !fastProxy || !fault.Hangs {
			o.faults = append(o.faults, fault)
		}
	}
	for _, name := range films {
		film := faults.Load(t, name)
		o.versions["/"+name] = [2]faults.Film{film, film.Other()}
	}
	o.calm.Store(true)
	server := rig.NewOrigin(t, o)
	var d rig.Dynamic
	d.Plugin("mp4", rig.Map{"bufferSize": "16k", "cacheSize": "256k", "maxMemory": "8m"})
	d.Host("films", server.URL, "mp4")
	faults.Watch(&d)
	traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d, Static: faults.Watched, LogLevel: "ERROR"})
	traefik.AllowLog(`^error: "/`)
	client := traefik.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = clients
	client.Timeout = time.Minute

	// What a single client gets of both versions, by address.
	known := map[string]map[[32]byte]bool{}
	var urls []string
	for path := range o.versions {
		for start := 0.0; start < seconds-step; start += step {
			urls = append(urls, fmt.Sprintf("http://films%s?start=%.1f", path, start+0.1))
		}
		urls = append(urls, "http://films"+path+"?start=0&end=3", "http://films"+path+"?start=2.2&end=4.4")
	}
	for _, replaced := range []bool{false, true} {
		for path := range o.versions {
			o.replaced.Store(path, replaced)
		}
		for _, url := range urls {
			got := faults.Ask(t, client, "GET", url)
			if err := parser.Check(got.Body); got.Status != 200 || err != nil {
				t.Fatalf("%s: %d %v", url, got.Status, err)
			}
			if known[url] == nil {
				known[url] = map[[32]byte]bool{}
			}
			known[url][sha256.Sum256(got.Body)] = true
		}
	}
	client.CloseIdleConnections()
	before, _ := faults.Settle(t, traefik, faults.Vitals{Goroutines: 30, Descriptors: 20})

	o.calm.Store(false)
	server.Take()
	// Of URL and strong ETag → hash: one never stands for two answers. A weak one may, where the fault is to send no tag: both
	// versions of a film have one date, and nothing else tells them apart.
	var tags sync.Map
	results := tally{count: map[string]int{}}
	deadline := time.Now().Add(duration)
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for time.Now().Before(deadline) {
				url := urls[rand.IntN(len(urls))]
				got := faults.Ask(t, client, "GET", url)
				hash := sha256.Sum256(got.Body)
				switch {
				case got.Failed != nil && strings.Contains(got.Failed.Error(), "Client.Timeout"):
					results.add(noAnswer)
				case got.Failed != nil:
					results.add("broken off")
				case got.Status == 200 && known[url][hash]:
					results.add("the cut")
				case got.Header.Get("X-Own") != "":
					results.add("the origin's own answer, passed on")
				case got.Status == 200:
					results.wrong("%s: %d bytes, which no single client gets", url, len(got.Body))
				case got.Header.Get("X-Fault") != "":
					results.add(fmt.Sprint(got.Status, " of the origin's"))
				case !strings.HasSuffix(string(got.Body), "\n"): // as Traefik's proxies write it
					results.add(fmt.Sprint(got.Status, " of Traefik's proxy"))
				default:
					results.add(fmt.Sprint(got.Status))
				}
				if tag := got.Header.Get("ETag"); strings.HasPrefix(tag, `"`) && got.Failed == nil && got.Status == 200 && got.Header.Get("X-Own") == "" {
					if first, again := tags.LoadOrStore(url+tag, hash); again && first != hash {
						results.wrong("%s: two answers have the tag %s", url, tag)
					}
				}
			}
		})
	}
	var peak faults.Vitals
	done := make(chan struct{})
	go func() {
		defer close(done)
		for time.Now().Before(deadline) {
			time.Sleep(time.Second)
			peak.RSS = max(peak.RSS, faults.RSS(t, traefik))
		}
	}()
	time.Sleep(duration / 2)
	middle := faults.Measure(t, traefik)
	group.Wait()
	<-done
	client.CloseIdleConnections()
	lost := results.count[noAnswer]
	after, settled := faults.Settle(t, traefik, faults.Vitals{
		Goroutines: before.Goroutines + 4*lost, Descriptors: before.Descriptors + 2*lost, Heap: before.Heap,
	})

	var lines []string
	requests := 0
	for outcome, n := range results.count {
		requests += n
		lines = append(lines, fmt.Sprintf("%8d %s", n, outcome))
	}
	sort.Sort(sort.Reverse(sort.StringSlice(lines)))
	injected := int64(0)
	o.count.Range(func(_, n any) bool { injected += n.(*atomic.Int64).Load(); return true })
	t.Logf("%d clients for %v: %d requests, %d faults injected\n%s\nbefore: %v\nmiddle: %v\nafter:  %v\npeak RSS %.1f MB",
		clients, duration, requests, injected, strings.Join(lines, "\n"), before, middle, after, float64(peak.RSS)/1e6)
	for i, bad := range results.bad {
		if i < 10 {
			t.Error(bad)
		}
	}
	if len(results.bad) > 10 {
		t.Errorf("and %d more", len(results.bad)-10)
	}
	// The fast proxy may wait for ever on a connection that the origin closes just then (see faults.Fault.Hangs).
	if lost > 0 && (!fastProxy || lost > 1+requests/1000) {
		t.Errorf("%d requests were not answered", lost)
	}
	if !settled {
		t.Error("goroutines, descriptors or memory stay")
	}
	if results.count["the cut"] == 0 || results.count["broken off"] == 0 {
		t.Error("that is no soak")
	}
	explained := 0 // answers of 500: a file whose tables do not hold together, as half a film's do not
	for _, line := range strings.Split(traefik.Log(), "\n") {
		if strings.Contains(line, "panic") {
			t.Error(line)
		}
		if strings.Contains(line, "not parseable") || strings.Contains(line, "too large") {
			explained++
		}
	}
	if results.count["500"] > explained {
		t.Errorf("%d answers are 500, of which %d are explained", results.count["500"], explained)
	}
}
