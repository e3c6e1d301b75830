package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
)

// piled is a source whose bytes are given.
type piled []byte

func (p piled) Settled() bool { return true }
func (p piled) Size() int64   { return int64(len(p)) }

func (p piled) Read(off, n int64) ([]byte, error) {
	if off >= int64(len(p)) {
		return nil, nil
	}
	return p[off:minInt64(off+n, int64(len(p)))], nil
}

func (p piled) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	return p.Read(off, n)
}

func (p piled) Peek(off, n, atOnce int64) ([]byte, error) { return p.Read(off, n) }
func (p piled) Reserve(n int64) error                     { return nil }

// words are 32-bit numbers.
func words(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// aBox is a box: size(4), type(4), payload.
func aBox(typ string, payload ...[]byte) []byte {
	body := bytes.Join(payload, nil)
	return append(append(words(uint32(8+len(body))), typ...), body...)
}

func parsed(data []byte, at int64) *box {
	typ, header, _ := parseHeader(data)
	return &box{typ: typ, at: at, header: header, data: data}
}

func TestReadFragment(t *testing.T) {
	defaults := map[uint32]trackDefaults{1: {description: 1, duration: 10, size: 100, flags: sampleIsNonSync}}
	mfhd := aBox("mfhd", words(0, 1))
	for _, test := range []struct {
		name  string
		trafs []byte
		want  *trackFragment // of the first traf; nil: refused
	}{
		{"defaults of trex", aBox("traf", aBox("tfhd", words(0x020000, 1)), aBox("trun", words(0x1, 2, 64))),
			&trackFragment{id: 1, duration: 20, shown: 20, durations: []int64{10, 10}, sizes: []int64{100, 100}, offsets: []int64{0, 0},
				flags: []int64{sampleIsNonSync, sampleIsNonSync}, runs: []trackRun{{1064, 2, 1}}}},
		{"defaults of tfhd", aBox("traf", aBox("tfhd", words(0x02003A, 1, 2, 20, 200, 0)), aBox("trun", words(0, 1))),
			&trackFragment{id: 1, duration: 20, shown: 20, durations: []int64{20}, sizes: []int64{200}, offsets: []int64{0},
				flags: []int64{0}, runs: []trackRun{{1000, 1, 2}}}},
		{"every field of trun", aBox("traf", aBox("tfhd", words(0x020000, 1)), aBox("tfdt", words(0, 77)),
			aBox("trun", words(0x01000F01, 2, 64, 11, 5, 0, 0xFFFFFFFD, 12, 6, sampleIsNonSync, 30))),
			&trackFragment{id: 1, timed: true, begins: 77, duration: 23, shown: 53, least: -3, durations: []int64{11, 12}, sizes: []int64{5, 6},
				offsets: []int64{-3, 30}, flags: []int64{0, sampleIsNonSync}, runs: []trackRun{{1064, 2, 1}}}},
		{"flags of the first sample", aBox("traf", aBox("tfhd", words(0x020000, 1)), aBox("trun", words(0x4, 2, 0))),
			&trackFragment{id: 1, duration: 20, shown: 20, durations: []int64{10, 10}, sizes: []int64{100, 100}, offsets: []int64{0, 0},
				flags: []int64{0, sampleIsNonSync}, runs: []trackRun{{1000, 2, 1}}}},
		{"an absolute offset, a time of 64 bits", aBox("traf", aBox("tfhd", words(0x1, 1, 1, 0)), aBox("tfdt", words(1<<24, 1, 2)), aBox("trun", words(0x1, 1, 3))),
			&trackFragment{id: 1, timed: true, begins: 1<<32 + 2, duration: 10, shown: 10, durations: []int64{10}, sizes: []int64{100}, offsets: []int64{0},
				flags: []int64{sampleIsNonSync}, runs: []trackRun{{1<<32 + 3, 1, 1}}}},
		{"runs one after another", aBox("traf", aBox("tfhd", words(0, 1)), aBox("trun", words(0x1, 1, 64)), aBox("trun", words(0, 0)), aBox("trun", words(0, 1))),
			&trackFragment{id: 1, duration: 20, shown: 20, durations: []int64{10, 10}, sizes: []int64{100, 100}, offsets: []int64{0, 0},
				flags: []int64{sampleIsNonSync, sampleIsNonSync}, runs: []trackRun{{1064, 1, 1}, {1164, 1, 1}}}},
		{"a track without trex", aBox("traf", aBox("tfhd", words(0, 9)), aBox("senc", words(0, 0)), aBox("trun", words(0x200, 1, 8))),
			&trackFragment{id: 9, protected: true, durations: []int64{0}, sizes: []int64{8}, offsets: []int64{0}, flags: []int64{0}, runs: []trackRun{{1000, 1, 0}}}},
		{"no samples", aBox("traf", aBox("tfhd", words(0x010000, 1))), &trackFragment{id: 1}},
		{"no tfhd", aBox("traf", aBox("trun", words(0, 0))), nil},
		{"a short tfhd", aBox("traf", aBox("tfhd", words(0))), nil},
		{"a tfhd without what its flags say", aBox("traf", aBox("tfhd", words(0x8, 1))), nil},
		{"two tfhd", aBox("traf", aBox("tfhd", words(0, 1)), aBox("tfhd", words(0, 1))), nil},
		{"an offset beyond any file", aBox("traf", aBox("tfhd", words(0x1, 1, 0x80000000, 0))), nil},
		{"an offset before the file", aBox("traf", aBox("tfhd", words(0x020000, 1)), aBox("trun", words(0x1, 1, 0x80000000))), nil},
		{"a short tfdt", aBox("traf", aBox("tfhd", words(0, 1)), aBox("tfdt", words(1<<24, 0))), nil},
		{"a time beyond all times", aBox("traf", aBox("tfhd", words(0, 1)), aBox("tfdt", words(1<<24, 1<<30, 0))), nil},
		{"a short trun", aBox("traf", aBox("tfhd", words(0, 1)), aBox("trun", words(0))), nil},
		{"a count that lies", aBox("traf", aBox("tfhd", words(0, 1)), aBox("trun", words(0x100, 3, 1, 1))), nil},
		{"a count without any field", aBox("traf", aBox("tfhd", words(0, 1)), aBox("trun", words(0, 0xFFFFFFFF))), nil},
		{"many runs of many samples", aBox("traf", aBox("tfhd", words(0, 1)), bytes.Repeat(aBox("trun", words(0, maxInMoof)), 2)), nil},
		{"a box of an impossible size", append(aBox("traf", aBox("tfhd", words(0, 1))), words(1<<30, 0x74726166)...), nil},
	} {
		f, err := readFragment(parsed(aBox("moof", mfhd, test.trafs), 1000), defaults)
		if test.want == nil {
			if !errors.Is(err, errFormat) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := f.tracks[0]; !sameFragment(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.name, *got, *test.want)
		}
	}
}

// sameFragment compares field by field, for reflect.DeepEqual tells an empty slice from none.
func sameFragment(a, b *trackFragment) bool {
	same := a.id == b.id && a.timed == b.timed && a.protected == b.protected && a.begins == b.begins && a.duration == b.duration &&
		a.shown == b.shown && a.least == b.least && len(a.runs) == len(b.runs) && len(a.sizes) == len(b.sizes)
	for i := 0; same && i < len(a.sizes); i++ {
		same = a.durations[i] == b.durations[i] && a.sizes[i] == b.sizes[i] && a.offsets[i] == b.offsets[i] && a.flags[i] == b.flags[i]
	}
	for i := 0; same && i < len(a.runs); i++ {
		same = a.runs[i] == b.runs[i]
	}
	return same
}

func TestSegmentIndex(t *testing.T) {
	for _, test := range []struct {
		name string
		sidx []byte
		want []indexEntry
		end  int64
	}{
		{"version 0", aBox("sidx", words(0, 1, 1000, 500, 8, 2, 100, 2000, 0, 200, 1000, 0)), []indexEntry{{1064, 0.5, false}, {1164, 2.5, false}}, 1364},
		{"version 1, nested", aBox("sidx", words(1<<24, 1, 1000, 0, 500, 0, 8, 1, 1<<31|100, 2000, 0)), []indexEntry{{1060, 0.5, true}}, 1160},
		{"a count that lies", aBox("sidx", words(0, 1, 1000, 0, 0, 0xFFFF, 100, 2000, 0)), []indexEntry{{1044, 0, false}}, 1144},
		{"no timescale", aBox("sidx", words(0, 1, 0, 0, 0, 1, 100, 2000, 0)), nil, 0},
		{"beyond any file", aBox("sidx", words(1<<24, 1, 1000, 0, 500, 1<<30, 8, 1, 100, 2000, 0)), nil, 0},
		{"short", aBox("sidx", words(0, 1, 1000)), nil, 0},
		{"empty", aBox("sidx"), nil, 0},
	} {
		x := parseSegmentIndex(parsed(test.sidx, 1000))
		if x == nil {
			x = &segmentIndex{}
		}
		if len(x.entries) != len(test.want) || x.end != test.end {
			t.Errorf("%s: got %+v", test.name, *x)
			continue
		}
		for i, p := range x.entries {
			if p != test.want[i] {
				t.Errorf("%s: got %+v, want %+v", test.name, p, test.want[i])
			}
		}
	}
}

func TestRandomAccessPoints(t *testing.T) {
	for _, test := range []struct {
		name string
		tfra []byte
		want []indexEntry
	}{
		{"version 0", append(words(0, 1, 0, 2, 1000, 64), append([]byte{1, 1, 1}, append(words(3000, 128), 1, 1, 1)...)...), []indexEntry{{64, 1, false}, {128, 3, false}}},
		{"version 1, numbers of 4 bytes", words(1<<24, 1, 0x3F, 1, 0, 1000, 1, 64, 1, 1, 1), []indexEntry{{1<<32 + 64, 1, false}}},
		{"two in one fragment", append(words(0, 1, 0, 2, 1000, 64), append([]byte{1, 1, 1}, append(words(3000, 64), 1, 1, 1)...)...), []indexEntry{{64, 1, false}}},
		{"beyond any file", words(1<<24, 1, 0x3F, 1, 0, 1000, 1<<30, 64, 1, 1, 1), nil},
		{"half a point", words(0, 1, 0, 1, 1000), nil},
	} {
		if got := randomAccessPoints(test.tfra, 1000); len(got) != len(test.want) || len(got) > 0 && !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}
