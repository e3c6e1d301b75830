package mp4

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"

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
	whole    bool   // nothing is to be cut off
	key      string // of the file, in the cache
	file     origin.File
	try      int
	changed  error // how the try before ended, if the file changed under it
	out      outcome
}

// runTransfer tries until a try ends otherwise than by a change of the file or for want of memory.
func runTransfer(t *transfer) {
	defer rescue(t)
	for {
		r, err := prepare(t)
		if err == nil {
			err = sendResponse(r, t.file)
		}
		if err == nil {
			return
		}
		if err = tryAgain(t, err); err != nil {
			t.out = endTransfer(t, err)
			return
		}
	}
}

// rescue ends a transfer that a panic has ended.
func rescue(t *transfer) {
	if r := recover(); r != nil {
		t.out = endTransfer(t, fmt.Errorf("%w: panic: %v", errFormat, r))
	}
}

// maxTries bounds how often a request starts over because the file changed under it. The last try asks for the file in
// one piece: replicas that differ, asked in turn, change it every time.
const maxTries = 3

// tryAgain prepares another try after one that ended with err, or returns the error that the transfer ends with.
func tryAgain(t *transfer, err error) error {
	switch {
	case t.client.Started:
		return err
	case errors.Is(err, origin.ErrChanged) && t.try < maxTries:
		t.changed = err
		t.try++
		closeTransfer(t)
		return nil
	case errors.Is(err, origin.ErrNoRanges) && t.changed != nil:
		return t.changed // that the last try could not do without ranges is not what is wrong
	case errors.Is(err, budget.ErrNoMemory):
		closeFile(t)
		if t.client.Lease.Renew(t.client.Request.Context()) {
			return nil
		}
	}
	return err
}

// prepare goes as far as nothing is sent: index, conditions, cut. It has returned before the media are, which may take
// hours, so that its variables hold no memory meanwhile.
func prepare(t *transfer) (*response, error) {
	e, err := findIndex(t)
	if err != nil {
		return nil, err
	}
	if e.err != nil || t.whole && e.asIs {
		return nil, unanswered(e)
	}
	c := plannedCut(e.plans, t.interval, t.seek)
	r := newResponse(t, e, c)
	if precondition(r) {
		return r, nil
	}
	if c == nil {
		if c, err = planCut(t, e, r.etag); err != nil {
			return refusal(r, err)
		}
	}
	fitRange(r, c)
	if e.movie.fragments == nil {
		return r, nil
	}
	return r, locateParts(r, t.file, e.movie)
}

// newResponse makes the response to a request for a cut of a file, which is nil if it has to be planned yet.
func newResponse(t *transfer, e *cachedIndex, c *cut) *response {
	r := &response{options: t.options, client: t.client, modified: e.modified, code: http.StatusOK, w: t.client.Writer}
	if c != nil {
		r.etag = c.tag
	} else {
		r.etag = cutTag(t, e)
	}
	return r
}

// cutFormat is to be raised whenever a cut of the same file would have other bytes than before.
const cutFormat = 3

// cutTag makes the cut's tag from the file's and from what was asked: the same on every replica of the origin and of
// Traefik.
func cutTag(t *transfer, e *cachedIndex) string {
	if e.tagged == "" {
		return ""
	}
	seek := t.seek
	if t.whole {
		seek = "whole" // in each mode the same
	}
	start := t.interval.start
	if start < 0 {
		start = 0
	}
	of := fmt.Sprintf("%d\n%s\n%d\n%d\n%s", cutFormat, seek, start, t.interval.end, e.tagged)
	return fmt.Sprintf(`%s"%.12x"`, e.weak, sha256.Sum256([]byte(of)))
}

// unanswered is why there is nothing to cut.
func unanswered(e *cachedIndex) error {
	if e.err == nil || e.plain {
		return origin.ErrPass
	}
	return e.err
}

// refusal is the response where there is no cut. For a client's mistake nginx answers 500; the address names nothing, so
// it is 404 here.
func refusal(r *response, err error) (*response, error) {
	if errors.Is(err, errPastEnd) {
		r.code = http.StatusNotFound
		return r, nil
	}
	return nil, err
}

// planCut makes the cut that the request asks for.
func planCut(t *transfer, e *cachedIndex, tag string) (*cut, error) {
	m := e.movie
	var c *cut
	var err error
	if t.whole {
		c, err = m.remux()
	} else if m.fragments != nil {
		c, err = m.cutFragments(t.file, t.interval, t.seek)
	} else {
		c, err = m.cutProgressive(t.interval, t.seek)
	}
	if err != nil {
		return nil, err
	}
	c.interval = t.interval
	c.seek = t.seek
	c.tag = tag
	keepPlan(e.plans, c)
	return c, nil
}

// findIndex returns the file's tables: from the cache, from a request that is reading them already, or read by this
// one.
func findIndex(t *transfer) (*cachedIndex, error) {
	if t.root != "" {
		if err := openFile(t); err != nil {
			return nil, err
		}
	}
	if t.try > 1 && isBlind(t) {
		return t.read(t.try < maxTries)
	}
	e, f := lookUp(indexes, t.key, t.client, t.interval.start < 0)
	if e == nil {
		return t.awaitIndex(f)
	}
	return useIndex(t, e)
}

// isBlind reports whether another try has to do without what is known of the file.
func isBlind(t *transfer) bool { return t.try == maxTries || t.client.Seen == nil }

// openFile opens the file below root. Its version is known before its index is.
func openFile(t *transfer) error {
	f, err := origin.OpenLocal(t.client, t.root)
	if err != nil {
		return err
	}
	t.file = f
	return nil
}

// awaitIndex returns the index that a flight brings, or the next one.
func (t *transfer) awaitIndex(f *flight) (*cachedIndex, error) {
	plain := t.interval == everythingAsked
	for f.leader != t.client {
		budget.Either(f.landed, t.client.Request.Context())
		if err := t.client.Request.Context().Err(); err != nil {
			return nil, err
		}
		if f.entry != nil && rankOf(f.entry, t.client, plain) > 0 {
			return useIndex(t, f.entry)
		}
		if !f.retry {
			return t.read(true)
		}
		e, next := lookUp(indexes, t.key, t.client, plain)
		if e != nil {
			return useIndex(t, e)
		}
		f = next
	}
	return t.lead(f)
}

// useIndex takes an index that another request has read. Whether this client may have it, the origin will say.
func useIndex(t *transfer, e *cachedIndex) (*cachedIndex, error) {
	if e.err != nil && isStale(t) {
		return t.read(true)
	}
	if t.file == nil {
		t.file = origin.KnownFile(t.client, e.version)
	}
	return e, nil
}

// isStale reports whether it is to be found out again that there is no index. That is known of the request only that
// found out: the next client may get the film where that one got a page to sign in, and nobody would ask the origin again.
func isStale(t *transfer) bool { return !t.whole && t.root == "" }

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
	e.asIs = e.err == nil && (e.movie.moovFirst || e.movie.fragments != nil)
	e.setVersion(t.file.State())
	e.shared = e.version.Known() && e.version.Size >= 0 && (e.plain || !streamed)
	if e.shared {
		indexes.add(e)
	}
	return e, nil
}

// closeTransfer ends what is under way at the origin and gives back the memory.
func closeTransfer(t *transfer) {
	closeFile(t)
	if t.client.Lease.Held > 0 {
		budget.Release(t.client.Lease)
	}
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
