package origin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// writing is a next handler that answers bytes 0 to promised-1 and then writes what it has, so many bytes at a time.
type writing struct {
	promised int
	data     []byte
	size     int
	err      error // of the first write that failed
}

func (s *writing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/*", s.promised-1))
	w.WriteHeader(http.StatusPartialContent)
	for data := s.data; len(data) > 0 && s.err == nil; {
		k := int(minInt64(int64(s.size), int64(len(data))))
		_, s.err = w.Write(data[:k])
		data = data[k:]
	}
}

// taking is a receiver whose writer takes so many bytes, and is compiled code or says that it is not.
type taking struct {
	limit    int64
	compiled bool
	data     bytes.Buffer
	writer   *io.PipeWriter
	done     chan bool
}

func (s *taking) Native() bool { return s.compiled }

func (s *taking) Begin(header http.Header) (io.Writer, error) {
	r, w := io.Pipe()
	s.writer = w
	s.done = make(chan bool)
	go drain(s, r)
	return w, nil
}

func drain(s *taking, r *io.PipeReader) {
	_, _ = io.CopyN(&s.data, r, s.limit)
	if int64(s.data.Len()) == s.limit {
		_ = r.Close()
	}
	close(s.done)
}

// A body comes as it is, or ends with an error, at the gate and past it.
func TestExchangeBodies(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	const promised = 1 << 19
	for _, size := range []int{1 << 10, 32 << 10, 48<<10 + 1, 1 << 20} {
		for _, compiled := range []bool{false, true} {
			for _, tt := range []struct {
				written, taken int
				want           error // of the exchange
				stops          bool  // the next handler is told to
			}{
				{promised, 1 << 30, nil, false},
				{promised - 1, 1 << 30, ErrMisbehaving, false},
				{promised / 2, 1 << 30, ErrMisbehaving, false},
				{flow, 1 << 30, ErrMisbehaving, false},
				{1, 1 << 30, ErrMisbehaving, false},
				{0, 1 << 30, ErrMisbehaving, false},
				{promised + 2, 1 << 30, nil, true},
				{2 * promised, 1 << 30, nil, true},
				{promised, 100, ErrGone, true},
				{promised, flow + 100<<10, ErrGone, true},
			} {
				next := &writing{promised: promised, data: data[:tt.written], size: size}
				to := &taking{limit: int64(tt.taken), compiled: compiled}
				var handler http.Handler = next
				asking := &fileNews{client: &Client{Next: handler, Request: httptest.NewRequest("GET", "/film.mp4", nil)}}
				err := runExchange(ask(asking, 0, promised, to))
				_ = to.writer.Close()
				<-to.done
				name := fmt.Sprintf("%d bytes in pieces of %d to one who takes %d, compiled: %v", tt.written, size, tt.taken, compiled)
				if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
					t.Errorf("%s: %v instead of %v", name, err, tt.want)
				}
				if (next.err != nil) != tt.stops {
					t.Errorf("%s: the next handler's error is %v", name, next.err)
				}
				n := int(minInt64(minInt64(int64(tt.written), promised), int64(tt.taken)))
				if !bytes.Equal(to.data.Bytes(), data[:n]) {
					t.Errorf("%s: %d bytes instead of %d", name, to.data.Len(), n)
				}
			}
		}
	}
}

// TestRefusedConsent: a refusal comes whole, however long, where the answer's headers are all that was wanted.
func TestRefusedConsent(t *testing.T) {
	page := bytes.Repeat([]byte("No. "), flow)
	var next http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		for rest := page; len(rest) > 0; {
			n := int(minInt64(32<<10, int64(len(rest))))
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
	})
	answer := httptest.NewRecorder()
	c := &Client{Next: next, Request: httptest.NewRequest("GET", "/film.mp4", nil), Writer: answer}
	f := KnownFile(c, Version{ETag: `"1"`, Size: 100}) // not an argument by itself: Yaegi would forget its type
	if _, err := Consent(f); !errors.Is(err, ErrRelayed) {
		t.Errorf("the error is %v", err)
	}
	if answer.Code != http.StatusForbidden || !bytes.Equal(answer.Body.Bytes(), page) {
		t.Errorf("status %d, %d bytes of %d", answer.Code, answer.Body.Len(), len(page))
	}
}

func TestContentRange(t *testing.T) {
	for _, tt := range []struct {
		header             string
		first, last, total int64
		ok                 bool
	}{
		{"bytes 0-99/1234", 0, 99, 1234, true},
		{"bytes 5-5/6", 5, 5, 6, true},
		{"bytes 0-99/*", 0, 99, -1, true},
		{"", 0, 0, 0, false},
		{"bytes */1234", 0, 0, 0, false},
		{"bytes 99-0/1234", 0, 0, 0, false},
		{"bytes -1-9/1234", 0, 0, 0, false},
		{"lines 0-99/1234", 0, 0, 0, false},
		{"bytes 0-99", 0, 0, 0, false},
		{"bytes 0-99/99", 0, 0, 0, false},
		{"bytes 0-99/-1", 0, 0, 0, false},
		{"bytes 0-9223372036854775808/*", 0, 0, 0, false},
	} {
		first, last, total, ok := contentRange(tt.header)
		if ok != tt.ok || ok && (first != tt.first || last != tt.last || total != tt.total) {
			t.Errorf("%q: %d, %d, %d, %v", tt.header, first, last, total, ok)
		}
	}
}

// TestNextForm: what a range that was refused is followed by.
func TestNextForm(t *testing.T) {
	for _, tt := range []struct {
		named, off, n int64
		form, want    int
	}{
		{0, 0, 100, asAsked, toEnd},
		{50, 0, 100, asAsked, within},
		{50, 20, 100, asAsked, within},
		{100, 0, 100, asAsked, inOne}, // it reaches no further than the end
		{200, 0, 100, asAsked, inOne},
		{20, 20, 100, asAsked, inOne},
		{50, 0, 100, within, inOne},
		{0, 0, 100, toEnd, inOne},
	} {
		o := &origin{fileNews: &fileNews{named: tt.named}}
		if got := nextForm(o, tt.form, tt.off, tt.n); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}

// TestEncoded tells content codings from words that are none.
func TestEncoded(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{"identity"}, false},
		{[]string{"aws-chunked, none", "utf-8"}, false},
		{[]string{"aws-chunked", "none,gzip"}, true},
		{[]string{" BR "}, true},
		{[]string{"gzipped"}, false},
	} {
		if got := encoded(http.Header{"Content-Encoding": tt.lines}); got != tt.want {
			t.Errorf("%q: %v", tt.lines, got)
		}
	}
}
