package mp4

import (
	"encoding/binary"
	"fmt"
)

// Fragmented files (8.8): the moov has no samples, or only the first, and moof boxes all along the file have the rest.
//
// ffmpeg applies edit lists to the samples of the moov only. So a cut is a hybrid: the samples of the fragments from the
// key frame to the picture on show go into the moov's tables, timed and hidden as in a progressive file, and the
// fragments behind them follow as they are, but for the decode times and absolute offsets in them (retime.go). Media
// Source Extensions cannot take that; seek: keyframe stays purely fragmented.

// trackDefaults is a trex (8.8.3).
type trackDefaults struct {
	description, duration, size, flags uint32
}

// fragment is a moof (8.8.4) that was read.
type fragment struct {
	off    int64 // of the moof
	end    int64 // of the media behind it: there the next fragment's boxes begin
	tracks []*trackFragment
}

// trackFragment is a traf (8.8.6): successive samples of a track.
type trackFragment struct {
	id        uint32
	timed     bool  // it has a tfdt
	protected bool  // it has auxiliary information, which is not taken along into the moov
	begins    int64 // decode time of its first sample
	duration  int64 // of all its samples
	shown     int64 // when the last of them has been shown, after begins
	durations []int64
	sizes     []int64
	offsets   []int64 // composition
	sync      []bool
	runs      []trackRun
}

// trackRun is a trun (8.8.8): samples that lie one after another.
type trackRun struct {
	off         int64
	samples     int64
	description uint32
}

// Flags of tfhd (8.8.7), trun and of samples (8.8.3.1).
const (
	tfhdBase          = 0x000001
	tfhdDescription   = 0x000002
	tfhdDuration      = 0x000008
	tfhdSize          = 0x000010
	tfhdFlags         = 0x000020
	tfhdBaseIsMoof    = 0x020000
	trunDataOffset    = 0x000001
	trunFirstFlags    = 0x000004
	trunDuration      = 0x000100
	trunSize          = 0x000200
	trunFlags         = 0x000400
	trunComposition   = 0x000800
	sampleIsNonSync   = 0x00010000
	maxFragmentSample = 1 << 18 // samples in a run
)

// readDefaults reads the trex boxes of a mvex.
func readDefaults(mvex *box) (map[uint32]trackDefaults, error) {
	defaults := make(map[uint32]trackDefaults)
	err := mvex.open("mehd")
	if err != nil {
		return nil, err
	}
	for _, b := range mvex.children {
		p := b.payload()
		if b.typ != "trex" {
			continue
		}
		if len(p) < fullBoxLen+20 {
			return nil, b.fail("too short")
		}
		defaults[binary.BigEndian.Uint32(p[4:])] = trackDefaults{
			description: binary.BigEndian.Uint32(p[8:]),
			duration:    binary.BigEndian.Uint32(p[12:]),
			size:        binary.BigEndian.Uint32(p[16:]),
			flags:       binary.BigEndian.Uint32(p[20:]),
		}
	}
	return defaults, nil
}

// readFragment reads a moof.
func (m *movie) readFragment(moof *box) (*fragment, error) {
	err := moof.open("mfhd")
	if err != nil {
		return nil, err
	}
	f := &fragment{off: moof.at}
	end := moof.at // where the data of the traf before ended
	for _, traf := range moof.children {
		if traf.typ != "traf" {
			continue
		}
		t := &trackFragment{}
		end, err = t.read(traf, m.defaults, moof.at, end)
		if err != nil {
			return nil, fmt.Errorf("moof at %d: %w", moof.at, err)
		}
		f.tracks = append(f.tracks, t)
	}
	return f, nil
}

// fields takes 32-bit numbers off the front of a payload, as flags say which are there.
type fields struct {
	rest  []byte
	flags uint32
	short bool // there were too few bytes
}

// take returns the next number where flag is set, and otherwise the default.
func (f *fields) take(flag, otherwise uint32) uint32 {
	if f.flags&flag == 0 {
		return otherwise
	}
	if len(f.rest) < 4 {
		f.short = true
		return 0
	}
	v := binary.BigEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return v
}

