"""A header that names a wrong sample rate: told from recordings that have nothing in common.

Sound at 48,000 samples a second that its header calls 44,100 lasts 8.8 % too long. No line of a clock's drift goes
through that, so the coarse search finds nothing, or a second of it by chance. Here a stretch of one recording's onsets
is sought in the other at the ratios of all common rates, and where the recordings are short at many others.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sync.onsets import Picture, chunk_scores

COMMON_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
NEAR, STEP = 0.1, 0.002
"""Other ratios are tried up to this from 1, in steps over which a stretch moves by half a frame or so."""
SHORT_S, STRETCH_S = 150.0, 12.0
MIN_STANDING, OVER_EQUAL = 9.5, 1.2
"""Standard deviations of a stretch's best place at another ratio, and that over its best at equal rates."""


def ratio(a: Picture, b: Picture) -> float | None:
    """Seconds of `b` in which happens what lasts a second in `a`, where that is not 1; None where it may be."""
    common = {x / y for x in COMMON_HZ for y in COMMON_HZ if x != y and 0.5 <= x / y <= 2}
    if len(b.x) < SHORT_S * b.hz:
        common |= set(1 + np.arange(-NEAR, NEAR + STEP / 2, STEP))
    equal = _standing(a, b, 1.0)
    tried = [(_standing(a, b, r), r) for r in sorted(common) if abs(r - 1) > STEP / 2]
    standing, best = max(tried)
    return best if standing > max(MIN_STANDING, OVER_EQUAL * equal) else None


def _standing(a: Picture, b: Picture, by: float) -> float:
    """How far the middle of `a`, lasting `by` times as long, stands out at its best place in `b`.

    Both halves must have that place: the weaker speaks for both, since one loud moment fits somewhere at any ratio.
    """
    half = min(len(a.x), round(STRETCH_S * a.hz)) // 2
    first = len(a.x) // 2 - half
    at = first + np.arange(round(2 * half * by)) / by
    x = np.column_stack([ndimage.map_coordinates(band, [at], order=1) for band in a.x.T])
    halves = chunk_scores(x.astype(np.float32), b.x, np.array([0, len(x) // 2, len(x)]), np.inf)
    return float(np.sqrt(2) * halves[:, halves.sum(axis=0).argmax()].min())
