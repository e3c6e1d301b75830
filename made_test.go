package mp4

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand"
	"sort"
)

// Movies made byte by byte. No name in here may be one of build_test.go's: Yaegi puts both packages into one scope.

// memorySource is a file in memory, from at on; what lies before and behind reads as zeros, up to length.
type memorySource struct {
	data      []byte
	at        int64
	length    int64 // of the file; 0: of data
	hidden    bool  // the length is not known
	unsettled bool  // the length is not the last word
	asked     int64 // bytes that were read
}

func (s *memorySource) Settled() bool { return !s.unsettled }

func (s *memorySource) Size() int64 {
	if s.hidden {
		return -1
	}
	return s.end()
}

func (s *memorySource) end() int64 {
	if s.length != 0 {
		return s.length
	}
	return int64(len(s.data))
}

func (s *memorySource) Read(off, n int64) ([]byte, error) {
	if off > s.end() {
		off = s.end()
	}
	if n > s.end()-off {
		n = s.end() - off
	}
	s.asked += n
	from := off - s.at
	if from >= 0 && from+n <= int64(len(s.data)) {
		return s.data[from : from+n : from+n], nil
	}
	b := make([]byte, n)
	for i := range b {
		at := from + int64(i)
		if at >= 0 && at < int64(len(s.data)) {
			b[i] = s.data[at]
		}
	}
	return b, nil
}

// ReadAlong has all come bit by bit.
func (s *memorySource) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	b, err := s.Read(off, n)
	end := int64(len(b))
	come := minInt64(n%29, end)
	for come < end {
		come = minInt64(maxInt64(follow(b[:come:come]), come+1), end)
	}
	follow(b)
	return b, err
}

func (s *memorySource) Reserve(int64) error { return nil }

func (s *memorySource) Peek(off, n, atOnce int64) ([]byte, error) { return s.Read(off, n) }

// failingSource is a file that cannot be read from an offset on.
type failingSource struct {
	data []byte
	from int64
	err  error
}

func (s *failingSource) Settled() bool { return true }
func (s *failingSource) Size() int64   { return int64(len(s.data)) }

func (s *failingSource) Read(off, n int64) ([]byte, error) {
	end := minInt64(off+n, s.Size())
	if off >= s.from || end > s.from {
		return nil, s.err
	}
	return s.data[off:end], nil
}

func (s *failingSource) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	return s.Read(off, n)
}

func (s *failingSource) Reserve(int64) error { return nil }

func (s *failingSource) Peek(off, n, atOnce int64) ([]byte, error) { return s.Read(off, n) }

// number returns v in so many bytes.
func number(v int64, width int) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint64(b, uint64(v))
	return b[8-width:]
}

// u32 returns 32-bit numbers.
func u32(values ...int64) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

// rawBox is a box: size(4), type(4), payload.
func rawBox(typ string, payload ...[]byte) []byte {
	body := bytes.Join(payload, nil)
	return bytes.Join([][]byte{u32(int64(headerLen + len(body))), []byte(typ), body}, nil)
}

// largeBox is a box with a 64-bit size: 1(4), type(4), largesize(8), payload.
func largeBox(typ string, payload ...[]byte) []byte {
	body := bytes.Join(payload, nil)
	return bytes.Join([][]byte{u32(sizeLarge), []byte(typ), number(int64(largeHeaderLen+len(body)), 8), body}, nil)
}

// fullBox is a box whose payload begins with version(1) and flags(3).
func fullBox(typ string, version int, payload ...[]byte) []byte {
	return rawBox(typ, u32(int64(version)<<24), bytes.Join(payload, nil))
}

// madeEdit is an entry of an edit list, as it stands in the file.
type madeEdit struct{ duration, mediaTime, rate int64 }

// madeChunk is a chunk of a made track.
type madeChunk struct {
	samples, description int64
	at                   int64 // where layOut puts it
}

