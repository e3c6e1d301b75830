package mp4

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
)

// The tables of a stbl that say more of samples than when and where they are. Few files have one, so some are walked
// entry by entry. One that cannot be read is left out, since it costs no more than what it says: players do without.

// writeDependencies writes a sdtp (8.6.4), which has a byte for every sample. It has no count, so that one too short for
// the samples kept says nothing that could be trusted, and is left out.
func writeDependencies(w *moovWriter, k *kept, b *box) {
	p := payload(b)
	if int64(len(p)) < fullBoxLen+k.end {
		return
	}
	at, size := openBox(w, b.typ)
	writeRaw(w, p[:fullBoxLen])
	writeRaw(w, p[fullBoxLen+k.first:fullBoxLen+k.end])
	closeBox(w, at, size)
}

// groupLead is the length of what precedes the entries of a sbgp or the patterns of a csgp: version, flags,
// grouping_type, perhaps its parameter, and a count.
func groupLead(parameter bool) int {
	if parameter {
		return fullBoxLen + 12
	}
	return fullBoxLen + 8
}

// writeSampleGroups writes a sbgp (8.9.2): runs of samples and the group of each.
func writeSampleGroups(w *moovWriter, k *kept, b *box) {
	p := payload(b)
	lead := groupLead(len(p) > 0 && p[0] == 1)
	entries, err := entriesOf(b, lead, pairLen)
	if err != nil {
		return
	}
	r, err := newRuns(entries, false)
	if err != nil {
		return
	}
	at, size := openBox(w, b.typ)
	writeRaw(w, p[:lead-4])
	count := mark{len(w.pieces), len(w.small)}
	writeU32(w, 0)
	patchU32(w, count, writeRuns(w, r, k.first, minInt64(k.end, lastTotal(r.samples)), nil))
	closeBox(w, at, size)
}

// Flags of a csgp: two bits each for the widths of an index, a sample_count and a pattern_length, and one for the
// parameter. Codes 0 to 3 stand for 4, 8, 16 and 32 bits.
const (
	csgpCountShift   = 2
	csgpPatternShift = 4
	csgpParameter    = 1 << 6
)

// writeCompactGroups writes a csgp (8.9.5) as the sbgp that says the same of the samples kept.
func writeCompactGroups(w *moovWriter, k *kept, b *box) {
	pairs, err := compactPairs(b, k.first, k.end)
	if err != nil {
		return
	}
	p := payload(b)
	begins, size := openBox(w, "sbgp")
	parameter := uint(p[3])&csgpParameter != 0
	if parameter {
		writeU32(w, 1<<24)
	} else {
		writeU32(w, 0)
	}
	writeRaw(w, p[fullBoxLen:groupLead(parameter)-4])
	writeU32(w, int64(len(pairs)))
	writeRaw(w, encode(pairs, pairLen*len(pairs)))
	closeBox(w, begins, size)
}

// compactPairs are the entries of the sbgp that says of the samples [first, end) what a csgp does.
func compactPairs(b *box, first, end int64) ([]uint64, error) {
	p := payload(b)
	if len(p) < fullBoxLen+8 {
		return nil, b.fail("too short")
	}
	flags := uint(p[3])
	lead := groupLead(flags&csgpParameter != 0)
	if len(p) < lead {
		return nil, b.fail("too short")
	}
	// Numbers of 4 to 32 bits: each is one to eight hexadecimal digits, and compiled code reads them.
	digits := hex.EncodeToString(p[lead:])
	width := int(1) << (flags & 3)
	counts := int(1) << (flags >> csgpCountShift & 3)
	turns := int(1) << (flags >> csgpPatternShift & 3)
	patterns := int64(binary.BigEndian.Uint32(p[lead-4:]))
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
		if last >= 0 && pairs[last]&lowHalf == group {
			pairs[last] += uint64(count) << 32
		} else {
			pairs = append(pairs, uint64(count)<<32|group)
		}
	}
	return pairs
}

// alikeLen is how many entries of a subs are looked at together.
const alikeLen = 4 << 10

// alike reports whether the first n entries, of so many bytes each, name one sample after another and have as many
// sub-samples as the first. Most files' do: it takes 10 ns of each, where reading it takes 1 µs.
func alike(entries []byte, length, n int) bool {
	front, mask := make([]byte, length), make([]byte, length)
	copy(front, entries[:6])
	copy(mask, "\xff\xff\xff\xff\xff\xff")
	s := newScratch()
	defer scratches.Put(s)
	s.x.SetBytes(entries[:n*length])
	s.x.And(s.x, setPattern(s.counts, mask, n))
	return binary.BigEndian.Uint32(front) == 1 && s.x.Cmp(setPattern(s.values, front, n)) == 0
}

// writeSubSamples writes a subs (8.7.7): entries of a distance to the sample before that has sub-samples, how many this
// one has, and what is to be said of each.
func writeSubSamples(w *moovWriter, k *kept, b *box) {
	p := payload(b)
	if len(p) < countedLen {
		return
	}
	width := 8 // subsample_size(2), priority(1), discardable(1), reserved(4)
	if p[0] == 1 {
		width = 10 // subsample_size(4)
	}
	rest, sample := p[countedLen:], int64(0)
	first, kept, n := int64(0), []byte(nil), int64(0) // distances of all but the first entry stay as they are
	wary := 0                                         // entries to be read before others are hoped to be alike
	for left := int64(binary.BigEndian.Uint32(p[fullBoxLen:])); left > 0; {
		length := 0
		if len(rest) >= 6 {
			length = 6 + width*int(binary.BigEndian.Uint16(rest[4:]))
		}
		if length == 0 || length > len(rest) {
			return
		}
		many := minInt64(minInt64(left, alikeLen), int64(len(rest)/length))
		if sample < k.first {
			many = minInt64(many, k.first-sample)
		} else {
			many = maxInt64(minInt64(many, k.end-sample), 1)
		}
		if wary > 0 {
			wary--
			many = 1
		} else if many > 1 && !alike(rest, length, int(many)) {
			wary = alikeLen / 4
			many = 1
		}
		before := sample
		sample += many * int64(binary.BigEndian.Uint32(rest)) // counted from 1
		if sample > k.end {
			break
		}
		if sample > k.first {
			if n == 0 {
				kept = rest
				first = before + int64(binary.BigEndian.Uint32(rest)) - k.first
			}
			n += many
		}
		left -= many
		rest = rest[int(many)*length:]
	}
	at, size := openTable(w, b.typ, b)
	if n > 0 {
		writeU32(w, first)
		writeRaw(w, kept[4:len(kept)-len(rest)])
	}
	closeTable(w, at, size, n)
}
