package faults_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestClientsGone lets clients go away in each stage of their requests while the origin drips: it is left alone within a
// second, and Traefik is what it was before.
func TestClientsGone(t *testing.T) {
	film := faults.Load(t, "bframes.mp4")
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		began, ended := make(chan string, 1000), make(chan string, 1000)
		origin := rig.NewOrigin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			first := strings.HasPrefix(r.Header.Get("Range"), "bytes=0-")
			if strings.HasPrefix(r.URL.Path, "/media/") && first {
				film.Serve(w, r)
				return
			}
			if strings.HasPrefix(r.URL.Path, "/stream/") {
				r.Header.Del("Range")
			}
			from, to, code := film.Part(w, r, 0, 0)
			w.WriteHeader(code)
			began <- r.URL.Path
			for ; from < to && r.Context().Err() == nil; from++ {
				_, _ = w.Write(film.Bytes[from : from+1])
				_ = http.NewResponseController(w).Flush()
				time.Sleep(50 * time.Millisecond)
			}
			ended <- r.URL.Path
		}))
		var d rig.Dynamic
		d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
		d.Host("films", origin.URL, "mp4")
		faults.Watch(&d)
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d, Static: faults.Watched})
		client := traefik.Client()
		before := faults.Measure(t, traefik)
		const clients = 30
		for _, stage := range []string{"first", "media", "stream"} {
			ctx, leave := context.WithCancel(t.Context())
			var group sync.WaitGroup
			for i := range clients {
				request, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://films/%s/%d.mp4?start=4", stage, i), nil)
				if err != nil {
					t.Fatal(err)
				}
				group.Go(func() { faults.Do(client, request) })
			}
			for range clients {
				<-began
			}
			time.Sleep(100 * time.Millisecond)
			leave()
			gone := time.Now()
			for range clients {
				select {
				case <-ended:
				case <-time.After(10 * time.Second):
					t.Fatalf("%s: the origin is still asked", stage)
				}
			}
			if took := time.Since(gone); took > time.Second {
				t.Errorf("%s: the origin was asked for %v more", stage, took)
			}
			group.Wait()
		}
		client.CloseIdleConnections()
		after, settled := faults.Settle(t, traefik, before)
		t.Logf("before: %v\nafter:  %v", before, after)
		if !settled {
			t.Error("something of them stays")
		}
	})
}

// TestConnections counts the connections that a hundred seeks in turn need.
func TestConnections(t *testing.T) {
	film := faults.Load(t, "moovlast.mp4")
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		origin := rig.NewOrigin(t, http.HandlerFunc(film.Serve))
		var d rig.Dynamic
		d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
		d.Host("films", origin.URL, "mp4")
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
		for i := range 100 {
			method := []string{"GET", "GET", "GET", "HEAD"}[i%4]
			if got := faults.Ask(t, traefik.Client(), method, fmt.Sprintf("http://films/%d.mp4?start=%d", i/10, i%10)); got.Status != 200 {
				t.Fatalf("%d", got.Status)
			}
		}
		if n, asked := origin.Connections(), len(origin.Take()); n > 3 {
			t.Errorf("%d connections for %d requests", n, asked)
		}
	})
}

// frail breaks each answer off after so many bytes.
type frail struct {
	http.ResponseWriter
	left int
}

func (f *frail) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		_, _ = f.ResponseWriter.Write(p[:len(p)+f.left])
		_ = http.NewResponseController(f.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return f.ResponseWriter.Write(p)
}

