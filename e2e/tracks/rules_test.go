package tracks

import "slices"

// request is what is asked of a film, in milliseconds; without an end length is 0.
type request struct {
	*film
	start, length uint64
}

// kept is which samples [first, end) of a track nginx keeps, or would without its bugs.
type kept struct {
	*track
	first, end int
}

// keeps applies nginx's rule: from the sample that is being decoded at start, as many as fit wholly into the length. Of
// a request for all from 0 on, nothing is left out.
func (r request) keeps(t *track) kept {
	if r.start == 0 && r.length == 0 {
		return kept{t, 0, len(t.samples)}
	}
	k := kept{t, t.after(0, r.start*t.timescale/1000), len(t.samples)}
	if r.length > 0 {
		k.end = t.after(k.first, r.length*t.timescale/1000)
	}
	return k
}

// after is the first sample that is still being decoded at a tick, counted from the decode time of the sample from.
func (t *track) after(from int, tick uint64) int {
	at := uint64(0)
	for i, s := range t.samples[from:] {
		if at += uint64(s.duration); at > tick {
			return from + i
		}
	}
	return len(t.samples)
}

// due are the samples of each track that nginx would keep.
func (r request) due() map[uint32][]sample {
	due := map[uint32][]sample{}
	for _, t := range r.tracks {
		if k := r.keeps(t); k.first < k.end {
			due[t.id] = t.samples[k.first:k.end]
		}
	}
	return due
}

// any tells whether something holds of a track that has not ended at start: nginx leaves such a track in, be it without
// samples.
func (r request) any(holds func(kept) bool) bool {
	return slices.ContainsFunc(r.tracks, func(t *track) bool {
		k := r.keeps(t)
		return k.first < len(t.samples) && holds(k)
	})
}

// bug is a fault of nginx that the plugin does not share.
type bug struct {
	name, what string
	strikes    func(request) bool
}

// bugs are all the reasons that nginx may have to keep other samples. B6 is no such reason: it sends bytes that belong
// to no sample; B7 takes 4 GiB, and a test of its own. Two more that random films bring up have no number.
var bugs = []bug{
	{"B1", "the end lies in the chunk in which the start lies, and that is not the last of its run: the bytes are cut off", func(r request) bool {
		return r.length > 0 && r.any(func(k kept) bool {
			c := k.chunkOf(k.first)
			return k.first > c.first && !c.lastOfRun && k.end <= c.first+c.n
		})
	}},
	{"B2", "a stsz of one size for all samples is copied as it is, and its samples are not skipped", func(r request) bool {
		return r.any(func(k kept) bool { return k.uniform && (k.first > 0 || r.length > 0) })
	}},
	{"B8", "several mdats, or one of size 0: an error, or only the first is sent", func(r request) bool {
		return len(r.media) > 1 || r.endless
	}},
	{"B9", "chunks out of the file's order: the first and the last are taken for the lowest and the highest", func(r request) bool {
		return r.any(func(k kept) bool {
			return !slices.IsSortedFunc(k.chunks, func(a, b chunk) int { return int(a.at) - int(b.at) })
		})
	}},
	{"B10", "stz2 is dropped", func(r request) bool {
		return r.any(func(k kept) bool { return k.short })
	}},
	{"B13", "the durations in the headers decide whether a track is there at start, not its samples", func(r request) bool {
		if r.duration < r.start*r.timescale/1000 {
			return len(r.due()) > 0
		}
		return slices.ContainsFunc(r.tracks, func(t *track) bool {
			ended := t.trackDuration <= r.start*t.known/1000 || t.mediaDuration <= r.start*t.timescale/1000
			return ended != (r.keeps(t).first == len(t.samples))
		})
	}},
	{"", "samples that are all of no bytes are refused", func(r request) bool {
		return !r.any(func(k kept) bool {
			return slices.ContainsFunc(k.samples[k.first:k.end], func(s sample) bool { return len(s.data) > 0 })
		})
	}},
	{"", "from 0 on the plugin keeps the whole film, where nginx leaves out first samples that take no time", func(r request) bool {
		return r.start == 0 && r.length == 0 && r.any(func(k kept) bool { return k.samples[0].duration == 0 })
	}},
}

// chunkOf is the chunk with a sample in it.
func (t *track) chunkOf(sample int) chunk {
	i, _ := slices.BinarySearchFunc(t.chunks, sample, func(c chunk, s int) int {
		if c.first+c.n <= s {
			return -1
		}
		return 1
	})
	return t.chunks[i]
}
