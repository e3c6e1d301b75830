// Package browsers proves what Chromium and Firefox show of cuts: the number on each picture, and when it is there.
package browsers

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/browser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// showing is a cut that a browser plays: of a film, from a second on.
type showing struct {
	film  string
	start float64
	end   float64 // 0: to the film's end
	late  float64 // how much Firefox may be late
	key   bool    // from the key frame on, given to the browser by Media Source Extensions
	begin float64 // then: when that key frame is shown
}

// everywhere are cuts of which both browsers show each picture. Key frames are 2 s apart where nothing else is said.
var everywhere = []showing{
	{film: "bframes.mp4", start: 0},                // untouched
	{film: "bframes.mp4", start: 0.019},            // within the first picture
	{film: "bframes.mp4", start: 0.061},            // within the reorder delay
	{film: "bframes.mp4", start: 3.4},              // on a picture
	{film: "bframes.mp4", start: 3.999},            // the last millisecond before a key frame
	{film: "bframes.mp4", start: 4},                // on a key frame
	{film: "bframes.mp4", start: 5.717, end: 7.25}, // with an end
	{film: "bframes.mp4", start: 9.2},              // near the end
	{film: "moovlast.mp4", start: 0},
	{film: "moovlast.mp4", start: 7.883},
	{film: "plain.mp4", start: 3.4},
	{film: "plain.mp4", start: 6.451, end: 8},
	{film: "silent.mp4", start: 5.15},
	{film: "ntsc.mp4", start: 2.345},
	{film: "ntsc.mp4", start: 7.96},
	{film: "uneven.mp4", start: 0.2},
	{film: "uneven.mp4", start: 5.557},
	{film: "soundlate.mp4", start: 0.3}, // before the sound begins
	{film: "soundlate.mp4", start: 4.704},
	{film: "picturelate.mp4", start: 1.13},
	{film: "picturelate.mp4", start: 6.3},
	{film: "shortpicture.mp4", start: 2.777},
	{film: "shortsound.mp4", start: 3.1},
	{film: "shortsound.mp4", start: 6.02}, // after the sound's end
	{film: "negative.mp4", start: 3.4},
	{film: "noedits.mp4", start: 3.4},
	{film: "co64.mp4", start: 6.6},
	{film: "mdat64.mp4", start: 6.6},
	{film: "onekey.mp4", start: 4.704},              // a lead-in of 117 pictures
	{film: "onekey.mp4", start: 9},                  // of 225
	{film: "ticks25.mp4", start: 3.96, late: 0.05},  // a tick is a whole picture, and a start between two is rounded
	{film: "ticks600.mov", start: 3.95, late: 0.05}, // ticks of which 50 ms hold fewer than the lead-in's 59 pictures
	{film: "intra.mp4", start: 5.5},
	{film: "opus.mp4", start: 5.5},
	{film: "fragments.mp4", start: 3.4},
	{film: "fragments.mp4", start: 5.717, end: 7.25},
	{film: "hybrid.mp4", start: 0.7}, // both in the moov and in fragments
	{film: "hybrid.mp4", start: 5.717},
	{film: "globalsidx.mp4", start: 3.999},
	{film: "apart.frag.mp4", start: 5.717},
	{film: "chunks.frag.mp4", start: 9.2},
	{film: "front.frag.mp4", start: 3.4},
	{film: "bare.frag.mp4", start: 3.4},
	{film: "trex.frag.mp4", start: 6.451},
	{film: "half.frag.mp4", start: 3.4},
	{film: "fragments.mp4", start: 3.4, key: true, begin: 2.08}, // all its pictures are late by the reorder delay
	{film: "globalsidx.mp4", start: 5.9, key: true, begin: 4.08},
	{film: "fragments.mp4", start: 5.717, end: 9.25, key: true, begin: 4.08}, // its last fragment is made
	{film: "tfhd.frag.mp4", start: 3.4, end: 5.1, key: true, begin: 2},
	{film: "fragmentsneg.mp4", start: 9.2, key: true, begin: 8},
	{film: "tfhd.frag.mp4", start: 4, key: true, begin: 4},
	{film: "each.frag.mp4", start: 9.2, key: true, begin: 8},
	{film: "groups.frag.mp4", start: 3.4, key: true, begin: 2},
	{film: "awry.frag.mp4", start: 7, key: true, begin: 6},
	{film: "chunks.frag.mp4", start: 3.4, key: true, begin: 2},
	{film: "vp9.mp4", start: 3.4},
	{film: "av1.mp4", start: 3.4},
	{film: "flac.mp4", start: 5.5},
	{film: "mp3.mp4", start: 5.5},
	{film: "chunks.mp4", start: 3.4},
	{film: "mdat0.mp4", start: 3.4},
	{film: "mdat64last.mp4", start: 3.4},
	{film: "twomdats.mp4", start: 5.5},
	{film: "moovmiddle.mp4", start: 5.5},
	{film: "reversed.mp4", start: 5.5},
	{film: "groups.mp4", start: 5.5},
	{film: "v1.mp4", start: 3.4},
	{film: "twosounds.mp4", start: 3.4},
	{film: "subtitles.mp4", start: 2},
	{film: "chapters.mp4", start: 3.4},
	{film: "timecode.mov", start: 3.4},
}

