package mp4

import "sort"

// shown is the picture on show at a moment, and what decoding it and all after it takes.
type shown struct {
	sample int64 // in decode order; -1: the media has not begun
	cts    int64 // when it is shown: the greatest composition time up to that moment
	first  int64 // no sample before it is shown at or after cts
}

// onShow finds the sample with the greatest composition time of at most limit. Composition times lie within [least,
// greatest] of decode times, so only the samples around limit are looked at.
func (t *track) onShow(limit int64) shown {
	if t.offsets == nil {
		if limit < 0 {
			return shown{sample: -1}
		}
		sample, begins := t.sampleAt(limit)
		return shown{sample: sample, cts: begins, first: sample}
	}
	// A sample that begins this early is shown by limit, and not before bound.
	_, certain := t.sampleAt(limit - t.greatest)
	bound := certain + t.least
	low, _ := t.sampleAt(bound - t.greatest)
	high, _ := t.sampleAt(limit - t.least)
	times := t.times(low, high-low+1)
	s := shown{sample: -1, cts: -maxSum}
	for i, cts := range times.cts {
		if cts <= limit && cts >= s.cts {
			s.sample, s.cts = low+int64(i), cts
		}
	}
	if s.sample < 0 {
		return shown{sample: -1}
	}
	s.first = s.sample
	for i, cts := range times.cts {
		if cts >= s.cts {
			s.first = low + int64(i)
			break
		}
	}
	return s
}

// keyFor is the sync sample from which decoding shows s and all after it: the last one that neither comes after any of
// them in decode order nor is shown after s (what follows an open group's I picture but is shown before it needs the
// group before). Without such a one it is the last sync sample in decode order, or the first sample.
func (t *track) keyFor(s shown) int64 {
	const tries = 64 // sync samples shown out of order are no more than a few
	last := t.syncBefore(s.first)
	key := last
	for i := 0; t.offsets != nil && key > 0 && t.compositionTime(key) > s.cts; i++ {
		if i == tries {
			early, _ := t.sampleAt(s.cts - t.greatest)
			key = minInt64(early, key-1) + 1
		}
		key = t.syncBefore(key - 1)
	}
	if key < 0 || s.sample < 0 {
		key = last
	}
	return maxInt64(key, 0)
}

// endBefore is one more than the last sample, in decode order, with a composition time below limit.
func (t *track) endBefore(limit int64) int64 {
	if limit >= t.end {
		return t.samples
	}
	high, begins := t.sampleAt(limit - 1 - t.least)
	if t.offsets == nil {
		if begins >= limit {
			return 0
		}
		return high + 1
	}
	low, _ := t.sampleAt(limit - 1 - t.greatest)
	cts := t.times(low, high-low+1).cts
	for i := len(cts) - 1; i >= 0; i-- {
		if cts[i] < limit {
			return low + int64(i) + 1
		}
	}
	return 0
}

// leadIn is how the first samples of a cut are timed anew, so that a player that does not skip what the edit list
// hides, as Firefox, is through with it at once. The pictures from the key frame to the one on show last a tick each.
type leadIn struct {
	deltas    []int64 // sample_delta of the samples that change, in media ticks times scale
	offsets   []int64 // their sample_offset
	raise     int64   // added to every other sample_offset: decode times are lowered by it
	scale     int64   // factor of the track's timescale
	mediaTime int64   // of the edit that begins at the picture on show
	gap       int64   // movie ticks before the first picture, to be shown as an empty edit
	moved     int64   // media ticks by which all later times are earlier than in the source
	late      int64   // movie ticks by which the picture on show begins after the edit, less than a millisecond
}

const (
	maxLeadMS     = 50      // a longer lead-in would be seen
	leastScale    = 1000    // ticks per second that a media time needs to be exact to the millisecond
	maxScaleTable = 1 << 20 // bytes of stts and ctts that a change of the timescale may rewrite
	maxOffset     = 1<<31 - 1
)

