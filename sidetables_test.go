package mp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

// The tables that few files have, as lists: what each says of every sample.

// plainSides reads them. The key is the table's type and what it is about.
func (t *plainTrack) plainSides(file []byte) map[string][]string {
	sides := map[string][]string{}
	n := t.samples()
	for _, b := range t.tables {
		p := b.body()
		list := make([]string, n)
		key := b.typ
		switch b.typ {
		case "subs":
			key += fmt.Sprint(p[:4])
			plainSubSamples(p, list)
		case "sbgp":
			lead := 8 + 4*int(p[0])
			key += string(p[4:lead])
			rows, _ := plainEntries(b, lead+4, 2)
			sample := 0
			for _, row := range rows {
				for i := int64(0); i < row[0] && sample < n; i++ {
					list[sample] = fmt.Sprint(row[1])
					sample++
				}
			}
		case "csgp":
			key = "sbgp" + plainPatterns(p, list)
		case "saiz":
			t.plainInformation(file, list)
		default:
			continue
		}
		sides[key] = list
	}
	return sides
}

// plainSubSamples reads a subs.
func plainSubSamples(p []byte, list []string) {
	width := 8
	if p[0] == 1 {
		width = 10
	}
	at, sample := 8, 0
	for i := binary.BigEndian.Uint32(p[4:]); i > 0; i-- {
		sample += int(binary.BigEndian.Uint32(p[at:]))
		end := at + 6 + width*int(binary.BigEndian.Uint16(p[at+4:]))
		if sample <= len(list) {
			list[sample-1] = fmt.Sprint(p[at+4 : end])
		}
		at = end
	}
}

// plainPatterns reads a csgp, nibble by nibble, and returns what it is about.
func plainPatterns(p []byte, list []string) string {
	lead := 8
	if p[3]&64 != 0 {
		lead = 12
	}
	at := 2 * (lead + 4)
	next := func(code byte) int {
		v := 0
		for i := 0; i < 1<<(code&3); i++ {
			v = v<<4 | int(p[at/2]>>(4-4*uint(at%2)))&15
			at++
		}
		return v
	}
	patterns := int(binary.BigEndian.Uint32(p[lead:]))
	var lengths, counts []int
	for i := 0; i < patterns; i++ {
		lengths = append(lengths, next(p[3]>>4))
		counts = append(counts, next(p[3]>>2))
	}
	sample := 0
	for i, length := range lengths {
		var indexes []int
		for j := 0; j < length; j++ {
			indexes = append(indexes, next(p[3]))
		}
		for j := 0; j < counts[i] && sample < len(list); j++ {
			list[sample] = fmt.Sprint(indexes[j%length])
			sample++
		}
	}
	return string(p[4:lead])
}

// plainInformation reads the auxiliary information of each sample where saio says that it lies, or in the senc.
func (t *plainTrack) plainInformation(file []byte, list []string) {
	saiz, _ := plainChild(t.tables, "saiz")
	saio, there := plainChild(t.tables, "saio")
	lead := 4
	if saiz.body()[3]&1 != 0 {
		lead = 12
	}
	sizes := saiz.body()[lead:]
	size := func(i int) int {
		if i >= int(binary.BigEndian.Uint32(sizes[1:])) {
			return 0
		}
		if sizes[0] != 0 {
			return int(sizes[0])
		}
		return int(sizes[5+i])
	}
	offsets := []int{}
	if there {
		p := saio.body()[lead:]
		width := 4 + 4*int(saio.body()[0])
		for q := p[4:]; len(q) >= width; q = q[width:] {
			v := 0
			for _, c := range q[:width] {
				v = v<<8 | int(c)
			}
			offsets = append(offsets, v)
		}
	} else {
		senc, _ := plainChild(t.tables, "senc")
		offsets = append(offsets, int(senc.bodyAt())+8)
	}
	at, chunk := offsets[0], 0
	for i := range list {
		for len(offsets) > 1 && (i == 0 || i == t.chunkEnds[chunk]) {
			if i > 0 {
				chunk++
			}
			at = offsets[chunk]
			if t.chunkEnds[chunk] > i {
				break
			}
			if i == 0 {
				chunk++
			}
		}
		if size(i) > 0 {
			list[i] = fmt.Sprint(file[at : at+size(i)])
		}
		at += size(i)
	}
}

