// Package mp4 is a Traefik middleware plugin that cuts MP4 files on the fly:
//
//	GET /film.mp4?start=238.88&end=300
//
// is answered with a complete, playable MP4 that begins at second 238.88, without transcoding, whatever HTTP origin the
// film lies behind. It does for any Traefik router what ngx_http_mp4_module does for nginx's own disk.
package mp4

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"

	"github.com/traefik-mp4/mp4/internal/budget"
	"github.com/traefik-mp4/mp4/internal/origin"
)

// Config is the plugin's part of Traefik's dynamic configuration. Scalars are strings, because a value that Traefik
// cannot decode into its field makes it drop the router without naming the option.
type Config struct {
	// BufferSize is how many bytes the first read asks for while looking for the moov: digits with an optional k, m
	// or g. Default 512K.
	BufferSize string `json:"bufferSize,omitempty"`

	// MaxBufferSize is the largest moov, or search for one, that a request may hold in memory: a size as above.
	// Where BufferSize is larger, that counts. Default 10M.
	MaxBufferSize string `json:"maxBufferSize,omitempty"`

	// Seek is "exact" (begin at the key frame before start, hidden by an edit list), "keyframe" (begin visibly at that
	// key frame) or "sample" (cut every track where nginx does). Default exact.
	Seek string `json:"seek,omitempty"`

	// Root is a folder whose files are served instead of asking the next handler. Default none.
	Root string `json:"root,omitempty"`

	// Extensions of the paths that are handled, in any case; * handles every path. Default .mp4, .m4v, .m4a, .mov.
	Extensions []string `json:"extensions,omitempty"`

	// StartParam and EndParam are the names of the query arguments: letters, digits, and any of -_.~ in any case.
	// Default start and end.
	StartParam string `json:"startParam,omitempty"`
	EndParam   string `json:"endParam,omitempty"`

	// Faststart puts the moov first for plain requests too: true or false. Default false.
	Faststart string `json:"faststart,omitempty"`

	// LimitRate paces a response to this multiple of its average bit rate, e.g. 1.1; 0 does not. Default 0.
	LimitRate string `json:"limitRate,omitempty"`

	// LimitRateAfter is the media time that is sent before pacing begins: a Go duration, or seconds. Default 60s.
	LimitRateAfter string `json:"limitRateAfter,omitempty"`

	// CacheSize is the memory for parsed indexes, shared by all instances: a size as above; 0 turns it off. Default 64M.
	CacheSize string `json:"cacheSize,omitempty"`

	// MaxMemory is the memory that all requests in flight may hold for metadata: a size as above. Default 256M.
	MaxMemory string `json:"maxMemory,omitempty"`
}

// CreateConfig returns the defaults. Those of Extensions are New's, since Traefik might merge a list into a longer one.
func CreateConfig() *Config {
	return &Config{
		BufferSize:     "512K",
		MaxBufferSize:  "10M",
		Seek:           "exact",
		StartParam:     "start",
		EndParam:       "end",
		Faststart:      "false",
		LimitRate:      "0",
		LimitRateAfter: "60s",
		CacheSize:      "64M",
		MaxMemory:      "256M",
	}
}

// plugin is one instance of the middleware.
type plugin struct {
	*options
	scope string // of its entries in the cache
	next  http.Handler
	files http.Handler // where plain files come from: next, or the folder root
}

// New makes an instance. It succeeds whether or not root exists: the folder may be mounted later.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	o, err := config.parse()
	if err != nil {
		return nil, fmt.Errorf("mp4: %w", err)
	}
	log.SetFlags(0) // Traefik logs what log prints as errors, with a time of its own
	// Traefik ignores misspelt options without a word: this is where to see what is in effect.
	fmt.Println("mp4: " + name + ": " + o.effective)
	allInstances.join(ctx, o.cacheSize, o.maxMemory)
	p := &plugin{options: o, scope: name + "\x00" + o.effective, next: next, files: next}
	if o.root != "" {
		p.files = &origin.Folder{Root: o.root}
	}
	return newHandler(p), nil
}

// newHandler hands on what is not ours as it came, with the writer that it came with, and answers the rest. What it
// returns is short because an interpreted function costs by its size, whichever way is taken through it: a request
// without a query is matched, too. And it is a function: compiled code calls a method at twice the price.
//
// There is no recover here: the panic that breaks off a response has to reach the server.
func newHandler(p *plugin) http.Handler {
	if p.faststart || p.root != "" {
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { route(p, rw, req) })
	}
	next, pattern := p.next, p.args.pattern
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if pattern.MatchString(req.URL.RawQuery) {
			route(p, rw, req)
			return
		}
		next.ServeHTTP(rw, req)
	})
}

// methods are those of requests that are ours.
var methods = map[string]bool{http.MethodGet: true, http.MethodHead: true}

