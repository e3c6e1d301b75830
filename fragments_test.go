package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"
)

const (
	fragmentPictures = 50  // of a fragment, at 25 a second
	pictureBytes     = 100 // of each
)

// fragmentsOf is a film of pictures alone in so many fragments, each with a key frame first; change may spoil one.
func fragmentsOf(count int, change func(i int, moof []byte) []byte) []byte {
	stbl := aBox("stbl", aBox("stsd", words(0, 1), aBox("avc1", make([]byte, 78))), aBox("stts", words(0, 0)), aBox("stsc", words(0, 0)),
		aBox("stsz", words(0, 0, 0)), aBox("stco", words(0, 0)))
	mdia := aBox("mdia", aBox("mdhd", words(0, 0, 0, 25, 0, 0)), aBox("hdlr", words(0, 0), []byte("vide"), make([]byte, 13)), aBox("minf", aBox("vmhd", words(1, 0, 0)), stbl))
	film := append(aBox("ftyp", []byte("isom"), words(0)), aBox("moov", aBox("mvhd", words(0, 0, 0, 1000, 0), make([]byte, 80)),
		aBox("trak", aBox("tkhd", words(1, 0, 0, 1, 0, 0), make([]byte, 60)), mdia), aBox("mvex", aBox("trex", words(0, 1, 1, 1, pictureBytes, sampleIsNonSync))))...)
	for i := 0; i < count; i++ {
		trun := aBox("trun", words(0x5, fragmentPictures, 100, 0))
		moof := aBox("moof", aBox("mfhd", words(0, uint32(i+1))), aBox("traf", aBox("tfhd", words(0x020000, 1)), aBox("tfdt", words(0, uint32(i*fragmentPictures))), trun))
		binary.BigEndian.PutUint32(trun[16:], uint32(len(moof)+8))
		copy(moof[len(moof)-len(trun):], trun)
		if change != nil {
			moof = change(i, moof)
		}
		film = append(film, moof...)
		var media []byte
		for k := 0; k < fragmentPictures; k++ {
			media = append(media, bytes.Repeat([]byte{byte(i), byte(k)}, pictureBytes/2)...)
		}
		film = append(film, aBox("mdat", media)...)
	}
	return film
}

// answerOf is what a client gets of a film.
func answerOf(film []byte, iv msInterval, seek string) ([]byte, error) {
	m, err := findMovie(piled(film), 1<<20)
	if err != nil {
		return nil, err
	}
	c, err := m.cutFragments(piled(film), iv, seek)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, s := range c.segments {
		if !s.fromSource {
			err = writeSegment(s, &out, 0, s.length)
		} else if s.retiming == nil {
			out.Write(film[s.off : s.off+s.length])
		} else {
			w := s.retiming.writer(s.off, s.length, readStart{begin: s.off, pass: s.retiming.plain}, s.off+s.length)
			w.w = &out
			_, err = w.Write(film[s.off : s.off+s.length])
		}
		if err != nil {
			return nil, err
		}
	}
	if int64(out.Len()) != c.length {
		return nil, errors.New("another length than promised")
	}
	return out.Bytes(), nil
}

// boxesOf are the types of the boxes on top.
func boxesOf(film []byte) string {
	types := ""
	for len(film) >= headerLen {
		typ, _, size := parseHeader(film)
		if size < headerLen || size > int64(len(film)) {
			return types + "?"
		}
		types += typ + " "
		film = film[size:]
	}
	return types
}

