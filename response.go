package mp4

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/traefik-mp4/mp4/internal/budget"
	"github.com/traefik-mp4/mp4/internal/origin"
)

// response is the cut as an HTTP resource of its own. The order of its steps is that of net/http's serveContent.
type response struct {
	*options
	client   *origin.Client
	etag     string
	modified time.Time // zero where the file has no Last-Modified
	code     int
	length   int64           // of the cut,
	from, to int64           // and what is sent of it
	parts    []*responsePart // that are not sent yet
	media    int             // of those, from the file
	w        io.Writer
}

// responsePart is a stretch of a segment that is still to be sent.
type responsePart struct {
	of       *segment
	from, to int64
	first    readStart // where reading begins, if times change on the way
	until    int64     // and ends
}

// precondition evaluates the client's conditions (RFC 9110, 13.2.2) and reports whether one of them is the answer.
func precondition(r *response) bool {
	h := r.client.Request.Header
	if h["If-Match"] == nil && h["If-Unmodified-Since"] == nil && h["If-None-Match"] == nil && h["If-Modified-Since"] == nil {
		return false
	}
	return evaluate(r, h)
}

func evaluate(r *response, h http.Header) bool {
	if match := h.Get("If-Match"); match != "" {
		if !listsTag(match, r.etag, true) {
			r.code = http.StatusPreconditionFailed
		}
	} else if since, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && r.modified.After(since) {
		r.code = http.StatusPreconditionFailed
	}
	if r.code != http.StatusOK {
		return true
	}
	if match := h.Get("If-None-Match"); match != "" {
		if listsTag(match, r.etag, false) {
			r.code = http.StatusNotModified
		}
	} else if since, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && !r.modified.IsZero() && !r.modified.After(since) {
		r.code = http.StatusNotModified
	}
	return r.code != http.StatusOK
}

// listsTag reports whether the list has a tag that matches, or is "*". A weak tag never matches strongly.
func listsTag(list, etag string, strongly bool) bool {
	for {
		list = strings.TrimLeft(list, " \t,")
		if strings.HasPrefix(list, "*") {
			return true
		}
		tag, rest := scanTag(list)
		if tag == "" {
			return false
		}
		if strongly && tag == etag && tag[0] == '"' || !strongly && strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
		list = rest
	}
}

// scanTag takes the entity tag that s begins with; it is empty where there is none.
func scanTag(s string) (tag, rest string) {
	start := 0
	if strings.HasPrefix(s, "W/") {
		start = 2
	}
	if !strings.HasPrefix(s[start:], `"`) {
		return "", ""
	}
	end := strings.IndexByte(s[start+1:], '"')
	if end < 0 {
		return "", ""
	}
	end += start + 2
	return s[:end], s[end:]
}

// fitRange decides what of the cut is sent.
func fitRange(r *response, c *cut) {
	r.length = c.length
	r.to = c.length
	req := r.client.Request
	if ranges := req.Header["Range"]; len(ranges) > 0 {
		takeRange(r, ranges[0], req.Header)
	}
	if req.Method == http.MethodHead {
		return
	}
	from, to := r.from, r.to
	for _, s := range c.segments { // where from and to are relative to its begin
		n := s.length
		if from < n && to > 0 {
			p := &responsePart{of: s, from: from, to: to}
			if from < 0 {
				p.from = 0
			}
			if to > n {
				p.to = n
			}
			r.parts = append(r.parts, p)
			if s.fromSource {
				r.media++
			}
		}
		from -= n
		to -= n
	}
	if r.limitRate > 0 {
		pace(r, c)
	}
}

// pace lets the response out at limitRate.
func pace(r *response, c *cut) {
	if c.duration > 0 {
		average := float64(c.length) / float64(c.duration) * 1000
		r.w = newPacer(r.client.Request.Context(), r.client.Writer, average, r.limitRate, r.limitRateAfter)
	}
}

// spanPattern is that of the one range that is answered.
var spanPattern = regexp.MustCompile(`^bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))$`)

// takeRange makes of the response that to a Range, where it counts. Several ranges are answered whole, as is what cannot
// be parsed (RFC 9110, 14.2 allows both).
func takeRange(r *response, asked string, h http.Header) {
	found := spanPattern.FindStringSubmatch(asked)
	if found == nil || h["If-Range"] != nil && !hasCurrent(r, h) {
		return
	}
	length := r.length
	from, to := int64(0), length
	if first := found[1]; first != "" {
		from = parseDigits(first)
	} else if n := parseDigits(found[3]); n < length {
		from = length - n // the last n bytes
	}
	if found[2] != "" {
		last := parseDigits(found[2])
		if last < from && from < length {
			return
		}
		if last < length {
			to = last + 1
		}
	}
	r.code = http.StatusPartialContent
	if from >= length {
		r.code = http.StatusRequestedRangeNotSatisfiable
		from, to = 0, 0
	}
	r.from = from
	r.to = to
}

