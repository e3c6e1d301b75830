package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// The phases of a seek, each by the functions of the plugin that it begins in. What is called from one phase and begins
// another counts for the latter only.
var phases = []struct {
	name      string
	functions []string
}{
	{"origin", []string{"internal/origin.callNext"}},
	{"parse", []string{"findMovie"}},
	{"search", []string{"movie.cutProgressive"}},
	{"rewrite", []string{"layOut"}},
	{"write", []string{"response.Begin"}},
	{"other", []string{"route"}},
}

// phaseOf is the phase that begins in a function.
func phaseOf(function string) string {
	for _, p := range phases {
		if slices.Contains(p.functions, function) {
			return p.name
		}
	}
	return ""
}

// phaseTimes are milliseconds a phase, to the last byte of the moov and behindMoov bytes of mdat.
type phaseTimes map[string]quartiles

// functionTime is what a seek spends in one interpreted function, with the compiled ones that it calls.
type functionTime struct {
	Name  string  `json:"name"`
	Calls float64 `json:"calls"`
	Own   float64 `json:"ownMs"`
}

// inside is where the time of a seek goes inside of the plugin.
type inside struct {
	Phases    phaseTimes     `json:"phasesMs"`
	Functions []functionTime `json:"functions"`
	Total     quartiles      `json:"totalMs"` // as the client sees it
}

func measureInside(ctx context.Context, plugin string, f film, rounds int, n *nginx) (first, repeated inside, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	settings := map[string]string{"MaxBufferSize": "64m", "CacheSize": "256m"}
	fresh := &hosts{}

	c := &clock{}
	address, err := interpret(ctx, plugin, settings, n.static, c, func(name string) bool { return phaseOf(name) != "" })
	if err != nil {
		return first, repeated, err
	}
	for _, p := range phases {
		for _, function := range p.functions {
			if !slices.Contains(c.names, function) {
				return first, repeated, fmt.Errorf("the plugin has no function %s, in which %s begins", function, p.name)
			}
		}
	}
	firsts, repeateds := map[string][]float64{}, map[string][]float64{}
	err = inTurn(address, f, rounds, fresh, c, func(known bool, t timing, readings []reading) {
		to := firsts
		if known {
			to = repeateds
		}
		sums := map[string]time.Duration{}
		for _, r := range readings {
			sums[phaseOf(r.Name)] += r.Own
		}
		for _, p := range phases {
			to[p.name] = append(to[p.name], ms(sums[p.name]))
		}
		to["total"] = append(to["total"], ms(t.last))
	})
	if err != nil {
		return first, repeated, err
	}
	first, repeated = newInside(firsts), newInside(repeateds)

	// Again with all functions, which costs about as much as what is measured: only the order of the functions counts.
	c = &clock{}
	address, err = interpret(ctx, plugin, settings, n.static, c, func(string) bool { return true })
	if err != nil {
		return first, repeated, err
	}
	own := map[bool]map[string][]reading{true: {}, false: {}}
	err = inTurn(address, f, rounds, fresh, c, func(known bool, _ timing, readings []reading) {
		for _, r := range readings {
			own[known][r.Name] = append(own[known][r.Name], r)
		}
	})
	first.Functions, repeated.Functions = ranked(own[false]), ranked(own[true])
	return first, repeated, err
}

// inTurn makes first and repeated seeks, one at a time.
func inTurn(address string, f film, rounds int, fresh *hosts, c *clock, add func(known bool, t timing, readings []reading)) error {
	host := fresh.next(viaPlugin)
	if _, err := get(request{address: address, host: host, path: startPath(f, 1)}); err != nil {
		return err
	}
	for round := range rounds {
		for _, known := range []bool{false, true} {
			r := request{address: address, host: host, path: startPath(f, start(round, f))}
			if !known {
				r.host = fresh.next(viaPlugin)
			}
			time.Sleep(20 * time.Millisecond) // until the last request is over
			c.take()
			s, err := open(r)
			if err != nil {
				return err
			}
			readings := c.take()
			add(known, s.timing, readings)
			if err := s.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

func newInside(values map[string][]float64) inside {
	in := inside{Phases: phaseTimes{}, Total: quartilesOf(values["total"])}
	for _, p := range phases {
		in.Phases[p.name] = quartilesOf(values[p.name])
	}
	return in
}

// ranked are the functions that cost most, by their medians.
func ranked(all map[string][]reading) []functionTime {
	var functions []functionTime
	for name, readings := range all {
		var calls, own []float64
		for _, r := range readings {
			calls, own = append(calls, float64(r.Calls)), append(own, ms(r.Own))
		}
		functions = append(functions, functionTime{name, percentile(calls, 50), significant(percentile(own, 50))})
	}
	slices.SortFunc(functions, func(a, b functionTime) int { return cmp.Compare(b.Own, a.Own) })
	return functions[:min(len(functions), 40)]
}
