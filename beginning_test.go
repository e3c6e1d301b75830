package mp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"sort"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

// plainSample is a sample of a made film. Its bytes are its track and its number, and zeros.
type plainSample struct {
	dts, cts, lasts int64
	sync            bool
	size            int
}

// plainFragments is a film in fragments, sample by sample.
type plainFragments struct {
	tracks    []*plainMedia
	separate  bool // each track has fragments of its own
	absolute  bool // data offsets are the file's
	tfdt      int  // version; below 0: none
	fragments int
}

type plainMedia struct {
	id         int
	handler    string
	entry      string
	timescale  int64
	mediaTime  int64 // of its edit; below 0: none
	samples    []plainSample
	fragmentOf []int // each sample's
	roll       int64 // media ticks of sound that a decoder must hear
}

// randomPlainPictures is a track of groups of pictures, some of them open, in any order and of any length.
func randomPlainPictures(r *rand.Rand, base int64) *plainMedia {
	t := &plainMedia{id: 1, handler: "vide", entry: "avc1", timescale: oneOf(r, 25, 600, 1000, 12800, 90000), mediaTime: -1}
	step := t.timescale / 25
	var shown []int // by decode order, the place in composition order
	var keys []bool
	open, most, group := r.Intn(2) == 0, r.Intn(4), 5+r.Intn(60)
	for n := 40 + r.Intn(160); len(shown) < n; {
		for i := 0; i < group; {
			behind := r.Intn(most + 1)
			if i == 0 && (!open || len(shown) == 0) {
				behind = 0
			}
			at := len(shown)
			shown = append(shown, at+behind)
			keys = append(keys, i == 0)
			for k := 0; k < behind; k++ {
				shown = append(shown, at+k)
				keys = append(keys, false)
			}
			i += 1 + behind
		}
	}
	times := make([]int64, len(shown)+1)
	uneven := r.Intn(3) == 0 && step > 5
	for i := range shown {
		times[i+1] = times[i] + step
		if uneven {
			times[i+1] += int64(r.Intn(int(step)))
		}
	}
	delay := int64(0)
	for i, at := range shown {
		delay = maxInt64(delay, times[i]-times[at])
	}
	if r.Intn(4) == 0 {
		delay = 0 // negative composition offsets
	}
	for i, at := range shown {
		t.samples = append(t.samples, plainSample{dts: base*t.timescale + times[i], cts: base*t.timescale + times[at] + delay, lasts: times[i+1] - times[i], sync: keys[i], size: 8 + r.Intn(40)})
	}
	if base == 0 && r.Intn(2) == 0 {
		t.mediaTime = delay + int64(r.Intn(2))*int64(r.Intn(int(10*step)))
	}
	return t
}

// randomSound is a track of sound for so many seconds.
func randomSound(r *rand.Rand, base int64, seconds float64) *plainMedia {
	t := &plainMedia{id: 2, handler: "soun", entry: "mp4a", timescale: oneOf(r, 8000, 44100, 48000), mediaTime: -1, roll: 2048}
	lasts := int64(1024)
	if r.Intn(3) == 0 {
		t.entry = "Opus"
		t.timescale = 48000
		lasts = 960
		t.roll = 320 * 48
	}
	if base == 0 && r.Intn(2) == 0 {
		t.mediaTime = int64(r.Intn(3000))
	}
	for at := int64(0); float64(at) < seconds*float64(t.timescale); at += lasts {
		begins := base*t.timescale + at
		t.samples = append(t.samples, plainSample{dts: begins, cts: begins, lasts: lasts, sync: true, size: 4 + r.Intn(8)})
	}
	return t
}

// early begins each track before 0, as some writers say what comes before the presentation.
func (f *plainFragments) early() {
	for _, t := range f.tracks {
		by := t.samples[0].lasts * 2
		if t.samples[0].cts > t.samples[0].dts {
			by = t.samples[0].cts - t.samples[0].dts
		}
		t.mediaTime = -1
		for i := range t.samples {
			t.samples[i].dts -= by
			t.samples[i].cts -= by
		}
	}
}

