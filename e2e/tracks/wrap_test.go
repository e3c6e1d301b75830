package tracks

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// Chunks of the large film: the moov is put before them, and moves the last one past 4 GiB.
var far = []int64{64, 2 << 30, 1<<32 - 200}

const farSize = 1000 // bytes of each one's sample

// TestWrap asks for a film whose 32-bit chunk offsets cannot be kept. The plugin makes them 64-bit ones; nginx lets them
// wrap around and points into its own moov (B7).
func TestWrap(t *testing.T) {
	p := newPair(t)
	samples := writeLarge(t, filepath.Join(p.dir, "large.mp4"))
	for _, query := range []string{"start=0", "end=3"} {
		target := "/large.mp4?" + query
		typ, offsets := offsetsOf(t, p.traefik.Client(), "http://sample"+target)
		if typ != "co64" {
			t.Errorf("%s: the plugin's offsets are in a %s", target, typ)
		}
		for i, at := range offsets {
			if got := part(t, p.traefik.Client(), "http://sample"+target, at, farSize); !bytes.Equal(got, samples[i]) {
				t.Errorf("%s: sample %d does not lie at %d", target, i, at)
			}
		}
	}
	typ, offsets := offsetsOf(t, http.DefaultClient, p.nginx.MP4+"/large.mp4?start=0")
	if typ != "stco" || offsets[2] >= offsets[1] {
		t.Errorf("nginx's offsets are in a %s: %d; they wrap around no more", typ, offsets)
	}
}

// writeLarge writes the film with holes for what is no sample. It takes up a few kilobytes of the disk.
func writeLarge(t *testing.T, path string) (samples [][]byte) {
	t.Helper()
	m := maker{rand.New(rand.NewPCG(7, 0))}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tr := &made{id: 1, timescale: 1000, handler: "vide", width: 32, seed: 1}
	for _, at := range far {
		samples = append(samples, m.bytes(farSize))
		tr.durations, tr.sizes = append(tr.durations, 1000), append(tr.sizes, farSize)
		tr.chunks = append(tr.chunks, madeChunk{1, 1, uint64(at)})
		if _, err := file.WriteAt(samples[len(samples)-1], at); err != nil {
			t.Fatal(err)
		}
	}
	end := far[2] + farSize
	ftyp := pack(false, "ftyp", []byte("isom"), u32(512), []byte("isommp41"))
	mdat := binary.BigEndian.AppendUint64(append(u32(1), "mdat"...), uint64(end)-uint64(len(ftyp)))
	head := append(ftyp, mdat...)
	if int64(len(head)) > far[0] {
		t.Fatal("the first sample is too near")
	}
	for at, b := range map[int64][]byte{0: head, end: m.moov([]*made{tr}, 1000, false)} {
		if _, err := file.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	return samples
}

// offsetsOf reads the chunk offsets in the beginning of an answer.
func offsetsOf(t *testing.T, client *http.Client, url string) (typ string, offsets []int64) {
	t.Helper()
	head := part(t, client, url, 0, 4096)
	for typ, width := range map[string]int{"stco": 4, "co64": 8} {
		at := bytes.Index(head, []byte(typ))
		if at < 0 {
			continue
		}
		for i := range len(far) {
			entry := head[at+12+i*width:][:width]
			offsets = append(offsets, int64(binary.BigEndian.Uint64(append(make([]byte, 8-width, 8), entry...))))
		}
		return typ, offsets
	}
	t.Fatalf("%s: no chunk offsets in it", url)
	return "", nil
}

// part asks for n bytes at an offset.
func part(t *testing.T, client *http.Client, url string, at, n int64) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, at+n-1))
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusPartialContent {
		t.Fatalf("%s: bytes from %d on: %s", url, at, answer.Status)
	}
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
