package oracle_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// ffmpeg's own cut by -c copy is exact where the start is on a picture: it keeps the key frame at 2.0 s and hides by
// an edit list what lies before 3.2 s, the picture 80. What is done to it in TestWrong, the oracle must find.
func TestRight(t *testing.T) {
	source := film(t, "bframes.mp4")
	cut := ffmpegCut(t, source, "-ss", "3.2")
	if err := oracle.Check(source, write(t, cut), 3200, -1); err != nil {
		t.Errorf("without an end: %v", err)
	}
	for track := range 2 {
		patchEdit(t, cut, track, func(duration, _ *uint32) { *duration = 1000 })
	}
	if err := oracle.CheckBytes(source, cut, 3200, 4200); err != nil {
		t.Errorf("with an end: %v", err)
	}
	whole := film(t, "trimmed.mp4")
	if err := oracle.Check(whole, whole, 0, -1); err != nil {
		t.Errorf("a film as it is: %v", err)
	}
}

func TestWrong(t *testing.T) {
	const (
		pictures, sound = 0, 1
		second          = 12800 // ticks of the pictures' track
		picture         = second / 25
	)
	mediaTime := func(track, by int) func(*testing.T, []byte) []byte {
		return func(t *testing.T, cut []byte) []byte {
			patchEdit(t, cut, track, func(_, mediaTime *uint32) { *mediaTime += uint32(by) })
			return cut
		}
	}
	ends := func(track int, ms uint32) func(*testing.T, []byte) []byte {
		return func(t *testing.T, cut []byte) []byte {
			patchEdit(t, cut, track, func(duration, _ *uint32) { *duration = ms })
			return cut
		}
	}
	// rename changes the type of a track's box and by that leaves it out.
	rename := func(typ string) func(*testing.T, []byte) []byte {
		return func(_ *testing.T, cut []byte) []byte {
			return bytes.ReplaceAll(cut, []byte(typ), []byte("free"))
		}
	}
	again := func(args ...string) func(*testing.T, []byte) []byte {
		return func(t *testing.T, cut []byte) []byte { return ffmpegCut(t, write(t, cut), args...) }
	}
	for _, c := range []struct {
		name  string
		wrong func(t *testing.T, cut []byte) []byte
		end   int64
		want  string
	}{
		{"a picture late", mediaTime(pictures, picture), -1, "picture 0 at 0.000000 is the source's 81"},
		{"a picture early", mediaTime(pictures, -picture), -1, "picture 0 at 0.000000 is the source's 79"},
		{"the picture on show hidden", mediaTime(pictures, 1), -1, "picture 0 at 0.000000 is the source's 81"},
		{"the sound a sample late", mediaTime(sound, -1), -1, "nearest the source's -1 samples away, 0.000000 off"},
		{"the sound a sample early", mediaTime(sound, 1), -1, "nearest the source's +1 samples away, 0.000000 off"},
		{"the sound a frame late", mediaTime(sound, -1024), -1, "nearest the source's -1024 samples away, 0.000000 off"},
		{"the sound a frame early", mediaTime(sound, 1024), -1, "nearest the source's +1024 samples away, 0.000000 off"},
		{"edit lists dropped", rename("edts"), -1, "picture 0 at 0.080000 is the source's 50"},
		{"composition offsets dropped", rename("ctts"), -1, "is due"},
		{"the last picture missing", ends(pictures, 6760), -1, "has 169 pictures; the source's 249 at 9.960000 is missing"},
		{"the last sound missing", ends(sound, 6700), -1, "0.000000, "},
		{"a picture from the end on", ends(pictures, 1001), 4200, "has 26 pictures, 25 are due; picture 25 at 1.000000 is the source's 105"},
		{"no end", mediaTime(pictures, 0), 4200, "25 are due"},
		{"sound from the end on", ends(pictures, 1000), 4200, "0 to 48000 are due"},
		{"the film itself", func(t *testing.T, _ []byte) []byte { return read(t, film(t, "bframes.mp4")) }, -1, "is the source's 0 at 0.000000"},
		{"another film", func(t *testing.T, _ []byte) []byte { return read(t, film(t, "plain.mp4")) }, -1, "none that the source shows"},
		{"no sound", again("-map", "0:v"), -1, "audio track 0x2 (aac): left out"},
		{"no pictures", again("-map", "0:a"), -1, "video track 0x1 (h264): "},
		{"a third track", again("-map", "0:v", "-map", "0:a", "-map", "0:a"), -1, "audio track 0x3 (aac): the source has none"},
		{"the sound recoded", again("-c:a", "aac", "-b:a", "64k"), -1, "audio track 0x2 (aac): sample"},
		{"slower by a tick a picture", slower, -1, "it is due at"},
		{"a byte of sound changed", func(_ *testing.T, cut []byte) []byte {
			cut[len(cut)-200] ^= 0x55 // the last frames of the file are of sound
			return cut
		}, -1, "audio track 0x2 (aac): "},
		{"cut short", func(_ *testing.T, cut []byte) []byte { return cut[:len(cut)*3/4] }, -1, "is due"},
		{"no film", func(*testing.T, []byte) []byte { return []byte("404 page not found") }, -1, "cannot be decoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := film(t, "bframes.mp4")
			cut := c.wrong(t, ffmpegCut(t, source, "-ss", "3.2"))
			wants(t, oracle.CheckBytes(source, cut, 3200, c.end), c.want)
		})
	}
}

