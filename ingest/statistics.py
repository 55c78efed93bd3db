"""Mean, spread and bounds of what was measured, gathered part by part.

Parts are joined by the formulas of Chan, Golub and LeVeque (1979), in the order of session names, so that the numbers
are the same whoever made the parts, and nothing but five numbers a channel is ever held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recorder.series import Series
from recorder.session import Stream


@dataclass(frozen=True)
class Spread:
    """What is known of one channel's values.

    Attributes:
        n: how many.
        mean: of them.
        m2: sum of squared differences from the mean.
        low, high: bounds.
    """

    n: int
    mean: float
    m2: float
    low: float
    high: float

    @classmethod
    def of(cls, x: np.ndarray) -> Spread | None:
        """Of (N,) values; what is not finite does not count; None where nothing is left."""
        x = x[np.isfinite(x)].astype(np.float64)
        if not len(x):
            return None
        mean = float(x.mean())
        return cls(len(x), mean, float(((x - mean) ** 2).sum()), float(x.min()), float(x.max()))

    def joined(self, other: Spread) -> Spread:
        """Of both together."""
        n = self.n + other.n
        apart = other.mean - self.mean
        mean = self.mean + apart * other.n / n
        m2 = self.m2 + other.m2 + apart**2 * self.n * other.n / n
        return Spread(n, mean, m2, min(self.low, other.low), max(self.high, other.high))

    def to_json(self) -> dict[str, float]:
        """As `stats.json` has it: standard deviation instead of the sum of squares."""
        return {"n": self.n, "mean": self.mean, "std": (self.m2 / self.n) ** 0.5, "min": self.low, "max": self.high}


def spreads(streams: Iterable[tuple[Stream, Series]]) -> dict[str, list[float]]:
    """Channel (``bme680.field.temperature``) -> the five numbers of `Spread`, over all sensors of that model.

    The rows of an image are one channel.
    """
    found: dict[str, Spread] = {}
    for stream, series in streams:
        for name, x in _channels(stream, series):
            one = Spread.of(x)
            if one is not None:
                found[name] = found[name].joined(one) if name in found else one
    return {name: [s.n, s.mean, s.m2, s.low, s.high] for name, s in sorted(found.items())}


def joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Spread]:
    """Several sessions' `spreads` as one, by channel."""
    found: dict[str, Spread] = {}
    for part in parts:
        for name, (n, *rest) in part.items():
            one = Spread(int(n), *map(float, rest))
            found[name] = found[name].joined(one) if name in found else one
    return dict(sorted(found.items()))


def _channels(stream: Stream, series: Series) -> Iterator[tuple[str, np.ndarray]]:
    track = f"{stream.model}.{stream.name.removeprefix(f'{stream.sensor}.')}"
    if stream.rows_per_tick > 1:
        yield track, series.x.reshape(-1)
        return
    for i, channel in enumerate(series.channels):
        yield f"{track}.{channel}", series.x[:, i]
