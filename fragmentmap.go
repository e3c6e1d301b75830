package mp4

import (
	"encoding/binary"
	"sort"
	"sync"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// fragmentMap is where the fragments of a file lie, as far as requests have learned: from its indexes (sidx, mfra), and
// from the headers that they read. It is shared through the cache, and grows.
type fragmentMap struct {
	first int64 // where the boxes of the first fragment begin: behind the moov, or at 0 where that has samples

	mu          sync.Mutex
	inMoov      *fragment           // the samples that the moov has; nil: none
	seen        map[int64]*fragment // read before, by where the boxes before it begin
	bytes       int64               // that they take
	typical     averages
	counted     map[int64][]int64 // decode times of fragments that do not tell theirs, by where they begin: of each traf
	entries     []indexEntry      // by offset: where a fragment begins, and when
	measured    bool
	noFragments bool    // there is no fragment: the moov has all samples
	indexed     bool    // the entries come from an index of the whole file
	end         int64   // of the last whole fragment
	seconds     float64 // that the longest track lasts
}

// indexEntry is where the boxes of a fragment begin, and the decode time of its first sample of the reference track.
type indexEntry struct {
	off     int64
	seconds float64
	nested  bool // a sidx lies there, for what comes until the next entry
}

// averages is how the fragments are that were read, for guesses at others.
type averages struct {
	count   int64
	bytes   int64   // of all of them, media included
	head    int64   // of one of them before its media: of the last, or not much less than of one before
	seconds float64 // of all of them
}

// length is how many bytes a fragment has; 0 where none was read.
func (u averages) length() int64 {
	if u.count == 0 {
		return 0
	}
	return u.bytes / u.count
}

// lasts is for how many seconds a fragment lasts.
func (u averages) lasts() float64 {
	if u.count == 0 || u.seconds <= 0 {
		return unknownLasts
	}
	return u.seconds / float64(u.count)
}

// unknownLasts are the seconds that a fragment is thought to last as long as none was read.
const unknownLasts = 2.0

const (
	maxSeen    = 1 << 20 // bytes of fragments that are remembered for a file
	maxEntries = 1 << 16
	maxCounted = 1 << 13
)

func newFragmentMap(first int64) *fragmentMap {
	return &fragmentMap{first: first, seen: make(map[int64]*fragment), counted: make(map[int64][]int64)}
}

// memory is what the map may come to hold.
func (f *fragmentMap) memory() int64 { return maxSeen + maxEntries*24 + maxCounted*64 }

// known returns a fragment that was read before, or nil.
func (f *fragmentMap) known(off int64) *fragment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[off]
}

// averaged are how the fragments are that were read.
func (f *fragmentMap) averaged() averages {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.typical
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
	f.typical.count++
	f.typical.bytes += found.end - found.off
	f.typical.head = maxInt64(found.media-found.off, f.typical.head-f.typical.head/8)
	if part != nil {
		f.typical.seconds += float64(part.duration) / float64(t.timescale)
	}
	if part != nil && part.timed {
		f.insert(indexEntry{off: found.off, seconds: float64(part.begins) / float64(t.timescale)})
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
		f.insert(indexEntry{off: found.off, seconds: float64(part.begins) / float64(t.timescale)})
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

// insert puts an entry into its order. An index that says something else of that offset is believed no more.
func (f *fragmentMap) insert(p indexEntry) {
	i := sort.Search(len(f.entries), func(i int) bool { return f.entries[i].off >= p.off })
	if i < len(f.entries) && f.entries[i].off == p.off {
		if !f.entries[i].nested {
			f.entries[i] = p
		}
		return
	}
	if len(f.entries) >= maxEntries {
		return
	}
	f.entries = append(f.entries, p)
	copy(f.entries[i+1:], f.entries[i:])
	f.entries[i] = p
}

// around returns the last entry that begins at or before a moment and before an offset, and the one behind it. Without any
// they are the front and the end of the file.
func (f *fragmentMap) around(seconds float64, off int64) (before, after indexEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := sort.Search(len(f.entries), func(i int) bool { return f.entries[i].seconds > seconds || f.entries[i].off >= off })
	before = indexEntry{off: f.first}
	after = indexEntry{off: f.end, seconds: f.seconds}
	if i > 0 {
		before = f.entries[i-1]
	}
	if i < len(f.entries) {
		after = f.entries[i]
	}
	return before, after
}

// expand puts the entries of the sidx at an entry there, if that is still in the map.
func (f *fragmentMap) expand(at indexEntry, entries []indexEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := sort.Search(len(f.entries), func(i int) bool { return f.entries[i].off >= at.off })
	for i < len(f.entries) && f.entries[i].off == at.off && f.entries[i] != at {
		i++
	}
	if i == len(f.entries) || f.entries[i] != at || len(f.entries)+len(entries) > maxEntries {
		return
	}
	behind := f.entries[i+1:]
	for len(entries) > 0 && len(behind) > 0 && behind[0].off <= entries[len(entries)-1].off {
		behind = behind[1:] // what was learned of the same fragments
	}
	f.entries = append(append(append(make([]indexEntry, 0, len(f.entries)+len(entries)), f.entries[:i]...), entries...), behind...)
}

// forget drops an index that leads astray.
func (f *fragmentMap) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexed = false
	f.entries = nil
}

// index takes the entries that an index names, which is of the whole file.
func (f *fragmentMap) index(entries []indexEntry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexed = len(entries) > 0
	f.entries = append([]indexEntry(nil), entries...) // in their order
}

// hasIndex reports whether the entries come from an index of the whole file.
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

// setEnds keeps what was measured. It does so once: tracks do not change any more.
func (f *fragmentMap) setEnds(tracks []*track, found measurement) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.measured {
		return
	}
	f.measured = true
	f.noFragments = found.progressive
	if f.noFragments {
		return
	}
	longest := 0.0
	for _, t := range tracks {
		seconds := float64(found.ends[t.id]) / float64(t.timescale)
		if seconds > longest {
			longest = seconds
		}
	}
	for _, t := range tracks {
		t.setEnd(found.ends[t.id], longest)
	}
	f.seconds = longest
	f.end = found.end
	f.inMoov = found.inMoov
}

