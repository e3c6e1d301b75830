package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
)

// A plain reading of MP4 files to check the engine by: every table becomes a list with an entry for every sample.

// maxPlain bounds the lists: a few bytes of a table can stand for billions of samples.
const maxPlain = 1 << 15

var (
	errPlain = errors.New("plain reading")
	errBoxes = fmt.Errorf("%w: boxes", errPlain)
)

// plainBox is a box and where it lies in the file.
type plainBox struct {
	typ    string
	at     int64
	header int64
	data   []byte
}

func (b plainBox) body() []byte { return b.data[b.header:] }

func (b plainBox) bodyAt() int64 { return b.at + b.header }

// plainBoxes splits data, which lies at an offset of the file, into boxes. What is left over is rest.
func plainBoxes(data []byte, at int64) ([]plainBox, []byte, error) {
	var boxes []plainBox
	for len(data) >= 8 {
		b := plainBox{typ: string(data[4:8]), at: at, header: 8}
		size := uint64(binary.BigEndian.Uint32(data))
		if size == 0 {
			break
		}
		if size == 1 && len(data) >= 16 {
			size = binary.BigEndian.Uint64(data[8:])
			b.header = 16
		}
		if size < uint64(b.header) || size > uint64(len(data)) {
			return nil, nil, fmt.Errorf("%w: box %q at %d has %d bytes of %d", errBoxes, b.typ, at, size, len(data))
		}
		b.data = data[:size]
		boxes = append(boxes, b)
		data = data[size:]
		at += int64(size)
	}
	return boxes, data, nil
}

// plainChild returns the first box of a type; ok is false where there is none.
func plainChild(boxes []plainBox, typ string) (plainBox, bool) {
	for _, b := range boxes {
		if b.typ == typ {
			return b, true
		}
	}
	return plainBox{}, false
}

// plainEdit is an entry of an edit list; mediaTime -1 is an empty edit, duration -1 the rest of the media.
type plainEdit struct{ duration, mediaTime, rate int64 }

// plainMovie is a file as lists.
type plainMovie struct {
	data      []byte
	top       []plainBox
	moov      plainBox
	timescale int64
	duration  int64
	tracks    []*plainTrack
}

// plainTrack is a trak as lists. The tables may tell of different numbers of samples; the lists are as long as the
// shortest.
type plainTrack struct {
	box             plainBox
	id              int64
	enabled         bool
	handler, format string
	timescale       int64
	trackDuration   int64 // of tkhd
	mediaDuration   int64 // of mdhd
	edits           []plainEdit
	tables          []plainBox

	timed, offset, chunked, sized int64 // samples in stts, ctts, stsc and stsz; -1: there is no such table
	chunks                        int64
	durations, offsets, dts, cts  []int64
	sizes, at, description        []int64
	chunkEnds                     []int // the number of samples up to the end of each chunk
	sync                          []bool
	grouped                       []bool  // sync by a sample group, whatever the tables list
	stss, stps                    []int64 // as they stand in the file
	hasSync                       bool
	byTime                        []int // samples in the order of their composition times
}

// samples is the number of samples.
func (t *plainTrack) samples() int { return len(t.durations) }

// readPlain reads a file.
func readPlain(data []byte) (*plainMovie, error) {
	m := &plainMovie{data: data}
	var err error
	var rest []byte
	m.top, rest, err = plainBoxes(data, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) >= 8 && string(rest[4:8]) == "mdat" { // to the end of the file
		m.top = append(m.top, plainBox{"mdat", int64(len(data) - len(rest)), 8, rest})
	}
	moov, ok := plainChild(m.top, "moov")
	if !ok {
		return nil, fmt.Errorf("%w: no moov", errPlain)
	}
	m.moov = moov
	children, _, err := plainBoxes(moov.body(), moov.bodyAt())
	if err != nil {
		return nil, err
	}
	mvhd, ok := plainChild(children, "mvhd")
	if !ok {
		return nil, fmt.Errorf("%w: no mvhd", errPlain)
	}
	fields, err := plainTimes(mvhd, 0)
	if err != nil {
		return nil, err
	}
	m.timescale, m.duration = fields[2], fields[3]
	for _, b := range children {
		if b.typ != "trak" {
			continue
		}
		t, err := readPlainTrack(b)
		if err != nil {
			return nil, fmt.Errorf("trak %d: %w", len(m.tracks)+1, err)
		}
		m.tracks = append(m.tracks, t)
	}
	return m, nil
}

