package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/internal/origin"
)

const testMoov = 1 << 20 // the largest moov in tests

// TestSmallMovie checks that the fixture is what it says.
func TestSmallMovie(t *testing.T) {
	data := smallMovie(nil)
	k, err := newChecker(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := k.plain.tracks[0]
	for i, size := range smallSamples {
		if s.sizes[i] != int64(size) || !bytes.Equal(data[s.at[i]:s.at[i]+s.sizes[i]], bytes.Repeat([]byte{byte(i)}, size)) {
			t.Errorf("sample %d of %d bytes lies at %d: % x", i, s.sizes[i], s.at[i], data[s.at[i]:s.at[i]+s.sizes[i]])
		}
	}
	track := k.movie.tracks[0]
	if k.movie.moovFirst || k.movie.timescale != 1000 || len(k.movie.tracks) != 1 || track.id != 1 || !track.enabled ||
		!track.visual || track.timescale != 100 || track.samples != 10 || track.end != 110 || !track.ordered {
		t.Errorf("index: %+v", track)
	}
}

// TestLocate finds the moov wherever it lies.
func TestLocate(t *testing.T) {
	ftyp, mdat := smallParts["ftyp"], smallParts["mdat"]
	small := smallMovie(nil)
	moov := small[len(ftyp)+len(mdat):]
	free := rawBox("free", make([]byte, 3))
	toEnd := func(b []byte) []byte { return append(u32(sizeToEnd), b[4:]...) }
	wide := func(b []byte) []byte { return largeBox(string(b[4:8]), b[8:]) }
	for _, tt := range []struct {
		name      string
		parts     [][]byte
		moovFirst bool
	}{
		{"moov last", [][]byte{ftyp, mdat, moov}, false},
		{"moov first", [][]byte{ftyp, moov, mdat}, true},
		{"moov in the middle", [][]byte{ftyp, mdat, moov, mdat}, false},
		{"moov alone", [][]byte{moov}, true},
		{"no ftyp", [][]byte{mdat, moov}, false},
		{"free space before and between", [][]byte{ftyp, free, free, mdat, free, moov}, false},
		{"a box without content", [][]byte{ftyp, rawBox("free"), moov, mdat}, true},
		{"64-bit sizes", [][]byte{ftyp, wide(mdat), wide(moov)}, false},
		{"a moov to the end", [][]byte{ftyp, mdat, toEnd(moov)}, false},
		{"an mdat to the end", [][]byte{ftyp, moov, toEnd(mdat)}, true},
		{"an mdat that is cut short", [][]byte{ftyp, moov, mdat[:20]}, true},
		{"junk behind", [][]byte{ftyp, moov, mdat, {1, 2, 3, 4, 5, 6, 7, 8, 9}}, true},
		{"another moov behind", [][]byte{ftyp, moov, mdat, moov}, true},
		{"many boxes", [][]byte{ftyp, bytes.Repeat(free, 900), mdat, moov}, false},
		{"boxes of unknown types", [][]byte{ftyp, rawBox("\x00\x01\x02\x03"), rawBox("    "), moov, mdat}, true},
	} {
		data := bytes.Join(tt.parts, nil)
		at := int64(bytes.Index(data, []byte("moov"))) - 4
		for _, hidden := range []bool{false, true} {
			if hidden && tt.name == "a moov to the end" {
				continue // where the end is not known, neither is the moov's
			}
			m, err := findMovie(&memorySource{data: data, hidden: hidden}, testMoov)
			if err != nil {
				t.Errorf("%s, length hidden: %v: %v", tt.name, hidden, err)
				continue
			}
			if m.moovFirst != tt.moovFirst || m.moov.at != at && !strings.Contains(tt.name, "unknown") || len(m.tracks) != 1 || m.tracks[0].samples != 10 {
				t.Errorf("%s: first: %v, at %d, want %d", tt.name, m.moovFirst, m.moov.at, at)
			}
			if hidden != (m.fileSize < 0) {
				t.Errorf("%s: size %d", tt.name, m.fileSize)
			}
		}
	}
}

// TestLocateReads wants no more read than the headers on the way and the moov.
func TestLocateReads(t *testing.T) {
	small := smallMovie(nil)
	moov := int64(len(small) - len(smallParts["ftyp"]) - len(smallParts["mdat"]))
	media := make([]byte, 16)
	copy(media, u32(sizeLarge))
	copy(media[4:], "mdat")
	const mediaLen = int64(5) << 30
	copy(media[8:], number(mediaLen, 8))
	// ftyp, an mdat of 5 GiB of which only the header is there, and the moov behind it.
	data := append(append([]byte{}, smallParts["ftyp"]...), media...)
	src := &gappedSource{head: data, tail: small[int64(len(small))-moov:], tailAt: 20 + mediaLen}
	m, err := findMovie(src, testMoov)
	if err != nil {
		t.Fatal(err)
	}
	if m.moov.at != 20+mediaLen || m.moovFirst || src.asked > moov+200 {
		t.Errorf("moov at %d, first: %v, %d bytes read for a moov of %d", m.moov.at, m.moovFirst, src.asked, moov)
	}
}

// gappedSource is a file of which only the head and the tail are there; between them are zeros.
type gappedSource struct {
	head, tail []byte
	tailAt     int64
	asked      int64
}

func (s *gappedSource) Settled() bool { return true }
func (s *gappedSource) Size() int64   { return s.tailAt + int64(len(s.tail)) }

func (s *gappedSource) Read(off, n int64) ([]byte, error) {
	n = maxInt64(0, minInt64(n, s.Size()-off))
	s.asked += n
	b := make([]byte, n)
	if off < int64(len(s.head)) {
		copy(b, s.head[off:])
	}
	if off >= s.tailAt {
		copy(b, s.tail[off-s.tailAt:])
	} else if off+n > s.tailAt {
		copy(b[s.tailAt-off:], s.tail)
	}
	return b, nil
}

func (s *gappedSource) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	return s.Read(off, n)
}

