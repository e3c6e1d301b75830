package mp4

import (
	"bytes"
	"testing"
)

// TestPreroll reads how much sound comes before the start, from the sample entry and from the sample groups of a stbl.
func TestPreroll(t *testing.T) {
	sound := func(format string, inside ...[]byte) []byte {
		return fullBox("stsd", 0, u32(1), rawBox(format, make([]byte, 28), bytes.Join(inside, nil)))
	}
	// ES_Descriptor(3): ES_ID(2), flags(1); DecoderConfigDescriptor(4): object type; lengths of one to four bytes
	esds := func(object byte) []byte { return fullBox("esds", 0, []byte{3, 25, 0, 0, 0, 4, 17, object, 0x15}) }
	longer := fullBox("esds", 0, []byte{3, 0x80, 0x80, 0x80, 25, 0, 0, 0, 4, 0x80, 0x80, 0x80, 17, 0x6B, 0x15})
	distances := func(values ...int64) []byte {
		var b []byte
		for _, v := range values {
			b = append(b, number(v, 2)...)
		}
		return b
	}
	for name, c := range map[string]struct {
		stbl []byte
		want soundPreroll
	}{
		"AAC":                       {sound("mp4a", esds(0x40)), soundPreroll{samples: 2}},
		"MP3":                       {sound("mp4a", esds(0x69)), soundPreroll{samples: 4}},
		"MP3, longer":               {sound("mp4a", longer), soundPreroll{samples: 4}},
		"MP3 of QuickTime":          {sound(".mp3"), soundPreroll{samples: 4}},
		"an esds that is cut short": {sound("mp4a", fullBox("esds", 0, []byte{3, 0x80})), soundPreroll{samples: 2}},
		"Opus":                      {sound("Opus"), soundPreroll{ms: 320}},
		"AMR":                       {sound("samr"), soundPreroll{ms: 320}},
		"PCM":                       {sound("twos"), soundPreroll{}},
		"one that nobody knows":     {sound("abcd"), soundPreroll{samples: 2}},
		"no stsd":                   {nil, soundPreroll{samples: 2}},
		"a stsd without entries":    {fullBox("stsd", 0, u32(0)), soundPreroll{samples: 2}},
		// sgpd: grouping_type, default_length in version 1 or default_group_description_index in version 2, entry_count
		"roll, version 0":             {fullBox("sgpd", 0, []byte("roll"), u32(1), distances(-5)), soundPreroll{samples: 5}},
		"roll, version 1":             {fullBox("sgpd", 1, []byte("roll"), u32(2, 2), distances(-3, -7)), soundPreroll{samples: 7}},
		"prol, version 2":             {fullBox("sgpd", 2, []byte("prol"), u32(1, 2), distances(-9, 4)), soundPreroll{samples: 9}},
		"roll of less than is needed": {append(sound(".mp3"), fullBox("sgpd", 1, []byte("roll"), u32(2, 1), distances(-1))...), soundPreroll{samples: 4}},
		"roll forward":                {fullBox("sgpd", 1, []byte("roll"), u32(2, 1), distances(6)), soundPreroll{samples: 2}},
		"roll of varying length":      {fullBox("sgpd", 1, []byte("roll"), u32(0, 1, 2), distances(-8)), soundPreroll{samples: 2}},
		"another group":               {fullBox("sgpd", 1, []byte("tele"), u32(2, 1), distances(-8)), soundPreroll{samples: 2}},
		"roll beside Opus":            {append(sound("Opus"), fullBox("sgpd", 1, []byte("roll"), u32(2, 1), distances(-4))...), soundPreroll{samples: 4, ms: 320}},
	} {
		stbl := &box{typ: "stbl", header: headerLen, data: rawBox("stbl", c.stbl)}
		err := readChildren(stbl, "")
		if err != nil {
			t.Fatal(err)
		}
		got := readPreroll(stbl)
		if got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
