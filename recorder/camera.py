"""Cameras give H.264 access units with the time each picture was taken.

`PiCamera` takes them from picamera2's own encoders (the hardware block on a Pi 0-4, libx264 on a Pi 5) through
an output that does nothing but pass on; `H264Encoder` makes them from raw pictures, for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np

from firmware_host.errors import PortError
from recorder.mux import EncodedFrame

MICROSECOND = Fraction(1, 1_000_000)


class Camera(Protocol):
    """What the recorder needs of a camera, real or simulated."""

    def start(self, sink: Callable[[EncodedFrame], None]) -> None:
        """Begin to hand over frames, from a thread of the camera's own. The first is a keyframe."""

    def stop(self) -> None:
        """End; no frame comes after."""


class H264Encoder:
    """libx264 with what a recording needs: a keyframe each second, closed GOPs, no B-frames, in-band headers."""

    def __init__(self, width: int, height: int, fps: int, bit_rate: int) -> None:
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base, codec.framerate = MICROSECOND, Fraction(fps)
        codec.bit_rate = bit_rate
        codec.thread_count = 1  # more threads would make the bytes depend on the machine
        gop = f"keyint={fps}:min-keyint={fps}:scenecut=0:open-gop=0:bframes=0"
        codec.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "x264-params": f"{gop}:repeat-headers=1:annexb=1:mbtree=0",  # the macroblock tree is not repeatable
        }
        self._codec = codec
        self._origin_ns: int | None = None

    def encode(self, picture: np.ndarray, t_ns: int) -> EncodedFrame:
        """Encode one picture taken at `t_ns`: (H * 3 / 2, W) uint8, planar YUV 4:2:0."""
        if self._origin_ns is None:
            self._origin_ns = t_ns
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = (t_ns - self._origin_ns) // 1000, MICROSECOND
        packets = self._codec.encode(frame)  # zerolatency: one in, one out
        return EncodedFrame(b"".join(bytes(p) for p in packets), t_ns, any(p.is_keyframe for p in packets))


class PiCamera:
    """A Raspberry Pi camera at a fixed frame rate, encoded by picamera2."""

    def __init__(self, width: int, height: int, fps: int, bit_rate: int) -> None:
        self._size = (width, height)
        self._fps = fps
        self._bit_rate = bit_rate
        self._camera: Any = None

    def start(self, sink: Callable[[EncodedFrame], None]) -> None:
        """Configure the camera and begin.

        Raises:
            PortError: picamera2 is not installed, or there is no camera.
        """
        try:
            from picamera2 import Picamera2
            from picamera2.encoders import H264Encoder as PiEncoder
        except ImportError as error:
            raise PortError(
                "the camera needs picamera2, which comes with Raspberry Pi OS (`apt-get install python3-picamera2`) "
                "and is seen from a virtual environment made with --system-site-packages"
            ) from error
        try:
            self._camera = Picamera2()
        except (IndexError, RuntimeError) as error:
            raise PortError(f"no camera was found ({error}); check the ribbon cable and `rpicam-hello`") from error
        period_us = 1_000_000 // self._fps
        settings = self._camera.create_video_configuration(
            main={"size": self._size, "format": "YUV420"},
            controls={"FrameDurationLimits": (period_us, period_us)},
        )
        self._camera.configure(settings)
        encoder = PiEncoder(bitrate=self._bit_rate, repeat=True, iperiod=self._fps)
        self._camera.start_recording(encoder, _pass_on(encoder, sink))

    def stop(self) -> None:
        if self._camera is not None:
            self._camera.stop_recording()
            self._camera.close()
            self._camera = None


def _pass_on(encoder: Any, sink: Callable[[EncodedFrame], None]) -> Any:
    """An output whose only work is to restore absolute times: picamera2 gives microseconds since the first frame."""
    from picamera2.outputs import Output

    class PassOn(Output):  # type: ignore[misc]
        def outputframe(self, frame: bytes, keyframe: bool = True, timestamp: int | None = None, *_: Any) -> None:
            if timestamp is not None:
                sink(EncodedFrame(bytes(frame), (encoder.firsttimestamp + timestamp) * 1000, keyframe))

    return PassOn()


def yuv420(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (H * 3 / 2, W) uint8 planar YUV 4:2:0, as encoders take it."""
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p").to_ndarray()


def jpeg(picture: np.ndarray, width: int = 480) -> bytes:
    """A small JPEG of one picture, (H * 3 / 2, W) uint8 planar YUV 4:2:0, at most `width` pixels wide."""
    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    wide = min(width, frame.width) // 2 * 2
    high = max(2, round(frame.height * wide / frame.width / 2) * 2)
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = wide, high, "yuvj420p"
    codec.time_base = Fraction(1, 1)
    small = frame.reformat(width=wide, height=high, format="yuvj420p")
    small.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(small), *codec.encode(None)])
