package mp4

import (
	"bytes"
	"encoding/binary"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// soundPreroll is how much sound a decoder has to hear before a sample until it plays that sample as if it had heard all.
type soundPreroll struct {
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
func readPreroll(stbl *box) soundPreroll {
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
func codecPreroll(stsd *box) soundPreroll {
	if stsd == nil || len(payload(stsd)) < countedLen+headerLen {
		return soundPreroll{samples: transformRoll}
	}
	entry := payload(stsd)[countedLen:]
	format := string(entry[4:8])
	switch {
	case containsType(plainSound, format):
		return soundPreroll{}
	case containsType(predictedSound, format):
		return soundPreroll{ms: predictedRoll}
	case format == ".mp3" || format == "ms\x00\x55" || format == "mp4a" && isMP3(entry):
		return soundPreroll{samples: mp3Roll}
	}
	return soundPreroll{samples: transformRoll}
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
