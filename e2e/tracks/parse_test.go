package tracks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// film is what the boxes of a file say, entry by entry, sample by sample.
type film struct {
	boxes     []string // of the top level
	endless   bool     // the last mdat has the size 0
	media     []place  // the payloads of the mdats
	timescale uint64
	duration  uint64 // of mvhd
	tracks    []*track
}

type place struct{ from, to uint64 }

type track struct {
	id              uint32
	timescale       uint64
	known           uint64 // the movie's timescale, where mvhd comes before the track; nginx takes it for 0 else
	trackDuration   uint64 // of tkhd
	mediaDuration   uint64 // of mdhd
	uniform, short  bool   // one size for all samples; sizes in a stz2
	handler, format string // of the media, and of its first sample entry
	edits           []edit
	samples         []sample
	chunks          []chunk
}

// edit is an entry of the edit list.
type edit struct {
	duration  uint64 // in ticks of the movie
	mediaTime int64  // -1: nothing is shown
	rate      float64
}

// sample is all that is compared of a sample.
type sample struct {
	data        []byte
	duration    uint32
	composition uint32 // the offset's bits, whose sign is another matter
	sync        bool
}

type chunk struct {
	at, end    uint64 // bytes of the file
	first, n   int    // samples
	lastOfRun  bool   // of the stsc's entry
	descriptor uint32
}

// box is the payload of a box, and where it begins in the file.
type box struct {
	typ     string
	at      uint64
	payload []byte
}

var errTables = errors.New("the tables disagree")

// walk takes boxes apart.
func walk(data []byte, at uint64) (boxes []box, err error) {
	for len(data) > 0 {
		if len(data) < 8 {
			return nil, fmt.Errorf("%d bytes at %d are no box", len(data), at)
		}
		size, header := uint64(binary.BigEndian.Uint32(data)), uint64(8)
		switch {
		case size == 0:
			size = uint64(len(data))
		case size == 1 && len(data) >= 16:
			size, header = binary.BigEndian.Uint64(data[8:]), 16
		}
		if size < header || size > uint64(len(data)) {
			return nil, fmt.Errorf("a box of %d bytes at %d", size, at)
		}
		boxes = append(boxes, box{string(data[4:8]), at + header, data[header:size]})
		data, at = data[size:], at+size
	}
	return boxes, nil
}

// parse reads a whole file. Tables that disagree, and samples that do not lie in an mdat, are errors.
func parse(file []byte) (*film, error) {
	boxes, err := walk(file, 0)
	if err != nil {
		return nil, err
	}
	f := &film{}
	for _, b := range boxes {
		f.boxes = append(f.boxes, b.typ)
		if b.typ == "mdat" {
			f.media = append(f.media, place{b.at, b.at + uint64(len(b.payload))})
			f.endless = binary.BigEndian.Uint32(file[b.at-8:]) == 0
		}
	}
	for _, b := range boxes {
		if b.typ != "moov" {
			continue
		}
		children, err := walk(b.payload, b.at)
		if err != nil {
			return nil, err
		}
		for _, c := range children {
			switch c.typ {
			case "mvhd":
				f.timescale, f.duration = times(c.payload, 12, 20)
			case "trak":
				t, err := parseTrack(c, file, f.media)
				if err != nil {
					return nil, fmt.Errorf("track %d: %w", t.id, err)
				}
				t.known = f.timescale
				f.tracks = append(f.tracks, t)
			}
		}
	}
	return f, nil
}

// times reads a mvhd or mdhd: the timescale at v0 or v1, by version, and the duration behind it.
func times(p []byte, v0, v1 int) (timescale, duration uint64) {
	if p[0] == 0 {
		return uint64(binary.BigEndian.Uint32(p[v0:])), uint64(binary.BigEndian.Uint32(p[v0+4:]))
	}
	return uint64(binary.BigEndian.Uint32(p[v1:])), binary.BigEndian.Uint64(p[v1+4:])
}

