package mp4

import (
	"encoding/binary"
	"errors"
	"math"
)

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
		s.setEnds(s.movie.tracks, measurement{progressive: true})
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
	s.setEnds(s.movie.tracks, found)
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
	last, _, err := s.entriesAround(math.Inf(1), maxSum)
	if err != nil || s.hasIndex() {
		return last.off, err
	}
	if s.src.Size()-begin <= s.fetchSize() {
		return s.first, nil
	}
	from, to := s.first, s.src.Size()
	if n := s.averaged().length(); n > maxPeek {
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
		f, err := s.scan(begin, to, true)
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
	f, err := s.scan(off, s.src.Size(), false)
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
			found = s.count(found, r.ends, s.track)
		}
		for _, part := range found.tracks {
			begins := part.after(r.ends[part.id])
			m.ends[part.id] = maxInt64(m.ends[part.id], begins+part.shown)
		}
		r.add(found)
		off = found.end
		m.end = off
	}
}

// length is how long the movie lasts in ticks of the answer's timeline.
func (m *movie) length(ticks int64) int64 {
	longest := int64(0)
	for _, t := range m.tracks {
		c := mediaClock{movie: ticks, source: m.timescale, media: t.timescale}
		k := &trackCut{track: t, clock: c, edits: cutEdits(t, c, 0, -1), none: true}
		longest = maxInt64(longest, presentation(k))
	}
	return longest
}

// unindexed are the bytes at the end of a file that grows of which its sidx may not know.
const unindexed = 4 << 20

// readIndexes takes the sidx that lies before the first fragment, or reads the mfra at the end of the file. A sidx that
// is not of the whole file is of the fragment behind it, and of no use.
func (s *search) readIndexes(begin int64, best *segmentIndex) error {
	if best != nil && (best.nested() || best.end > s.src.Size()-unindexed) {
		s.index(best.entries)
		return nil
	}
	_, err := s.next(begin) // how large fragments are says how much to fetch in the search for others
	if err != nil {
		return err
	}
	return s.readRandomAccess()
}

// readRandomAccess reads the mfra (8.8.9) at the end of the file, for the entries of the reference track. What is
// fetched for it serves the search for the last fragment as well, unless fragments are large.
func (s *search) readRandomAccess() error {
	const mfroLen = 16
	size := s.src.Size()
	if size < s.first+mfroLen {
		return nil
	}
	n := s.fetchSize()
	if s.averaged().length() > maxPeek {
		n = peekLen // where the last one hardly begins
	}
	from := maxInt64(size-n, s.first)
	b, err := s.src.Peek(from, size-from, size-from)
	if err != nil || int64(len(b)) < size-from || string(b[len(b)-12:len(b)-8]) != "mfro" {
		return err
	}
	length := int64(binary.BigEndian.Uint32(b[len(b)-4:]))
	if length < mfroLen || length > maxMoof || length > size {
		return nil
	}
	if more := length - int64(len(b)); more > 0 {
		front, err := s.src.Peek(size-length, more, more)
		if err != nil || int64(len(front)) < more {
			return err
		}
		b = append(append(make([]byte, 0, length), front...), b...)
	}
	b = b[int64(len(b))-length:]
	mfra := &box{typ: "mfra", at: size - length, header: headerLen, data: b}
	if string(b[4:8]) != "mfra" || readChildren(mfra, "") != nil {
		return nil
	}
	for _, tfra := range mfra.children {
		p := payload(tfra)
		if tfra.typ == "tfra" && len(p) >= 16 && binary.BigEndian.Uint32(p[4:]) == s.track.id {
			s.index(randomAccessPoints(p, s.track.timescale))
		}
	}
	return nil
}
