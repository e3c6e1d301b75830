package faults_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/faults"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

const secret = "what no client may see"

// folder makes a root with a film, beside what lies outside of it.
func folder(t *testing.T, film faults.Film) (outer, root string) {
	t.Helper()
	outer = t.TempDir()
	root = filepath.Join(outer, "root")
	for _, dir := range []string{"root/folder.mp4", "root/below", "root-beside"} {
		if err := os.MkdirAll(filepath.Join(outer, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"root/film.mp4": string(film.Bytes), "root/below/film.mp4": string(film.Bytes), "root/closed.mp4": string(film.Bytes),
		"secret.mp4": secret, "root-beside/secret.mp4": secret,
	} {
		if err := os.WriteFile(filepath.Join(outer, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"inside.mp4": "below/film.mp4", "outside.mp4": "../secret.mp4", "absolute.mp4": filepath.Join(outer, "secret.mp4"),
		"beside.mp4": "../root-beside/secret.mp4", "up": "..", "twice.mp4": "up/secret.mp4", "loop.mp4": "loop.mp4",
		"zero.mp4": "/dev/zero", "kernel.mp4": "/proc/self/environ", "pipe-link.mp4": "pipe.mp4", "nowhere.mp4": "gone.mp4",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.mp4"), 0o666); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(root, "socket.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return outer, root
}

// unsaid asks for an address exactly as it is written, which clients would set right.
func unsaid(t *testing.T, traefik *rig.Traefik, entryPoint, host, uri string) faults.Answer {
	t.Helper()
	connection, err := net.Dial("tcp", traefik.Address(entryPoint))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", uri, host)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return faults.Answer{Failed: err}
	}
	defer response.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	return faults.Answer{Protocol: response.ProtoMajor, Status: response.StatusCode, Header: response.Header, Body: body.Bytes(), Failed: err}
}

// TestOutsideRoot asks below root for what is no file in there, also past Traefik's own cleaning of addresses.
func TestOutsideRoot(t *testing.T) {
	film := faults.Load(t, "bframes.mp4")
	outer, root := folder(t, film)
	next := rig.NewOrigin(t, http.NotFoundHandler())
	var d rig.Dynamic
	d.Plugin("root", rig.Map{"root": root})
	d.Plugin("devices", rig.Map{"root": "/dev", "extensions": "*"})
	d.Host("root", next.URL, "root")
	d.Host("devices", next.URL, "devices")
	traefik := rig.Start(t, rig.Config{Dynamic: d, EntryPoints: rig.Map{"raw": rig.Map{"http": rig.Map{"sanitizePath": false}}}})

	uris := []string{
		"/outside.mp4", "/absolute.mp4", "/beside.mp4", "/up/secret.mp4", "/twice.mp4", "/loop.mp4", "/zero.mp4", "/kernel.mp4",
		"/pipe.mp4", "/pipe-link.mp4", "/socket.mp4", "/folder.mp4", "/folder.mp4/", "/nowhere.mp4", "/none.mp4", "/film.mp4/x.mp4",
		"/../secret.mp4", "/below/../../secret.mp4", "/below/../../root-beside/secret.mp4", "/./../secret.mp4", "//../secret.mp4",
		"/%2e%2e/secret.mp4", "/%2E%2E/secret.mp4", "/.%2e/secret.mp4", "/..%2fsecret.mp4", "/..%2Fsecret.mp4", "/%2e%2e%2fsecret.mp4",
		"/below%2f..%2f..%2fsecret.mp4", "/%252e%252e/secret.mp4", "/%252e%252e%252fsecret.mp4", "/..%255csecret.mp4",
		"/..\\secret.mp4", "/..%5csecret.mp4", "/%2e%2e%5csecret.mp4", "/..%c0%afsecret.mp4", "/%c0%ae%c0%ae/secret.mp4",
		"/%e0%80%ae%e0%80%ae/secret.mp4", "/..%u2215secret.mp4", "/..;/secret.mp4", "/..%3b/secret.mp4", "/...//secret.mp4", "/....//secret.mp4",
		"/film.mp4%00.mp4", "/%00/../secret.mp4", "/../secret.mp4%00.mp4", "/..%00/secret.mp4", "/..%0a/secret.mp4", "/%2f%2f" + outer + "/secret.mp4",
		"/%2f" + strings.ReplaceAll(outer[1:], "/", "%2f") + "%2fsecret.mp4", "/" + strings.Repeat("../", 40) + outer[1:] + "/secret.mp4",
		"/" + strings.Repeat("%2e%2e%2f", 40) + outer[1:] + "/secret.mp4", "http://root/../secret.mp4", "/" + strings.Repeat("x", 300) + ".mp4",
		"/" + strings.Repeat("x/", 3000) + ".mp4",
	}
	for _, entryPoint := range []string{"web", "raw"} {
		for _, uri := range uris {
			for _, query := range []string{"", "?start=0", "?start=1"} {
				begin := time.Now()
				got := unsaid(t, traefik, entryPoint, "root", uri+query)
				if got.Status != 400 && got.Status != 403 && got.Status != 404 || bytes.Contains(got.Body, []byte(secret)) || time.Since(begin) > time.Second {
					t.Errorf("%s, %s%s: %d %q %v after %v", entryPoint, uri, query, got.Status, got.Body[:min(80, len(got.Body))], got.Failed, time.Since(begin))
				}
			}
		}
		for _, uri := range []string{"/zero", "/null", "/full", "/random", "/tty", "/stdin", "/fd/0", "/shm", "/"} {
			if got := unsaid(t, traefik, entryPoint, "devices", uri+"?start=1"); got.Status != 404 && got.Status != 403 {
				t.Errorf("%s, a device, %s: %d %v", entryPoint, uri, got.Status, got.Failed)
			}
		}
		want := unsaid(t, traefik, entryPoint, "root", "/film.mp4?start=2")
		for _, uri := range []string{"/inside.mp4", "/below/film.mp4", "/below/./film.mp4", "/below/../film.mp4", "/%66ilm.mp4"} {
			if got := unsaid(t, traefik, entryPoint, "root", uri+"?start=2"); got.Status != 200 || !bytes.Equal(got.Body, want.Body) {
				t.Errorf("%s, %s: %d", entryPoint, uri, got.Status)
			}
		}
	}
}

// TestPermissionDenied asks for a file that Traefik may not read. As root it may read all, so it goes without that right.
func TestPermissionDenied(t *testing.T) {
	_, root := folder(t, faults.Load(t, "bframes.mp4"))
	if err := os.Chmod(filepath.Join(root, "closed.mp4"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		bin, err := rig.Build(t.Context(), os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath("setpriv"); err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(t.TempDir(), "traefik")
		text := fmt.Sprintf("#!/bin/sh\nexec setpriv --bounding-set -dac_override,-dac_read_search %q \"$@\"\n", bin)
		if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TRAEFIK_BIN", script)
	}
	var d rig.Dynamic
	d.Plugin("root", rig.Map{"root": root})
	d.Host("root", rig.NewOrigin(t, http.NotFoundHandler()).URL, "root")
	traefik := rig.Start(t, rig.Config{Dynamic: d})
	for _, uri := range []string{"/closed.mp4", "/closed.mp4?start=1"} {
		if got := faults.Ask(t, traefik.Client(), "GET", "http://root"+uri); got.Status != 403 {
			t.Errorf("%s: %d", uri, got.Status)
		}
	}
	if got := faults.Ask(t, traefik.Client(), "GET", "http://root/film.mp4?start=1"); got.Status != 200 {
		t.Errorf("what it may read: %d", got.Status)
	}
}

// TestChangingFiles changes films below root while they are sent, for which pacing leaves the time.
func TestChangingFiles(t *testing.T) {
	film := faults.Load(t, "bframes.mp4")
	_, root := folder(t, film)
	var d rig.Dynamic
	d.Plugin("paced", rig.Map{"root": root, "limitRate": "8", "limitRateAfter": "0"})
	d.Plugin("root", rig.Map{"root": root})
	never := rig.NewOrigin(t, http.NotFoundHandler())
	d.Host("paced", never.URL, "paced")
	d.Host("root", never.URL, "root")
	traefik := rig.Start(t, rig.Config{Dynamic: d})
	traefik.AllowLog(`^error: "/(truncated|emptied|appended|rewritten|partial)\.mp4" `)
	client := traefik.Client()
	want := faults.Ask(t, client, "GET", "http://root/film.mp4?start=1")

	change := map[string]func(path string) error{
		"truncated": func(path string) error { return os.Truncate(path, int64(len(film.Bytes)/2)) },
		"emptied":   func(path string) error { return os.Truncate(path, 0) },
		"appended": func(path string) error {
			file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = file.WriteString("more")
			return err
		},
		"rewritten": func(path string) error { return os.WriteFile(path, film.Other().Bytes, 0o644) },
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", film.Other().Bytes, 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
		"removed": os.Remove,
	}
	t.Run("while sent", func(t *testing.T) {
		for name, change := range change {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(root, name+".mp4")
				if err := os.WriteFile(path, film.Bytes, 0o644); err != nil {
					t.Fatal(err)
				}
				response, err := client.Get("http://paced/" + name + ".mp4?start=1")
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				body := make([]byte, 30000)
				n, err := response.Body.Read(body)
				if err != nil {
					t.Fatal(err)
				}
				if err := change(path); err != nil {
					t.Fatal(err)
				}
				var rest bytes.Buffer
				_, err = rest.ReadFrom(response.Body)
				// What has no name any more stays what it is while it is open.
				if stays := name == "replaced" || name == "removed"; stays != (err == nil) {
					t.Errorf("%v after %d bytes", err, n+rest.Len())
				}
				if got := append(body[:n], rest.Bytes()...); err == nil && !bytes.Equal(got, want.Body) {
					t.Error("other bytes than before")
				}
			})
		}
	})
	for name, status := range map[string]int{"removed": 404, "replaced": 200, "rewritten": 200, "appended": 200} {
		got := faults.Ask(t, client, "GET", "http://root/"+name+".mp4?start=1")
		if got.Status != status || status == 200 && got.Header.Get("ETag") == want.Header.Get("ETag") || bytes.Equal(got.Body, want.Body) != (name == "appended") {
			t.Errorf("%s, asked for again: %d, %d bytes", name, got.Status, len(got.Body))
		}
	}
	if err := os.WriteFile(filepath.Join(root, "partial.mp4"), faults.Load(t, "moovlast.mp4").Bytes[:100000], 0o644); err != nil {
		t.Fatal(err)
	}
	if got := faults.Ask(t, client, "GET", "http://root/partial.mp4?start=1"); got.Status != 500 {
		t.Errorf("an upload that is under way: %d", got.Status)
	}
}
