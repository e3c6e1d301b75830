package mp4

import "encoding/binary"

// moovWriter makes what comes before the media of a cut: ftyp, moov and the header of mdat. Its size is known when the
// boxes are laid out; entries that change are changed when they are written.
//
// What every cut calls is a function, here and elsewhere: a call of a method costs the interpreter a closure and a call
// by reflection, 1.2 µs, and a function's a fifth of that. Methods are for interfaces and for what is seldom.
type moovWriter struct {
	movie    *movie
	kept     []*kept
	window        // of the movie timeline
	wide     bool // chunk offsets of 32 bits become offsets of 64
	overflow bool // one of them would have had to

	pieces      []piece
	small       []byte // bytes collected for the next piece
	size        int64
	offsets     []chunkOffsets
	information []infoOffsets
	ranges      []byteRange // of the source, which mdat holds one after another
}

// chunkOffsets is a stco or co64 in the answer. Its entries are known once the size of the moov is.
type chunkOffsets struct {
	kept  *kept
	first mark    // where the first entry stands
	rest  *change // of the others
}

// mark is a place in what has been written.
type mark struct{ piece, at int }

// Views of the source's tables shorter than this are copied, so that a moov is written in a few large writes.
const leastView = 4 << 10

// build lays everything out. media is the length of what mdat holds.
func (w *moovWriter) build(media int64) {
	writeRaw(w, w.movie.ftyp)
	writeBox(w, w.movie.moov)
	if w.bare {
		flushSmall(w)
		return
	}
	header := make([]byte, headerLen, largeHeaderLen)
	copy(header[4:], "mdat")
	if media+headerLen > max32 {
		binary.BigEndian.PutUint32(header, sizeLarge)
		header = binary.BigEndian.AppendUint64(header, uint64(media+largeHeaderLen))
	} else {
		binary.BigEndian.PutUint32(header, uint32(media+headerLen))
	}
	writeRaw(w, header)
	flushSmall(w)
	for i := range w.offsets {
		w.place(&w.offsets[i])
	}
	for _, o := range w.information {
		w.placeInformation(o)
	}
}

// shift is how far the bytes of the source at an offset move in the answer.
func (w *moovWriter) shift(offset int64) int64 {
	at := w.size
	for _, r := range w.ranges {
		if r.from <= offset && offset <= r.to {
			return at - r.from
		}
		at += r.to - r.from
	}
	return 0 // not reached: the ranges hold all that is kept
}

// place fills in the entries of a chunk offset table.
func (w *moovWriter) place(o *chunkOffsets) {
	k := o.kept
	shift := w.shift(k.bytes.from)
	wide := w.wide || k.chunkLen == 8
	if !wide && k.bytes.to+shift > max32 {
		w.overflow = true
		return
	}
	first := chunkOffset(k.track, k.firstChunk) + sizeOf(k.track, k.first-k.skipped, k.first) + shift
	entry := w.pieces[o.first.piece].data[o.first.at:]
	if wide {
		binary.BigEndian.PutUint64(entry, uint64(first))
	} else {
		binary.BigEndian.PutUint32(entry, uint32(first))
	}
	o.rest.sub = shift < 0
	if shift < 0 {
		shift = -shift
	}
	width := o.rest.width
	if o.rest.grow {
		width = 8
	}
	o.rest.add = entry64(width, uint64(shift))
}

// writeRaw appends bytes as they are.
func writeRaw(w *moovWriter, b []byte) {
	w.size += int64(len(b))
	if len(b) < leastView {
		w.small = append(w.small, b...)
		return
	}
	flushSmall(w)
	w.pieces = append(w.pieces, piece{data: b, view: w.movie.fragments == nil})
}

// writeChanged appends entries that change on their way out.
func writeChanged(w *moovWriter, entries []byte, c *change) {
	if len(entries) == 0 {
		return
	}
	flushSmall(w)
	w.pieces = append(w.pieces, piece{data: entries, view: w.movie.fragments == nil, change: c})
	w.size += pieceSize(&w.pieces[len(w.pieces)-1])
}

