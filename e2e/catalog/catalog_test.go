// Package catalog proves that the plugin catalog takes the plugin, that its archive is complete, and that Traefik understands the
// options however they are written.
package catalog

import (
	"archive/zip"
	"bytes"
	"fmt"
	goparser "go/parser"
	"go/token"
	"image"
	_ "image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/traefik-mp4/mp4/e2e/internal/lab"
	"github.com/traefik-mp4/mp4/e2e/internal/loader"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

const module = "github.com/traefik-mp4/mp4"

// load loads the checkout as it would be released.
func load(t *testing.T) *loader.Plugin {
	t.Helper()
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	files, err := loader.Tracked(root)
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := loader.Load(t.TempDir(), module, root, files)
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

func noop(http.ResponseWriter, *http.Request) {}

// TestCatalog does what the catalog's analyzer does before it lists a plugin.
func TestCatalog(t *testing.T) {
	begin := time.Now()
	plugin := load(t)
	handler, err := plugin.New(t.Context(), http.HandlerFunc(noop), plugin.Manifest.TestData, "test")
	if err != nil {
		t.Fatalf("New refuses the manifest's testData: %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("import, CreateConfig and New took %v, the catalog waits 10 s", took)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/film.mp4", nil))
	if answer.Code != http.StatusOK {
		t.Errorf("an untouched request is answered with %d", answer.Code)
	}

	for _, name := range []string{"README.md", "LICENSE", plugin.Manifest.IconPath} {
		if info, err := os.Stat(filepath.Join(plugin.Dir, name)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("the catalog wants %q: %v", name, err)
		}
	}
	mod, err := os.ReadFile(filepath.Join(plugin.Dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []string{"traefik/yaegi", "traefik/traefik"} {
		if strings.Contains(string(mod), refused) {
			t.Errorf("the catalog refuses a go.mod that requires %s", refused)
		}
	}
}

// TestChain puts the catalog's own demo plugin before ours, each in an interpreter of its own, as Traefik does.
func TestChain(t *testing.T) {
	plugin := load(t)
	var asked []string
	files := http.FileServer(http.Dir(filepath.Join(plugin.Dir, "testdata")))
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("X-Demo"))
		files.ServeHTTP(w, r)
	})
	alone, err := plugin.New(t.Context(), next, nil, "mp4")
	if err != nil {
		t.Fatal(err)
	}

	const demo = "github.com/traefik/plugindemo"
	dir, names, err := loader.Module(demo, "v0.2.2")
	if err != nil {
		t.Fatal(err)
	}
	demoPlugin, err := loader.Load(t.TempDir(), demo, dir, names)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := demoPlugin.New(t.Context(), alone, map[string]any{"headers": map[string]any{"X-Demo": "here"}}, "demo")
	if err != nil {
		t.Fatal(err)
	}

	film, err := os.ReadFile(filepath.Join(plugin.Dir, "testdata", "film.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"/film.mp4", "/film.mp4?start=2.5"} {
		asked = nil
		through, direct := httptest.NewRecorder(), httptest.NewRecorder()
		chain.ServeHTTP(through, httptest.NewRequest("GET", url, nil))
		if len(asked) == 0 || asked[0] != "here" {
			t.Errorf("%s: the handler behind both was asked with X-Demo %q", url, asked)
		}
		alone.ServeHTTP(direct, httptest.NewRequest("GET", url, nil))
		if through.Code != 200 || !bytes.Equal(through.Body.Bytes(), direct.Body.Bytes()) {
			t.Errorf("%s: %d and %d bytes through both, %d bytes through ours alone", url, through.Code, through.Body.Len(), direct.Body.Len())
		}
		if cut := !bytes.Equal(through.Body.Bytes(), film); cut != strings.Contains(url, "start") {
			t.Errorf("%s: cut is %v", url, cut)
		}
	}
	if log := plugin.TakeOutput(); strings.Contains(log, "panic") {
		t.Errorf("the plugin's log: %s", log)
	}
}

// TestDialects gives the same options as the file provider, labels and custom resources deliver them: as they were written,
// as strings, and as JSON. What New says of the options in effect must be the same.
func TestDialects(t *testing.T) {
	plugin := load(t)
	type options = map[string]any
	for name, dialects := range map[string][]options{
		"sizes": {
			{"bufferSize": "256K", "maxBufferSize": "20M", "cacheSize": "1G", "maxMemory": "100m"},
			{"buffersize": "256k", "MAXBUFFERSIZE": " 20m ", "cacheSize": "1g", "maxMemory": "100M"},
			{"bufferSize": "262144", "maxBufferSize": "20480k", "cacheSize": "1073741824", "maxMemory": "102400k"},
			{"bufferSize": 262144, "maxBufferSize": int64(20 << 20), "cacheSize": 1 << 30, "maxMemory": 100 << 20},
			{"bufferSize": 262144.0, "maxBufferSize": float64(20 << 20), "cacheSize": float64(1 << 30), "maxMemory": float64(100 << 20)},
		},
		"no cache":   {{"cacheSize": "0"}, {"cacheSize": 0}, {"cacheSize": 0.0}},
		"booleans":   {{"faststart": "true"}, {"faststart": true}, {"faststart": "1"}, {"FastStart": 1.0}, {"faststart": "TRUE"}},
		"pace":       {{"limitRate": "1.5", "limitRateAfter": "90"}, {"limitRate": 1.5, "limitRateAfter": 90.0}, {"limitRate": "1.50", "limitRateAfter": "1m30s"}, {"limitRate": 1.5, "limitRateAfter": 90}},
		"extensions": {{"extensions": []any{".mp4", ".mov"}}, {"extensions": ".mp4,.mov"}, {"extensions": " .mp4 , .mov "}, {"extensions": []string{".mp4 ", " .mov"}}},
		"every path": {{"extensions": "*"}, {"extensions": []any{"*"}}},
		"words":      {{"seek": "keyframe", "root": "/nowhere", "startParam": "from", "endParam": "to"}, {"Seek": "keyframe", "ROOT": "/nowhere", "startparam": "from", "ENDPARAM": "to"}},
	} {
		effective := func(dialect options) string {
			plugin.TakeOutput()
			if _, err := plugin.New(t.Context(), http.HandlerFunc(noop), dialect, "mp4"); err != nil {
				t.Errorf("%s %v: %v", name, dialect, err)
			}
			return plugin.TakeOutput()
		}
		defaults := effective(nil)
		if strings.Count(defaults, "\n") != 1 {
			t.Fatalf("New says %q: that is not one line", defaults)
		}
		first := effective(dialects[0])
		if first == defaults {
			t.Errorf("%s: %v leaves the options at %s", name, dialects[0], first)
		}
		for _, dialect := range dialects[1:] {
			if got := effective(dialect); got != first {
				t.Errorf("%s: %v gives\n%sbut %v gives\n%s", name, dialect, got, dialects[0], first)
			}
		}
	}
}

// TestBadOptions wants New's errors to name the option, the value and what is accepted.
func TestBadOptions(t *testing.T) {
	plugin := load(t)
	for _, test := range []struct {
		option   string
		value    any
		accepted string // part of how the error says what is accepted
	}{
		{"bufferSize", "512Q", "k"},
		{"bufferSize", "-1", "k"},
		{"bufferSize", 1.5, "k"},
		{"maxBufferSize", "ten", "k"},
		{"maxBufferSize", "9223372036854775807g", "k"},
		{"cacheSize", "64 M", "k"},
		{"maxMemory", "1T", "k"},
		{"seek", "frame", "keyframe"},
		{"seek", "Exact!", "exact"},
		{"faststart", "yes", "true"},
		{"faststart", 2, "true"},
		{"limitRate", "fast", "factor"},
		{"limitRate", -1, "factor"},
		{"limitRateAfter", "a minute", "s"},
		{"limitRateAfter", "-60s", "s"},
		{"extensions", "mp4", "."},
		{"startParam", "a&b", "letters"},
		{"endParam", "start", "startParam"},
	} {
		handler, err := plugin.New(t.Context(), http.HandlerFunc(noop), map[string]any{test.option: test.value}, "mp4")
		if err == nil {
			t.Errorf("%s %v: accepted as %v", test.option, test.value, handler)
			continue
		}
		for _, part := range []string{test.option, fmt.Sprint(test.value), test.accepted} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s %v: the error does not say %q: %v", test.option, test.value, part, err)
			}
		}
	}
}

