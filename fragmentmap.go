package mp4

import (
	"bytes"
	"sort"
	"sync"
)

// fragmentMap is where the fragments of a file lie, as far as requests have learned: from its indexes (sidx, mfra), and
// from the headers they read. It is shared through the cache, and grows.
type fragmentMap struct {
	first int64 // where the boxes of the first fragment begin

	mu       sync.Mutex
	moov     *fragment           // the samples that the moov has; nil: none
	seen     map[int64]*fragment // read before, by where the search for them began
	bytes    int64               // that they take
	places   []place             // by offset: where a fragment begins, and when
	measured bool
	whole    int64 // movie ticks of the source's timescale that all tracks last
}

// place is a fragment that an index names.
type place struct {
	off  int64
	time float64 // seconds, of the reference track
}

const (
	peekLen     = 16 << 10  // asked for at once in a walk from fragment to fragment
	scanLen     = 128 << 10 // in a search for one at a guess
	maxScan     = 8 << 20   // bytes between two fragments in which such a search goes on
	maxChain    = 2000      // fragments whose samples go into a moov
	maxSeen     = 4 << 20   // bytes of fragments that are remembered for a file
	maxMoof     = 4 << 20
	walkInstead = 4 << 20 // files up to this size behind the moov are walked from the front
	guesses     = 12
	closeEnough = 12.0  // seconds before the start from where a walk is as quick as another guess
	heardBefore = 0.4   // seconds of sound that decoders hear before it plays right
	mostBack    = 1e6   // seconds after which the search for a key frame goes to the front
	maxWalk     = 10000 // fragments in one walk; each costs 50 µs
	maxMatches  = 64    // of what may be a moof, in a search for one
)

// next returns the first fragment at or behind an offset where a box begins; nil at the end of the file.
func (f *fragmentMap) next(src source, m *movie, off int64) (*fragment, error) {
	if off == 0 && f.moov != nil {
		return f.moov, nil
	}
	begin := off
	f.mu.Lock()
	found := f.seen[begin]
	f.mu.Unlock()
	if found != nil {
		return found, nil
	}
	for i := 0; i < maxTopBoxes; i++ {
		typ, header, size, err := peekHeader(src, off)
		if err != nil || typ == "" {
			return found, err
		}
		if size == sizeToEnd {
			size = maxInt64(src.size()-off, header)
		}
		switch {
		case typ == "moof" && found == nil:
			if size > maxMoof {
				return nil, (&box{typ: typ, at: off}).fail("too large")
			}
			data, err := src.peek(off, size)
			if err != nil {
				return nil, err
			}
			if int64(len(data)) < size {
				return nil, nil // the file is still growing
			}
			found, err = m.readFragment(&box{typ: typ, at: off, header: header, data: data})
			if err != nil {
				return nil, err
			}
			found.end = off + size
		case found != nil && typ == "mdat":
			found.end = off + size
			if src.size() >= 0 {
				found.end = minInt64(found.end, src.size())
			}
			f.remember(begin, found)
			return found, nil
		case found != nil:
			f.remember(begin, found)
			return found, nil // a moof without media
		}
		off += size
	}
	return found, nil
}

// peekHeader is readHeader that fetches little.
func peekHeader(src source, off int64) (typ string, header, size int64, err error) {
	if src.size() >= 0 && off+headerLen > src.size() {
		return "", 0, 0, nil
	}
	b, err := src.peek(off, largeHeaderLen)
	if err != nil || len(b) < headerLen {
		return "", 0, 0, err
	}
	typ, header, size = parseHeader(b)
	if size < 0 {
		return "", 0, 0, (&box{typ: typ, at: off}).fail("its size is impossible")
	}
	return typ, header, size, nil
}

// remember keeps a fragment, while there is room.
func (f *fragmentMap) remember(begin int64, found *fragment) {
	size := int64(1 << 10)
	for _, t := range found.tracks {
		size += 40 * int64(len(t.durations))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes+size > maxSeen {
		f.seen = make(map[int64]*fragment)
		f.bytes = 0
	}
	f.seen[begin] = found
	f.bytes += size
}

// offsets are where fragments are known to begin, in order.
func (f *fragmentMap) offsets() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := make([]int64, 0, len(f.places)+len(f.seen))
	for _, p := range f.places {
		known = append(known, p.off)
	}
	for off := range f.seen {
		known = append(known, off)
	}
	sort.Slice(known, func(i, j int) bool { return known[i] < known[j] })
	return known
}

