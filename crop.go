package mp4

import "math/big"

// Each table of a stbl (8.5.1), cropped to the samples that are kept. Long stretches of entries are written from where
// they lie in the source's moov.

// sampleTable writes the stbl of a track.
func (w *moovWriter) sampleTable(k *kept, b *box) {
	at, size := w.open(b.typ)
	for _, c := range b.children {
		if k.none {
			w.emptyTable(c)
			continue
		}
		w.table(k, c)
		if c.typ == "stts" && b.child("ctts") == nil {
			w.compositionOffsets(k, nil) // a lead-in may need one where there was none
		}
		if c.typ == "stts" && k.made && !k.allSync && b.child("stss") == nil {
			w.syncSamples(k, &box{typ: "stss", data: make([]byte, fullBoxLen)})
		}
	}
	w.raw(b.tail)
	w.close(at, size)
}

// emptyTable writes a box of a stbl whose samples are all in fragments.
func (w *moovWriter) emptyTable(b *box) {
	switch b.typ {
	case "stsd", "sgpd":
		w.raw(b.data)
	case "stts", "stsc", "stco", "co64":
		at, size := w.open(b.typ)
		w.u32(0, 0)
		w.close(at, size)
	case "stsz", "stz2":
		at, size := w.open("stsz")
		w.u32(0, 0, 0)
		w.close(at, size)
	}
}

// table writes one box of a stbl. What is not known carries nothing per sample, or is none of ours to know.
func (w *moovWriter) table(k *kept, b *box) {
	switch b.typ {
	case "stco", "co64":
		w.chunkOffsets(k, b)
		return
	case "saio":
		w.auxiliaryOffsets(k, b)
		return
	case "senc":
		w.encryption(k, b)
		return
	case "saiz":
		if k.auxiliary != nil && b == k.auxiliary.saiz { // others are of a kind that has no saio in the answer
			w.auxiliarySizes(k, b)
		}
		return
	}
	// Where all is kept, only chunks without samples at either end are not.
	if w.ticks == 0 && (b.typ != "stsc" || k.firstChunk == 0 && k.lastChunk+1 == int64(len(k.chunks))/k.chunkLen) {
		w.raw(b.data)
		return
	}
	switch b.typ {
	case "stts":
		w.decodeTimes(k, b)
	case "ctts":
		w.compositionOffsets(k, b)
	case "stss", "stps":
		w.syncSamples(k, b)
	case "stsc":
		w.samplesToChunks(k, b)
	case "stsz", "stz2":
		w.sampleSizes(k, b)
	case "sdtp":
		w.perSample(k, b, 8)
	case "stdp":
		w.perSample(k, b, 16)
	case "padb":
		w.paddingBits(k, b)
	case "stsh":
		w.shadowSync(k, b)
	case "sbgp":
		w.sampleGroups(k, b)
	case "csgp":
		w.compactGroups(k, b)
	case "subs":
		w.subSamples(k, b)
	case "cslg":
		// Bounds of the composition times (8.6.1.4), which have moved.
	default:
		w.raw(b.data)
	}
}

// counted begins a full box with entries, like b or new; the count is filled in by closeCounted.
func (w *moovWriter) counted(typ string, b *box) (mark, int64) {
	at, size := w.open(typ)
	if b != nil {
		w.raw(b.versionAndFlags())
	} else {
		w.u32(0)
	}
	w.u32(0)
	return at, size
}

// closeCounted ends a box begun by counted.
func (w *moovWriter) closeCounted(at mark, size, entries int64) {
	w.patch(mark{at.piece, at.at + headerLen + fullBoxLen}, entries)
	w.close(at, size)
}

// decodeTimes writes the stts.
func (w *moovWriter) decodeTimes(k *kept, b *box) {
	at, size := w.counted(b.typ, b)
	entries, from := int64(0), k.first
	var c *change
	if k.lead != nil {
		entries = w.pairs(k.lead.durations)
		from += k.lead.samples
		c = k.lead.scaled(0)
	}
	entries += w.runs(k.durations, from, k.end, c)
	w.closeCounted(at, size, entries)
}

