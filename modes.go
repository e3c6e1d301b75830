package mp4

// The modes of seek that move the start, or choose samples in another way.

// keyFrameAt returns where the reference track shows the key frame at or before a moment of the movie timeline: the
// moment from which seek: keyframe cuts every track. It never leaves the edit that the moment lies in.
func (m *movie) keyFrameAt(moment, ticks int64, listed *int64) int64 {
	t := referenceTrack(m, moment, ticks)
	if t == nil {
		return moment
	}
	t = limitedTrack(t, listed)
	c := clock{movie: ticks, source: m.timescale, media: t.timescale}
	left := cutEdits(t, c, moment, -1)
	if len(left) == 0 || left[0].mediaTime == empty || left[0].rate != normalRate {
		return moment
	}
	e := left[0]
	s := onShow(t, latestTick(e, c))
	if s.sample < 0 {
		return moment
	}
	key := compositionTime(t, keyFor(t, s))
	begin := e.mediaTime - toMedia(c, e.passed, e.rate) // of the whole edit: what is left of it begins at a rounded time
	return minInt64(moment, moment-e.passed+toMovieNearest(c, maxInt64(key-begin, 0)))
}

// referenceTrack is the track by whose key frames a cut begins: the first enabled video track whose pictures cover a
// moment of the movie timeline in so many ticks a second, else the first enabled one, or without one the longest track.
// It is never a still, as a cover is one, nor chapters; nil where there is no other. In a fragmented file, whose moov
// tells no times, the first enabled video track is taken, or the first track.
func referenceTrack(m *movie, moment, ticks int64) *track {
	var first, longest *track
	for _, t := range m.tracks {
		if t.samples == 0 && m.fragments == nil || t.chapters || t.visual && t.samples == 1 {
			continue
		}
		if t.visual && t.enabled {
			if covers(t, clock{movie: ticks, source: m.timescale, media: t.timescale}, moment) {
				return t
			}
			if first == nil {
				first = t
			}
		}
		if longest == nil || t.end*longest.timescale > longest.end*t.timescale {
			longest = t
		}
	}
	if first != nil {
		return first
	}
	return longest
}

// covers reports whether a track's edit list shows its media at a moment.
func covers(t *track, c clock, moment int64) bool {
	if t.samples == 0 {
		return false
	}
	left := cutEdits(t, c, moment, -1)
	return len(left) > 0 && left[0].mediaTime != empty && left[0].mediaTime < t.end && onShow(t, latestTick(left[0], c)).sample >= 0
}

// keepAsNginx chooses the samples that nginx's ngx_http_mp4_module keeps: from the one that is being decoded at start,
// as many as fit wholly into the interval's length. Edit lists and composition times play no part. Unlike nginx it
// goes by the samples, not by the durations in the headers, and leaves out a track that keeps none.
func (t *track) keepAsNginx(iv interval, c clock) *kept {
	start := scaleMS(iv.start, t.timescale)
	if start >= decodeEnd(t, t.samples) {
		return nil
	}
	k := &kept{track: t, clock: c, end: t.samples, moved: -1}
	var begins int64
	k.first, begins = sampleAt(t, start)
	if t.perPacket > 0 {
		k.first = syncBefore(t, k.first)
	}
	if iv.end >= 0 {
		stop := begins + scaleMS(iv.end-iv.start, t.timescale)
		if stop < decodeEnd(t, t.samples) {
			k.end, _ = sampleAt(t, stop)
		}
	}
	k.end = packetEnd(t, k.end)
	if k.end <= k.first {
		return nil
	}
	return k
}
