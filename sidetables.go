package mp4

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// The tables of a stbl that say more of samples than when and where they are. Few files have one, so some are walked
// entry by entry. One that cannot be read is left out, since it costs no more than what it says: players do without.

// writeSideTable writes one of these.
func writeSideTable(w *moovWriter, k *kept, s *slot) {
	switch s.kind {
	case slotSdtp:
		writeSdtp(w, k, s)
	case slotSbgp:
		writeSbgp(w, k, s)
	case slotCsgp:
		writeCsgp(w, k, s.box)
	case slotSubs:
		writeSubs(w, k, s)
	}
}

// writeSdtp writes what samples depend on (8.6.4), a byte for every sample. The table has no count, so that one too
// short for the samples kept says nothing that could be trusted, and is left out.
func writeSdtp(w *moovWriter, k *kept, s *slot) {
	p := payload(s.box)
	if int64(len(p)) < fullBoxLen+k.end {
		return
	}
	w.numbers = append(w.numbers, s.begins[:tableCount]...)
	writeRaw(w.boxWriter, p[fullBoxLen+k.first:fullBoxLen+k.end])
}

// groupPrefix is the length of what precedes the entries of a sbgp or the patterns of a csgp: version, flags,
// grouping_type, perhaps its parameter, and a count.
func groupPrefix(parameter bool) int {
	if parameter {
		return fullBoxLen + 12
	}
	return fullBoxLen + 8
}

// readSbgp reads a sbgp (8.9.2), runs of samples and the group of each, into its slot.
func readSbgp(s *slot, b *box) error {
	p := payload(b)
	prefix := groupPrefix(len(p) > 0 && p[0] == 1)
	entries, err := entriesOf(b, prefix, lanes.PairLen)
	if err != nil {
		return err
	}
	s.begins = append([]uint32{0, typeSbgp}, lanes.Words(p[:prefix])...)
	s.runs, err = newRuns(entries, false)
	if err != nil {
		return fmt.Errorf("sbgp at %d: %w", b.at, err)
	}
	return nil
}

// writeSbgp writes the groups of the samples kept.
func writeSbgp(w *moovWriter, k *kept, s *slot) {
	w.numbers = append(w.numbers, s.begins...)
	count := len(w.numbers) - 1
	w.numbers[count] = uint32(writeRuns(w.boxWriter, s.runs, k.first, minInt64(k.end, lanes.LastTotal(s.runs.Samples)), 1, 0))
}

// Flags of a csgp: two bits each for the widths of an index, a sample_count and a pattern_length, and one for the
// parameter. Codes 0 to 3 stand for 4, 8, 16 and 32 bits.
const (
	csgpCountShift   = 2
	csgpPatternShift = 4
	csgpParameter    = 1 << 6
)

// writeCsgp writes a csgp (8.9.5) as the sbgp that says the same of the samples kept.
func writeCsgp(w *moovWriter, k *kept, b *box) {
	pairs, err := compactPairs(b, k.first, k.end)
	if err != nil {
		return
	}
	p := payload(b)
	version, parameter := uint32(0), uint(p[3])&csgpParameter != 0
	if parameter {
		version = 1 << 24
	}
	w.numbers = append(w.numbers, 0, typeSbgp, version)
	w.numbers = append(w.numbers, lanes.Words(p[fullBoxLen:groupPrefix(parameter)-4])...)
	w.numbers = append(w.numbers, uint32(len(pairs)))
	writeRaw(w.boxWriter, lanes.Encode(pairs, lanes.PairLen*len(pairs)))
}

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

// alikeLen is how many entries of a subs are looked at together.
const alikeLen = 4 << 10

// subsAlike reports whether the first n entries, of so many bytes each, name one sample after another and have as many
// sub-samples as the first. Most files' do: it takes 10 ns of each, where reading it takes 1 µs.
func subsAlike(entries []byte, length, n int) bool {
	front, mask := make([]byte, length), make([]byte, length)
	copy(front, entries[:6])
	copy(mask, "\xff\xff\xff\xff\xff\xff")
	return binary.BigEndian.Uint32(front) == 1 && lanes.Alike(entries, front, mask, n)
}

// writeSubs writes a subs (8.7.7): entries of a distance to the sample before that has sub-samples, how many this
// one has, and what is to be said of each.
func writeSubs(w *moovWriter, k *kept, s *slot) {
	b := s.box
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
		} else if many > 1 && !subsAlike(rest, length, int(many)) {
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
	at := len(w.numbers)
	w.numbers = append(w.numbers, s.begins...)
	w.numbers[at+tableCount] = uint32(n)
	if n > 0 {
		w.numbers = append(w.numbers, uint32(first))
		writeRaw(w.boxWriter, kept[4:len(kept)-len(rest)])
	}
}
