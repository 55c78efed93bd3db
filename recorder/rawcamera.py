"""Cameras that give raw pictures: V4L2 and USB cameras, and any video file that plays one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.clock import Clock
from firmware_host.errors import PortError
from recorder.camera import Camera, FrameReceipt, H264Encoder, PiCamera, file_pictures, jpeg, v4l2_pictures
from recorder.config import CameraConfig
from recorder.preview import Preview
from recorder.watch import Notice

Pictures = Iterator[tuple[int, np.ndarray]]
STOP_LIMIT_S = 2.0
"""A driver that has stalled does not return from its read; its thread is left behind."""


def open_camera(config: CameraConfig, clock: Clock) -> Camera:
    """The camera that a kit file names; opens nothing yet. `clock` is the one by which a file is played."""
    size, fps, bit_rate = (config.width, config.height), config.fps, config.bit_rate
    if not config.device:
        return PiCamera(*size, fps, bit_rate)
    if config.device.startswith("/dev/"):
        return RawCamera(partial(v4l2_pictures, config.device, size, fps), size, fps, bit_rate)
    return RawCamera(partial(file_pictures, Path(config.device), size, fps, clock), size, fps, bit_rate)


class RawCamera:
    """A thread that takes pictures, encodes them and hands them over."""

    def __init__(self, pictures: Callable[[], Pictures], size: tuple[int, int], fps: int, bit_rate: int) -> None:
        """`pictures` opens the camera: (t_ns, (H * 3 / 2, W) uint8 planar YUV 4:2:0) without end."""
        self._pictures = pictures
        self._new_encoder = partial(H264Encoder, *size, fps, bit_rate)
        self._preview = Preview(jpeg)
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._sink: Callable[[Any], None] = lambda _: None
        self._made = self._encoded = 0
        self._last_ns = 0

    def start(self, sink: Callable[[Any], None]) -> None:
        """Open the camera and begin.

        Raises:
            PortError: there is no such camera or file, or it gives no picture.
        """
        pictures = self._pictures()
        first = next(pictures)
        self._sink, self._stopped = sink, threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(first, pictures, self._stopped), name="camera", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join(STOP_LIMIT_S)
        self._thread = None
        self._sink(FrameReceipt(self._made, self._encoded, self._last_ns))

    def preview(self) -> bytes | None:
        return self._preview.jpeg()

    def _run(self, first: tuple[int, np.ndarray], pictures: Pictures, stopped: threading.Event) -> None:
        encoder = self._new_encoder()
        try:
            self._take(encoder, *first)
            for t_ns, picture in pictures:
                if stopped.is_set():
                    break
                self._take(encoder, t_ns, picture)
        except PortError as error:
            self._sink(Notice("camera", "failed", self._last_ns, str(error)))  # the watch does the rest
        finally:
            if stopped.is_set():
                close = getattr(pictures, "close", None)
                if close is not None:
                    close()

    def _take(self, encoder: H264Encoder, t_ns: int, picture: np.ndarray) -> None:
        self._made += 1
        self._last_ns = t_ns
        frame = encoder.encode(picture, t_ns)
        self._encoded += 1
        self._sink(frame)
        self._preview.offer(lambda: picture)
