"""Wall times that the kits logged, as evidence.

Chrony or PTP steers the wall clock of each kit to a common time. A kit notes every second its own clock, the wall clock
and what the kernel says of the latter (`recorder.wall`), so two kits whose wall clocks were kept are connected without
having heard or seen anything in common.

The bound that the kernel knows (for chrony half the delay to the first server and the dispersion on the way) is never
reached, and is taken for three standard deviations. What is behind it, mostly a network that is slower one way, stays
as it is for the whole recording: all matches share it. The keeper's own estimate, which wanders as the clock is
steered, is each match's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from firmware_host.errors import EvidenceError
from recorder.log import read_log
from recorder.wall import WallReading
from sync.alignment import Match, Pairing, Recording

BOUND_SIGMAS = 3.0
LARGEST_BOUND_NS = 300_000_000
"""A wall clock that may be off by more says nothing that a person's watch would not."""
APART_NS = 64_000_000_000
"""Matches are this far apart: chrony asks its server every 64 s at first, and steers in between."""
READING_NS = 20e3
"""What a clock reading is off even where nothing came between."""
DRIVER_NS = 3e6
"""A kit's clock is known by its sound, and its sound by what a driver says of when it was sampled: this well."""
STEP_NS = 1_000_000
"""Beyond its bound a kept wall clock moves against the kit's by less than this from one second to the next."""


def readings(log: Path) -> tuple[WallReading, ...]:
    """The clock readings in a kit's log, by time. What is damaged, or goes back in time, is left out."""
    known = {f.name for f in fields(WallReading)}
    found: list[WallReading] = []
    for entry in read_log(log):
        values = {k: v for k, v in entry.items() if k in known}
        if entry.get("type") == "clock" and _whole(values):
            reading = WallReading(**values)
            if not found or reading.monotonic_ns > found[-1].monotonic_ns:
                found.append(reading)
    return tuple(found)


def _whole(values: dict[str, Any]) -> bool:
    numbers = [values.get(k) for k in ("monotonic_ns", "realtime_ns", "raw_ns")]
    optional = [values.get(k) for k in ("read_ns", "max_error_ns", "error_ns") if values.get(k) is not None]
    return all(type(v) is int and 0 <= v < 2**63 for v in [*numbers, *optional])


def match(source: Recording, target: Recording) -> Pairing:
    """Compare two kits by the wall times that both logged.

    Raises:
        EvidenceError: a kit has no log, nobody kept its wall clock, or it was set while it recorded.
    """
    a, b = _kept(source), _kept(target)
    first, last = max(a[0].realtime_ns, b[0].realtime_ns), min(a[-1].realtime_ns, b[-1].realtime_ns)
    if last <= first:
        raise EvidenceError(f"by their wall clocks {source.clock} and {target.clock} did not record at the same time")
    shared = [(f"wall clock of {source.clock}", _bound_ns(a)), (f"wall clock of {target.clock}", -_bound_ns(b))]
    shared += [
        (sound_error(recording.clock), sign * DRIVER_NS)
        for recording, sign in ((source, 1.0), (target, -1.0))
        if recording.sound is not None
    ]
    score = min(sum(r.keeper is not None for r in side.wall) / len(side.wall) for side in (source, target))
    count = max(2, round((last - first) / APART_NS) + 1)
    matches = []
    for number in range(count):
        wall_ns = first + (last - first) * number // (count - 1)
        ahead_a, ahead_b = _ahead_ns(a, wall_ns), _ahead_ns(b, wall_ns)
        sigma_ns = float(np.linalg.norm([_own_ns(a), _own_ns(b)]))
        t_ns = wall_ns - ahead_a
        matches.append(
            Match("network", source.clock, target.clock, t_ns, ahead_a - ahead_b, sigma_ns, score, tuple(shared))
        )
    evidence = {"bound_ms": (_bound_ns(a) + _bound_ns(b)) * BOUND_SIGMAS * 1e-6, "seconds": (last - first) * 1e-9}
    return Pairing("network", source.clock, target.clock, "ok", "", tuple(matches), evidence)


def sound_error(clock: str) -> str:
    """The name of the error that a kit's clock shares by all that is stamped with it, its sound being what counts."""
    return f"sound of {clock} against its clock"


def _kept(recording: Recording) -> list[WallReading]:
    """The readings at which somebody kept the wall clock, at least two."""
    if not recording.wall:
        raise EvidenceError(f"{recording.clock} logged no wall times")
    kept = [r for r in recording.wall if r.keeper is not None and r.max_error_ns is not None]
    near = [r for r in kept if (r.max_error_ns or 0) <= LARGEST_BOUND_NS]
    if len(near) < 2:
        why = "may have been off by more than 0.3 s" if len(kept) > 1 else "was kept by nobody"
        raise EvidenceError(f"the wall clock of {recording.clock} {why}; chrony or PTP on every kit would connect them")
    ahead = np.array([r.realtime_ns - r.monotonic_ns for r in near], dtype=np.int64)
    allowed = 2 * np.array([r.max_error_ns or 0 for r in near[1:]]) + [r.read_ns for r in near[1:]] + STEP_NS
    steps = np.diff(ahead)
    if np.any(np.abs(steps) > allowed):
        worst = int(np.argmax(np.abs(steps)))
        raise EvidenceError(
            f"the wall clock of {recording.clock} was set by {steps[worst] * 1e-9:+.3f} s while it recorded, "
            "so its times are not one clock's; let chrony settle before a recording"
        )
    return near


def _ahead_ns(kept: Sequence[WallReading], wall_ns: int) -> int:
    """How far the wall clock is ahead of the kit's clock at a wall time: the median of five readings around it."""
    near = int(np.argmin([abs(r.realtime_ns - wall_ns) for r in kept]))
    around = kept[max(near - 2, 0) : near + 3]
    ahead = sorted(r.realtime_ns - r.monotonic_ns for r in around)
    return ahead[len(ahead) // 2]


def _bound_ns(kept: Sequence[WallReading]) -> float:
    """Standard deviation of what the wall clock is off for the whole recording."""
    return float(np.median([r.max_error_ns or 0 for r in kept])) / BOUND_SIGMAS


def _own_ns(kept: Sequence[WallReading]) -> float:
    """Standard deviation of what wanders: the keeper's estimate, and how long it took to read two clocks."""
    estimate = float(np.median([r.error_ns or 0 for r in kept]))
    return float(np.linalg.norm([estimate, np.median([r.read_ns for r in kept]) / 2, READING_NS]))
