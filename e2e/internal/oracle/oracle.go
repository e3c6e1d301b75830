package oracle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Check compares a cut with what its source shows in [startMS, endMS), milliseconds; endMS -1 is the end of the film.
// The error says of each track what is wrong with it.
func Check(source, cut string, startMS, endMS int64) error {
	if startMS == 0 && endMS < 0 {
		if same, err := identical(source, cut); same || err != nil {
			return err
		}
	}
	src, err := load(source)
	if err != nil {
		return err
	}
	by, err := readingOf(cut)
	if err != nil {
		return err
	}
	got, err := shown(cut, "error", by)
	if err != nil {
		return fmt.Errorf("the cut cannot be decoded: %w", err)
	}
	tracks := map[string]*track{}
	for _, t := range got.tracks {
		tracks[t.id] = t
	}
	iv := interval{float64(startMS) / 1000, float64(endMS) / 1000}
	if endMS <= startMS {
		iv.end = forever
	}
	var errs []error
	for _, s := range src.tracks {
		c := tracks[s.id]
		delete(tracks, s.id)
		if err := compare(s, c, iv); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s, err))
		}
	}
	for _, t := range tracks {
		errs = append(errs, fmt.Errorf("%s: the source has none", t))
	}
	return errors.Join(errs...)
}

// readingOf is how ffmpeg is to read a cut. Of fragments it applies the edit list to the times only: its command line shows
// what is before 0 then, unless it is told to begin there. To do so it seeks to a key frame among the pictures, and where
// the first of them is shown later, sound before it is lost: so sound is read from its front and trimmed to the sample.
func readingOf(cut string) (reading, error) {
	content, err := os.ReadFile(cut)
	if err != nil {
		return reading{}, err
	}
	if bytes.Contains(content, []byte("mehd")) {
		return reading{
			pictures: []string{"-seek_timestamp", "1", "-ss", "0"},
			sound:    []string{"-copyts"},
			filter:   []string{"-af", "atrim=start=0"},
		}, nil
	}
	return asItIs, nil
}

// asItIs is how sources and progressive cuts are read.
var asItIs = reading{pictures: []string{"-copyts"}}

// identical tells whether a file that begins at 0 was left as it is, which is exact whatever ffmpeg makes of it.
func identical(a, b string) (bool, error) {
	x, err1 := os.ReadFile(a)
	y, err2 := os.ReadFile(b)
	err := errors.Join(err1, err2)
	return err == nil && bytes.Equal(x, y), err
}

// CheckBytes is Check for a cut in memory.
func CheckBytes(source string, cut []byte, startMS, endMS int64) error {
	return withFile(cut, func(path string) error { return Check(source, path, startMS, endMS) })
}

// withFile calls check with a file of that content.
func withFile(content []byte, check func(path string) error) error {
	file, err := os.CreateTemp("", "cut-*.mp4")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return check(file.Name())
}

// interval is in seconds of the source's presentation.
type interval struct{ start, end float64 }

func compare(src, cut *track, iv interval) error {
	if src.kind != "video" && src.kind != "audio" {
		return nil
	}
	must, may := src.within(iv)
	switch {
	case cut == nil && must:
		return errors.New("left out, although it has something in the interval")
	case cut == nil:
		return nil
	case !may:
		return errors.New("kept, although it has nothing in the interval")
	case cut.kind != src.kind || cut.codec != src.codec || cut.rate != src.rate || cut.channels != src.channels:
		return fmt.Errorf("the cut's is a %s of %d channels at %d Hz", cut, cut.channels, cut.rate)
	case src.kind == "video":
		return comparePictures(src, cut, iv)
	default:
		return compareSound(src, cut, iv)
	}
}

// within tells whether the track must, and whether it may, be in a cut of the interval. They differ where the decoder
// does not tell to the tick where a track ends: ffmpeg plays the last frame of sound out.
func (t *track) within(iv interval) (must, may bool) {
	var begin, end, margin float64
	switch {
	case t.kind == "video" && len(t.pictures) > 0:
		begin = t.pictures[0].at
		for _, p := range t.pictures {
			end = max(end, p.at+p.lasts)
		}
		margin = millisecond
	case t.kind == "audio" && len(t.samples) > 0:
		begin, end = float64(t.begin)/float64(t.rate), float64(t.end)/float64(t.rate)
		margin = float64(t.longest) / float64(t.rate)
	default:
		return false, false
	}
	must = iv.start < end-margin && iv.end > begin+millisecond
	may = iv.start < end+millisecond && iv.end > begin-millisecond
	return must, may
}

// load decodes a source, once as long as it does not change.
func load(path string) (*film, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	type version struct {
		path string
		size int64
		time time.Time
	}
	cell, _ := sources.LoadOrStore(version{path, info.Size(), info.ModTime()}, sync.OnceValues(func() (*film, error) { return presentation(path) }))
	return cell.(func() (*film, error))()
}

var sources sync.Map // of version → func() (*film, error)

// presentation decodes a source and mends what ffmpeg does to a track whose first edit begins between two pictures:
// ffmpeg hides the first of them and moves the others so that the second is shown at 0. A player shows the first one,
// for what is left of it, and so must the cut.
func presentation(path string) (*film, error) {
	f, err := shown(path, "debug", asItIs)
	if err != nil {
		return nil, err
	}
	all, err := hidden(path)
	if err != nil {
		return nil, err
	}
	if err := f.readKeys(path); err != nil {
		return nil, err
	}
	for i, t := range f.tracks {
		if t.kind != "video" || len(t.pictures) == 0 {
			continue
		}
		var empty, begin float64
		media := 0
		for _, e := range t.edits {
			if e.mediaTime >= 0 {
				begin = float64(e.mediaTime) * t.tick
				media++
			} else if media == 0 {
				empty += float64(e.duration) * t.tick
			}
		}
		if media > 1 {
			continue
		}
		for _, p := range all.tracks[i].pictures {
			t.media = append(t.media, picture{empty + p.at - begin, p.lasts, p.md5})
		}
		for k := range t.keys {
			t.keys[k] += empty - begin
		}
		if media == 0 {
			continue
		}
		if err := t.mend(all.tracks[i].pictures, begin, empty); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, t, err)
		}
	}
	return f, nil
}

// mend takes the track's times from those of all its pictures in the media, of which the edit shows those from begin on,
// after an empty edit.
func (t *track) mend(all []picture, begin, empty float64) error {
	first := 0
	for first < len(all) && all[first].at < begin-nanosecond {
		first++
	}
	if first == len(all) || all[first].md5 != t.pictures[0].md5 {
		return errors.New("the first picture that ffmpeg shows is not the first of its edit")
	}
	late := empty + all[first].at - begin - t.pictures[0].at
	for i := range t.pictures {
		t.pictures[i].at += late
	}
	if first > 0 && all[first].at > begin+nanosecond {
		before := picture{empty, all[first].at - begin, all[first-1].md5}
		t.pictures = append([]picture{before}, t.pictures...)
	}
	return nil
}
