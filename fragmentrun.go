package mp4

import (
	"encoding/binary"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// fragmentRun is successive fragments of a file.
type fragmentRun struct {
	fragments []*fragment
	begins    map[uint32]int64 // decode times behind the fragments before it, for those that do not tell theirs; by track_ID
	end       int64            // of the last one's media
	samples   int64
}

// add puts a fragment at the end.
func (run *fragmentRun) add(f *fragment) {
	run.fragments = append(run.fragments, f)
	run.end = f.end
	run.samples += f.samples
}

// without returns the run without the first n fragments.
func (run *fragmentRun) without(n int) *fragmentRun {
	r := newProgress(run.begins)
	for _, f := range run.fragments[:n] {
		r.add(f)
	}
	shorter := &fragmentRun{begins: r.ends, end: run.end}
	for _, f := range run.fragments[n:] {
		shorter.add(f)
	}
	return shorter
}

// protected reports whether a sample of the fragment is encrypted.
func (f *fragment) protected() bool {
	for _, t := range f.tracks {
		if t.protected {
			return true
		}
	}
	return false
}

// protected reports whether a sample of the run is encrypted.
func (run *fragmentRun) protected() bool {
	for _, f := range run.fragments {
		if f.protected() {
			return true
		}
	}
	return false
}

// sampleColumns are successive samples of a track, field by field.
type sampleColumns struct {
	begins                           int64 // decode time of the first one
	end                              int64 // decode time behind the last one
	durations, sizes, offsets, flags []int64
	runs                             []trackRun
	firsts                           []int64 // number of the first sample of each fragment
}

// add puts a trackFragment's samples behind the others, which end where it begins: a gap between fragments is the
// duration of the sample before, which stays on show.
func (s *sampleColumns) add(part *trackFragment) {
	at, last := part.after(s.end), len(s.durations)-1
	if last < 0 {
		s.begins = at
		s.end = at
	} else if at > s.end {
		s.durations[last] = minInt64(s.durations[last]+at-s.end, max32)
	}
	s.end = maxInt64(s.end, at) + part.duration
	s.durations = append(s.durations, part.durations...)
	s.sizes = append(s.sizes, part.sizes...)
	s.offsets = append(s.offsets, part.offsets...)
	s.flags = append(s.flags, part.flags...)
	s.runs = append(s.runs, part.runs...)
}

// columns are the samples that the run has of a track.
func (run *fragmentRun) columns(id uint32) *sampleColumns {
	s := &sampleColumns{end: run.begins[id]}
	for _, f := range run.fragments {
		s.firsts = append(s.firsts, int64(len(s.sizes)))
		for _, part := range f.tracks {
			if part.id == id && len(part.sizes) > 0 {
				s.add(part)
			}
		}
	}
	return s
}

// gathered is what a run has of a track, in tables as if a moov had them. Its decode times are counted from begins.
type gathered struct {
	*track
	columns *sampleColumns
}

// gather makes tables of the samples that the run has of t. It returns nil where there are none.
func (run *fragmentRun) gather(t *track) (*gathered, error) {
	s := run.columns(t.id)
	if len(s.sizes) == 0 {
		return nil, nil
	}
	made, err := s.asTrack(t)
	if err != nil {
		return nil, err
	}
	return &gathered{track: made, columns: s}, nil
}

// asTrack makes a track like t of the columns.
func (s *sampleColumns) asTrack(t *track) (*track, error) {
	var sync, chunks, runs []byte
	number, chunk := uint32(0), uint32(0)
	for _, flags := range s.flags {
		number++
		if flags&sampleIsNonSync == 0 {
			sync = append(sync, byte(number>>24), byte(number>>16), byte(number>>8), byte(number))
		}
	}
	for _, r := range s.runs {
		chunk++
		chunks = binary.BigEndian.AppendUint64(chunks, uint64(r.off))
		runs = binary.BigEndian.AppendUint32(runs, chunk)
		runs = binary.BigEndian.AppendUint32(runs, uint32(r.samples))
		runs = binary.BigEndian.AppendUint32(runs, r.description)
	}
	made := &track{
		box: t.box, id: t.id, enabled: t.enabled, handler: t.handler, visual: t.visual, timescale: t.timescale, stbl: t.stbl,
		preroll: t.preroll, samples: int64(number), allSync: len(sync) == 4*int(number), sync: newSyncTable(sync), sizeBits: 32, chunks: chunks,
		chunkLen: 8, ordered: lanes.Ascending(chunks, 8), made: true, edits: t.edits,
	}
	var err error
	made.durations, err = newRuns(lanes.RunLengths(s.durations), true)
	if err != nil {
		return nil, err
	}
	offsets := lanes.RunLengths(s.offsets)
	if len(offsets) != lanes.PairLen || s.offsets[0] != 0 {
		err = made.useOffsets(offsets)
		if err != nil {
			return nil, err
		}
	}
	sizes := make([]uint32, len(s.sizes))
	for i, n := range s.sizes {
		sizes[i] = uint32(n)
	}
	made.sizes = lanes.Encode(sizes, 4*len(sizes))
	made.chunkRuns, err = newChunkRuns(runs, int64(chunk))
	if err != nil {
		return nil, err
	}
	made.findEnd()
	return made, nil
}

// key is the sample from which a decoder plays the track right from a media time on, and the one on show then. It
// reports false where the run does not have all that this takes.
func (g *gathered) key(by int64) (int64, bool) {
	s := onShow(g.track, by-g.columns.begins)
	if s.sample < 0 {
		return 0, !g.visual // what is shown begins later
	}
	if g.handler == "soun" {
		first := rollBack(g.track, s.first)
		enough := s.first >= g.preroll.samples && decodeTime(g.track, s.first)*1000 >= g.preroll.ms*g.timescale
		return first, enough
	}
	first := keyFor(g.track, s)
	complete := g.allSync || syncBefore(g.track, first) == first && compositionTime(g.track, first) <= s.cts
	return first, complete
}

// fragmentWith is the number of the run's fragment that has a sample.
func (g *gathered) fragmentWith(sample int64) int {
	n := 0
	for i, first := range g.columns.firsts {
		if first <= sample {
			n = i
		}
	}
	return n
}

// mostApart are the seconds by which the media of one moment lie apart in the file, and a key frame before what needs it.
const mostApart = 15.0

// progress is how far a walk has come: the decode times behind the last samples, by track_ID.
type progress struct {
	ends  map[uint32]int64
	least map[uint32]int64 // composition offsets, where they are negative
	timed bool             // every fragment told its times
}

// newProgress is where a walk begins, behind samples that end at decode times.
func newProgress(begins map[uint32]int64) *progress {
	r := &progress{ends: make(map[uint32]int64), least: make(map[uint32]int64), timed: true}
	for id, at := range begins {
		r.ends[id] = at
	}
	return r
}

func (r *progress) add(f *fragment) {
	for _, part := range f.tracks {
		if len(part.sizes) == 0 {
			continue
		}
		r.timed = r.timed && part.timed
		before, begun := r.ends[part.id]
		end := part.after(before) + part.duration
		if !begun || end > before {
			r.ends[part.id] = end
		}
		r.least[part.id] = minInt64(r.least[part.id], part.least)
	}
}

// past reports whether all moments have been decoded. A track of which there is nothing for long is not waited for.
func (r *progress) past(m *movie, moments map[uint32]int64) bool {
	furthest := 0.0 // seconds beyond its moment
	behind := false
	for _, t := range m.tracks {
		moment, shown := moments[t.id]
		if !shown {
			continue
		}
		end, begun := r.ends[t.id]
		if !begun {
			behind = true
			continue
		}
		ahead := float64(end+r.least[t.id]-moment) / float64(t.timescale)
		behind = behind || ahead <= 0
		if ahead > furthest {
			furthest = ahead
		}
	}
	return !behind || furthest > mostApart
}

// asFragment is what the moov's tables say of samples, as if a moof did; other fragments begin at an offset.
func (m *movie) asFragment(end int64) *fragment {
	f := &fragment{end: end, media: end}
	for _, t := range m.tracks {
		if t.samples > 0 {
			f.tracks = append(f.tracks, t.asFragment())
			f.samples += t.samples
		}
	}
	return f
}

func (t *track) asFragment() *trackFragment {
	part := &trackFragment{id: t.id, hasTfdt: true, timed: true, protected: t.auxiliary != nil}
	part.durations = lanes.ExpandRuns(t.durations, 0, t.samples, false)
	part.offsets = make([]int64, t.samples)
	if t.offsets != nil {
		part.offsets = lanes.ExpandRuns(t.offsets, 0, t.samples, true)
	}
	part.flags = make([]int64, t.samples)
	for i := int64(0); i < t.samples; i++ {
		part.sizes = append(part.sizes, t.size(i))
		if syncBefore(t, i) != i {
			part.flags[i] = sampleIsNonSync
		}
	}
	part.addTimes(0)
	sample, run := int64(0), lanes.ChunkRunAt(t.chunkRuns, 0)
	for chunk := int64(0); sample < t.samples; chunk++ {
		if chunk >= run.End {
			run = lanes.ChunkRunAt(t.chunkRuns, run.Number+1)
		}
		n := minInt64(run.PerChunk, t.samples-sample)
		part.runs = append(part.runs, trackRun{off: chunkOffset(t, chunk), samples: n, description: run.Description})
		sample += n
	}
	return part
}
