package tracks

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// maker makes random films, byte by byte: small, whole, and as odd as a file may be.
type maker struct{ *rand.Rand }

// in tells whether one of n throws falls.
func (m maker) in(n int) bool { return m.IntN(n) == 0 }

func (m maker) between(low, high int) int { return low + m.IntN(high-low+1) }

func (m maker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return b
}

// made is a track in the making.
type made struct {
	id, timescale uint32
	handler       string
	version       byte
	durations     []uint32
	composition   []uint32 // nil: no ctts
	sync          []uint32 // nil: no stss; sample numbers, from 1
	sizes         []uint32
	width         int // bits of a size: 32 is a stsz, less a stz2; 0: one size for all
	chunks        []madeChunk
	wide          bool   // co64
	extra         int    // what tkhd and mdhd say of the duration: 0 what is so, else see length
	seed          uint64 // of the boxes' order and of what is put between them
}

type madeChunk struct {
	samples    int
	descriptor uint32
	at         uint64
}

func u32(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// word is a number of 32 bits, or in version 1 of 64.
func word(version byte, v uint64) []byte {
	if version == 1 {
		return binary.BigEndian.AppendUint64(nil, v)
	}
	return u32(uint32(v))
}

// pack makes a box: size, type, payload; with a 64-bit size: 1, type, size, payload.
func pack(large bool, typ string, parts ...[]byte) []byte {
	payload := slices.Concat(parts...)
	if large {
		return slices.Concat(u32(1), []byte(typ), binary.BigEndian.AppendUint64(nil, uint64(16+len(payload))), payload)
	}
	return slices.Concat(u32(uint32(8+len(payload))), []byte(typ), payload)
}

func (m maker) box(typ string, parts ...[]byte) []byte { return pack(m.in(20), typ, parts...) }

// mix shuffles boxes, and puts others between them that mean nothing to nginx.
func (m maker) mix(boxes ...[]byte) []byte {
	boxes = slices.DeleteFunc(boxes, func(b []byte) bool { return b == nil })
	for m.in(3) {
		typ := []string{"free", "skip", "wide", "uuid", "udta", "load", "Xtra"}[m.IntN(7)]
		boxes = append(boxes, m.box(typ, m.bytes(m.IntN(40))))
	}
	if m.in(3) {
		m.Shuffle(len(boxes), func(i, k int) { boxes[i], boxes[k] = boxes[k], boxes[i] })
	}
	return slices.Concat(boxes...)
}

// runs are values as pairs of a count and a value, here and there in more entries than it takes, some of them empty.
func (m maker) runs(values []uint32) []byte {
	var out []uint32
	for i, v := range values {
		if i > 0 && out[len(out)-1] == v && !m.in(20) {
			out[len(out)-2]++
			continue
		}
		if m.in(50) {
			out = append(out, 0, m.Uint32N(1000))
		}
		out = append(out, 1, v)
	}
	return slices.Concat(u32(0, uint32(len(out)/2)), u32(out...), m.bytes(4*m.IntN(2)))
}

// film makes a file.
func (m maker) film() []byte {
	timescale := []uint32{1, 600, 1000, 1000, 12345, 90000}[m.IntN(6)]
	var tracks []*made
	for i := range m.between(1, 4) {
		tracks = append(tracks, m.track(uint32(i+1)))
	}
	ftyp := pack(false, "ftyp", []byte("isom"), u32(512), []byte("isommp41"))
	if m.in(10) {
		ftyp = nil
	}
	payloads := m.media(tracks)
	toEnd := m.in(25)
	large := make([]bool, len(payloads))
	var headers []int
	for i, p := range payloads {
		large[i] = m.in(8)
		headers = append(headers, len(pack(large[i], "mdat", p))-len(p))
	}
	before := m.IntN(len(payloads) + 1) // that many mdats lie before the moov
	if m.in(2) {
		before = 0
	}
	toEnd = toEnd && before < len(payloads)
	seed := m.Uint64()
	moov := func() []byte { return maker{rand.New(rand.NewPCG(seed, 0))}.moov(tracks, timescale, seed%16 == 0) }
	size := len(moov())
	var gaps [][]byte
	for range len(payloads) + 2 {
		if m.in(6) {
			gaps = append(gaps, m.box("free", m.bytes(m.IntN(30))))
		} else {
			gaps = append(gaps, nil)
		}
	}
	// Where everything lies is known now; the chunks' places were relative to all payloads in a row.
	at := len(ftyp) + len(gaps[0])
	var file []byte
	shifts := make([]uint64, len(payloads))
	row := 0
	for i, p := range payloads {
		if i == before {
			at += size + len(gaps[1])
		}
		shifts[i] = uint64(at + headers[i] - row)
		row += len(p)
		at += headers[i] + len(p) + len(gaps[2+i])
	}
	for _, t := range tracks {
		for i := range t.chunks {
			c := &t.chunks[i]
			end := uint64(0)
			for k, p := range payloads {
				if end += uint64(len(p)); c.at < end || k == len(payloads)-1 {
					c.at += shifts[k]
					break
				}
			}
		}
	}
	file = slices.Concat(ftyp, gaps[0])
	for i, p := range payloads {
		if i == before {
			file = slices.Concat(file, moov(), gaps[1])
		}
		mdat := pack(large[i], "mdat", p)
		if toEnd && i == len(payloads)-1 {
			mdat = slices.Concat(u32(0), []byte("mdat"), p)
			if large[i] {
				mdat = pack(true, "mdat", p)
			}
			return append(file, mdat...)
		}
		file = slices.Concat(file, mdat, gaps[2+i])
	}
	if before == len(payloads) {
		file = slices.Concat(file, moov(), gaps[1])
	}
	return file
}

// media lays the chunks out, mostly interleaved and in their order, and returns the payloads of the mdats.
func (m maker) media(tracks []*made) [][]byte {
	type next struct{ track, chunk int }
	var order []next
	for i, t := range tracks {
		for k := range t.chunks {
			order = append(order, next{i, k})
		}
	}
	switch m.IntN(20) {
	case 0, 1: // one track behind the other
	case 2: // in no order at all
		m.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
	default:
		weight := func(n next) int { return n.chunk * 1000 / len(tracks[n.track].chunks) }
		slices.SortStableFunc(order, func(a, b next) int { return weight(a) - weight(b) })
	}
	payloads := [][]byte{nil}
	several := m.in(12)
	at := uint64(0)
	put := func(b []byte) {
		last := &payloads[len(payloads)-1]
		*last = append(*last, b...)
		at += uint64(len(b))
	}
	for _, n := range order {
		if several && m.in(4) && at > 0 {
			payloads = append(payloads, nil)
		}
		if m.in(10) {
			put(m.bytes(m.IntN(50)))
		}
		c := &tracks[n.track].chunks[n.chunk]
		c.at = at
		first := 0
		for _, before := range tracks[n.track].chunks[:n.chunk] {
			first += before.samples
		}
		total := 0
		for _, size := range tracks[n.track].sizes[first : first+c.samples] {
			total += int(size)
		}
		put(m.bytes(total))
	}
	return slices.DeleteFunc(payloads, func(p []byte) bool { return len(p) == 0 && len(payloads) > 1 })
}

// track makes up a track.
func (m maker) track(id uint32) *made {
	n := m.between(1, 70)
	t := &made{
		id: id, timescale: []uint32{1, 25, 90, 600, 1000, 12800, 44100, 48000, 90000, 10000000}[m.IntN(10)],
		handler: []string{"vide", "soun", "text", "tmcd", "meta"}[m.IntN(5)], wide: m.in(4), seed: m.Uint64(),
	}
	if m.in(4) {
		t.version = 1
	}
	if m.in(25) {
		t.extra = m.between(1, 5)
	}
	duration := func() uint32 { return uint32(max(1, m.between(1, 300)*int(t.timescale)/1000)) }
	d, calm := duration(), m.IntN(20)
	for range n {
		if calm == 0 || m.in(20) {
			d = duration()
		}
		t.durations = append(t.durations, d)
		if m.in(100) || len(t.durations) == 1 && m.in(20) {
			t.durations[len(t.durations)-1] = 0
		}
	}
	if m.in(2) {
		for range n {
			t.composition = append(t.composition, m.Uint32N(3)*d)
			if m.in(30) {
				t.composition[len(t.composition)-1] = uint32(-m.Int32N(int32(d) + 1))
			}
		}
		if m.in(20) {
			t.composition = t.composition[:m.IntN(n)+1] // shorter than the track
		}
	}
	if m.in(2) {
		t.sync = []uint32{}
		step := m.between(1, 30)
		for i := range n {
			if m.in(step) || i == 0 && !m.in(5) {
				t.sync = append(t.sync, uint32(i+1))
			}
		}
	}
	t.width = []int{0, 32, 32, 32, 32, 32, 32, 32, 32, 32}[m.IntN(10)]
	if m.in(25) {
		t.width = []int{4, 8, 16}[m.IntN(3)]
	}
	most := map[int]int{0: 40, 4: 15, 8: 255, 16: 300, 32: 300}[t.width]
	size := uint32(m.between(1, most))
	for range n {
		t.sizes = append(t.sizes, size)
		if t.width != 0 {
			size = uint32(m.between(0, most))
		}
	}
	per, uneven := m.between(1, 25), m.IntN(3)
	descriptor := uint32(1)
	for left := n; left > 0; {
		if uneven == 0 || m.in(8) {
			per = m.between(1, 25)
		}
		if m.in(30) {
			descriptor = 3 - descriptor
		}
		c := madeChunk{samples: min(per, left), descriptor: descriptor}
		t.chunks = append(t.chunks, c)
		left -= c.samples
	}
	return t
}

// moov makes the moov of tracks whose chunks have their places. It is as long before they have.
func (m maker) moov(tracks []*made, timescale uint32, contradicts bool) []byte {
	longest := uint64(0)
	var traks [][]byte
	for _, t := range tracks {
		longest = max(longest, t.length(timescale))
		traks = append(traks, maker{rand.New(rand.NewPCG(t.seed, 0))}.trak(t, timescale))
	}
	if contradicts {
		longest /= 2
	}
	version := byte(m.IntN(2))
	mvhd := m.box("mvhd", []byte{version, 0, 0, 0}, word(version, 1), word(version, 2), u32(timescale), word(version, longest), u32(1<<16), make([]byte, 76))
	return pack(m.in(20), "moov", m.mix(append([][]byte{mvhd}, traks...)...))
}

func (t *made) ticks() (sum uint64) {
	for _, d := range t.durations {
		sum += uint64(d)
	}
	return sum
}

// length is the duration that tkhd tells, in ticks of the movie.
func (t *made) length(timescale uint32) uint64 {
	ticks := t.ticks() * uint64(timescale) / uint64(t.timescale)
	switch t.extra {
	case 1:
		return 0
	case 2:
		return ticks / 2
	case 3:
		return ticks*2 + 1
	case 4:
		return 1<<32 - 1
	}
	return ticks
}

func (m maker) trak(t *made, timescale uint32) []byte {
	head := func(typ string, before []uint32, duration uint64, rest int) []byte {
		v := t.version
		return m.box(typ, []byte{v, 0, 0, 7}, word(v, 1), word(v, 2), u32(before...), word(v, duration), make([]byte, rest))
	}
	ticks := t.ticks()
	if t.extra == 5 {
		ticks *= 2
	}
	tkhd := head("tkhd", []uint32{t.id, 0}, t.length(timescale), 60)
	mdhd := head("mdhd", []uint32{t.timescale}, ticks, 4)
	hdlr := m.box("hdlr", u32(0, 0), []byte(t.handler), make([]byte, 13))
	entry := pack(false, "test", u32(0, 1), make([]byte, 20))
	stsd := m.box("stsd", u32(0, 2), entry, entry)
	stbl := m.box("stbl", m.mix(stsd, m.box("stts", m.runs(t.durations)), m.ctts(t), m.stss(t), m.box("stsc", m.stsc(t)), m.stsz(t), m.chunks(t), m.sdtp(t)))
	dinf := m.box("dinf", pack(false, "dref", u32(0, 1), pack(false, "url ", u32(1))))
	kind := m.box("smhd", make([]byte, 8))
	if t.handler == "vide" {
		kind = m.box("vmhd", make([]byte, 12))
	}
	var edts []byte
	if m.in(3) {
		edts = m.box("edts", pack(false, "elst", u32(0, 1, uint32(t.length(timescale)/2), m.Uint32N(100), 1<<16)))
	}
	return m.box("trak", m.mix(tkhd, edts, m.box("mdia", m.mix(mdhd, hdlr, m.box("minf", m.mix(kind, dinf, stbl))))))
}

func (m maker) ctts(t *made) []byte {
	if t.composition == nil {
		return nil
	}
	return m.box("ctts", m.runs(t.composition))
}

func (m maker) stss(t *made) []byte {
	if t.sync == nil {
		return nil
	}
	return m.box("stss", u32(0, uint32(len(t.sync))), u32(t.sync...))
}

func (m maker) sdtp(t *made) []byte {
	if m.in(2) {
		return nil
	}
	return m.box("sdtp", u32(0), m.bytes(len(t.durations)))
}

// stsc has here and there an entry more than it takes.
func (m maker) stsc(t *made) []byte {
	var out []uint32
	for i, c := range t.chunks {
		if i > 0 && c.samples == t.chunks[i-1].samples && c.descriptor == t.chunks[i-1].descriptor && !m.in(8) {
			continue
		}
		out = append(out, uint32(i+1), uint32(c.samples), c.descriptor)
	}
	return slices.Concat(u32(0, uint32(len(out)/3)), u32(out...))
}

func (m maker) stsz(t *made) []byte {
	n := uint32(len(t.sizes))
	switch t.width {
	case 0:
		return m.box("stsz", u32(0, t.sizes[0], n))
	case 32:
		return m.box("stsz", u32(0, 0, n), u32(t.sizes...))
	}
	packed := make([]byte, (len(t.sizes)*t.width+7)/8)
	for i, size := range t.sizes {
		switch t.width {
		case 4:
			packed[i/2] |= byte(size << (4 - 4*(i%2)))
		case 8:
			packed[i] = byte(size)
		default:
			binary.BigEndian.PutUint16(packed[2*i:], uint16(size))
		}
	}
	return m.box("stz2", u32(0, uint32(t.width), n), packed)
}

func (m maker) chunks(t *made) []byte {
	out := u32(0, uint32(len(t.chunks)))
	for _, c := range t.chunks {
		if t.wide {
			out = binary.BigEndian.AppendUint64(out, c.at)
		} else {
			out = binary.BigEndian.AppendUint32(out, uint32(c.at))
		}
	}
	if t.wide {
		return m.box("co64", out)
	}
	return m.box("stco", out)
}