// checkSides compares what these tables say of the samples kept.
func (t *checked) checkSides(source, answer []byte) error {
	was, is := t.source.plainSides(source), t.answer.plainSides(answer)
	if len(was) != len(is) {
		return fmt.Errorf("%d tables, want %d", len(is), len(was))
	}
	for _, b := range t.answer.tables {
		if b.typ == "sbgp" {
			rows, err := plainEntries(b, 12+4*int(b.body()[0]), 2)
			sum := 0
			for _, row := range rows {
				sum += int(row[0])
			}
			if err != nil || sum > t.answer.samples() {
				return fmt.Errorf("sbgp speaks of %d samples of %d: %v", sum, t.answer.samples(), err)
			}
		}
	}
	for key, list := range was {
		for i, got := range is[key] {
			want := list[t.first+i]
			if got != want {
				return fmt.Errorf("%s says %s of sample %d, want %s", key, got, i, want)
			}
		}
		if len(is[key]) == 0 {
			return fmt.Errorf("no %s", key)
		}
	}
	return nil
}

// randomRareBoxes adds tables that few files have.
func (t *madeTrack) randomRareBoxes(r *rand.Rand) {
	n := len(t.durations)
	if r.Intn(10) == 0 {
		pad := make([]byte, (n+1)/2)
		r.Read(pad)
		t.inStbl = append(t.inStbl, fullBox("padb", 0, u32(int64(n)), pad)...)
	}
	if r.Intn(10) == 0 {
		var pairs []int64
		for i := 1; i <= n; i += 1 + r.Intn(9) {
			pairs = append(pairs, int64(i), 1+r.Int63n(int64(n)))
		}
		t.inStbl = append(t.inStbl, fullBox("stsh", 0, u32(int64(len(pairs)/2)), u32(pairs...))...)
	}
	for kind := 0; r.Intn(5) == 0; kind++ { // one subs for each kind, which flags tell
		t.inStbl = append(t.inStbl, randomSubSamples(r, n, int64(kind))...)
	}
	if r.Intn(6) == 0 {
		t.inStbl = append(t.inStbl, randomPatterns(r, n)...)
	}
	if r.Intn(6) == 0 {
		groups := make([]int64, r.Intn(n+1))
		for i := range groups {
			groups[i] = r.Int63n(3)
		}
		t.inStbl = append(t.inStbl, fullBox("sbgp", 1, []byte("tele"), u32(7), pairs(groups, t.split))...)
	}
	if r.Intn(6) == 0 {
		t.info = make([]int64, 1+r.Intn(n))
		for i := range t.info {
			t.info[i] = r.Int63n(20)
		}
		t.infoWhole = r.Intn(2) == 0
		return
	}
	if r.Intn(8) == 0 { // in the moov, of a constant size
		const size = 8
		info := make([]byte, size*n)
		r.Read(info)
		t.inStbl = append(t.inStbl, fullBox("saiz", 0, []byte{size}, u32(int64(n)))...)
		t.inStbl = append(t.inStbl, fullBox("senc", 0, u32(int64(n)), info)...)
	}
}

// randomSubSamples makes a subs that says something of some samples.
func randomSubSamples(r *rand.Rand, n int, flags int64) []byte {
	version, width := r.Int63n(2), 8
	if version == 1 {
		width = 10
	}
	var entries []byte
	count, last := int64(0), 0
	steps, kinds := 4, 3
	if r.Intn(2) == 0 {
		steps = 1
		kinds = 1 + r.Intn(2)
	}
	for i := r.Intn(4) + 1; i <= n; i += 1 + r.Intn(steps) {
		some := r.Intn(kinds)
		if r.Intn(50) == 0 {
			some++
		}
		what := make([]byte, some*width)
		r.Read(what)
		entries = append(entries, u32(int64(i-last))...)
		entries = append(entries, number(int64(some), 2)...)
		entries = append(entries, what...)
		last = i
		count++
	}
	return rawBox("subs", u32(version<<24|flags), u32(count), entries)
}

// randomPatterns makes a csgp with numbers of any width.
func randomPatterns(r *rand.Rand, n int) []byte {
	var nibbles []byte
	put := func(v, code int) {
		for i := int(1)<<uint(code) - 1; i >= 0; i-- {
			nibbles = append(nibbles, byte(v>>(4*uint(i)))&15)
		}
	}
	index, count, length := r.Intn(4), r.Intn(4), r.Intn(4)
	most := minInt(int(1)<<(uint(4)<<uint(count))-1, n)
	var lengths, counts []int
	for left := n + r.Intn(5); left > 0 && r.Intn(20) > 0; {
		lengths = append(lengths, 1+r.Intn(5))
		counts = append(counts, minInt(left, 1+r.Intn(most)))
		left -= counts[len(counts)-1]
	}
	for i := range lengths {
		put(lengths[i], length)
		put(counts[i], count)
	}
	for i := range lengths {
		for j := 0; j < lengths[i]; j++ {
			put(r.Intn(9), index)
		}
	}
	nibbles = append(nibbles, make([]byte, len(nibbles)%2)...)
	packed := make([]byte, len(nibbles)/2)
	for i, v := range nibbles {
		packed[i/2] |= v << (4 - 4*uint(i%2))
	}
	flags := int64(index | count<<2 | length<<4)
	about := []byte("rap ")
	if r.Intn(2) == 0 {
		flags |= 64
		about = append(about, u32(5)...)
	}
	return rawBox("csgp", u32(flags), about, u32(int64(len(lengths))), packed)
}

