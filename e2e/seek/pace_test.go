package seek

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// newPacedStage is a Traefik before the film of a minute, with the plugin's options by host.
func newPacedStage(t *testing.T, fastProxy bool, hosts map[string]rig.Map) (*rig.Traefik, *rig.Origin) {
	t.Helper()
	dir := t.TempDir()
	copyRecipe(t, dir, minute)
	origin := rig.FileServer(t, dir)
	var d rig.Dynamic
	for host, options := range hosts {
		d.Plugin(host, options)
		d.Host(host, origin.URL, host)
	}
	return rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d}), origin
}

// patient is a client without a time limit.
func patient(traefik *rig.Traefik) *http.Client {
	client := traefik.Client()
	client.Timeout = 0
	return client
}

// progress is how much of an answer had come, and when.
type progress struct {
	at    time.Duration
	bytes int64
}

// download reads an answer to its end and tells how it came, from the status on. It reads at no more than that rate in
// bytes a second, if one is given.
func download(ctx context.Context, client *http.Client, url string, rate float64, header ...string) ([]progress, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return nil, errors.New(response.Status)
	}
	began := time.Now()
	came := []progress{{}}
	buffer := make([]byte, 64<<10)
	for {
		n, err := response.Body.Read(buffer)
		if n > 0 {
			came = append(came, progress{time.Since(began), came[len(came)-1].bytes + int64(n)})
		}
		if err == io.EOF {
			return came, nil
		}
		if err != nil {
			return came, err
		}
		if rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(float64(came[len(came)-1].bytes) / rate * 1e9))))
		}
	}
}

// pace is an answer that is held against the clock.
type pace struct {
	name  string
	query string
	lasts float64 // seconds of film in the whole answer
	after float64 // and of what comes at once
	skip  float64 // part of the answer that a Range leaves out at its beginning
}

var paces = []pace{
	{"a cut", "?start=30", 30, 0, 0},
	{"a cut, two seconds at once", "?start=30", 30, 2, 0},
	{"a plain request, ten seconds at once", "", 60, 10, 0}, // answered by faststart
	{"a range of a plain request", "", 60, 0, 0.5},
	{"a range of a cut, two seconds at once", "?start=20", 40, 2, 0.75},
}

// TestPace holds answers against the clock, at factors that make each last ten seconds: how long all of it takes may be
// off by one part in twenty, and what has come by each second by as much of the whole.
func TestPace(t *testing.T) { testPace(t, 10) }

// TestFullPace is TestPace over a minute.
func TestFullPace(t *testing.T) { testPace(t, 60) }

func testPace(t *testing.T, seconds float64) {
	hosts := map[string]rig.Map{}
	for i, p := range paces {
		factor := (p.lasts*(1-p.skip) - p.after) / seconds
		hosts[fmt.Sprintf("host%d", i)] = rig.Map{"limitRate": factor, "limitRateAfter": fmt.Sprintf("%gs", p.after), "faststart": true}
	}
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		traefik, _ := newPacedStage(t, fastProxy, hosts)
		client := patient(traefik)
		var all sync.WaitGroup
		for i, p := range paces {
			all.Go(func() { p.hold(t, client, fmt.Sprintf("http://host%d/minute.mp4", i), seconds) })
		}
		all.Wait()
	})
}

func (p pace) hold(t *testing.T, client *http.Client, url string, seconds float64) {
	url += p.query
	response, err := client.Head(url)
	if err != nil {
		t.Error(err)
		return
	}
	response.Body.Close()
	whole := float64(response.ContentLength)
	var header []string
	if p.skip > 0 {
		header = []string{"Range", fmt.Sprintf("bytes=%.0f-", whole*p.skip)}
	}
	came, err := download(t.Context(), client, url, 0, header...)
	if err != nil {
		t.Errorf("%s: %v", p.name, err)
		return
	}
	last := came[len(came)-1]
	t.Logf("%s: %.2f MB in %.3f s, want %.3f s", p.name, float64(last.bytes)/1e6, last.at.Seconds(), seconds)
	if sent := whole * (1 - p.skip); math.Abs(float64(last.bytes)-sent) > 1 {
		t.Errorf("%s: %d bytes, not %.0f", p.name, last.bytes, sent)
	}
	if off := last.at.Seconds()/seconds - 1; math.Abs(off) > 0.05 {
		t.Errorf("%s: it took %.3f s, not %.3f s", p.name, last.at.Seconds(), seconds)
	}
	free := whole * p.after / p.lasts
	for second := 1.0; second < seconds; second++ {
		next := sort.Search(len(came), func(i int) bool { return came[i].at.Seconds() > second })
		got := float64(came[next-1].bytes)
		due := free + (float64(last.bytes)-free)*second/seconds
		if math.Abs(got-due) > 0.05*float64(last.bytes) {
			t.Errorf("%s: after %.0f s %.2f MB had come, not %.2f MB", p.name, second, got/1e6, due/1e6)
		}
	}
}