// read reads a traf of the moof at an offset. It returns where its data end.
func (t *trackFragment) read(traf *box, all map[uint32]trackDefaults, moof, before int64) (int64, error) {
	err := traf.open("tfhdtfdt")
	if err != nil {
		return 0, err
	}
	tfhd := traf.child("tfhd")
	if tfhd == nil || len(tfhd.payload()) < 8 {
		return 0, traf.fail("no tfhd in it, or a short one")
	}
	p := tfhd.payload()
	f := &fields{rest: p[8:], flags: binary.BigEndian.Uint32(p) & 0xFFFFFF}
	t.id = binary.BigEndian.Uint32(p[4:])
	d := all[t.id]
	base := before
	if f.flags&tfhdBaseIsMoof != 0 || before == moof {
		base = moof
	}
	if f.flags&tfhdBase != 0 {
		high := int64(f.take(tfhdBase, 0))
		base = high<<32 | int64(f.take(tfhdBase, 0))
	}
	d.description = f.take(tfhdDescription, d.description)
	d.duration = f.take(tfhdDuration, d.duration)
	d.size = f.take(tfhdSize, d.size)
	d.flags = f.take(tfhdFlags, d.flags)
	if f.short || base < 0 || base > maxBoxSize {
		return 0, tfhd.fail("too short, or its offset is beyond any file")
	}
	err = t.readTime(traf.child("tfdt"))
	if err != nil {
		return 0, err
	}
	t.protected = traf.child("saiz") != nil || traf.child("senc") != nil
	at := base
	for _, b := range traf.children {
		if b.typ == "trun" {
			at, err = t.readRun(b, d, base, at)
			if err != nil {
				return 0, err
			}
		}
	}
	return at, nil
}

// readTime reads a tfdt (8.8.12), which may be absent.
func (t *trackFragment) readTime(tfdt *box) error {
	if tfdt == nil {
		return nil
	}
	p := tfdt.payload()
	if len(p) < 8 || p[0] != 0 && len(p) < 12 {
		return tfdt.fail("too short")
	}
	t.timed = true
	t.begins = int64(binary.BigEndian.Uint32(p[4:]))
	if p[0] != 0 {
		t.begins = int64(binary.BigEndian.Uint64(p[4:]))
	}
	if t.begins < 0 || t.begins > maxSum {
		return tfdt.fail("a time is beyond 2^60")
	}
	return nil
}

// readRun reads a trun whose data begin at an offset unless it says otherwise. It returns where they end.
func (t *trackFragment) readRun(trun *box, d trackDefaults, base, at int64) (int64, error) {
	p := trun.payload()
	if len(p) < 8 {
		return 0, trun.fail("too short")
	}
	f := &fields{rest: p[8:], flags: binary.BigEndian.Uint32(p) & 0xFFFFFF}
	count := int64(binary.BigEndian.Uint32(p[4:]))
	if f.flags&trunDataOffset != 0 {
		at = base + int64(int32(f.take(trunDataOffset, 0)))
	}
	first := f.take(trunFirstFlags, d.flags)
	stride := int64(0)
	for flag := uint32(trunDuration); flag <= trunComposition; flag <<= 1 {
		if f.flags&flag != 0 {
			stride += 4
		}
	}
	if f.short || at < 0 || count > maxFragmentSample || count*stride > int64(len(f.rest)) {
		return 0, trun.fail(fmt.Sprintf("%d samples do not fit into it", count))
	}
	t.runs = append(t.runs, trackRun{off: at, samples: count, description: d.description})
	u := make([]uint32, count*stride/4)
	decode(f.rest[:count*stride], u)
	k := 0
	for i := int64(0); i < count; i++ {
		duration, size, flags, offset := d.duration, d.size, d.flags, int64(0)
		if f.flags&trunDuration != 0 {
			duration = u[k]
			k++
		}
		if f.flags&trunSize != 0 {
			size = u[k]
			k++
		}
		if f.flags&trunFlags != 0 {
			flags = u[k]
			k++
		} else if i == 0 {
			flags = first
		}
		if f.flags&trunComposition != 0 {
			offset = int64(int32(u[k])) // as signed in version 0 too, as in ctts
			k++
		}
		t.durations = append(t.durations, int64(duration))
		t.sizes = append(t.sizes, int64(size))
		t.offsets = append(t.offsets, offset)
		t.sync = append(t.sync, flags&sampleIsNonSync == 0)
		t.shown = maxInt64(t.shown, t.duration+offset+int64(duration))
		t.duration += int64(duration)
		at += int64(size)
	}
	return at, nil
}