func (s *gappedSource) Reserve(int64) error { return nil }

func (s *gappedSource) Peek(off, n, atOnce int64) ([]byte, error) { return s.Read(off, n) }

// TestLocateRefused has files without a moov that could be found.
func TestLocateRefused(t *testing.T) {
	ftyp, mdat := smallParts["ftyp"], smallParts["mdat"]
	small := smallMovie(nil)
	moov := small[len(ftyp)+len(mdat):]
	sized := func(size int64, typ string) []byte { return append(u32(size), typ...) }
	for _, tt := range []struct {
		name string
		data []byte
		want error
		says string
	}{
		{"an empty file", nil, errNotMP4, ""},
		{"a file shorter than a header", small[:7], errNotMP4, ""},
		{"HTML", []byte("<!DOCTYPE html><html><body>Not here</body></html>"), errNotMP4, `"CTYP"`},
		{"a first box of 2 bytes", sized(2, "ftyp"), errNotMP4, ""},
		{"a first box of 7 bytes", sized(7, "ftyp"), errNotMP4, ""},
		{"a first box with a 64-bit size of 15", append(sized(1, "ftyp"), number(15, 8)...), errNotMP4, ""},
		{"a first box of an unknown type", rawBox("abcd", ftyp), errNotMP4, `"abcd"`},
		{"no moov", append(append([]byte{}, ftyp...), mdat...), errFormat, "no moov"},
		{"an mdat to the end and no moov", append(append([]byte{}, ftyp...), append(u32(0), mdat[4:]...)...), errFormat, "no moov"},
		{"a box of 2 bytes", append(append([]byte{}, ftyp...), sized(2, "free")...), errFormat, "box at 20"},
		{"a box of 7 bytes", append(append([]byte{}, ftyp...), sized(7, "moov")...), errFormat, "box at 20"},
		{"a moov of 7 bytes in 64 bits", append(append([]byte{}, ftyp...), append(sized(1, "moov"), number(7, 8)...)...), errFormat, "box at 20"},
		{"a 64-bit size that is cut short", append(append([]byte{}, ftyp...), sized(1, "mdat")...), errFormat, "box at 20"},
		{"a size beyond 2^56", append(append([]byte{}, ftyp...), append(sized(1, "mdat"), number(1<<56+1, 8)...)...), errFormat, "box at 20"},
		{"the greatest size", append(append([]byte{}, ftyp...), append(sized(1, "mdat"), number(-1, 8)...)...), errFormat, "box at 20"},
		{"a moov that is cut short", small[:len(small)-1], errFormat, fmt.Sprintf("moov at %d", 20+len(mdat))},
		{"a moov without content", append(append([]byte{}, ftyp...), rawBox("moov")...), errFormat, "moov at 20"},
		{"a second ftyp", append(append([]byte{}, ftyp...), small...), errFormat, "ftyp at 20"},
		{"an ftyp of 5000 bytes", rawBox("ftyp", make([]byte, 5000)), errFormat, "ftyp at 0 is 5008 bytes"},
		{"an ftyp that is cut short", append(u32(100), ftyp[4:]...), errFormat, "ftyp at 0"},
		{"more boxes than anybody needs", bytes.Join([][]byte{bytes.Repeat(rawBox("free"), maxWalked), moov, mdat}, nil), errFormat, "no moov found among the first 4000 boxes"},
		{"a fragment before any moov", append(append([]byte{}, ftyp...), rawBox("moof", moov)...), errFragmented, "moof at 20"},
	} {
		for _, hidden := range []bool{false, true} {
			m, err := findMovie(&memorySource{data: tt.data, hidden: hidden}, testMoov)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s, length hidden: %v: %v, want %v with %q", tt.name, hidden, err, tt.want, tt.says)
			}
			if err == nil && m == nil {
				t.Errorf("%s: neither a movie nor an error", tt.name)
			}
		}
	}
	_, err := findMovie(&memorySource{data: small}, int64(len(moov))-1)
	if !errors.Is(err, origin.ErrTooLarge) || !strings.HasSuffix(err.Error(), fmt.Sprintf(": %d", len(moov))) {
		t.Errorf("a moov larger than allowed: %v", err)
	}
	_, err = findMovie(&memorySource{data: small}, int64(len(moov)))
	if err != nil {
		t.Errorf("a moov as large as allowed: %v", err)
	}
	broken := errors.New("the line is dead")
	for from := int64(0); from < int64(len(small)); from += 9 {
		_, err = findMovie(&failingSource{data: small, from: from, err: broken}, testMoov)
		if !errors.Is(err, broken) {
			t.Errorf("a source that cannot be read from %d on: %v", from, err)
		}
	}
}

