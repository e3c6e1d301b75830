// Command answers makes the plugin, compiled into it, answer some thousand requests, and prints a line for each and a checksum
// over all: before and after a change of the code that must change no answer.
//
//	answers -make folder   puts the test films and hostile files in the folder
//	answers folder         asks for the files in the folder, in every mode; answers -sum folder prints the checksum only
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/traefik-mp4/mp4"
	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/media"
)

func main() {
	fill := flag.String("make", "", "fill this folder")
	quiet := flag.Bool("sum", false, "print the checksum only")
	flag.Parse()
	var err error
	switch {
	case *fill != "" && flag.NArg() == 0:
		err = makeFiles(*fill)
	case *fill == "" && flag.NArg() == 1:
		err = askAll(flag.Arg(0), *quiet)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "answers:", err)
		os.Exit(1)
	}
}

// hostile begins the names of files that were made to do harm: of these there are many, and each is asked for little.
const hostile = "hostile-"

// makeFiles writes the files, all of one age, which is part of what the plugin tells of those below root.
func makeFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	write := func(name string, content []byte) error {
		return os.WriteFile(filepath.Join(dir, name), content, 0o644)
	}
	for _, film := range slices.Concat(media.Films, media.Fragmented, media.Unjudged) {
		content, err := film.Read()
		if err != nil {
			return err
		}
		if err := write(film.Name, content); err != nil {
			return err
		}
		each := map[string]int{"bframes.mp4": 31, "moovlast.mp4": 97, "fragments.mp4": 41, "dash.mp4": 97, "hybrid.mp4": 97}[film.Name]
		if each == 0 {
			continue
		}
		for i, file := range faults.Mangle(content) {
			if i%each != 0 {
				continue
			}
			if err := write(fmt.Sprintf("%s%03d-%s", hostile, i, film.Name), file.Bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// modes are the plugin's options that answers depend on.
func modes(dir string) map[string]*mp4.Config {
	all := map[string]*mp4.Config{}
	add := func(name string, set func(*mp4.Config)) {
		config := mp4.CreateConfig()
		set(config)
		all[name] = config
	}
	add("exact", func(*mp4.Config) {})
	add("keyframe", func(c *mp4.Config) { c.Seek = "keyframe" })
	add("sample", func(c *mp4.Config) { c.Seek = "sample" })
	add("faststart", func(c *mp4.Config) { c.Faststart = "true" })
	add("small", func(c *mp4.Config) { c.BufferSize, c.CacheSize = "16k", "0" })
	add("root", func(c *mp4.Config) { c.Root = dir })
	// Its origin does not know ranges.
	add("stream", func(*mp4.Config) {})
	return all
}

// question is one request, less the file and the mode.
type question struct {
	method, query, header, value string
}

var questions = []question{
	{method: "GET"},
	{method: "HEAD"},
	{method: "GET", query: "start=0"},
	{method: "GET", query: "start=0.019"},
	{method: "GET", query: "start=3.4"},
	{method: "HEAD", query: "start=3.4"},
	{method: "GET", query: "start=3.999"},
	{method: "GET", query: "start=4"},
	{method: "GET", query: "start=6.451&end=8"},
	{method: "GET", query: "start=2&end=2.2"},
	{method: "GET", query: "end=5.5"},
	{method: "GET", query: "a=b&start=9.2&c=d"},
	{method: "GET", query: "start=100"},
	{method: "GET", query: "start=5&end=4"},
	{method: "GET", query: "start=1x"},
	{method: "GET", query: "start=3.4", header: "Range", value: "bytes=0-99"},
	{method: "GET", query: "start=3.4", header: "Range", value: "bytes=5000-"},
	{method: "GET", query: "start=3.4", header: "Range", value: "bytes=-700"},
	{method: "GET", query: "start=3.4", header: "Range", value: "bytes=0-9,20-29"},
	{method: "GET", query: "start=3.4", header: "Range", value: "bytes=999999999-"},
	{method: "GET", query: "start=3.4&end=7", header: "If-None-Match", value: "ETAG"},
	{method: "GET", query: "start=3.4&end=7", header: "If-Match", value: `"other"`},
	{method: "POST", query: "start=3.4"},
}

var fewQuestions = []question{{method: "GET", query: "start=3.4"}, {method: "GET", query: "end=1"}}

func askAll(dir string, quiet bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("%s is empty: answers -make %s", dir, dir)
	}
	for _, entry := range entries {
		if err := os.Chtimes(filepath.Join(dir, entry.Name()), modified, modified); err != nil {
			return err
		}
	}

	// What the plugin prints at level DEBUG is no answer; what it logs is compared.
	stdout := os.Stdout
	if os.Stdout, err = os.Open(os.DevNull); err != nil {
		return err
	}
	var logged bytes.Buffer
	log.SetFlags(0)
	log.SetOutput(&logged)

	count, sum := 0, sha256.New()
	configs := modes(dir)
	for _, mode := range slices.Sorted(maps.Keys(configs)) {
		handler, err := mp4.New(context.Background(), origin(dir, mode == "stream"), configs[mode], mode)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			asked := questions
			if strings.HasPrefix(entry.Name(), hostile) {
				asked = fewQuestions
			}
			for _, q := range asked {
				line := mode + " " + q.ask(handler, entry.Name())
				if logged.Len() > 0 {
					line += fmt.Sprintf(" %q", strings.ReplaceAll(logged.String(), dir, "folder"))
					logged.Reset()
				}
				line += "\n"
				count++
				io.WriteString(sum, line)
				if !quiet {
					io.WriteString(stdout, line)
				}
			}
		}
	}
	_, err = fmt.Fprintf(stdout, "%d answers, of %d files: %x\n", count, len(entries), sum.Sum(nil))
	return err
}

// modified is the age of every file.
var modified = time.Unix(1e9, 0)

// origin serves the files, by range or not.
func origin(dir string, stream bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Base(r.URL.Path)
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("ETag", fmt.Sprintf(`"%s-%d"`, name, len(content)))
		if stream {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			if r.Method != http.MethodHead {
				w.Write(content)
			}
			return
		}
		http.ServeContent(w, r, name, modified, bytes.NewReader(content))
	})
}