// madeTrack says what a trak contains. Samples are numbered from 0.
type madeTrack struct {
	id, timescale int64
	handler       string
	format        string // of the sample entry
	entry         []byte // all of it; nil: zeros
	disabled      bool
	version       int // of tkhd and mdhd

	durations []int64
	offsets   []int64 // composition offsets; nil: no ctts
	offsetsV  int     // version of ctts
	sync      []int64 // nil: no stss
	partial   []int64 // nil: no stps
	sizes     []int64
	sizeBits  int // 32: stsz; 4, 8, 16: stz2; 0: stsz, all of sizes[0]
	chunks    []madeChunk
	wide      bool // co64
	split     int  // a run in stts, ctts and stsc has at most so many samples or chunks; 0: any number
	edits     []madeEdit
	editsV    int
	info      []int64 // bytes of auxiliary information for each sample, behind saiz and saio; nil: none
	infoWhole bool    // in one piece before the first chunk; else before each
	infoAt    []int64 // where layOut puts it
	inTrak    []byte  // further boxes
	inMinf    []byte
	inStbl    []byte
	large     string // types of boxes with 64-bit sizes
}

// madeMovie says what a file contains.
type madeMovie struct {
	timescale int64
	version   int // of mvhd
	tracks    []*madeTrack
	order     []madePlace
	moovLast  bool
	inMoov    []byte // before the tracks
	afterMoov []byte // behind them
	front     []byte // top-level boxes between ftyp and the rest
	between   []byte // between moov and mdat
	large     bool   // 64-bit sizes of moov and mdat
	toEnd     bool   // mdat has the size 0
	random    *rand.Rand
}

// madePlace is what lies next in the file's media: a chunk of a track, or so many bytes that are none of anyone's, or
// the end of one mdat and the begin of the next.
type madePlace struct {
	track, chunk int
	gap          int
	newMedia     bool
}

// box makes a box of a track, with a 64-bit size where the track says so.
func (t *madeTrack) box(typ string, payload ...[]byte) []byte {
	if containsType(t.large, typ) {
		return largeBox(typ, payload...)
	}
	return rawBox(typ, payload...)
}

// pairs are run-length pairs of values, each run of at most split.
func pairs(values []int64, split int) []byte {
	var out []int64
	for i, v := range values {
		n := len(out)
		if n > 0 && out[n-1] == v && (split == 0 || out[n-2] < int64(split)) && i > 0 {
			out[n-2]++
			continue
		}
		out = append(out, 1, v)
	}
	return append(u32(int64(len(out)/2)), u32(out...)...)
}

// timedHeader makes a mvhd, tkhd or mdhd: fields before the duration, the duration, the rest.
func timedHeader(typ string, version, flags int, before []int64, duration int64, rest []byte) []byte {
	width := 4
	if version == 1 {
		width = 8
	}
	const created, changed = 0xC0FFEE, 0xDECADE
	return rawBox(typ, u32(int64(version)<<24|int64(flags)), number(created, width), number(changed, width), u32(before...),
		number(duration, width), rest)
}

func (m *madeMovie) mvhd() []byte {
	duration := int64(0)
	for _, t := range m.tracks {
		duration = maxInt64(duration, t.length(m.timescale))
	}
	return timedHeader("mvhd", m.version, 0, []int64{m.timescale}, duration, append(u32(1<<16), make([]byte, 76)...))
}

// length is the sum of the edits, or else that of the samples, in movie ticks.
func (t *madeTrack) length(timescale int64) int64 {
	sum := int64(0)
	for _, e := range t.edits {
		sum += e.duration
	}
	if len(t.edits) > 0 {
		return sum
	}
	return t.mediaLength() * timescale / t.timescale
}

func (t *madeTrack) mediaLength() int64 {
	sum := int64(0)
	for _, d := range t.durations {
		sum += d
	}
	return sum
}

// trak makes the trak box. Where the chunks lie must be known, but for its size.
func (t *madeTrack) trak(timescale int64) []byte {
	flags := 7
	if t.disabled {
		flags = 6
	}
	tkhd := timedHeader("tkhd", t.version, flags, []int64{t.id, 0}, t.length(timescale), make([]byte, 60))
	mdhd := timedHeader("mdhd", t.version, 0, []int64{t.timescale}, t.mediaLength(), u32(0x55C40000))
	hdlr := fullBox("hdlr", 0, u32(0), []byte(t.handler), make([]byte, 13))
	minf := t.box("minf", t.inMinf, t.box("stbl", t.tables()))
	return t.box("trak", tkhd, t.edts(), t.box("mdia", mdhd, hdlr, minf), t.inTrak)
}

