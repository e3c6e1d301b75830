package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// track is a trak of the movie: views of its tables and indexes of them. Samples and chunks are numbered from 0;
// numbers in the file, from 1, are converted where they are read and written.
type track struct {
	box       *box
	id        uint32
	enabled   bool
	handler   string // of its media: soun, text, hint …
	visual    bool   // its samples are pictures
	spare     bool   // it is neither sound nor pictures: what cannot be read of it is left out
	repaired  int64  // bytes of tables that are made, since the file's are read in another way
	chapters  bool   // another track names it as its chapters
	timescale int64  // media ticks per second
	edits     []edit
	cutFrom   []edit // the same as cuts need them, on a movie timeline of so many
	cutTicks  int64  // ticks a second
	samples   int64  // that all tables know, and the file has
	missing   int64  // samples that all tables know, but a file that was cut short has not
	end       int64  // of the media: where the sample shown last ends, in media ticks
	instant   bool   // that sample has no duration, and is shown for a tick
	claimed   int64  // the same as the mdhd has it
	stbl      *box

	durations  *lanes.Runs // stts
	offsets    *lanes.Runs // ctts; nil where composition and decode times are the same
	least      int64       // no composition offset is less; never above 0
	greatest   int64       // no composition offset is greater, by the table's bits
	leasts     []int64     // the same as least for every block of ctts, where some are below 0
	sync       syncTable   // stss
	allSync    bool
	partial    syncTable     // stps: sync samples of open groups of pictures
	access     *accessPoints // others at which decoding may begin; nil: none
	stssOnly   bool          // all at which decoding may begin are in the stss
	sizes      []byte        // entries of stsz or stz2; empty where uniform
	sizeBits   int64         // of an entry
	uniform    int64         // the size of every sample; 0: sizes tells
	perPacket  int64         // where that is the size of a packet, how many samples it has; else 0
	chunkRuns  *lanes.ChunkRuns
	chunks     []byte // entries of stco or co64
	chunkLen   int64  // bytes in such an entry
	ordered    bool   // the chunks lie in the file in their order
	preroll    soundPreroll
	auxiliary  *auxiliaryInfo // nil: none
	fileSize   int64          // bytes; -1: not known
	endRun     *lanes.Run     // of the last samples, with no more than the track has; never without a duration
	endPlace   *chunkPlace    // where all samples end in the file
	left       *int64         // samples whose times may still be listed, of all tracks; nil: as many as there are
	listed     sampleTimes
	listedFrom int64 // the first of listed
	listedEnd  int64 // one more than the last
	made       bool  // the tables are made of fragments
}

// Types of which a container may hold only one. A second one is an attempt on the parser, or a broken file.
const (
	onceInTrak = "tkhdmdiaedts"
	onceInMdia = "mdhdhdlrminf"
	onceInMinf = "stbl"
	onceInStbl = "stsdsttscttsstssstpsstscstszstz2stcoco64sdtpstdppadbstshcslgsenc"
)

// memory is the number of bytes that the indexes of the tables hold.
func (t *track) memory() int64 {
	n := 4096 + editMemory*(len(t.edits)+len(t.cutFrom))
	n += lanes.RunsMemory(t.durations) + lanes.RunsMemory(t.offsets) + lanes.ChunkRunsMemory(t.chunkRuns)
	n += 8 * len(t.leasts)
	n += 8 * (len(t.sync.samples) + len(t.partial.samples))
	if t.access != nil {
		n += 16 * len(t.access.first)
	}
	return int64(n) + t.repaired
}

