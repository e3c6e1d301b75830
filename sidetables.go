package mp4

import (
	"encoding/binary"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// The tables of a stbl that say more of samples than when and where they are. Few files have one, so some are walked
// entry by entry. One that cannot be read is left out, since it costs no more than what it says: players do without.

// writeSideTable writes one of these.
func writeSideTable(w *moovWriter, k *trackCut, s *slot) {
	switch s.kind {
	case slotSdtp:
		writeSdtp(w, k, s)
	case slotCsgp:
		writeCsgp(w, k, s.box)
	case slotSubs:
		writeSubs(w, k, s)
	case slotSaiz:
		writeAuxiliarySizes(w, k, s)
	case slotSaio:
		writeAuxiliaryOffsets(w, k, s)
	case slotSenc:
		writeEncryption(w, k, s)
	}
}

// writeSdtp writes what samples depend on (8.6.4), a byte for every sample. The table has no count, so that one too
// short for the samples kept says nothing that could be trusted, and is left out.
func writeSdtp(w *moovWriter, k *trackCut, s *slot) {
	p := payload(s.box)
	if int64(len(p)) < fullBoxLen+k.end {
		return
	}
	w.numbers = append(w.numbers, s.begins[:tableCount]...)
	writeRaw(w.boxWriter, p[fullBoxLen+k.first:fullBoxLen+k.end])
}

// writeCsgp writes a csgp (8.9.5) as the sbgp that says the same of the samples kept.
func writeCsgp(w *moovWriter, k *trackCut, b *box) {
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
func writeSubs(w *moovWriter, k *trackCut, s *slot) {
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

// writeAuxiliarySizes writes the saiz of the samples kept.
func writeAuxiliarySizes(w *moovWriter, k *trackCut, s *slot) {
	a := k.auxiliary
	if a == nil || s.box != a.saiz {
		return // others are of a kind that has no saio in the answer
	}
	end := maxInt64(k.first, minInt64(k.end, a.samples))
	w.numbers = append(w.numbers, s.begins[:tableStart]...)
	front := append([]byte(nil), payload(s.box)[:infoPrefix(s.box)+1]...)
	writeRaw(w.boxWriter, binary.BigEndian.AppendUint32(front, uint32(end-k.first)))
	if a.sizes != nil {
		writeRaw(w.boxWriter, a.sizes[minInt64(k.first, a.samples):minInt64(end, a.samples)])
	}
}

// writeEncryption writes the senc of the samples kept, and remembers where the information in it begins.
func writeEncryption(w *moovWriter, k *trackCut, s *slot) {
	a := k.auxiliary
	if a == nil {
		return
	}
	from := a.prefix + a.bytes(0, k.first)
	w.numbers = append(w.numbers, s.begins[:tableCount]...)
	w.numbers = append(w.numbers, uint32(maxInt64(0, minInt64(k.end, a.samples)-k.first)))
	k.encryption = writtenSize(w.boxWriter)
	writeRaw(w.boxWriter, payload(s.box)[from:from+a.bytes(k.first, k.end)])
}

// writeAuxiliaryOffsets writes the saio of the samples kept, in version 1.
func writeAuxiliaryOffsets(w *moovWriter, k *trackCut, s *slot) {
	a := k.auxiliary
	if a == nil || s.box != a.saio {
		return
	}
	n := int64(1)
	if a.perChunk() {
		n = k.lastChunk - k.firstChunk + 1
	}
	at := len(w.numbers)
	w.numbers = append(w.numbers, s.begins[:tableStart]...)
	w.numbers = append(w.numbers, lanes.Words(payload(s.box)[:infoPrefix(s.box)])...)
	w.numbers[at+tableStart] = w.numbers[at+tableStart]&flagBits | 1<<24
	w.numbers = append(w.numbers, uint32(n))
	o := infoOffsets{kept: k, entries: make([]byte, 8*n)}
	writeRaw(w.boxWriter, o.entries)
	w.information = append(w.information, o)
}

// placeInformation fills in the entries of a saio.
func (w *moovWriter) placeInformation(o infoOffsets) {
	k, a := o.kept, o.kept.auxiliary
	if a.senc != nil {
		binary.BigEndian.PutUint64(o.entries, uint64(k.encryption))
		return
	}
	shift := shiftOf(w, k.info.from)
	first := a.bytes(k.first-k.skipped, k.first)
	if !a.perChunk() {
		first = a.bytes(0, k.first)
	}
	offsets := a.offsets[:a.width]
	if a.perChunk() {
		offsets = a.offsets[k.firstChunk*a.width : (k.lastChunk+1)*a.width]
	}
	places := lanes.Numbers(offsets, a.width)
	places[0] += uint64(first)
	from, to := uint64(k.info.from), uint64(k.info.to)
	for i, at := range places {
		if at < from || at > to {
			at = from // there is none for this chunk
		}
		places[i] = at + uint64(shift)
	}
	copy(o.entries, lanes.Encode(places, len(o.entries)))
}
