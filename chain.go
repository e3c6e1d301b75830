package mp4

import "encoding/binary"

// chain is what a cut needs of the fragments: successive ones, whose samples go into the moov's tables.
type chain struct {
	fragments []*fragment
	end       int64 // of the last one's media
	samples   int64
}

// gathered is what a chain has of a track.
type gathered struct {
	*track
	begins int64   // decode time of the first sample
	firsts []int64 // number of the first sample of each fragment
}

// add puts a fragment at the end.
func (ch *chain) add(f *fragment) {
	ch.fragments = append(ch.fragments, f)
	ch.end = f.end
	ch.samples += f.samples
}

// without returns the chain without the first n fragments.
func (ch *chain) without(n int) *chain {
	shorter := &chain{end: ch.end}
	for _, f := range ch.fragments[n:] {
		shorter.add(f)
	}
	return shorter
}

// protected reports whether a sample of the chain is encrypted.
func (ch *chain) protected() bool {
	for _, f := range ch.fragments {
		for _, t := range f.tracks {
			if t.protected {
				return true
			}
		}
	}
	return false
}

// sampleColumns are the tables of a stbl in the making.
type sampleColumns struct {
	durations, sizes, offsets []int64
	sync, chunks, runs        []byte
	number, chunk             uint32
	allSync                   bool
	end                       int64 // decode time behind the last sample; -1: none
}

// add puts a trackFragment's samples behind the others, which end where it begins: a gap between fragments is the
// duration of the sample before, which stays on show.
func (s *sampleColumns) add(part *trackFragment) {
	at := part.after(maxInt64(s.end, 0))
	if s.end >= 0 && at > s.end {
		last := len(s.durations) - 1
		s.durations[last] = minInt64(s.durations[last]+at-s.end, max32)
	}
	s.end = maxInt64(s.end, at) + part.duration
	s.durations = append(s.durations, part.durations...)
	s.sizes = append(s.sizes, part.sizes...)
	s.offsets = append(s.offsets, part.offsets...)
	number, sync, allSync := s.number, s.sync, s.allSync
	for _, flags := range part.flags {
		number++
		if flags&sampleIsNonSync == 0 {
			sync = append(sync, byte(number>>24), byte(number>>16), byte(number>>8), byte(number))
		} else {
			allSync = false
		}
	}
	s.number = number
	s.sync = sync
	s.allSync = allSync
	for _, r := range part.runs {
		s.chunk++
		s.chunks = binary.BigEndian.AppendUint64(s.chunks, uint64(r.off))
		s.runs = binary.BigEndian.AppendUint32(s.runs, s.chunk)
		s.runs = binary.BigEndian.AppendUint32(s.runs, uint32(r.samples))
		s.runs = binary.BigEndian.AppendUint32(s.runs, r.description)
	}
}

// gather makes tables of the samples that the chain has of t: the same as if a moov had them. It returns nil where
// there are none.
func (ch *chain) gather(t *track) (*gathered, error) {
	s := &sampleColumns{allSync: true, end: -1}
	g := &gathered{}
	for _, f := range ch.fragments {
		g.firsts = append(g.firsts, int64(s.number))
		for _, part := range f.tracks {
			if part.id != t.id || len(part.sizes) == 0 {
				continue
			}
			if s.end < 0 {
				g.begins = part.after(0)
			}
			s.add(part)
		}
	}
	if s.number == 0 {
		return nil, nil
	}
	made, err := s.track(t)
	if err != nil {
		return nil, err
	}
	g.track = made
	return g, nil
}

// track makes a track like t of the tables.
func (s *sampleColumns) track(t *track) (*track, error) {
	made := &track{
		box: t.box, id: t.id, enabled: t.enabled, handler: t.handler, visual: t.visual, timescale: t.timescale, stbl: t.stbl,
		preroll: t.preroll, samples: int64(s.number), allSync: s.allSync, sync: s.sync, sizeBits: 32, chunks: s.chunks,
		chunkLen: 8, ordered: ascending(s.chunks, 8), made: true, edits: t.edits,
	}
	var err error
	made.durations, err = newRuns(runLengths(s.durations), true)
	if err != nil {
		return nil, err
	}
	offsets := runLengths(s.offsets)
	if len(offsets) != pairLen || s.offsets[0] != 0 {
		err = made.useOffsets(offsets)
		if err != nil {
			return nil, err
		}
	}
	sizes := make([]uint32, len(s.sizes))
	for i, n := range s.sizes {
		sizes[i] = uint32(n)
	}
	made.sizes = encode(sizes, 4*len(sizes))
	made.chunkRuns, err = newChunkRuns(s.runs, int64(s.chunk))
	if err != nil {
		return nil, err
	}
	made.end = made.lastEnd()
	return made, nil
}

// key is the sample from which a decoder plays the track right from a media time on, and the one on show then. It
// reports false where the chain does not have all that this takes.
func (g *gathered) key(limit int64) (int64, bool) {
	s := onShow(g.track, limit-g.begins)
	if s.sample < 0 {
		return 0, !g.visual // what is shown begins later
	}
	if g.handler == "soun" {
		first := maxInt64(syncBefore(g.track, g.rollBack(s.first)), 0)
		enough := s.first >= g.preroll.samples && decodeTime(g.track, s.first)*1000 >= g.preroll.ms*g.timescale
		return first, enough
	}
	first := keyFor(g.track, s)
	whole := g.allSync || syncBefore(g.track, first) == first && g.compositionTime(first) <= s.cts
	return first, whole
}

// fragment is the number of the chain's fragment that has a sample.
func (g *gathered) fragment(sample int64) int {
	n := 0
	for i, first := range g.firsts {
		if first <= sample {
			n = i
		}
	}
	return n
}
