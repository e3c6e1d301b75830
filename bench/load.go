package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// load is what many seeks at once cost: eight clients, each of which seeks to another place as soon as it has the first
// 64 KiB of a cut. The film is in the cache.
type load struct {
	Film   film     `json:"film"`
	Routes []loaded `json:"routes"`
}

// loaded is what one route does under that load.
type loaded struct {
	Route string    `json:"route"`
	Rate  quartiles `json:"seeksPerSecond"`
	CPU   quartiles `json:"cpuSecondsPer1000"` // Traefik's own

	pid              int
	address, host    string
	path             string
	rates, processor []float64
}

const (
	loadClients = 8
	loadSeconds = 2
	loadRounds  = 9 // at most
)

// seekScript has wrk seek to random places. Range, and not a client that goes away, ends an answer: wrk reads all of it.
const seekScript = `
function init(args)
	path, last = args[1], tonumber(args[2])
	math.randomseed(tonumber(args[3]))
end
function request()
	return wrk.format("GET", string.format("%s?start=%.3f", path, math.random() * last), {["Range"] = "bytes=0-65535"})
end
`

func measureLoad(ctx context.Context, b *bench) (load, error) {
	f := b.reference()
	l := load{Film: f}
	route := func(name string, t string, pid int, host string) {
		l.Routes = append(l.Routes, loaded{Route: name, pid: pid, address: t, host: host, path: "/" + f.Name})
	}
	route("plugin", b.traefik.Address("web"), b.traefik.Pid(), "load."+viaPlugin)
	route("nginx behind Traefik", b.traefik.Address("web"), b.traefik.Pid(), "load."+viaNginx)
	route("plugin below root", b.traefik.Address("web"), b.traefik.Pid(), "load."+viaRoot)
	if b.earlier != nil {
		route("plugin, the commit before", b.earlier.Address("web"), b.earlier.Pid(), "load."+viaPlugin)
	}
	script := filepath.Join(b.dir, "seeks.lua")
	if err := os.WriteFile(script, []byte(seekScript), 0o644); err != nil {
		return l, err
	}
	for round := range min(b.rounds, loadRounds) + 1 {
		for i := range l.Routes {
			r := &l.Routes[(round+i)%len(l.Routes)]
			rate, cpu, err := r.seek(ctx, script, f, round)
			if err != nil {
				return l, err
			}
			if round > 0 { // the first brings films into caches
				r.rates, r.processor = append(r.rates, rate), append(r.processor, cpu)
			}
		}
	}
	for i := range l.Routes {
		r := &l.Routes[i]
		r.Rate, r.CPU = quartilesOf(r.rates), quartilesOf(r.processor)
	}
	return l, nil
}

var answered = regexp.MustCompile(`(\d+) requests in ([0-9.]+)s`)

// seek has wrk seek for some seconds, and returns how many seeks a second there were, and what 1000 of them cost Traefik.
func (r *loaded) seek(ctx context.Context, script string, f film, seed int) (rate, cpu float64, err error) {
	bin, err := tool("wrk")
	if err != nil {
		return 0, 0, err
	}
	before, err := processorTime(r.pid)
	if err != nil {
		return 0, 0, err
	}
	out, err := exec.CommandContext(ctx, bin, "-t1", fmt.Sprintf("-c%d", loadClients), fmt.Sprintf("-d%ds", loadSeconds), "-s", script,
		"-H", "Host: "+r.host, "http://"+r.address, "--", r.path, fmt.Sprintf("%.0f", 0.98*f.seconds()), strconv.Itoa(seed)).CombinedOutput()
	found := answered.FindSubmatch(out)
	if err != nil || found == nil || strings.Contains(string(out), "Non-2xx") || strings.Contains(string(out), "Socket errors") {
		return 0, 0, fmt.Errorf("wrk on %s: %v: %s", r.Route, err, out)
	}
	after, err := processorTime(r.pid)
	if err != nil {
		return 0, 0, err
	}
	requests, _ := strconv.ParseFloat(string(found[1]), 64)
	seconds, _ := strconv.ParseFloat(string(found[2]), 64)
	return requests / seconds, 1000 * (after - before) / requests, nil
}

// processorTime is what a process has used of the processors, in seconds: utime and stime of proc(5), in hundredths.
func processorTime(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name of the program may have blanks
	fields := strings.Fields(rest)
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	sum := 0.0
	for _, field := range []string{fields[utime], fields[stime]} {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		sum += ticks / 100
	}
	return sum, nil
}

// of is the route of that name; nil where it was not measured.
func (l *load) of(name string) *loaded {
	for i := range l.Routes {
		if l.Routes[i].Route == name {
			return &l.Routes[i]
		}
	}
	return nil
}

// compared are first seeks, and seeks to another place, beside those of the commit before, all in turn.
type compared struct {
	Film          film    `json:"film"`
	Plugin        string  `json:"plugin"` // commits
	Earlier       string  `json:"earlier"`
	First         *series `json:"first"`
	FirstEarlier  *series `json:"firstEarlier"`
	Second        *series `json:"repeated"`
	SecondEarlier *series `json:"repeatedEarlier"`
}

func measureCompared(ctx context.Context, b *bench) (compared, error) {
	f := b.reference()
	c := compared{Film: f, Plugin: commitOf(ctx, b.plugin), Earlier: commitOf(ctx, b.before),
		First: &series{}, FirstEarlier: &series{}, Second: &series{}, SecondEarlier: &series{}}
	fresh := &hosts{}
	addresses := []string{b.traefik.Address("web"), b.earlier.Address("web")}
	for _, address := range addresses {
		if _, err := get(request{address: address, host: "compared." + viaPlugin, path: startPath(f, 1)}); err != nil {
			return c, err
		}
	}
	for round := range b.rounds {
		path := startPath(f, start(round, f))
		for i := range 2 {
			now := (round + i) % 2
			firsts, seconds := []*series{c.First, c.FirstEarlier}, []*series{c.Second, c.SecondEarlier}
			for _, one := range []struct {
				to   *series
				host string
			}{{firsts[now], "compared" + fresh.next(viaPlugin)}, {seconds[now], "compared." + viaPlugin}} {
				settle()
				t, err := get(request{address: addresses[now], host: one.host, path: path})
				if err != nil {
					return c, err
				}
				one.to.add(t)
			}
		}
	}
	for _, s := range []*series{c.First, c.FirstEarlier, c.Second, c.SecondEarlier} {
		s.FirstByte, s.Moov = quartilesOf(s.firstByte), quartilesOf(s.moov)
	}
	return c, nil
}

// commitOf is the commit of a checkout; without git the figures are nobody's.
func commitOf(ctx context.Context, checkout string) string {
	out, _ := exec.CommandContext(ctx, "git", "-C", checkout, "describe", "--always", "--dirty").Output()
	return strings.TrimSpace(string(out))
}
