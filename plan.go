package mp4

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// Chunks in any order, and what lies beside each: no bisection finds the first and the last byte of these, so each is
// looked at, but as a number among numbers that compiled code has decoded.

// extent is the smallest range of the file that holds so many bytes as t says of each sample kept before end, in a
// piece for each chunk, at the offsets of a table. Pieces of no bytes count, too, unless they are to be skipped; where
// there is no other, the range is empty. It begins before 0 where an offset is beyond any file.
func (k *trackCut) extent(t *track, table []byte, width, end int64, skip bool) byteRange {
	samples := lanes.ChunkCounts(k.chunkRuns, k.firstRun.Number, k.firstChunk, k.lastChunk)
	from, to := uint64(maxSum), uint64(0)
	first := k.first - k.skipped
	for i := 0; i < len(samples); i += lanes.PieceLen {
		part := samples[i:minInt(i+lanes.PieceLen, len(samples))]
		chunk := k.firstChunk + int64(i)
		offsets := lanes.Numbers(table[chunk*width:(chunk+int64(len(part)))*width], width)
		lengths := t.lengths(first, end, part)
		if i == 0 {
			before := t.lengths(first, end, []uint32{uint32(k.skipped)})[0]
			offsets[0] += uint64(before)
			lengths[0] -= before
		}
		for j, at := range offsets {
			n := lengths[j]
			if skip && n == 0 {
				continue
			}
			if at > uint64(maxSum) || n < 0 || n > maxSum {
				return byteRange{from: -1}
			}
			if at < from {
				from = at
			}
			if at+uint64(n) > to {
				to = at + uint64(n)
			}
		}
		for _, n := range part {
			first += int64(n)
		}
	}
	if from > to {
		return byteRange{}
	}
	return byteRange{int64(from), int64(to)}
}

// errPastEnd says that a cut would begin at or past the end of the longest track.
var errPastEnd = errors.New("mp4: the start is past the end")

// A stretch of the source that no kept sample uses is left out from this length on: a further request to the origin
// costs about as much as this many bytes.
const maxUnused = 256 << 10

// cut is an answer: the boxes that are made, and the ranges of the source behind them.
type cut struct {
	interval msInterval
	seek     string
	tag      string // of the answer
	length   int64  // bytes
	duration int64  // of the presentation, in milliseconds
	segments []*segment
}

// segment is a stretch of a cut: made from the index, or a range of the source, from off on.
type segment struct {
	fromSource bool
	off        int64
	length     int64
	retiming   *fragmentRetiming // nil: the source's bytes are sent as they are
	pieces     []madePiece       // that a made segment consists of
}

// writeSegment writes bytes [from, to) of a made segment to w.
func writeSegment(s *segment, w io.Writer, from, to int64) error {
	var p *madePiece
	var size, high int64
	var err error
	for i := range s.pieces {
		p = &s.pieces[i]
		size = int64(len(p.data))
		if p.change != nil && p.change.Grow {
			size *= 2
		}
		if from < size {
			high = minInt64(to, size)
			if p.change == nil {
				_, err = w.Write(p.data[from:high])
			} else {
				err = lanes.WriteEntries(p.data, p.change, w, from, high)
			}
			from = size
		}
		if err != nil || to <= size {
			return err
		}
		from -= size
		to -= size
	}
	return nil
}

// madePiece is a stretch of what is written before the media: bytes as they are, or entries that change on their way.
type madePiece struct {
	data   []byte
	view   bool // of the source's moov, and not made for the answer
	change *lanes.Change
}

// trackCut is what a cut keeps of a track.
type trackCut struct {
	*track
	clock      mediaClock
	edits      []edit
	first, end int64   // samples
	lead       *leadIn // nil: the times stay
	moveTo     int64   // where there is none: composition time that the sample moved gets, to be on show at once
	moved      int64   // that sample, or -1

	firstRun, lastRun     lanes.ChunkRun
	firstChunk, lastChunk int64
	skipped               int64 // samples of the first chunk that are not kept
	lastKept              int64 // samples of the last chunk up to and with the last one kept
	at                    int64 // where the first sample lies in the source
	bytes                 byteRange
	info                  byteRange // of the auxiliary information outside of the moov
	encryption            int64     // where the answer has it, inside

	length int64 // in movie ticks, once the moov is laid out
	none   bool  // no sample of it goes into the moov: all are in fragments
}

// timeWindow is what a cut shows of the movie timeline.
type timeWindow struct {
	ticks    int64 // per second of the answer's movie timeline; 0: all is kept, and times stay as they are
	from, to int64 // in ticks; to < 0: the end
}

