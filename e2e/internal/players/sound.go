package players

import (
	"fmt"
	"math"
)

// delay is how much later than the pictures the sound is: of what is heard at several places it is looked up where in the
// film that is. The pictures' clock is at origin when the cut begins.
func (s *Sound) delay(cut Cut, origin float64) (float64, error) {
	if s == nil || len(s.Pieces) == 0 {
		return 0, fmt.Errorf("%w: no sound", ErrWrong)
	}
	const window = 4096 // samples
	worst, judged := 0.0, 0
	for _, into := range []float64{0, 0.2, 0.5, 1, 1.5} {
		piece := s.at(origin + into)
		if piece < 0 || s.Pieces[piece].Offset+window > len(s.samples) {
			continue
		}
		if cut.End > 0 && s.Pieces[piece].At-origin+window/float64(s.Rate) > cut.End-cut.Start {
			continue
		}
		heard := s.samples[s.Pieces[piece].Offset:][:window]
		at := s.Pieces[piece].At - origin + cut.Start
		lag, likeness := s.lag(heard, at)
		if likeness < 0.8 {
			return 0, fmt.Errorf("%w: the sound at %.3f s of the cut is unlike the film's within 150 ms (%.2f)", ErrWrong, at-cut.Start, likeness)
		}
		if judged++; math.Abs(lag) > math.Abs(worst) {
			worst = lag
		}
	}
	if judged == 0 {
		return 0, fmt.Errorf("%w: too little sound", ErrWrong)
	}
	if math.Abs(worst) > apart {
		return worst, fmt.Errorf("%w: the sound is %.1f ms late", ErrWrong, worst*1000)
	}
	return worst, nil
}

// at is the first piece that is heard from a time on, or -1.
func (s *Sound) at(time float64) int {
	for i, piece := range s.Pieces {
		if piece.At >= time-1e-6 {
			return i
		}
	}
	return -1
}

// lag tells how much later something is heard than it is due, at that second of the film, and how alike both are (1: very).
func (s *Sound) lag(heard []float64, at float64) (lag, likeness float64) {
	const around, stride = 0.15, 4 // looking at every fourth sample is enough for what is below 4 kHz
	likeness = -1
	step := 1 / float64(s.Rate)
	reach := int(around * float64(s.Rate))
	due := make([]float64, len(heard)+2*reach)
	for i := range due {
		due[i] = soundAt(at + float64(i-reach)*step)
	}
	for shift := 0; shift <= 2*reach; shift++ {
		var both, a, b float64
		for i := 0; i < len(heard); i += stride {
			x, y := heard[i], due[shift+i]
			both, a, b = both+x*y, a+x*x, b+y*y
		}
		if alike := both / math.Sqrt(a*b+1e-12); alike > likeness {
			likeness, lag = alike, float64(reach-shift)*step
		}
	}
	return lag, likeness
}

// soundAt is the sound of the films of package media, both channels mixed.
func soundAt(t float64) float64 {
	if t < 0 {
		return 0
	}
	sine := func(a, b float64) float64 { return math.Sin(2 * math.Pi * (a*t + b*t*t)) }
	return 0.2*(sine(180, 45)+sine(260, 57)) + 0.075*(sine(2500, -61)+sine(3100, -83))
}
