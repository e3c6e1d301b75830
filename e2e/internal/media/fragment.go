package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"
)

// layout is how the samples of a film are put into fragments. ffmpeg knows few of the ways that packagers, cameras and
// recorders have.
type layout struct {
	seconds  float64   // that a fragment lasts; 0: 2
	anywhere bool      // fragments begin at any picture, as low-latency chunks do; else at key frames
	inMoov   int       // fragments whose samples the moov has
	apart    bool      // each track has a moof of its own
	trafs    int       // that a track has in a moof; 0: 1
	runs     int       // that a traf has; 0: 1
	base     dataBase  // what data offsets count from
	tfdt     tfdtKind  // version of the decode times
	defaults defaultIn // where the defaults of duration and flags are
	index    indexKind
	extras   bool // styp, prft and emsg before each moof
}

type (
	dataBase  int
	tfdtKind  int
	defaultIn int
	indexKind int
)

const (
	baseMoof     dataBase = iota // default-base-is-moof
	baseAbsolute                 // base-data-offset
	basePrevious                 // the data of the traf before, for the first one the moof
)

const (
	tfdt1 tfdtKind = iota
	tfdt0
	noTfdt
)

const (
	inTrun defaultIn = iota
	inTfhd
	inTrex
)

const (
	noIndex     indexKind = iota
	sidxFront             // one sidx behind the moov
	sidxEach              // one before each moof
	sidxNested            // a sidx of sidxs, each before the fragments that it is for
	sidxGrouped           // a sidx of sidxs, all of them at the front
	mfraEnd
)

// fragmented is the surgery that puts a film into fragments.
func fragmented(l layout) *surgery {
	return &surgery{fmt.Sprintf("fragmented %+v", l), func(film []byte) ([]byte, error) {
		m, err := newMuxer(film, l)
		if err != nil {
			return nil, err
		}
		return m.film()
	}}
}

// muxer writes a film anew.
type muxer struct {
	layout
	ftyp, moov []byte
	tracks     []*muxTrack
	begins     []float64 // seconds at which fragments begin
}

type muxTrack struct {
	id        uint32
	timescale float64
	samples   []muxSample
	at        []int // sample at which each fragment begins, and the end
}

type muxSample struct {
	decodeTime     uint64
	duration, size uint32
	offset         int32 // composition
	sync           bool
	data           []byte
}

func newMuxer(film []byte, l layout) (*muxer, error) {
	if l.seconds == 0 {
		l.seconds = 2
	}
	l.trafs, l.runs = max(l.trafs, 1), max(l.runs, 1)
	parsed, err := mp4.DecodeFile(bytes.NewReader(film))
	if err != nil {
		return nil, err
	}
	m := &muxer{layout: l}
	for p := 0; p+8 <= len(film); {
		size := int(binary.BigEndian.Uint32(film[p:]))
		switch string(film[p+4 : p+8]) {
		case "ftyp":
			m.ftyp = film[p : p+size]
		case "moov":
			m.moov = film[p : p+size]
		}
		p += size
	}
	for _, trak := range parsed.Moov.Traks {
		t := &muxTrack{id: trak.Tkhd.TrackID, timescale: float64(trak.Mdia.Mdhd.Timescale)}
		count := trak.GetNrSamples()
		samples, err := trak.GetSampleData(1, count)
		if err != nil {
			return nil, err
		}
		at := uint64(0)
		for i, s := range samples {
			where, err := trak.GetRangesForSampleInterval(uint32(i+1), uint32(i+1))
			if err != nil {
				return nil, err
			}
			stss := trak.Mdia.Minf.Stbl.Stss
			t.samples = append(t.samples, muxSample{
				decodeTime: at, duration: s.Dur, size: s.Size, offset: s.CompositionTimeOffset,
				sync: stss == nil || stss.IsSyncSample(uint32(i+1)), data: film[where[0].Offset:][:s.Size],
			})
			at += uint64(s.Dur)
		}
		m.tracks = append(m.tracks, t)
	}
	m.split()
	return m, nil
}

// split decides where fragments begin: by the first track, and at the same time in the others.
func (m *muxer) split() {
	first := m.tracks[0]
	next := 0.0
	for _, s := range first.samples {
		at := float64(s.decodeTime) / first.timescale
		if at >= next-1e-9 && (s.sync || m.anywhere) {
			m.begins = append(m.begins, at)
			next = at + m.seconds
		}
	}
	for _, t := range m.tracks {
		for _, at := range m.begins {
			t.at = append(t.at, slices.IndexFunc(append(t.samples, muxSample{decodeTime: math.MaxUint64}), func(s muxSample) bool {
				return float64(s.decodeTime) >= at*t.timescale-1e-6
			}))
		}
		t.at = append(t.at, len(t.samples))
	}
}

