package mp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"math/bits"
	"sync"
)

// Bulk arithmetic on packed big-endian tables.
//
// The interpreter needs 50 to 300 ns for a step that compiled code does in one: a loop over the 172,800 entries of a
// film's ctts takes tens of milliseconds. So a table is read as one long number. Its entries are lanes of that number,
// the first entry in the highest lane, and a call of math/big works on all of them at once: adding a constant to every
// entry is one addition, comparing each with its neighbor one subtraction, and adding the number to itself shifted by
// 1, 2, 4 … lanes sums up neighbors. What must not happen is that a lane runs over into the next; each function says
// why its lanes don't. Tables are worked on in pieces that stay in the processor's cache.
const (
	pieceLen = 8192              // entries in a piece
	openLen  = 512               // entries that a look-up takes apart, which divides pieceLen
	blockLen = 128               // entries in a block
	pairLen  = 8                 // stts, ctts, sbgp: sample_count(4) + value(4)
	stscLen  = 12                // first_chunk(4) + samples_per_chunk(4) + sample_description_index(4)
	lowHalf  = uint64(1)<<32 - 1 // the value of a pair, as a lane
	maxSum   = int64(1) << 60    // no time and no count is larger; leaves room for sums and differences in 64 bits
)

// scratch is what a table is calculated with. It is used again and again: the tables of a film of two hours take
// megabytes of such numbers, and memory that is touched for the first time costs more than what is done in it.
type scratch struct {
	x, counts, values, spare    *big.Int
	upper, lower, plane, factor *big.Int
	low, ones                   *big.Int // patterns for so many lanes of a width in bytes
	width, n                    int
	bytes                       []byte
}

var scratches sync.Pool

func newScratch() *scratch {
	s, ok := scratches.Get().(*scratch)
	if ok {
		return s
	}
	return &scratch{
		x: new(big.Int), counts: new(big.Int), values: new(big.Int), spare: new(big.Int),
		upper: new(big.Int), lower: new(big.Int), plane: new(big.Int), factor: new(big.Int),
		low: new(big.Int), ones: new(big.Int),
	}
}

// setPatterns sets low and ones to n lanes.
func setPatterns(s *scratch, width, n int) {
	if s.width != width || s.n != n {
		setPattern(s.low, entry64(width, lowHalf), n)
		setPattern(s.ones, entry64(width, 1), n)
		s.width = width
		s.n = n
	}
}

// takePairs sets x to the entries of a table of pairs, and counts to the first of each. The patterns have as many
// lanes.
func takePairs(s *scratch, entries []byte) {
	s.x.SetBytes(entries)
	s.counts.Rsh(s.x, 32)
	s.counts.And(s.counts, s.low)
}

// fillBytes returns the n bytes of x. They are overwritten by the next.
func fillBytes(s *scratch, x *big.Int, n int) []byte {
	if len(s.bytes) < n {
		s.bytes = make([]byte, n)
	}
	return x.FillBytes(s.bytes[:n])
}

// pattern returns n copies of entry as one number.
func pattern(entry []byte, n int) *big.Int { return setPattern(new(big.Int), entry, n) }

// setPattern sets x to it.
func setPattern(x *big.Int, entry []byte, n int) *big.Int {
	return x.SetBytes(bytes.Repeat(entry, n))
}

// entry64 returns the bytes of an entry of width bytes, 4 to 16, that holds v in its lowest ones.
func entry64(width int, v uint64) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint64(b[8:], v)
	return b[16-width:]
}

// orLanes returns the bits that any of the n lanes of x has set, in the lowest 64 bits of a lane: a bound on the
// largest of them, and less than twice as large. Halves are laid over each other until one lane is left. x is spent.
func orLanes(s *scratch, x *big.Int, width uint, n int) uint64 {
	upper, lower := s.upper, s.lower
	for n > 1 {
		n = (n + 1) / 2
		upper.Rsh(x, uint(n)*width)
		lower.Lsh(upper, uint(n)*width)
		lower.Xor(lower, x)
		x.Or(lower, upper)
	}
	return x.Uint64()
}

