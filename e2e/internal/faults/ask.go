package faults

import (
	"io"
	"net/http"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
)

// Load reads a film of the tests.
func Load(tb testing.TB, name string) Film {
	tb.Helper()
	content, err := media.Read(name)
	if err != nil {
		tb.Fatal(err)
	}
	return Film{content, `"` + name + `"`}
}

// Answer is a response with its body.
type Answer struct {
	Protocol int // the major version of HTTP
	Status   int
	Header   http.Header
	Body     []byte
	Failed   error // why there is no answer, or why its body ended before its time
}

// Ask sends one request; header holds names and values in turn.
func Ask(tb testing.TB, client *http.Client, method, url string, header ...string) Answer {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return Do(client, request)
}

// Do sends a request.
func Do(client *http.Client, request *http.Request) Answer {
	response, err := client.Do(request)
	if err != nil {
		return Answer{Failed: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{response.ProtoMajor, response.StatusCode, response.Header, body, err}
}
