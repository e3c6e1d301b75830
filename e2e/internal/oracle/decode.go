package oracle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// film is what ffmpeg makes of a file.
type film struct {
	tracks []*track // in the file's order
}

type track struct {
	id    string // track_ID, by which a track of the cut is known as one of the source
	kind  string // video, audio, subtitle, data
	codec string
	tick  float64 // seconds

	pictures []picture // as they are shown
	media    []picture // of a source: all of the media, at their times in the presentation, also those that the edit list hides
	keys     []float64 // and when the key frames among them are

	rate, channels int
	begin, end     int // where the sound shown lies, in samples from the beginning of the presentation
	frames         []frame
	longest        int       // of the frames, in samples
	samples        []float32 // from begin to end, channels interleaved; holes between frames are silence

	edits []edit // by ffmpeg's own reading; none where the file has none
}

type picture struct {
	at, lasts float64 // seconds of the presentation
	md5       string
}

// frame is one of the codec's: n samples of sound from position at.
type frame struct{ at, n int }

// edit is in ticks of the track.
type edit struct {
	mediaTime, duration int64 // mediaTime -1 is an empty edit
}

func (t *track) String() string { return fmt.Sprintf("%s track %s (%s)", t.kind, t.id, t.codec) }

// reading is how ffmpeg is told to read a file.
type reading struct {
	pictures []string // options for their times
	sound    []string // for those of sound; nil: it is read along with the pictures
	filter   []string // options for sound that is read apart, once it is decoded
}

// shown decodes what the file shows, its edit lists honoured. Where ffmpeg logs at level debug, the edits are read too.
func shown(path, level string, by reading) (*film, error) {
	f, err := probe(path)
	if err != nil {
		return nil, err
	}
	var pictures, sounds []*track
	for _, t := range f.tracks {
		switch t.kind {
		case "video":
			pictures = append(pictures, t)
		case "audio":
			sounds = append(sounds, t)
		}
	}
	if by.sound != nil {
		if _, err = decode(path, level, f, nil, sounds, by.sound, by.filter...); err != nil {
			return nil, err
		}
		sounds = nil
	}
	log, err := decode(path, level, f, pictures, sounds, by.pictures)
	if err != nil {
		return nil, err
	}
	for _, m := range editLine.FindAllSubmatch(log, -1) {
		stream, _ := strconv.Atoi(string(m[1]))
		mediaTime, _ := strconv.ParseInt(string(m[2]), 10, 64)
		duration, _ := strconv.ParseInt(string(m[3]), 10, 64)
		if stream < len(f.tracks) {
			f.tracks[stream].edits = append(f.tracks[stream].edits, edit{mediaTime, duration})
		}
	}
	return f, nil
}

// decode decodes all tracks of one kind of the file, or of both, and returns what ffmpeg logs.
func decode(path, level string, f *film, pictures, sounds []*track, times []string, filter ...string) ([]byte, error) {
	if len(pictures)+len(sounds) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "oracle-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	// cons_noisegen ties AC-3's noise to the frame instead of to where decoding began; other codecs do without noise.
	args := []string{"-v", level, "-nostdin", "-nostats", "-cons_noisegen:a", "1"}
	args = append(args, decoders(f)...)
	args = append(args, times...)
	args = append(args, "-i", path)
	if len(pictures) > 0 {
		args = append(args, "-map", "0:v", "-c:v", "rawvideo", "-fps_mode", "passthrough", "-enc_time_base:v", "-1")
	}
	if len(sounds) > 0 {
		args = append(append(args, "-map", "0:a", "-c:a", "pcm_f32le"), filter...)
	}
	args = append(args, "-f", "framemd5", "-")
	raw := func(i int) string { return filepath.Join(dir, strconv.Itoa(i)) }
	for i := range sounds {
		args = append(append(args, "-map", "0:a:"+strconv.Itoa(i), "-c:a", "pcm_f32le"), filter...)
		args = append(args, "-f", "f32le", raw(i))
	}
	out, log, err := run("ffmpeg", args...)
	if err != nil {
		return nil, err
	}
	if err := readFrames(out, append(slices.Clone(pictures), sounds...)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, t := range sounds {
		if err := t.readSamples(raw(i)); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, t, err)
		}
	}
	return log, nil
}

var editLine = regexp.MustCompile(`Processing st: (\d+), edit list \d+ - media time: (-?\d+), duration: (\d+)`)