// mulLanes sets z to the products of the lanes of a and b, lane by lane: for each bit of b's lanes, the lanes of a
// where that bit is set, shifted by it. The patterns are set to as many lanes, planes is the number of bits in b's
// largest lane: tables with many entries have small counts. Each product must fit its lane of width bits.
func mulLanes(s *scratch, z, a, b *big.Int, planes int, width uint) {
	plane, lanes := s.plane, s.factor
	z.SetInt64(0)
	for k := 0; k < planes; k++ {
		plane.Rsh(b, uint(k))
		plane.And(plane, s.ones)
		lanes.Lsh(plane, width) // becomes all ones in every lane where the bit is set
		lanes.Sub(lanes, plane)
		lanes.And(lanes, a)
		lanes.Lsh(lanes, uint(k))
		z.Add(z, lanes)
	}
}

// runningTotals sets q to running totals of x, in each lane what the lanes before it add up to, and returns what all of
// them do. Long division by a lane of all ones is the addition: what remains after a lane is the total up to there,
// and, carried on, it is the next digit of the quotient as well. The total must be less than a lane of ones. Measured:
// 2.5 ns for a lane of 64 bits, against 80 ns entry by entry.
func runningTotals(q, x *big.Int, width int) int64 {
	ones := new(big.Int).SetBytes(bytes.Repeat([]byte{0xFF}, width))
	_, total := q.QuoRem(x, ones, new(big.Int))
	return total.Int64()
}

// appendTotals appends to totals the running total of x's n lanes after every openLen of them and after the last one,
// from the last one in totals on. x is spent.
func appendTotals(s *scratch, totals []int64, x *big.Int, width, n int) ([]int64, error) {
	all := runningTotals(x, x, width)
	base := lastTotal(totals)
	if all < 0 || all > maxSum-base {
		return nil, errOverflow
	}
	for i := openLen; i < n; i += openLen { // a shift costs half of what all bytes would
		s.upper.Rsh(x, uint((n-1-i)*width*8))
		totals = append(totals, base+int64(s.upper.Uint64()))
	}
	return append(totals, base+all), nil
}

// listTotals lists running totals of n lanes of 64 bits that start from base: one for each lane, and that of all. x is
// spent.
func listTotals(s *scratch, x *big.Int, base int64, n int) []int64 {
	start := big.NewInt(base) // one more lane in front
	x.Or(x, start.Lsh(start, uint(n)*64))
	total := runningTotals(x, x, 8)
	list := make([]int64, n+1)
	decode(fillBytes(s, x, n*8), list[:n])
	list[n] = total
	return list
}

// sum32 returns the sum of the 32-bit entries in b.
func sum32(b []byte) int64 {
	const few = 64 // entries that a loop sums up sooner
	if len(b) > few*4 {
		return sumPacked(b, 32)
	}
	sum := int64(0)
	u := make([]uint32, len(b)/4)
	decode(b, u)
	for _, v := range u {
		sum += int64(v)
	}
	return sum
}

// sumPacked returns the sum of the entries in b of 4, 8, 16 or 32 bits. In pieces, even and odd entries are added as
// lanes twice as wide, until these have 64 bits; what such a number leaves when divided by 2^64-1 is the sum of its
// lanes.
func sumPacked(b []byte, width uint) int64 {
	mod := new(big.Int).SetUint64(^uint64(0))
	x, odd := new(big.Int), new(big.Int)
	masks := make([]*big.Int, 0, 4)
	for w := width; w < 64; w *= 2 {
		mask := []byte{0x0F}
		if w > 4 {
			mask = entry64(16, uint64(1)<<w-1)[16-w/4:]
		}
		masks = append(masks, pattern(mask, minInt(len(b), pieceLen*4)/len(mask)+1))
	}
	sum := int64(0)
	for len(b) > 0 {
		n := minInt(len(b), pieceLen*4)
		x.SetBytes(b[:n])
		w := width
		for _, mask := range masks {
			odd.Rsh(x, w)
			odd.And(odd, mask)
			x.And(x, mask)
			x.Add(x, odd)
			w *= 2
		}
		sum += x.Mod(x, mod).Int64() // at most 4096 · (2^32-1)
		b = b[n:]
	}
	return sum
}