// TestMoovAtEnd has more boxes before the moov than are walked along before the end of the file is looked at.
func TestMoovAtEnd(t *testing.T) {
	ftyp, mdat := smallParts["ftyp"], smallParts["mdat"]
	small := smallMovie(nil)
	moov := small[len(ftyp)+len(mdat):]
	front := append(append([]byte{}, ftyp...), bytes.Repeat(rawBox("mdat", make([]byte, origin.HopLen)), hopsToEnd+8)...)
	odd := rawBox("moov", rawBox("free"), rawBox("udta")) // no mvhd
	torn := append(append(u32(100), "moov"...), bytes.Repeat([]byte{0xFF}, 92)...)
	for _, tt := range []struct {
		name  string
		parts [][]byte // behind the boxes at the front
		at    int      // the moov among them
	}{
		{"a moov that ends the file", [][]byte{moov}, 0},
		{"a moov of a 64-bit size", [][]byte{mdat, largeBox("moov", moov[8:])}, 1},
		{"free space behind", [][]byte{mdat, moov, rawBox("free", make([]byte, 1000))}, 1},
		{"what else there is behind", [][]byte{mdat, moov, rawBox("udta"), rawBox("wide"), rawBox("mfra", []byte("moov"))}, 1},
		{"media behind", [][]byte{mdat, moov, mdat}, 1},
		{"junk behind", [][]byte{mdat, moov, {1, 2, 3}}, 1},
		{"the word in the media, often", [][]byte{moov, rawBox("mdat", bytes.Repeat([]byte("moov"), 1000))}, 0},
		{"the word, and then the moov", [][]byte{rawBox("mdat", bytes.Repeat([]byte("moov"), 1000)), moov}, 1},
		{"a moov in the media that does not end with them", [][]byte{moov, rawBox("mdat", small, []byte{0, 0, 0, 8, 'f', 'r', 'e', 'e', 1})}, 0},
		{"one that ends with them but has no header", [][]byte{moov, rawBox("mdat", odd)}, 0},
		{"one that is not made of boxes", [][]byte{moov, rawBox("mdat", torn)}, 0},
	} {
		want := len(front)
		for _, part := range tt.parts[:tt.at] {
			want += len(part)
		}
		data := append(append([]byte{}, front...), bytes.Join(tt.parts, nil)...)
		for _, hidden := range []bool{false, true} {
			src := &memorySource{data: data, hidden: hidden}
			m, err := findMovie(src, testMoov)
			if err != nil {
				t.Errorf("%s, length hidden: %v: %v", tt.name, hidden, err)
				continue
			}
			if m.moov.at != int64(want) || m.moovFirst || len(m.tracks) != 1 {
				t.Errorf("%s, length hidden: %v: moov at %d, want %d; first: %v", tt.name, hidden, m.moov.at, want, m.moovFirst)
			}
		}
	}
	// Of a moov much larger than what is read of the end at first, no byte is read twice.
	large := rawBox("moov", moov[8:], rawBox("free", make([]byte, 5*endLen)))
	data := bytes.Join([][]byte{front, mdat, large}, nil)
	src := &memorySource{data: data}
	m, err := findMovie(src, testMoov)
	if err != nil || m.moov.at != int64(len(front)+len(mdat)) || src.asked > int64(len(data)) {
		t.Errorf("a large one: %v, %d bytes read of %d", err, src.asked, len(data))
	}
	_, err = findMovie(&memorySource{data: data}, int64(len(large))-1)
	if !errors.Is(err, origin.ErrTooLarge) {
		t.Errorf("one larger than allowed: %v", err)
	}
	broken := errors.New("the line is dead")
	_, err = findMovie(&failingSource{data: data, from: int64(len(data)) - 1, err: broken}, testMoov)
	if !errors.Is(err, broken) {
		t.Errorf("a source whose end cannot be read: %v", err)
	}
}