func TestCutFragments(t *testing.T) {
	film := fragmentsOf(5, nil)
	for _, test := range []struct {
		name string
		iv   msInterval
		seek string
		want string // the boxes
		at   []byte // how the media begin, of a moov with samples
	}{
		{"in a fragment", msInterval{2500, -1}, seekExact, "ftyp moov moof mdat moof mdat moof mdat moof mdat ", []byte{1, 0}},
		{"on a key frame", msInterval{4000, -1}, seekExact, "ftyp moov moof mdat moof mdat moof mdat ", []byte{2, 0}},
		{"in the last", msInterval{9970, -1}, seekExact, "ftyp moov moof mdat ", []byte{4, 0}},
		{"a clip", msInterval{3000, 5000}, seekExact, "ftyp moov mdat ", []byte{1, 0}},
		{"a clip to the end", msInterval{3000, 20000}, seekExact, "ftyp moov mdat ", []byte{1, 0}},
		{"from the front", msInterval{0, 20000}, seekExact, "ftyp moov mdat ", []byte{0, 0}},
		{"keyframe", msInterval{2500, -1}, seekKeyframe, "ftyp moov moof mdat moof mdat moof mdat moof mdat ", nil},
		{"keyframe, a clip", msInterval{2500, 3000}, seekKeyframe, "ftyp moov moof mdat ", nil},
		{"sample is keyframe", msInterval{9990, -1}, seekSample, "ftyp moov moof mdat ", nil},
	} {
		got, err := answerOf(film, test.iv, test.seek)
		if err != nil || boxesOf(got) != test.want {
			t.Errorf("%s: %v, boxes %q", test.name, err, boxesOf(got))
			continue
		}
		if mdat := bytes.Index(got, []byte("mdat")); test.at != nil && !bytes.HasPrefix(got[mdat+4:], test.at) {
			t.Errorf("%s: the media begin with %x", test.name, got[mdat+4:mdat+8])
		}
	}
	for _, start := range []int64{10000, 1 << 40} {
		if _, err := answerOf(film, msInterval{start, -1}, seekExact); !errors.Is(err, errPastEnd) {
			t.Errorf("from %d ms: %v", start, err)
		}
	}
}

// A clip of more fragments than are read for its moov ends in one that has what is shown, and no more.
func TestLongClip(t *testing.T) {
	film := fragmentsOf(300, nil)
	offsets := func(i int, moof []byte) []byte { // of a key frame, and of each picture that is shown after the next two
		trun := bytes.Index(moof, []byte("trun")) - 4
		fields := words(0x805, fragmentPictures, binary.BigEndian.Uint32(moof[trun+16:])+4*fragmentPictures, 0)
		for k := 0; k < fragmentPictures; k++ {
			offset := []uint32{0, 3, 0}[k%3]
			if k == 0 || k == fragmentPictures-1 {
				offset = 1
			}
			fields = append(fields, words(offset)...)
		}
		traf := aBox("traf", moof[bytes.Index(moof, []byte("tfhd"))-4:trun], aBox("trun", fields))
		return aBox("moof", aBox("mfhd", words(0, uint32(i+1))), traf)
	}
	for _, test := range []struct {
		name     string
		film     []byte
		iv       msInterval
		seek     string
		pictures []uint32 // of the last fragments
		last     uint32   // bytes of the last mdat
	}{
		{"in a fragment", film, msInterval{2500, 590480}, seekExact, []uint32{50, 12}, 1208},
		{"after the first picture of one", film, msInterval{2500, 590001}, seekExact, []uint32{50, 1}, 108},
		{"at the end of one", film, msInterval{2500, 590000}, seekExact, []uint32{50, 50}, 5008},
		{"keyframe", film, msInterval{2500, 5000}, seekKeyframe, []uint32{50, 25}, 2508},
		{"keyframe, in one fragment", film, msInterval{2500, 2600}, seekKeyframe, []uint32{15}, 1508},
		{"B-frames", fragmentsOf(300, offsets), msInterval{2500, 590480}, seekExact, []uint32{50, 12}, 1208},
	} {
		got, err := answerOf(test.film, test.iv, test.seek)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		var pictures []uint32
		last := uint32(0)
		for rest := got; len(rest) >= headerLen; rest = rest[binary.BigEndian.Uint32(rest):] {
			switch string(rest[4:8]) {
			case "moof":
				trun := rest[bytes.Index(rest, []byte("trun")):]
				pictures = append(pictures, binary.BigEndian.Uint32(trun[8:]))
			case "mdat":
				last = binary.BigEndian.Uint32(rest)
			}
		}
		if n := len(pictures) - len(test.pictures); n > 0 {
			pictures = pictures[n:]
		}
		if fmt.Sprint(pictures) != fmt.Sprint(test.pictures) || last != test.last {
			t.Errorf("%s: fragments of %d pictures, the last mdat is of %d bytes", test.name, pictures, last)
		}
		if test.name == "B-frames" { // the last but one picture is of 0.04 s after the end, and follows what is shown until then
			entry := got[bytes.LastIndex(got, []byte("trun"))+16+16*10:]
			if offset := binary.BigEndian.Uint32(entry[12:]); offset != 2 {
				t.Errorf("it is shown %d ticks after it is decoded", offset)
			}
		}
	}
}