// ascending reports whether no entry of b, 4 or 8 bytes wide, is less than the one before it: 0.6 ms for 340,000.
func ascending(b []byte, width int) bool {
	const stride = 4 * pieceLen // entries at once: few steps are needed on each
	s := newScratch()
	defer scratches.Put(s)
	setPatterns(s, width, minInt(stride, len(b)/width))
	for len(b) > width {
		n := minInt(len(b)-width, stride*width)
		if !notLess(s.counts.SetBytes(b[width:width+n]), s.x.SetBytes(b[:n]), s.ones, s.spare) {
			return false
		}
		b = b[n:]
	}
	return true
}

// notLess reports whether every lane of y is at least that of x, given a 1 in every lane. Where a lane of x is greater,
// the subtraction borrows from the lane above, and its lowest bit is not what the lowest bits of x and y make. x and
// difference are spent.
func notLess(y, x, lowest, difference *big.Int) bool {
	difference.Sub(y, x)
	if difference.Sign() < 0 {
		return false
	}
	x.Xor(x, y)
	x.Xor(x, difference)
	return x.And(x, lowest).Sign() == 0
}

// decode reads the big-endian numbers in b into u, a slice of numbers: one compiled call for the whole table.
func decode(b []byte, u interface{}) {
	// The only error is too few bytes, and every caller makes u as long as b.
	_ = binary.Read(bytes.NewReader(b), binary.BigEndian, u)
}

// encode is decode the other way: the numbers in u, n bytes.
func encode(u interface{}, n int) []byte {
	b := bytes.NewBuffer(make([]byte, 0, n))
	_ = binary.Write(b, binary.BigEndian, u) // to memory: never fails
	return b.Bytes()
}

// lastTotal is the last of the running totals: what all of a table adds up to.
func lastTotal(totals []int64) int64 { return totals[len(totals)-1] }

