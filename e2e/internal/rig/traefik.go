package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// Config says how a Traefik is started. The zero value is Traefik with the checkout as the plugin "mp4" and one entry point, "web".
type Config struct {
	// Dynamic is the first dynamic configuration; SetDynamic replaces it.
	Dynamic Dynamic
	// Address is that of the entry point "web"; empty means a port of loopback that the kernel picks.
	Address string
	// FastProxy turns the experimental fast proxy on.
	FastProxy bool
	// EntryPoints are further entry points beside "web", each with its static options (may be nil).
	EntryPoints map[string]any
	// Plugins are local plugins: the alias and the plugin's folder. Nil means the checkout, as "mp4".
	Plugins map[string]string
	// Static is merged into the static configuration.
	Static map[string]any
	// LogLevel is Traefik's; empty means DEBUG.
	LogLevel string
	// Log also receives Traefik's log as it is written.
	Log io.Writer
}

// Traefik is a running Traefik.
type Traefik struct {
	cmd       *exec.Cmd
	dir       string
	addresses map[string]string
	fast      bool
	log       logBuffer
	exited    chan struct{}

	mutex      sync.Mutex
	generation int
	allowed    []*regexp.Regexp
}

// Run starts Traefik and returns when its first dynamic configuration is in effect. Stop ends it.
func Run(ctx context.Context, config Config) (*Traefik, error) {
	bin, err := Build(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "traefik-")
	if err != nil {
		return nil, err
	}
	t := &Traefik{dir: dir, addresses: map[string]string{}, fast: config.FastProxy, exited: make(chan struct{})}
	t.log.also = config.Log
	if err := t.start(ctx, bin, config); err != nil {
		t.Stop()
		return nil, fmt.Errorf("%w\n%s", err, t.told())
	}
	return t, nil
}

func (t *Traefik) start(ctx context.Context, bin string, config Config) error {
	plugins, err := t.linkPlugins(config.Plugins)
	if err != nil {
		return err
	}

	// Traefik takes over listeners that are open already, as systemd hands them over: no port can be lost in between.
	points := map[string]any{"web": nil}
	for name, options := range config.EntryPoints {
		points[name] = options
	}
	var names []string
	var files []*os.File
	entryPoints := map[string]any{}
	for name, options := range points {
		address := "127.0.0.1:0"
		if name == "web" && config.Address != "" {
			address = config.Address
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		defer listener.Close()
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		defer file.Close()
		names, files = append(names, name), append(files, file)
		t.addresses[name] = listener.Addr().String()
		entryPoint := map[string]any{
			"address":   listener.Addr().String(),
			"transport": map[string]any{"lifeCycle": map[string]any{"graceTimeOut": "1s"}},
		}
		merge(entryPoint, options)
		entryPoints[name] = entryPoint
	}

	level := config.LogLevel
	if level == "" {
		level = "DEBUG"
	}
	experimental := map[string]any{"localPlugins": plugins, "abortOnPluginFailure": true}
	if config.FastProxy {
		experimental["fastProxy"] = map[string]any{}
	}
	static := map[string]any{
		"global":      map[string]any{"checkNewVersion": false, "sendAnonymousUsage": false},
		"log":         map[string]any{"level": level, "format": "json"},
		"entryPoints": entryPoints,
		"ping":        map[string]any{"manualRouting": true},
		"providers": map[string]any{
			"providersThrottleDuration": "50ms",
			"file":                      map[string]any{"directory": filepath.Join(t.dir, "dynamic"), "watch": true},
		},
		"experimental": experimental,
	}
	merge(static, config.Static)
	if err := os.Mkdir(filepath.Join(t.dir, "dynamic"), 0o755); err != nil {
		return err
	}
	if err := writeYAML(filepath.Join(t.dir, "traefik.yml"), static); err != nil {
		return err
	}
	if err := t.writeDynamic(config.Dynamic); err != nil {
		return err
	}

	t.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" --configFile=traefik.yml`, bin)
	t.cmd.Dir = t.dir
	t.cmd.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	t.cmd.ExtraFiles = files
	t.cmd.Stdout, t.cmd.Stderr = &t.log, &t.log
	// A test that is killed leaves nothing behind.
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := t.cmd.Start(); err != nil {
		t.cmd = nil
		return err
	}
	go func() {
		t.cmd.Wait()
		close(t.exited)
	}()
	return t.awaitDynamic(ctx)
}

// linkPlugins lays the plugins out as Traefik's local mode wants them and returns their static configuration.
func (t *Traefik) linkPlugins(plugins map[string]string) (map[string]any, error) {
	if plugins == nil {
		root, err := Checkout()
		if err != nil {
			return nil, err
		}
		plugins = map[string]string{"mp4": root}
	}
	static := map[string]any{}
	for alias, dir := range plugins {
		manifest, err := os.ReadFile(filepath.Join(dir, ".traefik.yml"))
		if err != nil {
			return nil, err
		}
		var fields struct{ Import string }
		if err := yaml.Unmarshal(manifest, &fields); err != nil {
			return nil, err
		}
		link := filepath.Join(t.dir, "plugins-local", "src", filepath.FromSlash(fields.Import))
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return nil, err
		}
		if err := os.Symlink(dir, link); err != nil {
			return nil, err
		}
		static[alias] = map[string]any{"moduleName": fields.Import}
	}
	return static, nil
}

