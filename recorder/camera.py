"""Cameras give H.264 access units with the time each picture was taken. The door to picamera2, and to PyAV's cameras.

`PiCamera` takes them from picamera2's own encoders (the hardware block on a Pi 0-4, libx264 on a Pi 5) through
an output that does nothing but pass on; `H264Encoder` makes them from raw pictures, for everything else
(`recorder.rawcamera`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import av
import av.error
import numpy as np

from firmware_host.clock import SECOND_NS, Clock
from firmware_host.errors import PortError
from recorder.demux import pts_ns
from recorder.mux import EncodedFrame
from recorder.preview import Preview
from recorder.stamps import read_clocks, recognise
from recorder.watch import Notice

MICROSECOND = Fraction(1, 1_000_000)
PREVIEW_WIDTH = 320
"""A multiple of 64, so that no camera pads its lines."""


@dataclass(frozen=True)
class FrameReceipt:
    """What became of the pictures since the camera was first started, told when it is stopped.

    Attributes:
        made: pictures the sensor made, as numbered by itself where it does.
        encoded: access units that left the encoder.
    """

    made: int
    encoded: int
    t_ns: int


class Camera(Protocol):
    """What the recorder needs of a camera, real or simulated."""

    def start(self, sink: Callable[[EncodedFrame | FrameReceipt | Notice], None]) -> None:
        """Begin to hand over frames, from a thread of the camera's own; the first is a keyframe with SPS and PPS.

        May be called again after `stop`.
        """

    def stop(self) -> None:
        """End. What comes last is the receipt, from a camera that gives one."""

    def preview(self) -> bytes | None:
        """The latest picture as a small JPEG, None where there is none yet. From any thread, at any time."""


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


def jpeg(picture: np.ndarray) -> bytes:
    """(H * 3 / 2, W) uint8 planar YUV 4:2:0 to a JPEG, PREVIEW_WIDTH wide at most."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="yuv420p")
    width, height = preview_size(frame.width, frame.height)
    frame = frame.reformat(width=width, height=height, format="yuvj420p")
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuvj420p", MICROSECOND
    return b"".join(bytes(p) for f in (frame, None) for p in codec.encode(f))


def preview_size(width: int, height: int) -> tuple[int, int]:
    """The size of a camera's preview in pixels: its shape, PREVIEW_WIDTH wide at most, both even."""
    small = min(width, PREVIEW_WIDTH)
    return small, max(2, round(height * small / width / 2) * 2)


