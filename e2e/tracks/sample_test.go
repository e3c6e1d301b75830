package tracks

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

const (
	randomFilms = 300
	eachAsked   = 10
)

// pair asks nginx and the plugin the same, counts what differs, and why.
type pair struct {
	dir     string
	nginx   *rig.Nginx
	plugin  asker
	traefik *rig.Traefik // the same interpreted

	requests, agreed, empty int
	strikes, differs, alone map[string]int // by what a bug does
	more, moreBytes         int            // answers of nginx with bytes of no sample kept (B6)
	through                 int            // answers through Traefik that were the same as in this process
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{dir: t.TempDir(), strikes: map[string]int{}, differs: map[string]int{}, alone: map[string]int{}}
	p.nginx = rig.StartNginx(t, p.dir)
	p.plugin = compiled(t, p.dir, "sample")
	var dynamic rig.Dynamic
	dynamic.Plugin("sample", rig.Map{"seek": "sample"})
	dynamic.Host("sample", rig.FileServer(t, p.dir).URL, "sample")
	p.traefik = rig.Start(t, rig.Config{Dynamic: dynamic})
	return p
}

// TestRandomFilms compares what nginx and the plugin keep of thousands of random files.
func TestRandomFilms(t *testing.T) {
	p := newPair(t)
	m := maker{rand.New(rand.NewPCG(4, 2026))}
	for n := range randomFilms {
		name := fmt.Sprintf("%d.mp4", n)
		content := m.film()
		if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := parse(content)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range eachAsked {
			p.compare(t, name, m.request(f), i == 0)
		}
		if t.Failed() {
			t.Fatalf("%s is left to look at as %s", name, keep(t, content))
		}
	}
	p.report(t)
	if p.requests < 2000 {
		t.Errorf("only %d requests", p.requests)
	}
	for _, b := range bugs {
		if b.name != "" && p.alone[b.what] == 0 {
			t.Errorf("%s explains no difference alone", b.name)
		}
	}
}

// TestMadeFilms compares them on the films of package media.
func TestMadeFilms(t *testing.T) {
	p := newPair(t)
	for _, made := range media.Films {
		path, err := made.Make()
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.dir, made.Name), content, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := parse(content)
		if err != nil {
			t.Fatalf("%s: %v", made.Name, err)
		}
		for i, r := range []request{{f, 0, 2500}, {f, 40, 0}, {f, 1234, 300}, {f, 3400, 2167}, {f, 4000, 0}, {f, 6543, 0}} {
			p.compare(t, made.Name, r, i == 3)
		}
	}
	p.report(t)
}