// Pid is the process's id.
func (t *Traefik) Pid() int { return t.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (t *Traefik) Exited() <-chan struct{} { return t.exited }

// FastProxy tells whether the fast proxy is on.
func (t *Traefik) FastProxy() bool { return t.fast }

// Address is host:port of an entry point.
func (t *Traefik) Address(entryPoint string) string { return t.addresses[entryPoint] }

// URL is the address of a path at the entry point "web".
func (t *Traefik) URL(path string) string { return "http://" + t.addresses["web"] + path }

// Client reaches the entry point "web" whatever host an address names: http://nginx/film.mp4 is for the router with Host(`nginx`).
// It follows no redirects, and asks for no compression of its own.
func (t *Traefik) Client() *http.Client { return t.ClientOf("web") }

// ClientOf is Client for another entry point.
func (t *Traefik) ClientOf(entryPoint string) *http.Client {
	var dialer net.Dialer
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, t.addresses[entryPoint])
			},
			DisableCompression:  true,
			MaxIdleConnsPerHost: 64,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       2 * time.Minute,
	}
}

// SetDynamic replaces the dynamic configuration and returns when the new one is in effect.
func (t *Traefik) SetDynamic(ctx context.Context, dynamic Dynamic) error {
	if err := t.writeDynamic(dynamic); err != nil {
		return err
	}
	return t.awaitDynamic(ctx)
}

// writeDynamic adds a router that answers below an address of this generation's own, so that it can be waited for.
func (t *Traefik) writeDynamic(dynamic Dynamic) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.generation++
	text, err := dynamic.yaml(t.generation)
	if err != nil {
		return err
	}
	file := filepath.Join(t.dir, "dynamic", "dynamic.yml")
	if err := os.WriteFile(filepath.Join(t.dir, "next.yml"), text, 0o644); err != nil {
		return err
	}
	return os.Rename(filepath.Join(t.dir, "next.yml"), file)
}

