package mp4

import (
	"bytes"
	"strings"
)

// smallMovie is a file of one video track, written down byte by byte: ftyp, mdat, moov. Ten pictures of 10 ticks of a
// 100th of a second each, shown 10 ticks late and two of them in another order; key frames are the first and the sixth;
// chunks hold 3, 3, 3 and 1 samples.
//
// A part can be replaced, or left out by an empty one. Parts named + and a box's name are put at the end of that box.
func smallMovie(changed map[string][]byte) []byte {
	part := func(name string) []byte {
		b, ok := changed[name]
		if !ok {
			b = smallParts[name]
		}
		return b
	}
	join := func(typ string, names string) []byte {
		var children [][]byte
		for _, name := range strings.Fields(names) {
			children = append(children, part(name))
		}
		return rawBox(typ, append(children, part("+"+typ))...)
	}
	_, fixed := changed["stbl"]
	stbl := part("stbl")
	if !fixed {
		stbl = join("stbl", "stsd stts ctts stss stsc stsz stco")
	}
	minf := rawBox("minf", part("vmhd"), part("dinf"), stbl, part("+minf"))
	mdia := rawBox("mdia", part("mdhd"), part("hdlr"), minf, part("+mdia"))
	trak := rawBox("trak", part("tkhd"), part("edts"), mdia, part("+trak"))
	moov := rawBox("moov", part("mvhd"), trak, part("+moov"))
	return bytes.Join([][]byte{part("ftyp"), part("mdat"), moov, part("+file")}, nil)
}

// smallSamples are the sizes of the ten samples, which are filled with their numbers.
var smallSamples = []int{7, 5, 4, 6, 3, 8, 4, 5, 2, 9}

// smallMedia is the number of the byte in the file at which the first sample lies.
const smallMedia = 20 + 8

// smallParts are the boxes of the movie.
var smallParts = map[string][]byte{
	"ftyp": {
		0, 0, 0, 20, 'f', 't', 'y', 'p',
		'i', 's', 'o', 'm', // major_brand
		0, 0, 2, 0, // minor_version
		'a', 'v', 'c', '1', // compatible_brands
	},
	"mdat": smallMdat(),
	"mvhd": {
		0, 0, 0, 108, 'm', 'v', 'h', 'd',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 1, // creation_time
		0, 0, 0, 2, // modification_time
		0, 0, 3, 232, // timescale: 1000
		0, 0, 3, 232, // duration
		0, 1, 0, 0, // rate: 1.0
		1, 0, // volume: 1.0
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // reserved
		0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // matrix
		0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // pre_defined
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 2, // next_track_ID
	},
	"tkhd": {
		0, 0, 0, 92, 't', 'k', 'h', 'd',
		0, 0, 0, 7, // version, flags: enabled, in movie, in preview
		0, 0, 0, 1, // creation_time
		0, 0, 0, 2, // modification_time
		0, 0, 0, 1, // track_ID
		0, 0, 0, 0, // reserved
		0, 0, 3, 232, // duration
		0, 0, 0, 0, 0, 0, 0, 0, // reserved
		0, 0, // layer
		0, 0, // alternate_group
		0, 0, // volume
		0, 0, // reserved
		0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // matrix
		0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0,
		1, 64, 0, 0, // width: 320
		0, 240, 0, 0, // height: 240
	},
	"edts": {
		0, 0, 0, 36, 'e', 'd', 't', 's',
		0, 0, 0, 28, 'e', 'l', 's', 't',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 1, // entry_count
		0, 0, 3, 232, // segment_duration: 1000
		0, 0, 0, 10, // media_time
		0, 1, 0, 0, // media_rate: 1.0
	},
	"mdhd": {
		0, 0, 0, 32, 'm', 'd', 'h', 'd',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 1, // creation_time
		0, 0, 0, 2, // modification_time
		0, 0, 0, 100, // timescale
		0, 0, 0, 100, // duration
		0x55, 0xC4, // language: und
		0, 0, // pre_defined
	},
	"hdlr": {
		0, 0, 0, 33, 'h', 'd', 'l', 'r',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 0, // pre_defined
		'v', 'i', 'd', 'e', // handler_type
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // reserved
		0, // name
	},
	"vmhd": {
		0, 0, 0, 20, 'v', 'm', 'h', 'd',
		0, 0, 0, 1, // version, flags
		0, 0, // graphicsmode
		0, 0, 0, 0, 0, 0, // opcolor
	},
	"dinf": {
		0, 0, 0, 36, 'd', 'i', 'n', 'f',
		0, 0, 0, 28, 'd', 'r', 'e', 'f',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 1, // entry_count
		0, 0, 0, 12, 'u', 'r', 'l', ' ',
		0, 0, 0, 1, // version, flags: the media are in this file
	},
	"stsd": {
		0, 0, 0, 32, 's', 't', 's', 'd',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 1, // entry_count
		0, 0, 0, 16, 'a', 'v', 'c', '1',
		0, 0, 0, 0, 0, 0, // reserved
		0, 1, // data_reference_index
	},
	"stts": {
		0, 0, 0, 24, 's', 't', 't', 's',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 1, // entry_count
		0, 0, 0, 10, 0, 0, 0, 10, // sample_count, sample_delta
	},
	"ctts": {
		0, 0, 0, 48, 'c', 't', 't', 's',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 4, // entry_count
		0, 0, 0, 1, 0, 0, 0, 10, // sample_count, sample_offset
		0, 0, 0, 1, 0, 0, 0, 20,
		0, 0, 0, 1, 0, 0, 0, 0,
		0, 0, 0, 7, 0, 0, 0, 10,
	},
	"stss": {
		0, 0, 0, 24, 's', 't', 's', 's',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 2, // entry_count
		0, 0, 0, 1, // sample_number
		0, 0, 0, 6,
	},
	"stsc": {
		0, 0, 0, 40, 's', 't', 's', 'c',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 2, // entry_count
		0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, // first_chunk, samples_per_chunk, sample_description_index
		0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1,
	},
	"stsz": {
		0, 0, 0, 60, 's', 't', 's', 'z',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 0, // sample_size: the table says
		0, 0, 0, 10, // sample_count
		0, 0, 0, 7, // entry_size
		0, 0, 0, 5,
		0, 0, 0, 4,
		0, 0, 0, 6,
		0, 0, 0, 3,
		0, 0, 0, 8,
		0, 0, 0, 4,
		0, 0, 0, 5,
		0, 0, 0, 2,
		0, 0, 0, 9,
	},
	"stco": {
		0, 0, 0, 32, 's', 't', 'c', 'o',
		0, 0, 0, 0, // version, flags
		0, 0, 0, 4, // entry_count
		0, 0, 0, smallMedia, // chunk_offset: samples 0 to 2
		0, 0, 0, smallMedia + 16, // 3 to 5
		0, 0, 0, smallMedia + 33, // 6 to 8
		0, 0, 0, smallMedia + 44, // 9
	},
}

// smallMdat is the mdat of the small movie.
func smallMdat() []byte {
	var media []byte
	for i, size := range smallSamples {
		media = append(media, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	return rawBox("mdat", media)
}
