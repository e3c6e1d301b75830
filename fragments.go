package mp4

import "fmt"

// Fragmented files (8.8): the moov has no samples, or only the first, and moof boxes all along the file have the rest.
//
// A cut of one is as purely fragmented: a moov without samples; one fragment that is made of the samples from the key
// frame on, timed and hidden as in a progressive cut (beginning.go); and behind it the fragments of the source, changed
// only in their decode times and absolute offsets (madefragment.go). Of a clip by seek: exact all samples are in the tables of a
// progressive answer, unless that would be too many fragments to read: then it ends in a made fragment as well.

// cutFragments plans the answer for a fragmented file. src is read where the map of fragments does not know enough.
func (m *movie) cutFragments(src byteSource, iv msInterval, seek string) (*cut, error) {
	s := m.newSearch(src)
	err := s.measure()
	if err != nil {
		return nil, err
	}
	if m.fragments.noFragments {
		return m.cutProgressive(iv, seek)
	}
	ticks := m.ticks
	w := timeWindow{ticks: ticks, from: scaleMS(iv.start, ticks), to: -1}
	if iv.end >= 0 {
		w.to = scaleMS(iv.end, ticks)
	}
	if w.from >= m.length(ticks) {
		return nil, errPastEnd
	}
	o, err := s.newBeginning(w, seek == seekExact)
	if err != nil {
		return nil, err
	}
	if first := o.firstDecoded(); o.run.fragments[0].off == s.first && w.from < first { // the earliest position that players know
		w.from = first
		o, err = s.newBeginning(w, o.exact)
		if err != nil {
			return nil, err
		}
	}
	if o.exact && w.to >= 0 && !o.run.protected() {
		c, err := s.cutClip(o.run, w)
		if c != nil || err != nil {
			return c, err
		}
	}
	if !o.exact || o.run.protected() {
		o, err = o.atKeyFrame()
		if err != nil {
			return nil, err
		}
	}
	if o.run.protected() {
		return o.cutWhole()
	}
	return o.plan()
}

// cutClip plans a progressive answer that shows exactly the window, or returns nil where that would take too many
// fragments.
func (s *search) cutClip(run *fragmentRun, w timeWindow) (*cut, error) {
	clip, err := s.clip(run, w)
	if clip == nil || err != nil {
		return nil, err
	}
	var tracks []*trackCut
	for _, t := range s.movie.tracks {
		k, err := t.keepFragments(mediaClock{movie: w.ticks, source: s.movie.timescale, media: t.timescale}, clip, w)
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
	return planTracks(s.movie, tracks, w)
}

// clip is the run to the end of the window, or nil where that is too many fragments.
func (s *search) clip(run *fragmentRun, w timeWindow) (*fragmentRun, error) {
	ends := s.movie.endTimes(w)
	n := int64(len(run.fragments))
	size := maxInt64((run.end-run.fragments[0].off)/n, 1)
	most := minInt64(maxClip*maxInt64(peekLen/size, 1), maxRun-n)
	last := run.fragments[n-1].part(s.track.id)
	if last != nil && last.duration > 0 && (ends[s.track.id]-last.begins)/last.duration > 2*most {
		return nil, nil
	}
	clip := run.without(0)
	_, err := s.extend(clip, ends, int(n+most))
	if err != nil || int64(len(clip.fragments)) == n+most {
		return nil, err
	}
	return clip, nil
}

// keepFragments is keepEdits for a track of a fragmented file: the edit list is cut on the timeline of the whole, and
// the samples are those of the run.
func (t *track) keepFragments(c mediaClock, run *fragmentRun, w timeWindow) (*trackCut, error) {
	edits := cutEdits(t, c, w.from, w.to)
	_, _, media := span(edits, c)
	if media == 0 {
		return nil, nil
	}
	g, err := run.gather(t)
	if g == nil || err != nil {
		return nil, err
	}
	return keepEdits(g.track, c, rebase(edits, g.columns.begins, c)), nil
}

// rebase counts media times from a decode time on. What an edit shows before becomes an empty edit.
func rebase(edits []edit, begins int64, c mediaClock) []edit {
	var based []edit
	for _, e := range edits {
		if e.mediaTime == empty {
			based = append(based, e)
			continue
		}
		e.mediaTime -= begins
		e.begin -= begins
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
