// Package faults is an origin that lies, breaks and changes in every way that tests know of, and what they measure of a
// Traefik before it.
package faults

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Film is a file as an origin has it.
type Film struct {
	Bytes []byte
	Tag   string // its ETag, with the quotes
}

// Modified is every film's Last-Modified: that alone tells no two apart.
var Modified = time.Unix(1e9, 0)

// Serve answers as an origin should.
func (f Film) Serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "video/mp4")
	if f.Tag != "" {
		w.Header().Set("ETag", f.Tag)
	}
	http.ServeContent(w, r, "", Modified, bytes.NewReader(f.Bytes))
}

// Other is another version of the film: of the same length, with another tag and other media.
func (f Film) Other() Film {
	other := Film{Bytes: bytes.Clone(f.Bytes), Tag: strings.TrimSuffix(f.Tag, `"`) + `-other"`}
	from, to := f.Media()
	for i := from; i < to; i++ {
		other.Bytes[i] ^= 0x55
	}
	return other
}

// Media is where the payload of the mdat lies.
func (f Film) Media() (from, to int) {
	for at := 0; at+8 <= len(f.Bytes); {
		size := int(binary.BigEndian.Uint32(f.Bytes[at:]))
		if string(f.Bytes[at+4:at+8]) == "mdat" {
			return at + 8, at + size
		}
		at += size
	}
	panic("faults: a film without media")
}

// Span is what the request asks for.
func (f Film) Span(r *http.Request) (from, to int, ranged bool) {
	first, last, ranged := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	if !ranged {
		return 0, len(f.Bytes), false
	}
	from, _ = strconv.Atoi(first)
	to, err := strconv.Atoi(last)
	if err != nil || to >= len(f.Bytes) {
		to = len(f.Bytes) - 1
	}
	return min(from, to), to + 1, true
}

// Fault is what an origin does instead of answering as it should.
type Fault struct {
	Name   string
	Answer func(w http.ResponseWriter, r *http.Request, film Film)
	// Hangs says that Traefik's fast proxy, without any middleware, may wait for ever for an answer that does not come: one
	// request in seven did when an origin closed the connection before its answer (Traefik 3.7.13).
	Hangs bool
}

// Find returns the fault of that name.
func Find(name string) Fault {
	for _, fault := range Faults {
		if fault.Name == name {
			return fault
		}
	}
	panic("faults: no fault is called " + name)
}

