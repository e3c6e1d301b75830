package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// share is a part of a profile.
type share struct {
	Name string  `json:"name"`
	Part float64 `json:"part"`
}

// cpuProfile is where Traefik's processor time goes while it is asked for one kind of seek over and over.
type cpuProfile struct {
	Seeks     int     `json:"seeks"`
	PerSeek   float64 `json:"cpuMsPerSeek"`
	Kinds     []share `json:"kinds"`     // each sample by the kind of work its innermost function does
	Functions []share `json:"functions"` // the innermost functions themselves
	Called    []share `json:"called"`    // the standard library's functions that the interpreter calls, with all below them
}

// profileSeeks takes a profile of Traefik from its debug pages.
func profileSeeks(ctx context.Context, t *rig.Traefik, f film, host func() string) (cpuProfile, error) {
	const seconds = 5
	type result struct {
		profile *profile.Profile
		err     error
	}
	done := make(chan result)
	go func() {
		response, err := debug(ctx, t, fmt.Sprintf("/pprof/profile?seconds=%d", seconds))
		if err != nil {
			done <- result{err: err}
			return
		}
		defer response.Body.Close()
		p, err := profile.Parse(response.Body)
		done <- result{p, err}
	}()
	var p cpuProfile
	for {
		select {
		case r := <-done:
			if r.err != nil {
				return p, r.err
			}
			p.read(r.profile)
			return p, nil
		default:
		}
		if _, err := get(request{address: t.Address("web"), host: host(), path: startPath(f, start(p.Seeks, f))}); err != nil {
			return p, err
		}
		p.Seeks++
		time.Sleep(time.Millisecond)
	}
}

func (p *cpuProfile) read(from *profile.Profile) {
	value := len(from.SampleType) - 1 // nanoseconds
	total := 0.0
	kinds, functions, called := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, sample := range from.Sample {
		names := stack(sample)
		if len(names) == 0 {
			continue
		}
		v := float64(sample.Value[value])
		total += v
		kinds[kindOf(names)] += v
		functions[names[0]] += v
		if name := calledByYaegi(names); name != "" {
			called[name] += v
		}
	}
	p.PerSeek = significant(total / 1e6 / float64(p.Seeks))
	p.Kinds, p.Functions, p.Called = shares(kinds, total, 20), shares(functions, total, 25), shares(called, total, 25)
}

// stack are the names of the functions of a sample, the innermost first.
func stack(sample *profile.Sample) []string {
	var names []string
	for _, location := range sample.Location {
		for _, line := range location.Line {
			names = append(names, line.Function.Name)
		}
	}
	return names
}

const yaegi = "github.com/traefik/yaegi/"

// kindOf sorts a sample by the innermost function that says what the work is.
func kindOf(names []string) string {
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "runtime.gcBgMarkWorker") || strings.HasPrefix(name, "runtime.bgsweep") || strings.HasPrefix(name, "runtime.gcAssist") ||
			strings.HasPrefix(name, "runtime.bgscavenge"):
			return "garbage collection"
		case strings.HasPrefix(name, "runtime.mallocgc") || strings.HasPrefix(name, "runtime.growslice"):
			return "allocation"
		case strings.HasPrefix(name, "runtime.memmove"):
			return "copying memory"
		case strings.HasPrefix(name, "math/big."):
			return "math/big"
		case strings.HasPrefix(name, "encoding/binary."):
			return "encoding/binary"
		case strings.HasPrefix(name, "internal/runtime/syscall.") || strings.HasPrefix(name, "syscall."):
			return "system calls"
		case strings.HasPrefix(name, "reflect."):
			return "reflect, for the interpreter"
		case strings.HasPrefix(name, yaegi):
			return "the interpreter"
		case strings.HasPrefix(name, "runtime.mcall") || strings.HasPrefix(name, "runtime.park_m") || strings.HasPrefix(name, "runtime.schedule"):
			return "scheduling"
		case strings.HasPrefix(name, "net/http.") || strings.HasPrefix(name, "net/http/httputil.") || strings.HasPrefix(name, "bufio.") || strings.HasPrefix(name, "net."):
			return "HTTP"
		case strings.HasPrefix(name, "github.com/traefik/traefik"):
			return "Traefik"
		}
	}
	return "other"
}

// calledByYaegi is the outermost function of the standard library that the interpreter called last.
func calledByYaegi(names []string) string {
	for i, name := range names {
		if !strings.HasPrefix(name, yaegi) {
			continue
		}
		for j := i - 1; j >= 0; j-- {
			if !strings.HasPrefix(names[j], "reflect.") && !strings.HasPrefix(names[j], "runtime.") {
				return names[j]
			}
		}
		return ""
	}
	return ""
}

func shares(of map[string]float64, total float64, most int) []share {
	var all []share
	for name, v := range of {
		all = append(all, share{name, significant(v / total)})
	}
	slices.SortFunc(all, func(a, b share) int {
		if a.Part != b.Part {
			return int(1e6 * (b.Part - a.Part))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all[:min(len(all), most)]
}
