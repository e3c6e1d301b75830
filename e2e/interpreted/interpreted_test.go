// Package interpreted runs the plugin's own tests by Yaegi, the interpreter that runs the plugin inside Traefik.
package interpreted

import (
	"bufio"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

const (
	module = "github.com/traefik-mp4/mp4"
	// silence is the longest that the tests may say nothing: every test and subtest says when it begins and ends, and
	// where Yaegi deadlocks, it is silent for ever.
	silence = time.Minute
)

var only = flag.String("only", "", "run the test of this name, and no other")

func TestInterpreted(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	gopath := t.TempDir()
	link := filepath.Join(gopath, "src", filepath.FromSlash(module))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}

	tests := 0
	for _, pkg := range packagesIn(t, root) {
		want := testsIn(t, filepath.Join(root, strings.TrimPrefix(pkg, module)))
		args := []string{"-v"}
		if *only != "" {
			want = slices.DeleteFunc(want, func(name string) bool { return name != *only })
			args = append(args, "-run", "^"+*only+"$")
		}
		tests += len(want)
		if len(want) == 0 {
			continue
		}
		ran, output, err := interpret(t, gopath, pkg, silence, args...)
		if err != nil {
			t.Errorf("%s: %v\n%s", pkg, err, output)
		}
		for _, name := range want {
			if !slices.Contains(ran, name) {
				t.Errorf("%s: %s did not pass interpreted", pkg, name)
			}
		}
		t.Logf("%s: tests interpreted by Yaegi: %d, passed: %d", pkg, len(want), len(ran))
	}
	if tests == 0 {
		t.Error("there are no tests")
	}
}

// packagesIn lists the plugin's packages: the root and what lies below it, less the modules of their own.
func packagesIn(t *testing.T, root string) []string {
	t.Helper()
	list := exec.Command("go", "list", "./...")
	list.Dir = root
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v", root, err)
	}
	pkgs := strings.Fields(string(out))
	if !slices.Contains(pkgs, module) {
		t.Fatalf("go list in %s lists %q", root, pkgs)
	}
	return pkgs
}

// TestSilence proves the time limit by a test that hangs interpreted, though not compiled.
func TestSilence(t *testing.T) {
	gopath := t.TempDir()
	dir := filepath.Join(gopath, "src", "hang")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	hang := "package hang\n\nimport \"testing\"\n\nfunc TestHang(t *testing.T) {\n\tf := func() {}\n\tdefer f()\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "hang_test.go"), []byte(hang), 0o644); err != nil {
		t.Fatal(err)
	}
	ran, output, err := interpret(t, gopath, "hang", 2*time.Second, "-v")
	if err == nil || !strings.Contains(err.Error(), "TestHang") || !strings.Contains(output, "goroutine ") || len(ran) != 0 {
		t.Errorf("a hang gives the error %v, passed tests %q and the output\n%s", err, ran, output)
	}
}

var (
	begun  = regexp.MustCompile(`^=== RUN +(\S+)`)
	passed = regexp.MustCompile(`^--- PASS: (\S+)`)
)

// interpret runs the tests of a package below gopath by yaegi test, with those arguments, and returns the names of those that passed and what they wrote.
// Tests that say nothing for longer than the limit are killed, with a dump of where they are.
func interpret(t *testing.T, gopath, pkg string, limit time.Duration, args ...string) (ran []string, output string, err error) {
	t.Helper()
	bin, err := exec.Command("go", "tool", "-n", "github.com/traefik/yaegi/cmd/yaegi").Output()
	if err != nil {
		t.Fatalf("building yaegi: %v", err)
	}
	cmd := exec.Command(strings.TrimSpace(string(bin)), slices.Concat([]string{"test"}, args, []string{pkg})...)
	cmd.Env = append(os.Environ(), "GOPATH="+gopath)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		writer.Close()
	}()

	last := "no test"
	var silent atomic.Bool
	watchdog := time.AfterFunc(limit, func() {
		silent.Store(true)
		// On SIGQUIT the runtime dumps every goroutine and ends.
		cmd.Process.Signal(syscall.SIGQUIT)
	})
	defer watchdog.Stop()
	lines := bufio.NewScanner(reader)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		watchdog.Reset(limit)
		line := lines.Text()
		output += line + "\n"
		if m := begun.FindStringSubmatch(line); m != nil {
			last = m[1]
		}
		if m := passed.FindStringSubmatch(line); m != nil {
			ran = append(ran, m[1])
		}
	}
	err = <-ended
	if silent.Load() {
		err = fmt.Errorf("nothing for %v, last begun: %s", limit, last)
	}
	return ran, output, err
}

// testsIn names the tests of the package in dir. Fuzz targets, benchmarks and examples are not interpreted.
func testsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
