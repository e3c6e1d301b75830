package mp4

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/traefik-mp4/mp4/internal/budget"
)

// How requests to an origin end, other than well.
var (
	errPass        = errors.New("mp4: not ours to answer")    // the client's own request goes to the next handler
	errRelayed     = errors.New("mp4: refused by the origin") // the client has the refusal
	errChanged     = errors.New("mp4: the file changed")      // between two requests, or replicas differ
	errGone        = errors.New("mp4: the client is gone")
	errEnd         = errors.New("mp4: the file ends before") // where nobody had said how long it is
	errPastLength  = errors.New("mp4: refused as a range past the end")
	errMisbehaving = errors.New("mp4: the origin misbehaves")
	errNoRanges    = errors.New("mp4: the origin ignores Range and the moov is not at the front: " +
		"let it answer 206, put the moov first, or increase maxBufferSize")
)

// client is whom a file is asked for: the request, what is to be done with it, and what came of that so far.
type client struct {
	request    *http.Request
	writer     http.ResponseWriter // for a refusal
	next       http.Handler        // answers requests for the file
	query      string              // of these
	bufferSize int64               // bytes of the first
	maxSearch  int64               // bytes that may be held in search of the tables
	lease      *budget.Lease
	started    bool     // the client has got a status
	seen       version  // of the file, where it was found to be another than expected
	cookies    []string // Set-Cookie lines in answers to requests of our own
}

// version tells one state of a file from another, by what comes with every answer.
type version struct {
	etag     string
	modified string // Last-Modified as it came
	size     int64  // -1 where the origin does not say
}

// known reports whether there is a validator (RFC 9110, 8.8): a length alone says little.
func (v version) known() bool { return v.etag != "" || v.modified != "" }

// origin is a file behind the next handler, read by range. Requests go out one after another and never two at a time:
// Traefik keeps its log of a client's request in a map without a lock.
type origin struct {
	*told
	window  []byte // what was fetched last
	from    int64  // and where it lies in the file
	fetched int64  // in all, but for hops
	hops    int
	asked   int   // requests for what was fetched
	peeked  int64 // memory taken for the last peek
}

// told is what the answers to a client's requests have told of a file.
type told struct {
	client  *client
	version version
	bound   bool        // every answer must be of that version
	agreed  http.Header // of the first read, which is the origin's consent to this client
	named   int64       // the file's length by an answer that refused a range; 0: none
}

func (o *origin) size() int64    { return o.version.size }
func (o *origin) state() version { return o.version }
func (o *origin) settled() bool  { return false }
func (o *origin) close()         {}

const (
	ahead      = 4 << 10 // fetched beyond a moov: the header of the box behind it is wanted next
	hopLen     = 256     // fetched at most for a hop
	maxHeaders = 1000    // hops of a request
	maxFetches = 10000   // requests of ours for one client's, before the media: some answer little at a time
)

// read answers from the window, by a copy where that is small: a view would keep all of the window in memory with the
// index.
func (o *origin) read(off, n int64) ([]byte, error) {
	return o.get(off, n, maxInt64(n+ahead, o.client.bufferSize))
}

// peek is read that fetches less, for a moment: its memory is given back with the next. The first hop mostly leads to
// the moov, and is a read.
func (o *origin) peek(off, n, atOnce int64) ([]byte, error) {
	if atOnce <= hopLen && o.asked == 0 {
		return o.read(off, n)
	}
	used := o.client.lease.Used()
	b, err := o.get(off, n, maxInt64(n, atOnce))
	if taken := o.client.lease.Used() - used; taken > 0 && err == nil {
		o.client.lease.Reuse(o.peeked)
		o.peeked = taken
	}
	return b, err
}

func (o *origin) reserve(n int64) error { return o.client.lease.Take(n) }

// get is read that fetches so many bytes at once.
func (o *origin) get(off, n, atOnce int64) ([]byte, error) {
	b := o.held(off, n)
	if int64(len(b)) < n && (o.version.size < 0 || off+int64(len(b)) < o.version.size) {
		if err := o.fetch(off, n, atOnce); err != nil {
			return nil, err
		}
		b = o.held(off, n)
	}
	if n >= o.client.bufferSize {
		return b, nil
	}
	return append([]byte(nil), b...), nil
}

