package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A person's visit to the page, in Chromium.
func TestVisit(t *testing.T) {
	address, stop := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "node", "visit.mjs", "http://"+address+"/").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	stop()
}

func TestFilms(t *testing.T) {
	address, stop := start(t)
	defer stop()
	for path, status := range map[string]int{
		"/":                                     200,
		"/app.js":                               200,
		"/film.mp4":                             200,
		"/film.mp4?start=42.36":                 200,
		"/film.mp4?start=42.36&end=50":          200,
		"/keyframe/film.mp4?start=42.36":        200,
		"/sample/film.mp4?start=42.36":          200,
		"/film.mp4?start=120":                   404,
		"/no.mp4":                               404,
		"/no.mp4?start=1":                       404,
		"/requests":                             200,
		"/film.mp4?start=119.96&other=argument": 200,
	} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != status {
			t.Errorf("%s: %s, want %d (%d bytes, %v)", path, answer.Status, status, len(body), err)
		}
		if status == 200 && strings.Contains(path, "start=") && (len(body) < 12 || string(body[4:8]) != "ftyp") {
			t.Errorf("%s: no MP4", path)
		}
	}
}

func TestTakenPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = run(t.Context(), listener.Addr().String(), func(string) { t.Error("started on a port that is taken") })
	if err == nil || !strings.Contains(err.Error(), listener.Addr().String()+" is taken") {
		t.Errorf("a taken port gave %v", err)
	}
}

// start runs the demo on a port of the kernel's choice. stop ends it as Ctrl-C does, and fails the test if anything keeps listening.
func start(t *testing.T) (address string, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", func(address string) { ready <- address }) }()
	select {
	case address = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return address, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Error("Traefik outlives the demo")
		}
	}
}
