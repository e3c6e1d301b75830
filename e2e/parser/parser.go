// Package parser asks a parser that shares nothing with the plugin, mp4ff, whether a cut is a whole and consistent MP4 file.
package parser

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"
)

// Check refuses a file that is not exactly ftyp, moov and mdat, or whose sample tables disagree or lead out of the mdat.
func Check(file []byte) error {
	if len(file) >= 12 && string(file[4:12]) == "ftypqt  " {
		// mp4ff does not know QuickTime's own sample descriptions, and refuses whole files for them.
		file = bytes.ReplaceAll(file, []byte("stsd"), []byte("skip"))
	}
	parsed, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil {
		return err
	}
	var boxes []string
	for _, box := range parsed.Children {
		boxes = append(boxes, box.Type())
	}
	if !slices.Equal(boxes, []string{"ftyp", "moov", "mdat"}) {
		return fmt.Errorf("the boxes are %q", boxes)
	}
	if parsed.Size() != uint64(len(file)) {
		return fmt.Errorf("the boxes are %d bytes long, the file %d", parsed.Size(), len(file))
	}
	if len(parsed.Moov.Traks) == 0 {
		return fmt.Errorf("there are no tracks")
	}
	begin := parsed.Mdat.PayloadAbsoluteOffset()
	for _, trak := range parsed.Moov.Traks {
		if err := check(trak, begin, begin+parsed.Mdat.DataLength()); err != nil {
			return fmt.Errorf("track %d: %w", trak.Tkhd.TrackID, err)
		}
	}
	return nil
}

// check compares the tables of a track with each other and with where the mdat's payload lies.
func check(trak *mp4.TrakBox, begin, end uint64) error {
	stbl := trak.Mdia.Minf.Stbl
	var times, duration uint64
	for i, count := range stbl.Stts.SampleCount {
		times += uint64(count)
		duration += uint64(count) * uint64(stbl.Stts.SampleTimeDelta[i])
	}
	if times == 0 {
		return fmt.Errorf("there are no samples")
	}
	if got := trak.Mdia.Mdhd.Duration; got != duration {
		return fmt.Errorf("mdhd's duration is %d, stts's is %d", got, duration)
	}
	if stbl.Ctts != nil {
		if last := stbl.Ctts.EndSampleNr[len(stbl.Ctts.EndSampleNr)-1]; uint64(last) != times {
			return fmt.Errorf("stts has %d samples, ctts %d", times, last)
		}
	}
	if stbl.Stss != nil {
		for i, number := range stbl.Stss.SampleNumber {
			if number == 0 || uint64(number) > times || i > 0 && number <= stbl.Stss.SampleNumber[i-1] {
				return fmt.Errorf("stss has the sample %d of %d at %d", number, times, i)
			}
		}
	}
	if stbl.Stsz == nil {
		// mp4ff does not know stz2, and finds no sample without stsz.
		return nil
	}
	if sizes := uint64(stbl.Stsz.SampleNumber); sizes != times {
		return fmt.Errorf("stts has %d samples, stsz %d", times, sizes)
	}
	ranges, err := trak.GetRangesForSampleInterval(1, uint32(times))
	if err != nil {
		return err
	}
	var bytes, sizes uint64
	for _, r := range ranges {
		if r.Offset < begin || r.Offset+r.Size > end {
			return fmt.Errorf("samples lie at %d to %d, the mdat holds %d to %d", r.Offset, r.Offset+r.Size, begin, end)
		}
		bytes += r.Size
	}
	for i := range int(times) {
		sizes += uint64(stbl.Stsz.GetSampleSize(i + 1))
	}
	if bytes != sizes {
		return fmt.Errorf("the chunks hold %d bytes, the samples are %d", bytes, sizes)
	}
	return nil
}