// after is the decode time of the first sample, which follows others that end at a time: where no tfdt says otherwise,
// it is that time.
func (t *trackFragment) after(end int64) int64 {
	if t.timed {
		return t.begins
	}
	return end
}

// chain is what a cut needs of the fragments: those whose samples go into the moov's tables, in the file's order.
type chain struct {
	fragments []*fragment
	end       int64 // of the last one's media
}

// protected reports whether a sample of the chain is encrypted.
func (ch *chain) protected() bool {
	for _, f := range ch.fragments {
		for _, t := range f.tracks {
			if t.protected {
				return true
			}
		}
	}
	return false
}

// tables makes a track of the samples that the chain has of t: the same tables as if a moov had them. begins is the
// decode time of the first. It returns nil where there are none.
func (ch *chain) tables(t *track) (made *track, begins int64, err error) {
	var durations, sizes, offsets []int64
	var sync, chunks, runs []byte
	number, chunk, end := uint32(0), uint32(0), int64(-1)
	allSync, shifted := true, false
	for _, f := range ch.fragments {
		for _, part := range f.tracks {
			if part.id != t.id || len(part.durations) == 0 {
				continue
			}
			at := part.after(maxInt64(end, 0))
			if end < 0 {
				begins = at
			} else if at > end {
				durations[len(durations)-1] += at - end // a gap between fragments: the sample before stays
			}
			end = maxInt64(end, at) + part.duration
			durations = append(durations, part.durations...)
			sizes = append(sizes, part.sizes...)
			offsets = append(offsets, part.offsets...)
			for i, isSync := range part.sync {
				number++
				if isSync {
					sync = binary.BigEndian.AppendUint32(sync, number)
				}
				allSync = allSync && isSync
				shifted = shifted || part.offsets[i] != 0
			}
			for _, r := range part.runs {
				if r.samples == 0 {
					continue
				}
				chunk++
				chunks = binary.BigEndian.AppendUint64(chunks, uint64(r.off))
				runs = binary.BigEndian.AppendUint32(runs, chunk)
				runs = binary.BigEndian.AppendUint32(runs, uint32(r.samples))
				runs = binary.BigEndian.AppendUint32(runs, r.description)
			}
		}
	}
	if len(durations) == 0 {
		return nil, 0, nil
	}
	made = &track{
		box: t.box, id: t.id, enabled: t.enabled, handler: t.handler, visual: t.visual, timescale: t.timescale, stbl: t.stbl,
		preroll: t.preroll, samples: int64(len(durations)), allSync: allSync, sync: sync, sizeBits: 32, chunks: chunks,
		chunkLen: 8, ordered: ascending(chunks, 8), made: true, edits: t.edits,
	}
	made.durations, err = newRuns(runLengths(durations), true)
	if err != nil {
		return nil, 0, err
	}
	if shifted {
		err = made.useOffsets(runLengths(offsets))
		if err != nil {
			return nil, 0, err
		}
	}
	for _, n := range sizes {
		made.sizes = binary.BigEndian.AppendUint32(made.sizes, uint32(n))
	}
	made.chunkRuns, err = newChunkRuns(runs, int64(chunk))
	if err != nil {
		return nil, 0, err
	}
	made.end = made.lastEnd()
	return made, begins, nil
}

