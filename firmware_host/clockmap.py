"""Affine maps between clocks, exact to a nanosecond.

A float64 second at today's epoch has a resolution of 238 ns, so times are int64 nanoseconds and every map
works on the *difference* from an origin: that difference is small, exact, and survives the multiplication by
a skew. One map has several pieces where a clock was reset or samples were lost.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass
from typing import Any, overload

import numpy as np

FOREVER_NS = 2**62
"""Bound of an interval that has none."""


@dataclass(frozen=True)
class Piece:
    """One affine piece, valid for source times in ``[start_ns, stop_ns)``.

    ``t_target = target_ns + (t - origin_ns) * (1 + skew_ppm * 1e-6)``; a positive skew means that the target
    clock runs faster than the source. `sigma_ns` is the standard error of the mapped time, the largest
    within the piece.
    """

    origin_ns: int
    target_ns: int
    skew_ppm: float = 0.0
    sigma_ns: float = 0.0
    start_ns: int = -FOREVER_NS
    stop_ns: int = FOREVER_NS


@dataclass(frozen=True)
class ClockMap:
    """Times of `source` in times of `target`: one or more pieces in order of `start_ns`."""

    source: str
    target: str
    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if not self.pieces:
            raise ValueError(f"the map {self.source} -> {self.target} has no pieces")

    @classmethod
    def affine(
        cls,
        source: str,
        target: str,
        *,
        origin_ns: int = 0,
        target_ns: int = 0,
        skew_ppm: float = 0.0,
        sigma_ns: float = 0.0,
    ) -> ClockMap:
        """A map of one piece without bounds."""
        return cls(source, target, (Piece(origin_ns, target_ns, skew_ppm, sigma_ns),))

    @overload
    def forward(self, t_ns: int) -> int: ...
    @overload
    def forward(self, t_ns: np.ndarray) -> np.ndarray: ...
    def forward(self, t_ns: int | np.ndarray) -> int | np.ndarray:
        """Source time(s) to target time(s), int64 ns. A time outside every piece uses the nearest piece."""
        return self._apply(t_ns, [p.start_ns for p in self.pieces], _forward)

    @overload
    def inverse(self, t_ns: int) -> int: ...
    @overload
    def inverse(self, t_ns: np.ndarray) -> np.ndarray: ...
    def inverse(self, t_ns: int | np.ndarray) -> int | np.ndarray:
        """Target time(s) to source time(s), within 1 ns of the time that `forward` maps there."""
        starts = [p.start_ns if p.start_ns <= -FOREVER_NS else int(_forward(p, p.start_ns)) for p in self.pieces]
        return self._apply(t_ns, starts, _inverse)

    def _apply(self, t_ns: int | np.ndarray, starts: list[int], step: Any) -> int | np.ndarray:
        if isinstance(t_ns, np.ndarray):
            t = t_ns.astype(np.int64)
            if len(self.pieces) == 1:
                return step(self.pieces[0], t)
            which = np.clip(np.searchsorted(np.array(starts), t, side="right") - 1, 0, None)
            out = np.empty_like(t)
            for i, piece in enumerate(self.pieces):
                out[which == i] = step(piece, t[which == i])
            return out
        index = max(bisect_right(starts, t_ns) - 1, 0)
        return int(step(self.pieces[index], int(t_ns)))

    def to_json(self) -> dict[str, Any]:
        """The object that `alignment.json` and `truth.json` hold."""
        return {"source": self.source, "target": self.target, "pieces": [asdict(p) for p in self.pieces]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ClockMap:
        """The inverse of `to_json`."""
        return cls(value["source"], value["target"], tuple(Piece(**p) for p in value["pieces"]))


def _forward(piece: Piece, t: Any) -> Any:
    d = t - piece.origin_ns
    return piece.target_ns + d + _round(d * (piece.skew_ppm * 1e-6))


def _inverse(piece: Piece, t: Any) -> Any:
    d = t - piece.target_ns
    s = piece.skew_ppm * 1e-6
    return piece.origin_ns + d - _round(d * (s / (1.0 + s)))


def _round(x: Any) -> Any:
    return np.rint(x).astype(np.int64) if isinstance(x, np.ndarray) else round(x)