// newTrack reads a trak of a file of so many bytes. A track without samples is one that never has anything in an
// interval. Where the media's timescale is 0, it is the movie's, as FFmpeg has it.
func newTrack(trak *box, fileSize, timescale int64) (*track, error) {
	t := &track{box: trak, fileSize: fileSize, timescale: timescale}
	err := readChildren(trak, onceInTrak)
	if err != nil {
		return nil, err
	}
	tkhd, mdia, edts := childOf(trak, "tkhd"), childOf(trak, "mdia"), childOf(trak, "edts")
	if mdia == nil {
		// No player plays the track.
		return nil, trak.fail("no mdia in it")
	}
	t.enabled = true
	if tkhd != nil { // FFmpeg and nginx do without
		at, err := headerTimes(tkhd, tkhdDuration0, tkhdDuration1)
		if err != nil {
			return nil, err
		}
		t.id = binary.BigEndian.Uint32(payload(tkhd)[at.duration-8:])
		t.enabled = payload(tkhd)[3]&1 != 0
	}
	err = t.readMedia(mdia)
	if err != nil {
		return nil, fmt.Errorf("mdia: %w", err)
	}
	if edts != nil {
		t.edits, err = readEdits(edts)
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// readMedia reads a mdia (8.4.1).
func (t *track) readMedia(mdia *box) error {
	err := readChildren(mdia, onceInMdia)
	if err != nil {
		return err
	}
	mdhd, hdlr, minf := childOf(mdia, "mdhd"), childOf(mdia, "hdlr"), childOf(mdia, "minf")
	if mdhd == nil {
		// No timescale: FFmpeg plays the track at a guess, and browsers refuse it.
		return mdia.fail("no mdhd in it")
	}
	at, err := headerTimes(mdhd, mdhdDuration0, mdhdDuration1)
	if err != nil {
		return err
	}
	if timescale := int64(binary.BigEndian.Uint32(payload(mdhd)[at.duration-4:])); timescale != 0 {
		t.timescale = timescale
	}
	t.claimed = at.value(mdhd)
	if hdlr != nil && len(payload(hdlr)) >= 12 {
		t.handler = string(payload(hdlr)[8:12])
	}
	if minf == nil {
		return nil
	}
	err = readChildren(minf, onceInMinf)
	if err != nil {
		return err
	}
	t.visual = t.handler == "vide" || t.handler == "" && childOf(minf, "vmhd") != nil // some writers forget the hdlr
	err = checkReferences(minf)
	if err != nil {
		return fmt.Errorf("minf: %w", err)
	}
	t.stbl = childOf(minf, "stbl")
	if t.stbl == nil {
		return nil
	}
	err = readChildren(t.stbl, onceInStbl)
	if err != nil {
		return fmt.Errorf("minf: %w", err)
	}
	err = t.readTables(t.stbl)
	if err != nil {
		return fmt.Errorf("minf/stbl: %w", err)
	}
	if t.timescale == 0 && t.samples > 0 {
		// No time is told.
		return mdhd.fail("the timescale is 0, and the movie's as well")
	}
	return nil
}

// checkReferences refuses media that lie in another file: entries of a dref (8.7.2) without the flag for "in this
// file" that name a place. Some writers forget the flag, but then name none.
func checkReferences(minf *box) error {
	dinf := childOf(minf, "dinf")
	if dinf == nil || readChildren(dinf, "dref") != nil || childOf(dinf, "dref") == nil || len(payload(childOf(dinf, "dref"))) < countedLen {
		return nil
	}
	dref := childOf(dinf, "dref")
	entries := &box{typ: dref.typ, at: dref.at, header: dref.header + countedLen, data: dref.data}
	if readChildren(entries, "") != nil {
		return nil
	}
	for _, e := range entries.children {
		p := payload(e)
		if len(p) > fullBoxLen+1 && p[3]&1 == 0 {
			// The offsets count in that file: a cut would be of other bytes.
			return e.fail("the media are in another file")
		}
	}
	return nil
}

// readTables reads the tables of a stbl (8.5.1). What they say of more samples than all of them know is left out:
// players stop there too.
func (t *track) readTables(stbl *box) error {
	if t.handler == "soun" {
		t.preroll = readPreroll(stbl)
	}
	count, err := t.readSizes(stbl)
	if err != nil || count == 0 {
		return err
	}
	stts, stsc := childOf(stbl, "stts"), childOf(stbl, "stsc")
	if stts == nil || stsc == nil {
		// No player plays the track.
		return stbl.fail("no stts or no stsc in it")
	}
	entries, err := entriesOf(stts, countedLen, lanes.PairLen)
	if err != nil {
		return err
	}
	err = t.readDurations(entries)
	if err != nil {
		return fmt.Errorf("stts at %d: %w", stts.at, err)
	}
	err = t.readChunks(stbl)
	if err != nil {
		return err
	}
	entries, err = entriesOf(stsc, countedLen, lanes.ChunkRunLen)
	if err != nil {
		return err
	}
	if len(entries) == 0 || len(t.chunks) == 0 || lanes.LastTotal(t.durations.Samples) == 0 {
		// No player plays the track.
		return stbl.fail(fmt.Sprintf("%d samples, but no time, no run or no chunk for them", count))
	}
	err = t.readChunkRuns(entries)
	if err != nil {
		return fmt.Errorf("stsc at %d: %w", stsc.at, err)
	}
	if t.handler == "soun" {
		count = t.usePackets(stbl, count)
	}
	t.samples = minInt64(count, minInt64(lanes.LastTotal(t.durations.Samples), lanes.LastTotal(t.chunkRuns.Samples)))
	t.missing = t.samples - t.inFile()
	t.samples -= t.missing
	if t.samples == 0 {
		return nil
	}
	err = t.readOffsets(stbl)
	if err != nil {
		return err
	}
	err = t.readSync(stbl)
	if err != nil {
		return err
	}
	if !t.allSync {
		t.access = readAccessPoints(stbl, t.samples)
	}
	t.stssOnly = !t.allSync && len(t.partial.samples) == 0 && t.access == nil && t.perPacket == 0
	t.auxiliary, err = readAuxiliary(stbl)
	return err
}

// newRuns indexes a table of runs.
func newRuns(entries []byte, timed bool) (*lanes.Runs, error) {
	r, err := lanes.NewRuns(entries, timed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	return r, nil
}

// newChunkRuns indexes a sample-to-chunk table.
func newChunkRuns(entries []byte, chunks int64) (*lanes.ChunkRuns, error) {
	r, err := lanes.NewChunkRuns(entries, chunks)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	return r, nil
}

// readDurations takes the entries of a stts (8.6.1.2). Its sums tell whether a duration may be negative.
func (t *track) readDurations(entries []byte) error {
	var err error
	t.durations, err = newRuns(entries, true)
	if err == nil && t.durations.Any>>31 == 0 {
		return nil
	}
	signed, signedErr := signedDurations(entries, t.claimed)
	if signedErr != nil || signed == nil {
		return err
	}
	t.repaired += int64(len(signed))
	t.durations, err = newRuns(signed, true)
	return err
}

// readChunkRuns takes the entries of a stsc (8.7.4).
func (t *track) readChunkRuns(entries []byte) error {
	chunks := int64(len(t.chunks)) / t.chunkLen
	var err error
	t.chunkRuns, err = newChunkRuns(entries, chunks)
	if errors.Is(err, lanes.ErrOrder) {
		ordered := chunksInOrder(entries, chunks)
		t.repaired += int64(len(ordered))
		t.chunkRuns, err = newChunkRuns(ordered, chunks)
	}
	return err
}

// inFile is the number of samples that the file has. One that was cut short plays up to its end, and so must its cuts:
// they are made as if the track ended before the first sample that does not lie in the file. Where chunks lie in
// another order than they are played, none is left out.
func (t *track) inFile() int64 {
	if t.fileSize < 0 || !t.ordered || t.samples == 0 {
		return t.samples
	}
	_, last, before := lanes.FindChunk(t.chunkRuns, t.samples-1)
	end := chunkOffset(t, last)
	if end >= 0 && end <= t.fileSize && end+sizeOf(t, t.samples-1-before, t.samples) <= t.fileSize {
		return t.samples
	}
	low, high := int64(0), t.samples
	for low < high { // the samples of chunks that begin in the file
		middle := (low + high) / 2
		_, chunk, _ := lanes.FindChunk(t.chunkRuns, middle)
		if begins := chunkOffset(t, chunk); begins >= 0 && begins <= t.fileSize {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return 0
	}
	_, last, before = lanes.FindChunk(t.chunkRuns, low-1)
	high = low
	end = chunkOffset(t, last)
	low -= before + 1
	for low < high { // those of the last of them that end in it
		middle := (low + high + 1) / 2
		size := sizeOf(t, low, middle)
		if end+size > t.fileSize {
			high = middle - 1
			continue
		}
		low = middle
		end += size
	}
	return low
}

// readSizes reads stsz (8.7.3.2) or stz2 (8.7.3.3) and returns the number of samples.
func (t *track) readSizes(stbl *box) (int64, error) {
	stsz := childOf(stbl, "stsz")
	if stsz == nil {
		stsz = childOf(stbl, "stz2")
	} else if childOf(stbl, "stz2") != nil {
		// Players differ in which one counts.
		return 0, stbl.fail("both stsz and stz2 in it")
	}
	if stsz == nil {
		return 0, nil
	}
	p := payload(stsz)
	if len(p) < 12 {
		// nginx and browsers refuse it, too.
		return 0, stsz.fail("too short")
	}
	count := int64(binary.BigEndian.Uint32(p[8:]))
	t.sizeBits = 32
	if stsz.typ == "stsz" {
		t.uniform = int64(binary.BigEndian.Uint32(p[4:]))
		if t.uniform != 0 {
			return count, nil
		}
	} else {
		t.sizeBits = int64(p[7])
		if t.sizeBits != 4 && t.sizeBits != 8 && t.sizeBits != 16 {
			// No other is defined.
			return 0, stsz.fail(fmt.Sprintf("sizes of %d bits", t.sizeBits))
		}
	}
	n := (count*t.sizeBits + 7) / 8
	if n > int64(len(p)-12) {
		// As of other tables (entriesOf).
		return 0, stsz.fail(fmt.Sprintf("%d entries do not fit into it", count))
	}
	t.sizes = p[12 : 12+n]
	return count, nil
}

// readChunks reads stco or co64 (8.7.5).
func (t *track) readChunks(stbl *box) error {
	stco := childOf(stbl, "stco")
	t.chunkLen = 4
	if stco == nil {
		stco = childOf(stbl, "co64")
		t.chunkLen = 8
	} else if childOf(stbl, "co64") != nil {
		// nginx refuses it, too: players differ in which one counts.
		return stbl.fail("both stco and co64 in it")
	}
	if stco == nil {
		// No player plays the track.
		return stbl.fail("neither stco nor co64 in it")
	}
	var err error
	t.chunks, err = entriesOf(stco, countedLen, int(t.chunkLen))
	if err != nil {
		return err
	}
	t.ordered = lanes.Ascending(t.chunks, int(t.chunkLen))
	return nil
}

// readOffsets reads ctts (8.6.1.3). Offsets are read as signed in version 0 too: real files write them so.
func (t *track) readOffsets(stbl *box) error {
	ctts := childOf(stbl, "ctts")
	if ctts == nil {
		return nil
	}
	entries, err := entriesOf(ctts, countedLen, lanes.PairLen)
	if err != nil || len(entries) == 0 {
		return err
	}
	err = t.useOffsets(entries)
	if err != nil {
		return fmt.Errorf("ctts at %d: %w", ctts.at, err)
	}
	return nil
}

// useOffsets takes the entries of a ctts.
func (t *track) useOffsets(entries []byte) error {
	var err error
	t.offsets, err = newRuns(entries, false)
	if err != nil {
		return err
	}
	t.greatest = int64(t.offsets.Any)
	if t.greatest>>31 == 0 {
		return nil
	}
	// Negative offsets: the bits of all say nothing of the least. One flat loop, 40 ns an entry.
	high := int32(0)
	t.leasts = make([]int64, (len(entries)/lanes.PairLen+lanes.BlockLen-1)/lanes.BlockLen)
	for b := range t.leasts {
		low := int32(0)
		for _, v := range lanes.BlockOf(t.offsets, b) {
			offset := int32(v)
			if offset < low {
				low = offset
			}
			if offset > high {
				high = offset
			}
		}
		t.leasts[b] = int64(low)
		t.least = minInt64(t.least, int64(low))
	}
	t.greatest = int64(high)
	return nil
}

// leastOffset is the least composition offset of the samples [first, end), never above 0. Blocks of entries that lie
// wholly among them are not looked into.
func leastOffset(t *track, first, end int64) int64 {
	if t.least == 0 {
		return 0
	}
	return searchLeast(t, first, end)
}

// searchLeast is leastOffset of a track that has negative offsets.
func searchLeast(t *track, first, end int64) int64 {
	end = minInt64(end, lanes.LastTotal(t.offsets.Samples))
	if first >= end {
		return 0
	}
	from, last := lanes.FindRun(t.offsets, first).Entry, lanes.FindRun(t.offsets, end-1).Entry
	least := int64(0)
	for b := from / lanes.BlockLen; b <= last/lanes.BlockLen; b++ {
		if t.leasts[b] >= least {
			continue
		}
		if from <= b*lanes.BlockLen && (b+1)*lanes.BlockLen <= last+1 {
			least = t.leasts[b]
			continue
		}
		for i, v := range lanes.BlockOf(t.offsets, b) {
			entry := b*lanes.BlockLen + i
			if from <= entry && entry <= last && int64(int32(v)) < least {
				least = int64(int32(v))
			}
		}
	}
	return least
}

// readSync reads stss (8.6.2) and QuickTime's stps, the I pictures of open groups: decoding may begin there as well,
// and what comes before them in composition order belongs to the group before. Where the first sample named is 0, all
// are counted from 0. Of sound, a stss without entries says nothing.
func (t *track) readSync(stbl *box) error {
	stss, stps := childOf(stbl, "stss"), childOf(stbl, "stps")
	t.allSync = stss == nil && stps == nil
	for _, b := range []*box{stss, stps} {
		if b == nil {
			continue
		}
		entries, err := entriesOf(b, countedLen, 4)
		if err != nil {
			return err
		}
		if len(entries) == 0 && t.handler == "soun" && stps == nil {
			t.allSync = true
		}
		if !lanes.Ascending(entries, 4) {
			entries = syncInOrder(entries)
			t.repaired += int64(len(entries))
		}
		if len(entries) > 0 && binary.BigEndian.Uint32(entries) == 0 {
			entries = lanes.AddTo32(entries, 1)
			t.repaired += int64(len(entries))
		}
		if b.typ == "stss" {
			t.sync = newSyncTable(entries)
		} else {
			t.partial = newSyncTable(entries)
		}
	}
	return nil
}

// decodeTime is the tick at which a sample begins in decode order (DTS).
func decodeTime(t *track, sample int64) int64 {
	r := lanes.FindRun(t.durations, sample)
	return r.Begins + (sample-r.First)*r.Value
}

// decodeEnd is the tick at which the last of the samples before end has been decoded.
func decodeEnd(t *track, end int64) int64 {
	r := lanes.FindRun(t.durations, end-1)
	return r.Begins + (end-r.First)*r.Value
}

// sampleAt is the last sample with a decode time of at most tick, and that time. Before the first sample it is the
// first.
func sampleAt(t *track, tick int64) (sample, begins int64) {
	r := t.endRun
	if tick < r.Begins {
		return sampleBefore(t, tick)
	}
	n := (tick - r.Begins) / r.Value
	if n >= r.Count {
		n = r.Count - 1
	}
	return r.First + n, r.Begins + n*r.Value
}

// sampleBefore is sampleAt before the last run of durations.
func sampleBefore(t *track, tick int64) (sample, begins int64) {
	if tick < 0 {
		return 0, 0
	}
	return lanes.SampleAtTick(t.durations, tick)
}

// findEnd finds where the samples and the media end, which every cut up to there asks for.
func (t *track) findEnd() {
	run := *lanes.FindRun(t.durations, t.samples-1)
	run.Count = t.samples - run.First
	if run.Value == 0 { // all of them begin when the last one does
		run.First = t.samples - 1
		run.Count = 1
		run.Value = 1
	}
	t.endRun = &run
	t.endPlace = placeOfEnd(t, t.samples)
	t.end = t.lastEnd()
}

// sampleTimes are the decode and composition times of successive samples, in media ticks.
type sampleTimes struct{ dts, cts []int64 }

// errListed is a bound of time and memory.
var errListed = fmt.Errorf("%w: more than %d samples to look through for those that are shown out of order", errFormat, maxListed)

// limitedTrack is the track for one request, which shares with other tracks how many samples' times may be listed.
func limitedTrack(t *track, left *int64) *track {
	limited := *t
	limited.left = left
	return &limited
}

// listSamples reads the times of samples that a request will ask for again and again.
func listSamples(t *track, first, n int64) {
	if t.left != nil {
		t.listed = timesOf(t, first, n)
		t.listedFrom = first
		t.listedEnd = first + int64(len(t.listed.dts))
	}
}

// timesOf returns the times of n samples from first on, 1 µs each where they are not listed. Where too many are asked
// for, they are those of one sample, and left is negative: what comes of them must not be used.
func timesOf(t *track, first, n int64) sampleTimes {
	i := first - t.listedFrom
	if i < 0 || first+n > t.listedEnd {
		return listTimes(t, first, n)
	}
	return sampleTimes{dts: t.listed.dts[i : i+n], cts: t.listed.cts[i : i+n]}
}

func listTimes(t *track, first, n int64) sampleTimes {
	if t.left != nil {
		*t.left -= n
		if *t.left < 0 {
			n = 1
		}
	}
	dts := decodeTimes(t, first, n)
	if t.offsets == nil {
		return sampleTimes{dts: dts, cts: dts}
	}
	cts := append([]int64(nil), dts...)
	lanes.AddRuns(cts, t.offsets, first, true)
	return sampleTimes{dts: dts, cts: cts}
}

// decodeTimes lists the decode times of n samples from first on. Of many samples that last equally long they are running
// totals.
func decodeTimes(t *track, first, n int64) []int64 {
	r := lanes.FindRun(t.durations, first)
	at, duration := r.Begins+(first-r.First)*r.Value, r.Value
	if first+n > r.First+r.Count {
		return unevenTimes(t, first, n, at)
	}
	if n >= fewTimes && duration != 0 {
		return lanes.ListSteps(at, duration, int(n))
	}
	dts := make([]int64, n)
	for i := range dts {
		dts[i] = at
		at += duration
	}
	return dts
}

// unevenTimes is decodeTimes of samples that do not all last equally long, of which the first begins at a time.
func unevenTimes(t *track, first, n, at int64) []int64 {
	dts := make([]int64, n)
	for i, duration := range lanes.ExpandRuns(t.durations, first, n, false) {
		dts[i] = at
		at += duration
	}
	return dts
}

// fewTimes are sooner added up one by one.
const fewTimes = 96

// compositionTime is the tick at which a sample is shown (CTS).
func compositionTime(t *track, sample int64) int64 {
	return timesOf(t, sample, 1).cts[0]
}

// lastEnd is the end of the sample that is shown last. One without a duration is shown too, and so lasts a tick.
func (t *track) lastEnd() int64 {
	_, begins := sampleAt(t, maxSum)
	first, _ := sampleAt(t, begins-(t.greatest-t.least))
	s := timesOf(t, first, t.samples-first)
	final, last := int64(0), -maxSum
	for i, cts := range s.cts {
		if cts >= last {
			final, last = int64(i), cts
		}
	}
	duration := lanes.FindRun(t.durations, first+final).Value
	t.instant = duration == 0
	return last + maxInt64(duration, 1)
}

// syncBefore returns the last sync sample, whole or partial, that is at most sample; -1 where there is none. Of sound in
// packets it is the first of one.
func syncBefore(t *track, sample int64) int64 {
	if !t.stssOnly {
		return syncAmong(t, sample)
	}
	n := sort.SearchFloat64s(t.sync.samples, float64(sample+2)) // the table's numbers count from 1
	if n == 0 {
		return -1
	}
	return int64(t.sync.samples[n-1]) - 1
}

// syncAmong is syncBefore where other tables have a say, or none has.
func syncAmong(t *track, sample int64) int64 {
	if t.perPacket > 0 {
		return sample - sample%t.perPacket
	}
	if t.allSync {
		return sample
	}
	return latestSync(t, sample)
}

// latestSync is syncBefore of several tables.
func latestSync(t *track, sample int64) int64 {
	last := maxInt64(lastAtMost(t.sync.samples, sample+1), lastAtMost(t.partial.samples, sample+1)) - 1
	if t.access != nil {
		last = maxInt64(last, t.access.before(sample))
	}
	return last
}

// packetEnd is the end of the packet that the last of the samples before end is in, where they are in packets.
func packetEnd(t *track, end int64) int64 {
	if t.perPacket == 0 {
		return end
	}
	return endInPackets(t, end)
}

// endInPackets is packetEnd of sound in packets.
func endInPackets(t *track, end int64) int64 {
	return minInt64(ceilDiv(end, t.perPacket)*t.perPacket, t.samples)
}

// syncTable is a stss or stps: ascending numbers of samples, counted from 1. They are kept as float64 too, which hold
// them exactly, since compiled code bisects these on every platform.
type syncTable struct {
	entries []byte
	samples []float64
}

func newSyncTable(entries []byte) syncTable {
	samples := make([]float64, len(entries)/4)
	for i, number := range lanes.Words(entries) {
		samples[i] = float64(number)
	}
	return syncTable{entries: entries, samples: samples}
}

// lastAtMost returns the last of ascending numbers that is at most v, or 0.
func lastAtMost(samples []float64, v int64) int64 {
	n := countAtMost(samples, v)
	if n == 0 {
		return 0
	}
	return int64(samples[n-1])
}

// countAtMost returns how many of ascending whole numbers are at most v.
func countAtMost(samples []float64, v int64) int {
	return sort.SearchFloat64s(samples, float64(v+1))
}

// sizeOf is the number of bytes of the samples [first, end).
func sizeOf(t *track, first, end int64) int64 {
	if t.uniform != 0 {
		return uniformSize(t, first, end)
	}
	if t.sizeBits == 32 {
		return lanes.Sum32(t.sizes[4*first : 4*end])
	}
	return narrowSizes(t, first, end)
}

// uniformSize is sizeOf where all samples, or packets of them, are of one size.
func uniformSize(t *track, first, end int64) int64 {
	if t.perPacket > 0 {
		return (ceilDiv(end, t.perPacket) - ceilDiv(first, t.perPacket)) * t.uniform
	}
	return (end - first) * t.uniform
}

// narrowSizes is sizeOf where sizes have less than 32 bits.
func narrowSizes(t *track, first, end int64) int64 {
	sum := int64(0)
	for first < end && first*t.sizeBits%8 != 0 { // at most one, in mid-byte
		sum += t.size(first)
		first++
	}
	for first < end && end*t.sizeBits%8 != 0 {
		end--
		sum += t.size(end)
	}
	return sum + lanes.SumPacked(t.sizes[first*t.sizeBits/8:end*t.sizeBits/8], uint(t.sizeBits))
}

// size is the size of a sample in bytes.
func (t *track) size(sample int64) int64 {
	if t.uniform != 0 {
		return t.uniform
	}
	switch t.sizeBits {
	case 4:
		return int64(t.sizes[sample/2] >> (4 - 4*uint(sample%2)) & 15)
	case 8:
		return int64(t.sizes[sample])
	case 16:
		return int64(binary.BigEndian.Uint16(t.sizes[2*sample:]))
	}
	return int64(binary.BigEndian.Uint32(t.sizes[4*sample:]))
}

// chunkOffset is where a chunk lies in the file. Offsets beyond any file are negative.
func chunkOffset(t *track, number int64) int64 {
	if t.chunkLen == 4 {
		return int64(binary.BigEndian.Uint32(t.chunks[4*number:]))
	}
	return wideOffset(t, number)
}

// wideOffset is chunkOffset in a co64.
func wideOffset(t *track, number int64) int64 {
	return int64(binary.BigEndian.Uint64(t.chunks[8*number:]))
}

// chunkPlace is where the samples before one end in the file.
type chunkPlace struct {
	run   lanes.ChunkRun
	chunk int64 // the last one
	kept  int64 // samples of that chunk
	to    int64 // bytes; negative where the chunk lies beyond any file
}

// placeOfEnd is that of the samples before end.
func placeOfEnd(t *track, end int64) *chunkPlace {
	run, chunk, before := lanes.FindChunk(t.chunkRuns, end-1)
	p := &chunkPlace{run: run, chunk: chunk, kept: before + 1, to: chunkOffset(t, chunk)}
	if p.to >= 0 {
		p.to += sizeOf(t, maxInt64(end-p.kept, 0), end)
	}
	return p
}

// rollBack is the sync sample at which decoding must begin for a sample of sound to be right.
func rollBack(t *track, sample int64) int64 {
	first := sample - t.preroll.samples
	if t.preroll.ms > 0 {
		first = minInt64(first, rollBackTime(t, sample))
	}
	if first < 0 {
		return 0
	}
	if t.allSync && t.perPacket == 0 {
		return first
	}
	return maxInt64(syncBefore(t, first), 0)
}

// rollBackTime is where it is so many milliseconds earlier.
func rollBackTime(t *track, sample int64) int64 {
	first, _ := sampleAt(t, decodeTime(t, sample)-t.preroll.ms*t.timescale/1000)
	return first
}

// lengths are the bytes of successive groups of so many samples, from the sample first on. Samples from end on have
// none.
func (t *track) lengths(first, end int64, groups []uint32) []int64 {
	lengths := make([]int64, len(groups))
	left := end - first
	if left <= 0 {
		return lengths
	}
	if t.uniform != 0 {
		for i, n := range groups {
			count := int64(n)
			if count > left {
				count = left
			}
			left -= count
			if t.perPacket > 0 {
				count = ceilDiv(count, t.perPacket)
			}
			lengths[i] = count * t.uniform
		}
		return lengths
	}
	all := int64(0)
	for _, n := range groups {
		all += int64(n)
	}
	sizes := t.listSizes(first, first+minInt64(all, left))
	at := 0
	for i, n := range groups {
		stop := at + int(n)
		if stop > len(sizes) {
			stop = len(sizes)
		}
		sum := int64(0)
		for _, size := range sizes[at:stop] {
			sum += int64(size)
		}
		lengths[i] = sum
		at = stop
	}
	return lengths
}

// listSizes are the sizes of the samples [first, end), where they are not all the same.
func (t *track) listSizes(first, end int64) []uint32 {
	sizes := make([]uint32, end-first)
	switch t.sizeBits {
	case 32:
		lanes.Decode(t.sizes[4*first:4*end], sizes)
	case 16:
		narrow := make([]uint16, len(sizes))
		lanes.Decode(t.sizes[2*first:2*end], narrow)
		for i, size := range narrow {
			sizes[i] = uint32(size)
		}
	case 8:
		for i, size := range t.sizes[first:end] {
			sizes[i] = uint32(size)
		}
	case 4:
		for i := range sizes {
			at := first + int64(i)
			sizes[i] = uint32(t.sizes[at/2]>>(4-4*uint(at%2))) & 15
		}
	}
	return sizes
}

// usePackets takes the size of samples from the sample entry where each of them lasts a tick, as players do, and
// returns how many there are: what stsz says of them is 1 byte, or those of one channel, in many files.
func (t *track) usePackets(stbl *box, count int64) int64 {
	samples := lanes.LastTotal(t.durations.Samples)
	if t.durations.Any != 1 || lanes.LastTotal(t.durations.Ticks) != samples {
		return count
	}
	p := packetsOf(childOf(stbl, "stsd"))
	if p.samples <= 0 || p.bytes <= 0 || p.bytes > max32 || p.samples > 1 && !wholePackets(t.chunkRuns, p.samples) {
		return count
	}
	if t.uniform != 0 && t.uniform*p.samples == p.bytes {
		return count
	}
	if p.samples > 1 && t.uniform == 0 {
		return count // stsz lists the sizes of something
	}
	t.uniform = p.bytes
	t.sizes = nil
	if p.samples > 1 {
		t.perPacket = p.samples
	}
	return samples
}

// wholePackets reports whether all chunks but the last hold whole packets of so many samples.
func wholePackets(r *lanes.ChunkRuns, samples int64) bool {
	columns := make([]uint32, len(r.Entries)/4)
	lanes.Decode(r.Entries, columns)
	for i := 0; i < len(columns); i += 3 {
		if int64(columns[i+1])%samples != 0 && int64(columns[i]) < r.Chunks {
			return false
		}
	}
	return true
}
