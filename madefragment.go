package mp4

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// A fragment that is made of samples of the source's: the first one of a cut, and the last one of a long clip.

// retimedTrack is what a made fragment has of a track: successive samples, timed anew.
type retimedTrack struct {
	*track
	columns *sampleColumns
	first   int     // of the columns' samples
	dts     []int64 // of each from the first on, and behind the last
	cts     []int64
	flags   []int64
}

// newRetimedTrack has all samples from one on, with the times of the source.
func newRetimedTrack(t *track, s *sampleColumns, first int) *retimedTrack {
	made := &retimedTrack{track: t, columns: s, first: first, flags: s.flags[first:]}
	dts, cts := s.timesFrom(first)
	made.dts = dts
	made.cts = cts
	return made
}

// delay moves all times.
func (t *retimedTrack) delay(later int64) {
	for i := range t.cts {
		t.dts[i] += later
		t.cts[i] += later
	}
	t.dts[len(t.cts)] += later
}

// timesFrom lists the decode times of the samples from one on, and the one behind the last, and their composition times.
func (s *sampleColumns) timesFrom(first int) (dts, cts []int64) {
	n := len(s.durations)
	dts = make([]int64, n-first+1)
	cts = make([]int64, n-first)
	at := s.begins + sumOf(s.durations[:first])
	durations, offsets := s.durations[first:], s.offsets[first:]
	for i, duration := range durations {
		dts[i] = at
		cts[i] = at + offsets[i]
		at += duration
	}
	dts[n-first] = at
	return dts, cts
}

// cutBehind leaves out what is shown after a moment. Pictures of later, which others are decoded from, follow it at once.
func (t *retimedTrack) cutBehind(moment int64) {
	n := 0
	for i, at := range t.cts {
		if at <= moment {
			n = i + 1
		}
	}
	t.cts = append([]int64(nil), t.cts[:n]...)
	if n == 0 {
		return
	}
	end := t.dts[n]
	t.dts = append([]int64(nil), t.dts[:n+1]...)
	late := int64(0)
	for i, at := range t.cts {
		if at > moment {
			late++
			t.cts[i] = moment + late
		}
	}
	lasts := end - t.dts[n-1]
	t.dts[n] = t.dts[n-1] + maxInt64(minInt64(lasts, moment+1-t.cts[n-1]), minInt64(lasts, 1))
}

// fragmentTimes are the times of the pictures that a fragment begins with, by the formula of docs/lead-in.md.
type fragmentTimes struct {
	dts, cts  []int64
	mediaTime int64 // of the edit that begins with the picture on show: M
}

// timeFragment times pictures, some of which are hidden before the media time m: squeezed into a tick each, but for the
// last, which stands for the lead. dts has the end of the last picture, too. No M is below least.
func timeFragment(dts, cts []int64, h *hidden, m, lead, least int64) *fragmentTimes {
	n := len(cts)
	f := &fragmentTimes{dts: make([]int64, n+1), cts: make([]int64, n), mediaTime: least}
	if h.count > 0 {
		f.mediaTime = maxInt64(least, h.count+h.behind+lead)
	}
	for i, at := range cts {
		if h.ahead[i] == visible {
			late := int64(i)
			if at > m {
				late -= at - m
			}
			if late > f.mediaTime {
				f.mediaTime = late
			}
		}
	}
	shift := f.mediaTime - m
	squeezed, begin := f.mediaTime-lead-h.count, f.mediaTime
	for i, at := range cts {
		at += shift
		if ahead := h.ahead[i]; ahead != visible {
			at = squeezed + ahead + int64(i)
		} else if at < begin {
			at = begin
		}
		f.cts[i] = at
	}
	next := maxInt64(int64(n), dts[n]+shift)
	f.dts[n] = next
	for i := n - 1; i >= 0; i-- {
		at := int64(i)
		if moved := dts[i] + shift; at > h.last && moved > at {
			at = moved
		}
		if at > f.cts[i] {
			at = f.cts[i]
		}
		if at >= next {
			at = next - 1
		}
		f.dts[i] = at
		next = at
	}
	return f
}

const (
	tfhdLen = headerLen + 12
	tfdtLen = headerLen + 12
	trunLen = headerLen + 12 // and 16 of each sample
)

// madeFragment is a moof with the header of its mdat, which holds ranges of the source one after another.
type madeFragment struct {
	moof    []byte
	ranges  []byteRange
	offsets []dataOffset
}

// dataOffset is a field of the moof that says where samples lie, at an offset of the source.
type dataOffset struct {
	at  int
	off int64
}

// newMadeFragment makes one of samples of a file of so many bytes; -1: not known. What follows it in the answer lies at an
// offset of the source, which is 0 where nothing does: the mdat reaches to there, if that is near. It returns nil where
// there are no samples.
func newMadeFragment(number uint32, tracks []*retimedTrack, follows, fileSize int64) (*madeFragment, error) {
	f := &madeFragment{}
	f.moof = append(f.moof, "\x00\x00\x00\x00moof\x00\x00\x00\x10mfhd\x00\x00\x00\x00"...)
	f.moof = binary.BigEndian.AppendUint32(f.moof, number)
	for _, t := range tracks {
		if len(t.cts) > 0 {
			f.writeTruns(t)
		}
	}
	if len(f.offsets) == 0 {
		return nil, nil
	}
	binary.BigEndian.PutUint32(f.moof, uint32(len(f.moof)))
	f.ranges = joinRanges(f.ranges)
	last := &f.ranges[len(f.ranges)-1]
	if fileSize >= 0 && last.to > fileSize {
		// The cut would be short.
		return nil, fmt.Errorf("%w: moof %d: samples lie at bytes %d to %d of a file of %d", errFormat, number, last.from, last.to, fileSize)
	}
	if last.to <= follows && follows-last.to <= maxUnused {
		last.to = follows // one request for all
	}
	size := int64(headerLen)
	for _, r := range f.ranges {
		size += r.to - r.from
	}
	if size > math.MaxInt32-int64(len(f.moof)) {
		// Beyond the offsets of a trun, of 32 bits with a sign.
		return nil, fmt.Errorf("%w: a fragment of %d bytes for what begins at %d", errFormat, size, f.ranges[0].from)
	}
	f.setOffsets(int64(len(f.moof) + headerLen))
	f.moof = binary.BigEndian.AppendUint32(f.moof, uint32(size))
	f.moof = append(f.moof, "mdat"...)
	return f, nil
}