// hasCurrent reports whether If-Range is of what the client has now (RFC 9110, 13.1.5), the tag compared strongly, or the
// very date, which net/http and nginx take for strong as well. RFC 9110 defines Range for GET only (14.2), but nginx,
// Apache and net/http have it in HEAD's answer as well.
func hasCurrent(r *response, h http.Header) bool {
	condition := textproto.TrimString(h.Get("If-Range"))
	if condition == "" {
		return true
	}
	if tag, _ := scanTag(condition); tag != "" {
		return tag == r.etag && tag[0] == '"'
	}
	date, err := http.ParseTime(condition)
	return err == nil && date.Equal(r.modified)
}

// parseDigits reads digits; what is beyond an int64 is the greatest.
func parseDigits(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}

// sendResponse sends the parts in order. Those that are made wait for the first that comes from the file: nothing goes
// out before the file's owner has agreed to this very request, and the same answer says that the file is unchanged.
func sendResponse(r *response, f origin.File) error {
	for r.media > 0 {
		if err := sendMedia(r, f); err != nil {
			return err
		}
		r.media--
	}
	if !r.client.Started {
		header, err := origin.Consent(f)
		if err != nil {
			return err
		}
		writeHead(r, header)
	}
	return sendMade(r)
}

// locateParts finds out where reading begins for the parts whose times change on their way.
func locateParts(r *response, f origin.File, m *movie) error {
	streamed := origin.Streams(f)
	for i := range r.parts {
		p := r.parts[i]
		if p.of.retiming == nil {
			continue
		}
		if streamed {
			p.first = readStart{begin: p.of.off, pass: p.of.retiming.plain} // it comes along all the same
			p.until = minInt64(p.of.off+p.to+slack, p.of.off+p.of.length)
			continue
		}
		first, err := m.readStartIn(f, p.of, p.from)
		if err != nil {
			return err
		}
		last, err := m.readStartIn(f, p.of, p.to)
		if err != nil {
			return err
		}
		p.first = first
		p.until = last.until
	}
	return nil
}

// sendMedia sends the next part that comes from the file, with those that are made before it.
func sendMedia(r *response, f origin.File) error {
	i := 0
	for !r.parts[i].of.fromSource {
		i++
	}
	p := r.parts[i]
	s := p.of
	var err error
	if s.retiming == nil {
		err = origin.Send(f, r, s.off+p.from, p.to-p.from)
	} else {
		err = sendRetimed(r, f, p)
	}
	if err == nil {
		r.parts = r.parts[1:] // those before it have been sent
	}
	return err
}

func sendRetimed(r *response, f origin.File, p *responsePart) error {
	s := p.of
	w := s.retiming.writer(s.off+p.from, p.to-p.from, p.first, s.off+s.length)
	err := origin.Send(f, &retimed{answer: r, writer: w}, p.first.begin, p.until-p.first.begin)
	if err == nil && w.left > 0 {
		return fmt.Errorf("%w: the fragments end %d bytes early", origin.ErrMisbehaving, w.left)
	}
	return err
}

// retimed is the receiver of fragments whose times change on their way.
type retimed struct {
	answer *response
	writer *retimer
}

func (x *retimed) Native() bool { return false }

func (x *retimed) Begin(header http.Header) (io.Writer, error) {
	w, err := x.answer.Begin(header)
	x.writer.w = w
	return x.writer, err
}

// Native is false for a pacer.
func (r *response) Native() bool { return r.limitRate == 0 }

// Begin writes what comes before the file's bytes, and gives back the memory: they may take hours.
func (r *response) Begin(header http.Header) (io.Writer, error) {
	if !r.client.Started {
		writeHead(r, header)
	}
	err := sendMade(r)
	budget.Release(r.client.Lease)
	return r.w, err
}

// sendMade writes the parts up to the next one from the file, and lets go of them.
func sendMade(r *response) error {
	for len(r.parts) > 0 {
		p := r.parts[0]
		if p.of.fromSource {
			break
		}
		r.parts[0] = nil
		r.parts = r.parts[1:]
		if err := writeSegment(p.of, r.w, p.from, p.to); err != nil {
			return err
		}
	}
	return nil
}

