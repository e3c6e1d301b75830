package mp4

import (
	"sort"
	"sync"
)

// fragmentMap is where the fragments of a file lie, as far as requests have learned: from its indexes (sidx, mfra), and
// from the headers that they read. It is shared through the cache, and grows.
type fragmentMap struct {
	first int64 // where the boxes of the first fragment begin: behind the moov, or at 0 where that has samples

	mu       sync.Mutex
	inMoov   *fragment           // the samples that the moov has; nil: none
	seen     map[int64]*fragment // read before, by where the boxes before it begin
	bytes    int64               // that they take
	usual    usual
	counted  map[int64][]int64 // decode times of fragments that do not tell theirs, by where they begin: of each traf
	places   []place           // by offset: where a fragment begins, and when
	measured bool
	whole    bool    // there is no fragment: the moov has all samples
	indexed  bool    // the places come from an index of the whole file
	end      int64   // of the last whole fragment
	seconds  float64 // that the longest track lasts
}

// place is where the boxes of a fragment begin, and the decode time of its first sample of the reference track.
type place struct {
	off     int64
	seconds float64
	nested  bool // a sidx lies there, for what comes until the next place
}

// usual is how the fragments are that were read, for guesses at others.
type usual struct {
	count   int64
	bytes   int64   // of all of them, media included
	head    int64   // of one of them before its media: of the last, or not much less than of one before
	seconds float64 // of all of them
}

// length is how many bytes a fragment has; 0 where none was read.
func (u usual) length() int64 {
	if u.count == 0 {
		return 0
	}
	return u.bytes / u.count
}

// lasts is for how many seconds a fragment lasts.
func (u usual) lasts() float64 {
	if u.count == 0 || u.seconds <= 0 {
		return unknownLasts
	}
	return u.seconds / float64(u.count)
}

// unknownLasts are the seconds that a fragment is thought to last as long as none was read.
const unknownLasts = 2.0

const (
	maxSeen    = 1 << 20 // bytes of fragments that are remembered for a file
	maxPlaces  = 1 << 16
	maxCounted = 1 << 13
)

func newFragmentMap(first int64) *fragmentMap {
	return &fragmentMap{first: first, seen: make(map[int64]*fragment), counted: make(map[int64][]int64)}
}

// memory is what the map may come to hold.
func (f *fragmentMap) memory() int64 { return maxSeen + maxPlaces*24 + maxCounted*64 }

// known returns a fragment that was read before, or nil.
func (f *fragmentMap) known(off int64) *fragment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[off]
}

// habits are how the fragments are that were read.
func (f *fragmentMap) habits() usual {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usual
}

// holding returns a fragment that was read before and has the byte at an offset, in the boxes before it or in its
// media; nil where there is none.
func (f *fragmentMap) holding(off int64) *fragment {
	f.mu.Lock()
	defer f.mu.Unlock()
	for begin, found := range f.seen {
		if begin <= off && off < found.end {
			return found
		}
	}
	return nil
}

// remember keeps a fragment, and when its first sample of the track t is decoded.
func (f *fragmentMap) remember(found *fragment, t *track) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := found.memory()
	for off, old := range f.seen {
		if f.bytes+size <= maxSeen {
			break
		}
		f.bytes -= old.memory()
		delete(f.seen, off) // any: which one is wanted again nobody knows
	}
	if f.bytes+size <= maxSeen && f.seen[found.off] == nil {
		f.seen[found.off] = found
		f.bytes += size
	}
	part := found.part(t.id)
	f.usual.count++
	f.usual.bytes += found.end - found.off
	f.usual.head = maxInt64(found.media-found.off, f.usual.head-f.usual.head/8)
	if part != nil {
		f.usual.seconds += float64(part.duration) / float64(t.timescale)
	}
	if part != nil && part.timed {
		f.insert(place{off: found.off, seconds: float64(part.begins) / float64(t.timescale)})
	}
}

// recall sets the decode times of a fragment that does not tell them, where they were counted before.
func (f *fragmentMap) recall(found *fragment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, begins := range f.counted[found.off] {
		found.tracks[i].begins = begins
		found.tracks[i].timed = true
	}
}

