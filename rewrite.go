package mp4

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
)

// errPastEnd says that a cut would begin at or past the end of the longest track.
var errPastEnd = errors.New("mp4: the start is past the end")

// What seek may be.
const (
	seekExact    = "exact"
	seekKeyframe = "keyframe"
	seekSample   = "sample"
)

// A stretch of the source that no kept sample uses is left out from this length on: a further request to the origin
// costs about as much as this many bytes.
const maxUnused = 256 << 10

// cut is an answer: the boxes that are made, and the ranges of the source behind them.
type cut struct {
	interval interval
	seek     string
	length   int64 // bytes
	duration int64 // of the presentation, in milliseconds
	segments []*segment
}

// draft is a cut that is arranged: which bytes of the source it takes is known. Its length and its first segment are
// known once it is laid out.
type draft struct {
	cut    *cut
	writer *moovWriter    // of the first segment; nil: it is laid out
	laying sync.WaitGroup // while it is laid out beside something else
	err    error          // that this ended with
}

// segment is a stretch of a cut: made from the index, or a range of the source, from off on.
type segment struct {
	fromSource bool
	off        int64
	length     int64
	retiming   *retiming // nil: the source's bytes are sent as they are
	pieces     []piece   // that a made segment consists of
}

// writeSegment writes bytes [from, to) of a made segment to w.
func writeSegment(s *segment, w io.Writer, from, to int64) error {
	for i := range s.pieces {
		p := &s.pieces[i]
		size := int64(len(p.data))
		if p.change != nil && p.change.grow {
			size *= 2
		}
		high := minInt64(to, size)
		var err error
		if from < high && p.change == nil {
			_, err = w.Write(p.data[from:high])
		} else if from < high {
			err = writeEntries(p.data, p.change, w, from, high)
		}
		to -= size
		if err != nil || to <= 0 {
			return err
		}
		from = maxInt64(from-size, 0)
	}
	return nil
}

// kept is what a cut keeps of a track.
type kept struct {
	*track
	clock      clock
	edits      []edit
	first, end int64   // samples
	lead       *leadIn // nil: the times stay
	moveTo     int64   // where there is none: composition time that the sample moved gets, to be on show at once
	moved      int64   // that sample, or -1

	firstRun, lastRun     chunkRun
	firstChunk, lastChunk int64
	skipped               int64 // samples of the first chunk that are not kept
	lastKept              int64 // samples of the last chunk up to and with the last one kept
	bytes                 byteRange
	info                  byteRange // of the auxiliary information outside of the moov
	encryption            int64     // where the answer has it, inside

	none bool // no sample of it goes into the moov: all are in fragments
}

// cut plans the answer for the interval iv (milliseconds on the presentation timeline), and lays it out.
func (m *movie) cut(iv interval, seek string) (*cut, error) {
	d, err := m.choose(iv, seek)
	if err != nil {
		return nil, err
	}
	layOut(d)
	return d.cut, nil
}

// choose is cut without the layout.
func (m *movie) choose(iv interval, seek string) (*draft, error) {
	ticks := m.answerTimescale()
	if seek == seekSample {
		ticks = m.timescale
	}
	from, to := scaleMS(iv.start, ticks), int64(-1)
	if iv.end >= 0 {
		to = scaleMS(iv.end, ticks)
	}
	left := int64(maxListed)
	if seek == seekKeyframe {
		from = m.keyFrameAt(from, ticks, &left)
	}
	var tracks []*kept
	for _, t := range m.tracks {
		if t.samples == 0 || t.handler == "hint" {
			continue // a hint track tells how to send tracks that are no longer what they were
		}
		t = t.limited(&left)
		c := clock{movie: ticks, source: m.timescale, media: t.timescale}
		var k *kept
		if seek == seekSample {
			k = t.keepAsNginx(iv, c)
		} else {
			k = keepTrack(t, c, from, to)
		}
		if left < 0 {
			return nil, fmt.Errorf("trak %d at %d: %w", t.id, t.box.at, errListed)
		}
		if k != nil {
			tracks = append(tracks, k)
		}
	}
	if len(tracks) == 0 {
		return nil, m.pastEnd()
	}
	return m.arrange(tracks, window{ticks: ticks, from: from, to: to})
}

