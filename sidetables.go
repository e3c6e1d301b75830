package mp4

import (
	"encoding/binary"
	"fmt"
)

// The tables of a stbl that say more of samples than when and where they are. Few files have one, so some are walked
// entry by entry.

// perSample writes a table with so many bits for every sample: sdtp (8.6.4), stdp (8.7.6). It has no count, so that
// one too short for the samples kept says nothing that could be trusted, and is left out.
func (w *moovWriter) perSample(k *kept, b *box, width int64) {
	p := b.payload()
	if int64(len(p)) < fullBoxLen+(k.end*width+7)/8 {
		return
	}
	at, size := w.open(b.typ)
	w.raw(p[:fullBoxLen])
	w.raw(bitEntries(p[fullBoxLen:], width, k.first, k.end))
	w.close(at, size)
}

// paddingBits writes a padb (8.7.6): four bits for every sample behind a count.
func (w *moovWriter) paddingBits(k *kept, b *box) {
	p := b.payload()
	if int64(len(p)) < countedLen+(k.end+1)/2 {
		return
	}
	at, size := w.open(b.typ)
	w.raw(p[:fullBoxLen])
	w.u32(k.end - k.first)
	w.raw(bitEntries(p[countedLen:], 4, k.first, k.end))
	w.close(at, size)
}

// shadowSync writes a stsh (8.6.3): pairs of a sample and the sync sample that can stand for it.
func (w *moovWriter) shadowSync(k *kept, b *box) {
	entries, err := b.entries(countedLen, pairLen)
	if err != nil {
		w.fail(err)
		return
	}
	at, size := w.counted(b.typ, b)
	n := int64(0)
	pairs := make([]uint64, len(entries)/pairLen)
	decode(entries, pairs)
	for _, pair := range pairs {
		shadowed, sync := int64(pair>>32), int64(pair&lowHalf)
		if shadowed > k.first && shadowed <= k.end && sync > k.first && sync <= k.end {
			w.u32(shadowed-k.first, sync-k.first)
			n++
		}
	}
	w.closeCounted(at, size, n)
}

// groupLead is the length of what precedes the entries of a sbgp or the patterns of a csgp: version, flags,
// grouping_type, perhaps its parameter, and a count.
func groupLead(parameter bool) int {
	if parameter {
		return fullBoxLen + 12
	}
	return fullBoxLen + 8
}

// sampleGroups writes a sbgp (8.9.2): runs of samples and the group of each.
func (w *moovWriter) sampleGroups(k *kept, b *box) {
	p := b.payload()
	lead := groupLead(len(p) > 0 && p[0] == 1)
	entries, err := b.entries(lead, pairLen)
	if err != nil {
		w.fail(err)
		return
	}
	r, err := newRuns(entries, false)
	if err != nil {
		w.fail(fmt.Errorf("sbgp at %d: %w", b.at, err))
		return
	}
	at, size := w.open(b.typ)
	w.raw(p[:lead-4])
	count := mark{len(w.pieces), len(w.small)}
	w.u32(0)
	w.patch(count, w.runs(r, k.first, minInt64(k.end, r.total()), nil))
	w.close(at, size)
}

// Flags of a csgp: two bits each for the widths of an index, a sample_count and a pattern_length, and one for the
// parameter. Codes 0 to 3 stand for 4, 8, 16 and 32 bits.
const (
	csgpCountShift   = 2
	csgpPatternShift = 4
	csgpParameter    = 1 << 6
)

// compactGroups writes a csgp (8.9.5) as the sbgp that says the same of the samples kept.
func (w *moovWriter) compactGroups(k *kept, b *box) {
	p := b.payload()
	if len(p) < fullBoxLen+8 {
		w.fail(b.fail("too short"))
		return
	}
	flags := uint(p[3])
	lead := groupLead(flags&csgpParameter != 0)
	if len(p) < lead {
		w.fail(b.fail("too short"))
		return
	}
	patterns := int64(binary.BigEndian.Uint32(p[lead-4:]))
	r := bitReader{data: p, at: 8 * int64(lead)}
	lengths, counts := []int64{}, []int64{}
	for i := int64(0); i < patterns && r.at < r.end(); i++ {
		lengths = append(lengths, r.next(4<<(flags>>csgpPatternShift&3)))
		counts = append(counts, r.next(4<<(flags>>csgpCountShift&3)))
	}
	width := int64(4 << (flags & 3))
	groups := []int64{}
	sample := int64(0)
	for i, length := range lengths {
		begin := r.at
		low, high := maxInt64(k.first-sample, 0), minInt64(k.end-sample, counts[i])
		for j := low; j < high && length > 0; j++ {
			r.at = begin + j%length*width
			groups = append(groups, r.next(width))
		}
		r.at = begin + length*width
		sample += counts[i]
	}
	if r.at > r.end() {
		w.fail(b.fail("patterns do not fit into it"))
		return
	}
	at, size := w.open("sbgp")
	if flags&csgpParameter != 0 {
		w.u32(1 << 24)
	} else {
		w.u32(0)
	}
	w.raw(p[fullBoxLen : lead-4])
	count := mark{len(w.pieces), len(w.small)}
	w.u32(0)
	w.patch(count, w.pairs(runLengths(groups)))
	w.close(at, size)
}

// bitReader reads numbers of 4, 8, 16 or 32 bits. Behind the end it reads zeros.
type bitReader struct {
	data []byte
	at   int64 // in bits
}

func (r *bitReader) end() int64 { return 8 * int64(len(r.data)) }

func (r *bitReader) next(width int64) int64 {
	v := int64(0)
	for ; width > 0; width -= 4 {
		v <<= 4
		if r.at < r.end() {
			v |= int64(r.data[r.at/8]>>(4-uint(r.at)%8)) & 15
		}
		r.at += 4
	}
	return v
}

// subSamples writes a subs (8.7.7): entries of a distance to the sample before that has sub-samples, how many this one
// has, and what is to be said of each.
func (w *moovWriter) subSamples(k *kept, b *box) {
	p := b.payload()
	if len(p) < countedLen {
		w.fail(b.fail("too short"))
		return
	}
	width := 8 // subsample_size(2), priority(1), discardable(1), reserved(4)
	if p[0] == 1 {
		width = 10 // subsample_size(4)
	}
	at, size := w.counted(b.typ, b)
	rest, sample, last, n := p[countedLen:], int64(0), k.first, int64(0)
	for i := int64(binary.BigEndian.Uint32(p[fullBoxLen:])); i > 0; i-- {
		length := 0
		if len(rest) >= 6 {
			length = 6 + width*int(binary.BigEndian.Uint16(rest[4:]))
		}
		if length == 0 || length > len(rest) {
			w.fail(b.fail("its entries do not fit into it"))
			return
		}
		sample += int64(binary.BigEndian.Uint32(rest)) // counted from 1
		if sample > k.end {
			break
		}
		if sample > k.first {
			w.u32(sample - last)
			w.raw(rest[4:length])
			last = sample
			n++
		}
		rest = rest[length:]
	}
	w.closeCounted(at, size, n)
}
