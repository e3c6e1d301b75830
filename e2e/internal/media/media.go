// Package media makes the films of the end-to-end tests with ffmpeg, each once, into the user's cache folder.
//
// Every picture carries its number n (from 0) as 16 bits along its top edge, so that a test knows which picture it
// sees: bit k, least significant first, is the block x in [k*W/16, (k+1)*W/16), y in [0, H*2/9); white (luma 235) is 1,
// black (16) is 0. The sound is a pair of sweeps per channel that never repeat, so that a shift of a single sample shows.
package media

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// edition is part of every film's key in the cache: raise it when surgery.go changes what it makes.
const edition = "2"

// Film is a recipe: what ffmpeg is told, and what is done to its output afterwards.
type Film struct {
	Name  string   // of the file; the suffix chooses ffmpeg's container
	Shows string   // what the film is for
	Args  string   // ffmpeg's arguments, separated by blanks, without the output
	From  string   // name of the film that "FROM" stands for in Args; without Args it is copied
	After *surgery // what ffmpeg cannot do itself
	Same  string   // name of the film that shows the same, where ffmpeg does not read this one right
}

// Find returns the film of that name.
func Find(name string) (Film, error) {
	for _, f := range slices.Concat(Films, Fragmented, Unjudged, Odd, Played) {
		if f.Name == name {
			return f, nil
		}
	}
	return Film{}, fmt.Errorf("media: no film is called %q", name)
}

// Read returns the content of the film of that name.
func Read(name string) ([]byte, error) {
	f, err := Find(name)
	if err != nil {
		return nil, err
	}
	return f.Read()
}

// Read makes the film, if need be, and returns its content.
func (f Film) Read() ([]byte, error) {
	path, err := f.Make()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Judge is the film by which cuts of this one are judged: the one that shows the same, or itself.
func (f Film) Judge() (Film, error) {
	if f.Same == "" {
		return f, nil
	}
	return Find(f.Same)
}

// Make returns the path of the film in the cache, after making it where it is not there yet.
// It may be called from many goroutines and processes at once.
func (f Film) Make() (string, error) {
	cell, _ := finished.LoadOrStore(f.Name, sync.OnceValues(f.make))
	path, err := cell.(func() (string, error))()
	if err != nil {
		return "", fmt.Errorf("media: %s: %w", f.Name, err)
	}
	return path, nil
}

var finished sync.Map // of film name → func() (path string, err error)

func (f Film) make() (string, error) {
	args := strings.Fields(f.Args)
	recipe := f.Args
	source := ""
	if f.From != "" {
		from, err := Find(f.From)
		if err != nil {
			return "", err
		}
		path, err := from.Make()
		if err != nil {
			return "", err
		}
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "FROM", path)
		}
		recipe += path // the path holds the key of that film
		source = path
	}
	if f.After != nil {
		recipe += f.After.name
	}
	version, err := ffmpegVersion()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	key := sha256.Sum256([]byte(strings.Join([]string{edition, version, f.Name, recipe}, "\x00")))
	dir := filepath.Join(cache, "traefik-mp4", "media", hex.EncodeToString(key[:8]))
	path := filepath.Join(dir, f.Name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, "making-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	// The name within work keeps its suffix, from which ffmpeg takes the container.
	fresh := filepath.Join(work, f.Name)
	if len(args) > 0 {
		args = append([]string{"-v", "error", "-nostdin"}, args...)
		args = append(args, "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", fresh)
		_, err = run("ffmpeg", args...)
	} else {
		err = copyFile(source, fresh)
	}
	if err != nil {
		return "", err
	}
	if f.After != nil {
		if err := f.After.perform(fresh); err != nil {
			return "", err
		}
	}
	return path, os.Rename(fresh, path)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

var ffmpegVersion = sync.OnceValues(func() (string, error) {
	out, err := run("ffmpeg", "-version")
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line), err
})

// run returns the standard output of a command, and its standard error in the error.
func run(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}