// flushSmall makes a piece of the bytes collected.
func flushSmall(w *moovWriter) {
	if len(w.small) > 0 {
		w.pieces = append(w.pieces, piece{data: w.small})
		w.small = nil
	}
}

// writeU32 appends 32-bit numbers.
func writeU32(w *moovWriter, values ...int64) {
	for _, v := range values {
		w.small = binary.BigEndian.AppendUint32(w.small, uint32(v))
	}
	w.size += 4 * int64(len(values))
}

// openBox begins a box and returns what close needs to fill in its size.
func openBox(w *moovWriter, typ string) (mark, int64) {
	at := mark{len(w.pieces), len(w.small)}
	w.small = append(w.small, 0, 0, 0, 0)
	w.small = append(w.small, typ...)
	w.size += headerLen
	return at, w.size - headerLen
}

// closeBox ends the box that was opened at a mark, when size bytes had been written.
func closeBox(w *moovWriter, at mark, size int64) {
	patchU32(w, at, w.size-size) // the source's moov is below 4 GiB, and so is this
}

// patchU32 fills in a 32-bit number that was left open.
func patchU32(w *moovWriter, at mark, v int64) {
	data := w.small
	if at.piece < len(w.pieces) {
		data = w.pieces[at.piece].data
	}
	binary.BigEndian.PutUint32(data[at.at:], uint32(v))
}

// writeBox writes a box of the source's moov as the answer has it. Boxes that the answer need not change are written as
// they are, wherever they stand.
func writeBox(w *moovWriter, b *box) {
	switch b.typ {
	case "moov":
		writeContainer(w, b)
	case "mvhd":
		writeTimes(w, b, mvhdDuration0, mvhdDuration1, w.ticks, w.duration())
	case "trak":
		for _, k := range w.kept {
			if k.box == b {
				writeTrack(w, k)
			}
		}
		if w.fragmented && w.movie.leaves(b) {
			writeRaw(w, b.data) // the fragments have samples of it
		}
	case "mvex":
		writeExtends(w, b)
	case "udta":
		writeUserData(w, b)
	case "meta":
		if !hasItemLocations(b) {
			writeRaw(w, b.data)
		}
	default:
		writeRaw(w, b.data)
	}
}

// writeExtends writes the mvex (8.8.1) of an answer in which fragments follow, without the mehd: its duration is
// another now.
func writeExtends(w *moovWriter, b *box) {
	if !w.fragmented {
		return
	}
	at, size := openBox(w, b.typ)
	for _, c := range b.children {
		if c.typ != "mehd" {
			writeRaw(w, c.data)
		}
	}
	writeRaw(w, b.tail)
	closeBox(w, at, size)
}

// writeContainer writes a box with its children rewritten.
func writeContainer(w *moovWriter, b *box) {
	at, size := openBox(w, b.typ)
	for _, c := range b.children {
		writeBox(w, c)
	}
	writeRaw(w, b.tail)
	closeBox(w, at, size)
}

// duration is the length of the longest track in movie ticks.
func (w *moovWriter) duration() int64 {
	longest := int64(0)
	for _, k := range w.kept {
		longest = maxInt64(longest, presentation(k))
	}
	return longest
}

