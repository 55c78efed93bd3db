"""Makes picamera2 work with libcamera's virtual camera, which is no Pi's. Import it before anything imports picamera2.

What differs from a Pi, and what is done about it here, so that `recorder.camera` runs as it is:

1. Modules for what a Pi has and this is not about (KMS previews, DNG files) are not installed: empty ones stand in.
2. The virtual camera has no raw stream: the list of raw modes is made up, and none is asked for.
3. Its pictures are NV12 in two planes, from libcamera's own allocator; they stay mapped as long as the camera is open.
4. The platform is taken for a Pi 4, whose encoder is hardware: the libx264 encoder of a Pi 5 stands in for it.
5. It gives pictures as fast as they are asked for: each waits until its time, and few are asked for at once.
"""

from __future__ import annotations

import mmap
import sys
import time
from typing import Any
from unittest.mock import MagicMock

for name in ("pykms", "kms", "pidng", "pidng.camdefs", "pidng.core", "prctl", "piexif", "PIL", "PIL.Image", "OpenEXR"):
    sys.modules.setdefault(name, MagicMock(name=name))
for name in ("libarchive", "libarchive.read", "jsonschema", "tqdm"):
    sys.modules.setdefault(name, MagicMock(name=name))

import picamera2  # noqa: E402
import picamera2.encoders  # noqa: E402
from picamera2.allocators import LibcameraAllocator  # noqa: E402

PERIOD_S = 1 / 30


class _NoSync:
    """What picamera2 enters to look at a buffer: here it is mapped already."""

    def __init__(self, allocator: MappedOnce, buffer: Any, _: bool) -> None:
        self._mapped = allocator.mapped[buffer]

    def __enter__(self) -> mmap.mmap:
        return self._mapped

    def __exit__(self, *_: object) -> None: ...


class MappedOnce(LibcameraAllocator):
    """libcamera's buffers, each mapped once."""

    needs_sync = False

    def __init__(self, camera: Any) -> None:
        super().__init__(camera)
        self.sync = _NoSync
        self.mapped: dict[Any, mmap.mmap] = {}

    def allocate(self, libcamera_config: Any, use_case: Any) -> None:
        super().allocate(libcamera_config, use_case)
        for stream in (c.stream for c in libcamera_config):
            for buffer in self.buffers(stream):
                size = sum(plane.length for plane in buffer.planes)
                self.mapped[buffer] = mmap.mmap(buffer.planes[0].fd, size)

    def acquire(self, buffers: Any) -> None: ...

    def release(self, buffers: Any) -> None: ...


class VirtualPi(picamera2.Picamera2):
    """Picamera2 on the virtual camera."""

    _callback: Any = None
    _due_s = 0.0

    def __init__(self) -> None:
        super().__init__(allocator=object())
        self.allocator = MappedOnce(self.camera)

    def _get_raw_modes(self) -> list[dict[str, Any]]:
        return [{"format": "NV12", "size": (1280, 720)}]

    def create_video_configuration(self, main: dict | None = None, lores: dict | None = None, **rest: Any) -> Any:
        if main is None or lores is None:  # picamera2's own, while it opens the camera
            return super().create_video_configuration(**rest)
        nv12 = {"format": "NV12"}
        return super().create_video_configuration(main | nv12, lores=lores | nv12, raw=None, buffer_count=3, **rest)

    @property
    def pre_callback(self) -> Any:
        return None if self._callback is None else self._paced

    @pre_callback.setter
    def pre_callback(self, callback: Any) -> None:
        self._callback = callback

    def _paced(self, request: Any) -> None:
        self._due_s = max(self._due_s + PERIOD_S, time.monotonic())
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._callback(request)


def install() -> None:
    """Have `from picamera2 import Picamera2` and its `H264Encoder` give the ones above."""
    picamera2.Picamera2 = VirtualPi
    picamera2.encoders.H264Encoder = picamera2.encoders.LibavH264Encoder
