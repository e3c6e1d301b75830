package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// small is a file that is requested as often as possible.
const small = "small.mp4"

// untouched are requests a second, as wrk counts them, for a file of a kilobyte that the plugin does not touch.
type untouched struct {
	Without quartiles `json:"without"`
	With    quartiles `json:"with"`
	Query   quartiles `json:"withQuery"` // with a query that is none of the plugin's
}

func makeSmall(dir string) error {
	return os.WriteFile(filepath.Join(dir, small), make([]byte, 1024), 0o644)
}

func measureUntouched(ctx context.Context, rounds int, traefik string) (untouched, error) {
	routes := []struct {
		host, path string
		rates      []float64
	}{
		{host: "any." + viaNothing, path: "/" + small},
		{host: "any." + viaPlugin, path: "/" + small},
		{host: "any." + viaPlugin, path: "/" + small + "?v=1"},
	}
	for round := range rounds {
		for i := range routes {
			route := &routes[(round+i)%len(routes)]
			rate, err := wrk(ctx, traefik, route.host, route.path)
			if err != nil {
				return untouched{}, err
			}
			route.rates = append(route.rates, rate)
		}
	}
	return untouched{quartilesOf(routes[0].rates), quartilesOf(routes[1].rates), quartilesOf(routes[2].rates)}, nil
}

var rate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

// wrk asks for a second, with eight clients.
func wrk(ctx context.Context, address, host, path string) (float64, error) {
	bin, err := tool("wrk")
	if err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, bin, "-t1", "-c8", "-d1s", "-H", "Host: "+host, "http://"+address+path).CombinedOutput()
	found := rate.FindSubmatch(out)
	if err != nil || found == nil || regexp.MustCompile(`Non-2xx`).Match(out) {
		return 0, fmt.Errorf("wrk: %v: %s", err, out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
