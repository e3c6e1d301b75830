package origin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// streamedFile is a file that comes in one piece, from an origin that ignores Range. What was read while looking for the moov
// is held, up to maxBufferSize and a first read; beyond, it can only be sent on.
type streamedFile struct {
	client  *Client
	version Version
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

func (s *streamedFile) Size() int64    { return s.version.Size }
func (s *streamedFile) State() Version { return s.version }
func (s *streamedFile) Settled() bool  { return false }

func closeStream(s *streamedFile) {
	_ = s.body.CloseWithError(ErrGone)
	s.cancel()
	<-s.done
}

func (s *streamedFile) Read(off, n int64) ([]byte, error) {
	if s.version.Size >= 0 {
		n = maxInt64(0, minInt64(n, s.version.Size-off))
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

// ReadAlong is Read.
func (s *streamedFile) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	return s.Read(off, n)
}

// Peek is Read: what comes, comes in order.
func (s *streamedFile) Peek(off, n, atOnce int64) ([]byte, error) { return s.Read(off, n) }

func (s *streamedFile) Reserve(n int64) error { return s.client.Lease.Take(n) }

// hold reads on until the first n bytes are held, or the file ends.
func (s *streamedFile) hold(n int64) error {
	more := n - s.front
	if more <= 0 || s.ended {
		return nil
	}
	if n > s.client.MaxSearch+s.client.BufferSize {
		return ErrNoRanges
	}
	if err := s.client.Lease.Take(more); err != nil {
		return err
	}
	k, err := io.CopyN(s.held, s.body, more)
	s.front += k
	if err == io.EOF {
		s.ended = true
		s.version.Size = s.front
		return nil
	}
	return err
}

// sendStream sends what is held and streams the rest.
func sendStream(s *streamedFile, out Receiver, off, n int64) error {
	w, err := out.Begin(s.header)
	if err != nil {
		return err
	}
	if off < s.front {
		k := minInt64(n, s.front-off)
		if _, err = w.Write(s.held.Bytes()[off : off+k]); err != nil {
			return fmt.Errorf("%w: %v", ErrGone, err)
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
func (s *streamedFile) pass(w io.Writer, n int64) error {
	k, err := io.CopyN(w, s.body, n)
	s.past += k
	if err == io.EOF {
		return fmt.Errorf("%w: the file ends %d bytes early", ErrMisbehaving, n-k)
	}
	return err
}

// Streams reports whether a file comes in one piece, in order, from an origin that ignores Range.
func Streams(f File) bool {
	_, streams := f.(*streamedFile)
	return streams
}
