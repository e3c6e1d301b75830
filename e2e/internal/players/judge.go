package players

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

const (
	// jitter is what a start truncated to milliseconds, or a time rounded to ticks, may be off by.
	jitter = 0.0015
	// gap is for how long a player that follows a clock may show nothing new.
	gap = 0.4
	// apart is how far sound and picture may lie from each other.
	apart = 0.003
)

var (
	// ErrWrong is the error where a picture or the sound is not what it should be.
	ErrWrong = errors.New("wrong")
	// ErrLate is the error where all that came out is right, but late or not all of it: the machine may have been busy.
	ErrLate = errors.New("late")
)

// Verdict is what was found, in seconds of the player's clock where it is not said otherwise.
type Verdict struct {
	Hidden int     // pictures from before the start that came out
	Delay  float64 // how long they were on show
	Sound  float64 // how much later the sound is than the picture
}

// Result is what came of a cut.
type Result struct {
	Verdict
	Err   error
	Tries int
	Shown Showing // the last time
}

// tries is how often a cut is played that a busy machine showed late. One that is shown wrong is not played again.
const tries = 3

// Prove plays the cuts and judges them.
func (p Player) Prove(tb testing.TB, cuts []Cut) []Result {
	tb.Helper()
	results := make([]Result, len(cuts))
	var open []int
	for i := range cuts {
		open = append(open, i)
	}
	for range tries {
		var now []Cut
		for _, i := range open {
			now = append(now, cuts[i])
		}
		var again []int
		for k, shown := range p.Play(tb, now...) {
			r := &results[open[k]]
			r.Shown, r.Tries = shown, r.Tries+1+shown.Crashes
			if r.Verdict, r.Err = p.Judge(shown, now[k]); errors.Is(r.Err, ErrLate) {
				again = append(again, open[k])
			}
		}
		if open = again; len(open) == 0 {
			break
		}
	}
	return results
}

// Judge tells what is wrong with how a player showed a cut.
func (p Player) Judge(s Showing, cut Cut) (v Verdict, err error) {
	if s.Error != "" {
		return v, fmt.Errorf("%w: %s", ErrWrong, s.Error)
	}
	first, last := cut.Film.At(cut.Start), len(cut.Film)-1
	if cut.End > 0 {
		last = cut.Film.At(cut.End - 2*jitter)
	}
	if p.pausing && (s.Paused == nil || s.Paused.Picture != first) {
		return v, fmt.Errorf("%w: paused it shows %s, not %d", ErrWrong, s.Paused, first)
	}
	shots := s.Shots
	for len(shots) > 0 && shots[0].Picture >= 0 && shots[0].Picture < first {
		shots = shots[1:]
	}
	v.Hidden = len(s.Shots) - len(shots)
	for p.beyond && len(shots) > 0 && shots[len(shots)-1].Picture > last {
		shots = shots[:len(shots)-1]
	}
	if len(shots) == 0 {
		return v, fmt.Errorf("%w: none of its %d pictures is from the start on", p.fault(), len(s.Shots))
	}
	if v.Hidden > 0 {
		v.Delay = shots[0].At - s.Shots[0].At
	}
	if p.leadIn == 0 && v.Hidden > 0 || v.Delay > p.leadIn*p.patience(cut) {
		return v, fmt.Errorf("%w: %d hidden pictures are on show for %.3f s, from %d on", p.fault(), v.Hidden, v.Delay, s.Shots[0].Picture)
	}
	origin, err := p.inStep(shots, cut, last)
	if err != nil {
		return v, err
	}
	if err := p.complete(s, shots, cut, first, last); err != nil {
		return v, err
	}
	if p.sounding {
		v.Sound, err = s.Sound.delay(cut, origin)
	}
	return v, err
}

// inStep demands that all pictures are at their times, and returns the player's time at which the cut begins.
func (p Player) inStep(shots []Shot, cut Cut, last int) (origin float64, err error) {
	due := func(shot Shot) float64 { return max(0, cut.Film[shot.Picture]-cut.Start) }
	if !p.own {
		origin = math.Inf(1)
		for i, shot := range shots {
			if i == 0 && p.eager {
				continue
			}
			if shot.Picture >= 0 && shot.Picture < len(cut.Film) && due(shot) > 0 {
				origin = min(origin, shot.At-due(shot))
			}
		}
	}
	for i, shot := range shots {
		if shot.Picture < 0 || shot.Picture > last {
			return 0, fmt.Errorf("%w: the picture at %.4f s is %d; the last one is %d", ErrWrong, shot.At-origin, shot.Picture, last)
		}
		if i > 0 && (shot.Picture < shots[i-1].Picture || p.whole && shot.Picture == shots[i-1].Picture) {
			return 0, fmt.Errorf("%w: picture %d after %d", ErrWrong, shot.Picture, shots[i-1].Picture)
		}
		off, fault := shot.At-origin-due(shot), ErrWrong
		if p.late > 0 && off > 0 {
			fault = ErrLate
		}
		if off < -jitter && due(shot) > 0 && !(i == 0 && p.eager) || off > jitter+p.late*p.patience(cut) {
			return 0, fmt.Errorf("%w: picture %d at %.4f s, not at %.4f s", fault, shot.Picture, shot.At-origin, due(shot))
		}
	}
	return origin, nil
}

// complete demands that playback went on to the end without leaving pictures out, other than few where the player follows
// a clock.
func (p Player) complete(s Showing, shots []Shot, cut Cut, first, last int) error {
	shown := append([]Shot{}, shots...)
	if p.pausing {
		shown = append([]Shot{*s.Paused}, shown...)
	}
	if s.Last != nil && s.Last.Picture <= last {
		shown = append(shown, *s.Last)
	}
	if p.streamed && !cut.Fragmented && shown[len(shown)-1].Picture == last-1 {
		last--
	}
	if p.whole && (len(shots) != last-first+1 || shots[0].Picture != first) {
		return fmt.Errorf("%w: %d pictures from %d to %d, not %d from %d to %d", ErrWrong,
			len(shots), shots[0].Picture, shots[len(shots)-1].Picture, last-first+1, first, last)
	}
	if !s.Ended {
		return fmt.Errorf("%w: it does not end", ErrWrong)
	}
	before := cut.Start
	for _, shot := range shown {
		if at := cut.Film[shot.Picture]; at-before > gap*p.patience(cut) {
			return fmt.Errorf("%w: nothing new from %.3f s to %.3f s of the cut", ErrLate, before-cut.Start, at-cut.Start)
		}
		before = max(before, cut.Film[shot.Picture])
	}
	if shown[len(shown)-1].Picture != last {
		return fmt.Errorf("%w: the last picture is %d, not %d", ErrLate, shown[len(shown)-1].Picture, last)
	}
	return nil
}

// patience is by what factor a player that follows a clock may be later with the cut than with others.
func (p Player) patience(cut Cut) float64 {
	if cut.Large && !p.whole {
		return 2
	}
	return 1
}

// fault is what it may be where a player does something for too long.
func (p Player) fault() error {
	if p.whole {
		return ErrWrong
	}
	return ErrLate
}

func (s *Shot) String() string {
	if s == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d at %.4f s", s.Picture, s.At)
}