func parseTrack(trak box, file []byte, media []place) (*track, error) {
	t := &track{}
	all := map[string]box{}
	level := []box{trak}
	for len(level) > 0 {
		children, err := walk(level[0].payload, level[0].at)
		if err != nil {
			return t, err
		}
		level = level[1:]
		for _, c := range children {
			switch c.typ {
			case "mdia", "minf", "stbl", "edts":
				level = append(level, c)
			default:
				if _, ok := all[c.typ]; !ok { // QuickTime has a hdlr in minf too
					all[c.typ] = c
				}
			}
		}
	}
	for _, typ := range []string{"tkhd", "mdhd", "stts", "stsc"} {
		if len(all[typ].payload) < 8 {
			return t, fmt.Errorf("no %s", typ)
		}
	}
	tkhd := all["tkhd"].payload
	if tkhd[0] == 0 {
		t.id, t.trackDuration = binary.BigEndian.Uint32(tkhd[12:]), uint64(binary.BigEndian.Uint32(tkhd[20:]))
	} else {
		t.id, t.trackDuration = binary.BigEndian.Uint32(tkhd[20:]), binary.BigEndian.Uint64(tkhd[28:])
	}
	t.timescale, t.mediaDuration = times(all["mdhd"].payload, 12, 20)
	if hdlr := all["hdlr"].payload; len(hdlr) >= 12 {
		t.handler = string(hdlr[8:12])
	}
	if stsd := all["stsd"].payload; len(stsd) >= 16 {
		t.format = string(stsd[12:16])
	}
	if err := t.readEdits(all); err != nil {
		return t, err
	}
	sizes, err := t.sizes(all)
	if err != nil {
		return t, err
	}
	t.samples = make([]sample, len(sizes))
	if err := t.fill(all); err != nil {
		return t, err
	}
	return t, t.place(all, sizes, file, media)
}

// readEdits reads elst.
func (t *track) readEdits(all map[string]box) error {
	elst, ok := all["elst"]
	if !ok || len(elst.payload) == 0 {
		return nil
	}
	wide := elst.payload[0] == 1
	fields := 3 // segment_duration, media_time, media_rate
	if wide {
		fields = 5
	}
	list, err := entries(elst, fields)
	for _, e := range list {
		v := edit{uint64(e[0]), int64(int32(e[1])), float64(int32(e[fields-1])) / (1 << 16)}
		if wide {
			v.duration, v.mediaTime = uint64(e[0])<<32|uint64(e[1]), int64(uint64(e[2])<<32|uint64(e[3]))
		}
		t.edits = append(t.edits, v)
	}
	return err
}

// sizes reads stsz or stz2.
func (t *track) sizes(all map[string]box) ([]uint64, error) {
	p, width := all["stsz"].payload, 32
	if t.short = p == nil; t.short {
		if p = all["stz2"].payload; p == nil {
			return nil, errors.New("no stsz")
		}
		width = int(p[7])
	}
	sizes := make([]uint64, binary.BigEndian.Uint32(p[8:]))
	uniform := binary.BigEndian.Uint32(p[4:])
	t.uniform = !t.short && uniform != 0
	for i := range sizes {
		switch {
		case t.uniform:
			sizes[i] = uint64(uniform)
		case len(p) < 12+(i*width+width+7)/8:
			return nil, fmt.Errorf("%w: %d sizes do not fit", errTables, len(sizes))
		case width == 32:
			sizes[i] = uint64(binary.BigEndian.Uint32(p[12+4*i:]))
		case width == 16:
			sizes[i] = uint64(binary.BigEndian.Uint16(p[12+2*i:]))
		case width == 8:
			sizes[i] = uint64(p[12+i])
		default:
			sizes[i] = uint64(p[12+i/2]>>(4-4*(i%2))) & 15
		}
	}
	return sizes, nil
}

// entries takes the entries of a table apart into 32-bit fields.
func entries(b box, fields int) ([][]uint32, error) {
	n := int(binary.BigEndian.Uint32(b.payload[4:]))
	if 8+4*fields*n > len(b.payload) {
		return nil, fmt.Errorf("%w: %d entries of %s do not fit", errTables, n, b.typ)
	}
	out := make([][]uint32, n)
	for i := range out {
		for k := range fields {
			out[i] = append(out[i], binary.BigEndian.Uint32(b.payload[8+4*(fields*i+k):]))
		}
	}
	return out, nil
}