// writeHead writes status and headers: the file's, but for what describes its bytes.
func writeHead(r *response, header http.Header) {
	r.client.Started = true
	w := r.client.Writer
	h := w.Header()
	for name, values := range header {
		if ofTheBytes[name] || name > amzChecksum && strings.HasPrefix(name, amzChecksum) {
			continue // most names sort before, and a comparison costs the interpreter less than a call
		}
		h[name] = append(h[name], values...)
	}
	if r.client.Cookies != nil {
		addCookies(r, h)
	}
	code := r.code
	if code == http.StatusNotFound {
		answerNotFound(r)
		return
	}
	h.Set("Accept-Ranges", "bytes")
	if r.etag != "" {
		h.Set("Etag", r.etag)
	}
	if code == http.StatusPartialContent {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", r.from, r.to-1, r.length))
	} else if code != http.StatusOK {
		describeNothing(r, h)
	}
	if code != http.StatusNotModified {
		h.Set("Content-Length", strconv.FormatInt(r.to-r.from, 10))
	}
	w.WriteHeader(code)
}

func addCookies(r *response, h http.Header) {
	h["Set-Cookie"] = append(h["Set-Cookie"], r.client.Cookies...)
}

func answerNotFound(r *response) {
	http.Error(r.client.Writer, http.StatusText(r.code), r.code)
	r.w = io.Discard
}

// describeNothing makes the headers those of an answer without a body.
func describeNothing(r *response, h http.Header) {
	h.Del("Content-Type")
	if r.code == http.StatusNotModified && r.etag != "" {
		h.Del("Last-Modified") // RFC 9110, 15.4.5
	}
	if r.code == http.StatusRequestedRangeNotSatisfiable {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", r.length))
	}
}

// amzChecksum begins the names of S3's checksums of the bytes.
const amzChecksum = "X-Amz-Checksum-"

// ofTheBytes are the headers that describe the file's bytes, or the origin's connection, and not the cut.
var ofTheBytes = map[string]bool{
	"Accept-Ranges":                true,
	"Content-Digest":               true,
	"Content-Duration":             true,
	"Content-Encoding":             true,
	"Content-Length":               true,
	"Content-Location":             true,
	"Content-Md5":                  true,
	"Content-Range":                true,
	"Digest":                       true,
	"Etag":                         true,
	"Repr-Digest":                  true,
	"Set-Cookie":                   true, // among the transfer's
	"X-Amz-Mp-Parts-Count":         true,
	"X-Bz-Content-Sha1":            true,
	"X-Content-Duration":           true,
	"X-Goog-Hash":                  true,
	"X-Goog-Stored-Content-Length": true,
	"X-Ms-Blob-Content-Md5":        true,

	"Connection":        true,
	"Keep-Alive":        true,
	"Trailer":           true,
	"Transfer-Encoding": true,
	"Upgrade":           true,
}

// pacer is a writer that lets bytes through at a rate.
type pacer struct {
	ctx   context.Context
	w     io.Writer
	rate  float64 // bytes per second
	piece int64
	free  int64 // bytes that are not paced
	sent  int64 // of those that are
	since time.Time
}

// pieces of a paced body are sent this often, as far as their size allows.
const pieceTime = 100 * time.Millisecond

func newPacer(ctx context.Context, w io.Writer, average, factor float64, after time.Duration) *pacer {
	p := &pacer{ctx: ctx, w: w, rate: average * factor}
	p.free = int64(average * after.Seconds())
	p.piece = minInt64(maxInt64(int64(p.rate*pieceTime.Seconds()), 1<<10), 1<<16)
	return p
}

func (p *pacer) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		k := minInt64(int64(len(b)), p.piece)
		if p.free > 0 {
			k = minInt64(int64(len(b)), p.free)
		} else if err := p.wait(); err != nil {
			return written, err
		}
		n, err := p.w.Write(b[:k])
		written += n
		if err != nil {
			return written, err
		}
		if p.free > 0 {
			p.free -= k
		} else {
			p.sent += k
		}
		b = b[k:]
	}
	return written, nil
}

// wait sleeps until the next piece is due, by the time since pacing began: no delay adds up.
func (p *pacer) wait() error {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	due := p.since.Add(time.Duration(float64(p.sent) / p.rate * float64(time.Second)))
	until, cancel := context.WithDeadline(p.ctx, due)
	<-until.Done()
	cancel()
	return p.ctx.Err()
}
