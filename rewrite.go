package mp4

import "fmt"

// cutProgressive plans the answer for the interval iv (milliseconds on the presentation timeline), and lays it out.
func (m *movie) cutProgressive(iv msInterval, seek string) (*cut, error) {
	ticks := m.ticks
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
			k = keepEdits(t, c, cutEdits(t, c, from, to))
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

// remux plans the same movie with its moov first and every sample kept.
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

// keepEdits chooses the samples that a track's edits show, which have been cut. It returns nil where there are none.
func keepEdits(t *track, c mediaClock, edits []edit) *trackCut {
	k := &trackCut{track: t, clock: c, edits: edits, moved: -1}
	front, media := 0, 0 // the first edit that shows media, and how many do
	for i := range edits {
		if edits[i].mediaTime != empty {
			if media == 0 {
				front = i
			}
			media++
		}
	}
	if media == 0 {
		return nil
	}
	f := int64(1)
	if t.timescale < leastScale {
		k.edits, f = refine(t, c, edits)
	}
	if media == 1 && t.visual && !t.chapters {
		return keepPictures(k, edits[front], front, f)
	}
	return keepTimed(k, edits[front], front, media, f)
}

// keepPictures is keepEdits for pictures with one media edit, e, number at of the list, whose media times k.edits has in
// ticks of a timescale raised by f. They get a lead-in, where they can have one.
func keepPictures(k *trackCut, e edit, at int, f int64) *trackCut {
	t := k.track
	begins := k.edits[at].mediaTime
	if begins/f >= t.end {
		return nil
	}
	s := onShow(t, latestTick(e, k.clock))
	k.first = keyFor(t, s)
	k.end = t.samples
	if !e.toLast {
		k.end = shownEnd(k, s, f)
	}
	if k.end <= k.first {
		return nil
	}
	lead := newLeadIn(t, k.clock, e, s, k.first, k.end)
	if lead != nil && (!e.toLast || lead.gap > 0) {
		lead = endLeadIn(k, lead, e, s)
	}
	if k.end <= k.first {
		return nil
	}
	if lead == nil {
		return keepTimes(k, s, begins, f)
	}
	k.lead = lead
	showFrom(k, at)
	return k
}

// endLeadIn lets a track with one media edit, e, and s on show at its begin end with what the edit shows in the answer's
// ticks, and returns the lead-in of what is kept then.
func endLeadIn(k *trackCut, lead *leadIn, e edit, s onScreen) *leadIn {
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
	return lead
}

// showFrom sets the one media edit of a track with a lead-in, number at of its list, to begin at the picture on show. A
// gap before the first picture becomes an empty edit.
func showFrom(k *trackCut, at int) {
	e, lead := &k.edits[at], k.lead
	e.mediaTime = lead.mediaTime
	if lead.late > 0 {
		e.duration -= minInt64(lead.late, e.duration-1)
	}
	if lead.gap > 0 {
		k.edits = showGap(k.edits, at, lead.gap)
	}
}

// showGap puts an empty edit in the place of the first movie ticks of edit number at.
func showGap(edits []edit, at int, gap int64) []edit {
	e := edits[at]
	gap = minInt64(gap, e.duration)
	split := append(make([]edit, 0, len(edits)+1), edits[:at]...)
	split = append(split, edit{duration: gap, mediaTime: empty, rate: normalRate})
	e.duration -= gap
	if e.duration > 0 { // 0 would stand for all that follows
		split = append(split, e)
	}
	return append(split, edits[at+1:]...)
}

// keepTimed is keepEdits for what has no lead-in: sound, text, pictures with several media edits. e is the first of
// these, number at of the list, whose media times k.edits has in ticks of a timescale raised by f.
func keepTimed(k *trackCut, e edit, at, media int, f int64) *trackCut {
	t, begins := k.track, k.edits[at].mediaTime
	if media > 1 {
		begins = leastBegin(k, e, at, f)
	}
	limit := begins / f
	if limit >= t.end {
		return nil
	}
	s := onShow(t, limit)
	if t.handler == "soun" {
		k.first = rollBack(t, s.first)
	} else {
		k.first = keyFor(t, s)
	}
	k.end = t.samples
	if !e.toLast {
		k.end = shownEnd(k, s, f)
	}
	if k.end <= k.first {
		return nil
	}
	if media == 1 && s.sample == k.first {
		k.lead = shorten(t, k.edits[at], s, f)
		if k.lead != nil {
			showFrom(k, at)
			return k
		}
	}
	return keepTimes(k, s, begins, f)
}

// leastBegin is the least media time at which one of several edits begins, which e is the first of, number at of the list:
// of pictures, one that is shown then.
func leastBegin(k *trackCut, e edit, at int, f int64) int64 {
	if k.visual {
		beginOnPicture(k.track, k.clock, e, &k.edits[at], f)
	}
	begins := maxSum
	for _, other := range k.edits {
		if other.mediaTime != empty {
			begins = minInt64(begins, other.mediaTime)
		}
	}
	return begins
}

// shownEnd is the end of the samples that the edits show, with s on show at their begin.
func shownEnd(k *trackCut, s onScreen, f int64) int64 {
	fine := k.clock
	fine.media *= f
	_, ends, _ := span(k.edits, fine)
	end := endBefore(k.track, ceilDiv(ends, f))
	return packetEnd(k.track, minInt64(maxInt64(end, s.sample+1), k.samples))
}

// keepTimes counts the media times of the edits, of which the least is begins, from the first sample kept on. s is on
// show at the begin.
func keepTimes(k *trackCut, s onScreen, begins, f int64) *trackCut {
	base, raise := decodeTime(k.track, k.first), int64(0)
	if begins < base*f {
		raise = loweredBy(k, base-begins/f, f)
		base -= raise
	}
	if raise > 0 || f > 1 {
		k.lead = &leadIn{raise: raise, shifted: raise > 0, scale: f, begins: base * f}
	}
	if k.visual {
		showAtOnce(k, s, begins, f)
	}
	for i := range k.edits {
		if k.edits[i].mediaTime != empty {
			k.edits[i].mediaTime -= base * f
		}
	}
	return k
}

// loweredBy is by how much decode times are lowered, as in a lead-in, so that no edit begins before 0: at least so many
// ticks, or not at all.
func loweredBy(k *trackCut, least, f int64) int64 {
	raise := maxInt64(-leastOffset(k.track, k.first, k.end), least)
	if k.greatest+raise > maxOffset/f {
		return 0
	}
	return raise
}

// showAtOnce moves the picture s, on show when the edits begin, to there, unless one of them shows it where it was.
func showAtOnce(k *trackCut, s onScreen, begins, f int64) {
	fine := k.clock
	fine.media *= f
	if s.sample >= 0 && s.cts*f < begins && !showsMedia(k.edits, fine, s.cts*f) {
		k.moved, k.moveTo = s.sample, begins
	}
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
	return minInt64(moment, moment-e.passed+toMovieNearest(c, maxInt64(key-e.begin, 0)))
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