// writeTimes writes a mvhd, tkhd or mdhd with a new duration, and a new timescale where timescale is not 0. Version 0
// grows to 1 where the duration needs it.
func writeTimes(w *moovWriter, b *box, v0, v1 int, timescale, duration int64) {
	if w.ticks == 0 {
		writeRaw(w, b.data)
		return
	}
	p := payload(b)
	at, size := openBox(w, b.typ)
	begin := len(w.small)
	switch {
	case p[0] != 0:
		w.small = append(w.small, p...)
		binary.BigEndian.PutUint64(w.small[begin+v1:], uint64(duration))
	case duration <= max32:
		w.small = append(w.small, p...)
		binary.BigEndian.PutUint32(w.small[begin+v0:], uint32(duration))
		v1 = v0
	default:
		w.small = append(w.small, 1, p[1], p[2], p[3], 0, 0, 0, 0)
		w.small = append(w.small, p[4:8]...)
		w.small = append(w.small, 0, 0, 0, 0)
		w.small = append(w.small, p[8:v0]...)
		w.small = binary.BigEndian.AppendUint64(w.small, uint64(duration))
		w.small = append(w.small, p[v0+4:]...)
	}
	if timescale != 0 {
		binary.BigEndian.PutUint32(w.small[begin+v1-4:], uint32(timescale))
	}
	w.size += int64(len(w.small) - begin)
	closeBox(w, at, size)
}

// hasItemLocations reports whether a meta box (8.11.1) locates items by offsets in the file, which are no longer true.
// QuickTime's meta has no version and flags.
func hasItemLocations(meta *box) bool {
	for _, lead := range []int64{0, fullBoxLen} {
		m := &box{typ: meta.typ, at: meta.at, header: meta.header + lead, data: meta.data}
		if int64(len(m.data)) >= m.header && readChildren(m, "") == nil && childOf(m, "iloc") != nil {
			return true
		}
	}
	return false
}

// writeTrack writes a trak.
func writeTrack(w *moovWriter, k *kept) {
	at, size := openBox(w, "trak")
	for _, c := range k.box.children {
		switch c.typ {
		case "tkhd":
			writeTimes(w, c, tkhdDuration0, tkhdDuration1, 0, presentation(k))
			if w.ticks != 0 && len(k.edits) > 0 {
				writeEditList(w, k.edits)
			}
		case "edts":
			if w.ticks == 0 {
				writeRaw(w, c.data)
			}
		case "tref":
			writeReferences(w, c)
		case "mdia":
			writeMedia(w, k, c)
		case "meta":
			writeBox(w, c)
		default:
			writeRaw(w, c.data)
		}
	}
	writeRaw(w, k.box.tail)
	closeBox(w, at, size)
}

// writeEditList writes an edts with an elst, in version 1 where a time needs it.
func writeEditList(w *moovWriter, edits []edit) {
	wide := false
	for _, e := range edits {
		wide = wide || e.duration > max32 || e.mediaTime > maxOffset
	}
	edts, edtsSize := openBox(w, "edts")
	elst, elstSize := openBox(w, "elst")
	if wide {
		writeU32(w, 1<<24, int64(len(edits)))
	} else {
		writeU32(w, 0, int64(len(edits)))
	}
	for _, e := range edits {
		if wide {
			writeU32(w, e.duration>>32, e.duration, e.mediaTime>>32, e.mediaTime, int64(e.rate))
		} else {
			writeU32(w, e.duration, e.mediaTime, int64(e.rate))
		}
	}
	closeBox(w, elst, elstSize)
	closeBox(w, edts, edtsSize)
}

// writeReferences writes a tref (8.3.3) without the tracks that are left out.
func writeReferences(w *moovWriter, b *box) {
	var left []byte
	for _, c := range trackReferences(b) {
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
		at, size := openBox(w, b.typ)
		writeRaw(w, left)
		closeBox(w, at, size)
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

// writeMedia writes the mdia of a track.
func writeMedia(w *moovWriter, k *kept, b *box) {
	at, size := openBox(w, b.typ)
	for _, c := range b.children {
		switch c.typ {
		case "mdhd":
			writeTimes(w, c, mdhdDuration0, mdhdDuration1, k.timescale*k.scale(), mediaDuration(k))
		case "minf":
			writeMedia(w, k, c)
		case "stbl":
			writeSampleTable(w, k, c)
		default:
			writeRaw(w, c.data)
		}
	}
	writeRaw(w, b.tail)
	closeBox(w, at, size)
}
