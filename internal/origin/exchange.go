package origin

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// fileNews is what the answers to a client's requests have told of a file.
type fileNews struct {
	client  *Client
	version Version
	bound   bool        // every answer must be of that version
	agreed  http.Header // of an answer that nothing was sent of yet: the origin's consent to this client
	named   int64       // the file's length by an answer that refused a range; 0: none
}

// ask prepares a request for n bytes at off; for the whole file without Range where n is negative.
func ask(t *fileNews, off, n int64, to Receiver) *exchange {
	c := t.client
	ctx, cancel := context.WithCancel(c.Request.Context())
	// Without a server in its context a ReverseProxy returns when its body breaks, where else it panics.
	req := c.Request.Clone(context.WithValue(ctx, http.ServerContextKey, nil))
	req.Method = http.MethodGet
	req.Body = http.NoBody
	req.ContentLength = 0
	req.URL.RawQuery = c.Query
	req.RequestURI = req.URL.RequestURI() // Traefik's proxies go by this, not by URL
	dropConditions(req.Header)
	req.Header.Set("Accept-Encoding", "identity") // deleted, it would let compress choose
	if c.Cookies != nil {
		replayCookies(c, req)
	}
	size := t.version.Size
	x := &exchange{told: t, to: to, off: off, n: n, total: size, length: n, req: req, cancel: cancel, header: http.Header{}}
	x.way = bufio.NewWriterSize(refusing, 1)
	x.Writer = x.way
	if to != nil {
		x.way.Reset(&gate{x})
	}
	if n >= 0 {
		span := strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10)
		req.Header.Set("Range", "bytes="+span)
		if off+n <= size {
			x.expected = "bytes " + span + "/" + strconv.FormatInt(size, 10)
		}
	}
	return x
}

// dropConditions deletes the request headers that would make the answer another than the plain range, and those of a
// protocol switch. It is no loop because that takes ten of the interpreter's steps for each.
func dropConditions(h http.Header) {
	delete(h, "Range")
	delete(h, "If-Range")
	delete(h, "If-Match")
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	delete(h, "If-Unmodified-Since")
	delete(h, "Connection")
	delete(h, "Upgrade")
	delete(h, "Expect")
	delete(h, "Te")
	delete(h, "Trailer")
}

// exchange is one request of ours: the http.ResponseWriter that the next handler answers to.
//
// The fast proxy calls it from a goroutine of its own, where a panic would end Traefik: hence the guards. What it
// returns when it wants no more is context.Canceled, which Traefik counts as the client's doing.
type exchange struct {
	// Write is that of way, which keeps back one byte at most and can be led elsewhere: to the gate, and past it, in
	// compiled code only, once the body is known to flow. Yaegi hands an embedded Write over as it is.
	io.Writer
	way     *bufio.Writer
	beyond  *bufio.Writer // behind the gate,
	exactly *tar.Writer   // and what counts before it; nil: not past the gate

	told     *fileNews
	to       Receiver   // nil: only the headers count
	opening  *firstRead // for a first read, which may turn into a stream
	open     bool       // the range that is asked for has no end
	flows    bool       // as the body before it did, of which this one is the rest
	hidden   bool       // from the client, whose going away no write tells
	off, n   int64
	expected string // Content-Range, where the length is known
	req      *http.Request
	cancel   context.CancelFunc
	header   http.Header
	status   int
	body     io.Writer // once begun
	total    int64     // length of the file, as the headers say in the end, or -1,
	length   int64     // of the body, or -1,
	left     int64     // of it, for the gate: very much where it is not known, nothing where there is no body to come
	passed   int64     // the gate
	relayed  bool
	err      error
}

// runExchange makes the request and checks that the answer is complete: neither of Traefik's proxies says when it is
// not.
func runExchange(x *exchange) error {
	callNext(x)
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.left > 0 || x.relayed {
		checkEnd(x)
	}
	x.cancel()
	return x.err
}

func callNext(x *exchange) {
	defer guard(x)
	x.told.client.Next.ServeHTTP(x, x.req)
}

// guard is deferred by what runs the next handler or is run by it.
func guard(x *exchange) {
	if r := recover(); r != nil {
		x.left = 0
		x.err = fmt.Errorf("%w: panic: %v", ErrMisbehaving, r)
	}
}

// checkEnd finds out what is wrong with how a body ended that was not complete when its writer returned, or is a refusal.
func checkEnd(x *exchange) {
	if x.err != nil {
		return
	}
	_ = x.way.Flush() // at most one byte; what fails, the gate has noted
	if x.exactly != nil && x.err == nil {
		checkBeyond(x)
	}
	if x.err != nil {
		return
	}
	if x.left > 0 && x.length >= 0 {
		x.err = fmt.Errorf("%w: the body ends early", ErrMisbehaving)
	} else if x.relayed {
		x.err = ErrRelayed
	}
}

