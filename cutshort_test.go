package mp4

import (
	"errors"
	"math/rand"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

// TestCutShort cuts random movies whose file ends somewhere in the media: each track ends before its first sample that
// is not wholly there, and all else is as ever.
func TestCutShort(t *testing.T) {
	movies, answered, refused := filmtest.Rounds(600, 20), 0, 0
	for seed := 0; seed < movies; seed++ {
		r := rand.New(rand.NewSource(int64(seed)))
		m := randomMovie(r)
		m.moovLast = false
		k := cutShort(t, m, r)
		for i := 0; k != nil && i < 5; i++ {
			iv := randomInterval(r, m.milliseconds())
			ok, err := k.check(iv, modes[r.Intn(len(modes))])
			if err != nil {
				t.Errorf("movie %d from %d to %d ms: %v", seed, iv.start, iv.end, err)
			}
			if ok {
				answered++
			} else {
				refused++
			}
		}
	}
	if answered < movies || refused < movies/4 {
		t.Errorf("%d movies had %d answers and %d refusals", movies, answered, refused)
	}
}

// cutShort makes the file, less some of its end, and says what is left of each track. It returns nil where chunks of a
// track are out of order: nothing is left out of those.
func cutShort(t *testing.T, m *madeMovie, r *rand.Rand) *checker {
	t.Helper()
	whole := m.file()
	k, err := newChecker(whole, r)
	if err != nil {
		t.Fatal(err)
	}
	first := int64(len(whole))
	for _, track := range k.plain.tracks {
		for _, at := range track.at {
			first = minInt64(first, at)
		}
	}
	for _, track := range k.movie.tracks {
		if !track.ordered {
			return nil
		}
	}
	k.data = whole[:first+r.Int63n(int64(len(whole))-first)]
	k.movie, err = findMovie(&memorySource{data: k.data}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	tracks := k.plain.tracks
	k.plain.tracks = nil
	for i, track := range tracks {
		had := track.samples()
		track.endAt(int64(len(k.data)))
		left := int64(track.samples())
		if k.movie.tracks[i].samples != left || k.movie.tracks[i].missing != int64(had)-left {
			t.Fatalf("track %d: %d samples, want %d of %d", track.id, k.movie.tracks[i].samples, left, had)
		}
		k.short = k.short || left < int64(had)
		if left > 0 {
			k.plain.tracks = append(k.plain.tracks, track)
		}
	}
	return k
}

// TestCutShortEverywhere lets one movie's file end at every byte of its media.
func TestCutShortEverywhere(t *testing.T) {
	pictures := newMadeTrack("vide", 1000, 12, 100)
	pictures.sync = []int64{0, 6}
	pictures.sizes[5] = 0
	pictures.chunks = []madeChunk{{samples: 3, description: 1}, {samples: 2, description: 1}, {samples: 1, description: 1}, {samples: 6, description: 1}}
	data := newMadeMovie(pictures).file()
	whole, err := readPlain(data)
	if err != nil {
		t.Fatal(err)
	}
	all := whole.tracks[0]
	for size := all.at[0]; size <= int64(len(data)); size++ {
		left := 0
		for left < all.samples() && all.at[left]+all.sizes[left] <= size {
			left++
		}
		m, err := findMovie(&memorySource{data: data[:size]}, testMoov)
		if err != nil {
			t.Fatal(err)
		}
		for start := int64(50); start < 1300; start += 100 {
			c, err := m.cutProgressive(msInterval{start, -1}, seekSample)
			first := int(start / 100)
			switch {
			case first < left && (err != nil || c.length-c.segments[0].length != all.at[left-1]+all.sizes[left-1]-all.at[first]):
				t.Errorf("%d bytes, from %d ms on: samples %d to %d are not what is sent: %v", size, start, first, left, err)
			case first >= left && left < all.samples() && !errors.Is(err, errFormat):
				t.Errorf("%d bytes, from %d ms on, where nothing is: %v", size, start, err)
			case first >= all.samples() && left == all.samples() && !errors.Is(err, errPastEnd):
				t.Errorf("%d bytes, from %d ms on, past the end: %v", size, start, err)
			}
		}
	}
	hidden, err := findMovie(&memorySource{data: data[:all.at[6]], hidden: true}, testMoov)
	if err != nil || hidden.tracks[0].samples != 12 {
		t.Errorf("a file of unknown length: %v", err)
	}
}

// TestHalfACopy has a file whose length is an origin's word: half of it is not a shorter film, but what lies wholly in
// it can be cut.
func TestHalfACopy(t *testing.T) {
	data := newMadeMovie(newMadeTrack("vide", 1000, 12, 100)).file()
	m, err := findMovie(&memorySource{data: data[:len(data)-1], unsettled: true}, testMoov)
	if err != nil {
		t.Fatal(err)
	}
	for _, seek := range modes {
		_, err = m.cutProgressive(msInterval{100, -1}, seek)
		if !errors.Is(err, errFormat) {
			t.Errorf("%s: %v", seek, err)
		}
		_, err = m.cutProgressive(msInterval{100, 1000}, seek)
		if err != nil {
			t.Errorf("%s, of what is there: %v", seek, err)
		}
	}
}