// chromiumOnly are cuts of films of which Firefox does not play the whole right either: it takes the length of an empty
// edit before the first picture for ticks of the track, not of the movie, and does not know stz2.
var chromiumOnly = []showing{
	{film: "stz2.mp4", start: 3.4},
	{film: "picturelate.mp4", start: 0.04},
	{film: "picturelate.mp4", start: 0.2},
}

// firefoxOnly are cuts of films that Chromium cannot play, or cannot seek in: it has no decoder of HEVC in software, and
// gives up on leading pictures of H.264 whose references it has not seen.
var firefoxOnly = []showing{
	{film: "fragmentsneg.mp4", start: 3.4}, // Chromium shows the film itself 80 ms late
	{film: "hevc.mp4", start: 3.4},
	{film: "hevc.mp4", start: 6.502},
	{film: "opengop.mp4", start: 3.4},
	{film: "opengop.mp4", start: 6.293},
}

func TestChromium(t *testing.T) {
	testCuts(t, browser.Chromium, append(everywhere[:len(everywhere):len(everywhere)], chromiumOnly...))
}
func TestFirefox(t *testing.T) {
	testCuts(t, browser.Firefox, append(everywhere[:len(everywhere):len(everywhere)], firefoxOnly...))
}

func testCuts(t *testing.T, name string, cuts []showing) {
	dir, timelines := lay(t, cuts)
	var dynamic rig.Dynamic
	dynamic.Plugin("mp4", nil)
	dynamic.Service("films", rig.FileServer(t, dir).URL)
	dynamic.Plugin("keyframe", rig.Map{"seek": "keyframe"})
	dynamic.Middleware("strip", rig.Map{"stripPrefix": rig.Map{"prefixes": []string{"/keyframe"}}})
	dynamic.Route("keyframe", rig.Router{Rule: "PathPrefix(`/keyframe/`)", Service: "films", Middlewares: []string{"strip", "keyframe"}})
	dynamic.Route("films", rig.Router{Rule: "PathPrefix(`/`)", Service: "films", Middlewares: []string{"mp4"}})
	traefik := rig.Start(t, rig.Config{Dynamic: dynamic})

	var proofs []browser.Cut
	for _, cut := range cuts {
		begin := cut.start
		if cut.key {
			begin = cut.begin
		}
		url := traefik.URL(cut.path())
		proofs = append(proofs, browser.Cut{URL: url, Film: timelines[cut.film], Start: begin, Lead: leadIn(t, url), Late: cut.late})
	}
	for i, err := range browser.Prove(t, name, proofs) {
		t.Run(strings.TrimPrefix(cuts[i].path(), "/"), func(t *testing.T) {
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// leadIn is for how long the hidden pictures of a cut stand where nothing hides them: ffprobe gives them times before 0.
func leadIn(t *testing.T, url string) float64 {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0", url).Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v", url, err)
	}
	first := 0.0
	for _, line := range strings.Fields(string(out)) {
		at, err := strconv.ParseFloat(strings.Trim(line, ","), 64)
		if err == nil { // a packet may have no time
			first = min(first, at)
		}
	}
	return -first
}

// What nginx makes of the same films is the control: it must be found wrong, or the tests above prove nothing. Its cuts
// are early by the B-frames' delay, and Firefox plays their lead-in at length.
func TestChromiumControl(t *testing.T) { testControl(t, browser.Chromium) }
func TestFirefoxControl(t *testing.T)  { testControl(t, browser.Firefox) }

func testControl(t *testing.T, name string) {
	cuts := []showing{{film: "bframes.mp4", start: 3.4}, {film: "ntsc.mp4", start: 7.96}}
	dir, timelines := lay(t, cuts)
	nginx := rig.StartNginx(t, dir)
	proofs := []browser.Cut{{URL: nginx.KeyFrame + "/bframes.mp4", Film: timelines["bframes.mp4"]}}
	for _, cut := range cuts {
		proofs = append(proofs, browser.Cut{URL: nginx.KeyFrame + cut.path(), Film: timelines[cut.film], Start: cut.start, Late: cut.late})
	}
	for i, err := range browser.Prove(t, name, proofs) {
		switch {
		case i == 0 && err != nil:
			t.Errorf("the whole film from nginx: %v", err)
		case i > 0 && !errors.Is(err, browser.ErrWrong):
			t.Errorf("nginx's cut at a picture that is no key frame is not found wrong: %s: %v", proofs[i].URL, err)
		}
	}
}

func (s showing) path() string {
	path := fmt.Sprintf("/%s?start=%.3f", s.film, s.start)
	if s.end > 0 {
		path += fmt.Sprintf("&end=%.3f", s.end)
	}
	if s.key {
		path = "/keyframe" + path + "#mse"
	}
	return path
}

// lay makes a folder with the films of cuts, and reads when they show their pictures.
func lay(t *testing.T, cuts []showing) (dir string, timelines map[string]browser.Timeline) {
	t.Helper()
	var films []string
	for _, c := range cuts {
		films = append(films, c.film)
	}
	return browser.Lay(t, films...)
}