// scaleMS returns milliseconds in ticks of a timescale, rounded down.
func scaleMS(ms, timescale int64) int64 {
	n, _ := mulDiv(ms, timescale, 1000)
	return n
}

// inMS returns ticks of a timescale in milliseconds, rounded down.
func inMS(ticks, timescale int64) int64 {
	if ticks < 0 {
		return 0
	}
	n, _ := mulDiv(ticks, 1000, timescale)
	return n
}

// presentation is the length of the track in movie ticks: that of its edits, without any that of its media.
func presentation(k *trackCut) int64 {
	if len(k.edits) == 0 {
		return toMovie(k.clock, mediaDuration(k))
	}
	sum := int64(0)
	for _, e := range k.edits {
		sum += e.duration
	}
	return sum
}

// mediaDuration is the sum of the kept samples' durations, in ticks of the answer's timescale.
func mediaDuration(k *trackCut) int64 {
	if k.none {
		return 0
	}
	last := lanes.FindRun(k.durations, k.end-1)
	end := last.Begins + (k.end-last.First)*last.Value
	if k.lead == nil {
		return end - decodeTime(k.track, k.first)
	}
	// From m on, times have only moved, with m to the edit's media time.
	lead := k.lead
	return (end-lead.raise)*lead.scale - lead.begins + lead.mediaTime
}

// locateKept finds the chunks and bytes of the samples kept.
func locateKept(k *trackCut, fileSize int64) error {
	t := k.track
	place := t.endPlace
	if k.end < t.samples {
		place = placeOfEnd(t, k.end)
	}
	k.lastRun, k.lastChunk, k.lastKept = place.run, place.chunk, place.kept
	var chunk, skipped int64
	k.firstRun, chunk, skipped = lanes.FindChunk(t.chunkRuns, k.first)
	k.firstChunk, k.skipped = chunk, skipped
	from, to := chunkOffset(t, chunk), place.to
	if skipped > 0 {
		from += sizeOf(t, k.first-skipped, k.first)
	}
	k.at = from
	if !t.ordered || skipped > 0 && chunk < place.chunk && chunkOffset(t, chunk+1) < from { // the next chunk is in this one
		all := k.extent(t, t.chunks, t.chunkLen, k.end, false)
		from, to = all.from, all.to
	}
	k.bytes = byteRange{from: from, to: to}
	if from < 0 || to < from || fileSize >= 0 && to > fileSize {
		return errLocated(k, fileSize)
	}
	if t.auxiliary == nil || t.auxiliary.senc != nil {
		return nil
	}
	return locateAuxiliary(k, fileSize)
}

// errLocated says that a cut would be short, and nobody would know.
func errLocated(k *trackCut, fileSize int64) error {
	return fmt.Errorf("%w: trak %d: mdia/minf/stbl: chunks %d to %d lie at bytes %d to %d of a file of %d", errFormat, k.id,
		k.firstChunk+1, k.lastChunk+1, k.bytes.from, k.bytes.to, fileSize)
}

// locateAuxiliary finds the bytes of the information kept that do not lie in the moov. It is in one piece, or in one
// for every chunk; then it must lie among the samples, as it does in every file seen.
func locateAuxiliary(k *trackCut, fileSize int64) error {
	a := k.auxiliary
	pieces := int64(len(a.offsets)) / a.width
	switch {
	case pieces == 1:
		from := a.offset(0) + a.bytes(0, k.first)
		k.info = byteRange{from, from + a.bytes(k.first, k.end)}
	case pieces == int64(len(k.chunks))/k.chunkLen:
		sizes := &track{sizes: a.sizes, sizeBits: 8, uniform: a.uniform}
		k.info = k.extent(sizes, a.offsets, a.width, minInt64(k.end, a.samples), true)
	default:
		// Nobody knows whose they are.
		return fmt.Errorf("%w: trak %d: saio has %d entries for %d chunks", errFormat, k.id, pieces, int64(len(k.chunks))/k.chunkLen)
	}
	if a.bytes(k.first, k.end) == 0 {
		k.info = byteRange{}
	}
	if k.info.from < 0 || k.info.to < k.info.from || fileSize >= 0 && k.info.to > fileSize {
		// What is not there decrypts nothing.
		return fmt.Errorf("%w: trak %d: auxiliary information at bytes %d to %d of a file of %d", errFormat, k.id, k.info.from,
			k.info.to, fileSize)
	}
	return nil
}

// joinRanges returns ranges of the source in the order of the file, joined where what lies between them is not worth
// leaving out.
func joinRanges(needed []byteRange) []byteRange {
	for i := 1; i < len(needed); i++ {
		if needed[i].from < needed[i-1].from {
			sortRanges(needed)
			break
		}
	}
	var joined []byteRange
	last := -1
	for _, r := range needed {
		if last < 0 || r.from > joined[last].to+maxUnused {
			joined = append(joined, r)
			last++
		} else if r.to > joined[last].to {
			joined[last].to = r.to
		}
	}
	return joined
}