// count notes the decode times of a fragment, all of those before it being known, and returns it with them.
func (f *fragmentMap) count(found *fragment, before map[uint32]int64, t *track) *fragment {
	if found.timed() {
		return found
	}
	timed := *found
	timed.tracks = nil
	after := make(map[uint32]int64)
	var begins []int64
	for _, part := range found.tracks {
		at, again := after[part.id]
		if !again {
			at = before[part.id]
		}
		at = part.after(at)
		after[part.id] = at + part.duration
		begins = append(begins, at)
		timed.tracks = append(timed.tracks, part.timedAt(at))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.counted) >= maxCounted {
		return found
	}
	f.counted[found.off] = begins
	if f.seen[found.off] != nil {
		f.seen[found.off] = &timed
	}
	if part := timed.part(t.id); part != nil {
		f.insert(place{off: found.off, seconds: float64(part.begins) / float64(t.timescale)})
	}
	return &timed
}

// timedAt is the same, with a decode time.
func (t *trackFragment) timedAt(begins int64) *trackFragment {
	timed := *t
	timed.begins = begins
	timed.timed = true
	return &timed
}

// insert puts a place into its order. An index that says something else of that offset is believed no more.
func (f *fragmentMap) insert(p place) {
	i := sort.Search(len(f.places), func(i int) bool { return f.places[i].off >= p.off })
	if i < len(f.places) && f.places[i].off == p.off {
		if !f.places[i].nested {
			f.places[i] = p
		}
		return
	}
	if len(f.places) >= maxPlaces {
		return
	}
	f.places = append(f.places, p)
	copy(f.places[i+1:], f.places[i:])
	f.places[i] = p
}

// around returns the last place that begins at or before a moment and before an offset, and the one behind it. Without any
// they are the front and the end of the file.
func (f *fragmentMap) around(seconds float64, off int64) (before, after place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := sort.Search(len(f.places), func(i int) bool { return f.places[i].seconds > seconds || f.places[i].off >= off })
	before = place{off: f.first}
	after = place{off: f.end, seconds: f.seconds}
	if i > 0 {
		before = f.places[i-1]
	}
	if i < len(f.places) {
		after = f.places[i]
	}
	return before, after
}

// expand puts the places of the sidx at a place there, if that is still in the map.
func (f *fragmentMap) expand(at place, places []place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := sort.Search(len(f.places), func(i int) bool { return f.places[i].off >= at.off })
	for i < len(f.places) && f.places[i].off == at.off && f.places[i] != at {
		i++
	}
	if i == len(f.places) || f.places[i] != at || len(f.places)+len(places) > maxPlaces {
		return
	}
	behind := f.places[i+1:]
	for len(places) > 0 && len(behind) > 0 && behind[0].off <= places[len(places)-1].off {
		behind = behind[1:] // what was learned of the same fragments
	}
	f.places = append(append(append(make([]place, 0, len(f.places)+len(places)), f.places[:i]...), places...), behind...)
}

// forget drops an index that leads astray.
func (f *fragmentMap) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexed = false
	f.places = nil
}

// index takes the places that an index names, which is of the whole file.
func (f *fragmentMap) index(places []place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexed = len(places) > 0
	f.places = append([]place(nil), places...) // in their order
}

// hasIndex reports whether the places come from an index of the whole file.
func (f *fragmentMap) hasIndex() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.indexed
}

// measurement is what the last fragments tell.
type measurement struct {
	progressive bool             // there are none
	inMoov      *fragment        // the samples that the moov has; nil: none
	ends        map[uint32]int64 // of each track in media ticks, by track_ID
	end         int64            // of the last whole fragment
}

// settle keeps what was measured. It does so once: tracks do not change any more.
func (f *fragmentMap) settle(m *movie, found measurement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.measured {
		return
	}
	f.measured = true
	f.whole = found.progressive
	if f.whole {
		return
	}
	longest := 0.0
	for _, t := range m.tracks {
		seconds := float64(found.ends[t.id]) / float64(t.timescale)
		if seconds > longest {
			longest = seconds
		}
	}
	for _, t := range m.tracks {
		t.settle(found.ends[t.id], longest)
	}
	f.seconds = longest
	f.end = found.end
	f.inMoov = found.inMoov
}

// settle sets where the track ends. What has nothing in the last fragments ends where its header says, or else
// anywhere. Edits to the end of what the moov has, as ffmpeg writes them, go on to the end of the fragments.
func (t *track) settle(end int64, longest float64) {
	if end == 0 {
		end = t.claimed
	}
	if end <= t.end {
		end = maxInt64(t.end, int64(longest*float64(t.timescale)))
	}
	t.end = end
	if n := len(t.edits); n > 0 && t.edits[n-1].mediaTime != empty {
		t.edits[n-1].duration = toMediaEnd
	}
}
