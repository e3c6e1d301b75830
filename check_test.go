package mp4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
)

// checker checks cuts of one file: what must be true of every answer, whatever was asked.
type checker struct {
	data   []byte
	plain  *plainMovie
	movie  *movie
	random *rand.Rand
	again  bool    // the file is itself an answer
	short  bool    // it ends before the samples do
	leads  []int64 // by track, for how many ticks the last hidden picture stands
	keys   int     // key frames of all tracks
}

func newChecker(data []byte, r *rand.Rand) (*checker, error) {
	plain, err := readPlain(data)
	if err != nil {
		return nil, err
	}
	m, err := findMovie(&memorySource{data: data}, 1<<30)
	if err != nil {
		return nil, err
	}
	return &checker{data: data, plain: plain, movie: m, random: r}, nil
}

// checked is a track of an answer beside that of the source.
type checked struct {
	source, answer *plainTrack
	scale          int64 // the answer's movie timescale
	want           *wanted
	first          int // sample of the source that is the answer's first
	end            int
	shift          float64 // seconds by which the picture on show begins after the start
	lead           int64   // ticks for which the last hidden picture stands
}

// check makes the cut and returns what is wrong with it, and whether there is one: no answer is right where nothing is
// left to show.
func (k *checker) check(iv msInterval, seek string) (bool, error) {
	scale, from, tracks := k.wantedTracks(iv, seek)
	c, err := k.movie.cutProgressive(iv, seek)
	if len(tracks) == 0 {
		due := errPastEnd
		if k.short {
			due = errFormat
		}
		if !errors.Is(err, due) {
			return false, fmt.Errorf("nothing is to be shown, but the error is %v", err)
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, answer, err := k.checkFile(c)
	if err != nil {
		return true, err
	}
	if answer.timescale != scale {
		return true, fmt.Errorf("the movie timescale is %d, want %d", answer.timescale, scale)
	}
	if len(answer.tracks) != len(tracks) {
		return true, fmt.Errorf("%d tracks, want %d", len(answer.tracks), len(tracks))
	}
	longest := int64(0)
	k.leads = []int64{}
	k.keys = 0
	for i, t := range tracks {
		t.answer, t.scale = answer.tracks[i], scale
		err = k.checkTrack(c, t, seek)
		if err == nil {
			err = t.checkSides(k.data, data)
		}
		if err == nil && seek != seekSample {
			err = k.checkShown(t, answer, float64(from)/float64(scale), iv)
		}
		if err != nil {
			return true, fmt.Errorf("track %d (%s): %w", t.source.id, t.source.handler, err)
		}
		longest = maxInt64(longest, t.answer.trackDuration)
		k.leads = append(k.leads, t.lead)
		k.keys += len(t.answer.stss) + len(t.answer.stps)
	}
	if answer.duration != longest {
		return true, fmt.Errorf("mvhd says %d, the longest track %d", answer.duration, longest)
	}
	if c.duration != longest*1000/scale {
		return true, fmt.Errorf("the cut is said to be %d ms long, and is %d of %d", c.duration, longest, scale)
	}
	err = k.checkBoxes(answer, tracks)
	if err == nil && !k.again {
		err = k.checkAgain(data, seek)
	}
	return true, err
}

// wantedTracks says what must be kept: tracks of the source with their samples, and from which movie tick on.
func (k *checker) wantedTracks(iv msInterval, seek string) (int64, int64, []*checked) {
	var tracks []*checked
	m := k.plain
	if seek == seekSample {
		for _, t := range m.tracks {
			first, end := t.nginxSamples(iv)
			if first < end && t.handler != "hint" {
				tracks = append(tracks, &checked{source: t, want: &wanted{first: first, earliest: first, end: end}})
			}
		}
		return m.timescale, 0, tracks
	}
	scale := plainScale(m.timescale)
	from := iv.start * scale / 1000
	to := int64(-1)
	if iv.end >= 0 {
		to = iv.end * scale / 1000
	}
	if seek == seekKeyframe {
		from = m.keyMoment(scale, from)
	}
	for _, t := range m.tracks {
		w := m.wantedOf(t, scale, from, to)
		if w != nil {
			tracks = append(tracks, &checked{source: t, want: w})
		}
	}
	return scale, from, tracks
}

// checkLoosely checks an answer to a file that contradicts itself: it must not contradict itself any more, and its
// samples must lie in its mdat.
func checkLoosely(data []byte, m *movie, c *cut) (*plainMovie, error) {
	k := &checker{data: data, movie: m}
	_, answer, err := k.checkFile(c)
	if err != nil {
		return nil, err
	}
	for _, t := range answer.tracks {
		err = checkSums(t, false)
		if err != nil {
			return nil, fmt.Errorf("track %d: %w", t.id, err)
		}
		for i, at := range t.at {
			if at < c.segments[0].length || at+t.sizes[i] > c.length {
				return nil, fmt.Errorf("track %d: sample %d lies at [%d, %d), mdat at [%d, %d)", t.id, i, at, at+t.sizes[i], c.segments[0].length, c.length)
			}
		}
	}
	return answer, nil
}

// checkFile checks the answer as a file: lengths, and which boxes it has.
func (k *checker) checkFile(c *cut) ([]byte, *plainMovie, error) {
	sum, last := int64(0), int64(0)
	for i, s := range c.segments {
		sum += s.length
		if s.length <= 0 || s.fromSource != (i > 0) {
			return nil, nil, fmt.Errorf("segment %d: from the source: %v, %d bytes", i, s.fromSource, s.length)
		}
		if s.fromSource && (s.off < last || s.off+s.length > int64(len(k.data))) {
			return nil, nil, fmt.Errorf("segment %d is [%d, %d) of %d, and the one before ends at %d", i, s.off, s.off+s.length, len(k.data), last)
		}
		if s.fromSource {
			last = s.off + s.length
		}
	}
	data, err := assemble(c, k.data, nil)
	if err != nil {
		return nil, nil, err
	}
	if int64(len(data)) != c.length || sum != c.length {
		return nil, nil, fmt.Errorf("%d bytes are written, the segments have %d, the cut %d", len(data), sum, c.length)
	}
	split, err := assemble(c, k.data, k.random)
	if err != nil || !bytes.Equal(data, split) {
		return nil, nil, fmt.Errorf("written in other pieces it is not the same: %v", err)
	}
	answer, err := readPlain(data)
	if err != nil {
		return nil, nil, err
	}
	order, size := "", 0
	for _, b := range answer.top {
		order += b.typ + " "
		size += len(b.data)
	}
	if size != len(data) {
		return nil, nil, fmt.Errorf("its boxes have %d bytes of %d", size, len(data))
	}
	if order != "ftyp moov mdat " {
		return nil, nil, fmt.Errorf("boxes %q", order)
	}
	return data, answer, nil
}

// inSource returns where a byte of the answer lies in the source, -1 for what is made.
func inSource(c *cut, at int64) int64 {
	for _, s := range c.segments {
		if at < s.length {
			if s.fromSource {
				return s.off + at
			}
			return -1
		}
		at -= s.length
	}
	return -1
}

// checkTrack checks the tables and times of a track.
func (k *checker) checkTrack(c *cut, t *checked, seek string) error {
	err := checkSums(t.answer, false)
	if err != nil {
		return err
	}
	err = k.checkSamples(c, t)
	if err != nil {
		return err
	}
	a, s := t.answer, t.source
	if a.id != s.id || a.hasSync != s.hasSync && !(a.handler == "soun" && s.namedAmong(t.first, t.end) == 0) {
		return fmt.Errorf("it is track %d, has sync samples: %v; want %d, %v", a.id, a.hasSync, s.id, s.hasSync)
	}
	if t.end != t.want.end && !t.want.collapses || t.first < t.want.earliest || t.first > t.want.first {
		return fmt.Errorf("samples [%d, %d) are kept, want [%d, %d), from %d on at most", t.first, t.end, t.want.first, t.want.end, t.want.earliest)
	}
	if seek == seekSample {
		err = t.checkTimes(s.dts, s.cts, 1)
		if err == nil && len(a.edits) > 0 {
			return fmt.Errorf("it has the edit list %v", a.edits)
		}
	} else {
		err = t.checkEdited()
	}
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, d := range a.durations {
		sum += d
	}
	if a.mediaDuration != sum {
		return fmt.Errorf("mdhd says %d, stts %d", a.mediaDuration, sum)
	}
	want := sum * t.scale / a.timescale
	if len(a.edits) > 0 {
		want = 0
		for _, e := range a.edits {
			want += e.duration
			if e.duration <= 0 || e.mediaTime < -1 || e.mediaTime > a.mediaEnd() && !t.want.beyond {
				return fmt.Errorf("edit %v of a media that ends at %d", e, a.mediaEnd())
			}
		}
	}
	if a.trackDuration != want {
		return fmt.Errorf("tkhd says %d, want %d", a.trackDuration, want)
	}
	return t.checkPerSample()
}

// checkSums fails unless every table of an answer's track speaks of the same samples. Sync samples may be named twice
// where the source does so too.
func checkSums(a *plainTrack, twice bool) error {
	n := int64(a.samples())
	if n == 0 || a.timed != n || a.sized != n || a.chunked != n || a.offset >= 0 && a.offset != n {
		return fmt.Errorf("samples in stts %d, stsz %d, chunks %d, ctts %d", a.timed, a.sized, a.chunked, a.offset)
	}
	for _, table := range [][]int64{a.stss, a.stps} {
		for i, number := range table {
			if number < 1 || number > n || i > 0 && (number < table[i-1] || number == table[i-1] && !twice) {
				return fmt.Errorf("sync samples %v of %d", table, n)
			}
		}
	}
	return nil
}

// checkSamples finds which samples of the source the answer has, and compares them byte by byte.
func (k *checker) checkSamples(c *cut, t *checked) error {
	a, s := t.answer, t.source
	t.first = t.want.first
	for i, at := range a.at {
		if a.sizes[i] > 0 {
			found := inSource(c, at)
			for j := range s.at {
				if s.sizes[j] > 0 && s.at[j] == found {
					t.first = j - i
					break
				}
			}
			break
		}
	}
	t.end = t.first + a.samples()
	if t.first < 0 || t.end > s.samples() {
		return fmt.Errorf("samples [%d, %d) of %d", t.first, t.end, s.samples())
	}
	made := c.segments[0].length
	sync := t.wantedSync()
	for i, at := range a.at {
		j, size := t.first+i, a.sizes[i]
		if at < made || at+size > c.length {
			return fmt.Errorf("sample %d lies at [%d, %d), mdat at [%d, %d)", i, at, at+size, made, c.length)
		}
		unnamed := a.handler == "soun" && !a.hasSync // sound of which no sample is one has no list that says so
		if size != s.sizes[j] || a.description[i] != s.description[j] || a.sync[i] != sync[i] && !unnamed {
			return fmt.Errorf("sample %d: size, description, sync %d %d %v; of the source's %d: %d %d %v", i,
				size, a.description[i], a.sync[i], j, s.sizes[j], s.description[j], sync[i])
		}
		if size > 0 && inSource(c, at) != s.at[j] {
			return fmt.Errorf("sample %d lies at %d, which is %d in the source, want %d", i, at, inSource(c, at), s.at[j])
		}
	}
	return nil
}

// wantedSync says which samples of the answer are to be key frames: those of the source, but behind hidden pictures none,
// after the first, that is shown less than a second after the picture on show. Sample groups keep theirs.
func (t *checked) wantedSync() []bool {
	s, on := t.source, t.want.on
	sync := append([]bool{}, s.sync[t.first:t.end]...)
	hides := false
	for _, cts := range s.cts[t.first:t.end] {
		hides = hides || t.want.collapses && on >= 0 && cts < s.cts[on]
	}
	first := true
	for i := range sync {
		if hides && s.hasSync && sync[i] {
			sync[i] = first || s.grouped[t.first+i] || s.cts[t.first+i] >= s.cts[on]+s.timescale
			first = false
		}
	}
	return sync
}

// checkTimes compares the times of the answer's samples with those of a list, in ticks of factor.
func (t *checked) checkTimes(dts, cts []int64, factor int64) error {
	a, s := t.answer, t.source
	if a.timescale != s.timescale*factor {
		return fmt.Errorf("the timescale is %d, want %d", a.timescale, s.timescale*factor)
	}
	origin := dts[t.first]
	for i := range a.dts {
		j := t.first + i
		if a.dts[i] != dts[j]-origin || a.cts[i] != cts[j]-origin {
			return fmt.Errorf("sample %d (%d of the source) has times %d, %d, want %d, %d", i, j, a.dts[i], a.cts[i], dts[j]-origin, cts[j]-origin)
		}
	}
	lasts := s.durations[t.end-1] * factor
	if len(dts) > t.end { // it says when the last sample ends
		lasts = dts[t.end] - dts[t.end-1]
	}
	if a.durations[a.samples()-1] != lasts {
		return fmt.Errorf("the last sample is %d long, want %d", a.durations[a.samples()-1], lasts)
	}
	return nil
}

// checkEdited checks times and edit list of a track that is cut by its edit list.
func (t *checked) checkEdited() error {
	w, a, s := t.want, t.answer, t.source
	if w.collapses {
		return t.checkCollapsed()
	}
	f := w.fine
	if w.late.under > 0 {
		t.shift = float64(w.late.over) / float64(w.late.under)
	}
	dts, cts := []int64{}, []int64{}
	for i := range s.cts {
		dts = append(dts, s.dts[i]*f)
		cts = append(cts, s.cts[i]*f)
	}
	on := s.onShowAt(w.begins/f, fraction{w.begins + 1, f})
	if containsType("textsbtlsubtsubpclcp", s.handler) && w.media == 1 && w.rate == normalRate && on == t.first {
		return t.checkShortened(w.begins - dts[on])
	}
	if s.handler == "vide" && on >= 0 && cts[on] < w.begins && !w.showsAt(s, t.scale, cts[on]) {
		cts[on] = w.begins // it is on show at once
	}
	origin := dts[t.first]
	if w.begins < origin { // an edit cannot begin before 0: decode times are lowered, as in a lead-in
		raise := f * maxInt64(s.raise(t.first, t.end), fraction{origin - w.begins, f}.up())
		for i := range cts {
			cts[i] += raise
		}
		origin -= raise
	}
	err := t.checkTimes(dts[:t.end], cts, f)
	if err != nil {
		return err
	}
	return sameEdits(a.edits, w.edits, origin)
}

// checkShortened checks a track of texts: the one on show lasts for what is left of it, and the media begin with it.
func (t *checked) checkShortened(passed int64) error {
	dts := []int64{}
	for i := range t.source.dts[:t.end] {
		dts = append(dts, t.source.dts[i]*t.want.fine)
	}
	dts = append(dts, dts[t.end-1]+t.source.durations[t.end-1]*t.want.fine)
	dts[t.first] += passed
	err := t.checkTimes(dts, dts, t.want.fine)
	if err != nil {
		return err
	}
	return sameEdits(t.answer.edits, t.want.edits, t.want.begins)
}

// showsAt reports whether any edit shows the media at a composition time.
func (w *wanted) showsAt(t *plainTrack, scale, cts int64) bool {
	for _, e := range w.edits {
		if e.mediaTime >= 0 && e.rate != 0 && e.mediaTime <= cts && (cts-e.mediaTime)*scale*normalRate < e.duration*t.timescale*w.fine*e.rate {
			return true
		}
		if e.mediaTime == cts {
			return true
		}
	}
	return false
}

// sameEdits compares edit lists, the wanted one with media times of the source, where the first sample kept begins at
// origin.
func sameEdits(got, want []plainEdit, origin int64) error {
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		e := want[i]
		if e.mediaTime >= 0 {
			e.mediaTime -= origin
		}
		same = got[i] == e
	}
	if !same {
		return fmt.Errorf("edits %v, want %v less %d", got, want, origin)
	}
	return nil
}

// A longer lead-in is made shorter by a higher timescale, which also has to express milliseconds.
const (
	leadMS        = 50
	leadPerSecond = 1000
)

// checkCollapsed compares the lead-in with the formula of docs/lead-in.md.
func (t *checked) checkCollapsed() error {
	w, a, s := t.want, t.answer, t.source
	begin := w.start(s, t.first, 1)
	factor := w.factor(s, begin.hidden)
	begin = w.start(s, t.first, factor)
	if t.end != begin.end {
		return fmt.Errorf("samples [%d, %d) are kept, want them to end at %d", t.first, t.end, begin.end)
	}
	for i := range a.dts {
		if a.dts[i] > a.cts[i] {
			return fmt.Errorf("sample %d is decoded at %d, after it is shown, at %d", i, a.dts[i], a.cts[i])
		}
	}
	c := w.collapse(s, begin, t.first, t.end, factor, s.raise(t.first, t.end))
	t.lead = c.lead
	dts, cts := make([]int64, t.first, t.end), make([]int64, t.first, t.end)
	err := t.checkTimes(append(dts, c.dts...), append(cts, c.cts...), factor)
	if err != nil {
		return fmt.Errorf("lead-in of %d: %w", begin.hidden, err)
	}
	if w.rate != 0 {
		t.shift = float64(begin.lateMedia) / float64(s.timescale*factor) * normalRate / float64(w.rate)
	}
	var edits []plainEdit
	for _, e := range w.edits {
		if e.mediaTime >= 0 {
			if begin.gap > 0 {
				edits = append(edits, plainEdit{begin.gap, -1, normalRate})
			}
			e.duration -= begin.gap + minInt64(begin.late, e.duration-1)
			e.mediaTime = c.mediaTime
		}
		edits = append(edits, e)
	}
	return sameEdits(a.edits, edits, 0)
}

// checkPerSample compares the tables that have an entry for every sample.
func (t *checked) checkPerSample() error {
	for _, b := range t.source.tables {
		got, ok := plainChild(t.answer.tables, b.typ)
		if b.typ == "sdtp" {
			want := b.body()[4+t.first : 4+t.end]
			if !ok || !bytes.Equal(got.body()[4:], want) {
				return fmt.Errorf("%s is %x, want %x", b.typ, got.data, want)
			}
		}
	}
	return nil
}

// checkShown compares what is shown at every moment of the answer with what the source shows that much after from.
// Where pictures change, times may differ by a tick of the movie and one of the media.
func (k *checker) checkShown(t *checked, answer *plainMovie, from float64, iv msInterval) error {
	tick := 1.01 / float64(t.source.timescale)
	for _, e := range t.source.edits {
		if e.rate > 0 && e.rate < normalRate { // a tick lasts longer
			tick = 1.01 / float64(t.source.timescale) * normalRate / float64(e.rate)
		}
	}
	tick += 1.01/float64(t.scale) + t.shift + 1e-9
	source, cut := k.plain.presentation(t.source), answer.presentation(t.answer)
	ends := source[len(source)-1].to
	if iv.end >= 0 && float64(iv.end)/1000 < ends {
		ends = float64(iv.end) / 1000
	}
	length := cut[len(cut)-1].to
	if length < ends-from-tick-t.shift || length > ends-from+tick {
		return fmt.Errorf("it is %f s long, want %f", length, ends-from)
	}
	for _, s := range source {
		low, high := s.from, s.to
		if low < from {
			low = from
		}
		if high > ends {
			high = ends
		}
		for _, at := range []float64{low + tick, (low + high) / 2, high - tick} {
			got := on(cut, at-from, t.first)
			if high-low > 2*tick && !same(got, s) {
				return fmt.Errorf("at %f s %v is shown, want %v, from %f s on", at-from, got, s, from)
			}
		}
	}
	for _, s := range cut {
		for _, at := range []float64{s.from + tick, (s.from + s.to) / 2, s.to - tick} {
			want := on(source, at+from, 0)
			if s.to-s.from > 2*tick && !same(on(cut, at, t.first), want) {
				return fmt.Errorf("%v of those from %d on is shown, at %f s the source shows %v", s, t.first, at+from, want)
			}
		}
	}
	return nil
}

// on is what is shown at a moment, where the first sample has a number.
func on(stretches []stretch, at float64, first int) stretch {
	low, high := 0, len(stretches)
	for low < high { // the first that ends later
		middle := (low + high) / 2
		if stretches[middle].to > at {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low == len(stretches) || at < stretches[low].from {
		return stretch{sample: -2}
	}
	s := stretches[low]
	if s.sample >= 0 {
		s.sample += first
	}
	return s
}

// same reports whether both show the same. The last sample may stay on show where the media is over.
func same(a, b stretch) bool {
	return a.sample == b.sample || a.over && b.sample == -1 || b.over && a.sample == -1
}

// Boxes that a cut makes anew. All others stay as they are, in their place.
const (
	openedBoxes = "moovtrakmdiaminfstbl"
	madeBoxes   = "mvhdtkhdmdhdedtstrefsttscttsstssstpsstscstszstz2stcoco64sdtpsbgpsubssaizsaiosenc"
)

// checkBoxes compares the boxes of the moov.
func (k *checker) checkBoxes(answer *plainMovie, tracks []*checked) error {
	kept := map[int64]bool{}
	ids := map[int64]bool{}
	for _, t := range tracks {
		kept[t.source.box.at] = true
		stss, ok := plainChild(t.source.tables, "stss")
		if ok && (t.source.handler != "soun" || t.answer.hasSync || t.source.namedAmong(t.first, t.end) > 0) { // else it would say nothing
			kept[stss.at] = true
		}
		ids[t.source.id] = true
	}
	return sameBoxes(k.plain.moov, answer.moov, kept, ids)
}

// sameBoxes compares a container of the source with that of the answer.
func sameBoxes(source, answer plainBox, kept, ids map[int64]bool) error {
	sources, sourceRest, err := plainBoxes(source.body(), source.bodyAt())
	if err != nil {
		return err
	}
	answers, answerRest, err := plainBoxes(answer.body(), answer.bodyAt())
	if err != nil {
		return err
	}
	if !bytes.Equal(sourceRest, answerRest) {
		return fmt.Errorf("%s ends with % x, want % x", source.typ, answerRest, sourceRest)
	}
	_, timesMoved := plainChild(answers, "ctts")
	times, timesThere := plainChild(sources, "ctts")
	var want []plainBox
	for _, b := range sources {
		switch b.typ {
		case "trak", "stss":
			if kept[b.at] {
				want = append(want, b)
			}
		case "tref":
			if len(keptReferences(b, ids)) > 0 {
				want = append(want, b)
			}
		case "csgp": // becomes what it says of the samples kept
			want = append(want, plainBox{typ: "sbgp"})
		case "edts", "cslg", "stdp", "padb", "stsh":
		case "ctts":
			if timesMoved || len(times.body()) > 8 { // one without entries says nothing
				want = append(want, b)
			}
		case "tkhd":
			want = append(want, b)
			_, edited := plainChild(answers, "edts")
			if edited {
				want = append(want, plainBox{typ: "edts"})
			}
		case "stts":
			want = append(want, b)
			if timesMoved && !timesThere {
				want = append(want, plainBox{typ: "ctts"})
			}
		default:
			want = append(want, b)
		}
	}
	names := []string{"", ""}
	for i, list := range [][]plainBox{answers, want} {
		for _, b := range list {
			names[i] += " " + b.typ
		}
	}
	if names[0] != names[1] {
		return fmt.Errorf("%s contains%s, want%s", source.typ, names[0], names[1])
	}
	for i, b := range want {
		got := answers[i]
		switch {
		case b.typ == "tref":
			if !bytes.Equal(got.body(), keptReferences(b, ids)) {
				return fmt.Errorf("tref is % x", got.body())
			}
		case containsType(openedBoxes, b.typ):
			err = sameBoxes(b, got, kept, ids)
		case !containsType(madeBoxes, b.typ) && !bytes.Equal(b.data, got.data):
			err = fmt.Errorf("%s is % x, want % x", b.typ, got.data, b.data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", source.typ, err)
		}
	}
	return nil
}

// keptReferences are the children of a tref, less the tracks that are not there.
func keptReferences(b plainBox, ids map[int64]bool) []byte {
	var out []byte
	children, _, _ := plainBoxes(b.body(), 0)
	for _, c := range children {
		var there []byte
		for p := c.body(); len(p) >= 4; p = p[4:] {
			id := int64(p[0])<<24 | int64(p[1])<<16 | int64(p[2])<<8 | int64(p[3])
			if ids[id] {
				there = append(there, p[:4]...)
			}
		}
		if len(there) > 0 {
			out = append(out, rawBox(c.typ, there)...)
		}
	}
	return out
}

// checkAgain cuts an answer at 0: it must be itself, but for two things, which again.check has compared with the model.
// Where the last hidden picture stands longer than the least lead, that is a tick more now; and what was on show for a
// while at the start begins with the answer, so that its second without key frames ends that much later.
func (k *checker) checkAgain(data []byte, seek string) error {
	again, err := newChecker(data, k.random)
	if err != nil {
		return fmt.Errorf("read again: %w", err)
	}
	again.again = true
	_, err = again.check(msInterval{0, -1}, seek)
	if err != nil {
		return fmt.Errorf("cut again: %w", err)
	}
	c, err := again.movie.cutProgressive(msInterval{0, -1}, seek)
	if err != nil {
		return fmt.Errorf("cut again: %w", err)
	}
	same, err := assemble(c, data, nil)
	longer := sum64(again.leads) - sum64(k.leads)
	if err == nil && longer >= 0 && longer <= int64(len(k.leads)) && (longer > 0 || again.keys < k.keys) {
		return nil
	}
	if err != nil || !bytes.Equal(same, data) {
		return fmt.Errorf("cut again at 0 it is not itself: %d bytes of %d, %v, first difference at %d", len(same), len(data), err, difference(same, data))
	}
	return nil
}

// sum64 is the sum of numbers.
func sum64(numbers []int64) int64 {
	sum := int64(0)
	for _, n := range numbers {
		sum += n
	}
	return sum
}

// difference is where two slices first differ.
func difference(a, b []byte) int {
	for i := range a {
		if i == len(b) || a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