// TestRareTables is TestRandomCuts over movies of which every track has all of them, or most.
func TestRareTables(t *testing.T) {
	found := map[string]int{}
	for seed := 0; seed < filmtest.Rounds(300, 8); seed++ {
		r := rand.New(rand.NewSource(int64(seed)))
		m := randomMovie(r)
		for _, made := range m.tracks {
			for i := 0; i < 6; i++ {
				before := *made
				made.randomRareBoxes(r)
				if !once(made) {
					*made = before
				}
			}
		}
		k, err := newChecker(m.file(), r)
		if err != nil {
			t.Errorf("movie %d: %v", seed, err)
			continue
		}
		for _, track := range k.plain.tracks {
			for _, b := range track.tables {
				found[b.typ]++
			}
		}
		for i := 0; i < 5; i++ {
			iv := randomInterval(r, m.milliseconds())
			_, err := k.check(iv, modes[r.Intn(len(modes))])
			if err != nil {
				t.Errorf("movie %d from %d to %d ms: %v", seed, iv.start, iv.end, err)
			}
		}
	}
	for _, typ := range []string{"padb", "stsh", "subs", "csgp", "sbgp", "saiz", "saio", "senc", "sdtp", "stdp", "cslg"} {
		if found[typ] == 0 {
			t.Errorf("no movie has a %s", typ)
		}
	}
}

// once reports whether a track has no table twice that may be there but once.
func once(t *madeTrack) bool {
	boxes, _, _ := plainBoxes(t.inStbl, 0)
	there := map[string]bool{}
	for _, b := range boxes {
		key := b.typ
		if b.typ == "subs" || b.typ == "sbgp" || b.typ == "csgp" {
			key = fmt.Sprint(b.body()[:8], b.typ)
		}
		if there[key] {
			return false
		}
		there[key] = true
	}
	return !(t.info != nil && there["saiz"])
}

// TestManyGrouped has a few bytes of csgp and subs that speak of billions of samples, and long ones.
func TestManyGrouped(t *testing.T) {
	most := int64(1<<32 - 1)
	about := []byte("rap ")
	long := bytes.Repeat([]byte{0x12}, 1<<20)
	subs := bytes.Repeat(append(u32(1), 0, 0), 200_000)
	if filmtest.Interpreted() {
		subs = subs[:6*2000]
	}
	for name, b := range map[string][]byte{
		"one group for all":             rawBox("csgp", u32(0x3F), about, u32(1, 1, most, 7)),
		"two groups in turn":            rawBox("csgp", u32(0x3F), about, u32(1, 2, most, 7, 8)),
		"a pattern of a million groups": rawBox("csgp", u32(0x3C), about, u32(1, 2<<20, most), long),
		"a pattern that is not there":   rawBox("csgp", u32(0x3F), about, u32(1, most, most, 7)),
		"patterns that are not there":   rawBox("csgp", u32(0x3F), about, u32(most)),
		"patterns of no groups":         rawBox("csgp", u32(0x3F), about, u32(3, 0, most, 0, most, 0, most)),
		"many patterns of no groups":    rawBox("csgp", u32(0), about, u32(1<<20), make([]byte, 1<<20)),
		"subs of a sample":              rawBox("subs", u32(0, 1, most), []byte{0, 0}),
		"many subs":                     rawBox("subs", u32(0, 200_000), subs),
		"subs that are not there":       rawBox("subs", u32(0, most), subs),
	} {
		for _, stts := range [][]int64{{1, most, 1}, {1, 3, 1}} {
			parts := map[string][]byte{"stsz": table("stsz", 1, stts[1]), "stsc": table("stsc", 1, 1, stts[1], 1), "stco": table("stco", 1, smallMedia),
				"stts": table("stts", stts...), "edts": nil, "ctts": nil, "stss": nil, "+stbl": b}
			src := &memorySource{data: smallMovie(parts), length: 1 << 40}
			_ = surviveSource(t, name, src)
		}
	}
}

