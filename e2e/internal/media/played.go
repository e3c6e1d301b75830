package media

// Played are films for players alone, which take their time: kinds of pictures that Films has not.
var Played = []Film{
	{
		Name: "fifty.mp4", Shows: "50 pictures a second with B-frames",
		Args: picture("50", 7) + sound(48000, 7) + x264("keyint=125:bframes=3:b-pyramid=normal") + aac + first,
	},
	{
		Name: "large.mp4", Shows: "1280x720, groups of five seconds: a lead-in that takes long to decode",
		Args: picture("25", 7) + sound(48000, 7) + "-filter:v scale=1280:720:flags=neighbor " + x264("keyint=125:bframes=3:b-pyramid=normal") + aac + first,
	},
	{
		// As uneven.mp4, but mpv's clock for what it encodes has 24000 ticks a second.
		Name: "variable.mp4", Shows: "true variable frame rate in ticks of 1/24000 s",
		Args: picture("25", 10) + sound(48000, 10) + "-vf settb=1/24000,setpts='N*960+mod(N*N*7919+N*104729,800)' -fps_mode vfr -enc_time_base:v 1/24000 " +
			x264("keyint=50:bframes=3") + aac + "-video_track_timescale 24000 " + first,
	},
	made("variable", "true variable frame rate in ticks of 1/24000 s", "variable.mp4", layout{index: sidxFront}),
	made("open", "open GOPs", "opengop.mp4", layout{seconds: 1.6}),
	made("fifty", "50 pictures a second with B-frames", "fifty.mp4", layout{seconds: 2.5, index: sidxFront}),
	made("large", "1280x720, groups of five seconds", "large.mp4", layout{seconds: 5, index: sidxFront}),
	made("ntsc", "23.976 pictures a second", "ntsc.mp4", layout{index: mfraEnd}),
}
