package tracks

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"sort"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
)

// presentation is a track as its edit list shows it.
type presentation struct {
	*track
	movie  uint64 // ticks per second of the edits' durations
	order  []int  // the samples, as they are shown
	begins []int64
	end    int64 // of the media, in its ticks
}

func (f *film) presentation(id uint32) *presentation {
	i := slices.IndexFunc(f.tracks, func(t *track) bool { return t.id == id })
	if i < 0 || len(f.tracks[i].samples) == 0 {
		return nil
	}
	p := &presentation{track: f.tracks[i], movie: f.timescale}
	at := int64(0)
	for n, s := range p.samples {
		begins, lasts := at+int64(int32(s.composition)), int64(s.duration)
		if s.composition != 0 {
			// That is how long it is decoded. Where pictures come out of order, they are shown for another while.
			lasts = int64(slices.MaxFunc(p.samples[p.hidden():], func(a, b sample) int { return int(a.duration) - int(b.duration) }).duration)
		}
		p.order, p.begins = append(p.order, n), append(p.begins, begins)
		p.end = max(p.end, begins+lasts)
		at += int64(s.duration)
	}
	slices.SortStableFunc(p.order, func(a, b int) int { return int(p.begins[a] - p.begins[b]) })
	if len(p.edits) == 0 {
		p.edits = []edit{{0, 0, 1}}
	}
	return p
}

// hidden is how many samples there are up to the last that no edit shows, for they come before all edits; 0 where that
// is all of them. A lead-in's durations are none of the film's.
func (p *presentation) hidden() int {
	begin := int64(math.MaxInt64)
	for _, e := range p.edits {
		if e.mediaTime >= 0 {
			begin = min(begin, e.mediaTime)
		}
	}
	n, at := 0, int64(0)
	for i, s := range p.samples {
		if len(p.edits) > 0 && at+int64(int32(s.composition)) < begin {
			n = i + 1
		}
		at += int64(s.duration)
	}
	return n % len(p.samples)
}

// at is the sample that is shown at a second, or -1, and the moment of its media.
func (p *presentation) at(second float64) (sample int, moment float64) {
	for _, e := range p.edits {
		lasts := float64(e.duration) / float64(p.movie)
		if e.duration == 0 && e.mediaTime >= 0 {
			lasts = float64(p.end-e.mediaTime) / float64(p.timescale) // the rest of the media
		}
		if second < lasts {
			if e.mediaTime < 0 {
				return -1, 0
			}
			return p.during(float64(e.mediaTime) + second*e.rate*float64(p.timescale))
		}
		second -= lasts
	}
	return -1, 0
}

// during is the sample that is shown at a moment of the media.
func (p *presentation) during(moment float64) (int, float64) {
	const rounding = 1e-3 // of a tick
	n := sort.Search(len(p.order), func(i int) bool { return float64(p.begins[p.order[i]]) > moment+rounding })
	if n == 0 || moment+rounding >= float64(p.end) {
		return -1, 0
	}
	return p.order[n-1], moment
}

// shown is the bytes that are shown at a second; none where nothing is.
func (p *presentation) shown(second float64) string {
	if p == nil || second < 0 {
		return ""
	}
	if n, _ := p.at(second); n >= 0 {
		return string(p.samples[n].data)
	}
	return ""
}

// tolerance is how far times may be off by the rounding of arguments, and of edits to ticks: a millisecond.
const tolerance = 0.001

// alike compares what a cut shows from start to end (-1: to the film's end; seconds) with what the film shows.
func alike(source, cut *film, start, end float64) error {
	for _, t := range source.tracks {
		if len(t.samples) == 0 || t.handler == "hint" {
			continue
		}
		is, due := cut.presentation(t.id), source.presentation(t.id)
		if err := due.alike(is, start, end); err != nil {
			return fmt.Errorf("track %d (%s): %w", t.id, t.handler, err)
		}
		if is == nil {
			continue
		}
		if err := due.prepared(is); err != nil {
			return fmt.Errorf("track %d (%s): %w", t.id, t.handler, err)
		}
	}
	return nil
}

func (p *presentation) alike(cut *presentation, start, end float64) error {
	const step = 0.0037
	late := false
	if uint64(p.samples[0].duration)*1000 < p.timescale {
		return nil // samples of PCM, that pass too fast to be told apart here
	}
	for at := 0.0; start+at < 12; at += step {
		is := cut.shown(at + tolerance/100)
		matches := false
		for _, off := range []float64{0, -tolerance, tolerance, -tolerance / 2, tolerance / 2} {
			due := p.shown(start + at + off)
			if end >= 0 && start+at+off >= end {
				due = ""
			}
			matches = matches || is == due
		}
		if !matches {
			is, _ := cut.sampleAt(at)
			due, _ := p.sampleAt(start + at)
			return fmt.Errorf("at %.4f s it shows its sample %d, while %d of the film is due", at, is, due)
		}
		late = late || is != ""
	}
	if cut != nil && !late {
		return fmt.Errorf("it is there, but shows nothing")
	}
	return nil
}

