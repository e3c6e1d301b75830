package mp4

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// liveOrigin serves a film that is being written, in one of the ways that servers have.
type liveOrigin struct {
	film     []byte
	way      string
	requests int
	bytes    int
}

func (o *liveOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.requests++
	body := o.film
	w.Header().Set("Content-Type", "video/mp4")
	way := o.way
	if r.Header.Get("Range") == "" {
		way = "200 without a length"
	}
	switch way {
	case "200 without a length":
		w.WriteHeader(http.StatusOK)
	case "200 with a length":
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusOK)
	default:
		from, last := 0, 0
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &last)
		if from >= len(body) {
			if o.way == "206 of *, 416 of a length" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(body)))
			}
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		body = body[from:minInt(last+1, len(body))]
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, from+len(body)-1))
		w.WriteHeader(http.StatusPartialContent)
	}
	for len(body) > 0 {
		n, err := w.Write(body[:minInt(len(body), 10000)])
		o.bytes += n
		if err != nil {
			return
		}
		body = body[n:]
	}
}

// TestLive: of a file whose length nobody knows yet, the answer is of the fragments that are whole.
func TestLive(t *testing.T) {
	film := fragmentsOf(40, nil)
	torn := append(append([]byte(nil), film...), fragmentsOf(41, nil)[len(film):len(film)+3000]...)
	for _, way := range []string{"200 without a length", "200 with a length", "206 of *", "206 of *, 416 of a length"} {
		for _, seek := range []string{seekExact, seekKeyframe} {
			for _, iv := range []msInterval{{30500, -1}, {2500, 7000}, {79500, -1}, {100, 200000}} {
				want, err := answerOf(film, iv, seek)
				if err != nil {
					t.Fatal(err)
				}
				for _, now := range [][]byte{film, torn} {
					o := &liveOrigin{film: now, way: way}
					config := CreateConfig()
					config.Seek = seek
					config.BufferSize = "2K"
					ctx, cancel := context.WithCancel(context.Background())
					h, err := New(ctx, o, config, t.Name())
					if err != nil {
						t.Fatal(err)
					}
					query := fmt.Sprintf("start=%.3f", float64(iv.start)/1000)
					if iv.end >= 0 {
						query += fmt.Sprintf("&end=%.3f", float64(iv.end)/1000)
					}
					got := httptest.NewRecorder()
					h.ServeHTTP(got, httptest.NewRequest("GET", "/live.mp4?"+query, nil))
					cancel()
					if got.Code != 200 || !bytes.Equal(got.Body.Bytes(), want) || got.Header().Get("Content-Length") != strconv.Itoa(len(want)) {
						t.Errorf("%s, %s %s of %d bytes: %d, %d bytes instead of %d, %s", way, seek, query, len(now), got.Code, got.Body.Len(), len(want), got.Header().Get("Content-Length"))
					}
					if strings.HasPrefix(way, "206") && o.bytes > len(want)+len(now)+4096 { // fragments as small are read along
						t.Errorf("%s, %s %s: %d requests for %d bytes", way, seek, query, o.requests, o.bytes)
					}
				}
			}
		}
	}
}