// film puts the whole film together.
func (m *muxer) film() ([]byte, error) {
	film := append(slices.Clone(m.ftyp), m.header(0)...)
	if m.inMoov > 0 {
		film = append(slices.Clone(m.ftyp), m.header(len(film)+8)...)
		var media []byte
		for _, t := range m.tracks {
			for _, s := range t.samples[:t.at[m.inMoov]] {
				media = append(media, s.data...)
			}
		}
		film = append(film, box("mdat", media)...)
	}
	sizes := make([]int, len(m.begins))
	for f := m.inMoov; f < len(sizes); f++ {
		sizes[f] = len(m.part(f, 0))
	}
	film = append(film, m.front(sizes)...)
	var moofs []int
	for f := m.inMoov; f < len(sizes); f++ {
		if m.index == sidxNested && (f-m.inMoov)%group == 0 {
			film = append(film, m.sidx(f, sizes[f:min(f+group, len(sizes))], 0)...)
		}
		part := m.part(f, len(film))
		moofs = append(moofs, len(film)+bytes.Index(part, []byte("moof"))-4)
		film = append(film, part...)
	}
	if m.index == mfraEnd {
		film = append(film, m.randomAccess(moofs)...)
	}
	return film, nil
}

// group is how many fragments a sidx below another one is for.
const group = 2

// front is the index behind the moov.
func (m *muxer) front(sizes []int) []byte {
	first := m.inMoov
	if m.index == sidxFront {
		return m.sidx(first, sizes[first:], 0)
	}
	if m.index != sidxNested && m.index != sidxGrouped {
		return nil
	}
	var below [][]byte
	media := 0 // between the end of a sidx and what it is for
	for f := first; f < len(sizes); f += group {
		part := sizes[f:min(f+group, len(sizes))]
		below = append(below, m.sidx(f, part, 0))
	}
	top := fullBox("sidx", 1, 0, m.sidxFields(first, 0, len(below)))
	var all []byte
	for i, b := range below {
		f := first + i*group
		size := len(b)
		for _, n := range sizes[f:min(f+group, len(sizes))] {
			if m.index == sidxNested {
				size += n
			}
		}
		top = append(top, u32(1<<31|uint32(size), m.lasts(f, group), 0)...)
		if m.index == sidxGrouped {
			rest := 0
			for _, later := range below[i+1:] {
				rest += len(later)
			}
			part := sizes[f:min(f+group, len(sizes))]
			all = append(all, m.sidx(f, part, rest+media)...)
			for _, n := range part {
				media += n
			}
		}
	}
	binary.BigEndian.PutUint32(top, uint32(len(top)))
	return append(top, all...)
}

// sidx is one (8.16.3) for the fragments from f on, which begin so many bytes behind it.
func (m *muxer) sidx(f int, sizes []int, behind int) []byte {
	fields := m.sidxFields(f, behind, len(sizes))
	for i, n := range sizes {
		fields = append(fields, u32(uint32(n), m.lasts(f+i, 1), 1<<31|1<<28)...) // it starts with a sync sample
	}
	return fullBox("sidx", 1, 0, fields)
}

func (m *muxer) sidxFields(f, behind, count int) []byte {
	t := m.tracks[0]
	s := t.samples[t.at[f]]
	fields := u32(t.id, uint32(t.timescale))
	fields = binary.BigEndian.AppendUint64(fields, s.decodeTime+uint64(s.offset))
	fields = binary.BigEndian.AppendUint64(fields, uint64(behind))
	return append(fields, u32(uint32(count))...)
}

// lasts is the duration of so many fragments from f on, in ticks of the first track.
func (m *muxer) lasts(f, count int) uint32 {
	t := m.tracks[0]
	end := t.samples[len(t.samples)-1]
	until := end.decodeTime + uint64(end.duration)
	if f+count < len(m.begins) {
		until = t.samples[t.at[f+count]].decodeTime
	}
	return uint32(until - t.samples[t.at[f]].decodeTime)
}

// randomAccess is the mfra (8.8.9) of the first track.
func (m *muxer) randomAccess(moofs []int) []byte {
	t := m.tracks[0]
	points := u32(t.id, 0, uint32(len(moofs))) // numbers of traf, trun and sample have a byte each
	for i, at := range moofs {
		points = binary.BigEndian.AppendUint64(points, t.samples[t.at[m.inMoov+i]].decodeTime)
		points = binary.BigEndian.AppendUint64(points, uint64(at))
		points = append(points, 1, 1, 1)
	}
	tfra := fullBox("tfra", 1, 0, points)
	return box("mfra", append(tfra, fullBox("mfro", 0, 0, u32(uint32(8+len(tfra)+16)))...))
}

