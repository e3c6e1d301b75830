package mp4

import (
	"math/rand"
	"testing"
)

var modes = []string{seekExact, seekKeyframe, seekSample}

// TestRandomCuts cuts random movies at random places, in every mode, and checks all that must be true of an answer.
func TestRandomCuts(t *testing.T) {
	for _, seek := range modes {
		t.Run(seek, func(t *testing.T) {
			movies, answered := rounds(600, 20), 0
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
			if interpreted() {
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
		iv := interval{start, start + lasts}
		if lasts == 0 {
			iv.end = -1
		}
		if lasts < 0 || interpreted() && lasts%2 == 1 {
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
