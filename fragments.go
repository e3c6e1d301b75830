package mp4

import "fmt"

// Fragmented files (8.8): the moov has no samples, or only the first, and moof boxes all along the file have the rest.
//
// ffmpeg applies edit lists to the samples of the moov only. So a cut is a hybrid: the samples of the fragments from
// the key frame to the picture on show go into the moov's tables, timed and hidden as in a progressive file, and the
// fragments behind them follow as they are, but for the decode times and absolute offsets in them (retime.go). Media
// Source Extensions cannot take that; seek: keyframe stays purely fragmented.

// cutFragments plans the answer for a fragmented file. src is read where the map of fragments does not know enough.
func (m *movie) cutFragments(src source, iv interval, seek string) (*cut, error) {
	s := m.newSearch(src)
	err := s.measure()
	if err != nil {
		return nil, err
	}
	if m.fragments.whole {
		return m.cut(iv, seek)
	}
	ticks := m.answerTimescale()
	shown := window{ticks: ticks, from: scaleMS(iv.start, ticks), to: -1, follows: -1}
	if iv.end >= 0 {
		shown.to = scaleMS(iv.end, ticks)
	}
	moments := m.moments(shown)
	if len(moments) == 0 || shown.from >= m.length(ticks) {
		return nil, errPastEnd
	}
	ch, err := s.find(moments, float64(shown.from)/float64(ticks), seek == seekExact)
	if err != nil {
		return nil, err
	}
	if seek != seekExact || ch.protected() {
		return s.cutAtKeyFrame(ch, shown)
	}
	return s.cutHybrid(ch, shown)
}

// moments are the media ticks that each track shows at the beginning of a window, where it shows any then or later.
func (m *movie) moments(shown window) map[uint32]int64 {
	all := make(map[uint32]int64)
	for _, t := range m.tracks {
		c := clock{movie: shown.ticks, source: m.timescale, media: t.timescale}
		front := firstMedia(cutEdits(t, c, shown.from, -1))
		if front.duration > 0 {
			all[t.id] = front.latest(c)
		}
	}
	return all
}

// lastMoments are the media ticks up to which each track is shown in a window.
func (m *movie) lastMoments(shown window) map[uint32]int64 {
	all := make(map[uint32]int64)
	for _, t := range m.tracks {
		c := clock{movie: shown.ticks, source: m.timescale, media: t.timescale}
		_, to, media := span(cutEdits(t, c, shown.from, shown.to), c)
		if media > 0 {
			all[t.id] = minInt64(to, t.end) - 1
		}
	}
	return all
}

// cutHybrid plans an answer that shows exactly the window: the chain's samples are in the moov, and what comes behind
// the chain follows in fragments. Of a clip all is in the moov, unless that would be too many fragments to read.
func (s *search) cutHybrid(ch *chain, shown window) (*cut, error) {
	m, end := s.movie, &ending{end: s.end}
	shown.fragmented = shown.to < 0
	if shown.to >= 0 {
		clip, err := s.clip(ch, shown)
		if err != nil {
			return nil, err
		}
		shown.fragmented = clip == nil
		if clip != nil {
			ch = clip
		} else {
			end, err = s.endOf(shown, ch.end)
			if err != nil {
				return nil, err
			}
		}
	}
	if shown.fragmented {
		shown.follows = ch.end
	}
	var tracks []*kept
	for _, t := range m.tracks {
		k, err := t.keepFragments(clock{movie: shown.ticks, source: m.timescale, media: t.timescale}, ch, shown)
		if err != nil {
			return nil, fmt.Errorf("trak %d: %w", t.id, err)
		}
		if k != nil {
			tracks = append(tracks, k)
		}
	}
	if len(tracks) == 0 {
		return nil, errPastEnd
	}
	c, err := m.plan(tracks, shown)
	if err != nil || !shown.fragmented {
		return c, err
	}
	c.finish(tracks, ch.end, end)
	return c, nil
}

// clip is the chain to the end of the window, or nil where that is too many fragments.
func (s *search) clip(ch *chain, shown window) (*chain, error) {
	moments := s.movie.lastMoments(shown)
	n := int64(len(ch.fragments))
	size := maxInt64((ch.end-ch.fragments[0].off)/n, 1)
	most := minInt64(maxClip*maxInt64(peekLen/size, 1), maxChain-n)
	last := ch.fragments[n-1].part(s.track.id)
	if last != nil && last.duration > 0 && (moments[s.track.id]-last.begins)/last.duration > 2*most {
		return nil, nil
	}
	clip := ch.without(0)
	_, err := s.extend(clip, moments, int(n+most))
	if err != nil || int64(len(clip.fragments)) == n+most {
		return nil, err
	}
	return clip, nil
}

