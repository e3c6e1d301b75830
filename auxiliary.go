package mp4

import (
	"encoding/binary"
	"fmt"
)

// auxiliaryInfo is what a track keeps beside its samples for each of them: the initialization vectors of encrypted media.
// saiz (8.7.8) has its sizes; saio (8.7.9) has its places, which are often those of a senc (ISO/IEC 23001-7, 7.2.1) in
// the moov itself.
type auxiliaryInfo struct {
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
func (a *auxiliaryInfo) bytes(first, end int64) int64 {
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
func readAuxiliary(stbl *box) (*auxiliaryInfo, error) {
	saiz, saio, senc := childOf(stbl, "saiz"), childOf(stbl, "saio"), childOf(stbl, "senc")
	if saiz == nil && senc != nil {
		return nil, stbl.fail("auxiliary information without its sizes (saiz)") // without it nothing is decrypted
	}
	if saiz == nil || saio == nil && senc == nil {
		return nil, nil
	}
	a := &auxiliaryInfo{width: 4, saiz: saiz, saio: saio}
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
func (a *auxiliaryInfo) offset(i int64) int64 {
	if a.width == 4 {
		return int64(binary.BigEndian.Uint32(a.offsets[4*i:]))
	}
	return int64(binary.BigEndian.Uint64(a.offsets[8*i:]))
}

// perChunk reports whether every chunk has a piece of the information of its own.
func (a *auxiliaryInfo) perChunk() bool { return a.senc == nil && int64(len(a.offsets)) > a.width }