// scaled is what happens to the times of the samples behind the lead-in: they are multiplied by the change of the
// timescale, and raise is added.
func (l *leadIn) scaled(raise int64) *change {
	if l.scale == 1 && raise == 0 {
		return nil
	}
	return &change{width: pairLen, mask: entry64(pairLen, lowHalf), mul: l.scale, add: entry64(pairLen, uint64(raise))}
}

// compositionOffsets writes the ctts; b is nil where the source has none.
func (w *moovWriter) compositionOffsets(k *kept, b *box) {
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
		special = runLengths([]int64{k.moveTo - k.decodeTime(k.moved) + k.raised()})
		from = k.moved
		to = k.moved + 1
		needed = true
	}
	if !needed {
		return
	}
	at, size := w.counted("ctts", b)
	entries := w.offsetRuns(k, k.first, from, c)
	entries += w.pairs(special)
	entries += w.offsetRuns(k, to, k.end, c)
	w.closeCounted(at, size, entries)
}

// raised is what is added to composition offsets that are not special.
func (k *kept) raised() int64 {
	if k.lead == nil {
		return 0
	}
	return k.lead.raise * k.lead.scale
}

// offsetRuns writes the composition offsets of the samples [from, to). Samples that the source's table does not reach
// have none.
func (w *moovWriter) offsetRuns(k *kept, from, to int64, c *change) int64 {
	reach := from
	if k.offsets != nil {
		reach = minInt64(to, maxInt64(from, k.offsets.total()))
	}
	entries := int64(0)
	if from < reach {
		entries = w.runs(k.offsets, from, reach, c)
	}
	if reach < to {
		w.u32(to-reach, k.raised())
		entries++
	}
	return entries
}