// checkBeyond is checkEnd for a body that went past the gate.
func checkBeyond(x *exchange) {
	if err := x.beyond.Flush(); err != nil {
		x.err = fmt.Errorf("%w: %v", ErrGone, err)
		return
	}
	x.beyond.Reset(io.Discard) // for the padding of the tar file that this is not
	if x.exactly.Flush() == nil {
		x.left = 0
	}
}

// Header is where the next handler puts its headers; what it puts there after the status (trailers), nobody reads.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader takes the first final status.
func (x *exchange) WriteHeader(status int) {
	defer guard(x)
	if status < http.StatusOK || x.status != 0 || x.err != nil {
		return
	}
	header := x.header
	x.header = http.Header{}
	x.status = status
	if status == http.StatusPartialContent {
		acceptRange(x, header)
	} else {
		judge(x, header)
	}
	if x.err != nil {
		x.cancel()
	}
}

// serverBuffer is how much net/http's server keeps back: a write of less does not fail when the client is gone.
const serverBuffer = 4 << 10

// refusing is where the body of a consent goes, whose headers say all. It takes nothing; the one byte that is asked for
// does not come so far.
var refusing = newRefusing()

func newRefusing() *io.PipeWriter {
	r, w := io.Pipe()
	_ = r.CloseWithError(context.Canceled)
	return w
}

// flow is how much of a body goes through the gate. An origin that drips does not get past it while its client leaves.
const flow = 128 << 10

// gate is where the body is watched, interpreted: some 8 µs for each of the 32 KiB that a proxy writes at once, which
// take 20 by themselves.
type gate struct{ x *exchange }

func (g *gate) Write(p []byte) (int, error) {
	x := g.x
	defer guard(x)
	size := int64(len(p))
	if size > x.left || (size < serverBuffer || x.hidden) && isOver(x) {
		return x.writeRest(p)
	}
	n, err := x.body.Write(p)
	x.left -= int64(n)
	if err != nil {
		return n, x.lose(err)
	}
	x.passed += size
	if x.passed >= flow {
		passGate(x)
	}
	return n, nil
}

// isOver reports whether nobody waits for the body any longer. The fast proxy does not look.
func isOver(x *exchange) bool { return x.req.Context().Err() != nil }