// divide puts the film into fragments, of which each track's begin about when the first track's do.
func (f *plainFragments) divide(r *rand.Rand) {
	first := f.tracks[0]
	most := 1 + r.Intn(50)
	var begins []float64
	left := 0
	for _, s := range first.samples {
		if left == 0 || most > 40 && s.sync {
			begins = append(begins, float64(s.dts)/float64(first.timescale))
			left = 1 + r.Intn(most)
		}
		left--
		first.fragmentOf = append(first.fragmentOf, len(begins)-1)
	}
	f.fragments = len(begins)
	for _, t := range f.tracks[1:] {
		skew := float64(r.Intn(5)-2) / 10
		n := 0
		for _, s := range t.samples {
			for n+1 < len(begins) && begins[n+1] <= float64(s.dts)/float64(t.timescale)+skew {
				n++
			}
			t.fragmentOf = append(t.fragmentOf, n)
		}
	}
}

// file lays the film out.
func (f *plainFragments) file() []byte {
	none := bytes.Join([][]byte{aBox("stts", words(0, 0)), aBox("stsc", words(0, 0)), aBox("stsz", words(0, 0, 0)), aBox("stco", words(0, 0))}, nil)
	var traks, trexs []byte
	for _, t := range f.tracks {
		trak := longTrack(uint32(t.id), t.handler, "nmhd", t.entry, uint32(t.timescale), none)
		if t.mediaTime >= 0 {
			trak = append(trak, aBox("edts", aBox("elst", words(0, 1, 0, uint32(t.mediaTime), 0x10000)))...)
			binary.BigEndian.PutUint32(trak, uint32(len(trak)))
		}
		traks = append(traks, trak...)
		trexs = append(trexs, aBox("trex", words(0, uint32(t.id), 1, 0, 0, 0))...)
	}
	out := append(aBox("ftyp", []byte("isom"), words(0)), aBox("moov", aBox("mvhd", words(0, 0, 0, 1000, 0), make([]byte, 80)), traks, aBox("mvex", aBox("mehd", words(0, 1)), trexs))...)
	for n := 0; n < f.fragments; n++ {
		if !f.separate {
			out = append(out, f.fragment(n, f.tracks, len(out))...)
			continue
		}
		for i := range f.tracks {
			out = append(out, f.fragment(n, f.tracks[i:i+1], len(out))...)
		}
	}
	return out
}

// fragment is one of some tracks at an offset.
func (f *plainFragments) fragment(n int, tracks []*plainMedia, at int) []byte {
	moof := f.moof(n, tracks, at, 0)
	moof = f.moof(n, tracks, at, len(moof))
	var media []byte
	for _, t := range tracks {
		for i, s := range t.samples {
			if t.fragmentOf[i] == n {
				media = append(append(media, words(uint32(t.id)<<24|uint32(i))...), make([]byte, s.size-4)...)
			}
		}
	}
	return append(moof, aBox("mdat", media)...)
}

// moof is one of so many bytes.
func (f *plainFragments) moof(n int, tracks []*plainMedia, at, size int) []byte {
	var trafs []byte
	data := size + 8
	for _, t := range tracks {
		var fields []byte
		count, bytes, begins := uint32(0), 0, int64(0)
		for i, s := range t.samples {
			if t.fragmentOf[i] != n {
				continue
			}
			if count == 0 {
				begins = s.dts
			}
			flags := uint32(0x02000000)
			if !s.sync {
				flags = 0x01010000
			}
			fields = append(fields, words(uint32(s.lasts), uint32(s.size), flags, uint32(s.cts-s.dts))...)
			count++
			bytes += s.size
		}
		if count == 0 {
			continue
		}
		tfhd, offset := aBox("tfhd", words(0x020000, uint32(t.id))), data
		if f.absolute {
			tfhd = aBox("tfhd", words(1, uint32(t.id), 0, uint32(at)))
		}
		var tfdt []byte
		switch f.tfdt {
		case 1:
			tfdt = aBox("tfdt", words(1<<24, uint32(begins>>32), uint32(begins)))
		case 0:
			tfdt = aBox("tfdt", words(0, uint32(begins)))
		}
		trafs = append(trafs, aBox("traf", tfhd, tfdt, aBox("trun", words(1<<24|0xF01, count, uint32(offset)), fields))...)
		data += bytes
	}
	return aBox("moof", aBox("mfhd", words(0, uint32(n+1))), trafs)
}

// fragmentedAnswer is the samples of an answer by track, as they lie in its fragments, and the media times of its edits.
type fragmentedAnswer struct {
	samples map[int][]plainSample // of size the number of the sample in the source
	first   map[int]int           // how many of them are in the first fragment
	edits   map[int]int64
	length  int64 // mehd
}

