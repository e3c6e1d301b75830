package mp4

import (
	"fmt"
	"math/rand"
	"sort"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

// collapsed is a lead-in after the formula of docs/lead-in.md.
type collapsed struct {
	dts, cts  []int64 // the last decode time is the end of the last sample
	mediaTime int64
	lead      int64 // for which the last hidden one stands, and a tick
}

// formula is that of docs/lead-in.md, a sample at a time: for samples with decode times d, lowered by K, of which the
// last is the end, and composition times c, where the picture on show at m is shown at p, and the last hidden one stands
// for lead ticks.
func formula(d, c []int64, m, p, lead int64) *collapsed {
	var hidden []int
	last := -1
	for i, v := range c {
		if v < p {
			hidden = append(hidden, i)
			last = i
		}
	}
	sort.SliceStable(hidden, func(i, j int) bool { return c[hidden[i]] < c[hidden[j]] })
	rank := make([]int64, len(c))
	count, most := int64(len(hidden)), int64(0)
	for r, h := range hidden {
		rank[h] = int64(r)
		most = maxInt64(most, int64(h)+count-int64(r))
	}
	out := &collapsed{lead: lead, mediaTime: int64(last) + 1 + maxInt64(0, m-d[last+1])}
	if count > 0 {
		out.mediaTime = maxInt64(out.mediaTime, most+lead)
	}
	for i, v := range c {
		if v < p {
			out.cts = append(out.cts, out.mediaTime-lead-count+rank[i])
		} else {
			out.cts = append(out.cts, maxInt64(v-m+out.mediaTime, out.mediaTime))
		}
	}
	for i, v := range d {
		if i <= last {
			out.dts = append(out.dts, int64(i))
		} else {
			out.dts = append(out.dts, v-m+out.mediaTime)
		}
	}
	return out
}

// TestLeadInFormula cuts random tracks of pictures, and checks what the formula of docs/lead-in.md guarantees, each
// guarantee on its own, and every time by the formula.
func TestLeadInFormula(t *testing.T) {
	tracks, hiding := filmtest.Rounds(3000, 60), 0
	for seed := 0; seed < tracks; seed++ {
		r := rand.New(rand.NewSource(int64(seed)))
		m := newMadeMovie(randomPictures(r))
		data := m.file()
		source, err := readPlain(data)
		if err != nil {
			t.Fatal(err)
		}
		pictures := source.tracks[0]
		engine, err := findMovie(&memorySource{data: data}, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 3; i++ {
			start := r.Int63n((pictures.mediaEnd() - pictures.cts[0]) * 1000 / pictures.timescale)
			c, err := engine.cutProgressive(msInterval{start, -1}, seekExact)
			if err != nil {
				t.Fatalf("track %d from %d ms: %v", seed, start, err)
			}
			made, err := assemble(c, data, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := readPlain(made)
			if err != nil {
				t.Fatal(err)
			}
			l := newJudged(pictures, answer.tracks[0], start)
			err = l.judge()
			if err != nil {
				t.Errorf("track %d from %d ms, %d hidden of %d: %v", seed, start, len(l.hidden), l.answer.samples(), err)
			}
			if len(l.hidden) > 0 {
				hiding++
			}
		}
	}
	if hiding < tracks {
		t.Errorf("%d of %d cuts hide pictures", hiding, 3*tracks)
	}
}

// randomPictures is a track of pictures in groups of random lengths, some open, whose pictures are shown in a random
// order that their decoder's delay allows, some of them for longer than others.
func randomPictures(r *rand.Rand) *madeTrack {
	scale := oneOf(r, 10, 16, 24, 25, 600, 1000, 12800, 24000, 90000, 10_000_000)
	each := maxInt64(scale/oneOf(r, 10, 12, 24, 25, 60), 1)
	n := 30 + r.Int63n(200)
	t := newMadeTrack("vide", scale, n, each)
	if r.Intn(3) == 0 { // of variable rate
		for i := range t.durations {
			t.durations[i] += r.Int63n(2*each + 1)
		}
	}
	t.sync = []int64{0}
	for at := 1 + r.Int63n(60); at < n; at += 1 + r.Int63n(60) {
		t.sync = append(t.sync, at)
	}
	delay := r.Intn(5)
	if delay > 0 {
		t.offsets = reordered(r, t, delay)
		if r.Intn(2) == 0 { // as much earlier as the first is late
			t.offsetsV = 1
			for i, late := 0, t.offsets[0]; i < len(t.offsets); i++ {
				t.offsets[i] -= late
			}
		} else if r.Intn(2) == 0 {
			t.edits = []madeEdit{{0, t.offsets[0], normalRate}} // to the end
		}
	}
	return t
}

// reordered are composition offsets of pictures each of which is shown at most delay places before or after it is
// decoded, key frames before all that are decoded after them, but for some of the groups.
func reordered(r *rand.Rand, t *madeTrack, delay int) []int64 {
	n := len(t.durations)
	begins := make([]int64, n+delay+1) // of places
	for i := range begins {
		if i > 0 {
			begins[i] = begins[i-1] + t.durations[minInt(i-1, n-1)]
		}
	}
	place := make([]int, n)
	for i := range place {
		place[i] = i
	}
	closed := map[int]bool{}
	for _, key := range t.sync {
		closed[int(key)] = r.Intn(3) > 0
	}
	for i := 0; i < n; {
		size := 1 + r.Intn(delay+1)
		for j := i + 1; j < minInt(i+size, n); j++ {
			if closed[j] {
				size = j - i
			}
		}
		size = minInt(size, n-i)
		if !closed[i] {
			for j, p := range r.Perm(size) {
				place[i+j] = i + p
			}
		}
		i += size
	}
	offsets := make([]int64, n)
	for i, p := range place {
		offsets[i] = begins[p+delay] - begins[i]
	}
	return offsets
}

// judged is the lead-in of an answer that begins at a time of a source whose presentation begins with its media.
type judged struct {
	source, answer *plainTrack
	first          int   // sample of the source
	factor         int64 // of the timescale
	start, p       int64 // the start and the picture on show, in a thousandth of the source's ticks
	hidden         []int // samples of the answer, in the order in which they would be shown
	last           int
	mediaTime      int64 // M
}

// newJudged finds what is hidden.
func newJudged(source, answer *plainTrack, start int64) *judged {
	l := &judged{source: source, answer: answer, factor: answer.timescale / source.timescale, last: -1}
	l.first = source.samples() - answer.samples()
	l.start = start * source.timescale
	if len(source.edits) > 0 {
		l.start += source.edits[0].mediaTime * 1000
	}
	least := int64(1 << 60)
	l.p = -1 << 60
	for _, cts := range source.cts {
		if cts*1000 < l.start+source.timescale && cts*1000 > l.p {
			l.p = cts * 1000
		}
		least = minInt64(least, cts*1000)
	}
	if l.p < 0 {
		l.p = least
	}
	for _, i := range source.byTime {
		if i >= l.first && source.cts[i]*1000 < l.p {
			l.hidden = append(l.hidden, i-l.first)
			if i-l.first > l.last {
				l.last = i - l.first
			}
		}
	}
	l.mediaTime = answer.edits[len(answer.edits)-1].mediaTime
	return l
}

// judge checks the guarantees.
func (l *judged) judge() error {
	for _, check := range []func(l *judged) error{judgeOrder, judgeHidden, judgeShown, judgeKeys, judgeLeast, judgeFormula} {
		err := check(l)
		if err != nil {
			return err
		}
	}
	return nil
}

// judgeOrder: pictures are decoded one after another, none after it is shown.
func judgeOrder(l *judged) error {
	a := l.answer
	for i := range a.dts {
		if i > 0 && a.dts[i] <= a.dts[i-1] {
			return fmt.Errorf("sample %d is decoded at %d, the one before at %d", i, a.dts[i], a.dts[i-1])
		}
		if a.offsets[i] < 0 || a.durations[i] < 1 {
			return fmt.Errorf("sample %d lasts %d and is shown %d after it is decoded", i, a.durations[i], a.offsets[i])
		}
	}
	return nil
}

// judgeHidden: hidden pictures follow each other by a tick, in their order, and the last stands for the lead.
func judgeHidden(l *judged) error {
	a, s := l.answer, l.source
	for r, h := range l.hidden {
		if r > 0 && a.cts[h] != a.cts[l.hidden[r-1]]+1 {
			return fmt.Errorf("the hidden sample %d is shown at %d, the one before at %d", h, a.cts[h], a.cts[l.hidden[r-1]])
		}
	}
	if len(l.hidden) == 0 {
		return nil
	}
	final := l.hidden[len(l.hidden)-1]
	lead := l.mediaTime - 1 - a.cts[final]
	stood := l.p - s.cts[l.first+final]*1000 // in a thousandth of the source's ticks
	if stood > 100*s.timescale {
		stood = 100 * s.timescale
	}
	ceil := func(thousandths int64) int64 { return (thousandths + 999) / 1000 }
	most := ceil(100 * a.timescale)
	if lead*1000 < 64*a.timescale || lead > most || lead < stood*l.factor/1000 {
		return fmt.Errorf("the last hidden sample stands %d ticks of %d a second, and stood %d ms", lead, a.timescale, stood/s.timescale)
	}
	least := ceil(64*s.timescale) * l.factor
	if lead > maxInt64(least, ceil(stood)*l.factor) {
		return fmt.Errorf("the last hidden sample stands %d ticks of %d a second: too long", lead, a.timescale)
	}
	if int64(len(l.hidden))*1000 > 50*a.timescale {
		return fmt.Errorf("%d hidden samples take more than 50 ms: a second has %d ticks", len(l.hidden), a.timescale)
	}
	return nil
}

// judgeShown: the picture on show is shown at media_time, and the others as much later as in the source.
func judgeShown(l *judged) error {
	a, s := l.answer, l.source
	begins := fraction{l.start * l.factor, 1000}.round() // m
	begins = maxInt64(begins, l.p*l.factor/1000)
	if a.edits[len(a.edits)-1].duration < 1 || len(a.edits) > 2 {
		return fmt.Errorf("edits %v", a.edits)
	}
	for i, cts := range a.cts {
		was := s.cts[l.first+i]
		if was*1000 < l.p {
			continue
		}
		if want := maxInt64(l.mediaTime+was*l.factor-begins, l.mediaTime); cts != want {
			return fmt.Errorf("sample %d is shown at %d, want %d, with the start at %d", i, cts, want, l.mediaTime)
		}
	}
	return nil
}

// judgeKeys: no key frame but the first is listed that is shown within a second, all others are.
func judgeKeys(l *judged) error {
	a, s := l.answer, l.source
	if !a.sync[0] {
		return fmt.Errorf("the first sample is not said to be a key frame")
	}
	for i := 1; i < a.samples(); i++ {
		j := l.first + i
		quiet := len(l.hidden) > 0 && s.cts[j]*1000 < l.p+1000*s.timescale
		if a.sync[i] != (s.sync[j] && !quiet) {
			return fmt.Errorf("sample %d, shown %d thousandths of a tick after p: key frame: %v", i, s.cts[j]*1000-l.p, a.sync[i])
		}
	}
	return nil
}

// judgeLeast: media_time is the least for which all this holds.
func judgeLeast(l *judged) error {
	a := l.answer
	if len(l.hidden) == 0 {
		return nil
	}
	for _, h := range l.hidden {
		if a.cts[h] == a.dts[h] {
			return nil // a tick earlier it would be shown before it is decoded
		}
	}
	following := a.dts[a.samples()-1] + a.durations[a.samples()-1]
	if l.last+1 < a.samples() {
		following = a.dts[l.last+1]
	}
	if following == int64(l.last)+1 || l.mediaTime == int64(l.last)+1 {
		return nil
	}
	return fmt.Errorf("media_time is %d, and could be less", l.mediaTime)
}

// judgeFormula compares every time with the formula's.
func judgeFormula(l *judged) error {
	a, s := l.answer, l.source
	origin, lower := s.dts[l.first], s.raise(l.first, s.samples())
	var d, c []int64
	for i := l.first; i < s.samples(); i++ {
		d = append(d, (s.dts[i]-origin-lower)*l.factor)
		c = append(c, (s.cts[i]-origin)*l.factor)
	}
	d = append(d, d[len(d)-1]+s.durations[s.samples()-1]*l.factor)
	p := l.p*l.factor/1000 - origin*l.factor
	m := maxInt64(fraction{l.start * l.factor, 1000}.round()-origin*l.factor, p)
	want := formula(d, c, m, p, s.lead(s.cts[l.first:], l.p/1000, l.factor))
	if l.mediaTime != want.mediaTime {
		return fmt.Errorf("media_time is %d, want %d", l.mediaTime, want.mediaTime)
	}
	zero := want.dts[0]
	for i := range c {
		if a.dts[i] != want.dts[i]-zero || a.cts[i] != want.cts[i]-zero || a.durations[i] != want.dts[i+1]-want.dts[i] {
			return fmt.Errorf("sample %d: %d, %d, lasts %d; want %d, %d, %d", i, a.dts[i], a.cts[i], a.durations[i],
				want.dts[i]-zero, want.cts[i]-zero, want.dts[i+1]-want.dts[i])
		}
	}
	return nil
}
