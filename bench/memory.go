package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// memory is what seeks cost a Traefik of their own, with the plugin's default options. Megabytes are 1,000,000 bytes.
type memory struct {
	Film        film          `json:"film"`
	Rest        float64       `json:"restMB"`
	First       []concurrent  `json:"first"`
	Repeated    []concurrent  `json:"repeated"`
	Allocations []allocations `json:"allocations"`
}

// concurrent is Traefik's resident memory with so many seeks at once, each of which holds still when it has its moov.
type concurrent struct {
	Seeks int     `json:"seeks"`
	Peak  float64 `json:"peakMB"` // meanwhile
	Held  float64 `json:"heldMB"` // when all hold still
}

// allocations are per seek, all of Traefik's included.
type allocations struct {
	What    string  `json:"what"`
	Objects float64 `json:"objects"`
	MB      float64 `json:"MB"`
}

func measureMemory(ctx context.Context, plugin string, f film, n *nginx) (memory, error) {
	m := memory{Film: f}
	fresh := &hosts{}
	for _, known := range []bool{false, true} {
		t, err := startTraefik(ctx, plugin, n, f.folder, nil)
		if err != nil {
			return m, err
		}
		defer t.Stop()
		// At rest it has answered something, and collected its garbage.
		if _, err := get(request{address: t.Address("web"), host: "any." + viaNothing, path: "/" + small, bytes: everything}); err != nil {
			return m, err
		}
		time.Sleep(time.Second)
		if m.Rest, err = status(t.Pid(), "VmRSS"); err != nil {
			return m, err
		}
		host := func() string { return fresh.next(viaPlugin) }
		into := &m.First
		if known {
			host, into = func() string { return "known." + viaPlugin }, &m.Repeated
			if _, err := get(request{address: t.Address("web"), host: host(), path: startPath(f, 1)}); err != nil {
				return m, err
			}
		}
		for _, seeks := range []int{1, 10, 100} {
			c, err := measureConcurrent(t, f, seeks, host)
			if err != nil {
				return m, err
			}
			*into = append(*into, c)
		}
		if !known {
			continue
		}
		plain := request{host: "any." + viaNothing, path: "/" + f.Name, bytes: f.MoovBytes}
		for _, one := range []struct {
			what string
			r    func(i int) request
		}{
			{"first seek", func(i int) request {
				return request{host: fresh.next(viaPlugin), path: startPath(f, start(i, f))}
			}},
			{"seek to another place", func(i int) request { return request{host: host(), path: startPath(f, start(i, f))} }},
			{"the same seek again", func(int) request { return request{host: host(), path: startPath(f, start(1, f))} }},
			{"repeated seek below root", func(i int) request {
				return request{host: "any." + viaRoot, path: startPath(f, start(i, f))}
			}},
			{"nginx behind Traefik", func(i int) request {
				return request{host: "any." + viaNginx, path: startPath(f, start(i, f))}
			}},
			{"plain file", func(int) request { return plain }},
		} {
			a, err := measureAllocations(ctx, t, one.what, one.r)
			if err != nil {
				return m, err
			}
			m.Allocations = append(m.Allocations, a)
		}
	}
	return m, nil
}

func measureConcurrent(t *rig.Traefik, f film, seeks int, host func() string) (concurrent, error) {
	// 5 sets the peak back (proc(5), clear_refs).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", t.Pid()), []byte("5"), 0); err != nil {
		return concurrent{}, err
	}
	opened := make([]*seek, seeks)
	errs := make([]error, seeks)
	var wg sync.WaitGroup
	for i := range seeks {
		r := request{address: t.Address("web"), host: host(), path: startPath(f, start(i, f))}
		wg.Go(func() { opened[i], errs[i] = open(r) })
	}
	wg.Wait()
	defer func() {
		for _, s := range opened {
			if s != nil {
				s.Close()
			}
		}
		time.Sleep(200 * time.Millisecond)
	}()
	if err := errors.Join(errs...); err != nil {
		return concurrent{}, err
	}
	held, err := status(t.Pid(), "VmRSS")
	if err != nil {
		return concurrent{}, err
	}
	peak, err := status(t.Pid(), "VmHWM")
	return concurrent{seeks, peak, held}, err
}

// status reads a size from a process's status, in megabytes.
func status(pid int, name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("no %s in the status of process %d", name, pid)
	}
	kB, err := strconv.ParseFloat(string(found[1]), 64)
	return significant(kB * 1024 / 1e6), err
}

func measureAllocations(ctx context.Context, t *rig.Traefik, what string, next func(i int) request) (allocations, error) {
	const seeks = 20
	first := next(0) // not counted: what only the first of its kind costs
	first.address = t.Address("web")
	if _, err := get(first); err != nil {
		return allocations{}, err
	}
	before, err := memStats(ctx, t)
	if err != nil {
		return allocations{}, err
	}
	for i := range seeks {
		r := next(i + 1)
		r.address = t.Address("web")
		if _, err := get(r); err != nil {
			return allocations{}, err
		}
		settle()
	}
	after, err := memStats(ctx, t)
	return allocations{
		What:    what,
		Objects: significant((after.Mallocs - before.Mallocs) / seeks),
		MB:      significant((after.TotalAlloc - before.TotalAlloc) / seeks / 1e6),
	}, err
}

type memoryStatistics struct{ Mallocs, TotalAlloc float64 }

func memStats(ctx context.Context, t *rig.Traefik) (memoryStatistics, error) {
	response, err := debug(ctx, t, "/vars")
	if err != nil {
		return memoryStatistics{}, err
	}
	defer response.Body.Close()
	var page struct {
		MemStats memoryStatistics `json:"memstats"`
	}
	err = json.NewDecoder(response.Body).Decode(&page)
	return page.MemStats, err
}
