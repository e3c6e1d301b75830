package main

import (
	"fmt"
	"os"
	"strings"
)

// document is a Markdown file in the making.
type document struct{ strings.Builder }

func (d *document) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *document) head(title string) { d.line("\n## %s\n", title) }

func (d *document) table(columns ...string) {
	d.row(columns...)
	d.line("|%s", strings.Repeat("---|", len(columns)))
}

func (d *document) row(cells ...string) { d.line("| %s |", strings.Join(cells, " | ")) }

// writeMarkdown writes all results as tables.
func (r *results) writeMarkdown(file string) error {
	d := &document{}
	m := r.Machine
	d.line("# Measurements\n")
	d.line("Made by `make bench` on %s: %s, %d cores, %s, %s, load average %s before the start; Traefik %s, nginx %s, ffmpeg %s, plugin at %s.",
		m.Date, m.CPU, m.Cores, m.Memory, m.System, m.Load, m.Traefik, m.Nginx, m.FFmpeg, m.Plugin)
	d.line("Times are milliseconds, medians with quartiles: 12.3 (11.9–12.8). Client, Traefik and nginx share the machine, over loopback; " +
		"the films are in memory. All routes of a table's row were asked in turn, in a new order every round.")
	r.bars(d)
	r.seekTables(d)
	r.loadTables(d)
	r.insideTables(d)
	r.memoryTables(d)
	r.worstTable(d)
	return os.WriteFile(file, []byte(d.String()), 0o644)
}

// bars compares with what is asked of the plugin.
func (r *results) bars(d *document) {
	d.head("Against the bars")
	d.line("On the films of two hours with 24 pictures a second, moov first and moov last.\n")
	d.table("measure", "bar", "moov first", "moov last", "")
	bar := func(measure, bar string, limit float64, atMost bool, values ...float64) {
		cells := []string{measure, bar}
		held := "held"
		for _, v := range values {
			cells = append(cells, short(v))
			if atMost && v > limit || !atMost && v < limit {
				held = "**missed**"
			}
		}
		for len(cells) < 4 {
			cells = append(cells, "")
		}
		d.row(append(cells, held)...)
	}
	ratios := func(of func(s seeks) float64) []float64 {
		var values []float64
		for _, s := range r.Seeks {
			if s.Film.Minutes == 120 && s.Film.FPS == 24 {
				values = append(values, of(s))
			}
		}
		return values
	}
	if len(r.Seeks) > 0 {
		bar("repeated seek, first byte", "≤ 1.5 × nginx behind Traefik", 1.5, true, ratios(func(s seeks) float64 { return s.Repeated.FirstByte.Median / s.Nginx.FirstByte.Median })...)
		bar("repeated seek, moov + 64 KiB", "≤ 1.2 ×", 1.2, true, ratios(func(s seeks) float64 { return s.Repeated.Moov.Median / s.Nginx.Moov.Median })...)
		bar("the same cut again, first byte", "≤ 1.0 ×", 1, true, ratios(func(s seeks) float64 { return s.Again.FirstByte.Median / s.Nginx.FirstByte.Median })...)
		bar("the same cut again, moov + 64 KiB", "≤ 1.0 ×", 1, true, ratios(func(s seeks) float64 { return s.Again.Moov.Median / s.Nginx.Moov.Median })...)
		bar("first seek, first byte", "≤ 3 ×", 3, true, ratios(func(s seeks) float64 { return s.First.FirstByte.Median / s.Nginx.FirstByte.Median })...)
		bar("first seek, moov + 64 KiB", "≤ 3 ×", 3, true, ratios(func(s seeks) float64 { return s.First.Moov.Median / s.Nginx.Moov.Median })...)
		bar("first seek, growth of the time over growth of the moov, shortest to longest film", "≤ 1", 1, true, r.growth(func(s seeks) *series { return s.First })...)
	}
	if r.Load != nil {
		nginx := r.Load.of("nginx behind Traefik").Rate.Median
		bar("seeks a second, eight clients", "≥ 0.6 × nginx behind Traefik", 0.6, false, r.Load.of("plugin").Rate.Median/nginx)
		bar("the same below root", "≥ 0.8 ×", 0.8, false, r.Load.of("plugin below root").Rate.Median/nginx)
	}
	if r.Compared != nil {
		c := r.Compared
		bar("first seek, to the first byte and to moov + 64 KiB", "≤ 0.7 × of the commit before", 0.7, true,
			c.First.FirstByte.Median/c.FirstEarlier.FirstByte.Median, c.First.Moov.Median/c.FirstEarlier.Moov.Median)
	}
	if r.Rates != nil {
		bar("streaming rate of a cut", "≥ 0.95 × the plain file", 0.95, false, r.Rates.Cut.Median/r.Rates.Plain.Median)
	}
	if r.Untouched != nil {
		bar("untouched requests/s", "≥ 0.95 × without the plugin", 0.95, false, r.Untouched.With.Median/r.Untouched.Without.Median)
		bar("the same with a query of others", "≥ 0.95 ×", 0.95, false, r.Untouched.Query.Median/r.Untouched.Without.Median)
	}
	if len(r.Asked) > 0 {
		var first, repeated []float64
		for _, a := range r.Asked {
			if a.Known {
				repeated = append(repeated, float64(a.Bytes)/float64(a.Sent))
			} else {
				first = append(first, float64(a.Bytes)/float64(a.Sent+a.Film.MoovBytes+2*bufferSize))
			}
		}
		bar("first seek, bytes asked of the origin", "≤ 1 × sent + moov + 2 bufferSize", 1, true, first...)
		bar("repeated seek, bytes asked of the origin", "≤ 1 × sent", 1, true, repeated...)
	}
	if r.Memory != nil {
		moov := float64(r.Memory.Film.MoovBytes) / 1e6
		most := r.Memory.First[len(r.Memory.First)-1]
		bar(fmt.Sprintf("memory for each of %d first seeks at once, peak", most.Seeks), "≤ 3 × moov", 3, true, (most.Peak-r.Memory.Rest)/float64(most.Seeks)/moov)
	}
	if len(r.Worst) > 0 {
		longest := 0.0
		for _, w := range r.Worst {
			longest = max(longest, w.Longest/1000)
		}
		bar("the most expensive tables, seconds", "< 1", 1, true, longest)
	}
}

