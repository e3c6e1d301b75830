package mp4

import (
	"encoding/binary"
	"math"
)

// ending is how the fragments of an answer end: unchanged ones up to an offset, and behind them one that is made of
// those that a window ends in, for all media but those that are shown later.
type ending struct {
	end       int64
	fragments []*fragment      // that it is made of; none: it is not needed
	moments   map[uint32]int64 // up to which media are shown, by track_ID
	before    map[uint32]int64 // decode times behind the fragments before these
}

// endOf is how the fragments end that a window needs, of those from an offset on.
func (s *search) endOf(shown window, from int64) (*ending, error) {
	moments := s.movie.lastMoments(shown)
	ch, err := s.find(moments, float64(shown.to)/float64(shown.ticks), false)
	if err != nil {
		return nil, err
	}
	r := newReached()
	for i, f := range ch.fragments {
		if f.off >= from && f.goesOn(moments, r.times) {
			rest := ch.without(i)
			if rest.protected() {
				break // what says how they are encrypted goes with all samples
			}
			return &ending{end: f.off, fragments: rest.fragments, moments: moments, before: r.times}, nil
		}
		r.add(f)
	}
	return &ending{end: maxInt64(ch.end, from)}, nil
}

// goesOn reports whether the fragment has media that are shown after the moments of their tracks.
func (f *fragment) goesOn(moments, before map[uint32]int64) bool {
	for _, part := range f.tracks {
		moment, shown := moments[part.id]
		if shown && part.after(before[part.id])+part.shown > moment+1 {
			return true
		}
	}
	return false
}

// until is how many samples there are up to the last one that is shown at or before a moment, which is counted from the
// first one's decode time.
func (t *trackFragment) until(moment int64) int {
	n, at := 0, int64(0)
	for i, offset := range t.offsets {
		if at+offset <= moment {
			n = i + 1
		}
		at += t.durations[i]
	}
	return n
}

// cutOff are the durations and composition offsets of the first n samples, where nothing is shown after a moment.
// Pictures of later, which others are decoded from, follow it at once.
func (t *trackFragment) cutOff(n int, moment int64) (durations, offsets []int64) {
	durations = append([]int64(nil), t.durations[:n]...)
	offsets = append([]int64(nil), t.offsets[:n]...)
	at, late := int64(0), int64(0)
	for i := range offsets {
		if at+offsets[i] > moment {
			late++
			offsets[i] = moment + late - at
		}
		at += durations[i]
	}
	last := n - 1
	left := moment + 1 - (at - durations[last] + offsets[last])
	durations[last] = maxInt64(minInt64(durations[last], left), minInt64(durations[last], 1))
	return durations, offsets
}

const (
	tfhdLen = headerLen + 12
	tfdtLen = headerLen + 12
	trunLen = headerLen + 12 // and 16 of each sample
)

// made is the moof of the fragment and the header of its mdat, whose payload lies at an offset of the source.
type madeFragment struct {
	earlier map[uint32]int64 // by track_ID
	moof    []byte
	payload byteRange
}

// last makes the fragment of an ending. It returns nil where there is nothing left for it, and where the media do not
// lie among those of its fragments.
func (e *ending) last(earlier map[uint32]int64) *madeFragment {
	made := &madeFragment{earlier: earlier, payload: byteRange{from: math.MaxInt64}}
	made.write(e, 0)
	n := int64(len(made.moof))
	within := made.payload.from >= e.fragments[0].off && made.payload.to <= e.fragments[len(e.fragments)-1].end
	if made.payload.to <= made.payload.from || !within || made.payload.to-made.payload.from+n > math.MaxInt32 {
		return nil
	}
	made.write(e, n+headerLen-made.payload.from)
	size := made.payload.to - made.payload.from
	made.moof = binary.BigEndian.AppendUint32(made.moof, uint32(headerLen+size))
	made.moof = append(made.moof, "mdat"...)
	return made
}

