package mp4_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// film is a made MP4 file: one video track at 25 pictures a second, a key frame every second, each sample filled with
// its number.
type film struct {
	data    []byte
	samples [][]byte
}

const (
	pictures   = 250 // ten seconds
	perSecond  = 25
	sampleSize = 400
)

// makeFilm makes a film whose samples begin with tag, so that two films of one length differ.
func makeFilm(tag byte, moovFirst bool) *film {
	f := &film{}
	for i := 0; i < pictures; i++ {
		sample := bytes.Repeat([]byte{tag, byte(i >> 8), byte(i), 0xEE}, sampleSize/4)
		f.samples = append(f.samples, sample)
	}
	media := box("mdat", bytes.Join(f.samples, nil))
	ftyp := box("ftyp", []byte("isom"), u32(512), []byte("isomavc1"))
	if moovFirst {
		at := len(ftyp) + len(makeMoov(0)) + 8
		f.data = bytes.Join([][]byte{ftyp, makeMoov(at), media}, nil)
	} else {
		f.data = bytes.Join([][]byte{ftyp, media, makeMoov(len(ftyp) + 8)}, nil)
	}
	return f
}

// makeMoov describes samples that lie in one chunk at an offset.
func makeMoov(at int) []byte {
	var keys []byte
	for i := 0; i < pictures/perSecond; i++ {
		keys = append(keys, u32(i*perSecond+1)...)
	}
	stbl := box("stbl",
		fullBox("stsd", 0, u32(1), box("avc1", make([]byte, 78))),
		fullBox("stts", 0, u32(1), u32(pictures), u32(1)),
		fullBox("stss", 0, u32(pictures/perSecond), keys),
		fullBox("stsc", 0, u32(1), u32(1), u32(pictures), u32(1)),
		fullBox("stsz", 0, u32(sampleSize), u32(pictures)),
		fullBox("stco", 0, u32(1), u32(at)),
	)
	matrix := bytes.Join([][]byte{u32(0x10000), make([]byte, 12), u32(0x10000), make([]byte, 12), u32(0x40000000)}, nil)
	seconds := pictures / perSecond
	return box("moov",
		fullBox("mvhd", 0, make([]byte, 8), u32(1000), u32(seconds*1000), u32(0x10000), make([]byte, 12), matrix,
			make([]byte, 24), u32(2)),
		box("trak",
			fullBox("tkhd", 0, []byte{}, make([]byte, 8), u32(1), u32(0), u32(seconds*1000), make([]byte, 16), matrix,
				u32(320<<16), u32(240<<16)),
			box("mdia",
				fullBox("mdhd", 0, make([]byte, 8), u32(perSecond), u32(pictures), u32(0x55C40000)),
				fullBox("hdlr", 0, u32(0), []byte("vide"), make([]byte, 12), []byte{0}),
				box("minf",
					fullBox("vmhd", 1, make([]byte, 8)),
					box("dinf", fullBox("dref", 0, u32(1), fullBox("url ", 1))),
					stbl))))
}

// box is size(4), type(4), payload.
func box(typ string, payload ...[]byte) []byte {
	body := bytes.Join(payload, nil)
	return bytes.Join([][]byte{u32(8 + len(body)), []byte(typ), body}, nil)
}

// fullBox is a box whose payload begins with version(1), here always 0, and flags(3).
func fullBox(typ string, flags int, payload ...[]byte) []byte {
	return box(typ, u32(flags), bytes.Join(payload, nil))
}

func u32(n int) []byte {
	b := make([]byte, 4)
	binary.BigEndian.PutUint32(b, uint32(n))
	return b
}

// checkCut fails unless answer is ftyp, moov and an mdat that holds the film's samples [from, to).
func (f *film) checkCut(t *testing.T, answer []byte, from, to int) {
	t.Helper()
	if err := f.compare(answer, from, to); err != nil {
		t.Error(err)
	}
}

func (f *film) compare(answer []byte, from, to int) error {
	var order string
	var media []byte
	for rest := answer; len(rest) > 0; {
		if len(rest) < 8 || int(binary.BigEndian.Uint32(rest)) > len(rest) || binary.BigEndian.Uint32(rest) < 8 {
			return fmt.Errorf("%d bytes behind %q are no box", len(rest), order)
		}
		n := int(binary.BigEndian.Uint32(rest))
		order += string(rest[4:8]) + " "
		media = rest[8:n]
		rest = rest[n:]
	}
	if order != "ftyp moov mdat " {
		return fmt.Errorf("boxes %q", order)
	}
	if want := bytes.Join(f.samples[from:to], nil); !bytes.Equal(media, want) {
		return fmt.Errorf("the mdat has %d bytes from sample %x on, want %d from %d on", len(media), media[:4], len(want), from)
	}
	return nil
}
