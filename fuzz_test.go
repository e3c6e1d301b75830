package mp4

import (
	"encoding/binary"
	"errors"
	"math/big"
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

// FuzzTables compares the bulk arithmetic with loops, on tables of any bytes.
func FuzzTables(f *testing.F) {
	f.Add(zip([]uint64{4, 6}, []uint64{10, 20}), uint32(4), uint64(25))
	f.Add(zip([]uint64{1, 4}, []uint64{3, 1}, []uint64{1, 1}), uint32(4), uint64(9))
	f.Add(u32(0, 1<<32-1, 1<<31, 1), uint32(1<<31-1), uint64(1<<40))
	for seed := int64(0); seed < 8; seed++ {
		r := rand.New(rand.NewSource(seed))
		b, _ := pack(randomEntries(r, 3*openLen+r.Intn(50), uint64(1)<<uint(1+4*seed)), 4)
		f.Add(b, uint32(r.Intn(1000)), uint64(r.Intn(1000)))
	}
	f.Fuzz(func(t *testing.T, data []byte, chunks uint32, at uint64) {
		if len(data) > 1<<16 {
			return
		}
		columns := make([]uint64, len(data)/4)
		sum, ordered := int64(0), true
		for i := range columns {
			columns[i] = uint64(binary.BigEndian.Uint32(data[4*i:]))
			sum += int64(columns[i])
			ordered = ordered && (i == 0 || columns[i-1] <= columns[i])
		}
		data = data[:len(columns)*4]
		if got := sum32(data); got != sum {
			t.Errorf("sum %d, want %d", got, sum)
		}
		if len(data) > 0 && ascending(data, 4) != ordered {
			t.Errorf("ascending: %v", !ordered)
		}
		fuzzRuns(t, columns[:len(columns)/2*2], at)
		fuzzChunks(t, columns[:len(columns)/3*3], int64(chunks), at)
	})
}

// fuzzRuns compares a table of pairs with what a loop makes of it.
func fuzzRuns(t *testing.T, numbers []uint64, at uint64) {
	entries := zip(numbers)
	var list []plainRun
	samples, ticks := new(big.Int), new(big.Int)
	for i := 0; i < len(numbers); i += 2 {
		count, value := int64(numbers[i]), int64(numbers[i+1])
		list = append(list, plainRun{samples.Int64(), count, ticks.Int64(), value})
		samples.Add(samples, big.NewInt(count))
		ticks.Add(ticks, new(big.Int).Mul(big.NewInt(count), big.NewInt(value)))
	}
	u, err := newRuns(entries, true)
	if err != nil {
		if !errors.Is(err, errFormat) {
			t.Errorf("the error is %v", err)
		}
		return
	}
	if lastTotal(u.samples) != samples.Int64() || !ticks.IsInt64() || lastTotal(u.ticks) != ticks.Int64() {
		t.Fatalf("%d samples, %d ticks, want %s, %s", lastTotal(u.samples), lastTotal(u.ticks), samples, ticks)
	}
	if lastTotal(u.samples) == 0 {
		return
	}
	sample := int64(at % uint64(lastTotal(u.samples)))
	found := findRun(u, sample)
	e := list[found.entry]
	if found.first != e.first || found.count != e.count || found.begins != e.begins || found.value != e.value || sample < e.first || sample >= e.first+e.count {
		t.Errorf("sample %d is in %v, want %v", sample, found, e)
	}
	tick := int64(at % (uint64(ticks.Int64()) + 2))
	checkSampleAt(t, u, list, tick)
	for i, v := range expandRuns(u, sample, minInt64(300, lastTotal(u.samples)-sample), false) {
		if v != findRun(u, sample+int64(i)).value {
			t.Fatalf("value of sample %d is %d, want %d", sample+int64(i), v, findRun(u, sample+int64(i)).value)
		}
	}
}

// fuzzChunks compares a sample-to-chunk table with what a loop makes of it.
func fuzzChunks(t *testing.T, numbers []uint64, chunks int64, at uint64) {
	entries := zip(numbers)
	ordered := len(numbers) > 0 && numbers[0] == 1 && chunks < 1<<31
	samples := new(big.Int)
	for i := 0; i < len(numbers); i += 3 {
		end := chunks + 1
		if i+3 < len(numbers) {
			end = int64(numbers[i+3])
		}
		ordered = ordered && end > int64(numbers[i])
		samples.Add(samples, new(big.Int).Mul(big.NewInt(end-int64(numbers[i])), big.NewInt(int64(numbers[i+1]))))
	}
	u, err := newChunkRuns(entries, chunks)
	if err != nil {
		if !errors.Is(err, errFormat) || ordered && samples.Cmp(big.NewInt(1<<40)) < 0 && chunks < 1<<20 && len(numbers) <= 3 {
			t.Errorf("%d chunks, runs %v: %v", chunks, numbers, err)
		}
		return
	}
	if !ordered || lastTotal(u.samples) != samples.Int64() || !samples.IsInt64() {
		t.Fatalf("%d samples, in order: %v, want %s", lastTotal(u.samples), ordered, samples)
	}
	if lastTotal(u.samples) == 0 {
		return
	}
	sample := int64(at % uint64(lastTotal(u.samples)))
	r, chunk, before := findChunk(u, sample)
	if chunk < r.first || chunk >= r.end || before < 0 || before >= r.perChunk {
		t.Errorf("sample %d is in chunk %d of %v with %d before it", sample, chunk, r, before)
	}
	first := int64(0)
	for i := 0; i < r.number; i++ {
		run := chunkRunAt(u, i)
		first += (run.end - run.first) * run.perChunk
	}
	if first+(chunk-r.first)*r.perChunk+before != sample {
		t.Errorf("sample %d is in chunk %d of %v with %d before it, which is %d", sample, chunk, r, before, first+(chunk-r.first)*r.perChunk+before)
	}
}
