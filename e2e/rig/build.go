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
	"strings"
	"syscall"
)

const (
	traefikModule = "github.com/traefik/traefik/v3"
	lego          = "github.com/go-acme/lego/v5@v5.4.1"
)

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
// e2e/traefik/go.mod asks for and keeps it in the user's cache. progress hears of a build, which takes minutes.
func Build(ctx context.Context, progress io.Writer) (string, error) {
	if bin := os.Getenv("TRAEFIK_BIN"); bin != "" {
		return bin, checkVersion(ctx, bin)
	}
	if bin, err := exec.LookPath("traefik"); err == nil && checkVersion(ctx, bin) == nil {
		return bin, nil
	}

	root, err := Checkout()
	if err != nil {
		return "", err
	}
	recipe := filepath.Join(root, "e2e", "traefik")
	key, err := cacheKey(recipe)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "traefik-mp4")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	bin := filepath.Join(cache, "traefik-"+key)

	// Test packages run side by side: one builds, the others wait for it.
	lock, err := os.Create(bin + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	fmt.Fprintf(progress, "Building Traefik into %s: once, four minutes or so on two cores, two gigabytes of Go's build cache.\n", bin)
	return bin, build(ctx, recipe, bin, progress)
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

var required = regexp.MustCompile(traefikModule + ` (v3\S+)`)

// cacheKey is Traefik's version and a hash of all that the build is made from.
func cacheKey(recipe string) (string, error) {
	hash := sha256.New()
	var version string
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(recipe, name))
		if err != nil {
			return "", err
		}
		hash.Write(content)
		if m := required.FindSubmatch(content); version == "" && m != nil {
			version = string(m[1])
		}
	}
	if version == "" {
		return "", fmt.Errorf("rig: %s/go.mod does not require %s", recipe, traefikModule)
	}
	return fmt.Sprintf("%s-%x", version, hash.Sum(nil)[:6]), nil
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
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-ldflags=-s -w", "-o", made, traefikModule+"/cmd/traefik")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("rig: building Traefik: %w", err)
	}
	return os.Rename(made, bin)
}

// noProviders takes the place of lego's hundred DNS providers, whose SDKs are most of Traefik's dependencies.
const noProviders = `package dns

import (
	"fmt"

	"github.com/go-acme/lego/v5/challenge"
)

func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("unknown DNS provider %q", name)
}
`

// makeLego copies lego from the module cache, less its DNS providers.
func makeLego(ctx context.Context, dir string, progress io.Writer) error {
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
	return os.WriteFile(filepath.Join(providers, "dns.go"), []byte(noProviders), 0o644)
}
