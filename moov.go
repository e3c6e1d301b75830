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

// slot is a part of the template.
type slot struct {
	kind   int
	data   []byte      // bytes that are ready; of a box that is made anew, what stands there where all of the movie is kept
	box    *box        // the source's; nil: it has none
	begins []uint32    // numbers that the box begins with: size, type and what else is known of its first ones
	wide   []uint32    // the same of a header with times of 64 bits; begins is nil where the source's has them
	length int         // of a container: slots in it
	runs   *lanes.Runs // of a sbgp
}

// Kinds of slots.
const (
	slotBytes = iota
	slotContainer
	slotEnd // of a container
	slotTrack
	slotExtends
	slotLength // the mehd of a mvex
	slotLeft   // a trak of which nothing is read: fragments that follow have samples of it
	slotReferences
	slotMovieHeader
	slotTrackHeader
	slotMediaHeader
	slotEdits
	slotSourceEdits
	slotChapters
	slotTables // those from here on are in a stbl
	slotStts
	slotCtts
	slotStss
	slotStps
	slotStsz
	slotSdtp
	slotSbgp
	slotCsgp
	slotSubs
	slotNoMore     // which a cut has not: bounds of composition times (8.6.1.4), which have moved; what no writer makes
	slotOtherTable // which carries nothing per sample, or is none of ours to know
	slotStsc
	slotStco
	slotSaiz
	slotSaio
	slotSenc
)

// tableSlots are the kinds of the tables of a stbl by their types.
var tableSlots = map[string]int{
	"stts": slotStts, "ctts": slotCtts, "stss": slotStss, "stps": slotStps, "stsc": slotStsc, "stsz": slotStsz, "stz2": slotStsz,
	"stco": slotStco, "co64": slotStco, "sdtp": slotSdtp, "sbgp": slotSbgp, "csgp": slotCsgp, "subs": slotSubs,
	"saiz": slotSaiz, "saio": slotSaio, "senc": slotSenc, "stsd": slotBytes, "sgpd": slotBytes,
	"cslg": slotNoMore, "stdp": slotNoMore, "padb": slotNoMore, "stsh": slotNoMore,
}

// templateMaker makes the template of a movie.
type templateMaker struct {
	movie *movie
	slots []slot
	from  int64 // where in the source the bytes of the last slot begin,
	to    int64 // and end
}

// newTemplate makes the template of a movie whose tracks have been read.
func newTemplate(m *movie) []slot {
	t := &templateMaker{movie: m}
	addContainer(t, slotContainer, m.moov)
	return t.slots
}

// addReady appends the bytes of the source's moov at an offset of the source. Those behind each other become one slot.
func addReady(t *templateMaker, b []byte, at int64) {
	if len(b) == 0 {
		return
	}
	last := len(t.slots) - 1
	if t.slots[last].kind != slotBytes || t.to != at {
		t.slots = append(t.slots, slot{kind: slotBytes})
		last++
		t.from = at
	}
	t.to = at + int64(len(b))
	t.slots[last].data = t.movie.moov.data[t.from-t.movie.moov.at : t.to-t.movie.moov.at]
}

// addContainer appends a box whose children are looked into.
func addContainer(t *templateMaker, kind int, b *box) {
	first := len(t.slots)
	t.slots = append(t.slots, slot{kind: kind, box: b, begins: []uint32{0, typeNumber(b.typ)}})
	if kind == slotExtends {
		t.slots = append(t.slots, slot{kind: slotLength})
	}
	for _, c := range b.children {
		addChild(t, b, c)
	}
	addReady(t, b.tail, b.at+int64(len(b.data)-len(b.tail)))
	t.slots = append(t.slots, slot{kind: slotEnd})
	t.slots[first].length = len(t.slots) - 1 - first
}