// fill reads stts, ctts and stss.
func (t *track) fill(all map[string]box) error {
	runs := func(typ string, set func(s *sample, v uint32)) (int, error) {
		at := 0
		list, err := entries(all[typ], 2)
		for _, e := range list {
			if at+int(e[0]) > len(t.samples) {
				return 0, fmt.Errorf("%w: %s has more than %d samples", errTables, typ, len(t.samples))
			}
			for range e[0] {
				set(&t.samples[at], e[1])
				at++
			}
		}
		return at, err
	}
	n, err := runs("stts", func(s *sample, v uint32) { s.duration = v })
	if err != nil {
		return err
	}
	if n != len(t.samples) {
		return fmt.Errorf("%w: stts has %d of %d samples", errTables, n, len(t.samples))
	}
	if _, ok := all["ctts"]; ok {
		if _, err := runs("ctts", func(s *sample, v uint32) { s.composition = v }); err != nil {
			return err
		}
	}
	stss, ok := all["stss"]
	if ok && t.handler == "soun" && len(stss.payload) >= 8 {
		ok = binary.BigEndian.Uint32(stss.payload[4:]) > 0 // an empty one says nothing of sound, where players begin anywhere
	}
	for i := range t.samples {
		t.samples[i].sync = !ok
	}
	if !ok {
		return nil
	}
	list, err := entries(stss, 1)
	last := uint32(0)
	for _, e := range list {
		if e[0] <= last || int(e[0]) > len(t.samples) {
			return fmt.Errorf("%w: stss has the sample %d of %d behind %d", errTables, e[0], len(t.samples), last)
		}
		last = e[0]
		t.samples[last-1].sync = true
	}
	return err
}

// place reads stsc and stco or co64 and finds the samples' bytes.
func (t *track) place(all map[string]box, sizes []uint64, file []byte, media []place) error {
	var offsets []uint64
	if stco, ok := all["stco"]; ok {
		list, err := entries(stco, 1)
		if err != nil {
			return err
		}
		for _, e := range list {
			offsets = append(offsets, uint64(e[0]))
		}
	} else {
		list, err := entries(all["co64"], 2)
		if err != nil {
			return err
		}
		for _, e := range list {
			offsets = append(offsets, uint64(e[0])<<32|uint64(e[1]))
		}
	}
	list, err := entries(all["stsc"], 3)
	if err != nil {
		return err
	}
	at := 0
	for i, e := range list {
		end := uint32(len(offsets) + 1)
		if i+1 < len(list) {
			end = list[i+1][0]
		}
		if e[0] == 0 || i == 0 && e[0] != 1 || end <= e[0] || int(end) > len(offsets)+1 {
			return fmt.Errorf("%w: stsc has the run %v up to chunk %d of %d", errTables, e, end, len(offsets))
		}
		for number := e[0]; number < end; number++ {
			c := chunk{at: offsets[number-1], first: at, n: int(e[1]), lastOfRun: number+1 == end, descriptor: e[2]}
			if at+c.n > len(sizes) {
				return fmt.Errorf("%w: stsc has more than %d samples", errTables, len(sizes))
			}
			c.end = c.at
			for ; at < c.first+c.n; at++ {
				p := place{c.end, c.end + sizes[at]}
				if !slices.ContainsFunc(media, func(m place) bool { return m.from <= p.from && p.from <= p.to && p.to <= m.to }) {
					return fmt.Errorf("sample %d lies at bytes %d to %d, which are in no mdat", at, p.from, p.to)
				}
				t.samples[at].data = file[p.from:p.to]
				c.end = p.to
			}
			t.chunks = append(t.chunks, c)
		}
	}
	if at != len(sizes) || len(t.chunks) != len(offsets) {
		return fmt.Errorf("%w: stsc has %d of %d samples", errTables, at, len(sizes))
	}
	return nil
}

// same tells where two tracks' samples differ, or nil.
func same(got, want []sample) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d samples, %d are due", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		switch {
		case string(g.data) != string(w.data):
			return fmt.Errorf("sample %d of %d has other bytes (%d; %d are due)", i, len(want), len(g.data), len(w.data))
		case g.duration != w.duration || g.composition != w.composition || g.sync != w.sync:
			return fmt.Errorf("sample %d of %d: duration %d, composition %d, sync %t; %d, %d, %t are due", i, len(want),
				g.duration, int32(g.composition), g.sync, w.duration, int32(w.composition), w.sync)
		}
	}
	return nil
}