// TestArchive does with the last commit what the catalog does with a release: it takes the archive of the tracked files, and
// finds in there all that it wants, and a plugin that loads, takes the manifest's testData and cuts.
func TestArchive(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := lab.Archive(root)
	if err != nil {
		t.Fatal(err)
	}
	const most = 4 << 20
	t.Logf("the archive has %d bytes", len(archive))
	if len(archive) > most {
		t.Errorf("the archive has %d bytes, more than %d: every start of every Traefik downloads it", len(archive), most)
	}
	dir := t.TempDir()
	files := unzip(t, archive, dir)

	plugin, err := loader.Load(t.TempDir(), module, dir, files)
	if err != nil {
		t.Fatal(err)
	}
	manifest := plugin.Manifest
	if manifest.Import != module {
		t.Errorf("the manifest imports %s", manifest.Import)
	}
	if n := len(manifest.Summary); n < 20 || n > 250 {
		t.Errorf("the manifest's summary has %d letters", n)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modfile.Parse("go.mod", mod, nil)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Module.Mod.Path != module {
		t.Errorf("go.mod is for %s", parsed.Module.Mod.Path)
	}
	for _, name := range sources(files) {
		file, err := goparser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, goparser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if want := path.Base(path.Join(module, path.Dir(name))); file.Name.Name != want {
			t.Errorf("%s is of package %s, its folder is %s", name, file.Name.Name, want)
		}
	}

	icon, err := os.Open(filepath.Join(dir, filepath.FromSlash(manifest.IconPath)))
	if err != nil {
		t.Fatal(err)
	}
	defer icon.Close()
	if picture, _, err := image.DecodeConfig(icon); err != nil || picture.Width != picture.Height || picture.Width < 64 {
		t.Errorf("the icon: %v, %d×%d", err, picture.Width, picture.Height)
	}

	// Everything that is imported, tests included, is there: nothing is downloaded.
	list := exec.Command("go", "list", "-mod=vendor", "-deps", "-test", "./...")
	list.Dir = dir
	list.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "GOMODCACHE="+t.TempDir())
	out, err := list.CombinedOutput()
	if err != nil {
		t.Errorf("vendor/ is not complete: %v\n%s", err, out)
	}
	for _, required := range parsed.Require {
		if !strings.Contains(string(out), "\n"+required.Mod.Path) {
			t.Errorf("nothing imports %s, which go.mod requires", required.Mod.Path)
		}
	}

	served := http.FileServer(http.Dir(filepath.Join(dir, "testdata")))
	handler, err := plugin.New(t.Context(), served, manifest.TestData, "test")
	if err != nil {
		t.Fatalf("New refuses the manifest's testData: %v", err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/film.mp4?start=2.5", nil))
	if err := oracle.CheckBytes(filepath.Join(dir, "testdata", "film.mp4"), answer.Body.Bytes(), 2500, -1); answer.Code != http.StatusOK || err != nil {
		t.Errorf("a cut: %d, %v", answer.Code, err)
	}
}

// sources are those of the files that the interpreter may load: in the root and in inner packages, less tests.
func sources(files []string) (names []string) {
	for _, name := range files {
		if dir, _, inner := strings.Cut(name, "/"); path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && (!inner || dir == "internal") {
			names = append(names, name)
		}
	}
	return names
}

// TestInner loads a plugin that consists of several packages, as Traefik does.
func TestInner(t *testing.T) {
	dir := t.TempDir()
	plugin := map[string]string{
		".traefik.yml": "displayName: Inner\ntype: middleware\nimport: example.com/inner\nsummary: A plugin in parts.\ntestData: {}\n",
		"go.mod":       "module example.com/inner\n\ngo 1.21\n",
		"inner.go": `package inner

import (
	"context"
	"net/http"

	"example.com/inner/internal/answers"
)

type Config struct{}

func CreateConfig() *Config { return &Config{} }

func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { answers.Say(rw, name) }), nil
}
`,
		"internal/answers/answers.go": `package answers

import (
	"io"

	"example.com/inner/internal/words"
)

func Say(to io.Writer, name string) { io.WriteString(to, words.Greeting+name) }
`,
		"internal/words/words.go":      "package words\n\nvar Greeting = \"I am \"\n",
		"internal/words/words_test.go": "package words\n\nvar not = loaded\n",
	}
	var files []string
	for name, text := range plugin {
		files = append(files, name)
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := loader.Load(t.TempDir(), "example.com/inner", dir, files)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := loaded.New(t.Context(), http.HandlerFunc(noop), nil, "inner")
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	if got := answer.Body.String(); got != "I am inner" {
		t.Errorf("it says %q", got)
	}
	if got := len(sources(files)); got != 3 {
		t.Errorf("%d sources", got)
	}
}

// unzip lays an archive out without the folder that all of it is in, and lists its files.
func unzip(t *testing.T, archive []byte, dir string) []string {
	t.Helper()
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, file := range reader.File {
		_, name, _ := strings.Cut(file.Name, "/")
		if name == "" || file.FileInfo().IsDir() {
			continue
		}
		files = append(files, name)
		content, err := reader.Open(file.Name)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		target, err := os.Create(to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(target, content); err != nil {
			t.Fatal(err)
		}
		target.Close()
		content.Close()
	}
	return files
}
