package mp4

import (
	"encoding/binary"
	"fmt"
	"math"
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
	dts, cts := s.times(first)
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

// times lists the decode times of the samples from one on, and the one behind the last, and their composition times.
func (s *sampleColumns) times(first int) (dts, cts []int64) {
	n := len(s.durations)
	dts = make([]int64, n-first+1)
	cts = make([]int64, n-first)
	at := s.begins
	for _, duration := range s.durations[:first] {
		at += duration
	}
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

// fragmentTimes are the times of the pictures that a fragment begins with, by the formula of docs/how-it-works.md.
type fragmentTimes struct {
	dts, cts  []int64
	hidden    int64 // how many pictures are before the one on show
	mediaTime int64 // of the edit that begins with that: M
}

// timeFragment times pictures of which the one on show at the media time m is shown at p, and those before it are
// hidden: squeezed into a tick each, but for the last, which stands for the lead. dts has the end of the last picture, too.
// No M is below least.
func timeFragment(dts, cts []int64, m, p, lead, least int64) *fragmentTimes {
	n := len(cts)
	f := &fragmentTimes{dts: make([]int64, n+1), cts: make([]int64, n), mediaTime: least}
	if n == 0 {
		f.dts[0] = maxInt64(0, dts[0]-m+least)
		return f
	}
	h := rankHidden(cts, p)
	f.hidden = h.count
	if h.count > 0 {
		f.mediaTime = maxInt64(least, h.count+h.behind+lead)
	} else {
		lead = 0
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
			f.writeRuns(t)
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
	f.place(int64(len(f.moof) + headerLen))
	f.moof = binary.BigEndian.AppendUint32(f.moof, uint32(size))
	f.moof = append(f.moof, "mdat"...)
	return f, nil
}

// place fills in where the samples lie, with the ranges from so many bytes behind the moof's begin on.
func (f *madeFragment) place(at int64) {
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

// writeRuns writes the samples of a track, a trun for all that lie one after another, and a traf for all of one sample
// entry.
func (f *madeFragment) writeRuns(t *retimedTrack) {
	sizes := t.columns.sizes
	traf, description := -1, uint32(0)
	from, count, begin, end := 0, 0, int64(0), int64(0) // of the trun under way: its samples, and where they lie
	sample, left := 0, len(t.cts)
	for _, r := range t.columns.runs {
		off, n := r.off, int(r.samples)
		if skipped := minInt(t.first-sample, n); skipped > 0 {
			off += sum(sizes[sample : sample+skipped])
			sample += skipped
			n -= skipped
		}
		n = minInt(n, left)
		if n == 0 {
			continue
		}
		if count > 0 && (off != end || r.description != description) {
			f.writeRun(t, from, count, begin, end)
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
		end = off + sum(sizes[sample:sample+n])
		count += n
		sample += n
		left -= n
	}
	f.writeRun(t, from, count, begin, end)
	f.closeTraf(traf)
}

// sum adds up.
func sum(values []int64) int64 {
	all := int64(0)
	for _, v := range values {
		all += v
	}
	return all
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

// writeRun writes a trun of count samples from the i-th of the track on, which lie at [begin, end) of the source.
func (f *madeFragment) writeRun(t *retimedTrack, i, count int, begin, end int64) {
	b := binary.BigEndian.AppendUint32(f.moof, uint32(trunLen+16*count))
	b = append(b, "trun\x01"...)
	b = append(b, 0, byte((trunDuration|trunSize|trunFlags|trunComposition)>>8), trunDataOffset)
	b = binary.BigEndian.AppendUint32(b, uint32(count))
	f.offsets = append(f.offsets, dataOffset{at: len(b), off: begin})
	b = append(b, 0, 0, 0, 0)
	fields := make([]uint32, 0, 4*count)
	dts, cts, sizes, flags := t.dts[i:i+count+1], t.cts[i:i+count], t.columns.sizes[t.first+i:], t.flags[i:]
	for k, shown := range cts {
		at := dts[k]
		fields = append(fields, uint32(minInt64(dts[k+1]-at, max32)), uint32(sizes[k]), uint32(flags[k]), uint32(minInt64(shown-at, maxOffset)))
	}
	f.moof = append(b, encode(fields, 4*len(fields))...)
	if last := len(f.ranges) - 1; last >= 0 && f.ranges[last].from <= begin && begin <= f.ranges[last].to+maxUnused {
		f.ranges[last].to = maxInt64(f.ranges[last].to, end)
		return
	}
	f.ranges = append(f.ranges, byteRange{begin, end})
}