func (t *Traefik) awaitDynamic(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client := t.Client()
	defer client.CloseIdleConnections()
	for {
		request, err := http.NewRequestWithContext(ctx, "GET", "http://rig"+readyPath(t.generation), nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-t.exited:
			return errors.New("rig: Traefik ended")
		case <-ctx.Done():
			return errors.New("rig: Traefik did not take its configuration within 20 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// AllowLog names error lines that a test provokes; any other makes it fail.
func (t *Traefik) AllowLog(patterns ...string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for _, pattern := range patterns {
		t.allowed = append(t.allowed, regexp.MustCompile(pattern))
	}
}

// Log is what Traefik wrote so far, a line an event: "error: message plugin=…".
func (t *Traefik) Log() string { return strings.Join(t.events(), "\n") }

// AwaitLog waits up to five seconds for a line of the log that matches, and returns it.
func (t *Traefik) AwaitLog(tb testing.TB, pattern string) string {
	tb.Helper()
	wanted := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		for _, event := range t.events() {
			if wanted.MatchString(event) {
				return event
			}
		}
		if time.Now().After(deadline) {
			tb.Fatalf("Traefik's log has no line that matches %q", pattern)
		}
	}
}

// Unexpected are the log's events at the level of errors and above, and lines that nobody logged (the runtime's own last words),
// less those that AllowLog names.
func (t *Traefik) Unexpected() []string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	var unexpected []string
	for _, event := range t.events() {
		level, _, _ := strings.Cut(event, ":")
		if level == "trace" || level == "debug" || level == "info" || level == "warn" {
			continue
		}
		if !slices.ContainsFunc(t.allowed, func(allowed *regexp.Regexp) bool { return allowed.MatchString(event) }) {
			unexpected = append(unexpected, event)
		}
	}
	return unexpected
}

// events renders Traefik's JSON lines for people; a stack trace in a message stays on its line.
func (t *Traefik) events() []string {
	var events []string
	for _, line := range strings.Split(strings.TrimSpace(t.log.String()), "\n") {
		fields := map[string]any{}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			if line != "" {
				events = append(events, "not logged: "+line)
			}
			continue
		}
		event := fmt.Sprintf("%v: %v", fields["level"], fields["message"])
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if name != "level" && name != "message" && name != "time" && name != "caller" {
				event += fmt.Sprintf(" %s=%v", name, fields[name])
			}
		}
		events = append(events, strings.ReplaceAll(strings.TrimSpace(event), "\n", " | "))
	}
	return events
}

// Stop ends Traefik and removes its folder.
func (t *Traefik) Stop() {
	if t.cmd != nil {
		t.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-t.exited:
		case <-time.After(5 * time.Second):
			t.cmd.Process.Kill()
			<-t.exited
		}
	}
	os.RemoveAll(t.dir)
}

// Start runs Traefik for a test. The test fails if Traefik dies or logs an error that AllowLog does not name; a failed test shows the log.
func Start(tb testing.TB, config Config) *Traefik {
	tb.Helper()
	t, err := Run(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		select {
		case <-t.exited:
			tb.Error("Traefik died")
		default:
		}
		t.Stop()
		for _, line := range t.Unexpected() {
			tb.Errorf("in Traefik's log: %s", line)
		}
		if tb.Failed() {
			tb.Logf("the end of Traefik's log:\n%s", t.told())
		}
	})
	return t
}

// setUp are the events of Traefik starting, and building its handlers over and over.
var setUp = regexp.MustCompile(`^debug: (Creating|Adding|Added|Configuration received|Skipping|No entryPoint|add watcher|Static|.*provider configuration)|^info: |^warn: (Traefik can reject|aliasHeadersStrategy)`)

// told is the end of the log, as far as it tells of anything.
func (t *Traefik) told() string {
	told := slices.DeleteFunc(t.events(), setUp.MatchString)
	return strings.Join(told[max(0, len(told)-60):], "\n")
}

func merge(into map[string]any, from any) {
	options, _ := from.(map[string]any)
	for name, value := range options {
		below, ok := into[name].(map[string]any)
		if more, isMap := value.(map[string]any); ok && isMap {
			merge(below, more)
			continue
		}
		into[name] = value
	}
}

func writeYAML(file string, value any) error {
	text, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// logBuffer holds what a process wrote.
type logBuffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
	also  io.Writer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.also != nil {
		b.also.Write(p)
	}
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}
