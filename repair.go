package mp4

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"sort"
	"strconv"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// What is wrong with tables of real files, and how players read them all the same. Each function here makes a table
// that says the same in the standard's words, so that nothing else has to know. Files in order never come here, or
// leave after a comparison.

// leastNegative is the least duration of a sample that FFmpeg reads as negative, whatever the media's length is.
const leastNegative = 1<<32 - 480_000

// maxSigned is how many entries of a stts negative durations may be or change, at some 2 µs each. Real files have a few.
const maxSigned = 1 << 17

// signedDurations makes the entries of a stts in which durations are negative numbers: writers correct by them what
// they have said before. Players give such a sample one tick and shorten those that follow, by equal parts of what is
// left, until the times are as the sum says; so does this. A duration whose top bit is set is positive only where the
// media is known to be that long. It returns nil where none is negative.
func signedDurations(entries []byte, media int64) ([]byte, error) {
	pairs := make([]uint64, len(entries)/lanes.PairLen)
	lanes.Decode(entries, pairs)
	late, changed := int64(0), 0 // ticks by which the times are behind the sum, and entries that differ for it
	for i, pair := range pairs {
		count, duration := int64(pair>>32), int64(pair&lanes.LowHalf)
		if duration>>31 != 0 && (duration >= leastNegative || duration > media) {
			over, more := bits.Mul64(uint64(count), uint64(1-int64(int32(duration))))
			if over != 0 || more > uint64(maxSum) || late > maxSum-int64(more) {
				return nil, errOverflow
			}
			late += int64(more)
			duration = 1
			changed++
		} else if late > 0 && count > 0 && duration > 0 {
			each := minInt64(late/count, duration-1)
			late -= each * count
			duration -= each
			changed++
		} else {
			continue
		}
		if changed > maxSigned {
			return nil, fmt.Errorf("%w: negative durations change more than %d entries", errFormat, maxSigned)
		}
		pairs[i] = pair>>32<<32 | uint64(duration)
	}
	if changed == 0 {
		return nil, nil
	}
	return lanes.Encode(pairs, len(entries)), nil
}

// chunksInOrder makes the entries of a stsc for so many chunks of one whose runs are out of order: of two runs that
// begin at one chunk, or the wrong way round, the later counts; what is said of chunks that are not there is nothing;
// the first run begins at the first chunk.
func chunksInOrder(entries []byte, chunks int64) []byte {
	columns := make([]uint32, len(entries)/4)
	lanes.Decode(entries, columns)
	before := uint32(chunks + 1)
	at := len(columns) // the runs that are kept, from here on
	for i := len(columns) - 3; i >= 0; i -= 3 {
		if columns[i] >= before {
			continue
		}
		before = columns[i]
		at -= 3
		columns[at], columns[at+1], columns[at+2] = columns[i], columns[i+1], columns[i+2]
	}
	columns = columns[at:]
	if len(columns) > 0 {
		columns[0] = 1
	}
	return lanes.Encode(columns, 4*len(columns))
}

// syncInOrder makes the entries of a stss or stps of one whose samples are out of order.
func syncInOrder(entries []byte) []byte {
	numbers := make([]uint32, len(entries)/4)
	lanes.Decode(entries, numbers)
	sorted := make([]int, len(numbers))
	for i, n := range numbers {
		sorted[i] = int(n)
	}
	sort.Ints(sorted)
	for i, n := range sorted {
		numbers[i] = uint32(n)
	}
	return lanes.Encode(numbers, len(entries))
}

// accessPoints are samples at which decoding may begin that no stss names: those that sample groups of the types rap
// (8.9, 10.4) and sync (ISO/IEC 14496-15, 8.4.4) hold, in runs from the first of them on.
type accessPoints struct{ first, end []int64 }

