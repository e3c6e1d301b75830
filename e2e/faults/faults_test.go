// Package faults_test proves that origins and clients that lie, break and change get an honest answer, and harm nothing.
package faults_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// eachProxy runs a test under both of Traefik's proxies.
func eachProxy(t *testing.T, test func(t *testing.T, fastProxy bool)) {
	t.Run("httputil", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("fastProxy", func(t *testing.T) { t.Parallel(); test(t, true) })
}

// bad is an origin that has one film at every address. Told so, it answers with a fault; it can spare what is not for media.
type bad struct {
	film  faults.Film
	mutex sync.Mutex
	fault map[string]faults.Fault // by path
	spare map[string]bool
}

func (b *bad) do(path, fault string, spare bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.fault[path], b.spare[path] = faults.Find(fault), spare
}

func (b *bad) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mutex.Lock()
	fault, faulty := b.fault[r.URL.Path]
	spare := b.spare[r.URL.Path]
	b.mutex.Unlock()
	from, to := b.film.Media()
	if begin, _, _ := b.film.Span(r); !faulty || spare && (begin < from || begin >= to) {
		b.film.Serve(w, r)
		return
	}
	fault.Answer(w, r, b.film)
}

// Outcomes of a request. "!" before one means that the plugin's log says why.
const (
	theCut  = "the cut"
	another = "the other's cut"
	film    = "the whole film"
	broken  = "broken off"
	page    = "the page"
	empty   = "nothing"
)

// expected is what becomes of a first seek with every answer wrong, of one with wrong answers for the media only, and of a
// repeated seek.
type expected struct{ first, media, repeated string }

var outcomes = []struct {
	fault string
	expected
	last *expected // of a film whose moov comes last, where that is something else
}{
	{"ignores Range", expected{theCut, theCut, theCut}, nil},
	{"ignores Range, chunked", expected{theCut, theCut, theCut}, nil},
	{"ignores Range, chunked, closed in mid-body", expected{"!" + broken, theCut, "!" + broken}, &expected{"!500", theCut, "!500"}},
	{"HTTP/1.0", expected{theCut, theCut, theCut}, nil},
	{"HTTP/1.0 without length or Range", expected{theCut, theCut, theCut}, nil},
	{"drips", expected{theCut, theCut, theCut}, nil},
	{"early hints", expected{theCut, theCut, theCut}, nil},
	{"206 chunked", expected{theCut, theCut, theCut}, nil},
	{"206 chunked, closed in mid-body", expected{"!502", "!" + broken, "!" + broken}, nil},
	{"206 without total length", expected{theCut, theCut, theCut}, nil},
	{"206 without Content-Range", expected{"!502", "!502", "!502"}, nil},
	{"206 of several parts", expected{"!502", "!502", "!502"}, nil},
	{"206 of another place", expected{"!502", "!502", "!502"}, nil},
	{"206 of more", expected{"!502", "!502", "!502"}, nil},
	{"206 of less", expected{theCut, theCut, theCut}, nil},
	{"206 of less, without total length", expected{theCut, theCut, theCut}, nil},
	{"206 with more than it says", expected{theCut, theCut, theCut}, nil},
	{"206 with less than it says", expected{"!502", "!" + broken, "!" + broken}, nil},
	{"206 of a longer file", expected{theCut, theCut, theCut}, nil}, // all bytes of the cut come
	{"206 of a shorter file", expected{"!500", theCut, "!500"}, nil},
	{"206 without validators", expected{theCut, theCut, theCut}, nil},
	{"416", expected{theCut, theCut, theCut}, nil},
	{"416 to a range past the end", expected{theCut, theCut, theCut}, nil},
	{"416 to a range past the end, without length", expected{theCut, theCut, theCut}, nil},
	{"Content-Encoding that is no coding", expected{theCut, theCut, theCut}, nil},
	{"Content-Encoding in spite of identity", expected{"!502", "!502", "!502"}, nil},
	{"redirect", expected{"302", film, "302"}, nil},
	{"no content", expected{"204", film, "204"}, nil},
	{"401", expected{"401", "401", "401"}, nil},
	{"403", expected{"403", "403", "403"}, nil},
	{"404", expected{"404", "404", "404"}, nil},
	{"429", expected{"429", "429", "429"}, nil},
	{"500", expected{"500", "500", "500"}, nil},
	{"503", expected{"503", "503", "503"}, nil},
	{"404, closed in mid-body", expected{"!" + broken, "!" + broken, "!" + broken}, nil},
	{"HTML", expected{page, theCut, page}, nil},
	{"HTML, Range ignored", expected{page, theCut, page}, nil},
	{"empty", expected{empty, theCut, empty}, nil},
	{"no HTTP", expected{"500", "500", "500"}, nil},
	{"closed before the answer", expected{"502", "502", "502"}, nil},
	{"reset before the answer", expected{"502", "502", "502"}, nil},
	{"closed in mid-body", expected{"!502", "!" + broken, "!" + broken}, nil},
	{"reset in mid-body", expected{"!502", "!" + broken, "!" + broken}, nil},
	{"another version", expected{another, theCut, another}, nil},
	{"replicas with different tags", expected{theCut, theCut, theCut}, nil},
}