func (p *presentation) sampleAt(second float64) (int, float64) {
	if p == nil {
		return -1, 0
	}
	return p.at(second)
}

// prepared tells whether a cut has what decoding needs: a stretch of the film's samples without a hole, from a sync
// sample on where the film has one, and two more before the first that is shown where they are of sound.
func (p *presentation) prepared(cut *presentation) error {
	first := -1
	for i := range p.samples[:len(p.samples)-len(cut.samples)+1] {
		if slices.EqualFunc(cut.samples, p.samples[i:i+len(cut.samples)], func(a, b sample) bool { return string(a.data) == string(b.data) }) {
			first = i
			break
		}
	}
	if first < 0 {
		return fmt.Errorf("its %d samples are no stretch of the film's", len(cut.samples))
	}
	if err := p.listed(cut, first); err != nil {
		return err
	}
	anySync := slices.ContainsFunc(p.samples[:first+1], func(s sample) bool { return s.sync })
	if anySync && !cut.samples[0].sync {
		return fmt.Errorf("it begins with sample %d, which is no sync sample", first)
	}
	if first == 0 || !slices.Contains([]string{"mp4a", "Opus", "ac-3"}, cut.format) {
		return nil // PCM and lossless codecs need nothing before
	}
	begin := int64(math.MaxInt64)
	for _, e := range cut.edits {
		if e.mediaTime >= 0 {
			begin = min(begin, e.mediaTime)
		}
	}
	if lead, _ := cut.during(float64(begin)); lead < 2 {
		return fmt.Errorf("it has %d samples before the first that is shown", lead)
	}
	return nil
}

// listed tells whether the cut, which begins with a sample of the film, has its sync samples. Where pictures are hidden,
// no other than the first is one that is shown less than a second after the picture on show.
func (p *presentation) listed(cut *presentation, first int) error {
	media := slices.DeleteFunc(slices.Clone(cut.edits), func(e edit) bool { return e.mediaTime < 0 })
	on, _ := cut.during(float64(media[0].mediaTime))
	hides := p.handler == "vide" && len(media) == 1 && on >= 0 &&
		slices.ContainsFunc(cut.begins, func(begins int64) bool { return begins < media[0].mediaTime })
	some := false
	for i, s := range cut.samples {
		due := p.samples[first+i].sync
		if hides && some && due {
			due = p.begins[first+i]-p.begins[first+on] >= int64(p.timescale)
		}
		some = some || due
		if s.sync != due {
			return fmt.Errorf("its sample %d, %d of the film, is a sync sample: %v", i, first+i, s.sync)
		}
	}
	return nil
}

// keyMoment is when a film shows the key frame from which its picture at a second is decoded: what seek: keyframe
// begins at.
func (f *film) keyMoment(second float64) float64 {
	reference := slices.IndexFunc(f.tracks, func(t *track) bool { return t.handler == "vide" })
	p := f.presentation(f.tracks[max(0, reference)].id)
	n, moment := p.at(second + tolerance*0.99)
	if n < 0 {
		return second
	}
	key := int64(math.MinInt64)
	for i, s := range p.samples {
		if s.sync && p.begins[i] <= p.begins[n] {
			key = max(key, p.begins[i])
		}
	}
	back := (moment - float64(key)) / float64(p.timescale)
	begin := 0.0 // of the edit
	for _, e := range p.edits {
		lasts := float64(e.duration) / float64(p.movie)
		if second < begin+lasts || e.duration == 0 {
			if e.rate != 1 {
				return second // there is no way back at another speed
			}
			break
		}
		begin += lasts
	}
	return max(begin, second+tolerance*0.99-back)
}

// over tells whether a film shows nothing from a second on.
func (f *film) over(second float64) bool {
	return !slices.ContainsFunc(f.tracks, func(t *track) bool {
		p := f.presentation(t.id)
		for at := second; p != nil && at < 12; at += tolerance {
			if p.shown(at) != "" {
				return true
			}
		}
		return false
	})
}

var moments = [][2]int{{40, -1}, {1234, -1}, {2000, 2600}, {3400, 5567}, {4321, -1}, {6500, 9000}, {7777, -1}}

// TestPresentation compares what films and their cuts show, of every track, at each of thousands of moments.
func TestPresentation(t *testing.T) {
	dir := t.TempDir()
	films := map[string][]byte{}
	for _, f := range media.Films {
		films[f.Name] = read(t, f.Name)
	}
	for name, change := range edited {
		films[name] = change(t)
	}
	for name, content := range films {
		write(t, dir, name, content)
	}
	exact, keyframe := compiled(t, dir, "exact"), compiled(t, dir, "keyframe")
	for name, content := range films {
		t.Run(name, func(t *testing.T) {
			source, err := parse(content)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range moments {
				start, end := float64(m[0])/1000, float64(m[1])/1000
				query := fmt.Sprintf("/%s?start=%.3f", name, start)
				if end > 0 {
					query += fmt.Sprintf("&end=%.3f", end)
				}
				if source.over(start) {
					if status, _ := exact(query); status != http.StatusNotFound {
						t.Errorf("%s: %d", query, status)
					}
					continue
				}
				_, cut := exact.cut(t, query)
				if err := alike(source, cut, start, end); err != nil {
					t.Errorf("%s: %v", query, err)
				}
				_, cut = keyframe.cut(t, query)
				if err := alike(source, cut, source.keyMoment(start), end); err != nil {
					t.Errorf("%s: keyframe: %v", query, err)
				}
			}
		})
	}
}

