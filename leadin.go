package mp4

import (
	"sort"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// onScreen is the picture on show at a moment, and what decoding it and all after it takes.
type onScreen struct {
	sample int64 // in decode order; -1: the media has not begun
	cts    int64 // when it is shown: the greatest composition time up to that moment
	first  int64 // no sample before it is shown at or after cts
	until  int64 // and none from this one on before cts
}

// maxAhead is how far a key frame may be for what lies between to be listed with the picture on show.
const maxAhead = 4096

// onShow finds the sample with the greatest composition time of at most limit.
func onShow(t *track, limit int64) onScreen {
	if t.offsets != nil {
		return onShowReordered(t, limit)
	}
	if limit < 0 {
		return onScreen{sample: -1}
	}
	sample, begins := sampleAt(t, limit)
	return onScreen{sample: sample, cts: begins, first: sample, until: sample + 1}
}

// onShowReordered is onShow where composition and decode times differ. The former lie within [least, greatest] of the
// latter, so only the samples around limit are looked at.
func onShowReordered(t *track, limit int64) onScreen {
	// A sample that begins this early is shown by limit, and not before certain + least.
	_, certain := sampleAt(t, limit-t.greatest)
	low, _ := sampleAt(t, certain+t.least-t.greatest)
	high, _ := sampleAt(t, limit-t.least)
	if key := syncBefore(t, low); low-key < maxAhead {
		if key < 0 {
			key = 0
		}
		listSamples(t, key, high-key+1) // a lead-in is made of them
	}
	times := timesOf(t, low, high-low+1)
	shown, equal, later, latest := -1, -1, -1, -maxSum // of the samples looked at
	for i, at := range times.cts {
		if at <= limit {
			if at >= latest {
				if at > latest {
					equal = i
				}
				latest = at
				shown = i
			}
			continue
		}
		if later < 0 {
			later = i
		}
	}
	if shown < 0 {
		return onScreen{sample: -1}
	}
	if later >= 0 && later < equal {
		equal = later
	}
	return onScreen{sample: low + int64(shown), cts: latest, first: low + int64(equal), until: high + 1}
}

// keyFor is the sync sample from which decoding shows s and all after it: the last one that neither comes after any of
// them in decode order nor is shown after s (what follows an open group's I picture but is shown before it needs the
// group before). Without such a one it is the last sync sample in decode order, or the first sample.
func keyFor(t *track, s onScreen) int64 {
	key := syncBefore(t, s.first)
	if key < 0 {
		return 0
	}
	if key < s.first {
		return key // what comes before the first is shown before s
	}
	if s.sample <= key {
		return key // it is on show, or nothing is
	}
	return keyShownBy(t, s, key)
}

// keyShownBy is keyFor where key, the last sync sample in decode order, may be shown after s.
func keyShownBy(t *track, s onScreen, key int64) int64 {
	const tries = 64 // sync samples shown out of order are no more than a few
	last := key
	for i := 0; key > 0 && compositionTime(t, key) > s.cts; i++ {
		if i == tries {
			early, _ := sampleAt(t, s.cts-t.greatest)
			key = minInt64(early, key-1) + 1
		}
		key = syncBefore(t, key-1)
	}
	if key < 0 {
		return last
	}
	return key
}

// endBefore is one more than the last sample, in decode order, with a composition time below limit.
func endBefore(t *track, limit int64) int64 {
	if limit >= t.end {
		return t.samples
	}
	high, begins := sampleAt(t, limit-1-t.least)
	if t.offsets == nil {
		if begins >= limit {
			return 0
		}
		return high + 1
	}
	low, _ := sampleAt(t, limit-1-t.greatest)
	cts := timesOf(t, low, high-low+1).cts
	for i := len(cts) - 1; i >= 0; i-- {
		if cts[i] < limit {
			return low + int64(i) + 1
		}
	}
	return 0
}

// leadIn is how the first samples of a cut are timed anew, so that a player that does not skip what the edit list
// hides, as Firefox, is soon through with it. The pictures from the key frame on last a tick each, and the last of them
// stands for a lead before the one on show. docs/lead-in.md has the formula, its letters and the reasons.
//
// Where samples is 0, only decode times are lowered or the timescale is raised.
type leadIn struct {
	samples   int64  // whose times change
	durations []byte // their entries of stts, in media ticks times scale
	offsets   []byte // and of ctts
	shifted   bool   // one of those offsets is not 0
	raise     int64  // added to every other sample_offset: decode times are lowered by it
	scale     int64  // factor of the track's timescale
	mediaTime int64  // of the edit that begins at the picture on show
	gap       int64  // movie ticks before the first picture, to be shown as an empty edit
	begins    int64  // where that is in the source's media, in ticks times scale
	late      int64  // movie ticks by which the picture on show begins after the edit, less than a millisecond

	listed     []int64 // key frames before the sample listedFrom that are said to be some
	listedFrom int64   // from which on they are those of the source; 0: all are
}

const (
	leastLeadMS   = 64      // that the last hidden picture stands: more than a picture's duration
	mostLeadMS    = 100     // also where it stood longer
	quietMS       = 1000    // after the picture on show in which no key frame is listed
	maxTicksMS    = 50      // that the other hidden pictures may take, a tick each: more would be seen
	leastScale    = 1000    // ticks per second that a media time needs to be exact to the millisecond
	maxScaleTable = 1 << 20 // bytes of stts and ctts that a change of the timescale may rewrite
	maxOffset     = 1<<31 - 1
	maxLead       = 1 << 20 // samples in a lead-in
)

// newLeadIn makes the lead-in of the samples [first, end) of a track with one media edit, e, and s on show at its begin.
// It returns nil where the lead-in must stay as it is: where a tick is too long for so many pictures and the timescale
// cannot be raised. docs/lead-in.md has the formula; f, m and p are its letters.
func newLeadIn(t *track, c mediaClock, e edit, s onScreen, first, end int64) *leadIn {
	l := &leadIn{scale: 1}
	if t.least < 0 {
		l.raise = -leastOffset(t, first, end)
	}
	if t.greatest+l.raise > maxOffset {
		return nil
	}
	gap := s.sample < 0
	if gap {
		s = firstShown(t, first, end)
	}
	n := s.until - first // no sample behind them is shown before s
	if s.until > end {
		n = end - first
	}
	if n > maxLead {
		return nil
	}
	times := timesOf(t, first, n)
	if int64(len(times.dts)) < n {
		return nil
	}
	begin := times.dts[0]
	if times.dts[n-1]-begin+t.greatest-t.least > max32 {
		return nil // too far apart to be ranked
	}
	h := rankHidden(times.cts, s.cts)
	last, count := h.last, h.count
	if t.timescale < leastScale || count*1000 > maxTicksMS*t.timescale {
		l.scale = leadScale(t, count)
		if l.scale == 0 {
			return nil
		}
	}
	// Decode times are counted from the first sample kept. Composition times and m lie raise later than they did
	// against them, so that no decode time is after its composition time.
	f, m, p := l.scale, e.mediaTime, s.cts
	if f > 1 {
		m = beginIn(e, c, f)
		p *= f
	}
	if p > m {
		setDelay(l, e, c, p-m, gap)
		m = p
	}
	l.begins = m
	m -= (begin - l.raise) * f
	n = last + 1
	if n <= s.sample-first {
		n = s.sample - first + 1
	}
	l.samples = n
	next := (decodeEnd(t, first+n) - begin) * f // decode time of the sample after them
	following := next                           // and of the one after the last hidden
	if last+1 < n {
		following = (times.dts[last+1] - begin) * f
	}
	shown, lead := last+1, int64(0)
	if m > following {
		shown += m - following
	}
	if count > 0 {
		lead = leadTicks(t.timescale, f, s.cts-h.lastShown)
		if decodable := count + h.behind + lead; shown < decodable {
			shown = decodable
		}
	}
	if shown > maxOffset {
		return nil
	}
	l.mediaTime = shown
	runs := leadOffsets(l, times, h, shown-m, lead)
	if !setLeadTables(l, runs, times.dts, last, following, next, shown-m) {
		return nil
	}
	if count > 0 && !t.allSync { // where every picture is a key frame, the next one is never far
		unlistKeys(l, t, first, s.cts+quietMS*t.timescale/1000)
	}
	return l
}

// setDelay says by how many movie ticks the first picture of a lead-in begins after its edit, from so many ticks of its
// timescale: as a gap, or else as what the edit loses.
func setDelay(l *leadIn, e edit, c mediaClock, ticks int64, gap bool) {
	c.media *= l.scale
	halves := halfTicks(e, c, ticks)
	if gap {
		l.gap = (halves + 1) / 2
	} else {
		l.late = halves / 2
	}
}

// leadTicks is G, the ticks of a track's timescale, raised by a factor, for which the last hidden picture stands before
// the one on show, if it stood for so many ticks of the timescale in the source.
func leadTicks(timescale, f, stood int64) int64 {
	lead := (leastLeadMS*timescale + 999) / 1000
	if stood > timescale {
		stood = timescale
	}
	if stood > lead {
		lead = stood
	}
	lead *= f
	most := (mostLeadMS*timescale*f + 999) / 1000
	if lead > most {
		return most
	}
	return lead
}

// unlistKeys chooses the key frames that are listed in the answer: the first one, and those shown at composition time quiet
// or later. They are looked at one by one only where decode times do not tell.
func unlistKeys(l *leadIn, t *track, first, quiet int64) {
	key := first
	if first == 0 {
		key = firstKey(t)
	}
	possible, _ := sampleAt(t, quiet-1-t.least) // none behind it is shown before
	if possible <= key {
		return
	}
	l.listed = []int64{key}
	l.listedFrom = possible + 1
	last := syncBefore(t, possible)
	if last > key {
		listKeys(l, t, last, possible, quiet)
	}
}

// listKeys lists the key frames behind the first, of which last is the last one up to possible, that are shown at quiet or
// later.
func listKeys(l *leadIn, t *track, last, possible, quiet int64) {
	before, _ := sampleAt(t, quiet-1-t.greatest) // up to this one they are shown before
	if last <= before {
		return
	}
	before = maxInt64(before, l.listed[0])
	for i, cts := range timesOf(t, before+1, possible-before).cts {
		sample := before + 1 + int64(i)
		if cts >= quiet && syncBefore(t, sample) == sample {
			l.listed = append(l.listed, sample)
		}
	}
}

// firstKey is the first sync sample.
func firstKey(t *track) int64 {
	if syncBefore(t, 0) == 0 {
		return 0
	}
	return minInt64(syncAfter(t.sync.samples, 0), syncAfter(t.partial.samples, 0))
}

// syncAfter is the first sample after another that a table of sync samples lists; maxSum where there is none.
func syncAfter(samples []float64, sample int64) int64 {
	n := countAtMost(samples, sample+1)
	if n == len(samples) {
		return maxSum
	}
	return int64(samples[n]) - 1
}

// hidden are the samples of a lead-in that are not shown.
type hidden struct {
	count     int64
	last      int64   // in decode order; -1: none
	lastShown int64   // composition time of the one that would be shown last
	behind    int64   // the most that one of them comes later in decode order than in composition order
	ahead     []int64 // by sample, what composition order is ahead of decode order; visible for one that is shown
}

const (
	visible   = maxLead
	rankedBy  = maxLead - 1 // which bits of what is sorted are the number of a sample
	oneSample = 1 << 32     // in an entry of stts or ctts
)

// rankHidden ranks the samples shown before a time by when they would be. Times, which are at most 2^32 apart, and
// numbers of samples are sorted as one number each, compiled; numbers of up to 2^53 are exact.
func rankHidden(cts []int64, before int64) *hidden {
	ahead, keys, origin := make([]int64, len(cts)), make([]float64, len(cts)), cts[0]
	n, i, last := 0, int64(0), int64(-1) // counted in 64 bits, since the interpreter makes an object of what is converted
	for _, at := range cts {
		if at < before {
			at -= origin
			keys[n] = float64(at*maxLead + i)
			n++
			last = i
		} else {
			ahead[i] = visible
		}
		i++
	}
	keys = keys[:n]
	sort.Float64s(keys)
	rank, a, least := int64(0), int64(0), int64(0)
	for _, key := range keys {
		i = int64(key)
		i &= rankedBy
		a = rank - i
		ahead[i] = a
		if a < least {
			least = a
		}
		rank++
	}
	h := &hidden{count: rank, last: last, behind: -least, ahead: ahead}
	if rank > 0 {
		h.lastShown = cts[i]
	}
	return h
}

// leadScale is the factor by which the track's timescale must be raised for a lead-in of so many pictures; 0 where it
// cannot be. A timescale too coarse for a start to the millisecond is raised too, where it can.
func leadScale(t *track, pictures int64) int64 {
	scale := msScale(t)
	if pictures*1000 > maxTicksMS*t.timescale*scale {
		scale = ceilDiv(pictures*1000, maxTicksMS*t.timescale)
		if !scalable(t, scale) {
			return 0
		}
	}
	return scale
}

// msScale is the factor by which the track's timescale must be raised to tell milliseconds apart; 1 where it does, or
// cannot be raised.
func msScale(t *track) int64 {
	if t.timescale < leastScale && scalable(t, ceilDiv(leastScale, t.timescale)) {
		return ceilDiv(leastScale, t.timescale)
	}
	return 1
}

// refine counts the media times of a cut edit list in ticks of a timescale in which no edit begins at another
// millisecond than it should, and returns by which factor that is raised.
func refine(t *track, c mediaClock, edits []edit) ([]edit, int64) {
	f := msScale(t)
	if f == 1 {
		return edits, 1
	}
	fine, exact := make([]edit, 0, len(edits)), true
	for _, e := range edits {
		if e.mediaTime != empty {
			if e.mediaTime > maxSum/f {
				return edits, 1
			}
			begin := beginIn(e, c, f)
			exact = exact && begin == e.mediaTime*f
			e.mediaTime = begin
			e.begin *= f
		}
		fine = append(fine, e)
	}
	if exact {
		return edits, 1
	}
	return fine, f
}

// beginOnPicture has first, the first of several edits of pictures, begin at a picture that is shown less than a
// millisecond later, as a lead-in does, if there is one. e is the same edit before the timescale was raised by factor.
func beginOnPicture(t *track, c mediaClock, e edit, first *edit, factor int64) {
	if e.passed == 0 || e.rate != normalRate {
		return
	}
	s := onShow(t, latestTick(e, c))
	after := s.cts*factor - first.mediaTime
	if s.sample < 0 || after <= 0 {
		return
	}
	c.media *= factor
	late := minInt64(halfTicks(*first, c, after)/2, first.duration-1)
	first.mediaTime += after
	first.passed += late
	first.duration -= late
	first.begin = first.mediaTime - toMedia(c, first.passed, normalRate)
}

// leadOffsets are the entries of ctts as numbers; none where an offset does not fit them. Decode times of pictures behind the
// hidden ones are shift later than in the source; the last hidden picture stands for lead ticks.
func leadOffsets(l *leadIn, times sampleTimes, h *hidden, shift, lead int64) []int64 {
	f, begins, earlier, begin := l.scale, l.mediaTime, l.mediaTime-lead-h.count, times.dts[0]
	once := oneSample + earlier
	runs := make([]int64, l.samples) // of equal offsets, none of which is negative
	n, last, decoded := -1, maxSum, int64(0)
	for i, offset := range h.ahead[:l.samples] {
		if offset == visible {
			decoded = int64(i)
			if decoded > h.last {
				decoded = (times.dts[i]-begin)*f + shift
			}
			offset = (times.cts[i]-begin+l.raise)*f + shift
			if offset < begins {
				offset = begins
			}
			if offset-decoded > maxOffset {
				return nil
			}
			offset -= decoded + earlier
		}
		if offset != last {
			last = offset
			n++
			runs[n] = offset + once
			continue
		}
		runs[n] += oneSample
	}
	l.shifted = n > 0 || last+earlier != 0
	return runs[:n+1]
}

// setLeadTables sets the entries of ctts, which are given, and of stts. It reports whether there are such: whether all
// durations fit them, too. following and next are the decode times of the samples after the last hidden one and after the
// last, before these are shifted.
func setLeadTables(l *leadIn, runs, dts []int64, lastHidden, following, next, shift int64) bool {
	offsets := len(runs)
	if offsets == 0 {
		return false
	}
	i, decoded := lastHidden, lastHidden // so many samples last a tick each
	if i < 0 {
		i = 0
		decoded = shift
	} else if i > 0 && following+shift == i+1 {
		i++
		decoded++
	}
	if i > 0 {
		runs = append(runs, i*oneSample+1)
	}
	joined, lasts := len(runs), int64(0)
	for i++; i <= l.samples; i++ {
		lasts = next
		if i < l.samples {
			lasts = (dts[i] - dts[0]) * l.scale
		}
		lasts += shift - decoded
		decoded += lasts
		if lasts > max32 {
			return false
		}
		if r := len(runs) - 1; r >= joined && runs[r]&max32 == lasts {
			runs[r] += oneSample
		} else {
			runs = append(runs, oneSample+lasts)
		}
	}
	entries := lanes.Encode(runs, lanes.PairLen*len(runs)) // of both in one call
	l.offsets = entries[:lanes.PairLen*offsets]
	l.durations = entries[lanes.PairLen*offsets:]
	return true
}

// textHandlers are those of media whose samples are texts, each for a while: cues and chapters.
const textHandlers = "textsbtlsubtsubpclcp"

// shorten is a lead-in that leaves of the text, or of the chapter's picture, on show what is left of it; nil for other
// tracks. Decoders of text, ffmpeg's among them, take no notice of an edit that begins within a sample, and would show
// this and all later texts late; its list of chapters goes by decode times alone. The timescale is raised by factor, in
// which the edit begins.
func shorten(t *track, e edit, s onScreen, factor int64) *leadIn {
	if !t.chapters && !containsType(textHandlers, t.handler) {
		return nil
	}
	left := decodeEnd(t, s.sample+1)*factor - e.mediaTime
	if t.offsets != nil || e.rate != normalRate || left <= 0 || left > max32 {
		return nil
	}
	return &leadIn{samples: 1, durations: lanes.RunLengths([]int64{left}), scale: factor, begins: e.mediaTime}
}

// firstShown is the sample of [first, end) that is shown first: on show is the gap before it.
func firstShown(t *track, first, end int64) onScreen {
	until, _ := sampleAt(t, compositionTime(t, first)-t.least)
	cts := timesOf(t, first, minInt64(until+1, end)-first).cts
	s := onScreen{sample: first, cts: cts[0], first: first, until: until + 1}
	for i, c := range cts {
		if c <= s.cts { // the later of two is seen
			s.sample, s.cts = first+int64(i), c
		}
	}
	return s
}

// scalable reports whether all times of the track can be multiplied by factor.
func scalable(t *track, factor int64) bool {
	tables := len(t.durations.Entries)
	if t.offsets != nil {
		tables += len(t.offsets.Entries)
	}
	return tables < maxScaleTable && factor <= max32/t.timescale && int64(t.durations.Any) <= max32/factor &&
		t.greatest-t.least <= maxOffset/factor && t.end <= maxSum/factor
}
