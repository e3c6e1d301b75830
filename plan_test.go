package mp4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
	"github.com/traefik-mp4/mp4/internal/lanes"
)

// severalPieces are a made segment of bytes as they are and entries that change, and the bytes that it stands for.
func severalPieces() (*segment, []byte) {
	add := &lanes.Change{Width: 4, Add: 7}
	grow := &lanes.Change{Width: 4, Add: 7, Grow: true}
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

// TestLengths adds up the sizes of groups of samples, of every width, and compares with sums of single ones.
func TestLengths(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for round := 0; round < filmtest.Rounds(300, 20); round++ {
		n := 1 + r.Int63n(90)
		track := &track{sizeBits: oneOf(r, 4, 8, 16, 32), sizes: make([]byte, 4*n)}
		r.Read(track.sizes)
		if r.Intn(4) == 0 {
			track.uniform = 1 + r.Int63n(9)
		}
		first := r.Int63n(n + 1)
		end := r.Int63n(n + 1)
		groups, want := []uint32{}, []int64{}
		at := first
		for i := r.Intn(20) + 1; i > 0; i-- {
			group, sum := r.Int63n(9), int64(0)
			for sample := at; sample < at+group && sample < end; sample++ {
				sum += track.size(sample)
			}
			groups = append(groups, uint32(group))
			want = append(want, sum)
			at += group
		}
		if got := track.lengths(first, end, groups); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("sizes of %d bits, %d each, of groups %v from %d to %d: %v, want %v", track.sizeBits, track.uniform, groups, first, end, got, want)
		}
	}
}

// TestSizes sums up sizes of samples in tables of every width, from any sample to any other near a boundary.
func TestSizes(t *testing.T) {
	r := rand.New(rand.NewSource(14))
	for _, bits := range []int{4, 8, 16, 32} {
		for _, n := range []int64{1, 2, 3, 7, 8, 9, 127, 128, 129, 1023, 1025, 40000} {
			if filmtest.Interpreted() && n > 2000 {
				continue
			}
			made := &madeTrack{sizeBits: bits}
			for i := int64(0); i < n; i++ {
				v := r.Int63n(int64(1) << uint(bits))
				if r.Intn(3) == 0 {
					v = int64(1)<<uint(bits) - 1
				}
				made.sizes = append(made.sizes, v)
			}
			box := made.sizeTable()
			track := &track{sizeBits: int64(bits), sizes: box[20:]}
			sums := []int64{0}
			for _, size := range made.sizes {
				sums = append(sums, sums[len(sums)-1]+size)
			}
			for _, first := range []int64{0, 1, 2, n / 2, n - 2, n - 1, n} {
				for _, end := range []int64{first, first + 1, first + 2, n/2 + 1, n - 1, n} {
					if first < 0 || end < first || end > n {
						continue
					}
					got, want := sizeOf(track, first, end), sums[end]-sums[first]
					if got != want {
						t.Errorf("%d bits, samples [%d, %d) of %d: %d bytes, want %d", bits, first, end, n, got, want)
					}
				}
			}
		}
	}
}
