package mp4

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"
)

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
			c, err := m.cut(interval{start, -1}, seek)
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
		cut, err := k.movie.cut(interval{300, -1}, seekExact)
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