// plainTimes reads a mvhd or mdhd: creation and modification time, timescale, duration; or a tkhd, which has a field
// more: creation and modification time, track_ID, reserved, duration.
func plainTimes(b plainBox, more int) ([]int64, error) {
	p := b.body()
	width := 4
	if len(p) > 0 && p[0] != 0 {
		width = 8
	}
	widths := []int{width, width, 4}
	if more > 0 {
		widths = append(widths, 4)
	}
	widths = append(widths, width)
	at := 4
	var fields []int64
	for _, n := range widths {
		if len(p) < at+n {
			return nil, fmt.Errorf("%w: %s is too short", errPlain, b.typ)
		}
		v := int64(0)
		for _, c := range p[at : at+n] {
			v = v<<8 | int64(c)
		}
		fields = append(fields, v)
		at += n
	}
	return fields, nil
}

// readPlainTrack reads a trak.
func readPlainTrack(b plainBox) (*plainTrack, error) {
	t := &plainTrack{box: b}
	children, _, err := plainBoxes(b.body(), b.bodyAt())
	if err != nil {
		return nil, err
	}
	tkhd, _ := plainChild(children, "tkhd")
	fields, err := plainTimes(tkhd, 1)
	if err != nil {
		return nil, err
	}
	t.id, t.trackDuration = fields[2], fields[4]
	t.enabled = tkhd.body()[3]&1 != 0
	edts, ok := plainChild(children, "edts")
	if ok {
		err = t.readPlainEdits(edts)
		if err != nil {
			return nil, err
		}
		t.edits = showing(t.edits)
	}
	mdia, _ := plainChild(children, "mdia")
	children, _, err = plainBoxes(mdia.body(), mdia.bodyAt())
	if err != nil {
		return nil, err
	}
	mdhd, _ := plainChild(children, "mdhd")
	fields, err = plainTimes(mdhd, 0)
	if err != nil {
		return nil, err
	}
	t.timescale, t.mediaDuration = fields[2], fields[3]
	hdlr, ok := plainChild(children, "hdlr")
	if ok && len(hdlr.body()) >= 12 {
		t.handler = string(hdlr.body()[8:12])
	}
	minf, _ := plainChild(children, "minf")
	children, _, err = plainBoxes(minf.body(), minf.bodyAt())
	if err != nil {
		return nil, err
	}
	stbl, _ := plainChild(children, "stbl")
	t.tables, _, err = plainBoxes(stbl.body(), stbl.bodyAt())
	if err != nil {
		return nil, err
	}
	return t, t.readPlainTables()
}