// TestPaceGone: the origin's answer to a paced client is broken off as soon as that client has gone.
func TestPaceGone(t *testing.T) {
	eachProxy(t, func(t *testing.T, fastProxy bool) {
		traefik, origin := newPacedStage(t, fastProxy, map[string]rig.Map{"slow": {"limitRate": 0.05, "limitRateAfter": 1}})
		client := traefik.Client()
		ask(t, client, "HEAD", "http://slow/minute.mp4?start=1")
		origin.Take()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answered := make(chan error)
		go func() {
			_, err := download(ctx, client, "http://slow/minute.mp4?start=1", 0)
			answered <- err
		}()
		// Meanwhile the film is on its way from the origin, which has to wait.
		time.Sleep(time.Second)
		if asked := origin.InFlight(); asked != 1 {
			t.Fatalf("%d requests of the origin's are under way", asked)
		}
		cancel()
		gone := time.Now()
		err := <-answered
		requests := origin.Take() // waits for those in flight
		took := time.Since(gone)
		t.Logf("the origin's answer ended %v after the client had gone", took)
		if err == nil || len(requests) != 1 || requests[0].Bytes > 20e6 || took > 500*time.Millisecond {
			t.Errorf("%v: the origin's %d answers ended %v after the client had gone", err, len(requests), took)
		}
	})
}

// TestPacedClients measures what 200 paced clients cost Traefik in CPU time and memory, beside 200 that the plugin has
// nothing to do with and that read no faster of their own accord.
func TestPacedClients(t *testing.T) {
	const clients = 200
	hosts := map[string]rig.Map{"paced": {"limitRate": 1, "limitRateAfter": 0}, "unpaced": {}}
	traefik, _ := newPacedStage(t, false, hosts)
	paced := crowd(t, traefik, clients, "http://paced/minute.mp4?start=30", 0)
	traefik, _ = newPacedStage(t, false, hosts) // another, since a process does not give memory back at once
	unpaced := crowd(t, traefik, clients, "http://unpaced/minute.mp4", paced.rate)
	t.Logf("%d paced clients        %s", clients, paced)
	t.Logf("%d that read as slowly  %s", clients, unpaced)
	if paced.rate < 450e3 || paced.rate > 570e3 {
		t.Errorf("they get %.0f kB/s each, not 516", paced.rate/1000)
	}
	if paced.cores > 1 {
		t.Errorf("they take %.2f cores", paced.cores)
	}
	if paced.memory > 1<<20 {
		t.Errorf("they hold %.0f kB each", paced.memory/1000)
	}
}

// cost is what clients cost Traefik; memory is that of one.
type cost struct{ rate, cores, memory float64 }

func (c cost) String() string {
	return fmt.Sprintf("at %.0f kB/s each: %.0f %% of a core, %.0f kB of memory each", c.rate/1000, 100*c.cores, c.memory/1000)
}

// crowd lets so many clients ask for the same, for six seconds. They read at no more than that rate, if one is given.
func crowd(t *testing.T, traefik *rig.Traefik, clients int, url string, rate float64) cost {
	t.Helper()
	const seconds = 5
	client := patient(traefik)
	defer client.CloseIdleConnections()
	ask(t, client, "HEAD", url)
	idle := usage(t, traefik.Pid())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mutex sync.Mutex
	var rates float64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			came, err := download(ctx, client, url, rate)
			if ctx.Err() == nil {
				t.Errorf("an answer of half a minute ended: %v", err)
				return
			}
			if len(came) == 0 {
				t.Errorf("nothing came within %d seconds", seconds+1)
				return
			}
			last := came[len(came)-1]
			mutex.Lock()
			defer mutex.Unlock()
			rates += float64(last.bytes) / last.at.Seconds()
		})
	}
	time.Sleep(time.Second) // all are there
	before := usage(t, traefik.Pid())
	time.Sleep(seconds * time.Second)
	after := usage(t, traefik.Pid())
	cancel()
	all.Wait()
	return cost{
		rate:   rates / float64(clients),
		cores:  (after.cpu - before.cpu).Seconds() / seconds,
		memory: float64(after.rss-idle.rss) / float64(clients),
	}
}

// used is what a process has used.
type used struct {
	cpu time.Duration
	rss int64
}

func usage(t *testing.T, pid int) used {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The second field, the name in parentheses, may hold anything. Of the rest 12 and 13 are user and system time in
	// hundredths of a second, 22 pages of memory.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var numbers [3]int64
	for i, k := range []int{11, 12, 21} {
		if numbers[i], err = strconv.ParseInt(fields[k], 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return used{time.Duration(numbers[0]+numbers[1]) * 10 * time.Millisecond, numbers[2] * int64(os.Getpagesize())}
}