func (t *madeTrack) edts() []byte {
	if t.edits == nil {
		return nil
	}
	width := 4
	if t.editsV == 1 {
		width = 8
	}
	body := u32(int64(len(t.edits)))
	for _, e := range t.edits {
		body = append(body, number(e.duration, width)...)
		body = append(body, number(e.mediaTime, width)...)
		body = append(body, u32(e.rate)...)
	}
	return t.box("edts", fullBox("elst", t.editsV, body))
}

// tables makes the children of the stbl.
func (t *madeTrack) tables() []byte {
	entry := t.entry
	if entry == nil {
		entry = rawBox(t.format, make([]byte, 28))
	}
	out := fullBox("stsd", 0, u32(2), entry, entry)
	out = append(out, t.box("stts", u32(0), pairs(t.durations, t.split))...)
	if t.offsets != nil {
		out = append(out, t.box("ctts", u32(int64(t.offsetsV)<<24), pairs(t.offsets, t.split))...)
	}
	out = append(out, t.syncTable("stss", t.sync)...)
	out = append(out, t.syncTable("stps", t.partial)...)
	out = append(out, t.box("stsc", u32(0), t.chunkRuns())...)
	out = append(out, t.sizeTable()...)
	typ, width := "stco", 4
	if t.wide {
		typ, width = "co64", 8
	}
	chunks := u32(0, int64(len(t.chunks)))
	for _, c := range t.chunks {
		chunks = append(chunks, number(c.at, width)...)
	}
	out = append(out, t.box(typ, chunks)...)
	out = append(out, t.infoTables()...)
	return append(out, t.inStbl...)
}

// infoTables are the saiz, with sizes of one byte, and the saio, with offsets of four.
func (t *madeTrack) infoTables() []byte {
	if t.info == nil {
		return nil
	}
	kind := append([]byte("cenc"), 0, 0, 0, 0) // aux_info_type, aux_info_type_parameter
	sizes := []byte{0}                         // default_sample_info_size
	sizes = append(sizes, u32(int64(len(t.info)))...)
	for _, n := range t.info {
		sizes = append(sizes, byte(n))
	}
	t.infoPlaces()
	return append(rawBox("saiz", u32(1), kind, sizes), rawBox("saio", u32(1), kind, u32(int64(len(t.infoAt))), u32(t.infoAt...))...)
}

// infoPlaces makes room for where the information lies.
func (t *madeTrack) infoPlaces() {
	if t.infoAt == nil {
		t.infoAt = make([]int64, len(t.chunks))
		if t.infoWhole {
			t.infoAt = t.infoAt[:1]
		}
	}
}

// infoOf is how many bytes of information there are before a chunk.
func (t *madeTrack) infoOf(chunk int) int64 {
	first, end := int64(0), int64(0)
	for i, c := range t.chunks[:chunk+1] {
		if i < chunk {
			first += c.samples
		}
		end += c.samples
	}
	if t.infoWhole {
		first, end = 0, int64(len(t.info))
	}
	sum := int64(0)
	for i := first; i < end && i < int64(len(t.info)); i++ {
		sum += t.info[i]
	}
	return sum
}

func (t *madeTrack) syncTable(typ string, samples []int64) []byte {
	if samples == nil {
		return nil
	}
	table := u32(0, int64(len(samples)))
	for _, s := range samples {
		table = append(table, u32(s+1)...) // counted from 1 in the file
	}
	return t.box(typ, table)
}

// chunkRuns are the count and the entries of stsc.
func (t *madeTrack) chunkRuns() []byte {
	var out []byte
	n, begins := int64(0), 0
	for i, c := range t.chunks {
		last := t.chunks[begins]
		if i > 0 && c.samples == last.samples && c.description == last.description && (t.split == 0 || i-begins < t.split) {
			continue
		}
		out = append(out, u32(int64(i+1), c.samples, c.description)...)
		begins = i
		n++
	}
	return append(u32(n), out...)
}

