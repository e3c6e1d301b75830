package mp4

import "math/big"

// Each table of a stbl (8.5.1), cropped to the samples that are kept. Long stretches of entries are written from where
// they lie in the source's moov.

// writeSampleTable writes the stbl of a track.
func writeSampleTable(w *moovWriter, k *kept, b *box) {
	at, size := openBox(w, b.typ)
	for _, c := range b.children {
		if k.none {
			writeEmptyTable(w, c)
			continue
		}
		writeTable(w, k, c)
		if c.typ == "stts" && childOf(b, "ctts") == nil {
			writeCompositionOffsets(w, k, nil) // a lead-in may need one where there was none
		}
		if c.typ == "stts" && k.made && !k.allSync && childOf(b, "stss") == nil {
			writeSyncSamples(w, k, &box{typ: "stss", data: make([]byte, fullBoxLen)})
		}
	}
	writeRaw(w, b.tail)
	closeBox(w, at, size)
}

// writeEmptyTable writes a box of a stbl whose samples are all in fragments.
func writeEmptyTable(w *moovWriter, b *box) {
	switch b.typ {
	case "stsd", "sgpd":
		writeRaw(w, b.data)
	case "stts", "stsc", "stco", "co64":
		at, size := openBox(w, b.typ)
		writeU32(w, 0, 0)
		closeBox(w, at, size)
	case "stsz", "stz2":
		at, size := openBox(w, "stsz")
		writeU32(w, 0, 0, 0)
		closeBox(w, at, size)
	}
}

// writeTable writes one box of a stbl. What is not known carries nothing per sample, or is none of ours to know.
func writeTable(w *moovWriter, k *kept, b *box) {
	switch b.typ {
	case "stco", "co64":
		writeChunkOffsets(w, k, b)
		return
	case "saio":
		writeAuxiliaryOffsets(w, k, b)
		return
	case "senc":
		writeEncryption(w, k, b)
		return
	case "saiz":
		if k.auxiliary != nil && b == k.auxiliary.saiz { // others are of a kind that has no saio in the answer
			writeAuxiliarySizes(w, k, b)
		}
		return
	}
	// Where all is kept, only chunks without samples at either end are not, and tables that say something else by now.
	made := k.repaired > 0 && containsType("sttsstscstssstps", b.typ)
	if w.ticks == 0 && !made && (b.typ != "stsc" || k.firstChunk == 0 && k.lastChunk+1 == int64(len(k.chunks))/k.chunkLen) {
		writeRaw(w, b.data)
		return
	}
	switch b.typ {
	case "stts":
		writeDecodeTimes(w, k, b)
	case "ctts":
		writeCompositionOffsets(w, k, b)
	case "stss", "stps":
		writeSyncSamples(w, k, b)
	case "stsc":
		writeSamplesToChunks(w, k, b)
	case "stsz", "stz2":
		writeSampleSizes(w, k, b)
	case "sdtp":
		writeDependencies(w, k, b)
	case "stdp", "padb", "stsh":
		// Degradation priorities, padding bits and shadow sync samples: no writer of today's files has them.
	case "sbgp":
		writeSampleGroups(w, k, b)
	case "csgp":
		writeCompactGroups(w, k, b)
	case "subs":
		writeSubSamples(w, k, b)
	case "cslg":
		// Bounds of the composition times (8.6.1.4), which have moved.
	default:
		writeRaw(w, b.data)
	}
}

// openTable begins a full box with entries, like b or new; the count is filled in by closeTable.
func openTable(w *moovWriter, typ string, b *box) (mark, int64) {
	at, size := openBox(w, typ)
	if b != nil {
		writeRaw(w, versionAndFlags(b))
	} else {
		writeU32(w, 0)
	}
	writeU32(w, 0)
	return at, size
}

// closeTable ends a box that openTable began.
func closeTable(w *moovWriter, at mark, size, entries int64) {
	patchU32(w, mark{at.piece, at.at + headerLen + fullBoxLen}, entries)
	closeBox(w, at, size)
}

// writeDecodeTimes writes the stts.
func writeDecodeTimes(w *moovWriter, k *kept, b *box) {
	at, size := openTable(w, b.typ, b)
	entries, from := int64(0), k.first
	var c *change
	if k.lead != nil {
		entries = writePairs(w, k.lead.durations)
		from += k.lead.samples
		c = k.lead.scaled(0)
	}
	entries += writeRuns(w, k.durations, from, k.end, c)
	closeTable(w, at, size, entries)
}

// scaled is what happens to the times of the samples behind the lead-in: they are multiplied by the change of the
// timescale, and raise is added.
func (l *leadIn) scaled(raise int64) *change {
	if l.scale == 1 && raise == 0 {
		return nil
	}
	return &change{width: pairLen, mask: entry64(pairLen, lowHalf), mul: l.scale, add: entry64(pairLen, uint64(raise))}
}