// passGate leads the rest of the body past the gate. What counts it there is a tar.Writer, of the standard library's
// writers the one that takes exactly so many bytes, and says how many are missing. Its header goes nowhere.
func passGate(x *exchange) {
	if x.to == nil || !x.to.Native() {
		return
	}
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
	if isOver(x) {
		return 0, x.lose(x.req.Context().Err())
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
	x.left = 0
	x.err = fmt.Errorf("%w: %v", ErrGone, err)
	x.cancel()
	return context.Canceled
}

// judge judges an answer that is no range.
func judge(x *exchange, header http.Header) {
	x.length = -1
	x.body, x.err = acceptOther(x, header)
	if x.err != nil {
		return
	}
	x.left = x.length
	if x.length < 0 {
		x.left = math.MaxInt64
	}
	if x.to == nil {
		x.way.Reset(&gate{x}) // a refusal is relayed
	}
}

// acceptOther returns where the body goes.
func acceptOther(x *exchange, header http.Header) (io.Writer, error) {
	switch {
	case x.status == http.StatusOK && x.opening != nil:
		return x.opening.whole(x, header)
	case x.status == http.StatusRequestedRangeNotSatisfiable && x.hidden && (x.opening != nil || x.told.version.Size < 0):
		return nil, unsatisfied(x, header)
	case x.status == http.StatusOK || x.status == http.StatusRequestedRangeNotSatisfiable:
		return nil, fmt.Errorf("%w: the origin answers %d to a range", ErrChanged, x.status)
	case x.status >= http.StatusBadRequest:
		return x.relay(header)
	}
	return nil, ErrPass // a redirect is the answer to the client's own request
}

// unsatisfied is what is meant by an answer that refuses a range of a file whose length was not known. Some servers
// refuse one that reaches past the end.
func unsatisfied(x *exchange, header http.Header) error {
	length, err := strconv.ParseInt(strings.TrimPrefix(header.Get("Content-Range"), "bytes */"), 10, 64)
	switch {
	case err != nil || length < 0:
		return errPastLength
	case length == 0 && x.opening != nil:
		return ErrPass // an empty file
	case length <= x.off:
		return errEnd
	}
	x.told.named = length
	return errPastLength
}

// acceptRange accepts the range that was asked for, or the first bytes of it, of the version that is expected.
func acceptRange(x *exchange, header http.Header) {
	span := header.Get("Content-Range")
	if span != x.expected || span == "" {
		x.err = parseRange(x, span)
	}
	if x.err == nil {
		x.err = acceptVersion(x, header)
	}
	if x.err != nil {
		return
	}
	if x.hidden {
		x.told.agreed = header
	}
	if x.to == nil {
		return
	}
	x.body, x.err = x.to.Begin(header)
	if x.err != nil {
		return
	}
	x.left = x.length
	if x.flows {
		passGate(x)
	}
}

// parseRange takes a range that is not expected to the letter.
func parseRange(x *exchange, span string) error {
	first, last, total, ok := contentRange(span)
	if !ok || first != x.off || last >= x.off+x.n && !x.open {
		return fmt.Errorf("%w: it answers Content-Range %q to bytes %d-%d", ErrMisbehaving, span, x.off, x.off+x.n-1)
	}
	x.length = minInt64(last-first+1, x.n)
	if total >= 0 || !x.told.bound { // else "bytes 0-99/*" (RFC 9110, 14.4)
		x.total = total
	}
	return nil
}

// acceptVersion compares the answer's version with the one that is expected.
func acceptVersion(x *exchange, header http.Header) error {
	if header["Content-Encoding"] != nil && encoded(header) {
		return inCoding(header)
	}
	t := x.told
	if header["Set-Cookie"] != nil {
		keepCookies(t.client, header)
	}
	v := Version{ETag: header.Get("Etag"), Modified: header.Get("Last-Modified"), Size: x.total}
	if t.bound && v != t.version {
		return changed(t, v)
	}
	t.version = v
	t.bound = true
	return nil
}

func keepCookies(c *Client, header http.Header) {
	c.Cookies = mergeCookies(c.Cookies, header["Set-Cookie"])
}

// inCoding: bytes of a coding are not the file's, and nobody asked for one.
func inCoding(header http.Header) error {
	return fmt.Errorf("%w: Content-Encoding %q in spite of Accept-Encoding: identity", ErrMisbehaving,
		strings.Join(header["Content-Encoding"], ", "))
}

// changed notes the version that there is now.
func changed(t *fileNews, v Version) error {
	if v.Known() {
		t.client.Seen = &v
	}
	return fmt.Errorf("%w: from %v to %v", ErrChanged, t.version.words(), v.words())
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

// relay hands a refusal to the client as it comes.
func (x *exchange) relay(header http.Header) (io.Writer, error) {
	c := x.told.client
	if c.Started {
		return nil, fmt.Errorf("%w: it answers %d in the middle of a file", ErrMisbehaving, x.status)
	}
	x.relayed, c.Started = true, true
	if n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		x.length = n
	}
	addHeaders(c.Writer.Header(), header)
	c.Writer.WriteHeader(x.status)
	if c.Request.Method == http.MethodHead {
		return io.Discard, nil
	}
	return c.Writer, nil
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

// firstRead is the first read. It takes the head of the file, or, from an origin that ignores Range, all of it as a
// stream.
type firstRead struct {
	buffer *memoryReceiver
	stream *streamedFile
	ready  chan struct{} // closed when the head is read, or the stream has begun, or neither will be
}

// runOpening is a function because Yaegi binds the receiver of go x.f() when it runs.
func runOpening(x *exchange, head *firstRead) {
	err := runExchange(x)
	if head.stream == nil {
		close(head.ready)
		return
	}
	_ = head.stream.in.CloseWithError(err) // io.EOF where err is nil
	close(head.stream.done)
}

func (h *firstRead) Native() bool { return true }

func (h *firstRead) Begin(header http.Header) (io.Writer, error) {
	return h.buffer.Begin(header)
}

// whole turns the answer into a stream.
func (h *firstRead) whole(x *exchange, header http.Header) (io.Writer, error) {
	total := int64(-1)
	if n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil {
		total = n
	}
	x.total = total
	if err := acceptVersion(x, header); err != nil {
		return nil, err
	}
	x.length = total
	r, w := io.Pipe()
	h.stream = &streamedFile{
		client: x.told.client, version: x.told.version, header: header,
		held: &bytes.Buffer{}, body: r, in: w, cancel: x.cancel, done: make(chan struct{}),
	}
	close(h.ready)
	return w, nil
}

// memoryReceiver is a receiver that keeps what comes, in compiled code: an exchange lets no more through than was asked for.
type memoryReceiver struct{ data *bytes.Buffer }

func newMemoryReceiver(n int64) *memoryReceiver {
	return &memoryReceiver{bytes.NewBuffer(make([]byte, 0, n))}
}

func (b *memoryReceiver) Native() bool { return true }

func (b *memoryReceiver) Begin(header http.Header) (io.Writer, error) { return b.data, nil }
