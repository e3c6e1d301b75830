// Command bench measures the plugin inside a real Traefik against nginx's mp4 module, on films that it makes itself, and
// writes what it finds as results.json, results.md and seeks.svg.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// options are what the command line says.
type options struct {
	plugin  string
	before  string // another checkout to compare with
	out     string
	rounds  int
	only    string
	minutes []int // lengths of the films
}

func main() {
	log.SetFlags(0)
	o := options{minutes: []int{60, 120, 240, 480}}
	flag.StringVar(&o.plugin, "plugin", "", "folder of the plugin (default: this checkout)")
	flag.StringVar(&o.before, "before", "", "folder of an earlier checkout, to be measured in turn with this one")
	flag.StringVar(&o.out, "out", "results", "folder for the results")
	flag.IntVar(&o.rounds, "rounds", 31, "measurements of which the median is taken")
	flag.StringVar(&o.only, "only", "", "measure only some of: seeks, load, inside, profile, rates, untouched, asked, memory, worst")
	brief := flag.Bool("brief", false, "films of two hours only, for a quick look")
	flag.Parse()
	if *brief {
		o.minutes = []int{120}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, o options) error {
	if o.plugin == "" {
		checkout, err := rig.Checkout()
		if err != nil {
			return err
		}
		o.plugin = checkout
	}
	b := &bench{options: o, hosts: &hosts{}}
	defer b.stop()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, m := range measurements {
		if o.only != "" && !strings.Contains(o.only, m.name) {
			continue
		}
		if err := m.take(ctx, b); err != nil {
			return err
		}
	}
	progress("writing " + o.out)
	return b.results.write(o.out)
}

// bench is all that the measurements need, and what they found.
type bench struct {
	options
	dir     string // of the films, as nginx serves it
	films   []film
	nginx   *nginx
	traefik *rig.Traefik // with room for the largest moov
	earlier *rig.Traefik // the same with the earlier checkout; nil: there is none
	hosts   *hosts
	results results
}

// roomy are the plugin's options for the longest films, whose moov has 50 MB.
var roomy = rig.Map{"maxBufferSize": "64m", "cacheSize": "256m"}

func (b *bench) prepare(ctx context.Context) error {
	var err error
	if b.results.Machine, err = describe(ctx, b.plugin); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	progress("making the films")
	if b.films, err = makeFilms(b.dir, b.minutes); err != nil {
		return err
	}
	if err := makeSmall(b.dir); err != nil {
		return err
	}
	if b.nginx, err = startNginx(b.dir); err != nil {
		return err
	}
	if b.traefik, err = startTraefik(ctx, b.plugin, b.nginx, b.reference().folder, roomy); err != nil || b.before == "" {
		return err
	}
	b.earlier, err = startTraefik(ctx, b.before, b.nginx, b.reference().folder, roomy)
	return err
}

func (b *bench) stop() {
	for _, t := range []*rig.Traefik{b.traefik, b.earlier} {
		if t != nil {
			t.Stop()
		}
	}
	if b.nginx != nil {
		b.nginx.stop()
	}
	os.RemoveAll(b.dir)
}

// film is the one of that length, with 24 pictures a second.
func (b *bench) film(minutes int, moovFirst bool) film {
	for _, f := range b.films {
		if f.Minutes == minutes && f.FPS == 24 && f.MoovFirst == moovFirst {
			return f
		}
	}
	return b.films[0]
}

// reference is the film that most measures are taken on.
func (b *bench) reference() film { return b.film(120, true) }

// measurements in the order in which they are taken.
var measurements = []struct {
	name string
	take func(ctx context.Context, b *bench) error
}{
	{"seeks", func(ctx context.Context, b *bench) error {
		for _, f := range b.films {
			progress("seeks: " + f.String())
			s, err := measureSeeks(f, b.rounds, b.traefik.Address("web"), b.nginx, b.hosts)
			if err != nil {
				return err
			}
			b.results.Seeks = append(b.results.Seeks, s)
		}
		return nil
	}},
	{"load", func(ctx context.Context, b *bench) error {
		progress("many seeks at once")
		l, err := measureLoad(ctx, b)
		b.results.Load = &l
		if err != nil || b.earlier == nil {
			return err
		}
		progress("this checkout and the earlier one in turn")
		c, err := measureCompared(ctx, b)
		b.results.Compared = &c
		return err
	}},
	{"inside", func(ctx context.Context, b *bench) error {
		progress("where a seek's time goes, by phase")
		first, repeated, err := measureInside(ctx, b.plugin, b.reference(), b.rounds, b.nginx)
		b.results.InsideFirst, b.results.InsideRepeated = &first, &repeated
		return err
	}},
	{"profile", func(ctx context.Context, b *bench) error {
		progress("where a seek's time goes, by profile")
		first, err := profileSeeks(ctx, b.traefik, b.reference(), func() string { return b.hosts.next(viaPlugin) })
		if err != nil {
			return err
		}
		repeated, err := profileSeeks(ctx, b.traefik, b.reference(), func() string { return "profile." + viaPlugin })
		b.results.ProfileFirst, b.results.ProfileRepeated = &first, &repeated
		return err
	}},
	{"rates", func(ctx context.Context, b *bench) error {
		progress("streaming rate")
		r, err := measureRates(b.film(480, true), b.rounds, b.traefik.Address("web"))
		b.results.Rates = &r
		return err
	}},
	{"untouched", func(ctx context.Context, b *bench) error {
		progress("untouched requests")
		u, err := measureUntouched(ctx, b.rounds, b.traefik.Address("web"))
		b.results.Untouched = &u
		return err
	}},
	{"asked", func(ctx context.Context, b *bench) error {
		progress("what the origin is asked for")
		for _, moovFirst := range []bool{true, false} {
			a, err := measureAsked(b.film(120, moovFirst), b.traefik.Address("web"), b.nginx, b.hosts)
			if err != nil {
				return err
			}
			b.results.Asked = append(b.results.Asked, a...)
		}
		return nil
	}},
	{"memory", func(ctx context.Context, b *bench) error {
		progress("memory")
		m, err := measureMemory(ctx, b.plugin, b.reference(), b.nginx)
		b.results.Memory = &m
		return err
	}},
	{"worst", func(ctx context.Context, b *bench) error {
		var err error
		b.results.Worst, err = measureWorst(ctx, b.plugin, b.dir, min(b.rounds, 7), b.nginx)
		return err
	}},
}

var began = time.Now()

func progress(what string) {
	log.Printf("%4.0f s  %s", time.Since(began).Seconds(), what)
}
