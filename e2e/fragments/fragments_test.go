// Package fragments proves cuts of fragmented films: by the plugin compiled, and through a real Traefik.
package fragments

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
	"github.com/traefik-mp4/mp4/e2e/internal/oracle"
	"github.com/traefik-mp4/mp4/e2e/internal/parser"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// stage is a Traefik with a folder of films behind an origin and below root. Its hosts are go and root, and key with
// seek: keyframe.
type stage struct {
	*rig.Traefik
	dir    string
	origin *rig.Origin
}

func newStage(t *testing.T, fastProxy bool) *stage {
	s := &stage{dir: t.TempDir()}
	s.origin = rig.FileServer(t, s.dir)
	var d rig.Dynamic
	d.Plugin("mp4", nil)
	d.Plugin("root", rig.Map{"root": s.dir})
	d.Plugin("key", rig.Map{"seek": "keyframe"})
	d.Host("go", s.origin.URL, "mp4")
	d.Host("root", s.origin.URL, "root")
	d.Host("key", s.origin.URL, "key")
	s.Traefik = rig.Start(t, rig.Config{FastProxy: fastProxy, Dynamic: d})
	return s
}

// lay copies a film into the folder: a link would leave the root.
func (s *stage) lay(t *testing.T, name, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
	return content
}

// ask returns a whole answer; header holds names and values in turn.
func (s *stage) ask(t *testing.T, method, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || method == "GET" && response.ContentLength != int64(len(body)) {
		t.Fatalf("%s: %v, %d bytes of %d", url, err, len(body), response.ContentLength)
	}
	return response, body
}

// TestThrough asks for a cut of each film, and for ranges of it. Repeated, each is one request to the origin.
func TestThrough(t *testing.T) {
	for _, fastProxy := range []bool{false, true} {
		t.Run(fmt.Sprintf("fastProxy %v", fastProxy), func(t *testing.T) {
			s := newStage(t, fastProxy)
			for n, film := range media.Fragmented {
				if n%2 == 0 == fastProxy {
					continue
				}
				path, judge, intervals := prepare(t, film)
				s.lay(t, film.Name, path)
				interval := intervals[(n*7+5)%len(intervals)]
				if interval.Start == 0 && interval.End < 0 {
					interval = intervals[1] // for that is the film itself
				}
				url := fmt.Sprintf("http://%s/%s?%s", []string{"go", "root"}[n/2%2], film.Name, interval.Query())
				response, body := s.ask(t, "GET", url)
				if response.StatusCode != 200 {
					t.Fatalf("%s: %d %q", url, response.StatusCode, body)
				}
				if err := parser.CheckFragmented(body); err != nil {
					t.Errorf("%s: mp4ff: %v", url, err)
				}
				if err := oracle.CheckBytes(judge, body, interval.Start, interval.End); err != nil {
					t.Errorf("%s: %v", url, err)
				}
				s.parts(t, url, response.Header.Get("ETag"), body)
			}
		})
	}
}

// parts asks for parts of an answer that is known already.
func (s *stage) parts(t *testing.T, url, tag string, whole []byte) {
	t.Helper()
	size := len(whole)
	for _, test := range []struct {
		method   string
		header   []string
		status   int
		from, to int
	}{
		{"GET", nil, 200, 0, size},
		{"HEAD", nil, 200, 0, 0},
		{"GET", []string{"If-None-Match", tag}, 304, 0, 0},
		{"GET", []string{"Range", "bytes=0-1"}, 206, 0, 2},
		{"GET", []string{"Range", fmt.Sprintf("bytes=%d-", size/3)}, 206, size / 3, size},
		{"GET", []string{"Range", fmt.Sprintf("bytes=%d-%d", size/2, size/2+999)}, 206, size / 2, min(size/2+1000, size)},
		{"GET", []string{"Range", "bytes=-500"}, 206, size - 500, size},
		{"GET", []string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, 0},
	} {
		s.origin.Take()
		response, body := s.ask(t, test.method, url, test.header...)
		if response.StatusCode != test.status || test.status != 416 && (response.Header.Get("ETag") != tag || !bytes.Equal(body, whole[test.from:test.to])) {
			t.Errorf("%s %s %q: %d, %d bytes", test.method, url, test.header, response.StatusCode, len(body))
		}
		if asked := s.origin.Take(); len(asked) > 1 && test.header == nil {
			t.Errorf("%s %s: the origin is asked %d times", test.method, url, len(asked))
		}
	}
}