// pairs writes entries of runs, and returns how many.
func (w *moovWriter) pairs(entries []byte) int64 {
	w.raw(entries)
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

// runs writes the entries of a table of runs for the samples [from, to), and returns how many. Only the first and the
// last can be cut into.
func (w *moovWriter) runs(r *runs, from, to int64, c *change) int64 {
	if from >= to {
		return 0
	}
	first, last := r.find(from), r.find(to-1)
	w.cutRun(r, first.entry, minInt64(first.first+first.count, to)-from, c)
	if first.entry == last.entry {
		return 1
	}
	middle := r.entries[(first.entry+1)*pairLen : last.entry*pairLen]
	if c == nil {
		w.raw(middle)
	} else {
		w.changed(middle, c)
	}
	w.cutRun(r, last.entry, to-last.first, c)
	return int64(last.entry - first.entry + 1)
}

// cutRun writes an entry with another count.
func (w *moovWriter) cutRun(r *runs, number int, count int64, c *change) {
	entry := r.entries[number*pairLen : (number+1)*pairLen]
	w.u32(count)
	if c == nil {
		w.raw(entry[4:])
		return
	}
	t := newTransform(c, 1)
	w.raw(t.apply(entry)[4:]) // copied: it is short
	t.free()
}

// syncSamples writes a stss or stps. One without entries stays: it says that no sample is a sync sample.
func (w *moovWriter) syncSamples(k *kept, b *box) {
	entries := k.sync
	if k.made && k.allSync {
		return // the moov of a fragmented file has an empty one
	}
	if b.typ == "stps" {
		entries = k.partial
	}
	entries = entries[4*countAtMost(entries, k.first) : 4*countAtMost(entries, k.end)]
	at, size := w.open(b.typ)
	w.raw(b.versionAndFlags())
	w.u32(int64(len(entries) / 4))
	if k.first == 0 {
		w.raw(entries)
	} else {
		w.changed(entries, &change{width: 4, mul: 1, add: entry64(4, uint64(k.first)), sub: true})
	}
	w.close(at, size)
}

// samplesToChunks writes the stsc: the first chunk kept may lack samples at its head, the last one at its tail.
func (w *moovWriter) samplesToChunks(k *kept, b *box) {
	at, size := w.counted(b.typ, b)
	entries := int64(0)
	put := func(chunk, perChunk int64, description uint32) {
		w.u32(chunk-k.firstChunk+1, perChunk, int64(description))
		entries++
	}
	first, last := k.firstRun, k.lastRun
	if k.firstChunk == k.lastChunk {
		put(k.firstChunk, k.end-k.first, first.description)
		w.closeCounted(at, size, entries)
		return
	}
	put(k.firstChunk, first.perChunk-k.skipped, first.description)
	// The chunks of a run behind its first kept one, up to the last chunk of the track, which may be shorter.
	if k.skipped > 0 && k.firstChunk+1 < minInt64(first.end, k.lastChunk) {
		put(k.firstChunk+1, first.perChunk, first.description)
	} else if k.skipped > 0 && first.number == last.number {
		put(k.lastChunk, k.lastKept, last.description)
		w.closeCounted(at, size, entries)
		return
	}
	if first.number < last.number {
		middle := k.chunkRuns.entries[(first.number+1)*stscLen : last.number*stscLen]
		if len(middle) > 0 {
			w.changed(middle, &change{width: stscLen, mask: firstChunkMask, mul: 1, add: firstChunkAddend(k.firstChunk), sub: true})
			entries += int64(len(middle) / stscLen)
		}
		if last.first < k.lastChunk {
			put(last.first, last.perChunk, last.description)
		}
	}
	if k.lastKept < last.perChunk || last.first == k.lastChunk && first.number < last.number {
		put(k.lastChunk, k.lastKept, last.description)
	}
	w.closeCounted(at, size, entries)
}

// firstChunkMask are the bits of first_chunk in an entry of stsc.
var firstChunkMask = []byte{255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0}

// firstChunkAddend is an entry of stsc with that first_chunk and zeros.
func firstChunkAddend(chunk int64) []byte {
	return append(entry64(4, uint64(chunk)), make([]byte, 8)...)
}

// sampleSizes writes the stsz or stz2.
func (w *moovWriter) sampleSizes(k *kept, b *box) {
	if k.made {
		b = &box{typ: "stsz", data: make([]byte, 8)}
	}
	at, size := w.open(b.typ)
	w.raw(b.payload()[:8]) // version, flags, sample_size or field_size
	w.u32(k.end - k.first)
	if k.uniform == 0 {
		w.raw(bitEntries(k.sizes, k.sizeBits, k.first, k.end))
	}
	w.close(at, size)
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

// chunkOffsets lays out the stco or co64; the entries are placed when the size of the moov is known.
func (w *moovWriter) chunkOffsets(k *kept, b *box) {
	width := k.chunkLen
	grow := w.wide && width == 4
	typ := "stco"
	if grow || width == 8 {
		typ = "co64"
	}
	n := k.lastChunk - k.firstChunk + 1
	at, size := w.open(typ)
	w.raw(b.versionAndFlags())
	w.u32(n)
	o := chunkOffsets{kept: k, first: mark{len(w.pieces), len(w.small)}, rest: &change{width: int(width), mul: 1, grow: grow}}
	if grow || width == 8 {
		w.u32(0)
	}
	w.u32(0)
	w.changed(k.chunks[(k.firstChunk+1)*width:(k.lastChunk+1)*width], o.rest)
	w.offsets = append(w.offsets, o)
	w.close(at, size)
}

// mediaDuration is the sum of the kept samples' durations, in ticks of the answer's timescale.
func (k *kept) mediaDuration() int64 {
	if k.none {
		return 0
	}
	end := k.decodeEnd(k.end)
	if k.lead == nil {
		return end - k.decodeTime(k.first)
	}
	// From m on, times have only moved, with m to the edit's media time.
	return (end-k.lead.raise)*k.lead.scale - k.lead.begins + k.lead.mediaTime + k.lead.longer
}