// addChild appends a box that is in another.
func addChild(t *templateMaker, in, b *box) {
	if in.typ == "stbl" {
		addTable(t, in, b)
		return
	}
	switch in.typ + "/" + b.typ {
	case "moov/mvhd":
		addHeader(t, slotMovieHeader, b, mvhdDuration0, mvhdDuration1)
	case "moov/trak":
		if t.movie.trackOf(b) != nil {
			addContainer(t, slotTrack, b)
		} else if t.movie.leaves(b) {
			t.slots = append(t.slots, slot{kind: slotLeft, data: b.data})
		}
	case "moov/mvex":
		addContainer(t, slotExtends, b)
	case "mvex/mehd":
		// The duration of all fragments (8.8.2) is another now.
	case "moov/udta":
		addUserData(t, b)
	case "moov/meta", "udta/meta", "trak/meta":
		if !hasItemLocations(b) {
			addReady(t, b.data, b.at)
		}
	case "udta/chpl":
		t.slots = append(t.slots, slot{kind: slotChapters, data: b.data, box: b, begins: []uint32{0, typeNumber(b.typ)}})
	case "trak/tkhd":
		addHeader(t, slotTrackHeader, b, tkhdDuration0, tkhdDuration1)
		t.slots = append(t.slots, slot{kind: slotEdits})
	case "trak/edts":
		t.slots = append(t.slots, slot{kind: slotSourceEdits, data: b.data})
	case "trak/tref":
		t.slots = append(t.slots, slot{kind: slotReferences, box: b, begins: []uint32{0, typeNumber(b.typ)}})
	case "trak/mdia", "mdia/minf", "minf/stbl":
		addContainer(t, slotContainer, b)
	case "mdia/mdhd":
		addHeader(t, slotMediaHeader, b, mdhdDuration0, mdhdDuration1)
	default:
		addReady(t, b.data, b.at)
	}
}

// addHeader appends a mvhd, tkhd or mdhd. Its slot reaches up to the duration.
func addHeader(t *templateMaker, kind int, b *box, v0, v1 int) {
	p := payload(b)
	s := slot{kind: kind, box: b}
	end := v0 + 4
	if p[0] != 0 {
		end = v1 + 8
		s.wide = append([]uint32{uint32(headerLen + len(p)), typeNumber(b.typ)}, lanes.Words(p[:v1])...)
	} else {
		s.begins = append([]uint32{uint32(headerLen + len(p)), typeNumber(b.typ)}, lanes.Words(p[:v0])...)
		const growth = 3 * 4 // of creation and modification time, and of the duration
		w := s.begins
		s.wide = append([]uint32{w[0] + growth, w[1], w[2] | 1<<24, 0, w[3], 0, w[4]}, w[5:]...)
	}
	s.data = b.data[:int(b.header)+end]
	t.slots = append(t.slots, s)
	addReady(t, p[end:], b.at+b.header+int64(end))
}

// addUserData appends a udta, with a slot for the list of chapters in it.
func addUserData(t *templateMaker, b *box) {
	udta := &box{typ: b.typ, at: b.at, header: b.header, data: b.data}
	if readChildren(udta, "") != nil {
		addReady(t, b.data, b.at)
		return
	}
	addContainer(t, slotContainer, udta)
}

// addTable appends a box of a stbl, and behind the stts those that a cut may need where the source has none: a ctts for the
// lead-in, a stss for samples of fragments.
func addTable(t *templateMaker, stbl, b *box) {
	kind, known := tableSlots[b.typ]
	switch {
	case known && kind == slotBytes:
		addReady(t, b.data, b.at)
		return
	case !known:
		kind = slotOtherTable
	}
	s := slot{kind: kind, data: b.data, box: b, begins: tableBegins(b)}
	if kind == slotSbgp {
		if readSbgp(&s, b) != nil {
			s.kind = slotNoMore
		}
	}
	t.slots = append(t.slots, s)
	if b.typ != "stts" {
		return
	}
	if childOf(stbl, "ctts") == nil {
		t.slots = append(t.slots, slot{kind: slotCtts, begins: []uint32{0, typeNumber("ctts"), 0, 0}})
	}
	if childOf(stbl, "stss") == nil {
		t.slots = append(t.slots, slot{kind: slotStss, begins: []uint32{0, typeNumber("stss"), 0, 0}})
	}
}

// tableBegins are the numbers that a new table begins with: size, type, version and flags, and a count or, of a stsz, what
// stands before it. A table that nobody has looked at, of a track whose samples are all in fragments, may be too short.
func tableBegins(b *box) []uint32 {
	begins := []uint32{0, typeNumber(b.typ), 0, 0}
	p := payload(b)
	if len(p) >= fullBoxLen {
		begins[tableStart] = binary.BigEndian.Uint32(p)
	}
	if len(p) >= countedLen {
		begins[tableCount] = binary.BigEndian.Uint32(p[fullBoxLen:])
	}
	return begins
}

