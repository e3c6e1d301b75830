#!/bin/sh
# Makes film.mp4, the film of the demo. On Debian and Ubuntu: apt-get install ffmpeg fonts-dejavu-core
set -eu
cd "$(dirname "$0")"

fonts=${FONTS:-/usr/share/fonts/truetype/dejavu}
bold=$fonts/DejaVuSans-Bold.ttf
mono=$fonts/DejaVuSansMono-Bold.ttf

fps=25
seconds=120
reel=10 # seconds: every reel has its own color, and the only key frame in it is its first picture
gop=$((fps * reel))

# The disc of a film leader: its hand fills it in one second and empties it in the next. Two seconds are drawn, then looped.
angle="mod(atan2(X-320,220-Y)/(2*PI)+1,1)"
turn="mod(N,$fps)/$fps"
swept="if(lt(N,$fps),lt($angle,$turn),gte($angle,$turn))"
radius="hypot(X-320,Y-220)"
rings="60*clip(2-abs($radius-122),0,1)+40*clip(1.5-abs($radius-104),0,1)"
leader="color=black:s=640x360:r=$fps:d=2,format=yuv420p,geq=\
lum='if(lt($radius,122),88+22*$swept,74-0.06*$radius)+$rings':cb='150':cr='112',loop=loop=-1:size=$((2 * fps))"

# The number of the picture as 16 blocks along its top edge, least significant bit first: white is 1, black is 0.
bits="color=black:s=16x2:r=$fps,format=yuv420p,geq=lum='if(mod(floor(N/pow(2,X)),2),235,16)':cb=128:cr=128,\
scale=640:80:flags=neighbor"

text="fontcolor=white:fontfile"
clock="%{eif\\:n/$((60 * fps))\\:d}\\:%{eif\\:mod(floor(n/$fps)\\,60)\\:d\\:2}"
millis="%{eif\\:mod(n\\,$fps)*$((1000 / fps))\\:d\\:3}"
reels="%{eif\\:1+floor(n/$gop)\\:d}"

# A beep at the start of every second, a semitone higher in every reel, longer where a reel begins.
note="440*pow(2,floor(t/$reel)/12)"
length="if(lt(mod(t,$reel),1),0.25,0.08)"
beep="aevalsrc='0.4*sin(2*PI*$note*t)*clip(200*mod(t,1),0,1)*clip(200*($length-mod(t,1)),0,1)':s=48000:d=$seconds"

ffmpeg -hide_banner -loglevel error -nostdin -y \
	-f lavfi -i "$leader" -f lavfi -i "$bits" -f lavfi -i "$beep" -filter_complex "\
[0]hue=h='-30*floor(n/$gop)':s=1.6,\
drawtext=$text=$bold:fontsize=66:text='$clock':x=320-tw/2:y=168,\
drawtext=$text=$mono:fontsize=28:text='.$millis':x=320-tw/2:y=236,\
drawtext=$text=$bold:fontsize=15:alpha=0.7:text='frame':x=24:y=306,\
drawtext=$text=$mono:fontsize=24:text='%{n}':x=24:y=326,\
drawtext=$text=$bold:fontsize=15:alpha=0.7:text='reel':x=616-tw:y=306,\
drawtext=$text=$mono:fontsize=24:text='$reels':x=616-tw:y=326[film];\
[film][1]overlay=0:0,format=yuv420p[v]" \
	-map '[v]' -map 2:a -t $seconds \
	-c:v libx264 -preset veryslow -tune animation -crf 25 -bf 3 -b_strategy 1 -threads 1 \
	-x264-params "keyint=$gop:min-keyint=$gop:scenecut=0:open-gop=0" \
	-c:a aac -b:a 48k -ac 1 -aac_pns 0 \
	-flags +bitexact -fflags +bitexact film.mp4
