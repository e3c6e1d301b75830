package mp4

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
	"github.com/traefik-mp4/mp4/internal/lanes"
)

// Odd movies beside plain ones that show the same: their cuts must be the same, byte by byte.

// sameCuts compares cuts of two files whose media lie at the same offsets.
func sameCuts(t *testing.T, name string, odd, plain []byte) {
	t.Helper()
	movies := []*movie{}
	for _, data := range [][]byte{odd, plain} {
		m, err := findMovie(&memorySource{data: data}, testMoov)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		movies = append(movies, m)
	}
	for i, m := range movies { // with the moov moved, ours is read as the source is
		whole, err := m.remux()
		if err == nil {
			_, err = assemble(whole, [][]byte{odd, plain}[i], nil)
		}
		if err != nil {
			t.Errorf("%s: all of it: %v", name, err)
		}
	}
	for _, seek := range modes {
		for start := int64(0); start < 1100; start += int64(filmtest.Rounds(45, 410)) {
			for _, end := range []int64{-1, start + 130} {
				var answers [][]byte
				for i, data := range [][]byte{odd, plain} {
					c, err := movies[i].cutProgressive(msInterval{start, end}, seek)
					if errors.Is(err, errPastEnd) {
						answers = append(answers, []byte{})
						continue
					}
					if err != nil {
						t.Errorf("%s: %s from %d ms: %v", name, seek, start, err)
						return
					}
					out, err := assemble(c, data, nil)
					if err != nil {
						t.Errorf("%s: %s from %d ms: %v", name, seek, start, err)
						return
					}
					answers = append(answers, out)
				}
				if !bytes.Equal(answers[0], answers[1]) {
					t.Errorf("%s: %s from %d to %d ms: %d bytes instead of %d, other ones from %d on", name, seek, start, end,
						len(answers[0]), len(answers[1]), difference(answers[0], answers[1]))
					return
				}
			}
		}
	}
}

