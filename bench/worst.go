package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// worst is the first seek in a film that was made to be costly.
type worst struct {
	Shows     string    `json:"shows"`
	MoovBytes int64     `json:"moovBytes"`
	Moov      quartiles `json:"moovMs"`
	Longest   float64   `json:"longestMs"`
	Failed    string    `json:"failed,omitempty"`
	// Other requests, for a file that the plugin does not touch, two hundred a second: while nothing else is asked for,
	// and beside one such seek after the other.
	Alone  latency `json:"alone"`
	Beside latency `json:"beside"`
}

type latency struct {
	Median float64 `json:"medianMs"`
	P99    float64 `json:"p99Ms"`
}

// patience is how long a costly seek is waited for.
const patience = 5 * time.Second

// measureWorst has a Traefik of its own for every film, with the plugin's default options: what takes too long may go on
// when the client has gone.
func measureWorst(ctx context.Context, plugin, dir string, rounds int, n *nginx) ([]worst, error) {
	var all []worst
	for _, c := range costlies {
		progress("worst cases: " + c.shows)
		w, err := measureCostly(ctx, plugin, dir, rounds, n, c)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

func measureCostly(ctx context.Context, plugin, dir string, rounds int, n *nginx, c costly) (worst, error) {
	w := worst{Shows: c.shows}
	f, err := c.write(dir)
	if err != nil {
		return w, err
	}
	defer os.Remove(filepath.Join(dir, f.Name))
	w.MoovBytes = f.MoovBytes
	t, err := startTraefik(ctx, plugin, n, dir, nil)
	if err != nil {
		return w, err
	}
	defer t.Stop()
	w.Alone = watchNeighbors(t, nil)
	fresh := &hosts{}
	seek := func() error {
		_, err := get(request{address: t.Address("web"), host: fresh.next(viaPlugin), path: startPath(f, c.start), patience: patience})
		return err
	}
	var times []float64
	for range rounds {
		began := time.Now()
		err := seek()
		times = append(times, ms(time.Since(began)))
		if err != nil {
			w.Failed = err.Error()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				w.Failed = "given up"
			}
			break
		}
		settle()
	}
	w.Moov, w.Longest = quartilesOf(times), significant(percentile(times, 100))
	w.Beside = watchNeighbors(t, func() { seek() })
	return w, nil
}

// watchNeighbors asks for the small file at a steady pace, while load is done over and over.
func watchNeighbors(t *rig.Traefik, load func()) latency {
	const (
		pace = 5 * time.Millisecond
		n    = 400
	)
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(done)
	if load != nil {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					load()
				}
			}
		})
	}
	times := make([]float64, n)
	var asked sync.WaitGroup
	begin := time.Now()
	for i := range n {
		due := begin.Add(time.Duration(i) * pace)
		time.Sleep(time.Until(due))
		asked.Go(func() {
			// From when the request was due: a late start is the load's doing, too. One that fails has waited for long.
			get(request{address: t.Address("web"), host: "any." + viaPlugin, path: "/" + small, bytes: everything, patience: patience})
			times[i] = ms(time.Since(due))
		})
	}
	asked.Wait()
	return latency{significant(percentile(times, 50)), significant(percentile(times, 99))}
}
