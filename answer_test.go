package mp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
	"github.com/traefik-mp4/mp4/internal/lanes"
)

// cutSmall cuts a small movie and returns the boxes of the answer's track, by type.
func cutSmall(t *testing.T, changed map[string][]byte, iv msInterval, seek string) map[string][]byte {
	t.Helper()
	data := smallMovie(changed)
	m, err := findMovie(&memorySource{data: data}, testMoov)
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.cutProgressive(iv, seek)
	if err != nil {
		t.Fatalf("from %d to %d ms, %s: %v", iv.start, iv.end, seek, err)
	}
	out, err := assemble(c, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	boxes := map[string][]byte{}
	collect(out, boxes)
	return boxes
}

// collect notes every box below data by its type.
func collect(data []byte, boxes map[string][]byte) {
	list, _, _ := plainBoxes(data, 0)
	for _, b := range list {
		boxes[b.typ] = b.data
		if containsType("moovtrakedtsmdiaminfdinfstbl", b.typ) {
			collect(b.body(), boxes)
		}
	}
}

// TestLeadIn cuts the small movie at 0.25 s, and compares with what the formula of docs/lead-in.md gives by hand.
//
// The edit begins at 10, so m = 35. Pictures are shown at 10, 30, 20, 40, 50 …: the second one, at p = 30, is on show.
// Hidden are the first and the third, H = {0, 2}, l = 2. A tick of a 100th of a second is too coarse for milliseconds:
// the timescale becomes 1000, m 350 and p 300. No offset is negative, so K = 0. The third stood for 100 ms, and so G is 100.
// B = max(0 + 2 - 0, 2 + 2 - 1) = 3, and M = max(B + G, l + 1 + m - d(3)) = max(103, 3 + 350 - 300) = 103.
// The sixth is a key frame that is shown at 600, less than 1 s after p: it is not listed.
func TestLeadIn(t *testing.T) {
	boxes := cutSmall(t, nil, msInterval{250, -1}, seekExact)
	for typ, want := range map[string][]byte{
		"elst": {
			0, 0, 0, 28, 'e', 'l', 's', 't',
			0, 0, 0, 0, // version, flags
			0, 0, 0, 1, // entry_count
			0, 0, 2, 238, // segment_duration: 750
			0, 0, 0, 103, // media_time: M
			0, 1, 0, 0, // media_rate: 1.0
		},
		"mdhd": {
			0, 0, 0, 32, 'm', 'd', 'h', 'd',
			0, 0, 0, 0, // version, flags
			0, 0, 0, 1, // creation_time
			0, 0, 0, 2, // modification_time
			0, 0, 3, 232, // timescale: 1000
			0, 0, 2, 241, // duration: 53 + 7 · 100
			0x55, 0xC4, // language: und
			0, 0, // pre_defined
		},
		"stts": {
			0, 0, 0, 40, 's', 't', 't', 's',
			0, 0, 0, 0, // version, flags
			0, 0, 0, 3, // entry_count
			0, 0, 0, 2, 0, 0, 0, 1, // sample_count, sample_delta
			0, 0, 0, 1, 0, 0, 0, 51, // up to l + 1, whose DTS is 300 - 350 + 103 = 53
			0, 0, 0, 7, 0, 0, 0, 100,
		},
		"ctts": {
			0, 0, 0, 48, 'c', 't', 't', 's',
			0, 0, 0, 0, // version, flags
			0, 0, 0, 4, // entry_count
			0, 0, 0, 1, 0, 0, 0, 1, // hidden, rank 0: CTS M - G - 2 + 0 = 1, DTS 0
			0, 0, 0, 1, 0, 0, 0, 102, // shown: CTS M, DTS 1
			0, 0, 0, 1, 0, 0, 0, 0, // hidden, rank 1: CTS M - G - 2 + 1 = 2, DTS 2
			0, 0, 0, 7, 0, 0, 0, 100, // as they were
		},
		"stss": {
			0, 0, 0, 20, 's', 't', 's', 's',
			0, 0, 0, 0, // version, flags
			0, 0, 0, 1, // entry_count
			0, 0, 0, 1, // sample_number
		},
		"stsc": smallParts["stsc"],
		"stsz": smallParts["stsz"],
	} {
		if !bytes.Equal(boxes[typ], want) {
			t.Errorf("%s is % x, want % x", typ, boxes[typ], want)
		}
	}
}

// TestCrops cuts the small movie between samples and compares its tables with what they must be.
func TestCrops(t *testing.T) {
	for _, tt := range []struct {
		name                         string
		from, to                     int64 // milliseconds: a sample is ten
		stts, ctts, stss, stsc, stsz []int64
		stco                         []int64 // in the source
	}{
		{
			"one sample off the first chunk", 10, -1,
			[]int64{1, 9, 10}, []int64{3, 1, 20, 1, 0, 7, 10}, []int64{1, 5},
			[]int64{3, 1, 2, 1, 2, 3, 1, 4, 1, 1}, []int64{0, 9, 5, 4, 6, 3, 8, 4, 5, 2, 9}, []int64{7, 16, 33, 44},
		},
		{
			"two samples", 20, -1,
			[]int64{1, 8, 10}, []int64{2, 1, 0, 7, 10}, []int64{1, 4},
			[]int64{3, 1, 1, 1, 2, 3, 1, 4, 1, 1}, []int64{0, 8, 4, 6, 3, 8, 4, 5, 2, 9}, []int64{12, 16, 33, 44},
		},
		{
			"the first chunk", 30, -1,
			[]int64{1, 7, 10}, []int64{1, 7, 10}, []int64{1, 3},
			[]int64{2, 1, 3, 1, 3, 1, 1}, []int64{0, 7, 6, 3, 8, 4, 5, 2, 9}, []int64{16, 33, 44},
		},
		{
			"all but the end of the third chunk", 70, -1,
			[]int64{1, 3, 10}, []int64{1, 3, 10}, []int64{0},
			[]int64{2, 1, 2, 1, 2, 1, 1}, []int64{0, 3, 5, 2, 9}, []int64{37, 44},
		},
		{
			"all but the last sample", 90, -1,
			[]int64{1, 1, 10}, []int64{1, 1, 10}, []int64{0},
			[]int64{1, 1, 1, 1}, []int64{0, 1, 9}, []int64{44},
		},
		{
			"the end of the first chunk and later ones", 0, 20,
			[]int64{1, 2, 10}, []int64{2, 1, 10, 1, 20}, []int64{1, 1},
			[]int64{1, 1, 2, 1}, []int64{0, 2, 7, 5}, []int64{0},
		},
		{
			"all but the first chunk", 0, 30,
			[]int64{1, 3, 10}, []int64{3, 1, 10, 1, 20, 1, 0}, []int64{1, 1},
			[]int64{1, 1, 3, 1}, []int64{0, 3, 7, 5, 4}, []int64{0},
		},
		{
			"all but the first chunk and a sample", 0, 40,
			[]int64{1, 4, 10}, []int64{4, 1, 10, 1, 20, 1, 0, 1, 10}, []int64{1, 1},
			[]int64{2, 1, 3, 1, 2, 1, 1}, []int64{0, 4, 7, 5, 4, 6}, []int64{0, 16},
		},
		{
			"a sample within a chunk", 40, 50,
			[]int64{1, 1, 10}, []int64{1, 1, 10}, []int64{0},
			[]int64{1, 1, 1, 1}, []int64{0, 1, 3}, []int64{22},
		},
		{
			"a sample on either side of a boundary", 50, 70,
			[]int64{1, 2, 10}, []int64{1, 2, 10}, []int64{1, 1},
			[]int64{2, 1, 1, 1, 2, 1, 1}, []int64{0, 2, 8, 4}, []int64{25, 33},
		},
	} {
		boxes := cutSmall(t, nil, msInterval{10 * tt.from, 10 * tt.to}, seekSample)
		if tt.to < 0 {
			boxes = cutSmall(t, nil, msInterval{10 * tt.from, -1}, seekSample)
		}
		for typ, want := range map[string][]int64{"stts": tt.stts, "ctts": tt.ctts, "stss": tt.stss, "stsc": tt.stsc, "stsz": tt.stsz} {
			if !bytes.Equal(boxes[typ], table(typ, want...)) {
				t.Errorf("%s: %s is % x, want % x", tt.name, typ, boxes[typ], table(typ, want...))
			}
		}
		// The media begins with the first chunk.
		made := int64(len(boxes["ftyp"]) + len(boxes["moov"]) + headerLen)
		stco := []int64{int64(len(tt.stco))}
		for _, at := range tt.stco {
			stco = append(stco, at-tt.stco[0]+made)
		}
		if !bytes.Equal(boxes["stco"], table("stco", stco...)) {
			t.Errorf("%s: stco is % x, want % x", tt.name, boxes["stco"], table("stco", stco...))
		}
	}
}

// TestHeadersGrow wants headers of version 1 where a duration needs 64 bits, and those of the source elsewhere.
func TestHeadersGrow(t *testing.T) {
	for _, tt := range []struct {
		timescale int64
		version   byte
	}{
		{999_983, 1}, // the answer's has to be a thousand times as high: nine seconds are 2^33
		{1000, 0},
	} {
		m := newMadeMovie(newMadeTrack("vide", 1000, 10, 1000))
		m.timescale = tt.timescale
		m.tracks[0].sync = []int64{0}
		k, err := newChecker(m.file(), rand.New(rand.NewSource(1)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.check(msInterval{1500, -1}, seekExact)
		if err != nil {
			t.Errorf("timescale %d: %v", tt.timescale, err)
		}
		c, err := k.movie.cutProgressive(msInterval{1500, -1}, seekExact)
		if err != nil {
			t.Fatal(err)
		}
		out, err := assemble(c, k.data, nil)
		if err != nil {
			t.Fatal(err)
		}
		boxes := map[string][]byte{}
		collect(out, boxes)
		const created = 0xC0FFEE // as made
		for typ, version := range map[string]byte{"mvhd": tt.version, "tkhd": tt.version, "elst": tt.version, "mdhd": 0} {
			b := boxes[typ]
			if b[8] != version {
				t.Errorf("timescale %d: %s has version %d, want %d", tt.timescale, typ, b[8], version)
			}
			if typ == "elst" {
				continue
			}
			width := 4 + 4*int(version)
			if !bytes.Equal(b[12:12+width], number(created, width)) || binary.BigEndian.Uint32(b) != uint32(len(b)) {
				t.Errorf("timescale %d: %s is % x", tt.timescale, typ, b)
			}
		}
		if want := len(m.mvhd()) + 12*int(tt.version); len(boxes["mvhd"]) != want {
			t.Errorf("timescale %d: mvhd has %d bytes, want %d", tt.timescale, len(boxes["mvhd"]), want)
		}
	}
}

// TestBeyond4GiB moves the moov of a sparse file of 4 GiB to its front: offsets of 32 bits no longer do.
func TestBeyond4GiB(t *testing.T) {
	const last = 1<<32 - 300
	media := append(append(u32(sizeLarge), "mdat"...), number(last+100, 8)...) // from 20 on
	at := int64(20 + len(media))
	for _, tt := range []struct {
		name  string
		last  int64
		grows bool
	}{
		{"offsets that pass 4 GiB", last, true},
		{"offsets that do not", last - 2000, false},
	} {
		small := smallMovie(map[string][]byte{
			"stsc": table("stsc", 2, 1, 3, 1, 4, 1, 1),
			"stco": table("stco", 4, at, 1<<31, tt.last-100, tt.last),
		})
		moov := small[len(smallParts["ftyp"])+len(smallParts["mdat"]):]
		src := &gappedSource{head: append(append([]byte{}, smallParts["ftyp"]...), media...), tail: moov, tailAt: 20 + last + 100}
		m, err := findMovie(src, testMoov)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := m.remux()
		if err != nil {
			t.Fatal(err)
		}
		exact, err := m.cutProgressive(msInterval{1, -1}, seekExact)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]*cut{"whole": whole, "exact": exact} {
			err = checkSparse(c, tt.last, at, tt.grows)
			if err != nil {
				t.Errorf("%s, %s: %v", tt.name, name, err)
			}
		}
	}
}

// checkSparse checks the chunk offsets of an answer whose media lie at an offset of the source, and are one range.
func checkSparse(c *cut, last, at int64, grows bool) error {
	var out bytes.Buffer
	err := writeSegment(c.segments[0], &out, 0, c.segments[0].length)
	if err != nil {
		return err
	}
	media := last + 9 - at
	header := append(u32(media+headerLen), "mdat"...)
	if media+headerLen > 1<<32-1 {
		header = append(append(u32(sizeLarge), "mdat"...), number(media+largeHeaderLen, 8)...)
	}
	made := out.Bytes()
	if !bytes.HasSuffix(made, header) {
		return fmt.Errorf("it ends with % x, want % x", made[len(made)-20:], header)
	}
	if len(c.segments) != 2 || c.segments[1].off != at || c.segments[1].length != media || c.length != int64(len(made))+media {
		return fmt.Errorf("%d bytes, %d made, the media begin at %d", c.length, len(made), c.segments[1].off)
	}
	answer := made[:len(made)-len(header)]
	boxes := map[string][]byte{}
	collect(answer, boxes)
	var want []byte
	typ, width := "stco", 4
	if grows {
		typ, width = "co64", 8
	}
	for _, offset := range []int64{at, 1 << 31, last - 100, last} {
		want = append(want, number(offset-at+int64(len(made)), width)...)
	}
	if !bytes.Equal(boxes[typ], fullBox(typ, 0, u32(4), want)) {
		return fmt.Errorf("%s is % x, want % x", typ, boxes[typ], want)
	}
	if _, both := boxes[strings.Replace("stcoco64", typ, "", 1)]; both {
		return fmt.Errorf("it has both stco and co64")
	}
	return nil
}

// TestLongTables cuts movies whose tables have entries for more than one block and piece, at and around their
// boundaries.
func TestLongTables(t *testing.T) {
	samples, around := int64(2*lanes.PieceLen+300), []int64{lanes.BlockLen, 2 * lanes.BlockLen, lanes.PieceLen, 2 * lanes.PieceLen}
	if filmtest.Interpreted() {
		samples = 2*lanes.BlockLen + 20
		around = []int64{lanes.BlockLen}
	}
	for seed := int64(0); seed < 3; seed++ {
		r := rand.New(rand.NewSource(seed))
		v := &madeTrack{handler: "vide", format: "avc1", timescale: 1000, sizeBits: 32}
		for i := int64(0); i < samples; i++ {
			v.durations = append(v.durations, 5+i%2)
		}
		if seed > 0 {
			v.groups(r, seed == 2)
		}
		v.randomSizes(r)
		for left := samples; left > 0; {
			c := madeChunk{samples: minInt64(1+left%2, left), description: 1}
			v.chunks = append(v.chunks, c)
			left -= c.samples
		}
		m := newMadeMovie(v)
		if seed == 2 { // the chunks the other way round, each with something beside
			for i := 0; i < len(m.order)/2; i++ {
				m.order[i], m.order[len(m.order)-1-i] = m.order[len(m.order)-1-i], m.order[i]
			}
			for range v.durations {
				v.info = append(v.info, 1+r.Int63n(3))
			}
		}
		k, err := newChecker(m.file(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range around {
			for d := int64(-1); d <= 1; d++ {
				start := k.plain.tracks[0].dts[sample+d]
				for _, iv := range []msInterval{{start, -1}, {start + 3, start + 700}, {start / 2, start}} {
					_, err = k.check(iv, modes[r.Intn(len(modes))])
					if err != nil {
						t.Errorf("seed %d from %d to %d ms: %v", seed, iv.start, iv.end, err)
					}
				}
			}
		}
	}
}
