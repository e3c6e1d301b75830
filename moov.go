package mp4

import (
	"encoding/binary"
)

// The moov of a cut is made of a template, which is prepared once with the index: a list of slots, each of them bytes that
// are the same in every cut or a box that each cut makes anew.
//
// What every cut calls is a function, here and elsewhere: a call of a method costs the interpreter a closure and a call
// by reflection, 1.2 µs, and a function's a fifth of that. Methods are for interfaces and for what is seldom.

// buildMoov lays everything out. media is the length of what mdat holds.
func buildMoov(w *moovWriter, media int64) {
	w.boxWriter = newBoxWriter(w.madeUp)
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
	for i := range w.offsets {
		placeChunks(w, &w.offsets[i])
	}
	for _, o := range w.information {
		w.placeInformation(o)
	}
}

// writeSlots writes the moov by its template: in one function, because a call costs the interpreter more than what most of
// the cases do.
func writeSlots(w *moovWriter, slots []slot) {
	var k *trackCut    // whose trak it is
	var opened []int   // which of the numbers are the sizes of the containers around a slot,
	var before []int64 // and how many bytes were written before these
	var s *slot        // declared out here, since the interpreter makes what is declared in a loop anew each time
	var at int
	var size int64
	for i := 0; i < len(slots); i++ {
		s = &slots[i]
		at = len(w.numbers)
		if s.kind == slotBytes {
			w.byteRuns = append(w.byteRuns, byteRun{numbers: at, data: s.data})
			w.bytes += int64(len(s.data))
			continue
		}
		size = 4*int64(at) + w.bytes
		if s.kind == slotTrack {
			k = keptOf(w, s.box)
		}
		if s.kind == slotTrack && k == nil || s.kind == slotExtends && !w.fragmented {
			i += s.length
			continue
		}
		if s.length > 0 {
			opened = append(opened, at)
			before = append(before, size)
			w.numbers = append(w.numbers, s.begins...)
			continue
		}
		switch {
		case s.kind == slotEnd:
			last := len(opened) - 1
			w.numbers[opened[last]] = uint32(size - before[last]) // the source's moov is below 4 GiB, and so is this
			opened = opened[:last]
			before = before[:last]
			continue
		case s.kind > slotTables && k.none:
			writeEmptyTable(w, s)
			continue
		case s.kind == slotOtherTable || w.shown.ticks == 0 && staysWhole(k, s.kind):
			writeRaw(w.boxWriter, s.data)
			continue
		}
		switch s.kind {
		case slotSourceEdits, slotNoMore:
		case slotMovieHeader:
			writeHeader(w, s, w.shown.ticks, moovDuration(w))
		case slotTrackHeader:
			writeHeader(w, s, 0, presentation(k))
		case slotMediaHeader:
			writeHeader(w, s, k.timescale*scaleOf(k), mediaDuration(k))
		case slotEdits:
			writeEditList(w, k.edits)
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
		case slotStts:
			writeStts(w, k, s)
		case slotCtts:
			if k.offsets != nil || k.lead != nil || k.moved >= 0 {
				writeCtts(w, k, s)
			}
		case slotStss:
			if !k.allSync && (s.box != nil || k.made) { // the moov of a fragmented file has an empty one, and that of some sound
				writeStss(w, k, s, &k.sync)
			}
		case slotStps:
			if !k.allSync {
				writeStss(w, k, s, &k.partial)
			}
		case slotStsc:
			writeStsc(w, k, s)
		case slotStsz:
			writeStsz(w, k, s)
		case slotStco:
			writeStco(w, k, s)
		case slotSaiz:
			writeAuxiliarySizes(w, k, s)
		case slotSaio:
			writeAuxiliaryOffsets(w, k, s)
		case slotSenc:
			writeEncryption(w, k, s)
		default:
			writeSideTable(w, k, s)
		}
		if len(w.numbers) > at && w.numbers[at] == 0 {
			w.numbers[at] = uint32(4*int64(len(w.numbers)) + w.bytes - size)
		}
	}
}

// staysWhole reports whether a box of that kind is the source's where all of the movie is kept: but for what says where
// samples lie, and for tables that say something else by now.
func staysWhole(k *trackCut, kind int) bool {
	if kind < slotMovieHeader || kind >= slotStsc {
		return false
	}
	return kind != slotStts && kind != slotStss && kind != slotStps || k.repaired == 0
}

// moovDuration is the length of the longest track in movie ticks.
func moovDuration(w *moovWriter) int64 {
	longest := int64(0)
	for _, k := range w.kept {
		longest = maxInt64(longest, presentation(k))
	}
	return longest
}

// writeHeader writes a mvhd, tkhd or mdhd up to its duration, with a new timescale where that is not 0. Version 0 grows
// to 1 where the duration needs it.
func writeHeader(w *moovWriter, s *slot, timescale, duration int64) {
	wide := duration > max32 || s.begins == nil
	if wide {
		w.numbers = append(w.numbers, s.wide...)
	} else {
		w.numbers = append(w.numbers, s.begins...)
	}
	if timescale != 0 {
		w.numbers[len(w.numbers)-1] = uint32(timescale)
	}
	if wide {
		w.numbers = append(w.numbers, uint32(duration>>32))
	}
	w.numbers = append(w.numbers, uint32(duration))
}

// writeEditList writes an edts with an elst, in version 1 where a time needs it.
func writeEditList(w *moovWriter, edits []edit) {
	if len(edits) == 0 {
		return
	}
	wide := false
	for _, e := range edits {
		wide = wide || e.duration > max32 || e.mediaTime > maxOffset
	}
	at, count := len(w.numbers), uint32(len(edits))
	if wide {
		w.numbers = append(w.numbers, 0, typeEdts, headerLen+countedLen+elstLen1*count, typeElst, 1<<24, count)
	} else {
		w.numbers = append(w.numbers, 0, typeEdts, headerLen+countedLen+elstLen0*count, typeElst, 0, count)
	}
	for _, e := range edits {
		if wide {
			w.numbers = append(w.numbers, uint32(e.duration>>32), uint32(e.duration), uint32(e.mediaTime>>32), uint32(e.mediaTime), e.rate)
		} else {
			w.numbers = append(w.numbers, uint32(e.duration), uint32(e.mediaTime), e.rate)
		}
	}
	w.numbers[at] = uint32(4 * (len(w.numbers) - at))
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
