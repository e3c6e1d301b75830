package mp4

import (
	"encoding/binary"
	"fmt"
)

// auxiliary is what a track keeps beside its samples for each of them: the initialization vectors of encrypted media.
// saiz (8.7.8) has its sizes; saio (8.7.9) has its places, which are often those of a senc (ISO/IEC 23001-7, 7.2.1) in
// the moov itself.
type auxiliary struct {
	sizes   []byte // of the samples' information, a byte each; nil where uniform
	uniform int64
	samples int64 // that have any
	offsets []byte
	width   int64 // bytes in an offset
	saiz    *box
	saio    *box
	senc    *box  // where saio points to it, or lacks
	prefix  int64 // bytes of senc's payload before the information
}

// bytes is the length of the information of samples [first, end).
func (a *auxiliary) bytes(first, end int64) int64 {
	end = minInt64(end, a.samples)
	if first >= end {
		return 0
	}
	if a.sizes == nil {
		return (end - first) * a.uniform
	}
	sum := int64(0)
	for _, n := range a.sizes[first:end] {
		sum += int64(n)
	}
	return sum
}

// infoPrefix is the length of version, flags and, where flags say so, aux_info_type and its parameter.
func infoPrefix(b *box) int {
	p := payload(b)
	if len(p) >= fullBoxLen && p[3]&1 != 0 {
		return fullBoxLen + 8
	}
	return fullBoxLen
}

// readAuxiliary reads the auxiliary information of a track; nil where it has none. Of several kinds only the first is
// understood, and cuts have no other.
func readAuxiliary(stbl *box) (*auxiliary, error) {
	saiz, saio, senc := childOf(stbl, "saiz"), childOf(stbl, "saio"), childOf(stbl, "senc")
	if saiz == nil && senc != nil {
		return nil, stbl.fail("auxiliary information without its sizes (saiz)") // without it nothing is decrypted
	}
	if saiz == nil || saio == nil && senc == nil {
		return nil, nil
	}
	a := &auxiliary{width: 4, saiz: saiz, saio: saio}
	p, prefix := payload(saiz), infoPrefix(saiz)
	if len(p) < prefix+5 {
		// Without it nothing is decrypted, nor below.
		return nil, saiz.fail("too short")
	}
	a.uniform = int64(p[prefix])
	a.samples = int64(binary.BigEndian.Uint32(p[prefix+1:]))
	if a.uniform == 0 {
		if a.samples > int64(len(p)-prefix-5) {
			return nil, saiz.fail(fmt.Sprintf("%d sizes do not fit into it", a.samples))
		}
		a.sizes = p[prefix+5 : prefix+5+int(a.samples)]
	}
	var err error
	if saio != nil {
		if len(payload(saio)) > 0 && payload(saio)[0] != 0 {
			a.width = 8
		}
		a.offsets, err = entriesOf(saio, infoPrefix(saio)+4, int(a.width))
		if err != nil {
			return nil, err
		}
	}
	if senc != nil {
		a.senc, a.prefix = senc, countedLen
		if int64(len(payload(senc))) < a.prefix+a.bytes(0, a.samples) {
			return nil, senc.fail("shorter than saiz says")
		}
	}
	return a, nil
}

// offset is where a piece of the information lies in the source.
func (a *auxiliary) offset(i int64) int64 {
	if a.width == 4 {
		return int64(binary.BigEndian.Uint32(a.offsets[4*i:]))
	}
	return int64(binary.BigEndian.Uint64(a.offsets[8*i:]))
}

// locateAuxiliary finds the bytes of the information kept that do not lie in the moov. It is in one piece, or in one
// for every chunk; then it must lie among the samples, as it does in every file seen.
func locateAuxiliary(k *kept, fileSize int64) error {
	a := k.auxiliary
	if a == nil || a.senc != nil {
		return nil
	}
	pieces := int64(len(a.offsets)) / a.width
	switch {
	case pieces == 1:
		from := a.offset(0) + a.bytes(0, k.first)
		k.info = byteRange{from, from + a.bytes(k.first, k.end)}
	case pieces == int64(len(k.chunks))/k.chunkLen:
		sizes := &track{sizes: a.sizes, sizeBits: 8, uniform: a.uniform}
		k.info = k.extent(sizes, a.offsets, a.width, minInt64(k.end, a.samples), true)
	default:
		// Nobody knows whose they are.
		return fmt.Errorf("%w: trak %d: saio has %d entries for %d chunks", errFormat, k.id, pieces, int64(len(k.chunks))/k.chunkLen)
	}
	if a.bytes(k.first, k.end) == 0 {
		k.info = byteRange{}
	}
	if k.info.from < 0 || k.info.to < k.info.from || fileSize >= 0 && k.info.to > fileSize {
		// What is not there decrypts nothing.
		return fmt.Errorf("%w: trak %d: auxiliary information at bytes %d to %d of a file of %d", errFormat, k.id, k.info.from,
			k.info.to, fileSize)
	}
	return nil
}