// sizeTable makes the stsz or stz2.
func (t *madeTrack) sizeTable() []byte {
	count := u32(int64(len(t.sizes)))
	switch t.sizeBits {
	case 0:
		return t.box("stsz", u32(0, t.sizes[0]), count)
	case 32:
		return t.box("stsz", u32(0, 0), count, u32(t.sizes...))
	case 4:
		packed := make([]byte, (len(t.sizes)+1)/2)
		for i, size := range t.sizes {
			packed[i/2] |= byte(size << (4 - 4*uint(i%2)))
		}
		return t.box("stz2", u32(0, 4), count, packed)
	}
	var packed []byte
	for _, size := range t.sizes {
		packed = append(packed, number(size, t.sizeBits/8)...)
	}
	return t.box("stz2", u32(0, int64(t.sizeBits)), count, packed)
}

// chunkSize is the number of bytes of a chunk.
func (t *madeTrack) chunkSize(chunk int) int64 {
	first := int64(0)
	for _, c := range t.chunks[:chunk] {
		first += c.samples
	}
	sum := int64(0)
	for i := first; i < first+t.chunks[chunk].samples && i < int64(len(t.sizes)); i++ {
		sum += t.sizes[i]
	}
	return sum
}

// moov makes the moov.
func (m *madeMovie) moov() []byte {
	parts := [][]byte{m.mvhd(), m.inMoov}
	for _, t := range m.tracks {
		parts = append(parts, t.trak(m.timescale))
	}
	parts = append(parts, m.afterMoov)
	if m.large {
		return largeBox("moov", parts...)
	}
	return rawBox("moov", parts...)
}

// file makes the file: its length does not depend on where the chunks lie.
func (m *madeMovie) file() []byte {
	ftyp := rawBox("ftyp", []byte("isom"), u32(512), []byte("isomiso2mp41"))
	head := append(append([]byte{}, ftyp...), m.front...)
	if m.moovLast {
		out := m.layOut(head)
		return append(out, m.moov()...)
	}
	lead := append(append([]byte{}, head...), m.moov()...)
	out := m.layOut(append(lead, m.between...))
	copy(out[len(head):], m.moov())
	return out
}

// layOut appends the media to what comes before it, and notes where the chunks lie.
func (m *madeMovie) layOut(out []byte) []byte {
	header := headerLen
	if m.large {
		header = largeHeaderLen
	}
	begins := len(out)
	out = append(out, make([]byte, header)...)
	for _, p := range m.order {
		if p.newMedia {
			m.closeMedia(out[begins:], false)
			out = append(out, rawBox("free", make([]byte, 5))...)
			begins = len(out)
			out = append(out, make([]byte, header)...)
			continue
		}
		n := int64(p.gap)
		if p.gap == 0 {
			t := m.tracks[p.track]
			t.infoPlaces()
			if t.info != nil && (!t.infoWhole || t.infoAt[0] == 0) {
				info := make([]byte, t.infoOf(p.chunk))
				m.random.Read(info)
				t.infoAt[p.chunk%len(t.infoAt)] = int64(len(out))
				out = append(out, info...)
			}
			t.chunks[p.chunk].at = int64(len(out))
			n = t.chunkSize(p.chunk)
		}
		at := len(out)
		out = append(out, make([]byte, n)...)
		if m.random != nil {
			m.random.Read(out[at:])
		}
	}
	m.closeMedia(out[begins:], m.toEnd)
	return out
}

// closeMedia fills in the header of a mdat.
func (m *madeMovie) closeMedia(media []byte, toEnd bool) {
	size := u32(int64(len(media)))
	if m.large {
		size = u32(sizeLarge)
		copy(media[8:], number(int64(len(media)), 8))
	}
	if toEnd {
		size = u32(sizeToEnd)
	}
	copy(media, size)
	copy(media[4:], "mdat")
}

