package media

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Odd are films with tables that are wrong in the ways of real files, and that players play all the same.
var Odd = []Film{
	{
		Name: "odd-stts.mp4", Shows: "a duration of -88 ticks among the pictures", After: &withNegative,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=0") + aac,
	},
	{Name: "odd-stsc.mp4", Shows: "two runs of chunks from one chunk of sound on", From: "moovlast.mp4", Same: "moovlast.mp4", After: &withTwoRuns},
	{Name: "odd-stss.mp4", Shows: "sync samples counted from 0", From: "moovlast.mp4", Same: "moovlast.mp4", After: &syncFrom0},
	{Name: "odd-sound-stss.mp4", Shows: "a stss without entries in the sound", From: "moovlast.mp4", Same: "moovlast.mp4", After: &soundStss},
	{Name: "odd-mvhd.mp4", Shows: "a movie timescale of 0", From: "moovlast.mp4", Same: "moovlast.mp4", After: &mvhdZero},
	{Name: "odd-elst.mp4", Shows: "edit lists that claim more entries than they have", From: "moovlast.mp4", Same: "moovlast.mp4", After: &manyEdits},
	{Name: "odd-text.mp4", Shows: "a track of text whose times cannot be read", From: "cues-last.mp4", Same: "moovlast.mp4", After: &brokenText},
	{
		Name: "cues-last.mp4", Shows: "a track of text, moov last",
		Args: picture("25", 10) + sound(48000, 10) + "-f srt -i " + text(cues) + x264("keyint=50:bframes=3:b-pyramid=normal") + aac + "-c:s mov_text ",
	},
	{
		Name: "odd-rap.mp4", Shows: "HEVC with key frames in a sample group alone", After: &rapOnly,
		Args: picture("25", 10) + sound(48000, 10) + x265("keyint=40:min-keyint=40:bframes=4:open-gop=1") + aac,
	},
	{
		Name: "pcm-last.mov", Shows: "uncompressed sound of 24 bits, moov last",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + "-c:a pcm_s24be ",
	},
	{Name: "odd-pcm.mov", Shows: "the same, whose stsz says the bytes of one channel", From: "pcm-last.mov", Same: "pcm-last.mov", After: &oneChannel},
	{
		Name: "packets.mov", Shows: "sound in packets of 64 samples, which stsz counts one by one",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + "-c:a adpcm_ima_qt ",
	},
}

var (
	withNegative = surgery{"a negative duration", ofKind("avc1", map[string]edit{"stts": negativeDuration})}
	withTwoRuns  = surgery{"two runs from one chunk on", ofKind("mp4a", map[string]edit{"stsc": twoRuns})}
	syncFrom0    = surgery{"sync samples from 0", ofKind("avc1", map[string]edit{"stss": lessOne})}
	soundStss    = surgery{"a stss in the sound", boxwise(map[string]edit{"stbl": emptyStss})}
	mvhdZero     = surgery{"movie timescale 0", boxwise(map[string]edit{"mvhd": timescale0})}
	manyEdits    = surgery{"more edits than fit", boxwise(map[string]edit{"elst": countNine})}
	brokenText   = surgery{"a broken text track", ofKind("tx3g", map[string]edit{"stts": countNine})}
	rapOnly      = surgery{"key frames in a group", boxwise(map[string]edit{"stbl": toRap})}
	oneChannel   = surgery{"sizes of one channel", ofKind("in24", map[string]edit{"stsz": size3})}
)

// ofKind changes boxes of the tracks whose sample entry is of a type.
func ofKind(format string, edits map[string]edit) func([]byte) ([]byte, error) {
	return boxwise(map[string]edit{"stbl": func(typ string, p []byte) (string, []byte) {
		if bytes.Contains(p, []byte(format)) {
			p = replace(p, edits)
		}
		return typ, p
	}})
}

// negativeDuration lets one picture of many that last equally long last 600 ticks longer, and the next so much less.
func negativeDuration(typ string, p []byte) (string, []byte) {
	count, duration := binary.BigEndian.Uint32(p[8:]), binary.BigEndian.Uint32(p[12:])
	return typ, u32(0, 4, 100, duration, 1, duration+600, 1, duration-600, count-102, duration)
}

// twoRuns says of each chunk that begins a run, first, that it has 7 samples.
func twoRuns(typ string, p []byte) (string, []byte) {
	out := u32(0, 2*binary.BigEndian.Uint32(p[4:]))
	for p = p[8:]; len(p) >= 12; p = p[12:] {
		out = slices.Concat(out, p[:4], u32(7, 1), p[:12])
	}
	return typ, out
}

func lessOne(typ string, p []byte) (string, []byte) {
	p = slices.Clone(p)
	for q := p[8:]; len(q) >= 4; q = q[4:] {
		binary.BigEndian.PutUint32(q, binary.BigEndian.Uint32(q)-1)
	}
	return typ, p
}

// emptyStss adds a stss without entries to a stbl.
func emptyStss(typ string, p []byte) (string, []byte) {
	if bytes.Contains(p, []byte("mp4a")) {
		p = slices.Concat(p, box("stss", u32(0, 0)))
	}
	return typ, p
}

// timescale0 is a mvhd of version 0, whose timescale is behind two times.
func timescale0(typ string, p []byte) (string, []byte) {
	return typ, slices.Concat(p[:12], u32(0), p[16:])
}

func countNine(typ string, p []byte) (string, []byte) {
	return typ, slices.Concat(p[:4], u32(9), p[8:])
}

// toRap keeps the first entry of the stss in a stbl, and adds a group that holds all of them.
func toRap(typ string, p []byte) (string, []byte) {
	if !bytes.Contains(p, []byte("hvc1")) {
		return typ, p
	}
	var groups []byte
	next, n := uint32(1), uint32(0)
	p = replace(p, map[string]edit{"stss": func(typ string, p []byte) (string, []byte) {
		for q := p[8:]; len(q) >= 4; q = q[4:] {
			sample := binary.BigEndian.Uint32(q)
			groups = append(groups, u32(sample-next, 0, 1, 1)...)
			next = sample + 1
			n += 2
		}
		return typ, u32(0, 1, 1)
	}})
	about := []byte("rap ")
	sgpd := fullBox("sgpd", 1, 0, about, u32(1, 1), []byte{0x80}) // default_length, entry_count, num_leading_samples_known
	return typ, slices.Concat(p, sgpd, fullBox("sbgp", 0, 0, about, u32(n), groups))
}

func size3(typ string, p []byte) (string, []byte) {
	return typ, slices.Concat(p[:4], u32(3), p[8:])
}