// keep saves a file for whoever looks into a failure.
func keep(t *testing.T, content []byte) string {
	file, err := os.CreateTemp("", "film-*.mp4")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// request makes up a request: at random, on the boundaries of samples, near the end and behind it.
func (m maker) request(f *film) request {
	longest := 0
	for _, t := range f.tracks {
		longest = max(longest, int(t.total()*1000/t.timescale))
	}
	moment := func() int {
		if m.in(3) {
			t := f.tracks[m.IntN(len(f.tracks))]
			at := uint64(0)
			for _, s := range t.samples[:m.IntN(len(t.samples)+1)] {
				at += uint64(s.duration)
			}
			return max(0, int(at*1000/t.timescale)+m.between(-1, 1))
		}
		return m.IntN(longest + 10)
	}
	r := request{film: f, start: uint64(moment())}
	switch m.IntN(10) {
	case 0, 1, 2, 3:
	case 4, 5:
		r.length = uint64(m.between(1, 300))
	case 6:
		r.length = uint64(m.between(1, 2*longest+1))
	default:
		r.length = uint64(max(0, moment()-int(r.start)))
	}
	if m.in(20) {
		r.start = 0
	}
	return r
}

func (t *track) total() (ticks uint64) {
	for _, s := range t.samples {
		ticks += uint64(s.duration)
	}
	return ticks
}

func (r request) query() string {
	q := fmt.Sprintf("start=%d.%03d", r.start/1000, r.start%1000)
	if r.length > 0 {
		end := r.start + r.length
		q += fmt.Sprintf("&end=%d.%03d", end/1000, end%1000)
	}
	return q
}

// compare asks both. The plugin must keep what is due, and nginx too, but for its bugs.
func (p *pair) compare(t *testing.T, name string, r request, traefik bool) {
	t.Helper()
	p.requests++
	target := "/" + name + "?" + r.query()
	status, ours := p.plugin(target)
	due := r.due()
	switch {
	case r.start == 0 && r.length == 0 && p.whole(name, ours):
	case len(due) == 0 && status == http.StatusNotFound:
		p.empty++
	default:
		if err := keeps(ours, due); err != nil || status != http.StatusOK {
			t.Errorf("%s: the plugin: %d, %v", target, status, err)
		} else if err := tidy(ours); err != nil && r.start+r.length > 0 { // a file whose moov is only moved keeps its headers
			t.Errorf("%s: the plugin: %v", target, err)
		}
	}
	if traefik {
		status2, body, err := ask(p.traefik.Client(), "http://sample"+target)
		if err != nil || status2 != status || status == http.StatusOK && string(body) != string(ours) {
			t.Errorf("%s: through Traefik: %d, %d bytes, %v; in this process %d, %d bytes", target, status2, len(body), err, status, len(ours))
		}
		p.through++
	}
	status, theirs, err := ask(http.DefaultClient, p.nginx.MP4+target)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, b := range bugs {
		if b.strikes(r) {
			reasons = append(reasons, b.what)
			p.strikes[b.what]++
		}
	}
	err = keeps(theirs, due)
	if status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err == nil || len(due) == 0 && (status == http.StatusInternalServerError || errors.Is(err, errNothing)) {
		p.agreed++
		if len(due) > 0 {
			p.weigh(t, target, ours, theirs)
		}
		return
	}
	if len(reasons) == 0 {
		t.Errorf("%s: nginx: %v, and none of its bugs says why", target, err)
		return
	}
	for _, what := range reasons {
		p.differs[what]++
	}
	if len(reasons) == 1 {
		p.alone[reasons[0]]++
	}
}

var errNothing = errors.New("nothing is kept")

// keeps compares the samples of an answer's tracks with those that are due.
func keeps(answer []byte, due map[uint32][]sample) error {
	f, err := parse(answer)
	if err != nil {
		return err
	}
	found := 0
	for _, t := range f.tracks {
		if len(t.samples) == 0 {
			continue // nginx leaves tracks in that have none
		}
		found++
		kept := due[t.id]
		if t.handler == "soun" && !slices.ContainsFunc(kept, func(s sample) bool { return s.sync }) {
			kept = slices.Clone(kept) // sound of which nothing is listed plays from anywhere
			for i := range kept {
				kept[i].sync = true
			}
		}
		if err := same(t.samples, kept); err != nil {
			return fmt.Errorf("track %d: %w", t.id, err)
		}
	}
	if found != len(due) {
		return fmt.Errorf("%d tracks with samples, %d are due", found, len(due))
	}
	return nil
}

// tidy refuses an answer that is not exactly ftyp, moov and mdat, or whose headers tell other durations than its samples.
func tidy(answer []byte) error {
	f, err := parse(answer)
	if err != nil {
		return err
	}
	if boxes := strings.TrimPrefix(strings.Join(f.boxes, " "), "ftyp "); boxes != "moov mdat" {
		return fmt.Errorf("the boxes are %q", f.boxes)
	}
	longest := uint64(0)
	for _, t := range f.tracks {
		longest = max(longest, t.trackDuration)
		if ticks := t.total(); len(t.samples) == 0 || t.mediaDuration != ticks || t.trackDuration != ticks*f.timescale/t.timescale {
			return fmt.Errorf("track %d has %d samples of %d ticks, by mdhd %d, by tkhd %d of the movie's", t.id, len(t.samples), ticks, t.mediaDuration, t.trackDuration)
		}
	}
	if f.duration != longest {
		return fmt.Errorf("mvhd's duration is %d, the longest track's %d", f.duration, longest)
	}
	return nil
}

// weigh compares how much media two answers bring for the same samples.
func (p *pair) weigh(t *testing.T, target string, ours, theirs []byte) {
	t.Helper()
	size := func(answer []byte) (sum int) {
		f, err := parse(answer)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range f.media {
			sum += int(m.to - m.from)
		}
		return sum
	}
	switch more := size(theirs) - size(ours); {
	case more < 0:
		t.Errorf("%s: the plugin sends %d bytes of media more than nginx", target, -more)
	case more > 0:
		p.more++
		p.moreBytes += more
	}
}

// whole tells whether an answer is the file itself, as it is due where nothing is cut and the moov comes first.
func (p *pair) whole(name string, answer []byte) bool {
	content, err := os.ReadFile(filepath.Join(p.dir, name))
	return err == nil && string(content) == string(answer)
}

func ask(client *http.Client, url string) (int, []byte, error) {
	answer, err := client.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

func (p *pair) report(t *testing.T) {
	t.Logf("requests %d, alike %d (nothing to keep %d); %d the same through Traefik", p.requests, p.agreed, p.empty, p.through)
	t.Logf("B6 : in %d of those that are alike nginx sends media of no sample kept, %d bytes in all", p.more, p.moreBytes)
	for _, b := range bugs {
		t.Logf("%-3s meets %4d requests, %4d differ, %4d for no other reason: %s", b.name, p.strikes[b.what], p.differs[b.what], p.alone[b.what], b.what)
	}
}