// writeAuxiliarySizes writes the saiz of the samples kept.
func writeAuxiliarySizes(w *moovWriter, k *kept, s *slot) {
	a := k.auxiliary
	if a == nil || s.box != a.saiz {
		return // others are of a kind that has no saio in the answer
	}
	end := maxInt64(k.first, minInt64(k.end, a.samples))
	w.numbers = append(w.numbers, s.begins[:tableStart]...)
	front := append([]byte(nil), payload(s.box)[:infoPrefix(s.box)+1]...)
	writeRaw(w.boxWriter, binary.BigEndian.AppendUint32(front, uint32(end-k.first)))
	if a.sizes != nil {
		writeRaw(w.boxWriter, a.sizes[minInt64(k.first, a.samples):minInt64(end, a.samples)])
	}
}

// infoOffsets is a saio in the answer. Its entries, of 64 bits, are known once all sizes are.
type infoOffsets struct {
	kept    *kept
	entries []byte
}

// writeEncryption writes the senc of the samples kept, and remembers where the information in it begins.
func writeEncryption(w *moovWriter, k *kept, s *slot) {
	a := k.auxiliary
	if a == nil {
		return
	}
	from := a.prefix + a.bytes(0, k.first)
	w.numbers = append(w.numbers, s.begins[:tableCount]...)
	w.numbers = append(w.numbers, uint32(maxInt64(0, minInt64(k.end, a.samples)-k.first)))
	k.encryption = writtenSize(w.boxWriter)
	writeRaw(w.boxWriter, payload(s.box)[from:from+a.bytes(k.first, k.end)])
}

// writeAuxiliaryOffsets writes the saio of the samples kept, in version 1.
func writeAuxiliaryOffsets(w *moovWriter, k *kept, s *slot) {
	a := k.auxiliary
	if a == nil || s.box != a.saio {
		return
	}
	n := int64(1)
	if a.perChunk() {
		n = k.lastChunk - k.firstChunk + 1
	}
	at := len(w.numbers)
	w.numbers = append(w.numbers, s.begins[:tableStart]...)
	w.numbers = append(w.numbers, decodeWords(payload(s.box)[:infoPrefix(s.box)])...)
	w.numbers[at+tableStart] = w.numbers[at+tableStart]&flagBits | 1<<24
	w.numbers = append(w.numbers, uint32(n))
	o := infoOffsets{kept: k, entries: make([]byte, 8*n)}
	writeRaw(w.boxWriter, o.entries)
	w.information = append(w.information, o)
}

// perChunk reports whether every chunk has a piece of the information of its own.
func (a *auxiliary) perChunk() bool { return a.senc == nil && int64(len(a.offsets)) > a.width }

// placeInformation fills in the entries of a saio.
func (w *moovWriter) placeInformation(o infoOffsets) {
	k, a := o.kept, o.kept.auxiliary
	if a.senc != nil {
		binary.BigEndian.PutUint64(o.entries, uint64(k.encryption))
		return
	}
	shift := w.shift(k.info.from)
	first := a.bytes(k.first-k.skipped, k.first)
	if !a.perChunk() {
		first = a.bytes(0, k.first)
	}
	offsets := a.offsets[:a.width]
	if a.perChunk() {
		offsets = a.offsets[k.firstChunk*a.width : (k.lastChunk+1)*a.width]
	}
	places := numbers(offsets, a.width)
	places[0] += uint64(first)
	from, to := uint64(k.info.from), uint64(k.info.to)
	for i, at := range places {
		if at < from || at > to {
			at = from // there is none for this chunk
		}
		places[i] = at + uint64(shift)
	}
	copy(o.entries, encode(places, len(o.entries)))
}
