// Package mp4 is a Traefik middleware plugin that cuts MP4 files on the fly:
//
//	GET /film.mp4?start=238.88&end=300
//
// is answered with a complete, playable MP4 that begins at second 238.88, without transcoding, whatever HTTP origin the
// film lies behind. It does for any Traefik router what ngx_http_mp4_module does for nginx's own disk.
package mp4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httputil"
	"path"
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
	name  string
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
	shared.join(ctx, o.cacheSize, o.maxMemory)
	p := &plugin{options: o, name: name, next: next, files: next}
	if o.root != "" {
		p.files = &origin.Folder{Root: o.root}
	}
	return p, nil
}

// ServeHTTP hands on what is not ours as it came, with the writer that it came with, and answers the rest. It is short
// because an interpreted function costs by its size, whichever way is taken through it; what costs least comes first.
//
// There is no recover here: the panic that breaks off a response has to reach the server.
func (p *plugin) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if !p.plain && (req.URL.RawQuery == "" || !p.args.either.MatchString(req.URL.RawQuery)) {
		p.next.ServeHTTP(rw, req)
		return
	}
	route(p, rw, req)
}

// route sorts out whose a request is.
func route(p *plugin, rw http.ResponseWriter, req *http.Request) {
	handled := (req.Method == http.MethodGet || req.Method == http.MethodHead) &&
		(p.everyPath || p.extensions[strings.ToLower(path.Ext(req.URL.Path))])
	if !handled {
		p.next.ServeHTTP(rw, req)
		return
	}
	iv, asked := parseInterval(p.args, req.URL.RawQuery)
	if !asked && !p.faststart {
		p.files.ServeHTTP(rw, req)
		return
	}
	respond(p, rw, req, iv)
}

func respond(p *plugin, rw http.ResponseWriter, req *http.Request, iv interval) {
	t := newTransfer(p, rw, req, iv)
	out := runTransfer(t)
	closeTransfer(t)
	switch out {
	case passed:
		p.files.ServeHTTP(rw, req)
	case broken:
		abort(req)
	}
}

// outcome is what is left to do when a transfer has ended.
type outcome int

const (
	answered outcome = iota // nothing: the client has its answer, or is gone
	passed                  // the plain file is the answer; nothing was written yet
	broken                  // the answer cannot be completed, and the client must see that
)

// transfer is one client's request on its way through.
type transfer struct {
	*plugin
	client   *origin.Client
	interval interval
	key      string // of the file, in the cache
	file     origin.File
}

func newTransfer(p *plugin, rw http.ResponseWriter, req *http.Request, iv interval) *transfer {
	prefix := req.Header.Get("X-Forwarded-Prefix") // what stripPrefix took away: paths alike may be of two origins
	return &transfer{
		plugin: p,
		client: &origin.Client{
			Request:    req,
			Writer:     rw,
			Next:       p.next,
			Query:      withoutArguments(p.args, req.URL.RawQuery),
			BufferSize: p.bufferSize,
			MaxSearch:  p.maxMoov,
			Lease:      budget.NewLease(metadata),
		},
		interval: iv,
		key:      strings.Join([]string{p.name, p.effective, req.Host, prefix, req.URL.EscapedPath()}, "\x00"),
	}
}

// maxTries bounds how often a request starts over because the file changed under it. The last try asks for the file in
// one piece: replicas that differ, asked in turn, change it every time.
const maxTries = 3

// runTransfer tries until a try ends otherwise than by a change of the file or for want of memory.
func runTransfer(t *transfer) (out outcome) {
	defer func() {
		if r := recover(); r != nil {
			out = endTransfer(t, fmt.Errorf("%w: panic: %v", errFormat, r))
		}
	}()
	var changed error
	try := 1
	for { // not for try := 1; ; {: Yaegi forgets what the body adds to try
		err := attempt(t, try)
		if err == nil {
			return answered
		}
		switch {
		case t.client.Started:
			return endTransfer(t, err)
		case errors.Is(err, origin.ErrChanged) && try < maxTries:
			changed = err
			try++
			closeTransfer(t)
		case errors.Is(err, origin.ErrNoRanges) && changed != nil:
			return endTransfer(t, changed) // that the last try could not do without ranges is not what is wrong
		case errors.Is(err, budget.ErrNoMemory):
			closeFile(t)
			if !t.client.Lease.Renew(t.client.Request.Context()) {
				return endTransfer(t, err)
			}
		default:
			return endTransfer(t, err)
		}
	}
}