// edited are films with edit lists that no ffmpeg writes, and that it does not play right. The media time of their
// first picture is 1024 of 12800 ticks a second, of their sound 1024 of 48000; the movie's ticks are milliseconds.
var edited = map[string]func(t *testing.T) []byte{
	"skips.mp4": edits(
		[]edit{{3000, picture(0), 1}, {4000, picture(5000), 1}},
		[]edit{{3000, sound(0), 1}, {4000, sound(5000), 1}}),
	"skips-between-key-frames.mp4": edits(
		[]edit{{2987, picture(313), 1}, {3511, picture(5321), 1}},
		[]edit{{2987, sound(313), 1}, {3511, sound(5321), 1}}),
	"repeats.mp4": edits(
		[]edit{{4000, picture(0), 1}, {6000, picture(2000), 1}},
		[]edit{{4000, sound(0), 1}, {6000, sound(2000), 1}}),
	"backwards.mp4": edits(
		[]edit{{3000, picture(6500), 1}, {3000, picture(3300), 1}, {3000, picture(100), 1}},
		[]edit{{3000, sound(6500), 1}, {3000, sound(3300), 1}, {3000, sound(100), 1}}),
	"pauses.mp4": edits(
		[]edit{{1000, -1, 1}, {2000, picture(0), 1}, {1000, -1, 1}, {5000, picture(2000), 1}},
		[]edit{{500, -1, 1}, {2500, sound(0), 1}, {1000, -1, 1}, {5000, sound(2500), 1}}),
	"dwells.mp4": edits(
		[]edit{{3000, picture(0), 1}, {1500, picture(3000), 0}, {4000, picture(3000), 1}},
		[]edit{{3000, sound(0), 1}, {1500, -1, 1}, {4000, sound(3000), 1}}),
	"dwells-at-the-end.mp4": edits(
		[]edit{{6000, picture(0), 1}, {4000, picture(5960), 0}},
		[]edit{{10000, sound(0), 1}}),
	"the-rest.mp4": edits( // of the media: segment_duration 0
		[]edit{{2000, -1, 1}, {0, picture(0), 1}},
		[]edit{{2000, -1, 1}, {0, sound(0), 1}}),
	"longer-than-the-media.mp4": edits(
		[]edit{{60000, picture(0), 1}},
		[]edit{{60000, sound(0), 1}}),
	"fast.mp4": edits( // at twice the speed
		[]edit{{2000, picture(0), 1}, {2000, picture(2000), 2}, {4000, picture(6000), 1}},
		[]edit{{2000, sound(0), 1}, {2000, -1, 1}, {4000, sound(6000), 1}}),
}

func picture(ms int64) int64 { return 1024 + ms*12800/1000 }
func sound(ms int64) int64   { return 1024 + ms*48 }

// edits gives moovlast.mp4 other edit lists, its first track's and its second's.
func edits(lists ...[]edit) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		n := 0
		return rewrite(t, read(t, "moovlast.mp4"), func(typ string, payload []byte) []byte {
			if typ != "elst" {
				return payload
			}
			out := u32(0, uint32(len(lists[n])))
			for _, e := range lists[n] {
				out = append(out, u32(uint32(e.duration), uint32(e.mediaTime), uint32(e.rate*(1<<16)))...)
			}
			n++
			return out
		})
	}
}

// rewrite changes boxes of a moov that comes last, the containers after what is in them. A box that becomes nil is left out.
func rewrite(t *testing.T, content []byte, change func(typ string, payload []byte) []byte) []byte {
	t.Helper()
	boxes, err := walk(content, 0)
	if err != nil || boxes[len(boxes)-1].typ != "moov" {
		t.Fatalf("the moov is not the last box: %v", err)
	}
	moov := boxes[len(boxes)-1]
	return append(slices.Clone(content[:moov.at-8]), pack(false, "moov", rewriteAll(t, moov, change))...)
}

func rewriteAll(t *testing.T, parent box, change func(string, []byte) []byte) (out []byte) {
	t.Helper()
	children, err := walk(parent.payload, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range children {
		payload := c.payload
		if slices.Contains([]string{"trak", "mdia", "minf", "stbl", "edts", "dinf", "udta"}, c.typ) {
			payload = rewriteAll(t, c, change)
		}
		if payload = change(c.typ, payload); payload != nil {
			out = append(out, pack(false, c.typ, payload)...)
		}
	}
	return out
}
