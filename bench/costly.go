package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
)

// costly is a film whose moov is as large as the default maxBufferSize allows, and whose tables are made to cost as much
// as possible. Its media are a hole in the file, in front of the moov.
type costly struct {
	name  string
	shows string
	start float64 // second to seek to
	// moov makes the moov for n of what there are many of, and says how many bytes of media that needs.
	moov func(n int) (moov []byte, media int)
}

const (
	largestMoov = 10 << 20 // the default of maxBufferSize
	costlyHead  = 32       // ftyp, and a header of mdat with a size of 64 bits: where the media begin
	frame       = 1024     // bytes of a sample
)

var costlies = []costly{
	{
		name: "dense.mp4", shows: "an entry for each sample in every table, a chunk for each sample", start: 1000,
		moov: func(n int) ([]byte, int) {
			groups := box("sbgp", u32(0), []byte("roll"), u32(n), repeat(n, func(i int) []byte { return u32(1, i%2) }))
			chunks := counted("stsc", n, func(i int) []byte { return u32(i+1, 1, 1) })
			return moov(1, nil, uneven(n), reordered(n), keys(n/2, 2), chunks, sizes(n), offsets(n, frame), box("sdtp", make([]byte, 4+n)), groups), n * frame
		},
	},
	{
		name: "onekey.mp4", shows: "a single key frame and the start near the end: nearly all is lead-in", start: 15000,
		moov: func(n int) ([]byte, int) {
			return moov(1, nil, uneven(n), reordered(n), keys(1, 1), oneRun(1), sizes(n), offsets(n, frame)), n * frame
		},
	},
	{
		name: "growing.mp4", shows: "chunk offsets of 32 bits that have to grow to 64", start: 1,
		moov: func(n int) ([]byte, int) {
			step := (1<<32 - costlyHead - 1) / n
			return moov(1, nil, even(n), oneRun(1), box("stsz", u32(0, step, n)), offsets(n, step)), n * step
		},
	},
	{
		name: "tracks.mp4", shows: "as many tracks as are accepted", start: 10,
		moov: func(n int) ([]byte, int) {
			const most = 100
			n /= most // samples of each
			return moov(most, nil, uneven(n), reordered(n), keys(n/2, 2), oneRun(1), sizes(n), offsets(n, frame)), n * frame
		},
	},
	{
		name: "edits.mp4", shows: "as many edits as are accepted", start: 5,
		moov: func(n int) ([]byte, int) {
			const most = 1 << 14
			edits := box("edts", counted("elst", most, func(i int) []byte { return u32(1+i%2, 7*i, 1<<16) }))
			return moov(1, edits, uneven(n), reordered(n), keys(n/2, 2), oneRun(1), sizes(n), offsets(n, frame)), n * frame
		},
	},
	{
		name: "halves.mp4", shows: "sizes of 4 bits, a single chunk", start: 100000,
		moov: func(n int) ([]byte, int) {
			small := box("stz2", u32(0, 4, n), slices.Repeat([]byte{0x5a}, (n+1)/2))
			return moov(1, nil, even(n), oneRun(n), small, offsets(1, 0)), n * 8
		},
	},
	{
		name: "subsamples.mp4", shows: "information on subsamples, without any, for each sample", start: 1000,
		moov: func(n int) ([]byte, int) {
			subs := counted("subs", n, func(int) []byte { return []byte{0, 0, 0, 1, 0, 0} })
			return moov(1, nil, even(n), oneRun(n), box("stsz", u32(0, frame, n)), offsets(1, 0), subs), n * frame
		},
	},
}

// write makes the film in dir, with as many of what there are many of as the largest moov has room for.
func (c costly) write(dir string) (film, error) {
	const some = 100000
	less, _ := c.moov(some)
	more, _ := c.moov(2 * some)
	each := float64(len(more)-len(less)) / some
	moov, media := c.moov(some + int(float64(largestMoov-len(less)-100)/each))

	file, err := os.Create(filepath.Join(dir, c.name))
	if err != nil {
		return film{}, err
	}
	defer file.Close()
	head := slices.Concat(box("ftyp", []byte("isom"), u32(0)), u32(1), []byte("mdat"))
	head = binary.BigEndian.AppendUint64(head, uint64(16+media))
	if _, err := file.Write(head); err != nil {
		return film{}, err
	}
	if _, err := file.WriteAt(moov, int64(costlyHead+media)); err != nil {
		return film{}, err
	}
	return film{Name: c.name, Bytes: int64(costlyHead + media + len(moov)), MoovBytes: int64(len(moov))}, file.Close()
}

// moov is a movie of tracks that have the same tables. A second has a thousand ticks.
func moov(tracks int, edits []byte, tables ...[]byte) []byte {
	matrix := u32(1<<16, 0, 0, 0, 1<<16, 0, 0, 0, 1<<30)
	const longest = 1<<32 - 1
	stbl := box("stbl", append([][]byte{box("stsd", u32(0, 1), box("avc1", make([]byte, 78)))}, tables...)...)
	mdia := box("mdia",
		box("mdhd", u32(0, 0, 0, 1000, longest, 0)),
		box("hdlr", u32(0, 0), []byte("vide"), make([]byte, 13)),
		box("minf", box("vmhd", u32(1, 0, 0)), box("dinf", box("dref", u32(0, 1), box("url ", u32(1)))), stbl),
	)
	parts := [][]byte{box("mvhd", u32(0, 0, 0, 1000, longest, 1<<16, 1<<24, 0, 0), matrix, make([]byte, 24), u32(tracks+1))}
	for id := range tracks {
		tkhd := box("tkhd", u32(3, 0, 0, id+1, 0, longest, 0, 0, 0, 0), matrix, u32(192<<16, 108<<16))
		parts = append(parts, box("trak", tkhd, edits, mdia))
	}
	return box("moov", parts...)
}

func even(n int) []byte { return counted("stts", 1, func(int) []byte { return u32(n, 40) }) }

func uneven(n int) []byte {
	return counted("stts", n, func(i int) []byte { return u32(1, 40+i%2) })
}

func reordered(n int) []byte {
	return counted("ctts", n, func(i int) []byte { return u32(1, 40*(i%4)) })
}

func keys(n, step int) []byte {
	return counted("stss", n, func(i int) []byte { return u32(1 + i*step) })
}

func oneRun(samples int) []byte {
	return counted("stsc", 1, func(int) []byte { return u32(1, samples, 1) })
}

func sizes(n int) []byte {
	return box("stsz", u32(0, 0, n), repeat(n, func(int) []byte { return u32(frame) }))
}

func offsets(n, step int) []byte {
	return counted("stco", n, func(i int) []byte { return u32(costlyHead + i*step) })
}

func box(typ string, parts ...[]byte) []byte {
	payload := slices.Concat(parts...)
	return slices.Concat(u32(8+len(payload)), []byte(typ), payload)
}

// counted is a box of version 0 with n entries.
func counted(typ string, n int, entry func(i int) []byte) []byte {
	return box(typ, u32(0, n), repeat(n, entry))
}

func repeat(n int, entry func(i int) []byte) []byte {
	var b []byte
	for i := range n {
		b = append(b, entry(i)...)
	}
	return b
}

func u32(values ...int) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}