// inOrder lays the chunks of all tracks out in turn.
func (m *madeMovie) inOrder() {
	most := 0
	for _, t := range m.tracks {
		if len(t.chunks) > most {
			most = len(t.chunks)
		}
	}
	for i := 0; i < most; i++ {
		for n, t := range m.tracks {
			if i < len(t.chunks) {
				m.order = append(m.order, madePlace{track: n, chunk: i})
			}
		}
	}
}

// newMadeTrack is a track of so many samples of a constant duration and different sizes, three in a chunk.
func newMadeTrack(handler string, timescale, samples, duration int64) *madeTrack {
	t := &madeTrack{id: 1, handler: handler, format: "avc1", timescale: timescale, sizeBits: 32}
	if handler == "soun" {
		t.format = "mp4a"
	}
	for i := int64(0); i < samples; i++ {
		t.durations = append(t.durations, duration)
		t.sizes = append(t.sizes, 10+i%7)
	}
	t.chunked(3)
	return t
}

// chunked puts so many samples into each chunk.
func (t *madeTrack) chunked(perChunk int64) {
	t.chunks = nil
	left := int64(len(t.sizes))
	for left > 0 {
		n := minInt64(perChunk, left)
		t.chunks = append(t.chunks, madeChunk{samples: n, description: 1})
		left -= n
	}
}

// newMadeMovie is a movie of these tracks with a timescale of 1000.
func newMadeMovie(tracks ...*madeTrack) *madeMovie {
	m := &madeMovie{timescale: 1000, tracks: tracks, random: rand.New(rand.NewSource(1))}
	for i, t := range tracks {
		t.id = int64(i + 1)
	}
	m.inOrder()
	return m
}

// oneOf is one of the values.
func oneOf(r *rand.Rand, values ...int64) int64 { return values[r.Intn(len(values))] }

// randomMovie makes a movie of one to four tracks, each unlike the others.
func randomMovie(r *rand.Rand) *madeMovie {
	m := &madeMovie{
		timescale: oneOf(r, 1000, 1000, 600, 1, 7, 25, 44100, 48000, 90000, 1001, 30000, 16777259),
		version:   r.Intn(2),
		moovLast:  r.Intn(2) == 0,
		large:     r.Intn(5) == 0,
		random:    r,
	}
	seconds := 0.3 + 6*r.Float64()
	for i := 1 + r.Intn(4); i > 0; i-- {
		t := randomTrack(r, seconds*(0.5+r.Float64()))
		t.id = int64(len(m.tracks) + 1)
		if r.Intn(8) == 0 {
			t.id += 1 << 31
		}
		t.randomEdits(r, m.timescale)
		m.tracks = append(m.tracks, t)
	}
	m.randomOrder(r)
	m.randomBoxes(r)
	m.toEnd = !m.moovLast && !m.large && r.Intn(6) == 0
	return m
}

// randomOrder interleaves the chunks of the tracks at random, in the order of each track but now and then in none.
func (m *madeMovie) randomOrder(r *rand.Rand) {
	for n, t := range m.tracks {
		for i := range t.chunks {
			m.order = append(m.order, madePlace{track: n, chunk: i})
		}
	}
	r.Shuffle(len(m.order), func(i, j int) { m.order[i], m.order[j] = m.order[j], m.order[i] })
	if r.Intn(6) != 0 {
		next := make([]int, len(m.tracks))
		for i, p := range m.order {
			m.order[i].chunk = next[p.track]
			next[p.track]++
		}
	}
	var order []madePlace
	for _, p := range m.order {
		switch r.Intn(20) {
		case 0:
			order = append(order, madePlace{gap: 1 + r.Intn(50)})
		case 1:
			if r.Intn(4) == 0 {
				order = append(order, madePlace{newMedia: true})
			}
		}
		order = append(order, p)
	}
	if r.Intn(10) == 0 {
		at := r.Intn(len(order) + 1)
		order = append(order[:at:at], append([]madePlace{{gap: maxUnused + r.Intn(1000)}}, order[at:]...)...)
	}
	m.order = order
}

