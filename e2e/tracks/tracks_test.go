package tracks

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4"
	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// output runs a command and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(rig.Tool(t, name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.Bytes())
	}
	return string(out)
}

// TestCues: a cue that is on at the start is on from 0 with what is left of it, the others come when they came.
func TestCues(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "subtitles.mp4", read(t, "subtitles.mp4"))
	ask := compiled(t, dir, "exact")
	for query, want := range map[string]string{
		"start=2":         "0.000 1.500 one, 2.250 6.000 two, 6.000 7.400 three",
		"start=3.7":       "0.550 4.300 two, 4.300 5.700 three",
		"start=5.1":       "0.000 2.900 two, 2.900 4.300 three",
		"start=8":         "0.000 1.400 three",
		"start=2&end=5.1": "0.000 1.500 one, 2.250 3.100 two",
	} {
		body, _ := ask.cut(t, "/subtitles.mp4?"+query)
		srt := output(t, "ffmpeg", "-v", "error", "-copyts", "-i", write(t, dir, "cut.mp4", body), "-map", "0:s", "-f", "srt", "-")
		var cues []string
		for cue := range strings.SplitSeq(strings.TrimSpace(srt), "\n\n") {
			lines := strings.Split(cue, "\n") // number, times, text
			times := strings.NewReplacer("00:00:0", "", ",", ".", " --> ", " ").Replace(lines[1])
			cues = append(cues, times+" "+lines[2])
		}
		if got := strings.Join(cues, ", "); got != want {
			t.Errorf("%s: the cues are %s; due are %s", query, got, want)
		}
	}
}

// TestChapters: the chapters of a cut are the film's, shifted; the one that the start falls into begins at 0. Both as
// Nero's list and as QuickTime's text track: the other is taken out of the film.
func TestChapters(t *testing.T) {
	dir := t.TempDir()
	whole := read(t, "chapters.mp4")
	films := map[string][]byte{
		"nero.mp4":      bytes.ReplaceAll(whole, []byte("tref"), []byte("free")),
		"quicktime.mov": bytes.ReplaceAll(whole, []byte("chpl"), []byte("free")),
	}
	ask := compiled(t, dir, "exact")
	for name, content := range films {
		write(t, dir, name, content)
		for query, want := range map[string]string{
			"start=1":               "0.000 1.500 first, 1.500 6.040 second, 6.040 9.000 third",
			"start=2.5":             "0.000 4.540 second, 4.540 7.500 third",
			"start=3.4":             "0.000 3.640 second, 3.640 6.600 third",
			"start=3.4&end=5.567":   "0.000 2.167 second",
			"start=0.001&end=7.041": "0.000 2.499 first, 2.499 7.039 second, 7.039 7.040 third",
			"start=9.1":             "0.000 0.900 third",
		} {
			body, _ := ask.cut(t, "/"+name+"?"+query)
			text := output(t, "ffprobe", "-v", "error", "-show_chapters", "-of", "json", write(t, dir, "cut"+filepath.Ext(name), body))
			var told struct {
				Chapters []struct {
					Start string `json:"start_time"`
					End   string `json:"end_time"`
					Tags  struct{ Title string }
				}
			}
			if err := json.Unmarshal([]byte(text), &told); err != nil {
				t.Fatal(err)
			}
			var chapters []string
			for _, c := range told.Chapters {
				chapters = append(chapters, strings.TrimSuffix(c.Start, "000")+" "+strings.TrimSuffix(c.End, "000")+" "+c.Tags.Title)
			}
			if got := strings.Join(chapters, ", "); got != want {
				t.Errorf("%s?%s: the chapters are %s; due are %s", name, query, got, want)
			}
		}
	}
}

// TestTimecode: the timecode that is shown at a moment stays with its picture.
func TestTimecode(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "timecode.mov", read(t, "timecode.mov"))
	for _, seek := range []string{"exact", "keyframe"} {
		ask := compiled(t, dir, seek)
		for _, ms := range []int{40, 1240, 3400, 9200} {
			_, cut := ask.cut(t, fmt.Sprintf("/timecode.mov?start=%d.%03d", ms/1000, ms%1000))
			start := ms
			if seek == "keyframe" {
				start = ms / 2000 * 2000
			}
			i := slices.IndexFunc(cut.tracks, func(t *track) bool { return t.handler == "tmcd" })
			if i < 0 {
				t.Fatal("the timecode is left out")
			}
			p := cut.presentation(cut.tracks[i].id)
			for _, later := range []int{0, 400} {
				n, moment := p.at(float64(later) / 1000)
				first := binary.BigEndian.Uint32(p.samples[n].data) // the frame's number at the sample's begin
				frame := float64(first) + (moment-float64(p.begins[n]))/float64(p.timescale)*25
				if due := float64(3600*25) + float64(start+later)/40; math.Abs(frame-due) > 0.01 {
					t.Errorf("%s: from %d ms on: frame %.3f is told at %d ms, %.3f is due", seek, ms, frame, later, due)
				}
			}
		}
	}
}

