package mp4

import (
	"math/rand"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

var modes = []string{seekExact, seekKeyframe, seekSample}

// TestRandomCuts cuts random movies at random places, in every mode, and checks all that must be true of an answer.
func TestRandomCuts(t *testing.T) {
	for _, seek := range modes {
		t.Run(seek, func(t *testing.T) {
			movies, answered := filmtest.Rounds(600, 20), 0
			for seed := 0; seed < movies; seed++ {
				answered += cutAtRandom(t, int64(seed), seek, 5)
			}
			t.Logf("%d movies, %d answers", movies, answered)
			if answered < 3*movies {
				t.Errorf("%d movies had no more than %d answers", movies, answered)
			}
		})
	}
}

// cutAtRandom makes a random movie and checks so many cuts of it; it returns how many have an answer.
func cutAtRandom(t *testing.T, seed int64, seek string, cuts int) int {
	t.Helper()
	r := rand.New(rand.NewSource(seed))
	m := randomMovie(r)
	k, err := newChecker(m.file(), r)
	if err != nil {
		t.Errorf("movie %d: %v", seed, err)
		return 0
	}
	answered := 0
	for i := 0; i < cuts; i++ {
		iv := randomInterval(r, m.milliseconds())
		ok, err := k.check(iv, seek)
		if err != nil {
			t.Errorf("movie %d from %d to %d ms: %v", seed, iv.start, iv.end, err)
		}
		if ok {
			answered++
		}
	}
	return answered
}

// TestBoundaries cuts movies whose runs, chunks, groups and edits have boundaries at different samples, a millisecond
// before, at and after the begin of each sample: to the end, and to around later ones.
func TestBoundaries(t *testing.T) {
	for name, m := range boundaryMovies() {
		t.Run(name, func(t *testing.T) {
			k, err := newChecker(m.file(), rand.New(rand.NewSource(1)))
			if err != nil {
				t.Fatal(err)
			}
			step := int64(1)
			if filmtest.Interpreted() {
				step = 29
			}
			for start := int64(0); start <= m.milliseconds()+1; start += step {
				cutFrom(t, k, start, m.milliseconds()-start)
			}
		})
	}
}

// cutFrom checks cuts of different lengths in every mode, up to around what is left.
func cutFrom(t *testing.T, k *checker, start, left int64) {
	t.Helper()
	for _, lasts := range []int64{0, 1, 10, 39, 41, left - 1, left, left + 1} {
		iv := msInterval{start, start + lasts}
		if lasts == 0 {
			iv.end = -1
		}
		if lasts < 0 || filmtest.Interpreted() && lasts%2 == 1 {
			continue
		}
		for _, seek := range modes {
			_, err := k.check(iv, seek)
			if err != nil {
				t.Fatalf("from %d to %d ms, %s: %v", iv.start, iv.end, seek, err)
			}
		}
	}
}

// boundaryMovies are small movies with samples of ten milliseconds.
func boundaryMovies() map[string]*madeMovie {
	picture := func() *madeTrack {
		t := newMadeTrack("vide", 1000, 21, 10)
		t.sync = []int64{0, 7, 14}
		return t
	}
	reordered := picture()
	reordered.offsets = []int64{10, 30, 0, 10, 20, 0, 10, 10, 30, 0, 10, 20, 0, 10, 10, 30, 0, 10, 20, 0, 10}
	signed := picture()
	signed.offsets = []int64{0, 20, -10, 0, 10, -10, 0, 0, 20, -10, 0, 10, -10, 0, 0, 20, -10, 0, 10, -10, 0}
	signed.offsetsV = 1
	edited := picture()
	edited.offsets = reordered.offsets
	edited.edits = []madeEdit{{30, -1, normalRate}, {100, 10, normalRate}, {20, -1, normalRate}, {100, 95, normalRate}}
	uneven := picture()
	uneven.durations = []int64{10, 10, 20, 20, 20, 5, 5, 5, 5, 10, 1, 1, 1, 30, 10, 10, 10, 10, 10, 10, 10}
	uneven.chunks = []madeChunk{{samples: 1, description: 1}, {samples: 4, description: 1}, {samples: 4, description: 1},
		{samples: 4, description: 2}, {samples: 2, description: 1}, {samples: 2, description: 1}, {samples: 3, description: 1}, {samples: 1, description: 1}}
	one := picture()
	one.chunked(21)
	each := picture()
	each.chunked(1)
	each.wide = true
	packed := picture()
	packed.sizeBits = 4
	for i := range packed.sizes {
		packed.sizes[i] = int64(i % 16)
	}
	sound := newMadeTrack("soun", 44100, 20, 441)
	sound.sizeBits = 0
	for i := range sound.sizes {
		sound.sizes[i] = 12
	}
	movies := map[string]*madeMovie{
		"closed groups":             newMadeMovie(reordered),
		"signed offsets":            newMadeMovie(signed),
		"several edits":             newMadeMovie(edited),
		"uneven runs":               newMadeMovie(uneven),
		"one chunk":                 newMadeMovie(one),
		"a chunk for every sample":  newMadeMovie(each),
		"sizes of 4 bits":           newMadeMovie(packed),
		"sound of uniform sizes":    newMadeMovie(sound),
		"pictures and sound, mixed": newMadeMovie(picture(), newMadeTrack("soun", 48000, 12, 960), newMadeTrack("text", 1000, 3, 70)),
	}
	movies["moov last"] = newMadeMovie(picture(), newMadeTrack("soun", 48000, 9, 1024))
	movies["moov last"].moovLast = true
	return movies
}

// TestCoarseTimescales cuts tracks whose timescale cannot tell milliseconds apart, pictures with several edits and
// sound: each begins where it should, to the millisecond.
func TestCoarseTimescales(t *testing.T) {
	several := newMadeTrack("vide", 24, 480, 1)
	several.sync = []int64{0, 96, 192, 288, 384}
	several.edits = []madeEdit{{10000, 24, normalRate}, {1000, -1, normalRate}, {8750, 270, normalRate}}
	sound := newMadeTrack("soun", 50, 1000, 1)
	rare := newMadeTrack("text", 10, 50, 4)
	for _, tt := range []struct {
		name      string
		track     *madeTrack
		start     int64
		timescale int64
		shown     int64 // media time in the source at which the answer begins, in ticks of the answer
		first     int64 // sample of the source that is kept first
	}{
		{"several edits", several, 9530, 1008, 24*42 + 9606, 192},
		{"several edits, a truncated start", several, 9541, 1008, 24*42 + 9618, 192},
		{"several edits, on a picture", several, 9500, 24, 24 + 228, 192},
		{"sound", sound, 9530, 1000, 9530, 474}, // two frames before
		{"sound, on a frame", sound, 9540, 50, 477, 475},
		{"texts", rare, 9530, 1000, 9530, 23},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMadeMovie(tt.track)
			k, err := newChecker(m.file(), rand.New(rand.NewSource(1)))
			if err != nil {
				t.Fatal(err)
			}
			for _, start := range []int64{0, tt.start - 41, tt.start - 13, tt.start, tt.start + 1, tt.start + 12} {
				_, err = k.check(msInterval{start, -1}, seekExact)
				if err != nil {
					t.Errorf("from %d ms: %v", start, err)
				}
			}
			c, err := k.movie.cutProgressive(msInterval{tt.start, -1}, seekExact)
			if err != nil {
				t.Fatal(err)
			}
			_, answer, err := k.checkFile(c)
			if err != nil {
				t.Fatal(err)
			}
			a := answer.tracks[0]
			first := int64(k.plain.tracks[0].samples() - a.samples())
			shown := a.edits[0].mediaTime + k.plain.tracks[0].dts[first]*a.timescale/tt.track.timescale
			if tt.track.handler == "text" { // the one on show lasts for what is left of it
				shown += k.plain.tracks[0].durations[first]*a.timescale/tt.track.timescale - a.durations[0]
			}
			if a.timescale != tt.timescale || first != tt.first || shown != tt.shown {
				t.Errorf("from sample %d on, at %d of %d a second; want %d, %d of %d", first, shown, a.timescale, tt.first, tt.shown, tt.timescale)
			}
		})
	}
}

