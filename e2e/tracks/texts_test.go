package tracks

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
)

// text is a sample of a track of texts: its bytes, and how long it is on, in milliseconds.
type text struct {
	content string
	lasts   uint32
}

// texts makes a file of one track, a sample in each chunk, with a timescale of 1000.
func texts(handler, format string, samples []text) []byte {
	var media []byte
	var durations, sizes, offsets []uint32
	all := uint32(0)
	for _, s := range samples {
		offsets = append(offsets, uint32(len(media)))
		durations = append(durations, 1, s.lasts) // sample_count, sample_delta
		sizes = append(sizes, uint32(len(s.content)))
		media = append(media, s.content...)
		all += s.lasts
	}
	ftyp := pack(false, "ftyp", []byte("isom"), u32(512), []byte("isom"))
	n := uint32(len(samples))
	moov := func(at uint32) []byte {
		var chunks []uint32
		for _, offset := range offsets {
			chunks = append(chunks, at+offset)
		}
		stbl := pack(false, "stbl",
			pack(false, "stsd", u32(0, 1), pack(false, format, make([]byte, 6), []byte{0, 1})), // data_reference_index
			pack(false, "stts", u32(0, n), u32(durations...)),
			pack(false, "stsc", u32(0, 1, 1, 1, 1)), // first_chunk, samples_per_chunk, sample_description_index
			pack(false, "stsz", u32(0, 0, n), u32(sizes...)),
			pack(false, "stco", u32(0, n), u32(chunks...)))
		dref := pack(false, "dref", u32(0, 1), pack(false, "url ", u32(1))) // in this file
		return pack(false, "moov",
			pack(false, "mvhd", u32(0, 0, 0, 1000, all), u32(1<<16), make([]byte, 72), u32(2)),
			pack(false, "trak",
				pack(false, "tkhd", u32(7, 0, 0, 1, 0, all), make([]byte, 60)),
				pack(false, "mdia",
					pack(false, "mdhd", u32(0, 0, 0, 1000, all, 0x55C40000)),
					pack(false, "hdlr", u32(0, 0), []byte(handler), make([]byte, 13)),
					pack(false, "minf", pack(false, "nmhd", u32(0)), pack(false, "dinf", dref), stbl))))
	}
	at := len(ftyp) + len(moov(0)) + 8
	return slices.Concat(ftyp, moov(uint32(at)), pack(false, "mdat", media))
}

// TestTexts: of every kind of text, the one that is on at the start is on from 0 for what is left of it, by its duration
// alone, which is all that some decoders look at; and none of its bytes is another.
func TestTexts(t *testing.T) {
	document := `<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="1s" end="4s">one</p></div></body></tt>`
	gap := string(pack(false, "vtte"))
	cue := func(payload string) string {
		return string(pack(false, "vttc", pack(false, "iden", []byte("7")), pack(false, "payl", []byte(payload))))
	}
	dir := t.TempDir()
	ask, keyframe := compiled(t, dir, "exact"), compiled(t, dir, "keyframe")
	for _, c := range []struct {
		handler, format string
		samples         []text
	}{
		{"text", "wvtt", []text{{gap, 1000}, {cue("one"), 3000}, {gap, 1000}, {cue("two"), 2500}, {cue("two") + cue("three"), 2500}}},
		{"subt", "stpp", []text{{"<tt/>", 1000}, {document, 3000}, {"<tt/>", 1000}, {document, 2500}, {document, 2500}}},
		{"subt", "sbtt", []text{{"", 1000}, {"one", 3000}, {"", 1000}, {"two", 2500}, {"three", 2500}}},
		{"sbtl", "tx3g", []text{{"\x00\x00", 1000}, {"\x00\x03one", 3000}, {"\x00\x00", 1000}, {"\x00\x03two", 2500}, {"\x00\x05three", 2500}}},
		{"text", "text", []text{{"\x00\x00", 1000}, {"\x00\x03one", 3000}, {"\x00\x00", 1000}, {"\x00\x03two", 2500}, {"\x00\x05three", 2500}}},
		{"subp", "mp4s", []text{{"0", 1000}, {"1", 3000}, {"2", 1000}, {"3", 2500}, {"4", 2500}}},
		{"clcp", "c608", captions},
	} {
		content := texts(c.handler, c.format, c.samples)
		write(t, dir, c.format, content)
		source, err := parse(content)
		if err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]struct {
			start, end float64
			first      int
			durations  string
		}{
			"start=0.25":          {0.25, -1, 0, "[750 3000 1000 2500 2500]"},
			"start=2.75":          {2.75, -1, 1, "[1250 1000 2500 2500]"},
			"start=4":             {4, -1, 2, "[1000 2500 2500]"},
			"start=3.999&end=6":   {3.999, 6, 1, "[1 1000 2500]"},
			"start=9.99&end=9.99": {9.99, -1, 4, "[10]"},
		} {
			_, cut := ask.cut(t, "/"+c.format+"?"+query)
			if err := alike(source, cut, want.start, want.end); err != nil {
				t.Errorf("%s: %s: %v", c.format, query, err)
			}
			is, durations := cut.tracks[0], []uint32{}
			for i, s := range is.samples {
				durations = append(durations, s.duration)
				if string(s.data) != c.samples[want.first+i].content || s.composition != 0 {
					t.Errorf("%s: %s: sample %d is %q, %d late", c.format, query, i, s.data, s.composition)
				}
			}
			if fmt.Sprint(durations) != want.durations || len(is.edits) != 1 || is.edits[0].mediaTime != 0 {
				t.Errorf("%s: %s: durations %v by edits %v, want %s from 0 on", c.format, query, durations, is.edits, want.durations)
			}
		}
		// Texts alone are the reference of keyframe: it begins with the one that is on.
		_, cut := keyframe.cut(t, "/"+c.format+"?start=2.75")
		if got := cut.tracks[0].samples; len(got) != 4 || got[0].duration != 3000 {
			t.Errorf("%s: keyframe: %d samples, the first lasts %d ms", c.format, len(got), got[0].duration)
		}
	}
}

