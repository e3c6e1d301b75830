package mp4

import (
	"encoding/binary"
	"fmt"
)

// edit is an entry of an edit list, elst (8.6.6): a stretch of the movie timeline and the media shown in it.
type edit struct {
	duration  int64  // movie ticks; toMediaEnd: as long as there is media
	mediaTime int64  // media ticks at which it begins; empty: nothing is shown
	rate      uint32 // 16.16 fixed point; 0: the picture at mediaTime stays
	passed    int64  // movie ticks that a cut took off its front,
	begin     int64  // and mediaTime before, which is not rounded
	toLast    bool   // it ends behind the time of the sample decoded last: none need be left out that comes later
}

const (
	toMediaEnd = -1
	empty      = -1
	normalRate = 1 << 16
	maxEdits   = 1 << 14 // each costs a request some 5 µs
	editMemory = 48      // bytes
	elstLen0   = 12      // segment_duration(4) + media_time(4) + media_rate(4)
	elstLen1   = 20      // segment_duration(8) + media_time(8) + media_rate(4)
)

// readEdits reads the edit list of an edts (8.6.5). Durations of 0, of all ones and beyond any media stand for the rest of
// it. Of entries that do not fit, those that do count; a list that shows nothing at all is none.
func readEdits(edts *box) ([]edit, error) {
	err := readChildren(edts, "elst")
	if err != nil {
		return nil, err
	}
	elst := childOf(edts, "elst")
	if elst == nil || len(payload(elst)) < countedLen {
		return nil, nil
	}
	wide, width := payload(elst)[0] != 0, elstLen0
	if wide {
		width = elstLen1
	}
	n := int64(binary.BigEndian.Uint32(payload(elst)[fullBoxLen:]))
	entries := payload(elst)[countedLen:]
	n = minInt64(n, int64(len(entries)/width))
	entries = entries[:int(n)*width]
	if len(entries)/width > maxEdits {
		// A bound of time.
		return nil, elst.fail(fmt.Sprintf("%d edits", len(entries)/width))
	}
	edits := make([]edit, 0, len(entries)/width)
	shows := false
	for ; len(entries) > 0; entries = entries[width:] {
		e := edit{rate: binary.BigEndian.Uint32(entries[width-4:])}
		if wide {
			e.duration = int64(binary.BigEndian.Uint64(entries))
			e.mediaTime = int64(binary.BigEndian.Uint64(entries[8:]))
		} else {
			e.duration = int64(binary.BigEndian.Uint32(entries))
			e.mediaTime = int64(int32(binary.BigEndian.Uint32(entries[4:])))
			if e.duration == max32 {
				e.duration = toMediaEnd
			}
		}
		if e.duration < 0 || e.duration > maxSum || e.duration == 0 && e.mediaTime >= 0 {
			e.duration = toMediaEnd
		}
		if e.mediaTime < 0 {
			e.mediaTime = empty
		}
		if e.mediaTime > maxSum {
			return nil, elst.fail("a time is beyond 2^60") // sums must not overflow; FFmpeg plays nothing of it
		}
		shows = shows || e.mediaTime != empty
		edits = append(edits, e)
	}
	if !shows {
		return nil, nil
	}
	return edits, nil
}

// mediaClock converts between the timeline of a movie and that of a media.
type mediaClock struct {
	movie  int64 // ticks per second of the movie timeline, as the answer has it
	source int64 // as the source has it: movie is a multiple of it
	media  int64 // ticks per second of the media
}

// toMedia returns the media ticks that pass in so many movie ticks at a rate, rounded to nearest, halves up.
func toMedia(c mediaClock, ticks int64, rate uint32) int64 {
	if rate != normalRate {
		return toMediaAt(c, ticks, rate)
	}
	twice, _ := mulDiv(ticks, 2*c.media, c.movie)
	return (twice + 1) / 2
}

// toMediaAt is toMedia at another rate than the normal one.
func toMediaAt(c mediaClock, ticks int64, rate uint32) int64 {
	ticks, _ = mulDiv(ticks, int64(rate), 1)
	twice, _ := mulDiv(ticks, 2*c.media, c.movie*normalRate)
	return (twice + 1) / 2
}

