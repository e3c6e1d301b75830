package mp4

import (
	"bytes"
	"errors"
	"testing"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// severalPieces are a made segment of bytes as they are and entries that change, and the bytes that it stands for.
func severalPieces() (*segment, []byte) {
	add := &lanes.Change{Width: 4, Mul: 1, Add: lanes.EntryOf(4, 7)}
	grow := &lanes.Change{Width: 4, Mul: 1, Add: lanes.EntryOf(8, 7), Grow: true}
	s := &segment{pieces: []madePiece{
		{data: []byte("front")},
		{data: u32(1, 2, 3), change: add},
		{data: []byte{}},
		{data: u32(1<<32-8, 1<<32-7), change: grow},
		{data: []byte("end")},
	}}
	return s, bytes.Join([][]byte{[]byte("front"), u32(8, 9, 10), number(1<<32-1, 8), number(1<<32, 8), []byte("end")}, nil)
}

// TestSegment writes every range of a segment of several pieces.
func TestSegment(t *testing.T) {
	s, want := severalPieces()
	for from := 0; from <= len(want); from++ {
		for to := from; to <= len(want); to++ {
			var out bytes.Buffer
			err := writeSegment(s, &out, int64(from), int64(to))
			if err != nil || !bytes.Equal(out.Bytes(), want[from:to]) {
				t.Fatalf("bytes [%d, %d): % x, want % x, %v", from, to, out.Bytes(), want[from:to], err)
			}
		}
	}
}

// brokenWriter fails at once.
type brokenWriter struct{}

var errWrite = errors.New("nobody there")

func (brokenWriter) Write([]byte) (int, error) { return 0, errWrite }

// TestSegmentFails wants the writer's own error, wherever writing begins.
func TestSegmentFails(t *testing.T) {
	s, all := severalPieces()
	for from := range all {
		err := writeSegment(s, brokenWriter{}, int64(from), int64(len(all)))
		if !errors.Is(err, errWrite) {
			t.Errorf("from byte %d: %v", from, err)
		}
	}
}