// TestTimedMetadata: what a camera notes beside its pictures, such as gpmd, is cut as text is.
func TestTimedMetadata(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Replace(read(t, "subtitles.mp4"), []byte("sbtl"), []byte("meta"), 1)
	content = bytes.Replace(content, []byte("tx3g"), []byte("gpmd"), 1)
	source, err := parse(content)
	if err != nil || !slices.ContainsFunc(source.tracks, func(t *track) bool { return t.handler == "meta" && t.format == "gpmd" }) {
		t.Fatalf("the film has no such track: %v", err)
	}
	write(t, dir, "camera.mp4", content)
	for _, start := range []float64{0.5, 2, 3.7, 8.5} {
		_, cut := compiled(t, dir, "exact").cut(t, fmt.Sprintf("/camera.mp4?start=%.3f", start))
		if err := alike(source, cut, start, -1); err != nil {
			t.Errorf("from %.3f on: %v", start, err)
		}
		if len(cut.tracks) != len(source.tracks) {
			t.Errorf("from %.3f on: %d tracks", start, len(cut.tracks))
		}
	}
}

// TestAlternatives: a second track of sound stays one among which a player chooses, and off until it is chosen.
func TestAlternatives(t *testing.T) {
	dir := t.TempDir()
	content := read(t, "twosounds.mp4")
	write(t, dir, "twosounds.mp4", content)
	body, cut := compiled(t, dir, "exact").cut(t, "/twosounds.mp4?start=3.4")
	enabled, group := flagsAndGroup(content), flagsAndGroup(body)
	if len(cut.tracks) != 3 || enabled != "3/0 3/1 2/1" || group != enabled {
		t.Errorf("flags and alternate_groups of the tracks were %s and are %s", enabled, group)
	}
}

// flagsAndGroup reads both from each tkhd, of version 0.
func flagsAndGroup(file []byte) string {
	var all []string
	for _, part := range bytes.Split(file, []byte("tkhd"))[1:] {
		all = append(all, fmt.Sprintf("%d/%d", part[3], binary.BigEndian.Uint16(part[34:])))
	}
	return strings.Join(all, " ")
}

// TestGroups: tables with something for each sample are cut as the samples are, and what a sample group asks for before
// the start is brought along.
func TestGroups(t *testing.T) {
	dir := t.TempDir()
	content := read(t, "groups.mp4")
	write(t, dir, "groups.mp4", content)
	source, err := parse(content)
	if err != nil {
		t.Fatal(err)
	}
	body, cut := compiled(t, dir, "exact").cut(t, "/groups.mp4?start=3.4&end=7")
	tables := bytes.Split(body, []byte("sdtp"))[1:]
	for i, is := range cut.tracks {
		was := source.tracks[i]
		first := slices.IndexFunc(was.samples, func(s sample) bool { return string(s.data) == string(is.samples[0].data) })
		for n := range is.samples {
			if got := tables[i][4+n]; got != byte(first+n) {
				t.Fatalf("track %d: sdtp has %d of sample %d, which was %d", is.id, got, n, first+n)
			}
		}
	}
	p := cut.presentation(2)
	if lead, _ := p.at(0); lead < 10 || lead > 12 {
		t.Errorf("%d samples of sound before the start", lead)
	}
	if prol := bytes.Split(body, []byte("prol")); len(prol) != 3 ||
		int(binary.BigEndian.Uint32(prol[2][4:])) != len(p.samples) { // entry_count, then the first entry's count
		t.Errorf("the sample group of sound is not that of its %d samples", len(p.samples))
	}
}

