package mp4

import (
	"math/big"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// Each table of a stbl (8.5.1), cropped to the samples that are kept. Long stretches of entries are written from where
// they lie in the source's moov.

// writeEmptyTable writes a box of a stbl whose samples are all in fragments.
func writeEmptyTable(w *moovWriter, s *slot) {
	switch s.kind {
	case slotStts, slotStsc, slotStco:
		w.numbers = append(w.numbers, headerLen+countedLen, s.begins[1], 0, 0)
	case slotStsz:
		w.numbers = append(w.numbers, headerLen+countedLen+4, typeStsz, 0, 0, 0)
	}
}

// What follows writes a table behind the numbers that it begins with. Those entries of the source's that end it are
// returned, with their change where they have one.

// writeCtts writes the composition offsets.
func writeCtts(b *boxWriter, k *trackCut, scale int64) []byte {
	from, raised := k.first, int64(0)
	if k.lead != nil {
		writeRaw(b, k.lead.offsets)
		from += k.lead.samples
		raised = k.lead.raise * scale
	}
	if k.moved >= 0 {
		writeMoved(b, k, scale, raised)
		from = k.moved + 1
	}
	return writeOffsets(b, k, from, k.end, scale, raised)
}

// writeMoved writes the composition offsets up to that of the sample moved.
func writeMoved(b *boxWriter, k *trackCut, scale, raised int64) {
	writeRaw(b, writeOffsets(b, k, k.first, k.moved, scale, raised))
	b.numbers = append(b.numbers, 1, uint32(k.moveTo-decodeTime(k.track, k.moved)*scale+raised))
}

// writeOffsets writes the composition offsets of the samples [from, to). Samples that the source's table does not
// reach have none.
func writeOffsets(b *boxWriter, k *trackCut, from, to, scale, raised int64) []byte {
	reach := int64(0)
	if k.offsets != nil {
		reach = lanes.LastTotal(k.offsets.Samples)
	}
	if to <= reach {
		return writeRuns(b, k.offsets, from, to, scale, raised)
	}
	if from < reach {
		writeRaw(b, writeRuns(b, k.offsets, from, reach, scale, raised))
		from = reach
	}
	if from < to {
		b.numbers = append(b.numbers, uint32(to-from), uint32(raised))
	}
	return nil
}

// writeRuns writes the entries of a table of runs for the samples [from, to). Values are multiplied by the change of the
// timescale, and raised is added.
func writeRuns(b *boxWriter, r *lanes.Runs, from, to, scale, raised int64) []byte {
	if from >= to {
		return nil
	}
	run := lanes.FindRun(r, from)
	ends := run.First + run.Count
	if ends >= to {
		b.numbers = append(b.numbers, uint32(to-from), uint32(run.Value*scale+raised))
		return nil
	}
	b.numbers = append(b.numbers, uint32(ends-from), uint32(run.Value*scale+raised))
	return writeNextRuns(b, r, run.Entry+1, to, scale, raised)
}

// writeNextRuns writes the entries from one on up to the sample to.
func writeNextRuns(b *boxWriter, r *lanes.Runs, entry int, to, scale, raised int64) []byte {
	last := lanes.FindRun(r, to-1)
	if scale == 1 && raised == 0 && last.First+last.Count == to {
		return r.Entries[entry*lanes.PairLen : (last.Entry+1)*lanes.PairLen]
	}
	writeLastRuns(b, r.Entries[entry*lanes.PairLen:last.Entry*lanes.PairLen], last, to, scale, raised)
	return nil
}

// writeLastRuns writes entries, and behind them the last run up to the sample to.
func writeLastRuns(b *boxWriter, entries []byte, last *lanes.Run, to, scale, raised int64) {
	if scale == 1 && raised == 0 {
		writeRaw(b, entries)
	} else if len(entries) > 0 {
		writeChanged(b, entries, &lanes.Change{Width: lanes.PairLen, Low: true, Mul: scale, Add: raised})
	}
	b.numbers = append(b.numbers, uint32(to-last.First), uint32(last.Value*scale+raised))
}

// writeStss writes the sync samples, or those of open groups. A table without entries stays, of pictures: it says that
// none is a sync sample.
func writeStss(b *boxWriter, at int, k *trackCut, s *slot) ([]byte, *lanes.Change) {
	if k.allSync || s.box == nil && !k.made { // the moov of a fragmented file has an empty one, and that of some sound
		b.numbers = b.numbers[:at]
		return nil, nil
	}
	table := &k.sync
	if s.kind == slotStps {
		table = &k.partial
	} else if k.access != nil && beginsGroup(k) {
		b.numbers = append(b.numbers, 1) // players that know no groups must be able to begin
	}
	samples, first := table.samples, k.first
	from, to := countAtMost(samples, first), len(samples)
	if to > 0 && int64(samples[to-1]) > k.end {
		to = countAtMost(samples, k.end)
	}
	if lead := k.lead; lead != nil && lead.listedFrom > 0 { // only some of what lies before that
		for _, sample := range lead.listed {
			if sample < k.end && lastAtMost(samples, sample+1) == sample+1 {
				b.numbers = append(b.numbers, uint32(sample+1-first))
			}
		}
		if others := countAtMost(samples, lead.listedFrom); others > from {
			from = minInt(others, to)
		}
	}
	if from < to && first == 0 {
		return table.entries[4*from : 4*to], nil
	}
	if from < to {
		return table.entries[4*from : 4*to], &lanes.Change{Width: 4, Add: -first}
	}
	if k.handler == "soun" && len(b.numbers) == at+tableCount+1 {
		b.numbers = b.numbers[:at] // it would say nothing
	}
	return nil, nil
}

// beginsGroup reports whether a cut begins at a sample at which decoding may begin, but which the stss does not list.
func beginsGroup(k *trackCut) bool {
	return k.access.before(k.first) == k.first && lastAtMost(k.sync.samples, k.first+1) <= k.first
}

// Of the entries of the stsc, the first chunk kept may lack samples at its head, the last one at its tail. Chunks are
// numbered from 1 in the file.

// writeChunkRuns writes the stsc where the chunks kept are of several runs.
func writeChunkRuns(b *boxWriter, k *trackCut) {
	first, last := &k.firstRun, &k.lastRun
	b.numbers = append(b.numbers, 1, uint32(first.PerChunk-k.skipped), first.Description)
	if k.skipped > 0 && k.firstChunk+1 < first.End {
		b.numbers = append(b.numbers, 2, uint32(first.PerChunk), first.Description)
	}
	if first.Number+1 < last.Number {
		writeChanged(b, k.chunkRuns.Entries[(first.Number+1)*lanes.ChunkRunLen:last.Number*lanes.ChunkRunLen],
			&lanes.Change{Width: lanes.ChunkRunLen, Behind: lanes.ChunkRunLen - 4, Add: -k.firstChunk})
	}
	if last.First < k.lastChunk {
		b.numbers = append(b.numbers, uint32(last.First-k.firstChunk+1), uint32(last.PerChunk), last.Description)
		if k.lastKept == last.PerChunk {
			return
		}
	}
	b.numbers = append(b.numbers, uint32(k.lastChunk-k.firstChunk+1), uint32(k.lastKept), last.Description)
}

// writeChunkRun writes the stsc where they are all of one run.
func writeChunkRun(b *boxWriter, k *trackCut) {
	run, final := &k.firstRun, k.lastChunk-k.firstChunk+1
	if final == 1 {
		b.numbers = append(b.numbers, 1, uint32(k.end-k.first), run.Description)
		return
	}
	b.numbers = append(b.numbers, 1, uint32(run.PerChunk-k.skipped), run.Description)
	if k.skipped > 0 && final > 2 {
		b.numbers = append(b.numbers, 2, uint32(run.PerChunk), run.Description)
	}
	if k.lastKept < run.PerChunk || k.skipped > 0 && final == 2 {
		b.numbers = append(b.numbers, uint32(final), uint32(k.lastKept), run.Description)
	}
}

// writeOtherSizes writes the sizes of the samples, as a stsz or a stz2, where they are not a part of the source's stsz.
func writeOtherSizes(b *boxWriter, at int, k *trackCut) []byte {
	if k.uniform != 0 && k.perPacket == 0 {
		b.numbers = append(b.numbers[:at], 0, typeStsz, 0, uint32(k.uniform))
	} else if k.made {
		b.numbers = append(b.numbers[:at], 0, typeStsz, 0, 0)
	}
	b.numbers = append(b.numbers, uint32(k.end-k.first)) // behind sample_size or field_size
	if k.uniform != 0 {
		return nil
	}
	return bitEntries(k.sizes, k.sizeBits, k.first, k.end)
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

// writeStco lays out the chunk offsets, as a stco or a co64; they are placed when the size of the moov is known.
func writeStco(w *moovWriter, at int, k *trackCut) ([]byte, *lanes.Change) {
	b, width, others := w.boxWriter, k.chunkLen, k.lastChunk-k.firstChunk
	rest := &lanes.Change{Width: int(width)}
	w.offsets = append(w.offsets, chunkOffsets{kept: k, first: len(b.numbers), rest: rest})
	b.numbers[at+tableCount] = uint32(others + 1)
	b.numbers = append(b.numbers, 0)
	if w.wide || width == 8 {
		widenChunks(b, at, rest, others)
	}
	if others == 0 {
		return nil, nil
	}
	return k.chunks[(k.firstChunk+1)*width : (k.lastChunk+1)*width], rest
}

// widenChunks makes a table of chunk offsets a co64, and has the others than the first grow where they are shorter.
func widenChunks(b *boxWriter, at int, rest *lanes.Change, others int64) {
	b.numbers[at+1] = typeCo64
	b.numbers = append(b.numbers, 0)
	if rest.Width == 4 {
		rest.Grow = true
		b.bytes += 4 * int(others)
	}
}

// placeChunks fills in the entries of the chunk offset tables.
func placeChunks(w *moovWriter) {
	var o *chunkOffsets
	var k *trackCut
	var at int
	var shift int64
	for i := range w.offsets {
		o = &w.offsets[i]
		k = o.kept
		at = o.first
		shift = shiftOf(w, k.bytes.from)
		if w.wide || o.rest.Width == 8 {
			w.numbers[at] = uint32((k.at + shift) >> 32)
			at++
		} else if k.bytes.to+shift > max32 {
			w.overflow = true
			return
		}
		w.numbers[at] = uint32(k.at + shift)
		o.rest.Add = shift
	}
}