def v4l2_pictures(device: str, size: tuple[int, int], fps: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures of a V4L2 camera (``/dev/video0``): (ns of CLOCK_MONOTONIC, (H * 3 / 2, W) uint8 planar YUV 4:2:0).

    Raises:
        PortError: no such camera, no permission, it is busy, or it is gone.
    """
    options = {"video_size": f"{size[0]}x{size[1]}", "framerate": str(fps)}
    try:
        try:  # over USB 2, uncompressed pictures leave 10 a second at 720p
            container = av.open(device, format="v4l2", options={**options, "input_format": "mjpeg"})
        except av.error.FFmpegError:
            container = av.open(device, format="v4l2", options=options)
        with container:
            offset_ns: int | None = None
            for frame in container.decode(video=0):
                t_ns = pts_ns(frame) or 0
                if offset_ns is None:
                    _, offset_ns = recognise(t_ns, read_clocks())
                yield t_ns + offset_ns, frame.reformat(width=size[0], height=size[1], format="yuv420p").to_ndarray()
    except (av.error.FFmpegError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise PortError(
            f"camera {device} gives no pictures ({why}); `v4l2-ctl --list-devices` lists cameras"
        ) from error


def file_pictures(path: Path, size: tuple[int, int], fps: int, clock: Clock) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures of a video file as a camera would have taken them, again and again: at exactly `fps`, in real time.

    A picture is shown until its successor's time has come. A slot whose time has passed is skipped, as a camera's
    frame is lost where nobody takes it.

    Raises:
        PortError: no such file, or no video in it.
    """
    start_ns = clock.now_ns()
    shown = _repeated(path, size)
    until_ns, picture = next(shown)
    for slot in count():
        due_ns = start_ns + slot * SECOND_NS // fps
        while until_ns <= due_ns - start_ns:
            until_ns, picture = next(shown)
        if clock.now_ns() > due_ns + SECOND_NS // fps:
            continue
        clock.sleep_until_ns(due_ns)
        yield due_ns, picture


def _repeated(path: Path, size: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures of a file played without end, each with when it ceases to be shown, ns from the start."""
    begun_ns = 0
    while True:
        try:
            with av.open(str(path)) as container:
                period_ns = round(SECOND_NS / (container.streams.video[0].average_rate or 30))
                before: tuple[int, np.ndarray] | None = None
                first_ns: int | None = None
                for frame in container.decode(video=0):
                    shown_ns = pts_ns(frame) or 0
                    first_ns = shown_ns if first_ns is None else first_ns
                    at_ns = begun_ns + shown_ns - first_ns
                    if before is not None:
                        yield at_ns, before[1]
                    shaped = frame.reformat(width=size[0], height=size[1], format="yuv420p")
                    before = at_ns, shaped.to_ndarray()
        except (av.error.FFmpegError, OSError, IndexError) as error:
            raise PortError(f"camera file {path} cannot be played ({error}); give a video file") from error
        if before is None:
            raise PortError(f"camera file {path} holds no pictures; give a video file")
        begun_ns = before[0] + period_ns
        yield begun_ns, before[1]


class PiCamera:
    """A Raspberry Pi camera at a fixed frame rate, encoded by picamera2."""

    def __init__(self, width: int, height: int, fps: int, bit_rate: int) -> None:
        self._size = (width, height)
        self._fps = fps
        self._bit_rate = bit_rate
        self._camera: Any = None
        self._preview = Preview(jpeg)
        self._made = self._encoded = 0
        self._sequence: int | None = None
        self._sink: Callable[[EncodedFrame | FrameReceipt | Notice], None] = lambda _: None

    def start(self, sink: Callable[[EncodedFrame | FrameReceipt | Notice], None]) -> None:
        """Configure the camera and begin.

        Raises:
            PortError: picamera2 is not installed, there is no camera, or it cannot do what is asked.
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
        self._sink, self._sequence = sink, None
        try:
            self._configure()
            # Only what both the hardware's encoder and libx264's take: on a Pi 5 this name is the other class.
            encoder = PiEncoder(bitrate=self._bit_rate, repeat=True, iperiod=self._fps, framerate=self._fps)
            self._camera.pre_callback = self._seen
            self._camera.start_recording(encoder, _pass_on(encoder, self._take))
        except Exception as error:  # a camera that stays open cannot be opened again
            self._close()
            raise (
                error if isinstance(error, PortError) else PortError(f"the camera does not start ({error})")
            ) from error

    def stop(self) -> None:
        if self._camera is None:
            return
        try:
            self._camera.stop_recording()
        finally:
            self._close()
            self._sink(FrameReceipt(self._made, self._encoded, read_clocks()["monotonic"]))

    def preview(self) -> bytes | None:
        return self._preview.jpeg()

    def _configure(self) -> None:
        period_us = 1_000_000 // self._fps
        settings = self._camera.create_video_configuration(
            main={"size": self._size, "format": "YUV420"},
            lores={"size": preview_size(*self._size), "format": "YUV420"},
            controls={"FrameDurationLimits": (period_us, period_us)},
        )
        self._camera.configure(settings)
        given = self._camera.camera_configuration()["main"]["size"]
        if tuple(given) != self._size:
            raise PortError(
                f"the camera gives pictures of {given[0]}x{given[1]}, not {self._size[0]}x{self._size[1]}; "
                "change width and height in the kit file"
            )

    def _close(self) -> None:
        camera, self._camera = self._camera, None
        camera.close()

    def _seen(self, request: Any) -> None:
        """From the camera's thread, for each picture and before it is encoded."""
        sequence = next(iter(request.request.buffers.values())).metadata.sequence
        self._made += 1 if self._sequence is None else max(1, sequence - self._sequence)
        self._sequence = sequence
        self._preview.offer(lambda: request.make_array("lores"))

    def _take(self, frame: EncodedFrame) -> None:
        self._encoded += 1
        self._sink(frame)


def _pass_on(encoder: Any, sink: Callable[[EncodedFrame], None]) -> Any:
    """An output whose only work is to restore absolute times: picamera2 gives microseconds since the first frame."""
    from picamera2.outputs import Output

    class PassOn(Output):  # type: ignore[misc]
        base_ns: int | None = None

        def outputframe(self, frame: bytes, keyframe: bool = True, timestamp: int | None = None, *_: Any) -> None:
            if timestamp is None:
                return
            if self.base_ns is None:
                first_ns = encoder.firsttimestamp * 1000
                self.base_ns = first_ns + recognise(first_ns + timestamp * 1000, read_clocks())[1]
            sink(EncodedFrame(bytes(frame), self.base_ns + timestamp * 1000, keyframe))

    return PassOn()
