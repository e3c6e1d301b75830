package lanes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/rand"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

// Each function beside a loop that does the same entry by entry, over tables around the lengths at which
// the bulk arithmetic begins another block or piece.

// boundaries are lengths of tables around blocks and pieces.
var boundaries = []int{1, 2, 3, 63, 64, 65, BlockLen - 1, BlockLen, BlockLen + 1, fewRuns - 1, fewRuns, fewRuns + 1, fewRuns + runStride, fewRuns + runStride + 1, 2*fewRuns - 1,
	PieceLen - 1, PieceLen, PieceLen + 1, 2*PieceLen - 1, 2 * PieceLen, 2*PieceLen + 1}

// extremes are values at which something could run over.
var extremes = []uint64{0, 1, 2, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 2, 1<<32 - 1}

// randomEntries are n numbers below limit, some of them extreme.
func randomEntries(r *rand.Rand, n int, limit uint64) []uint64 {
	values := make([]uint64, n)
	for i := range values {
		values[i] = uint64(r.Int63()) % limit
		if r.Intn(4) == 0 {
			values[i] = extremes[r.Intn(len(extremes))] % limit
		}
	}
	return values
}

// pack writes numbers of so many bytes, and their lanes as one number.
func pack(values []uint64, width int) ([]byte, *big.Int) {
	var b []byte
	for _, v := range values {
		for i := 16 - width; i < 16; i++ {
			c := byte(0)
			if i >= 8 {
				c = byte(v >> (8 * uint(15-i)))
			}
			b = append(b, c)
		}
	}
	return b, new(big.Int).SetBytes(b)
}

func TestEntries(t *testing.T) {
	for _, width := range []int{4, 8, 12, 16} {
		b := EntryOf(width, 0x0102030405060708)
		want := binary.BigEndian.AppendUint64(nil, 0x0102030405060708)[8-minInt(width, 8):]
		if len(b) != width || !bytes.Equal(b[width-len(want):], want) {
			t.Errorf("entry of %d bytes: % x", width, b)
		}
		for _, n := range []int{0, 1, 2, 5} {
			if pattern(b, n).Cmp(new(big.Int).SetBytes(bytes.Repeat(b, n))) != 0 {
				t.Errorf("pattern of %d entries of %d bytes", n, width)
			}
		}
	}
}

func TestOrLanes(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for _, n := range boundaries {
		for _, width := range []int{8, 12} {
			values := randomEntries(r, n, 1<<32)
			if n > 4 { // bits that one entry alone has are easy to miss
				values = make([]uint64, n)
				values[r.Intn(n)] = uint64(1) << uint(r.Intn(32))
				values[0] = 1
			}
			want := uint64(0)
			for _, v := range values {
				want |= v
			}
			_, x := pack(values, width)
			got := orLanes(newScratch(), x, uint(width*8), n)
			if got != want {
				t.Errorf("%d lanes of %d bytes: %x, want %x", n, width, got, want)
			}
		}
	}
}

func TestMulLanes(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for _, n := range []int{1, 2, BlockLen, BlockLen + 1, PieceLen} {
		for _, width := range []int{8, 12} {
			a, b, products := randomEntries(r, n, 1<<32), randomEntries(r, n, 1<<32), make([]uint64, n)
			for i := range a {
				products[i] = a[i] * b[i]
			}
			_, x := pack(a, width)
			_, y := pack(b, width)
			_, want := pack(products, width)
			z := new(big.Int)
			s := newScratch()
			setPatterns(s, width, n)
			mulLanes(s, z, x, y, 32, uint(width*8))
			if z.Cmp(want) != 0 {
				t.Errorf("products of %d lanes of %d bytes differ", n, width)
			}
		}
	}
}

