package mp4

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// slot is a part of the template: bytes that every cut has, and behind them a box that each makes anew.
type slot struct {
	front  []byte // of the source's moov; fewer than leastView
	kind   int
	data   []byte      // what stands there where all of the movie is kept
	box    *box        // the source's; nil: it has none
	begins []uint32    // numbers that the box begins with: size, type and what else is known of its first ones
	wide   []uint32    // the same of a header with times of 64 bits; nil where the source's has them, and begins is that
	width  int         // bytes in an entry of a table whose entries are counted in the last of these numbers
	length int         // of a container: slots in it
	ends   int         // containers that end behind the box
	runs   *lanes.Runs // of a sbgp
}

// Kinds of slots.
const (
	slotReady = iota // data, in every cut
	slotContainer
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
	slotEmptyTable // of which all samples are in fragments; no template has it
)

// tableSlots are the kinds of the tables of a stbl by their types.
var tableSlots = map[string]int{
	"stts": slotStts, "ctts": slotCtts, "stss": slotStss, "stps": slotStps, "stsc": slotStsc, "stsz": slotStsz, "stz2": slotStsz,
	"stco": slotStco, "co64": slotStco, "sdtp": slotSdtp, "sbgp": slotSbgp, "csgp": slotCsgp, "subs": slotSubs,
	"saiz": slotSaiz, "saio": slotSaio, "senc": slotSenc, "stsd": slotReady, "sgpd": slotReady,
	"cslg": slotNoMore, "stdp": slotNoMore, "padb": slotNoMore, "stsh": slotNoMore,
}

// tableWidths are the bytes in an entry of those tables whose count is told by their length.
var tableWidths = map[int]int{
	slotStts: lanes.PairLen, slotCtts: lanes.PairLen, slotSbgp: lanes.PairLen, slotStss: 4, slotStps: 4, slotStsc: lanes.ChunkRunLen,
}

// templateMaker makes the template of a movie.
type templateMaker struct {
	moov    *box
	tracks  []*track // that were read,
	leftOut []*box   // and the traks that cuts do without
	slots   []slot
	sealed  int    // slots before which no other container ends: those that a cut may skip
	ready   []byte // what stands before the next slot,
	to      int64  // and where in the source it ends
}

// newTemplate makes the template of a moov of which tracks have been read, and others are left out of cuts.
func newTemplate(moov *box, tracks []*track, leftOut []*box) []slot {
	t := &templateMaker{moov: moov, tracks: tracks, leftOut: leftOut}
	addContainer(t, slotContainer, moov)
	return t.slots
}

// isTrack reports whether a track was made of a trak.
func isTrack(t *templateMaker, trak *box) bool {
	for _, known := range t.tracks {
		if known.box == trak {
			return true
		}
	}
	return false
}

// isLeftOut reports whether cuts do without a trak.
func isLeftOut(t *templateMaker, trak *box) bool {
	for _, left := range t.leftOut {
		if left == trak {
			return true
		}
	}
	return false
}

// addSlot appends a slot, with what is ready in front of it.
func addSlot(t *templateMaker, s slot) {
	if len(t.ready) >= leastView {
		addReadySlot(t)
	}
	s.front = t.ready
	t.ready = nil
	t.slots = append(t.slots, s)
}

// addReadySlot makes a slot of what is ready, if anything is.
func addReadySlot(t *templateMaker) {
	if len(t.ready) > 0 {
		t.slots = append(t.slots, slot{kind: slotReady, data: t.ready})
		t.ready = nil
	}
}

// addReady appends the bytes of the source's moov at an offset of the source to what is ready. Those behind each other
// become one stretch.
func addReady(t *templateMaker, b []byte, at int64) {
	if len(b) == 0 {
		return
	}
	if t.to != at {
		addReadySlot(t)
	}
	from := at - int64(len(t.ready)) - t.moov.at
	t.to = at + int64(len(b))
	t.ready = t.moov.data[from : t.to-t.moov.at]
}

