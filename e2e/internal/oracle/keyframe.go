package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// CheckKeyFrame compares a fragmented cut that begins visibly at a key frame, and has no edits, with what its source shows
// from that key frame on: the last one at or before startMS, milliseconds, or the first one, where that is shown less than a
// second later. Sound begins with the first frame at or after it. Where there are no pictures, or they have ended, a cut
// begins with the frame of sound that holds the start, or the first one after it.
func CheckKeyFrame(source string, cut []byte, startMS int64) error {
	src, err := load(source)
	if err != nil {
		return err
	}
	begin := beginningAt(src, float64(startMS)/1000)
	var got *film
	err = withFile(cut, func(path string) error {
		got, err = shown(path, "error", asItIs)
		return err
	})
	if err != nil {
		return fmt.Errorf("the cut cannot be decoded: %w", err)
	}
	tracks := map[string]*track{}
	for _, t := range got.tracks {
		tracks[t.id] = t
	}
	first := 0.0 // when the key frame is shown
	var errs []error
	for _, kind := range []string{"video", "audio"} {
		for _, s := range src.tracks {
			if s.kind != kind {
				continue
			}
			must, may := s.within(interval{begin, forever})
			c := tracks[s.id]
			switch {
			case c == nil && must:
				err = errors.New("left out, although it has something to show")
			case c == nil || !must && may:
				err = nil
			case kind == "video":
				first, err = picturesFrom(s, c, begin)
			default:
				err = soundFrom(s, c, begin, first)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s from %.6f: %w", s, begin, err))
			}
		}
	}
	return errors.Join(errs...)
}

// latest is how late the first picture of a cut without edits may be: what an open group shows before its key frame comes
// first, squeezed into a tick each.
const latest = 10 * millisecond

// picturesFrom compares the pictures from the key frame at begin on, which must be the first one of the cut, and returns
// when that is shown.
func picturesFrom(src, cut *track, begin float64) (float64, error) {
	k := 0
	for k < len(src.media) && src.media[k].at < begin-src.tick/2 {
		k++
	}
	if len(cut.pictures) == 0 || k == len(src.media) {
		return 0, errors.New("has no picture")
	}
	late := max(0, src.media[k].at-begin) // the first picture comes that much later than the beginning
	first := cut.pictures[0].at - late
	if first < -src.tick/2-nanosecond || first > latest {
		return first, fmt.Errorf("its first picture is at %.6f", cut.pictures[0].at)
	}
	for i, p := range src.media[k:] {
		if i == len(cut.pictures) {
			return first, fmt.Errorf("has %d pictures; the source's %d at %.6f is missing", i, k+i, p.at)
		}
		q := cut.pictures[i]
		if q.md5 != p.md5 {
			return first, fmt.Errorf("picture %d at %.6f is %s; the source's %d at %.6f is due", i, q.at, src.which(q), k+i, p.at)
		}
		if want := first + p.at - begin; math.Abs(q.at-want) > src.tick/2+nanosecond {
			return first, fmt.Errorf("picture %d, the source's %d at %.6f, is at %.6f; it is due at %.6f", i, k+i, p.at, q.at, want)
		}
	}
	if n := len(src.media) - k; n < len(cut.pictures) {
		return first, fmt.Errorf("has %d pictures, %d are due", len(cut.pictures), n)
	}
	return first, nil
}

// heard is for how many seconds sound may be another than the source's after a beginning: its decoder has not heard what
// was before.
var heard = map[string]float64{"aac": 0.1, "mp3": 0.2, "ac3": 0.1, "opus": 0.4}

// preSkip are samples that ffmpeg leaves out of the first frame of a cut without edits, since the sample entry says that
// the file's first frame has so many that are not to be heard.
var preSkip = map[string]int{"opus": 312}