// held is what the window has of n bytes at off.
func (o *origin) held(off, n int64) []byte {
	i := off - o.from
	if i < 0 || i >= int64(len(o.window)) {
		return nil
	}
	end := minInt64(i+n, int64(len(o.window)))
	return o.window[i:end:end]
}

// fetch moves the window to off, and asks for what is missing of so many bytes at once: again where an answer is of less
// (RFC 9110, 15.3.7), until n are there.
func (o *origin) fetch(off, n, atOnce int64) error {
	if o.version.size >= 0 {
		n = minInt64(n, o.version.size-off)
		atOnce = minInt64(atOnce, o.version.size-off)
	}
	if err := o.admit(atOnce); err != nil {
		return err
	}
	into := newBuffer(atOnce)
	_, _ = into.data.Write(o.held(off, atOnce)) // to memory: never fails
	before := int64(into.data.Len())
	for int64(into.data.Len()) < n {
		err := fetchOnce(o, off+int64(into.data.Len()), atOnce-int64(into.data.Len()), into)
		if errors.Is(err, errEnd) {
			break
		}
		if err != nil {
			return err
		}
	}
	o.window = into.data.Bytes()
	o.from = off
	if atOnce > hopLen {
		o.fetched += int64(len(o.window)) - before
	}
	return nil
}

// admit bounds what is fetched, and takes memory for it.
func (o *origin) admit(n int64) error {
	if n <= hopLen {
		o.hops++
		if o.hops > maxHeaders {
			return fmt.Errorf("%w: %d requests for box headers that lie apart, and no moov yet", errFormat, maxHeaders)
		}
	} else if o.fetched+n > o.client.maxSearch+2*o.client.bufferSize {
		return fmt.Errorf("%w: %d", errTooLarge, o.fetched+n)
	}
	return o.client.lease.Take(n)
}

// fetchOnce makes a request for up to n bytes at off; a second and a third where the origin refuses a range that
// reaches past the end, of which it has not said before where that is.
func fetchOnce(o *origin, off, n int64, into *buffer) error {
	form := asAsked
	for {
		o.asked++
		if o.asked > maxFetches {
			return fmt.Errorf("%w: %d requests and no index yet", errMisbehaving, maxFetches)
		}
		x := askIn(o, form, off, n, into)
		x.hidden = true
		err := runExchange(x)
		if !errors.Is(err, errPastLength) {
			return err
		}
		next := nextForm(o, form, off, n)
		if next == inOne && form == toEnd {
			return errEnd
		}
		if next == inOne {
			return fmt.Errorf("%w: it refuses bytes from %d on of a file of %d", errMisbehaving, off, o.named)
		}
		form = next
	}
}

// The forms of a request for some bytes, each for an origin that refuses the one before.
const (
	asAsked = iota // bytes=off-(off+n-1)
	within         // no further than the length that the origin has named
	toEnd          // bytes=off-, of which no more is read
	inOne          // without Range
)

// nextForm is the one to try after a range was refused.
func nextForm(o *origin, form int, off, n int64) int {
	switch {
	case form == asAsked && o.named > off && o.named < off+n:
		return within
	case form == asAsked && o.named == 0:
		return toEnd
	}
	return inOne
}

// askIn prepares a request in a form.
func askIn(o *origin, form int, off, n int64, to receiver) *exchange {
	switch form {
	case within:
		n = o.named - off
	case toEnd:
		x := ask(o.told, off, n, to)
		x.open = true
		x.req.Header.Set("Range", "bytes="+strconv.FormatInt(off, 10)+"-")
		return x
	case inOne:
		return ask(o.told, 0, -1, to)
	}
	return ask(o.told, off, n, to)
}

// send streams n bytes at off: by one request, or by as many as it takes where the origin answers less than it is asked
// for.
func (o *origin) send(out receiver, off, n int64) error {
	o.window = nil // no more is read
	flows := false
	for n > 0 {
		x := ask(o.told, off, n, out)
		x.flows = flows
		if err := runExchange(x); err != nil {
			return err
		}
		off += x.length
		n -= x.length
		flows = x.exactly != nil
		if n > 0 && off == o.version.size {
			return fmt.Errorf("%w: the file ends %d bytes early", errMisbehaving, n)
		}
		if err := o.client.request.Context().Err(); n > 0 && err != nil {
			return fmt.Errorf("%w: %v", errGone, err)
		}
	}
	return nil
}