const bufferSize = 512 << 10 // the plugin's default

// growth compares the longest film with the shortest, for the films with the moov first and last.
func (r *results) growth(of func(seeks) *series) []float64 {
	var values []float64
	for _, moovFirst := range []bool{true, false} {
		var shortest, longest *seeks
		for i := range r.Seeks {
			s := &r.Seeks[i]
			if s.Film.MoovFirst != moovFirst {
				continue
			}
			if shortest == nil || s.Film.MoovBytes < shortest.Film.MoovBytes {
				shortest = s
			}
			if longest == nil || s.Film.MoovBytes > longest.Film.MoovBytes {
				longest = s
			}
		}
		time := of(*longest).Moov.Median / of(*shortest).Moov.Median
		values = append(values, time/(float64(longest.Film.MoovBytes)/float64(shortest.Film.MoovBytes)))
	}
	return values
}

func (r *results) seekTables(d *document) {
	for _, which := range []struct {
		title string
		of    func(*series) quartiles
	}{
		{"Seeks, to the first byte", func(s *series) quartiles { return s.FirstByte }},
		{"Seeks, to the last byte of the moov and 64 KiB of media", func(s *series) quartiles { return s.Moov }},
	} {
		if len(r.Seeks) == 0 {
			return
		}
		d.head(which.title)
		d.line("A first seek is the first for its Host, which is part of the key of the plugin's cache. A repeated one goes to another place of a known film; the same cut again is what each Range of a player asks for.\n")
		columns := []string{"film", "moov, MB"}
		for _, route := range routes {
			columns = append(columns, route.name)
		}
		d.table(columns...)
		for _, s := range r.Seeks {
			cells := []string{s.Film.String(), short(float64(s.Film.MoovBytes) / 1e6)}
			for _, route := range routes {
				cells = append(cells, which.of(route.of(s)).String())
			}
			d.row(cells...)
		}
	}
}

func (r *results) loadTables(d *document) {
	if r.Load != nil {
		d.head("Many seeks at once")
		d.line("%d clients seek to random places of %s, which is in the cache, and take 64 KiB each by `Range`.\n", loadClients, r.Load.Film)
		d.table("route", "seeks a second", "Traefik's processor time for 1,000 seeks, s")
		for _, route := range r.Load.Routes {
			d.row(route.Route, route.Rate.String(), route.CPU.String())
		}
	}
	if r.Compared == nil {
		return
	}
	c := r.Compared
	d.head("Against the commit before")
	d.line("%s, at %s and at %s, asked in turn.\n", c.Film, c.Plugin, c.Earlier)
	d.table("seek", "first byte", "before", "moov and 64 KiB", "before")
	d.row("first", c.First.FirstByte.String(), c.FirstEarlier.FirstByte.String(), c.First.Moov.String(), c.FirstEarlier.Moov.String())
	d.row("to another place", c.Second.FirstByte.String(), c.SecondEarlier.FirstByte.String(), c.Second.Moov.String(), c.SecondEarlier.Moov.String())
}

