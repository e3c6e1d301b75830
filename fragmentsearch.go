package mp4

import (
	"bytes"
	"errors"
	"math"
)

// search finds fragments for one request. What it learns goes into the map.
type search struct {
	*fragmentMap
	src     byteSource
	movie   *movie
	track   *track    // by whose times fragments are found
	moov    *fragment // the samples that the moov has; nil: none
	peeks   int       // at boxes
	samples int64     // read
	scanned int64     // bytes, in search for fragments
}

const (
	peekLen       = 8 << 10 // asked for at once in a walk along fragments that are not known, or small
	maxPeek       = 64 << 10
	minScan       = 16 << 10 // asked for at once in a search for a fragment at a guess
	maxScan       = 256 << 10
	maxBarren     = 4 << 20 // bytes without a fragment in which such a search goes on
	maxScanned    = 8 << 20 // bytes of all searches of a request; then it goes from fragment to fragment
	maxBetween    = 100     // boxes between two fragments, or entries that may be one
	maxPeeks      = 20000   // in one request, at some 10 µs each
	maxSamples    = 1 << 20 // read in one request, at 1 µs each
	maxRun        = 2000    // fragments whose samples go into a moov
	maxClip       = 200     // requests for those of a clip; beyond, it stays in fragments
	guesses       = 12
	fewHops       = 6 // from fragment to fragment are as quick as another guess; more, where that reads more
	maxHops       = 24
	bytesOfHop    = 64 << 10 // that a guess reads more, for one hop more
	unsteady      = 0.1      // part of the distance to the guess before by which the next one may be wrong
	heardBefore   = 0.4      // seconds of sound that decoders hear before it plays right
	mostBefore    = 60.0     // seconds before the start in which pictures on show then are looked for
	mostBack      = 1e6      // seconds after which the search for a key frame goes to the front
	sampleInTable = 64       // bytes that a sample takes while tables are made of a run
)

// newSearch begins a search. It goes by the first track with pictures, or else the first.
func (m *movie) newSearch(src byteSource) *search {
	s := &search{fragmentMap: m.fragments, src: src, movie: m, track: referenceTrack(m, 0, m.timescale)}
	if s.track == nil {
		s.track = m.tracks[0]
	}
	return s
}

// topBox is a box of the file.
type topBox struct {
	typ         string // empty at the end of the file
	header, end int64
}

// peekBox reads the header of a box, fetching little.
func (s *search) peekBox(off int64) (topBox, error) {
	s.peeks++
	if s.peeks > maxPeeks {
		// A bound of time.
		return topBox{}, (&box{typ: "moof", at: off}).fail("too many fragments before it")
	}
	typ, header, size, err := readHeader(s.src, off, s.near())
	if err != nil || typ == "" {
		return topBox{}, err
	}
	if size < 0 {
		// No player can know what follows.
		return topBox{}, (&box{typ: typ, at: off}).fail("its size is impossible")
	}
	if size == sizeToEnd {
		size = maxInt64(s.src.Size()-off, header)
	}
	return topBox{typ: typ, header: header, end: off + size}, nil
}

// near is how much is fetched at once where a fragment begins: as much as the others have before their media, and
// of small ones several.
func (s *search) near() int64 {
	u := s.averaged()
	if u.length() <= peekLen {
		return peekLen
	}
	return minInt64(u.head+u.head/8, maxPeek)
}

// fetchSize is how much is fetched at once where a fragment is looked for: as much as one has, or a quarter of large ones.
func (s *search) fetchSize() int64 {
	n := s.averaged().length()
	if n > maxPeek {
		n = maxInt64(n/4, maxPeek)
	}
	return minInt64(maxInt64(n, minScan), maxScan)
}

// next returns the first whole fragment at or behind an offset where a box begins; nil where there is none any more. A
// file that is still being written may end within one.
func (s *search) next(off int64) (*fragment, error) {
	if off == 0 && s.moov != nil {
		return s.moov, nil
	}
	known := s.known(off)
	if known != nil {
		return known, nil
	}
	found, err := s.look(off)
	if err != nil || found == nil {
		return nil, err
	}
	s.remember(found, s.track)
	return found, nil
}