func TestRunningTotals(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	for _, n := range boundaries {
		for _, width := range []int{8, 12} {
			values := randomEntries(r, n, 1<<46)
			before := make([]uint64, n)
			total := uint64(0)
			for i, v := range values {
				before[i] = total
				total += v
			}
			_, x := pack(values, width)
			_, want := pack(before, width)
			q := new(big.Int)
			got := runningTotals(q, x, width)
			if uint64(got) != total || q.Cmp(want) != 0 {
				t.Errorf("%d lanes of %d bytes add up to %d, want %d, running totals equal: %v", n, width, got, total, q.Cmp(want) == 0)
			}
		}
	}
}

func TestListSteps(t *testing.T) {
	for _, n := range boundaries {
		for _, first := range []int64{0, 1, 1 << 59} {
			for _, step := range []int64{0, 1, 1<<32 - 1} {
				got := ListSteps(first, step, n)
				for i, v := range got {
					if v != first+int64(i)*step {
						t.Fatalf("%d steps of %d from %d: number %d is %d", n, step, first, i, v)
					}
				}
				if len(got) != n {
					t.Errorf("%d numbers, want %d", len(got), n)
				}
			}
		}
	}
}

// totalsOf makes running totals of numbers.
func totalsOf(sums []int64) []float64 {
	totals := make([]float64, len(sums))
	Decode(Encode(sums, 8*len(sums)), totals)
	return totals
}

func TestAppendTotals(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for _, n := range boundaries {
		for _, width := range []int{8, 12} {
			stride := runStride
			if width == ChunkRunLen {
				stride = chunkStride
			}
			values := randomEntries(r, n, 1<<46)
			want := []int64{3, 12345}
			total := want[1]
			for i, v := range values {
				total += int64(v)
				if (i+1)%stride == 0 || i+1 == n {
					want = append(want, total)
				}
			}
			if n > PieceLen {
				continue // more are never added up at once
			}
			_, x := pack(values, width)
			got, err := appendTotals(newScratch(), totalsOf([]int64{3, 12345}), x, width, n, stride)
			same := len(got) == len(want)
			for i := 0; same && i < len(got); i++ {
				same = got[i] == totalOf(want[i])
			}
			if err != nil || !same {
				t.Errorf("%d lanes of %d bytes: %v, %v, want %v", n, width, got, err, want)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		before int64
		values []uint64
		ok     bool
	}{
		{"up to the limit", 0, []uint64{1 << 59, 1 << 59}, true},
		{"up to the limit with what came before", 1 << 59, []uint64{1 << 59}, true},
		{"one more", 0, []uint64{1 << 59, 1 << 59, 1}, false},
		{"one more with what came before", 1, []uint64{1 << 60}, false},
		{"a sum of 63 bits", 0, []uint64{1 << 61, 1 << 62}, false},
		{"the most", 0, []uint64{1<<64 - 2}, false},
	} {
		_, x := pack(tt.values, 8)
		_, err := appendTotals(newScratch(), totalsOf([]int64{tt.before}), x, 8, len(tt.values), runStride)
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, ErrSum) && !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Sums up to the most that a lane can tell from nothing.
func TestRunningTotalsLimit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []uint64
		want   uint64
	}{
		{"up to the limit", []uint64{1 << 59, 1 << 59}, 1 << 60},
		{"a sum of 63 bits", []uint64{1 << 61, 1 << 62}, 3 << 61},
		{"the most", []uint64{1<<64 - 3, 1}, 1<<64 - 2},
	} {
		_, x := pack(tt.values, 8)
		got := runningTotals(new(big.Int), x, 8)
		if uint64(got) != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, uint64(got), tt.want)
		}
	}
}

func TestSum32(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	for _, n := range append([]int{0}, boundaries...) {
		values := randomEntries(r, n, 1<<32)
		most := make([]uint64, n)
		for i := range most {
			most[i] = 1<<32 - 1
		}
		for _, list := range [][]uint64{values, most} {
			want := int64(0)
			for _, v := range list {
				want += int64(v)
			}
			b, _ := pack(list, 4)
			if got := Sum32(b); got != want {
				t.Errorf("%d entries: %d, want %d", n, got, want)
			}
		}
	}
}