// pastEnd is why nothing is left: the start is past the end, or past where a file was cut short, which is not the
// client's mistake.
func (m *movie) pastEnd() error {
	for _, t := range m.tracks {
		if t.missing > 0 {
			return fmt.Errorf("%w: trak %d: the file of %d bytes ends before %d of its %d samples, and before the start", errFormat, t.id,
				t.fileSize, t.missing, t.samples+t.missing)
		}
	}
	return errPastEnd
}

// whole plans the same movie with its moov first and every sample kept.
func (m *movie) whole() (*cut, error) {
	var tracks []*kept
	for _, t := range m.tracks {
		if t.samples > 0 {
			tracks = append(tracks, &kept{track: t, end: t.samples, moved: -1})
		}
	}
	if len(tracks) == 0 {
		// There is nothing to play.
		return nil, m.moov.fail("no track with samples in it")
	}
	return m.plan(tracks, window{})
}

// answerTimescale is the movie timescale of a cut: one that expresses every millisecond.
func (m *movie) answerTimescale() int64 {
	a, b := m.timescale, int64(1000)
	for b != 0 {
		a, b = b, a%b
	}
	scaled := m.timescale * (1000 / a)
	if scaled > max32 {
		return m.timescale
	}
	return scaled
}

// scaleMS returns milliseconds in ticks of a timescale, rounded down.
func scaleMS(ms, timescale int64) int64 {
	n, _ := mulDiv(ms, timescale, 1000)
	return n
}

// inMS returns ticks of a timescale in milliseconds, rounded down.
func inMS(ticks, timescale int64) int64 {
	n, _ := mulDiv(maxInt64(ticks, 0), 1000, timescale)
	return n
}

// keepTrack chooses the edits and samples of the track that are shown in [from, to) of the answer's movie ticks. It
// returns nil where there are none.
func keepTrack(t *track, c clock, from, to int64) *kept {
	return keepEdits(t, c, cutEdits(t, c, from, to))
}

// keepEdits is keepTrack for an edit list that has been cut.
func keepEdits(t *track, c clock, edits []edit) *kept {
	k := &kept{track: t, clock: c, moved: -1}
	var f int64
	k.edits, f = refine(t, c, edits)
	fine := c
	fine.media *= f
	begins, ends, media := span(k.edits, fine)
	if t.visual && media > 1 && beginOnPicture(t, c, edits, k.edits, f) {
		begins, ends, media = span(k.edits, fine)
	}
	if media == 0 || begins/f >= t.end {
		return nil
	}
	front := firstMedia(edits)
	collapses := t.visual && media == 1 && !t.chapters
	limit := begins / f
	if collapses {
		limit = front.latest(c)
	}
	s := onShow(t, limit)
	k.first = keyFor(t, s)
	if t.handler == "soun" {
		k.first = maxInt64(syncBefore(t, t.rollBack(s.first)), 0)
	}
	k.end = packetEnd(t, minInt64(maxInt64(endBefore(t, ceilDiv(ends, f)), s.sample+1), t.samples))
	if collapses && k.first < k.end {
		k.collapse(front, s)
	}
	if k.end <= k.first {
		return nil
	}
	if media == 1 && s.sample == k.first && (t.chapters || containsType(textHandlers, t.handler)) {
		k.lead = t.shorten(firstMedia(k.edits), s, f)
	}
	if k.lead != nil {
		k.showFrom()
		return k
	}
	base := decodeTime(t, k.first)
	raise := maxInt64(-leastOffset(t, k.first, k.end), base-begins/f)
	lowered := begins < base*f && t.greatest+raise <= maxOffset/f // no edit begins before 0: decode times are lowered, as in a lead-in
	if lowered {
		base -= raise
	} else {
		raise = 0
	}
	if lowered || f > 1 {
		k.lead = &leadIn{raise: raise, shifted: lowered, scale: f, begins: base * f}
	}
	if t.visual && s.sample >= 0 && s.cts*f < begins && !shows(k.edits, fine, s.cts*f) {
		k.moved, k.moveTo = s.sample, begins
	}
	for i := range k.edits {
		if k.edits[i].mediaTime != empty {
			k.edits[i].mediaTime -= base * f
		}
	}
	return k
}