// addContainer appends a box whose children are looked into.
func addContainer(t *templateMaker, kind int, b *box) {
	addSlot(t, slot{kind: kind, box: b, begins: []uint32{0, typeNumber(b.typ)}})
	first := len(t.slots)
	if kind == slotExtends {
		addSlot(t, slot{kind: slotLength})
	}
	if kind == slotTrack && childOf(b, "tkhd") == nil {
		addSlot(t, editsSlot()) // it has no header that they could follow
	}
	for _, c := range b.children {
		addChild(t, b, c)
	}
	addReady(t, b.tail, b.at+int64(len(b.data)-len(b.tail)))
	addReadySlot(t)
	if len(t.slots) == first || len(t.slots) == t.sealed {
		addSlot(t, slot{kind: slotReady})
	}
	t.slots[len(t.slots)-1].ends++
	t.slots[first-1].length = len(t.slots) - first
	if kind != slotContainer {
		t.sealed = len(t.slots)
	}
}

// editsSlot is where the edits of a track are written: an edts that is an elst.
func editsSlot() slot {
	return slot{kind: slotEdits, begins: []uint32{0, typeEdts, 0, typeElst, 0, 0}, width: elstLen0}
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
		if isTrack(t, b) {
			addContainer(t, slotTrack, b)
		} else if isLeftOut(t, b) {
			addSlot(t, slot{kind: slotLeft, data: b.data})
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
		addSlot(t, slot{kind: slotChapters, data: b.data, box: b, begins: []uint32{0, typeNumber(b.typ)}})
	case "trak/tkhd":
		addHeader(t, slotTrackHeader, b, tkhdDuration0, tkhdDuration1)
		addSlot(t, editsSlot())
	case "trak/edts":
		addSourceEdits(t, b)
	case "trak/tref":
		addSlot(t, slot{kind: slotReferences, box: b, begins: []uint32{0, typeNumber(b.typ)}})
	case "trak/mdia", "mdia/minf", "minf/stbl":
		addContainer(t, slotContainer, b)
	case "mdia/mdhd":
		addHeader(t, slotMediaHeader, b, mdhdDuration0, mdhdDuration1)
	default:
		addReady(t, b.data, b.at)
	}
}

// addHeader appends a mvhd, tkhd or mdhd. Its slot reaches up to and with the duration.
func addHeader(t *templateMaker, kind int, b *box, v0, v1 int) {
	p := payload(b)
	s := slot{kind: kind, box: b}
	end := v0 + 4
	if p[0] != 0 {
		end = v1 + 8
	}
	s.begins = append([]uint32{uint32(headerLen + len(p)), typeNumber(b.typ)}, lanes.Words(p[:end])...)
	if p[0] == 0 {
		const growth = 3 * 4 // of creation and modification time, and of the duration
		w := s.begins
		s.wide = append([]uint32{w[0] + growth, w[1], w[2] | 1<<24, 0, w[3], 0, w[4]}, w[5:]...)
		s.wide = append(s.wide, 0)
	}
	s.data = b.data[:int(b.header)+end]
	addSlot(t, s)
	addReady(t, p[end:], b.at+b.header+int64(end))
}

