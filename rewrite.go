package mp4

import (
	"fmt"
)

// cut plans the answer for the interval iv (milliseconds on the presentation timeline), and lays it out.
func (m *movie) cutProgressive(iv msInterval, seek string) (*cut, error) {
	ticks := answerTimescale(m)
	if seek == seekSample {
		ticks = m.timescale
	}
	from, to := scaleMS(iv.start, ticks), int64(-1)
	if iv.end >= 0 {
		to = scaleMS(iv.end, ticks)
	}
	left := int64(maxListed)
	if seek == seekKeyframe {
		from = m.keyFrameAt(from, ticks, &left)
	}
	var tracks []*trackCut
	for _, t := range m.tracks {
		if t.samples == 0 || t.handler == "hint" {
			continue // a hint track tells how to send tracks that are no longer what they were
		}
		t = limitedTrack(t, &left)
		c := mediaClock{movie: ticks, source: m.timescale, media: t.timescale}
		var k *trackCut
		if seek == seekSample {
			k = t.keepAsNginx(iv, c)
		} else {
			k = keepTrack(t, c, from, to)
		}
		if left < 0 {
			return nil, fmt.Errorf("trak %d at %d: %w", t.id, t.box.at, errListed)
		}
		if k != nil {
			tracks = append(tracks, k)
		}
	}
	if len(tracks) == 0 {
		return nil, m.pastEnd()
	}
	return planTracks(m, tracks, timeWindow{ticks: ticks, from: from, to: to})
}

// pastEnd is why nothing is left: the start is past the end, or past where a file was cut short, which is not the
// client's mistake.
func (m *movie) pastEnd() error {
	for _, t := range m.tracks {
		if t.missing > 0 {
			return fmt.Errorf("%w: trak %d: the file of %d bytes ends before %d of its %d samples, and before the start", errFormat, t.id,
				t.fileSize, t.missing, t.samples+t.missing)
		}
	}
	return errPastEnd
}

// whole plans the same movie with its moov first and every sample kept.
func (m *movie) remux() (*cut, error) {
	var tracks []*trackCut
	for _, t := range m.tracks {
		if t.samples > 0 {
			tracks = append(tracks, &trackCut{track: t, end: t.samples, moved: -1})
		}
	}
	if len(tracks) == 0 {
		// There is nothing to play.
		return nil, m.moov.fail("no track with samples in it")
	}
	return planTracks(m, tracks, timeWindow{})
}

// keepTrack chooses the edits and samples of the track that are shown in [from, to) of the answer's movie ticks. It
// returns nil where there are none.
func keepTrack(t *track, c mediaClock, from, to int64) *trackCut {
	return keepEdits(t, c, cutEdits(t, c, from, to))
}

// keepEdits is keepTrack for an edit list that has been cut.
func keepEdits(t *track, c mediaClock, edits []edit) *trackCut {
	k := &trackCut{track: t, clock: c, moved: -1}
	var f int64
	k.edits, f = refine(t, c, edits)
	fine := c
	fine.media *= f
	begins, ends, media := span(k.edits, fine)
	if t.visual && media > 1 && beginOnPicture(t, c, edits, k.edits, f) {
		begins, ends, media = span(k.edits, fine)
	}
	if media == 0 || begins/f >= t.end {
		return nil
	}
	front := firstMedia(edits)
	collapses := t.visual && media == 1 && !t.chapters
	limit := begins / f
	if collapses {
		limit = latestTick(front, c)
	}
	s := onShow(t, limit)
	k.first = keyFor(t, s)
	if t.handler == "soun" {
		k.first = maxInt64(syncBefore(t, rollBack(t, s.first)), 0)
	}
	k.end = packetEnd(t, minInt64(maxInt64(endBefore(t, ceilDiv(ends, f)), s.sample+1), t.samples))
	if collapses && k.first < k.end {
		setLeadIn(k, front, s)
	}
	if k.end <= k.first {
		return nil
	}
	if media == 1 && s.sample == k.first && (t.chapters || containsType(textHandlers, t.handler)) {
		k.lead = t.shorten(firstMedia(k.edits), s, f)
	}
	if k.lead != nil {
		showFrom(k)
		return k
	}
	base := decodeTime(t, k.first)
	raise := maxInt64(-leastOffset(t, k.first, k.end), base-begins/f)
	lowered := begins < base*f && t.greatest+raise <= maxOffset/f // no edit begins before 0: decode times are lowered, as in a lead-in
	if lowered {
		base -= raise
	} else {
		raise = 0
	}
	if lowered || f > 1 {
		k.lead = &leadIn{raise: raise, shifted: lowered, scale: f, begins: base * f}
	}
	if t.visual && s.sample >= 0 && s.cts*f < begins && !showsMedia(k.edits, fine, s.cts*f) {
		k.moved, k.moveTo = s.sample, begins
	}
	for i := range k.edits {
		if k.edits[i].mediaTime != empty {
			k.edits[i].mediaTime -= base * f
		}
	}
	return k
}

