// Package docs holds the repository's documents to what is there.
package docs

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestDocs: links lead somewhere, and the files, tests, folders and make targets that documents name exist.
func TestDocs(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	documents, tests := look(t, root)
	if len(documents) < 5 || len(tests) < 100 {
		t.Fatalf("only %d documents and %d tests were found", len(documents), len(tests))
	}
	for name, text := range documents {
		for _, problem := range check(root, name, text, documents, tests) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// TestFolders: e2e/README.md has a line for each folder, and for none that is not there.
func TestFolders(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	e2e := filepath.Join(root, "e2e")
	text, err := os.ReadFile(filepath.Join(e2e, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`.*?`"+`) \|`).FindAllStringSubmatch(string(text), -1) {
		for _, folder := range span.FindAllStringSubmatch(row[1], -1) {
			listed[strings.TrimSuffix(folder[1], "/")] = true
		}
	}
	for _, pattern := range []string{"*", "internal/*", "cmd/*"} {
		found, err := filepath.Glob(filepath.Join(e2e, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name := strings.TrimPrefix(path, e2e+"/")
			if info, err := os.Stat(path); err != nil || !info.IsDir() || name == "internal" || name == "cmd" {
				continue
			}
			if !listed[name] {
				t.Errorf("e2e/README.md has no line for %s", name)
			}
			delete(listed, name)
		}
	}
	for name := range listed {
		t.Errorf("e2e/README.md has a line for %s, which is not there", name)
	}
}

// TestReadme: it is short, it names both commands and no tests, and its configurations are files that other tests run.
func TestReadme(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range checkReadme(root, string(text)) {
		t.Error(problem)
	}
	long := strings.Repeat("line\n", 251) + strings.Repeat("å", 121) + "`make demo` `TestReadme`\n```yaml\nnot: there\n```\n" +
		"[`examples/file/traefik.yml`](examples/file/traefik.yml):\n```yaml\nother: content\n```\n"
	if problems := checkReadme(root, long); len(problems) != 6 {
		t.Errorf("of a README that is wrong in six ways it says %q", problems)
	}
}

var example = regexp.MustCompile("(?ms)(?:^\\[`(\\S+)`\\]\\(\\S+\\):\n)?^```(?:yaml|toml)\n(.*?)^```")

func checkReadme(root, text string) (problems []string) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > 250 {
		problems = append(problems, fmt.Sprintf("README.md has %d lines, 250 are enough", len(lines)))
	}
	for i, line := range lines {
		if n := utf8.RuneCountInString(line); n > 120 {
			problems = append(problems, fmt.Sprintf("README.md:%d has %d characters, 120 are enough", i+1, n))
		}
	}
	for _, command := range []string{"`make demo`", "`make test`"} {
		if !strings.Contains(text, command) {
			problems = append(problems, "README.md does not name "+command)
		}
	}
	for _, match := range span.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		if testName.MatchString(match[1]) {
			problems = append(problems, "README.md names a test: "+match[1])
		}
	}
	for _, match := range example.FindAllStringSubmatch(text, -1) {
		content, err := os.ReadFile(filepath.Join(root, match[1]))
		if !strings.HasPrefix(match[1], "examples/") || err != nil {
			problems = append(problems, "README.md: no file in examples is named above this configuration: "+match[2])
		} else if string(content) != match[2] {
			problems = append(problems, "README.md: this is not what is in "+match[1])
		}
	}
	return problems
}

var release = regexp.MustCompile(`(?i)\bversion["']?\s*[:=]\s*["']?(v\d+\.\d+\.\d+\S*)`)

// TestReleases: a version of the plugin that a document or an example names is one that there is.
func TestReleases(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	tags, err := exec.Command("git", "-C", root, "tag").Output()
	if err != nil {
		t.Fatal(err)
	}
	texts, _ := look(t, root)
	err = filepath.WalkDir(filepath.Join(root, "examples"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		texts[strings.TrimPrefix(path, root+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := texts["examples/docker/docker-compose.yml"]; !ok || !release.MatchString("--experimental.plugins.mp4.version=v1.2.3") {
		t.Fatal("examples were not looked at")
	}
	for name, text := range texts {
		for _, match := range release.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(strings.Fields(string(tags)), match[1]) {
				t.Errorf("%s: there is no release %s", name, match[1])
			}
		}
	}
}

// TestCheck: what is wrong is found.
func TestCheck(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	documents, tests := look(t, root)
	for text, wrong := range map[string]bool{
		"[a](README.md), [b](../README.md#limits), [c](#here)\n# Here":  false,
		"`TestDocs` `mp4.go` `e2e/internal/rig` `make test` `film.mp4`": false,
		"```sh\nmake test\n```":                     false,
		"```sh\nmake nothing\n```":                  true,
		"[a](missing.md)":                           true,
		"[a](../README.md#of-which-there-is-none)":  true,
		"[a](#not-here)":                            true,
		"![a](missing.png)":                         true,
		"[a](http://exa mple)":                      true,
		"`TestOfWhichThereIsNone`":                  true,
		"`of_which_there_is_none.go`":               true,
		"`e2e/of-which-there-is-none`":              true,
		"`internal/of-which-there-is-none`":         true,
		"`make nothing`":                            true,
		"[a][reference-of-which-there-is-none] b c": true,
	} {
		text = strings.ReplaceAll(text, "(README.md)", "(../README.md)")
		problems := check(root, "docs/example.md", text, documents, tests)
		if (len(problems) > 0) != wrong {
			t.Errorf("%q: %q", text, problems)
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)

// look returns the documents, by their paths, and the names of all tests.
func look(t *testing.T, root string) (documents map[string]string, tests map[string]bool) {
	t.Helper()
	documents, tests = map[string]string{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := entry.Name(); {
		case entry.IsDir() && (name == ".git" || name == "vendor" || name == "node_modules"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			documents[strings.TrimPrefix(path, root+"/")] = string(text)
		case strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, match := range testFunction.FindAllStringSubmatch(string(text), -1) {
				tests[match[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return documents, tests
}

var (
	fenced    = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")
	span      = regexp.MustCompile("`([^`\n]+)`")
	link      = regexp.MustCompile(`\]\(([^)\n]+)\)`)
	reference = regexp.MustCompile(`\]\[[^\]\n]+\]`)
	testName  = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)[A-Z]\w*$`)
	fileName  = regexp.MustCompile(`^[\w./-]+\.(?:go|md|sh|mjs|svg)$`)
	folder    = regexp.MustCompile(`^(?:internal|e2e|bench|examples|testdata)(?:/[\w.-]*)*$`)
	makeOf    = regexp.MustCompile(`(?m)(?:^|&& )make ([a-z][a-z-]*)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// check lists what is wrong with a document.
func check(root, name, text string, documents map[string]string, tests map[string]bool) (problems []string) {
	report := func(what ...string) { problems = append(problems, strings.Join(what, " ")) }
	exists := func(path string) bool {
		for _, base := range []string{filepath.Join(root, filepath.Dir(name)), root} {
			if _, err := os.Stat(filepath.Join(base, path)); err == nil {
				return true
			}
		}
		return false
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return []string{err.Error()}
	}
	targets := func(commands string) {
		for _, match := range makeOf.FindAllStringSubmatch(commands, -1) {
			if !strings.Contains(string(makefile), "\n"+match[1]+":") {
				report("there is no make", match[1])
			}
		}
	}
	for _, block := range fenced.FindAllStringSubmatch(text, -1) {
		if block[1] == "sh" {
			targets(block[2])
		}
	}
	prose := fenced.ReplaceAllString(text, "")
	for _, match := range span.FindAllStringSubmatch(prose, -1) {
		code := match[1]
		targets(code)
		switch {
		case testName.MatchString(code) && !tests[code]:
			report("there is no test", code)
		case (fileName.MatchString(code) || folder.MatchString(code)) && !exists(code):
			report("there is no", code)
		}
	}
	prose = span.ReplaceAllString(prose, "`code`")
	for _, match := range reference.FindAllString(prose, -1) {
		report("a link by reference:", match)
	}
	for _, match := range link.FindAllStringSubmatch(prose, -1) {
		target, err := url.Parse(match[1])
		if err != nil || strings.Contains(match[1], " ") {
			report("no address:", match[1])
			continue
		}
		if target.IsAbs() {
			continue
		}
		file := name
		if target.Path != "" {
			file = filepath.Join(filepath.Dir(name), target.Path)
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				report("the link leads nowhere:", match[1])
				continue
			}
		}
		content := documents[file]
		if file == name {
			content = text
		}
		if target.Fragment != "" && !anchors(content)[target.Fragment] {
			report("there is no such heading:", match[1])
		}
	}
	return problems
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are the headings of a document as GitHub makes addresses of them.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		plain := notInAnchor.ReplaceAllString(strings.ToLower(match[1]), "")
		all[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return all
}