// header is the moov. Its tables hold the samples of the first fragments, whose data begin at an offset.
func (m *muxer) header(at int) []byte {
	tracks := m.tracks
	trak := func(typ string, p []byte) (string, []byte) {
		t := tracks[0]
		tracks = tracks[1:]
		held := t.samples[:t.at[m.inMoov]]
		p = replace(p, map[string]edit{
			"elst": m.openEnd,
			"stbl": func(typ string, p []byte) (string, []byte) {
				p = replace(p, map[string]edit{"stts": drop, "ctts": drop, "stss": drop, "stsc": drop, "stsz": drop, "stco": drop, "sbgp": drop})
				return typ, append(p, sampleTables(held, at)...)
			},
		})
		for _, s := range held {
			at += int(s.size)
		}
		return typ, p
	}
	return replace(m.moov, map[string]edit{"moov": func(typ string, p []byte) (string, []byte) {
		return typ, append(replace(p, map[string]edit{"trak": trak}), m.extends()...)
	}})
}

func (m *muxer) extends() []byte {
	var mvex []byte
	for _, t := range m.tracks {
		duration, flags := uint32(0), uint32(0)
		if m.defaults == inTrex {
			duration, flags = t.common()
		}
		mvex = append(mvex, fullBox("trex", 0, 0, u32(t.id, 1, duration, 0, flags))...)
	}
	return box("mvex", mvex)
}

// openEnd sets the durations of edits that show media to 0, for all that there is, where the moov has nothing of it.
func (m *muxer) openEnd(typ string, p []byte) (string, []byte) {
	out := slices.Clone(p)
	for e := out[8:]; len(e) >= 12 && m.inMoov == 0; e = e[12:] {
		if int32(binary.BigEndian.Uint32(e[4:])) >= 0 {
			copy(e, u32(0))
		}
	}
	return typ, out
}

// sampleTables are those of samples that lie one after another from an offset on, in one chunk.
func sampleTables(samples []muxSample, at int) []byte {
	n := uint32(len(samples))
	stts, ctts, stss, stsz := u32(n), u32(n), []byte{}, u32(0, n)
	for i, s := range samples {
		stts = append(stts, u32(1, s.duration)...)
		ctts = append(ctts, u32(1, uint32(s.offset))...)
		stsz = append(stsz, u32(s.size)...)
		if s.sync {
			stss = append(stss, u32(uint32(i+1))...)
		}
	}
	stsc, stco := u32(0), u32(0)
	if n > 0 {
		stsc, stco = u32(1, 1, n, 1), u32(1, uint32(at))
	}
	out := slices.Concat(fullBox("stts", 0, 0, stts), fullBox("stsc", 0, 0, stsc), fullBox("stsz", 0, 0, stsz), fullBox("stco", 0, 0, stco))
	if n > 0 {
		out = slices.Concat(out, fullBox("ctts", 0, 0, ctts), fullBox("stss", 0, 0, u32(uint32(len(stss)/4)), stss))
	}
	return out
}

// common are the duration and the flags that most samples have.
func (t *muxTrack) common() (duration, flags uint32) {
	s := t.samples[min(1, len(t.samples)-1)]
	return s.duration, s.flags()
}

// flags are sample_depends_on and sample_is_non_sync_sample (8.8.3.1).
func (s muxSample) flags() uint32 {
	if s.sync {
		return 0x02000000
	}
	return 0x01010000
}

// part is a fragment of the film at an offset, with what comes before it.
func (m *muxer) part(f, at int) []byte {
	groups := [][]*muxTrack{m.tracks}
	if m.apart {
		groups = nil
		for _, t := range m.tracks {
			groups = append(groups, []*muxTrack{t})
		}
	}
	var part []byte
	for _, tracks := range groups {
		if m.extras {
			part = append(part, m.before(f)...)
		}
		if m.index == sidxEach {
			part = append(part, m.sidx(f, []int{len(m.fragment(tracks, f, 0))}, 0)...)
		}
		part = append(part, m.fragment(tracks, f, at+len(part))...)
	}
	return part
}

// before are boxes that say nothing of samples: segment type, producer's reference time, an event.
func (m *muxer) before(f int) []byte {
	return slices.Concat(
		box("styp", []byte("msdh\x00\x00\x00\x00msdhmsix")),
		fullBox("prft", 1, 0, u32(m.tracks[0].id, 0, uint32(f), 0, uint32(f))),
		fullBox("emsg", 0, 0, append([]byte("urn:example\x00now\x00"), u32(1000, 0, 0, uint32(f))...)))
}

