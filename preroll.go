package mp4

import (
	"bytes"
	"encoding/binary"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// preroll is how much sound a decoder has to hear before a sample until it plays that sample as if it had heard all.
type preroll struct {
	samples int64
	ms      int64 // or so many milliseconds, whichever is more
}

// Decoders of transform codecs overlap two blocks and keep some state beyond them; MP3 frames may begin in the frames
// before; codecs that predict from all that went before, as Opus and those of speech do, come ever nearer to what they
// would play: Opus is still audibly off after the 80 ms that RFC 7845 asks for.
const (
	transformRoll = 2
	mp3Roll       = 4
	predictedRoll = 320 // ms
)

// Sample entries of Opus, of AMR, narrow and wide, and of QuickTime's MACE.
const predictedSound = "OpussamrsawbMAC3MAC6"

// Sample entries of sound without any memory: PCM in its ISO and QuickTime forms, and lossless codecs of independent
// frames.
const plainSound = "raw twossowtin24in32fl32fl64lpcmipcmfpcmNONEulawalawalacfLaC"

// readPreroll reads the distances of the sample groups roll and prol (8.9.3, 10.1) and takes the most that any sample
// asks for, or what the codec is known to need. Beyond that, sample entries are opaque.
func readPreroll(stbl *box) preroll {
	r := codecPreroll(childOf(stbl, "stsd"))
	for _, b := range stbl.children {
		if b.typ == "sgpd" {
			r.samples = maxInt64(r.samples, rollDistance(b))
		}
	}
	return r
}

// rollDistance returns how many samples back the entries of a sgpd (8.9.3) ask to begin, 0 for groups of other types
// and for one that cannot be read.
func rollDistance(sgpd *box) int64 {
	p := payload(sgpd)
	if len(p) < 12 {
		return 0
	}
	grouping := string(p[4:8])
	if grouping != "roll" && grouping != "prol" {
		return 0
	}
	lead, width := 12, 2 // version 0: entries of roll_distance(2)
	if p[0] > 0 {
		lead = 16 // default_length, or in version 2 default_group_description_index, before the count
		if p[0] == 1 && binary.BigEndian.Uint32(p[8:]) != 2 {
			return 0 // of varying length: no writer does so for two bytes
		}
	}
	entries, err := entriesOf(sgpd, lead, width)
	if err != nil {
		return 0
	}
	distances := make([]int16, minInt(len(entries)/2, lanes.BlockLen))
	lanes.Decode(entries[:2*len(distances)], distances)
	most := int64(0)
	for _, d := range distances {
		most = maxInt64(most, -int64(d))
	}
	return most
}

// codecPreroll is what the codec of the first sample entry of a stsd (8.5.2) needs.
func codecPreroll(stsd *box) preroll {
	if stsd == nil || len(payload(stsd)) < countedLen+headerLen {
		return preroll{samples: transformRoll}
	}
	entry := payload(stsd)[countedLen:]
	format := string(entry[4:8])
	switch {
	case containsType(plainSound, format):
		return preroll{}
	case containsType(predictedSound, format):
		return preroll{ms: predictedRoll}
	case format == ".mp3" || format == "ms\x00\x55" || format == "mp4a" && isMP3(entry):
		return preroll{samples: mp3Roll}
	}
	return preroll{samples: transformRoll}
}

// isMP3 reports whether the esds in a sample entry names MPEG-1 or -2 layer 3 sound: its object type, behind the
// headers of an ES_Descriptor and a DecoderConfigDescriptor (ISO/IEC 14496-1, 7.2.6.5 and 7.2.6.6), whose lengths take
// up to four bytes of which all but the last have their highest bit set.
func isMP3(entry []byte) bool {
	i := bytes.Index(entry, []byte("esds"))
	if i < 0 {
		return false
	}
	d := entry[i+4:]
	const versionLen, esLen, tag = 4, 3, 1 // ES_ID(2) + flags(1)
	at := versionLen
	for _, skip := range []int{esLen, 0} {
		at += tag
		for at < len(d) && d[at]&0x80 != 0 {
			at++
		}
		at += 1 + skip
	}
	return at < len(d) && (d[at] == 0x69 || d[at] == 0x6B)
}

// rollBack is the sample at which decoding must begin for sample to be right.
func rollBack(t *track, sample int64) int64 {
	first := sample - t.preroll.samples
	if t.preroll.ms > 0 {
		at, _ := sampleAt(t, decodeTime(t, sample)-t.preroll.ms*t.timescale/1000)
		if at < first {
			first = at
		}
	}
	return maxInt64(first, 0)
}
