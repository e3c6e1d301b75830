package mp4

import (
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

// FuzzMovie cuts anything that a file may be, in every mode: no panic, bounded time and memory, and no answer that
// contradicts itself. The file ends with the data, or with a terabyte of zeros behind it.
func FuzzMovie(f *testing.F) {
	f.Add(smallMovie(nil), false)
	for seed := int64(0); seed < 100; seed++ {
		r := rand.New(rand.NewSource(seed))
		data := randomMovie(r).file()
		if len(data) < 8<<10 { // long ones take long to vary
			f.Add(data, seed%2 == 0)
		}
	}
	for _, m := range boundaryMovies() {
		f.Add(m.file(), false)
	}
	films, err := filepath.Glob(filepath.Join("testdata", "*.mp4"))
	if err != nil || len(films) == 0 {
		f.Fatalf("no films in testdata: %v", err)
	}
	for _, name := range films {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		m, err := findMovie(&memorySource{data: data}, testMoov)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(append([]byte{}, m.ftyp...), m.moov.data...), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, long bool) {
		src := &memorySource{data: data}
		if long {
			src.length = maxInt64(1<<40, int64(len(data)))
		}
		surviveSource(t, "fuzzed", src)
	})
}