// reference is the track by whose times fragments are found: the first one with pictures, or else the first.
func (f *fragmentMap) reference(m *movie) *track {
	for _, t := range m.tracks {
		if t.visual && t.enabled {
			return t
		}
	}
	return m.tracks[0]
}

// part returns what a fragment has of a track, or nil.
func (f *fragment) part(id uint32) *trackFragment {
	for _, t := range f.tracks {
		if t.id == id && len(t.durations) > 0 {
			return t
		}
	}
	return nil
}

// find returns the fragments whose samples a cut puts into the moov: from the one with the key frame at or before the
// window's start, or before it the sound that decoders must hear (heard), to those that have what is on show in every
// track at the start; with an end, to the end.
func (f *fragmentMap) find(src source, m *movie, shown window, heard bool) (*chain, error) {
	t := f.reference(m)
	starts := m.moments(shown.ticks, shown.from)
	seconds := float64(starts[t.id]) / float64(t.timescale)
	back := 0.0
	if heard {
		back = heardBefore
	}
	for {
		begin, err := f.before(src, m, t, seconds-back)
		if err != nil {
			return nil, err
		}
		if back > mostBack {
			begin = f.first
		}
		ch, err := f.walk(src, m, &chain{end: begin}, starts)
		if err != nil {
			return nil, err
		}
		if begin == f.first || ch.serves(m, t, starts, heard) {
			ch.trim(m, t, starts, heard)
			if shown.to < 0 {
				return ch, nil
			}
			return f.walk(src, m, ch, m.moments(shown.ticks, shown.to))
		}
		back = 2*back + closeEnough
	}
}

// moments are the media ticks that each track shows at a moment of the movie timeline, where it shows any then or later.
func (m *movie) moments(ticks, moment int64) map[uint32]int64 {
	all := make(map[uint32]int64)
	for _, t := range m.tracks {
		c := clock{movie: ticks, source: m.timescale, media: t.timescale}
		front := firstMedia(t.cutEdits(c, moment, -1))
		if front.duration > 0 {
			all[t.id] = front.latest(c)
		}
	}
	return all
}

// walk adds fragments to a chain until every track has been decoded up to its moment, or the file ends.
func (f *fragmentMap) walk(src source, m *movie, ch *chain, moments map[uint32]int64) (*chain, error) {
	begin := ch.end
	reached := make(map[uint32]int64)
	for _, found := range ch.fragments {
		found.reach(reached)
	}
	for len(ch.fragments) < maxChain {
		waiting := false
		for id, moment := range moments {
			waiting = waiting || reached[id] <= moment
		}
		if !waiting {
			return ch, nil
		}
		found, err := f.next(src, m, ch.end)
		if err != nil {
			return nil, err
		}
		if found == nil {
			break
		}
		if !found.reach(reached) && begin != f.first && len(ch.fragments) == 0 {
			return f.walk(src, m, &chain{end: f.first}, moments) // times that can only be counted from the front
		}
		ch.fragments = append(ch.fragments, found)
		ch.end = found.end
	}
	if len(ch.fragments) == 0 {
		return nil, (&box{typ: "moof", at: begin}).fail("none found")
	}
	if len(ch.fragments) == maxChain {
		return nil, (&box{typ: "moof", at: ch.end}).fail("too many fragments for one cut")
	}
	return ch, nil
}

// reach counts up to which decode time each track has come. It reports false where the fragment does not tell its times:
// they go on where the fragment before ended.
func (g *fragment) reach(reached map[uint32]int64) bool {
	timed := true
	for _, part := range g.tracks {
		timed = timed && part.timed
		reached[part.id] = part.after(reached[part.id]) + part.duration
	}
	return timed
}

// serves reports whether the chain has all that is needed to show every moment: a sync sample of the track t from which
// what is on show can be decoded, and where heard is set the sound before.
func (ch *chain) serves(m *movie, t *track, moments map[uint32]int64, heard bool) bool {
	if !ch.decodable(t, moments[t.id]) {
		return false
	}
	for _, sound := range m.tracks {
		if heard && sound.handler == "soun" && sound.id != t.id && !ch.decodable(sound, moments[sound.id]) {
			return false
		}
	}
	return true
}