// Faults are all there are, but for what a Film itself is.
var Faults = []Fault{
	{Name: "ignores Range", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		r.Header.Del("Range")
		film.Serve(w, r)
	}},
	{Name: "ignores Range, chunked", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		w.Header().Set("ETag", film.Tag)
		pour(w, http.StatusOK, film.Bytes, 10000, 0)
	}},
	{Name: "ignores Range, chunked, closed in mid-body", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		w.Header().Set("ETag", film.Tag)
		pour(w, http.StatusOK, film.Bytes[:len(film.Bytes)/2], 10000, 0)
		end(w, false)
	}},
	{Name: "HTTP/1.0", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, ranged := film.Span(r)
		if !ranged {
			raw(w, fmt.Sprintf("HTTP/1.0 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s", film.Tag, len(film.Bytes), film.Bytes))
			return
		}
		raw(w, fmt.Sprintf("HTTP/1.0 206 Partial Content\r\nETag: %s\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%s",
			film.Tag, from, to-1, len(film.Bytes), to-from, film.Bytes[from:to]))
	}},
	{Name: "HTTP/1.0 without length or Range", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		raw(w, fmt.Sprintf("HTTP/1.0 200 OK\r\nETag: %s\r\n\r\n%s", film.Tag, film.Bytes))
	}},
	{Name: "drips", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		pour(w, code, film.Bytes[from:to], 4000, 10*time.Millisecond)
	}},
	{Name: "206 chunked", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		w.Header().Del("Content-Length")
		pour(w, code, film.Bytes[from:to], 10000, 0)
	}},
	{Name: "206 chunked, closed in mid-body", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		w.Header().Del("Content-Length")
		pour(w, code, film.Bytes[from:(from+to)/2], 10000, 0)
		end(w, false)
	}},
	{Name: "206 without total length", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		if code == http.StatusPartialContent {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to-1))
		}
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "206 without Content-Range", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		w.Header().Del("Content-Range")
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "206 of several parts", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		if r.Header.Get("Range") != "" {
			r.Header.Set("Range", r.Header.Get("Range")+",20-29")
		}
		film.Serve(w, r)
	}},
	{Name: "206 of another place", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 1, 1)
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "206 of more", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 10)
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "206 of less", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		film.cap(r, 20000)
		film.Serve(w, r)
	}},
	{Name: "206 of less, without total length", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		film.cap(r, 20000)
		from, to, code := film.Part(w, r, 0, 0)
		if code == http.StatusPartialContent {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to-1))
		}
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "206 with more than it says", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		w.Header().Set("Content-Length", strconv.Itoa(to-from+1000))
		pour(w, code, append(bytes.Clone(film.Bytes[from:to]), make([]byte, 1000)...), to-from, 0)
	}},
	{Name: "206 with less than it says", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		w.Header().Set("Content-Length", strconv.Itoa(to-from-1000))
		pour(w, code, film.Bytes[from:to-1000], to-from, 0)
	}},
	{Name: "206 of a longer file", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		if code == http.StatusPartialContent {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, 2*len(film.Bytes)))
		}
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "206 of a shorter file", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		Film{film.Bytes[:len(film.Bytes)/2], film.Tag}.Serve(w, r)
	}},
	{Name: "206 without validators", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		w.Header().Del("ETag")
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "416", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		if r.Header.Get("Range") == "" {
			film.Serve(w, r)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(film.Bytes)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	}},
	{Name: "416 to a range past the end", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		film.refuse(w, r, fmt.Sprintf("bytes */%d", len(film.Bytes)))
	}},
	{Name: "416 to a range past the end, without length", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		film.refuse(w, r, "")
	}},
	{Name: "Content-Encoding that is no coding", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		w.Header().Set("Content-Encoding", "aws-chunked")
		from, to, code := film.Part(w, r, 0, 0)
		pour(w, code, film.Bytes[from:to], to-from, 0)
	}},
	{Name: "Content-Encoding in spite of identity", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		var coded bytes.Buffer
		z := gzip.NewWriter(&coded)
		_, _ = z.Write(film.Bytes[from:to])
		_ = z.Close()
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(coded.Len()))
		pour(w, code, coded.Bytes(), coded.Len(), 0)
	}},
	{Name: "early hints", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		film.Serve(w, r)
	}},
	{Name: "redirect", Answer: status(http.StatusFound)},
	{Name: "no content", Answer: status(http.StatusNoContent)},
	{Name: "401", Answer: status(http.StatusUnauthorized)},
	{Name: "403", Answer: status(http.StatusForbidden)},
	{Name: "404", Answer: status(http.StatusNotFound)},
	{Name: "429", Answer: status(http.StatusTooManyRequests)},
	{Name: "500", Answer: status(http.StatusInternalServerError)},
	{Name: "503", Answer: status(http.StatusServiceUnavailable)},
	{Name: "404, closed in mid-body", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		w.Header().Set("Content-Length", "1000")
		pour(w, http.StatusNotFound, []byte("not fou"), 1000, 0)
		end(w, false)
	}},
	{Name: "HTML", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		w.Header().Set("ETag", `"page"`)
		http.ServeContent(w, r, "page.html", Modified, strings.NewReader(Page))
	}},
	{Name: "HTML, Range ignored", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(Page))
	}},
	{Name: "empty", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		Film{nil, `"empty"`}.Serve(w, r)
	}},
	{Name: "no HTTP", Answer: func(w http.ResponseWriter, r *http.Request, film Film) { raw(w, "* BYE see you\r\n") }},
	{Name: "closed before the answer", Hangs: true, Answer: func(w http.ResponseWriter, r *http.Request, film Film) { end(w, false) }},
	{Name: "reset before the answer", Hangs: true, Answer: func(w http.ResponseWriter, r *http.Request, film Film) { end(w, true) }},
	{Name: "closed in mid-body", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		pour(w, code, film.Bytes[from:(from+to)/2], 10000, 0)
		end(w, false)
	}},
	{Name: "reset in mid-body", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		from, to, code := film.Part(w, r, 0, 0)
		pour(w, code, film.Bytes[from:(from+to)/2], 10000, 0)
		end(w, true)
	}},
	{Name: "another version", Answer: func(w http.ResponseWriter, r *http.Request, film Film) { film.Other().Serve(w, r) }},
	{Name: "replicas with different tags", Answer: func(w http.ResponseWriter, r *http.Request, film Film) {
		Film{film.Bytes, fmt.Sprintf(`"replica %d"`, turn.Add(1))}.Serve(w, r)
	}},
}