// TestOddTables has tables that are wrong in the ways of real files, and what players take them for.
func TestOddTables(t *testing.T) {
	listed := func(version int, fields ...[]byte) []byte { return rawBox("edts", fullBox("elst", version, fields...)) }
	mvhd := func(timescale int64) []byte {
		b := append([]byte{}, smallParts["mvhd"]...)
		copy(b[20:], u32(timescale)) // behind size, type, version and two times
		return b
	}
	mdhd := func(timescale int64) []byte {
		b := append([]byte{}, smallParts["mdhd"]...)
		copy(b[20:], u32(timescale))
		return b
	}
	one := u32(500, 20, normalRate)
	for _, tt := range []struct {
		name       string
		odd, plain map[string][]byte
	}{
		{"two runs from one chunk on", with("stsc", table("stsc", 3, 1, 2, 1, 1, 3, 1, 4, 1, 1)), with("stsc", table("stsc", 2, 1, 3, 1, 4, 1, 1))},
		{"two runs from the last chunk on", with("stsc", table("stsc", 3, 1, 3, 1, 4, 7, 1, 4, 1, 1)), with("stsc", table("stsc", 2, 1, 3, 1, 4, 1, 1))},
		{"a run that goes back", with("stsc", table("stsc", 3, 1, 3, 1, 9, 7, 1, 4, 1, 1)), with("stsc", table("stsc", 2, 1, 3, 1, 4, 1, 1))},
		{"a run beyond the last chunk", with("stsc", table("stsc", 3, 1, 3, 1, 4, 1, 1, 5, 9, 1)), with("stsc", table("stsc", 2, 1, 3, 1, 4, 1, 1))},
		{"chunks counted from 0", with("stsc", table("stsc", 2, 0, 3, 1, 4, 1, 1)), with("stsc", table("stsc", 2, 1, 3, 1, 4, 1, 1))},
		{"no run for the first chunk", with("stsc", table("stsc", 2, 2, 3, 1, 4, 1, 1)), with("stsc", table("stsc", 2, 1, 3, 1, 4, 1, 1))},
		{"sync samples counted from 0", with("stss", table("stss", 2, 0, 5)), with("stss", table("stss", 2, 1, 6))},
		{"sync samples out of order", with("stss", table("stss", 3, 6, 1, 8)), with("stss", table("stss", 3, 1, 6, 8))},
		{"both", with("stss", table("stss", 2, 5, 0)), with("stss", table("stss", 2, 1, 6))},
		{"partial sync samples counted from 0", with("+stbl", table("stps", 2, 0, 3)), with("+stbl", table("stps", 2, 1, 4))},
		{"more edits than fit", with("edts", listed(0, u32(2), one)), with("edts", listed(0, u32(1), one))},
		{"most edits", with("edts", listed(0, u32(1<<32-1), one, u32(7))), with("edts", listed(0, u32(1), one))},
		{"an edit beyond any media", with("edts", listed(1, u32(1), number(1<<61, 8), number(20, 8), u32(normalRate))),
			with("edts", listed(0, u32(1), u32(0, 20, normalRate)))},
		{"an edit list that shows nothing", with("edts", listed(0, u32(1), u32(500, 1<<32-1, normalRate))), with("edts", nil)},
		{"an edit list without a count", with("edts", rawBox("edts", rawBox("elst", u32(0)))), with("edts", nil)},
		{"no tkhd", with("tkhd", nil), with("tkhd", nil)},
		{"a movie timescale of 0, no edits", map[string][]byte{"mvhd": mvhd(0), "edts": nil}, map[string][]byte{"mvhd": mvhd(1000), "edts": nil}},
		{"a movie timescale of 0, one edit", map[string][]byte{"mvhd": mvhd(0), "edts": listed(0, u32(1), one)},
			map[string][]byte{"mvhd": mvhd(1000), "edts": listed(0, u32(1), u32(0, 20, normalRate))}},
		{"a movie timescale of 0, an empty edit before one", map[string][]byte{"mvhd": mvhd(0), "edts": listed(0, u32(2), u32(100, 1<<32-1, normalRate), one)},
			map[string][]byte{"mvhd": mvhd(1000), "edts": listed(0, u32(1), u32(0, 20, normalRate))}},
		{"a media timescale of 0", map[string][]byte{"mdhd": mdhd(0), "mvhd": mvhd(100)}, map[string][]byte{"mdhd": mdhd(100), "mvhd": mvhd(100)}},
		{"a duration of -6", with("stts", table("stts", 4, 3, 10, 1, 16, 1, 1<<32-6, 5, 10)), with("stts", table("stts", 4, 3, 10, 1, 16, 1, 1, 5, 9))},
		{"a roll that cannot be read", with("+stbl", fullBox("sgpd", 1, []byte("roll"), u32(2, 9))), with("+stbl", fullBox("sgpd", 1, []byte("roll"), u32(2, 9)))},
		{"groups that do not fit", with("+stbl", fullBox("sbgp", 0, []byte("tele"), u32(9, 1, 1))), nil},
		{"access points that do not fit", with("+stbl", fullBox("sbgp", 0, []byte("rap "), u32(9, 1, 1))), nil},
		{"sync samples that do not fit", with("+stbl", rawBox("csgp", u32(0x3F), []byte("sync"), u32(1, 9, 1))), nil},
		{"patterns that do not fit", with("+stbl", rawBox("csgp", u32(0x3F), []byte("tele"), u32(1, 9, 1))), nil},
		{"a short list of sub-samples", with("+stbl", table("subs", 7, 1)), nil},
	} {
		sameCuts(t, tt.name, smallMovie(tt.odd), smallMovie(tt.plain))
	}
	_, err := findMovie(&memorySource{data: smallMovie(map[string][]byte{"mvhd": mvhd(0), "edts": listed(0, u32(2), one, one)})}, testMoov)
	if !errors.Is(err, errFormat) || !strings.Contains(fmt.Sprint(err), "mvhd at 89: the timescale is 0, but edits") {
		t.Errorf("two edits without a timescale: %v", err)
	}
}

