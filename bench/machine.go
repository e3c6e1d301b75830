package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// machine is what the figures were measured on.
type machine struct {
	Date    string `json:"date"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Memory  string `json:"memory"`
	System  string `json:"system"`
	Load    string `json:"load"` // average of the last minute, before the bench began
	Go      string `json:"go"`
	Traefik string `json:"traefik"`
	Nginx   string `json:"nginx"`
	FFmpeg  string `json:"ffmpeg"`
	Plugin  string `json:"plugin"` // commit
}

func describe(ctx context.Context, plugin string) (machine, error) {
	m := machine{Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Cores: runtime.NumCPU(), Go: runtime.Version()}
	for _, found := range []struct {
		to            *string
		file, pattern string
	}{
		{&m.CPU, "/proc/cpuinfo", `model name\s*: (.+)`},
		{&m.Memory, "/proc/meminfo", `MemTotal:\s+(\d+) kB`},
		{&m.System, "/etc/os-release", `PRETTY_NAME="(.+)"`},
		{&m.Load, "/proc/loadavg", `^(\S+)`},
	} {
		text, err := os.ReadFile(found.file)
		if err != nil {
			return m, err
		}
		if match := regexp.MustCompile(found.pattern).FindSubmatch(text); match != nil {
			*found.to = string(match[1])
		}
	}
	var kB float64
	fmt.Sscan(m.Memory, &kB)
	m.Memory = fmt.Sprintf("%.0f GiB", kB/(1<<20))
	traefik, err := rig.Build(ctx, os.Stderr)
	if err != nil {
		return m, err
	}
	for _, found := range []struct {
		to      *string
		pattern string
		command []string
	}{
		{&m.Nginx, `nginx/(\S+)`, []string{"nginx", "-v"}},
		{&m.FFmpeg, `ffmpeg version (\S+)`, []string{"ffmpeg", "-version"}},
	} {
		bin, err := tool(found.command[0])
		if err != nil {
			return m, err
		}
		out, err := exec.CommandContext(ctx, bin, found.command[1:]...).CombinedOutput()
		if err != nil {
			return m, fmt.Errorf("%s: %w", strings.Join(found.command, " "), err)
		}
		if match := regexp.MustCompile(found.pattern).FindSubmatch(out); match != nil {
			*found.to = string(match[1])
		}
	}
	if info, err := buildinfo.ReadFile(traefik); err == nil {
		for _, module := range append(info.Deps, &info.Main) {
			if strings.HasPrefix(module.Path, "github.com/traefik/traefik/") {
				m.Traefik = module.Version
			}
		}
	}
	m.Plugin = commitOf(ctx, plugin)
	return m, nil
}
