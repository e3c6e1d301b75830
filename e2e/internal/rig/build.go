// Package rig starts real servers for tests, the demo and the measurements: Traefik with the checkout as its local plugin,
// Debian's nginx, and origins written in Go. Everything listens on loopback, on ports that the kernel picks.
package rig

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

const traefikModule = "github.com/traefik/traefik/v3"

// Checkout is the repository's folder: the parent of the working directory whose go.mod is the plugin's.
func Checkout() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/traefik-mp4/mp4\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("rig: not inside a checkout of github.com/traefik-mp4/mp4")
		}
		dir = filepath.Dir(dir)
	}
}

// Build names a Traefik v3 binary: the one that TRAEFIK_BIN names, else one in PATH, else it builds the version that
// e2e/internal/builds/traefik/go.mod asks for and keeps it in the user's cache. progress hears of a build, which takes minutes.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	if bin := os.Getenv("TRAEFIK_BIN"); bin != "" {
		return bin, checkVersion(ctx, bin)
	}
	if bin, err := exec.LookPath("traefik"); err == nil && checkVersion(ctx, bin) == nil {
		return bin, nil
	}

	return buildTraefik(ctx, "traefik", progress)
}

// BuildOlder names a Traefik that is a year older: e2e/internal/builds/traefik-older/go.mod says which.
func BuildOlder(ctx context.Context, progress io.Writer) (string, error) {
	return buildTraefik(ctx, "traefik-older", progress)
}

func buildTraefik(ctx context.Context, name string, progress io.Writer) (string, error) {
	recipe, key, err := recipe(name, traefikModule)
	if err != nil {
		return "", err
	}
	return cached("traefik-"+key, func(bin string) error {
		fmt.Fprintf(progress, "Building Traefik into %s: once, four minutes or so on two cores, two gigabytes of Go's build cache.\n", bin)
		return build(ctx, recipe, bin, progress)
	})
}

const kubernetesModule = "k8s.io/kubernetes"

// BuildKubernetes names a folder with kube-apiserver and kubectl, of the version that e2e/internal/builds/k8s/go.mod asks for.
func BuildKubernetes(ctx context.Context, progress io.Writer) (string, error) {
	recipe, key, err := recipe("k8s", kubernetesModule)
	if err != nil {
		return "", err
	}
	return cached("kubernetes-"+key, func(dir string) error {
		fmt.Fprintf(progress, "Building kube-apiserver and kubectl into %s: once, five minutes or so on two cores, three gigabytes of Go's caches.\n", dir)
		made := dir + ".new"
		defer os.RemoveAll(made)
		version, _, _ := strings.Cut(key, "-")
		parts := strings.Split(version, ".")
		if len(parts) != 3 {
			return fmt.Errorf("rig: %s is no version of Kubernetes", version)
		}
		// Without them kubectl takes the server for one of version 0.0.
		const stamp = "-X k8s.io/component-base/version."
		flags := fmt.Sprintf("-s -w %[1]sgitVersion=%[2]s %[1]sgitMajor=%[3]s %[1]sgitMinor=%[4]s", stamp, version, strings.TrimPrefix(parts[0], "v"), parts[1])
		err := goBuild(ctx, recipe, made+"/", progress, flags, kubernetesModule+"/cmd/kube-apiserver", kubernetesModule+"/cmd/kubectl")
		if err != nil {
			return err
		}
		return os.Rename(made, dir)
	})
}

const s3Module = "github.com/versity/versitygw"

// BuildS3 names an S3 server, the one that e2e/internal/builds/s3/go.mod asks for.
func BuildS3(ctx context.Context, progress io.Writer) (string, error) {
	recipe, key, err := recipe("s3", s3Module)
	if err != nil {
		return "", err
	}
	return cached("s3-"+key, func(bin string) error {
		fmt.Fprintf(progress, "Building an S3 server into %s: once, a minute or so.\n", bin)
		made := bin + ".new"
		defer os.Remove(made)
		if err := goBuild(ctx, recipe, made, progress, "-s -w", s3Module+"/cmd/versitygw"); err != nil {
			return err
		}
		return os.Rename(made, bin)
	})
}