// randomBoxes adds boxes that a cut keeps as they are, or drops.
func (m *madeMovie) randomBoxes(r *rand.Rand) {
	junk := func() []byte {
		b := make([]byte, r.Intn(40))
		r.Read(b)
		return rawBox([]string{"free", "udta", "uuid", "wide", "abcd", "iods"}[r.Intn(6)], b)
	}
	if r.Intn(3) == 0 {
		m.front = rawBox("free", make([]byte, r.Intn(100)))
	}
	if r.Intn(3) == 0 {
		m.between = rawBox("free", make([]byte, r.Intn(9)))
	}
	if r.Intn(3) == 0 {
		m.inMoov = junk()
	}
	if r.Intn(3) == 0 {
		m.afterMoov = junk()
	}
	if r.Intn(6) == 0 {
		m.afterMoov = append(m.afterMoov, 0, 0, 0, 0) // QuickTime's end of a list
	}
	for _, t := range m.tracks {
		if r.Intn(3) == 0 {
			t.inTrak = junk()
		}
		if r.Intn(4) == 0 {
			other := m.tracks[r.Intn(len(m.tracks))]
			t.inTrak = append(t.inTrak, rawBox("tref", rawBox("cdsc", u32(other.id)), rawBox("sync", u32(m.tracks[0].id, other.id)))...)
		}
		if r.Intn(3) == 0 {
			t.inMinf = rawBox("vmhd", make([]byte, 12))
		}
		if r.Intn(3) == 0 {
			t.inStbl = append(t.inStbl, junk()...)
		}
		for _, typ := range []string{"trak", "mdia", "minf", "stbl", "stts", "ctts", "stsc", "stsz", "stz2", "stco", "co64", "stss", "edts"} {
			if r.Intn(30) == 0 {
				t.large += typ
			}
		}
	}
}

// randomTrack makes a track of about so many seconds.
func randomTrack(r *rand.Rand, seconds float64) *madeTrack {
	t := &madeTrack{
		handler:   []string{"vide", "vide", "soun", "text"}[r.Intn(4)],
		format:    "avc1",
		timescale: oneOf(r, 1, 25, 90, 600, 1000, 1001, 12800, 24000, 30000, 44100, 48000, 90000, 1000000),
		version:   r.Intn(2),
		disabled:  r.Intn(6) == 0,
		wide:      r.Intn(4) == 0,
		split:     []int{0, 0, 1, 2, 5}[r.Intn(5)],
	}
	if t.handler == "soun" {
		t.format = []string{"mp4a", "Opus", "twos", ".mp3"}[r.Intn(4)]
	}
	if t.handler == "text" { // or what is cut as texts are, or is not
		t.handler = []string{"text", "sbtl", "subt", "subp", "clcp", "meta", "tmcd"}[r.Intn(7)]
	}
	perSecond := []float64{10, 25, 24000.0 / 1001, 60, 3}[r.Intn(5)]
	typical := int64(float64(t.timescale) / perSecond)
	if typical < 1 {
		typical = 1
	}
	n := 1 + int(seconds*float64(t.timescale)/float64(typical))
	if n > 150 {
		n = 150
	}
	uneven := r.Intn(3)
	for i := 0; i < n; i++ {
		d := typical
		switch {
		case uneven == 1 && r.Intn(4) == 0:
			d = 1 + r.Int63n(3*typical)
		case uneven == 2:
			d = 1 + r.Int63n(2*typical)
		case uneven == 1 && r.Intn(30) == 0:
			d = 0
		}
		t.durations = append(t.durations, d)
	}
	if t.durations[n-1] == 0 { // what is shown last must be seen
		t.durations[n-1] = 1
	}
	t.randomPictures(r)
	t.randomSizes(r)
	t.randomChunks(r)
	t.randomSampleBoxes(r)
	return t
}

