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

// writeStts writes the decode times.
func writeStts(w *moovWriter, k *trackCut, s *slot) {
	at := len(w.numbers)
	w.numbers = append(w.numbers, s.begins...)
	entries, from, scale := int64(0), k.first, int64(1)
	if k.lead != nil {
		writeRaw(w.boxWriter, k.lead.durations)
		entries = int64(len(k.lead.durations) / lanes.PairLen)
		from += k.lead.samples
		scale = k.lead.scale
	}
	entries += writeRuns(w.boxWriter, k.durations, from, k.end, scale, 0)
	w.numbers[at+tableCount] = uint32(entries)
}

// writeCtts writes the composition offsets.
func writeCtts(w *moovWriter, k *trackCut, s *slot) {
	special, from, to := []byte(nil), k.first, k.first // entries that are new, of the samples [from, to)
	needed, scale := k.offsets != nil, int64(1)
	if k.lead != nil {
		special = k.lead.offsets
		to = k.first + k.lead.samples
		needed = needed || k.lead.shifted
		scale = k.lead.scale
	}
	if k.moved >= 0 {
		special = lanes.RunLengths([]int64{k.moveTo - decodeTime(k.track, k.moved)*scaleOf(k) + k.raised()})
		from = k.moved
		to = k.moved + 1
		needed = true
	}
	if !needed {
		return
	}
	at := len(w.numbers)
	w.numbers = append(w.numbers, s.begins...)
	entries := writeOffsetRuns(w, k, k.first, from, scale)
	writeRaw(w.boxWriter, special)
	entries += int64(len(special) / lanes.PairLen)
	entries += writeOffsetRuns(w, k, to, k.end, scale)
	w.numbers[at+tableCount] = uint32(entries)
}

// writeOffsetRuns writes the composition offsets of the samples [from, to). Samples that the source's table does not
// reach have none.
func writeOffsetRuns(w *moovWriter, k *trackCut, from, to, scale int64) int64 {
	if from >= to {
		return 0
	}
	reach, raised, entries := from, int64(0), int64(0)
	if k.lead != nil {
		raised = k.lead.raise * scale
	}
	if k.offsets != nil {
		reach = minInt64(to, maxInt64(from, lanes.LastTotal(k.offsets.Samples)))
		entries = writeRuns(w.boxWriter, k.offsets, from, reach, scale, raised)
	}
	if reach < to {
		w.numbers = append(w.numbers, uint32(to-reach), uint32(raised))
		entries++
	}
	return entries
}

// writeRuns writes the entries of a table of runs for the samples [from, to), and returns how many. Only the first and
// the last can be cut into. Values are multiplied by the change of the timescale, and raised is added.
func writeRuns(w *boxWriter, r *lanes.Runs, from, to, scale, raised int64) int64 {
	if from >= to {
		return 0
	}
	first, last := lanes.FindRun(r, from), lanes.FindRun(r, to-1)
	if first.Entry == last.Entry {
		w.numbers = append(w.numbers, uint32(to-from), uint32(first.Value*scale+raised))
		return 1
	}
	w.numbers = append(w.numbers, uint32(first.First+first.Count-from), uint32(first.Value*scale+raised))
	middle := r.Entries[(first.Entry+1)*lanes.PairLen : last.Entry*lanes.PairLen]
	if scale == 1 && raised == 0 {
		writeRaw(w, middle)
	} else if len(middle) > 0 {
		writeChanged(w, middle, &lanes.Change{Width: lanes.PairLen, Mask: lanes.EntryOf(lanes.PairLen, lanes.LowHalf), Mul: scale, Add: lanes.EntryOf(lanes.PairLen, uint64(raised))})
	}
	w.numbers = append(w.numbers, uint32(to-last.First), uint32(last.Value*scale+raised))
	return int64(last.Entry - first.Entry + 1)
}

// writeStss writes the sync samples, or those of open groups. A table without entries stays, of pictures: it says that
// none is a sync sample.
func writeStss(w *moovWriter, k *trackCut, s *slot, table *syncTable) {
	from, to := countAtMost(table.samples, k.first), countAtMost(table.samples, k.end)
	at := len(w.numbers)
	w.numbers = append(w.numbers, s.begins...)
	entries := len(w.numbers)
	if s.kind == slotStss && k.access != nil && k.access.before(k.first) == k.first && lastAtMost(k.sync.samples, k.first+1) <= k.first {
		w.numbers = append(w.numbers, 1) // players that know no groups must be able to begin
	}
	if k.lead != nil && k.lead.listedFrom > 0 { // only some of what lies before that
		for _, sample := range k.lead.listed {
			if sample < k.end && lastAtMost(table.samples, sample+1) == sample+1 {
				w.numbers = append(w.numbers, uint32(sample+1-k.first))
			}
		}
		if others := countAtMost(table.samples, k.lead.listedFrom); others > from {
			from = minInt(others, to)
		}
	}
	listed := len(w.numbers) - entries + to - from
	if listed == 0 && k.handler == "soun" {
		w.numbers = w.numbers[:at] // it would say nothing
		return
	}
	w.numbers[at+tableCount] = uint32(listed)
	if k.first == 0 {
		writeRaw(w.boxWriter, table.entries[4*from:4*to])
	} else if from < to {
		writeChanged(w.boxWriter, table.entries[4*from:4*to], &lanes.Change{Width: 4, Mul: 1, Add: lanes.EntryOf(4, uint64(k.first)), Sub: true})
	}
}

