package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/traefik-mp4/mp4/internal/origin"
)

// movie is the index of a file: views of its ftyp and moov, and what look-ups in the tables need. Requests share it.
// What changes once it is made, what is remembered of fragments, has locks of its own.
type movie struct {
	moovFirst bool
	ftyp      []byte // the whole box; empty where the file has none
	moov      *box
	bytes     int64 // of the moov and the file type box
	fileSize  int64
	settled   bool  // fileSize is
	timescale int64 // ticks per second of the movie timeline
	ticks     int64 // and of that of its cuts
	tracks    []*track
	leftOut   []*leftOutTrak
	defaults  map[uint32]trackDefaults // by track_ID
	fragments *fragmentMap             // nil: the moov has all samples
	template  []slot                   // of the moov of every cut
}

// memory is the number of bytes that the index holds.
func (m *movie) memory() int64 {
	n := m.bytes
	for _, t := range m.tracks {
		n += t.memory()
	}
	n += templateMemory(m.template)
	if m.fragments != nil {
		n += m.fragments.memory()
	}
	return n
}

// findMovie walks the top-level boxes to the moov, wherever it lies, reads and indexes it. At most maxMoov bytes are
// read into memory for it. Where there are many boxes before it, which some recorders write for every picture, it mostly
// ends the file, and is looked for there.
func findMovie(src byteSource, maxMoov int64) (*movie, error) {
	m := &movie{}
	off, fetched, hops, walked := int64(0), int64(0), 0, 0
	m.moovFirst = true
	for ; walked < maxWalked; walked++ {
		if off+largeHeaderLen > fetched {
			fetched = off + origin.HopLen
			hops++
			if hops == hopsToEnd {
				found, err := m.readAtEnd(src, off, maxMoov)
				if found || err != nil {
					return m, err
				}
			}
		}
		typ, header, size, err := readHeader(src, off, origin.HopLen)
		if errors.Is(err, origin.ErrHops) {
			err = fmt.Errorf("%w: %w", errFormat, err)
		}
		if err != nil {
			return nil, err
		}
		if typ == "" && off > 0 {
			break
		}
		if size < 0 && off == 0 {
			return nil, fmt.Errorf("%w: it begins with a box of an impossible size", errNotMP4)
		}
		if size < 0 {
			return nil, fmt.Errorf("%w: box at %d has an impossible size", errFormat, off)
		}
		if off == 0 && !plausible(typ) {
			return nil, fmt.Errorf("%w: it begins with a box %q", errNotMP4, typ)
		}
		if size == sizeToEnd {
			size = maxInt64(src.Size()-off, 0)
		}
		switch typ {
		case "ftyp":
			if size > maxFileType {
				// A bound of memory, beyond any list of brands; nginx has 1 KB.
				return nil, fmt.Errorf("%w: ftyp at %d is %d bytes long", errFormat, off, size)
			}
			if len(m.ftyp) > 0 {
				// nginx refuses it, too: players differ in which one counts.
				return nil, fmt.Errorf("%w: second ftyp at %d", errFormat, off)
			}
			m.ftyp, err = readBox(src, typ, off, size)
			if err != nil {
				return nil, err
			}
		case "moov":
			// Nothing behind it is looked at: the tables say where the media lie.
			return m, m.read(src, off, header, size, maxMoov)
		case "mdat":
			m.moovFirst = false
		case "moof":
			return nil, fmt.Errorf("%w: moof at %d", errFragmented, off)
		}
		if size < header {
			break // to the end of a file of unknown length
		}
		off += size
	}
	if walked == maxWalked {
		// A bound of time.
		return nil, fmt.Errorf("%w: no moov found among the first %d boxes, to %d, nor at the end of the file", errFormat, walked, off)
	}
	// No player knows what the media are.
	return nil, fmt.Errorf("%w: no moov found", errFormat)
}

// readAtEnd reads and indexes a moov that begins behind an offset and ends the file; it reports false where there is
// none. What is read in search for it is larger each time, up to maxMoov in all.
func (m *movie) readAtEnd(src byteSource, off, maxMoov int64) (bool, error) {
	var end []byte // of the file
	most := minInt64(maxMoov, src.Size()-off)
	for int64(len(end)) < most {
		held := int64(len(end))
		n := minInt64(maxInt64(held, endLen), most-held)
		from := src.Size() - held - n
		b, err := src.Peek(from, n, n)
		if err == nil {
			err = src.Reserve(n)
		}
		if errors.Is(err, origin.ErrNoRanges) || errors.Is(err, origin.ErrTooLarge) {
			return false, nil // further along the boxes there may still be one
		}
		if err != nil || int64(len(b)) < n {
			return false, err
		}
		end = append(append(make([]byte, 0, n+held), b...), end...)
		moov := moovIn(end, from)
		if moov != nil {
			m.moovFirst = false
			return true, m.take(src, moov, newTrackReads(src))
		}
	}
	return false, nil
}

