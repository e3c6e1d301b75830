package rig

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Request is what an origin was asked and what it answered.
type Request struct {
	Method, URI, Host string
	Header            http.Header
	Status            int
	Bytes             int64 // of the body, as the handler wrote them
	Aborted           bool  // the asker went away before the handler was done
}

// Origin is an HTTP server that remembers its requests.
type Origin struct {
	URL         string
	connections atomic.Int64

	mutex    sync.Mutex
	finished *sync.Cond
	inFlight int
	requests []Request
}

// NewOrigin serves a handler, which may do what it likes.
func NewOrigin(tb testing.TB, handler http.Handler) *Origin {
	tb.Helper()
	return NewOriginAt(tb, nil, handler)
}

// NewOriginAt is NewOrigin at a listener; nil means a port of loopback that the kernel picks.
func NewOriginAt(tb testing.TB, listener net.Listener, handler http.Handler) *Origin {
	tb.Helper()
	o := &Origin{}
	o.finished = sync.NewCond(&o.mutex)
	server := httptest.NewUnstartedServer(o.record(handler))
	if listener != nil {
		server.Listener.Close()
		server.Listener = listener
	}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			o.connections.Add(1)
		}
	}
	server.Start()
	tb.Cleanup(server.Close)
	o.URL = server.URL
	return o
}

// FileServer serves a folder with net/http's file server and strong ETags.
func FileServer(tb testing.TB, dir string) *Origin {
	tb.Helper()
	return NewOrigin(tb, Files(dir))
}

// Files is a file server that gives out strong ETags, which http.FileServer leaves to its caller.
func Files(dir string) http.Handler {
	files := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path.Clean("/"+r.URL.Path))))
		if err == nil && info.Mode().IsRegular() {
			w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		}
		files.ServeHTTP(w, r)
	})
}

func (o *Origin) record(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mutex.Lock()
		o.inFlight++
		o.mutex.Unlock()
		request := Request{Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header.Clone()}
		counter := &countingWriter{ResponseWriter: w}
		// Deferred, so that a handler may abort its answer by a panic.
		defer func() {
			request.Status, request.Bytes, request.Aborted = counter.status, counter.bytes, r.Context().Err() != nil
			o.mutex.Lock()
			o.inFlight--
			o.requests = append(o.requests, request)
			o.mutex.Unlock()
			o.finished.Broadcast()
		}()
		handler.ServeHTTP(counter, r)
	})
}

// Take returns the requests since the last Take in the order in which they ended. It waits for those in flight, for ten seconds at most.
func (o *Origin) Take() []Request {
	var late atomic.Bool
	timer := time.AfterFunc(10*time.Second, func() {
		late.Store(true)
		o.finished.Broadcast()
	})
	defer timer.Stop()
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for o.inFlight > 0 && !late.Load() {
		o.finished.Wait()
	}
	requests := o.requests
	o.requests = nil
	return requests
}

// InFlight counts the requests that are being answered.
func (o *Origin) InFlight() int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.inFlight
}

// Connections counts the connections that were opened so far.
func (o *Origin) Connections() int64 { return o.connections.Load() }

type countingWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countingWriter) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom keeps sendfile, by which a file server sends its files.
func (w *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
