package mp4

import (
	"bytes"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// boxWriter collects boxes. Nearly all that a cut changes are numbers of 32 bits, so these are collected as numbers: one
// that is known later is assigned later, and compiled code encodes all of them at once. Between them stand runs of
// bytes: of the source's moov, as they are or changed on their way out, or made for the answer.
type boxWriter struct {
	numbers  []uint32
	byteRuns []byteRun
	bytes    int64 // of the runs of bytes
	made     bool  // long runs are no views of the source's moov either
}

// byteRun is bytes that stand behind so many numbers.
type byteRun struct {
	numbers int
	data    []byte
	change  *lanes.Change
}

// Runs shorter than this are copied together, so that a moov is written in a few large writes.
const leastView = 4 << 10

func newBoxWriter(made bool) *boxWriter {
	return &boxWriter{numbers: make([]uint32, 0, 256), byteRuns: make([]byteRun, 0, 64), made: made}
}

// writtenSize is the number of bytes so far.
func writtenSize(w *boxWriter) int64 { return 4*int64(len(w.numbers)) + w.bytes }

// writeRaw appends bytes as they are.
func writeRaw(w *boxWriter, b []byte) {
	w.byteRuns = append(w.byteRuns, byteRun{numbers: len(w.numbers), data: b})
	w.bytes += int64(len(b))
}

// writeChanged appends entries that change on their way out.
func writeChanged(w *boxWriter, entries []byte, c *lanes.Change) {
	w.byteRuns = append(w.byteRuns, byteRun{numbers: len(w.numbers), data: entries, change: c})
	w.bytes += int64(len(entries))
	if c != nil && c.Grow {
		w.bytes += int64(len(entries))
	}
}

// joinPieces makes pieces of all that was collected.
func joinPieces(w *boxWriter) []piece {
	numbers := lanes.Encode(w.numbers, 4*len(w.numbers))
	pieces, short, at := make([]piece, 0, 32), make([][]byte, 0, 64), 0
	for i := range w.byteRuns {
		s := &w.byteRuns[i]
		if at < s.numbers {
			short = append(short, numbers[4*at:4*s.numbers])
			at = s.numbers
		}
		if s.change == nil && len(s.data) < leastView {
			short = append(short, s.data)
			continue
		}
		if len(s.data) == 0 {
			continue
		}
		if len(short) > 0 {
			pieces = append(pieces, piece{data: bytes.Join(short, nil)})
			short = short[:0]
		}
		pieces = append(pieces, piece{data: s.data, view: !w.made, change: s.change})
	}
	if short = append(short, numbers[4*at:]); len(short) > 1 || len(short[0]) > 0 {
		pieces = append(pieces, piece{data: bytes.Join(short, nil)})
	}
	return pieces
}
