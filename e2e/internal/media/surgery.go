package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
)

// surgery changes a finished film in ways that ffmpeg has no option for. Where it changes the size of the moov, the
// moov must be the last box, so that no chunk moves.
type surgery struct {
	name string
	do   func(film []byte) ([]byte, error)
}

func (s *surgery) perform(path string) error {
	film, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	film, err = s.do(film)
	if err != nil {
		return err
	}
	return os.WriteFile(path, film, 0o644)
}

var (
	withCo64     = surgery{"co64", boxwise(map[string]edit{"stco": toCo64})}
	withVersion1 = surgery{"version 1", boxwise(map[string]edit{"mvhd": timesTo64(1), "tkhd": timesTo64(2), "mdhd": timesTo64(1), "elst": elstTo64})}
	withoutEdits = surgery{"no edits", boxwise(map[string]edit{"edts": drop})}
	withStz2     = surgery{"stz2", boxwise(map[string]edit{"stsz": toStz2})}
	withGaps     = surgery{"gaps", func(film []byte) ([]byte, error) { return boxwise(map[string]edit{"elst": gapFirst()})(film) }}
	withMdat64   = surgery{"mdat64", mdat64}
	withMdat0    = surgery{"mdat0", mdat0}
	withGroups   = surgery{"groups", boxwise(map[string]edit{"stbl": grouped})}
	reversed     = surgery{"reversed", relaid(func(chunks []chunk) arrangement {
		slices.Reverse(chunks)
		return arrangement{[][]chunk{chunks}, 1}
	})}
	inTwoMdats = surgery{"two mdats", relaid(func(chunks []chunk) arrangement {
		half := len(chunks) / 2
		return arrangement{[][]chunk{chunks[:half], chunks[half:]}, 2}
	})}
	aroundMoov = surgery{"around the moov", relaid(func(chunks []chunk) arrangement {
		half := len(chunks) / 2
		return arrangement{[][]chunk{chunks[:half], chunks[half:]}, 1}
	})}
)

// edit returns the type and payload that replace a box; no type, and the box is left out.
type edit func(typ string, payload []byte) (string, []byte)

// containers are the boxes on the way to the sample tables.
var containers = []string{"moov", "trak", "mdia", "minf", "stbl", "edts"}

var errOrder = errors.New("surgery: the boxes are not in the order that it needs")

// boxwise replaces boxes within the moov, which comes last.
func boxwise(edits map[string]edit) func([]byte) ([]byte, error) {
	return func(film []byte) ([]byte, error) {
		p := 0
		for p+8 <= len(film) && string(film[p+4:p+8]) != "moov" {
			p += int(binary.BigEndian.Uint32(film[p:]))
		}
		if p+8 > len(film) || p+int(binary.BigEndian.Uint32(film[p:])) != len(film) {
			return nil, errOrder
		}
		return append(film[:p:p], replace(film[p:], edits)...), nil
	}
}

func replace(boxes []byte, edits map[string]edit) []byte {
	var out []byte
	for len(boxes) >= 8 {
		size := binary.BigEndian.Uint32(boxes)
		typ, payload := string(boxes[4:8]), boxes[8:size]
		boxes = boxes[size:]
		if edit, ok := edits[typ]; ok {
			typ, payload = edit(typ, payload)
		} else if slices.Contains(containers, typ) {
			payload = replace(payload, edits)
		}
		if typ == "" {
			continue
		}
		out = binary.BigEndian.AppendUint32(out, uint32(8+len(payload)))
		out = append(out, typ...)
		out = append(out, payload...)
	}
	return append(out, boxes...)
}

func drop(string, []byte) (string, []byte) { return "", nil }

// toCo64 widens each chunk offset of stco.
func toCo64(_ string, p []byte) (string, []byte) {
	out := slices.Clone(p[:8]) // version, flags, entry_count
	for p = p[8:]; len(p) >= 4; p = p[4:] {
		out = binary.BigEndian.AppendUint64(out, uint64(binary.BigEndian.Uint32(p)))
	}
	return "co64", out
}

// toStz2 writes the sizes of stsz with 16 bits each; a table with a larger one is left as it is.
func toStz2(typ string, p []byte) (string, []byte) {
	out := []byte{0, 0, 0, 0, 0, 0, 0, 16} // version, flags, reserved, field_size
	out = append(out, p[8:12]...)          // sample_count
	for q := p[12:]; len(q) >= 4; q = q[4:] {
		size := binary.BigEndian.Uint32(q)
		if size > 0xffff {
			return typ, p
		}
		out = binary.BigEndian.AppendUint16(out, uint16(size))
	}
	return "stz2", out
}

// grouped adds to a stbl what it may say of each sample: sdtp, a byte each, here its number. The group of sound that
// asks to begin decoding a frame early becomes one that asks for ten.
func grouped(typ string, p []byte) (string, []byte) {
	p = replace(p, map[string]edit{"sgpd": tenBack, "sbgp": toProl})
	samples := p[bytes.Index(p, []byte("stsz"))+12:] // behind version, flags and sample_size
	sdtp := make([]byte, 4)                          // version, flags
	for i := range binary.BigEndian.Uint32(samples) {
		sdtp = append(sdtp, byte(i))
	}
	p = binary.BigEndian.AppendUint32(p, uint32(8+len(sdtp)))
	return typ, append(append(p, "sdtp"...), sdtp...)
}

// tenBack changes the roll_distance of a sgpd, in version 1 behind grouping_type, default_length and entry_count.
func tenBack(typ string, p []byte) (string, []byte) {
	_, p = toProl(typ, p)
	return typ, append(p[:16:16], 0xff, 0xf6)
}

// toProl changes the grouping_type.
func toProl(typ string, p []byte) (string, []byte) {
	return typ, slices.Concat(p[:4], []byte("prol"), p[8:])
}

