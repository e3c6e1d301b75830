package mp4

import "encoding/binary"

// moovWriter makes what comes before the media of a cut: ftyp, moov and the header of mdat. Its size is known when the
// boxes are laid out; entries that change are changed when they are written.
type moovWriter struct {
	movie    *movie
	kept     []*kept
	window        // of the movie timeline
	wide     bool // chunk offsets of 32 bits become offsets of 64
	overflow bool // one of them would have had to
	err      error

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
	w.raw(w.movie.ftyp)
	w.rewrite(w.movie.moov)
	if w.bare {
		w.flush()
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
	w.raw(header)
	w.flush()
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

// fail remembers the first error.
func (w *moovWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
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
	first := k.chunk(k.firstChunk) + k.sizeOf(k.first-k.skipped, k.first) + shift
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

// raw appends bytes as they are.
func (w *moovWriter) raw(b []byte) {
	w.size += int64(len(b))
	if len(b) < leastView {
		w.small = append(w.small, b...)
		return
	}
	w.flush()
	w.pieces = append(w.pieces, piece{data: b, view: w.movie.fragments == nil})
}

// changed appends entries that change on their way out.
func (w *moovWriter) changed(entries []byte, c *change) {
	if len(entries) == 0 {
		return
	}
	w.flush()
	w.pieces = append(w.pieces, piece{data: entries, view: w.movie.fragments == nil, change: c})
	w.size += w.pieces[len(w.pieces)-1].size()
}

// flush makes a piece of the bytes collected.
func (w *moovWriter) flush() {
	if len(w.small) > 0 {
		w.pieces = append(w.pieces, piece{data: w.small})
		w.small = nil
	}
}

// u32 appends 32-bit numbers.
func (w *moovWriter) u32(values ...int64) {
	for _, v := range values {
		w.small = binary.BigEndian.AppendUint32(w.small, uint32(v))
	}
	w.size += 4 * int64(len(values))
}

// open begins a box and returns what close needs to fill in its size.
func (w *moovWriter) open(typ string) (mark, int64) {
	at := mark{len(w.pieces), len(w.small)}
	w.small = append(w.small, 0, 0, 0, 0)
	w.small = append(w.small, typ...)
	w.size += headerLen
	return at, w.size - headerLen
}

// close ends the box that was opened at a mark, when size bytes had been written.
func (w *moovWriter) close(at mark, size int64) {
	w.patch(at, w.size-size) // the source's moov is below 4 GiB, and so is this
}

// patch fills in a 32-bit number that was left open.
func (w *moovWriter) patch(at mark, v int64) {
	data := w.small
	if at.piece < len(w.pieces) {
		data = w.pieces[at.piece].data
	}
	binary.BigEndian.PutUint32(data[at.at:], uint32(v))
}

// rewrite writes a box of the source's moov as the answer has it. Boxes that the answer need not change are written as
// they are, wherever they stand.
func (w *moovWriter) rewrite(b *box) {
	switch b.typ {
	case "moov":
		w.container(b)
	case "mvhd":
		w.times(b, mvhdDuration0, mvhdDuration1, w.ticks, w.duration())
	case "trak":
		for _, k := range w.kept {
			if k.box == b {
				w.track(k)
			}
		}
	case "mvex":
		w.extends(b)
	case "udta":
		w.userData(b)
	case "meta":
		if !hasItemLocations(b) {
			w.raw(b.data)
		}
	default:
		w.raw(b.data)
	}
}

// extends writes the mvex (8.8.1) of an answer in which fragments follow, without the mehd: its duration is another now.
func (w *moovWriter) extends(b *box) {
	if !w.fragmented {
		return
	}
	at, size := w.open(b.typ)
	for _, c := range b.children {
		if c.typ != "mehd" {
			w.raw(c.data)
		}
	}
	w.raw(b.tail)
	w.close(at, size)
}

// container writes a box with its children rewritten.
func (w *moovWriter) container(b *box) {
	at, size := w.open(b.typ)
	for _, c := range b.children {
		w.rewrite(c)
	}
	w.raw(b.tail)
	w.close(at, size)
}

// duration is the length of the longest track in movie ticks.
func (w *moovWriter) duration() int64 {
	longest := int64(0)
	for _, k := range w.kept {
		longest = maxInt64(longest, k.presentation())
	}
	return longest
}

// times writes a mvhd, tkhd or mdhd with a new duration, and a new timescale where timescale is not 0. Version 0 grows
// to 1 where the duration needs it.
func (w *moovWriter) times(b *box, v0, v1 int, timescale, duration int64) {
	if w.ticks == 0 {
		w.raw(b.data)
		return
	}
	p := b.payload()
	at, size := w.open(b.typ)
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
	w.close(at, size)
}

// hasItemLocations reports whether a meta box (8.11.1) locates items by offsets in the file, which are no longer true.
// QuickTime's meta has no version and flags.
func hasItemLocations(meta *box) bool {
	for _, lead := range []int64{0, fullBoxLen} {
		m := &box{typ: meta.typ, at: meta.at, header: meta.header + lead, data: meta.data}
		if int64(len(m.data)) >= m.header && m.open("") == nil && m.child("iloc") != nil {
			return true
		}
	}
	return false
}

// track writes a trak.
func (w *moovWriter) track(k *kept) {
	at, size := w.open("trak")
	for _, c := range k.box.children {
		switch c.typ {
		case "tkhd":
			w.times(c, tkhdDuration0, tkhdDuration1, 0, k.presentation())
			if w.ticks != 0 && len(k.edits) > 0 {
				w.editList(k.edits)
			}
		case "edts":
			if w.ticks == 0 {
				w.raw(c.data)
			}
		case "tref":
			w.references(c)
		case "mdia":
			w.media(k, c)
		case "meta":
			w.rewrite(c)
		default:
			w.raw(c.data)
		}
	}
	w.raw(k.box.tail)
	w.close(at, size)
}

// editList writes an edts with an elst, in version 1 where a time needs it.
func (w *moovWriter) editList(edits []edit) {
	wide := false
	for _, e := range edits {
		wide = wide || e.duration > max32 || e.mediaTime > maxOffset
	}
	edts, edtsSize := w.open("edts")
	elst, elstSize := w.open("elst")
	if wide {
		w.u32(1<<24, int64(len(edits)))
	} else {
		w.u32(0, int64(len(edits)))
	}
	for _, e := range edits {
		if wide {
			w.u32(e.duration>>32, e.duration, e.mediaTime>>32, e.mediaTime, int64(e.rate))
		} else {
			w.u32(e.duration, e.mediaTime, int64(e.rate))
		}
	}
	w.close(elst, elstSize)
	w.close(edts, edtsSize)
}

// references writes a tref (8.3.3) without the tracks that are left out.
func (w *moovWriter) references(b *box) {
	var left []byte
	for _, c := range trackReferences(b) {
		ids := c.payload()
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
		at, size := w.open(b.typ)
		w.raw(left)
		w.close(at, size)
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

// media writes the mdia of a track.
func (w *moovWriter) media(k *kept, b *box) {
	at, size := w.open(b.typ)
	for _, c := range b.children {
		switch c.typ {
		case "mdhd":
			timescale := k.timescale
			if k.lead != nil {
				timescale *= k.lead.scale
			}
			w.times(c, mdhdDuration0, mdhdDuration1, timescale, k.mediaDuration())
		case "minf":
			w.media(k, c)
		case "stbl":
			w.sampleTable(k, c)
		default:
			w.raw(c.data)
		}
	}
	w.raw(b.tail)
	w.close(at, size)
}