// The times of what follows go on where the made fragment ends: 12 pictures before the one on show last a tick each, but
// for the last, which lasts two.
func TestFollowingTimes(t *testing.T) {
	got, err := answerOf(fragmentsOf(3, nil), msInterval{2480, -1}, seekExact)
	if err != nil {
		t.Fatal(err)
	}
	edit := bytes.Index(got, []byte("elst")) + 12
	mediaTime := binary.BigEndian.Uint32(got[edit+4:])
	tfdt := bytes.LastIndex(got, []byte("tfdt")) + 8
	if mediaTime != 14 {
		t.Errorf("the edit begins at %d", mediaTime)
	}
	if at := binary.BigEndian.Uint32(got[tfdt:]); at != mediaTime+fragmentPictures-12 {
		t.Errorf("the next fragment begins at %d, the edit at %d", at, mediaTime)
	}
}

// A file that is being written may end anywhere: the answer is of what is whole.
func TestGrowingFile(t *testing.T) {
	whole := fragmentsOf(3, nil)
	want, err := answerOf(whole, msInterval{2500, -1}, seekExact)
	if err != nil {
		t.Fatal(err)
	}
	longer := fragmentsOf(4, nil)
	for end := len(whole); end < len(longer); end += 97 {
		got, err := answerOf(longer[:end], msInterval{2500, -1}, seekExact)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes more: %v, %d bytes instead of %d", end-len(whole), err, len(got), len(want))
		}
	}
}

// inPieces writes data to a retimer, so many bytes at a time.
func inPieces(t *testing.T, r *fragmentRetiming, data []byte, at readStart, off int64, limit int64, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := r.writer(off, limit, at, int64(len(data)))
	w.w = &out
	for data = data[at.begin:]; len(data) > 0; {
		k := minInt(size, len(data))
		n, err := w.Write(data[:k])
		if err != nil || n != k {
			t.Fatalf("%d bytes written: %d, %v", k, n, err)
		}
		data = data[k:]
	}
	return out.Bytes()
}

// A segment that ends within a box is as long as it was promised to be.
func TestRetimerBrokenEnd(t *testing.T) {
	film := fragmentsOf(2, nil)
	begin := bytes.LastIndex(film, []byte("moof")) - 4
	r := &fragmentRetiming{later: map[uint32]int64{1: 0}}
	for end := begin + 1; end < begin+100; end++ {
		for _, size := range []int{3, 1 << 20} {
			if got := inPieces(t, r, film[:end], readStart{}, 0, int64(end), size); !bytes.Equal(got, film[:end]) {
				t.Errorf("%d bytes in the last box: %d instead of %d", end-begin, len(got), end)
			}
		}
	}
}

func TestRetimerInPieces(t *testing.T) {
	data := fragmentsOf(3, func(i int, moof []byte) []byte {
		return append(aBox("sidx", make([]byte, 30)), append(moof, aBox("free", make([]byte, 5))...)...)
	})
	data = data[bytes.Index(data, []byte("sidx"))-4:]
	large := append(words(1, 0x6D646174, 0, 20), 1, 2, 3, 4) // an mdat with a 64-bit size
	data = append(append(data, large...), aBox("mfra", make([]byte, 9))...)
	r := &fragmentRetiming{later: map[uint32]int64{1: -30}, moved: -100}
	whole := inPieces(t, r, data, readStart{}, 0, int64(len(data)), len(data))
	if len(whole) != len(data) || bytes.Contains(whole, []byte("sidx")) || bytes.Contains(whole, []byte("mfra")) {
		t.Fatalf("%d bytes of %d, boxes %q", len(whole), len(data), boxesOf(whole))
	}
	for i, want := range []uint32{0, 20, 70} { // 0, 50 and 100 less 30, but none below 0
		tfdt := bytes.Index(whole, []byte("tfdt"))
		if got := binary.BigEndian.Uint32(whole[tfdt+8:]); got != want {
			t.Errorf("fragment %d begins at %d", i, got)
		}
		copy(whole[tfdt:], "done")
	}
	whole = inPieces(t, r, data, readStart{}, 0, int64(len(data)), len(data))
	for _, size := range []int{1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 100, 1000, 4096} {
		if got := inPieces(t, r, data, readStart{}, 0, int64(len(data)), size); !bytes.Equal(got, whole) {
			t.Errorf("in pieces of %d: other bytes", size)
		}
	}
	for _, span := range [][2]int64{{0, 1}, {50, 60}, {1000, 6000}, {5300, 5301}, {int64(len(data)) - 3, int64(len(data))}} {
		if got := inPieces(t, r, data, readStart{}, span[0], span[1]-span[0], 64); !bytes.Equal(got, whole[span[0]:span[1]]) {
			t.Errorf("bytes [%d, %d): others", span[0], span[1])
		}
	}
}

