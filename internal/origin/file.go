package origin

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/traefik-mp4/mp4/internal/budget"
)

// File is a file that is read by range, and can be sent on.
type File interface {
	// Size is the file's length in bytes, or -1 while it is not known.
	Size() int64
	// Read returns the n bytes at off, fewer only where the file ends before. The slice stays as it is for as long
	// as an index made of it is used.
	Read(off, n int64) ([]byte, error)
	// ReadAlong is Read that may call follow with what has come of the bytes so far: first with what is there, and then
	// when there are at least as many as follow has returned. What it is given stays as Read's.
	ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error)
	// Peek is Read, for a moment and for hops along the file: where the n bytes have to be fetched, so many at once. Up
	// to HopLen they are a hop, of which there may be many.
	Peek(off, n, atOnce int64) ([]byte, error)
	// Settled reports whether Size is the last word on how long the file is. Then one that ends before its tables do is
	// cut as far as it reaches. What an origin says may be of half a file, and must not come out as a whole film.
	Settled() bool
	// Reserve counts memory that is taken for what was read.
	Reserve(n int64) error
	// State is the file's version: the one read, or the one expected.
	State() Version
}

// Receiver takes what a file sends. Begin comes once the file's owner has agreed and before the first byte, with the
// headers that describe the file, and returns where the bytes go.
type Receiver interface {
	Begin(header http.Header) (io.Writer, error)
	// Native reports whether where the bytes go is no code of ours, which would have to be guarded.
	Native() bool
}

// Client is whom a file is asked for: the request, what is to be done with it, and what came of that so far.
type Client struct {
	Request    *http.Request
	Writer     http.ResponseWriter // for a refusal
	Next       http.Handler        // answers requests for the file
	Query      string              // of these
	BufferSize int64               // bytes of the first
	MaxSearch  int64               // bytes that may be held in search of the tables
	Lease      *budget.Lease
	Started    bool     // the client has got a status
	Seen       *Version // of the file, where it was found to be another than expected
	Cookies    []string // Set-Cookie lines in answers to requests of our own
}

// Version tells one state of a file from another, by what comes with every answer.
type Version struct {
	ETag     string
	Modified string // Last-Modified as it came
	Size     int64  // -1 where the origin does not say
}

// Known reports whether there is a validator (RFC 9110, 8.8): a length alone says little.
func (v Version) Known() bool { return v.ETag != "" || v.Modified != "" }

// words is for the log.
func (v Version) words() string {
	return fmt.Sprintf("ETag %q Last-Modified %q length %d", v.ETag, v.Modified, v.Size)
}

// How requests to an origin end, other than well.
var (
	ErrTooLarge    = errors.New("mp4 moov atom is too large") // nginx's words, which its users know
	ErrPass        = errors.New("mp4: not ours to answer")    // the client's own request goes to the next handler
	ErrRelayed     = errors.New("mp4: refused by the origin") // the client has the refusal
	ErrChanged     = errors.New("mp4: the file changed")      // between two requests, or replicas differ
	ErrGone        = errors.New("mp4: the client is gone")
	errEnd         = errors.New("mp4: the file ends before") // where nobody had said how long it is
	errPastLength  = errors.New("mp4: refused as a range past the end")
	ErrMisbehaving = errors.New("mp4: the origin misbehaves")
	ErrNoRanges    = errors.New("mp4: the origin ignores Range and the moov is not at the front: " +
		"let it answer 206, put the moov first, or increase maxBufferSize")
)

// addHeaders adds to what middlewares before us may have set already, as a proxy does.
func addHeaders(to, from http.Header) {
	for name, values := range from {
		to[name] = append(to[name], values...)
	}
}

func minInt64(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func maxInt64(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}
