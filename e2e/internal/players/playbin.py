"""Plays films in GStreamer's playbin and tells which of their numbered pictures come out, and when.

    playbin.py FOLDER < job.json

The job is {"films": [addresses], "patience": seconds}. A line of JSON for each film: the picture that it shows while it is
paused, then every picture and piece of sound with its running time, which is what a sink shows it by. The sound itself
goes into files of FOLDER: one channel of 32-bit floats. The sinks do not wait for the clock: no machine is too slow.
"""
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

# A numbered picture carries 16 bits along its top edge, each a block 2/9 as high as the picture: white is 1, black 0.
# Where the middle of a block is neither, the number is -1.
def number(sample):
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    width, height, stride = info.width, info.height, info.stride[0]
    ok, data = sample.get_buffer().map(Gst.MapFlags.READ)
    if not ok:
        raise RuntimeError("a picture cannot be read")
    try:
        n, luminance = 0, data.data
        for bit in range(16):
            left, top = round((bit + 0.25) * width / 16), round(height / 18)
            block = [luminance[y * stride + x] for y in range(top, top + round(height / 9), 4) for x in range(left, left + round(width / 32), 2)]
            luma = sum(block) / len(block)
            if 85 < luma < 170:
                return -1
            n |= (luma >= 170) << bit
        return n
    finally:
        sample.get_buffer().unmap(data)


def running_time(sample):
    """Seconds, or None where the sample lies outside of its segment: nobody would see or hear it."""
    time = sample.get_segment().to_running_time(Gst.Format.TIME, sample.get_buffer().pts)
    return None if time == Gst.CLOCK_TIME_NONE else time / Gst.SECOND


class Sound:
    def __init__(self, path):
        self.file, self.pieces, self.rate, self.count = open(path, "wb"), [], 0, 0

    def take(self, sample):
        self.rate = sample.get_caps().get_structure(0).get_value("rate")
        buffer = sample.get_buffer()
        n = buffer.get_size() // 4
        self.pieces.append({"at": running_time(sample), "offset": self.count, "count": n})
        self.count += n
        self.file.write(buffer.extract_dup(0, buffer.get_size()))


def sink(caps):
    element = Gst.ElementFactory.make("appsink")
    element.set_property("caps", Gst.Caps.from_string(caps))
    element.set_property("sync", False)
    element.set_property("qos", False)
    element.set_property("max-buffers", 4)
    return element


def pull(element, take):
    """A thread that takes all samples of a sink."""

    def run():
        while not element.get_property("eos"):
            sample = element.emit("try-pull-sample", Gst.SECOND // 10)
            if sample:
                take(sample)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def play(film, path, patience):
    player = Gst.ElementFactory.make("playbin")
    pictures = sink("video/x-raw,format={I420,GRAY8}")
    sounds = sink("audio/x-raw,format=F32LE,layout=interleaved,channels=1")
    player.set_property("uri", film)
    player.set_property("flags", 1 | 2)  # pictures and sound
    player.set_property("video-sink", pictures)
    player.set_property("audio-sink", sounds)
    report, sound = {"url": film, "shots": []}, Sound(path)
    bus = player.get_bus()
    try:
        player.set_state(Gst.State.PAUSED)
        message = bus.timed_pop_filtered(patience * Gst.SECOND, Gst.MessageType.ASYNC_DONE | Gst.MessageType.ERROR)
        if message is None or message.type == Gst.MessageType.ERROR:
            raise RuntimeError(message.parse_error()[0].message if message else "no first picture")
        preroll = pictures.emit("try-pull-preroll", patience * Gst.SECOND)
        report["paused"] = {"picture": number(preroll), "at": running_time(preroll)}
        player.set_state(Gst.State.PLAYING)
        pulls = [
            pull(pictures, lambda sample: report["shots"].append({"picture": number(sample), "at": running_time(sample)})),
            pull(sounds, sound.take),
        ]
        message = bus.timed_pop_filtered(patience * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
        if message is None or message.type == Gst.MessageType.ERROR:
            raise RuntimeError(message.parse_error()[0].message if message else "it does not end")
        for thread in pulls:
            thread.join()
        report["ended"] = True
    except RuntimeError as e:
        report["error"] = str(e)
    finally:
        player.set_state(Gst.State.NULL)
        sound.file.close()
    report["sound"] = {"rate": sound.rate, "pieces": sound.pieces, "file": path}
    return report


Gst.init(None)
job = json.load(sys.stdin)
for i, film in enumerate(job["films"]):
    print(json.dumps({"player": Gst.version_string(), **play(film, f"{sys.argv[1]}/{i}.f32", job["patience"])}), flush=True)
