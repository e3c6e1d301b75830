// Package players plays films in real players and judges what they show and sound: which numbered picture is first, that
// those that follow are at their times, that sound and picture are together, and that it goes on to the end.
package players

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/browser"
)

// Player is one that Play knows, and how it is judged.
type Player struct {
	Name string
	play func(tb testing.TB, cuts []Cut) []Showing

	// whole: every picture comes out, for the player does not wait for a clock. Others leave pictures out on a busy machine.
	whole bool
	// own: the times of its pictures begin at 0 with the picture at the start. Those of others begin anywhere.
	own bool
	// pausing: it shows the right picture before it plays.
	pausing bool
	// leadIn is for how long it may show what the edit list hides, before the right picture, in seconds.
	leadIn float64
	// beyond: it shows what the edit list hides behind the end.
	beyond bool
	// streamed: of a progressive film over HTTP, GStreamer ends where the sound's media time comes to the duration, so that
	// what lies behind that in the file is lost: no more than the last picture of films without B-frames.
	streamed bool
	// eager: it shows the first picture that it gets at once, before that is due.
	eager bool
	// late is how much later than others a picture may be: the player's clock is one on the wall.
	late float64
	// sounding: its sound is judged, too.
	sounding bool
}

// The players.
var (
	Chromium  = Player{Name: "Chromium", play: inBrowser(browser.Chromium), own: true, pausing: true}
	Firefox   = Player{Name: "Firefox", play: inBrowser(browser.Firefox), leadIn: 0.4, beyond: true, late: 0.1}
	WebKit    = Player{Name: "WebKitGTK", play: inBrowser(browser.WebKit), pausing: true, late: 0.1, streamed: true}
	GStreamer = Player{Name: "GStreamer", play: byScript("playbin.py"), whole: true, own: true, pausing: true, sounding: true, streamed: true}
	VLC       = Player{Name: "VLC", play: byScript("vlc.py"), leadIn: 0.4, beyond: true, eager: true, late: 0.2, sounding: true}
	MPV       = Player{Name: "mpv", play: mpv, whole: true, leadIn: 0.105, beyond: true, sounding: true}
	FFmpeg    = Player{Name: "ffmpeg", play: ffmpeg, whole: true, own: true, sounding: true}
)

// Showing is how a film was shown.
type Showing struct {
	URL     string
	Player  string // with its version
	Paused  *Shot  // on show before it was played, where the player can tell
	Shots   []Shot // while it was played
	Last    *Shot  // on show after the end, where the player can tell
	Sound   *Sound
	Ended   bool
	Crashes int    // of the player, which was started anew
	Error   string // why the film could not be played
}

// Shot is a picture that was on show.
type Shot struct {
	Picture int     // its number, or -1 where none can be read
	At      float64 // seconds by the player's clock for pictures
}

// Sound is what was to be heard: one channel.
type Sound struct {
	Rate   int
	Pieces []Piece
	File   string // holds the samples, as .s16 or .f32 says

	samples []float64
}

// Piece are samples that follow each other.
type Piece struct {
	At            float64 // seconds by the same clock as the pictures'
	Offset, Count int     // in samples
}

const patience = 30 * time.Second

// Cut is what a player is to show: a film from start on, up to end where that is not 0.
type Cut struct {
	URL        string
	Film       browser.Timeline
	Start, End float64
	Fragmented bool // the answer is
	Large      bool // decoding what is hidden takes long
}

func addresses(cuts []Cut) (all []string) {
	for _, cut := range cuts {
		all = append(all, cut.URL)
	}
	return all
}

