package mp4

import "errors"

// measure learns where each track ends, from the last fragments, and where fragments lie, from the file's indexes.
func (s *search) measure() error {
	s.mu.Lock()
	measured := s.measured
	s.moov = s.inMoov
	s.mu.Unlock()
	if measured {
		return nil
	}
	begin, some, best, err := s.front()
	if err != nil {
		return err
	}
	samples := int64(0)
	for _, t := range s.movie.tracks {
		samples += t.samples
	}
	if !some && samples > 0 {
		s.settle(s.movie, measurement{progressive: true})
		return nil
	}
	if samples > maxInTables {
		// A bound of time.
		return s.movie.moov.fail("too many samples before fragments")
	}
	if samples > 0 {
		s.moov = s.movie.asFragment(begin)
	}
	err = s.readIndexes(begin, best)
	if err != nil {
		return err
	}
	found, err := s.measureFrom(begin)
	if s.hasIndex() && (errors.Is(err, errFormat) || err == nil && len(found.ends) == 0) {
		s.forget()
		found, err = s.measureFrom(begin)
	}
	if err != nil {
		return err
	}
	found.inMoov = s.moov
	s.settle(s.movie, found)
	return nil
}

// measureFrom walks along the last fragments, where they begin at an offset, or along all where they do not tell their
// times.
func (s *search) measureFrom(begin int64) (measurement, error) {
	from, err := s.tail(begin)
	if err != nil {
		return measurement{}, err
	}
	found, timed, err := s.walkToEnd(from)
	if err == nil && !timed && from != s.first {
		found, _, err = s.walkToEnd(s.first)
	}
	return found, err
}

// maxInTables are the samples of a moov before fragments: each is looked up, at some 5 µs.
const maxInTables = 1 << 19

// front is where the boxes of the first fragment begin: behind the mdat of the samples that the moov has. It reports
// false where there is no moof, and returns the sidx between the two that is to be used, if any.
func (s *search) front() (begin int64, some bool, best *segmentIndex, err error) {
	off := s.movie.moov.at + int64(len(s.movie.moov.data))
	begin = off
	for i := 0; i < maxTopBoxes; i++ {
		b, err := s.peekBox(off)
		if err != nil || b.typ == "" || b.typ == "moof" {
			return begin, b.typ == "moof", best, err
		}
		if b.typ == "sidx" {
			found, err := s.readSegmentIndex(off, b)
			if err != nil {
				return begin, false, nil, err
			}
			if found != nil && (best == nil || found.id == s.track.id && best.id != found.id) {
				best = found
			}
		}
		off = b.end
		if b.typ == "mdat" {
			begin = off
			best = nil
		}
	}
	return begin, false, nil, nil
}

// tail returns the offset of a fragment among the last, where the fragments begin at another: from an index, or else by
// a search from the end.
func (s *search) tail(begin int64) (int64, error) {
	last, found := s.last()
	found = found && s.hasIndex()
	for i := 0; found && last.nested && i < maxNested; i++ {
		places, err := s.readNested(last)
		if err != nil {
			return 0, err
		}
		s.expand(last, places)
		last, found = s.last()
	}
	if found && !last.nested {
		return last.off, nil
	}
	if s.src.Size()-begin <= s.piece() {
		return s.first, nil
	}
	from, to := s.first, s.src.Size()
	if n := s.habits().length(); n > maxPeek {
		ahead := maxInt64(to-aheadOfEnd*n-n/4, begin) // a quarter more, for fragments of one size
		last, err := s.lastBehind(ahead)
		if err != nil || last > 0 {
			return last, err
		}
		if last == 0 {
			to = ahead
		}
	}
	for i := 0; i < maxLast && s.scanned < maxBarren; i++ {
		f, err := s.scanBack(begin, to)
		if err != nil {
			return 0, err
		}
		if f == nil {
			break
		}
		from = f.off
		if f.part(s.track.id) != nil {
			break
		}
		to = f.off
	}
	return from, nil
}

// maxLast is how many fragments from the end on one of the reference track is looked for: each track may have its own.
const maxLast = 4

// aheadOfEnd is how many fragments, if they are large, before the end of the file the search for the last one begins:
// going on from one to the next costs little, while a search back from the end reads all of the last one.
const aheadOfEnd = 2

// lastBehind returns the offset of the last fragment of the reference track behind an offset: 0 where there is none, and
// -1 where they cannot be read from there on, or are many.
func (s *search) lastBehind(off int64) (int64, error) {
	last := int64(0)
	f, err := s.scan(off, s.src.Size())
	for i := 0; err == nil && f != nil; i++ {
		if i == maxHops {
			return -1, nil
		}
		if f.part(s.track.id) != nil {
			last = f.off
		}
		f, err = s.next(f.end)
	}
	if errors.Is(err, errFormat) {
		return -1, nil
	}
	return last, err
}

// walkToEnd reads fragments to the end of the file. It reports false where one did not tell its times.
func (s *search) walkToEnd(off int64) (measurement, bool, error) {
	m := measurement{ends: make(map[uint32]int64), end: off}
	r := newProgress(nil)
	fromFront := off == s.first
	for {
		found, err := s.next(off)
		if err != nil || found == nil {
			return m, r.timed, err
		}
		if fromFront {
			found = s.count(found, r.times, s.track)
		}
		for _, part := range found.tracks {
			begins := part.after(r.times[part.id])
			m.ends[part.id] = maxInt64(m.ends[part.id], begins+part.shown)
		}
		r.add(found)
		off = found.end
		m.end = off
	}
}

// asFragment is what the moov's tables say of samples, as if a moof did; other fragments begin at an offset.
func (m *movie) asFragment(end int64) *fragment {
	f := &fragment{end: end, media: end}
	for _, t := range m.tracks {
		if t.samples > 0 {
			f.tracks = append(f.tracks, t.asFragment())
			f.samples += t.samples
		}
	}
	return f
}

func (t *track) asFragment() *trackFragment {
	part := &trackFragment{id: t.id, hasTfdt: true, timed: true, protected: t.auxiliary != nil}
	part.durations = expandRuns(t.durations, 0, t.samples, false)
	part.offsets = make([]int64, t.samples)
	if t.offsets != nil {
		part.offsets = expandRuns(t.offsets, 0, t.samples, true)
	}
	part.flags = make([]int64, t.samples)
	for i := int64(0); i < t.samples; i++ {
		part.sizes = append(part.sizes, t.size(i))
		if syncBefore(t, i) != i {
			part.flags[i] = sampleIsNonSync
		}
	}
	part.addTimes(0)
	sample, run := int64(0), chunkRunAt(t.chunkRuns, 0)
	for chunk := int64(0); sample < t.samples; chunk++ {
		if chunk >= run.end {
			run = chunkRunAt(t.chunkRuns, run.number+1)
		}
		n := minInt64(run.perChunk, t.samples-sample)
		part.runs = append(part.runs, trackRun{off: chunkOffset(t, chunk), samples: n, description: run.description})
		sample += n
	}
	return part
}

// length is how long the movie lasts in ticks of the answer's timeline.
func (m *movie) length(ticks int64) int64 {
	longest := int64(0)
	for _, t := range m.tracks {
		c := clock{movie: ticks, source: m.timescale, media: t.timescale}
		k := &kept{track: t, clock: c, edits: cutEdits(t, c, 0, -1), none: true}
		longest = maxInt64(longest, presentation(k))
	}
	return longest
}
