package media

import (
	"encoding/base64"
	"fmt"
)

// Films are all the films there are. Ten seconds where nothing else is said, 192x108.
var Films = []Film{
	{
		Name: "bframes.mp4", Shows: "H.264 with a B pyramid, AAC, moov first, edit lists for the reorder delay and the AAC priming",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3:b-pyramid=normal") + aac + first,
	},
	{
		Name: "moovlast.mp4", Shows: "the same with the moov last",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3:b-pyramid=normal") + aac,
	},
	{
		Name: "plain.mp4", Shows: "H.264 without B-frames: no ctts",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=0") + aac + first,
	},
	{
		Name: "opengop.mp4", Shows: "H.264 with open GOPs: leading pictures need the key frame before",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=40:bframes=3:open-gop=1") + aac,
	},
	{
		Name: "hevc.mp4", Shows: "HEVC with open GOPs",
		Args: picture("25", 10) + sound(48000, 10) + x265("keyint=40:min-keyint=40:bframes=4:open-gop=1") + aac + first,
	},
	{
		Name: "sound.m4a", Shows: "AAC alone, 44.1 kHz",
		Args: sound(44100, 10) + aac + first,
	},
	{
		Name: "silent.mp4", Shows: "pictures alone, 30 a second",
		Args: picture("30", 10) + x264("keyint=60:bframes=3") + first,
	},
	{
		Name: "ntsc.mp4", Shows: "23.976 pictures a second, which no millisecond hits, and 44.1 kHz",
		Args: picture("24000/1001", 10) + sound(44100, 10) + x264("keyint=48:bframes=3") + aac + first,
	},
	{
		Name: "soundlate.mp4", Shows: "the sound starts 0.6 s after the picture: an empty edit",
		Args: picture("25", 10) + "-itsoffset 0.6 " + sound(48000, 8) + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "soundlate441.mp4", Shows: "the sound starts 67 ms after the picture, which are no whole samples at 44.1 kHz",
		Args: picture("25", 10) + "-itsoffset 0.067 " + sound(44100, 9) + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "picturelate.mp4", Shows: "the picture starts 0.5 s after the sound: an empty edit",
		Args: "-itsoffset 0.5 " + picture("25", 8) + sound(48000, 10) + "-fps_mode passthrough " + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "gaps.mp4", Shows: "empty edits before both tracks, whose lengths are no whole ticks", After: &withGaps,
		Args: picture("25", 8) + sound(48000, 8) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "shortpicture.mp4", Shows: "4 s of pictures beside 10 s of sound",
		Args: picture("25", 4) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "shortsound.mp4", Shows: "4 s of sound beside 10 s of pictures",
		Args: picture("25", 10) + sound(48000, 4) + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		// Every picture moves by up to 33 of the 40 ms to the next, by no rule that repeats soon.
		Name: "uneven.mp4", Shows: "true variable frame rate: a stts entry for nearly every picture",
		Args: picture("25", 10) + sound(48000, 10) + "-vf settb=1/90000,setpts='N*3600+mod(N*N*7919+N*104729,3000)' -fps_mode vfr -enc_time_base:v 1/90000 " +
			x264("keyint=50:bframes=3") + aac + "-video_track_timescale 90000 " + first,
	},
	{
		Name: "co64.mp4", Shows: "64-bit chunk offsets", After: &withCo64,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "mdat64.mp4", Shows: "an mdat with a 64-bit size, moov first", After: &withMdat64,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "mdat64last.mp4", Shows: "an mdat with a 64-bit size, moov last", After: &withMdat64,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "mdat0.mp4", Shows: "an mdat of size 0, to the end of the file", After: &withMdat0,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "twomdats.mp4", Shows: "two mdats before the moov", After: &inTwoMdats,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "moovmiddle.mp4", Shows: "an mdat before the moov and one behind it", After: &aroundMoov,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "reversed.mp4", Shows: "chunks that lie in the file the other way round", After: &reversed,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "groups.mp4", Shows: "sdtp, and a sample group that asks for ten frames of sound before the start", After: &withGroups,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "v1.mp4", Shows: "version 1 of mvhd, tkhd, mdhd and elst", After: &withVersion1,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "stz2.mp4", Shows: "stz2 with 16 bits a sample", After: &withStz2,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac,
	},
	{
		Name: "negative.mp4", Shows: "ctts version 1 with negative offsets, no edit list for the pictures",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3:b-pyramid=normal") + aac + "-movflags +faststart+negative_cts_offsets",
	},
	{
		Name: "noedits.mp4", Shows: "no edit lists at all: the first picture is late by the reorder delay, the priming of AAC is heard", After: &withoutEdits,
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3:b-pyramid=normal") + aac,
	},
	{
		Name: "onekey.mp4", Shows: "a single key frame: every lead-in begins at the first picture",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=infinite:bframes=3") + aac + first,
	},
	{
		Name: "intra.mp4", Shows: "key frames only: no stss",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=1") + aac + first,
	},
	{
		Name: "ticks25.mp4", Shows: "a track timescale of 25: a tick is a whole picture, most starts fall between two ticks",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + "-video_track_timescale 25 " + first,
	},
	{
		Name: "ticks600.mov", Shows: "QuickTime's timescale of 600 for track and movie",
		Args: picture("30", 10) + sound(44100, 10) + x264("keyint=60:bframes=3") + aac + "-video_track_timescale 600 -movie_timescale 600 " + first,
	},
	{
		Name: "chunks.mp4", Shows: "chunks of a second, as many cameras and packagers write them",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + "-chunk_duration 1000000 " + first,
	},
	{
		Name: "mp3.mp4", Shows: "MP3, which needs four frames of lead-in",
		Args: picture("25", 10) + sound(44100, 10) + x264("keyint=50:bframes=3") + "-c:a libmp3lame -b:a 96k " + first,
	},
	{
		Name: "opus.mp4", Shows: "Opus, which needs 320 ms of lead-in",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + "-c:a libopus -b:a 96k " + first,
	},
	{
		Name: "ac3.mp4", Shows: "AC-3 at a constant size: a uniform stsz",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + "-c:a ac3 -b:a 192k " + first,
	},
	{
		Name: "flac.mp4", Shows: "FLAC, lossless",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + "-c:a flac -sample_fmt s16 -strict -2 " + first,
	},
	{
		Name: "alac.m4a", Shows: "ALAC alone, lossless",
		Args: sound(44100, 10) + "-c:a alac -sample_fmt s16p " + first,
	},
	{
		Name: "pcm.mov", Shows: "PCM: one sample of the table is one of the sound, of uniform size",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + "-c:a pcm_s16le " + first,
	},
	{
		Name: "vp9.mp4", Shows: "VP9 with hidden alternate reference frames",
		Args: picture("25", 10) + sound(48000, 10) + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 50 -b:v 200k -threads 1 " + aac + first,
	},
	{
		Name: "av1.mp4", Shows: "AV1",
		Args: picture("25", 10) + sound(48000, 10) + "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 50 -b:v 200k -threads 1 " + aac + first,
	},
	{
		Name: "twosounds.mp4", Shows: "two tracks of sound, of different rates",
		Args: picture("25", 10) + sound(48000, 10) + sound(44100, 10) + "-map 0:v -map 1:a -map 2:a " + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "trimmed.mp4", Shows: "an edit list that begins in mid-media, on no picture: made by -ss without decoding",
		From: "bframes.mp4", Args: "-ss 3.213 -i FROM -c copy " + first,
	},
	{
		Name: "subtitles.mp4", Shows: "a text track (tx3g) with cues and gaps between them",
		Args: picture("25", 10) + sound(48000, 10) + "-f srt -i " + text(cues) + x264("keyint=50:bframes=3") + aac + "-c:s mov_text " + first,
	},
	{
		Name: "chapters.mp4", Shows: "chapters, as QuickTime's text track and as Nero's chpl",
		Args: picture("25", 10) + sound(48000, 10) + "-f ffmetadata -i " + text(chapters) + "-map_chapters 2 " + x264("keyint=50:bframes=3") + aac + first,
	},
	{
		Name: "timecode.mov", Shows: "a timecode track (tmcd): a single sample for the whole film",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + "-timecode 01:00:00:00 " + first,
	},
}

