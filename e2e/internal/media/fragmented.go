package media

// Fragmented are films whose samples are in fragments. The first ones are as ffmpeg makes them, and are judged by what it
// shows of them; the others have the very samples and edit lists of a progressive film, and show what that shows.
var Fragmented = []Film{
	{
		Name: "fragments.mp4", Shows: "what most recorders write: each group a fragment, nothing in the moov, an mfra at the end",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3:b-pyramid=normal") + aac + "-movflags frag_keyframe+empty_moov+default_base_moof",
	},
	{
		Name: "hybrid.mp4", Shows: "the first group in the moov, the others in fragments, with absolute offsets",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + "-movflags frag_keyframe",
	},
	{
		Name: "dash.mp4", Shows: "styp and a sidx before each fragment",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + "-movflags dash+frag_keyframe",
	},
	{
		Name: "globalsidx.mp4", Shows: "a sidx for each track at the front",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + "-movflags dash+global_sidx+frag_keyframe",
	},
	{
		Name: "separate.mp4", Shows: "a moof for each track, without a trailer",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=50:bframes=3") + aac + "-movflags frag_keyframe+empty_moov+separate_moof+skip_trailer",
	},
	{
		Name: "eachpicture.mp4", Shows: "a fragment for each picture", // of sound, ffmpeg gives two frames one time
		Args: picture("25", 10) + x264("keyint=50:bframes=3") + "-movflags frag_every_frame+empty_moov+default_base_moof",
	},
	{
		Name: "fragmentsopen.mp4", Shows: "open GOPs in fragments",
		Args: picture("25", 10) + sound(48000, 10) + x264("keyint=40:bframes=3:open-gop=1") + aac + "-movflags frag_keyframe+empty_moov+default_base_moof",
	},
	{
		Name: "fragmentshevc.mp4", Shows: "HEVC in fragments",
		Args: picture("25", 10) + sound(48000, 10) + x265("keyint=40:min-keyint=40:bframes=4:open-gop=1") + aac + "-movflags frag_keyframe+empty_moov+default_base_moof",
	},
	{
		Name: "fragments.m4a", Shows: "sound alone in fragments of a second",
		Args: sound(44100, 10) + aac + "-movflags empty_moov+default_base_moof -frag_duration 1000000",
	},
	made("front", "a sidx at the front", "bframes.mp4", layout{index: sidxFront}),
	made("nested", "sidx boxes below a sidx, each before its fragments", "bframes.mp4", layout{index: sidxNested}),
	made("grouped", "sidx boxes below a sidx, all at the front", "bframes.mp4", layout{index: sidxGrouped}),
	made("each", "a sidx before each fragment, with styp, prft and emsg", "bframes.mp4", layout{index: sidxEach, extras: true}),
	made("mfra", "an mfra, and absolute offsets that are not the moof's", "bframes.mp4", layout{index: mfraEnd, base: baseAbsolute}),
	made("bare", "no index, version 0 of tfdt, offsets from the data before", "bframes.mp4", layout{base: basePrevious, tfdt: tfdt0}),
	made("untimed", "no tfdt", "bframes.mp4", layout{tfdt: noTfdt}),
	made("untimedmfra", "no tfdt, but an mfra", "bframes.mp4", layout{tfdt: noTfdt, index: mfraEnd}),
	made("trafs", "three trafs of each track in a moof, of two runs each", "bframes.mp4", layout{trafs: 3, runs: 2, base: basePrevious}),
	made("apart", "a moof for each track, absolute offsets, two runs", "bframes.mp4", layout{apart: true, runs: 2, base: baseAbsolute}),
	made("trex", "defaults in trex", "plain.mp4", layout{defaults: inTrex}),
	made("tfhd", "defaults in tfhd, and flags of the first sample", "plain.mp4", layout{defaults: inTfhd, index: mfraEnd}),
	made("groups", "fragments of three groups each", "bframes.mp4", layout{seconds: 6}),
	made("chunks", "chunks of 0.2 s, most without a key frame", "bframes.mp4", layout{seconds: 0.2, anywhere: true}),
	made("awry", "fragments of 1.3 s that begin between key frames", "bframes.mp4", layout{seconds: 1.3, anywhere: true, index: sidxFront}),
	made("half", "half of the film in the moov, half in fragments", "bframes.mp4", layout{inMoov: 2, index: mfraEnd}),
	made("late", "a picture that starts late: an empty edit", "picturelate.mp4", layout{}),
	made("short", "4 s of pictures beside 10 s of sound", "shortpicture.mp4", layout{}),
	made("silent", "pictures alone, absolute offsets", "silent.mp4", layout{base: baseAbsolute, extras: true}),
	made("uneven", "true variable frame rate", "uneven.mp4", layout{index: sidxFront}),
	made("trimmed", "an edit list that begins in mid-media", "trimmed.mp4", layout{}),
	made("texts", "a text track with samples in few fragments", "subtitles.mp4", layout{}),
	made("opus", "Opus, which needs 320 ms of lead-in", "opus.mp4", layout{seconds: 0.2, anywhere: true}),
}

// Unjudged are films in fragments that ffmpeg shows otherwise than they say: browsers judge them.
var Unjudged = []Film{
	{
		Name: "fragmentsneg.mp4", Shows: "negative composition offsets, as CMAF has them: ffmpeg shows the pictures late by their delay",
		From: "negative.mp4", Args: "-i FROM -c copy -movflags cmaf+frag_keyframe+empty_moov", Same: "negative.mp4",
	},
}

// made is a film that shows the same as a progressive one.
func made(name, shows, same string, l layout) Film {
	return Film{Name: name + ".frag.mp4", Shows: shows, From: same, Same: same, After: fragmented(l)}
}