// collapse gives a track with one media edit, e, and s on show at its begin a lead-in, where it can have one. What is
// kept then is what the edit shows in the answer's ticks.
func (k *kept) collapse(e edit, s onScreen) {
	lead := k.track.collapse(k.clock, e, s, k.first, k.end)
	if lead == nil {
		return
	}
	end := k.first
	if lead.gap < e.duration {
		fine, exact := k.clock, exactEnd(e, k.clock)
		fine.media *= lead.scale
		e.duration -= maxInt64(lead.gap, minInt64(lead.late, e.duration-1))
		end = endBefore(k.track, minInt64(ceilDiv(lead.begins+mediaTicks(e, fine), lead.scale), exact))
		end = minInt64(maxInt64(end, s.sample+1), k.samples)
	}
	if k.first < end && end != k.end {
		lead = k.track.collapse(k.clock, e, s, k.first, end)
	}
	k.end = end
	if lead == nil || end <= k.first {
		return
	}
	k.lead = lead
}

// showFrom sets the one media edit of a track with a lead-in to begin at the picture on show. A gap before the first
// picture becomes an empty edit.
func (k *kept) showFrom() {
	edits := make([]edit, 0, len(k.edits)+1)
	for _, e := range k.edits {
		if e.mediaTime != empty {
			gap := minInt64(k.lead.gap, e.duration)
			if gap > 0 {
				edits = append(edits, edit{duration: gap, mediaTime: empty, rate: normalRate})
			}
			e.duration -= maxInt64(gap, minInt64(k.lead.late, e.duration-1))
			e.mediaTime = k.lead.mediaTime
		}
		if e.duration > 0 { // 0 would stand for all that follows
			edits = append(edits, e)
		}
	}
	k.edits = edits
}

// firstMedia is the first of the edits that shows media.
func firstMedia(edits []edit) edit {
	for _, e := range edits {
		if e.mediaTime != empty {
			return e
		}
	}
	return edit{}
}

// presentation is the length of the track in movie ticks: that of its edits, without any that of its media.
func presentation(k *kept) int64 {
	if len(k.edits) == 0 {
		return toMovie(k.clock, mediaDuration(k))
	}
	sum := int64(0)
	for _, e := range k.edits {
		sum += e.duration
	}
	return sum
}

// milliseconds is the length of what is kept, with edits in so many ticks a second; 0: with all its media.
func (k *kept) milliseconds(ticks int64) int64 {
	if ticks == 0 {
		return inMS(k.track.end, k.timescale)
	}
	return inMS(presentation(k), ticks)
}

// locateKept finds the chunks and bytes of the samples kept.
func locateKept(k *kept, fileSize int64) error {
	k.firstRun, k.firstChunk, k.skipped = findChunk(k.chunkRuns, k.first)
	var before int64
	k.lastRun, k.lastChunk, before = findChunk(k.chunkRuns, k.end-1)
	k.lastKept = before + 1
	lastFirst := maxInt64(k.end-k.lastKept, 0)
	k.bytes.from = chunkOffset(k.track, k.firstChunk) + sizeOf(k.track, k.first-k.skipped, k.first)
	k.bytes.to = chunkOffset(k.track, k.lastChunk) + sizeOf(k.track, lastFirst, k.end)
	if !k.ordered || k.firstChunk < k.lastChunk && chunkOffset(k.track, k.firstChunk+1) < k.bytes.from { // the next chunk is in this one
		k.bytes = k.extent(k.track, k.chunks, k.chunkLen, k.end, false)
	}
	if k.bytes.from < 0 || k.bytes.to < k.bytes.from || fileSize >= 0 && k.bytes.to > fileSize {
		// The cut would be short, and nobody would know.
		return fmt.Errorf("%w: trak %d: mdia/minf/stbl: chunks %d to %d lie at bytes %d to %d of a file of %d", errFormat, k.id,
			k.firstChunk+1, k.lastChunk+1, k.bytes.from, k.bytes.to, fileSize)
	}
	return locateAuxiliary(k, fileSize)
}

