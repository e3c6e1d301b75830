package mp4_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// The names in here and in mp4_test.go are none of the package's own: Yaegi puts both packages into one scope.

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
	media := atom("mdat", bytes.Join(f.samples, nil))
	ftyp := atom("ftyp", []byte("isom"), be32(512), []byte("isomavc1"))
	if moovFirst {
		at := len(ftyp) + len(makeMoov(0)) + 8
		f.data = bytes.Join([][]byte{ftyp, makeMoov(at), media}, nil)
	} else {
		f.data = bytes.Join([][]byte{ftyp, media, makeMoov(len(ftyp) + 8)}, nil)
	}
	return f
}

// makeMoov describes samples that lie in one chunk at an offset.
func makeMoov(at int) []byte { return moovOf(pictures, sampleSize, at) }

// moovOf describes so many samples of one size, which lie in chunks of as many each.
func moovOf(pictures, sampleSize int, at ...int) []byte {
	var keys []byte
	for i := 0; i < pictures/perSecond; i++ {
		keys = append(keys, be32(i*perSecond+1)...)
	}
	var offsets bytes.Buffer
	for _, offset := range at {
		offsets.Write(be32(offset))
	}
	stbl := atom("stbl",
		fullAtom("stsd", 0, be32(1), atom("avc1", make([]byte, 78))),
		fullAtom("stts", 0, be32(1), be32(pictures), be32(1)),
		fullAtom("stss", 0, be32(pictures/perSecond), keys),
		fullAtom("stsc", 0, be32(1), be32(1), be32(pictures/len(at)), be32(1)),
		fullAtom("stsz", 0, be32(sampleSize), be32(pictures)),
		fullAtom("stco", 0, be32(len(at)), offsets.Bytes()),
	)
	matrix := bytes.Join([][]byte{be32(0x10000), make([]byte, 12), be32(0x10000), make([]byte, 12), be32(0x40000000)}, nil)
	seconds := pictures / perSecond
	return atom("moov",
		fullAtom("mvhd", 0, make([]byte, 8), be32(1000), be32(seconds*1000), be32(0x10000), make([]byte, 12), matrix,
			make([]byte, 24), be32(2)),
		atom("trak",
			fullAtom("tkhd", 0, []byte{}, make([]byte, 8), be32(1), be32(0), be32(seconds*1000), make([]byte, 16), matrix,
				be32(320<<16), be32(240<<16)),
			atom("mdia",
				fullAtom("mdhd", 0, make([]byte, 8), be32(perSecond), be32(pictures), be32(0x55C40000)),
				fullAtom("hdlr", 0, be32(0), []byte("vide"), make([]byte, 12), []byte{0}),
				atom("minf",
					fullAtom("vmhd", 1, make([]byte, 8)),
					atom("dinf", fullAtom("dref", 0, be32(1), fullAtom("url ", 1))),
					stbl))))
}

// atom is a box: size(4), type(4), payload.
func atom(typ string, payload ...[]byte) []byte {
	body := bytes.Join(payload, nil)
	return bytes.Join([][]byte{be32(8 + len(body)), []byte(typ), body}, nil)
}

// fullAtom is a box whose payload begins with version(1), here always 0, and flags(3).
func fullAtom(typ string, flags int, payload ...[]byte) []byte {
	return atom(typ, be32(flags), bytes.Join(payload, nil))
}

func be32(n int) []byte {
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
	rest := answer
	for len(rest) > 0 {
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
