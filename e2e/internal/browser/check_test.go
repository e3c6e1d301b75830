package browser

import (
	"errors"
	"slices"
	"testing"
)

// film is 10 s of 25 pictures a second.
var film = func() (t Timeline) {
	for n := range 250 {
		t = append(t, float64(n)/25)
	}
	return t
}()

// chromium shows film from 3.41 s on, which is within picture 85, as it should.
func chromium() Showing {
	s := Showing{Browser: "Chromium 1", Duration: 6.59, Paused: Shot{Picture: 85}}
	for n := 86; n < 98; n++ {
		at := film[n] - 3.41
		s.Shots = append(s.Shots, Shot{Picture: n, Timestamp: at, MediaTime: at, Clock: at - 0.01})
	}
	return s
}

// firefox shows the same as it does: first the key frame, then one of the hidden pictures, then all with stale clocks.
func firefox() Showing {
	s := Showing{Browser: "Firefox 1", Duration: 6.59, Paused: Shot{Picture: 50}}
	s.Shots = append(s.Shots, Shot{Picture: 60, MediaTime: 0.001})
	for n := 86; n < 98; n++ {
		at := film[n] - 3.41
		s.Shots = append(s.Shots, Shot{Picture: n, MediaTime: at + 0.001, Clock: at - 0.035})
	}
	return s
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		shown Showing
		spoil func(*Showing)
		want  error
	}{
		{"chromium", chromium(), func(*Showing) {}, nil},
		{"chromium_picture_dropped", chromium(), func(s *Showing) { s.Shots = slices.Delete(s.Shots, 4, 5) }, nil},
		{"chromium_key_frame_first", chromium(), func(s *Showing) { s.Paused.Picture = 50 }, ErrWrong},
		{"chromium_first_is_one_early", chromium(), func(s *Showing) { s.Paused.Picture-- }, ErrWrong},
		{"chromium_first_is_one_late", chromium(), func(s *Showing) { s.Paused.Picture++ }, ErrWrong},
		{"chromium_first_is_not_at_0", chromium(), func(s *Showing) { s.Paused.Timestamp = 0.04 }, ErrWrong},
		{"chromium_one_of_them_early", chromium(), func(s *Showing) { s.Shots[5].Picture-- }, ErrWrong},
		{"chromium_2_ms_late", chromium(), func(s *Showing) {
			for i := range s.Shots {
				s.Shots[i].Timestamp += 0.002
			}
		}, ErrWrong},
		{"chromium_unreadable", chromium(), func(s *Showing) { s.Shots[3].Picture = -1 }, ErrWrong},
		{"chromium_number_past_the_film", chromium(), func(s *Showing) { s.Shots[3].Picture = 4711 }, ErrWrong},
		{"chromium_too_few", chromium(), func(s *Showing) { s.Shots = s.Shots[:7] }, ErrTooFew},
		{"chromium_short_cut", chromium(), func(s *Showing) { s.Shots, s.Duration = s.Shots[:7], 0.3 }, nil},
		{"firefox", firefox(), func(*Showing) {}, nil},
		{"firefox_one_early", firefox(), func(s *Showing) { s.Shots[5].Picture-- }, nil},
		{"firefox_all_two_early", firefox(), func(s *Showing) {
			for i := range s.Shots {
				s.Shots[i].Picture -= 2
			}
		}, ErrWrong},
		{"firefox_all_two_late", firefox(), func(s *Showing) {
			for i := range s.Shots {
				s.Shots[i].Picture += 2
			}
		}, ErrWrong},
		{"firefox_plays_the_lead_in", firefox(), func(s *Showing) {
			for i := range s.Shots {
				s.Shots[i].Picture = 50 + i
			}
		}, ErrWrong},
		{"firefox_lead_in_after_100_ms", firefox(), func(s *Showing) { s.Shots[0].MediaTime, s.Shots[0].Clock = 0.101, 0.101 }, ErrWrong},
		{"firefox_back_again", firefox(), func(s *Showing) { s.Shots[6].Picture = s.Shots[5].Picture - 1 }, ErrWrong},
		{"firefox_unreadable", firefox(), func(s *Showing) { s.Shots[0].Picture = -1 }, ErrWrong},
		{"firefox_too_few", firefox(), func(s *Showing) { s.Shots = s.Shots[:9] }, ErrTooFew},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.spoil(&test.shown)
			if err := test.shown.Check(film, 3.41, 0, 0); !errors.Is(err, test.want) {
				t.Errorf("Check says %v, want %v", err, test.want)
			}
		})
	}
}

func TestTimelineAt(t *testing.T) {
	for second, want := range map[float64]int{0: 0, 0.0389: 0, 0.0391: 1, 0.04: 1, 0.079: 1, 9.96: 249, 100: 249} {
		if got := film.At(second); got != want {
			t.Errorf("At(%v) = %d, want %d", second, got, want)
		}
	}
	if got := (Timeline{0.5, 0.54}).At(0.2); got != 0 {
		t.Errorf("before the first picture: %d", got)
	}
}

// TestCheckLead has Firefox's clock begin with a lead-in: all comes later by as much, and by no more.
func TestCheckLead(t *testing.T) {
	late := func(by float64) Showing {
		s := firefox()
		s.Shots[0].MediaTime, s.Shots[0].Clock = by-0.01, by-0.04
		for i := range s.Shots[1:] {
			s.Shots[1+i].MediaTime += by
			s.Shots[1+i].Clock += by
		}
		return s
	}
	for _, test := range []struct {
		shown, lead float64
		want        error
	}{{0.08, 0.08, nil}, {0.13, 0.13, nil}, {0.13, 0, ErrWrong}, {0, 0.13, ErrWrong}} {
		if err := late(test.shown).Check(film, 3.41, test.lead, 0); !errors.Is(err, test.want) {
			t.Errorf("a lead-in of %v s, where %v are due: %v, want %v", test.shown, test.lead, err, test.want)
		}
	}
}

func TestCheckOfFailure(t *testing.T) {
	if err := (Showing{Browser: "Chromium 1", Error: "error 4"}).Check(film, 3.41, 0, 0); err == nil {
		t.Error("what did not play passes")
	}
}
