package mp4

import (
	"bytes"
	"errors"
	"math"
)

// search finds fragments for one request. What it learns goes into the map.
type search struct {
	*fragmentMap
	src     source
	movie   *movie
	track   *track    // by whose times fragments are found
	moov    *fragment // the samples that the moov has; nil: none
	peeks   int       // at boxes
	samples int64     // read
	scanned int64     // bytes, in search for fragments
	most    int64     // of these: then it goes from fragment to fragment
}

const (
	peekLen       = 8 << 10 // asked for at once in a walk along fragments that are not known, or small
	minPeek       = 512     // in one along others
	maxPeek       = 64 << 10
	minScan       = 16 << 10 // asked for at once in a search for a fragment at a guess
	maxScan       = 256 << 10
	maxBarren     = 4 << 20  // bytes without a fragment in which such a search goes on
	maxScanned    = 6 << 20  // bytes of all searches of a request, where a long walk may follow
	maxSearch     = 10 << 20 // bytes of all searches and of the walk, where that is short
	maxBetween    = 100      // boxes between two fragments
	maxPeeks      = 20000    // in one request, at some 10 µs each
	maxSamples    = 1 << 20  // read in one request, at 1 µs each
	maxRun        = 2000     // fragments whose samples go into a moov
	maxClip       = 200      // requests for those of a clip; beyond, it stays in fragments
	guesses       = 12
	maxMatches    = 64 // of what may be a moof, in a search for one
	fewHops       = 6  // from fragment to fragment are as quick as another guess; more, where that reads more
	maxHops       = 24
	bytesOfHop    = 64 << 10 // that a guess reads more, for one hop more
	unsteady      = 0.1      // part of the distance to the guess before by which the next one may be wrong
	heardBefore   = 0.4      // seconds of sound that decoders hear before it plays right
	mostApart     = 15.0     // seconds by which the media of one moment lie apart in the file
	further       = 12.0     // seconds that a search for a key frame goes back
	mostBefore    = 60.0     // seconds before the start in which pictures on show then are looked for
	mostBack      = 1e6      // seconds after which the search for a key frame goes to the front
	sampleInTable = 64       // bytes that a sample takes while tables are made of a run
)

// newSearch begins a search. It goes by the first track with pictures, or else the first.
func (m *movie) newSearch(src source) *search {
	s := &search{fragmentMap: m.fragments, src: src, movie: m, track: referenceTrack(m, 0, m.timescale), most: maxScanned}
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
	size := s.src.Size()
	if size >= 0 && off+headerLen > size {
		return topBox{}, nil
	}
	b, err := s.src.Peek(off, largeHeaderLen, s.near())
	if err != nil || len(b) < headerLen {
		return topBox{}, err
	}
	typ, header, length := parseHeader(b)
	if length < 0 {
		// No player can know what follows.
		return topBox{}, (&box{typ: typ, at: off}).fail("its size is impossible")
	}
	if length == sizeToEnd {
		length = maxInt64(s.src.Size()-off, header)
	}
	return topBox{typ: typ, header: header, end: off + length}, nil
}

// near is how much is fetched at once where a fragment begins: as much as the others have before their media, and
// of small ones several.
func (s *search) near() int64 {
	u := s.habits()
	if u.length() <= peekLen {
		return peekLen
	}
	return minInt64(maxInt64(u.head+u.head/8, minPeek), maxPeek)
}

// piece is how much is fetched at once where a fragment is looked for: as much as one has, or a quarter of large ones.
func (s *search) piece() int64 {
	n := s.habits().length()
	if n > maxPeek {
		n = maxInt64(n/4, maxPeek)
	}
	return minInt64(maxInt64(n, minScan), maxScan)
}