// Times keep their length: they stay within it.
func TestRetimedTimes(t *testing.T) {
	for _, test := range []struct {
		tfdt        []byte
		later       int64
		want        []byte
		description string
	}{
		{words(0, 1000), -300, words(0, 700), "earlier"},
		{words(0, 1000), 300, words(0, 1300), "later"},
		{words(0, 1000), -3000, words(0, 0), "none before 0"},
		{words(0, 0xFFFFFF00), 0x1000, words(0, 0xFFFFFFFF), "32 bits at most"},
		{words(1<<24, 0, 0xFFFFFF00), 0x1000, words(1<<24, 1, 0xF00), "64 bits"},
		{words(1<<24, 0xFFFFFFFF, 0xFFFFFC00), 2048, words(1<<24, 0, 1024), "from before 0"},
		{words(1<<24, 0xFFFFFFFF, 0xFFFFFC00), 0, words(1<<24, 0, 0), "not to before 0"},
		{words(1<<24, 408, 0x80000000), -1752346656768, words(1<<24, 0, 0x80000000), "from an epoch"},
	} {
		moof := aBox("moof", aBox("mfhd", words(0, 1)), aBox("traf", aBox("tfhd", words(0x020000, 1)), aBox("tfdt", test.tfdt)))
		r := &fragmentRetiming{later: map[uint32]int64{1: test.later}}
		got := inPieces(t, r, moof, readStart{}, 0, int64(len(moof)), 7)
		if !bytes.HasSuffix(got, test.want) {
			t.Errorf("%s: %x", test.description, got[len(got)-len(test.want):])
		}
	}
}