// writeCompositionOffsets writes the ctts; b is nil where the source has none.
func writeCompositionOffsets(w *moovWriter, k *kept, b *box) {
	if w.ticks == 0 {
		return
	}
	special, from, to := []byte(nil), k.first, k.first // entries that are new, of the samples [from, to)
	needed := k.offsets != nil
	var c *change
	if k.lead != nil {
		special = k.lead.offsets
		to = k.first + k.lead.samples
		needed = needed || k.lead.shifted
		c = k.lead.scaled(k.raised())
	}
	if k.moved >= 0 {
		special = runLengths([]int64{k.moveTo - decodeTime(k.track, k.moved)*k.scale() + k.raised()})
		from = k.moved
		to = k.moved + 1
		needed = true
	}
	if !needed {
		return
	}
	at, size := openTable(w, "ctts", b)
	entries := writeOffsetRuns(w, k, k.first, from, c)
	entries += writePairs(w, special)
	entries += writeOffsetRuns(w, k, to, k.end, c)
	closeTable(w, at, size, entries)
}

// raised is what is added to composition offsets that are not special.
func (k *kept) raised() int64 {
	if k.lead == nil {
		return 0
	}
	return k.lead.raise * k.lead.scale
}

// scale is the factor by which the track's timescale is raised.
func (k *kept) scale() int64 {
	if k.lead == nil {
		return 1
	}
	return k.lead.scale
}

// writeOffsetRuns writes the composition offsets of the samples [from, to). Samples that the source's table does not
// reach have none.
func writeOffsetRuns(w *moovWriter, k *kept, from, to int64, c *change) int64 {
	reach := from
	if k.offsets != nil {
		reach = minInt64(to, maxInt64(from, lastTotal(k.offsets.samples)))
	}
	entries := int64(0)
	if from < reach {
		entries = writeRuns(w, k.offsets, from, reach, c)
	}
	if reach < to {
		writeU32(w, to-reach, k.raised())
		entries++
	}
	return entries
}

// writePairs writes entries of runs, and returns how many.
func writePairs(w *moovWriter, entries []byte) int64 {
	writeRaw(w, entries)
	return int64(len(entries) / pairLen)
}

// runLengths makes a table of runs of values.
func runLengths(values []int64) []byte {
	pairs := make([]uint64, 0, len(values))
	count, last := uint64(0), int64(0)
	for _, v := range values {
		if v != last && count > 0 {
			pairs = append(pairs, count<<32|uint64(last)&lowHalf)
			count = 0
		}
		last = v
		count++
	}
	if count > 0 {
		pairs = append(pairs, count<<32|uint64(last)&lowHalf)
	}
	return encode(pairs, 8*len(pairs))
}

// writeRuns writes the entries of a table of runs for the samples [from, to), and returns how many. Only the first and
// the last can be cut into.
func writeRuns(w *moovWriter, r *runs, from, to int64, c *change) int64 {
	if from >= to {
		return 0
	}
	first, last := findRun(r, from), findRun(r, to-1)
	writeCutRun(w, r, first.entry, minInt64(first.first+first.count, to)-from, c)
	if first.entry == last.entry {
		return 1
	}
	middle := r.entries[(first.entry+1)*pairLen : last.entry*pairLen]
	if c == nil {
		writeRaw(w, middle)
	} else {
		writeChanged(w, middle, c)
	}
	writeCutRun(w, r, last.entry, to-last.first, c)
	return int64(last.entry - first.entry + 1)
}

// writeCutRun writes an entry with another count.
func writeCutRun(w *moovWriter, r *runs, number int, count int64, c *change) {
	entry := r.entries[number*pairLen : (number+1)*pairLen]
	writeU32(w, count)
	if c == nil {
		writeRaw(w, entry[4:])
		return
	}
	t := newTransform(c, 1)
	writeRaw(w, applyChange(t, entry)[4:]) // copied: it is short
	scratches.Put(t.s)
}

// writeSyncSamples writes a stss or stps. One without entries stays, of pictures: it says that none is a sync sample.
func writeSyncSamples(w *moovWriter, k *kept, b *box) {
	entries := k.sync
	if k.allSync {
		return // the moov of a fragmented file has an empty one, and that of some sound
	}
	if b.typ == "stps" {
		entries = k.partial
	}
	entries = entries[4*countAtMost(entries, k.first) : 4*countAtMost(entries, k.end)]
	var listed []int64 // of what lies before the other entries
	if b.typ == "stss" && k.access != nil && k.access.before(k.first) == k.first && lastAtMost(k.sync, k.first+1) <= k.first {
		listed = append(listed, 1) // players that know no groups must be able to begin
	}
	if k.lead != nil && k.lead.listedFrom > 0 {
		for _, sample := range k.lead.listed {
			if lastAtMost(entries, sample+1) == sample+1 {
				listed = append(listed, sample+1-k.first)
			}
		}
		entries = entries[4*countAtMost(entries, k.lead.listedFrom):]
	}
	n := int64(len(listed) + len(entries)/4)
	if n == 0 && k.handler == "soun" {
		return // it would say nothing
	}
	at, size := openBox(w, b.typ)
	writeRaw(w, versionAndFlags(b))
	writeU32(w, n)
	writeU32(w, listed...)
	if k.first == 0 {
		writeRaw(w, entries)
	} else {
		writeChanged(w, entries, &change{width: 4, mul: 1, add: entry64(4, uint64(k.first)), sub: true})
	}
	closeBox(w, at, size)
}