// moovIn is the moov in the bytes at the end of a file, which begin at an offset; nil where there is none. The word
// alone may stand in any media: what follows the box must be boxes to the end of the file, of types that follow a moov,
// and its own bytes boxes with a mvhd among them.
func moovIn(end []byte, at int64) *box {
	before := len(end)
	for tries := 0; tries < maxNamed; tries++ {
		i := bytes.LastIndex(end[:before], []byte("moov")) - 4
		if i < 0 {
			return nil
		}
		_, header, size := parseHeader(end[i:])
		if size > header && size <= int64(len(end)-i) && endsWell(end[int64(i)+size:]) {
			found := &box{typ: "moov", at: at + int64(i), header: header, data: end[i : int64(i)+size]}
			if readChildren(found, "mvhd") == nil && childOf(found, "mvhd") != nil {
				data := append([]byte(nil), found.data...) // a view would keep all of end in memory
				return &box{typ: "moov", at: found.at, header: header, data: data}
			}
		}
		before = i + 7 // an earlier one may end within this
	}
	return nil
}

// endsWell reports whether the bytes are boxes such as follow a moov at the end of a file.
func endsWell(rest []byte) bool {
	all := &box{data: rest}
	if readChildren(all, "") != nil {
		return false
	}
	for _, b := range all.children {
		if !containsType("freeskipwideudtauuidmetamfra", b.typ) {
			return false
		}
	}
	return len(all.tail) == 0
}

// read reads and indexes the moov of size bytes at off.
func (m *movie) read(src byteSource, off, header, size, maxMoov int64) error {
	if size > maxMoov {
		return fmt.Errorf("%w: %d", origin.ErrTooLarge, size)
	}
	reads := newTrackReads(src)
	data, err := src.ReadAlong(off, size, readAlong(reads, off, header))
	if err == nil && int64(len(data)) < size {
		err = endsInside("moov", off)
	}
	if err == nil && size < header {
		// Its size would be known only once all of the file was read.
		err = fmt.Errorf("%w: moov at %d reaches to the end of a file of unknown length", errFormat, off)
	}
	if err != nil {
		reads.under.Wait()
		return err
	}
	return m.take(src, &box{typ: "moov", at: off, header: header, data: data[:size]}, reads)
}

// take indexes a moov, of which some tracks are being read already.
func (m *movie) take(src byteSource, moov *box, reads *trackReads) error {
	m.moov = moov
	m.fileSize = src.Size()
	m.settled = src.Settled()
	m.bytes = int64(len(m.ftyp) + len(moov.data))
	err := m.index(reads)
	reads.under.Wait() // where it has failed before
	return err
}

// readAlong begins to read the tracks of a moov at an offset of the file while the moov is still coming, each as soon as
// all of its trak is there.
func readAlong(reads *trackReads, off, header int64) func(come []byte) int64 {
	next, timescale := header, int64(-1) // where the first box begins that is not there; what mvhd has said
	return func(come []byte) int64 {
		for next+largeHeaderLen <= int64(len(come)) {
			typ, inner, size := parseHeader(come[next:])
			if size < inner || size > maxBoxSize-next {
				return maxBoxSize // what is wrong, index will find
			}
			if typ == "trak" && (timescale < 0 || len(reads.begun) == maxTracks) {
				return maxBoxSize // tracks are begun in their order: now it is index's turn
			}
			if next+size > int64(len(come)) {
				return next + size
			}
			b := &box{typ: typ, at: off + next, header: inner, data: come[next : next+size : next+size]}
			next += size
			if typ == "mvhd" {
				told, _ := movieTimescale(b)
				timescale = told
			}
			if typ == "trak" {
				beginTrack(reads, b, timescale)
			}
		}
		return next + largeHeaderLen
	}
}

// movieTimescale is what a mvhd says of it; -1 where it is too short.
func movieTimescale(mvhd *box) (int64, error) {
	at, err := headerTimes(mvhd, mvhdDuration0, mvhdDuration1)
	if err != nil {
		return -1, err
	}
	return int64(binary.BigEndian.Uint32(payload(mvhd)[at.duration-4:])), nil
}

