package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const (
	shots = 9 // the picture at the start and the next eight

	// leadIn is how long Firefox may show pictures from before the start, at least: it plays what an edit list hides.
	leadIn = 0.1

	// clockStep is how long Firefox's currentTime may stand while a film plays.
	clockStep = 0.05

	// jitter is what a start truncated to milliseconds, or a time rounded to ticks, may be off by.
	jitter = 0.001
)

// Timeline holds the time of each picture of a film, by the pictures' numbers.
type Timeline []float64

// ReadTimeline asks ffprobe when the film at path shows its pictures.
func ReadTimeline(tb testing.TB, path string) Timeline {
	tb.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "json", path).Output()
	if err != nil {
		tb.Fatalf("ffprobe %s: %v", path, err)
	}
	var told struct {
		Frames []struct {
			Time string `json:"pts_time"`
		}
	}
	if err := json.Unmarshal(out, &told); err != nil {
		tb.Fatal(err)
	}
	var timeline Timeline
	for _, frame := range told.Frames {
		seconds, err := strconv.ParseFloat(frame.Time, 64)
		if err != nil {
			tb.Fatalf("ffprobe %s: %v", path, err)
		}
		timeline = append(timeline, seconds)
	}
	return timeline
}

// At is the number of the picture on show at a second, which is one truncated to milliseconds: a picture that begins
// within the millisecond counts. Before the first picture it is the first.
func (t Timeline) At(second float64) int {
	return max(0, sort.Search(len(t), func(n int) bool { return t[n] >= second+jitter })-1)
}

var (
	// ErrWrong is Check's error where a picture is not the one, or not at the time, that it should be.
	ErrWrong = errors.New("wrong picture")
	// ErrTooFew is Check's error where all pictures are right, but few were presented: the machine was too busy.
	ErrTooFew = errors.New("too few pictures")
)

// Check tells what is wrong with how a film was shown that is the given one from start on: nil where the right picture
// was on show at once and the next eight were in step. Firefox's clock begins with the lead-in, which takes lead seconds,
// and it may be late by so much more.
func (s Showing) Check(film Timeline, start, lead, late float64) error {
	err := s.check(film, start, lead, late)
	if err != nil {
		err = fmt.Errorf("%s: %s: %w\npaused %+v\nplaying %+v", s.Browser, s.URL, err, s.Paused, s.Shots)
	}
	return err
}

func (s Showing) check(film Timeline, start, lead, late float64) error {
	if s.Error != "" {
		return errors.New(s.Error)
	}
	inStep := 0
	if strings.HasPrefix(s.Browser, "Firefox") {
		shown := s.afterLeadIn(film.At(start), lead)
		if err := roughly(shown, film, start-lead, late); err != nil {
			return err
		}
		inStep = len(shown)
	} else {
		if first := film.At(start); s.Paused.Picture != first {
			return fmt.Errorf("%w: %d before it plays, not %d", ErrWrong, s.Paused.Picture, first)
		}
		shown := append([]Shot{s.Paused}, s.Shots...)
		if err := exactly(shown, film, start); err != nil {
			return err
		}
		inStep = len(shown)
	}
	// Of a film that ends before a busy machine has presented so many, half is enough.
	left := film.At(start+s.Duration) - film.At(start) + 1
	if want := min(shots, (left+1)/2); inStep < want {
		return fmt.Errorf("%w: %d, not %d", ErrTooFew, inStep, want)
	}
	return nil
}

// exactly demands that each picture has its very time, as Chromium tells it. The picture on show at start has 0.
func exactly(shown []Shot, film Timeline, start float64) error {
	for i, shot := range shown {
		if shot.Picture < 0 || shot.Picture >= len(film) {
			return fmt.Errorf("%w: none of the film's (%d) at %.4f s", ErrWrong, shot.Picture, shot.Timestamp)
		}
		if want := max(0, film[shot.Picture]-start); math.Abs(shot.Timestamp-want) > jitter {
			return fmt.Errorf("%w: %d at %.4f s, not at %.4f s", ErrWrong, shot.Picture, shot.Timestamp, want)
		}
		if i > 0 && shot.Picture < shown[i-1].Picture {
			return fmt.Errorf("%w: %d after %d", ErrWrong, shot.Picture, shown[i-1].Picture)
		}
	}
	return nil
}

// afterLeadIn leaves out what Firefox shows in the first moment: it plays the pictures that an edit list hides.
func (s Showing) afterLeadIn(first int, lead float64) []Shot {
	shown, ends := s.Shots, max(leadIn, lead+clockStep)
	for len(shown) > 0 && min(shown[0].MediaTime, shown[0].Clock) < ends && shown[0].Picture >= 0 && shown[0].Picture < first {
		shown = shown[1:]
	}
	return shown
}

// roughly demands that each picture is within one of that which Firefox presented, as it says, or of one between that and
// its clock: when the machine is busy, it names pictures to come.
func roughly(shown []Shot, film Timeline, start, late float64) error {
	for i, shot := range shown {
		from := film.At(start + min(shot.MediaTime, shot.Clock+clockStep) - late)
		to := film.At(start + max(shot.MediaTime, shot.Clock))
		if shot.Picture < max(0, from-1) || shot.Picture > to+1 {
			return fmt.Errorf("%w: %d while the clocks are at %.4f and %.4f s, from %d to %d",
				ErrWrong, shot.Picture, shot.MediaTime, shot.Clock, from, to)
		}
		if i > 0 && shot.Picture < shown[i-1].Picture {
			return fmt.Errorf("%w: %d after %d", ErrWrong, shot.Picture, shown[i-1].Picture)
		}
	}
	return nil
}
