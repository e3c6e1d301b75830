package mp4

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"strings"

	"github.com/traefik-mp4/mp4/internal/budget"
	"github.com/traefik-mp4/mp4/internal/origin"
)

// outcome is what is left to do when a transfer has ended.
type outcome int

const (
	answered  outcome = iota // nothing: the client has its answer, or is gone
	passedOn                 // the plain file is the answer; nothing was written yet
	brokenOff                // the answer cannot be completed, and the client must see that
)

// transfer is one client's request on its way through.
type transfer struct {
	*options
	client   *origin.Client
	interval msInterval
	key      string // of the file, in the cache
	file     origin.File
}

// newTransfer makes the transfer of a request that next has the file for. name is the middleware's.
func newTransfer(o *options, name string, next http.Handler, rw http.ResponseWriter, req *http.Request, iv msInterval) *transfer {
	prefix := req.Header.Get("X-Forwarded-Prefix") // what stripPrefix took away: paths alike may be of two origins
	return &transfer{
		options: o,
		client: &origin.Client{
			Request:    req,
			Writer:     rw,
			Next:       next,
			Query:      withoutArguments(o.args, req.URL.RawQuery),
			BufferSize: o.bufferSize,
			MaxSearch:  o.maxMoov,
			Lease:      budget.NewLease(metadata),
		},
		interval: iv,
		key:      strings.Join([]string{name, o.effective, req.Host, prefix, req.URL.EscapedPath()}, "\x00"),
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
	r := newResponse(t.client, t.options, t.interval, t.file.State())
	if precondition(r) {
		return r, nil
	}
	c, err := planCut(t, e)
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
	return r, locateParts(r, t.file, e.movie)
}

// planCut is the cut that the request asks for.
func planCut(t *transfer, e *cachedIndex) (*cut, error) {
	c := plannedCut(e.plans, t.interval, t.seek)
	if c != nil {
		return c, nil
	}
	m := e.movie
	var err error
	switch {
	case everything(t.interval):
		c, err = m.remux()
	case m.fragments != nil:
		c, err = m.cutFragments(t.file, t.interval, t.seek)
	default:
		c, err = m.cutProgressive(t.interval, t.seek)
	}
	if err != nil {
		return nil, err
	}
	c.interval = t.interval
	c.seek = t.seek
	keepPlan(e.plans, c)
	return c, nil
}

// findIndex returns the file's tables: from the cache, from a request that is reading them already, or read by this
// one.
func findIndex(t *transfer, try int) (*cachedIndex, error) {
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
		e, f, leads := lookUp(indexes, t.key, t.client.Query, t.client.Seen, t.interval == everythingAsked)
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
		if f.entry != nil && rankOf(f.entry, t.client.Query, t.client.Seen, t.interval == everythingAsked) > 0 {
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
func useIndex(t *transfer, e *cachedIndex) (*cachedIndex, error) {
	if e.err != nil && t.root == "" && !everything(t.interval) {
		return t.read(true)
	}
	if t.file == nil {
		t.file = origin.KnownFile(t.client, e.version)
	}
	return e, nil
}

// lead reads the index for all who wait on f.
func (t *transfer) lead(f *flight) (*cachedIndex, error) {
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
func (t *transfer) read(ranges bool) (*cachedIndex, error) {
	if t.file == nil {
		f, err := origin.Open(t.client, ranges)
		if err != nil {
			return nil, err
		}
		t.file = f
	}
	e := &cachedIndex{key: t.key, query: t.client.Query, plans: &recentCuts{}}
	// A stream's index would save nothing: its bytes come along all the same.
	streamed := origin.Streams(t.file)
	switch {
	case t.interval == everythingAsked && streamed:
		e.err = origin.ErrNoRanges // held back until the moov comes, the film would begin later than as it is
	case t.interval == everythingAsked && moovAhead(t.file, t.bufferSize):
		e.err = origin.ErrPass
	default:
		e.movie, e.err = findMovie(t.file, t.maxMoov)
	}
	notOurs := errors.Is(e.err, errNotMP4) || errors.Is(e.err, errFragmented)
	unfit := errors.Is(e.err, errFormat) || errors.Is(e.err, origin.ErrTooLarge)
	e.plain = t.interval == everythingAsked && (unfit || errors.Is(e.err, origin.ErrNoRanges) || errors.Is(e.err, origin.ErrPass))
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
		origin.Close(t.file)
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
		return brokenOff
	case errors.Is(err, origin.ErrPass) || errors.Is(err, errNotMP4) || errors.Is(err, errFragmented):
		return passedOn
	case errors.Is(err, budget.ErrNoMemory):
		t.log(err)
		t.client.Writer.Header().Set("Retry-After", "10")
		return t.refuse(http.StatusServiceUnavailable)
	case errors.Is(err, fs.ErrNotExist):
		return t.refuse(http.StatusNotFound)
	case errors.Is(err, fs.ErrPermission):
		return t.refuse(http.StatusForbidden)
	case t.interval == everythingAsked && (errors.Is(err, errFormat) || errors.Is(err, origin.ErrMisbehaving) && t.file == nil):
		t.log(err) // but who asked for nothing special gets what there is
		return passedOn
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
