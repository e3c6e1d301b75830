package faults

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// Watched is static configuration that lets Measure look inside of Traefik, and lets it close idle connections to origins.
var Watched = rig.Map{
	"api":              rig.Map{"debug": true, "dashboard": false},
	"serversTransport": rig.Map{"forwardingTimeouts": rig.Map{"idleConnTimeout": "1s"}},
}

// Watch adds the router that Measure asks, at the host "debug".
func Watch(d *rig.Dynamic) {
	d.Route("debug", rig.Router{Rule: "Host(`debug`)", Service: "api@internal"})
}

// Vitals are what a Traefik holds.
type Vitals struct {
	Goroutines, Descriptors int
	Heap, RSS               int64 // bytes
}

func (v Vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, heap %.1f MB, RSS %.1f MB", v.Goroutines, v.Descriptors, float64(v.Heap)/1e6, float64(v.RSS)/1e6)
}

// Measure collects garbage in Traefik, closes the client's idle connections and takes the vitals. It collects twice: what
// lies in a pool, as the proxies' buffers do, survives the first time, and what hangs on something with a finalizer may
// survive the second.
func Measure(tb testing.TB, traefik *rig.Traefik) Vitals {
	tb.Helper()
	var v Vitals
	client := traefik.Client()
	defer client.CloseIdleConnections()
	var heap string
	for range 2 {
		heap = inspect(tb, client, "/debug/pprof/heap?gc=1&debug=1")
	}
	goroutines := inspect(tb, client, "/debug/pprof/goroutine?debug=1")
	if _, err := fmt.Sscanf(goroutines, "goroutine profile: total %d", &v.Goroutines); err != nil {
		tb.Fatalf("%.100s: %v", goroutines, err)
	}
	// Read before the profile is written, which takes megabytes of its own, the more the longer Traefik has run.
	_, after, _ := strings.Cut(heap, "# HeapAlloc = ")
	if _, err := fmt.Sscan(after, &v.Heap); err != nil {
		tb.Fatalf("no HeapAlloc in the heap's profile: %v", err)
	}
	v.RSS = RSS(tb, traefik)
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", traefik.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	v.Descriptors = len(descriptors)
	return v
}

// RSS is the memory of the process.
func RSS(tb testing.TB, traefik *rig.Traefik) int64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", traefik.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kilobytes << 10
}

// Settle measures until goroutines, descriptors and, where before has one, the heap are down to those of before, give or
// take the few that Traefik itself comes and goes with, for half a minute at most.
func Settle(tb testing.TB, traefik *rig.Traefik, before Vitals) (after Vitals, settled bool) {
	tb.Helper()
	const slack, heapSlack = 4, 4 << 20
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		after = Measure(tb, traefik)
		heapSettled := before.Heap == 0 || after.Heap <= before.Heap+heapSlack
		if after.Goroutines <= before.Goroutines+slack && after.Descriptors <= before.Descriptors+slack && heapSettled {
			return after, true
		}
		if time.Now().After(deadline) {
			return after, false
		}
	}
}

func inspect(tb testing.TB, client *http.Client, path string) string {
	tb.Helper()
	response, err := client.Get("http://debug" + path)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %d %v", path, response.StatusCode, err)
	}
	return string(text)
}
