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

// CheckFragmented is Check for the cut of a fragmented file: ftyp, moov, an mdat that the moov's tables lead into if they
// have samples, and fragments whose samples lie in the mdat behind each moof.
func CheckFragmented(file []byte) error {
	parsed, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil {
		return err
	}
	if parsed.Size() != uint64(len(file)) || len(parsed.Children) < 3 || parsed.Children[0].Type() != "ftyp" || parsed.Children[1].Type() != "moov" {
		return fmt.Errorf("the boxes are %d bytes long, the file %d", parsed.Size(), len(file))
	}
	if len(parsed.Moov.Traks) == 0 {
		return fmt.Errorf("there are no tracks")
	}
	var at, begin, end uint64 // of the mdat that the moov's tables lead into
	var moof *mp4.MoofBox
	for _, box := range parsed.Children {
		switch b := box.(type) {
		case *mp4.MoofBox:
			moof = b
			if parsed.Moov.Mvex == nil {
				return fmt.Errorf("there are fragments, but no mvex")
			}
		case *mp4.MdatBox:
			if moof == nil {
				begin, end = at+b.HeaderSize(), at+b.Size()
			} else if err := checkFragment(moof, parsed.Moov.Mvex, at+b.HeaderSize(), at+b.Size()); err != nil {
				return err
			}
		}
		at += box.Size()
	}
	for _, trak := range parsed.Moov.Traks {
		if len(trak.Mdia.Minf.Stbl.Stts.SampleCount) == 0 && moof != nil {
			continue
		}
		if err := check(trak, begin, end); err != nil {
			return fmt.Errorf("track %d: %w", trak.Tkhd.TrackID, err)
		}
	}
	return nil
}

// checkFragment looks where the samples of a moof lie.
func checkFragment(moof *mp4.MoofBox, mvex *mp4.MvexBox, begin, end uint64) error {
	next := moof.StartPos
	for _, traf := range moof.Trafs {
		base := next
		if traf.Tfhd.DefaultBaseIfMoof() {
			base = moof.StartPos
		}
		if traf.Tfhd.HasBaseDataOffset() {
			base = traf.Tfhd.BaseDataOffset
		}
		trex, _ := mvex.GetTrex(traf.Tfhd.TrackID)
		at := base
		for _, trun := range traf.Truns {
			trun.AddSampleDefaultValues(traf.Tfhd, trex)
			if trun.HasDataOffset() {
				at = uint64(int64(base) + int64(trun.DataOffset))
			}
			from := at
			for _, s := range trun.Samples {
				at += uint64(s.Size)
			}
			if from < begin || at > end {
				return fmt.Errorf("the samples of a fragment of track %d lie at %d to %d, its mdat holds %d to %d", traf.Tfhd.TrackID, from, at, begin, end)
			}
		}
		next = at
	}
	return nil
}
