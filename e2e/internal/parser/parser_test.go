package parser

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/media"
)

// TestCheck proves that the check can fail: a whole film passes, and each damage is found.
func TestCheck(t *testing.T) {
	whole, err := media.Read("plain.mp4")
	if err != nil {
		t.Fatal(err)
	}
	// ffmpeg puts a free box before the mdat: the whole film is not of the form of a cut, until that is gone.
	free := bytes.Index(whole, []byte("free"))
	if free < 0 {
		t.Fatal("the film has no free box")
	}
	size := binary.BigEndian.Uint32(whole[free-4:])
	form := append(bytes.Clone(whole[:free-4]), whole[free-4+int(size):]...)
	shift(t, form, -int64(size))
	if err := Check(form); err != nil {
		t.Errorf("a whole film: %v", err)
	}

	for name, damage := range map[string]func(file []byte) []byte{
		"a free box":        func([]byte) []byte { return whole },
		"cut off":           func(file []byte) []byte { return file[:len(file)-100] },
		"offsets too low":   func(file []byte) []byte { shift(t, file, -100); return file },
		"offsets too high":  func(file []byte) []byte { shift(t, file, 1<<20); return file },
		"one sample less":   func(file []byte) []byte { file[bytes.Index(file, []byte("stts"))+15]--; return file },
		"stsz is shorter":   func(file []byte) []byte { file[bytes.Index(file, []byte("stsz"))+15]--; return file },
		"key frame 0":       func(file []byte) []byte { file[bytes.Index(file, []byte("stss"))+15] = 0; return file },
		"another mdhd":      func(file []byte) []byte { file[bytes.Index(file, []byte("mdhd"))+23]++; return file },
		"trailing garbage":  func(file []byte) []byte { return append(file, 0, 0, 0, 8, 'f', 'r', 'e', 'e') },
		"a nonsense length": func(file []byte) []byte { file[bytes.Index(file, []byte("moov"))-4] = 0x7f; return file },
	} {
		if err := Check(damage(bytes.Clone(form))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// shift adds to every chunk offset.
func shift(t *testing.T, file []byte, by int64) {
	t.Helper()
	for at := 0; ; {
		i := bytes.Index(file[at:], []byte("stco"))
		if i < 0 {
			if at == 0 {
				t.Fatal("the film has no stco")
			}
			return
		}
		at += i + 4
		table := file[at+8:]
		for n := range int(binary.BigEndian.Uint32(file[at+4:])) {
			offset := int64(binary.BigEndian.Uint32(table[4*n:])) + by
			binary.BigEndian.PutUint32(table[4*n:], uint32(offset))
		}
	}
}

// TestCheckFragmented proves that this check can fail as well.
func TestCheckFragmented(t *testing.T) {
	whole, err := media.Read("half.frag.mp4")
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckFragmented(whole); err == nil {
		t.Error("accepted, although the durations in its moov are those of the whole film")
	}
	if whole, err = media.Read("mfra.frag.mp4"); err != nil {
		t.Fatal(err)
	}
	if err := CheckFragmented(whole); err != nil {
		t.Errorf("a whole film: %v", err)
	}
	for name, damage := range map[string]func(file []byte) []byte{
		"cut off":          func(file []byte) []byte { return file[:len(file)-100] },
		"an offset moved":  func(file []byte) []byte { file[bytes.Index(file, []byte("tfhd"))+17] ^= 1; return file },
		"no mvex":          func(file []byte) []byte { copy(file[bytes.Index(file, []byte("mvex")):], "free"); return file },
		"samples too long": func(file []byte) []byte { file[bytes.Index(file, []byte("trun"))+21]++; return file },
	} {
		if err := CheckFragmented(damage(bytes.Clone(whole))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
