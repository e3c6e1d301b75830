package faults_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestHostileFiles asks for cuts of some thousands of hostile files, in each mode in turn, from an origin and below root in
// turn: each is answered within a second, with a cut or an error, and without a panic, even one that was caught. The boxes of a
// cut hold together, except that bad boxes behind those that a fragmented cut changes come as they are.
func TestHostileFiles(t *testing.T) {
	var files []faults.Hostile
	for name, each := range map[string]int{"bframes.mp4": 1, "moovlast.mp4": 7, "fragments.mp4": 5, "dash.mp4": 11, "hybrid.mp4": 11} {
		for i, file := range faults.Mangle(faults.Load(t, name).Bytes) {
			if i%each == 0 {
				files = append(files, faults.Hostile{Name: name + ": " + file.Name, Bytes: file.Bytes})
			}
		}
	}
	const tries = 1_000_000 // what a further try, under a name that no cache knows, adds to a file's number
	dir := t.TempDir()
	origin := rig.NewOrigin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d.mp4", &i); err != nil {
			http.NotFound(w, r)
			return
		}
		faults.Film{Bytes: files[i%tries].Bytes, Tag: fmt.Sprintf(`"%d"`, i)}.Serve(w, r)
	}))
	var d rig.Dynamic
	var hosts []string
	for _, seek := range []string{"exact", "keyframe", "sample"} {
		d.Plugin(seek, rig.Map{"seek": seek, "bufferSize": "64k"})
		d.Plugin(seek+"-root", rig.Map{"seek": seek, "root": dir})
		for _, host := range []string{seek, seek + "-root"} {
			d.Host(host, origin.URL, host)
			hosts = append(hosts, host)
		}
	}
	traefik := rig.Start(t, rig.Config{Dynamic: d, LogLevel: "ERROR"})
	traefik.AllowLog(`^error: "/\d+.mp4" `)
	client := traefik.Client()

	// seek asks for a cut of a file and tells what is wrong with the answer.
	count := map[int]int{}
	var slow []string
	var mutex sync.Mutex
	seek := func(i, try int) (took time.Duration, err error) {
		host, name := hosts[i%len(hosts)], fmt.Sprintf("%d.mp4", i+try*tries)
		if strings.HasSuffix(host, "-root") {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, files[i].Bytes, 0o644); err != nil {
				return 0, err
			}
			defer os.Remove(path)
		}
		begin := time.Now()
		got := faults.Ask(t, client, "GET", fmt.Sprintf("http://%s/%s?start=2.5&end=6.5", host, name))
		took = time.Since(begin)
		mutex.Lock()
		count[got.Status]++
		slow = append(slow, fmt.Sprintf("%8.3f s %s", took.Seconds(), files[i].Name))
		mutex.Unlock()
		switch {
		case got.Failed != nil:
			return took, fmt.Errorf("%d, %v", got.Status, got.Failed)
		case got.Status == 200 && len(got.Body) != len(files[i].Bytes) && !strings.Contains(string(files[i].Bytes), "moof"):
			return took, whole(got.Body)
		case got.Status != 200 && got.Status != 404 && got.Status != 500 && got.Status != 502:
			return took, fmt.Errorf("%d", got.Status)
		}
		return took, nil
	}
	var alone sync.RWMutex
	check := func(i int) error {
		alone.RLock()
		took, err := seek(i, 0)
		alone.RUnlock()
		if err != nil || took < time.Second {
			return err
		}
		// Was it the file, or is the machine busy? Then it is what Traefik needs of a processor that counts.
		alone.Lock()
		defer alone.Unlock()
		before := processorTime(t, traefik)
		again, err := seek(i, 1)
		if used := processorTime(t, traefik) - before; err == nil && min(again, used) > time.Second {
			return fmt.Errorf("answered after %v, and after %v, for %v of a processor", took, again, used)
		}
		return err
	}
	var group sync.WaitGroup
	work := make(chan int)
	for range 2 {
		group.Go(func() {
			for i := range work {
				if err := check(i); err != nil {
					t.Errorf("%d, %s, %s: %v", i, hosts[i%len(hosts)], files[i].Name, err)
				}
			}
		})
	}
	begin := time.Now()
	for i := range files {
		work <- i
	}
	close(work)
	group.Wait()
	sort.Sort(sort.Reverse(sort.StringSlice(slow)))
	t.Logf("%d files in %v: %v; the slowest:\n%s", len(files), time.Since(begin).Round(time.Second), count, strings.Join(slow[:min(12, len(slow))], "\n"))
	for _, line := range strings.Split(traefik.Log(), "\n") {
		if strings.Contains(line, "panic") {
			var i int
			if _, err := fmt.Sscanf(line, `error: "/%d.mp4"`, &i); err == nil {
				line = files[i%tries].Name + ": " + line
			}
			t.Error(line)
		}
	}
	if count[200] == 0 || count[500] == 0 {
		t.Errorf("the answers are %v", count)
	}
}

// processorTime is what the process has used so far.
func processorTime(t *testing.T, traefik *rig.Traefik) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", traefik.Pid()))
	if err != nil {
		t.Error(err)
		return 0
	}
	// Behind the name, in hundredths of a second (proc(5): utime and stime are the 14th and 15th field).
	var user, system int64
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Error(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// whole tells whether a file is made of boxes to its last byte.
func whole(file []byte) error {
	for at := uint64(0); at < uint64(len(file)); {
		rest := file[at:]
		if len(rest) < 8 {
			return fmt.Errorf("%d bytes behind the last box", len(rest))
		}
		size := uint64(binary.BigEndian.Uint32(rest))
		if size == 1 && len(rest) >= 16 {
			size = binary.BigEndian.Uint64(rest[8:])
		}
		if size < 8 || size > uint64(len(rest)) {
			return fmt.Errorf("a box %q of %d bytes, of which there are %d", rest[4:8], size, len(rest))
		}
		at += size
	}
	return nil
}