// addSourceEdits appends the edts of a track: to the slot before, where that is for the edits of a cut.
func addSourceEdits(t *templateMaker, edts *box) {
	before := &t.slots[len(t.slots)-1]
	if before.kind == slotEdits && before.data == nil && len(t.ready) == 0 {
		before.data = edts.data
		return
	}
	addSlot(t, slot{kind: slotSourceEdits, data: edts.data})
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
	case known && kind == slotReady:
		addReady(t, b.data, b.at)
		return
	case !known:
		kind = slotOtherTable
	}
	s := slot{kind: kind, data: b.data, box: b, begins: tableBegins(b), width: tableWidths[kind]}
	if kind == slotSbgp {
		if readSbgp(&s, b) != nil {
			s.kind = slotNoMore
		}
	}
	addSlot(t, s)
	if b.typ != "stts" {
		return
	}
	if childOf(stbl, "ctts") == nil {
		addSlot(t, slot{kind: slotCtts, begins: []uint32{0, typeNumber("ctts"), 0, 0}, width: lanes.PairLen})
	}
	if childOf(stbl, "stss") == nil && childOf(t.moov, "mvex") != nil {
		addSlot(t, slot{kind: slotStss, begins: []uint32{0, typeNumber("stss"), 0, 0}, width: 4})
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

// readSbgp reads a sbgp (8.9.2), runs of samples and the group of each, into its slot.
func readSbgp(s *slot, b *box) error {
	p := payload(b)
	prefix := groupPrefix(len(p) > 0 && p[0] == 1)
	entries, err := entriesOf(b, prefix, lanes.PairLen)
	if err != nil {
		return err
	}
	s.begins = append([]uint32{0, typeSbgp}, lanes.Words(p[:prefix])...)
	s.runs, err = newRuns(entries, false)
	if err != nil {
		return fmt.Errorf("sbgp at %d: %w", b.at, err)
	}
	return nil
}

// Which of the numbers of a table are its version and flags, and the count of its entries.
const (
	tableStart = 2
	tableCount = 3
	elstStart  = 2         // of an edts with an elst: where the latter begins
	flagBits   = 1<<24 - 1 // of the former, whose highest byte is the version
)

// moovWriter makes what comes before the media of a cut: ftyp, moov and the header of mdat.
type moovWriter struct {
	*boxWriter
	ftyp     []byte
	template []slot
	madeUp   bool // its tables are made of fragments
	kept     []*trackCut
	shown    timeWindow // of the movie timeline

	fragmented bool  // all samples are in fragments that follow
	length     int64 // of these, in movie ticks
	longest    int64 // movie ticks of the longest track

	wide     bool // chunk offsets of 32 bits become offsets of 64
	overflow bool // one of them would have had to

	size        int64 // of all, when it is known
	offsets     []chunkOffsets
	information []infoOffsets
	ranges      []byteRange // of the source, which mdat holds one after another
}

// chunkOffsets is a stco or co64 in the answer. Its entries are known once the size of the moov is.
type chunkOffsets struct {
	kept  *trackCut
	first int           // which of the writer's numbers is its first entry
	rest  *lanes.Change // of the others
}

// infoOffsets is a saio in the answer. Its entries, of 64 bits, are known once all sizes are.
type infoOffsets struct {
	kept    *trackCut
	entries []byte
}

// shiftOf is how far the bytes of the source at an offset move in the answer.
func shiftOf(w *moovWriter, offset int64) int64 {
	at := w.size
	for _, r := range w.ranges {
		if r.from <= offset && offset <= r.to {
			return at - r.from
		}
		at += r.to - r.from
	}
	return 0 // of auxiliary information of no bytes: the ranges hold all that is kept
}

// boxWriter collects boxes. Nearly all that a cut changes are numbers of 32 bits, so these are collected as numbers: one
// that is known later is assigned later, and compiled code encodes all of them at once. Between them stand runs of
// bytes: of the source's moov, as they are or changed on their way out, or made for the answer.
type boxWriter struct {
	numbers  []uint32
	byteRuns []byteRun
	bytes    int  // of the runs of bytes
	made     bool // long runs are no views of the source's moov either
}

// byteRun is bytes that stand behind so many numbers.
type byteRun struct {
	numbers int
	data    []byte
	change  *lanes.Change
}

// Runs shorter than this are copied together, so that a moov is written in a few large writes.
const leastView = 4 << 10

func newBoxWriter(made bool) *boxWriter {
	return &boxWriter{numbers: make([]uint32, 0, 256), byteRuns: make([]byteRun, 0, 64), made: made}
}

// writtenSize is the number of bytes so far.
func writtenSize(b *boxWriter) int64 { return int64(4*len(b.numbers) + b.bytes) }

// writeRaw appends bytes as they are.
func writeRaw(b *boxWriter, data []byte) {
	b.byteRuns = append(b.byteRuns, byteRun{numbers: len(b.numbers), data: data})
	b.bytes += len(data)
}

// writeChanged appends entries that change on their way out, but not in length.
func writeChanged(b *boxWriter, entries []byte, c *lanes.Change) {
	b.byteRuns = append(b.byteRuns, byteRun{numbers: len(b.numbers), data: entries, change: c})
	b.bytes += len(entries)
}

// joinPieces makes pieces of all that was collected.
func joinPieces(b *boxWriter) []madePiece {
	var r *byteRun
	numbers, at := lanes.Encode(b.numbers, 4*len(b.numbers)), 0
	short, pieces := make([][]byte, 0, 2*len(b.byteRuns)+1), make([]madePiece, 0, 32)
	for i := range b.byteRuns {
		r = &b.byteRuns[i]
		short = append(short, numbers[at:4*r.numbers])
		at = 4 * r.numbers
		if len(r.data) < leastView && r.change == nil {
			short = append(short, r.data)
			continue
		}
		pieces = append(pieces, madePiece{data: bytes.Join(short, nil)}, madePiece{data: r.data, view: !b.made, change: r.change})
		short = short[:0]
	}
	return append(pieces, madePiece{data: bytes.Join(append(short, numbers[at:]), nil)})
}