// TestNoTrackHeader cuts a track whose trak has no tkhd: it begins where it does with one, by the same edit list.
func TestNoTrackHeader(t *testing.T) {
	var lists [][]byte
	for _, data := range [][]byte{smallMovie(nil), smallMovie(with("tkhd", nil))} {
		m, err := findMovie(&memorySource{data: data}, testMoov)
		if err != nil {
			t.Fatal(err)
		}
		c, err := m.cutProgressive(msInterval{370, -1}, seekExact)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := assemble(c, data, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, list, found := bytes.Cut(answer, []byte("elst"))
		if !found || len(list) < 20 {
			t.Fatal("no edit list in the cut")
		}
		lists = append(lists, list[:20])
	}
	if !bytes.Equal(lists[0], lists[1]) {
		t.Errorf("the edit list is %x without a tkhd, and %x with it", lists[1], lists[0])
	}
}

// TestSignedDurations has a table that FFmpeg was seen to read so, and others.
func TestSignedDurations(t *testing.T) {
	const most = uint64(1<<32 - 1)
	for name, c := range map[string]struct {
		counts, durations []uint64
		media             int64
		want              []uint64 // durations
	}{
		"in order":                {[]uint64{4, 6}, []uint64{10, 20}, 160, nil},
		"-88 behind 1112":         {[]uint64{100, 1, 1, 298}, []uint64{512, 1112, most - 87, 512}, 204800, []uint64{512, 1112, 1, 512}},
		"-88 before five":         {[]uint64{1, 1, 5}, []uint64{600, most - 87, 512}, 0, []uint64{600, 1, 495}},
		"-88 before few":          {[]uint64{1, 1, 1, 1, 9}, []uint64{600, most - 87, 60, 60, 60}, 0, []uint64{600, 1, 1, 30, 60}},
		"two of -1":               {[]uint64{2, 2, 4}, []uint64{10, most, 10}, 60, []uint64{10, 1, 9}},
		"0 behind it":             {[]uint64{1, 1, 3, 2}, []uint64{10, most - 1, 0, 7}, 20, []uint64{10, 1, 0, 6}},
		"-1000000":                {[]uint64{1, 1, 3}, []uint64{10, most - 999_999, 10}, 20, []uint64{10, 1, 1}},
		"a day of nanoseconds":    {[]uint64{1, 1, 3}, []uint64{10, 1 << 31, 10}, 86_400_000_000_000, nil},
		"-1 in a long media":      {[]uint64{1, 1, 3}, []uint64{10, most, 10}, 86_400_000_000_000, []uint64{10, 1, 10}},
		"what none is shorter of": {[]uint64{5, 2}, []uint64{1, most}, 3, []uint64{1, 1}},
	} {
		got, err := signedDurations(filmtest.Zip(c.counts, c.durations), c.media)
		want := []byte(nil)
		if c.want != nil {
			want = filmtest.Zip(c.counts, c.want)
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: % x, %v, want % x", name, got, err, want)
		}
	}
	_, err := signedDurations(filmtest.Zip([]uint64{most, most}, []uint64{1 << 31, 1 << 31}), 0)
	if !errors.Is(err, errOverflow) {
		t.Errorf("sums beyond 2^60: %v", err)
	}
	_, err = signedDurations(bytes.Repeat(filmtest.Zip([]uint64{1}, []uint64{most}), maxSigned+1), 0)
	if !errors.Is(err, errFormat) || !strings.Contains(fmt.Sprint(err), "131072 entries") {
		t.Errorf("more negative durations than can be looked at: %v", err)
	}
	r := rand.New(rand.NewSource(1))
	for i := 0; i < filmtest.Rounds(300, 20); i++ { // long tables, too, whose sums are done in bulk
		n := 1 + r.Intn(130)
		counts, durations := make([]uint64, n), make([]uint64, n)
		sum := int64(0)
		for k := range counts {
			counts[k] = 1
			durations[k] = uint64(400 + r.Intn(100))
			if k%9 == 4 && k+9 < n {
				durations[k] = uint64(uint32(-r.Intn(300)) - 1)
			}
			sum += int64(int32(durations[k]))
		}
		track := &track{claimed: sum}
		err := track.readDurations(filmtest.Zip(counts, durations))
		if err != nil || lanes.LastTotal(track.durations.Ticks) != sum {
			t.Errorf("table %d: %v, %d ticks, want %d", i, err, lanes.LastTotal(track.durations.Ticks), sum)
		}
	}
}

// soundEntry is a sample entry of sound, in version 1 with samples in a packet and bytes of a frame, in version 2 with
// bits and bytes of a packet.
func soundEntry(format string, version, channels, bits, samples, frame int64) []byte {
	b := bytes.Join([][]byte{make([]byte, 6), number(1, 2), number(version, 2), make([]byte, 6), number(channels, 2), number(bits, 2),
		make([]byte, 4), u32(8000 << 16)}, nil)
	switch version {
	case 1:
		b = append(b, u32(samples, 1, frame, 2)...)
	case 2:
		copy(b[16:], number(3, 2)) // as the version asks for: 3 channels of 16 bits
		b = append(b, make([]byte, 12)...)
		b = append(b, u32(channels, 0x7F000000, bits, 0, frame, samples)...)
	}
	return rawBox(format, b)
}

// pcmTrack is sound of a tick for each sample of so many bytes, in chunks of so many samples.
func pcmTrack(entry []byte, samples, size, perChunk int64) *madeTrack {
	t := newMadeTrack("soun", 8000, samples, 1)
	t.sizeBits = 0
	for i := range t.sizes {
		t.sizes[i] = size
	}
	t.chunked(perChunk)
	t.entry = entry
	return t
}

// saying is a file whose last stsz says another size of every sample.
func saying(data []byte, size int64) []byte {
	out := append([]byte{}, data...)
	copy(out[bytes.LastIndex(out, []byte("stsz"))+8:], u32(size))
	return out
}

// TestUncompressedSound has sound whose stsz says the bytes of one channel, or 1.
func TestUncompressedSound(t *testing.T) {
	for _, c := range []struct {
		name  string
		entry []byte
		frame int64
	}{
		{"in24 of 4 channels", soundEntry("in24", 1, 4, 16, 1, 12), 12},
		{"sowt", soundEntry("sowt", 0, 2, 16, 0, 0), 4},
		{"sowt of 8 bits", soundEntry("sowt", 0, 2, 8, 0, 0), 2},
		{"twos", soundEntry("twos", 1, 1, 16, 1, 2), 2},
		{"twos of 24 bits", soundEntry("twos", 0, 2, 24, 0, 0), 6},
		{"raw", soundEntry("raw ", 0, 2, 8, 0, 0), 2},
		{"NONE of 16 bits", soundEntry("NONE", 0, 2, 16, 0, 0), 4},
		{"in32", soundEntry("in32", 1, 2, 16, 1, 8), 8},
		{"fl32", soundEntry("fl32", 1, 6, 16, 1, 24), 24},
		{"fl64", soundEntry("fl64", 1, 2, 16, 1, 16), 16},
		{"ulaw", soundEntry("ulaw", 0, 2, 16, 0, 0), 2},
		{"alaw", soundEntry("alaw", 1, 3, 16, 1, 3), 3},
		{"lpcm", soundEntry("lpcm", 2, 6, 24, 1, 18), 18},
	} {
		made := newMadeMovie(newMadeTrack("vide", 1000, 10, 100), pcmTrack(c.entry, int64(filmtest.Rounds(8001, 801)), c.frame, 70))
		made.moovLast = true
		plain := made.file()
		for i, size := range []int64{1, c.frame - 1, c.frame + 5} {
			if size > 0 && i < filmtest.Rounds(3, 1) {
				sameCuts(t, fmt.Sprintf("%s, %d bytes", c.name, size), saying(plain, size), plain)
			}
		}
		m, err := findMovie(&memorySource{data: saying(plain, 1)}, testMoov)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := m.remux()
		if err != nil || whole.length != int64(len(plain)) {
			t.Errorf("%s: all of it is %v, %v, want %d bytes", c.name, whole, err, len(plain))
		}
	}
	for name, track := range map[string]*madeTrack{
		"samples of some ticks": {handler: "soun", timescale: 1000, entry: soundEntry("sowt", 0, 2, 16, 0, 0)},
		"another codec":         {handler: "soun", timescale: 1000, entry: soundEntry("mp4a", 1, 2, 16, 1024, 0)},
		"a short entry":         {handler: "soun", timescale: 1000, entry: rawBox("sowt", make([]byte, 27))},
		"no channels":           {handler: "soun", timescale: 1000, entry: soundEntry("sowt", 0, 0, 16, 0, 0)},
	} {
		made := pcmTrack(track.entry, 90, 7, 10)
		if name == "samples of some ticks" {
			for i := range made.durations {
				made.durations[i] = 1024
			}
		}
		m, err := findMovie(&memorySource{data: newMadeMovie(made).file()}, testMoov)
		if err != nil || m.tracks[0].uniform != 7 {
			t.Errorf("%s: %v, samples of %d bytes, want 7", name, err, m.tracks[0].uniform)
		}
	}
}

// TestSoundInPackets has sound of which stsz says 1 byte for each of the samples that packets are decoded to.
func TestSoundInPackets(t *testing.T) {
	for _, c := range []struct {
		name           string
		entry          []byte
		samples, bytes int64
	}{
		{"ima4", soundEntry("ima4", 1, 2, 16, 64, 68), 64, 68},
		{"ima4 of version 0", soundEntry("ima4", 0, 1, 16, 0, 0), 64, 34},
		{"MAC3", soundEntry("MAC3", 0, 2, 8, 0, 0), 6, 4},
		{"MAC6", soundEntry("MAC6", 1, 1, 8, 6, 1), 6, 1},
		{"agsm", soundEntry("agsm", 1, 1, 16, 160, 33), 160, 33},
		{"another", soundEntry("Qclp", 1, 1, 16, 160, 35), 160, 35},
	} {
		const packetsInChunk, chunks = 5, 8
		made := newMadeMovie(pcmTrack(c.entry, c.samples*packetsInChunk*chunks, 1, c.samples*packetsInChunk))
		track := made.tracks[0]
		for i := range track.sizes { // that the chunks are as long as their packets
			track.sizes[i] = 0
			if int64(i)%c.samples == 0 {
				track.sizes[i] = c.bytes
			}
		}
		track.sizeBits = 32
		made.moovLast = true
		listed := made.file()
		track.sizeBits = 0
		track.sizes[0] = 1
		moov := made.moov()
		data := append(listed[:bytes.LastIndex(listed, []byte("moov"))-4:len(listed)], moov...)
		source, media := make([]byte, 0, len(data)), c.bytes*packetsInChunk*chunks
		source = append(source, data[len(data)-len(moov)-int(media):len(data)-len(moov)]...)
		m, err := findMovie(&memorySource{data: data}, testMoov)
		if err != nil {
			t.Fatal(err)
		}
		for _, seek := range modes {
			for i, start := range []int64{77, 0, 1, 40, 123} {
				if i >= filmtest.Rounds(5, 2) {
					break
				}
				cut, err := m.cutProgressive(msInterval{start, start + 60}, seek)
				if errors.Is(err, errPastEnd) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				out, err := assemble(cut, data, nil)
				if err != nil {
					t.Fatal(err)
				}
				sent := out[cut.segments[0].length:]
				stsz := out[bytes.LastIndex(out, []byte("stsz"))+8:]
				size, count := binary.BigEndian.Uint32(stsz), int64(binary.BigEndian.Uint32(stsz[4:]))
				at := int64(bytes.Index(source, sent))
				if size != 1 || count%c.samples != 0 || int64(len(sent)) != count/c.samples*c.bytes || at < 0 || at%c.bytes != 0 {
					t.Errorf("%s: %s from %d ms: %d samples of %d in %d bytes from %d on", c.name, seek, start, count, size, len(sent), at)
					continue
				}
				first, end := at/c.bytes*c.samples, at/c.bytes*c.samples+count
				last := minInt64((start+60)*8, int64(len(track.sizes)))
				if first > start*8 || end < last || end-last >= c.samples+8 {
					t.Errorf("%s: %s from %d ms: samples [%d, %d), want [%d, %d)", c.name, seek, start, first, end, start*8, last)
				}
			}
		}
		whole, err := m.remux()
		if err != nil || whole.length != int64(len(data)) {
			t.Errorf("%s: all of it is %v, %v, want %d bytes", c.name, whole, err, len(data))
		}
	}
	torn := pcmTrack(soundEntry("ima4", 1, 2, 16, 64, 68), 6400, 1, 100) // chunks that end within a packet
	m, err := findMovie(&memorySource{data: newMadeMovie(torn).file()}, testMoov)
	if err != nil || m.tracks[0].perPacket != 0 {
		t.Errorf("packets in two chunks: %v, %d samples in a packet", err, m.tracks[0].perPacket)
	}
}

// TestSoundWithoutSync has sound with a stss of no entries, and of one.
func TestSoundWithoutSync(t *testing.T) {
	with := func(sync []int64) []byte {
		sound := newMadeTrack("soun", 1000, 50, 20)
		sound.sync = sync
		m := newMadeMovie(newMadeTrack("vide", 1000, 10, 100), sound)
		m.moovLast = true
		return m.file()
	}
	sameCuts(t, "a stss without entries", with([]int64{}), with(nil))
	m, err := findMovie(&memorySource{data: with([]int64{0})}, testMoov)
	if err != nil || m.tracks[1].allSync {
		t.Errorf("a stss of one entry says nothing: %v", err)
	}
}

// TestAccessPoints has samples that decoding may begin at in sample groups alone.
func TestAccessPoints(t *testing.T) {
	group := func(typ string, counts ...int64) []byte {
		return fullBox("sbgp", 0, []byte(typ), u32(int64(len(counts)/2)), u32(counts...))
	}
	for name, boxes := range map[string][]byte{
		"rap":                    group("rap ", 24, 0, 1, 1, 24, 0, 1, 1),
		"sync":                   group("sync", 24, 0, 1, 1, 24, 0, 1, 1, 40, 0),
		"one each":               append(group("rap ", 24, 0, 1, 1), group("sync", 49, 0, 1, 1)...),
		"both of them":           append(group("rap ", 24, 0, 1, 1, 24, 0, 1, 2), group("sync", 24, 0, 1, 7, 24, 0, 1, 1)...),
		"runs of them":           group("rap ", 23, 0, 3, 1, 0, 1, 20, 0, 9, 1),
		"of two descriptions":    group("rap ", 24, 0, 1, 1, 1, 2, 23, 0, 1, 0x10001),
		"with a parameter":       fullBox("sbgp", 1, []byte("rap "), u32(7, 4, 24, 0, 1, 1, 24, 0, 1, 1)),
		"in patterns":            rawBox("csgp", u32(0x2A), []byte("rap "), u32(2), []byte{0, 4, 0, 20, 0, 3, 0, 30}, []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0}),
		"beyond the last sample": group("rap ", 24, 0, 1, 1, 24, 0, 1<<32-1, 1),
		"all":                    group("rap ", 1<<32-1, 1),
		"none":                   group("rap ", 1<<32-1, 0),
	} {
		for _, offsets := range [][]int64{nil, {100, 300, 0, 100, 0}} {
			pictures := newMadeTrack("vide", 1000, 75, 40)
			pictures.sync = []int64{0}
			pictures.inStbl = boxes
			for i := range pictures.durations {
				if offsets != nil {
					pictures.offsets = append(pictures.offsets, offsets[i%5])
				}
			}
			data := newMadeMovie(pictures).file()
			k, err := newChecker(data, rand.New(rand.NewSource(1)))
			if err != nil {
				t.Fatal(err)
			}
			for _, seek := range modes {
				for start := int64(0); start < 3000; start += int64(filmtest.Rounds(110, 2440)) {
					_, err := k.check(msInterval{start, -1}, seek)
					if err != nil {
						t.Errorf("%s: %s from %d ms: %v", name, seek, start, err)
					}
				}
			}
			c, err := k.movie.cutProgressive(msInterval{2500, -1}, seekExact)
			if err != nil {
				t.Fatal(err)
			}
			media := c.length - c.segments[0].length
			if (media > 75*13/2) != (name == "none") { // of 75 samples of 13 bytes each
				t.Errorf("%s: the last half second takes %d bytes of media", name, media)
			}
			out, err := assemble(c, data, nil)
			if err != nil {
				t.Fatal(err)
			}
			first := out[bytes.LastIndex(out, []byte("stss"))+8:]
			if binary.BigEndian.Uint32(first[4:]) != 1 {
				t.Errorf("%s: the first sample is no sync sample", name)
			}
		}
	}
}