// plainEntries returns the rows of 32-bit numbers of a table, behind lead bytes of which the last four count them.
func plainEntries(b plainBox, lead, columns int) ([][]int64, error) {
	p := b.body()
	if len(p) < lead {
		return nil, fmt.Errorf("%w: %s is too short", errPlain, b.typ)
	}
	n := int64(binary.BigEndian.Uint32(p[lead-4:]))
	if n > int64(len(p)-lead)/int64(4*columns) {
		return nil, fmt.Errorf("%w: %s has no room for %d entries", errPlain, b.typ, n)
	}
	rows := make([][]int64, 0, n)
	at := lead
	for i := int64(0); i < n; i++ {
		row := make([]int64, columns)
		for j := range row {
			row[j] = int64(binary.BigEndian.Uint32(p[at:]))
			at += 4
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (t *plainTrack) readPlainEdits(edts plainBox) error {
	children, _, err := plainBoxes(edts.body(), edts.bodyAt())
	if err != nil {
		return err
	}
	elst, ok := plainChild(children, "elst")
	if !ok || len(elst.body()) == 0 {
		return nil
	}
	if elst.body()[0] == 0 {
		rows, err := plainEntries(elst, 8, 3)
		for _, row := range rows {
			if row[0] == 1<<32-1 {
				row[0] = -1
			}
			t.edits = append(t.edits, plainEdit{row[0], int64(int32(row[1])), row[2]})
		}
		return err
	}
	rows, err := plainEntries(elst, 8, 5)
	for _, row := range rows {
		t.edits = append(t.edits, plainEdit{row[0]<<32 | row[1], row[2]<<32 | row[3], row[4]})
	}
	return err
}

// showing are edits, or none where they show nothing.
func showing(edits []plainEdit) []plainEdit {
	for _, e := range edits {
		if e.mediaTime >= 0 {
			return edits
		}
	}
	return nil
}

// plainPairs writes out a table of pairs of a count and a value.
func plainPairs(b plainBox, signed bool) ([]int64, int64, error) {
	rows, err := plainEntries(b, 8, 2)
	if err != nil {
		return nil, 0, err
	}
	values, total := []int64{}, int64(0)
	for _, row := range rows {
		total += row[0]
		value := row[1]
		if signed {
			value = int64(int32(value))
		}
		for i := int64(0); i < row[0] && len(values) < maxPlain; i++ {
			values = append(values, value)
		}
	}
	return values, total, nil
}

// readPlainTables reads a stbl.
func (t *plainTrack) readPlainTables() error {
	t.timed, t.offset, t.chunked, t.sized = -1, -1, -1, -1
	b, ok := plainChild(t.tables, "stsd")
	if ok && len(b.body()) >= 16 {
		t.format = string(b.body()[12:16])
	}
	b, ok = plainChild(t.tables, "stts")
	var err error
	if ok {
		t.durations, t.timed, err = plainPairs(b, false)
		if err != nil {
			return err
		}
	}
	b, ok = plainChild(t.tables, "ctts")
	if ok {
		t.offsets, t.offset, err = plainPairs(b, true)
		if err != nil {
			return err
		}
	}
	err = t.readPlainSizes()
	if err != nil {
		return err
	}
	err = t.readPlainChunks()
	if err != nil {
		return err
	}
	n := minInt(minInt(len(t.durations), len(t.sizes)), len(t.at))
	if n == maxPlain {
		return fmt.Errorf("%w: too many samples", errPlain)
	}
	t.durations, t.sizes, t.at, t.description = t.durations[:n], t.sizes[:n], t.at[:n], t.description[:n]
	for len(t.offsets) < n {
		t.offsets = append(t.offsets, 0)
	}
	t.offsets = t.offsets[:n]
	begins := int64(0)
	for i, d := range t.durations {
		t.dts = append(t.dts, begins)
		t.cts = append(t.cts, begins+t.offsets[i])
		t.byTime = append(t.byTime, i)
		begins += d
	}
	order, cts := t.byTime, t.cts
	sort.SliceStable(order, func(i, j int) bool { return cts[order[i]] < cts[order[j]] })
	return t.readPlainSync()
}

// endAt leaves out all samples from the first one on that does not lie in a file of so many bytes.
func (t *plainTrack) endAt(size int64) {
	n := 0
	for n < t.samples() && t.at[n]+t.sizes[n] <= size {
		n++
	}
	t.durations, t.dts, t.cts = t.durations[:n], t.dts[:n], t.cts[:n]
	t.sizes, t.at, t.description, t.sync = t.sizes[:n], t.at[:n], t.description[:n], t.sync[:n]
	order := []int{}
	for _, i := range t.byTime {
		if i < n {
			order = append(order, i)
		}
	}
	t.byTime = order
}

func (t *plainTrack) readPlainSizes() error {
	b, ok := plainChild(t.tables, "stsz")
	if !ok {
		b, ok = plainChild(t.tables, "stz2")
	}
	if !ok {
		return nil
	}
	p := b.body()
	if len(p) < 12 {
		return fmt.Errorf("%w: %s is too short", errPlain, b.typ)
	}
	t.sized = int64(binary.BigEndian.Uint32(p[8:]))
	bits, uniform := int64(p[7]), int64(0)
	if b.typ == "stsz" {
		bits, uniform = 32, int64(binary.BigEndian.Uint32(p[4:]))
	}
	if uniform == 0 && t.sized*bits > int64(len(p)-12)*8 {
		return fmt.Errorf("%w: %s has no room for %d entries", errPlain, b.typ, t.sized)
	}
	p = p[12:]
	for i := int64(0); i < t.sized && i < maxPlain; i++ {
		size := uniform
		if uniform == 0 {
			switch bits {
			case 4:
				size = int64(p[i/2])
				if i%2 == 0 {
					size /= 16
				}
				size %= 16
			case 8:
				size = int64(p[i])
			case 16:
				size = int64(p[2*i])<<8 | int64(p[2*i+1])
			default:
				size = int64(binary.BigEndian.Uint32(p[4*i:]))
			}
		}
		t.sizes = append(t.sizes, size)
	}
	return nil
}

// readPlainChunks finds where every sample lies.
func (t *plainTrack) readPlainChunks() error {
	b, ok := plainChild(t.tables, "stsc")
	if !ok {
		return nil
	}
	runs, err := plainEntries(b, 8, 3)
	if err != nil {
		return err
	}
	var offsets []int64
	b, ok = plainChild(t.tables, "stco")
	if ok {
		rows, err := plainEntries(b, 8, 1)
		if err != nil {
			return err
		}
		for _, row := range rows {
			offsets = append(offsets, row[0])
		}
	} else {
		b, _ = plainChild(t.tables, "co64")
		rows, err := plainEntries(b, 8, 2)
		if err != nil {
			return err
		}
		for _, row := range rows {
			offsets = append(offsets, row[0]<<32|row[1])
		}
	}
	t.chunks = int64(len(offsets))
	t.chunked = 0
	run := -1
	for i, at := range offsets {
		for run+1 < len(runs) && runs[run+1][0] == int64(i)+1 {
			run++
		}
		if run < 0 {
			return fmt.Errorf("%w: stsc says nothing of chunk %d", errPlain, i+1)
		}
		t.chunked += runs[run][1]
		t.chunkEnds = append(t.chunkEnds, int(t.chunked))
		for k := int64(0); k < runs[run][1] && len(t.at) < len(t.sizes) && len(t.at) < maxPlain; k++ {
			size := t.sizes[len(t.at)]
			t.at = append(t.at, at)
			t.description = append(t.description, runs[run][2])
			at += size
		}
	}
	if run+1 < len(runs) {
		return fmt.Errorf("%w: stsc speaks of chunk %d of %d", errPlain, runs[run+1][0], t.chunks)
	}
	return nil
}

func (t *plainTrack) readPlainSync() error {
	for _, typ := range []string{"stss", "stps"} {
		b, ok := plainChild(t.tables, typ)
		if !ok {
			continue
		}
		rows, err := plainEntries(b, 8, 1)
		if err != nil {
			return err
		}
		samples := []int64{}
		for _, row := range rows {
			samples = append(samples, row[0])
		}
		t.hasSync = t.hasSync || typ == "stps" || len(rows) > 0 || t.handler != "soun"
		if typ == "stss" {
			t.stss = samples
		} else {
			t.stps = samples
		}
	}
	t.sync = make([]bool, t.samples())
	for i := range t.sync {
		t.sync[i] = !t.hasSync
	}
	for _, samples := range [][]int64{t.stss, t.stps} {
		for _, number := range samples {
			if number < 1 {
				return fmt.Errorf("%w: sync sample %d", errPlain, number)
			}
			if number <= int64(len(t.sync)) {
				t.sync[number-1] = true
			}
		}
	}
	t.grouped = make([]bool, t.samples())
	for _, b := range t.tables {
		for i, group := range t.plainAccess(b) {
			t.grouped[i] = t.grouped[i] || group != "" && group != "0"
			t.sync[i] = t.sync[i] || t.grouped[i]
		}
	}
	return nil
}

// plainAccess are the groups of a table of samples that decoding may begin at; none of one that cannot be read.
func (t *plainTrack) plainAccess(b plainBox) (list []string) {
	p := b.body()
	if b.typ != "sbgp" && b.typ != "csgp" || len(p) < 12 || !containsType("rap sync", string(p[4:8])) {
		return nil
	}
	defer func() {
		if recover() != nil {
			list = nil
		}
	}()
	list = make([]string, t.samples())
	if b.typ == "csgp" {
		plainPatterns(p, list)
		return list
	}
	lead := 12
	if p[0] == 1 {
		lead = 16
	}
	rows, err := plainEntries(b, lead, 2)
	if err != nil {
		return nil
	}
	sample := 0
	for _, row := range rows {
		for i := int64(0); i < row[0] && sample < len(list); i++ {
			list[sample] = fmt.Sprint(row[1])
			sample++
		}
	}
	return list
}

// namedAmong is how many entries of stss are of the samples [first, end).
func (t *plainTrack) namedAmong(first, end int) int {
	n := 0
	for _, number := range t.stss {
		if number > int64(first) && number <= int64(end) {
			n++
		}
	}
	return n
}

// mediaEnd is the end of the sample shown last.
func (t *plainTrack) mediaEnd() int64 {
	last := t.byTime[len(t.byTime)-1]
	return t.cts[last] + maxInt64(t.durations[last], 1) // one without a duration is shown, too
}

// stretch is a time, in seconds on the movie timeline, at which one sample is shown; -1: none. over says that the media
// is over and players stay with its last sample.
type stretch struct {
	sample   int
	from, to float64
	over     bool
}

// presentation is what the track shows, from the begin of the movie timeline on.
func (m *plainMovie) presentation(t *plainTrack) []stretch {
	edits := t.edits
	if len(edits) == 0 {
		edits = []plainEdit{{-1, 0, normalRate}}
	}
	var out []stretch
	begins := 0.0
	for i, e := range edits {
		duration := float64(e.duration) / float64(m.timescale)
		if e.duration < 0 || e.duration == 0 && e.mediaTime >= 0 {
			duration = float64(t.mediaEnd()-e.mediaTime) / float64(t.timescale)
			if e.mediaTime < 0 || duration < 0 {
				duration = 0
			}
		}
		whole := float64(t.mediaEnd()-e.mediaTime) / float64(t.timescale)
		if i == len(edits)-1 && t.instant() && e.mediaTime >= 0 && e.rate == normalRate && duration < whole &&
			whole-duration < 1/float64(m.timescale)+1/float64(t.timescale)+1e-9 {
			duration = whole // a rounded length ends just before the last picture
		}
		ends := begins + duration
		switch {
		case e.mediaTime < 0:
			out = append(out, stretch{sample: -1, from: begins, to: ends})
		case e.rate == 0:
			on := -1
			for _, i := range t.byTime {
				if t.cts[i] <= e.mediaTime {
					on = i
				}
			}
			out = append(out, stretch{sample: on, from: begins, to: ends})
		default:
			out = append(out, t.stretches(e, begins, ends)...)
		}
		begins = ends
	}
	return out
}

// stretches is what an edit shows that begins and ends at these seconds.
func (t *plainTrack) stretches(e plainEdit, begins, ends float64) []stretch {
	perTick := normalRate / float64(e.rate) / float64(t.timescale)
	at := begins
	var out []stretch
	show := func(sample int, until int64) {
		to := begins + float64(until-e.mediaTime)*perTick
		if to > ends {
			to = ends
		}
		if to > at {
			out = append(out, stretch{sample: sample, from: at, to: to})
			at = to
		}
	}
	show(-1, t.cts[t.byTime[0]])
	for n, i := range t.byTime {
		until := t.cts[i] + maxInt64(t.durations[i], 1)
		if n+1 < len(t.byTime) {
			until = t.cts[t.byTime[n+1]]
		}
		show(i, until)
	}
	if at < ends {
		out = append(out, stretch{sample: t.byTime[len(t.byTime)-1], from: at, to: ends, over: true})
	}
	return out
}