// chunk is where a chunk lies in the film that is taken apart, or several that follow each other.
type chunk struct{ from, to int }

// arrangement is how chunks are put together again: in so many mdats, with the moov behind the first ones.
type arrangement struct {
	mdats [][]chunk
	moov  int
}

// relaid takes the mdat of a film whose moov comes last apart, and lays its chunks out in another way.
func relaid(arrange func([]chunk) arrangement) func([]byte) ([]byte, error) {
	return func(film []byte) ([]byte, error) {
		mdat := bytes.Index(film, []byte("mdat")) - 4
		moov := mdat + int(binary.BigEndian.Uint32(film[mdat:]))
		var starts []int
		each := func(move func(int) int) edit {
			return func(typ string, p []byte) (string, []byte) {
				p = slices.Clone(p)
				for q := p[8:]; len(q) >= 4; q = q[4:] { // behind version, flags and entry_count
					binary.BigEndian.PutUint32(q, uint32(move(int(binary.BigEndian.Uint32(q)))))
				}
				return typ, p
			}
		}
		note := each(func(at int) int { starts = append(starts, at); return at })
		if _, err := boxwise(map[string]edit{"stco": note})(film); err != nil {
			return nil, err
		}
		slices.Sort(starts)
		var chunks []chunk
		for i, from := range append(starts, moov)[:len(starts)] {
			chunks = append(chunks, chunk{from, append(starts, moov)[i+1]})
		}
		to := arrange(chunks)
		places := map[int]int{}
		at := mdat
		for i, chunks := range to.mdats {
			if i == to.moov {
				at += len(film) - moov
			}
			at += 8
			for _, c := range chunks {
				places[c.from] = at
				at += c.to - c.from
			}
		}
		moved, err := boxwise(map[string]edit{"stco": each(func(at int) int { return places[at] })})(film)
		if err != nil {
			return nil, err
		}
		out := slices.Clone(film[:mdat])
		for i, chunks := range to.mdats {
			if i == to.moov {
				out = append(out, moved[moov:]...)
			}
			var media []byte
			for _, c := range chunks {
				media = append(media, film[c.from:c.to]...)
			}
			out = binary.BigEndian.AppendUint32(out, uint32(8+len(media)))
			out = append(append(out, "mdat"...), media...)
		}
		if to.moov == len(to.mdats) {
			out = append(out, moved[moov:]...)
		}
		return out, nil
	}
}

// timesTo64 widens creation_time, modification_time and duration; between them lie so many 32-bit fields.
// (mvhd, mdhd: timescale; tkhd: track_ID, reserved.)
func timesTo64(between int) edit {
	return func(typ string, p []byte) (string, []byte) {
		out := []byte{1, p[1], p[2], p[3]}
		out = widen(out, p[4:12])
		out = append(out, p[12:12+4*between]...)
		p = p[12+4*between:]
		out = widen(out, p[:4])
		return typ, append(out, p[4:]...)
	}
}

func widen(out, fields []byte) []byte {
	for ; len(fields) >= 4; fields = fields[4:] {
		out = binary.BigEndian.AppendUint64(out, uint64(binary.BigEndian.Uint32(fields)))
	}
	return out
}

// elstTo64 widens segment_duration and media_time, which has a sign: -1 is an empty edit.
func elstTo64(typ string, p []byte) (string, []byte) {
	out := append([]byte{1}, p[1:8]...)
	for p = p[8:]; len(p) >= 12; p = p[12:] {
		out = widen(out, p[:4])
		out = binary.BigEndian.AppendUint64(out, uint64(int64(int32(binary.BigEndian.Uint32(p[4:])))))
		out = append(out, p[8:12]...)
	}
	return typ, out
}

// gapFirst puts an empty edit before those that there are: 217 ms for the first track, 100 ms more for each further one.
func gapFirst() edit {
	gap := uint32(117)
	return func(typ string, p []byte) (string, []byte) {
		gap += 100
		out := slices.Clone(p[:4]) // version 0, flags
		out = binary.BigEndian.AppendUint32(out, binary.BigEndian.Uint32(p[4:])+1)
		out = binary.BigEndian.AppendUint32(out, gap) // segment_duration, in ffmpeg's movie timescale of 1000
		out = append(out, 0xff, 0xff, 0xff, 0xff)     // media_time -1: empty
		out = append(out, 0, 1, 0, 0)                 // media_rate 1
		return typ, append(out, p[8:]...)
	}
}

// mdat64 joins the empty free box that ffmpeg leaves before the mdat for that purpose to its header.
func mdat64(film []byte) ([]byte, error) {
	p, err := mdatAfterFree(film)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(film[p:])
	binary.BigEndian.PutUint32(film[p-8:], 1)
	copy(film[p-4:], "mdat")
	binary.BigEndian.PutUint64(film[p:], uint64(size)+8)
	return film, nil
}

// mdat0 lets the mdat, the last box, extend to the end of the file.
func mdat0(film []byte) ([]byte, error) {
	p, err := mdatAfterFree(film)
	if err != nil {
		return nil, err
	}
	if p+int(binary.BigEndian.Uint32(film[p:])) != len(film) {
		return nil, errOrder
	}
	binary.BigEndian.PutUint32(film[p:], 0)
	return film, nil
}

// mdatAfterFree finds the mdat behind an empty free box.
func mdatAfterFree(film []byte) (int, error) {
	free := 0
	for p := 0; p+8 <= len(film); p += int(binary.BigEndian.Uint32(film[p:])) {
		if string(film[p+4:p+8]) == "mdat" && free == p-8 {
			return p, nil
		}
		if string(film[p+4:p+8]) == "free" {
			free = p
		}
	}
	return 0, errOrder
}