// randomPictures decides which samples are sync samples and when they are shown.
func (t *madeTrack) randomPictures(r *rand.Rand) {
	n := len(t.durations)
	shape := r.Intn(6)
	if t.handler != "vide" { // nothing but pictures is shown in another order
		if shape == 1 {
			t.sync = []int64{0}
		}
		return
	}
	if shape == 0 {
		return
	}
	for i, d := range t.durations {
		t.durations[i] = maxInt64(d, 1) // a picture that is never seen has no place in the order of the others
	}
	if shape == 1 { // anything
		t.sync = []int64{}
		for i := 0; i < n; i++ {
			t.offsets = append(t.offsets, oneOf(r, 0, 1, 2, t.durations[i], 3*t.durations[i]))
			if r.Intn(6) == 0 {
				t.sync = append(t.sync, int64(i))
			}
			if r.Intn(3) == 0 {
				t.offsets[i] = -r.Int63n(t.durations[i] + 1)
				t.offsetsV = r.Intn(2) // files with signed offsets in version 0 exist
			}
		}
		t.apart()
		return
	}
	t.groups(r, shape == 2)
	if r.Intn(8) == 0 {
		t.offsets = t.offsets[:r.Intn(n)]
	}
	if shape == 3 {
		t.offsets = nil
	}
}

// apart moves pictures that would be shown at once.
func (t *madeTrack) apart() {
	taken := map[int64]bool{}
	begins := int64(0)
	for i := range t.offsets {
		for taken[begins+t.offsets[i]] {
			t.offsets[i]++
		}
		taken[begins+t.offsets[i]] = true
		begins += t.durations[i]
	}
}

// groups makes groups of pictures with B-frames, open or closed: pictures in the order in which they are shown, each
// anchor decoded before those that are shown between it and the one before.
func (t *madeTrack) groups(r *rand.Rand, open bool) {
	n := len(t.durations)
	length := 1 + r.Intn(40)
	var decode []int // place in the order of showing
	from := 0
	for from < n {
		to := minInt(from+1+r.Intn(4), n) - 1 // the next anchor
		key := from/length != to/length || from == 0
		if key && !open {
			to = from // nothing is shown before a closed group's key frame
		}
		if key {
			t.sync = append(t.sync, int64(len(decode)))
		}
		decode = append(decode, to)
		for i := from; i < to; i++ {
			decode = append(decode, i)
		}
		from = to + 1
	}
	begins := make([]int64, n+1)
	for i, d := range t.durations {
		begins[i+1] = begins[i] + d
	}
	late := int64(0)
	for i, place := range decode {
		late = maxInt64(late, begins[i]-begins[place])
	}
	if r.Intn(3) == 0 { // signed offsets
		t.offsetsV = 1
		late = 0
		if r.Intn(2) == 0 {
			late = r.Int63n(t.durations[0] + 1)
		}
	}
	for i, place := range decode {
		t.offsets = append(t.offsets, begins[place]+late-begins[i])
	}
	if open && r.Intn(3) == 0 && len(t.sync) > 1 {
		t.partial = t.sync[1:]
		t.sync = t.sync[:1]
	}
}

func (t *madeTrack) randomSizes(r *rand.Rand) {
	t.sizeBits = int(oneOf(r, 32, 32, 32, 0, 4, 8, 16))
	most := 60
	if t.sizeBits == 4 {
		most = 15
	}
	for i := range t.durations {
		size := int64(1 + r.Intn(most))
		if t.sizeBits == 0 && i > 0 {
			size = t.sizes[0]
		} else if t.sizeBits != 0 && r.Intn(40) == 0 {
			size = 0
		}
		t.sizes = append(t.sizes, size)
	}
}

func (t *madeTrack) randomChunks(r *rand.Rand) {
	left := int64(len(t.sizes))
	perChunk, uneven := 1+r.Int63n(6), r.Intn(3)
	for left > 0 {
		c := madeChunk{samples: minInt64(perChunk, left), description: 1}
		if uneven == 0 && r.Intn(3) == 0 {
			c.samples = minInt64(1+r.Int63n(9), left)
		}
		if uneven == 1 && r.Intn(12) == 0 {
			c.samples = 0
		}
		if r.Intn(12) == 0 {
			c.description = 2
		}
		t.chunks = append(t.chunks, c)
		left -= c.samples
	}
}

