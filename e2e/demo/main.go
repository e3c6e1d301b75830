// Demo runs a real Traefik with the plugin on loopback, over the film in testdata, and a page to try it on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

func main() {
	address := flag.String("address", "127.0.0.1:8080", "where Traefik listens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	giveBack := takeTerminal()
	fmt.Println("Starting Traefik with the plugin …")
	err := run(ctx, *address, announce)
	giveBack()
	// Once told to stop, whatever failed failed for that reason.
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func announce(address string) {
	fmt.Printf(`
The demo          http://%[1]s/
A cut by itself   http://%[1]s/film.mp4?start=42.36
A clip            http://%[1]s/film.mp4?start=42.36&end=50

Ctrl-C stops it.
`, address)
}

// run serves the demo until ctx ends, and calls ready with Traefik's address once all of it is up.
func run(ctx context.Context, address string, ready func(address string)) error {
	// Better said now than after the minutes that a first build of Traefik takes.
	if err := free(address); err != nil {
		return err
	}
	root, err := rig.Checkout()
	if err != nil {
		return err
	}
	films := filepath.Join(root, "testdata")
	if _, err := os.Stat(filepath.Join(films, "film.mp4")); err != nil {
		return err
	}
	handler, err := newOrigin(films)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler}
	defer server.Close()
	broken := make(chan error, 1)
	go func() { broken <- server.Serve(listener) }()

	traefik, err := rig.Run(ctx, rig.Config{
		Address:  address,
		Dynamic:  routes("http://" + listener.Addr().String()),
		LogLevel: "ERROR",
		Log:      os.Stderr,
	})
	if err != nil {
		return err
	}
	defer traefik.Stop()

	// Traefik runs on without a router whose plugin it cannot start.
	answer, err := http.Head(traefik.URL("/"))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the page is answered with %s: see the log of Traefik above", answer.Status)
	}
	ready(traefik.Address("web"))
	select {
	case <-ctx.Done():
		return nil
	case err := <-broken:
		return err
	case <-traefik.Exited():
		return errors.New("the process of Traefik ended by itself")
	}
}

func free(address string) error {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program; stop that, or take another port: go run ./demo -address 127.0.0.1:8081 (in e2e)", address)
	}
	if err != nil {
		return err
	}
	return listener.Close()
}

// routes puts the same origin behind each way to seek. The page asks /film.mp4 for exact cuts and compares them with the others.
func routes(origin string) rig.Dynamic {
	var d rig.Dynamic
	d.Service("origin", origin)
	d.Plugin("exact", nil)
	d.Route("all", rig.Router{Rule: "PathPrefix(`/`)", Service: "origin", Middlewares: []string{"exact"}})
	for _, seek := range []string{"keyframe", "sample"} {
		d.Plugin(seek, rig.Map{"seek": seek})
		d.Middleware("strip-"+seek, rig.Map{"stripPrefix": rig.Map{"prefixes": []string{"/" + seek}}})
		d.Route(seek, rig.Router{
			Rule:        fmt.Sprintf("PathPrefix(`/%s/`)", seek),
			Service:     "origin",
			Middlewares: []string{"strip-" + seek, seek},
		})
	}
	return d
}
