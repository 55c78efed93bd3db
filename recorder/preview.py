"""What a camera sees, for those who look: the latest picture as JPEG, on a budget of its own.

Somebody setting up a kit needs a picture now and then; the recording must not notice. So the camera's thread does
nothing unless somebody has asked lately, and then copies one small picture each half second; the JPEG is made in the
thread of who asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

EVERY_NS = 500_000_000
WANTED_NS = 3_000_000_000
"""Pictures are kept ready for this long after somebody asked."""


class Preview:
    """The latest picture."""

    def __init__(self, encode: Callable[[np.ndarray], bytes], now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """`encode` makes a JPEG of (H * 3 / 2, W) uint8, planar YUV 4:2:0."""
        self._encode = encode
        self._now_ns = now_ns
        self._wanted_until_ns = 0
        self._taken_ns = -EVERY_NS
        self._picture: np.ndarray | None = None
        self._jpeg: bytes | None = None
        self._lock = threading.Lock()

    def offer(self, take: Callable[[], np.ndarray]) -> None:
        """From the camera's thread, at each picture; `take` copies it and is called only if somebody looks."""
        now_ns = self._now_ns()
        if now_ns < self._wanted_until_ns and now_ns - self._taken_ns >= EVERY_NS:
            self._taken_ns = now_ns
            self._picture = take()

    def jpeg(self) -> bytes | None:
        """The latest picture; None until one has come since somebody first asked."""
        self._wanted_until_ns = self._now_ns() + WANTED_NS
        with self._lock:
            picture, self._picture = self._picture, None
            if picture is not None:
                self._jpeg = self._encode(picture)
            return self._jpeg
