"""Exact quantiles of more values than fit in memory, by reading them twice.

The first reading counts values in narrow bins; the second keeps only those in the few bins that hold an asked quantile
or its neighbour. The result is that of `numpy.quantile` on all of them, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

BINS = 1 << 16


def quantiles(
    read: Callable[[], Iterable[np.ndarray]], shares: Sequence[float], bounds: tuple[float, float]
) -> np.ndarray | None:
    """Quantiles of finite values by linear interpolation.

    Args:
        read: gives the values part by part, each (N,), the same every time.
        shares: in [0, 1].
        bounds: of the values; beyond them they count as the outermost bin's.

    Returns:
        (len(shares),) float64, None where there are no values.
    """
    edges = np.linspace(*bounds, BINS + 1)[1:-1]
    counts = np.zeros(BINS, np.int64)
    for part in read():
        counts += np.bincount(_bin(part, edges), minlength=BINS)
    total = int(counts.sum())
    if not total:
        return None
    at = [share * (total - 1) for share in shares]
    ranks = sorted({rank for place in at for rank in (int(place), min(int(place) + 1, total - 1))})
    before = np.concatenate([[0], np.cumsum(counts)])
    bins = np.searchsorted(before, ranks, side="right") - 1
    held: dict[int, list[np.ndarray]] = {int(b): [] for b in bins}
    for part in read():
        values, where = _finite(part), _bin(part, edges)
        for b, found in held.items():
            found.append(values[where == b])
    whole = {b: np.sort(np.concatenate(found)) for b, found in held.items()}
    value = {rank: float(whole[int(b)][rank - before[b]]) for rank, b in zip(ranks, bins, strict=True)}
    return np.array([_between(value, place, total) for place in at])


def _between(value: dict[int, float], place: float, total: int) -> float:
    low, share = int(place), place - int(place)
    a, b = value[low], value[min(low + 1, total - 1)]
    # As numpy interpolates, so that thresholds do not depend on how they were found.
    return b - (b - a) * (1 - share) if share >= 0.5 else a + (b - a) * share


def _finite(part: np.ndarray) -> np.ndarray:
    return part[np.isfinite(part)].astype(np.float64)


def _bin(part: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.searchsorted(edges, _finite(part), side="right")