// TestInformationPlaces has auxiliary information in the moov, where saio points to it, and for all but one chunk.
func TestInformationPlaces(t *testing.T) {
	sizes := []byte{0, 0, 0, 0, 10, 2, 3, 0, 4, 1, 2, 5, 0, 3, 2} // of ten samples, not all the same
	info := bytes.Repeat([]byte{0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 7, 8, 9, 10, 11}, 2)
	inMoov := bytes.Join([][]byte{rawBox("saiz", u32(0), sizes), rawBox("saio", u32(0, 1, 0)), fullBox("senc", 0, u32(10), info)}, nil)
	senc := smallMovie(with("+stbl", inMoov))
	at := bytes.Index(senc, []byte("senc")) + 12 // type(4), version and flags(4), sample_count(4)
	copy(senc[bytes.Index(senc, []byte("saio"))+12:], u32(int64(at)))
	sizes[len(sizes)-1] = 0 // the last chunk's only sample
	chunks := rawBox("saio", u32(0, 4, smallMedia+3, smallMedia+20, smallMedia+40, 1<<32-16))
	inMedia := smallMovie(with("+stbl", append(rawBox("saiz", u32(0), sizes), chunks...)))
	for name, data := range map[string][]byte{"in the moov": senc, "in the media": inMedia} {
		k, err := newChecker(data, rand.New(rand.NewSource(1)))
		if err != nil {
			t.Fatal(err)
		}
		for start := int64(0); start < 1000; start += 50 {
			for _, seek := range modes {
				_, err = k.check(msInterval{start, -1}, seek)
				if err != nil {
					t.Errorf("%s: %s from %d ms: %v", name, seek, start, err)
				}
				c, err := k.movie.cutProgressive(msInterval{start, -1}, seek)
				if err != nil {
					continue
				}
				out, err := assemble(c, data, nil)
				if err != nil {
					t.Fatal(err)
				}
				boxes := map[string][]byte{}
				collect(out, boxes)
				for p := boxes["saio"][16:]; len(p) >= 8; p = p[8:] {
					if place := binary.BigEndian.Uint64(p); place > uint64(len(out)) {
						t.Errorf("%s: %s from %d ms: a piece of the information lies at %d of %d", name, seek, start, place, len(out))
					}
				}
			}
		}
	}
}

// TestInformationKinds has two kinds of auxiliary information, of which an answer has the first.
func TestInformationKinds(t *testing.T) {
	var kinds []byte
	for i, kind := range []string{"cenc", "abcd"} {
		about := append([]byte(kind), 0, 0, 0, 0)                                                  // aux_info_type_parameter
		kinds = append(kinds, rawBox("saiz", u32(1), about, []byte{1}, u32(10))...)                // default_sample_info_size
		kinds = append(kinds, rawBox("saio", u32(1), about, u32(1, int64(smallMedia+10+20*i)))...) // entry_count, offset
	}
	data := smallMovie(with("+stbl", kinds))
	m, err := findMovie(&memorySource{data: data}, testMoov)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := m.remux()
	if err != nil {
		t.Fatal(err)
	}
	exact, err := m.cutProgressive(msInterval{400, -1}, seekExact)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*cut{"whole": whole, "exact": exact} {
		out, err := assemble(c, data, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := readPlain(out)
		if err != nil {
			t.Fatal(err)
		}
		track, there := answer.tracks[0], ""
		for _, b := range track.tables {
			if containsType("saizsaio", b.typ) {
				there += b.typ + " " + string(b.body()[4:8]) + " "
			}
		}
		if there != "saiz cenc saio cenc " {
			t.Errorf("%s: it has %s", name, there)
		}
		list := make([]string, track.samples())
		track.plainInformation(out, list)
		for i, got := range list {
			at := smallMedia + 20 - len(list) + i // the byte of the source's sample
			if want := fmt.Sprint(data[at : at+1]); got != want {
				t.Errorf("%s: of sample %d it says %s, want %s", name, i, got, want)
			}
		}
	}
}

// TestInformationForMore has auxiliary information in the moov for more samples than there are.
func TestInformationForMore(t *testing.T) {
	inMoov := bytes.Join([][]byte{
		rawBox("saiz", u32(0), []byte{2, 0, 0, 0, 13}), // of 2 bytes for each of 13
		rawBox("saio", u32(0, 1, 0)),
		fullBox("senc", 0, u32(13), make([]byte, 26)),
	}, nil)
	err := survive(t, "information on 13 samples of 10", smallMovie(with("+stbl", inMoov)))
	if err != nil {
		t.Error(err)
	}
}