// typeNumber is a type of a box as a number.
func typeNumber(typ string) uint32 { return binary.BigEndian.Uint32([]byte(typ)) }

// templateMemory is about the number of bytes that a template holds beside the source's moov.
func templateMemory(slots []slot) int64 {
	const slotMemory = 512
	n := slotMemory * len(slots)
	for _, s := range slots {
		if s.runs != nil {
			n += lanes.RunsMemory(s.runs)
		}
	}
	return int64(n)
}

// trackOf is the track that was made of a trak; nil where none was.
func (m *movie) trackOf(trak *box) *track {
	for _, t := range m.tracks {
		if t.box == trak {
			return t
		}
	}
	return nil
}

// hasItemLocations reports whether a meta box (8.11.1) locates items by offsets in the file, which are no longer true.
// QuickTime's meta has no version and flags.
func hasItemLocations(meta *box) bool {
	for _, prefix := range []int64{0, fullBoxLen} {
		m := &box{typ: meta.typ, at: meta.at, header: meta.header + prefix, data: meta.data}
		if int64(len(m.data)) >= m.header && readChildren(m, "") == nil && childOf(m, "iloc") != nil {
			return true
		}
	}
	return false
}

// moovWriter makes what comes before the media of a cut: ftyp, moov and the header of mdat.
type moovWriter struct {
	*boxWriter
	movie  *movie
	kept   []*kept
	window // of the movie timeline

	fragmented bool  // all samples are in fragments that follow
	length     int64 // of these, in movie ticks

	wide     bool // chunk offsets of 32 bits become offsets of 64
	overflow bool // one of them would have had to

	size        int64 // of all, when it is known
	offsets     []chunkOffsets
	information []infoOffsets
	ranges      []byteRange // of the source, which mdat holds one after another
}

// chunkOffsets is a stco or co64 in the answer. Its entries are known once the size of the moov is.
type chunkOffsets struct {
	kept  *kept
	first int           // which of the writer's numbers is its first entry
	rest  *lanes.Change // of the others
}

// buildMoov lays everything out. media is the length of what mdat holds.
func buildMoov(w *moovWriter, media int64) {
	w.boxWriter = newBoxWriter(w.movie.fragments != nil)
	writeRaw(w.boxWriter, w.movie.ftyp)
	writeSlots(w, w.movie.template)
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

// Types of boxes that the source may have none of, or has under another type.
const (
	typeMdat = uint32(0x6D646174)
	typeEdts = uint32(0x65647473)
	typeElst = uint32(0x656C7374)
	typeMehd = uint32(0x6D656864)
	typeStsz = uint32(0x7374737A)
	typeCo64 = uint32(0x636F3634)
	typeSbgp = uint32(0x73626770)
)

// shiftOf is how far the bytes of the source at an offset move in the answer.
func shiftOf(w *moovWriter, offset int64) int64 {
	at := w.size
	for _, r := range w.ranges {
		if r.from <= offset && offset <= r.to {
			return at - r.from
		}
		at += r.to - r.from
	}
	return 0 // not reached: the ranges hold all that is kept
}

// writeSlots writes the moov by its template: in one function, because a call costs the interpreter more than what most of
// the cases do.
func writeSlots(w *moovWriter, slots []slot) {
	var k *kept        // whose trak it is
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
		case s.kind == slotOtherTable || w.ticks == 0 && staysWhole(k, s.kind):
			writeRaw(w.boxWriter, s.data)
			continue
		}
		switch s.kind {
		case slotSourceEdits, slotNoMore:
		case slotMovieHeader:
			writeHeader(w, s, w.ticks, moovDuration(w))
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
			writeCtts(w, k, s)
		case slotStss:
			writeStss(w, k, s, &k.sync)
		case slotStps:
			writeStss(w, k, s, &k.partial)
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
func staysWhole(k *kept, kind int) bool {
	if kind < slotMovieHeader || kind >= slotStsc {
		return false
	}
	return kind != slotStts && kind != slotStss && kind != slotStps || k.repaired == 0
}

// keptOf is what is kept of the track of a trak; nil: nothing.
func keptOf(w *moovWriter, trak *box) *kept {
	for _, k := range w.kept {
		if k.box == trak {
			return k
		}
	}
	return nil
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
