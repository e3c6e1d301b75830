package mp4

import (
	"encoding/binary"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// maxNested is how deep sidx boxes may be nested.
const maxNested = 8

// unindexed are the bytes at the end of a file that grows of which its sidx may not know.
const unindexed = 4 << 20

// readIndexes takes the sidx that lies before the first fragment, or reads the mfra at the end of the file. A sidx that
// is not of the whole file is of the fragment behind it, and of no use.
func (s *search) readIndexes(begin int64, best *segmentIndex) error {
	if best != nil && (best.nested() || best.end > s.src.Size()-unindexed) {
		s.index(best.entries)
		return nil
	}
	_, err := s.next(begin) // how large fragments are says how much to fetch in the search for others
	if err != nil {
		return err
	}
	return s.readRandomAccess()
}

// segmentIndex is a sidx (8.16.3).
type segmentIndex struct {
	id      uint32 // of the track by which it was made
	entries []indexEntry
	end     int64 // of what it names
}

// nested reports whether it names other sidx boxes.
func (x *segmentIndex) nested() bool { return len(x.entries) > 0 && x.entries[0].nested }

// readSegmentIndex reads a sidx. One that cannot be read is none: fragments are found without.
func (s *search) readSegmentIndex(off int64, b topBox) (*segmentIndex, error) {
	size := b.end - off
	if size > maxMoof {
		return nil, nil
	}
	data, err := s.src.Peek(off, size, size+s.near())
	if err != nil || int64(len(data)) < size {
		return nil, err
	}
	return parseSegmentIndex(&box{typ: b.typ, at: off, header: b.header, data: data}), nil
}

func parseSegmentIndex(sidx *box) *segmentIndex {
	p := payload(sidx)
	lead := 24 // version, flags, reference_ID, timescale, times of 32 bits, reserved, count
	if len(p) > 0 && p[0] != 0 {
		lead = 32
	}
	if len(p) < lead || binary.BigEndian.Uint32(p[8:]) == 0 {
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
	x := &segmentIndex{id: binary.BigEndian.Uint32(p[4:])}
	u := make([]uint32, 3*minInt((len(p)-lead)/12, maxEntries))
	lanes.Decode(p[lead:lead+4*len(u)], u)
	at := sidx.at + int64(len(sidx.data)) + int64(off)
	entries := make([]indexEntry, 0, len(u)/3)
	for i := 0; i < len(u); i += 3 {
		reference := u[i]
		entries = append(entries, indexEntry{off: at, seconds: float64(begins) / timescale, nested: reference>>31 != 0})
		at += int64(reference & 0x7FFFFFFF)
		begins += uint64(u[i+1])
	}
	x.entries = entries
	x.end = at
	return x
}

// entriesAround is around, with what is nested at the first entry read.
func (s *search) entriesAround(seconds float64, off int64) (before, after indexEntry, err error) {
	before, after = s.around(seconds, off)
	for i := 0; before.nested; i++ {
		if i == maxNested {
			s.forget() // deeper than any writer nests them
		} else {
			entries, err := s.readNested(before)
			if err != nil {
				return before, after, err
			}
			s.expand(before, entries)
		}
		before, after = s.around(seconds, off)
	}
	return before, after, nil
}

// readNested reads the sidx at an entry; without one, the entry itself is where fragments begin.
func (s *search) readNested(at indexEntry) ([]indexEntry, error) {
	found := []indexEntry{{off: at.off, seconds: at.seconds}}
	b, err := s.peekBox(at.off)
	if err != nil || b.typ != "sidx" {
		return found, err
	}
	x, err := s.readSegmentIndex(at.off, b)
	if err != nil || x == nil || len(x.entries) == 0 {
		return found, err
	}
	return x.entries, nil
}

// readRandomAccess reads the mfra (8.8.9) at the end of the file, for the entries of the reference track. What is
// fetched for it serves the search for the last fragment as well, unless fragments are large.
func (s *search) readRandomAccess() error {
	const mfroLen = 16
	size := s.src.Size()
	if size < s.first+mfroLen {
		return nil
	}
	n := s.fetchSize()
	if s.averaged().length() > maxPeek {
		n = peekLen // where the last one hardly begins
	}
	from := maxInt64(size-n, s.first)
	b, err := s.src.Peek(from, size-from, size-from)
	if err != nil || int64(len(b)) < size-from || string(b[len(b)-12:len(b)-8]) != "mfro" {
		return err
	}
	length := int64(binary.BigEndian.Uint32(b[len(b)-4:]))
	if length < mfroLen || length > maxMoof || length > size {
		return nil
	}
	if more := length - int64(len(b)); more > 0 {
		front, err := s.src.Peek(size-length, more, more)
		if err != nil || int64(len(front)) < more {
			return err
		}
		b = append(append(make([]byte, 0, length), front...), b...)
	}
	b = b[int64(len(b))-length:]
	mfra := &box{typ: "mfra", at: size - length, header: headerLen, data: b}
	if string(b[4:8]) != "mfra" || readChildren(mfra, "") != nil {
		return nil
	}
	for _, tfra := range mfra.children {
		p := payload(tfra)
		if tfra.typ == "tfra" && len(p) >= 16 && binary.BigEndian.Uint32(p[4:]) == s.track.id {
			s.index(randomAccessPoints(p, s.track.timescale))
		}
	}
	return nil
}

// randomAccessPoints returns the fragments that the payload of a tfra (8.8.10) names.
func randomAccessPoints(p []byte, timescale int64) []indexEntry {
	lengths := p[11] // of traf, trun and sample numbers, two bits each, less one
	width := 8 + int(lengths>>4&3) + int(lengths>>2&3) + int(lengths&3) + 3
	if p[0] != 0 {
		width += 8
	}
	var entries []indexEntry
	for rest := p[16:]; len(rest) >= width; rest = rest[width:] {
		time, off := uint64(binary.BigEndian.Uint32(rest)), uint64(binary.BigEndian.Uint32(rest[4:]))
		if p[0] != 0 {
			time = binary.BigEndian.Uint64(rest)
			off = binary.BigEndian.Uint64(rest[8:])
		}
		if off <= uint64(maxBoxSize) && len(entries) < maxEntries && (len(entries) == 0 || int64(off) > entries[len(entries)-1].off) {
			entries = append(entries, indexEntry{off: int64(off), seconds: float64(time) / float64(timescale)})
		}
	}
	return entries
}