// Play starts the player and plays one cut after another.
func (p Player) Play(tb testing.TB, cuts ...Cut) []Showing {
	tb.Helper()
	showings := p.play(tb, cuts)
	if len(showings) != len(cuts) {
		tb.Fatalf("%s told of %d cuts of %d", p.Name, len(showings), len(cuts))
	}
	for i := range showings {
		if sound := showings[i].Sound; sound != nil {
			if err := sound.load(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return showings
}

func inBrowser(name string) func(testing.TB, []Cut) []Showing {
	return func(tb testing.TB, cuts []Cut) (showings []Showing) {
		tb.Helper()
		for _, shown := range browser.PlayToEnd(tb, name, addresses(cuts)...) {
			s := Showing{URL: shown.URL, Player: shown.Browser, Error: shown.Error, Ended: shown.Ended, Crashes: shown.Crashes}
			at := func(shot browser.Shot) Shot {
				if name == browser.Firefox {
					return Shot{shot.Picture, shot.MediaTime} // the picture's own time is 0 there
				}
				return Shot{shot.Picture, shot.Timestamp}
			}
			paused := at(shown.Paused)
			s.Paused = &paused
			for _, shot := range shown.Shots {
				s.Shots = append(s.Shots, at(shot))
			}
			if shown.Last != nil {
				last := at(*shown.Last)
				s.Last = &last
			}
			showings = append(showings, s)
		}
		return showings
	}
}

// byScript runs a script of this folder, by the Python that Debian's packages belong to.
func byScript(name string) func(testing.TB, []Cut) []Showing {
	return func(tb testing.TB, cuts []Cut) []Showing {
		tb.Helper()
		job, err := json.Marshal(map[string]any{"films": addresses(cuts), "patience": int(patience.Seconds())})
		if err != nil {
			tb.Fatal(err)
		}
		_, here, _, _ := runtime.Caller(0)
		out := run(tb, time.Minute+time.Duration(len(cuts))*10*time.Second, job,
			"/usr/bin/python3", filepath.Join(filepath.Dir(here), name), tb.TempDir())
		var showings []Showing
		for reports := json.NewDecoder(bytes.NewReader(out)); reports.More(); {
			var s Showing
			if err := reports.Decode(&s); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			showings = append(showings, s)
		}
		return showings
	}
}

// mpv encodes what it plays into a file of raw pictures and sound, with the times that it plays them at.
func mpv(tb testing.TB, cuts []Cut) (showings []Showing) {
	tb.Helper()
	for _, film := range addresses(cuts) {
		played := filepath.Join(tb.TempDir(), "played.nut")
		out, err := exec.Command("mpv", "--no-config", "--no-input-terminal", "--msg-level=all=error", "--orawts", "--vf=scale=192:108",
			"--of=nut", "--ovc=rawvideo", "--oac=pcm_f32le", "--o="+played, film).CombinedOutput()
		s := Showing{URL: film, Player: "mpv"}
		if err != nil {
			s.Error = fmt.Sprintf("%v: %s", err, out)
		} else {
			s = decoded(tb, film, "mpv", "-i", played)
		}
		showings = append(showings, s)
	}
	return showings
}

func ffmpeg(tb testing.TB, cuts []Cut) (showings []Showing) {
	tb.Helper()
	for _, cut := range cuts {
		input := []string{"-i", cut.URL}
		if cut.Fragmented {
			// Without it, ffmpeg's command line shows some of what the edit list of a fragmented film hides.
			input = append([]string{"-seek_timestamp", "1", "-ss", "0"}, input...)
		}
		showings = append(showings, decoded(tb, cut.URL, "ffmpeg", input...))
	}
	return showings
}

// decoded is what ffmpeg shows of its input.
func decoded(tb testing.TB, film, player string, input ...string) Showing {
	tb.Helper()
	const bits, rows, rate = 16, 4, 48000
	dir := tb.TempDir()
	times, pictures, sound := filepath.Join(dir, "times"), filepath.Join(dir, "pictures"), filepath.Join(dir, "sound.f32")
	args := append([]string{"-v", "error", "-nostdin"}, input...)
	args = append(args,
		"-map", "0:v", "-map", "0:a", "-c:v", "rawvideo", "-c:a", "pcm_f32le", "-fps_mode", "passthrough", "-enc_time_base:v", "-1",
		"-ac", "1", "-ar", strconv.Itoa(rate), "-f", "framemd5", times,
		"-map", "0:v", "-vf", fmt.Sprintf("crop=iw:ih*2/9:0:0,scale=%d:%d:flags=area,format=gray", 4*bits, rows), "-fps_mode", "passthrough", "-f", "rawvideo", pictures,
		"-map", "0:a", "-ac", "1", "-ar", strconv.Itoa(rate), "-c:a", "pcm_f32le", "-f", "f32le", sound)
	s := Showing{URL: film, Player: player}
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		s.Error = fmt.Sprintf("%v: %s", err, out)
		return s
	}
	content, err := os.ReadFile(pictures)
	if err != nil {
		tb.Fatal(err)
	}
	for len(content) >= 4*bits*rows {
		s.Shots = append(s.Shots, Shot{Picture: number(content[4*bits : 3*4*bits])})
		content = content[4*bits*rows:]
	}
	s.Sound = &Sound{Rate: rate, File: sound}
	told, err := os.ReadFile(times)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.readTimes(told); err != nil {
		tb.Fatalf("%s: %v", film, err)
	}
	s.Ended = true
	return s
}

// readTimes reads ffmpeg's framemd5: stream, dts, pts, duration, size and hash of each picture and each piece of sound.
func (s *Showing) readTimes(framemd5 []byte) error {
	var ticks [2]float64
	pictures, samples := 0, 0
	for lines := bufio.NewScanner(bytes.NewReader(framemd5)); lines.Scan(); {
		line := lines.Text()
		var stream int
		var num, den float64
		if n, _ := fmt.Sscanf(line, "#tb %d: %g/%g", &stream, &num, &den); n == 3 {
			ticks[stream] = num / den
			continue
		}
		var dts, pts, duration, size int
		if n, _ := fmt.Sscanf(line, "%d, %d, %d, %d, %d", &stream, &dts, &pts, &duration, &size); n != 5 {
			continue
		}
		at := float64(pts) * ticks[stream]
		if stream == 1 {
			s.Sound.Pieces = append(s.Sound.Pieces, Piece{at, samples, size / 4})
			samples += size / 4
			continue
		}
		if pictures < len(s.Shots) {
			s.Shots[pictures].At = at
		}
		pictures++
	}
	if pictures != len(s.Shots) {
		return fmt.Errorf("times of %d pictures, not of %d", pictures, len(s.Shots))
	}
	return nil
}

// number reads the two rows in the middle of a picture's number, each bit of it 4 points wide.
func number(rows []byte) int {
	n, width := 0, len(rows)/2
	for bit := range width / 4 {
		luma := 0
		for _, at := range []int{4*bit + 1, 4*bit + 2, width + 4*bit + 1, width + 4*bit + 2} {
			luma += int(rows[at])
		}
		if luma > 4*85 && luma < 4*170 {
			return -1
		}
		if luma >= 4*170 {
			n |= 1 << bit
		}
	}
	return n
}

func (s *Sound) load() error {
	content, err := os.ReadFile(s.File)
	if err != nil {
		return err
	}
	if filepath.Ext(s.File) == ".s16" {
		for ; len(content) >= 2; content = content[2:] {
			s.samples = append(s.samples, float64(int16(binary.LittleEndian.Uint16(content)))/(1<<15))
		}
		return nil
	}
	for ; len(content) >= 4; content = content[4:] {
		s.samples = append(s.samples, float64(math.Float32frombits(binary.LittleEndian.Uint32(content))))
	}
	return nil
}

// run returns what a program writes; it fails where the program does, or takes too long.
func run(tb testing.TB, limit time.Duration, input []byte, name string, args ...string) []byte {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	out, err := cmd.Output()
	if err := errors.Join(err, ctx.Err()); err != nil {
		tb.Fatalf("%s: %v\n%s", name, err, stderr.Bytes())
	}
	return out
}
