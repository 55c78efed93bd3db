"""All evidence at once: one weighted least-squares problem over the graph of clocks.

The unknowns are, for each clock but the reference, an offset and a drift, and beside them the errors that
matches share: how far a noted distance is off, which way the sound came. Giving those errors columns of their own,
with a prior of their standard deviation, is what keeps the answer honest: a hundred windows of one correlation
share one sound path, and must not pretend to be a hundred measurements of it. The covariance of the solution,
carried to any time, is then the sigma of the map.

Every match gives one row. With ``f_c(t) = t + O_c + d_c + s_c * (t - m_c)`` for the time of clock c on the reference
(`O_c` a whole number, so that only small numbers are ever floats)::

    offset + O_b - O_a = (d_a + s_a * (t_a - m_a)) - (d_b + s_b * (t_b - m_b)) + own error + shared errors

Which evidence may come in is not decided here but in `sync.contradiction`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from firmware_host.clockmap import ClockMap, Piece
from sync.alignment import Match, Pairing
from sync.graph import breaks, ends, first_guess, ordered

PRIOR_SKEW_PPM = 100.0
"""Standard deviation of a clock's drift before any evidence: what crystals and sound cards do. Some do worse, so
the prior has Cauchy's tails: where evidence says 500 ppm, it is 370 wide and hardly pulls."""
DOUBT = 3.0
"""Strain beyond which evidence is doubted, though not so much that it is left out."""
HUBER = 3.0
ROUNDS = 24
SETTLED = 1e-3
"""Weights that changed by less than this share have settled."""
KNOTS = 9
"""Times in a piece at which its sigma is noted. Between them it is less than a straight line: it is a hyperbola."""
SMALLEST = 1e-10
"""Singular values below this, the largest being of the order of 1, are directions of which nothing is known."""
_NS_PER_S_PER_PPM = 1e3


@dataclass(frozen=True)
class Fused:
    """One map per clock that evidence connects to the reference, and what is left of each match.

    Attributes:
        maps: by the clock's name.
        residual_ns: per pairing, in the order given, what is left of each of its matches.
        knots: clock -> (t_ns, sigma_ns), its sigma over time, `KNOTS` a piece.
        without_ns: clock -> per pairing that holds it, by number in the order given, the largest sigma of its map if
            that pairing were not there; None where nothing else holds it.
    """

    maps: tuple[ClockMap, ...]
    residual_ns: tuple[tuple[int, ...], ...]
    knots: dict[str, tuple[tuple[int, ...], tuple[float, ...]]]
    without_ns: dict[str, dict[int, float | None]]


def fuse(
    pairings: Sequence[Pairing], spans: Mapping[str, tuple[int, int]], reference: str, strain: Sequence[float] = ()
) -> Fused:
    """Solve for every clock that `pairings` connect to `reference`; their order does not matter.

    Args:
        pairings: evidence; pairings between clocks that nothing connects to the reference are ignored.
        spans: first and last time of each clock's recording, ns; sigma is the largest within it.
        reference: the clock that stays as it is.
        strain: of each pairing, how many standard deviations it lies from what the others say. Where that is beyond
            `DOUBT`, sigma covers the answer with it and the answer without it.
    """
    start = first_guess(pairings, reference)
    used = [p for p in ordered(pairings) if p.source in start and p.target in start]
    number = {id(p): k for k, p in enumerate(pairings)}
    problem = Problem(used, spans, start, reference)
    solution, weights = problem.solve()
    without = [problem.solution(weights, without=k) for k in range(len(used))]
    doubted = [k for k, p in enumerate(used) if strain and strain[number[id(p)]] > DOUBT]
    clocks = sorted(set(start) - {reference})
    knots = {c: problem.knots(c, solution, [without[k] for k in doubted]) for c in clocks}
    by_match = dict(zip(map(id, problem.matches), problem.residuals(solution.x), strict=True))
    held = {
        c: {number[id(p)]: problem.largest_sigma(c, less) for p, less in zip(used, without, strict=True)}
        for c in clocks
    }
    return Fused(
        tuple(problem.clock_map(c, solution.x, knots[c][1]) for c in clocks),
        tuple(tuple(round(by_match.get(id(m), 0.0)) for m in p.matches) for p in pairings),
        knots,
        {c: _holding(held[c], max(knots[c][1])) for c in clocks},
    )


