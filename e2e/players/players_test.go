// Package players proves cuts by the players that people use.
package players

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/browser"
	"github.com/traefik-mp4/mp4/e2e/internal/players"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// cut is what players play: of a film, from a second on.
type cut struct {
	film       string
	start, end float64 // end 0: to the film's end
	key        float64 // by keyframe: when the key frame is shown at which the cut begins; 0: exact
	not        []players.Player
}

// Key frames are 2 s apart where nothing else is said.
var progressive = []cut{
	{film: "bframes.mp4", start: 7.999},             // the last millisecond before a key frame
	{film: "bframes.mp4", start: 7.985},             // 15 ms before it
	{film: "bframes.mp4", start: 7.97},              // 30 ms before it
	{film: "bframes.mp4", start: 8},                 // on it
	{film: "bframes.mp4", start: 7.4},               // amid the pictures before it
	{film: "bframes.mp4", start: 5.717, end: 7.235}, // with an end
	{film: "plain.mp4", start: 7.97},
	{film: "plain.mp4", start: 8.6},
	{film: "plain.mp4", start: 4.3, end: 6}, // its last picture lies behind nearly all of its sound
	{film: "ntsc.mp4", start: 7.978},        // 30 ms before a key frame
	{film: "ntsc.mp4", start: 7.1, end: 8.7},
	{film: "fifty.mp4", start: 4.985}, // 15 ms before a key frame
	{film: "variable.mp4", start: 7.978},
	{film: "opengop.mp4", start: 7.97, not: noOpenGOP},
	{film: "large.mp4", start: 4.97}, // 30 ms before a key frame, 124 pictures after another
}

var fragmented = []cut{
	{film: "front.frag.mp4", start: 7.999},
	{film: "front.frag.mp4", start: 7.97},
	{film: "front.frag.mp4", start: 8},
	{film: "front.frag.mp4", start: 5.717, end: 7.235},
	{film: "awry.frag.mp4", start: 7.4}, // its fragments begin anywhere
	{film: "trex.frag.mp4", start: 8.6},
	{film: "ntsc.frag.mp4", start: 7.978},
	{film: "fifty.frag.mp4", start: 4.985},
	{film: "variable.frag.mp4", start: 7.978},
	{film: "open.frag.mp4", start: 7.97, not: noOpenGOP},
	{film: "large.frag.mp4", start: 4.97},
}

// keyframe are cuts that begin visibly at a key frame. Browsers get them by Media Source Extensions.
var keyframe = []cut{
	{film: "front.frag.mp4", start: 8.4, key: 8},
	{film: "awry.frag.mp4", start: 7.4, key: 6},
	{film: "chunks.frag.mp4", start: 9.2, key: 8},
	{film: "trex.frag.mp4", start: 9.2, key: 8},
	{film: "large.frag.mp4", start: 5.5, key: 5},
}

// noOpenGOP is who cannot seek in a film with open GOPs either: Chromium gives up on leading pictures whose references it has not seen.
var noOpenGOP = []players.Player{players.Chromium}

func TestChromium(t *testing.T)  { test(t, players.Chromium) }
func TestFirefox(t *testing.T)   { test(t, players.Firefox) }
func TestWebKit(t *testing.T)    { test(t, players.WebKit) }
func TestGStreamer(t *testing.T) { test(t, players.GStreamer) }
func TestVLC(t *testing.T)       { test(t, players.VLC) }
func TestMPV(t *testing.T)       { test(t, players.MPV) }
func TestFFmpeg(t *testing.T)    { test(t, players.FFmpeg) }

func test(t *testing.T, player players.Player) {
	t.Parallel()
	all := slices.DeleteFunc(slices.Concat(progressive, fragmented, keyframe), func(c cut) bool {
		return slices.ContainsFunc(c.not, func(p players.Player) bool { return p.Name == player.Name })
	})
	dir, timelines := lay(t, all)
	var dynamic rig.Dynamic
	dynamic.Plugin("mp4", nil)
	dynamic.Service("films", rig.FileServer(t, dir).URL)
	dynamic.Plugin("keyframe", rig.Map{"seek": "keyframe"})
	dynamic.Middleware("strip", rig.Map{"stripPrefix": rig.Map{"prefixes": []string{"/keyframe"}}})
	dynamic.Route("keyframe", rig.Router{Rule: "PathPrefix(`/keyframe/`)", Service: "films", Middlewares: []string{"strip", "keyframe"}})
	dynamic.Route("films", rig.Router{Rule: "PathPrefix(`/`)", Service: "films", Middlewares: []string{"mp4"}})
	traefik := rig.Start(t, rig.Config{Dynamic: dynamic})

	var cuts []players.Cut
	for _, c := range all {
		begin := c.start
		if c.key > 0 {
			begin = c.key
		}
		cuts = append(cuts, players.Cut{
			URL: traefik.URL(c.path()), Film: timelines[c.film], Start: begin, End: c.end,
			Fragmented: c.end == 0 && strings.Contains(c.film, "frag"),
			Large:      strings.HasPrefix(c.film, "large"),
		})
	}
	tries, delays := 0, 0.0
	for i, r := range player.Prove(t, cuts) {
		tries += r.Tries
		delays = max(delays, r.Delay)
		t.Run(strings.TrimPrefix(all[i].path(), "/"), func(t *testing.T) {
			t.Logf("%s: %d tries, %d hidden pictures for %.0f ms, sound %+.1f ms", r.Shown.Player, r.Tries, r.Hidden, r.Delay*1000, r.Sound*1000)
			if r.Err != nil {
				t.Errorf("%v\npaused %v\nplaying %v\nlast %v", r.Err, r.Shown.Paused, r.Shown.Shots, r.Shown.Last)
			}
		})
	}
	t.Logf("%s: %d cuts in %d tries; hidden pictures for at most %.0f ms", player.Name, len(cuts), tries, delays*1000)
}

func (c cut) path() string {
	path := fmt.Sprintf("/%s?start=%.3f", c.film, c.start)
	if c.end > 0 {
		path += fmt.Sprintf("&end=%.3f", c.end)
	}
	if c.key > 0 {
		path = "/keyframe" + path + "#mse"
	}
	return path
}

// lay makes a folder with the films of cuts, and reads when they show their pictures.
func lay(t *testing.T, cuts []cut) (dir string, timelines map[string]browser.Timeline) {
	t.Helper()
	var films []string
	for _, c := range cuts {
		films = append(films, c.film)
	}
	return browser.Lay(t, films...)
}

// What nginx makes of the same films is the control: it must be found wrong in every player, or the tests above prove
// nothing. Its cuts are early by the B-frames' delay, and many players show their lead-in.
func TestControl(t *testing.T) {
	t.Parallel()
	cuts := []cut{{film: "bframes.mp4", start: 7.4}}
	dir, timelines := lay(t, cuts)
	nginx := rig.StartNginx(t, dir)
	for _, player := range []players.Player{players.Chromium, players.Firefox, players.WebKit, players.GStreamer, players.VLC, players.MPV, players.FFmpeg} {
		results := player.Prove(t, []players.Cut{
			{URL: nginx.KeyFrame + cuts[0].path(), Film: timelines["bframes.mp4"], Start: cuts[0].start},
		})
		if err := results[0].Err; err == nil {
			t.Errorf("%s: nginx's cut at a picture that is no key frame is not found wrong", player.Name)
		} else {
			t.Logf("%s: %v", player.Name, err)
		}
	}
}