// table makes a full box of 32-bit numbers.
func table(typ string, values ...int64) []byte { return fullBox(typ, 0, u32(values...)) }

// short is a part of the small movie less its last bytes.
func short(name string, less int) []byte {
	b := append([]byte{}, smallParts[name][:len(smallParts[name])-less]...)
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// with is a small movie with one other part.
func with(name string, b []byte) map[string][]byte { return map[string][]byte{name: b} }

// TestRefused has a movie for every error of nginx (NGINX, "All errors") that a moov can cause, and where it differs.
// Every error names the way to the box and where it lies.
func TestRefused(t *testing.T) {
	many := make([]byte, 8)
	for _, tt := range []struct {
		name    string
		changed map[string][]byte
		box     string // whose offset the error has, the last one of that type
		way     string
		says    string
	}{
		// mp4 atom is too small; mp4 atom too large
		{"a box of 4 bytes in a moov", with("+moov", append(u32(4), "udta"...)), "udta", "moov/udta", "size"},
		{"a box of 7 bytes in a trak", with("+trak", append(u32(7), "udta"...)), "udta", "trak/udta", "size"},
		{"a 64-bit size of 15 in a stbl", with("+stbl", append(append(u32(1), "abcd"...), number(15, 8)...)), "abcd", "stbl/abcd", "size"},
		{"a 64-bit size of 0 in a stbl", with("+stbl", append(append(u32(1), "abcd"...), number(0, 8)...)), "abcd", "stbl/abcd", "size"},
		{"a box larger than its moov", with("+moov", append(u32(9), "udta"...)), "udta", "moov/udta", "size"},
		{"a box larger than its stbl", with("+stbl", append(u32(1<<31), "abcd"...)), "abcd", "stbl/abcd", "size"},
		{"a 64-bit size that ends with the box", with("+stbl", append(u32(1), "abcd"...)), "abcd", "stbl/abcd", "size"},

		// duplicate mp4 X atom
		{"two mvhd", with("+moov", smallParts["mvhd"]), "mvhd", "moov/mvhd", "one already"},
		{"two tkhd", with("+trak", smallParts["tkhd"]), "tkhd", "trak/tkhd", "one already"},
		{"two mdia", with("+trak", rawBox("mdia")), "mdia", "trak/mdia", "one already"},
		{"two edts", with("+trak", smallParts["edts"]), "edts", "trak/edts", "one already"},
		{"two mdhd", with("+mdia", smallParts["mdhd"]), "mdhd", "mdia/mdhd", "one already"},
		{"two hdlr", with("+mdia", smallParts["hdlr"]), "hdlr", "mdia/hdlr", "one already"},
		{"two minf", with("+mdia", rawBox("minf")), "minf", "mdia/minf", "one already"},
		{"two stbl", with("+minf", rawBox("stbl")), "stbl", "minf/stbl", "one already"},
		{"two stsd", with("+stbl", smallParts["stsd"]), "stsd", "stbl/stsd", "one already"},
		{"two stts", with("+stbl", smallParts["stts"]), "stts", "stbl/stts", "one already"},
		{"two stss", with("+stbl", smallParts["stss"]), "stss", "stbl/stss", "one already"},
		{"two ctts", with("+stbl", smallParts["ctts"]), "ctts", "stbl/ctts", "one already"},
		{"two stsc", with("+stbl", smallParts["stsc"]), "stsc", "stbl/stsc", "one already"},
		{"two stsz", with("+stbl", smallParts["stsz"]), "stsz", "stbl/stsz", "one already"},
		{"two stco", with("+stbl", smallParts["stco"]), "stco", "stbl/stco", "one already"},
		{"both stco and co64", with("+stbl", table("co64", 1, 0, smallMedia)), "stbl", "stbl", "both stco and co64"},

		// compressed moov atom (cmov) is not supported
		{"a compressed moov", with("+moov", rawBox("cmov")), "cmov", "cmov", "compressed"},

		// mp4 X atom too small
		{"mvhd of version 0 cut short", with("mvhd", short("mvhd", 81)), "mvhd", "mvhd", "too short"},
		{"mvhd of version 1 cut short", with("mvhd", fullBox("mvhd", 1, make([]byte, 27))), "mvhd", "mvhd", "too short"},
		{"tkhd cut short", with("tkhd", short("tkhd", 61)), "tkhd", "tkhd", "too short"},
		{"tkhd of version 1 cut short", with("tkhd", fullBox("tkhd", 1, make([]byte, 31))), "tkhd", "tkhd", "too short"},
		{"mdhd cut short", with("mdhd", short("mdhd", 5)), "mdhd", "trak 1: mdia: ", "too short"},
		{"mdhd of version 1 cut short", with("mdhd", fullBox("mdhd", 1, make([]byte, 27))), "mdhd", "trak 1: mdia: ", "too short"},
		{"stts without a count", with("stts", rawBox("stts", many[:7])), "stts", "trak 1: mdia: minf/stbl: ", "too short"},
		{"stts of more entries than fit", with("stts", short("stts", 1)), "stts", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"stts of the most entries", with("stts", table("stts", 1<<32-1, 10, 10)), "stts", "trak 1: mdia: minf/stbl: ", "4294967295 entries"},
		{"stss without a count", with("stss", rawBox("stss", many[:4])), "stss", "trak 1: mdia: minf/stbl: ", "too short"},
		{"stss of more entries than fit", with("stss", short("stss", 1)), "stss", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"ctts without a count", with("ctts", rawBox("ctts", many[:7])), "ctts", "trak 1: mdia: minf/stbl: ", "too short"},
		{"ctts of more entries than fit", with("ctts", short("ctts", 8)), "ctts", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"stsc without a count", with("stsc", rawBox("stsc", many[:7])), "stsc", "trak 1: mdia: minf/stbl: ", "too short"},
		{"stsc of more entries than fit", with("stsc", short("stsc", 1)), "stsc", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"stco without a count", with("stco", rawBox("stco", many[:7])), "stco", "trak 1: mdia: minf/stbl: ", "too short"},
		{"stco of more entries than fit", with("stco", short("stco", 1)), "stco", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"co64 of more entries than fit", with("stco", table("co64", 2, 0, smallMedia, 0)), "co64", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"stsz cut short", with("stsz", rawBox("stsz", many, many[:3])), "stsz", "trak 1: mdia: minf/stbl: ", "too short"},
		{"stsz of more entries than fit", with("stsz", short("stsz", 1)), "stsz", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"stz2 of more entries than fit", with("stsz", append(table("stz2", 4, 11), make([]byte, 5)...)), "stz2", "trak 1: mdia: minf/stbl: ", "do not fit"},
		{"stz2 with sizes of 5 bits", with("stsz", table("stz2", 5, 1, 0)), "stz2", "trak 1: mdia: minf/stbl: ", "5 bits"},

		// no mp4 trak atoms were found; no mp4 X atoms were found
		{"no mvhd", with("mvhd", nil), "moov", "moov", "no mvhd"},
		{"no timescale at all", map[string][]byte{"mdhd": table("mdhd", 0, 0, 0, 100, 0), "mvhd": fullBox("mvhd", 0, u32(0, 0, 0, 100), make([]byte, 80))},
			"mdhd", "mdia: ", "timescale"},
		{"edits of a media time beyond 2^60", with("edts", rawBox("edts", fullBox("elst", 1, u32(1), number(10, 8), number(1<<61, 8), u32(1<<16)))), "elst", "elst", "2^60"},
		{"no mdhd", with("mdhd", nil), "mdia", "mdia", "no mdhd"},
		{"no stts", with("stts", nil), "stbl", "mdia: minf/stbl", "no stts"},
		{"no stsc", with("stsc", nil), "stbl", "mdia: minf/stbl", "no stts or no stsc"},
		{"no stco", with("stco", nil), "stbl", "mdia: minf/stbl", "neither stco nor co64"},

		// zero number of entries in stsc
		{"no entries in stsc", with("stsc", table("stsc", 0)), "stbl", "minf/stbl", "no run"},

		// the same for the others
		{"no entries in stts", with("stts", table("stts", 0)), "stbl", "minf/stbl", "no time"},
		{"no entries in stco", with("stco", table("stco", 0)), "stbl", "minf/stbl", "no chunk"},
		{"times beyond 2^60", with("stts", table("stts", 1, 1<<32-1, 1<<31-1)), "stts", "trak 1: mdia: minf/stbl: ", "2^60"},
		{"media in another file", with("dinf", rawBox("dinf", fullBox("dref", 0, u32(1), rawBox("url ", u32(0), []byte("http://elsewhere/\x00"))))),
			"url ", "trak 1: mdia: minf: ", "another file"},
	} {
		data := smallMovie(tt.changed)
		_, err := findMovie(&memorySource{data: data}, testMoov)
		at := fmt.Sprintf("%s at %d", tt.box, bytes.LastIndex(data, []byte(tt.box))-4)
		if !errors.Is(err, errFormat) || !strings.Contains(err.Error(), tt.way) || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q, %q and %q in it", tt.name, err, tt.way, at, tt.says)
		}
	}
}