// captions are closed captions as QuickTime has them: a sample holds all that its caption takes.
var captions = []text{{caption(""), 1000}, {caption("one"), 3000}, {caption(""), 1000}, {caption("two"), 2500}, {caption("three"), 2500}}

// caption makes a sample of CEA-608: byte pairs of odd parity in a cdat box.
func caption(words string) string {
	const (
		control        = 0x14 // channel 1
		resume         = 0x20 // loading a caption
		eraseDisplayed = 0x2C
		eraseLoaded    = 0x2E
		show           = 0x2F // what was loaded
		bottom         = 0x70 // row 15
	)
	pairs := []byte{control, eraseDisplayed}
	if words != "" {
		pairs = []byte{control, eraseLoaded, control, resume, control, bottom}
		pairs = append(pairs, words...)
		pairs = append(pairs, make([]byte, len(words)%2)...)
		pairs = append(pairs, control, eraseDisplayed, control, show)
	}
	for i, b := range pairs {
		if bits.OnesCount8(b)%2 == 0 {
			pairs[i] |= 0x80
		}
	}
	return string(pack(false, "cdat", pairs))
}

// TestCaptions lets a decoder read closed captions.
func TestCaptions(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "captions.mov", texts("clcp", "c608", captions))
	ask := compiled(t, dir, "exact")
	for query, want := range map[string]string{
		"end=9.9":         "1,000 4,000 one; 5,000 7,500 two; 7,500",
		"start=2":         "0,000 2,000 one; 3,000 5,500 two; 5,500",
		"start=4.5":       "0,500 3,000 two; 3,000",
		"start=6.1":       "0,000 1,400 two; 1,400",
		"start=2&end=7.6": "0,000 2,000 one; 3,000 5,500 two; 5,500",
	} {
		body, _ := ask.cut(t, "/captions.mov?"+query)
		srt := output(t, "ffmpeg", "-v", "error", "-copyts", "-i", write(t, dir, "cut.mov", body), "-map", "0:s", "-f", "srt", "-")
		var told []string
		for cue := range strings.SplitSeq(strings.TrimSpace(srt), "\n\n") {
			lines := strings.Split(cue, "\n") // number, times, text
			begins, ends, _ := strings.Cut(strings.ReplaceAll(lines[1], "00:00:0", ""), " --> ")
			if strings.Contains(lines[2], "three") {
				told = append(told, begins) // the decoder does not tell when the last one ends
				continue
			}
			_, words, _ := strings.Cut(lines[2], `{\an7}`)
			words, _, _ = strings.Cut(words, "<")
			told = append(told, begins+" "+ends+" "+words)
		}
		if got := strings.Join(told, "; "); got != want {
			t.Errorf("%s: the captions are %q; due are %q", query, got, want)
		}
	}
}