// setOffsets fills in where the samples lie, with the ranges from so many bytes behind the moof's begin on.
func (f *madeFragment) setOffsets(at int64) {
	for _, o := range f.offsets {
		before := at
		for _, r := range f.ranges {
			if r.from <= o.off && o.off <= r.to {
				before += o.off - r.from
				break
			}
			before += r.to - r.from
		}
		binary.BigEndian.PutUint32(f.moof[o.at:], uint32(before))
	}
}

// writeTruns writes the samples of a track, a trun for all that lie one after another, and a traf for all of one sample
// entry.
func (f *madeFragment) writeTruns(t *retimedTrack) {
	sizes := t.columns.sizes
	traf, description := -1, uint32(0)
	from, count, begin, end := 0, 0, int64(0), int64(0) // of the trun under way: its samples, and where they lie
	sample, left := 0, len(t.cts)
	for _, r := range t.columns.runs {
		off, n := r.off, int(r.samples)
		if skipped := minInt(t.first-sample, n); skipped > 0 {
			off += sumOf(sizes[sample : sample+skipped])
			sample += skipped
			n -= skipped
		}
		n = minInt(n, left)
		if n == 0 {
			continue
		}
		if count > 0 && (off != end || r.description != description) {
			f.writeTrun(t, from, count, begin, end)
			count = 0
		}
		if traf < 0 || r.description != description {
			f.closeTraf(traf)
			traf = f.openTraf(t, sample-t.first, r.description)
			description = r.description
		}
		if count == 0 {
			from = sample - t.first
			begin = off
		}
		end = off + sumOf(sizes[sample:sample+n])
		count += n
		sample += n
		left -= n
	}
	f.writeTrun(t, from, count, begin, end)
	f.closeTraf(traf)
}

// openTraf begins a traf, with a tfdt for the i-th sample of the track, and returns where.
func (f *madeFragment) openTraf(t *retimedTrack, i int, description uint32) int {
	at := len(f.moof)
	b := append(f.moof, "\x00\x00\x00\x00traf"...)
	b = binary.BigEndian.AppendUint32(b, tfhdLen)
	b = append(b, "tfhd"...)
	b = binary.BigEndian.AppendUint32(b, tfhdBaseIsMoof|tfhdDescription)
	b = binary.BigEndian.AppendUint32(b, t.id)
	b = binary.BigEndian.AppendUint32(b, description)
	b = binary.BigEndian.AppendUint32(b, tfdtLen)
	b = append(b, "tfdt\x01\x00\x00\x00"...)
	f.moof = binary.BigEndian.AppendUint64(b, uint64(t.dts[i]))
	return at
}

// closeTraf ends the one that begins at an index; below 0 there is none.
func (f *madeFragment) closeTraf(at int) {
	if at >= 0 {
		binary.BigEndian.PutUint32(f.moof[at:], uint32(len(f.moof)-at))
	}
}

// writeTrun writes a trun of count samples from the i-th of the track on, which lie at [begin, end) of the source.
func (f *madeFragment) writeTrun(t *retimedTrack, i, count int, begin, end int64) {
	b := binary.BigEndian.AppendUint32(f.moof, uint32(trunLen+16*count))
	b = append(b, "trun\x01"...)
	b = append(b, 0, byte((trunDuration|trunSize|trunFlags|trunComposition)>>8), trunDataOffset)
	b = binary.BigEndian.AppendUint32(b, uint32(count))
	f.offsets = append(f.offsets, dataOffset{at: len(b), off: begin})
	b = append(b, 0, 0, 0, 0)
	values := make([]uint32, 0, 4*count)
	dts, cts, sizes, flags := t.dts[i:i+count+1], t.cts[i:i+count], t.columns.sizes[t.first+i:], t.flags[i:]
	for k, shown := range cts {
		at := dts[k]
		values = append(values, uint32(minInt64(dts[k+1]-at, max32)), uint32(sizes[k]), uint32(flags[k]), uint32(minInt64(shown-at, maxOffset)))
	}
	f.moof = append(b, lanes.Encode(values, 4*len(values))...)
	if last := len(f.ranges) - 1; last >= 0 && f.ranges[last].from <= begin && begin <= f.ranges[last].to+maxUnused {
		f.ranges[last].to = maxInt64(f.ranges[last].to, end)
		return
	}
	f.ranges = append(f.ranges, byteRange{begin, end})
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
	*fragmentRetiming
	w          io.Writer
	skip, left int64
	ahead      int64  // bytes up to the end of the segment
	pending    []byte // of a header, or of a moof
	pass       int64  // bytes of the box under way that need no look
}

// writer returns a retimer for the bytes of the source from an offset on, to be read as a readStart says. The segment
// that they are of ends at end.
func (r *fragmentRetiming) writer(off, most int64, at readStart, end int64) *retimer {
	return &retimer{fragmentRetiming: r, skip: off - at.begin, left: most, ahead: end - at.begin, pass: at.pass}
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
func (m *movie) readStartIn(src byteSource, s *segment, at int64) (readStart, error) {
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
