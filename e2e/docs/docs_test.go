// Package docs holds the repository's documents to what is there.
package docs

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestDocs: links lead somewhere, and the files, tests, folders and make targets that documents name exist. The file table
// of the README leaves none of the plugin's files and inner packages out.
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
	for _, name := range sources(t, root) {
		if !strings.Contains(documents["README.md"], "`"+name+"`") {
			t.Errorf("README.md: %s is not in the table of files", name)
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

// sources are the plugin's files in the root, and the folders of its inner packages.
func sources(t *testing.T, root string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.go", "internal/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			if !strings.HasSuffix(name, "_test.go") {
				names = append(names, strings.TrimPrefix(name, root+"/"))
			}
		}
	}
	return names
}

// TestCheck: what is wrong is found.
func TestCheck(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	documents, tests := look(t, root)
	for text, wrong := range map[string]bool{
		"[a](README.md), [b](../README.md#limits), [c](#here)\n# Here":     false,
		"`TestDocs` `origin.go` `e2e/internal/rig` `make test` `film.mp4`": false,
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
