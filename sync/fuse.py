"""All evidence at once: one weighted least-squares problem over the graph of clocks.

The unknowns are, for each clock but the reference, an offset and a drift, and beside them the errors that
matches share: how far a noted distance is off, which way the sound came. Giving those errors columns of their own,
with a prior of their standard deviation, is what keeps the answer honest: a hundred windows of one correlation
share one sound path, and must not pretend to be a hundred measurements of it. The covariance of the solution,
carried to any time, is then the sigma of the map.

Every match gives one row. With ``f_c(t) = t + O_c + d_c + s_c * (t - m_c)`` for the time of clock c on the reference
(`O_c` a whole number, so that only small numbers are ever floats)::

    offset + O_b - O_a = (d_a + s_a * (t_a - m_a)) - (d_b + s_b * (t_b - m_b)) + own error + shared errors
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from firmware_host.clockmap import ClockMap, Piece
from sync.alignment import Match, Pairing

PRIOR_SKEW_PPM = 100.0
"""Standard deviation of a clock's drift before any evidence: what crystals and sound cards do."""
SAME_BREAK_NS = 2e9
"""Two pairings that place a step this near each other saw the same loss."""
HUBER = 3.0
ROUNDS = 12
_NS_PER_S_PER_PPM = 1e3


@dataclass(frozen=True)
class Fused:
    """One map per clock that evidence connects to the reference, and what is left of each match."""

    maps: tuple[ClockMap, ...]
    residual_ns: tuple[tuple[int, ...], ...]


def fuse(pairings: Sequence[Pairing], spans: Mapping[str, tuple[int, int]], reference: str) -> Fused:
    """Solve for every clock that `pairings` connect to `reference`.

    Args:
        pairings: evidence; pairings between clocks that nothing connects to the reference are ignored. A pairing with
            the reference that has several pieces breaks the other clock's map, for all other evidence too.
        spans: first and last time of each clock's recording, ns; sigma is the largest within it.
        reference: the clock that stays as it is.
    """
    start = _first_guess(pairings, reference)
    matches = [m for p in pairings for m in p.matches if m.source in start and m.target in start]
    problem = _Problem(matches, spans, start, reference, breaks(pairings, reference))
    solution, covariance = problem.solve()
    maps = tuple(problem.clock_map(clock, solution, covariance) for clock in start if clock != reference)
    left = problem.residuals(solution)
    by_match = dict(zip(map(id, matches), left, strict=True))
    residual = tuple(tuple(round(by_match.get(id(m), 0.0)) for m in p.matches) for p in pairings)
    return Fused(maps, residual)


def _first_guess(pairings: Sequence[Pairing], reference: str) -> dict[str, int]:
    """A whole-number offset to the reference for every clock that can be reached, nearest evidence first."""
    edges = sorted(pairings, key=lambda p: min(np.hypot(m.sigma_ns, shared_ns(m)) for m in p.matches))
    known = {reference: 0}
    grown = True
    while grown:
        grown = False
        for p in edges:
            offset_ns = int(np.median([m.offset_ns - p.matches[0].offset_ns for m in p.matches]))
            offset_ns += p.matches[0].offset_ns
            if p.target in known and p.source not in known:
                known[p.source] = known[p.target] + offset_ns
            elif p.source in known and p.target not in known:
                known[p.target] = known[p.source] - offset_ns
            else:
                continue
            grown = True
            break
    return known


def breaks(pairings: Sequence[Pairing], reference: str) -> dict[str, list[int]]:
    """Clock -> times at which its map to the reference steps, ns on that clock, ascending."""
    found: dict[str, list[int]] = {}
    for p in pairings:
        if reference not in (p.source, p.target):
            continue
        clock = p.source if p.target == reference else p.target
        own = found.setdefault(clock, [])
        for number, t_ns in enumerate(_own_breaks(p)):
            if clock == p.target:
                t_ns += next(m.offset_ns for m in p.matches if m.piece == number)
            if all(abs(t_ns - known) > SAME_BREAK_NS for known in own):
                own.append(t_ns)
    return {clock: sorted(times) for clock, times in found.items() if times}