func childBoxes(data []byte, typ string) [][]byte {
	var found [][]byte
	for len(data) >= 8 {
		size := int(binary.BigEndian.Uint32(data))
		if size < 8 || size > len(data) {
			break
		}
		if string(data[4:8]) == typ {
			found = append(found, data[8:size])
		}
		data = data[size:]
	}
	return found
}

func readAnswer(answer []byte) (*fragmentedAnswer, error) {
	got := &fragmentedAnswer{samples: map[int][]plainSample{}, first: map[int]int{}, edits: map[int]int64{}}
	moov := childBoxes(answer, "moov")[0]
	for _, trak := range childBoxes(moov, "trak") {
		tkhd := childBoxes(trak, "tkhd")[0]
		id := int(binary.BigEndian.Uint32(tkhd[12:]))
		if binary.BigEndian.Uint32(tkhd[20:]) != 0 {
			return nil, fmt.Errorf("track %d has a duration", id)
		}
		got.edits[id] = -1
		for _, edts := range childBoxes(trak, "edts") {
			elst := childBoxes(edts, "elst")[0]
			if binary.BigEndian.Uint32(elst[4:]) != 1 || binary.BigEndian.Uint32(elst[8:]) != 0 {
				return nil, fmt.Errorf("track %d: elst %x", id, elst)
			}
			got.edits[id] = int64(binary.BigEndian.Uint32(elst[12:]))
		}
	}
	mehd := childBoxes(childBoxes(moov, "mvex")[0], "mehd")[0]
	got.length = int64(binary.BigEndian.Uint64(mehd[4:]))
	ends := map[int]int64{}
	at, n := 0, 0
	for _, typ := range bytes.Fields([]byte(boxesOf(answer))) {
		size := int(binary.BigEndian.Uint32(answer[at:]))
		if string(typ) == "moof" {
			n++
			for _, traf := range childBoxes(answer[at+8:at+size], "traf") {
				err := got.traf(answer, traf, at, n, ends)
				if err != nil {
					return nil, err
				}
			}
		}
		at += size
	}
	return got, nil
}

func (g *fragmentedAnswer) traf(answer, traf []byte, moof, n int, ends map[int]int64) error {
	tfhd := childBoxes(traf, "tfhd")[0]
	id := int(binary.BigEndian.Uint32(tfhd[4:]))
	base := moof
	if tfhd[3]&1 != 0 {
		base = int(binary.BigEndian.Uint64(tfhd[8:]))
	}
	dts := ends[id]
	for _, tfdt := range childBoxes(traf, "tfdt") {
		dts = int64(binary.BigEndian.Uint32(tfdt[4:]))
		if tfdt[0] == 1 {
			dts = int64(binary.BigEndian.Uint64(tfdt[4:]))
		}
	}
	if len(g.samples[id]) > 0 && dts != ends[id] {
		return fmt.Errorf("moof %d: track %d goes on at %d, and ended at %d", n, id, dts, ends[id])
	}
	for _, trun := range childBoxes(traf, "trun") {
		off := base + int(int32(binary.BigEndian.Uint32(trun[8:])))
		for fields := trun[12:]; len(fields) > 0; fields = fields[16:] {
			lasts, flags := int64(binary.BigEndian.Uint32(fields)), binary.BigEndian.Uint32(fields[8:])
			number := binary.BigEndian.Uint32(answer[off:])
			if int(number>>24) != id {
				return fmt.Errorf("moof %d: at %d is a sample of track %d", n, off, number>>24)
			}
			all := append(g.samples[id], plainSample{dts: dts, cts: dts + int64(int32(binary.BigEndian.Uint32(fields[12:]))), lasts: lasts,
				sync: flags&0x10000 == 0, size: int(number & 0xFFFFFF)})
			g.samples[id] = all
			if n == 1 {
				g.first[id] = len(all)
			}
			off += int(binary.BigEndian.Uint32(fields[4:]))
			dts += lasts
		}
	}
	ends[id] = dts
	return nil
}

// beginningModel says, slowly, what an answer begins with.
type beginningModel struct {
	film  *plainFragments
	exact bool
	media map[int]int64 // thousandths of a media tick of each track at the beginning
}