def _holding(without_ns: Mapping[int, float | None], sigma_ns: float) -> dict[int, float | None]:
    """Those pairings without which sigma would be larger by more than a hundredth."""
    return {k: s for k, s in sorted(without_ns.items()) if s is None or s > 1.01 * sigma_ns}


@dataclass(frozen=True)
class Solution:
    """Of a least-squares problem.

    Attributes:
        x: (columns,) float64, ns and ns per s. covariance: (columns, columns).
        known: (columns,) bool, False where nothing speaks of a column.
    """

    x: np.ndarray
    covariance: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class Weights:
    """One over the standard deviation of everything, as robust as the residuals ask for.

    Attributes:
        match: (matches,) float64, less than a match says of itself where it lies far out (Huber).
        prior: (columns,) float64, less than before any evidence where a drift turns out to be large (Cauchy).
    """

    match: np.ndarray
    prior: np.ndarray

    def near(self, other: Weights) -> bool:
        """Whether nothing changed by more than `SETTLED`."""
        both = ((self.match, other.match), (self.prior, other.prior))
        return all(bool(np.all(np.abs(a - b) <= SETTLED * b)) for a, b in both)


class Problem:
    """Rows and columns of the least-squares problem; times relative to the middle of each clock's span.

    Attributes:
        rows: (matches, columns) float64, `y` (matches,) and `sigma` (matches,) in ns; a drift's column is in ns per s.
        parts: the rows of each pairing.
        prior: (columns,) float64, one over the standard deviation of each column before any evidence.
        drifts: (columns,) bool, the columns of drifts.
    """

    def __init__(
        self,
        pairings: Sequence[Pairing],
        spans: Mapping[str, tuple[int, int]],
        start: Mapping[str, int],
        reference: str,
    ) -> None:
        self.matches = [m for p in pairings for m in p.matches]
        edges = np.cumsum([0, *(len(p.matches) for p in pairings)]).tolist()
        self.parts = [slice(first, last) for first, last in pairwise(edges)]
        self.spans, self.start, self.reference = spans, start, reference
        found = breaks(pairings, reference)
        self.steps = {c: self._between_matches(c, found.get(c, [])) for c in start}
        self.middle = {c: (spans[c][0] + spans[c][1]) // 2 for c in start}
        names: list[tuple[str, object]] = []
        for clock in sorted(start):
            if clock != reference:
                names += [(clock, k) for k in range(1 + len(self.steps[clock]))] + [(clock, "skew")]
        names += [("shared", name) for name in sorted({n for m in self.matches for n, _ in m.shared})]
        self.column = {name: k for k, name in enumerate(names)}
        self.y = np.array([float(m.offset_ns + start[m.target] - start[m.source]) for m in self.matches])
        self.sigma = np.array([m.sigma_ns for m in self.matches])
        self.rows = np.zeros((len(self.matches), len(names)))
        for row, match in zip(self.rows, self.matches, strict=True):
            self._fill(row, match)
        self.prior = np.array([_prior(name) for name in names])
        self.drifts = np.array([name[1] == "skew" and name[0] != "shared" for name in names])

    def _between_matches(self, clock: str, steps: list[int]) -> list[int]:
        """Those steps that have evidence on both sides, so that every piece has some."""
        times = [t for m in self.matches for c, t in ends(m) if c == clock]
        kept: list[int] = []
        for t_ns in steps:
            if any(t < t_ns and (not kept or t >= kept[-1]) for t in times) and any(t >= t_ns for t in times):
                kept.append(t_ns)
        return kept

    def _fill(self, row: np.ndarray, match: Match) -> None:
        for (clock, t_ns), sign in zip(ends(match), (1.0, -1.0), strict=True):
            if clock != self.reference:
                row[self.column[clock, bisect_right(self.steps[clock], t_ns)]] += sign
                row[self.column[clock, "skew"]] += sign * (t_ns - self.middle[clock]) * 1e-9
        for name, error in match.shared:
            row[self.column["shared", name]] += error

    def solve(self) -> tuple[Solution, Weights]:
        """Solution, and the weights that keep single bad matches and the prior of a far drift from pulling."""
        weights = Weights(1 / self.sigma, self.prior)
        for _ in range(ROUNDS):
            solution = self.solution(weights)
            before, weights = weights, self._weighed(solution.x)
            if weights.near(before):
                break
        return solution, before

    def _weighed(self, x: np.ndarray) -> Weights:
        ratio = np.abs(self.residuals(x)) / self.sigma
        match = np.sqrt(np.minimum(1.0, HUBER / np.maximum(ratio, 1e-9))) / self.sigma
        heavy = np.where(self.drifts, self.prior / np.sqrt(1 + (x * self.prior) ** 2 / 2), self.prior)
        return Weights(match, heavy)

    def solution(self, weights: Weights, without: int | None = None) -> Solution:
        """The least-squares solution with given weights, of all pairings but the one of number `without`."""
        parts = [self._folded(part, weights.match[part]) for k, part in enumerate(self.parts) if k != without]
        prior = np.column_stack([np.diag(weights.prior), np.zeros(len(weights.prior))])
        folded = np.vstack([*parts, prior])
        left, value, right, scale = factored(folded[:, :-1])
        half = scale[:, None] * right.T / value
        return Solution(half @ (left.T @ folded[:, -1]), half @ half.T, np.sum(right**2, axis=0) > 1 - SMALLEST)

    def _folded(self, part: slice, weight: np.ndarray) -> np.ndarray:
        """(at most columns + 1, columns + 1): rows of a pairing and their values, folded by QR to as many as matter."""
        both = np.column_stack([self.rows[part], self.y[part]]) * weight[:, None]
        there = np.flatnonzero(np.any(both != 0, axis=0))
        if len(both) <= len(there):
            return both
        folded = np.zeros((len(there), both.shape[1]))
        folded[:, there] = np.linalg.qr(both[:, there], mode="r")
        return folded

    def residuals(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.y - self.rows @ x)

    def clock_map(self, clock: str, x: np.ndarray, sigma_ns: Sequence[float]) -> ClockMap:
        """The map of a clock; `sigma_ns` as `knots` gives it."""
        pieces = tuple(
            Piece(
                origin_ns=self.middle[clock],
                target_ns=self.middle[clock] + self.start[clock] + round(float(x[self.column[clock, number]])),
                skew_ppm=round(float(x[self.column[clock, "skew"]]) / _NS_PER_S_PER_PPM, 6),
                sigma_ns=max(sigma_ns[number * KNOTS : (number + 1) * KNOTS]),
                start_ns=begin,
                stop_ns=stop,
            )
            for number, (begin, stop) in enumerate(pairwise(self.bounds(clock)))
        )
        return ClockMap(clock, self.reference, pieces)

    def knots(
        self, clock: str, solution: Solution, others: Sequence[Solution] = ()
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Times of a clock, `KNOTS` a piece, and the standard error of its map there, ns.

        It covers half the way to each of the `others`, where they say anything.
        """
        times: list[int] = []
        variance: list[float] = []
        for number, (begin, stop) in enumerate(pairwise(self.bounds(clock))):
            t_ns = [begin + (stop - begin) * k // (KNOTS - 1) for k in range(KNOTS)]
            carry = np.column_stack([np.ones(KNOTS), [(t - self.middle[clock]) * 1e-9 for t in t_ns]])
            pick = [self.column[clock, number], self.column[clock, "skew"]]
            here = np.einsum("ij,jk,ik->i", carry, solution.covariance[np.ix_(pick, pick)], carry)
            for other in others:
                if other.known[pick].all():
                    here += (carry @ (other.x - solution.x)[pick] / 2) ** 2
            times += t_ns
            variance += np.maximum(here, 0.0).tolist()
        return tuple(times), tuple(np.round(np.sqrt(variance), 1).tolist())

    def largest_sigma(self, clock: str, solution: Solution) -> float | None:
        """The largest standard error of a clock's map; None where it has none."""
        own = [k for (name, _), k in self.column.items() if name == clock]
        return max(self.knots(clock, solution)[1]) if solution.known[own].all() else None

    def bounds(self, clock: str) -> list[int]:
        """Where the pieces of a clock begin and end."""
        first, last = self.spans[clock]
        return [first, *self.steps[clock], last]


def _prior(name: tuple[str, object]) -> float:
    if name[0] == "shared":
        return 1.0
    return 1 / (PRIOR_SKEW_PPM * _NS_PER_S_PER_PPM) if name[1] == "skew" else 0.0


def factored(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``a = left @ diag(value) @ right / scale`` without the directions of which nothing is known.

    Columns differ by ten powers of ten, so each is first scaled to length 1.
    """
    length = np.linalg.norm(a, axis=0)
    scale = 1 / np.where(length > 0, length, 1.0)
    left, value, right = np.linalg.svd(a * scale, full_matrices=False)
    known = value > SMALLEST
    return left[:, known], value[known], right[known], scale