// window is what a cut shows of the movie timeline.
type window struct {
	ticks    int64 // per second of the answer's movie timeline; 0: all is kept, and times stay as they are
	from, to int64 // in ticks; to < 0: the end
}

// plan makes the answer from what is kept of the tracks.
func (m *movie) plan(tracks []*kept, shown window) (*cut, error) {
	d, err := m.arrange(tracks, shown)
	if err != nil {
		return nil, err
	}
	layOut(d)
	return d.cut, nil
}

// arrange is plan without the layout.
func (m *movie) arrange(tracks []*kept, shown window) (*draft, error) {
	located := make([]*kept, 0, len(tracks))
	var broken error
	for _, k := range tracks {
		err := locateKept(k, m.fileSize)
		if err != nil && !k.spare {
			return nil, err
		}
		if err != nil {
			broken = err
			continue
		}
		located = append(located, k)
	}
	if len(located) == 0 {
		return nil, broken
	}
	tracks = located
	ranges := joinRanges(neededRanges(tracks))
	c := &cut{segments: []*segment{{}}}
	for _, r := range ranges {
		if r.from < r.to {
			c.segments = append(c.segments, &segment{fromSource: true, off: r.from, length: r.to - r.from})
		}
	}
	for _, k := range tracks {
		c.duration = maxInt64(c.duration, k.milliseconds(shown.ticks))
	}
	return &draft{cut: c, writer: &moovWriter{movie: m, kept: tracks, window: shown, ranges: ranges}}, nil
}

// layOut lays out what comes before the media.
func layOut(d *draft) {
	w := d.writer
	if w == nil {
		return
	}
	d.writer = nil
	media := int64(0)
	for _, s := range d.cut.segments[1:] {
		media += s.length
	}
	buildMoov(w, media)
	if w.overflow {
		w = &moovWriter{movie: w.movie, kept: w.kept, window: w.window, ranges: w.ranges, wide: true}
		buildMoov(w, media)
	}
	d.cut.segments[0].pieces = joinPieces(w.boxWriter)
	d.cut.segments[0].length = w.size
	d.cut.length = w.size + media
}

// layBeside is lay for a goroutine. Whoever waits for d.laying finds its error in d.err, and the cut among the plans of
// its movie.
func layBeside(d *draft, known *plans) {
	defer d.laying.Done()
	defer recovered(&d.err)
	layOut(d)
	keepPlan(known, d.cut)
}

// recovered is deferred by what runs in a goroutine, where a panic would end Traefik: it makes an error of it.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: panic: %v", errFormat, r)
	}
}

// neededRanges are the ranges of the source that the tracks need.
func neededRanges(tracks []*kept) []byteRange {
	var needed []byteRange
	for _, k := range tracks {
		needed = append(needed, k.bytes)
		if k.info.from < k.info.to {
			needed = append(needed, k.info)
		}
	}
	return needed
}

// joinRanges returns ranges of the source in the order of the file, joined where what lies between them is not worth
// leaving out.
func joinRanges(needed []byteRange) []byteRange {
	var joined []byteRange
	sort.Slice(needed, func(i, j int) bool { return needed[i].from < needed[j].from })
	for _, r := range needed {
		last := len(joined) - 1
		if last >= 0 && r.from <= joined[last].to+maxUnused {
			joined[last].to = maxInt64(joined[last].to, r.to)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}
