// Package oracle decides whether a cut is exact. The judge is a decoder: ffmpeg decodes source and cut, and what it
// shows of the cut must be what it shows of the source from the start on. Nothing here reads a box of MP4.
//
// # What is compared
//
// Tracks are matched by track_ID. One that shows something in the interval must be in the cut, one that does not must
// not. Pictures and sound are compared; text, timecode and data tracks are not.
//
// Pictures: the MD5 of each decoded picture and the time at which it is shown. The picture on show at the start comes
// first, at exactly 0; it is the last that begins before start + 1 ms, since the argument is truncated to the
// millisecond. The others follow, none missing, none extra, none that begins at or after the end, at the source's times
// less start (where the picture on show begins within that millisecond, less its time), and by the same distances as in
// the source. A time may be off by the rounding to a tick of the track: half a tick where the cut begins in the track's
// media, more where an empty edit is rounded as well; never more than 1 ms, however coarse the timescale.
//
// Sound: sample i of the cut against sample i + start·rate of the source, rounded to a tick of the track, from the
// first sample to the end. The distance allowed is in tolerances: none at all for most codecs. A shift by one sample
// is found since the sound of package media does not repeat.
//
// # What is relied on of ffmpeg (5.1)
//
//   - With -copyts, 0 is the beginning of the presentation, in the source and in the cut; -enc_time_base -1 and
//     -fps_mode passthrough keep each picture at its own tick.
//   - Of a fragmented cut the edit list moves times only. Pictures are read from 0 on by -ss, which drops those before;
//     sound by a command of its own, which trims it there, since the seek drops sound before a first picture that is late.
//   - The edit list decides what is shown: pictures before media_time and at or after the end of the edit are decoded
//     and dropped, sound is skipped to the sample. It is not trimmed at the end of an edit: the last frame of the codec
//     is played out, so up to a frame more is allowed after the end.
//   - A picture that begins before the edit is dropped even where it lasts into it, and the track is moved so that the next one is
//     at 0. In a cut that is an error, and comes out as a missing picture. In a source it is mended: the debug log tells
//     the edits, a second run with -ignore_editlist tells the pictures, and the dropped one is put back at its place.
//   - Of an edit that lies within the last frame of a track of sound nothing may be shown; that is accepted.
//   - dav1d shows pictures that the edit list drops; AV1 is decoded with libaom. AC-3's noise depends on where decoding
//     began, unless -cons_noisegen is given.
package oracle