func nearestOf(thousandths int64) int64 { return floorDiv(2*thousandths+1000, 2000) }

// newBeginningModel is one for a start.
func newBeginningModel(f *plainFragments, start int64, exact bool) *beginningModel {
	m := &beginningModel{film: f, exact: exact, media: map[int]int64{}}
	for _, t := range f.tracks {
		m.media[t.id] = start*t.timescale + 1000*maxInt64(t.mediaTime, 0)
	}
	v := f.tracks[0]
	if m.over(v) {
		return m
	}
	if !exact && v.handler == "vide" {
		key := v.samples[m.key(v)].cts
		at := key - maxInt64(v.mediaTime, 0)
		whole := floorDiv(at, v.timescale)
		for _, t := range f.tracks[1:] {
			m.media[t.id] = 1000*maxInt64(t.mediaTime, 0) + whole*1000*t.timescale + floorDiv((at-whole*v.timescale)*1000*t.timescale, v.timescale)
		}
		m.media[v.id] = key * 1000
	} else if !exact {
		for _, s := range v.samples {
			if s.dts*1000 <= m.media[v.id]+500 {
				start = s.dts
			}
		}
		m.media[v.id] = start * 1000
	}
	return m
}

// over reports whether a track has ended before the beginning.
func (m *beginningModel) over(t *plainMedia) bool {
	end := int64(0)
	for _, s := range t.samples {
		end = maxInt64(end, s.cts+s.lasts)
	}
	return m.media[t.id] >= end*1000-t.timescale // the film's timeline has milliseconds
}

// onShow is when the picture on show is shown, and which it is.
func (m *beginningModel) onShow(t *plainMedia) (int64, int) {
	at, sample := -maxSum, -1
	media := m.media[t.id]
	for i, s := range t.samples {
		if (s.cts*1000 < media+t.timescale || s.cts <= nearestOf(media)) && s.cts > at {
			at = s.cts
			sample = i
		}
	}
	if sample >= 0 {
		return at, sample
	}
	at = maxSum
	for i, s := range t.samples {
		if s.cts < at {
			at = s.cts
			sample = i
		}
	}
	return at, sample
}

// key is the sync sample from which the picture on show and all after it can be decoded.
func (m *beginningModel) key(t *plainMedia) int {
	p, _ := m.onShow(t)
	first, best, last := 0, -1, 0
	for first < len(t.samples) && t.samples[first].cts < p {
		first++
	}
	for i := 0; i <= first; i++ {
		if t.samples[i].sync {
			last = i
			if t.samples[i].cts <= p {
				best = i
			}
		}
	}
	if best < 0 {
		return last
	}
	return best
}

// leadIn is the formula, read slowly: new decode times, with the end, new composition times, and M.
func (m *beginningModel) leadIn(t *plainMedia, first, n int, least int64) (dts, cts []int64, begin int64) {
	p, _ := m.onShow(t)
	from, media := nearestOf(m.media[t.id]), m.media[t.id]
	if p*1000 < media+t.timescale {
		from = maxInt64(from, p)
	}
	samples := t.samples[first : first+n]
	var hidden []int
	for i, s := range samples {
		if s.cts < p {
			hidden = append(hidden, i)
		}
	}
	sort.Slice(hidden, func(a, b int) bool { return samples[hidden[a]].cts < samples[hidden[b]].cts })
	rank := map[int]int64{}
	last, before := -1, -maxSum
	lead := int64(0)
	for k, i := range hidden {
		rank[i] = int64(k)
		if i > last {
			last = i
		}
		before = samples[i].cts
	}
	if len(hidden) > 0 && m.exact {
		lead = maxInt64(64*t.timescale, (p-before)*1000)
		if lead > 100*t.timescale {
			lead = 100 * t.timescale
		}
		lead = (lead + 999) / 1000
	}
	begin = least
	for i, k := range rank {
		begin = maxInt64(begin, int64(i)+int64(len(hidden))-k+lead)
	}
	for i, s := range samples {
		if s.cts >= p {
			begin = maxInt64(begin, int64(i)-maxInt64(s.cts-from, 0))
		}
	}
	cts = make([]int64, n)
	dts = make([]int64, n+1)
	for i, s := range samples {
		if s.cts < p {
			cts[i] = begin - lead - int64(len(hidden)) + rank[i]
		} else {
			cts[i] = maxInt64(s.cts-from+begin, begin)
		}
		dts[i] = int64(i)
		if i > last {
			dts[i] = maxInt64(int64(i), s.dts-from+begin)
		}
	}
	end := samples[n-1]
	dts[n] = maxInt64(int64(n), end.dts+end.lasts-from+begin)
	for i := n - 1; i >= 0; i-- {
		dts[i] = minInt64(dts[i], minInt64(cts[i], dts[i+1]-1))
	}
	return dts, cts, begin
}