// TestEncrypted: a cut of an encrypted film decrypts to what the same cut of the clear film is.
func TestEncrypted(t *testing.T) {
	const key = "00112233445566778899aabbccddeeff"
	clear, err := media.Find("bframes.mp4")
	if err != nil {
		t.Fatal(err)
	}
	encrypted := media.Film{Name: "encrypted.mp4", Args: strings.Replace(clear.Args, "-movflags", "-encryption_scheme cenc-aes-ctr -encryption_key "+key+
		" -encryption_kid 0123456789abcdef0123456789abcdef -movflags", 1)}
	path, err := encrypted.Make()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "encrypted.mp4", content)
	write(t, dir, "bframes.mp4", read(t, "bframes.mp4"))
	for _, seek := range []string{"exact", "keyframe", "sample"} {
		ask := compiled(t, dir, seek)
		for _, query := range []string{"start=0.2", "start=3.4", "start=4", "start=5.567&end=8.1"} {
			decoded := func(film string, options ...string) string {
				body, _ := ask.cut(t, "/"+film+"?"+query)
				args := append([]string{"-v", "error", "-copyts"}, options...)
				return output(t, "ffmpeg", append(args, "-i", write(t, dir, "cut.mp4", body), "-map", "0", "-fps_mode", "passthrough", "-f", "framemd5", "-")...)
			}
			is, due := decoded("encrypted.mp4", "-decryption_key", key), decoded("bframes.mp4")
			if is != due || strings.Count(due, "\n") < 50 {
				t.Errorf("%s: %s: it decrypts to %d lines of frames, %d are due", seek, query, strings.Count(is, "\n"), strings.Count(due, "\n"))
			}
		}
	}
}

// TestInterleavedBadly: of a file with all pictures before all sound, and tens of megabytes between them, a cut takes
// from the origin, and sends, what it needs.
func TestInterleavedBadly(t *testing.T) {
	const hole = 48 << 20
	content := read(t, "moovlast.mp4")
	source, err := parse(content)
	if err != nil {
		t.Fatal(err)
	}
	// The mdat is there twice: pictures are taken from the first one, sound from the second one behind the hole.
	boxes, err := walk(content, 0)
	if err != nil {
		t.Fatal(err)
	}
	mdat := boxes[slices.IndexFunc(boxes, func(b box) bool { return b.typ == "mdat" })]
	far := len(mdat.payload) + hole
	tables := 0
	moved := rewrite(t, content, func(typ string, payload []byte) []byte {
		if typ != "stco" {
			return payload
		}
		if tables++; tables == 1 {
			return payload
		}
		out := slices.Clone(payload[:8])
		for p := payload[8:]; len(p) >= 4; p = p[4:] {
			out = append(out, u32(binary.BigEndian.Uint32(p)+uint32(far))...)
		}
		return out
	})
	moov := moved[int(mdat.at)+len(mdat.payload):]
	dir := t.TempDir()
	path := write(t, dir, "apart.mp4", content[:int(mdat.at)+len(mdat.payload)])
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	end := int(mdat.at) + far + len(mdat.payload)
	for at, b := range map[int][]byte{int(mdat.at) - 8: u32(uint32(8 + end - int(mdat.at))), int(mdat.at) + far: mdat.payload, end: moov} {
		if _, err := file.WriteAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}

	origin := rig.FileServer(t, dir)
	plugin, err := mp4.New(t.Context(), behind(origin.URL), mp4.CreateConfig(), "apart")
	if err != nil {
		t.Fatal(err)
	}
	for i, start := range []float64{3.4, 3.4, 8} {
		recorder := httptest.NewRecorder()
		plugin.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, fmt.Sprintf("/apart.mp4?start=%.3f&end=9", start), nil))
		cut, err := parse(recorder.Body.Bytes())
		if err != nil {
			t.Fatalf("%d: %v", recorder.Code, err)
		}
		if err := alike(source, cut, start, 9); err != nil {
			t.Errorf("from %.3f on: %v", start, err)
		}
		sent := int64(recorder.Body.Len())
		if sent > 2*int64(len(content)) {
			t.Errorf("from %.3f on: %d bytes are sent, with the hole", start, sent)
		}
		asked := int64(0)
		var ranges []string
		for _, r := range origin.Take() {
			asked += r.Bytes
			ranges = append(ranges, r.Header.Get("Range"))
		}
		allowed := sent
		if i == 0 {
			allowed += int64(len(moov)) + 2*512<<10
		}
		if asked > allowed {
			t.Errorf("from %.3f on: %d bytes are asked for, by %q; %d are sent", start, asked, ranges, sent)
		}
	}
}

// behind asks another server, as a proxy does.
func behind(url string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), r.Method, url+r.URL.String(), nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		request.Header = r.Header.Clone()
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	})
}

