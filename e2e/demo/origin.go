package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

//go:embed page
var pages embed.FS

// A record is one request for a film that reached the origin.
type record struct {
	ID     int     `json:"id"`
	Method string  `json:"method"`
	URI    string  `json:"uri"`
	Prefix string  `json:"prefix"` // what Traefik stripped from the path, which tells the routers apart
	Range  string  `json:"range"`
	Status int     `json:"status"`
	Bytes  int64   `json:"bytes"`
	Millis float64 `json:"millis"`
}

// keptRecords is more than a page asks for at once.
const keptRecords = 500

// origin serves the page, the films below a folder, and a record of the requests for films.
type origin struct {
	films string
	mux   *http.ServeMux

	mu      sync.Mutex
	last    int
	records []record
}

func newOrigin(films string) (*origin, error) {
	page, err := fs.Sub(pages, "page")
	if err != nil {
		return nil, err
	}
	o := &origin{films: films, mux: http.NewServeMux()}
	o.mux.Handle("GET /", http.FileServerFS(page))
	o.mux.HandleFunc("GET /requests", o.serveRecords)
	o.mux.HandleFunc("GET /{film}", func(w http.ResponseWriter, r *http.Request) {
		if filepath.Ext(r.URL.Path) != ".mp4" {
			http.FileServerFS(page).ServeHTTP(w, r)
			return
		}
		o.serveFilm(w, r)
	})
	return o, nil
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Neither the page nor a film may come from the browser's cache: the page shows what a request costs.
	w.Header().Set("Cache-Control", "no-store")
	o.mux.ServeHTTP(w, r)
}

func (o *origin) serveFilm(w http.ResponseWriter, r *http.Request) {
	file, err := os.OpenInRoot(o.films, r.PathValue("film"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	began := time.Now()
	counted := &counter{ResponseWriter: w, status: http.StatusOK}
	http.ServeContent(counted, r, "", info.ModTime(), file)
	o.add(record{
		Method: r.Method,
		URI:    r.URL.RequestURI(),
		Prefix: r.Header.Get("X-Forwarded-Prefix"),
		Range:  r.Header.Get("Range"),
		Status: counted.status,
		Bytes:  counted.bytes,
		Millis: float64(time.Since(began).Microseconds()) / 1000,
	})
}

func (o *origin) add(r record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	r.ID = o.last
	o.records = append(o.records, r)
	if len(o.records) > keptRecords {
		o.records = o.records[len(o.records)-keptRecords:]
	}
}

// serveRecords answers with the records that are younger than ?after.
func (o *origin) serveRecords(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.Atoi(r.FormValue("after"))
	if err != nil {
		after = 0
	}
	young := []record{}
	o.mu.Lock()
	for _, kept := range o.records {
		if kept.ID > after {
			young = append(young, kept)
		}
	}
	o.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	// The error is the client's going away, which concerns nobody.
	_ = json.NewEncoder(w).Encode(young)
}

// counter counts what is written through it.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}
