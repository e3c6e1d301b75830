package players

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/browser"
)

// cut is of a film of 10 s, 25 pictures a second, from within picture 235 on.
var cut = func() Cut {
	c := Cut{Start: 9.41}
	for n := range 250 {
		c.Film = append(c.Film, float64(n)/25)
	}
	return c
}()

// shown is what a player shows whose clock begins at origin, after hidden pictures.
func shown(film browser.Timeline, origin float64, hidden int) Showing {
	s := Showing{Ended: true, Paused: &Shot{235, origin}, Last: &Shot{249, 1}, Sound: &Sound{Rate: 48000}}
	for n := range hidden {
		s.Shots = append(s.Shots, Shot{225 + n, origin - 0.064})
	}
	for n := 235; n < 250; n++ {
		s.Shots = append(s.Shots, Shot{n, origin + max(0, film[n]-cut.Start)})
	}
	for at := 0; at < 24000; at += 1024 {
		s.Sound.Pieces = append(s.Sound.Pieces, Piece{origin + float64(at)/48000, at, 1024})
		for i := range 1024 {
			s.Sound.samples = append(s.Sound.samples, soundAt(cut.Start+float64(at+i)/48000))
		}
	}
	return s
}

func TestJudge(t *testing.T) {
	offline := Player{Name: "offline", whole: true, own: true, pausing: true, sounding: true}
	ignorant := Player{Name: "ignorant", whole: true, leadIn: 0.105, beyond: true}
	clocked := Player{Name: "clocked", leadIn: 0.4, late: 0.1}
	own, later := shown(cut.Film, 0, 0), shown(cut.Film, 5, 8)
	tests := []struct {
		name   string
		player Player
		shown  Showing
		spoil  func(*Showing)
		want   error
	}{
		{"right", offline, own, func(*Showing) {}, nil},
		{"paused_key_frame", offline, own, func(s *Showing) { s.Paused = &Shot{225, 0} }, ErrWrong},
		{"hidden_at_0", offline, own, func(s *Showing) { s.Shots = append([]Shot{{234, 0}}, s.Shots...) }, ErrWrong},
		{"first_missing", offline, own, func(s *Showing) { s.Shots = s.Shots[1:] }, ErrWrong},
		{"one_missing", offline, own, func(s *Showing) { s.Shots = slices.Delete(s.Shots, 4, 5) }, ErrWrong},
		{"last_missing", offline, own, func(s *Showing) { s.Shots, s.Last = s.Shots[:14], nil }, ErrWrong},
		{"twice", offline, own, func(s *Showing) { s.Shots[5] = s.Shots[4] }, ErrWrong},
		{"unreadable", offline, own, func(s *Showing) { s.Shots[5].Picture = -1 }, ErrWrong},
		{"2_ms_late", offline, own, func(s *Showing) { s.Shots[5].At += 0.002 }, ErrWrong},
		{"2_ms_early", offline, own, func(s *Showing) { s.Shots[5].At -= 0.002 }, ErrWrong},
		{"all_one_picture_late", offline, own, func(s *Showing) {
			for i := range s.Shots {
				s.Shots[i].At += 0.04
			}
		}, ErrWrong},
		{"does_not_end", offline, own, func(s *Showing) { s.Ended = false }, ErrWrong},
		{"failed", offline, own, func(s *Showing) { s.Error = "error 4" }, ErrWrong},
		{"silent", offline, own, func(s *Showing) { s.Sound.Pieces = nil }, ErrWrong},
		{"sound_5_ms_late", offline, own, func(s *Showing) {
			for i := range s.Sound.Pieces {
				s.Sound.Pieces[i].At += 0.005
			}
		}, ErrWrong},
		{"other_sound", offline, own, func(s *Showing) {
			for i := range s.Sound.samples {
				s.Sound.samples[i] = math.Sin(float64(i) / 7)
			}
		}, ErrWrong},
		{"lead_in", ignorant, later, func(*Showing) {}, nil},
		{"lead_in_long", ignorant, later, func(s *Showing) { s.Shots[0].At -= 0.05 }, ErrWrong},
		{"lead_in_of_another_time", ignorant, later, func(s *Showing) { s.Shots[12].At += 0.04 }, ErrWrong},
		{"clocked", clocked, later, func(*Showing) {}, nil},
		{"clocked_one_missing", clocked, later, func(s *Showing) { s.Shots = slices.Delete(s.Shots, 12, 13) }, nil},
		{"clocked_frozen", clocked, later, func(s *Showing) { s.Shots = append(s.Shots[:9], s.Shots[len(s.Shots)-1]) }, ErrLate},
		{"clocked_frozen_at_first", clocked, later, func(s *Showing) { s.Shots = s.Shots[20:] }, ErrLate},
		{"clocked_late", clocked, later, func(s *Showing) { s.Shots[12].At += 0.2 }, ErrLate},
		{"clocked_back_again", clocked, later, func(s *Showing) { s.Shots[12].Picture = 236 }, ErrWrong},
		{"clocked_last_missing", clocked, later, func(s *Showing) { s.Shots, s.Last = s.Shots[:len(s.Shots)-1], nil }, ErrLate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := test.shown
			s.Shots = slices.Clone(s.Shots)
			sound := *s.Sound
			sound.Pieces, sound.samples = slices.Clone(sound.Pieces), slices.Clone(sound.samples)
			s.Sound = &sound
			test.spoil(&s)
			if _, err := test.player.Judge(s, cut); !errors.Is(err, test.want) {
				t.Errorf("Judge says %v, want %v", err, test.want)
			}
		})
	}
}