// ask asks for a file and says what came: the request, the status, the length and the hash of the body, the hash of the
// headers, and the ETag, if there is one.
func (q question) ask(handler http.Handler, name string) string {
	target := "/" + name
	if q.query != "" {
		target += "?" + q.query
	}
	said := q.method + " " + target
	request := httptest.NewRequest(q.method, target, nil)
	if q.header != "" {
		value := q.value
		if value == "ETAG" {
			value, _, _ = answer(handler, httptest.NewRequest(http.MethodHead, target, nil))
		}
		request.Header.Set(q.header, value)
		said += fmt.Sprintf(" (%s: %s)", q.header, q.value)
	}
	tag, status, content := answer(handler, request)
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", said, status, content, tag))
}

// answer is the ETag, the status, and what came with it.
func answer(handler http.Handler, request *http.Request) (tag, status, content string) {
	recorder := httptest.NewRecorder()
	broken := ""
	func() {
		defer func() {
			if r := recover(); r != nil {
				broken = " broken off"
				if err, ok := r.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					broken = fmt.Sprintf(" panic: %v", r)
				}
			}
		}()
		handler.ServeHTTP(recorder, request)
	}()
	header := recorder.Result().Header
	var lines strings.Builder
	header.Write(&lines)
	body := recorder.Body.Bytes()
	return header.Get("ETag"), fmt.Sprint(recorder.Code, broken), fmt.Sprintf("%d %.6x %.4x", len(body), sha256.Sum256(body), sha256.Sum256([]byte(lines.String())))
}