// TestRefused: what cannot be cut says so.
func TestRefused(t *testing.T) {
	content := read(t, "moovlast.mp4")
	elsewhere := pack(false, "url ", u32(0), []byte("http://localhost/media.mp4\x00"))
	tables := func(typ string, change func([]byte) []byte) []byte {
		return rewrite(t, content, func(is string, payload []byte) []byte {
			if is == typ {
				return change(slices.Clone(payload))
			}
			return payload
		})
	}
	boxes, err := walk(content, 0)
	if err != nil {
		t.Fatal(err)
	}
	moov := boxes[len(boxes)-1]
	compressed := slices.Concat(content[:moov.at-8], pack(false, "moov", pack(false, "cmov", []byte("zlib"))))
	dir := t.TempDir()
	var told bytes.Buffer
	ask := compiled(t, dir, "exact")
	log.SetOutput(&told)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	for name, c := range map[string]struct {
		content []byte
		line    string
	}{
		"cmov.mp4": {compressed, "compressed moov atom (cmov) is not supported"},
		"dref.mp4": {tables("dref", func([]byte) []byte { return append(u32(0, 1), elsewhere...) }), "the media are in another file"},
		"stsz.mp4": {tables("stsz", func(p []byte) []byte { return p[:len(p)-4] }), "entries do not fit into it"},
		"stco.mp4": {tables("stco", func(p []byte) []byte { copy(p[4+len(p)/8*4:], u32(1<<31)); return p }), "lie at bytes"},
		"stsc.mp4": {tables("stsc", func(p []byte) []byte { return p[:len(p)-4] }), "entries do not fit into it"},
	} {
		write(t, dir, name, c.content)
		told.Reset()
		status, _ := ask("/" + name + "?start=3.4")
		if lines := told.String(); status != http.StatusInternalServerError || !strings.Contains(lines, name) || !strings.Contains(lines, c.line) || strings.Count(lines, "\n") != 1 {
			t.Errorf("%s: %d, and the log says %q", name, status, lines)
		}
	}
}

// TestCutShort: a film below root whose end is missing, as of a download that broke off, plays up to there, and so does
// its cut. What a decoder makes of it is what it makes of the whole film's cut, as far as it goes. An origin's may be half
// a copy, of which nothing is made.
func TestCutShort(t *testing.T) {
	dir := t.TempDir()
	content := read(t, "bframes.mp4")
	write(t, dir, "whole.mp4", content)
	write(t, dir, "short.mp4", content[:len(content)*6/10])
	config := mp4.CreateConfig()
	config.Root = dir
	ask := configured(t, config, http.NotFoundHandler())
	for _, query := range []string{"start=0.2", "start=3.4", "start=4.44&end=5", "start=2&end=9"} {
		decoded := func(film string) []string {
			body, _ := ask.cut(t, "/"+film+".mp4?"+query)
			md5 := output(t, "ffmpeg", "-v", "error", "-xerror", "-copyts", "-i", write(t, dir, "cut.mp4", body), "-map", "0", "-fps_mode", "passthrough", "-f", "framemd5", "-")
			return strings.Split(strings.TrimSpace(md5), "\n")
		}
		is, due := decoded("short"), decoded("whole")
		for _, line := range is {
			if !slices.Contains(due, line) {
				t.Errorf("%s: %q is not in the whole film's cut", query, line)
			}
		}
		if len(is) < 50 || len(is) > len(due) || !strings.Contains(query, "=5") && len(is) == len(due) {
			t.Errorf("%s: %d frames, the whole film's cut has %d", query, len(is), len(due))
		}
	}
	var told bytes.Buffer
	log.SetOutput(&told)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	if status, _ := compiled(t, dir, "exact")("/short.mp4?start=3.4"); status != http.StatusInternalServerError || !strings.Contains(told.String(), "lie at bytes") {
		t.Errorf("an origin's half copy: %d, and the log says %q", status, told.String())
	}
	told.Reset()
	if status, _ := ask("/short.mp4?start=9"); status != http.StatusInternalServerError || !strings.Contains(told.String(), "ends before") {
		t.Errorf("from where nothing is left: %d, and the log says %q", status, told.String())
	}
}

// TestPreroll: how much sound a decoder gets before the first that is shown depends on its codec. (The sample entry's
// type is all that tells the codec here; a frame of this film lasts 1024 of 44100 ticks a second, 23.2 ms.)
func TestPreroll(t *testing.T) {
	dir := t.TempDir()
	content := bytes.ReplaceAll(read(t, "sound.m4a"), []byte("sgpd"), []byte("free")) // the group roll asks for one frame
	for format, least := range map[string]int{"mp4a": 2, "ac-3": 2, "Opus": 14, "samr": 14, "sawb": 14, "fLaC": 0, "twos": 0} {
		write(t, dir, format, bytes.Replace(content, []byte("mp4a"), []byte(format), 1))
		_, cut := compiled(t, dir, "exact").cut(t, "/"+format+"?start=3.4")
		if lead, _ := cut.presentation(1).at(0); lead != least {
			t.Errorf("%s: %d frames before the start, %d are due", format, lead, least)
		}
	}
}
