package mp4

import (
	"encoding/binary"
	"io"
	"sort"
)

// retiming is what is done to fragments on their way to the client: the decode times of each track begin earlier by
// what was cut off, and absolute offsets move. Lengths stay.
type retiming struct {
	earlier map[uint32]int64 // by track_ID, media ticks
	moved   int64            // of the source's offsets
	anchors []int64          // where boxes of the source are known to begin, in order
}

// anchor is the last place at or before an offset where a box is known to begin.
func (r *retiming) anchor(off, least int64) int64 {
	i := sort.Search(len(r.anchors), func(i int) bool { return r.anchors[i] > off })
	if i == 0 || r.anchors[i-1] < least {
		return least
	}
	return r.anchors[i-1]
}

// retimer is a writer that does it. It is given the source's bytes from the begin of a box on, and passes on those
// behind the first skip, up to limit.
type retimer struct {
	*retiming
	w           io.Writer
	skip, limit int64
	pending     []byte // of a header, or of a moof
	pass        int64  // bytes of the box under way that need no look
}

// writer returns a retimer for the bytes [from, to) of a segment that begins at off in the source, and the range of the
// source that it wants: from the begin of a box on, to the end of what may be a moof.
func (r *retiming) writer(s *segment, from, to int64) (w *retimer, off, n int64) {
	off = r.anchor(s.off+from, s.off)
	w = &retimer{retiming: r, skip: s.off + from - off, limit: to - from}
	return w, off, minInt64(s.off+to+slack, s.off+s.length) - off
}

// slack is read behind a range that may end within a moof.
const slack = 1 << 20

// Write takes the next bytes. Boxes other than moof pass in the pieces that they come in.
func (r *retimer) Write(p []byte) (int, error) {
	n := len(p)
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
			err := r.box()
			if err != nil {
				return 0, err
			}
		}
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

// box sends on what was collected. The source's indexes, whose times and offsets are no longer true, become free space.
func (r *retimer) box() error {
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
	if moof.open("") != nil {
		return
	}
	for _, traf := range moof.children {
		if traf.typ != "traf" || traf.open("") != nil {
			continue
		}
		tfhd, tfdt := traf.child("tfhd"), traf.child("tfdt")
		if tfhd == nil || len(tfhd.payload()) < 8 {
			continue
		}
		p := tfhd.payload()
		earlier, known := r.earlier[binary.BigEndian.Uint32(p[4:])]
		if !known {
			copy(traf.data[4:], "free") // of a track that is left out
		}
		if p[3]&tfhdBase != 0 && len(p) >= 16 {
			binary.BigEndian.PutUint64(p[8:], binary.BigEndian.Uint64(p[8:])+uint64(r.moved))
		}
		if !known || tfdt == nil {
			continue
		}
		p = tfdt.payload()
		switch {
		case len(p) >= 12 && p[0] != 0:
			binary.BigEndian.PutUint64(p[4:], uint64(maxInt64(int64(binary.BigEndian.Uint64(p[4:]))-earlier, 0)))
		case len(p) >= 8:
			binary.BigEndian.PutUint32(p[4:], uint32(maxInt64(int64(binary.BigEndian.Uint32(p[4:]))-earlier, 0)))
		}
	}
}

// emit passes bytes on, as far as they are within what is wanted.
func (r *retimer) emit(p []byte) error {
	k := minInt64(r.skip, int64(len(p)))
	r.skip -= k
	p = p[k:]
	p = p[:minInt64(r.limit, int64(len(p)))]
	r.limit -= int64(len(p))
	if len(p) == 0 {
		return nil
	}
	_, err := r.w.Write(p)
	return err
}