// look is next for an offset where nobody knows whether a box begins: what it finds is not remembered.
func (s *search) look(off int64) (*fragment, error) {
	begin, ended := off, false
	var found *fragment
	for i := 0; i < maxBetween; i++ {
		b, err := s.peekBox(off)
		if err != nil {
			return nil, err
		}
		size := s.src.Size()
		ended = b.typ == "" || size >= 0 && b.end > size
		if ended || b.typ == "moof" && found != nil {
			break
		}
		if b.typ == "moof" {
			found, err = s.readMoof(off, b)
			if err != nil || found == nil {
				return nil, err
			}
			found.off = begin
			if found.samples == 0 { // it is as good as free space
				found = nil
			}
		}
		if b.typ == "mdat" && found != nil {
			found.media = off + b.header
			found.end = b.end
			break
		}
		off = b.end
	}
	if found == nil || ended && !found.hasNoMedia() {
		return nil, nil
	}
	if s.src.Size() < 0 { // whether all of it is there yet, only its last byte tells
		b, err := s.src.Peek(found.end-1, 1, 1+s.near())
		if err != nil || len(b) == 0 {
			return nil, err
		}
	}
	s.recall(found)
	return found, nil
}

// hasNoMedia reports whether the fragment has no media.
func (f *fragment) hasNoMedia() bool {
	for _, t := range f.tracks {
		for _, size := range t.sizes {
			if size > 0 {
				return false
			}
		}
	}
	return true
}

// readMoof reads a moof; it returns nil where the file does not have all of it yet.
func (s *search) readMoof(off int64, b topBox) (*fragment, error) {
	size := b.end - off
	if size > maxMoof {
		// A bound of memory.
		return nil, (&box{typ: b.typ, at: off}).fail("too large")
	}
	data, err := s.src.Peek(off, size, size+largeHeaderLen)
	if err != nil || int64(len(data)) < size {
		return nil, err
	}
	found, err := readFragment(&box{typ: b.typ, at: off, header: b.header, data: data}, s.movie.defaults)
	if err != nil {
		return nil, err
	}
	s.samples += found.samples
	if s.samples > maxSamples {
		// A bound of time and memory.
		return nil, (&box{typ: b.typ, at: off}).fail("too many samples before it")
	}
	return found, nil
}

// scan looks for the first fragment that begins between two offsets, or, backwards, for the last; nil where there is none
// near the offset at which the search begins.
func (s *search) scan(from, to int64, backwards bool) (*fragment, error) {
	tries, size := 0, s.fetchSize()
	for done := int64(0); done < minInt64(to-from, maxBarren) && s.scanned < maxScanned; {
		s.scanned += size
		n, off := size, from+done // also what lies behind the last one that may begin: it is read next
		if backwards {
			n = minInt64(size, to-from-done)
			off = to - done - n
		}
		b, err := s.src.Peek(off, n+moofFrontLen-1, n+moofFrontLen-1) // less than all of one that begins behind
		if err != nil || len(b) == 0 {
			return nil, err
		}
		low, high := 0, len(b)
		for at := moofIn(b, low, high, backwards); at >= 0 && tries < maxBetween; tries++ {
			if off+int64(at) >= to {
				return nil, nil
			}
			found, err := s.look(off + int64(at))
			if found != nil && found.moof == off+int64(at) {
				return found, nil
			}
			if err != nil && !errors.Is(err, errFormat) {
				return nil, err
			}
			if backwards {
				high = at + moofFrontLen - 1
			} else {
				low = at + 1
			}
			at = moofIn(b, low, high, backwards)
		}
		done += n
		size = minInt64(maxInt64(size, done/2), maxScan) // where fragments are larger than those that were read
	}
	return nil, nil
}

// moofFront is how a moof begins behind its size: its type and the header of a mfhd of 16 bytes (8.8.5).
var moofFront = []byte("moof\x00\x00\x00\x10mfhd")

const moofFrontLen = 4 + 12

// moofIn is where in b[low:high] the first box begins that may be a moof, or the last; -1 where there is none.
func moofIn(b []byte, low, high int, last bool) int {
	if high-low < moofFrontLen {
		return -1
	}
	i := bytes.Index(b[low+4:high], moofFront)
	if last {
		i = bytes.LastIndex(b[low+4:high], moofFront)
	}
	if i < 0 {
		return -1
	}
	return low + i
}

