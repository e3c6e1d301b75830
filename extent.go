package mp4

import (
	"github.com/traefik-mp4/mp4/internal/lanes"
)

// Chunks in any order, and what lies beside each: no bisection finds the first and the last byte of these, so each is
// looked at, but as a number among numbers that compiled code has decoded.

// extent is the smallest range of the file that holds so many bytes as t says of each sample kept before end, in a
// piece for each chunk, at the offsets of a table. Pieces of no bytes count, too, unless they are to be skipped; where
// there is no other, the range is empty. It begins before 0 where an offset is beyond any file.
func (k *kept) extent(t *track, table []byte, width, end int64, skip bool) byteRange {
	samples := lanes.ChunkCounts(k.chunkRuns, k.firstRun.Number, k.firstChunk, k.lastChunk)
	from, to := uint64(maxSum), uint64(0)
	first := k.first - k.skipped
	for i := 0; i < len(samples); i += lanes.PieceLen {
		part := samples[i:minInt(i+lanes.PieceLen, len(samples))]
		chunk := k.firstChunk + int64(i)
		offsets := numbers(table[chunk*width:(chunk+int64(len(part)))*width], width)
		lengths := t.lengths(first, end, part)
		if i == 0 {
			before := t.lengths(first, end, []uint32{uint32(k.skipped)})[0]
			offsets[0] += uint64(before)
			lengths[0] -= before
		}
		for j, at := range offsets {
			n := lengths[j]
			if skip && n == 0 {
				continue
			}
			if at > uint64(maxSum) || n < 0 || n > maxSum {
				return byteRange{from: -1}
			}
			if at < from {
				from = at
			}
			if at+uint64(n) > to {
				to = at + uint64(n)
			}
		}
		for _, n := range part {
			first += int64(n)
		}
	}
	if from > to {
		return byteRange{}
	}
	return byteRange{int64(from), int64(to)}
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

// numbers decodes big-endian numbers of 4 or 8 bytes.
func numbers(b []byte, width int64) []uint64 {
	wide := make([]uint64, int64(len(b))/width)
	if width == 8 {
		lanes.Decode(b, wide)
		return wide
	}
	narrow := make([]uint32, len(wide))
	lanes.Decode(b, narrow)
	for i, v := range narrow {
		wide[i] = uint64(v)
	}
	return wide
}