// goBuild builds packages by the module in dir, and shows how far it is.
func goBuild(ctx context.Context, dir, out string, progress io.Writer, ldflags string, packages ...string) error {
	flags := []string{"-mod=readonly", "-trimpath", "-ldflags=" + ldflags}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
		return cmd
	}
	m := newMeter(progress)
	defer m.end()
	// What is in Go's cache already is not stale, and not compiled again.
	said, err := piped(command(slices.Concat([]string{"list"}, flags, []string{"-deps", "-f", "{{if .Stale}}is stale{{end}}"}, packages)...), m, 0)
	if err == nil {
		stale := strings.Count(said, "is stale\n")
		said, err = piped(command(slices.Concat([]string{"build", "-v"}, flags, []string{"-o", out}, packages)...), m, stale)
	}
	if err != nil {
		return fmt.Errorf("rig: building %s: %w\n%s", strings.Join(packages, " "), err, said)
	}
	return nil
}

// piped runs a command, whose progress the meter follows, and returns what else it says.
func piped(cmd *exec.Cmd, m *meter, packages int) (said string, err error) {
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		writer.Close()
	}()
	said = m.follow(reader, packages)
	return said, <-ended
}

// cached returns a path in the user's cache, which is made where it is not there yet.
func cached(name string, make func(path string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "traefik-mp4")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(cache, name)

	// Test packages run side by side: one builds, the others wait for it.
	lock, err := os.Create(path + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, make(path)
}

var version3 = regexp.MustCompile(`Version:\s+(v?3\.|dev)`)

func checkVersion(ctx context.Context, bin string) error {
	out, err := exec.CommandContext(ctx, bin, "version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("rig: %s version: %w: %s", bin, err, out)
	}
	if !version3.Match(out) {
		return fmt.Errorf("rig: %s is no Traefik v3: %s", bin, out)
	}
	return nil
}

// recipe is the folder below e2e/internal/builds with that module, and a key of what it makes: the required module's version, and a hash of
// all that the build is made from.
func recipe(name, module string) (dir, key string, err error) {
	root, err := Checkout()
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(root, "e2e", "internal", "builds", name)
	hash := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return "", "", err
		}
		hash.Write(content)
	}
	version, err := required(dir, regexp.QuoteMeta(module))
	if err != nil {
		return "", "", err
	}
	_, version, _ = strings.Cut(version, "@")
	return dir, fmt.Sprintf("%s-%x", version, hash.Sum(nil)[:6]), nil
}

// required is the module, as path@version, whose path matches and which the go.mod in dir requires.
func required(dir, path string) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^(?:\s|require )\s*(` + path + `) (v\S+)`).FindSubmatch(content)
	if m == nil {
		return "", fmt.Errorf("rig: %s/go.mod does not require %s", dir, path)
	}
	return string(m[1]) + "@" + string(m[2]), nil
}

// build copies the recipe to a folder of its own, since the copy of lego that it needs is 20 MB nobody wants in the checkout.
func build(ctx context.Context, recipe, bin string, progress io.Writer) error {
	dir, err := os.MkdirTemp(filepath.Dir(bin), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(recipe)); err != nil {
		return err
	}
	if err := makeLego(ctx, filepath.Join(dir, "lego"), progress); err != nil {
		return err
	}
	made := filepath.Join(dir, "traefik")
	if err := goBuild(ctx, dir, made, progress, "-s -w", traefikModule+"/cmd/traefik"); err != nil {
		return err
	}
	return os.Rename(made, bin)
}

// noProviders takes the place of lego's hundred DNS providers, whose SDKs are most of Traefik's dependencies.
const noProviders = `package dns

import (
	"fmt"

	"LEGO/challenge"
)

func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("unknown DNS provider %q", name)
}
`

// makeLego copies lego from the module cache, less its DNS providers.
func makeLego(ctx context.Context, dir string, progress io.Writer) error {
	lego, err := required(filepath.Dir(dir), `github\.com/go-acme/lego/v\d+`)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", lego)
	// Outside of any module: its go.sum would have to know lego.
	cmd.Dir = os.TempDir()
	cmd.Stderr = progress
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("rig: downloading %s: %w", lego, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(module.Dir)); err != nil {
		return err
	}
	providers := filepath.Join(dir, "providers", "dns")
	if err := os.RemoveAll(providers); err != nil {
		return err
	}
	if err := os.MkdirAll(providers, 0o755); err != nil {
		return err
	}
	path, _, _ := strings.Cut(lego, "@")
	return os.WriteFile(filepath.Join(providers, "dns.go"), []byte(strings.ReplaceAll(noProviders, "LEGO", path)), 0o644)
}
