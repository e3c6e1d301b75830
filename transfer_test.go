package mp4_test

import (
	"context"
	"testing"

	"github.com/traefik/plugindemo"
)

// TestChain puts the official demo plugin in front, as a router with two plugins does.
func TestChain(t *testing.T) {
	s := newStage(t, nil)
	config := plugindemo.CreateConfig()
	config.Headers["X-Demo"] = "{{.Method}}"
	demo, err := plugindemo.New(context.Background(), instance(t, proxyTo(t, s.origin), nil), config, "demo")
	if err != nil {
		t.Fatal(err)
	}
	s.url = serve(t, demo)
	s.origin.films["/first.mp4"].checkCut(t, s.get("/first.mp4?start=5").body, 125, 250)
}
