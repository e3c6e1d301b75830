package mp4

import "encoding/binary"

// readIndexes reads the sidx boxes behind the moov, or the mfra at the end of the file.
func (f *fragmentMap) readIndexes(src source, m *movie) ([]place, error) {
	off := f.first
	if off == 0 {
		off = m.moov.at + int64(len(m.moov.data))
	}
	for i := 0; i < maxTopBoxes; i++ {
		typ, header, size, err := peekHeader(src, off)
		if err != nil || typ == "" {
			return nil, err
		}
		if typ == "sidx" && size <= maxMoof {
			data, err := src.peek(off, size)
			if err != nil || int64(len(data)) < size {
				return nil, err
			}
			return readSegmentIndex(src, &box{typ: typ, at: off, header: header, data: data}, 0), nil
		}
		if typ == "moof" || size == sizeToEnd {
			break
		}
		off += size
	}
	return f.readRandomAccess(src, m)
}

// readSegmentIndex returns the places that a sidx (8.16.3) names, of the last level where they are nested. One that
// cannot be read names none: fragments are found without.
func readSegmentIndex(src source, sidx *box, depth int) []place {
	p := sidx.payload()
	lead := 24 // version, flags, reference_ID, timescale, times of 32 bits, reserved, count
	if len(p) > 0 && p[0] != 0 {
		lead = 32
	}
	if len(p) < lead || binary.BigEndian.Uint32(p[8:]) == 0 || depth > 3 {
		return nil
	}
	timescale := float64(binary.BigEndian.Uint32(p[8:]))
	begins, off := uint64(binary.BigEndian.Uint32(p[12:])), uint64(binary.BigEndian.Uint32(p[16:]))
	if lead == 32 {
		begins = binary.BigEndian.Uint64(p[12:])
		off = binary.BigEndian.Uint64(p[20:])
	}
	if off > uint64(maxBoxSize) || begins > uint64(maxSum) {
		return nil
	}
	at := sidx.at + int64(len(sidx.data)) + int64(off)
	var places []place
	for rest := p[lead:]; len(rest) >= 12; rest = rest[12:] {
		reference := binary.BigEndian.Uint32(rest)
		size := int64(reference &^ (1 << 31))
		if reference>>31 == 0 {
			places = append(places, place{off: at, time: float64(begins) / timescale})
		} else if data, err := src.peek(at, minInt64(size, maxMoof)); err == nil && int64(len(data)) >= headerLen {
			typ, header, length := parseHeader(data)
			if typ == "sidx" && length >= header && length <= int64(len(data)) {
				places = append(places, readSegmentIndex(src, &box{typ: typ, at: at, header: header, data: data[:length]}, depth+1)...)
			}
		}
		at += size
		begins += uint64(binary.BigEndian.Uint32(rest[4:]))
	}
	return places
}

// readRandomAccess returns the places that the mfra (8.8.9) at the end of the file names for the reference track.
func (f *fragmentMap) readRandomAccess(src source, m *movie) ([]place, error) {
	const mfroLen = 16
	if src.size() < f.first+mfroLen {
		return nil, nil
	}
	b, err := src.peek(src.size()-mfroLen, mfroLen)
	if err != nil || len(b) < mfroLen || string(b[4:8]) != "mfro" {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(b[12:]))
	if size < mfroLen || size > maxMoof || size > src.size() {
		return nil, nil
	}
	b, err = src.peek(src.size()-size, size)
	if err != nil || int64(len(b)) < size {
		return nil, err
	}
	mfra := &box{typ: "mfra", at: src.size() - size, header: headerLen, data: b}
	if string(b[4:8]) != "mfra" || mfra.open("") != nil {
		return nil, nil
	}
	t := f.reference(m)
	for _, tfra := range mfra.children {
		p := tfra.payload()
		if tfra.typ == "tfra" && len(p) >= 16 && binary.BigEndian.Uint32(p[4:]) == t.id {
			return randomAccessPoints(p, t.timescale), nil
		}
	}
	return nil, nil
}

// randomAccessPoints returns the fragments that the payload of a tfra (8.8.10) names.
func randomAccessPoints(p []byte, timescale int64) []place {
	lengths := p[11] // of traf, trun and sample numbers, two bits each, less one
	width := 8 + int(lengths>>4&3) + int(lengths>>2&3) + int(lengths&3) + 3
	if p[0] != 0 {
		width += 8
	}
	var places []place
	for rest := p[16:]; len(rest) >= width; rest = rest[width:] {
		time, off := uint64(binary.BigEndian.Uint32(rest)), uint64(binary.BigEndian.Uint32(rest[4:]))
		if p[0] != 0 {
			time = binary.BigEndian.Uint64(rest)
			off = binary.BigEndian.Uint64(rest[8:])
		}
		if off <= uint64(maxBoxSize) && (len(places) == 0 || int64(off) > places[len(places)-1].off) {
			places = append(places, place{off: int64(off), time: float64(time) / float64(timescale)})
		}
	}
	return places
}
