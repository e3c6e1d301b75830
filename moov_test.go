package mp4

import (
	"bytes"
	"fmt"
	"math/rand"
	"reflect"
	"testing"
)

// TestShortTables: what a moov has for a track whose samples are all in fragments may be cut short, for nobody has looked.
func TestShortTables(t *testing.T) {
	for _, typ := range []string{"stts", "ctts"} {
		for size, want := range map[int][]uint32{
			2: {0, typeNumber(typ), 0, 0},
			7: {0, typeNumber(typ), 0xFFFFFFFF, 0},
			9: {0, typeNumber(typ), 0xFFFFFFFF, 0xFFFFFFFF},
		} {
			data := make([]byte, headerLen+size)
			for i := range data {
				data[i] = 0xFF
			}
			got := tableBegins(&box{typ: typ, header: headerLen, data: data})
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s of %d bytes: %x, want %x", typ, size, got, want)
			}
		}
	}
}

// chaptered is a movie of ten seconds of sound, with chapters of five seconds in texts and in pictures.
func chaptered() *madeMovie {
	sound := newMadeTrack("soun", 48000, 500, 960)
	sound.format = "twos"
	texts, pictures := newMadeTrack("text", 600, 2, 3000), newMadeTrack("vide", 600, 2, 3000)
	m := newMadeMovie(sound, texts, pictures)
	sound.inTrak = rawBox("tref", rawBox("chap", u32(texts.id, pictures.id)))
	return m
}