// What is read for a range of the answer begins near it, wherever it is.
func TestReadStarts(t *testing.T) {
	film := fragmentsOf(40, nil)
	m, err := findMovie(piled(film), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.cutFragments(piled(film), msInterval{2500, -1}, seekExact)
	if err != nil {
		t.Fatal(err)
	}
	s := c.segments[len(c.segments)-1]
	whole := inPieces(t, s.retiming, film, readStart{begin: s.off, pass: s.retiming.plain}, s.off, s.length, 1000)
	for at := int64(0); at < s.length; at += 331 {
		first, err := m.readStartIn(piled(film), s, at)
		if err != nil {
			t.Fatal(err)
		}
		last, err := m.readStartIn(piled(film), s, minInt64(at+10, s.length))
		if err != nil {
			t.Fatal(err)
		}
		got := inPieces(t, s.retiming, film[:last.until], first, s.off+at, minInt64(10, s.length-at), 1000)
		if !bytes.Equal(got, whole[at:minInt64(at+10, s.length)]) {
			t.Errorf("at %d of %d: %x, read from %+v to %d", at, s.length, got, first, last.until)
		}
		if read := last.until - first.begin; read > 300 {
			t.Errorf("at %d: %d bytes read for 10", at, read)
		}
	}
}

// Whatever a file says, the answer comes soon, and it is an answer.
func TestHostileFragments(t *testing.T) {
	set := func(typ string, at int, v uint32) func(int, []byte) []byte {
		return func(i int, moof []byte) []byte {
			if i > 0 {
				binary.BigEndian.PutUint32(moof[bytes.Index(moof, []byte(typ))+at:], v)
			}
			return moof
		}
	}
	front := func(b ...byte) func(int, []byte) []byte {
		return func(i int, moof []byte) []byte {
			if i == 0 {
				return append(b, moof...)
			}
			return moof
		}
	}
	for _, test := range []struct {
		name   string
		change func(int, []byte) []byte
	}{
		{"a moof of no size", set("moof", -4, 0)},
		{"a moof of 4 bytes", set("moof", -4, 4)},
		{"a moof of 4 GB", set("moof", -4, 0xFFFFFFF0)},
		{"a traf longer than its moof", set("traf", -4, 0x1000)},
		{"a count that lies", set("trun", 8, 0xFFFFFFFF)},
		{"as many samples as may be", set("trun", 8, maxInMoof)},
		{"data before the file", set("trun", 12, 0x80000000)},
		{"data behind the file", set("trun", 12, 0x7FFFFFFF)},
		{"all at one time", set("tfdt", 8, 0)},
		{"all at the last time", set("tfdt", 8, 0xFFFFFFFF)},
		{"of a track that is not there", set("tfhd", 8, 77)},
		{"an index of itself", front(aBox("sidx", words(1<<24, 1, 1000, 0, 0, 0, 0, 1, 1<<31, 2000, 0))...)},
		{"an index that begins with itself", front(aBox("sidx", append(words(1<<24, 1, 1000, 0, 0), words(0xFFFFFFFF, 0xFFFFFFD0, 1, 1<<31|10, 2000, 0)...))...)},
		{"an index of 65535 references to one offset", front(aBox("sidx", append(words(0, 1, 25, 0, 0, 65535), bytes.Repeat(words(0, 1, 0), 65535)...))...)},
		{"an index of 65535 indexes at one offset", front(aBox("sidx", append(words(0, 1, 25, 0, 0, 65535), bytes.Repeat(words(1<<31, 1, 0), 65535)...))...)},
		{"an index of indexes before itself", front(aBox("sidx", append(words(1<<24, 1, 25, 0, 0), words(0, 0, 2, 1<<31, 50, 0, 1<<31|0x7FFFFFFF, 50, 0)...))...)},
		{"times that descend", func(i int, moof []byte) []byte {
			binary.BigEndian.PutUint32(moof[bytes.Index(moof, []byte("tfdt"))+8:], uint32((30-i)*fragmentPictures))
			return moof
		}},
		{"an index of nothing", front(aBox("sidx", words(0, 1, 1000, 0, 0, 0))...)},
		{"an index of what is no box", front(aBox("sidx", append(words(0, 1, 25, 0, 0, 200), bytes.Repeat(words(13, 50, 0), 200)...))...)},
		{"an index out of order", front(aBox("sidx", words(0, 1, 1, 0xFFFFFFF0, 0, 3, 0x7FFFFFFF, 0xFFFFFFFF, 0, 0, 0xFFFFFFFF, 0, 5, 0, 0))...)},
		{"a million boxes", front(bytes.Repeat(aBox("free"), 1<<17)...)},
		{"no duration", func(i int, moof []byte) []byte {
			return bytes.Replace(moof, words(0x020000, 1), words(0x030000, 1), 1)
		}},
	} {
		film := fragmentsOf(30, test.change)
		for _, seek := range []string{seekExact, seekKeyframe} {
			for _, iv := range []msInterval{{30500, -1}, {100, -1}, {20000, 40000}, {1 << 40, -1}} {
				begin := time.Now()
				got, err := answerOf(film, iv, seek)
				if err != nil && !errors.Is(err, errFormat) && !errors.Is(err, errPastEnd) {
					t.Errorf("%s, %s from %d: %v", test.name, seek, iv.start, err)
				}
				if took := time.Since(begin); took > 15*time.Second || len(got) > 2*len(film)+1<<20 {
					t.Errorf("%s, %s from %d: %v, %d bytes", test.name, seek, iv.start, took, len(got))
				}
			}
		}
	}
}

// An index that leads elsewhere, as one of before an edit of the file may, is worth nothing, but does no harm.
func TestStaleIndex(t *testing.T) {
	plain := fragmentsOf(30, nil)
	want, err := answerOf(plain, msInterval{30500, -1}, seekExact)
	if err != nil {
		t.Fatal(err)
	}
	size := len(plain) / 30 // about that of a fragment
	for _, offset := range []int{0, 100, 700, size / 2, -size / 2, len(plain), 1 << 40} {
		var points []byte
		for i := 0; i < 30; i++ {
			points = append(points, words(0, uint32(i*fragmentPictures), uint32((i*size+offset)>>32), uint32(i*size+offset), 1, 1, 1)...)
		}
		tfra := aBox("tfra", words(1<<24, 1, 0x3F, 30), points)
		film := append(append([]byte(nil), plain...), aBox("mfra", tfra, aBox("mfro", words(0, uint32(len(tfra)+24))))...)
		got, err := answerOf(film, msInterval{30500, -1}, seekExact)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("mfra, offsets from %d on: %v, %d bytes instead of %d", offset, err, len(got), len(want))
		}
	}
	for _, offset := range []uint32{100, 700, 1 << 30} {
		film := fragmentsOf(30, func(i int, moof []byte) []byte {
			if i > 0 {
				return moof
			}
			fields := words(0, 1, 25, 0, offset, 30)
			for k := 0; k < 30; k++ {
				fields = append(fields, words(uint32(size), fragmentPictures, 0)...)
			}
			return append(aBox("sidx", fields), moof...)
		})
		got, err := answerOf(film, msInterval{30500, -1}, seekExact)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("sidx, offsets from %d on: %v, %d bytes instead of %d", offset, err, len(got), len(want))
		}
	}
}