def _own_breaks(pairing: Pairing) -> Sequence[int]:
    """Where a pairing steps, ns on its source: as it says, or halfway between the matches on either side."""
    if pairing.breaks_ns:
        return pairing.breaks_ns
    count = 1 + max(m.piece for m in pairing.matches)
    times = [[m.t_ns for m in pairing.matches if m.piece == k] for k in range(count)]
    return [(max(a) + min(b)) // 2 for a, b in pairwise(times)]


def shared_ns(match: Match) -> float:
    """Standard deviation of all that a match shares with others, ns."""
    return float(np.linalg.norm([error for _, error in match.shared]))


class _Problem:
    """Rows and columns of the least-squares problem; times relative to the middle of each clock's span."""

    def __init__(
        self,
        matches: list[Match],
        spans: Mapping[str, tuple[int, int]],
        start: dict[str, int],
        reference: str,
        steps: Mapping[str, list[int]],
    ) -> None:
        self.matches, self.spans, self.start, self.reference = matches, spans, start, reference
        self.steps = {c: self._between_matches(c, steps.get(c, [])) for c in start}
        self.middle = {c: (spans[c][0] + spans[c][1]) // 2 for c in start}
        names: list[tuple[str, object]] = []
        for clock in start:
            if clock != reference:
                names += [(clock, k) for k in range(self._pieces(clock))] + [(clock, "skew")]
        names += [("shared", name) for name in sorted({n for m in matches for n, _ in m.shared})]
        self.column = {name: k for k, name in enumerate(names)}
        self.y = np.array([float(m.offset_ns + start[m.target] - start[m.source]) for m in matches])
        self.sigma = np.array([m.sigma_ns for m in matches])
        self.rows = np.zeros((len(matches), len(names)))
        for row, match in zip(self.rows, matches, strict=True):
            self._fill(row, match)
        self.prior = np.array([self._prior(name) for name in names])

    def _pieces(self, clock: str) -> int:
        return 1 + len(self.steps[clock])

    def _between_matches(self, clock: str, steps: list[int]) -> list[int]:
        """Those steps that have evidence on both sides, so that every piece has some."""
        times = [t for m in self.matches for c, t in _ends(m) if c == clock]
        kept: list[int] = []
        for t_ns in steps:
            if any(t < t_ns and (not kept or t >= kept[-1]) for t in times) and any(t >= t_ns for t in times):
                kept.append(t_ns)
        return kept

    def _prior(self, name: tuple[str, object]) -> float:
        """One over the standard deviation of a column's value before any evidence."""
        if name[0] == "shared":
            return 1.0
        return 1 / (PRIOR_SKEW_PPM * _NS_PER_S_PER_PPM) if name[1] == "skew" else 0.0

    def _fill(self, row: np.ndarray, match: Match) -> None:
        for (clock, t_ns), sign in zip(_ends(match), (1.0, -1.0), strict=True):
            if clock != self.reference:
                row[self.column[clock, bisect_right(self.steps[clock], t_ns)]] += sign
                row[self.column[clock, "skew"]] += sign * (t_ns - self.middle[clock]) * 1e-9
        for name, error in match.shared:
            row[self.column["shared", name]] += error

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Solution and covariance, ns and ns per second; Huber's weights keep single bad matches from pulling."""
        weight = 1 / self.sigma
        for _ in range(ROUNDS):
            a = np.vstack([self.rows * weight[:, None], np.diag(self.prior)])
            b = np.concatenate([self.y * weight, np.zeros(len(self.prior))])
            scale = 1 / np.linalg.norm(a, axis=0)  # columns differ by ten powers of ten
            solution = scale * np.linalg.lstsq(a * scale, b, rcond=None)[0]
            ratio = np.abs(self.residuals(solution)) / self.sigma
            weight = np.sqrt(np.minimum(1.0, HUBER / np.maximum(ratio, 1e-9))) / self.sigma
        normal = (a * scale).T @ (a * scale)
        return solution, np.linalg.inv(normal) * np.outer(scale, scale)

    def residuals(self, solution: np.ndarray) -> np.ndarray:
        return self.y - self.rows @ solution

    def clock_map(self, clock: str, solution: np.ndarray, covariance: np.ndarray) -> ClockMap:
        bounds = self._bounds(clock)
        skew = self.column[clock, "skew"]
        pieces = []
        for number in range(len(bounds) - 1):
            pick = [self.column[clock, number], skew]
            edges = np.array(bounds[number : number + 2])
            carry = np.column_stack([np.ones(2), (edges - self.middle[clock]) * 1e-9])
            variance = np.einsum("ij,jk,ik->i", carry, covariance[np.ix_(pick, pick)], carry)
            pieces.append(
                Piece(
                    origin_ns=self.middle[clock],
                    target_ns=self.middle[clock] + self.start[clock] + round(float(solution[pick[0]])),
                    skew_ppm=round(float(solution[skew]) / _NS_PER_S_PER_PPM, 6),
                    sigma_ns=round(float(np.sqrt(variance.max())), 1),
                    start_ns=bounds[number],
                    stop_ns=bounds[number + 1],
                )
            )
        return ClockMap(clock, self.reference, tuple(pieces))

    def _bounds(self, clock: str) -> list[int]:
        """Where the pieces of a clock begin and end."""
        first, last = self.spans[clock]
        return [first, *self.steps[clock], last]


def _ends(match: Match) -> tuple[tuple[str, int], tuple[str, int]]:
    """Both clocks of a match, each with the time of the event on it."""
    return (match.source, match.t_ns), (match.target, match.t_ns + match.offset_ns)