// What begins before an edit and lasts into it is on show at its start, though ffmpeg does not show it.
func TestPictureBeforeEdit(t *testing.T) {
	source := film(t, "trimmed.mp4")
	wants(t, oracle.Check(source, source, 0, 60_000), "picture 0 at 0.000000 is the source's 1 at 0.027031")
}

// A codec that needs what went before is found out where a cut does not bring enough of it along: ffmpeg's own bring
// what lies behind the key frame at 2 s, and no lead-in at all where there are no pictures.
func TestLittleLeadIn(t *testing.T) {
	for _, c := range []struct {
		film, start string
		ms          int64
		want        string
	}{
		{"sound.m4a", "3.2", 3200, "audio track 0x1 (aac): sample 0 of"},
		{"opus.mp4", "2.08", 2080, "audio track 0x2 (opus): sample 0 of"},
	} {
		t.Run(c.film, func(t *testing.T) {
			source := film(t, c.film)
			wants(t, oracle.CheckBytes(source, ffmpegCut(t, source, "-ss", c.start), c.ms, -1), c.want)
		})
	}
}

// nginx's own cuts are not exact, with or without mp4_start_key_frame.
func TestNginx(t *testing.T) {
	source := film(t, "bframes.mp4")
	nginx := rig.StartNginx(t, filepath.Dir(source))
	for _, c := range []struct{ name, url, want string }{
		{"sample", nginx.MP4, "video track"},
		{"sample, the sound", nginx.MP4, "audio track"},
		{"keyframe", nginx.KeyFrame, "video track"},
		{"keyframe, the sound", nginx.KeyFrame, "audio track"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := http.Get(c.url + "/bframes.mp4?start=3.2")
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			cut, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatal(answer.Status, err)
			}
			wants(t, oracle.CheckBytes(source, cut, 3200, -1), c.want)
		})
	}
}

func wants(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v; want an error with %q", err, want)
	}
	t.Log(err)
}

func film(t *testing.T, name string) string {
	t.Helper()
	f, err := media.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	path, err := f.Make()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func ffmpegCut(t *testing.T, source string, args ...string) []byte {
	t.Helper()
	cut := filepath.Join(t.TempDir(), "cut.mp4")
	var before, after []string
	if args[0] == "-ss" {
		before, after = args[:2], args[2:]
	} else {
		after = args
	}
	all := append([]string{"-v", "error", "-nostdin"}, before...)
	all = append(append(all, "-i", source, "-c", "copy"), after...)
	if out, err := exec.Command("ffmpeg", append(all, "-movflags", "+faststart", cut)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return read(t, cut)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	film, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return film
}

func write(t *testing.T, film []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "film.mp4")
	if err := os.WriteFile(path, film, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// patchEdit changes the single edit of a track, as ffmpeg writes it.
func patchEdit(t *testing.T, film []byte, track int, patch func(duration, mediaTime *uint32)) {
	t.Helper()
	p := 0
	for range track + 1 {
		i := bytes.Index(film[p:], []byte("elst"))
		if i < 0 {
			t.Fatal("there is no elst")
		}
		p += i + 4
	}
	entry := film[p+8:] // behind version, flags and entry_count
	duration, mediaTime := binary.BigEndian.Uint32(entry), binary.BigEndian.Uint32(entry[4:])
	patch(&duration, &mediaTime)
	binary.BigEndian.PutUint32(entry, duration)
	binary.BigEndian.PutUint32(entry[4:], mediaTime)
}

// slower makes each picture a tick longer: the first stts, the pictures', has a single entry.
func slower(t *testing.T, film []byte) []byte {
	t.Helper()
	p := bytes.Index(film, []byte("stts"))
	if p < 0 || binary.BigEndian.Uint32(film[p+8:]) != 1 {
		t.Fatal("the pictures' stts is not of one entry")
	}
	delta := film[p+16:]
	binary.BigEndian.PutUint32(delta, binary.BigEndian.Uint32(delta)+1)
	return film
}