// consent asks for one byte, unless the origin has answered this client already. Not by HEAD: presigned addresses are
// signed for GET.
func (o *origin) consent(out receiver) error {
	if o.agreed != nil {
		_, err := out.begin(o.agreed)
		return err
	}
	return runExchange(ask(o.told, 0, 1, &formality{out}))
}

// formality is a receiver of headers only.
type formality struct{ to receiver }

func (f *formality) native() bool { return false }

func (f *formality) begin(header http.Header) (io.Writer, error) {
	_, err := f.to.begin(header)
	return io.Discard, err
}

// buffer is a receiver that keeps what comes, in compiled code: an exchange lets no more through than was asked for.
type buffer struct{ data *bytes.Buffer }

func newBuffer(n int64) *buffer { return &buffer{bytes.NewBuffer(make([]byte, 0, n))} }

func (b *buffer) native() bool { return true }

func (b *buffer) begin(header http.Header) (io.Writer, error) { return b.data, nil }

// ask prepares a request for n bytes at off; for the whole file without Range where n is negative.
func ask(t *told, off, n int64, to receiver) *exchange {
	ctx, cancel := context.WithCancel(t.client.request.Context())
	// Without a server in its context a ReverseProxy returns when its body breaks, where else it panics.
	ctx = context.WithValue(ctx, http.ServerContextKey, nil)
	req := t.client.request.Clone(ctx)
	req.Method, req.Body, req.ContentLength = http.MethodGet, http.NoBody, 0
	req.URL.RawQuery = t.client.query
	req.RequestURI = req.URL.RequestURI() // Traefik's proxies go by this, not by URL
	for _, name := range conditional {
		delete(req.Header, name)
	}
	req.Header.Set("Accept-Encoding", "identity") // deleted, it would let compress choose
	if n >= 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(off, 10)+"-"+strconv.FormatInt(off+n-1, 10))
	}
	replayCookies(t.client, req)
	x := &exchange{told: t, to: to, off: off, n: n, req: req, cancel: cancel, header: http.Header{}, length: -1}
	x.way = bufio.NewWriterSize(&gate{x}, 1)
	x.Writer = x.way
	return x
}

// conditional are the request headers that would make the answer another than the plain range, and those of a protocol
// switch.
var conditional = []string{
	"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
	"Connection", "Upgrade", "Expect", "Te", "Trailer",
}

// replayCookies sends what the origin has set on the way, so that a sticky load balancer asks the same replica again.
func replayCookies(c *client, req *http.Request) {
	if len(c.cookies) == 0 {
		return
	}
	set := parseCookies(c.cookies)
	newer := make(map[string]bool)
	for _, cookie := range set {
		newer[cookie.Name] = true
	}
	old := req.Cookies()
	req.Header.Del("Cookie")
	for _, cookie := range old {
		if !newer[cookie.Name] {
			req.AddCookie(cookie)
		}
	}
	for _, cookie := range set {
		takenBack := cookie.MaxAge < 0 || cookie.MaxAge == 0 && !cookie.Expires.IsZero() && cookie.Expires.Before(time.Now())
		if !takenBack {
			req.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		}
	}
}

// parseCookies reads Set-Cookie lines, but for those that are none.
func parseCookies(lines []string) []*http.Cookie {
	return (&http.Response{Header: http.Header{"Set-Cookie": lines}}).Cookies()
}

// mergeCookies adds Set-Cookie lines to others. Of those with one name, path and domain the last counts (RFC 6265, 5.3).
func mergeCookies(lines, more []string) []string {
	for _, line := range more {
		var others []string
		for _, other := range lines {
			if !sameCookie(line, other) {
				others = append(others, other)
			}
		}
		lines = append(others, line)
	}
	return lines
}