// TestTolerated has movies that contradict themselves somewhere, or lack what no cut needs, and can be cut all the same.
func TestTolerated(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changed map[string][]byte
		samples int64
	}{
		{"no edit list", with("edts", nil), 10},
		{"an empty edts", with("edts", rawBox("edts")), 10},
		{"an edit list without edits", with("edts", rawBox("edts", table("elst", 0))), 10},
		{"no hdlr, vmhd, dinf or stsd", map[string][]byte{"hdlr": nil, "vmhd": nil, "dinf": nil, "stsd": nil}, 10},
		{"no ctts", with("ctts", nil), 10},
		{"a ctts without entries", with("ctts", table("ctts", 0)), 10},
		{"a ctts of fewer samples", with("ctts", table("ctts", 1, 3, 10)), 10},
		{"a ctts of more samples", with("ctts", table("ctts", 1, 300, 10)), 10},
		{"no stss", with("stss", nil), 10},
		{"a stss without entries", with("stss", table("stss", 0)), 10},
		{"a sync sample beyond the last", with("stss", table("stss", 3, 1, 6, 4000)), 10},
		{"a stts of fewer samples", with("stts", table("stts", 1, 8, 10)), 8},
		{"a stts of more samples", with("stts", table("stts", 2, 10, 10, 4000, 10)), 10},
		{"a run of no samples in stts", with("stts", table("stts", 3, 4, 10, 0, 500, 6, 10)), 10},
		{"a stsc of more samples", with("stsc", table("stsc", 1, 1, 1<<32-1, 1)), 10},
		{"a stsc of fewer samples", with("stsc", table("stsc", 1, 1, 2, 1)), 8},
		{"a run of no samples in stsc", with("stsc", table("stsc", 2, 1, 3, 1, 4, 0, 1)), 9},
		{"a stsz of fewer samples", with("stsz", table("stsz", 0, 4, 7, 5, 4, 6)), 4},
		{"a chunk more than samples", with("stco", table("stco", 5, smallMedia, smallMedia+16, smallMedia+33, smallMedia+44, smallMedia)), 10},
		{"a chunk beyond the end of the file", with("stco", table("stco", 4, smallMedia, smallMedia+16, smallMedia+33, 1<<20)), 9},
		{"samples of no bytes", with("stsz", table("stsz", 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), 10},
		{"bytes behind the last entry", with("stts", table("stts", 1, 10, 10, 7, 7)), 10},
		{"durations of 0 in the headers", map[string][]byte{
			"mvhd": fullBox("mvhd", 0, u32(0, 0, 1000, 0), make([]byte, 80)),
			"tkhd": fullBox("tkhd", 0, u32(0, 0, 1, 0, 0), make([]byte, 60)),
			"mdhd": table("mdhd", 0, 0, 100, 0, 0),
		}, 10},
		{"durations of all ones in the headers", map[string][]byte{
			"mvhd": fullBox("mvhd", 0, u32(0, 0, 1000, 1<<32-1), make([]byte, 80)),
			"tkhd": fullBox("tkhd", 0, u32(0, 0, 1, 0, 1<<32-1), make([]byte, 60)),
			"mdhd": table("mdhd", 0, 0, 100, 1<<32-1, 0),
		}, 10},
		{"an mvhd of no more than its duration", with("mvhd", short("mvhd", 80)), 10},
		{"zeros at the end of trak and moov", map[string][]byte{"+trak": make([]byte, 4), "+moov": make([]byte, 12)}, 10},
	} {
		data := smallMovie(tt.changed)
		m, err := findMovie(&memorySource{data: data}, testMoov)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if m.tracks[0].samples != tt.samples {
			t.Errorf("%s: %d samples, want %d", tt.name, m.tracks[0].samples, tt.samples)
		}
		for _, seek := range modes {
			for _, iv := range []msInterval{{0, -1}, {250, -1}, {250, 450}, {0, 100}} {
				c, err := m.cutProgressive(iv, seek)
				if err != nil {
					if !errors.Is(err, errPastEnd) {
						t.Errorf("%s, %s: %v", tt.name, seek, err)
					}
					continue
				}
				_, err = checkLoosely(data, m, c)
				if err != nil {
					t.Errorf("%s, %s from %d to %d ms: %v", tt.name, seek, iv.start, iv.end, err)
				}
			}
		}
		c, err := m.remux()
		if err == nil {
			_, err = assemble(c, data, nil)
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestTypesInErrors: errors name boxes of printable types as they are, and quote others.
func TestTypesInErrors(t *testing.T) {
	for typ, want := range map[string]string{
		"abcd":             `mp4: not parseable: moov/abcd at 16: its size is impossible`,
		"a\"/ ":            `mp4: not parseable: moov/a"/  at 16: its size is impossible`,
		"\x00\x00\x00\x00": `mp4: not parseable: moov/"\x00\x00\x00\x00" at 16: its size is impossible`,
		"\x1b[2J":          `mp4: not parseable: moov/"\x1b[2J" at 16: its size is impossible`,
		"\xa9nam":          `mp4: not parseable: moov/"\xa9nam" at 16: its size is impossible`,
		"a\nb\x7f":         `mp4: not parseable: moov/"a\nb\x7f" at 16: its size is impossible`,
	} {
		moov := aBox("moov", aBox("mvhd", nil), words(100), []byte(typ))
		err := readChildren(&box{typ: "moov", header: headerLen, data: moov}, "")
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", typ, err)
		}
		err = (&box{typ: typ, at: 16}).fail("its size is impossible")
		if want := strings.Replace(want, "moov/", "", 1); err.Error() != want {
			t.Errorf("%q: %v", typ, err)
		}
	}
}

// TestTracksAsTheyCome reads tracks while the moov is coming: each is what it is where the moov is there at once, in
// whatever order its boxes lie.
func TestTracksAsTheyCome(t *testing.T) {
	data := newMadeMovie(newMadeTrack("vide", 1000, 10, 1000), newMadeTrack("soun", 8000, 10, 1000)).file()
	whole, err := findMovie(&memorySource{data: data}, testMoov)
	if err != nil {
		t.Fatal(err)
	}
	mvhd, pictures, sound := childOf(whole.moov, "mvhd"), whole.tracks[0].box, whole.tracks[1].box
	for _, order := range [][]*box{
		{mvhd, pictures, sound},
		{mvhd, sound, pictures},
		{pictures, mvhd, sound},
		{sound, mvhd, pictures},
		{pictures, sound, mvhd},
	} {
		moved := append([]byte(nil), data...)
		at := whole.moov.at + whole.moov.header
		var tracks []*box
		for _, b := range order {
			copy(moved[at:], b.data)
			if b.typ == "trak" {
				tracks = append(tracks, &box{at: at, data: b.data})
			}
			at += int64(len(b.data))
		}
		m, err := findMovie(&memorySource{data: moved}, testMoov)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.tracks) != len(tracks) {
			t.Fatalf("%d tracks", len(m.tracks))
		}
		for i, want := range tracks {
			if got := m.tracks[i].box; got.at != want.at || !bytes.Equal(got.data, want.data) {
				t.Errorf("mvhd at %d: track %d is that at %d, not at %d", childOf(m.moov, "mvhd").at, i+1, got.at, want.at)
			}
		}
	}
}
