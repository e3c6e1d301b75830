package lanes

import (
	"encoding/binary"
	"errors"
	"math/big"
	"math/rand"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

// FuzzTables compares the bulk arithmetic with loops, on tables of any bytes.
func FuzzTables(f *testing.F) {
	f.Add(filmtest.Zip([]uint64{4, 6}, []uint64{10, 20}), uint32(4), uint64(25))
	f.Add(filmtest.Zip([]uint64{1, 4}, []uint64{3, 1}, []uint64{1, 1}), uint32(4), uint64(9))
	f.Add(filmtest.Zip([]uint64{0, 1<<32 - 1, 1 << 31, 1}), uint32(1<<31-1), uint64(1<<40))
	for seed := int64(0); seed < 8; seed++ {
		r := rand.New(rand.NewSource(seed))
		b, _ := pack(randomEntries(r, 3*fewRuns+r.Intn(50), uint64(1)<<uint(1+4*seed)), 4)
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
		if got := Sum32(data); got != sum {
			t.Errorf("sum %d, want %d", got, sum)
		}
		if len(data) > 0 && Ascending(data, 4) != ordered {
			t.Errorf("ascending: %v", !ordered)
		}
		fuzzRuns(t, columns[:len(columns)/2*2], at)
		fuzzChunks(t, columns[:len(columns)/3*3], int64(chunks), at)
	})
}

// fuzzRuns compares a table of pairs with what a loop makes of it.
func fuzzRuns(t *testing.T, numbers []uint64, at uint64) {
	entries := filmtest.Zip(numbers)
	var list []plainRun
	samples, ticks := new(big.Int), new(big.Int)
	for i := 0; i < len(numbers); i += 2 {
		count, value := int64(numbers[i]), int64(numbers[i+1])
		list = append(list, plainRun{samples.Int64(), count, ticks.Int64(), value})
		samples.Add(samples, big.NewInt(count))
		ticks.Add(ticks, new(big.Int).Mul(big.NewInt(count), big.NewInt(value)))
	}
	u, err := NewRuns(entries, true)
	if err != nil {
		if !errors.Is(err, ErrSum) {
			t.Errorf("the error is %v", err)
		}
		return
	}
	if LastTotal(u.Samples) != samples.Int64() || !ticks.IsInt64() || LastTotal(u.Ticks) != ticks.Int64() {
		t.Fatalf("%d samples, %d ticks, want %s, %s", LastTotal(u.Samples), LastTotal(u.Ticks), samples, ticks)
	}
	if LastTotal(u.Samples) == 0 {
		return
	}
	sample := int64(at % uint64(LastTotal(u.Samples)))
	found := FindRun(u, sample)
	e := list[found.Entry]
	if found.First != e.first || found.Count != e.count || found.Begins != e.begins || found.Value != e.value || sample < e.first || sample >= e.first+e.count {
		t.Errorf("sample %d is in %v, want %v", sample, found, e)
	}
	tick := int64(at % (uint64(ticks.Int64()) + 2))
	checkSampleAt(t, u, list, tick)
	for i, v := range ExpandRuns(u, sample, minInt64(300, LastTotal(u.Samples)-sample), false) {
		if v != FindRun(u, sample+int64(i)).Value {
			t.Fatalf("value of sample %d is %d, want %d", sample+int64(i), v, FindRun(u, sample+int64(i)).Value)
		}
	}
}

// fuzzChunks compares a sample-to-chunk table with what a loop makes of it.
func fuzzChunks(t *testing.T, numbers []uint64, chunks int64, at uint64) {
	entries := filmtest.Zip(numbers)
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
	u, err := NewChunkRuns(entries, chunks)
	if err != nil {
		if !errors.Is(err, ErrSum) && !errors.Is(err, ErrOrder) || ordered && samples.Cmp(big.NewInt(1<<40)) < 0 && chunks < 1<<20 && len(numbers) <= 3 {
			t.Errorf("%d chunks, runs %v: %v", chunks, numbers, err)
		}
		return
	}
	if !ordered || LastTotal(u.Samples) != samples.Int64() || !samples.IsInt64() {
		t.Fatalf("%d samples, in order: %v, want %s", LastTotal(u.Samples), ordered, samples)
	}
	if LastTotal(u.Samples) == 0 {
		return
	}
	sample := int64(at % uint64(LastTotal(u.Samples)))
	r, chunk, before := FindChunk(u, sample)
	if chunk < r.First || chunk >= r.End || before < 0 || before >= r.PerChunk {
		t.Errorf("sample %d is in chunk %d of %v with %d before it", sample, chunk, r, before)
	}
	first := int64(0)
	for i := 0; i < r.Number; i++ {
		run := ChunkRunAt(u, i)
		first += (run.End - run.First) * run.PerChunk
	}
	if first+(chunk-r.First)*r.PerChunk+before != sample {
		t.Errorf("sample %d is in chunk %d of %v with %d before it, which is %d", sample, chunk, r, before, first+(chunk-r.First)*r.PerChunk+before)
	}
}