// setLeadIn gives a track with one media edit, e, and s on show at its begin a lead-in, where it can have one. What is
// kept then is what the edit shows in the answer's ticks.
func setLeadIn(k *trackCut, e edit, s onScreen) {
	lead := newLeadIn(k.track, k.clock, e, s, k.first, k.end)
	if lead == nil {
		return
	}
	end := k.first
	if lead.gap < e.duration {
		fine, exact := k.clock, exactEnd(e, k.clock)
		fine.media *= lead.scale
		e.duration -= maxInt64(lead.gap, minInt64(lead.late, e.duration-1))
		end = endBefore(k.track, minInt64(ceilDiv(lead.begins+mediaTicks(e, fine), lead.scale), exact))
		end = minInt64(maxInt64(end, s.sample+1), k.samples)
	}
	if k.first < end && end != k.end {
		lead = newLeadIn(k.track, k.clock, e, s, k.first, end)
	}
	k.end = end
	if lead == nil || end <= k.first {
		return
	}
	k.lead = lead
}

// showFrom sets the one media edit of a track with a lead-in to begin at the picture on show. A gap before the first
// picture becomes an empty edit.
func showFrom(k *trackCut) {
	edits := make([]edit, 0, len(k.edits)+1)
	for _, e := range k.edits {
		if e.mediaTime != empty {
			gap := minInt64(k.lead.gap, e.duration)
			if gap > 0 {
				edits = append(edits, edit{duration: gap, mediaTime: empty, rate: normalRate})
			}
			e.duration -= maxInt64(gap, minInt64(k.lead.late, e.duration-1))
			e.mediaTime = k.lead.mediaTime
		}
		if e.duration > 0 { // 0 would stand for all that follows
			edits = append(edits, e)
		}
	}
	k.edits = edits
}

// planTracks makes the answer from what is kept of the tracks.
func planTracks(m *movie, tracks []*trackCut, shown timeWindow) (*cut, error) {
	w := &moovWriter{ftyp: m.ftyp, template: m.template, madeUp: m.fragments != nil, shown: shown}
	var needed []byteRange // of the source
	var broken, err error
	for _, k := range tracks {
		err = locateKept(k, m.fileSize)
		if err != nil && !k.spare {
			return nil, err
		}
		if err != nil {
			broken = err
			continue
		}
		w.kept = append(w.kept, k)
		needed = append(needed, k.bytes)
		if k.info.from < k.info.to {
			needed = append(needed, k.info)
		}
	}
	if len(needed) == 0 {
		return nil, broken
	}
	w.ranges = joinRanges(needed)
	c := layOut(w)
	if shown.ticks > 0 {
		c.duration = inMS(w.longest, shown.ticks)
	} else {
		c.duration = wholeMS(w.kept)
	}
	return c, nil
}

// wholeMS is the length of the longest track with all its media.
func wholeMS(tracks []*trackCut) int64 {
	longest := int64(0)
	for _, k := range tracks {
		longest = maxInt64(longest, inMS(k.track.end, k.timescale))
	}
	return longest
}

// layOut lays out a cut: what comes before its media, and these.
func layOut(w *moovWriter) *cut {
	head := &segment{}
	c := &cut{segments: []*segment{head}}
	for _, r := range w.ranges {
		if r.from < r.to {
			c.segments = append(c.segments, &segment{fromSource: true, off: r.from, length: r.to - r.from})
			c.length += r.to - r.from
		}
	}
	buildMoov(w, c.length)
	if w.overflow {
		w.wide = true
		buildMoov(w, c.length)
	}
	head.pieces = joinPieces(w.boxWriter)
	head.length = w.size
	c.length += w.size
	return c
}

// keyFrameAt returns where the reference track shows the key frame at or before a moment of the movie timeline: the
// moment from which seek: keyframe cuts every track. It never leaves the edit that the moment lies in.
func (m *movie) keyFrameAt(moment, ticks int64, listed *int64) int64 {
	t := referenceTrack(m, moment, ticks)
	if t == nil {
		return moment
	}
	t = limitedTrack(t, listed)
	c := mediaClock{movie: ticks, source: m.timescale, media: t.timescale}
	left := cutEdits(t, c, moment, -1)
	if len(left) == 0 || left[0].mediaTime == empty || left[0].rate != normalRate {
		return moment
	}
	e := left[0]
	s := onShow(t, latestTick(e, c))
	if s.sample < 0 {
		return moment
	}
	key := compositionTime(t, keyFor(t, s))
	begin := e.mediaTime - toMedia(c, e.passed, e.rate) // of the whole edit: what is left of it begins at a rounded time
	return minInt64(moment, moment-e.passed+toMovieNearest(c, maxInt64(key-begin, 0)))
}

// keepAsNginx chooses the samples that nginx's ngx_http_mp4_module keeps: from the one that is being decoded at start,
// as many as fit wholly into the interval's length. Edit lists and composition times play no part. Unlike nginx it
// goes by the samples, not by the durations in the headers, and leaves out a track that keeps none.
func (t *track) keepAsNginx(iv msInterval, c mediaClock) *trackCut {
	start := scaleMS(iv.start, t.timescale)
	if start >= decodeEnd(t, t.samples) {
		return nil
	}
	k := &trackCut{track: t, clock: c, end: t.samples, moved: -1}
	var begins int64
	k.first, begins = sampleAt(t, start)
	if t.perPacket > 0 {
		k.first = syncBefore(t, k.first)
	}
	if iv.end >= 0 {
		stop := begins + scaleMS(iv.end-iv.start, t.timescale)
		if stop < decodeEnd(t, t.samples) {
			k.end, _ = sampleAt(t, stop)
		}
	}
	k.end = packetEnd(t, k.end)
	if k.end <= k.first {
		return nil
	}
	return k
}