// TestAscending puts one descent at every place near a boundary, or none.
func TestAscending(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for _, width := range []int{4, 8} {
		top := uint64(1<<32 - 1)
		if width == 8 {
			top = 1<<64 - 1
		}
		for _, n := range append([]int{0}, boundaries...) {
			values := make([]uint64, n)
			at := uint64(0)
			for i := range values {
				values[i] = at
				at += uint64(r.Intn(3))
			}
			if n > 2 {
				values[n-1] = top
				values[n-2] = top - 1
			}
			b, _ := pack(values, width)
			if !Ascending(b, width) {
				t.Errorf("%d ascending entries of %d bytes are said not to be", n, width)
			}
			for _, i := range []int{0, 1, n/2 - 1, n - 2, PieceLen - 2, PieceLen - 1, PieceLen, 2*PieceLen - 1, 2 * PieceLen} {
				if i < 0 || i+1 >= n {
					continue
				}
				for _, v := range []uint64{values[i+1] + 1, top} {
					if v <= values[i+1] || v > top {
						continue
					}
					b, _ = pack(values, width)
					copy(b[i*width:], binary.BigEndian.AppendUint64(nil, v)[8-width:])
					if Ascending(b, width) {
						t.Errorf("%d entries of %d bytes are said to ascend, but entry %d is %d, and then comes %d", n, width, i, v, values[i+1])
					}
				}
			}
		}
	}
}

func TestNotLess(t *testing.T) {
	r := rand.New(rand.NewSource(6))
	for i := 0; i < filmtest.Rounds(3000, 200); i++ {
		n := 1 + r.Intn(5)
		a, b := randomEntries(r, n, 1<<32), randomEntries(r, n, 1<<32)
		want := true
		for j := range a {
			if r.Intn(2) == 0 {
				b[j] = a[j]
			}
			if r.Intn(4) == 0 {
				b[j] = a[j] + 1
			}
			want = want && b[j] >= a[j]
		}
		_, x := pack(a, 8)
		_, y := pack(b, 8)
		if got := notLess(y, x, pattern(EntryOf(8, 1), n), new(big.Int)); got != want {
			t.Fatalf("%v at least %v: %v", b, a, got)
		}
	}
}

func TestIntervalOf(t *testing.T) {
	totals := []int64{0, 3, 3, 3, 7, 8, 8, 1<<52 - 1, 1 << 52, 1<<52 + 1, 1<<60 - 1, 1 << 60}
	for _, near := range totals {
		for at := near; at < near+5; at++ {
			want := len(totals) - 1
			for i := len(totals) - 2; i >= 0; i-- {
				if totals[i+1] > at {
					want = i
				}
			}
			if got := intervalOf(totalsOf(totals), at); got != want {
				t.Errorf("%d is in interval %d, want %d", at, got, want)
			}
		}
	}
}

// plainRun is a run of a table, with what comes before it.
type plainRun struct{ first, count, begins, value int64 }

// listRuns reads pairs one by one.
func listRuns(counts, values []uint64) ([]plainRun, int64, int64) {
	var list []plainRun
	samples, ticks := int64(0), int64(0)
	for i := range counts {
		count, value := int64(counts[i]), int64(values[i])
		list = append(list, plainRun{samples, count, ticks, value})
		samples += count
		ticks += count * value
	}
	return list, samples, ticks
}

// nearby are numbers around the ones that matter: the first and last samples or ticks of runs beside boundaries.
func nearby(r *rand.Rand, list []plainRun, ticks bool, total int64) []int64 {
	var out []int64
	add := func(v int64) {
		for d := int64(-1); d <= 1; d++ {
			if v+d >= 0 && (ticks || v+d < total) {
				out = append(out, v+d)
			}
		}
	}
	for _, i := range []int{0, 1, runStride - 1, runStride, fewRuns, PieceLen - 1, PieceLen, PieceLen + 1, len(list) - 2, len(list) - 1, r.Intn(len(list))} {
		if i >= 0 && i < len(list) {
			if ticks {
				add(list[i].begins)
			} else {
				add(list[i].first)
			}
		}
	}
	add(total)
	return out
}

