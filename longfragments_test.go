package mp4

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"sort"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

// longFilm is a film of pictures and sound in fragments of two seconds, too long to be held: of its media, which are all
// zero, nothing is.
type longFilm struct {
	size  int64
	index int64 // bytes of the moov, and of the sidx behind it or the mfra
	parts []filmPart
}

type filmPart struct {
	off  int64
	data []byte
}

func (f *longFilm) add(data []byte) {
	f.parts = append(f.parts, filmPart{off: f.size, data: data})
	f.size += int64(len(data))
}

// ReadAt reads as io.ReaderAt does.
func (f *longFilm) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.size {
		return 0, io.EOF
	}
	n := len(p)
	if int64(n) > f.size-off {
		n = int(f.size - off)
	}
	copy(p[:n], make([]byte, n))
	i := sort.Search(len(f.parts), func(i int) bool { return f.parts[i].off+int64(len(f.parts[i].data)) > off })
	for ; i < len(f.parts) && f.parts[i].off < off+int64(n); i++ {
		begin := f.parts[i].off - off
		if begin >= 0 {
			copy(p[begin:n], f.parts[i].data)
		} else {
			copy(p[:n], f.parts[i].data[-begin:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

const (
	longSeconds = 2 // of a fragment
	longGroup   = 60
)

// newLongFilm makes one of so many fragments, of so many bytes on average: see longSizes. Kinds of index are none, mfra,
// sidx, nested and each; steady and varying are none, and so is untimed, which has no tfdt either.
func newLongFilm(kind string, count, average int) *longFilm {
	f := &longFilm{}
	f.add(aBox("ftyp", []byte("isom"), words(0)))
	if kind == "first" || kind == "last" {
		f.progressive(kind == "first", count, average)
		return f
	}
	none := bytes.Join([][]byte{aBox("stts", words(0, 0)), aBox("stsc", words(0, 0)), aBox("stsz", words(0, 0, 0)), aBox("stco", words(0, 0))}, nil)
	f.add(aBox("moov", aBox("mvhd", words(0, 0, 0, 1000, 0), make([]byte, 80)), longTrack(1, "vide", "vmhd", "avc1", 25, none), longTrack(2, "soun", "smhd", "sowt", 24000, none),
		aBox("mvex", aBox("trex", words(0, 1, 1, 1, 0, sampleIsNonSync)), aBox("trex", words(0, 2, 1, 1000, 0, 0)))))
	f.index = int64(len(f.parts[1].data))
	sizes := longSizes(kind, count, average)
	head := len(longFragment(kind, 0, average))
	sum := func(from, to int) int {
		n := 0
		for i := from; i < to && i < count; i++ {
			n += head + sizes[i]
		}
		return n
	}
	index := func(from, to, step, behind int) []byte {
		b := words(1<<24, 1, 25, 0, uint32(from*longSeconds*25), 0, uint32(behind), uint32((to-from+step-1)/step))
		for i := from; i < to; i += step {
			reference := uint32(sum(i, i+step))
			if step > 1 {
				reference += 1<<31 + uint32(40+12*minInt(step, count-i))
			}
			b = append(b, words(reference, uint32(longSeconds*25*minInt(step, to-i)), 1<<31)...)
		}
		return aBox("sidx", b)
	}
	switch kind {
	case "sidx":
		f.add(index(0, count, 1, 0))
		f.index += int64(12 * count)
	case "nested":
		f.add(index(0, count, longGroup, 0))
		f.index += int64(12 * (count/longGroup + 2*longGroup)) // and two below
	}
	var points []byte
	for i := 0; i < count; i++ {
		if kind == "nested" && i%longGroup == 0 {
			f.add(index(i, minInt(i+longGroup, count), 1, 0))
		}
		points = append(points, words(0, uint32(i*longSeconds*25), uint32(f.size>>32), uint32(f.size))...)
		points = append(points, 1, 1, 1)
		f.add(longFragment(kind, i, sizes[i]))
		f.size += int64(sizes[i])
	}
	if kind == "mfra" {
		random := func(id uint32) []byte { return aBox("tfra", words(1<<24, id, 0, uint32(count)), points) }
		of := append(random(1), random(2)...)
		f.add(aBox("mfra", of, aBox("mfro", words(0, uint32(len(of)+24)))))
		f.index += int64(len(of) + 24)
	}
	return f
}

// longSizes are the bytes of a film's fragments. Of a steady film all have the same. The rate of a varying one drifts by
// half of it within minutes, and is another in each fragment; that of others rises to the end, in steps.
func longSizes(kind string, count, average int) []int {
	const drift, step = 90, 40 // fragments
	r := rand.New(rand.NewSource(1))
	sizes := make([]int, count)
	level, before, after := 0, 1.0, 1.0
	for i := range sizes {
		switch kind {
		case "steady":
			sizes[i] = average
		case "varying":
			if i%drift == 0 {
				before = after
				after = 0.5 + r.Float64()
			}
			rate := before + (after-before)*float64(i%drift)/drift
			sizes[i] = int(float64(average) * rate * (0.7 + 0.6*r.Float64()))
		default:
			if i%step == 0 {
				level = average/2 + r.Intn(average/2)
			}
			sizes[i] = level*(count+i)/count/2 + r.Intn(average/2)
		}
	}
	return sizes
}

// longTrack is a trak with such sample tables.
func longTrack(id uint32, handler, header, entry string, timescale uint32, tables []byte) []byte {
	stbl := aBox("stbl", aBox("stsd", words(0, 1), aBox(entry, make([]byte, 78))), tables)
	return aBox("trak", aBox("tkhd", words(1, 0, 0, id, 0, 0), make([]byte, 60)),
		aBox("mdia", aBox("mdhd", words(0, 0, 0, timescale, 0, 0)), aBox("hdlr", words(0, 0), []byte(handler), make([]byte, 13)),
			aBox("minf", aBox(header, words(1, 0, 0)), stbl)))
}

// progressive lays the same film out without fragments: what was one is two chunks.
func (f *longFilm) progressive(moovFirst bool, count, average int) {
	const pictures, sounds = longSeconds * 25, longSeconds * 24
	shown, heard := uint32(average*9/10/pictures), uint32(average/10/sounds)
	moov := func(at int) []byte {
		var seen, listened, keys []byte
		for i := 0; i < count; i++ {
			seen = append(seen, words(uint32(at+i*average))...)
			listened = append(listened, words(uint32(at+i*average)+pictures*shown)...)
			keys = append(keys, words(uint32(i*pictures+1))...)
		}
		tables := func(samples, duration, perChunk, size uint32, chunks, more []byte) []byte {
			return bytes.Join([][]byte{aBox("stts", words(0, 1, samples, duration)), aBox("stsc", words(0, 1, 1, perChunk, 1)),
				aBox("stsz", words(0, 0, samples), bytes.Repeat(words(size), int(samples))), aBox("stco", words(0, uint32(count)), chunks), more}, nil)
		}
		return aBox("moov", aBox("mvhd", words(0, 0, 0, 1000, uint32(count*longSeconds*1000)), make([]byte, 80)),
			longTrack(1, "vide", "vmhd", "avc1", 25, tables(uint32(count*pictures), 1, pictures, shown, seen, aBox("stss", words(0, uint32(count)), keys))),
			longTrack(2, "soun", "smhd", "sowt", 24000, tables(uint32(count*sounds), 1000, sounds, heard, listened, nil)))
	}
	media := append(words(uint32(8+count*average)), "mdat"...)
	first := moov(int(f.size) + 8)
	f.index = int64(len(first))
	if moovFirst {
		f.add(moov(int(f.size) + len(first) + 8))
		f.add(media)
		f.size += int64(count * average)
		return
	}
	f.add(media)
	f.size += int64(count * average)
	f.add(first)
}

// longFragment is what the i-th one begins with: all but its media, of so many bytes.
func longFragment(kind string, i, media int) []byte {
	const pictures, sounds = longSeconds * 25, longSeconds * 24
	begin := []byte(nil)
	if kind == "each" {
		begin = append(aBox("styp", []byte("msdh"), words(0)), aBox("sidx", words(1<<24, 1, 25, 0, uint32(i*pictures), 0, 0, 1, 0, pictures, 1<<31))...)
	}
	shown, heard := uint32(media*9/10/pictures), uint32(media/10/sounds)
	seen := bytes.Repeat(words(shown, sampleIsNonSync, 0), pictures)
	binary.BigEndian.PutUint32(seen[4:], 0)
	times, counted := []byte(nil), []byte(nil)
	if kind != "untimed" {
		times = aBox("tfdt", words(0, uint32(i*pictures)))
		counted = aBox("tfdt", words(0, uint32(i*sounds*1000)))
	}
	header := uint32(8 + 16 + 2*(8+16+20) + len(times) + len(counted) + len(seen) + 4*sounds)
	moof := aBox("moof", aBox("mfhd", words(0, uint32(i+1))),
		aBox("traf", aBox("tfhd", words(0x020000, 1)), times, aBox("trun", words(0xE01, pictures, header+8), seen)),
		aBox("traf", aBox("tfhd", words(0x020000, 2)), counted, aBox("trun", words(0x201, sounds, header+8+pictures*shown), bytes.Repeat(words(heard), sounds))))
	return append(append(begin, moof...), append(words(uint32(8+media)), "mdat"...)...)
}

// longOrigin serves a long film, and counts what it is asked for.
type longOrigin struct {
	film     *longFilm
	requests int
	bytes    int64
}

func (o *longOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.requests++
	w.Header().Set("Etag", `"long"`)
	w.Header().Set("Content-Type", "video/mp4")
	http.ServeContent(&tally{ResponseWriter: w, origin: o}, r, "", time.Time{}, io.NewSectionReader(o.film, 0, o.film.size))
}

// tally counts the bytes of an answer.
type tally struct {
	http.ResponseWriter
	origin *longOrigin
}

func (c *tally) Write(p []byte) (int, error) {
	c.origin.bytes += int64(len(p))
	return c.ResponseWriter.Write(p)
}

// weighed is an answer of which only the size counts.
type weighed struct {
	header http.Header
	code   int
	bytes  int64
}

func (w *weighed) Header() http.Header  { return w.header }
func (w *weighed) WriteHeader(code int) { w.code = code }
func (w *weighed) Write(p []byte) (int, error) {
	w.bytes += int64(len(p))
	return len(p), nil
}

// TestOriginBytes counts what seeks in two hours ask of the origin beyond what they send: the index and twice bufferSize at
// most, and nothing when a seek is repeated.
func TestOriginBytes(t *testing.T) {
	for _, kind := range []struct {
		name      string
		first     int // requests of a first seek, at most
		other     int // of one to elsewhere
		unindexed bool
	}{
		{"first", 3, 1, false},
		{"last", 4, 1, false},
		{"sidx", 6, 4, false},
		{"nested", 7, 5, false},
		{"mfra", 8, 4, false},
		{"none", 12, 10, true},
		{"each", 12, 10, true},
	} {
		for _, test := range []struct {
			bufferSize string
			average    int // bytes of a fragment
		}{{"512K", 15000}, {"512K", 60000}, {"64K", 15000}, {"16K", 15000}} {
			if filmtest.Interpreted() && (test.average > 15000 || test.bufferSize == "16K") {
				continue
			}
			count := filmtest.Rounds(3600, 600) // interpreted, making them takes long
			at := func(share float64) string { return fmt.Sprintf("start=%.3f", share*float64(longSeconds*count)) }
			clip := at(0.83) + fmt.Sprintf("&end=%.3f", 0.83*float64(longSeconds*count)+30)
			o := &longOrigin{film: newLongFilm(kind.name, count, test.average)}
			h := atLength(t, o, test.bufferSize)
			bufferSize, err := parseSize("", test.bufferSize, 0)
			if err != nil {
				t.Fatal(err)
			}
			more := o.film.index + 2*bufferSize
			if kind.unindexed && test.bufferSize != "512K" {
				more += int64(4 * test.average) // a search finds a fragment no sooner than there is one
			}
			for _, ask := range []struct {
				query, span string
				requests    int
				more        int64
			}{
				{at(0.17), "", kind.first, more},
				{at(0.17), "", 1, 0},
				{at(0.501), "", kind.other, more},
				{clip, "", kind.other + 15, more},
				{clip, "", 1, 0},
				{at(0.7), "", kind.other, more},
				{at(0.7), "bytes=1000000-1099999", kind.other, more},
				{at(0.7), "bytes=1000000-", 2, more},
			} {
				got := o.ask(h, "GET", ask.query, ask.span)
				if got.code != 200 && got.code != 206 || o.requests > ask.requests || o.bytes > got.bytes+ask.more {
					t.Errorf("%s, fragments of %d bytes, bufferSize %s, %s %s: %d, %d requests for %d bytes, %d sent", kind.name, test.average,
						test.bufferSize, ask.query, ask.span, got.code, o.requests, o.bytes, got.bytes)
				}
			}
		}
	}
}

// TestSearchBytes counts what is asked for beyond the first read in the search for fragments that are large: without an
// index, a few of them.
func TestSearchBytes(t *testing.T) {
	for _, test := range []struct {
		kind          string
		average       int     // bytes of a fragment
		median, worst float64 // fragments read
		requests      int
	}{
		{"steady", 100000, 1.7, 1.7, 9},
		{"steady", 250000, 0.8, 0.8, 10},
		{"steady", 500000, 1.5, 1.5, 14},
		{"steady", 1200000, 0.9, 0.9, 16},
		{"steady", 2500000, 0.8, 0.8, 18},
		{"none", 100000, 3.8, 6.0, 17},
		{"none", 250000, 2.2, 4.5, 26},
		{"none", 500000, 1.8, 3.5, 25},
		{"none", 1200000, 3.2, 4.3, 43},
		{"none", 2500000, 2.0, 3.2, 48},
		{"varying", 100000, 3.3, 6.6, 21},
		{"varying", 250000, 2.6, 4.4, 25},
		{"varying", 500000, 2.4, 4.1, 28},
		{"varying", 1200000, 1.9, 3.7, 36},
	} {
		film := newLongFilm(test.kind, filmtest.Rounds(3600, 600), test.average)
		starts := filmtest.Rounds(20, 1)
		var read []float64
		requests := 0
		for i := 0; i < starts; i++ {
			o := &longOrigin{film: film}
			start := (float64(i) + 0.5) / float64(starts) * float64(filmtest.Rounds(7200, 1200))
			got := o.ask(atLength(t, o, "512K"), "HEAD", fmt.Sprintf("start=%.3f", start), "")
			if got.code != 200 {
				t.Errorf("%s, fragments of %d bytes, from %.3f: %d", test.kind, test.average, start, got.code)
			}
			read = append(read, float64(o.bytes-512<<10)/float64(test.average))
			if o.requests > requests {
				requests = o.requests
			}
		}
		sort.Float64s(read)
		median, worst := read[starts/2], read[starts-1]
		if median > test.median && starts > 1 || worst > test.worst || requests > test.requests {
			t.Errorf("%s, fragments of %d bytes: %.2f of them read, %.2f at worst, by up to %d requests", test.kind, test.average,
				median, worst, requests)
		}
	}
}

// TestSearchHistory: an answer does not depend on what was asked for before, also where it begins with the boxes before a
// moof.
func TestSearchHistory(t *testing.T) {
	count := filmtest.Rounds(400, 100)
	o := &longOrigin{film: newLongFilm("each", count, 150000)}
	config := CreateConfig()
	config.Seek = "keyframe"
	before := atLengthWith(t, o, config)
	for start := 5; start < longSeconds*count; start += filmtest.Rounds(3, 37) {
		for _, query := range []string{fmt.Sprintf("start=%d", start), fmt.Sprintf("start=%d.4&end=%d", start, start+20)} {
			first := o.ask(atLengthWith(t, o, config), "HEAD", query, "").header.Get("Content-Length")
			later := o.ask(before, "HEAD", query, "").header.Get("Content-Length")
			if first == "" || first != later {
				t.Errorf("%s: %s bytes, and %s after other seeks", query, first, later)
			}
		}
	}
}

// TestHugeFragments: a search that would read too much goes from fragment to fragment.
func TestHugeFragments(t *testing.T) {
	for _, average := range []int{4000000, 12000000} {
		for _, share := range []float64{0.1, 0.6, 0.95} {
			count := filmtest.Rounds(3600, 400)
			o := &longOrigin{film: newLongFilm("none", count, average)}
			got := o.ask(atLength(t, o, "512K"), "HEAD", fmt.Sprintf("start=%.3f", share*float64(longSeconds*count)), "")
			if got.code != 200 || o.requests > count+50 {
				t.Errorf("fragments of %d bytes, from %v of the film: %d, %d requests for %d bytes", average, share, got.code, o.requests, o.bytes)
			}
		}
	}
}

// TestUntimed: files without decode times are walked once from the front to the end. What was counted serves the next seeks.
func TestUntimed(t *testing.T) {
	count := filmtest.Rounds(3600, 600)
	o := &longOrigin{film: newLongFilm("untimed", count, 60000)}
	h := atLength(t, o, "512K")
	length := float64(longSeconds * count)
	for _, ask := range []struct {
		at       float64
		requests int
		bytes    int64
	}{{0.1, count + 10, 512<<10 + int64(1500*count)}, {0.999, 5, 10000}, {0.5, 5, 10000}} {
		got := o.ask(h, "HEAD", fmt.Sprintf("start=%.3f", ask.at*length), "")
		if got.code != 200 || o.requests > ask.requests || o.bytes > ask.bytes {
			t.Errorf("from %v of it: %d, %d requests for %d bytes", ask.at, got.code, o.requests, o.bytes)
		}
	}
	if got := o.ask(h, "HEAD", fmt.Sprintf("start=%v", length), ""); got.code != 404 {
		t.Errorf("from its end: %d", got.code)
	}
	timed := &longOrigin{film: newLongFilm("none", count, 60000)}
	with := timed.ask(atLength(t, timed, "512K"), "GET", fmt.Sprintf("start=%v", length-100), "")
	without := o.ask(h, "GET", fmt.Sprintf("start=%v", length-100), "")
	if tfdts := int64(longSeconds * 16 * 49); with.bytes-without.bytes != tfdts { // of the fragments behind the first
		t.Errorf("%d bytes, and %d less without 49 fragments' tfdt", with.bytes, with.bytes-without.bytes)
	}
}

// ask makes one request, and counts anew.
func (o *longOrigin) ask(h http.Handler, method, query, span string) *weighed {
	o.requests = 0
	o.bytes = 0
	r := httptest.NewRequest(method, "/film.mp4?"+query, nil)
	if span != "" {
		r.Header.Set("Range", span)
	}
	w := &weighed{header: http.Header{}}
	h.ServeHTTP(w, r)
	return w
}

var atLengths int

// atLength is a plugin with a cache of its own.
func atLength(t *testing.T, next http.Handler, bufferSize string) http.Handler {
	t.Helper()
	config := CreateConfig()
	config.BufferSize = bufferSize
	return atLengthWith(t, next, config)
}

// atLengthWith is atLength with options of its own.
func atLengthWith(t *testing.T, next http.Handler, config *Config) http.Handler {
	t.Helper()
	atLengths++
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h, err := New(ctx, next, config, fmt.Sprintf("%s-%d", t.Name(), atLengths))
	if err != nil {
		t.Fatal(err)
	}
	return h
}
