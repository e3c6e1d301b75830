package mp4

import "encoding/binary"

// markChapters finds the tracks that another names as its chapters, by a tref (8.3.3) of QuickTime's type chap: texts,
// and pictures beside them. They are shown as texts are, and are no video.
func (m *movie) markChapters() {
	for _, t := range m.tracks {
		for _, c := range trackReferences(childOf(t.box, "tref")) {
			for ids := payload(c); c.typ == "chap" && len(ids) >= 4; ids = ids[4:] {
				id := binary.BigEndian.Uint32(ids)
				for _, other := range m.tracks {
					if other.id == id {
						other.chapters = true
					}
				}
			}
		}
	}
}

// trackReferences are the lists of a tref; none where it cannot be read. One of more entries than there may be tracks
// is of no use to anybody.
func trackReferences(b *box) []*box {
	if b == nil {
		return nil
	}
	tref := &box{typ: b.typ, at: b.at, header: b.header, data: b.data}
	if readChildren(tref, "") != nil {
		return nil
	}
	lists := make([]*box, 0, len(tref.children))
	for _, c := range tref.children {
		if len(payload(c)) <= 4*maxTracks {
			lists = append(lists, c)
		}
	}
	return lists
}

// Nero's list of chapters, chpl in the udta of a moov. It is in no standard; its times are of the presentation.
const (
	chplSecond  = 10_000_000 // its times count 100 ns
	chplPrefix  = fullBoxLen + 4 + 1
	chplPrefix0 = fullBoxLen + 1 // version 0 has no reserved field
)

// writeChapters writes a chpl with the chapters of the cut: the one that the start falls into begins at 0, those before it
// and those that begin at the end or later are dropped. One that cannot be read is left out.
func writeChapters(w *moovWriter, s *slot) {
	p := payload(s.box)
	prefix := chplPrefix
	if len(p) > 0 && p[0] == 0 {
		prefix = chplPrefix0
	}
	if len(p) < prefix {
		return
	}
	start, _ := mulDiv(w.from, chplSecond, w.ticks)
	end := maxSum
	if w.to >= 0 {
		end, _ = mulDiv(w.to, chplSecond, w.ticks)
	}
	var left []byte
	count := byte(0)
	rest := p[prefix:]
	for n := int(p[prefix-1]); n > 0; n-- {
		if len(rest) < 9 || len(rest) < 9+int(rest[8]) {
			return
		}
		length := 9 + int(rest[8]) // start(8) + length(1) + title
		begins := int64(binary.BigEndian.Uint64(rest))
		if begins <= start {
			left, count = left[:0], 0
		}
		if begins >= 0 && begins < end {
			left = binary.BigEndian.AppendUint64(left, uint64(maxInt64(begins-start, 0)))
			left = append(left, rest[8:length]...)
			count++
		}
		rest = rest[length:]
	}
	w.numbers = append(w.numbers, s.begins...)
	writeRaw(w.boxWriter, p[:prefix-1])
	writeRaw(w.boxWriter, []byte{count})
	writeRaw(w.boxWriter, left)
}