// sortRanges puts ranges in the order of the file. It is a function of its own, since a closure costs the interpreter
// more than to see that they are in order.
func sortRanges(ranges []byteRange) {
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].from < ranges[j].from })
}

// fragmentRetiming is what is done to fragments on their way to the client: the decode times of each track are others by so
// many ticks, and absolute offsets move. Lengths stay.
type fragmentRetiming struct {
	later map[uint32]int64 // by track_ID, media ticks
	moved int64            // of the source's offsets
	plain int64            // bytes at the front of the segment that stay as they are
}

// byteRange is a stretch of the source: [from, to).
type byteRange struct{ from, to int64 }

// cutEdits intersects the track's edit list with [from, to) on the movie timeline of the answer; to < 0: no end. What is
// left is in the answer's ticks.
func cutEdits(t *track, c mediaClock, from, to int64) []edit {
	edits := t.cutFrom
	if t.cutTicks != c.movie {
		edits = editsOf(t, c)
	}
	left := make([]edit, 0, len(edits))
	begins, ends := int64(0), int64(0)
	for _, e := range edits {
		begins = ends
		ends += e.duration
		if to >= 0 && to < ends {
			e.duration = to - begins
			e.toLast = false
		}
		if begins < from {
			e = cutFront(e, c, from-begins)
		}
		if e.duration > 0 {
			left = append(left, e)
		}
		if ends > maxSum {
			break
		}
	}
	return left
}

// cutFront is an edit without so many movie ticks at its front; of a duration of 0 or less where no more are left.
func cutFront(e edit, c mediaClock, ticks int64) edit {
	e.duration -= ticks
	if e.duration > 0 && e.mediaTime != empty && e.rate != 0 {
		e.passed = ticks
		e.mediaTime += toMedia(c, ticks, e.rate)
	}
	return e
}

// prepareEdits keeps the track's edits as cuts in the ticks of a clock need them, with those marked that end behind the
// composition time of the sample decoded last: by two ticks, since what is left of an edit begins at a rounded time, and
// may end a tick earlier.
func prepareEdits(t *track, c mediaClock) {
	if t.samples == 0 {
		return
	}
	t.cutTicks = c.movie
	t.cutFrom = editsOf(t, c)
	last := compositionTime(t, t.samples-1)
	for i := range t.cutFrom {
		e := &t.cutFrom[i]
		shows, _ := mulDiv(e.duration, c.media, c.movie)
		e.toLast = e.mediaTime != empty && e.rate == normalRate && e.mediaTime+shows > last+2
	}
}

// editsOf is the track's edit list in ticks of the answer's movie timeline. Without one there is one edit, the whole
// media from 0 on.
func editsOf(t *track, c mediaClock) []edit {
	edits := t.edits
	if len(edits) == 0 {
		edits = []edit{{duration: toMediaEnd, rate: normalRate}}
	}
	scaled := make([]edit, 0, len(edits))
	for i, e := range edits {
		duration := editDuration(t, e, c)
		if t.instant && i == len(edits)-1 {
			duration = toLastPicture(t, e, c, duration)
		}
		e.duration = duration
		e.begin = e.mediaTime
		scaled = append(scaled, e)
	}
	return scaled
}

// editDuration is the length of an edit in ticks of the answer's movie timeline.
func editDuration(t *track, e edit, c mediaClock) int64 {
	if e.duration == toMediaEnd {
		if e.mediaTime >= t.end || e.mediaTime == empty {
			return 0
		}
		return toMovie(c, t.end-e.mediaTime)
	}
	factor := c.movie / c.source
	if e.duration > maxSum/factor {
		return maxSum
	}
	return e.duration * factor
}

// toLastPicture is the length of the last edit where the picture shown last has no duration: if it ends within a tick of
// the source's movie timeline before that picture, by how lengths are rounded, that picture is shown too.
func toLastPicture(t *track, e edit, c mediaClock, duration int64) int64 {
	if e.mediaTime == empty || e.rate != normalRate || e.mediaTime >= t.end {
		return duration
	}
	halves, _ := mulDiv(duration, 2*c.media, c.movie)
	if e.duration != toMediaEnd && 2*(t.end-e.mediaTime)-halves <= 1 { // media times are rounded, too
		return duration
	}
	whole := mulDivUp(t.end-e.mediaTime, c.movie, c.media)
	if whole > duration && whole-duration <= c.movie/c.source+ceilDiv(c.movie, c.media) {
		return whole
	}
	return duration
}
