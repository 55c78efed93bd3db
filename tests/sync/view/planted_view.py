"""A session whose pictures carry their own numbers, so that what is on the screen says when it was taken.

Three cameras and two microphones on three clocks. The kit lost pictures, the head camera's clock drifts, and the
webcam's container knows nothing of the times in the table beside it. World time is the kit's clock less `KIT_NS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.spec import Channel
from recorder.mux import EncodedFrame, MatroskaWriter, RowTrack, write_mp4
from recorder.pack import frame_row
from recorder.session import Device, Session, Stream, open_session
from sync.add import add_file
from sync.alignment import Alignment

SIZE = (192, 112)
BITS = 12
SECONDS = 8.0
FPS = 30
KIT_NS = 1_000_000_000_000
LOST = range(100, 112)
"""Pictures that the kit's camera never gave."""
HEAD = ClockMap.affine("head", "kit-01", target_ns=KIT_NS + 700_000_000, skew_ppm=300.0)
WEB = ClockMap.affine("web", "kit-01", target_ns=KIT_NS + 250_000_000, skew_ppm=-120.0)


def picture(number: int) -> np.ndarray:
    """(H, W, 3) uint8: `BITS` stripes, white for 1, the highest bit on the left."""
    bits = [(number >> (BITS - 1 - k)) & 1 for k in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 235 + 10, SIZE[0] // BITS)
    return np.broadcast_to(row[None, :, None], (SIZE[1], SIZE[0], 3)).copy()


def kit_pictures() -> list[int]:
    """Numbers of the pictures that the kit has; number n was taken at n / FPS of world time."""
    return [n for n in range(round(SECONDS * FPS)) if n not in LOST]


def web_times_ns() -> np.ndarray:
    """When the webcam took each of its pictures, ns of its own clock: 20 a second, and a second without."""
    numbers = np.array([n for n in range(120) if not 60 <= n < 80])
    return numbers * 50_000_000 + numbers % 3 * 2_000_000


def world_s(device: str, number: int) -> float:
    """When a picture of that number was taken, s of world time."""
    if device == "kit-01":
        return number / FPS
    own_ns = number * 1_000_000_000 // FPS if device == "head" else int(web_times_ns()[number])
    return ((HEAD if device == "head" else WEB).forward(own_ns) - KIT_NS) * 1e-9


def write_session(root: Path, scratch: Path) -> Session:
    """The session, aligned as it is true."""
    root.mkdir()
    Session(root, "planted", (_write_kit(root),), participants=("p01",), activity="make_tea", sealed=True).save()
    sound = np.sin(np.arange(48_000 * 6) * 0.05).astype(np.float32) * 0.3
    write_mp4(scratch / "head.mp4", map(picture, range(180)), fps=FPS, size=SIZE, sound=sound)
    add_file(root, scratch / "head.mp4", "media", name="head", role="ego", wearer="p01")
    write_mp4(scratch / "web.mp4", map(picture, range(len(web_times_ns()))), fps=20, size=SIZE)
    (scratch / "web.csv").write_text("t_ns\n" + "".join(f"{t}\n" for t in web_times_ns().tolist()))
    add_file(root, scratch / "web.mp4", name="web", times=scratch / "web.csv")
    (root / "labels").mkdir()
    rows = f"activity,{KIT_NS + 10**9},{KIT_NS + 5 * 10**9},make_tea,p01\n"
    (root / "labels" / "tiers.csv").write_text(f"tier,t0_ns,t1_ns,value,actor\n{rows}")
    Alignment("kit-01", (HEAD, WEB), (), ()).save(root)
    return open_session(root)


def _write_kit(root: Path) -> Device:
    pictures = list(_encoded())
    numbers = kit_pictures()
    tracks = [RowTrack("camera.timing", FPS, 3, {}), RowTrack("amg8833.pixels", 480, 8, {})]
    tracks += [
        RowTrack("amg8833.timing", 60, 3, {}),
        RowTrack("odd.level", 60, 2, {}),
        RowTrack("odd.timing", 60, 3, {}),
    ]
    writer = MatroskaWriter(root / "kit-01.mkv", tracks, first_frame=pictures[0], fps=FPS, sound_rate_hz=48_000)
    ticks = np.arange(round(SECONDS * 60))
    flags = np.zeros((len(ticks), 3), np.int32)
    flags[:, 2] = ticks % 6 != 0
    heat = np.zeros((len(ticks) * 8, 8), np.int32) + 80
    heat[np.arange(len(ticks)) * 8 + ticks // 60 % 8, 3] = 120  # one warm pixel that goes down a row a second
    for second in range(round(SECONDS)):
        inside = [k for k, n in enumerate(numbers) if second <= n / FPS < second + 1]
        for k in inside:
            writer.video(pictures[k], pictures[k].t_ns - KIT_NS)
            writer.rows("camera.timing", np.array([frame_row(pictures[k].t_ns - KIT_NS)], np.int32))
        writer.sound((np.sin(np.arange(48_000) * 0.05) * 1e6).astype(np.int32), second * 10**9)
        here = slice(60 * second, 60 * second + 60)
        writer.rows("amg8833.pixels", heat[480 * second : 480 * second + 480])
        writer.rows("amg8833.timing", flags[here])
        level = np.column_stack([ticks[here], -ticks[here]]).astype(np.int32)
        writer.rows("odd.level", level)
        writer.rows("odd.timing", np.zeros((60, 3), np.int32))
    writer.close()
    pixels = tuple(Channel(f"p{k}", "degC", 0.25) for k in range(8))
    level = (Channel("up", "m", 0.001), Channel("down", "m", 0.001))
    streams = (
        Stream("camera", "video", KIT_NS, FPS, size=SIZE),
        Stream("microphone", "audio", KIT_NS, 48_000.0),
        Stream("camera.timing", "timing", KIT_NS, FPS),
        Stream("amg8833.pixels", "sensor", KIT_NS, 480, "amg8833", "amg8833", 8, pixels, 10),
        Stream("amg8833.timing", "timing", KIT_NS, 60, "amg8833"),
        Stream("odd.level", "sensor", KIT_NS, 60, "odd", "odd", 1, level, 60),
        Stream("odd.timing", "timing", KIT_NS, 60, "odd"),
    )
    return Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", streams)


def _encoded() -> Iterator[EncodedFrame]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(FPS), Fraction(1, FPS)
    encoder.options = {"preset": "veryfast", "crf": "20", "tune": "zerolatency", "x264-params": "keyint=15:bframes=0"}
    numbers = kit_pictures()
    for k, n in enumerate(numbers):
        frame = av.VideoFrame.from_ndarray(picture(n), format="rgb24")
        frame.pts = k
        for packet in encoder.encode(frame):
            t_ns = KIT_NS + numbers[packet.pts] * 1_000_000_000 // FPS
            yield EncodedFrame(bytes(packet), t_ns, packet.is_keyframe)