// cutFragments plans the answer for a fragmented file. src is read where the map of fragments does not know enough.
func (m *movie) cutFragments(src source, iv interval, seek string) (*cut, error) {
	ticks := m.answerTimescale()
	shown := window{ticks: ticks, from: scaleMS(iv.start, ticks), to: -1}
	if iv.end >= 0 {
		shown.to = scaleMS(iv.end, ticks)
	}
	err := m.fragments.measure(src, m)
	if err != nil {
		return nil, err
	}
	if shown.from >= m.length(ticks) {
		return nil, errPastEnd
	}
	ch, err := m.fragments.find(src, m, shown, seek == seekExact)
	if err != nil {
		return nil, err
	}
	if seek == seekExact && ch.protected() {
		return m.cutFragments(src, iv, seekKeyframe)
	}
	if seek != seekExact && ch.fragments[0] != m.fragments.moov {
		return m.cutAtKeyFragment(ch, shown)
	}
	var tracks []*kept
	for _, t := range m.tracks {
		k, err := t.keepFragments(clock{movie: ticks, source: m.timescale, media: t.timescale}, ch, shown)
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
	shown.fragmented = shown.to < 0
	c, err := m.plan(tracks, shown)
	if err != nil || !shown.fragmented {
		return c, err
	}
	m.follow(c, tracks, ch.end)
	return c, nil
}

// keepFragments is keep for a track of a fragmented file: the edit list is cut on the timeline of the whole, and the
// samples are those of the chain.
func (t *track) keepFragments(c clock, ch *chain, shown window) (*kept, error) {
	edits := t.cutEdits(c, shown.from, shown.to)
	begins, _, media := span(edits, c)
	if media == 0 {
		return nil, nil
	}
	made, first, err := ch.tables(t)
	if err != nil {
		return nil, err
	}
	if made == nil {
		if shown.to >= 0 {
			return nil, nil
		}
		return &kept{track: t, clock: c, edits: rebase(edits, begins, c), moved: -1, earlier: begins, none: true}, nil
	}
	made.fixed = shown.to < 0 // what follows in fragments is in the track's own ticks
	edits = rebase(edits, first, c)
	k := made.keepEdits(c, edits)
	if k == nil {
		return nil, nil
	}
	k.earlier = first + made.decodeTime(k.first)
	if k.lead != nil {
		k.earlier = first + k.lead.begins - k.lead.mediaTime // the timescale is the source's
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
			gap := minInt64(c.toMovieNearest(-e.mediaTime), e.duration)
			based = append(based, edit{duration: gap, mediaTime: empty, rate: normalRate})
			e = edit{duration: e.duration - gap, rate: e.rate}
		}
		if e.duration > 0 {
			based = append(based, e)
		}
	}
	return based
}

// cutAtKeyFragment plans an answer that begins visibly with the chain's first fragment, and stays purely fragmented.
func (m *movie) cutAtKeyFragment(ch *chain, shown window) (*cut, error) {
	t := m.fragments.reference(m)
	c := clock{movie: shown.ticks, source: m.timescale, media: t.timescale}
	made, first, err := ch.tables(t)
	if err != nil {
		return nil, err
	}
	if made != nil {
		shown.from = minInt64(shown.from, t.shownAt(c, first+made.firstShown(0, made.samples).cts))
	}
	var tracks []*kept
	for _, t := range m.tracks {
		c := clock{movie: shown.ticks, source: m.timescale, media: t.timescale}
		edits := t.cutEdits(c, shown.from, shown.to)
		begins, _, media := span(edits, c)
		if media == 0 {
			continue
		}
		_, first, err := ch.tables(t)
		if err != nil {
			return nil, err
		}
		first = minInt64(first, begins)
		tracks = append(tracks, &kept{track: t, clock: c, edits: rebase(edits, first, c), moved: -1, earlier: first, none: true})
	}
	if len(tracks) == 0 {
		return nil, errPastEnd
	}
	shown.fragmented, shown.bare = true, true
	cut, err := m.plan(tracks, shown)
	if err != nil {
		return nil, err
	}
	end := m.fileSize
	if shown.to >= 0 {
		end = ch.end
	}
	m.stream(cut, tracks, ch.fragments[0].off, end)
	return cut, nil
}

// shownAt is the moment of the movie timeline at which the track's edit list first shows a media time; 0 where it does
// not.
func (t *track) shownAt(c clock, mediaTime int64) int64 {
	edits := t.cutEdits(c, 0, -1)
	at := int64(0)
	for _, e := range edits {
		if e.mediaTime != empty && mediaTime < e.mediaEnd(c) {
			return at + c.toMovieNearest(maxInt64(mediaTime-e.mediaTime, 0))
		}
		at += e.duration
	}
	return 0
}

// follow appends the fragments behind the chain to a cut.
func (m *movie) follow(c *cut, tracks []*kept, from int64) { m.stream(c, tracks, from, m.fileSize) }

// stream appends the bytes [from, to) of the source to a cut, fragments whose tracks begin earlier by what was cut off.
func (m *movie) stream(c *cut, tracks []*kept, from, to int64) {
	if to <= from {
		return
	}
	r := &retiming{earlier: make(map[uint32]int64), moved: c.length - from, anchors: m.fragments.offsets()}
	for _, k := range tracks {
		r.earlier[k.id] = k.earlier
	}
	c.segments = append(c.segments, &segment{fromSource: true, off: from, length: to - from, retiming: r})
	c.length += to - from
}