// before returns the last of them that is at most sample; -1 where there is none.
func (a *accessPoints) before(sample int64) int64 {
	low, high := 0, len(a.first)
	for low < high {
		middle := (low + high) / 2
		if a.first[middle] <= sample {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return -1
	}
	return minInt64(sample, a.end[low-1]-1)
}

// readAccessPoints reads the groups of a track that not every sample of is a sync sample. One that cannot be read holds
// none. Several together are merged in pairs: no file has more than two.
func readAccessPoints(stbl *box, samples int64) *accessPoints {
	var all *accessPoints
	for _, b := range stbl.children {
		p := payload(b)
		if (b.typ != "sbgp" && b.typ != "csgp") || len(p) < fullBoxLen+4 || !containsType(accessGroups, string(p[fullBoxLen:fullBoxLen+4])) {
			continue
		}
		var pairs []uint64
		var err error
		if b.typ == "csgp" {
			pairs, err = compactPairs(b, 0, samples)
		} else {
			var entries []byte
			entries, err = entriesOf(b, groupPrefix(p[0] == 1), lanes.PairLen)
			pairs = make([]uint64, len(entries)/lanes.PairLen)
			lanes.Decode(entries, pairs)
		}
		if err == nil {
			all = joinAccess(all, accessRuns(pairs, samples))
		}
	}
	return all
}

// accessGroups are the types of groups whose samples decoding may begin at.
const accessGroups = "rap sync"

// accessRuns are the runs of samples, below a total, that are in a group.
func accessRuns(pairs []uint64, samples int64) *accessPoints {
	a := &accessPoints{}
	first := int64(0)
	for _, pair := range pairs {
		end := first + int64(pair>>32)
		if end > samples {
			end = samples
		}
		if pair&lanes.LowHalf != 0 && first < end {
			a.first = append(a.first, first)
			a.end = append(a.end, end)
		}
		first = end
	}
	return a
}

// joinAccess returns the points of both.
func joinAccess(a, b *accessPoints) *accessPoints {
	if a == nil || len(a.first) == 0 {
		return b
	}
	joined := &accessPoints{}
	i, k := 0, 0
	for i < len(a.first) || k < len(b.first) {
		var first, end int64
		if k == len(b.first) || i < len(a.first) && a.first[i] <= b.first[k] {
			first, end = a.first[i], a.end[i]
			i++
		} else {
			first, end = b.first[k], b.end[k]
			k++
		}
		last := len(joined.first) - 1
		if last >= 0 && first <= joined.end[last] {
			joined.end[last] = maxInt64(joined.end[last], end)
			continue
		}
		joined.first = append(joined.first, first)
		joined.end = append(joined.end, end)
	}
	return joined
}

// mediaKind is what a trak that cannot be read is for: the handler type, or what is left to guess it by.
func mediaKind(trak *box) string {
	mdia := childOf(trak, "mdia")
	if mdia != nil {
		if hdlr := childOf(mdia, "hdlr"); hdlr != nil && len(payload(hdlr)) >= 12 {
			return string(payload(hdlr)[8:12])
		}
	}
	for _, known := range [][2]string{{"vmhd", "vide"}, {"smhd", "soun"}} {
		if bytes.Contains(trak.data, []byte(known[0])) {
			return known[1]
		}
	}
	at := bytes.Index(trak.data, []byte("hdlr")) + len("hdlr") + fullBoxLen + 4 // version and flags, pre_defined
	if at >= headerLen+fullBoxLen+4 && at+4 <= len(trak.data) {
		return string(trak.data[at : at+4])
	}
	return ""
}

// groupPrefix is the length of what precedes the entries of a sbgp or the patterns of a csgp: version, flags,
// grouping_type, perhaps its parameter, and a count.
func groupPrefix(parameter bool) int {
	if parameter {
		return fullBoxLen + 12
	}
	return fullBoxLen + 8
}

// Flags of a csgp: two bits each for the widths of an index, a sample_count and a pattern_length, and one for the
// parameter. Codes 0 to 3 stand for 4, 8, 16 and 32 bits.
const (
	csgpCountShift   = 2
	csgpPatternShift = 4
	csgpParameter    = 1 << 6
)

// compactPairs are the entries of the sbgp that says of the samples [first, end) what a csgp does.
func compactPairs(b *box, first, end int64) ([]uint64, error) {
	p := payload(b)
	if len(p) < fullBoxLen+8 {
		return nil, b.fail("too short")
	}
	flags := uint(p[3])
	prefix := groupPrefix(flags&csgpParameter != 0)
	if len(p) < prefix {
		return nil, b.fail("too short")
	}
	// Numbers of 4 to 32 bits: each is one to eight hexadecimal digits, and compiled code reads them.
	digits := hex.EncodeToString(p[prefix:])
	width := int(1) << (flags & 3)
	counts := int(1) << (flags >> csgpCountShift & 3)
	turns := int(1) << (flags >> csgpPatternShift & 3)
	patterns := int64(binary.BigEndian.Uint32(p[prefix-4:]))
	if patterns*int64(turns+counts) > int64(len(digits)) {
		return nil, b.fail(fmt.Sprintf("%d patterns do not fit into it", patterns))
	}
	var pairs []uint64
	listed, sample := patterns, int64(0)
	at, groups := 0, int(patterns)*(turns+counts) // the groups follow all patterns
	for ; patterns > 0; patterns-- {
		turn, _ := strconv.ParseInt(digits[at:at+turns], 16, 64)
		at += turns
		n, _ := strconv.ParseInt(digits[at:at+counts], 16, 64)
		at += counts
		if turn*int64(width) > int64(len(digits)-groups) {
			return nil, b.fail(fmt.Sprintf("%d groups in turn do not fit into it", turn))
		}
		low, high := maxInt64(first-sample, 0), minInt64(end-sample, n)
		sample += n
		if turn > 1 {
			listed += maxInt64(high-low, 0)
		}
		if listed > maxListed {
			return nil, b.fail(fmt.Sprintf("more than %d patterns and samples whose groups take turns", maxListed))
		}
		stop := groups + int(turn)*width
		if turn > 0 && low < high {
			pairs = inTurn(pairs, digits[groups:stop], width, low, high)
		}
		groups = stop
	}
	return pairs, nil
}

// inTurn appends the runs of the samples [low, high) of a pattern, whose groups, of so many digits each, take turns.
func inTurn(pairs []uint64, groups string, width int, low, high int64) []uint64 {
	turn, count := int64(len(groups)/width), int64(1)
	if turn == 1 {
		count = high - low
	}
	for i := low; i < high; i += count {
		at := int(i%turn) * width
		group, _ := strconv.ParseUint(groups[at:at+width], 16, 64)
		last := len(pairs) - 1
		if last >= 0 && pairs[last]&lanes.LowHalf == group {
			pairs[last] += uint64(count) << 32
		} else {
			pairs = append(pairs, uint64(count)<<32|group)
		}
	}
	return pairs
}
