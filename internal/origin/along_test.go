package origin

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/traefik-mp4/mp4/internal/budget"
)

// ranged is a next handler with a file of which an answer has so many bytes at most, and which breaks off at an offset.
type ranged struct {
	data  []byte
	most  int64
	until int64
	asked int
}

func (s *ranged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked++
	first, last, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	from, _ := strconv.ParseInt(first, 10, 64)
	to, _ := strconv.ParseInt(last, 10, 64)
	size := int64(len(s.data))
	if from >= size {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	to = minInt64(minInt64(to+1, size), from+s.most)
	w.Header().Set("Etag", `"1"`)
	w.Header().Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to-1, 10)+"/"+strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusPartialContent)
	for to = minInt64(to, s.until); from < to; {
		next := minInt64(from+32<<10, to)
		if _, err := w.Write(s.data[from:next]); err != nil || r.Context().Err() != nil {
			return
		}
		from = next
	}
}

// A read is followed from what is there at first to its end, not before there is as much as was wanted, however the
// origin answers; and where it fails, it fails as any other.
func TestReadAlong(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	const first = 4 << 10
	tests := []struct {
		name     string
		most     int64 // of an answer
		until    int64 // the origin breaks off
		off, n   int64
		leaves   int64 // the client, when so much has come
		panics   bool
		err      error
		requests int // at least
	}{
		{name: "in one piece", most: 1 << 20, until: 1 << 20, off: 16, n: 300 << 10, requests: 2},
		{name: "a little at a time", most: 50_001, until: 1 << 20, off: 16, n: 300 << 10, requests: 7},
		{name: "to the end", most: 1 << 20, until: 1 << 20, off: 16, n: int64(len(data)) - 16, requests: 2},
		{name: "beyond the end", most: 1 << 20, until: 1 << 20, off: 16, n: 1 << 20, requests: 2},
		{name: "breaks off", most: 1 << 20, until: 200_000, off: 16, n: 300 << 10, err: ErrMisbehaving},
		{name: "breaks off at once", most: 1 << 20, until: first, off: 16, n: 300 << 10, err: ErrMisbehaving},
		{name: "the client leaves", most: 1 << 20, until: 1 << 20, off: 16, n: 300 << 10, leaves: 100_000, err: ErrMisbehaving},
		{name: "too large", most: 1 << 20, until: 1 << 20, off: 16, n: 2 << 20, err: nil},
		{name: "a panic", most: 1 << 20, until: 1 << 20, off: 16, n: 300 << 10, panics: true, err: ErrMisbehaving},
	}
	for _, tt := range tests {
		ctx, leave := context.WithCancel(context.Background())
		next := &ranged{data: data, most: tt.most, until: tt.until}
		all := &budget.Budget{}
		all.Resize(1 << 30)
		c := &Client{Request: httptest.NewRequest("GET", "/a.mp4", nil).WithContext(ctx), Next: next, BufferSize: first, MaxSearch: 4 << 20, Lease: &budget.Lease{Of: all}}
		f, err := Open(c, true)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var calls []int64
		follow := func(come []byte) int64 {
			calls = append(calls, int64(len(come)))
			if int64(len(come)) > tt.n {
				t.Errorf("%s: %d bytes of %d", tt.name, len(come), tt.n)
			}
			if !bytes.Equal(come, data[tt.off:tt.off+int64(len(come))]) {
				t.Errorf("%s: %d bytes are others", tt.name, len(come))
			}
			if tt.leaves > 0 && int64(len(come)) >= tt.leaves {
				leave()
			}
			if tt.panics && len(come) > 50_000 {
				panic("follow")
			}
			return int64(len(come)) + 60_000
		}
		b, err := f.ReadAlong(tt.off, tt.n, follow)
		leave()
		want := data[tt.off:minInt64(tt.off+tt.n, int64(len(data)))]
		switch {
		case tt.err != nil:
			if !errors.Is(err, tt.err) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		case err != nil || !bytes.Equal(b, want):
			t.Errorf("%s: %d bytes of %d: %v", tt.name, len(b), len(want), err)
		case next.asked < tt.requests:
			t.Errorf("%s: %d requests", tt.name, next.asked)
		}
		if len(calls) < 2 || calls[0] != first-tt.off {
			t.Errorf("%s: followed at %v", tt.name, calls)
		}
		for i := 1; i < len(calls); i++ {
			if calls[i] < calls[i-1]+60_000 {
				t.Errorf("%s: followed at %v", tt.name, calls)
			}
		}
		again, err := f.Read(tt.off+100, 1000)
		if err != nil || !bytes.Equal(again, data[tt.off+100:tt.off+1100]) {
			t.Errorf("%s: what was read is not held: %v", tt.name, err)
		}
	}
}