// setEnd sets where the track ends. What has nothing in the last fragments ends where its header says, or else
// anywhere. Edits to the end of what the moov has, as ffmpeg writes them, go on to the end of the fragments.
func (t *track) setEnd(end int64, longest float64) {
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

// segmentIndex is a sidx (8.16.3).
type segmentIndex struct {
	id      uint32 // of the track by which it was made
	entries []indexEntry
	end     int64 // of what it names
}

// nested reports whether it names other sidx boxes.
func (x *segmentIndex) nested() bool { return len(x.entries) > 0 && x.entries[0].nested }

func parseSegmentIndex(sidx *box) *segmentIndex {
	p := payload(sidx)
	lead := 24 // version, flags, reference_ID, timescale, times of 32 bits, reserved, count
	if len(p) > 0 && p[0] != 0 {
		lead = 32
	}
	if len(p) < lead || binary.BigEndian.Uint32(p[8:]) == 0 {
		return nil
	}
	timescale := float64(binary.BigEndian.Uint32(p[8:]))
	begins, off := uint64(binary.BigEndian.Uint32(p[12:])), uint64(binary.BigEndian.Uint32(p[16:]))
	if lead == 32 {
		begins = binary.BigEndian.Uint64(p[12:])
		off = binary.BigEndian.Uint64(p[20:])
	}
	if off > uint64(maxBoxSize) || begins > uint64(maxSum) {
		return nil
	}
	x := &segmentIndex{id: binary.BigEndian.Uint32(p[4:])}
	u := make([]uint32, 3*minInt((len(p)-lead)/12, maxEntries))
	lanes.Decode(p[lead:lead+4*len(u)], u)
	at := sidx.at + int64(len(sidx.data)) + int64(off)
	entries := make([]indexEntry, 0, len(u)/3)
	for i := 0; i < len(u); i += 3 {
		reference := u[i]
		entries = append(entries, indexEntry{off: at, seconds: float64(begins) / timescale, nested: reference>>31 != 0})
		at += int64(reference & 0x7FFFFFFF)
		begins += uint64(u[i+1])
	}
	x.entries = entries
	x.end = at
	return x
}

// randomAccessPoints returns the fragments that the payload of a tfra (8.8.10) names.
func randomAccessPoints(p []byte, timescale int64) []indexEntry {
	lengths := p[11] // of traf, trun and sample numbers, two bits each, less one
	width := 8 + int(lengths>>4&3) + int(lengths>>2&3) + int(lengths&3) + 3
	if p[0] != 0 {
		width += 8
	}
	var entries []indexEntry
	for rest := p[16:]; len(rest) >= width; rest = rest[width:] {
		time, off := uint64(binary.BigEndian.Uint32(rest)), uint64(binary.BigEndian.Uint32(rest[4:]))
		if p[0] != 0 {
			time = binary.BigEndian.Uint64(rest)
			off = binary.BigEndian.Uint64(rest[8:])
		}
		if off <= uint64(maxBoxSize) && len(entries) < maxEntries && (len(entries) == 0 || int64(off) > entries[len(entries)-1].off) {
			entries = append(entries, indexEntry{off: int64(off), seconds: float64(time) / float64(timescale)})
		}
	}
	return entries
}