// route sorts out whose a request is.
func route(p *plugin, rw http.ResponseWriter, req *http.Request) {
	if !methods[req.Method] || !p.paths.MatchString(req.URL.Path) {
		p.next.ServeHTTP(rw, req)
		return
	}
	found := p.args.pattern.FindAllStringSubmatch(req.URL.RawQuery, -1)
	iv := parseInterval(found)
	if iv.start < 0 && !p.faststart {
		p.files.ServeHTTP(rw, req)
		return
	}
	t := newTransfer(p, rw, req, iv, found)
	runTransfer(t)
	closeTransfer(t)
	switch t.out {
	case passedOn:
		p.files.ServeHTTP(rw, req)
	case brokenOff:
		abort(req)
	}
}

// newTransfer makes the transfer of a request for an interval, by the arguments that were found in its query.
func newTransfer(p *plugin, rw http.ResponseWriter, req *http.Request, iv msInterval, found [][]string) *transfer {
	o, u := p.options, req.URL
	key := []string{p.scope, req.Host, u.EscapedPath()}
	key = append(key, req.Header["X-Forwarded-Prefix"]...) // what stripPrefix took away: paths alike may be of two origins
	return &transfer{
		options: o,
		client: &origin.Client{
			Request:    req,
			Writer:     rw,
			Next:       p.next,
			Query:      withoutArguments(o.args, u.RawQuery, found),
			BufferSize: o.bufferSize,
			MaxSearch:  o.maxMoov,
			Lease:      &budget.Lease{Of: metadata},
		},
		interval: iv,
		whole:    iv.start <= 0 && iv.end < 0,
		key:      strings.Join(key, "\x00"),
		try:      1,
	}
}

// abort breaks the client's connection off, so that a body with a length behind a middleware that drops the length
// (compress) does not look complete. The panic must be raised by compiled code: one from here reaches the server as
// another value than http.ErrAbortHandler, and Traefik logs it with its stack. So a proxy is given a body that fails.
func abort(req *http.Request) {
	var failing http.RoundTripper = failure{}
	proxy := &httputil.ReverseProxy{Director: func(*http.Request) {}, Transport: failing}
	proxy.ServeHTTP(&nowhere{header: http.Header{}}, req)
}

// failure answers every request with a body that breaks off.
type failure struct{}

// RoundTrip fails with context.Canceled, which the proxy does not log. (Yaegi mixes up parameters without names.)
func (f failure) RoundTrip(req *http.Request) (*http.Response, error) {
	r, w := io.Pipe()
	_ = w.CloseWithError(context.Canceled)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: r, ContentLength: 1, Request: req}, nil
}

// nowhere is a writer whose answer nobody gets.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(status int)      {}

// parse reads the options. The error names the option, the value and what is accepted.
func (c *Config) parse() (*options, error) {
	o := &options{root: strings.TrimSpace(c.Root)}
	var err error
	if o.bufferSize, err = parseSize("bufferSize", c.BufferSize, 1); err != nil {
		return nil, err
	}
	if o.maxMoov, err = parseSize("maxBufferSize", c.MaxBufferSize, 1); err != nil {
		return nil, err
	}
	o.maxMoov = maxInt64(o.maxMoov, o.bufferSize)
	if o.seek, err = parseSeek(c.Seek); err != nil {
		return nil, err
	}
	if o.paths, err = parseExtensions(c.Extensions); err != nil {
		return nil, err
	}
	if o.args, err = parseParams(c.StartParam, c.EndParam); err != nil {
		return nil, err
	}
	if o.faststart, err = strconv.ParseBool(strings.TrimSpace(c.Faststart)); err != nil {
		return nil, fmt.Errorf("faststart: %q: want true or false", c.Faststart)
	}
	if o.limitRate, err = parseFactor("limitRate", c.LimitRate); err != nil {
		return nil, err
	}
	if o.limitRateAfter, err = parseDuration("limitRateAfter", c.LimitRateAfter); err != nil {
		return nil, err
	}
	if o.cacheSize, err = parseSize("cacheSize", c.CacheSize, 0); err != nil {
		return nil, err
	}
	if o.maxMemory, err = parseSize("maxMemory", c.MaxMemory, 1); err != nil {
		return nil, err
	}
	o.effective = c.words(o)
	return o, nil
}

// words names every option in effect.
func (c *Config) words(o *options) string {
	return fmt.Sprintf("bufferSize=%d maxBufferSize=%d seek=%s root=%q extensions=%s startParam=%s endParam=%s "+
		"faststart=%t limitRate=%g limitRateAfter=%s cacheSize=%d maxMemory=%d",
		o.bufferSize, o.maxMoov, o.seek, o.root, strings.Join(splitList(c.Extensions), ","),
		strings.TrimSpace(c.StartParam), strings.TrimSpace(c.EndParam),
		o.faststart, o.limitRate, o.limitRateAfter.String(), o.cacheSize, o.maxMemory)
}