// TestRuns looks up samples and ticks in tables of runs.
func TestRuns(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for round, n := range append(boundaries, boundaries...) {
		counts, values := make([]uint64, n), make([]uint64, n)
		for i := range counts {
			counts[i] = uint64(r.Intn(4))
			values[i] = uint64(r.Intn(3000))
			if round >= len(boundaries) { // no more than a few large ones
				counts[i] = 1
				values[i] = uint64(r.Intn(2))
			}
			if r.Intn(50) == 0 {
				values[i] = extremes[r.Intn(len(extremes))]
			} else if r.Intn(50) == 0 {
				counts[i] = uint64(1) << uint(r.Intn(16))
			}
		}
		counts[n-1]++
		if values[n-1] == 0 {
			values[n-1] = 1
		}
		list, samples, ticks := listRuns(counts, values)
		u, err := NewRuns(filmtest.Zip(counts, values), true)
		if err != nil {
			t.Fatalf("%d runs: %v", n, err)
		}
		any := uint64(0)
		for _, v := range values {
			any |= v
		}
		if LastTotal(u.Samples) != samples || LastTotal(u.Ticks) != ticks || u.Any != any {
			t.Fatalf("%d runs have %d samples, %d ticks, bits %x; want %d, %d, %x", n, LastTotal(u.Samples), LastTotal(u.Ticks), u.Any, samples, ticks, any)
		}
		for _, sample := range nearby(r, list, false, samples) {
			i := 0
			for list[i].first+list[i].count <= sample {
				i++
			}
			want := Run{Entry: i, First: list[i].first, Count: list[i].count, Begins: list[i].begins, Value: list[i].value}
			got := FindRun(u, sample)
			if *got != want || TickIn(got, sample) != want.Begins+(sample-want.First)*want.Value {
				t.Fatalf("%d runs: sample %d is in %v, want %v", n, sample, got, want)
			}
		}
		for _, tick := range nearby(r, list, true, ticks) {
			checkSampleAt(t, u, list, tick)
		}
	}
}

// checkSampleAt compares with the last sample that begins at or before tick.
func checkSampleAt(t *testing.T, u *Runs, list []plainRun, tick int64) {
	t.Helper()
	sample, begins := int64(0), int64(0)
	for _, e := range list {
		if e.count == 0 || e.begins > tick {
			continue
		}
		k := e.count - 1
		if e.value > 0 && (tick-e.begins)/e.value < k {
			k = (tick - e.begins) / e.value
		}
		sample, begins = e.first+k, e.begins+k*e.value
	}
	got, at := SampleAtTick(u, tick)
	if got != sample || at != begins {
		t.Fatalf("%d runs: at tick %d sample %d that begins at %d, want %d at %d", len(list), tick, got, at, sample, begins)
	}
}

func TestExpand(t *testing.T) {
	r := rand.New(rand.NewSource(8))
	for _, n := range []int{1, 2, fewRuns - 1, fewRuns, fewRuns + 1, fewRuns + runStride + 1, PieceLen + 1} {
		counts, values := make([]uint64, n), randomEntries(r, n, 1<<32)
		for i := range counts {
			counts[i] = uint64(r.Intn(3))
		}
		counts[0]++
		list, samples, _ := listRuns(counts, values)
		u, err := NewRuns(filmtest.Zip(counts, values), false)
		if err != nil {
			t.Fatal(err)
		}
		var all []int64
		for _, e := range list {
			for i := int64(0); i < e.count; i++ {
				all = append(all, e.value)
			}
		}
		all = append(all, make([]int64, 2*fewRuns+4)...) // beyond the table all are 0
		for _, first := range nearby(r, list, false, samples+2) {
			for _, length := range []int64{0, 1, 2, fewRuns, 2*fewRuns + 1} {
				got, signed := ExpandRuns(u, first, length, false), ExpandRuns(u, first, length, true)
				for i := range got {
					want := all[first+int64(i)]
					if got[i] != want || signed[i] != int64(int32(want)) {
						t.Fatalf("%d runs: value of sample %d is %d or %d, want %d", n, first+int64(i), got[i], signed[i], want)
					}
				}
				if int64(len(got)) != length {
					t.Fatalf("%d values, want %d", len(got), length)
				}
			}
		}
	}
}