// TestTrackLeftOut has tracks that cannot be read beside one that can.
func TestTrackLeftOut(t *testing.T) {
	broken := func(handler string, change func(b []byte) []byte) []byte {
		track := newMadeTrack(handler, 1000, 10, 100)
		track.id = 7
		return change(track.trak(1000))
	}
	short := func(typ string) func(b []byte) []byte {
		return func(b []byte) []byte { // more entries than fit
			copy(b[bytes.Index(b, []byte(typ))+8:], u32(1<<32-1))
			return b
		}
	}
	twice := func(b []byte) []byte {
		b = append(b, fullBox("tkhd", 0, make([]byte, 80))...)
		copy(b, u32(int64(len(b))))
		return b
	}
	far := func(b []byte) []byte { // all chunks lie behind the end
		copy(b[bytes.Index(b, []byte("stco"))+12:], u32(1<<30, 2<<30, 3<<30, 1<<30))
		return b
	}
	bare := func(b []byte) []byte { return rawBox("trak", b[8:100]) } // nothing but a tkhd
	plain := smallMovie(nil)
	for name, b := range map[string][]byte{
		"metadata": broken("meta", short("stts")), "hints": broken("hint", short("stsc")), "time codes": broken("tmcd", short("stco")),
		"an unknown handler": broken("\x00abc", twice), "no media": broken("meta", bare), "text": broken("text", short("stts")),
		"chunks that are not there": broken("meta", far),
	} {
		odd := smallMovie(with("+moov", b))
		sameCuts(t, name, odd, plain)
		m, err := findMovie(&memorySource{data: odd}, testMoov)
		if err != nil || len(m.leftOut) != 1 || !strings.Contains(m.leftOut[0].err.Error(), "trak") {
			t.Errorf("%s: %v, left out %v", name, err, m.leftOut)
		}
	}
	for name, b := range map[string][]byte{"sound": broken("soun", short("stts")), "pictures": broken("vide", twice)} {
		_, err := findMovie(&memorySource{data: smallMovie(with("+moov", b))}, testMoov)
		if !errors.Is(err, errFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	alone := smallMovie(map[string][]byte{"hdlr": fullBox("hdlr", 0, u32(0), []byte("meta"), make([]byte, 13)), "vmhd": nil, "stts": nil})
	_, err := findMovie(&memorySource{data: alone}, testMoov)
	if !errors.Is(err, errFormat) || !strings.Contains(fmt.Sprint(err), "no stts") {
		t.Errorf("nothing else: %v", err)
	}
	chapters := rawBox("tref", rawBox("chap", u32(7, 1)), rawBox("hint", u32(7)))
	out, err := cutOf(smallMovie(map[string][]byte{"+moov": broken("text", short("stts")), "+trak": chapters}))
	if err != nil || !bytes.Contains(out, rawBox("tref", rawBox("chap", u32(1)))) {
		t.Errorf("references to a track that is left out: %v, % x", err, out)
	}
}

// cutOf is the answer for a start within a file.
func cutOf(data []byte) ([]byte, error) {
	m, err := findMovie(&memorySource{data: data}, testMoov)
	if err != nil {
		return nil, err
	}
	c, err := m.cutProgressive(msInterval{250, -1}, seekExact)
	if err != nil {
		return nil, err
	}
	return assemble(c, data, nil)
}

// TestLeftOutIsLogged has the log say once of a file that a track is left out.
func TestLeftOutIsLogged(t *testing.T) {
	track := newMadeTrack("meta", 1000, 10, 100)
	track.id = 7
	track.chunks = nil
	data := smallMovie(with("+moov", track.trak(1000)))
	dir := t.TempDir()
	err := os.WriteFile(filepath.Join(dir, "left.mp4"), data, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	config := CreateConfig()
	config.Root = dir
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h, err := New(ctx, http.NotFoundHandler(), config, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	log.SetOutput(&said)
	for _, query := range []string{"start=0.25", "start=0.5", "start=0.75"} {
		got := httptest.NewRecorder()
		h.ServeHTTP(got, httptest.NewRequest("GET", "/left.mp4?"+query, nil))
		if got.Code != http.StatusOK || bytes.Contains(got.Body.Bytes(), []byte("meta")) {
			t.Errorf("%s: %d, %d bytes", query, got.Code, got.Body.Len())
		}
	}
	log.SetOutput(os.Stderr)
	at := bytes.LastIndex(data, []byte("stbl")) - 4
	want := fmt.Sprintf("\"/left.mp4\" cut without a track that is neither sound nor pictures: trak 2: mdia: minf/stbl: mp4: not parseable: stbl at %d: ", at)
	if strings.Count(said.String(), "\n") != 1 || !strings.HasPrefix(said.String(), want) {
		t.Errorf("the log says %q, want %q once", said.String(), want)
	}
}