// firstSound is the first sample of a sound track, and how many ticks before the beginning it begins.
func (m *beginningModel) firstSound(t *plainMedia) (int, int64) {
	media := nearestOf(m.media[t.id])
	holds := len(t.samples)
	for i, s := range t.samples {
		if s.dts+s.lasts > media {
			holds = i
			break
		}
	}
	if holds == len(t.samples) {
		return holds, 0
	}
	if !m.exact {
		if t.samples[holds].dts < media {
			holds++
		}
		return holds, 0
	}
	first := holds
	for first > 0 && t.samples[holds].dts-t.samples[first].dts < t.roll {
		first--
	}
	return first, maxInt64(media-t.samples[first].dts, 0)
}

// check compares an answer.
func (m *beginningModel) check(got *fragmentedAnswer) error {
	least, v := int64(0), m.film.tracks[0]
	firsts := map[int]int{}
	for _, t := range m.film.tracks {
		if t.handler == "soun" {
			first, need := m.firstSound(t)
			firsts[t.id] = first
			least = maxInt64(least, (need*v.timescale+t.timescale-1)/t.timescale)
		}
	}
	begin := least
	if _, there := got.edits[v.id]; there == m.over(v) {
		return fmt.Errorf("track %d is there: %v", v.id, there)
	}
	if v.handler == "vide" && !m.over(v) {
		var err error
		begin, err = m.checkPictures(v, got, least)
		if err != nil {
			return fmt.Errorf("pictures: %w", err)
		}
	}
	longest := 0.0
	for _, t := range m.film.tracks {
		all := got.samples[t.id]
		edit := floorDiv(2*begin*t.timescale+v.timescale, 2*v.timescale)
		if edits, there := got.edits[t.id]; there && edits != edit && m.exact || there && !m.exact && edits != -1 {
			return fmt.Errorf("track %d: the edit begins at %d instead of %d", t.id, edits, edit)
		}
		for i, s := range all {
			if s.dts < 0 || s.cts < s.dts && i < got.first[t.id] || s.lasts < 1 {
				return fmt.Errorf("track %d: sample %d is at %+v", t.id, i, s)
			}
			if i > 0 && s.size != all[i-1].size+1 {
				return fmt.Errorf("track %d: sample %d follows %d", t.id, s.size, all[i-1].size)
			}
			if end := float64(s.cts+t.samples[s.size].lasts) / float64(t.timescale); end > longest {
				longest = end
			}
		}
		if len(all) > 0 && all[len(all)-1].size != len(t.samples)-1 {
			return fmt.Errorf("track %d ends with sample %d of %d", t.id, all[len(all)-1].size, len(t.samples))
		}
		if t.handler != "soun" {
			continue
		}
		first := firsts[t.id]
		if len(all) != len(t.samples)-first || len(all) > 0 && all[0].size != first {
			return fmt.Errorf("%d sounds instead of %d", len(all), len(t.samples)-first)
		}
		for _, s := range all {
			if due := t.samples[s.size].dts - nearestOf(m.media[t.id]) + edit; s.dts != due || s.cts != due || !s.sync {
				return fmt.Errorf("sound %d is at %d instead of %d", s.size, s.dts, due)
			}
		}
	}
	// Where a track ends is known of its last fragment, if that is among the last: a picture before that may be shown later.
	if float64(got.length) < longest*1000-350 || float64(got.length) > longest*1000+350 {
		return fmt.Errorf("mehd is %d, the samples last %f s", got.length, longest)
	}
	return nil
}

