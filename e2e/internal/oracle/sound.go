package oracle

import (
	"fmt"
	"math"
)

// tolerances are how far a sample of the cut may lie from the source's, where full scale is 1. Codecs that are not
// here must match bit for bit, from the first sample on: PCM, FLAC and ALAC since they are lossless; AAC, MP3 and AC-3
// since all that a frame takes from those before it comes from the lead-in that every cut brings along (one frame of
// overlap; the bit reservoir for MP3). Opus predicts from all that went before: after its lead-in of 320 ms 0.0001 was
// the worst of 40 cuts, and halves every 20 ms; 80 ms of lead-in leave 0.002.
// Of IMA ADPCM the decoder keeps the lower seven bits of 16 from packet to packet.
var tolerances = map[string]float64{"opus": 1.0 / 4096, "adpcm_ima_qt": 128.0 / 32768}

// compareSound compares the sound: the cut's sample i is the source's sample i + start·rate, rounded to a tick.
func compareSound(src, cut *track, iv interval) error {
	rate := float64(src.rate)
	exact, slack := iv.start*rate, src.tick*rate/2+nanosecond
	if float64(src.begin) > exact {
		slack++ // it begins later, after an empty edit, whose length is rounded too
	} else if len(src.edits) > 0 && src.edits[0].mediaTime < 0 {
		slack += src.tick * rate / 2 // ffmpeg has rounded the source's empty edit to a tick
	}
	var first error
	for shift := int(math.Ceil(exact - slack)); float64(shift) <= exact+slack; shift++ {
		err := compareShifted(src, cut, iv, shift)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// compareShifted compares each sample i of the cut with the source's i + shift. Where one has none, it is silent there,
// so that sound that is missing differs, but a hole in the source may be one in the cut.
func compareShifted(src, cut *track, iv interval, shift int) error {
	end, spare := src.end-shift, 0
	if due := int(math.Ceil(iv.end*float64(src.rate)-nanosecond)) - shift; iv.end < forever && due < end {
		end, spare = due, src.longest // ffmpeg plays the last frame of an edit out
	}
	if len(cut.frames) == 0 && end < src.longest {
		return nil // ffmpeg shows nothing of an edit that lies within the track's last frame
	}
	for i := range end {
		for c := range src.channels {
			is, due := cut.at(i, c), src.at(i+shift, c)
			if math.Abs(float64(is-due)) > tolerances[src.codec] {
				return fmt.Errorf("sample %d of %d is %.6f, %.6f is due; %s", i, end, is, due, likeness(src, cut, i, shift))
			}
		}
	}
	if cut.begin < 0 || cut.end > end+spare {
		return fmt.Errorf("has samples %d to %d, 0 to %d are due", cut.begin, cut.end, end)
	}
	return nil
}

// likeness says where in the source the cut's sound from sample i on is found, looking a good fifth of a second around.
func likeness(src, cut *track, i, shift int) string {
	const window, around = 2048, 9600
	best, off := math.Inf(1), 0
	for d := -around; d <= around; d++ {
		sum := 0.0
		for k := i; k < i+window && sum < best; k++ {
			sum += math.Abs(float64(cut.at(k, 0) - src.at(k+shift+d, 0)))
		}
		if sum < best {
			best, off = sum, d
		}
	}
	return fmt.Sprintf("what follows is nearest the source's %+d samples away, %.6f off on average", off, best/window)
}

// at is the sample at a position of the presentation; silence where there is none.
func (t *track) at(position, channel int) float32 {
	if position < t.begin || position >= t.end {
		return 0
	}
	return t.samples[(position-t.begin)*t.channels+channel]
}