// sameCookie reports whether one of two Set-Cookie lines takes the place of the other.
func sameCookie(line, other string) bool {
	a, b := parseCookies([]string{line}), parseCookies([]string{other})
	if len(a) == 0 || len(b) == 0 {
		return line == other
	}
	return a[0].Name == b[0].Name && a[0].Path == b[0].Path &&
		strings.EqualFold(strings.TrimPrefix(a[0].Domain, "."), strings.TrimPrefix(b[0].Domain, "."))
}

// exchange is one request of ours: the http.ResponseWriter that the next handler answers to.
//
// The fast proxy calls it from a goroutine of its own, where a panic would end Traefik: hence the guards. What it
// returns when it wants no more is context.Canceled, which Traefik counts as the client's doing.
type exchange struct {
	// Write is that of way, which keeps back one byte at most and can be led elsewhere: to the gate at first, and past it,
	// in compiled code only, once the body is known to flow. Yaegi hands an embedded Write over as it is.
	io.Writer
	way     *bufio.Writer
	beyond  *bufio.Writer // behind the gate,
	exactly *tar.Writer   // and what counts before it; nil: not past the gate

	told    *told
	to      receiver
	opening *opening // for a first read, which may turn into a stream
	open    bool     // the range that is asked for has no end
	flows   bool     // as the body before it did, of which this one is the rest
	hidden  bool     // from the client, whose going away no write tells
	off, n  int64
	req     *http.Request
	cancel  context.CancelFunc
	header  http.Header
	status  int
	body    io.Writer // once begun
	length  int64     // of the body as the headers say, or -1
	left    int64     // of it, at the gate; very much where it is not known
	passed  int64     // the gate
	relayed bool
	err     error
}

// runExchange makes the request and checks that the answer is complete: neither of Traefik's proxies says when it is
// not.
func runExchange(x *exchange) error {
	defer x.cancel()
	callNext(x)
	if x.err == nil && x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.err == nil {
		x.err = checkEnd(x)
	}
	if x.err == nil && x.relayed {
		x.err = errRelayed
	}
	return x.err
}

// checkEnd is what is wrong with how a body ended.
func checkEnd(x *exchange) error {
	_ = x.way.Flush() // at most one byte; what fails, the gate has noted
	if x.err != nil {
		return x.err
	}
	if x.exactly != nil {
		if err := x.beyond.Flush(); err != nil {
			return fmt.Errorf("%w: %v", errGone, err)
		}
		x.beyond.Reset(io.Discard) // for the padding of the tar file that this is not
		if x.exactly.Flush() == nil {
			x.left = 0
		}
	}
	if x.length >= 0 && x.left > 0 {
		return fmt.Errorf("%w: the body ends early", errMisbehaving)
	}
	return nil
}

func callNext(x *exchange) {
	defer x.guard()
	x.told.client.next.ServeHTTP(x, x.req)
}

// guard is deferred by what runs the next handler or is run by it.
func (x *exchange) guard() {
	if r := recover(); r != nil {
		x.err = fmt.Errorf("%w: panic: %v", errMisbehaving, r)
	}
}

// Header is where the next handler puts its headers; what it puts there after the status (trailers), nobody reads.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader takes the first final status.
func (x *exchange) WriteHeader(status int) {
	defer x.guard()
	if status < http.StatusOK || x.status != 0 || x.err != nil {
		return
	}
	header := x.header
	x.status = status
	x.header = http.Header{}
	x.body, x.err = judge(x, header)
	x.left = x.length
	if x.length < 0 {
		x.left = math.MaxInt64
	}
	if x.err != nil {
		x.cancel()
	} else if x.flows && x.status == http.StatusPartialContent && x.to.native() {
		passGate(x)
	}
}

// serverBuffer is how much net/http's server keeps back: a write of less does not fail when the client is gone.
const serverBuffer = 4 << 10

// flow is how much of a body goes through the gate. An origin that drips does not get past it while its client leaves.
const flow = 128 << 10

// gate is where the body is watched, interpreted: some 8 µs for each of the 32 KiB that a proxy writes at once, which
// take 20 by themselves.
type gate struct{ x *exchange }