// writeStsc writes which samples are in which chunk: the first chunk kept may lack samples at its head, the last one at
// its tail.
func writeStsc(w *moovWriter, k *trackCut, s *slot) {
	if w.shown.ticks == 0 && k.repaired == 0 && k.firstChunk == 0 && k.lastChunk+1 == int64(len(k.chunks))/k.chunkLen {
		writeRaw(w.boxWriter, s.data) // only chunks without samples at either end are not kept
		return
	}
	at := len(w.numbers)
	w.numbers = append(w.numbers, s.begins...)
	w.numbers[at+tableCount] = writeChunkRuns(w.boxWriter, k, k.firstRun, k.lastRun)
}

// writeChunkRuns writes the entries of the stsc for the chunks kept, of which the first and the last are in two runs, and
// returns how many.
func writeChunkRuns(w *boxWriter, k *trackCut, first, last lanes.ChunkRun) uint32 {
	const one = 1 // chunks are numbered from 1 in the file
	entries := uint32(1)
	if k.firstChunk == k.lastChunk {
		w.numbers = append(w.numbers, one, uint32(k.end-k.first), first.Description)
		return entries
	}
	w.numbers = append(w.numbers, one, uint32(first.PerChunk-k.skipped), first.Description)
	// The chunks of a run behind its first kept one, up to the last chunk of the track, which may be shorter.
	if k.skipped > 0 && k.firstChunk+1 < minInt64(first.End, k.lastChunk) {
		w.numbers = append(w.numbers, one+1, uint32(first.PerChunk), first.Description)
		entries++
	} else if k.skipped > 0 && first.Number == last.Number {
		w.numbers = append(w.numbers, uint32(k.lastChunk-k.firstChunk)+one, uint32(k.lastKept), last.Description)
		return entries + 1
	}
	if first.Number < last.Number {
		middle := k.chunkRuns.Entries[(first.Number+1)*lanes.ChunkRunLen : last.Number*lanes.ChunkRunLen]
		if len(middle) > 0 {
			writeChanged(w, middle, &lanes.Change{Width: lanes.ChunkRunLen, Mask: firstChunkMask, Mul: 1, Add: firstChunkAddend(k.firstChunk), Sub: true})
			entries += uint32(len(middle) / lanes.ChunkRunLen)
		}
		if last.First < k.lastChunk {
			w.numbers = append(w.numbers, uint32(last.First-k.firstChunk)+one, uint32(last.PerChunk), last.Description)
			entries++
		}
	}
	if k.lastKept < last.PerChunk || last.First == k.lastChunk && first.Number < last.Number {
		w.numbers = append(w.numbers, uint32(k.lastChunk-k.firstChunk)+one, uint32(k.lastKept), last.Description)
		entries++
	}
	return entries
}

// firstChunkMask are the bits of first_chunk in an entry of stsc.
var firstChunkMask = []byte{255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0}

// firstChunkAddend is an entry of stsc with that first_chunk and zeros.
func firstChunkAddend(chunk int64) []byte {
	return append(lanes.EntryOf(4, uint64(chunk)), make([]byte, 8)...)
}

// writeStsz writes the sizes of the samples, as a stsz or a stz2.
func writeStsz(w *moovWriter, k *trackCut, s *slot) {
	if k.uniform != 0 && k.perPacket == 0 {
		w.numbers = append(w.numbers, 0, typeStsz, 0, uint32(k.uniform))
	} else if k.made {
		w.numbers = append(w.numbers, 0, typeStsz, 0, 0)
	} else {
		w.numbers = append(w.numbers, s.begins...) // with sample_size or field_size
	}
	w.numbers = append(w.numbers, uint32(k.end-k.first))
	if k.uniform == 0 && k.sizeBits == 32 {
		writeRaw(w.boxWriter, k.sizes[4*k.first:4*k.end])
	} else if k.uniform == 0 {
		writeRaw(w.boxWriter, bitEntries(k.sizes, k.sizeBits, k.first, k.end))
	}
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
func writeStco(w *moovWriter, k *trackCut, s *slot) {
	width, at := k.chunkLen, len(w.numbers)
	w.numbers = append(w.numbers, s.begins...)
	w.numbers[at+tableCount] = uint32(k.lastChunk - k.firstChunk + 1)
	rest := &lanes.Change{Width: int(width), Mul: 1, Grow: w.wide && width == 4}
	w.offsets = append(w.offsets, chunkOffsets{kept: k, first: len(w.numbers), rest: rest})
	if rest.Grow || width == 8 {
		w.numbers[at+1] = typeCo64
		w.numbers = append(w.numbers, 0)
	}
	w.numbers = append(w.numbers, 0)
	if k.firstChunk < k.lastChunk {
		writeChanged(w.boxWriter, k.chunks[(k.firstChunk+1)*width:(k.lastChunk+1)*width], rest)
	}
}

// placeChunks fills in the entries of a chunk offset table.
func placeChunks(w *moovWriter, o *chunkOffsets) {
	k := o.kept
	shift, at := shiftOf(w, k.bytes.from), o.first
	wide := w.wide || k.chunkLen == 8
	if !wide && k.bytes.to+shift > max32 {
		w.overflow = true
		return
	}
	first := k.at + shift
	width := 4
	if wide {
		width = 8
		w.numbers[at] = uint32(first >> 32)
		at++
	}
	w.numbers[at] = uint32(first)
	o.rest.Sub = shift < 0
	if shift < 0 {
		shift = -shift
	}
	o.rest.Add = lanes.EntryOf(width, uint64(shift))
}
