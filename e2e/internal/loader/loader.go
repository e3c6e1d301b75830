// Package loader loads a plugin as Traefik and the plugin catalog do: the manifest, Yaegi over a GOPATH that holds the files of a
// release, CreateConfig, and the options decoded weakly into it.
package loader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/mitchellh/mapstructure"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
	"gopkg.in/yaml.v3"
)

// Manifest is .traefik.yml.
type Manifest struct {
	DisplayName string         `yaml:"displayName"`
	Type        string         `yaml:"type"`
	Runtime     string         `yaml:"runtime"`
	Import      string         `yaml:"import"`
	BasePkg     string         `yaml:"basePkg"`
	Summary     string         `yaml:"summary"`
	IconPath    string         `yaml:"iconPath"`
	TestData    map[string]any `yaml:"testData"`
}

// check refuses what Traefik refuses of a local plugin and the catalog of a repository.
func (m Manifest) check(module string) error {
	var errs []error
	for name, value := range map[string]string{"displayName": m.DisplayName, "import": m.Import, "summary": m.Summary} {
		if value == "" {
			errs = append(errs, fmt.Errorf("the manifest has no %s", name))
		}
	}
	if m.Type != "middleware" || m.Runtime != "" && m.Runtime != "yaegi" {
		errs = append(errs, fmt.Errorf("the manifest's type is %q, its runtime %q", m.Type, m.Runtime))
	}
	if !strings.HasPrefix(m.Import, module) {
		errs = append(errs, fmt.Errorf("the import %q is not below the module %q", m.Import, module))
	}
	if m.TestData == nil {
		errs = append(errs, errors.New("the manifest has no testData"))
	}
	return errors.Join(errs...)
}

// Plugin is a plugin inside an interpreter of its own.
type Plugin struct {
	Manifest Manifest
	// Dir holds the plugin's files as the interpreter saw them.
	Dir string

	fnNew, fnCreateConfig reflect.Value
	output                output
}

// Tracked lists the files of a checkout that git knows, as a release would have them: without nested modules.
func Tracked(checkout string) ([]string, error) {
	list := exec.Command("git", "-C", checkout, "ls-files", "-z")
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files in %s: %w", checkout, err)
	}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var nested []string
	for _, name := range files {
		if path.Base(name) == "go.mod" && name != "go.mod" {
			nested = append(nested, path.Dir(name)+"/")
		}
	}
	return slices.DeleteFunc(files, func(name string) bool {
		return slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(name, dir) })
	}), nil
}

// Module downloads a module, or finds it in the module cache, and lists its files.
func Module(module, version string) (dir string, files []string, err error) {
	download := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	// Outside of any module, since its go.sum would have to know this one.
	download.Dir = os.TempDir()
	out, err := download.Output()
	if err != nil {
		return "", nil, fmt.Errorf("go mod download %s@%s: %w", module, version, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", nil, err
	}
	err = fs.WalkDir(os.DirFS(found.Dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	return found.Dir, files, err
}

// Load copies the files of a plugin from dir into a GOPATH and loads it from there.
func Load(gopath, module, dir string, files []string) (*Plugin, error) {
	p := &Plugin{Dir: filepath.Join(gopath, "src", filepath.FromSlash(module))}
	if err := Copy(p.Dir, dir, files); err != nil {
		return nil, err
	}

	text, err := os.ReadFile(filepath.Join(p.Dir, ".traefik.yml"))
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &p.Manifest); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	if err := p.Manifest.check(module); err != nil {
		return nil, err
	}

	interpreter := interp.New(interp.Options{GoPath: gopath, Env: os.Environ(), Stdout: &p.output, Stderr: &p.output})
	if err := interpreter.Use(stdlib.Symbols); err != nil {
		return nil, err
	}
	if _, err := interpreter.Eval(fmt.Sprintf("import %q", p.Manifest.Import)); err != nil {
		return nil, fmt.Errorf("importing %s: %w", p.Manifest.Import, err)
	}
	pkg := p.Manifest.BasePkg
	if pkg == "" {
		pkg = strings.ReplaceAll(path.Base(p.Manifest.Import), "-", "_")
	}
	if p.fnNew, err = interpreter.Eval(pkg + ".New"); err != nil {
		return nil, err
	}
	if p.fnCreateConfig, err = interpreter.Eval(pkg + ".CreateConfig"); err != nil {
		return nil, err
	}
	return p, nil
}

// New makes a middleware of the options, decoded into CreateConfig's answer as Traefik decodes them.
func (p *Plugin) New(ctx context.Context, next http.Handler, options map[string]any, name string) (http.Handler, error) {
	config := p.fnCreateConfig.Call(nil)[0]
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook:       mapstructure.StringToSliceHookFunc(","),
		WeaklyTypedInput: true,
		Result:           config.Interface(),
	})
	if err != nil {
		return nil, err
	}
	if err := decoder.Decode(options); err != nil {
		return nil, fmt.Errorf("decoding the options: %w", err)
	}

	results := p.fnNew.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), config, reflect.ValueOf(name)})
	if failure := results[1].Interface(); failure != nil {
		return nil, failure.(error)
	}
	handler, ok := results[0].Interface().(http.Handler)
	if !ok {
		return nil, fmt.Errorf("New returns a %T", results[0].Interface())
	}
	return handler, nil
}

// TakeOutput returns what the plugin printed and logged since the last call.
func (p *Plugin) TakeOutput() string { return p.output.take() }

type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(b)
}

func (o *output) take() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	text := o.text.String()
	o.text.Reset()
	return text
}

// Copy copies files of one folder to another.
func Copy(to, from string, files []string) error {
	for _, name := range files {
		name = filepath.FromSlash(name)
		if err := copyFile(filepath.Join(to, name), filepath.Join(from, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