func (g *gate) Write(p []byte) (int, error) {
	x := g.x
	defer x.guard()
	if x.body == nil || x.err != nil || int64(len(p)) > x.left || (x.hidden || len(p) < serverBuffer) && x.req.Context().Err() != nil {
		return x.writeRest(p)
	}
	n, err := x.body.Write(p)
	x.left -= int64(n)
	if err != nil {
		return n, x.lose(err)
	}
	x.passed += int64(n)
	if x.passed >= flow && x.to.native() {
		passGate(x)
	}
	return n, nil
}

// passGate leads the rest of the body past the gate. What counts it there is a tar.Writer, of the standard library's
// writers the one that takes exactly so many bytes, and says how many are missing. Its header goes nowhere.
func passGate(x *exchange) {
	x.beyond = bufio.NewWriterSize(io.Discard, 1)
	x.exactly = tar.NewWriter(x.beyond)
	if x.exactly.WriteHeader(&tar.Header{Size: x.left, Format: tar.FormatGNU}) != nil {
		x.exactly = nil
		return
	}
	x.beyond.Reset(x.body)
	x.way.Reset(x.exactly)
}

// writeRest is the way of what is out of the ordinary: a body before its status, after its end or beyond its length.
func (x *exchange) writeRest(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.err != nil || x.body == nil {
		return 0, context.Canceled
	}
	if x.req.Context().Err() != nil {
		return 0, x.lose(x.req.Context().Err()) // the fast proxy does not look
	}
	more := int64(len(p)) > x.left
	if more {
		p = p[:x.left]
	}
	n, err := x.body.Write(p)
	x.left -= int64(n)
	if err != nil {
		return n, x.lose(err)
	}
	if more {
		return n, context.Canceled
	}
	return n, nil
}

// lose ends the request because who it is for takes no more.
func (x *exchange) lose(err error) error {
	x.err = fmt.Errorf("%w: %v", errGone, err)
	x.cancel()
	return context.Canceled
}

// judge judges an answer by its status and headers, and returns where its body goes.
func judge(x *exchange, header http.Header) (io.Writer, error) {
	switch {
	case x.status == http.StatusPartialContent:
		return acceptRange(x, header)
	case x.status == http.StatusOK && x.opening != nil:
		return x.opening.whole(x, header)
	case x.status == http.StatusRequestedRangeNotSatisfiable && x.hidden && (x.opening != nil || x.told.version.size < 0):
		return nil, unsatisfied(x, header)
	case x.status == http.StatusOK || x.status == http.StatusRequestedRangeNotSatisfiable:
		return nil, fmt.Errorf("%w: the origin answers %d to a range", errChanged, x.status)
	case x.status >= http.StatusBadRequest:
		return x.relay(header)
	}
	return nil, errPass // a redirect is the answer to the client's own request
}

// unsatisfied is what is meant by an answer that refuses a range of a file whose length was not known. Some servers
// refuse one that reaches past the end.
func unsatisfied(x *exchange, header http.Header) error {
	length, err := strconv.ParseInt(strings.TrimPrefix(header.Get("Content-Range"), "bytes */"), 10, 64)
	switch {
	case err != nil || length < 0:
		return errPastLength
	case length == 0 && x.opening != nil:
		return errPass // an empty file
	case length <= x.off:
		return errEnd
	}
	x.told.named = length
	return errPastLength
}

// acceptRange accepts the range that was asked for, or the first bytes of it, of the version that is expected.
func acceptRange(x *exchange, header http.Header) (io.Writer, error) {
	first, last, total, ok := contentRange(header.Get("Content-Range"))
	if !ok || first != x.off || last >= x.off+x.n && !x.open {
		return nil, fmt.Errorf("%w: it answers Content-Range %q to bytes %d-%d", errMisbehaving,
			header.Get("Content-Range"), x.off, x.off+x.n-1)
	}
	if err := acceptVersion(x, header, total); err != nil {
		return nil, err
	}
	x.length = minInt64(last-first+1, x.n)
	if x.hidden {
		x.told.agreed = header
	}
	return x.to.begin(header)
}