// before returns the offset of a fragment that begins at or before a moment.
func (s *search) before(seconds float64) (int64, error) {
	best, after, err := s.entriesAround(seconds, maxSum)
	if err != nil || s.hasIndex() {
		return best.off, err
	}
	third := indexEntry{}
	for i := 0; i < guesses; i++ {
		u := s.averaged()
		near := u.lasts() * float64(minInt64(fewHops+u.length()/bytesOfHop, maxHops)) // enough to walk
		if after.off-best.off <= s.fetchSize() || seconds-best.seconds <= near || s.scanned+u.length()/2 > maxScanned {
			break
		}
		early := near / 3
		if i > 0 {
			early += unsteady * math.Min(seconds-best.seconds, after.seconds-seconds)
		}
		guess := guessBetween(best, after, third, seconds-early)
		behind, begins, err := s.entryBehind(guess, after.off)
		if err != nil {
			return 0, err
		}
		switch {
		case behind.off == 0:
			after.off = guess // none that tells its time
		case behind.seconds <= seconds && behind.off > best.off:
			third = best
			best = behind
		default:
			third = after
			after = indexEntry{off: guess, seconds: begins}
		}
	}
	return s.walk(best.off, seconds)
}

// walk goes from one fragment to the last one that begins at or before a moment, as far as they tell their times.
func (s *search) walk(off int64, seconds float64) (int64, error) {
	last, moment := off, int64(seconds*float64(s.track.timescale))
	for {
		found, err := s.next(off)
		if err != nil || found == nil {
			return last, err
		}
		part := found.part(s.track.id)
		if part != nil && (!part.timed || part.begins > moment) {
			return last, nil
		}
		if part != nil {
			last = found.off
		}
		if part != nil && part.begins+part.duration > moment {
			return last, nil
		}
		off = found.end
	}
}

// guessBetween is an offset between those of two entries where a fragment of a moment between theirs may be: on the
// parabola through them and a third, for the rate of a film may change, or in the middle.
func guessBetween(before, after, third indexEntry, seconds float64) int64 {
	length := after.seconds - before.seconds
	rate := float64(after.off-before.off) / length
	curved := (seconds - before.seconds) * (seconds - after.seconds)
	bend := float64(third.off-before.off) - rate*(third.seconds-before.seconds)
	bend /= (third.seconds - before.seconds) * (third.seconds - after.seconds)
	ratio := (rate*(seconds-before.seconds) + bend*curved) / float64(after.off-before.off)
	if !(ratio > 0 && ratio < 1) { // or it is none: without a third indexEntry the bend is infinite
		ratio = (seconds - before.seconds) / length
	}
	if !(ratio > 0 && ratio < 1) {
		ratio = 0.5
	}
	return before.off + int64(ratio*float64(after.off-before.off))
}

// entryBehind is the entry behind the first fragment between two offsets that has samples of the track and tells their
// time, and the second at which that begins; offset 0 where there is none. The fragment itself is no place to begin an
// answer: a search finds its moof, and not the boxes before that.
func (s *search) entryBehind(from, to int64) (indexEntry, float64, error) {
	found, err := s.scan(from, to, false)
	for i := 0; err == nil && found != nil && i < maxBetween; i++ {
		part := found.part(s.track.id)
		if part != nil && part.timed {
			begins, ends := float64(part.begins), float64(part.begins+part.duration)
			scale := float64(s.track.timescale)
			return indexEntry{off: found.end, seconds: ends / scale}, begins / scale, nil
		}
		if part != nil || found.end >= to {
			break
		}
		found, err = s.next(found.end)
	}
	return indexEntry{}, 0, err
}

// extend adds fragments to a run until every track has been decoded up to its moment, or the file ends. It reports
// false where a fragment does not tell its times, which are counted from the front.
func (s *search) extend(run *fragmentRun, moments map[uint32]int64, most int) (bool, error) {
	r := newProgress(run.begins)
	for _, found := range run.fragments {
		r.add(found)
	}
	for !r.past(s.movie, moments) && len(run.fragments) < most {
		found, err := s.next(run.end)
		if err != nil {
			return false, err
		}
		if found == nil {
			break
		}
		err = s.src.Reserve(found.samples * (sampleMemory + sampleInTable))
		if err != nil {
			return false, err
		}
		r.add(found)
		run.add(found)
		if !r.timed && run.fragments[0].off > s.first {
			return false, nil
		}
	}
	return true, nil
}