const (
	// aac leaves noise substitution off: its noise depends on where the decoder began.
	aac   = "-c:a aac -b:a 96k -aac_pns 0 "
	first = "-movflags +faststart "

	cues = `1
00:00:01,000 --> 00:00:03,500
one

2
00:00:04,250 --> 00:00:08,000
two

3
00:00:08,000 --> 00:00:09,400
three
`
	chapters = `;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=2500
title=first
[CHAPTER]
TIMEBASE=1/1000
START=2500
END=7040
title=second
[CHAPTER]
TIMEBASE=1/1000
START=7040
END=10000
title=third
`
)

// picture is an input of numbered pictures: a strip of 16 points, one a bit, scaled up and laid over a test picture.
func picture(rate string, seconds int) string {
	source := fmt.Sprintf("r=%s:d=%d", rate, seconds)
	return "-f lavfi -i " +
		"color=s=16x2:" + source + ",format=yuv420p,geq=lum='if(mod(floor(N/pow(2,X)),2),235,16)':cb=128:cr=128,scale=192:24:flags=neighbor[number];" +
		"testsrc2=s=192x108:" + source + ",format=yuv420p[scene];" +
		"[scene][number]overlay=shortest=1:format=yuv420 "
}

// sound is an input of stereo sound: two sweeps in either channel.
func sound(rate, seconds int) string {
	return fmt.Sprintf("-f lavfi -i aevalsrc="+
		"'0.4*sin(2*PI*(180*t+45*t*t))+0.15*sin(2*PI*(2500*t-61*t*t))|"+
		"0.4*sin(2*PI*(260*t+57*t*t))+0.15*sin(2*PI*(3100*t-83*t*t))':s=%d:d=%d ", rate, seconds)
}

// x264 encodes on one thread, so that the same recipe gives the same film.
func x264(params string) string {
	return "-c:v libx264 -preset veryfast -crf 28 -x264-params threads=1:scenecut=0:" + params + " "
}

func x265(params string) string {
	return "-c:v libx265 -preset ultrafast -crf 30 -tag:v hvc1 -x265-params log-level=error:pools=1:frame-threads=1:scenecut=0:" + params + " "
}

// text is an input file within the command line.
func text(s string) string {
	return "data:text/plain;base64," + base64.StdEncoding.EncodeToString([]byte(s)) + " "
}