// acceptVersion compares the answer's version with the one that is expected.
func acceptVersion(x *exchange, header http.Header, total int64) error {
	t := x.told
	// Bytes of a coding are not the file's, and nobody asked for one.
	if encoded(header) {
		return fmt.Errorf("%w: Content-Encoding %q in spite of Accept-Encoding: identity", errMisbehaving,
			strings.Join(header["Content-Encoding"], ", "))
	}
	if len(header["Set-Cookie"]) > 0 {
		t.client.cookies = mergeCookies(t.client.cookies, header["Set-Cookie"])
	}
	v := version{etag: header.Get("Etag"), modified: header.Get("Last-Modified"), size: total}
	if v.size < 0 && t.bound {
		v.size = t.version.size // "bytes 0-99/*" is allowed (RFC 9110, 14.4)
	}
	if t.bound && v != t.version {
		t.client.seen = v
		return fmt.Errorf("%w: from %v to %v", errChanged, t.version.words(), v.words())
	}
	t.version, t.bound = v, true
	return nil
}

// codings are the content codings that change bytes (RFC 9110, 8.4.1, and IANA's registry). What else some origins say,
// such as aws-chunked, none or utf-8, is of how the file came to them, or of nothing.
var codings = map[string]bool{
	"br":         true,
	"compress":   true,
	"dcb":        true,
	"dcz":        true,
	"deflate":    true,
	"gzip":       true,
	"x-compress": true,
	"x-gzip":     true,
	"zstd":       true,
}

// encoded reports whether a body is in a coding.
func encoded(header http.Header) bool {
	for _, line := range header["Content-Encoding"] {
		for _, coding := range strings.Split(line, ",") {
			if codings[strings.ToLower(strings.TrimSpace(coding))] {
				return true
			}
		}
	}
	return false
}

// words is for the log.
func (v version) words() string {
	return fmt.Sprintf("ETag %q Last-Modified %q length %d", v.etag, v.modified, v.size)
}

// relay hands a refusal to the client as it comes.
func (x *exchange) relay(header http.Header) (io.Writer, error) {
	c := x.told.client
	if c.started {
		return nil, fmt.Errorf("%w: it answers %d in the middle of a file", errMisbehaving, x.status)
	}
	x.relayed, c.started = true, true
	if n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		x.length = n
	}
	addHeaders(c.writer.Header(), header)
	c.writer.WriteHeader(x.status)
	if c.request.Method == http.MethodHead {
		return io.Discard, nil
	}
	return c.writer, nil
}

// contentRange parses "bytes 0-99/1234"; total is -1 for "*" (RFC 9110, 14.4).
func contentRange(s string) (first, last, total int64, ok bool) {
	span, length, _ := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	from, to, _ := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	if err1 != nil || err2 != nil || first < 0 || last < first {
		return 0, 0, 0, false
	}
	if length == "*" {
		return first, last, -1, true
	}
	total, err3 := strconv.ParseInt(length, 10, 64)
	return first, last, total, err3 == nil && last < total
}

// opening is the first read. It takes the head of the file, or, from an origin that ignores Range, all of it as a
// stream.
type opening struct {
	buffer *buffer
	stream *stream
	ready  chan struct{} // closed when the head is read, or the stream has begun, or neither will be
}

// open makes the first read, bytes=0-(bufferSize-1); of the whole file in one piece where ranges is false.
func open(c *client, ranges bool) (file, error) {
	n := c.bufferSize
	if err := c.lease.Take(n); err != nil {
		return nil, err
	}
	o := &origin{told: &told{client: c}}
	form := asAsked
	if !ranges {
		form = inOne
	}
	for {
		head := &opening{ready: make(chan struct{})}
		if form != inOne {
			head.buffer = newBuffer(n)
		}
		x := askIn(o, form, 0, n, head)
		x.opening = head
		x.hidden = true
		// A stream is read while the next handler still writes it. The goroutine has ended before ServeHTTP returns: here,
		// or where the stream is closed.
		go runOpening(x, head)
		<-head.ready
		if head.stream != nil {
			return head.stream, nil
		}
		if x.err == nil {
			o.window = head.buffer.data.Bytes()
			o.fetched = int64(len(o.window))
			return o, nil
		}
		if form == inOne || !errors.Is(x.err, errPastLength) {
			return nil, x.err
		}
		form = nextForm(o, form, 0, n)
	}
}