// longer is a piece after so many bytes without a fragment: where they are larger than those that were read.
func longer(piece, barren int64) int64 { return minInt64(maxInt64(piece, barren/2), maxScan) }

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
	if found == nil || ended && !found.empty() {
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

// empty reports whether the fragment has no media.
func (f *fragment) empty() bool {
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
	found, err := s.movie.readFragment(&box{typ: b.typ, at: off, header: b.header, data: data})
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

// scan looks for a fragment in the bytes from an offset on, before another; nil where there is none.
func (s *search) scan(from, to int64) (*fragment, error) {
	tries := 0
	piece := s.piece()
	for off := from; off < to && off < from+maxBarren && s.scanned < s.most; {
		s.scanned += piece
		b, err := s.src.Peek(off, piece, piece)
		if err != nil {
			return nil, err
		}
		for at := nextFront(b, 0); at >= 0 && tries < maxMatches; tries++ {
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
			at = nextFront(b, at+1)
		}
		if int64(len(b)) < piece {
			return nil, nil
		}
		off += piece - moofFrontLen
		piece = longer(piece, off-from)
	}
	return nil, nil
}

// scanBack looks for the last fragment that begins between two offsets; nil where there is none near the second.
func (s *search) scanBack(from, to int64) (*fragment, error) {
	piece, tries := s.piece(), 0
	for end := to; end > from && end > to-maxBarren && s.scanned < s.most; {
		s.scanned += piece
		off := maxInt64(end-piece, from)
		n := end - off + moofFrontLen - 1 // less than all of one that begins at the end
		b, err := s.src.Peek(off, n, n)
		if err != nil {
			return nil, err
		}
		for at := lastFront(b, len(b)); at >= 0 && tries < maxMatches; tries++ {
			found, err := s.look(off + int64(at))
			if found != nil && found.moof == off+int64(at) {
				return found, nil
			}
			if err != nil && !errors.Is(err, errFormat) {
				return nil, err
			}
			at = lastFront(b, at)
		}
		end -= piece
		piece = longer(piece, to-end)
	}
	return nil, nil
}

// moofFront is how a moof begins behind its size: its type and the header of a mfhd of 16 bytes (8.8.5).
var moofFront = []byte("moof\x00\x00\x00\x10mfhd")

const moofFrontLen = 4 + 12

// nextFront is where in b, from an index on, the first box begins that may be a moof; -1 where there is none.
func nextFront(b []byte, from int) int {
	if from+4 > len(b) {
		return -1
	}
	i := bytes.Index(b[from+4:], moofFront)
	if i < 0 {
		return -1
	}
	return from + i
}

// lastFront is nextFront for the last one that begins before an index.
func lastFront(b []byte, before int) int {
	end := minInt(before+moofFrontLen-1, len(b))
	return bytes.LastIndex(b[:end], moofFront) - 4
}

// before returns the offset of a fragment that begins at or before a moment.
func (s *search) before(seconds float64) (int64, error) {
	best, after := s.around(seconds)
	for i := 0; best.nested && i < maxNested; i++ {
		places, err := s.readNested(best)
		if err != nil {
			return 0, err
		}
		s.expand(best, places)
		best, after = s.around(seconds)
	}
	if best.nested {
		// A bound of requests: it may refer to itself.
		return 0, (&box{typ: "sidx", at: best.off}).fail("it is nested too deep")
	}
	if s.hasIndex() {
		return best.off, nil
	}
	third := place{}
	for i := 0; i < guesses; i++ {
		u := s.habits()
		near := u.lasts() * float64(minInt64(fewHops+u.length()/bytesOfHop, maxHops)) // enough to walk
		if after.off-best.off <= s.piece() || seconds-best.seconds <= near || !s.affords(seconds-best.seconds) {
			break
		}
		early := near / 3
		if i > 0 {
			early += unsteady * math.Min(seconds-best.seconds, after.seconds-seconds)
		}
		guess := guessBetween(best, after, third, seconds-early)
		behind, begins, err := s.placeBehind(guess, after.off)
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
			after = place{off: guess, seconds: begins}
		}
	}
	return s.walk(best.off, seconds)
}

// affords limits what searches may read, where a walk of so many seconds would be left, and reports whether there may be
// another guess.
func (s *search) affords(seconds float64) bool {
	u := s.habits()
	walk := int64(seconds/u.lasts()) * s.near()
	s.most = maxInt64(maxScanned, maxSearch-walk)
	return s.scanned+u.length()/2 <= s.most
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

// guessBetween is an offset between those of two places where a fragment of a moment between theirs may be: on the
// parabola through them and a third, for the rate of a film may change, or in the middle.
func guessBetween(before, after, third place, seconds float64) int64 {
	length := after.seconds - before.seconds
	rate := float64(after.off-before.off) / length
	curved := (seconds - before.seconds) * (seconds - after.seconds)
	bend := float64(third.off-before.off) - rate*(third.seconds-before.seconds)
	bend /= (third.seconds - before.seconds) * (third.seconds - after.seconds)
	ratio := (rate*(seconds-before.seconds) + bend*curved) / float64(after.off-before.off)
	if !(ratio > 0 && ratio < 1) { // or it is none: without a third place the bend is infinite
		ratio = (seconds - before.seconds) / length
	}
	if !(ratio > 0 && ratio < 1) {
		ratio = 0.5
	}
	return before.off + int64(ratio*float64(after.off-before.off))
}

// placeBehind is the place behind the first fragment between two offsets that has samples of the track and tells their
// time, and the second at which that begins; offset 0 where there is none. The fragment itself is no place to begin an
// answer: a search finds its moof, and not the boxes before that.
func (s *search) placeBehind(from, to int64) (place, float64, error) {
	found, err := s.scan(from, to)
	for i := 0; err == nil && found != nil && i < maxBetween; i++ {
		part := found.part(s.track.id)
		if part != nil && part.timed {
			begins, ends := float64(part.begins), float64(part.begins+part.duration)
			scale := float64(s.track.timescale)
			return place{off: found.end, seconds: ends / scale}, begins / scale, nil
		}
		if part != nil || found.end >= to {
			break
		}
		found, err = s.next(found.end)
	}
	return place{}, 0, err
}

// progress is how far a walk has come: the decode times behind the last samples, by track_ID.
type progress struct {
	times map[uint32]int64
	least map[uint32]int64 // composition offsets, where they are negative
	timed bool             // every fragment told its times
}

// newProgress is where a walk begins, behind samples that end at decode times.
func newProgress(begins map[uint32]int64) *progress {
	r := &progress{times: make(map[uint32]int64), least: make(map[uint32]int64), timed: true}
	for id, at := range begins {
		r.times[id] = at
	}
	return r
}

func (r *progress) add(f *fragment) {
	for _, part := range f.tracks {
		if len(part.sizes) == 0 {
			continue
		}
		r.timed = r.timed && part.timed
		before, begun := r.times[part.id]
		end := part.after(before) + part.duration
		if !begun || end > before {
			r.times[part.id] = end
		}
		r.least[part.id] = minInt64(r.least[part.id], part.least)
	}
}

// past reports whether all moments have been decoded. A track of which there is nothing for long is not waited for.
func (r *progress) past(m *movie, moments map[uint32]int64) bool {
	furthest := 0.0 // seconds beyond its moment
	behind := false
	for _, t := range m.tracks {
		moment, shown := moments[t.id]
		if !shown {
			continue
		}
		end, begun := r.times[t.id]
		if !begun {
			behind = true
			continue
		}
		ahead := float64(end+r.least[t.id]-moment) / float64(t.timescale)
		behind = behind || ahead <= 0
		if ahead > furthest {
			furthest = ahead
		}
	}
	return !behind || furthest > mostApart
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
		back = 2*back + further
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
		key, whole := g.key(moment)
		if !whole {
			return -1, nil
		}
		first = minInt(first, g.fragment(key))
	}
	return first, nil
}