// find returns the fragments that a cut needs to show a moment: from the one with the key frame at or before it, or
// before that the sound that decoders must hear (heard), to those that have what is on show in every track.
func (s *search) find(moments map[uint32]int64, seconds float64, heard bool) (*fragmentRun, error) {
	back := 0.0
	if heard {
		back = heardBefore
	}
	for {
		begin, err := s.before(seconds - back)
		if s.hasIndex() && errors.Is(err, errFormat) {
			s.forget()
			continue
		}
		if err != nil {
			return nil, err
		}
		if back > mostBack {
			begin = s.first
		}
		run := &fragmentRun{end: begin}
		timed, err := s.extend(run, moments, maxRun)
		if s.hasIndex() && (errors.Is(err, errFormat) || err == nil && len(run.fragments) == 0) {
			s.forget()
			continue
		}
		if err != nil {
			return nil, err
		}
		if !timed || len(run.fragments) == 0 && begin != s.first {
			back = 2 * mostBack
			continue
		}
		if len(run.fragments) == 0 {
			// Players have nothing to play there either.
			return nil, (&box{typ: "moof", at: begin}).fail("none found")
		}
		if len(run.fragments) == maxRun {
			// A bound of time and memory.
			return nil, (&box{typ: "moof", at: run.end}).fail("too many fragments for one cut")
		}
		first, err := s.needed(run, moments, heard, back < mostBefore)
		if err != nil {
			return nil, err
		}
		if first >= 0 && run.timed() {
			return run.without(first), nil
		}
		if begin == s.first {
			return run, nil
		}
		back = 2*back + mostApart
	}
}

// timed reports whether all fragments of the run tell their times.
func (run *fragmentRun) timed() bool {
	for _, f := range run.fragments {
		if !f.timed() {
			return false
		}
	}
	return true
}

// needed is the first fragment of the run that is needed to show the moments, or -1 where those before the run are
// needed as well: at once for pictures that are not in it, if they are missed.
func (s *search) needed(run *fragmentRun, moments map[uint32]int64, heard, missed bool) (int, error) {
	first := len(run.fragments) - 1
	for _, t := range s.movie.tracks {
		moment, shown := moments[t.id]
		if !shown || t.id != s.track.id && !(heard && (t.handler == "soun" || t.visual)) {
			continue
		}
		g, err := run.gather(t)
		if err != nil {
			return 0, err
		}
		if g == nil {
			if t.visual && missed {
				return -1, nil
			}
			continue
		}
		key, complete := g.key(moment)
		if !complete {
			return -1, nil
		}
		first = minInt(first, g.fragmentWith(key))
	}
	return first, nil
}

// maxNested is how deep sidx boxes may be nested.
const maxNested = 8

// readSegmentIndex reads a sidx. One that cannot be read is none: fragments are found without.
func (s *search) readSegmentIndex(off int64, b topBox) (*segmentIndex, error) {
	size := b.end - off
	if size > maxMoof {
		return nil, nil
	}
	data, err := s.src.Peek(off, size, size+s.near())
	if err != nil || int64(len(data)) < size {
		return nil, err
	}
	return parseSegmentIndex(&box{typ: b.typ, at: off, header: b.header, data: data}), nil
}

// entriesAround is around, with what is nested at the first entry read.
func (s *search) entriesAround(seconds float64, off int64) (before, after indexEntry, err error) {
	before, after = s.around(seconds, off)
	for i := 0; before.nested; i++ {
		if i == maxNested {
			s.forget() // deeper than any writer nests them
		} else {
			entries, err := s.readNested(before)
			if err != nil {
				return before, after, err
			}
			s.expand(before, entries)
		}
		before, after = s.around(seconds, off)
	}
	return before, after, nil
}

// readNested reads the sidx at an entry; without one, the entry itself is where fragments begin.
func (s *search) readNested(at indexEntry) ([]indexEntry, error) {
	found := []indexEntry{{off: at.off, seconds: at.seconds}}
	b, err := s.peekBox(at.off)
	if err != nil || b.typ != "sidx" {
		return found, err
	}
	x, err := s.readSegmentIndex(at.off, b)
	if err != nil || x == nil || len(x.entries) == 0 {
		return found, err
	}
	return x.entries, nil
}