// hidden decodes all pictures of a file, at their times in the media: its edit lists are ignored.
func hidden(path string) (*film, error) {
	f, err := probe(path)
	if err != nil {
		return nil, err
	}
	var pictures []*track
	for _, t := range f.tracks {
		if t.kind == "video" {
			pictures = append(pictures, t)
		}
	}
	if len(pictures) == 0 {
		return f, nil
	}
	args := append([]string{"-v", "error", "-nostdin", "-copyts", "-ignore_editlist", "1"}, decoders(f)...)
	out, _, err := run("ffmpeg", append(args, "-i", path,
		"-map", "0:v", "-c:v", "rawvideo", "-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-f", "framemd5", "-")...)
	if err != nil {
		return nil, err
	}
	return f, readFrames(out, pictures)
}

// decoders chooses libaom for AV1: the one that ffmpeg prefers, dav1d, shows the pictures that an edit list hides.
func decoders(f *film) (args []string) {
	videos := 0
	for _, t := range f.tracks {
		if t.codec == "av1" {
			args = append(args, "-c:v:"+strconv.Itoa(videos), "libaom-av1")
		}
		if t.kind == "video" {
			videos++
		}
	}
	return args
}

func probe(path string) (*film, error) {
	out, _, err := run("ffprobe", "-v", "error", "-show_entries", "stream=id,codec_type,codec_name,time_base,sample_rate,channels", "-of", "json", path)
	if err != nil {
		return nil, err
	}
	var report struct {
		Streams []struct {
			ID         string `json:"id"`
			CodecType  string `json:"codec_type"`
			CodecName  string `json:"codec_name"`
			TimeBase   string `json:"time_base"`
			SampleRate string `json:"sample_rate"`
			Channels   int    `json:"channels"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, err
	}
	f := &film{}
	for _, s := range report.Streams {
		tick, err := seconds(s.TimeBase)
		if err != nil {
			return nil, err
		}
		rate, _ := strconv.Atoi(s.SampleRate) // absent where there is no sound
		f.tracks = append(f.tracks, &track{id: s.ID, kind: s.CodecType, codec: s.CodecName, tick: tick, rate: rate, channels: s.Channels})
	}
	return f, nil
}

// readFrames reads ffmpeg's framemd5 of the tracks that it lists in this order: the pictures, and where sound lies.
func readFrames(framemd5 []byte, tracks []*track) error {
	ticks := make([]float64, len(tracks))
	for line := range strings.Lines(string(framemd5)) {
		line = strings.TrimSpace(line)
		if base, ok := strings.CutPrefix(line, "#tb "); ok {
			stream, ratio, _ := strings.Cut(base, ": ")
			i, err := strconv.Atoi(stream)
			if err != nil || i >= len(tracks) {
				return fmt.Errorf("framemd5: %q", line)
			}
			if ticks[i], err = seconds(ratio); err != nil {
				return err
			}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, ",") // stream, dts, pts, duration, size, hash
		var n [5]int
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(strings.TrimSpace(fields[i])); err != nil {
				return fmt.Errorf("framemd5: %q: %w", line, err)
			}
		}
		t, tick := tracks[n[0]], ticks[n[0]]
		if t.kind == "video" {
			t.pictures = append(t.pictures, picture{float64(n[2]) * tick, float64(n[3]) * tick, strings.TrimSpace(fields[5])})
			continue
		}
		if err := t.place(n[2], n[4]/4/t.channels); err != nil {
			return err
		}
	}
	return nil
}

// place notes where a frame of n samples of sound lies; readSamples fills it.
func (t *track) place(at, n int) error {
	if len(t.frames) == 0 {
		t.begin, t.end = at, at
	}
	if at < t.end {
		return fmt.Errorf("%s: a frame of sound at sample %d, where sound before it ends at %d", t, at, t.end)
	}
	t.frames = append(t.frames, frame{at, n})
	t.longest = max(t.longest, n)
	t.end = at + n
	return nil
}

// readSamples reads the samples of all frames, which follow each other without the holes between them.
func (t *track) readSamples(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t.samples = make([]float32, (t.end-t.begin)*t.channels)
	for _, f := range t.frames {
		to := t.samples[(f.at-t.begin)*t.channels:]
		for i := range f.n * t.channels {
			to[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw))
			raw = raw[4:]
		}
	}
	return nil
}

// seconds reads a ratio.
func seconds(ratio string) (float64, error) {
	a, b, _ := strings.Cut(ratio, "/")
	num, err1 := strconv.ParseFloat(a, 64)
	den, err2 := strconv.ParseFloat(b, 64)
	return num / den, errors.Join(err1, err2)
}

// run returns what a command writes to its standard output and error; its last lines are in the error.
func run(name string, args ...string) (out, log []byte, err error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err = cmd.Output()
	if err != nil {
		log := bytes.TrimSpace(stderr.Bytes())
		return nil, nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, log[max(0, len(log)-2000):])
	}
	return out, stderr.Bytes(), nil
}
