package mp4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/internal/filmtest"
	"github.com/traefik-mp4/mp4/internal/lanes"
)

// What a stranger may send: an answer or an error, in bounded time and memory, and never a panic.

const (
	mostTime  = 2 * time.Second // for the cuts of cutAll, on a busy machine
	slowTime  = 40 * time.Second
	mostBytes = 128 << 20 // allocated, all in all; what the interpreter needs for itself is not bounded
)

// survive indexes a file and cuts it in every mode, within bounds. Answers must not contradict themselves. It returns
// the error of the index, or else of the last cut.
func survive(t *testing.T, name string, data []byte) error {
	t.Helper()
	return surviveSource(t, name, &memorySource{data: data})
}

// surviveSource is survive for a file that may be longer than its data.
func surviveSource(t *testing.T, name string, src *memorySource) error {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	err := cutAll(src)
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	limit := mostTime
	if filmtest.Interpreted() {
		limit = slowTime
		after.TotalAlloc = before.TotalAlloc
	}
	if took > limit || after.TotalAlloc-before.TotalAlloc > mostBytes {
		t.Errorf("%s: %v and %d MB", name, took, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	if errors.Is(err, errCheck) {
		t.Errorf("%s: %v", name, err)
	}
	return err
}

// errCheck says that an answer is wrong.
var errCheck = errors.New("a wrong answer")

// cutAll makes a few cuts of a file, and checks them as far as its tables are to be trusted.
func cutAll(src *memorySource) error {
	m, err := findMovie(src, testMoov)
	if err != nil {
		return err
	}
	if m.fragments != nil {
		return errFragmented // tested by themselves
	}
	source, err := readPlain(src.data)
	if err != nil {
		source = nil
	}
	for _, seek := range modes {
		for _, iv := range []msInterval{{0, -1}, {1, -1}, {250, -1}, {250, 450}, {0, 100}, {1 << 40, -1}, {900, 1 << 50}} {
			c, cutErr := m.cutProgressive(iv, seek)
			err = cutErr
			if cutErr != nil {
				continue
			}
			checkErr := checkMade(c, source, src)
			if checkErr != nil {
				return fmt.Errorf("%w: %s from %d to %d ms: %v", errCheck, seek, iv.start, iv.end, checkErr)
			}
		}
	}
	c, wholeErr := m.remux()
	if wholeErr == nil {
		checkErr := checkMade(c, nil, src)
		if checkErr != nil {
			return fmt.Errorf("%w: whole: %v", errCheck, checkErr)
		}
	}
	return err
}

// checkMade checks an answer by what is made of it, without the media; source is nil where its tables are not to be
// trusted.
func checkMade(c *cut, source *plainMovie, src *memorySource) error {
	var out, halves bytes.Buffer
	sum, last := int64(0), int64(0)
	for i, s := range c.segments {
		sum += s.length
		if s.length <= 0 || s.fromSource != (i > 0) || s.fromSource && (s.off < last || s.off+s.length > src.end()) {
			return fmt.Errorf("segment %d: from the source: %v, [%d, %d) behind %d", i, s.fromSource, s.off, s.off+s.length, last)
		}
		if s.fromSource {
			last = s.off + s.length
		}
	}
	made := c.segments[0]
	err := writeSegment(made, &out, 0, made.length)
	if err != nil {
		return err
	}
	half := made.length / 3
	err = writeSegment(made, &halves, 0, half)
	if err == nil {
		err = writeSegment(made, &halves, half, made.length)
	}
	if err != nil || int64(out.Len()) != made.length || sum != c.length || !bytes.Equal(out.Bytes(), halves.Bytes()) {
		return fmt.Errorf("%d bytes of %d, the segments have %d of %d, two parts %d, %v", out.Len(), made.length, sum, c.length, halves.Len(), err)
	}
	head, err := headOf(out.Bytes(), c.length)
	if err != nil {
		return err
	}
	_, err = findMovie(&memorySource{data: out.Bytes(), length: c.length}, made.length)
	if err != nil {
		return fmt.Errorf("it cannot be read again: %w", err)
	}
	answer, err := readPlain(head)
	if errors.Is(err, errPlain) && !errors.Is(err, errBoxes) {
		return nil // too many samples to list them
	}
	if err != nil || source == nil {
		return err
	}
	for _, t := range answer.tracks {
		err = checkSums(t, source.namesTwice(t.id))
		if err != nil {
			return err
		}
		trusted := source.inFile(t.id, src.end())
		for i, at := range t.at {
			if trusted && (at < made.length || at+t.sizes[i] > c.length) {
				return fmt.Errorf("track %d: sample %d lies at [%d, %d), mdat at [%d, %d)", t.id, i, at, at+t.sizes[i], made.length, c.length)
			}
		}
	}
	return nil
}

// headOf is what comes before the mdat in the made part of an answer, whose boxes must add up.
func headOf(made []byte, length int64) ([]byte, error) {
	at, order := int64(0), ""
	for at+headerLen <= int64(len(made)) {
		typ, header, size := parseHeader(made[at:])
		order += typ + " "
		if typ == "mdat" {
			if at+header != int64(len(made)) || at+size != length {
				return nil, fmt.Errorf("mdat at %d has %d bytes, %d of its header; made are %d of %d", at, size, header, len(made), length)
			}
			break
		}
		if size < header {
			return nil, fmt.Errorf("%s at %d has %d bytes", typ, at, size)
		}
		at += size
	}
	if strings.TrimPrefix(order, "ftyp ") != "moov mdat " {
		return nil, fmt.Errorf("boxes %q", order)
	}
	return made[:at], nil
}

// inFile reports whether all samples of the tracks of that ID lie in a file of so many bytes, and none in another.
func (m *plainMovie) inFile(id, size int64) bool {
	for _, t := range m.tracks {
		if t.id != id {
			continue
		}
		order := make([]int, len(t.at))
		for i := range order {
			order[i] = i
		}
		at, sizes := t.at, t.sizes
		sort.Slice(order, func(i, j int) bool { return at[order[i]] < at[order[j]] })
		free := int64(0)
		for _, i := range order {
			if at[i] < free || at[i]+sizes[i] > size {
				return false
			}
			free = at[i] + sizes[i]
		}
	}
	return true
}

// namesTwice reports whether a track of that ID names a sync sample twice.
func (m *plainMovie) namesTwice(id int64) bool {
	for _, t := range m.tracks {
		for _, table := range [][]int64{t.stss, t.stps} {
			named := map[int64]bool{}
			for _, number := range table {
				if t.id == id && named[number] {
					return true
				}
				named[number] = true
			}
		}
	}
	return false
}

// TestNamedTwice has sync samples that are named twice, which no player minds.
func TestNamedTwice(t *testing.T) {
	for _, stss := range [][]byte{table("stss", 5, 1, 1, 6, 6, 6), table("stss", 4, 6, 1, 6, 8)} {
		err := survive(t, "sync samples named twice", smallMovie(with("stss", stss)))
		if err != nil {
			t.Error(err)
		}
	}
}

// TestCVE20122089 has boxes whose sizes were not checked against what is there.
func TestCVE20122089(t *testing.T) {
	small := smallMovie(nil)
	for at := 4; at+4 <= len(small); at++ {
		if !bytes.Contains([]byte("ftyp mdat moov mvhd trak tkhd edts elst mdia mdhd hdlr minf vmhd dinf dref stbl stsd stts ctts stss stsc stsz stco"),
			small[at:at+4]) || bytes.IndexByte(small[at:at+4], 0) >= 0 {
			continue
		}
		size := small[at-4 : at]
		kept := append([]byte{}, size...)
		for _, v := range []int64{0, 1, 2, 7, 8, 9, 11, 12, 15, 16, 17, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			copy(size, u32(v))
			survive(t, fmt.Sprintf("%s at %d has %d bytes", small[at:at+4], at-4, v), small)
		}
		copy(size, kept)
	}
}

// TestCVE201816845 has boxes with 64-bit sizes that are less than their own header, and others, at every level.
func TestCVE201816845(t *testing.T) {
	for _, v := range []int64{0, 1, 7, 8, 15, 16, 17, 1 << 32, 1<<56 - 1, 1 << 56, 1<<63 - 1, -1, -16} {
		large := append(append(u32(sizeLarge), "mdat"...), number(v, 8)...)
		for _, level := range []string{"+file", "+moov", "+trak", "+mdia", "+minf", "+stbl", "ftyp", "mdat", "mvhd", "tkhd", "edts", "stsd", "stts", "stco"} {
			changed := with(level, large)
			survive(t, fmt.Sprintf("64-bit size %d in %s", v, level), smallMovie(changed))
		}
	}
}

// TestCVE202241741 has every box twice, next to itself and at the end of its container.
func TestCVE202241741(t *testing.T) {
	at := map[string]string{"mvhd": "+moov", "tkhd": "+trak", "edts": "+trak", "mdhd": "+mdia", "hdlr": "+mdia", "vmhd": "+minf", "dinf": "+minf",
		"stsd": "+stbl", "stts": "+stbl", "ctts": "+stbl", "stss": "+stbl", "stsc": "+stbl", "stsz": "+stbl", "stco": "+stbl"}
	for name, container := range at {
		twice := bytes.Repeat(smallParts[name], 2)
		for _, changed := range []map[string][]byte{with(name, twice), with(container, smallParts[name])} {
			err := survive(t, "two of "+name, smallMovie(changed))
			if err == nil && name != "vmhd" && name != "dinf" {
				t.Errorf("two of %s are accepted", name)
			}
		}
	}
	// CVE-2022-41742: duplicates of other contents, such as a second table of samples that has others.
	survive(t, "another stco", smallMovie(with("+stbl", table("stco", 1, 0))))
	survive(t, "another stsz", smallMovie(with("+stbl", table("stsz", 0, 0))))
	survive(t, "stsz and stz2", smallMovie(with("+stbl", append(table("stz2", 8, 2), 1, 1))))
	survive(t, "two moovs", append(smallMovie(nil), smallMovie(nil)...))
}

// TestCVE20247347 has sample-to-chunk tables whose sums overflow or whose chunks are out of order, so that samples and
// sizes were read from before their table.
func TestCVE20247347(t *testing.T) {
	most := int64(1<<32 - 1)
	for _, entries := range [][]int64{
		{1, 1, most, 1},
		{2, 1, most, 1, 2, most, 1},
		{2, 1, 1 << 31, 1, 3, 1 << 31, 1},
		{3, 1, 3, 1, 4, 1, 1, 2, 3, 1},
		{3, 1, 3, 1, 2, 0, 1, 3, 5, 1},
		{2, 1, 0, 1, 4, 0, 1},
		{2, 1, 0, 1, 4, 10, 1},
		{2, 1, 3, 1, 1, 3, 1},
		{2, 1, 3, 1, 0, 3, 1},
		{2, 1, 3, 1, most, 3, 1},
		{1, 0, 3, 1},
		{1, most, 3, 1},
		{4, 1, 3, 1, 2, 3, 1, 3, 3, 1, 4, 1, 0},
	} {
		survive(t, fmt.Sprintf("stsc %v", entries), smallMovie(with("stsc", table("stsc", entries...))))
		survive(t, fmt.Sprintf("stsc %v with uniform sizes", entries), smallMovie(map[string][]byte{
			"stsc": table("stsc", entries...),
			"stsz": table("stsz", 3, most),
			"stts": table("stts", 1, most, 1),
		}))
	}
}

// TestCVE202627784 has counts of entries whose product with the size of an entry overflows 32 bits, and 64.
func TestCVE202627784(t *testing.T) {
	for _, name := range []string{"stts", "ctts", "stss", "stsc", "stsz", "stco"} {
		for _, count := range []int64{1 << 28, 1<<29 + 1, 1 << 30, 1<<30 + 1, 1<<30 + 2, 0x15555556, 1 << 31, 1<<31 + 1, 1<<32 - 1} {
			b := append([]byte{}, smallParts[name]...)
			at := 12
			if name == "stsz" {
				at = 16
			}
			copy(b[at:], u32(count))
			err := survive(t, fmt.Sprintf("%s of %d entries", name, count), smallMovie(with(name, b)))
			if !errors.Is(err, errFormat) {
				t.Errorf("%s of %d entries: %v", name, count, err)
			}
		}
	}
	for _, version := range []int{0, 1} {
		for _, count := range []int64{2, 1 << 28, 0x15555556, 0x0CCCCCCD, 1<<32 - 1} {
			edts := rawBox("edts", fullBox("elst", version, u32(count), make([]byte, 20)))
			survive(t, fmt.Sprintf("elst of %d entries", count), smallMovie(with("edts", edts)))
		}
	}
}

// TestCVE202632647 has empty tables and samples of no bytes, for which nginx made answers of no size.
func TestCVE202632647(t *testing.T) {
	none := []string{"stts", "ctts", "stss", "stsc", "stco"}
	for _, name := range none {
		survive(t, "empty "+name, smallMovie(with(name, table(name, 0))))
		survive(t, "no "+name, smallMovie(with(name, nil)))
	}
	survive(t, "empty co64", smallMovie(with("stco", table("co64", 0))))
	survive(t, "empty stsz", smallMovie(with("stsz", table("stsz", 0, 0))))
	survive(t, "no stsz", smallMovie(with("stsz", nil)))
	err := survive(t, "no samples at all", smallMovie(map[string][]byte{
		"stts": table("stts", 0), "ctts": table("ctts", 0), "stss": table("stss", 0), "stsc": table("stsc", 0), "stsz": table("stsz", 0, 0), "stco": table("stco", 0),
	}))
	if !errors.Is(err, errPastEnd) {
		t.Errorf("no samples at all: %v", err)
	}
	err = survive(t, "samples of no bytes", smallMovie(with("stsz", table("stsz", 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))))
	if err != nil && !errors.Is(err, errPastEnd) {
		t.Errorf("samples of no bytes: %v", err)
	}
}

// TestFewBytesManySamples has tables of a few bytes that stand for billions of samples, all of which some step might
// look at.
func TestFewBytesManySamples(t *testing.T) {
	most := int64(1<<32 - 1)
	for _, stts := range [][]int64{{1, most, 0}, {1, most, 1}, {2, most / 2, 0, most / 2, 1}, {2, 1, most, most, 0}, {1, most, 1 << 20}, {3, 1, 10, most, 0, 5, 10}} {
		t.Run(fmt.Sprint(stts), func(t *testing.T) {
			for i, ctts := range [][]int64{nil, {0}, {1, most, 0}, {1, most, 1<<31 - 1}, {1, most, 1 << 31}, {2, 1, 1<<31 - 1, 1, 1 << 31},
				{2, most / 2, 1<<31 - 1, most / 2, 0}, {2, 1, 1 << 31, most, 1<<31 - 1}, {3, 1 << 30, 0, 1, most, 1 << 30, 5}} {
				if !filmtest.Interpreted() || i%3 == 2 {
					claimMany(t, stts, ctts)
				}
			}
		})
	}
}

// claimMany makes files that claim many samples of these times, with sync samples and edits of every kind.
func claimMany(t *testing.T, stts, ctts []int64) {
	t.Helper()
	most := int64(1<<32 - 1)
	for i, stss := range [][]int64{{1, 1}, nil, {0}, {1, most}, {2, 1, 1 << 30}} {
		for _, edts := range [][]byte{smallParts["edts"], nil, rawBox("edts", table("elst", 1, most, 1<<31-1, 1<<16)),
			rawBox("edts", table("elst", 2, 100, 1<<30, 1<<16, 100, 0, 1<<16))} {
			if filmtest.Interpreted() && (i > 0 || len(edts) > 36) {
				continue
			}
			parts := map[string][]byte{"stsz": table("stsz", 1, most), "stsc": table("stsc", 1, 1, most, 1), "stco": table("stco", 1, smallMedia),
				"stts": table("stts", stts...), "edts": edts, "ctts": nil, "stss": nil}
			if ctts != nil {
				parts["ctts"] = table("ctts", ctts...)
			}
			if stss != nil {
				parts["stss"] = table("stss", stss...)
			}
			survive(t, fmt.Sprintf("ctts %v, stss %v, edts % x", ctts, stss, edts), smallMovie(parts))
		}
	}
}

// TestManyBoxes has as many of a kind as fit into a moov.
func TestManyBoxes(t *testing.T) {
	survive(t, "empty boxes in a moov", smallMovie(with("+moov", bytes.Repeat(rawBox("free"), 20000))))
	survive(t, "empty boxes in a stbl", smallMovie(with("+stbl", bytes.Repeat(rawBox("free"), 20000))))
	survive(t, "empty traks", smallMovie(with("+moov", bytes.Repeat(rawBox("trak"), 20000))))
	small := smallMovie(nil)
	trak := small[bytes.Index(small, []byte("trak"))-4:]
	survive(t, "traks", smallMovie(with("+moov", bytes.Repeat(trak, 900))))
	survive(t, "more traks", smallMovie(with("+moov", bytes.Repeat(trak, 1100))))
	deep := []byte{}
	for i := 0; i < 2000; i++ {
		deep = rawBox("trak", deep)
	}
	survive(t, "traks in traks", smallMovie(with("+moov", deep)))
	survive(t, "udtas in a udta", smallMovie(with("+moov", rawBox("udta", bytes.Repeat(rawBox("udta"), 10000)))))
	edits := append(u32(3000), bytes.Repeat(u32(1, 5, 1<<16), 3000)...)
	survive(t, "3,000 edits", smallMovie(with("edts", rawBox("edts", fullBox("elst", 0, edits)))))
	edits = append(u32(40000), bytes.Repeat(u32(1, 5, 1<<16), 40000)...)
	err := survive(t, "40,000 edits", smallMovie(with("edts", rawBox("edts", fullBox("elst", 0, edits)))))
	if !errors.Is(err, errFormat) {
		t.Errorf("40,000 edits: %v", err)
	}
}

// TestManyChunks has many chunks, a sample in each: out of order, and with something beside each.
func TestManyChunks(t *testing.T) {
	const n = 100_000
	inOrder := make([]uint32, n)
	for i := range inOrder {
		inOrder[i] = uint32(smallMedia + i)
	}
	offsets := lanes.Encode(inOrder, 4*n)
	inOrder[0] = smallMedia + n
	outOfOrder := lanes.Encode(inOrder, 4*n)
	sizes := bytes.Repeat(u32(1), n)
	for name, changed := range map[string]map[string][]byte{
		"out of order":                  {"stsz": table("stsz", 1, n), "stco": fullBox("stco", 0, u32(n), outOfOrder)},
		"out of order, of listed sizes": {"stsz": fullBox("stsz", 0, u32(0, n), sizes), "stco": fullBox("stco", 0, u32(n), outOfOrder)},
		"with information beside each": {"stsz": table("stsz", 1, n), "stco": fullBox("stco", 0, u32(n), offsets),
			"+stbl": append(fullBox("saiz", 0, []byte{1}, u32(n)), fullBox("saio", 0, u32(n), outOfOrder)...)},
	} {
		changed["stsc"] = table("stsc", 1, 1, 1, 1)
		changed["stts"] = table("stts", 1, n, 1)
		for _, none := range []string{"ctts", "stss", "edts"} {
			changed[none] = nil
		}
		m, err := findMovie(&memorySource{data: smallMovie(changed), length: 1 << 40}, 2*testMoov)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for _, seek := range modes {
			_, err := m.cutProgressive(msInterval{1, -1}, seek)
			if err != nil {
				t.Errorf("%s: %s: %v", name, seek, err)
			}
		}
		if took := time.Since(begin); took > 3*time.Second { // looked at one by one by the interpreter they take longer
			t.Errorf("%s: %v", name, took)
		}
	}
}

// TestAbsurdEdits has edit lists that no writer means.
func TestAbsurdEdits(t *testing.T) {
	most := int64(1<<32 - 1)
	lists := [][]int64{
		{1, most, most, most}, {1, 0, 0, 0}, {1, 0, most, 1 << 16}, {1, 1, 1<<31 - 1, 1 << 16}, {1, 1, 0, most}, {1, most - 1, 5, 1 << 31},
		{2, most, 0, 1 << 16, most, 0, 1 << 16}, {2, 0, most, 1 << 16, 0, most, 1 << 16}, {3, 1, 9, 1, 1, 8, 1, 1, 7, 1}, {1, 1000, 1 << 31, 1 << 16},
		{2, 10, most, 1 << 16, 1000, 100, 1 << 16}, {2, 500, 50, 1 << 16, 500, 0, 1 << 16}, {2, 1, 0, 0, 1000, 99, 1 << 16},
	}
	for _, list := range lists {
		survive(t, fmt.Sprintf("edits %v", list), smallMovie(with("edts", rawBox("edts", table("elst", list...)))))
	}
	for _, v := range []int64{-1, -2, 1 << 63 >> 1, 1 << 60, 1<<60 + 1, 1<<62 - 1, 1 << 40} {
		for _, w := range []int64{-1, -2, 0, 10, 1 << 60, 1<<60 + 1, 1 << 40} {
			edts := rawBox("edts", fullBox("elst", 1, u32(2), number(v, 8), number(w, 8), u32(1<<16), number(v, 8), number(w, 8), u32(1<<16)))
			survive(t, fmt.Sprintf("edits of %d at %d", v, w), smallMovie(with("edts", edts)))
		}
	}
}

// TestTruncated cuts small movies short at every byte.
func TestTruncated(t *testing.T) {
	small := smallMovie(nil)
	step := 1
	if filmtest.Interpreted() {
		step = 7
	}
	for n := 0; n < len(small); n += step {
		survive(t, fmt.Sprintf("the first %d bytes", n), small[:n])
		end := append([]byte{}, small[n:]...)
		survive(t, fmt.Sprintf("less the first %d bytes", n), end)
	}
}

// TestMutated changes bytes and words of made movies at random.
func TestMutated(t *testing.T) {
	words := []int64{0, 1, 2, 7, 8, 9, 255, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<32 - 2}
	for seed := 0; seed < filmtest.Rounds(2000, 40); seed++ {
		r := rand.New(rand.NewSource(int64(seed)))
		data := smallMovie(nil)
		if seed%4 == 0 {
			data = randomMovie(r).file()
		}
		for i := 1 + r.Intn(4); i > 0; i-- {
			at := r.Intn(len(data) - 4)
			if r.Intn(3) == 0 {
				data[at] = byte(r.Intn(256))
			} else {
				copy(data[at:], u32(words[r.Intn(len(words))]))
			}
		}
		survive(t, fmt.Sprintf("seed %d", seed), data)
		if t.Failed() {
			return
		}
	}
}