// TestRunsOverflow has tables whose sums no player could hold. None must come out as a small number.
func TestRunsOverflow(t *testing.T) {
	most := uint64(1<<32 - 1)
	fill := func(n int, v uint64) []uint64 {
		values := make([]uint64, n)
		for i := range values {
			values[i] = v
		}
		return values
	}
	for _, tt := range []struct {
		name           string
		counts, values []uint64
		timed, ok      bool
	}{
		{"one run of the most samples of a tick", []uint64{most}, []uint64{1}, true, true},
		{"one sample of the longest duration", []uint64{1}, []uint64{most}, true, true},
		{"runs of the most samples", fill(PieceLen+1, most), fill(PieceLen+1, 0), false, true},
		{"the same with times of 0", fill(PieceLen+1, most), fill(PieceLen+1, 0), true, true},
		{"samples of the longest duration", fill(PieceLen+1, 1), fill(PieceLen+1, most), true, true},
		{"the most of both", []uint64{most}, []uint64{most}, true, false},
		{"the most of both in the second piece", append(fill(PieceLen, 1), most), append(fill(PieceLen, 1), most), true, false},
		{"the most of both, all over", fill(2*PieceLen, most), fill(2*PieceLen, most), true, false},
		{"offsets of any value", fill(BlockLen+1, 3), fill(BlockLen+1, most), false, true},
	} {
		u, err := NewRuns(filmtest.Zip(tt.counts, tt.values), tt.timed)
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, ErrSum) && !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err == nil {
			_, samples, ticks := listRuns(tt.counts, tt.values)
			if LastTotal(u.Samples) != samples || tt.timed && LastTotal(u.Ticks) != ticks {
				t.Errorf("%s: %d samples, want %d, %d ticks", tt.name, LastTotal(u.Samples), samples, ticks)
			}
		}
	}
}

// TestRandomRuns has counts and values of any size: either the sums are right, or there is an error.
func TestRandomRuns(t *testing.T) {
	r := rand.New(rand.NewSource(9))
	refused := 0
	for i := 0; i < filmtest.Rounds(4000, 200); i++ {
		n := 1 + r.Intn(6)
		counts, values := randomEntries(r, n, uint64(1)<<uint(1+r.Intn(32))), randomEntries(r, n, uint64(1)<<uint(1+r.Intn(32)))
		u, err := NewRuns(filmtest.Zip(counts, values), true)
		samples, ticks := new(big.Int), new(big.Int)
		low, high := uint64(0), uint64(0)
		for j := range counts {
			c, v := new(big.Int).SetUint64(counts[j]), new(big.Int).SetUint64(values[j])
			samples.Add(samples, c)
			ticks.Add(ticks, c.Mul(c, v))
			low, high = low|counts[j], high|values[j]
		}
		if err != nil {
			refused++
			if low < 1<<28 && high < 1<<24 && ticks.Cmp(big.NewInt(MaxSum)) <= 0 { // as in any file that plays
				t.Fatalf("counts %v, values %v: %v", counts, values, err)
			}
			continue
		}
		if LastTotal(u.Samples) != samples.Int64() || !ticks.IsInt64() || LastTotal(u.Ticks) != ticks.Int64() {
			t.Fatalf("counts %v, values %v: %d samples, %d ticks, want %s, %s", counts, values, LastTotal(u.Samples), LastTotal(u.Ticks), samples, ticks)
		}
	}
	if refused == 0 {
		t.Error("no table was refused")
	}
}

