package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/traefik-mp4/mp4/internal/origin"
)

// What can be wrong with a file. ServeHTTP turns each into an answer.
var (
	errNotMP4     = errors.New("mp4: not an MP4 file")
	errFragmented = errors.New("mp4: a fragmented file")
	errFormat     = errors.New("mp4: not parseable")
	errOverflow   = fmt.Errorf("%w: sums are beyond 2^60", errFormat) // no media is that long
)

// Box sizes that mean something else (ISO/IEC 14496-12, 4.2), and the lengths of headers.
const (
	sizeToEnd      = 0 // the box reaches to the end of the file
	sizeLarge      = 1 // a 64-bit size follows the type
	headerLen      = 8 // size(4) + type(4)
	largeHeaderLen = headerLen + 8
	fullBoxLen     = 4              // version(1) + flags(3)
	countedLen     = fullBoxLen + 4 // + entry_count(4)
	maxTopBoxes    = 1000           // between the moov and the fragments; each may cost a request to the origin
	maxWalked      = 4000           // boxes in the search for the moov, at some 30 µs each
	hopsToEnd      = 24             // of such a search; then the end of the file is looked at
	endLen         = 64 << 10       // of the file, read at first in search for a moov that ends it
	maxNamed       = 64             // places there that are looked at because they say moov
	maxFileType    = 4 << 10
	maxTracks      = 100              // of a movie; each costs the interpreter a millisecond or more
	maxChildren    = 200              // of a box; ten million bytes could hold a million of them
	maxBoxSize     = int64(1) << 56   // a larger box is no box; leaves room for sums
	max32          = int64(1)<<32 - 1 // the largest 32-bit field
)

// source is what of a file (origin.File) its tables are read by.
type source interface {
	Size() int64
	Read(off, n int64) ([]byte, error)
	Peek(off, n, atOnce int64) ([]byte, error)
	Settled() bool
	Reserve(n int64) error
}

// movie is the index of a file: views of its ftyp and moov, and what look-ups in the tables need. Requests share it.
// What changes once it is made, what is remembered in fragments and plans, has locks of its own.
type movie struct {
	moovFirst bool
	ftyp      []byte // the whole box; empty where the file has none
	moov      *box
	bytes     int64 // of the moov and the file type box
	fileSize  int64
	settled   bool  // fileSize is
	timescale int64 // ticks per second of the movie timeline
	tracks    []*track
	leftOut   []*leftOut
	defaults  map[uint32]trackDefaults // by track_ID
	fragments *fragmentMap             // nil: the moov has all samples
	plans     *plans
	template  []slot // of the moov of every cut
}

// byteRange is a stretch of the source: [from, to).
type byteRange struct{ from, to int64 }