// TestReferenceTrack: keyframe goes by the first enabled track of pictures that cover the start, and never by a still.
func TestReferenceTrack(t *testing.T) {
	cover := newMadeTrack("vide", 1000, 1, 20000)
	film := newMadeTrack("vide", 1000, 500, 40)
	film.sync = []int64{0, 50, 100, 150, 200, 250, 300, 350, 400, 450}
	early := newMadeTrack("vide", 1000, 50, 40)
	early.sync = []int64{0}
	hidden := newMadeTrack("vide", 1000, 500, 40)
	hidden.sync = []int64{0}
	hidden.disabled = true
	sound := newMadeTrack("soun", 1000, 1000, 20)
	for _, tt := range []struct {
		name   string
		tracks []*madeTrack
		want   int64 // milliseconds at which a cut at 9530 begins
	}{
		{"a cover before", []*madeTrack{cover, film, sound}, 8000},
		{"a cover behind", []*madeTrack{film, cover, sound}, 8000},
		{"pictures that have ended", []*madeTrack{early, film}, 8000},
		{"a disabled track", []*madeTrack{hidden, film}, 8000},
		{"a cover and sound", []*madeTrack{cover, sound}, 9520},
		{"a cover alone", []*madeTrack{cover}, 9530},
		{"no other enabled pictures", []*madeTrack{sound, hidden}, 9520},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, track := range tt.tracks {
				track.id = int64(i) + 1
			}
			made := newMadeMovie(tt.tracks...)
			k, err := newChecker(made.file(), rand.New(rand.NewSource(1)))
			if err != nil {
				t.Fatal(err)
			}
			ticks, left := answerTimescale(k.movie), int64(maxListed)
			got := k.movie.keyFrameAt(9530*ticks/1000, ticks, &left) * 1000 / ticks
			if got != tt.want {
				t.Errorf("it begins at %d ms, want %d", got, tt.want)
			}
			_, err = k.check(msInterval{9530, -1}, seekKeyframe)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLastPicture: a last picture without a duration is kept wherever the cut begins, also where the edit list, in ticks
// that are longer than the media's, ends before it.
func TestLastPicture(t *testing.T) {
	step := int64(13)
	if filmtest.Interpreted() {
		step = 13 * 23
	}
	for _, timescale := range []int64{600, 1000, 90000} {
		for _, edited := range []bool{false, true} {
			track := newMadeTrack("vide", 12288, 30, 511)
			track.sync = []int64{0, 10, 20}
			track.durations[29] = 0
			made := newMadeMovie(track)
			made.timescale = timescale
			if edited {
				track.edits = []madeEdit{{29 * 511 * timescale / 12288, 0, normalRate}}
			}
			k, err := newChecker(made.file(), rand.New(rand.NewSource(1)))
			if err != nil {
				t.Fatal(err)
			}
			for start := int64(0); start < 1200; start += step {
				_, err := k.check(msInterval{start, -1}, seekExact)
				if err != nil {
					t.Fatalf("timescale %d, from %d ms: %v", timescale, start, err)
				}
				c, err := k.movie.cutProgressive(msInterval{start, -1}, seekExact)
				if err != nil {
					t.Fatal(err)
				}
				_, answer, err := k.checkFile(c)
				if err != nil {
					t.Fatal(err)
				}
				a := answer.tracks[0]
				last := a.samples() - 1
				if a.sizes[last] != track.sizes[29] || a.durations[last] != 0 {
					t.Fatalf("timescale %d, from %d ms: the last picture is not kept", timescale, start)
				}
			}
		}
	}
}