// endless is a gigabyte: what it begins with, and then the same again and again.
type endless struct {
	front, unit []byte
	asked       int64
}

func (e *endless) Settled() bool         { return false }
func (e *endless) Size() int64           { return 1 << 30 }
func (e *endless) Reserve(n int64) error { return nil }

func (e *endless) Read(off, n int64) ([]byte, error) {
	n = maxInt64(0, minInt64(n, e.Size()-off))
	e.asked += n
	if off+n <= int64(len(e.front)) {
		return e.front[off : off+n], nil
	}
	skip := (off - int64(len(e.front))) % int64(len(e.unit))
	var b []byte
	if off < int64(len(e.front)) {
		b = append(b, e.front[off:]...)
		skip = 0
	}
	b = append(b, bytes.Repeat(e.unit, int(n)/len(e.unit)+2)[skip:]...)
	return b[:n], nil
}

func (e *endless) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	return e.Read(off, n)
}

func (e *endless) Peek(off, n, atOnce int64) ([]byte, error) { return e.Read(off, n) }

// A file that is a gigabyte of small boxes is given up soon.
func TestEndlessFragments(t *testing.T) {
	film := fragmentsOf(3, nil)
	moof := film[bytes.Index(film, []byte("moof"))-4:][:len(fragmentsOf(2, nil))-len(fragmentsOf(1, nil))]
	for _, test := range []struct {
		name string
		unit []byte
	}{
		{"moofs of 8 bytes", aBox("moof")},
		{"moofs that look like one", aBox("moof", aBox("mfhd", words(0, 1)))},
		{"what looks like a moof", append(words(100), moofFront...)},
		{"fragments of one time", moof},
		{"empty mdats", aBox("mdat")},
		{"zeros", make([]byte, 8)},
		{"a moof, and media without end", append(append([]byte(nil), moof...), append(words(1<<29), "mdat"...)...)},
	} {
		for _, seek := range []string{seekExact, seekKeyframe} {
			for _, iv := range []msInterval{{30500, -1}, {100, -1}, {3000, 4000}, {1 << 40, -1}} {
				src := &endless{front: film, unit: test.unit}
				begin := time.Now()
				m, err := findMovie(src, 1<<20)
				if err == nil {
					_, err = m.cutFragments(src, iv, seek)
				}
				if err != nil && !errors.Is(err, errFormat) && !errors.Is(err, errPastEnd) {
					t.Errorf("%s, %s from %d: %v", test.name, seek, iv.start, err)
				}
				if took := time.Since(begin); took > 15*time.Second || src.asked > 100<<20 {
					t.Errorf("%s, %s from %d: %v, %d bytes", test.name, seek, iv.start, took, src.asked)
				}
			}
		}
	}
}

// FuzzFragments: whatever a fragmented file says, its cut has the length that was promised, and comes soon.
func FuzzFragments(f *testing.F) {
	f.Add(fragmentsOf(3, nil), int64(2500), int64(-1), true)
	f.Add(fragmentsOf(3, nil), int64(2500), int64(5000), false)
	f.Add(fragmentsOf(2, func(i int, moof []byte) []byte {
		return append(aBox("sidx", words(0, 1, 25, 0, 0, 1, 1<<31|44, 100, 0)), moof...)
	}), int64(100), int64(-1), true)
	f.Add(append(fragmentsOf(2, nil), aBox("mfra", aBox("tfra", words(0, 1, 0, 1, 0, 600), []byte{1, 1, 1}), aBox("mfro", words(0, 51)))...), int64(3000), int64(-1), true)
	f.Fuzz(func(t *testing.T, film []byte, start, end int64, exact bool) {
		if start < 0 || end < -1 {
			return
		}
		seek := seekKeyframe
		if exact {
			seek = seekExact
		}
		m, err := findMovie(piled(film), 1<<20)
		if err != nil || m.fragments == nil {
			return
		}
		begin := time.Now()
		_, err = answerOf(film, msInterval{start, end}, seek)
		if err != nil && !errors.Is(err, errFormat) && !errors.Is(err, errPastEnd) {
			t.Error(err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Error(took)
		}
	})
}