// TestKeyframe: every film of which the moov has no samples stays purely fragmented, and begins with a key frame.
func TestKeyframe(t *testing.T) {
	s := newStage(t, false)
	for _, film := range media.Fragmented {
		path, _, _ := prepare(t, film)
		s.lay(t, film.Name, path)
		response, body := s.ask(t, "GET", "http://key/"+film.Name+"?start=5.5")
		if err := parser.CheckFragmented(body); response.StatusCode != 200 || err != nil {
			t.Errorf("%s: %d %v", film.Name, response.StatusCode, err)
			continue
		}
		if moof, mdat := bytes.Index(body, []byte("moof")), bytes.Index(body, []byte("mdat")); moof < 0 || mdat < moof {
			t.Errorf("%s: media at %d, the first fragment at %d", film.Name, mdat, moof)
		}
	}
}

// TestEncrypted: samples whose auxiliary information is in fragments stay there, and can be decrypted.
func TestEncrypted(t *testing.T) {
	const key = "00112233445566778899aabbccddeeff"
	s := newStage(t, false)
	silent, err := media.Find("silent.mp4")
	if err != nil {
		t.Fatal(err)
	}
	from, err := silent.Make()
	if err != nil {
		t.Fatal(err)
	}
	clear, film := filepath.Join(t.TempDir(), "clear.mp4"), filepath.Join(s.dir, "encrypted.mp4")
	run(t, "ffmpeg", "-v", "error", "-i", from, "-c", "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof+skip_trailer", clear)
	encrypt(t, clear, film, key)
	response, body := s.ask(t, "GET", "http://go/encrypted.mp4?start=5.3")
	if response.StatusCode != 200 || bytes.Index(body, []byte("mdat")) < bytes.Index(body, []byte("moof")) {
		t.Fatalf("%d, media at %d, the first fragment at %d", response.StatusCode, bytes.Index(body, []byte("mdat")), bytes.Index(body, []byte("moof")))
	}
	whole, err := os.ReadFile(clear)
	if err != nil {
		t.Fatal(err)
	}
	// The key frame before 5.3 s begins the third of five fragments.
	if got, want := fragmentMedia(t, body, key), fragmentMedia(t, whole, ""); len(got) != 3 || !slices.EqualFunc(got, want[2:], bytes.Equal) {
		t.Errorf("%d fragments that are not the film's last %d once they are decrypted", len(got), len(want)-2)
	}
}

// fragmentMedia are the media of each fragment, decrypted where there is a key.
func fragmentMedia(t *testing.T, film []byte, key string) [][]byte {
	t.Helper()
	parsed, err := mp4.DecodeFile(bytes.NewReader(film))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	var info mp4.DecryptInfo
	if key != "" {
		info, err = mp4.DecryptInit(parsed.Init)
	}
	var all [][]byte
	for _, segment := range parsed.Segments {
		if key != "" {
			err = errors.Join(err, mp4.DecryptSegment(segment, info, secret))
		}
		for _, fragment := range segment.Fragments {
			all = append(all, fragment.Mdat.Data)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// encrypt encrypts a film in fragments, each sample with a vector of its own in senc (ISO/IEC 23001-7, cenc).
func encrypt(t *testing.T, from, to, key string) {
	t.Helper()
	secret, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	film, err := mp4.ReadMP4File(from)
	if err != nil {
		t.Fatal(err)
	}
	vector := make([]byte, 16)
	protection, err := mp4.InitProtect(film.Init, secret, vector, "cenc", make(mp4.UUID, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = film.Init.Encode(&out)
	for _, segment := range film.Segments {
		for i, fragment := range segment.Fragments {
			vector[0] = byte(i) // EncryptFragment counts on in it
			err = errors.Join(err, mp4.EncryptFragment(fragment, secret, vector, protection), fragment.Encode(&out))
		}
	}
	if err := errors.Join(err, os.WriteFile(to, out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestGrowing asks for a file while it is written: the answer is of the fragments that are whole.
func TestGrowing(t *testing.T) {
	s := newStage(t, false)
	content, err := media.Read("separate.mp4")
	if err != nil {
		t.Fatal(err)
	}
	live := filepath.Join(s.dir, "live.mp4")
	length := 0
	for _, share := range []int{5, 6, 7, 8, 9, 10} {
		if err := os.WriteFile(live, content[:len(content)*share/10], 0o644); err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"go", "root"} {
			response, body := s.ask(t, "GET", "http://"+host+"/live.mp4?start=2.5")
			if response.StatusCode != 200 {
				t.Fatalf("%d tenths from %s: %d %q", share, host, response.StatusCode, body)
			}
			if err := parser.CheckFragmented(body); err != nil {
				t.Errorf("%d tenths from %s: %v", share, host, err)
			}
			if len(body) < length {
				t.Errorf("%d tenths from %s: %d bytes, after %d", share, host, len(body), length)
			}
			length = len(body)
		}
	}
	_, body := s.ask(t, "GET", "http://go/live.mp4?start=2.5")
	if err := oracle.CheckBytes(live, body, 2500, -1); err != nil {
		t.Error(err)
	}
}