// runOpening is a function because Yaegi binds the receiver of go x.f() when it runs.
func runOpening(x *exchange, head *opening) {
	err := runExchange(x)
	if head.stream == nil {
		close(head.ready)
		return
	}
	_ = head.stream.in.CloseWithError(err) // io.EOF where err is nil
	close(head.stream.done)
}

func (h *opening) native() bool { return true }

func (h *opening) begin(header http.Header) (io.Writer, error) {
	return h.buffer.begin(header)
}

// whole turns the answer into a stream.
func (h *opening) whole(x *exchange, header http.Header) (io.Writer, error) {
	total := int64(-1)
	if n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		total = n
	}
	if err := acceptVersion(x, header, total); err != nil {
		return nil, err
	}
	x.length = total
	r, w := io.Pipe()
	h.stream = &stream{
		client: x.told.client, version: x.told.version, header: header,
		held: &bytes.Buffer{}, body: r, in: w, cancel: x.cancel, done: make(chan struct{}),
	}
	close(h.ready)
	return w, nil
}

// stream is a file that comes in one piece, from an origin that ignores Range. What was read while looking for the moov
// is held, up to maxBufferSize and a first read; beyond, it can only be sent on.
type stream struct {
	client  *client
	version version
	header  http.Header
	held    *bytes.Buffer // the front of the file
	front   int64         // its length
	past    int64         // bytes sent or skipped behind held
	ended   bool
	body    *io.PipeReader
	in      *io.PipeWriter
	cancel  context.CancelFunc
	done    chan struct{}
}

func (s *stream) size() int64    { return s.version.size }
func (s *stream) state() version { return s.version }
func (s *stream) settled() bool  { return false }

func (s *stream) consent(out receiver) error {
	_, err := out.begin(s.header)
	return err
}

func (s *stream) close() {
	_ = s.body.CloseWithError(errGone)
	s.cancel()
	<-s.done
}

func (s *stream) read(off, n int64) ([]byte, error) {
	if s.version.size >= 0 {
		n = maxInt64(0, minInt64(n, s.version.size-off))
	}
	if err := s.hold(off + n); err != nil {
		return nil, err
	}
	b := s.held.Bytes()
	if off >= int64(len(b)) {
		return nil, nil
	}
	end := minInt64(off+n, int64(len(b)))
	return append([]byte(nil), b[off:end]...), nil
}

// peek is read: what comes, comes in order.
func (s *stream) peek(off, n, atOnce int64) ([]byte, error) { return s.read(off, n) }

func (s *stream) reserve(n int64) error { return s.client.lease.Take(n) }

// hold reads on until the first n bytes are held, or the file ends.
func (s *stream) hold(n int64) error {
	more := n - s.front
	if more <= 0 || s.ended {
		return nil
	}
	if n > s.client.maxSearch+s.client.bufferSize {
		return errNoRanges
	}
	if err := s.client.lease.Take(more); err != nil {
		return err
	}
	k, err := io.CopyN(s.held, s.body, more)
	s.front += k
	if err == io.EOF {
		s.ended = true
		s.version.size = s.front
		return nil
	}
	return err
}

// send sends what is held and streams the rest.
func (s *stream) send(out receiver, off, n int64) error {
	w, err := out.begin(s.header)
	if err != nil {
		return err
	}
	if off < s.front {
		k := minInt64(n, s.front-off)
		if _, err = w.Write(s.held.Bytes()[off : off+k]); err != nil {
			return fmt.Errorf("%w: %v", errGone, err)
		}
		off += k
		n -= k
	}
	if n == 0 {
		return nil
	}
	s.held = nil // what is sent ascends in the file
	if err = s.pass(io.Discard, off-s.front-s.past); err != nil {
		return err
	}
	return s.pass(w, n)
}

// pass hands the next n bytes to w.
func (s *stream) pass(w io.Writer, n int64) error {
	k, err := io.CopyN(w, s.body, n)
	s.past += k
	if err == io.EOF {
		return fmt.Errorf("%w: the file ends %d bytes early", errMisbehaving, n-k)
	}
	return err
}