// attempt is the way of a request.
func attempt(t *transfer, try int) error {
	r, err := prepare(t, try)
	if err != nil {
		return err
	}
	return sendResponse(r, t.file)
}

// prepare goes as far as nothing is sent: index, conditions, cut. It has returned before the media are, which may take
// hours, so that its variables hold no memory meanwhile.
func prepare(t *transfer, try int) (*response, error) {
	e, err := findIndex(t, try)
	if err != nil {
		return nil, err
	}
	if e.plain {
		return nil, origin.ErrPass
	}
	if e.err != nil {
		return nil, e.err
	}
	if (e.movie.moovFirst || e.movie.fragments != nil) && everything(t.interval) {
		return nil, origin.ErrPass
	}
	r := newResponse(t, t.file.State())
	if precondition(r) {
		return r, nil
	}
	c, err := planCut(t, e.movie)
	if errors.Is(err, errPastEnd) {
		// For a client's mistake nginx answers 500; the address names nothing, so it is 404 here.
		r.code = http.StatusNotFound
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	fitRange(r, c)
	if e.movie.fragments == nil {
		return r, nil
	}
	return r, locateParts(r, e.movie)
}

// planCut is the cut that the request asks for.
func planCut(t *transfer, m *movie) (*cut, error) {
	c := plannedCut(m.plans, t.interval, t.seek)
	if c != nil {
		return c, nil
	}
	var err error
	switch {
	case everything(t.interval):
		c, err = m.whole()
	case m.fragments != nil:
		c, err = m.cutFragments(t.file, t.interval, t.seek)
	default:
		c, err = m.cut(t.interval, t.seek)
	}
	if err != nil {
		return nil, err
	}
	c.interval = t.interval
	c.seek = t.seek
	keepPlan(m.plans, c)
	return c, nil
}

// findIndex returns the file's tables: from the cache, from a request that is reading them already, or read by this
// one.
func findIndex(t *transfer, try int) (*entry, error) {
	if t.root != "" {
		f, err := origin.OpenLocal(t.client, t.root)
		if err != nil {
			return nil, err
		}
		t.file = f
		t.client.Seen = f.State()
	}
	if try == maxTries || try > 1 && !t.client.Seen.Known() {
		return t.read(try < maxTries)
	}
	for {
		e, f, leads := lookUp(indexes, t.key, t.client.Query, t.client.Seen, t.interval == whole)
		if e != nil {
			return useIndex(t, e)
		}
		if leads {
			return t.lead(f)
		}
		budget.Either(f.landed, t.client.Request.Context())
		if err := t.client.Request.Context().Err(); err != nil {
			return nil, err
		}
		if f.entry != nil && rankOf(f.entry, t.client.Query, t.client.Seen, t.interval == whole) > 0 {
			return useIndex(t, f.entry)
		}
		if !f.retry {
			return t.read(true)
		}
	}
}

// useIndex takes an index that another request has read. Whether this client may have it, the origin will say. That
// there is none is known of that request only: the next client may get the film where that one got a page to sign in,
// and nobody would ask the origin again.
func useIndex(t *transfer, e *entry) (*entry, error) {
	if e.err != nil && t.root == "" && !everything(t.interval) {
		return t.read(true)
	}
	if t.file == nil {
		t.file = origin.Known(t.client, e.version)
	}
	return e, nil
}

// lead reads the index for all who wait on f.
func (t *transfer) lead(f *flight) (*entry, error) {
	defer indexes.land(f)
	e, err := t.read(true)
	f.retry = err != nil && t.client.Request.Context().Err() != nil || err == nil && e.plain
	if err == nil && e.shared {
		f.entry = e
	}
	return e, err
}

// read reads and validates the index, and shares it where the file can be told from its other versions. That a file is
// not for us is worth sharing too, with those who ask for all of it.
func (t *transfer) read(ranges bool) (*entry, error) {
	if t.file == nil {
		f, err := origin.Open(t.client, ranges)
		if err != nil {
			return nil, err
		}
		t.file = f
	}
	e := &entry{key: t.key, query: t.client.Query}
	// A stream's index would save nothing: its bytes come along all the same.
	streamed := origin.Streams(t.file)
	switch {
	case t.interval == whole && streamed:
		e.err = origin.ErrNoRanges // held back until the moov comes, the film would begin later than as it is
	case t.interval == whole && moovAhead(t.file, t.bufferSize):
		e.err = origin.ErrPass
	default:
		e.movie, e.err = findMovie(t.file, t.maxMoov)
	}
	notOurs := errors.Is(e.err, errNotMP4) || errors.Is(e.err, errFragmented)
	unfit := errors.Is(e.err, errFormat) || errors.Is(e.err, origin.ErrTooLarge)
	e.plain = t.interval == whole && (unfit || errors.Is(e.err, origin.ErrNoRanges) || errors.Is(e.err, origin.ErrPass))
	if e.err != nil && !notOurs && !e.plain {
		return nil, e.err
	}
	if e.plain && unfit {
		t.logFormat(e.err)
	}
	if e.movie != nil {
		for _, l := range e.movie.leftOut {
			t.log(fmt.Errorf("cut without a track that is neither sound nor pictures: %w", l.err))
		}
	}
	e.version = t.file.State()
	e.shared = e.version.Known() && e.version.Size >= 0 && (e.plain || !streamed)
	if e.shared {
		indexes.add(e)
	}
	return e, nil
}

// closeTransfer ends what is under way at the origin and gives back the memory.
func closeTransfer(t *transfer) {
	closeFile(t)
	t.client.Lease.Release()
}

func closeFile(t *transfer) {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

// endTransfer turns the error that a transfer ended with into an answer, and says in the log what the owner should
// know.
func endTransfer(t *transfer, err error) outcome {
	switch {
	case errors.Is(err, origin.ErrRelayed) || errors.Is(err, origin.ErrGone) || t.client.Request.Context().Err() != nil:
		return answered
	case t.client.Started:
		t.log(err)
		return broken
	case errors.Is(err, origin.ErrPass) || errors.Is(err, errNotMP4) || errors.Is(err, errFragmented):
		return passed
	case errors.Is(err, budget.ErrNoMemory):
		t.log(err)
		t.client.Writer.Header().Set("Retry-After", "10")
		return t.refuse(http.StatusServiceUnavailable)
	case errors.Is(err, fs.ErrNotExist):
		return t.refuse(http.StatusNotFound)
	case errors.Is(err, fs.ErrPermission):
		return t.refuse(http.StatusForbidden)
	case t.interval == whole && (errors.Is(err, errFormat) || errors.Is(err, origin.ErrMisbehaving) && t.file == nil):
		t.log(err) // but who asked for nothing special gets what there is
		return passed
	case errors.Is(err, errFormat) || errors.Is(err, origin.ErrTooLarge):
		t.logFormat(err)
		return t.refuse(http.StatusInternalServerError)
	}
	t.log(err)
	return t.refuse(http.StatusBadGateway)
}

func (t *transfer) log(err error) { log.Printf("%q %v", t.client.Request.URL.Path, err) }

// logFormat is log with advice.
func (t *transfer) logFormat(err error) {
	if errors.Is(err, origin.ErrTooLarge) {
		err = fmt.Errorf("%w, you may want to increase maxBufferSize", err)
	}
	t.log(err)
}

func (t *transfer) refuse(status int) outcome {
	http.Error(t.client.Writer, http.StatusText(status), status)
	return answered
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