// fragment is a moof with its mdat, at an offset. The data of each traf, and of each of its runs, follow one another.
func (m *muxer) fragment(tracks []*muxTrack, f, at int) []byte {
	size := len(m.moof(tracks, f, at, 0))
	var media []byte
	for _, t := range tracks {
		for _, s := range t.samples[t.at[f]:t.at[f+1]] {
			media = append(media, s.data...)
		}
	}
	return append(m.moof(tracks, f, at, size), box("mdat", media)...)
}

// moof is one of so many bytes.
func (m *muxer) moof(tracks []*muxTrack, f, at, size int) []byte {
	out := fullBox("mfhd", 0, 0, u32(uint32(f+1)))
	data := size + 8
	for _, t := range tracks {
		samples := t.samples[t.at[f]:t.at[f+1]]
		for i := range m.trafs {
			part := samples[len(samples)*i/m.trafs : len(samples)*(i+1)/m.trafs]
			if len(part) == 0 {
				continue
			}
			out = append(out, m.traf(t, part, at, data, data == size+8)...)
			for _, s := range part {
				data += int(s.size)
			}
		}
	}
	return box("moof", out)
}

// traf is one whose data begin so many bytes behind the moof's begin, which is at an offset.
func (m *muxer) traf(t *muxTrack, samples []muxSample, at, data int, isFirst bool) []byte {
	duration, flags := t.common()
	var tfhdFlags uint32
	tfhd := u32(t.id)
	switch m.base {
	case baseMoof:
		tfhdFlags |= 0x020000
	case baseAbsolute:
		tfhdFlags |= 1
		tfhd = binary.BigEndian.AppendUint64(tfhd, uint64(at+data)) // not the moof's begin, as most have
		data = 0
	case basePrevious:
		if !isFirst {
			data = 0
		}
	}
	if m.defaults == inTfhd {
		tfhdFlags |= 0x08 | 0x20
		tfhd = append(tfhd, u32(duration, flags)...)
	}
	out := fullBox("tfhd", 0, tfhdFlags, tfhd)
	switch m.tfdt {
	case tfdt1:
		out = append(out, fullBox("tfdt", 1, 0, u32(0, uint32(samples[0].decodeTime)))...)
	case tfdt0:
		out = append(out, fullBox("tfdt", 0, 0, u32(uint32(samples[0].decodeTime)))...)
	}
	for i := range m.runs {
		run := samples[len(samples)*i/m.runs : len(samples)*(i+1)/m.runs]
		if len(run) == 0 {
			continue
		}
		out = append(out, m.trun(run, duration, flags, data)...)
		for _, s := range run {
			data += int(s.size)
		}
	}
	return box("traf", out)
}

// trun is one whose data are so many bytes behind the base.
func (m *muxer) trun(samples []muxSample, duration, flags uint32, data int) []byte {
	const dataOffset, firstFlags, withDuration, withSize, withFlags, withOffset = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
	has := uint32(withSize)
	if m.base != basePrevious || data > 0 {
		has |= dataOffset
	}
	if m.defaults == inTrun {
		has |= withDuration | withFlags
	}
	for i, s := range samples {
		if s.duration != duration {
			has |= withDuration
		}
		if s.flags() != flags && i == 0 {
			has |= firstFlags
		} else if s.flags() != flags {
			has |= withFlags
		}
		if s.offset != 0 {
			has |= withOffset
		}
	}
	if has&withFlags != 0 {
		has &^= firstFlags
	}
	out := u32(uint32(len(samples)))
	put := func(flag, v uint32) {
		if has&flag != 0 {
			out = append(out, u32(v)...)
		}
	}
	put(dataOffset, uint32(data))
	put(firstFlags, samples[0].flags())
	for _, s := range samples {
		put(withDuration, s.duration)
		put(withSize, s.size)
		put(withFlags, s.flags())
		put(withOffset, uint32(s.offset))
	}
	return fullBox("trun", 1, has, out)
}

func box(typ string, payload []byte) []byte {
	return slices.Concat(u32(uint32(8+len(payload))), []byte(typ), payload)
}

func fullBox(typ string, version byte, flags uint32, payload ...[]byte) []byte {
	return box(typ, append(u32(uint32(version)<<24|flags), slices.Concat(payload...)...))
}

func u32(values ...uint32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.BigEndian.AppendUint32(out, v)
	}
	return out
}