// TestChapterPictures: the picture of the chapter that the start falls into is on from 0 for what is left of it, as its
// text is, and a file with no other pictures is one of sound.
func TestChapterPictures(t *testing.T) {
	data := chaptered().file()
	m, err := findMovie(&memorySource{data: data}, testMoov)
	if err != nil {
		t.Fatal(err)
	}
	for _, seek := range []string{seekExact, seekKeyframe} {
		for start, want := range map[int64]string{
			1200: "[2280 3000] [0 2280] [{8800 0 65536}]",
			5000: "[3000] [0] [{5000 0 65536}]",
			9020: "[588] [0] [{980 0 65536}]",
		} {
			c, err := m.cutProgressive(msInterval{start, -1}, seek)
			if err != nil {
				t.Fatal(err)
			}
			out, err := assemble(c, data, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := readPlain(out)
			if err != nil || len(answer.tracks) != 3 {
				t.Fatal(err)
			}
			if sound := answer.tracks[0]; sound.mediaDuration != (10000-start/20*20)*48 {
				t.Errorf("%s from %d ms: the sound lasts %d ticks", seek, start, sound.mediaDuration)
			}
			for _, a := range answer.tracks[1:] {
				if got := fmt.Sprint(a.durations, a.cts, a.edits); got != want {
					t.Errorf("%s from %d ms: %s: durations, times and edits %s, want %s", seek, start, a.handler, got, want)
				}
			}
		}
	}
}

// TestTrackReferences: lists of tracks keep what is in the answer; what cannot be one is left out.
func TestTrackReferences(t *testing.T) {
	all := make([]int64, maxTracks)
	for i := range all {
		all[i] = 2
	}
	for name, c := range map[string]struct{ tref, want []byte }{
		"one that is there, one that is not": {rawBox("cdsc", u32(2, 9)), rawBox("tref", rawBox("cdsc", u32(2)))},
		"none that is there":                 {rawBox("cdsc", u32(9)), nil},
		"as many as there may be tracks":     {rawBox("sync", u32(all...)), rawBox("tref", rawBox("sync", u32(all...)))},
		"more":                               {rawBox("sync", u32(append(all, 2)...)), nil},
		"not to be read":                     {u32(1000, 5), nil},
	} {
		m := newMadeMovie(newMadeTrack("vide", 1000, 10, 100), newMadeTrack("soun", 1000, 10, 100))
		m.tracks[0].inTrak = rawBox("tref", c.tref)
		data := m.file()
		k, err := newChecker(data, rand.New(rand.NewSource(1)))
		if err != nil {
			t.Fatal(err)
		}
		cut, err := k.movie.cutProgressive(msInterval{300, -1}, seekExact)
		if err != nil {
			t.Fatal(err)
		}
		_, answer, err := k.checkFile(cut)
		if err != nil {
			t.Fatal(err)
		}
		children, _, err := plainBoxes(answer.tracks[0].box.body(), 0)
		if err != nil {
			t.Fatal(err)
		}
		tref, _ := plainChild(children, "tref")
		if !bytes.Equal(tref.data, c.want) {
			t.Errorf("%s: % x, want % x", name, tref.data, c.want)
		}
	}
}

// TestHintTracks: a track that tells how to send others is left out, with the references to it.
func TestHintTracks(t *testing.T) {
	video, hint := newMadeTrack("vide", 1000, 10, 100), newMadeTrack("hint", 1000, 10, 100)
	m := newMadeMovie(video, hint)
	video.inTrak = rawBox("tref", rawBox("sync", u32(hint.id)))
	hint.inTrak = rawBox("tref", rawBox("hint", u32(video.id)))
	k, err := newChecker(m.file(), rand.New(rand.NewSource(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, seek := range modes {
		_, err = k.check(msInterval{450, -1}, seek)
		if err != nil {
			t.Errorf("%s: %v", seek, err)
		}
		c, err := k.movie.cutProgressive(msInterval{450, -1}, seek)
		if err != nil {
			t.Fatal(err)
		}
		out, err := assemble(c, k.data, nil)
		if err != nil || bytes.Contains(out, []byte("hint")) || bytes.Contains(out, []byte("tref")) {
			t.Errorf("%s: it has a hint track or refers to one: %v", seek, err)
		}
	}
}

// TestUserData: lists of chapters in both versions are cut, what locates items by offsets in the file is left out, and
// all else of a moov stays.
func TestUserData(t *testing.T) {
	chapter := func(second int64, title string) []byte {
		return append(append(number(second*10_000_000, 8), byte(len(title))), title...) // in 100 ns
	}
	chapters := bytes.Join([][]byte{chapter(0, "one"), chapter(2, ""), chapter(5, "three"), chapter(9, "four")}, nil)
	left := bytes.Join([][]byte{chapter(0, ""), chapter(2, "three")}, nil)
	name := rawBox("\xa9nam", []byte("a film"))
	items := rawBox("iloc", u32(0, 0))
	for what, c := range map[string]struct{ udta, want []byte }{
		"version 1":         {fullBox("chpl", 1, u32(0), []byte{4}, chapters), fullBox("chpl", 1, u32(0), []byte{2}, left)},
		"version 0":         {fullBox("chpl", 0, []byte{4}, chapters), fullBox("chpl", 0, []byte{2}, left)},
		"cut short":         {fullBox("chpl", 1, u32(0), []byte{5}, chapters), nil},
		"a box beside it":   {append(fullBox("chpl", 0, []byte{4}, chapters), name...), append(fullBox("chpl", 0, []byte{2}, left), name...)},
		"no chapters":       {name, name},
		"a meta":            {fullBox("meta", 0, name), fullBox("meta", 0, name)},
		"a zero at the end": {append(fullBox("chpl", 0, []byte{4}, chapters), 0, 0, 0, 0), append(fullBox("chpl", 0, []byte{2}, left), 0, 0, 0, 0)},
		"a meta with items beside chapters": {append(fullBox("chpl", 0, []byte{4}, chapters), fullBox("meta", 0, items)...),
			fullBox("chpl", 0, []byte{2}, left)},
	} {
		m := newMadeMovie(newMadeTrack("vide", 1000, 100, 100))
		m.afterMoov = bytes.Join([][]byte{rawBox("udta", c.udta), fullBox("meta", 0, items), rawBox("meta", items), fullBox("meta", 0, name)}, nil)
		m.tracks[0].inTrak = fullBox("meta", 0, items)
		data := m.file()
		movie, err := findMovie(&memorySource{data: data}, testMoov)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := movie.cutProgressive(msInterval{3000, 8000}, seekExact)
		if err != nil {
			t.Fatal(err)
		}
		out, err := assemble(cut, data, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := append(rawBox("udta", c.want), fullBox("meta", 0, name)...)
		if mdat := len(out) - int(cut.length-cut.segments[0].length) - headerLen; !bytes.HasSuffix(out[:mdat], want) {
			t.Errorf("%s: the moov ends with % x, want % x", what, out[mdat-len(want)-20:mdat], want)
		}
		if bytes.Contains(out[:cut.segments[0].length], []byte("iloc")) {
			t.Errorf("%s: it has an iloc", what)
		}
	}
}