// decodable reports whether the chain has what a decoder needs to play the track right from a media time on.
func (ch *chain) decodable(t *track, limit int64) bool {
	made, first, err := ch.tables(t)
	if err != nil {
		return false
	}
	if made == nil {
		return !t.visual // a track of sparse fragments
	}
	s := made.onShow(limit - first)
	if s.sample < 0 {
		return !t.visual
	}
	if t.handler == "soun" {
		return s.first >= made.preroll.samples && made.decodeTime(s.first)*1000 >= made.preroll.ms*made.timescale
	}
	key := made.keyFor(s)
	return made.allSync || made.syncBefore(key) == key && made.compositionTime(key) <= s.cts
}

// trim leaves out the fragments that are not needed at the front. Times that are only counted need all.
func (ch *chain) trim(m *movie, t *track, moments map[uint32]int64, heard bool) {
	for len(ch.fragments) > 1 && ch.fragments[0].reach(make(map[uint32]int64)) {
		shorter := &chain{fragments: ch.fragments[1:], end: ch.end}
		if !shorter.serves(m, t, moments, heard) {
			return
		}
		ch.fragments = shorter.fragments
	}
}

// before returns the offset of a fragment that begins at or before a moment of the track t.
func (f *fragmentMap) before(src source, m *movie, t *track, seconds float64) (int64, error) {
	f.mu.Lock()
	places := f.places
	f.mu.Unlock()
	best := place{off: f.first}
	after := place{off: src.size(), time: float64(f.whole) / float64(m.timescale)}
	for _, p := range places {
		if p.time <= seconds && p.off >= best.off {
			best = p
		}
		if p.time > seconds && p.off < after.off {
			after = p
		}
	}
	if len(places) > 0 && after.time-best.time <= 4*closeEnough {
		return best.off, nil
	}
	for i := 0; i < guesses && after.off-best.off > walkInstead && seconds-best.time > closeEnough; i++ {
		ratio := (seconds - closeEnough/2 - best.time) / (after.time - best.time)
		guess := best.off + int64(ratio*float64(after.off-best.off))
		if ratio <= 0 || ratio >= 1 {
			guess = (best.off + after.off) / 2
		}
		found, err := f.scan(src, m, guess, after.off)
		if err != nil {
			return 0, err
		}
		if found == nil {
			after.off = guess
			continue
		}
		part := found.part(t.id)
		for n := 0; part == nil && n < 4 && found != nil; n++ {
			found, err = f.next(src, m, found.end)
			if err != nil {
				return 0, err
			}
			if found != nil {
				part = found.part(t.id)
			}
		}
		if part == nil || !part.timed {
			return best.off, nil
		}
		p := place{off: found.off, time: float64(part.begins) / float64(t.timescale)}
		if p.time <= seconds {
			best = p
		} else if p.off < after.off {
			after = p
		} else {
			after.off = guess
		}
	}
	return best.off, nil
}

// scan looks for a fragment in the bytes from an offset on, before another; nil where there is none.
func (f *fragmentMap) scan(src source, m *movie, from, to int64) (*fragment, error) {
	const front = 16 // moof size(4), moof, mfhd size(4), mfhd
	tries := 0
	for off := from; off < to && off < from+maxScan; off += scanLen - front {
		b, err := src.peek(off, scanLen)
		if err != nil {
			return nil, err
		}
		for at := bytes.Index(b, moofFront); at >= 0 && tries < maxMatches; tries++ {
			if at >= 4 {
				found, err := f.next(src, m, off+int64(at)-4)
				if err == nil && found != nil {
					return found, nil
				}
			}
			at = nextIndex(b, at)
		}
		if int64(len(b)) < scanLen {
			return nil, nil
		}
	}
	return nil, nil
}

// moofFront is how a moof begins behind its size: its type and the header of a mfhd of 16 bytes (8.8.5).
var moofFront = []byte("moof\x00\x00\x00\x10mfhd")

// nextIndex is the next place of moofFront in b behind at, or -1.
func nextIndex(b []byte, at int) int {
	i := bytes.Index(b[at+1:], moofFront)
	if i < 0 {
		return -1
	}
	return at + 1 + i
}

func newFragmentMap(first int64) *fragmentMap {
	return &fragmentMap{first: first, seen: make(map[int64]*fragment)}
}

// lead prepares the tracks of a movie whose moov is only the beginning. Edits to the end of what the moov has, as ffmpeg
// writes them, go on to the end of the fragments. Samples in the moov become the first fragment, at offset 0.
func (f *fragmentMap) lead(m *movie) {
	begin := &fragment{end: f.first}
	for _, t := range m.tracks {
		if n := len(t.edits); n > 0 && t.edits[n-1].mediaTime != empty {
			t.edits[n-1].duration = toMediaEnd
		}
		if t.samples > 0 && t.samples <= maxFragmentSample {
			begin.tracks = append(begin.tracks, t.asFragment())
		}
	}
	if len(begin.tracks) > 0 {
		f.first = 0
		f.moov = begin
	}
}

