package mp4

import (
	"encoding/binary"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// The moov of a cut is made of a template, which is prepared once with the index: a list of slots, each of them bytes that
// are the same in every cut or a box that each cut makes anew.
//
// What every cut calls is a function, here and elsewhere: a call of a method costs the interpreter a closure and a call
// by reflection, 1.2 µs, and a function's a fifth of that. Methods are for interfaces and for what is seldom.

// buildMoov lays everything out. media is the length of what mdat holds.
func buildMoov(w *moovWriter, media int64) {
	w.boxWriter = newBoxWriter(w.madeUp)
	w.offsets = nil
	w.information = nil
	if w.shown.ticks > 0 {
		measureTracks(w)
	}
	writeRaw(w.boxWriter, w.ftyp)
	writeSlots(w, w.template)
	switch {
	case w.fragmented:
	case media+headerLen > max32:
		size := media + largeHeaderLen
		w.numbers = append(w.numbers, sizeLarge, typeMdat, uint32(size>>32), uint32(size))
	default:
		w.numbers = append(w.numbers, uint32(media+headerLen), typeMdat)
	}
	w.size = writtenSize(w.boxWriter)
	placeChunks(w)
	for _, o := range w.information {
		w.placeInformation(o)
	}
}

// measureTracks finds the length of each track, and of the longest.
func measureTracks(w *moovWriter) {
	for _, k := range w.kept {
		k.length = presentation(k)
		if k.length > w.longest {
			w.longest = k.length
		}
	}
}

// writeSlots writes the moov by its template: what nearly every cut has in one function, because a call costs the
// interpreter more than what most of the cases do, and in cases that are compared one by one, frequent ones first, since
// it boxes what a switch compares. A case that has nothing to write takes back the numbers that its box would begin with.
func writeSlots(w *moovWriter, slots []slot) {
	var s *slot // declared out here, since the interpreter makes what is declared in a loop anew each time
	var kind, at, before, last, kept, n int
	var k *trackCut          // whose trak it is
	var scale int64          // factor of its timescale
	var from int64           // the sample from which its stts is the source's
	var opened []int         // of the containers around a slot, which number is the size, and how many bytes are before it
	var entries []byte       // of the source's table, which follow the numbers of a box,
	var change *lanes.Change // and how they change
	timescale, duration := int64(0), int64(-1)
	b, uncut := w.boxWriter, w.fragmented || w.shown.ticks == 0
	for i := 0; i < len(slots); i++ {
		s = &slots[i]
		at = len(b.numbers)
		if len(s.front) > 0 {
			b.byteRuns = append(b.byteRuns, byteRun{numbers: at, data: s.front})
			b.bytes += len(s.front)
		}
		before = 4*at + b.bytes
		b.numbers = append(b.numbers, s.begins...)
		kind = s.kind
		if uncut {
			kind = uncutKind(w, k, s)
		}
		switch {
		case kind == slotContainer:
			opened = append(opened, at, before)
			continue
		case kind == slotTrackHeader:
			timescale = 0
			duration = k.length
		case kind == slotMediaHeader:
			timescale = k.timescale * scale
			duration = mediaDuration(k)
		case kind == slotEdits:
			writeEdits(b, at, k.edits)
		case kind == slotStts:
			from = k.first
			if k.lead != nil {
				writeRaw(b, k.lead.durations)
				from += k.lead.samples
			}
			entries = writeRuns(b, k.durations, from, k.end, scale, 0)
		case kind == slotStsc:
			if k.firstRun.Number == k.lastRun.Number {
				writeChunkRun(b, k)
			} else {
				writeChunkRuns(b, k)
			}
		case kind == slotStsz:
			if k.uniform != 0 || k.made || k.sizeBits != 32 {
				entries = writeOtherSizes(b, at, k)
			} else {
				b.numbers = append(b.numbers, uint32(k.end-k.first))
				entries = k.sizes[4*k.first : 4*k.end]
			}
		case kind == slotStco:
			entries, change = writeStco(w, at, k)
		case kind == slotCtts:
			if k.offsets == nil && k.moved < 0 && (k.lead == nil || !k.lead.shifted) {
				b.numbers = b.numbers[:at]
			} else {
				entries = writeCtts(b, k, scale)
			}
		case kind == slotTrack:
			if kept == len(w.kept) || w.kept[kept].box != s.box { // tracks are kept in their order
				b.numbers = b.numbers[:at]
				i += s.length
				continue
			}
			k = w.kept[kept]
			scale = 1
			if k.lead != nil {
				scale = k.lead.scale
			}
			kept++
			opened = append(opened, at, before)
			continue
		case kind == slotStss || kind == slotStps:
			entries, change = writeStss(b, at, k, s)
		case kind == slotSbgp:
			entries = writeRuns(b, s.runs, k.first, minInt64(k.end, lanes.LastTotal(s.runs.Samples)), 1, 0)
		case kind == slotMovieHeader:
			timescale = w.shown.ticks
			duration = w.longest
		case kind == slotReady || kind == slotOtherTable:
			b.numbers = b.numbers[:at]
			entries = s.data
		case kind == slotExtends && w.fragmented:
			opened = append(opened, at, before)
			continue
		case kind == slotExtends:
			b.numbers = b.numbers[:at]
			i += s.length
			continue
		default:
			b.numbers = b.numbers[:at]
			writeRareBox(w, k, s, kind)
		}
		if duration >= 0 {
			last = len(b.numbers) - 1
			if duration > max32 || s.wide == nil {
				writeWideHeader(b, at, s, timescale, duration)
			} else {
				b.numbers[last] = uint32(duration)
				if timescale > 0 {
					b.numbers[last-1] = uint32(timescale)
				}
			}
			duration = -1
		}
		if entries != nil {
			b.byteRuns = append(b.byteRuns, byteRun{numbers: len(b.numbers), data: entries, change: change})
			b.bytes += len(entries)
			entries = nil
			change = nil
		}
		last = len(b.numbers)
		if last > at && b.numbers[at] == 0 {
			last = 4*last + b.bytes - before
			b.numbers[at] = uint32(last)
			if s.width > 0 {
				b.numbers[at+len(s.begins)-1] = uint32((last - 4*len(s.begins)) / s.width)
			}
		}
		for n = s.ends; n > 0; n-- {
			last = len(opened) - 2
			b.numbers[opened[last]] = uint32(4*len(b.numbers) + b.bytes - opened[last+1]) // the source's moov is below 4 GiB, and so is this
			opened = opened[:last]
		}
	}
}

// uncutKind is the kind of a slot's box where all samples are in fragments, or where all of the movie is kept: then it is
// the source's, but for what says where samples lie, and for tables that say something else by now.
func uncutKind(w *moovWriter, k *trackCut, s *slot) int {
	stays := true
	switch {
	case w.fragmented && s.kind > slotTables:
		return slotEmptyTable
	case w.fragmented || s.kind < slotMovieHeader || s.kind > slotStsc:
		return s.kind
	case s.kind == slotStts || s.kind == slotStss || s.kind == slotStps:
		stays = k.repaired == 0
	case s.kind == slotStsc: // only chunks without samples at either end are not kept
		stays = k.repaired == 0 && k.firstChunk == 0 && k.lastChunk+1 == int64(len(k.chunks))/k.chunkLen
	}
	if stays {
		return slotReady
	}
	return s.kind
}

// writeRareBox writes a box that few files have, or cuts have not.
func writeRareBox(w *moovWriter, k *trackCut, s *slot, kind int) {
	switch kind {
	case slotSourceEdits, slotNoMore:
	case slotEmptyTable:
		writeEmptyTable(w, s)
	case slotLength: // (8.8.2)
		w.numbers = append(w.numbers, headerLen+fullBoxLen+8, typeMehd, 1<<24, uint32(w.length>>32), uint32(w.length))
	case slotLeft:
		if w.fragmented {
			writeRaw(w.boxWriter, s.data)
		}
	case slotReferences:
		writeReferences(w, s)
	case slotChapters:
		writeChapters(w, s)
	default:
		writeSideTable(w, k, s)
	}
}

// writeWideHeader writes a mvhd, tkhd or mdhd up to its duration in version 1: the source's, or since the duration needs
// it. A timescale of 0 is none.
func writeWideHeader(b *boxWriter, at int, s *slot, timescale, duration int64) {
	if s.wide != nil {
		b.numbers = append(b.numbers[:at], s.wide...)
	}
	last := len(b.numbers) - 1
	if timescale > 0 {
		b.numbers[last-2] = uint32(timescale)
	}
	b.numbers[last-1] = uint32(duration >> 32)
	b.numbers[last] = uint32(duration)
}

// writeEdits writes the edits into an elst, in version 1 where a time needs it.
func writeEdits(b *boxWriter, at int, edits []edit) {
	if len(edits) == 0 {
		b.numbers = b.numbers[:at]
		return
	}
	var e *edit
	for i := range edits {
		e = &edits[i]
		if e.duration > max32 || e.mediaTime > maxOffset {
			writeWideEdits(b, at, edits)
			return
		}
		b.numbers = append(b.numbers, uint32(e.duration), uint32(e.mediaTime), e.rate)
	}
	b.numbers[at+elstStart] = uint32(headerLen + countedLen + elstLen0*len(edits))
}

// writeWideEdits writes an edts with an elst of version 1.
func writeWideEdits(b *boxWriter, at int, edits []edit) {
	count := uint32(len(edits))
	size := headerLen + countedLen + elstLen1*count
	b.numbers = append(b.numbers[:at], headerLen+size, typeEdts, size, typeElst, 1<<24, count)
	for _, e := range edits {
		b.numbers = append(b.numbers, uint32(e.duration>>32), uint32(e.duration), uint32(e.mediaTime>>32), uint32(e.mediaTime), e.rate)
	}
}

// writeReferences writes a tref (8.3.3) without the tracks that are left out.
func writeReferences(w *moovWriter, s *slot) {
	var left []byte
	for _, c := range trackReferences(s.box) {
		ids := payload(c)
		var there []byte
		for ; len(ids) >= 4; ids = ids[4:] {
			if w.keeps(binary.BigEndian.Uint32(ids)) {
				there = append(there, ids[:4]...)
			}
		}
		if len(there) > 0 {
			left = binary.BigEndian.AppendUint32(left, uint32(headerLen+len(there)))
			left = append(left, c.typ...)
			left = append(left, there...)
		}
	}
	if len(left) > 0 {
		w.numbers = append(w.numbers, s.begins...)
		writeRaw(w.boxWriter, left)
	}
}

// keeps reports whether the track with that ID is in the answer.
func (w *moovWriter) keeps(id uint32) bool {
	for _, k := range w.kept {
		if k.id == id {
			return true
		}
	}
	return false
}

// Nero's list of chapters, chpl in the udta of a moov. It is in no standard; its times are of the presentation.
const (
	chplSecond  = 10_000_000 // its times count 100 ns
	chplPrefix  = fullBoxLen + 4 + 1
	chplPrefix0 = fullBoxLen + 1 // version 0 has no reserved field
)

// writeChapters writes a chpl with the chapters of the cut: the one that the start falls into begins at 0, those before it
// and those that begin at the end or later are dropped. One that cannot be read is left out.
func writeChapters(w *moovWriter, s *slot) {
	p := payload(s.box)
	prefix := chplPrefix
	if len(p) > 0 && p[0] == 0 {
		prefix = chplPrefix0
	}
	if len(p) < prefix {
		return
	}
	start, _ := mulDiv(w.shown.from, chplSecond, w.shown.ticks)
	end := maxSum
	if w.shown.to >= 0 {
		end, _ = mulDiv(w.shown.to, chplSecond, w.shown.ticks)
	}
	var left []byte
	count := byte(0)
	rest := p[prefix:]
	for n := int(p[prefix-1]); n > 0; n-- {
		if len(rest) < 9 || len(rest) < 9+int(rest[8]) {
			return
		}
		length := 9 + int(rest[8]) // start(8) + length(1) + title
		begins := int64(binary.BigEndian.Uint64(rest))
		if begins <= start {
			left, count = left[:0], 0
		}
		if begins >= 0 && begins < end {
			left = binary.BigEndian.AppendUint64(left, uint64(maxInt64(begins-start, 0)))
			left = append(left, rest[8:length]...)
			count++
		}
		rest = rest[length:]
	}
	w.numbers = append(w.numbers, s.begins...)
	writeRaw(w.boxWriter, p[:prefix-1])
	writeRaw(w.boxWriter, []byte{count})
	writeRaw(w.boxWriter, left)
}