// TestChunkRuns looks up samples in sample-to-chunk tables.
func TestChunkRuns(t *testing.T) {
	r := rand.New(rand.NewSource(10))
	for _, n := range boundaries {
		first, perChunk, description := make([]uint64, n), make([]uint64, n), make([]uint64, n)
		chunks := uint64(0)
		for i := range first {
			first[i] = chunks + 1
			chunks += 1 + uint64(r.Intn(3))
			perChunk[i] = uint64(r.Intn(4))
			description[i] = extremes[r.Intn(len(extremes))]
			if r.Intn(60) == 0 {
				chunks += uint64(1) << uint(r.Intn(12))
			}
			if r.Intn(60) == 0 {
				perChunk[i] = uint64(1) << uint(r.Intn(20))
			}
		}
		perChunk[n-1]++
		u, err := NewChunkRuns(filmtest.Zip(first, perChunk, description), int64(chunks))
		if err != nil {
			t.Fatalf("%d runs: %v", n, err)
		}
		var list []plainRun // of samples; a chunk is a tick
		samples := int64(0)
		for i := range first {
			end := chunks + 1
			if i+1 < n {
				end = first[i+1]
			}
			count := int64(end-first[i]) * int64(perChunk[i])
			list = append(list, plainRun{samples, count, int64(first[i]) - 1, int64(end) - 1})
			samples += count
		}
		if LastTotal(u.Samples) != samples {
			t.Fatalf("%d runs have %d samples, want %d", n, LastTotal(u.Samples), samples)
		}
		for _, sample := range nearby(r, list, false, samples) {
			i := 0
			for list[i].first+list[i].count <= sample {
				i++
			}
			e := list[i]
			per := int64(perChunk[i])
			want := ChunkRun{Number: i, First: e.begins, End: e.value, PerChunk: per, Description: uint32(description[i])}
			got, chunk, before := FindChunk(u, sample)
			if got != want || chunk != e.begins+(sample-e.first)/per || before != (sample-e.first)%per {
				t.Fatalf("%d runs: sample %d is in chunk %d of %v with %d before it; want %v", n, sample, chunk, got, before, want)
			}
		}
	}
}

// TestChunkRunsRefused has tables that are out of order, at every boundary.
func TestChunkRunsRefused(t *testing.T) {
	make3 := func(n int) [][]uint64 {
		columns := [][]uint64{make([]uint64, n), make([]uint64, n), make([]uint64, n)}
		for i := 0; i < n; i++ {
			columns[0][i], columns[1][i], columns[2][i] = uint64(i+1), 2, 1
		}
		return columns
	}
	refused := func(name string, columns [][]uint64, chunks int64) {
		_, err := NewChunkRuns(filmtest.Zip(columns...), chunks)
		if !errors.Is(err, ErrSum) && !errors.Is(err, ErrOrder) {
			t.Errorf("%s, %d runs, %d chunks: %v", name, len(columns[0]), chunks, err)
		}
	}
	for _, n := range boundaries {
		columns := make3(n)
		if _, err := NewChunkRuns(filmtest.Zip(columns...), int64(n)); err != nil {
			t.Errorf("%d runs: %v", n, err)
		}
		refused("a run beyond the last chunk", columns, int64(n)-1)
		for _, i := range []int{1, 2, runStride, fewRuns, PieceLen - 1, PieceLen, PieceLen + 1, n - 1} {
			if i < 1 || i >= n {
				continue
			}
			for _, v := range []uint64{0, columns[0][i] - 1, uint64(n) + 1, 1 << 31, 1<<32 - 1} {
				columns[0][i] = v
				refused("a run that does not begin after the one before", columns, int64(n))
				columns[0][i] = uint64(i + 1)
			}
		}
		columns[0][0] = 0
		refused("a first run that begins before the first chunk", columns, int64(n))
		columns[0][0] = 2
		refused("a first run that begins after the first chunk", columns, int64(n)+5)
	}
	refused("no run", [][]uint64{nil, nil, nil}, 1)
	refused("more chunks than any file has", make3(1), 1<<31)
	columns := make3(2)
	columns[0][1] = 1 << 30
	columns[1][0], columns[1][1] = 1<<32-1, 1<<32-1
	refused("more samples than any file has", columns, 1<<31-1)
}

