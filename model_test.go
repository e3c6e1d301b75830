package mp4

// What docs/lead-in.md and docs/how-it-works.md say of time, in plain loops over lists, to compare the engine with.

// wanted is what a cut must keep of a track, and how.
type wanted struct {
	first, end int // samples; at most first is kept as first, since earlier sync samples also decode
	earliest   int // no sample before this one is kept
	edits      []plainEdit
	media      int // edits that show any
	collapses  bool
	beyond     bool // an edit lies behind the end of the media, as in the source, or for less than a tick before it

	// Of the first edit that shows media:
	scale    int64    // of the answer's movie timeline
	fine     int64    // factor of the timescale in which media times are counted
	begins   int64    // media time at the start, in such ticks, rounded
	source   int64    // where the edit begins in the media
	passed   fraction // media ticks that lie before the start, not rounded
	rate     int64
	duration int64    // movie ticks
	exact    int64    // where it ends in the media, rounded up
	on       int      // the sample on show, -1: none
	late     fraction // of a second by which it begins after the start, where there are several edits
}

// fraction is a quotient of two numbers.
type fraction struct{ over, under int64 }

// round is the nearest number, halves up.
func (f fraction) round() int64 { return floorDiv(2*f.over+f.under, 2*f.under) }

// up is rounded up.
func (f fraction) up() int64 { return -floorDiv(-f.over, f.under) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// mediaOf is how many ticks of the media pass in so many of the movie, at a rate.
func mediaOf(t *plainTrack, ticks, scale, rate int64) fraction {
	under := int64(normalRate)
	for rate%2 == 0 && under > 1 {
		rate /= 2
		under /= 2
	}
	return fraction{ticks * t.timescale * rate, scale * under}
}

// plainScale is the movie timescale of an answer: one that has whole milliseconds.
func plainScale(timescale int64) int64 {
	n := timescale
	for n%1000 != 0 {
		n += timescale
	}
	if n >= 1<<32 {
		return timescale
	}
	return n
}

// plainCut cuts the edit list of a track to [from, to) in ticks of an answer's movie timescale; to < 0: to the end.
// passed is how much of each edit, in movie ticks, lies before it.
func (m *plainMovie) plainCut(t *plainTrack, scale, from, to int64) ([]plainEdit, []int64) {
	var left []plainEdit
	var passed []int64
	edits := t.edits
	if len(edits) == 0 {
		edits = []plainEdit{{-1, 0, normalRate}}
	}
	begins := int64(0)
	for i, e := range edits {
		duration := e.duration * (scale / m.timescale)
		if e.duration < 0 || e.duration == 0 && e.mediaTime >= 0 {
			duration = 0
			if e.mediaTime >= 0 && e.mediaTime < t.mediaEnd() {
				duration = (t.mediaEnd() - e.mediaTime) * scale / t.timescale
			}
		}
		if i == len(edits)-1 && t.instant() && e.mediaTime >= 0 && e.mediaTime < t.mediaEnd() && e.rate == normalRate &&
			(e.duration <= 0 || 2*e.mediaTime+duration*2*t.timescale/scale < 2*t.mediaEnd()-1) {
			whole := fraction{(t.mediaEnd() - e.mediaTime) * scale, t.timescale}.up()
			if whole > duration && whole-duration <= scale/m.timescale+(fraction{scale, t.timescale}.up()) {
				duration = whole // a rounded length ends just before the last picture
			}
		}
		ends := begins + duration
		low, high := begins, ends
		if low < from {
			low = from
		}
		if to >= 0 && to < high {
			high = to
		}
		if low < high {
			left = append(left, plainEdit{high - low, e.mediaTime, e.rate})
			passed = append(passed, low-begins)
		}
		begins = ends
	}
	return left, passed
}

// wantedOf says what exact and keyframe keep of a track from a movie tick on; nil: nothing.
func (m *plainMovie) wantedOf(t *plainTrack, scale, from, to int64) *wanted {
	if t.samples() == 0 || t.handler == "hint" {
		return nil
	}
	left, passed := m.plainCut(t, scale, from, to)
	w := &wanted{begins: 1 << 60, scale: scale, fine: t.fine(left, passed, scale)}
	ends, f, several := int64(0), w.fine, 0
	for _, e := range left {
		if e.mediaTime >= 0 {
			several++
		}
	}
	for i, e := range left {
		if e.mediaTime < 0 {
			w.edits = append(w.edits, plainEdit{e.duration, -1, e.rate})
			continue
		}
		w.media++
		before := mediaOf(t, passed[i], scale, e.rate)
		if w.media == 1 {
			w.source, w.rate, w.passed, w.duration = e.mediaTime, e.rate, before, e.duration
			w.exact = 1 << 60
			if e.rate == normalRate {
				w.exact = e.mediaTime + mediaOf(t, passed[i]+e.duration, scale, e.rate).up()
			}
		}
		end := int64(1 << 60)
		if e.rate == normalRate {
			end = e.mediaTime*f + mediaOf(t, passed[i]+e.duration, scale, e.rate).times(f).up()
		}
		e.mediaTime = e.mediaTime*f + before.times(f).round()
		if w.media == 1 && several > 1 && t.handler == "vide" && passed[i] > 0 && e.rate == normalRate {
			on := t.onShowAt(e.mediaTime/f, w.limit(t))
			if on >= 0 && t.cts[on]*f > e.mediaTime { // a picture less than a millisecond later is the one that is meant
				w.late = fraction{t.cts[on]*f - e.mediaTime, t.timescale * f}
				late := minInt64(w.late.over*scale/w.late.under, e.duration-1)
				e.mediaTime = t.cts[on] * f
				e.duration -= late
				after := mediaOf(t, passed[i]+late, scale, e.rate).times(f)
				end = e.mediaTime - after.round() + mediaOf(t, passed[i]+late+e.duration, scale, e.rate).times(f).up()
			}
		}
		shows := mediaOf(t, e.duration, scale, e.rate).times(f).up()
		if e.rate == 0 {
			shows = 1
		}
		w.beyond = w.beyond || e.mediaTime >= end || e.mediaTime >= t.mediaEnd()*f || !t.covers(e.mediaTime/f)
		if e.mediaTime < w.begins {
			w.begins = e.mediaTime
		}
		ends = maxInt64(ends, minInt64(end, e.mediaTime+shows))
		w.edits = append(w.edits, e)
	}
	if w.media == 0 || w.begins >= t.mediaEnd()*f {
		return nil
	}
	ends = fraction{ends, f}.up()
	w.collapses = w.media == 1 && t.handler == "vide"
	w.on = t.onShowAt(w.begins/f, fraction{w.begins + 1, f})
	if w.collapses {
		w.on = t.onShowAt(w.begins/f, w.limit(t))
	}
	w.end = t.endBelow(ends, w.on)
	if w.end == 0 {
		return nil
	}
	w.keys(t, w.on, ends)
	if w.collapses && w.on < 0 {
		start := w.start(t, w.first, 1)
		start = w.start(t, w.first, w.factor(t, start.hidden))
		if start.gap >= w.duration {
			return nil // what is left ends before the first picture
		}
		w.end = start.end
		if w.end <= w.first {
			return nil
		}
	}
	return w
}

// fine is the factor by which a timescale that cannot tell milliseconds apart is raised: where an edit that is cut into
// would begin at another millisecond.
func (t *plainTrack) fine(edits []plainEdit, passed []int64, scale int64) int64 {
	factor := int64(1)
	for factor*t.timescale < leadPerSecond {
		factor++
	}
	for i, e := range edits {
		if e.mediaTime < 0 {
			continue
		}
		before := mediaOf(t, passed[i], scale, e.rate)
		if before.times(factor).round() != before.round()*factor {
			return factor
		}
	}
	return 1
}

// times is so many times the fraction.
func (f fraction) times(n int64) fraction { return fraction{f.over * n, f.under} }

// instant reports whether the sample that is shown last has no duration.
func (t *plainTrack) instant() bool { return t.durations[t.byTime[len(t.byTime)-1]] == 0 }

// covers reports whether the sample on show at a composition time lasts until then by its own duration. Where pictures
// are shown in another order than decoded it may not: the next one is late.
func (t *plainTrack) covers(at int64) bool {
	on := t.onShowAt(at, fraction{at + 1, 1})
	return on >= 0 && at < t.cts[on]+maxInt64(t.durations[on], 1)
}

// endBelow is one more than the last sample with a composition time below a limit; not before the one on show.
func (t *plainTrack) endBelow(limit int64, on int) int {
	end := on + 1
	for i, cts := range t.cts {
		if (cts < limit || limit >= t.mediaEnd()) && i >= end {
			end = i + 1
		}
	}
	return end
}

// limit is what the composition time of the picture on show lies below: a millisecond after the start, since arguments
// are truncated to the millisecond, but no later than the start where the edit is not cut into.
func (w *wanted) limit(t *plainTrack) fraction {
	if w.passed.over == 0 {
		return fraction{w.begins + 1, w.fine}
	}
	f := w.passed
	late := mediaOf(t, 1, 1000, w.rate) // that pass in a millisecond
	late.under /= 1000
	return fraction{(w.source*f.under+f.over)*1000*late.under + late.over*f.under, f.under * 1000 * late.under}
}

// onShowAt is the sample with the greatest composition time below a limit, -1 where there is none.
func (t *plainTrack) onShowAt(begins int64, below fraction) int {
	on := -1
	for _, i := range t.byTime {
		if (t.cts[i]-begins)*below.under < below.over-begins*below.under {
			on = i
		}
	}
	return on
}

// keys sets the first sample: the last sync sample that is decoded at or before all that is shown, and shown at or
// before it; for sound less the roll distance.
func (w *wanted) keys(t *plainTrack, on int, ends int64) {
	lowest, lowestAny, until := t.lowest(on, ends)
	if t.handler == "soun" {
		lowest, lowestAny, until = t.rolledBack(lowest), t.rolledBack(lowestAny), 1<<60
	}
	w.first, w.earliest = t.syncAtMost(lowest, until), t.syncAtMost(lowestAny, until)
}

// lowest is the first in decode order of the samples from the one on show on, of those that are shown before ends and
// of all, which is what the engine looks at; and the composition time that a key frame for it may have.
func (t *plainTrack) lowest(on int, ends int64) (int, int, int64) {
	begins, until := int64(-1<<60), int64(1<<60)
	if on >= 0 {
		begins = t.cts[on]
		until = begins
	}
	needed, any := t.samples()-1, t.samples()-1
	for i, cts := range t.cts {
		if cts >= begins && i < any {
			any = i
		}
		if (cts > begins && cts < ends || i == on) && i < needed {
			needed = i // one that is shown at the same time, but decoded before, is never seen
		}
	}
	return needed, any, until
}

// syncAtMost is the last sync sample up to a sample that is shown at most at a composition time; without one the last
// sync sample, or the first sample.
func (t *plainTrack) syncAtMost(sample int, cts int64) int {
	for i := sample; i >= 0; i-- {
		if t.sync[i] && t.cts[i] <= cts {
			return i
		}
	}
	for i := sample; i >= 0; i-- {
		if t.sync[i] {
			return i
		}
	}
	return 0
}

// rolledBack is the sample from which a decoder of sound must begin for a sample to be right.
func (t *plainTrack) rolledBack(sample int) int {
	roll := map[string]int{"mp4a": 2, "Opus": 0, "twos": 0, ".mp3": 4}[t.format]
	b, ok := plainChild(t.tables, "sgpd")
	if ok {
		distance := -int(int8(b.body()[len(b.body())-1])) // of the one entry that is made, of two bytes
		if distance > roll {
			roll = distance
		}
	}
	first := sample - roll
	if t.format == "Opus" {
		tick := t.dts[sample] - 320*t.timescale/1000
		at := 0
		for i, dts := range t.dts {
			if dts <= tick {
				at = i
			}
		}
		if at < first {
			first = at
		}
	}
	if first < 0 {
		return 0
	}
	return first
}

// factor is by how much the timescale is raised, so that milliseconds can be told and the lead-in is short.
func (w *wanted) factor(t *plainTrack, hidden int64) int64 {
	factor := int64(1)
	for factor*t.timescale < leadPerSecond {
		factor++
	}
	if hidden*1000 <= leadMS*t.timescale*factor {
		return factor
	}
	for hidden*1000 > leadMS*t.timescale*factor {
		factor++
	}
	return factor
}

// start is where a lead-in begins, in ticks of a timescale that is multiplied by a factor.
type start struct {
	media     int64 // m of the formula, in the source's media
	shown     int64 // p
	hidden    int64 // samples
	gap, late int64 // movie ticks before the first picture, or before the one on show
	lateMedia int64
	end       int // of the samples that the edit shows in the end
}

// start decides where the picture on show begins.
func (w *wanted) start(t *plainTrack, first int, factor int64) start {
	s := start{media: w.source*factor + fraction{w.passed.over * factor, w.passed.under}.round(), shown: -1 << 60}
	rate := fraction{w.scale, t.timescale * factor} // movie ticks in a tick of the media
	if w.rate != normalRate && w.rate != 0 {
		rate = fraction{w.scale * normalRate / 2, t.timescale * factor * w.rate / 2}
	}
	if w.on < 0 {
		least := t.cts[first]
		for _, cts := range t.cts[first:] {
			if cts < least {
				least = cts
			}
		}
		s.gap = fraction{(least*factor - s.media) * rate.over, rate.under}.round()
		if w.rate == 0 {
			s.gap = w.duration // the media stands still before the first picture
		}
		s.media = least * factor
	} else {
		s.shown = t.cts[w.on] * factor
		if s.shown > s.media {
			s.lateMedia = s.shown - s.media
			if w.rate != 0 {
				s.late = floorDiv(s.lateMedia*rate.over, rate.under)
			}
			s.media = s.shown
		}
	}
	for _, cts := range t.cts[first:] {
		if cts*factor < s.shown {
			s.hidden++
		}
	}
	lasts := w.duration - maxInt64(s.gap, minInt64(s.late, w.duration-1))
	until := int64(1)
	if w.rate != 0 {
		f := mediaOf(t, lasts, w.scale, w.rate)
		until = fraction{f.over * factor, f.under}.up()
	}
	s.end = t.endBelow(minInt64(w.exact, fraction{s.media + until, factor}.up()), w.on)
	return s
}

// collapse is the formula of docs/lead-in.md for the samples [first, end) of a track whose timescale is multiplied by
// factor.
func (w *wanted) collapse(t *plainTrack, s start, first, end int, factor, raise int64) *collapsed {
	n := end - first
	d, c := make([]int64, n+1), make([]int64, n)
	origin := t.dts[first]
	for i := range c {
		d[i] = (t.dts[first+i] - origin - raise) * factor
		c[i] = (t.cts[first+i] - origin) * factor
	}
	d[n] = d[n-1] + t.durations[end-1]*factor
	p, lead := s.shown, int64(0)
	if w.on >= 0 {
		lead = t.lead(t.cts[first:end], t.cts[w.on], factor)
		p -= origin * factor
	}
	return formula(d, c, s.media-origin*factor, p, lead)
}

// lead is G for the picture on show at p among those with these composition times.
func (t *plainTrack) lead(cts []int64, p, factor int64) int64 {
	before := int64(-1 << 60)
	for _, v := range cts {
		if v < p && v > before {
			before = v
		}
	}
	if before < -1<<59 {
		return 0
	}
	least := fraction{64 * t.timescale, 1000}.up()
	if p-before > least {
		least = p - before
	}
	return minInt64(least*factor, fraction{100 * t.timescale * factor, 1000}.up())
}

// raise is by how much decode times are lowered: K, over the samples [first, end).
func (t *plainTrack) raise(first, end int) int64 {
	most := int64(0)
	for i := first; i < end; i++ {
		if t.dts[i]-t.cts[i] > most {
			most = t.dts[i] - t.cts[i]
		}
	}
	return most
}

// reference is the track whose key frames count: the first enabled one of pictures that are on show at a movie tick, the
// first enabled one of pictures, or the longest; never a still.
func (m *plainMovie) reference(scale, from int64) *plainTrack {
	var enabled, longest *plainTrack
	for _, t := range m.tracks {
		if t.samples() == 0 || t.handler == "vide" && t.samples() == 1 {
			continue
		}
		if t.handler == "vide" && t.enabled {
			if m.covered(t, scale, from) {
				return t
			}
			if enabled == nil {
				enabled = t
			}
		}
		if longest == nil || t.mediaEnd()*longest.timescale > longest.mediaEnd()*t.timescale {
			longest = t
		}
	}
	if enabled != nil {
		return enabled
	}
	return longest
}

// covered reports whether a picture of the track is on show at a movie tick.
func (m *plainMovie) covered(t *plainTrack, scale, from int64) bool {
	left, passed := m.plainCut(t, scale, from, -1)
	if len(left) == 0 || left[0].mediaTime < 0 {
		return false
	}
	w := &wanted{source: left[0].mediaTime, rate: left[0].rate, passed: mediaOf(t, passed[0], scale, left[0].rate), fine: 1}
	w.begins = w.source + w.passed.round()
	return w.begins < t.mediaEnd() && t.onShowAt(w.begins, w.limit(t)) >= 0
}

// keyMoment is where keyframe begins: where the reference track's key frame is shown that shows the picture at a movie
// tick, but never before the edit that the tick lies in.
func (m *plainMovie) keyMoment(scale, from int64) int64 {
	reference := m.reference(scale, from)
	if reference == nil {
		return from
	}
	t := reference
	left, passed := m.plainCut(t, scale, from, -1)
	if len(left) == 0 || left[0].mediaTime < 0 || left[0].rate != normalRate {
		return from
	}
	w := &wanted{source: left[0].mediaTime, rate: normalRate, passed: mediaOf(t, passed[0], scale, normalRate), fine: 1}
	w.begins = w.source + w.passed.round()
	on := t.onShowAt(w.begins, w.limit(t))
	if on < 0 {
		return from
	}
	needed, first, until := t.lowest(on, 1<<60)
	if t.offset < 0 { // of pictures that are shown at once the last is seen
		first = needed
	}
	key := t.cts[t.syncAtMost(first, until)]
	moment := from - passed[0] // the begin of the edit
	if key > w.source {
		moment += fraction{(key - w.source) * scale, t.timescale}.round()
	}
	return minInt64(moment, from)
}

// nginxSamples is NGINX.md's choice of samples: from the one that is being decoded at start, as many as end within the
// length of the interval. Tables are walked entry by entry there, sample by sample here.
func (t *plainTrack) nginxSamples(iv msInterval) (int, int) {
	first := 0
	n := t.samples()
	x := iv.start * t.timescale / 1000
	for first < n && x >= t.durations[first] {
		x -= t.durations[first]
		first++
	}
	end := n
	if iv.end >= 0 {
		x = (iv.end - iv.start) * t.timescale / 1000
		end = first
		for end < n && x >= t.durations[end] {
			x -= t.durations[end]
			end++
		}
	}
	return first, end
}