// TestResume goes on with a download wherever it broke off, by Range and If-Range, until all of it is there; and begins anew
// where the film has been replaced meanwhile.
func TestResume(t *testing.T) {
	film := faults.Load(t, "bframes.mp4")
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		var replaced, broken atomic.Bool
		origin := rig.NewOrigin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			version := film
			if replaced.Load() {
				version = film.Other()
			}
			if from, _, _ := film.Span(r); broken.Load() && from > 0 {
				w = &frail{w, 15000}
			}
			version.Serve(w, r)
		}))
		var d rig.Dynamic
		d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
		d.Host("films", origin.URL, "mp4")
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
		traefik.AllowLog(`^error: "/film.mp4" `)
		client := traefik.Client()
		const url = "http://films/film.mp4?start=3"
		whole := faults.Ask(t, client, "GET", url)
		replaced.Store(true)
		other := faults.Ask(t, client, "GET", url)
		replaced.Store(false)
		broken.Store(true)

		resume := func(part faults.Answer) (whole []byte, attempts int) {
			body := part.Body
			for attempts = 1; part.Failed != nil && attempts < 100; attempts++ {
				time.Sleep(5 * time.Millisecond)
				tag := part.Header.Get("ETag")
				part = faults.Ask(t, client, "GET", url, "Range", fmt.Sprintf("bytes=%d-", len(body)), "If-Range", tag)
				switch part.Status {
				case 206:
					body = append(body, part.Body...)
				case 200:
					body = part.Body
				default:
					t.Fatalf("resuming at %d: %d, %v", len(body), part.Status, part.Failed)
				}
			}
			return body, attempts
		}
		got, attempts := resume(faults.Ask(t, client, "GET", url))
		if attempts < 5 || sha256.Sum256(got) != sha256.Sum256(whole.Body) {
			t.Errorf("after %d attempts there are %d bytes, not the %d of the whole", attempts, len(got), len(whole.Body))
		}
		half := faults.Ask(t, client, "GET", url)
		if half.Failed == nil {
			t.Fatal("nothing broke")
		}
		replaced.Store(true)
		broken.Store(false)
		if got, _ = resume(half); sha256.Sum256(got) != sha256.Sum256(other.Body) {
			t.Errorf("of a film that was replaced meanwhile there are %d bytes, other than asked for at once", len(got))
		}
	})
}

// TestParallel downloads a cut in eight parts at once, as download managers do, on a first and on a repeated seek.
func TestParallel(t *testing.T) {
	film := faults.Load(t, "moovlast.mp4")
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		origin := rig.NewOrigin(t, http.HandlerFunc(film.Serve))
		var d rig.Dynamic
		d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
		d.Host("films", origin.URL, "mp4")
		traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
		client := traefik.Client()
		whole := faults.Ask(t, client, "GET", "http://films/whole.mp4?start=1.5")
		for _, seek := range []string{"first", "repeated"} {
			origin.Take()
			const parts = 8
			size := (len(whole.Body) + parts - 1) / parts
			var group sync.WaitGroup
			answers := make([]faults.Answer, parts)
			for i := range answers {
				group.Go(func() {
					answers[i] = faults.Ask(t, client, "GET", "http://films/parts.mp4?start=1.5", "Range", fmt.Sprintf("bytes=%d-%d", i*size, (i+1)*size-1))
				})
			}
			group.Wait()
			var body []byte
			for i, part := range answers {
				begin := fmt.Sprintf("bytes %d-", i*size)
				if part.Status != 206 || part.Failed != nil || !strings.HasPrefix(part.Header.Get("Content-Range"), begin) || part.Header.Get("ETag") != whole.Header.Get("ETag") {
					t.Errorf("%s seek, part %d: %d %v %v", seek, i, part.Status, part.Header, part.Failed)
				}
				body = append(body, part.Body...)
			}
			if !bytes.Equal(body, whole.Body) {
				t.Errorf("%s seek: the parts are not the whole", seek)
			}
			read := 0
			for _, request := range origin.Take() {
				if request.Header.Get("Range") == "bytes=0-16383" {
					read++
				}
			}
			if first := map[string]int{"first": 1, "repeated": 0}; read != first[seek] {
				t.Errorf("%s seek: the index was read %d times", seek, read)
			}
		}
	})
}
