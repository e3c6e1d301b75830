package mp4

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"

	"github.com/traefik-mp4/mp4/internal/filmtest"
	"github.com/traefik-mp4/mp4/internal/lanes"
)

// TestWhole moves the moov of random movies to the front: all else stays as it is.
func TestWhole(t *testing.T) {
	for seed := 0; seed < filmtest.Rounds(1500, 60); seed++ {
		r := rand.New(rand.NewSource(int64(seed)))
		data := randomMovie(r).file()
		k, err := newChecker(data, r)
		if err == nil {
			err = k.checkWhole()
		}
		if err != nil {
			t.Errorf("movie %d: %v", seed, err)
		}
	}
}

// TestWholeTolerated does it with movies whose tables tell of more samples or chunks than there are.
func TestWholeTolerated(t *testing.T) {
	for name, changed := range map[string]map[string][]byte{
		"as it is":               nil,
		"a chunk too many":       with("stco", table("stco", 5, smallMedia, smallMedia+16, smallMedia+33, smallMedia+44, smallMedia)),
		"a run too many":         {"stco": table("stco", 5, smallMedia, smallMedia+16, smallMedia+33, smallMedia+44, smallMedia), "stsc": table("stsc", 3, 1, 3, 1, 4, 1, 1, 5, 2, 1)},
		"a stts of more samples": with("stts", table("stts", 2, 10, 10, 4000, 10)),
		"a stts of fewer":        with("stts", table("stts", 1, 8, 10)),
		"a stsz of fewer":        with("stsz", table("stsz", 0, 4, 7, 5, 4, 6)),
		"a stsc of more":         with("stsc", table("stsc", 1, 1, 300, 1)),
		"a chunk beyond the end": with("stco", table("stco", 4, smallMedia, smallMedia+16, smallMedia+33, 1<<20)),
	} {
		data := smallMovie(changed)
		m, err := findMovie(&memorySource{data: data}, testMoov)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c, err := m.remux()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out, err := assemble(c, data, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := findMovie(&memorySource{data: out}, testMoov)
		if err != nil {
			t.Errorf("%s: the answer is not readable: %v", name, err)
			continue
		}
		a, s := again.tracks[0], m.tracks[0]
		if a.samples != s.samples || !again.moovFirst {
			t.Errorf("%s: %d samples, want %d", name, a.samples, s.samples)
		}
		for i := int64(0); i < a.samples; i++ {
			if got, want := sampleOf(again, out, i), sampleOf(m, data, i); !bytes.Equal(got, want) {
				t.Errorf("%s: sample %d is % x, want % x", name, i, got, want)
			}
		}
	}
}

// sampleOf is a sample of the first track, found by the engine's own look-ups.
func sampleOf(m *movie, data []byte, sample int64) []byte {
	t := m.tracks[0]
	_, chunk, before := lanes.FindChunk(t.chunkRuns, sample)
	at := chunkOffset(t, chunk) + sizeOf(t, sample-before, sample)
	return data[at : at+t.size(sample)]
}

// checkWhole checks that an answer with all samples differs from the source in nothing but the order of its boxes and
// where the chunks lie.
func (k *checker) checkWhole() error {
	c, err := k.movie.remux()
	if err != nil {
		return err
	}
	data, answer, err := k.checkFile(c)
	if err != nil {
		return err
	}
	for i, a := range answer.tracks {
		s := k.plain.tracks[i]
		if a.samples() != s.samples() || a.chunked != s.chunked {
			return fmt.Errorf("track %d: %d samples, %d in chunks, want %d and %d", s.id, a.samples(), a.chunked, s.samples(), s.chunked)
		}
		for j := range a.at {
			got, want := data[a.at[j]:a.at[j]+a.sizes[j]], k.data[s.at[j]:s.at[j]+s.sizes[j]]
			if a.sizes[j] > 0 && inSource(c, a.at[j]) != s.at[j] || !bytes.Equal(got, want) {
				return fmt.Errorf("track %d: sample %d lies at %d, which is %d in the source, want %d", s.id, j, a.at[j], inSource(c, a.at[j]), s.at[j])
			}
		}
	}
	for i, a := range answer.tracks {
		err = (&checked{source: k.plain.tracks[i], answer: a}).checkSides(k.data, data)
		if err != nil {
			return fmt.Errorf("track %d: %w", a.id, err)
		}
	}
	longest := int64(0)
	for _, t := range k.plain.tracks {
		longest = maxInt64(longest, t.mediaEnd()*1000/t.timescale)
	}
	if c.duration != longest {
		return fmt.Errorf("it is said to be %d ms long, want %d", c.duration, longest)
	}
	return sameButOffsets(k.plain.moov, answer.moov)
}

// sameButOffsets compares two boxes byte by byte, but for the headers of containers, which are made anew with 32-bit
// sizes, for stsc, stco and co64, which may have lost chunks of no samples, and for saio, which has offsets too.
func sameButOffsets(source, answer plainBox) error {
	if source.typ == "saio" && answer.typ == "saio" {
		return nil
	}
	if containsType("stscstcoco64", source.typ) {
		if len(source.body()) < len(answer.body()) || source.typ != answer.typ {
			return fmt.Errorf("%s of %d bytes, want %s of %d", answer.typ, len(answer.body()), source.typ, len(source.body()))
		}
		return nil
	}
	if !containsType(openedBoxes, source.typ) {
		if !bytes.Equal(source.data, answer.data) {
			return fmt.Errorf("%s is % x, want % x", source.typ, answer.data, source.data)
		}
		return nil
	}
	sources, rest, err := plainBoxes(source.body(), 0)
	if err != nil {
		return err
	}
	answers, answerRest, err := plainBoxes(answer.body(), 0)
	if err != nil {
		return err
	}
	if len(sources) != len(answers) || !bytes.Equal(rest, answerRest) {
		return fmt.Errorf("%s has %d boxes, want %d", source.typ, len(answers), len(sources))
	}
	for i := range sources {
		err = sameButOffsets(sources[i], answers[i])
		if err != nil {
			return fmt.Errorf("%s: %w", source.typ, err)
		}
	}
	return nil
}
