package mp4

import (
	"encoding/binary"
	"io"
	"math"
)

// retiming is what is done to fragments on their way to the client: the decode times of each track are others by so
// many ticks, and absolute offsets move. Lengths stay.
type retiming struct {
	later map[uint32]int64 // by track_ID, media ticks
	moved int64            // of the source's offsets
	plain int64            // bytes at the front of the segment that stay as they are
}

// readStart is how the bytes from an offset on are to be read.
type readStart struct {
	begin int64 // where in the source reading begins: within media, or where a box does
	pass  int64 // bytes from there on that need no look: the rest of the media
	until int64 // where what is before the offset ends, if the bytes up to it are to be sent: behind the moof that it is in
}

// retimer is a writer that changes fragments. It is given the source's bytes from where a readStart says, and passes on
// those behind the first skip, as many as are left.
type retimer struct {
	*retiming
	w          io.Writer
	skip, left int64
	ahead      int64  // bytes up to the end of the segment
	pending    []byte // of a header, or of a moof
	pass       int64  // bytes of the box under way that need no look
}

// writer returns a retimer for the bytes of the source from an offset on, to be read as a readStart says. The segment
// that they are of ends at end.
func (r *retiming) writer(off, most int64, at readStart, end int64) *retimer {
	return &retimer{retiming: r, skip: off - at.begin, left: most, ahead: end - at.begin, pass: at.pass}
}

// Write takes the next bytes. Boxes other than moof pass in the pieces that they come in. Of a box that does not end
// before its segment does, which only a broken file has, what there is passes as it is.
func (r *retimer) Write(p []byte) (int, error) {
	n := len(p)
	r.ahead -= int64(n)
	for len(p) > 0 {
		if r.pass > 0 {
			k := minInt64(r.pass, int64(len(p)))
			err := r.emit(p[:k])
			if err != nil {
				return 0, err
			}
			r.pass -= k
			p = p[k:]
			continue
		}
		need := r.need()
		k := minInt64(need-int64(len(r.pending)), int64(len(p)))
		r.pending = append(r.pending, p[:k]...)
		p = p[k:]
		if int64(len(r.pending)) == need && r.need() == need {
			err := r.endBox()
			if err != nil {
				return 0, err
			}
		}
	}
	if r.ahead <= 0 && len(r.pending) > 0 {
		err := r.emit(r.pending)
		r.pending = r.pending[:0]
		return n, err
	}
	return n, nil
}

// need is how many bytes of the box that begins in pending are to be collected: its header, or all of a moof.
func (r *retimer) need() int64 {
	if len(r.pending) < headerLen {
		return headerLen
	}
	if binary.BigEndian.Uint32(r.pending) == sizeLarge && len(r.pending) < largeHeaderLen {
		return largeHeaderLen
	}
	typ, header, size := parseHeader(r.pending)
	if typ == "moof" && size >= header && size <= maxMoof {
		return size
	}
	return header
}

// endBox sends on what was collected. The source's indexes, whose times and offsets are no longer true, become free space.
func (r *retimer) endBox() error {
	typ, header, size := parseHeader(r.pending)
	switch {
	case typ == "moof" && int64(len(r.pending)) == size:
		r.moof(&box{typ: typ, header: header, data: r.pending})
	case typ == "sidx" || typ == "ssix" || typ == "mfra":
		copy(r.pending[4:], "free")
	}
	r.pass = size - int64(len(r.pending))
	if size == sizeToEnd || size < 0 {
		r.pass = maxSum
	}
	err := r.emit(r.pending)
	r.pending = r.pending[:0]
	return err
}

// moof changes the times and offsets in a moof, in place. What cannot be read stays as it is.
func (r *retimer) moof(moof *box) {
	if readChildren(moof, "") != nil {
		return
	}
	for _, traf := range moof.children {
		if traf.typ != "traf" || readChildren(traf, "") != nil {
			continue
		}
		tfhd, tfdt := childOf(traf, "tfhd"), childOf(traf, "tfdt")
		if tfhd == nil || len(payload(tfhd)) < 8 {
			continue
		}
		p := payload(tfhd)
		later, known := r.later[binary.BigEndian.Uint32(p[4:])]
		if !known {
			copy(traf.data[4:], "free") // of a track that is left out
		}
		if p[3]&tfhdBase != 0 && len(p) >= 16 {
			binary.BigEndian.PutUint64(p[8:], binary.BigEndian.Uint64(p[8:])+uint64(r.moved))
		}
		if !known || tfdt == nil {
			continue
		}
		p = payload(tfdt)
		switch {
		case len(p) >= 12 && p[0] != 0:
			binary.BigEndian.PutUint64(p[4:], uint64(maxInt64(int64(binary.BigEndian.Uint64(p[4:]))+later, 0)))
		case len(p) >= 8:
			binary.BigEndian.PutUint32(p[4:], uint32(minInt64(maxInt64(int64(binary.BigEndian.Uint32(p[4:]))+later, 0), max32)))
		}
	}
}

// emit passes bytes on, as far as they are within what is wanted.
func (r *retimer) emit(p []byte) error {
	k := minInt64(r.skip, int64(len(p)))
	r.skip -= k
	p = p[k:]
	p = p[:minInt64(r.left, int64(len(p)))]
	r.left -= int64(len(p))
	if len(p) == 0 {
		return nil
	}
	_, err := r.w.Write(p)
	return err
}

// readStartIn finds the readStart for the bytes of a segment from an offset within it on. src is read where the map of fragments
// does not know enough.
func (m *movie) readStartIn(src source, s *segment, at int64) (readStart, error) {
	off, end := s.off+at, s.off+s.length
	plain := s.off + s.retiming.plain
	if off < plain {
		return readStart{begin: off, pass: plain - off, until: off}, nil
	}
	if off == plain || off == end {
		return readStart{begin: off, until: off}, nil
	}
	return m.newSearch(src).startIn(off, plain, end)
}

// startIn is readStartIn for an offset in fragments, [least, end) of the source.
func (s *search) startIn(off, least, end int64) (readStart, error) {
	found := s.holding(off)
	begin := least
	if found == nil {
		var err error
		begin, err = s.fragmentBefore(off, least)
		if err != nil {
			return readStart{}, err
		}
	}
	for found == nil {
		f, err := s.next(begin)
		if err != nil {
			return readStart{}, err
		}
		if f == nil || f.off > off {
			return readStart{begin: begin, until: minInt64(off+slack, end)}, nil
		}
		if off < f.end {
			found = f
		}
		begin = f.end
	}
	if off >= found.media {
		return readStart{begin: off, pass: found.end - off, until: off}, nil
	}
	return readStart{begin: maxInt64(found.off, least), until: found.media}, nil
}

// slack is read behind a range that ends where no fragment is known.
const slack = 1 << 20

// fragmentBefore is where a fragment before an offset begins, near it, but not before another where one does.
func (s *search) fragmentBefore(off, least int64) (int64, error) {
	last, _, err := s.entriesAround(math.Inf(1), off)
	least = maxInt64(last.off, least)
	if err != nil || s.hasIndex() {
		return least, err
	}
	found, err := s.scan(least, off, true)
	if found == nil || err != nil {
		return least, err
	}
	return found.off, nil
}