// asFragment is what the moov's tables say of the track's samples.
func (t *track) asFragment() *trackFragment {
	part := &trackFragment{id: t.id, timed: true, duration: t.decodeEnd(t.samples), shown: t.end}
	part.durations = t.durations.expand(0, t.samples, false)
	part.offsets = make([]int64, t.samples)
	if t.offsets != nil {
		part.offsets = t.offsets.expand(0, t.samples, true)
	}
	part.sync = make([]bool, t.samples)
	for i := int64(0); i < t.samples; i++ {
		part.sizes = append(part.sizes, t.size(i))
		part.sync[i] = t.syncBefore(i) == i
	}
	sample, run := int64(0), t.chunkRuns.run(0)
	for chunk := int64(0); sample < t.samples; chunk++ {
		if chunk >= run.end {
			run = t.chunkRuns.run(run.number + 1)
		}
		n := minInt64(run.perChunk, t.samples-sample)
		part.runs = append(part.runs, trackRun{off: t.chunk(chunk), samples: n, description: run.description})
		sample += n
	}
	return part
}

// length is how long the movie lasts in ticks of the answer's timeline.
func (m *movie) length(ticks int64) int64 {
	longest := int64(0)
	for _, t := range m.tracks {
		c := clock{movie: ticks, source: m.timescale, media: t.timescale}
		k := &kept{track: t, clock: c, edits: t.cutEdits(c, 0, -1), none: true}
		longest = maxInt64(longest, k.presentation())
	}
	return longest
}

// measure learns where each track ends, from the last fragments, and where fragments lie, from the file's indexes.
func (f *fragmentMap) measure(src source, m *movie) error {
	f.mu.Lock()
	done := f.measured
	f.mu.Unlock()
	if done {
		return nil
	}
	places, err := f.readIndexes(src, m)
	if err != nil {
		return err
	}
	from := f.first
	switch {
	case len(places) > 0:
		from = places[len(places)-1].off
	case src.size()-f.first > walkInstead:
		from, err = f.tail(src, m)
		if err != nil {
			return err
		}
	}
	ends, timed, err := f.walkToEnd(src, m, from)
	if err == nil && !timed && from != f.first {
		ends, _, err = f.walkToEnd(src, m, f.first)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.measured {
		return nil
	}
	longest := 0.0
	for _, t := range m.tracks {
		longest = maxFloat(longest, float64(ends[t.id])/float64(t.timescale))
	}
	for _, t := range m.tracks {
		t.end = ends[t.id]
		if t.end == 0 {
			t.end = int64(longest * float64(t.timescale)) // nothing of it in the last fragments: it may end anywhere
		}
	}
	f.whole = int64(longest * float64(m.timescale))
	f.places = places
	f.measured = true
	return nil
}

func maxFloat(a, b float64) float64 {
	if a > b {
		return a
	}
	return b
}

// tail returns the offset of a fragment among the last of a file that has no index.
func (f *fragmentMap) tail(src source, m *movie) (int64, error) {
	for back := int64(scanLen); back < src.size()-f.first; back *= 4 {
		found, err := f.scan(src, m, src.size()-back, src.size())
		if err != nil {
			return 0, err
		}
		if found != nil {
			return found.off, nil
		}
	}
	return f.first, nil
}

// walkToEnd reads fragments to the end of the file, and returns where each track ends, and whether all told their times.
func (f *fragmentMap) walkToEnd(src source, m *movie, off int64) (ends map[uint32]int64, timed bool, err error) {
	ends = make(map[uint32]int64)
	timed = true
	reached := make(map[uint32]int64)
	for i := 0; i < maxWalk; i++ {
		found, err := f.next(src, m, off)
		if err != nil || found == nil {
			return ends, timed, err
		}
		for _, part := range found.tracks {
			timed = timed && part.timed
			ends[part.id] = maxInt64(ends[part.id], part.after(reached[part.id])+part.shown)
			reached[part.id] = part.after(reached[part.id]) + part.duration
		}
		off = found.end
	}
	return nil, false, (&box{typ: "moof", at: off}).fail("too many fragments")
}
