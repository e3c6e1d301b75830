"""Plays films by libvlc and tells which of their numbered pictures it displays, and when.

    vlc.py FOLDER < job.json

The job is {"films": [addresses], "patience": seconds}. A line of JSON for each film: every picture with the time at which
it was displayed, every piece of sound with the time at which it is to be heard, both of one clock. The sound itself goes
into files of FOLDER: one channel of 16-bit numbers.
"""
import ctypes
import json
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int64, c_uint, c_void_p

WIDTH, HEIGHT = 192, 108  # that all pictures are scaled to
RATE = 48000
ENDED, FAILED = 265, 266  # libvlc_MediaPlayerEndReached, libvlc_MediaPlayerEncounteredError

vlc = ctypes.CDLL("libvlc.so.5")
for name, result, arguments in (
    ("new", c_void_p, [ctypes.c_int, POINTER(c_char_p)]),
    ("get_version", c_char_p, []),
    ("clock", c_int64, []),
    ("media_new_location", c_void_p, [c_void_p, c_char_p]),
    ("media_release", None, [c_void_p]),
    ("media_player_new_from_media", c_void_p, [c_void_p]),
    ("media_player_play", ctypes.c_int, [c_void_p]),
    ("media_player_stop", None, [c_void_p]),
    ("media_player_release", None, [c_void_p]),
    ("media_player_event_manager", c_void_p, [c_void_p]),
    ("event_attach", ctypes.c_int, [c_void_p, ctypes.c_int, c_void_p, c_void_p]),
    ("video_set_callbacks", None, [c_void_p] * 5),
    ("video_set_format", None, [c_void_p, c_char_p, c_uint, c_uint, c_uint]),
    ("audio_set_callbacks", None, [c_void_p] * 7),
    ("audio_set_format", None, [c_void_p, c_char_p, c_uint, c_uint]),
):
    function = getattr(vlc, "libvlc_" + name)
    function.restype, function.argtypes = result, arguments


# A numbered picture carries 16 bits along its top edge, each a block 2/9 as high as the picture: white is 1, black 0.
# Where the middle of a block is neither, the number is -1.
def number(picture):
    n = 0
    for bit in range(16):
        left, top = round((bit + 0.25) * WIDTH / 16), round(HEIGHT / 18)
        block = b"".join(picture[y * WIDTH + left : y * WIDTH + left + WIDTH // 32] for y in range(top, top + HEIGHT // 9))
        luma = sum(block) / len(block)
        if 85 < luma < 170:
            return -1
        n |= (luma >= 170) << bit
    return n


def play(engine, film, path, patience):
    report = {"url": film, "shots": [], "ended": False}
    pieces, file, done = [], open(path, "wb"), threading.Event()
    picture = ctypes.create_string_buffer(WIDTH * HEIGHT)

    @CFUNCTYPE(c_void_p, c_void_p, POINTER(c_void_p))
    def lock(_, planes):
        planes[0] = ctypes.addressof(picture)

    @CFUNCTYPE(None, c_void_p, c_void_p)
    def display(_, __):
        report["shots"].append({"at": vlc.libvlc_clock() / 1e6, "picture": number(picture.raw)})

    @CFUNCTYPE(None, c_void_p, c_void_p, c_uint, c_int64)
    def hear(_, samples, count, pts):
        pieces.append({"at": pts / 1e6, "offset": file.tell() // 2, "count": count})
        file.write(ctypes.string_at(samples, 2 * count))

    @CFUNCTYPE(None, POINTER(ctypes.c_int), c_void_p)
    def event(what, _):
        report["ended"] = what[0] == ENDED
        done.set()

    media = vlc.libvlc_media_new_location(engine, film.encode())
    player = vlc.libvlc_media_player_new_from_media(media)
    vlc.libvlc_media_release(media)
    vlc.libvlc_video_set_callbacks(player, lock, None, display, None)
    vlc.libvlc_video_set_format(player, b"GREY", WIDTH, HEIGHT, WIDTH)
    vlc.libvlc_audio_set_callbacks(player, hear, None, None, None, None, None)
    vlc.libvlc_audio_set_format(player, b"S16N", RATE, 1)
    events = vlc.libvlc_media_player_event_manager(player)
    for what in (ENDED, FAILED):
        vlc.libvlc_event_attach(events, what, event, None)
    vlc.libvlc_media_player_play(player)
    if not done.wait(patience):
        report["error"] = "it does not end"
    elif not report["ended"]:
        report["error"] = "VLC cannot play it"
    vlc.libvlc_media_player_stop(player)
    vlc.libvlc_media_player_release(player)
    file.close()
    report["sound"] = {"rate": RATE, "pieces": pieces, "file": path}
    return report


# All pictures are decoded, even where the machine is late.
options = [b"--quiet", b"--no-avcodec-hurry-up", b"--no-video-title-show", b"--no-metadata-network-access"]
engine = vlc.libvlc_new(len(options), (c_char_p * len(options))(*options))
if not engine:
    sys.exit("libvlc does not start")
job = json.load(sys.stdin)
for i, film in enumerate(job["films"]):
    report = play(engine, film, f"{sys.argv[1]}/{i}.s16", job["patience"])
    print(json.dumps({"player": "VLC " + vlc.libvlc_get_version().decode(), **report}), flush=True)