// checkPictures compares the pictures, and returns M.
func (m *beginningModel) checkPictures(t *plainMedia, got *fragmentedAnswer, least int64) (int64, error) {
	all, first, n := got.samples[t.id], m.key(t), got.first[t.id]
	if len(all) != len(t.samples)-first || all[0].size != first || !all[0].sync {
		return 0, fmt.Errorf("%d, from sample %d on, sync %v; due is %d", len(all), all[0].size, all[0].sync, first)
	}
	dts, cts, begin := m.leadIn(t, first, n, least)
	p, on := m.onShow(t)
	later := begin - nearestOf(m.media[t.id])
	if p*1000 < m.media[t.id]+t.timescale && p > nearestOf(m.media[t.id]) {
		later = begin - p
	}
	quiet, hides, shownAt := -maxSum, false, -maxSum
	for i, s := range all {
		source := t.samples[first+i]
		if i < n && (s.dts != dts[i] || s.cts != cts[i] || s.lasts != dts[i+1]-dts[i]) {
			return 0, fmt.Errorf("picture %d of %d is at %d, %d instead of %d, %d; M is %d", i, n, s.dts, s.cts, dts[i], cts[i], begin)
		}
		if i >= n && (s.dts != source.dts+later || s.cts != source.cts+later) {
			return 0, fmt.Errorf("picture %d, behind %d, is at %d, %d instead of %d, %d", i, n, s.dts, s.cts, source.dts+later, source.cts+later)
		}
		if source.cts < p {
			hides = true
			if s.cts >= begin || i >= n {
				return 0, fmt.Errorf("picture %d is to be hidden, and is shown at %d, M being %d", i, s.cts, begin)
			}
			shownAt = maxInt64(shownAt, s.cts)
		}
		if i > 0 && s.dts <= all[i-1].dts {
			return 0, fmt.Errorf("decode times do not ascend at picture %d", i)
		}
	}
	if got := all[on-first].cts; got != begin && p*1000 < m.media[t.id]+t.timescale {
		return 0, fmt.Errorf("the picture on show is at %d, M is %d", got, begin)
	}
	if hides && m.exact {
		quiet = p*1000 + 1000*t.timescale
		if stands := begin - shownAt; stands*1000 < 64*t.timescale || (stands-1)*1000 >= 100*t.timescale {
			return 0, fmt.Errorf("the last hidden picture stands %d ticks of 1/%d", stands, t.timescale)
		}
	}
	for i, s := range all {
		source := t.samples[first+i]
		if i > 0 && i < n && s.sync != (source.sync && source.cts*1000 >= quiet) {
			return 0, fmt.Errorf("picture %d is a sync sample: %v", i, s.sync)
		}
	}
	if n < len(all) && t.samples[first+n].sync && t.samples[first+n].cts*1000 < quiet {
		return 0, fmt.Errorf("the second fragment begins with a key frame too early")
	}
	return begin, nil
}

// TestBeginnings compares answers for random films in fragments with the plain model.
func TestBeginnings(t *testing.T) {
	for seed := int64(0); seed < int64(filmtest.Rounds(3000, 15)); seed++ {
		r := rand.New(rand.NewSource(seed))
		base := oneOf(r, 0, 0, 0, 0, 1752460713)
		f := &plainFragments{separate: r.Intn(3) == 0, absolute: r.Intn(4) == 0, tfdt: r.Intn(3) - 1}
		if base != 0 {
			f.tfdt = 1
		}
		seconds := 4.0
		if r.Intn(5) > 0 {
			v := randomPlainPictures(r, base)
			f.tracks = append(f.tracks, v)
			seconds = float64(v.samples[len(v.samples)-1].dts)/float64(v.timescale) - float64(base)
		}
		if len(f.tracks) == 0 || r.Intn(5) > 0 {
			f.tracks = append(f.tracks, randomSound(r, base, seconds))
		}
		if base == 0 && f.tfdt == 1 && r.Intn(2) == 0 {
			f.early()
		}
		f.divide(r)
		file := f.file()
		for i := 0; i < 3; i++ {
			start := base*1000 + 1 + int64(r.Intn(int(seconds*1000)))
			exact := r.Intn(2) == 0
			seek := seekKeyframe
			if exact {
				seek = seekExact
			}
			answer, err := answerOf(file, msInterval{start, -1}, seek)
			if err == errPastEnd {
				continue
			}
			if err != nil {
				t.Fatalf("seed %d, %s from %d: %v", seed, seek, start, err)
			}
			got, err := readAnswer(answer)
			if err == nil {
				err = newBeginningModel(f, start, exact).check(got)
			}
			if err != nil {
				t.Fatalf("seed %d, %s from %d: %v", seed, seek, start, err)
			}
		}
	}
}
