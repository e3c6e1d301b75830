package mp4

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"
)

// TestLengths adds up the sizes of groups of samples, of every width, and compares with sums of single ones.
func TestLengths(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for round := 0; round < rounds(300, 20); round++ {
		n := 1 + r.Int63n(90)
		track := &track{sizeBits: oneOf(r, 4, 8, 16, 32), sizes: make([]byte, 4*n)}
		r.Read(track.sizes)
		if r.Intn(4) == 0 {
			track.uniform = 1 + r.Int63n(9)
		}
		first := r.Int63n(n + 1)
		end := r.Int63n(n + 1)
		groups, want := []uint32{}, []int64{}
		at := first
		for i := r.Intn(20) + 1; i > 0; i-- {
			group, sum := r.Int63n(9), int64(0)
			for sample := at; sample < at+group && sample < end; sample++ {
				sum += track.size(sample)
			}
			groups = append(groups, uint32(group))
			want = append(want, sum)
			at += group
		}
		if got := track.lengths(first, end, groups); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("sizes of %d bits, %d each, of groups %v from %d to %d: %v, want %v", track.sizeBits, track.uniform, groups, first, end, got, want)
		}
	}
}

// TestCounts lists how many samples there are in each of some chunks, of runs of more entries than a piece has.
func TestCounts(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for _, runs := range []int{1, 2, 50, pieceLen - 1, pieceLen, pieceLen + 1, 2*pieceLen + 3} {
		var entries bytes.Buffer
		var want []uint32
		for i := 0; i < runs; i++ {
			perChunk := r.Int63n(5)
			entries.Write(u32(int64(len(want)+1), perChunk, 1)) // first_chunk, samples_per_chunk, sample_description_index
			for j := r.Intn(3); j >= 0; j-- {
				want = append(want, uint32(perChunk))
			}
		}
		table, err := newChunkRuns(entries.Bytes(), int64(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 9; i++ {
			number := r.Intn(runs)
			run := chunkRunAt(table, number)
			first := run.first + r.Int63n(run.end-run.first)
			last := first + r.Int63n(int64(len(want))-first)
			if got := table.counts(number, first, last); fmt.Sprint(got) != fmt.Sprint(want[first:last+1]) {
				t.Errorf("%d runs: chunks %d to %d hold %v, want %v", runs, first, last, got, want[first:last+1])
			}
		}
	}
}