// toMovie returns media ticks in movie ticks, rounded down.
func toMovie(c mediaClock, ticks int64) int64 {
	n, _ := mulDiv(ticks, c.movie, c.media)
	return n
}

// toMovieNearest is toMovie rounded to nearest, halves up.
func toMovieNearest(c mediaClock, ticks int64) int64 {
	twice, _ := mulDiv(ticks, 2*c.movie, c.media)
	return (twice + 1) / 2
}

// halfTicks is how many halves of a movie tick pass in an edit until it shows what lies so many media ticks behind its
// begin.
func halfTicks(e edit, c mediaClock, ticks int64) int64 {
	if e.rate == 0 {
		return maxSum
	}
	if e.rate != normalRate {
		ticks, _ = mulDiv(ticks, normalRate, 1)
	}
	twice, _ := mulDiv(ticks, 2*c.movie, c.media)
	if e.rate != normalRate {
		twice /= int64(e.rate)
	}
	return twice
}

// beginIn is the media time at which an edit begins in ticks of a timescale that is factor times as high, rounded anew.
func beginIn(e edit, c mediaClock, factor int64) int64 {
	c.media *= factor
	return e.begin*factor + toMedia(c, e.passed, e.rate)
}

// latestTick is the last media tick that is less than a millisecond after the edit's begin. Arguments are truncated to the
// millisecond: a picture that begins within it is the one that is meant. Where the edit is not cut into, none is.
func latestTick(e edit, c mediaClock) int64 {
	if e.passed == 0 || e.passed > maxSum/1000-c.movie {
		return e.mediaTime
	}
	late := e.passed*1000 + c.movie // a millisecond later, in thousandths of a tick
	if e.rate != normalRate {
		return latestTickAt(e, c, late)
	}
	return e.begin + mulDivUp(late, c.media, c.movie*1000) - 1
}

// latestTickAt is latestTick of an edit at another rate than the normal one.
func latestTickAt(e edit, c mediaClock, late int64) int64 {
	late, ok := mulDiv(late, int64(e.rate), 1)
	if !ok {
		return e.mediaTime
	}
	return e.begin + mulDivUp(late, c.media, c.movie*1000*normalRate) - 1
}

// mediaTicks is the length of the media that an edit of the answer shows; of a picture that stays, a tick.
func mediaTicks(e edit, c mediaClock) int64 {
	if e.rate == 0 {
		return 1
	}
	if e.rate == normalRate {
		return mulDivUp(e.duration, c.media, c.movie)
	}
	ticks, _ := mulDiv(e.duration, int64(e.rate), 1)
	return mulDivUp(ticks, c.media, c.movie*normalRate)
}

// mediaEnd is where the media that an edit of the answer shows end, rounded up: a sample that begins there or later is
// not shown.
func mediaEnd(e edit, c mediaClock) int64 {
	return minInt64(e.mediaTime+mediaTicks(e, c), exactEnd(e, c))
}

// exactEnd is where they end in the source, whose begin is not rounded.
func exactEnd(e edit, c mediaClock) int64 {
	if e.rate != normalRate || e.passed > maxSum-e.duration {
		return maxSum
	}
	return e.begin + mulDivUp(e.passed+e.duration, c.media, c.movie)
}

// span returns the media that a cut edit list shows, [from, to), and how many of its edits show any.
func span(edits []edit, c mediaClock) (from, to int64, media int) {
	from, to, media = maxSum, 0, 0 // Yaegi does not zero results where a call is repeated
	for _, e := range edits {
		if e.mediaTime == empty {
			continue
		}
		media++
		from = minInt64(from, e.mediaTime)
		to = maxInt64(to, mediaEnd(e, c))
	}
	return from, to, media
}

// showsMedia reports whether the edits show the media at a composition time.
func showsMedia(edits []edit, c mediaClock, cts int64) bool {
	for _, e := range edits {
		if e.mediaTime != empty && e.mediaTime <= cts && cts < mediaEnd(e, c) {
			return true
		}
	}
	return false
}