// intervalOf returns between which two running totals at lies: the number of the last one before that is above it. Past
// the last total it is the number of intervals.
func intervalOf(totals []int64, at int64) int {
	low, high := 0, len(totals)-1
	for low < high {
		middle := (low + high) / 2
		if totals[middle+1] > at {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}

// runs is a table of pairs (sample_count, value), one for a run of samples: stts (8.6.1.2), ctts (8.6.1.3), sbgp
// (8.9.2). Running totals for every openLen entries say where a sample is to be found. What was looked into last stays
// open, since most look-ups of a cut are around its start.
type runs struct {
	entries []byte
	samples []int64 // samples before every openLen entries, and at the end all of them
	ticks   []int64 // sample_count · value likewise, where the values are durations; else nil
	any     uint64  // the bits that any value has set
	planes  int     // bits in the greatest count of a timed table
	tail    run     // the last entry: its samples are asked for in every cut

	mu   sync.Mutex
	last *openRuns
}

// openRuns are openLen entries of a table of runs, taken apart.
type openRuns struct {
	number  int
	entries []uint64 // count<<32 | value
	samples []int64  // before each entry, and behind the last one
	ticks   []int64  // likewise, of a timed table
}

// newRuns indexes a table. timed says that its values are durations to sum up as well.
func newRuns(entries []byte, timed bool) (*runs, error) {
	r := &runs{entries: entries, samples: []int64{0}}
	err := addUpRuns(r, timed)
	if err == nil && len(entries) > 0 {
		r.tail = lastRun(r)
	}
	return r, err
}

// lastRun is the last entry of a table that has one.
func lastRun(r *runs) run {
	v := binary.BigEndian.Uint64(r.entries[len(r.entries)-pairLen:])
	u := run{entry: len(r.entries)/pairLen - 1, count: int64(v >> 32), value: int64(v & lowHalf)}
	u.first = lastTotal(r.samples) - u.count
	if r.ticks != nil {
		u.begins = lastTotal(r.ticks) - u.count*u.value
	}
	return u
}

// addUpRuns makes the running totals.
func addUpRuns(r *runs, timed bool) error {
	entries := r.entries
	if len(entries) <= fewRuns*pairLen {
		return addUpFew(r, timed)
	}
	s := newScratch()
	defer scratches.Put(s)
	lanes := minInt(pieceLen, len(entries)/pairLen)
	setPatterns(s, pairLen, lanes)
	if timed {
		r.ticks = []int64{0}
	}
	x, counts, values, any := s.x, s.counts, s.values, s.spare.SetInt64(0)
	var err error
	for len(entries) > 0 {
		n := minInt(len(entries)/pairLen, pieceLen)
		takePairs(s, entries[:n*pairLen])
		any.Or(any, x)
		if timed {
			values.And(x, s.low)
			both := orLanes(s, x, pairLen*8, n)
			planes := bits.Len64(both >> 32)
			if planes+bits.Len64(both&lowHalf)+bits.Len(uint(n)) > 64 {
				return errOverflow
			}
			if planes > r.planes {
				r.planes = planes
			}
			mulLanes(s, x, values, counts, planes, pairLen*8)
			r.ticks, err = appendTotals(s, r.ticks, x, pairLen, n)
			if err != nil {
				return err
			}
		}
		r.samples, err = appendTotals(s, r.samples, counts, pairLen, n)
		if err != nil {
			return err
		}
		entries = entries[n*pairLen:]
	}
	r.any = orLanes(s, any, pairLen*8, lanes) & lowHalf
	return nil
}

// runsMemory is the number of bytes that the index of a table holds, with what stays open; r is nil where there is none.
func runsMemory(r *runs) int {
	if r == nil {
		return 0
	}
	return 8*(len(r.samples)+len(r.ticks)) + 3*8*minInt(openLen, len(r.entries)/pairLen)
}

// fewRuns is up to how many entries are added up sooner by a loop.
const fewRuns = 32

// addUpFew is addUpRuns for a table of few entries.
func addUpFew(r *runs, timed bool) error {
	samples, ticks, any, counts := int64(0), int64(0), uint64(0), uint64(0)
	for _, v := range r.block(0) {
		count, value := v>>32, v&lowHalf
		samples += int64(count)
		any |= value
		counts |= count
		if high, low := bits.Mul64(count, value); timed {
			if high != 0 || low > uint64(maxSum) || ticks+int64(low) > maxSum {
				return errOverflow
			}
			ticks += int64(low)
		}
	}
	r.any = any
	r.planes = bits.Len64(counts)
	if len(r.entries) > 0 {
		r.samples = append(r.samples, samples)
	}
	if timed {
		r.ticks = append([]int64{0}, ticks)[:len(r.samples)]
	}
	return nil
}

// block returns the entries of a block, each as count<<32 | value.
func (r *runs) block(b int) []uint64 { return r.decode(b, blockLen) }

// decode returns the entries of part number i of so many entries.
func (r *runs) decode(i, length int) []uint64 {
	part := r.entries[i*length*pairLen:]
	u := make([]uint64, minInt(len(part)/pairLen, length))
	decode(part[:len(u)*pairLen], u)
	return u
}

// openRunsAt takes the entries between two running totals apart, unless they are those that were looked into last.
func openRunsAt(r *runs, number int) *openRuns {
	r.mu.Lock()
	p := r.last
	r.mu.Unlock()
	if p == nil || p.number != number {
		p = openRunsOf(r, number)
		r.mu.Lock()
		r.last = p
		r.mu.Unlock()
	}
	return p
}

func openRunsOf(r *runs, number int) *openRuns {
	p := &openRuns{number: number, entries: r.decode(number, openLen)}
	n := len(p.entries)
	at := number * openLen * pairLen
	s := newScratch()
	setPatterns(s, pairLen, n)
	takePairs(s, r.entries[at:at+n*pairLen])
	if r.ticks != nil {
		s.values.And(s.x, s.low)
		mulLanes(s, s.x, s.values, s.counts, r.planes, pairLen*8)
		p.ticks = listTotals(s, s.x, r.ticks[number], n)
	}
	p.samples = listTotals(s, s.counts, r.samples[number], n)
	scratches.Put(s)
	return p
}

// run is one entry of the table.
type run struct {
	entry        int
	first, count int64 // its samples
	begins       int64 // ticks before it, where the table is timed
	value        int64
}

// findRun returns the run that a sample below total belongs to.
func findRun(r *runs, sample int64) run {
	if sample >= r.tail.first {
		return r.tail
	}
	p := openRunsAt(r, intervalOf(r.samples, sample))
	return runAt(p, intervalOf(p.samples, sample))
}

// runAt returns entry i.
func runAt(p *openRuns, i int) run {
	v := p.entries[i]
	u := run{entry: p.number*openLen + i, first: p.samples[i], count: int64(v >> 32), value: int64(v & lowHalf)}
	if p.ticks != nil {
		u.begins = p.ticks[i]
	}
	return u
}

// tickIn is the tick at which a sample of the run begins, or which follows its last one.
func tickIn(u run, sample int64) int64 { return u.begins + (sample-u.first)*u.value }

// sampleAtTick returns the last sample that begins at or before tick, which is not negative, and the tick at which it
// begins; past the end of a timed table, its last sample.
func sampleAtTick(r *runs, tick int64) (sample, begins int64) {
	i := intervalOf(r.ticks, tick)
	if i == len(r.ticks)-1 {
		sample = lastTotal(r.samples) - 1
		return sample, tickIn(findRun(r, sample), sample)
	}
	p := openRunsAt(r, i)
	u := runAt(p, intervalOf(p.ticks, tick))
	k := (tick - u.begins) / u.value // not 0: more ticks follow in the run
	return u.first + k, u.begins + k*u.value
}

// expandRuns returns the values of n samples from the sample first on, read as signed where signed is set. Samples beyond
// the table have the value 0.
func expandRuns(r *runs, first, n int64, signed bool) []int64 {
	out := make([]int64, 0, n)
	for first < lastTotal(r.samples) && int64(len(out)) < n {
		p := openRunsAt(r, intervalOf(r.samples, first))
		i := intervalOf(p.samples, first)
		last := minInt(len(p.entries), i+int(n)-len(out)) // no more entries are needed, if none has a count of 0
		skip := first - p.samples[i]
		for _, v := range p.entries[i:last] {
			value := int64(v & lowHalf)
			if signed {
				value = int64(int32(v))
			}
			if v>>32 == 1 { // what most entries of a ctts say
				out = append(out, value)
				continue
			}
			for count := minInt64(int64(v>>32)-skip, n-int64(len(out))); count > 0; count-- {
				out = append(out, value)
			}
			skip = 0
		}
		first = p.samples[last]
	}
	if int64(len(out)) < n {
		out = append(out, make([]int64, n-int64(len(out)))...)
	}
	return out[:n]
}

// chunkRuns is the sample-to-chunk table, stsc (8.7.4), with running totals of samples for every openLen entries. What
// was looked into last stays open, as of runs.
type chunkRuns struct {
	entries []byte
	chunks  int64    // in the track
	samples []int64  // before every openLen entries, and at the end all
	planes  int      // bits in the greatest samples_per_chunk
	tail    chunkRun // the last run: its samples are asked for in every cut
	before  int64    // samples before it

	mu   sync.Mutex
	last *openChunks
}

// openChunks are openLen entries of a sample-to-chunk table, taken apart.
type openChunks struct {
	number int
	totals []uint32 // samples before each, counted from the first, in three parts of 32 bits
}

// errRuns says that the entries of a stsc must be put in order first.
var errRuns = fmt.Errorf("%w: runs of chunks are out of order", errFormat)

// newChunkRuns indexes the table of a track that has so many chunks. A run's samples are its samples_per_chunk times
// the distance to the next run's first_chunk: one subtraction gives the distances, of lanes that are 96 bits wide.
func newChunkRuns(entries []byte, chunks int64) (*chunkRuns, error) {
	t := &chunkRuns{entries: entries, chunks: chunks, samples: []int64{0}}
	// More chunks than bytes that any moov may have.
	if chunks >= 1<<31 {
		return nil, errOverflow
	}
	if len(entries) == 0 || binary.BigEndian.Uint32(entries) != 1 {
		return nil, fmt.Errorf("%w: the first does not begin at the first chunk", errRuns)
	}
	s := newScratch()
	defer scratches.Put(s)
	var err error
	for i := 0; i < len(entries)/stscLen; i += pieceLen {
		n := minInt(len(entries)/stscLen-i, pieceLen)
		err = multiplyChunks(t, s, i, n)
		if err != nil {
			return nil, err
		}
		t.samples, err = appendTotals(s, t.samples, s.x, stscLen, n)
		if err != nil {
			return nil, err
		}
	}
	t.tail = chunkRunAt(t, len(entries)/stscLen-1)
	t.before = lastTotal(t.samples) - (t.tail.end-t.tail.first)*t.tail.perChunk
	return t, nil
}

// multiplyChunks sets s.x to the samples in each of n runs, and remembers how large the counts in a chunk are.
func multiplyChunks(t *chunkRuns, s *scratch, first, n int) error {
	const width = stscLen * 8
	takeChunks(t, s, first, n)
	if !notLess(s.values, s.x.Add(s.counts, s.ones), s.ones, s.spare) {
		return fmt.Errorf("%w or reach beyond the last chunk", errRuns)
	}
	s.values.Sub(s.values, s.counts) // chunks in each run
	takePerChunk(t, s, first, n)
	planes := bits.Len64(orLanes(s, s.x.Set(s.spare), width, n))
	if planes+bits.Len64(orLanes(s, s.x.Set(s.values), width, n))+bits.Len(uint(n)) > 63 {
		return errOverflow
	}
	if planes > t.planes {
		t.planes = planes
	}
	mulLanes(s, s.x, s.values, s.spare, planes, width)
	return nil
}

// takeChunks sets counts to the first chunk of each of n runs, and values to the one behind its last.
func takeChunks(t *chunkRuns, s *scratch, first, n int) {
	following := t.chunks + 1
	if next := (first + n) * stscLen; next < len(t.entries) {
		following = int64(binary.BigEndian.Uint32(t.entries[next:]))
	}
	setPatterns(s, stscLen, n)
	s.counts.Rsh(s.x.SetBytes(t.entries[first*stscLen:(first+n)*stscLen]), 64)
	s.counts.And(s.counts, s.low)
	s.values.Lsh(s.counts, stscLen*8)
	s.values.Add(s.values, s.x.SetInt64(following))
	s.values.And(s.values, s.low)
}

// takePerChunk sets spare to the samples in a chunk of each of n runs.
func takePerChunk(t *chunkRuns, s *scratch, first, n int) {
	s.spare.Rsh(s.x.SetBytes(t.entries[first*stscLen:(first+n)*stscLen]), 32)
	s.spare.And(s.spare, s.low)
}

// chunkRun is one run of the table, numbered from 0 like its chunks.
type chunkRun struct {
	number      int   // of the run
	first, end  int64 // its chunks, [first, end)
	perChunk    int64
	description uint32 // sample_description_index, from 1
}

// chunkRunAt returns run i.
func chunkRunAt(t *chunkRuns, i int) chunkRun {
	e := t.entries[i*stscLen:]
	r := chunkRun{
		number:      i,
		first:       int64(binary.BigEndian.Uint32(e)) - 1, // chunks are numbered from 1 in the file
		end:         t.chunks,
		perChunk:    int64(binary.BigEndian.Uint32(e[4:])),
		description: binary.BigEndian.Uint32(e[8:]),
	}
	if len(e) > stscLen {
		r.end = int64(binary.BigEndian.Uint32(e[stscLen:])) - 1
	}
	return r
}

// findChunk returns the run and the chunk that hold a sample below the total, and how many samples of the chunk come
// before it.
func findChunk(t *chunkRuns, sample int64) (run chunkRun, chunk, before int64) {
	run = t.tail
	at := t.before
	if sample < at {
		run, at = searchChunkRun(t, sample)
	}
	return run, run.first + (sample-at)/run.perChunk, (sample - at) % run.perChunk
}

// searchChunkRun is the run that holds a sample, and how many samples come before it.
func searchChunkRun(t *chunkRuns, sample int64) (chunkRun, int64) {
	number := intervalOf(t.samples, sample)
	totals := openChunksAt(t, number).totals
	sample -= t.samples[number]
	low, high := 0, len(totals)/3-1
	for low < high { // to the last run that begins at or before sample
		middle := (low + high + 1) / 2
		if int64(totals[3*middle+1])<<32+int64(totals[3*middle+2]) <= sample {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return chunkRunAt(t, number*openLen+low), t.samples[number] + int64(totals[3*low+1])<<32 + int64(totals[3*low+2])
}

// openChunksAt takes the entries between two running totals apart, unless they are those that were looked into last.
func openChunksAt(t *chunkRuns, number int) *openChunks {
	t.mu.Lock()
	p := t.last
	t.mu.Unlock()
	if p == nil || p.number != number {
		p = openChunksOf(t, number)
		t.mu.Lock()
		t.last = p
		t.mu.Unlock()
	}
	return p
}

func openChunksOf(t *chunkRuns, number int) *openChunks {
	n := minInt(len(t.entries)/stscLen-number*openLen, openLen)
	s := newScratch()
	takeChunks(t, s, number*openLen, n)
	s.values.Sub(s.values, s.counts)
	takePerChunk(t, s, number*openLen, n)
	mulLanes(s, s.x, s.values, s.spare, t.planes, stscLen*8)
	runningTotals(s.x, s.x, stscLen)
	p := &openChunks{number: number, totals: decodeWords(fillBytes(s, s.x, n*stscLen))}
	scratches.Put(s)
	return p
}

// change says what is done to each entry of a table on its way out: the bits in mask are multiplied by mul, then add
// is added to them or subtracted from them, and they are put back.
type change struct {
	width int    // bytes in an entry
	mask  []byte // an entry's bits that are changed; nil: all of them
	mul   int64  // at least 1
	add   []byte // an entry's addend, in place
	sub   bool   // subtract it instead: no entry may be less
	grow  bool   // entries of 4 bytes become entries of 8: stco grows into co64
}

// piece is a stretch of what is written before the media: bytes as they are, or entries that change on their way.
type piece struct {
	data   []byte
	view   bool // of the source's moov, and not made for the answer
	change *change
}

// changedLen is how many bytes of a table are changed at once: few steps for each call, and far from the whole table.
const changedLen = 64 << 10

// writeEntries writes bytes [from, to) of changed entries to w. Changing entries in bulk costs about 5 ns for each
// instead of 250.
func writeEntries(entries []byte, c *change, w io.Writer, from, to int64) error {
	width := int64(c.width)
	step := width
	if c.grow {
		step = 2 * width
	}
	first := from / step
	last := (to + step - 1) / step
	from -= first * step
	to -= first * step
	entries = entries[first*width : last*width]
	most := changedLen / int(width) * int(width)
	t := newTransform(c, minInt(len(entries), most)/int(width))
	defer scratches.Put(t.s)
	for len(entries) > 0 {
		n := minInt(len(entries), most)
		out := applyChange(t, entries[:n])
		end := minInt64(to, int64(len(out)))
		_, err := w.Write(out[from:end])
		if err != nil {
			return err
		}
		entries = entries[n:]
		to -= int64(len(out))
		from = 0
	}
	return nil
}

// transform is a change made ready for pieces of a table: its numbers for a whole piece.
type transform struct {
	s         *scratch
	change    *change
	lanes     int
	mask, add *big.Int
	mul       *big.Int
}

func newTransform(c *change, lanes int) *transform {
	t := &transform{s: newScratch(), change: c, lanes: lanes, mul: big.NewInt(c.mul)}
	if c.grow {
		return t
	}
	t.add = setPattern(t.s.counts, c.add, lanes)
	if c.mask != nil {
		t.mask = setPattern(t.s.values, c.mask, lanes)
	}
	return t
}

// applyChange returns the changed entries, valid until the next call. Products and sums stay within their lanes, or run
// over into bits that the mask clears again.
func applyChange(t *transform, data []byte) []byte {
	if t.change.grow {
		return growOffsets(t, data)
	}
	n := len(data) / t.change.width
	if n < t.lanes {
		t.add.Rsh(t.add, uint((t.lanes-n)*t.change.width*8))
		t.lanes = n
	}
	x, keep := t.s.x.SetBytes(data), t.s.spare
	if t.mask != nil {
		keep.AndNot(x, t.mask)
		x.And(x, t.mask)
	}
	if t.change.mul > 1 {
		x.Mul(x, t.mul)
	}
	if t.change.sub {
		x.Sub(x, t.add)
	} else {
		x.Add(x, t.add)
	}
	if t.mask != nil {
		x.And(x, t.mask)
		x.Or(x, keep)
	}
	return fillBytes(t.s, x, len(data))
}

// growOffsets returns 32-bit entries as 64-bit ones, with the addend added or subtracted. Entry by entry, some 100 ns
// each: only files that end beyond 4 GiB need it.
func growOffsets(t *transform, data []byte) []byte {
	u := make([]uint32, len(data)/4)
	decode(data, u)
	v := make([]uint64, len(u))
	add := binary.BigEndian.Uint64(t.change.add)
	if t.change.sub {
		add = -add
	}
	for i, offset := range u {
		v[i] = uint64(offset) + add
	}
	return encode(v, len(data)*2)
}

func minInt(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func minInt64(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func maxInt64(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}