// collapse makes the lead-in of the samples [first, end) of a track with one media edit, e, and s on show at its begin.
// It returns nil where the lead-in must stay as it is: where a tick is too long for so many pictures and the timescale
// cannot be raised. The formula is the contract's; times are relative to the first sample here.
func (t *track) collapse(c clock, e edit, s shown, first, end int64) *leadIn {
	l := &leadIn{raise: -t.least, scale: 1}
	// Decode times are counted from the first sample kept. Composition times and m lie raise later than they did
	// against them, so that no decode time is after its composition time.
	begin := t.decodeTime(first)
	base := begin - l.raise
	gap := s.sample < 0
	if gap {
		s = t.firstShown(first, end)
	}
	until, _ := t.sampleAt(s.cts + l.raise)
	n := minInt64(until+1, end) - first // no sample behind them is shown before s
	times := t.times(first, n)
	hidden := make([]float64, 0, n)
	last := int64(-1)
	for i, cts := range times.cts {
		if cts < s.cts {
			hidden = append(hidden, float64(cts))
			last = int64(i)
		}
	}
	count := int64(len(hidden))
	if t.timescale < leastScale && !t.fixed && t.scalable(ceilDiv(leastScale, t.timescale), l.raise) {
		l.scale = ceilDiv(leastScale, t.timescale)
	}
	if count*1000 > maxLeadMS*t.timescale*l.scale {
		l.scale = ceilDiv(count*1000, maxLeadMS*t.timescale)
		if t.fixed || !t.scalable(l.scale, l.raise) {
			return nil
		}
	}
	sort.Float64s(hidden) // compiled; times of up to 2^53 are exact
	f := l.scale
	fine := clock{movie: c.movie, source: c.source, media: c.media * f}
	m := e.begin(c, f)
	if gap {
		l.gap = fine.toMovieNearest(s.cts*f - m)
	} else if s.cts*f > m {
		l.late = fine.toMovie(s.cts*f - m)
	}
	m = maxInt64(m, s.cts*f)
	l.moved = m
	m -= base * f
	changed := maxInt64(last, s.sample-first) + 1
	next := (t.decodeEnd(first+changed) - begin) * f
	following := next // decode time of the sample after the last hidden one
	if last+1 < n {
		following = (times.dts[last+1] - begin) * f
	}
	l.mediaTime = last + 1 + maxInt64(0, m-following)
	ranks := make([]int64, n)
	for i, cts := range times.cts {
		if cts < s.cts {
			rank := int64(sort.SearchFloat64s(hidden, float64(cts)))
			ranks[i] = rank
			l.mediaTime = maxInt64(l.mediaTime, int64(i)+count-rank)
		}
	}
	l.moved -= l.mediaTime
	dts := make([]int64, changed+1)
	dts[changed] = next - m + l.mediaTime
	l.offsets = make([]int64, changed)
	for i := int64(0); i < changed; i++ {
		dts[i] = i
		if i > last {
			dts[i] = (times.dts[i]-begin)*f - m + l.mediaTime
		}
		cts := maxInt64((times.cts[i]-base)*f-m+l.mediaTime, l.mediaTime)
		if times.cts[i] < s.cts {
			cts = l.mediaTime - count + ranks[i]
		}
		l.offsets[i] = cts - dts[i]
		if l.offsets[i] > maxOffset {
			return nil
		}
	}
	l.deltas = make([]int64, changed)
	for i := int64(0); i < changed; i++ {
		l.deltas[i] = dts[i+1] - dts[i]
		if l.deltas[i] > max32 {
			return nil
		}
	}
	return l
}

// firstShown is the sample of [first, end) that is shown first: on show is the gap before it.
func (t *track) firstShown(first, end int64) shown {
	until, _ := t.sampleAt(t.compositionTime(first) - t.least)
	cts := t.times(first, minInt64(until+1, end)-first).cts
	s := shown{sample: first, cts: cts[0], first: first}
	for i, c := range cts {
		if c < s.cts {
			s.sample, s.cts = first+int64(i), c
		}
	}
	return s
}

// ceilDiv returns a/b rounded up.
func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// scalable reports whether all times of the track can be multiplied by factor.
func (t *track) scalable(factor, raise int64) bool {
	tables := len(t.durations.entries)
	if t.offsets != nil {
		tables += len(t.offsets.entries)
	}
	return tables < maxScaleTable && factor <= max32/t.timescale && int64(t.durations.any) <= max32/factor &&
		t.greatest+raise <= maxOffset/factor
}
