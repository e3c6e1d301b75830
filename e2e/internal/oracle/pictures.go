package oracle

import (
	"fmt"
	"math"
)

const (
	millisecond = 1e-3
	// Two different times in ticks of two timescales differ by more than this.
	nanosecond = 1e-9
)

var forever = math.Inf(1)

// comparePictures compares the pictures. A picture that begins half a tick before or after the start's millisecond ends
// may be the one on show or not: the start is rounded to a tick.
func comparePictures(src, cut *track, iv interval) error {
	half := min(src.tick/2, millisecond)
	err := comparePicturesFrom(src, cut, iv, iv.start+millisecond)
	for _, limit := range []float64{iv.start + millisecond - half, iv.start + millisecond + half} {
		if err != nil && comparePicturesFrom(src, cut, iv, limit) == nil {
			return nil
		}
	}
	return err
}

// comparePicturesFrom takes the last picture before the limit as the one that is on show at the start.
func comparePicturesFrom(src, cut *track, iv interval, limit float64) error {
	first := 0
	for first+1 < len(src.pictures) && src.pictures[first+1].at < limit-nanosecond {
		first++
	}
	origin, tolerance := max(iv.start, src.pictures[first].at), src.tick/2
	if len(src.edits) > 0 && src.edits[0].mediaTime < 0 {
		tolerance += src.tick / 2 // ffmpeg rounds the source's empty edit to a tick
	}
	if src.pictures[first].at > limit-nanosecond {
		// The track begins later: after an empty edit, rounded to the movie's ticks and by ffmpeg to the track's.
		origin, tolerance = iv.start, tolerance+src.tick/2+millisecond/2
	}
	tolerance = min(tolerance, millisecond)
	n := 0
	for i, p := range src.pictures[first:] {
		if p.at > iv.end+max(0, origin-iv.start)-nanosecond {
			break // the clock of a cut that begins less than 1 ms late, with a picture, ends as late
		}
		if i == len(cut.pictures) && p.at > iv.end-min(src.tick, millisecond) {
			break // it would be shown for less than a tick
		}
		if i == len(cut.pictures) {
			return fmt.Errorf("has %d pictures; the source's %d at %.6f is missing", i, first+i, p.at)
		}
		q := cut.pictures[i]
		want := max(0, p.at-origin)
		if q.md5 != p.md5 {
			return fmt.Errorf("picture %d at %.6f is %s; the source's %d at %.6f is due", i, q.at, src.which(q), first+i, p.at)
		}
		if math.Abs(q.at-want) > tolerance+nanosecond || i == 0 && want == 0 && q.at != 0 {
			return fmt.Errorf("picture %d, the source's %d at %.6f, is at %.6f; it is due at %.6f", i, first+i, p.at, q.at, want)
		}
		n++
	}
	if n < len(cut.pictures) {
		q := cut.pictures[n]
		return fmt.Errorf("has %d pictures, %d are due; picture %d at %.6f is %s", len(cut.pictures), n, n, q.at, src.which(q))
	}
	return sameDistances(src.pictures[first:first+n], cut.pictures)
}

// sameDistances checks that all pictures after the first are moved by the same time. (The first may be shown in part.)
func sameDistances(src, cut []picture) error {
	for i := 2; i < len(cut); i++ {
		was, is := src[i].at-src[i-1].at, cut[i].at-cut[i-1].at
		if math.Abs(was-is) > nanosecond {
			return fmt.Errorf("pictures %d and %d are %.6f apart, in the source %.6f", i-1, i, is, was)
		}
	}
	return nil
}

// which says which of the track's pictures it is.
func (t *track) which(q picture) string {
	for i, p := range t.pictures {
		if p.md5 == q.md5 {
			return fmt.Sprintf("the source's %d at %.6f", i, p.at)
		}
	}
	return "none that the source shows"
}
