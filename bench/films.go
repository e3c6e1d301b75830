package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
)

// film is one of the films that are sought in.
type film struct {
	Name      string `json:"name"`
	Minutes   int    `json:"minutes"`
	FPS       int    `json:"fps"`
	MoovFirst bool   `json:"moovFirst"`
	Bytes     int64  `json:"bytes"`
	MoovBytes int64  `json:"moovBytes"`

	folder string // where it really lies
}

func (f film) seconds() float64 { return float64(f.Minutes) * 60 }

func (f film) String() string {
	where := "last"
	if f.MoovFirst {
		where = "first"
	}
	return fmt.Sprintf("%s, %d fps, moov %s", length(f.Minutes), f.FPS, where)
}

func length(minutes int) string {
	if minutes%60 == 0 {
		return fmt.Sprintf("%d h", minutes/60)
	}
	return fmt.Sprintf("%d min", minutes)
}

// minute is encoded once a frame rate: H.264 with a pyramid of B-frames, which gives nearly every picture an entry of
// its own in ctts, and AAC. Its sound is a little shorter than its pictures, so that they loop without a gap. Pictures
// are small and coarse: the tables are as long as any film's, and eight hours are 400 MB.
func minute(fps int) media.Film {
	return media.Film{
		Name: fmt.Sprintf("minute%d.mp4", fps),
		Args: fmt.Sprintf("-f lavfi -i testsrc2=s=192x108:r=%d:d=60 -f lavfi -i aevalsrc='0.3*sin(2*PI*(180*t+4*t*t))':s=48000:d=59.95 "+
			"-c:v libx264 -preset veryfast -crf 40 -x264-params threads=1:scenecut=0:keyint=%d:bframes=3:b-pyramid=normal -c:a aac -b:a 32k",
			fps, 2*fps),
	}
}

// loop makes a film of many minutes.
func loop(minutes, fps int, moovFirst bool) (media.Film, error) {
	source, err := minute(fps).Make()
	if err != nil {
		return media.Film{}, err
	}
	name, flags := fmt.Sprintf("%dm%dlast.mp4", minutes, fps), ""
	if moovFirst {
		name, flags = fmt.Sprintf("%dm%dfirst.mp4", minutes, fps), "-movflags +faststart"
	}
	args := fmt.Sprintf("-stream_loop -1 -i %s -t %d -c copy %s", source, minutes*60, flags)
	return media.Film{Name: name, Args: strings.TrimSpace(args)}, nil
}

// makeFilms links films of every given length into dir, each at 24 and 60 pictures a second, with the moov first and last.
func makeFilms(dir string, minutes []int) ([]film, error) {
	var films []film
	for _, fps := range []int{24, 60} {
		for _, m := range minutes {
			for _, first := range []bool{true, false} {
				f, err := makeFilm(dir, film{Minutes: m, FPS: fps, MoovFirst: first})
				if err != nil {
					return nil, err
				}
				films = append(films, f)
			}
		}
	}
	return films, nil
}

func makeFilm(dir string, f film) (film, error) {
	recipe, err := loop(f.Minutes, f.FPS, f.MoovFirst)
	if err != nil {
		return f, err
	}
	path, err := recipe.Make()
	if err != nil {
		return f, err
	}
	f.Name, f.folder = recipe.Name, filepath.Dir(path)
	if f.Bytes, f.MoovBytes, err = measure(path); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, os.Symlink(path, filepath.Join(dir, f.Name))
}

// measure returns the lengths of a file and of its moov.
func measure(path string) (bytes, moov int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	for at := int64(0); ; {
		header := make([]byte, 16)
		if _, err := file.ReadAt(header, at); err != nil && err != io.EOF {
			return 0, 0, err
		}
		typ, size, _ := boxHeader(header)
		if typ == "moov" {
			return info.Size(), size, nil
		}
		if at += size; size < 8 || at >= info.Size() {
			return 0, 0, fmt.Errorf("no moov")
		}
	}
}

// boxHeader takes a box header of up to 16 bytes apart.
func boxHeader(b []byte) (typ string, size, header int64) {
	size, header = int64(binary.BigEndian.Uint32(b)), 8
	if size == 1 {
		size, header = int64(binary.BigEndian.Uint64(b[8:])), 16
	}
	return string(b[4:8]), size, header
}