// TestChunkCounts lists how many samples there are in each of some chunks, of runs of more entries than a piece has.
func TestChunkCounts(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for _, runs := range []int{1, 2, 50, PieceLen - 1, PieceLen, PieceLen + 1, 2*PieceLen + 3} {
		var entries bytes.Buffer
		var want []uint32
		for i := 0; i < runs; i++ {
			perChunk := r.Int63n(5)
			entries.Write(filmtest.Zip([]uint64{uint64(len(want) + 1)}, []uint64{uint64(perChunk)}, []uint64{1})) // first_chunk, samples_per_chunk, sample_description_index
			for j := r.Intn(3); j >= 0; j-- {
				want = append(want, uint32(perChunk))
			}
		}
		table, err := NewChunkRuns(entries.Bytes(), int64(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < 9; i++ {
			number := r.Intn(runs)
			run := ChunkRunAt(table, number)
			first := run.First + r.Int63n(run.End-run.First)
			last := first + r.Int63n(int64(len(want))-first)
			if got := ChunkCounts(table, number, first, last); fmt.Sprint(got) != fmt.Sprint(want[first:last+1]) {
				t.Errorf("%d runs: chunks %d to %d hold %v, want %v", runs, first, last, got, want[first:last+1])
			}
		}
	}
}

// plainChange is a change, entry by entry.
func plainChange(data []byte, c *Change) []byte {
	var out []byte
	for len(data) > 0 {
		entry := data[:c.Width]
		data = data[c.Width:]
		if c.Grow {
			out = binary.BigEndian.AppendUint64(out, uint64(int64(binary.BigEndian.Uint32(entry))+c.Add))
			continue
		}
		front, number, behind := []byte(nil), entry[:c.Width-c.Behind], entry[c.Width-c.Behind:]
		mul := int64(1)
		if c.Low {
			front = number[:len(number)-4]
			number = number[len(number)-4:]
			mul = c.Mul
		}
		x := new(big.Int).SetBytes(number)
		x.Mul(x, big.NewInt(mul))
		x.Add(x, big.NewInt(c.Add))
		x.Mod(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(number))))
		out = append(out, front...)
		out = append(out, x.FillBytes(make([]byte, len(number)))...)
		out = append(out, behind...)
	}
	return out
}

// changing is a table and what is done to it.
type changing struct {
	data   []byte
	change *Change
}