// moovAhead reports whether a moov that ends beyond the first bytes comes before the media: then it need not be read to
// know that.
func moovAhead(src byteSource, first int64) bool {
	off := int64(0)
	for i := 0; i < maxTopBoxes && off+largeHeaderLen <= first; i++ {
		typ, _, size, err := readHeader(src, off, origin.HopLen)
		if err != nil || size <= 0 || typ == "mdat" || off == 0 && !plausible(typ) {
			return false
		}
		off += size
		if typ == "moov" {
			return off > first
		}
	}
	return false
}

// untimedScale stands for a timescale of 0 in mvhd.
const untimedScale = 1000

// index reads the moov's boxes and the tables of its tracks.
func (m *movie) index(reads *trackReads) error {
	err := readChildren(m.moov, "mvhdcmov")
	if err != nil {
		return err
	}
	if childOf(m.moov, "cmov") != nil {
		// nginx and browsers refuse it, too.
		return childOf(m.moov, "cmov").fail("compressed moov atom (cmov) is not supported")
	}
	mvhd := childOf(m.moov, "mvhd")
	if mvhd == nil {
		// FFmpeg plays nothing of it.
		return m.moov.fail("no mvhd in it")
	}
	timescale, err := movieTimescale(mvhd)
	if err != nil {
		return err
	}
	m.timescale = timescale
	if timescale == 0 {
		m.timescale = untimedScale
	}
	m.ticks = answerTimescale(m)
	tracks := 0
	for i, b := range m.moov.children {
		switch b.typ {
		case "trak":
			if tracks == maxTracks {
				// A bound of time and memory.
				return b.fail("too many tracks")
			}
			if tracks == len(reads.begun) {
				beginTrack(reads, b, timescale)
			}
			m.moov.children[i] = reads.begun[tracks].box
			tracks++
		case "mvex":
			m.defaults, err = readDefaults(b)
			if err != nil {
				return fmt.Errorf("mvex: %w", err)
			}
			m.fragments = newFragmentMap(m.moov.at + int64(len(m.moov.data)))
		}
	}
	reads.under.Wait()
	left := int64(maxListed)
	for i, r := range reads.begun {
		err = r.finish(&left, m.fileSize)
		if err != nil {
			err = fmt.Errorf("trak %d: %w", i+1, err)
		}
		if err != nil && (!r.spare || left < 0) {
			return err
		}
		if err != nil {
			m.leftOut = append(m.leftOut, &leftOutTrak{r.box, err})
		}
		if r.track == nil {
			continue
		}
		if timescale == 0 && !r.track.untime() {
			// No player knows when the second edit begins.
			return mvhd.fail("the timescale is 0, but edits are told in it")
		}
		m.tracks = append(m.tracks, r.track)
	}
	if len(m.tracks) == 0 && len(m.leftOut) > 0 {
		return m.leftOut[0].err
	}
	if len(m.tracks) == 0 {
		// There is nothing to play.
		return m.moov.fail("no trak in it")
	}
	m.markChapters()
	if m.fragments == nil { // else the media end where the fragments do
		for _, t := range m.tracks {
			prepareEdits(t, mediaClock{movie: m.ticks, source: m.timescale, media: t.timescale})
		}
	}
	var spared []*box
	for _, l := range m.leftOut {
		spared = append(spared, l.trak)
	}
	m.template = newTemplate(m.moov, m.tracks, spared)
	for _, t := range m.tracks {
		if m.fragments != nil && t.samples > 0 {
			m.fragments.first = 0
		}
	}
	return nil
}

// trackReads are the tracks of a movie, which are read side by side.
type trackReads struct {
	fileSize int64        // -1: not settled
	begun    []*trackRead // in the order of the moov
	under    sync.WaitGroup
}

func newTrackReads(src byteSource) *trackReads {
	if src.Settled() {
		return &trackReads{fileSize: src.Size()}
	}
	return &trackReads{fileSize: -1}
}

// beginTrack begins to read a trak.
func beginTrack(reads *trackReads, trak *box, timescale int64) {
	r := &trackRead{box: trak, fileSize: reads.fileSize, timescale: timescale}
	reads.begun = append(reads.begun, r)
	reads.under.Add(1)
	go readTrack(r, &reads.under)
}