// writeSamplesToChunks writes the stsc: the first chunk kept may lack samples at its head, the last one at its tail.
func writeSamplesToChunks(w *moovWriter, k *kept, b *box) {
	at, size := openTable(w, b.typ, b)
	entries := int64(0)
	put := func(chunk, perChunk int64, description uint32) {
		writeU32(w, chunk-k.firstChunk+1, perChunk, int64(description))
		entries++
	}
	first, last := k.firstRun, k.lastRun
	if k.firstChunk == k.lastChunk {
		put(k.firstChunk, k.end-k.first, first.description)
		closeTable(w, at, size, entries)
		return
	}
	put(k.firstChunk, first.perChunk-k.skipped, first.description)
	// The chunks of a run behind its first kept one, up to the last chunk of the track, which may be shorter.
	if k.skipped > 0 && k.firstChunk+1 < minInt64(first.end, k.lastChunk) {
		put(k.firstChunk+1, first.perChunk, first.description)
	} else if k.skipped > 0 && first.number == last.number {
		put(k.lastChunk, k.lastKept, last.description)
		closeTable(w, at, size, entries)
		return
	}
	if first.number < last.number {
		middle := k.chunkRuns.entries[(first.number+1)*stscLen : last.number*stscLen]
		if len(middle) > 0 {
			writeChanged(w, middle, &change{width: stscLen, mask: firstChunkMask, mul: 1, add: firstChunkAddend(k.firstChunk), sub: true})
			entries += int64(len(middle) / stscLen)
		}
		if last.first < k.lastChunk {
			put(last.first, last.perChunk, last.description)
		}
	}
	if k.lastKept < last.perChunk || last.first == k.lastChunk && first.number < last.number {
		put(k.lastChunk, k.lastKept, last.description)
	}
	closeTable(w, at, size, entries)
}

// firstChunkMask are the bits of first_chunk in an entry of stsc.
var firstChunkMask = []byte{255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0}

// firstChunkAddend is an entry of stsc with that first_chunk and zeros.
func firstChunkAddend(chunk int64) []byte {
	return append(entry64(4, uint64(chunk)), make([]byte, 8)...)
}

// writeSampleSizes writes the stsz or stz2.
func writeSampleSizes(w *moovWriter, k *kept, b *box) {
	if k.made {
		b = &box{typ: "stsz", data: make([]byte, 8)}
	}
	if k.uniform != 0 && k.perPacket == 0 {
		at, size := openBox(w, "stsz")
		writeU32(w, 0, k.uniform, k.end-k.first)
		closeBox(w, at, size)
		return
	}
	at, size := openBox(w, b.typ)
	writeRaw(w, payload(b)[:8]) // version, flags, sample_size or field_size
	writeU32(w, k.end-k.first)
	if k.uniform == 0 {
		writeRaw(w, bitEntries(k.sizes, k.sizeBits, k.first, k.end))
	}
	closeBox(w, at, size)
}

// bitEntries returns the entries [first, end) of a table whose entries have so many bits. Where entries of 4 bits
// begin in mid-byte, all of them move by half a byte.
func bitEntries(entries []byte, width, first, end int64) []byte {
	part := entries[first*width/8 : (end*width+7)/8]
	if first*width%8 == 0 {
		return part
	}
	moved := new(big.Int).SetBytes(part)
	moved.Lsh(moved, 4)
	n := int((end - first + 1) / 2)
	return moved.FillBytes(make([]byte, len(part)+1))[1 : 1+n]
}

// writeChunkOffsets lays out the stco or co64; the entries are placed when the size of the moov is known.
func writeChunkOffsets(w *moovWriter, k *kept, b *box) {
	width := k.chunkLen
	grow := w.wide && width == 4
	typ := "stco"
	if grow || width == 8 {
		typ = "co64"
	}
	n := k.lastChunk - k.firstChunk + 1
	at, size := openBox(w, typ)
	writeRaw(w, versionAndFlags(b))
	writeU32(w, n)
	o := chunkOffsets{kept: k, first: mark{len(w.pieces), len(w.small)}, rest: &change{width: int(width), mul: 1, grow: grow}}
	if grow || width == 8 {
		writeU32(w, 0)
	}
	writeU32(w, 0)
	writeChanged(w, k.chunks[(k.firstChunk+1)*width:(k.lastChunk+1)*width], o.rest)
	w.offsets = append(w.offsets, o)
	closeBox(w, at, size)
}

// mediaDuration is the sum of the kept samples' durations, in ticks of the answer's timescale.
func mediaDuration(k *kept) int64 {
	if k.none {
		return 0
	}
	end := decodeEnd(k.track, k.end)
	if k.lead == nil {
		return end - decodeTime(k.track, k.first)
	}
	// From m on, times have only moved, with m to the edit's media time.
	return (end-k.lead.raise)*k.lead.scale - k.lead.begins + k.lead.mediaTime
}