func (r *results) insideTables(d *document) {
	if r.Rates != nil {
		d.head("Throughput")
		d.table("", "with the plugin", "without")
		d.row("streaming "+r.Rates.Film.String()+", MB/s", r.Rates.Cut.String(), r.Rates.Plain.String())
		if r.Untouched != nil {
			d.row("untouched requests/s", r.Untouched.With.String(), r.Untouched.Without.String())
			d.row("untouched requests/s, with a query", r.Untouched.Query.String(), "")
		}
	}
	if r.InsideFirst != nil {
		d.head("Where the time of a seek goes")
		d.line("To the last byte of the moov and 64 KiB of media of the film of two hours. The plugin interpreted in a server of the bench's own, its functions timed from outside: it has no timers.\n")
		d.table("phase", "first seek", "repeated seek")
		for _, p := range phases {
			d.row(p.name, r.InsideFirst.Phases[p.name].String(), r.InsideRepeated.Phases[p.name].String())
		}
		d.row("all, as the client sees it", r.InsideFirst.Total.String(), r.InsideRepeated.Total.String())
		d.line("\nThe functions that cost most, each without the interpreted ones it calls; the timing of every call is in it, so that the order counts and not the sum.\n")
		d.table("first seek", "calls", "ms", "repeated seek", "calls", "ms")
		for i := range min(15, len(r.InsideFirst.Functions), len(r.InsideRepeated.Functions)) {
			f, s := r.InsideFirst.Functions[i], r.InsideRepeated.Functions[i]
			d.row("`"+f.Name+"`", fmt.Sprint(f.Calls), short(f.Own), "`"+s.Name+"`", fmt.Sprint(s.Calls), short(s.Own))
		}
	}
	if r.ProfileFirst != nil {
		d.line("\nTraefik's processor time by what it is spent on, from its own profile: %s ms for a first seek, %s for a repeated one.\n", short(r.ProfileFirst.PerSeek), short(r.ProfileRepeated.PerSeek))
		d.table("first seek", "", "repeated seek", "")
		for i := range min(len(r.ProfileFirst.Kinds), len(r.ProfileRepeated.Kinds)) {
			f, s := r.ProfileFirst.Kinds[i], r.ProfileRepeated.Kinds[i]
			d.row(f.Name, percent(f.Part), s.Name, percent(s.Part))
		}
	}
}

func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

func (r *results) memoryTables(d *document) {
	if len(r.Asked) > 0 {
		d.head("What the origin is asked for")
		d.table("seek", "requests", "bytes asked", "bytes sent to the client")
		for _, a := range r.Asked {
			which := "first"
			if a.Known {
				which = "repeated"
			}
			d.row(which+", "+a.Film.String(), fmt.Sprint(a.Requests), fmt.Sprint(a.Bytes), fmt.Sprint(a.Sent))
		}
	}
	if r.Memory == nil {
		return
	}
	d.head("Memory")
	d.line("Resident memory of Traefik, MB; at rest %s. The seeks are in different films for the first, in one for the repeated, each film with a moov of %s MB.\n",
		short(r.Memory.Rest), short(float64(r.Memory.Film.MoovBytes)/1e6))
	d.table("seeks at once", "first: peak", "when all have their moov", "repeated: peak", "when all have their moov")
	for i, f := range r.Memory.First {
		s := r.Memory.Repeated[i]
		d.row(fmt.Sprint(f.Seeks), short(f.Peak), short(f.Held), short(s.Peak), short(s.Held))
	}
	d.line("")
	d.table("allocated for", "objects", "MB")
	for _, a := range r.Memory.Allocations {
		d.row(a.What, fmt.Sprintf("%.0f", a.Objects), short(a.MB))
	}
}

func (r *results) worstTable(d *document) {
	if len(r.Worst) == 0 {
		return
	}
	d.head("The most expensive tables")
	d.line("First seeks in files with a moov of 10 MiB, the default `maxBufferSize`, and meanwhile other requests that the plugin does not touch, two hundred a second.\n")
	d.table("file", "seek, ms", "longest", "others: median", "p99", "p99 without such seeks")
	for _, w := range r.Worst {
		took := w.Moov.String()
		if w.Failed != "" {
			took = w.Failed
		}
		d.row(w.Shows, took, short(w.Longest), short(w.Beside.Median), short(w.Beside.P99), short(w.Alone.P99))
	}
}
