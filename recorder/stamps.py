"""Stamps of other people's clocks, brought to CLOCK_MONOTONIC.

libcamera's documentation promises CLOCK_BOOTTIME and its code gives CLOCK_MONOTONIC; V4L2 drivers say which clock they
use and FFmpeg does not pass it on. The clocks are apart by hours or years, so the first stamp tells which it is: the
clock it is near.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

NEAR_NS = 5_000_000_000
"""A stamp further than this from a clock is not that clock's: no camera hands over a picture so late."""
CLOCKS = {"monotonic": time.CLOCK_MONOTONIC, "boottime": time.CLOCK_BOOTTIME, "realtime": time.CLOCK_REALTIME}


def read_clocks() -> dict[str, int]:
    """The clocks that stamps may be on, read together: name -> ns."""
    return {name: time.clock_gettime_ns(clock) for name, clock in CLOCKS.items()}


def recognise(stamp_ns: int, now_ns: Mapping[str, int]) -> tuple[str, int]:
    """Which clock a stamp is on that has just come, and what to add to bring it to CLOCK_MONOTONIC.

    Of several clocks that fit, the first in the order of `CLOCKS` is taken: without a suspend two of them are one. A
    stamp of no known clock is taken to be of this moment: late by what the camera took, but steady.

    Args:
        stamp_ns: the stamp.
        now_ns: what `read_clocks` says.

    Returns:
        a key of `CLOCKS` or ``unknown``, and nanoseconds.
    """
    monotonic_ns = now_ns["monotonic"]
    for name in CLOCKS:
        if abs(now_ns[name] - stamp_ns) < NEAR_NS:
            return name, monotonic_ns - now_ns[name]
    return "unknown", monotonic_ns - stamp_ns