// trackRead is the reading of a trak.
type trackRead struct {
	box       *box
	fileSize  int64
	timescale int64 // of the movie
	track     *track
	spare     bool
	err       error
}

// leftOutTrak is a trak that is neither sound nor pictures and cannot be read, or not all of it: the movie is cut without.
type leftOutTrak struct {
	trak *box
	err  error
}

// readTrack is a function because Yaegi binds the receiver of go x.f() when it runs.
func readTrack(r *trackRead, done *sync.WaitGroup) {
	defer done.Done()
	defer recovered(&r.err)
	r.track, r.err = newTrack(r.box, r.fileSize, r.timescale)
}

// finish lists as few samples as it takes to know the track's end, and finds what a movie cannot do without.
func (r *trackRead) finish(left *int64, fileSize int64) error {
	kind := mediaKind(r.box)
	r.spare = kind != "soun" && kind != "vide"
	if r.err != nil {
		return r.err
	}
	t := r.track
	t.spare = r.spare
	if t.samples > 0 {
		t.left = left
		t.findEnd()
		t.left = nil
	}
	if *left < 0 {
		return fmt.Errorf("trak at %d: %w", r.box.at, errListed)
	}
	if t.samples > 0 && t.spare {
		return locateKept(&trackCut{track: t, end: t.samples}, fileSize)
	}
	return nil
}

// recovered is deferred by what runs in a goroutine, where a panic would end Traefik: it makes an error of it.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: panic: %v", errFormat, r)
	}
}

// markChapters finds the tracks that another names as its chapters, by a tref (8.3.3) of QuickTime's type chap: texts,
// and pictures beside them. They are shown as texts are, and are no video.
func (m *movie) markChapters() {
	for _, t := range m.tracks {
		for _, c := range trackReferences(childOf(t.box, "tref")) {
			for ids := payload(c); c.typ == "chap" && len(ids) >= 4; ids = ids[4:] {
				id := binary.BigEndian.Uint32(ids)
				for _, other := range m.tracks {
					if other.id == id {
						other.chapters = true
					}
				}
			}
		}
	}
}

// trackReferences are the lists of a tref; none where it cannot be read. One of more entries than there may be tracks
// is of no use to anybody.
func trackReferences(b *box) []*box {
	if b == nil {
		return nil
	}
	tref := &box{typ: b.typ, at: b.at, header: b.header, data: b.data}
	if readChildren(tref, "") != nil {
		return nil
	}
	lists := make([]*box, 0, len(tref.children))
	for _, c := range tref.children {
		if len(payload(c)) <= 4*maxTracks {
			lists = append(lists, c)
		}
	}
	return lists
}

// answerTimescale is the movie timescale of a cut: one that expresses every millisecond.
func answerTimescale(m *movie) int64 {
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

// referenceTrack is the track by whose key frames a cut begins: the first enabled video track whose pictures cover a
// moment of the movie timeline in so many ticks a second, else the first enabled one, or without one the longest track.
// It is never a still, as a cover is one, nor chapters; nil where there is no other. In a fragmented file, whose moov
// tells no times, the first enabled video track is taken, or the first track.
func referenceTrack(m *movie, moment, ticks int64) *track {
	var first, longest *track
	for _, t := range m.tracks {
		if t.samples == 0 && m.fragments == nil || t.chapters || t.visual && t.samples == 1 {
			continue
		}
		if t.visual && t.enabled {
			if covers(t, mediaClock{movie: ticks, source: m.timescale, media: t.timescale}, moment) {
				return t
			}
			if first == nil {
				first = t
			}
		}
		if longest == nil || t.end*longest.timescale > longest.end*t.timescale {
			longest = t
		}
	}
	if first != nil {
		return first
	}
	return longest
}

// covers reports whether a track's edit list shows its media at a moment.
func covers(t *track, c mediaClock, moment int64) bool {
	if t.samples == 0 {
		return false
	}
	left := cutEdits(t, c, moment, -1)
	return len(left) > 0 && left[0].mediaTime != empty && left[0].mediaTime < t.end && onShow(t, latestTick(left[0], c)).sample >= 0
}

// untime takes the durations from the track's edits, where the timescale that they are told in is 0, and reports whether
// one can do without: where a single one shows all media from a time on.
func (t *track) untime() bool {
	var edits []edit
	for _, e := range t.edits {
		if e.mediaTime != empty {
			e.duration = toMediaEnd
			edits = append(edits, e)
		}
	}
	t.edits = edits
	return len(edits) <= 1
}