var turn atomic.Int64

// Page is what the fault "HTML" answers with.
const Page = "<!doctype html><title>Sign in</title>"

func status(code int) func(http.ResponseWriter, *http.Request, Film) {
	return func(w http.ResponseWriter, r *http.Request, _ Film) {
		w.Header().Set("X-Fault", r.URL.Path)
		w.Header().Set("WWW-Authenticate", "Basic")
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Location", "/elsewhere?"+r.URL.RawQuery)
		w.WriteHeader(code)
	}
}

// Part sets the headers for what is asked for, moved by those differences, and returns what that is and its status.
func (f Film) Part(w http.ResponseWriter, r *http.Request, later, longer int) (from, to, code int) {
	from, to, ranged := f.Span(r)
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Last-Modified", Modified.UTC().Format(http.TimeFormat))
	w.Header().Set("ETag", f.Tag)
	code = http.StatusOK
	if ranged {
		code = http.StatusPartialContent
		from += later
		to = max(from+1, min(to+longer, len(f.Bytes)))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(f.Bytes)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(to-from))
	return from, to, code
}

// cap makes a range shorter.
func (f Film) cap(r *http.Request, most int) {
	from, to, ranged := f.Span(r)
	if ranged && to > from+most {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+most-1))
	}
}

// refuse answers 416 to a range that reaches past the end, instead of what there is.
func (f Film) refuse(w http.ResponseWriter, r *http.Request, contentRange string) {
	_, last, _ := strings.Cut(r.Header.Get("Range"), "-")
	if to, err := strconv.Atoi(last); err != nil || to < len(f.Bytes) {
		f.Serve(w, r)
		return
	}
	if contentRange != "" {
		w.Header().Set("Content-Range", contentRange)
	}
	w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
}

// pour sends a body in pieces.
func pour(w http.ResponseWriter, code int, body []byte, piece int, pause time.Duration) {
	w.WriteHeader(code)
	for ; len(body) > 0; time.Sleep(pause) {
		n := min(piece, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		body = body[n:]
	}
}

// end ends the connection, by a reset or by what looks like a regular end.
func end(w http.ResponseWriter, reset bool) {
	connection, _ := hijack(w)
	if tcp, ok := connection.(*net.TCPConn); ok && reset {
		time.Sleep(50 * time.Millisecond) // what was sent shall arrive
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// raw sends an answer without net/http's help, but with the headers that are set, and ends the connection.
func raw(w http.ResponseWriter, answer string) {
	header := w.Header().Clone()
	connection, buffered := hijack(w)
	status, rest, _ := strings.Cut(answer, "\r\n")
	_, _ = buffered.WriteString(status + "\r\n")
	_ = header.Write(buffered)
	_, _ = buffered.WriteString(rest)
	_ = buffered.Flush()
	_ = connection.Close()
}

func hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // as good an end
	}
	return connection, buffered
}