// write makes the moof. Its media have moved by so much, counted from the moof's begin.
func (f *madeFragment) write(e *ending, moved int64) {
	before := make(map[uint32]int64)
	for id, at := range e.before {
		before[id] = at
	}
	f.moof = append(make([]byte, 0, len(f.moof)), "\x00\x00\x00\x00moof\x00\x00\x00\x10mfhd\x00\x00\x00\x00"...)
	f.moof = binary.BigEndian.AppendUint32(f.moof, e.fragments[0].number)
	for _, from := range e.fragments {
		for _, part := range from.tracks {
			begins := part.after(before[part.id])
			before[part.id] = begins + part.duration
			moment, shown := e.moments[part.id]
			earlier, kept := f.earlier[part.id]
			if n := part.until(moment - begins); shown && kept && n > 0 {
				f.traf(part, n, moment-begins, begins-earlier, moved)
			}
		}
	}
	binary.BigEndian.PutUint32(f.moof, uint32(len(f.moof)))
}

// traf appends one for the first n samples of a part, which begin at a decode time.
func (f *madeFragment) traf(part *trackFragment, n int, moment, begins, moved int64) {
	b := f.moof
	at := len(b)
	b = append(b, "\x00\x00\x00\x00traf"...)
	b = binary.BigEndian.AppendUint32(b, tfhdLen)
	b = append(b, "tfhd"...)
	b = binary.BigEndian.AppendUint32(b, tfhdBaseIsMoof|tfhdDescription)
	b = binary.BigEndian.AppendUint32(b, part.id)
	b = binary.BigEndian.AppendUint32(b, part.runs[0].description)
	if part.told {
		b = binary.BigEndian.AppendUint32(b, tfdtLen)
		b = append(b, "tfdt\x01\x00\x00\x00"...)
		b = binary.BigEndian.AppendUint64(b, uint64(maxInt64(begins, 0)))
	}
	durations, offsets := part.cutOff(n, moment)
	i := 0
	for _, r := range part.runs {
		count := minInt(int(r.samples), n-i)
		if count == 0 {
			break
		}
		b = binary.BigEndian.AppendUint32(b, uint32(trunLen+16*count))
		b = append(b, "trun\x01"...)
		b = append(b, 0, byte((trunDuration|trunSize|trunFlags|trunComposition)>>8), trunDataOffset)
		b = binary.BigEndian.AppendUint32(b, uint32(count))
		b = binary.BigEndian.AppendUint32(b, uint32(r.off+moved))
		end := r.off
		fields := make([]uint32, 0, 4*count)
		for _, size := range part.sizes[i : i+count] {
			fields = append(fields, uint32(durations[i]), uint32(size), uint32(part.flags[i]), uint32(offsets[i]))
			end += size
			i++
		}
		b = append(b, encode(fields, 4*len(fields))...)
		f.payload.from = minInt64(f.payload.from, r.off)
		f.payload.to = maxInt64(f.payload.to, end)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	f.moof = b
}

// finish appends to a cut the fragments from an offset of the source on, as they end. Their tracks begin earlier by
// what was cut off.
func (c *cut) finish(tracks []*kept, from int64, e *ending) {
	earlier := make(map[uint32]int64)
	for _, k := range tracks {
		earlier[k.id] = k.earlier
	}
	end := e.end
	var last *madeFragment
	if len(e.fragments) > 0 {
		last = e.last(earlier)
		if last == nil {
			end = e.fragments[len(e.fragments)-1].end
		}
	}
	c.follow(earlier, from, end)
	if last == nil {
		return
	}
	size := last.payload.to - last.payload.from
	c.segments = append(c.segments, &segment{length: int64(len(last.moof)), pieces: []piece{{data: last.moof}}},
		&segment{fromSource: true, off: last.payload.from, length: size})
	c.length += int64(len(last.moof)) + size
}