// keepFragments is keepTrack for a track of a fragmented file: the edit list is cut on the timeline of the whole, and
// the samples are those of the chain.
func (t *track) keepFragments(c clock, ch *chain, shown window) (*kept, error) {
	edits := cutEdits(t, c, shown.from, shown.to)
	begins, _, media := span(edits, c)
	if media == 0 {
		return nil, nil
	}
	g, err := ch.gather(t)
	if err != nil {
		return nil, err
	}
	if g == nil {
		if !shown.fragmented {
			return nil, nil
		}
		return &kept{track: t, clock: c, edits: rebase(edits, begins, c), moved: -1, earlier: begins, none: true}, nil
	}
	g.fixed = shown.fragmented // what follows in fragments is in the track's own ticks
	k := keepEdits(g.track, c, rebase(edits, g.begins, c))
	if k == nil {
		return nil, nil
	}
	k.earlier = g.begins + decodeTime(g.track, k.first)
	if k.lead != nil {
		k.earlier = g.begins + k.lead.begins - k.lead.mediaTime // the timescale is the source's
	}
	return k, nil
}

// rebase counts media times from a decode time on. What an edit shows before becomes an empty edit.
func rebase(edits []edit, begins int64, c clock) []edit {
	var based []edit
	for _, e := range edits {
		if e.mediaTime == empty {
			based = append(based, e)
			continue
		}
		e.mediaTime -= begins
		if e.mediaTime < 0 {
			gap := minInt64(toMovieNearest(c, -e.mediaTime), e.duration)
			based = append(based, edit{duration: gap, mediaTime: empty, rate: normalRate})
			e = edit{duration: e.duration - gap, rate: e.rate}
		}
		if e.duration > 0 {
			based = append(based, e)
		}
	}
	return based
}

// cutAtKeyFrame plans an answer that begins visibly with the key frame of what is on show. It is made of the chain's
// fragments and those behind them, from the one with that key frame on; only where the moov of the source has it, the
// answer's moov has samples too.
func (s *search) cutAtKeyFrame(ch *chain, shown window) (*cut, error) {
	m, t := s.movie, s.track
	c := clock{movie: shown.ticks, source: m.timescale, media: t.timescale}
	g, err := ch.gather(t)
	if err != nil {
		return nil, err
	}
	moment, isShown := m.moments(shown)[t.id]
	if g != nil && isShown {
		key, _ := g.key(moment)
		shown.from = minInt64(shown.from, t.shownAt(c, g.begins+g.compositionTime(key)))
		ch = ch.without(g.fragment(key))
	}
	if ch.fragments[0] == s.moov {
		if ch.protected() {
			return nil, m.moov.fail("encrypted samples in it and in fragments")
		}
		return s.cutHybrid(ch, shown)
	}
	var tracks []*kept
	for _, t := range m.tracks {
		k, err := t.keepNone(clock{movie: shown.ticks, source: m.timescale, media: t.timescale}, ch, shown)
		if err != nil {
			return nil, err
		}
		if k != nil {
			tracks = append(tracks, k)
		}
	}
	if len(tracks) == 0 {
		return nil, errPastEnd
	}
	end := &ending{end: maxInt64(s.end, ch.end)}
	if shown.to >= 0 {
		end, err = s.endOf(shown, ch.fragments[0].off)
		if err != nil {
			return nil, err
		}
	}
	shown.fragmented, shown.bare = true, true
	answer, err := m.plan(tracks, shown)
	if err != nil {
		return nil, err
	}
	answer.finish(tracks, ch.fragments[0].off, end)
	return answer, nil
}

// keepNone is keepFragments where the samples stay in fragments.
func (t *track) keepNone(c clock, ch *chain, shown window) (*kept, error) {
	edits := cutEdits(t, c, shown.from, shown.to)
	begins, _, media := span(edits, c)
	if media == 0 {
		return nil, nil
	}
	g, err := ch.gather(t)
	if err != nil {
		return nil, err
	}
	if g != nil {
		begins = minInt64(begins, g.begins)
	}
	return &kept{track: t, clock: c, edits: rebase(edits, begins, c), moved: -1, earlier: begins, none: true}, nil
}

// shownAt is the moment of the movie timeline at which the track's edit list first shows a media time; 0 where it does
// not.
func (t *track) shownAt(c clock, mediaTime int64) int64 {
	edits := cutEdits(t, c, 0, -1)
	at := int64(0)
	for _, e := range edits {
		if e.mediaTime != empty && mediaTime < mediaEnd(e, c) {
			return at + toMovieNearest(c, maxInt64(mediaTime-e.mediaTime, 0))
		}
		at += e.duration
	}
	return 0
}

// follow appends the bytes [from, to) of the source to a cut: fragments whose tracks begin earlier by what was cut off.
// They are one stretch with what lies before them.
func (c *cut) follow(earlier map[uint32]int64, from, to int64) {
	if to <= from {
		return
	}
	r := &retiming{earlier: earlier, moved: c.length - from}
	c.length += to - from
	last := c.segments[len(c.segments)-1]
	if last.fromSource && last.off+last.length == from {
		r.plain = last.length
		last.retiming = r
		last.length += to - from
		return
	}
	c.segments = append(c.segments, &segment{fromSource: true, off: from, length: to - from, retiming: r})
}