// TestFaults asks for a cut while the origin does all that origins do, and prints what became of it.
func TestFaults(t *testing.T) {
	if len(outcomes) != len(faults.Faults) {
		t.Errorf("there are %d faults, and outcomes of %d", len(faults.Faults), len(outcomes))
	}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		for _, name := range []string{"bframes.mp4", "moovlast.mp4"} {
			origin := &bad{film: faults.Load(t, name), fault: map[string]faults.Fault{}, spare: map[string]bool{}}
			var d rig.Dynamic
			d.Plugin("mp4", rig.Map{"bufferSize": "16k"})
			d.Host("films", rig.NewOrigin(t, origin).URL, "mp4")
			traefik := rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
			traefik.AllowLog(`^error: "/[a-z]+/`)
			client := traefik.Client()
			client.Timeout = 20 * time.Second
			const query = "?start=2.5&end=6.5"

			known := map[string]string{"": empty, faults.Page: page, string(origin.film.Bytes): film}
			for outcome, version := range map[string]faults.Film{theCut: origin.film, another: origin.film.Other()} {
				of := &bad{film: version}
				d.Host("reference", rig.NewOrigin(t, of).URL, "mp4")
				if err := traefik.SetDynamic(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				got := faults.Ask(t, client, "GET", "http://reference/"+outcome+".mp4"+query)
				if err := parser.Check(got.Body); err != nil || got.Status != 200 {
					t.Fatalf("%s: %d, %v", name, got.Status, err)
				}
				known[string(got.Body)] = outcome
			}

			got := map[string]string{} // by path
			for i, row := range outcomes {
				if fastProxy && faults.Find(row.fault).Hangs {
					continue
				}
				for _, when := range []string{"first", "media", "repeated"} {
					path := fmt.Sprintf("/%s/%d.mp4", when, i)
					if when == "repeated" {
						faults.Ask(t, client, "GET", "http://films"+path+query)
					}
					origin.do(path, row.fault, when == "media")
					time.Sleep(5 * time.Millisecond) // the fast proxy shall see which connections are closed
					answer := faults.Ask(t, client, "GET", "http://films"+path+query)
					got[path] = judge(answer, known)
					if from := answer.Header.Get("X-Fault"); from != "" && (answer.Header.Get("WWW-Authenticate") != "Basic" || answer.Header.Get("Retry-After") != "7") {
						t.Errorf("%s, %s, %s: relayed without its headers: %v", name, row.fault, when, answer.Header)
					}
				}
			}

			faults.Ask(t, client, "GET", "http://films/last/last.mp4"+query)
			origin.do("/last/last.mp4", "closed in mid-body", false)
			faults.Ask(t, client, "GET", "http://films/last/last.mp4"+query)
			traefik.AwaitLog(t, "/last/last.mp4") // and before it, whatever else was logged
			log := traefik.Log()
			var table strings.Builder
			fmt.Fprintf(&table, "%s\n%-44s %-16s %-16s %-16s\n", name, "the origin", "first seek", "its media", "repeated seek")
			for i, row := range outcomes {
				want := row.expected
				if row.last != nil && name == "moovlast.mp4" {
					want = *row.last
				}
				fmt.Fprintf(&table, "%-44s", row.fault)
				for when, want := range map[string]string{"first": want.first, "media": want.media, "repeated": want.repeated} {
					path := fmt.Sprintf("/%s/%d.mp4", when, i)
					outcome, asked := got[path]
					if !asked {
						continue
					}
					if strings.Contains(log, `error: "`+path+`" `) {
						outcome = "!" + outcome
					}
					got[path] = outcome
					// A reset may overtake the answer, and the fast proxy may take a connection that the origin is closing
					// after an earlier one: then Traefik says 502.
					tolerated := outcome == "502" && (row.fault == "reset in mid-body" || fastProxy)
					if outcome != want && !tolerated {
						t.Errorf("%s, %s, %s: %s, not %s", name, row.fault, when, outcome, want)
					}
				}
				for _, when := range []string{"first", "media", "repeated"} {
					fmt.Fprintf(&table, " %-16s", got[fmt.Sprintf("/%s/%d.mp4", when, i)])
				}
				fmt.Fprintln(&table)
			}
			t.Log(table.String())
		}
	})
}

// judge names what the client has got.
func judge(got faults.Answer, cuts map[string]string) string {
	switch {
	case got.Failed != nil && strings.Contains(got.Failed.Error(), "Timeout"):
		return "HANGS"
	case got.Failed != nil:
		return broken
	case got.Status != http.StatusOK:
		return fmt.Sprint(got.Status)
	}
	if cut := cuts[string(got.Body)]; cut != "" {
		return cut
	}
	return fmt.Sprintf("%d WRONG BYTES %q", len(got.Body), bytes.TrimSpace(got.Body[:min(40, len(got.Body))]))
}