// changes are what the engine does to tables, with entries that they are done to.
func changes(r *rand.Rand, n int) map[string]changing {
	low, _ := pack(randomEntries(r, n, 1<<31), 4)
	wide, _ := pack(randomEntries(r, n, 1<<60), 8)
	high := randomEntries(r, n, 1<<31)
	for i := range high {
		high[i] += 1 << 31
	}
	above, _ := pack(high, 4)
	times := filmtest.Zip(randomEntries(r, n, 1<<32), randomEntries(r, n, 1<<20))
	signed := randomEntries(r, n, 1<<20)
	for i := range signed {
		signed[i] = uint64(uint32(int32(signed[i]) - 1<<19))
	}
	offsets := filmtest.Zip(randomEntries(r, n, 1<<32), signed)
	runs := filmtest.Zip(high, randomEntries(r, n, 1<<32), randomEntries(r, n, 1<<32))
	return map[string]changing{
		"stco moved up":        {data: low, change: &Change{Width: 4, Add: 1 << 31}},
		"stco moved down":      {data: above, change: &Change{Width: 4, Add: -1 << 31}},
		"stco not moved":       {data: low, change: &Change{Width: 4}},
		"co64 moved up":        {data: wide, change: &Change{Width: 8, Add: 1 << 40}},
		"stco grown up":        {data: low, change: &Change{Width: 4, Add: 1 << 33, Grow: true}},
		"stco grown down":      {data: above, change: &Change{Width: 4, Add: -1 << 31, Grow: true}},
		"stss":                 {data: above, change: &Change{Width: 4, Add: 7 - 1<<31}},
		"stsc":                 {data: runs, change: &Change{Width: ChunkRunLen, Behind: 8, Add: -1 << 31}},
		"stts scaled":          {data: times, change: &Change{Width: PairLen, Low: true, Mul: 4095}},
		"ctts raised":          {data: offsets, change: &Change{Width: PairLen, Low: true, Mul: 1, Add: 1 << 19}},
		"ctts lowered, scaled": {data: offsets, change: &Change{Width: PairLen, Low: true, Mul: 5, Add: -1 << 19}},
		"ctts raised, scaled":  {data: offsets, change: &Change{Width: PairLen, Low: true, Mul: 12, Add: 12 << 19}},
	}
}

// TestWriteEntries writes changed tables whole and in any two halves around boundaries.
func TestWriteEntries(t *testing.T) {
	r := rand.New(rand.NewSource(11))
	lengths := []int{1, 2, 3, changedLen/ChunkRunLen + 1, changedLen/8 - 1, changedLen / 8, changedLen/8 + 1, changedLen/4 + 1}
	if filmtest.Interpreted() {
		lengths = []int{1, 3, changedLen/4 + 1}
	}
	for _, n := range lengths {
		for name, p := range changes(r, n) {
			want := plainChange(p.data, p.change)
			width := int64(len(want) / n) // bytes
			block := int64(changedLen/p.change.Width) * width
			size := int64(len(want))
			for _, from := range []int64{0, 1, width - 1, width, width + 1, block - width, block - 1, block, block + 1, size - 1} {
				for _, to := range []int64{from, from + 1, from + width, block - 1, block, block + 1, block + width, 2*block + 1, size - 1, size} {
					if from < 0 || from > to || to > size {
						continue
					}
					var out bytes.Buffer
					err := WriteEntries(p.data, p.change, &out, from, to)
					if err != nil || !bytes.Equal(out.Bytes(), want[from:to]) {
						t.Errorf("%s, %d entries, bytes [%d, %d): %v, or other bytes", name, n, from, to, err)
					}
				}
			}
		}
	}
}

// TestWriteEntriesEveryRange writes every range of a short table.
func TestWriteEntriesEveryRange(t *testing.T) {
	r := rand.New(rand.NewSource(12))
	for name, p := range changes(r, 5) {
		want := plainChange(p.data, p.change)
		for from := 0; from <= len(want); from++ {
			for to := from; to <= len(want); to++ {
				var out bytes.Buffer
				err := WriteEntries(p.data, p.change, &out, int64(from), int64(to))
				if err != nil || !bytes.Equal(out.Bytes(), want[from:to]) {
					t.Fatalf("%s, bytes [%d, %d): % x, want % x, %v", name, from, to, out.Bytes(), want[from:to], err)
				}
			}
		}
	}
}

// brokenWriter fails at once.
type brokenWriter struct{}

var errWrite = errors.New("nobody there")

func (brokenWriter) Write([]byte) (int, error) { return 0, errWrite }

// TestWriteEntriesFails wants the writer's own error, whatever is written.
func TestWriteEntriesFails(t *testing.T) {
	r := rand.New(rand.NewSource(13))
	for name, p := range changes(r, 3) {
		err := WriteEntries(p.data, p.change, brokenWriter{}, 0, int64(len(p.data)))
		if !errors.Is(err, errWrite) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
