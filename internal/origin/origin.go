// Package origin reads files behind an HTTP handler, or below a folder, by range, on behalf of a client.
package origin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Open makes the first read, bytes=0-(bufferSize-1); of the whole file in one piece where ranges is false.
func Open(c *Client, ranges bool) (File, error) {
	n := c.BufferSize
	if err := c.Lease.Take(n); err != nil {
		return nil, err
	}
	o := &origin{fileNews: &fileNews{client: c}}
	form := asAsked
	if !ranges {
		form = inOne
	}
	for {
		head := &firstRead{ready: make(chan struct{})}
		if form != inOne {
			head.buffer = newMemoryReceiver(n)
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

// KnownFile is a file of a version that is known already. Answers of another end with ErrChanged.
func KnownFile(c *Client, v Version) File {
	return &origin{fileNews: &fileNews{client: c, version: v, bound: true}}
}

// Consent makes sure that the client may know of the file, and returns the headers that describe it. An origin is asked
// for one byte, unless it has answered this client already. Not by HEAD: presigned addresses are signed for GET.
//
// It and the next two are functions because a method costs the interpreter five times as much.
func Consent(f File) (http.Header, error) {
	o, ok := f.(*origin)
	if !ok {
		return ownHeader(f), nil
	}
	if o.agreed != nil {
		return o.agreed, nil
	}
	x := ask(o.fileNews, 0, 1, nil)
	x.hidden = true
	err := runExchange(x)
	return o.agreed, err
}

// ownHeader is the header of a file that is open already.
func ownHeader(f File) http.Header {
	if l, ok := f.(*local); ok {
		return l.header
	}
	return f.(*streamedFile).header
}

// Send sends n bytes at off. A file that is not of the expected version fails before out.Begin.
func Send(f File, out Receiver, off, n int64) error {
	if o, ok := f.(*origin); ok {
		return sendSpan(o, out, off, n)
	}
	if l, ok := f.(*local); ok {
		return sendLocal(l, out, off, n)
	}
	return sendStream(f.(*streamedFile), out, off, n)
}

// Close ends what is under way.
func Close(f File) {
	if l, ok := f.(*local); ok {
		_ = l.file.Close()
	} else if s, ok := f.(*streamedFile); ok {
		closeStream(s)
	}
}

// origin is a file behind the next handler, read by range. Requests go out one after another and never two at a time:
// Traefik keeps its log of a client's request in a map without a lock.
type origin struct {
	*fileNews
	window  []byte // what was fetched last
	from    int64  // and where it lies in the file
	fetched int64  // in all, but for hops
	hops    int
	asked   int   // requests for what was fetched
	peeked  int64 // memory taken for the last peek
}

func (o *origin) Size() int64    { return o.version.Size }
func (o *origin) State() Version { return o.version }
func (o *origin) Settled() bool  { return false }

const (
	ahead      = 4 << 10 // fetched beyond a moov: the header of the box behind it is wanted next
	HopLen     = 256     // fetched at most for a hop
	maxHeaders = 1000    // hops of a request
	maxFetches = 10000   // requests of ours for one client's, before the media: some answer little at a time
)

// ErrHops ends a search that takes more requests for hops.
var ErrHops = fmt.Errorf("%d requests for box headers that lie apart, and no moov yet", maxHeaders)

// Read answers from the window, by a copy where that is small: a view would keep all of the window in memory with the
// index.
func (o *origin) Read(off, n int64) ([]byte, error) {
	return o.get(off, n, maxInt64(n+ahead, o.client.BufferSize), nil)
}

// ReadAlong is Read, and where much is missing follow is called while it comes.
func (o *origin) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	if n < o.client.BufferSize {
		return o.Read(off, n)
	}
	return o.get(off, n, n+ahead, &following{follow: follow, most: n})
}

// following is a receiver into memory that looks at the bytes while they come.
type following struct {
	follow func(come []byte) int64
	most   int64           // bytes that follow is to see
	next   int64           // how many it wants
	into   *memoryReceiver // what has come
	way    *bufio.Writer   // the rare steps at which it is looked
	err    error
}

// startFollowing prepares to receive into memory, and looks at what is there.
func startFollowing(f *following, into *memoryReceiver) {
	f.into = into
	f.way = bufio.NewWriterSize(f, step)
	f.look()
}

// endFollowing receives what is left on the way of a fetch that ended with err, and returns what went wrong first.
func endFollowing(f *following, err error) error {
	if err == nil {
		err = f.way.Flush()
	}
	if f.err != nil {
		return f.err
	}
	return err
}

// step is how many bytes are collected by compiled code before it is looked at what has come.
const step = 256 << 10

// Native is true for what collects.
func (f *following) Native() bool { return true }

func (f *following) Begin(header http.Header) (io.Writer, error) { return f.way, nil }

func (f *following) Write(p []byte) (int, error) {
	defer f.rescue()
	_, _ = f.into.data.Write(p) // to memory: never fails
	if int64(f.into.data.Len()) >= f.next {
		f.look()
	}
	return len(p), f.err
}

func (f *following) look() {
	come := minInt64(int64(f.into.data.Len()), f.most)
	f.next = f.follow(f.into.data.Bytes()[:come:come])
}

// rescue is deferred: the fast proxy's goroutine, where a panic would end Traefik, may be what writes.
func (f *following) rescue() {
	if r := recover(); r != nil {
		f.err = fmt.Errorf("%w: panic: %v", ErrMisbehaving, r)
	}
}

// Peek is Read that fetches less, for a moment: its memory is given back with the next. The first hop mostly leads to
// the moov, and is a read.
func (o *origin) Peek(off, n, atOnce int64) ([]byte, error) {
	if atOnce <= HopLen && o.asked == 0 {
		return o.Read(off, n)
	}
	used := o.client.Lease.Used()
	b, err := o.get(off, n, maxInt64(n, atOnce), nil)
	if taken := o.client.Lease.Used() - used; taken > 0 && err == nil {
		o.client.Lease.Reuse(o.peeked)
		o.peeked = taken
	}
	return b, err
}

func (o *origin) Reserve(n int64) error { return o.client.Lease.Take(n) }

// get is Read that fetches so many bytes at once, and looks at them while they come unless along is nil.
func (o *origin) get(off, n, atOnce int64, along *following) ([]byte, error) {
	b := o.held(off, n)
	if int64(len(b)) < n && (o.version.Size < 0 || off+int64(len(b)) < o.version.Size) {
		if err := o.fetch(off, n, atOnce, along); err != nil {
			return nil, err
		}
		b = o.held(off, n)
	}
	if n >= o.client.BufferSize {
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

// fetch moves the window to off, and asks for what is missing of so many bytes at once, of which n are needed.
func (o *origin) fetch(off, n, atOnce int64, along *following) error {
	if o.version.Size >= 0 {
		n = minInt64(n, o.version.Size-off)
		atOnce = minInt64(atOnce, o.version.Size-off)
	}
	if err := o.admit(atOnce); err != nil {
		return err
	}
	into := newMemoryReceiver(atOnce)
	_, _ = into.data.Write(o.held(off, atOnce)) // to memory: never fails
	before := int64(into.data.Len())
	var to Receiver = into
	if along != nil {
		startFollowing(along, into)
		to = along
	}
	err := fetchAll(o, off+before, n-before, atOnce-before, to)
	if along != nil {
		err = endFollowing(along, err)
	}
	if err != nil {
		return err
	}
	o.window = into.data.Bytes()
	o.from = off
	if atOnce > HopLen {
		o.fetched += int64(len(o.window)) - before
	}
	return nil
}

// admit bounds what is fetched, and takes memory for it.
func (o *origin) admit(n int64) error {
	if n <= HopLen {
		o.hops++
		if o.hops > maxHeaders {
			return ErrHops
		}
	} else if o.fetched+n > o.client.MaxSearch+2*o.client.BufferSize {
		return fmt.Errorf("%w: %d", ErrTooLarge, o.fetched+n)
	}
	return o.client.Lease.Take(n)
}

// fetchAll asks for so many bytes at once from off on: again where an answer is of less (RFC 9110, 15.3.7), until n have
// come, or the file has ended.
func fetchAll(o *origin, off, n, atOnce int64, into Receiver) error {
	for n > 0 {
		k, err := fetchOnce(o, off, atOnce, into)
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return err
		}
		off += k
		n -= k
		atOnce -= k
	}
	return nil
}

// fetchOnce makes a request for up to n bytes at off, and returns how many came; a second and a third where the origin
// refuses a range that reaches past the end, of which it has not said before where that is.
func fetchOnce(o *origin, off, n int64, into Receiver) (int64, error) {
	form := asAsked
	for {
		o.asked++
		if o.asked > maxFetches {
			return 0, fmt.Errorf("%w: %d requests and no index yet", ErrMisbehaving, maxFetches)
		}
		x := askIn(o, form, off, n, into)
		x.hidden = true
		err := runExchange(x)
		if !errors.Is(err, errPastLength) {
			return x.length, err
		}
		next := nextForm(o, form, off, n)
		if next == inOne && form == toEnd {
			return 0, errEnd
		}
		if next == inOne {
			return 0, fmt.Errorf("%w: it refuses bytes from %d on of a file of %d", ErrMisbehaving, off, o.named)
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
func askIn(o *origin, form int, off, n int64, to Receiver) *exchange {
	switch form {
	case within:
		n = o.named - off
	case toEnd:
		x := ask(o.fileNews, off, n, to)
		x.open = true
		x.req.Header.Set("Range", "bytes="+strconv.FormatInt(off, 10)+"-")
		return x
	case inOne:
		return ask(o.fileNews, 0, -1, to)
	}
	return ask(o.fileNews, off, n, to)
}

// sendSpan streams n bytes at off: by one request, or by as many as it takes where the origin answers less than it is
// asked for.
func sendSpan(o *origin, out Receiver, off, n int64) error {
	o.window = nil // no more is read
	flows := false
	for n > 0 {
		x := ask(o.fileNews, off, n, out)
		x.flows = flows
		if err := runExchange(x); err != nil {
			return err
		}
		off += x.length
		n -= x.length
		if n == 0 {
			break
		}
		flows = x.exactly != nil
		if off == o.version.Size {
			return fmt.Errorf("%w: the file ends %d bytes early", ErrMisbehaving, n)
		}
		if err := o.client.Request.Context().Err(); err != nil {
			return fmt.Errorf("%w: %v", ErrGone, err)
		}
	}
	return nil
}