// soundFrom compares the sound from begin on, which is at the time first of the cut.
func soundFrom(src, cut *track, begin, first float64) error {
	if len(cut.frames) == 0 {
		return errors.New("has no sound")
	}
	rate := float64(src.rate)
	exact := (begin - first) * rate
	slack := src.tick*rate + nanosecond
	due, hidden := src.end, false // where the first whole frame is, and whether there may be others, which the source hides
	for i, f := range src.frames {
		at := f.at
		if i == 0 {
			at += f.n - src.longest // the edit list may hide the front of the first one
		}
		if float64(at) >= begin*rate-slack {
			due, hidden = at, i == 0
			break
		}
	}
	var err error
	for shift := int(math.Ceil(exact - slack)); float64(shift) <= exact+slack; shift++ {
		if err = soundFromFrame(src, cut, due, hidden, shift); err == nil {
			return nil
		}
	}
	return err
}

// soundFromFrame compares each sample of the cut with the source's that lies shift later, where due is the source's first
// sample that must be there, as the first one unless others are hidden.
func soundFromFrame(src, cut *track, due int, hidden bool, shift int) error {
	begin := cut.begin + shift
	if begin > due+1+preSkip[src.codec] || !hidden && begin < due-1 {
		return fmt.Errorf("begins with the source's sample %d; %d is due", begin, due)
	}
	if end := cut.end + shift; end != src.end {
		return fmt.Errorf("ends with the source's sample %d of %d", end, src.end)
	}
	for i := due - shift + int(heard[src.codec]*float64(src.rate)); i < cut.end; i++ {
		for c := range src.channels {
			is, want := cut.at(i, c), src.at(i+shift, c)
			if math.Abs(float64(is-want)) > tolerances[src.codec] {
				return fmt.Errorf("sample %d of %d is %.6f, %.6f is due; %s", i, cut.end, is, want, likeness(src, cut, i, shift))
			}
		}
	}
	return nil
}

// beginningAt is when the cut of a start begins, in seconds of the source's presentation: before 0 where the key frame is
// hidden by the edit list.
func beginningAt(src *film, start float64) float64 {
	const soon = 1.0 // that a first key frame may come later than the start
	best, next, end := math.Inf(-1), math.Inf(1), 0.0
	note := func(at, slack float64) {
		if at < start+slack-nanosecond {
			best = max(best, at)
		} else {
			next = min(next, at)
		}
	}
	for _, kind := range []string{"video", "audio"} {
		for _, t := range src.tracks {
			if t.kind != kind || end > 0 {
				continue
			}
			for _, at := range t.keys {
				note(at, millisecond)
			}
			for _, p := range t.media {
				end = max(end, p.at+p.lasts)
			}
			for _, f := range t.frames {
				note(float64(f.at)/float64(t.rate), t.tick/2)
				end = float64(f.at+f.n) / float64(t.rate)
			}
		}
	}
	switch {
	case start >= end:
		return start
	case !math.IsInf(best, 0):
		return best
	case next <= start+soon:
		return next
	}
	return start
}

// readKeys reads when the key frames of all tracks of pictures are shown, by ffprobe: at their times in the media.
func (f *film) readKeys(path string) error {
	out, _, err := run("ffprobe", "-v", "error", "-ignore_editlist", "1", "-select_streams", "v",
		"-show_entries", "packet=stream_index,pts_time,flags", "-of", "json", path)
	if err != nil {
		return err
	}
	var report struct {
		Packets []struct {
			StreamIndex int    `json:"stream_index"`
			PtsTime     string `json:"pts_time"`
			Flags       string `json:"flags"`
		} `json:"packets"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return err
	}
	for _, p := range report.Packets {
		if !strings.Contains(p.Flags, "K") {
			continue
		}
		at, err := strconv.ParseFloat(p.PtsTime, 64)
		if err != nil {
			return err
		}
		f.tracks[p.StreamIndex].keys = append(f.tracks[p.StreamIndex].keys, at)
	}
	return nil
}
