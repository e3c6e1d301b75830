// Package browser plays films in real browsers and tells which of their numbered pictures they show, and when.
package browser

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
)

// Page must be served as /play.html by the servers whose films are to be played.
//
//go:embed play.html
var Page []byte

// PageName is the name of a file that holds Page.
const PageName = "play.html"

// The browsers that Play knows.
const (
	Chromium = "chromium"
	Firefox  = "firefox"
	WebKit   = "webkit" // GTK's, in MiniBrowser
)

// Shot is a picture that was on show.
type Shot struct {
	Picture   int     // its number, or -1 where none could be read
	Timestamp float64 // its own time in the film, in seconds; Firefox leaves it 0
	MediaTime float64 // the time of the picture that was presented last; Firefox may name one to come
	Clock     float64 // the film's currentTime
	Wall      float64 // seconds since the page asked for the film, or asked it to play
}

// Showing is how a film was shown.
type Showing struct {
	URL      string
	Browser  string  // with its version
	Duration float64 // as the browser has it
	Paused   Shot    // on show once loaded, before the film was played
	Shots    []Shot  // presented while it was playing: nine at least, for half a second at least, or to the film's end
	Ended    bool    // it was played to its end
	Last     *Shot   // on show after the end, where there still was a picture
	Crashes  int     // of the browser before it came to an end with the film
	Error    string  // why the film could not be played
}

// job is what play.mjs reads.
type job struct {
	Films    []string `json:"films"`
	Count    int      `json:"count"` // 0: to the end
	Seconds  float64  `json:"seconds"`
	Patience int      `json:"patience"` // milliseconds
}

// Play starts the browser once and plays the beginning of one film after another.
func Play(tb testing.TB, browser string, films ...string) []Showing {
	tb.Helper()
	return play(tb, browser, job{Films: films, Count: shots + 3, Seconds: 0.5, Patience: 30_000})
}

// PlayToEnd plays all of the films.
func PlayToEnd(tb testing.TB, browser string, films ...string) []Showing {
	tb.Helper()
	return play(tb, browser, job{Films: films, Patience: 30_000})
}

func play(tb testing.TB, browser string, j job) []Showing {
	tb.Helper()
	films := j.Films
	input, err := json.Marshal(j)
	if err != nil {
		tb.Fatal(err)
	}
	_, here, _, _ := runtime.Caller(0)
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute+time.Duration(len(films))*5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join(filepath.Dir(here), "play.mjs"), browser)
	// On a signal it ends the browser first.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		tb.Fatalf("playing %d films in %s: %v\n%s", len(films), browser, err, stderr.Bytes())
	}
	var showings []Showing
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		var s Showing
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			tb.Fatalf("%s: %v", lines.Bytes(), err)
		}
		showings = append(showings, s)
	}
	if len(showings) != len(films) {
		tb.Fatalf("%s told of %d films of %d", browser, len(showings), len(films))
	}
	return showings
}

// Cut is what a browser is to show.
type Cut struct {
	URL   string
	Film  Timeline
	Start float64
	Lead  float64 // how long the lead-in takes in Firefox, whose clock begins with it
	Late  float64 // how much later Firefox may be
}

// Prove plays the cuts and checks them; it returns an error or nil for each. A cut of which a busy machine presented too
// few pictures is played once more, and once again; one that was shown wrong is not.
func Prove(tb testing.TB, browser string, cuts []Cut) []error {
	tb.Helper()
	errs := make([]error, len(cuts))
	var open []int
	for i := range cuts {
		open = append(open, i)
	}
	for range 3 {
		var urls []string
		for _, i := range open {
			urls = append(urls, cuts[i].URL)
		}
		var again []int
		for k, shown := range Play(tb, browser, urls...) {
			i := open[k]
			errs[i] = shown.Check(cuts[i].Film, cuts[i].Start, cuts[i].Lead, cuts[i].Late)
			if errors.Is(errs[i], ErrTooFew) {
				again = append(again, i)
			}
		}
		if open = again; len(open) == 0 {
			break
		}
		tb.Logf("%s presented too few pictures of %d cuts", browser, len(open))
	}
	return errs
}

// Lay makes a folder with films and the page, and reads when the films show their pictures.
func Lay(tb testing.TB, films ...string) (dir string, timelines map[string]Timeline) {
	tb.Helper()
	dir, timelines = tb.TempDir(), map[string]Timeline{}
	if err := os.WriteFile(filepath.Join(dir, PageName), Page, 0o644); err != nil {
		tb.Fatal(err)
	}
	for _, name := range films {
		if timelines[name] != nil {
			continue
		}
		film, err := media.Find(name)
		if err != nil {
			tb.Fatal(err)
		}
		path, err := film.Make()
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			tb.Fatal(err)
		}
		judge, err := film.Judge()
		if err != nil {
			tb.Fatal(err)
		}
		if path, err = judge.Make(); err != nil {
			tb.Fatal(err)
		}
		timelines[name] = ReadTimeline(tb, path)
	}
	return dir, timelines
}
