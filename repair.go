package mp4

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sort"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// What is wrong with tables of real files, and how players read them all the same. Each function here makes a table
// that says the same in the standard's words, so that nothing else has to know. Files in order never come here, or
// leave after a comparison.

// leastNegative is the least duration of a sample that FFmpeg reads as negative, whatever the media's length is.
const leastNegative = 1<<32 - 480_000

// signedDurations makes the entries of a stts in which durations are negative numbers: writers correct by them what
// they have said before. Players give such a sample one tick and shorten those that follow, by equal parts of what is
// left, until the times are as the sum says; so does this. A duration whose top bit is set is positive only where the
// media is known to be that long. It returns nil where none is negative.
func signedDurations(entries []byte, media int64) ([]byte, error) {
	pairs := make([]uint64, len(entries)/lanes.PairLen)
	lanes.Decode(entries, pairs)
	late, found := int64(0), false // ticks by which the times are behind the sum
	for i, pair := range pairs {
		count, duration := int64(pair>>32), int64(pair&lanes.LowHalf)
		if duration>>31 != 0 && (duration >= leastNegative || duration > media) {
			over, more := bits.Mul64(uint64(count), uint64(1-int64(int32(duration))))
			if over != 0 || more > uint64(maxSum) || late > maxSum-int64(more) {
				return nil, errOverflow
			}
			late += int64(more)
			duration = 1
			found = true
		} else if late > 0 && count > 0 && duration > 0 {
			each := minInt64(late/count, duration-1)
			late -= each * count
			duration -= each
		}
		pairs[i] = pair>>32<<32 | uint64(duration)
	}
	if !found {
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

// packets are how uncompressed sound, and sound that QuickTime's sample entries of version 1 describe, lies in its
// chunks. A sample is a moment of all channels then, and the size that stsz has of it says nothing.
type packets struct {
	samples int64 // in a packet
	bytes   int64 // of a packet, all channels together; 0: the sample entry does not say
}

// Offsets in a sample entry of sound (12.2.3; QuickTime File Format, Sound Sample Descriptions), and its lengths.
const (
	soundVersion  = 16
	soundChannels = 24
	soundBits     = 26
	soundLen0     = 36
	soundPerPack  = 36 // samples in a packet of one channel, then the bytes of a packet, and of a frame of all channels
	soundPerFrame = 44
	soundLen1     = 52
	soundChannel2 = 48 // in version 2, as are:
	soundBits2    = 56
	soundBytes2   = 64 // of a packet
	soundFrames2  = 68 // in a packet
	soundLen2     = 72
)

// packetsOf reads the sample entries of a stsd. Where they do not agree, nothing is known.
func packetsOf(stsd *box) packets {
	if stsd == nil || len(payload(stsd)) < countedLen {
		return packets{}
	}
	entries := &box{typ: stsd.typ, at: stsd.at, header: stsd.header + countedLen, data: stsd.data}
	if readChildren(entries, "") != nil || len(entries.children) == 0 {
		return packets{}
	}
	first := packetOf(entries.children[0])
	for _, e := range entries.children[1:] {
		other := packetOf(e)
		if other.samples != first.samples || other.bytes != first.bytes {
			return packets{}
		}
	}
	return first
}

// packetOf reads a sample entry of sound.
func packetOf(entry *box) packets {
	e := entry.data
	if entry.header != headerLen || len(e) < soundLen0 {
		return packets{}
	}
	version := binary.BigEndian.Uint16(e[soundVersion:])
	channels := int64(binary.BigEndian.Uint16(e[soundChannels:]))
	width := int64(binary.BigEndian.Uint16(e[soundBits:]))
	if version == 2 {
		if len(e) < soundLen2 {
			return packets{}
		}
		channels = int64(binary.BigEndian.Uint32(e[soundChannel2:]))
		width = int64(binary.BigEndian.Uint32(e[soundBits2:]))
	}
	switch entry.typ {
	case "raw ", "NONE":
		if width != 16 {
			width = 8
		}
		width /= 8
	case "twos", "sowt":
		if width != 8 && width != 24 && width != 32 {
			width = 16
		}
		width /= 8
	case "lpcm":
		width = (width + 7) / 8
	case "ulaw", "alaw":
		width = 1
	case "in24":
		width = 3
	case "in32", "fl32":
		width = 4
	case "fl64":
		width = 8
	case "ima4":
		return packets{samples: 64, bytes: 34 * channels}
	case "MAC3":
		return packets{samples: 6, bytes: 2 * channels}
	case "MAC6":
		return packets{samples: 6, bytes: channels}
	case "agsm":
		return packets{samples: 160, bytes: 33}
	default:
		switch {
		case version == 1 && len(e) >= soundLen1:
			return packets{samples: int64(binary.BigEndian.Uint32(e[soundPerPack:])), bytes: int64(binary.BigEndian.Uint32(e[soundPerFrame:]))}
		case version == 2:
			return packets{samples: int64(binary.BigEndian.Uint32(e[soundFrames2:])), bytes: int64(binary.BigEndian.Uint32(e[soundBytes2:]))}
		}
		return packets{}
	}
	if width > 8 || channels > max32/8 {
		return packets{}
	}
	return packets{samples: 1, bytes: width * channels}
}

// usePackets takes the size of samples from the sample entry where each of them lasts a tick, as players do, and
// returns how many there are: what stsz says of them is 1 byte, or those of one channel, in many files.
func (t *track) usePackets(stbl *box, count int64) int64 {
	samples := lanes.LastTotal(t.durations.Samples)
	if t.durations.Any != 1 || lanes.LastTotal(t.durations.Ticks) != samples {
		return count
	}
	p := packetsOf(childOf(stbl, "stsd"))
	if p.samples <= 0 || p.bytes <= 0 || p.bytes > max32 || p.samples > 1 && !wholePackets(t.chunkRuns, p.samples) {
		return count
	}
	if t.uniform != 0 && t.uniform*p.samples == p.bytes {
		return count
	}
	if p.samples > 1 && t.uniform == 0 {
		return count // stsz lists the sizes of something
	}
	t.uniform = p.bytes
	t.sizes = nil
	if p.samples > 1 {
		t.perPacket = p.samples
	}
	return samples
}

// wholePackets reports whether all chunks but the last hold whole packets of so many samples.
func wholePackets(r *lanes.ChunkRuns, samples int64) bool {
	columns := make([]uint32, len(r.Entries)/4)
	lanes.Decode(r.Entries, columns)
	for i := 0; i < len(columns); i += 3 {
		if int64(columns[i+1])%samples != 0 && int64(columns[i]) < r.Chunks {
			return false
		}
	}
	return true
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
func (t *track) readAccessPoints(stbl *box) {
	for _, b := range stbl.children {
		p := payload(b)
		if (b.typ != "sbgp" && b.typ != "csgp") || len(p) < fullBoxLen+4 || !containsType(accessGroups, string(p[fullBoxLen:fullBoxLen+4])) {
			continue
		}
		var pairs []uint64
		var err error
		if b.typ == "csgp" {
			pairs, err = compactPairs(b, 0, t.samples)
		} else {
			var entries []byte
			entries, err = entriesOf(b, groupPrefix(p[0] == 1), lanes.PairLen)
			pairs = make([]uint64, len(entries)/lanes.PairLen)
			lanes.Decode(entries, pairs)
		}
		if err == nil {
			t.access = joinAccess(t.access, accessRuns(pairs, t.samples))
		}
	}
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
