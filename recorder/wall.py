"""The kit's clock and the wall clock, read together, and what the kernel says of the wall clock.

Kits that keep the same wall time can be put on one clock by it. How far to believe it is the kernel's to say: whoever
keeps the wall clock (chrony with `rtcsync`, or `phc2sys` of linuxptp) tells the kernel how wrong it can be at most,
which for chrony is half the delay to the first server plus the dispersion on the way, and the kernel lets that grow
until it is told again. One system call asks for it, so it can be noted every second.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

KEEPERS: Mapping[str, Path] = MappingProxyType(
    {"chrony": Path("/run/chrony/chronyd.pid"), "ptp": Path("/run/ptp4l")},
)
"""Who is believed, by the file that is there while it runs; systemd-timesyncd tells the kernel an error of 0."""
_UNSYNCHRONISED = 0x0040
_MICROSECOND_NS = 1_000


@dataclass(frozen=True)
class WallReading:
    """The clocks of one moment.

    Attributes:
        monotonic_ns: CLOCK_MONOTONIC, the kit's clock.
        realtime_ns: CLOCK_REALTIME, ns since 1970.
        raw_ns: CLOCK_MONOTONIC_RAW, which nobody adjusts.
        read_ns: how long the reading took: `realtime_ns` belongs to `monotonic_ns` within half of this.
        keeper: who keeps the wall clock, a key of `KEEPERS`; None where nobody does, or it is not synchronised.
        max_error_ns: how far `realtime_ns` is off at most, None without a keeper.
        error_ns: how far it is off by the keeper's own estimate, None without one.
    """

    monotonic_ns: int
    realtime_ns: int
    raw_ns: int
    read_ns: int = 0
    keeper: str | None = None
    max_error_ns: int | None = None
    error_ns: int | None = None


class _Timex(ctypes.Structure):
    """The beginning of the kernel's `struct timex`, and room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def read() -> WallReading:
    """This machine's clocks now."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    realtime = time.clock_gettime_ns(time.CLOCK_REALTIME)
    raw = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    errors = kernel_errors_ns()
    keeper = next((name for name, path in KEEPERS.items() if path.exists()), None) if errors else None
    largest, estimate = errors if keeper and errors else (None, None)
    return WallReading((before + after) // 2, realtime, raw, after - before, keeper, largest, estimate)


def kernel_errors_ns() -> tuple[int, int] | None:
    """Largest and estimated error of the wall clock in ns, as the kernel was told; None where it is not synchronised.

    A container may forbid the question; then nobody knows.
    """
    timex = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0 or timex.status & _UNSYNCHRONISED:
        return None
    return timex.maxerror * _MICROSECOND_NS, timex.esterror * _MICROSECOND_NS