// randomSampleBoxes adds boxes that have something to say of every sample.
func (t *madeTrack) randomSampleBoxes(r *rand.Rand) {
	n := len(t.durations)
	bytesOf := func(n int) []byte {
		b := make([]byte, n)
		r.Read(b)
		return b
	}
	if r.Intn(4) == 0 {
		t.inStbl = append(t.inStbl, fullBox("sdtp", 0, bytesOf(n))...)
	}
	if r.Intn(8) == 0 {
		t.inStbl = append(t.inStbl, fullBox("stdp", 0, bytesOf(2*n))...)
	}
	if r.Intn(4) == 0 {
		groups := make([]int64, 1+r.Intn(n))
		for i := range groups {
			groups[i] = r.Int63n(2)
		}
		t.inStbl = append(t.inStbl, fullBox("sgpd", 1, []byte("roll"), u32(2, 1), number(-r.Int63n(6), 2))...)
		t.inStbl = append(t.inStbl, fullBox("sbgp", 0, []byte("roll"), pairs(groups, t.split))...)
	}
	if r.Intn(8) == 0 {
		t.inStbl = append(t.inStbl, fullBox("cslg", 0, make([]byte, 20))...)
	}
	t.randomRareBoxes(r)
}

// randomEdits gives the track an edit list, or none.
func (t *madeTrack) randomEdits(r *rand.Rand, timescale int64) {
	length := t.mediaLength()
	inMovie := func(ticks int64) int64 { return ticks * timescale / t.timescale }
	first := int64(0)
	if len(t.offsets) > 0 {
		first = maxInt64(t.offsets[0], 0)
	}
	t.editsV = r.Intn(2)
	normal := madeEdit{maxInt64(inMovie(length), 1), first, normalRate}
	switch r.Intn(8) {
	case 0, 1, 2:
		t.edits = []madeEdit{normal}
	case 3:
		t.edits = []madeEdit{{maxInt64(inMovie(r.Int63n(length+1)), 1), -1, normalRate}, normal}
	case 4:
		normal.duration = oneOf(r, 0, -1) // the rest of the media
		t.edits = []madeEdit{normal}
	case 5:
		for i := 1 + r.Intn(4); i > 0; i-- {
			e := madeEdit{maxInt64(inMovie(r.Int63n(length+1)), 1), r.Int63n(length), normalRate}
			switch r.Intn(8) {
			case 0:
				e.rate = 0
			case 1:
				e.rate = oneOf(r, normalRate/2, normalRate*2)
			case 2:
				e.mediaTime = -1
			}
			t.edits = append(t.edits, e)
		}
	}
}

// randomInterval is an interval that begins within the movie, or a little behind its end.
func randomInterval(r *rand.Rand, lengthMS int64) msInterval {
	iv := msInterval{start: r.Int63n(lengthMS + lengthMS/20 + 2), end: -1}
	if r.Intn(8) == 0 {
		iv.start = r.Int63n(3)
	}
	switch r.Intn(4) {
	case 0:
		iv.end = iv.start + 1 + r.Int63n(lengthMS+1)
	case 1:
		iv.end = iv.start + oneOf(r, 1, 2, 5, 10, 40, 100, 1000)
	}
	return iv
}

// assemble writes a cut into memory, in one go or in pieces that are split anywhere.
func assemble(c *cut, data []byte, r *rand.Rand) ([]byte, error) {
	var out bytes.Buffer
	var w io.Writer = &out
	for _, s := range c.segments {
		if s.fromSource {
			out.Write(data[s.off : s.off+s.length])
			continue
		}
		bounds := []int64{0, s.length}
		for i := 0; r != nil && i < 4; i++ {
			bounds = append(bounds, r.Int63n(s.length+1))
		}
		sort.Slice(bounds, func(i, j int) bool { return bounds[i] < bounds[j] })
		for i := 1; i < len(bounds); i++ {
			err := writeSegment(s, w, bounds[i-1], bounds[i])
			if err != nil {
				return nil, err
			}
		}
	}
	return out.Bytes(), nil
}

// milliseconds is how long the longest track is.
func (m *madeMovie) milliseconds() int64 {
	longest := int64(0)
	for _, t := range m.tracks {
		longest = maxInt64(longest, maxInt64(t.length(m.timescale)*1000/m.timescale, t.mediaLength()*1000/t.timescale))
	}
	return longest
}