// memory is the number of bytes that the index holds.
func (m *movie) memory() int64 {
	n := m.bytes + keptPlans*maxPlan
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
func findMovie(src source, maxMoov int64) (*movie, error) {
	m := &movie{plans: &plans{}}
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
		typ, header, size, err := readHeader(src, off)
		if err != nil {
			return nil, err
		}
		if typ == "" && off > 0 {
			break
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
func (m *movie) readAtEnd(src source, off, maxMoov int64) (bool, error) {
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
			return true, m.take(src, moov)
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
	for i := 0; len(rest) >= headerLen && i < maxChildren; i++ {
		typ, _, size := parseHeader(rest)
		if size <= 0 || size > int64(len(rest)) || !containsType("freeskipwideudtauuidmetamfra", typ) {
			return false
		}
		rest = rest[size:]
	}
	return len(rest) == 0
}

// read reads and indexes the moov of size bytes at off.
func (m *movie) read(src source, off, header, size, maxMoov int64) error {
	if size > maxMoov {
		return fmt.Errorf("%w: %d", origin.ErrTooLarge, size)
	}
	data, err := readBox(src, "moov", off, size)
	if err != nil {
		return err
	}
	if size < header {
		// Its size would be known only once all of the file was read.
		return fmt.Errorf("%w: moov at %d reaches to the end of a file of unknown length", errFormat, off)
	}
	return m.take(src, &box{typ: "moov", at: off, header: header, data: data})
}

// take indexes a moov.
func (m *movie) take(src source, moov *box) error {
	m.moov = moov
	m.fileSize = src.Size()
	m.settled = src.Settled()
	m.bytes = int64(len(m.ftyp) + len(moov.data))
	return m.index()
}

// moovAhead reports whether a moov that ends beyond the first bytes comes before the media: then it need not be read to
// know that.
func moovAhead(src source, first int64) bool {
	off := int64(0)
	for i := 0; i < maxTopBoxes && off+largeHeaderLen <= first; i++ {
		typ, _, size, err := readHeader(src, off)
		if err != nil || size == sizeToEnd || typ == "mdat" || off == 0 && !plausible(typ) {
			return false
		}
		off += size
		if typ == "moov" {
			return off > first
		}
	}
	return false
}

// readHeader reads the header of the box at off; typ is empty at the end of the file. size is sizeToEnd or the whole
// box's length, at least that of its header.
func readHeader(src source, off int64) (typ string, header, size int64, err error) {
	if src.Size() >= 0 && off+headerLen > src.Size() {
		return "", 0, 0, nil
	}
	b, err := src.Peek(off, largeHeaderLen, origin.HopLen)
	if errors.Is(err, origin.ErrHops) {
		err = fmt.Errorf("%w: %w", errFormat, err)
	}
	if err != nil {
		return "", 0, 0, err
	}
	if len(b) < headerLen {
		return "", 0, 0, nil
	}
	typ, header, size = parseHeader(b)
	if size < 0 {
		if off == 0 {
			// No player can know what follows.
			return "", 0, 0, fmt.Errorf("%w: it begins with a box of an impossible size", errNotMP4)
		}
		// No player can know what follows.
		return "", 0, 0, fmt.Errorf("%w: box at %d has an impossible size", errFormat, off)
	}
	return typ, header, size, nil
}

// parseHeader takes a box header apart. size is sizeToEnd, -1 where it is impossible, or the whole box's length.
func parseHeader(b []byte) (typ string, header, size int64) {
	size = int64(binary.BigEndian.Uint32(b))
	typ = string(b[4:8])
	if size == sizeToEnd {
		return typ, headerLen, sizeToEnd
	}
	header = headerLen
	if size == sizeLarge {
		header, size = largeHeaderLen, -1
		if len(b) >= largeHeaderLen {
			large := binary.BigEndian.Uint64(b[8:])
			if large <= uint64(maxBoxSize) {
				size = int64(large)
			}
		}
	}
	if size < header {
		return typ, header, -1
	}
	return typ, header, size
}

// plausible reports whether a file may begin with such a box: what is seen at the front of MP4 and QuickTime files.
func plausible(typ string) bool {
	switch typ {
	case "ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "uuid", "styp", "sidx", "moof", "meta", "pdin", "udta", "junk", "pict":
		return true
	}
	return false
}

// readBox reads a whole box, size bytes at off.
func readBox(src source, typ string, off, size int64) ([]byte, error) {
	b, err := src.Read(off, size)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) < size {
		// Tables without their end: no player has all samples.
		return nil, fmt.Errorf("%w: the file ends inside of %s at %d", errFormat, typ, off)
	}
	return b[:size], nil
}

// box is a box of the moov. Only the containers that a cut looks into have children.
type box struct {
	typ      string
	at       int64 // where its header lies in the file, for errors
	header   int64
	data     []byte // the whole box
	children []*box
	tail     []byte // what follows the last child: terminators and padding of some QuickTime writers
}

// payload is what follows the header.
func payload(b *box) []byte { return b.data[b.header:] }

// versionAndFlags are those of a full box. A table that nobody has looked at, of a track whose samples are all in
// fragments, may be too short for them.
func versionAndFlags(b *box) []byte {
	p := payload(b)
	if len(p) < fullBoxLen {
		return make([]byte, fullBoxLen)
	}
	return p[:fullBoxLen]
}

// childOf returns the first child of that type, or nil.
func childOf(b *box, typ string) *box {
	for _, c := range b.children {
		if c.typ == typ {
			return c
		}
	}
	return nil
}

// fail makes an error about the box: its path is prefixed by the callers.
func (b *box) fail(what string) error {
	return fmt.Errorf("%w: %s at %d: %s", errFormat, b.typ, b.at, what)
}

// readChildren parses the box's children. Those named more than once that must be there only once are refused, as nginx
// does since CVE-2022-41741.
func readChildren(b *box, once string) error {
	rest, at := payload(b), b.at+b.header
	for len(rest) >= headerLen {
		typ, header, size := parseHeader(rest)
		if size == sizeToEnd {
			break // 32 zero bits end a QuickTime list
		}
		if size < 0 || size > int64(len(rest)) {
			// nginx and browsers refuse it, too: what follows is not known.
			return fmt.Errorf("%w: %s/%s at %d: its size is impossible", errFormat, b.typ, typ, at)
		}
		if len(once) > 0 && containsType(once, typ) && childOf(b, typ) != nil {
			return fmt.Errorf("%w: %s/%s at %d: there is one already", errFormat, b.typ, typ, at)
		}
		if len(b.children) == maxChildren {
			// A bound of time and memory.
			return b.fail("too many boxes in it")
		}
		b.children = append(b.children, &box{typ: typ, at: at, header: header, data: rest[:size:size]})
		rest = rest[size:]
		at += size
	}
	b.tail = rest
	return nil
}

// containsType reports whether typ is one of the types of four characters that list is made of.
func containsType(list, typ string) bool {
	for i := 0; i+4 <= len(list); i += 4 {
		if list[i:i+4] == typ {
			return true
		}
	}
	return false
}

// entriesOf returns the entries of a table, each of width bytes, behind lead bytes of the payload of which the last
// four count them. More bytes than the count needs are tolerated, as nginx does.
func entriesOf(b *box, lead, width int) ([]byte, error) {
	p := payload(b)
	if len(p) < lead {
		// nginx and browsers refuse it, too.
		return nil, b.fail("too short")
	}
	n := int64(binary.BigEndian.Uint32(p[lead-4:]))
	if n*int64(width) > int64(len(p)-lead) {
		// nginx and browsers refuse it, too; FFmpeg takes bytes of the next box for entries.
		return nil, b.fail(fmt.Sprintf("%d entries do not fit into it", n))
	}
	return p[lead : lead+int(n)*width], nil
}

// times is where the version-dependent times of mvhd (8.2.2), tkhd (8.3.2) and mdhd (8.4.2) lie in the payload.
type times struct {
	duration int // offset of the duration
	wide     bool
	least    int // bytes that the payload must have
}

// headerTimes finds the duration of a header box whose duration lies at v0 in version 0 and at v1 in version 1.
func headerTimes(b *box, v0, v1 int) (times, error) {
	p := payload(b)
	t := times{duration: v0, least: v0 + 4}
	if len(p) > 0 && p[0] != 0 {
		t = times{duration: v1, wide: true, least: v1 + 8}
	}
	if len(p) < t.least {
		// nginx and browsers refuse it, too.
		return t, b.fail("too short")
	}
	return t, nil
}

// value is the duration in ticks; 0 where it is not known, as all ones say.
func (t times) value(b *box) int64 {
	p := payload(b)[t.duration:]
	duration := uint64(binary.BigEndian.Uint32(p))
	if t.wide {
		duration = binary.BigEndian.Uint64(p)
	}
	if duration > uint64(maxSum) || !t.wide && duration == uint64(max32) {
		return 0
	}
	return int64(duration)
}

// Offsets of the durations in versions 0 and 1, after version and flags, creation and modification time.
const (
	mvhdDuration0, mvhdDuration1 = 16, 24 // timescale before it
	tkhdDuration0, tkhdDuration1 = 20, 28 // track_ID and a reserved field before it
	mdhdDuration0, mdhdDuration1 = 16, 24 // timescale before it
)

// untimedScale stands for a timescale of 0 in mvhd.
const untimedScale = 1000

// index reads the moov's boxes and the tables of its tracks.
func (m *movie) index() error {
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
	at, err := headerTimes(mvhd, mvhdDuration0, mvhdDuration1)
	if err != nil {
		return err
	}
	timescale := int64(binary.BigEndian.Uint32(payload(mvhd)[at.duration-4:]))
	m.timescale = timescale
	if timescale == 0 {
		m.timescale = untimedScale
	}
	size := int64(-1)
	if m.settled {
		size = m.fileSize
	}
	var reads []*trackRead
	for _, b := range m.moov.children {
		switch b.typ {
		case "trak":
			if len(reads) == maxTracks {
				// A bound of time and memory.
				return b.fail("too many tracks")
			}
			reads = append(reads, &trackRead{box: b, fileSize: size, timescale: timescale})
		case "mvex":
			m.defaults, err = readDefaults(b)
			if err != nil {
				return fmt.Errorf("mvex: %w", err)
			}
			m.fragments = newFragmentMap(m.moov.at + int64(len(m.moov.data)))
		}
	}
	var done sync.WaitGroup
	done.Add(len(reads))
	for _, r := range reads {
		go readTrack(r, &done)
	}
	done.Wait()
	left := int64(maxListed)
	for i, r := range reads {
		err = r.finish(&left, m.fileSize)
		if err != nil {
			err = fmt.Errorf("trak %d: %w", i+1, err)
		}
		if err != nil && (!r.spare || left < 0) {
			return err
		}
		if err != nil {
			m.leftOut = append(m.leftOut, &leftOut{r.box, err})
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
	m.template = newTemplate(m)
	for _, t := range m.tracks {
		if m.fragments != nil && t.samples > 0 {
			m.fragments.first = 0
		}
	}
	return nil
}

// leaves reports whether the movie is cut without that trak.
func (m *movie) leaves(trak *box) bool {
	for _, l := range m.leftOut {
		if l.trak == trak {
			return true
		}
	}
	return false
}

// trackRead is the reading of a trak. The tracks of a movie are read side by side.
type trackRead struct {
	box       *box
	fileSize  int64
	timescale int64 // of the movie
	track     *track
	spare     bool
	err       error
}

// leftOut is a trak that is neither sound nor pictures and cannot be read, or not all of it: the movie is cut without.
type leftOut struct {
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
		t.end = t.lastEnd()
		t.left = nil
	}
	if *left < 0 {
		return fmt.Errorf("trak at %d: %w", r.box.at, errListed)
	}
	if t.samples > 0 && t.spare {
		return locateKept(&kept{track: t, end: t.samples}, fileSize)
	}
	return nil
}
