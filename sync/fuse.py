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

PRIOR_SKEW_PPM = 100.0
"""Standard deviation of a clock's drift before any evidence: what crystals and sound cards do."""
SAME_BREAK_NS = 2e9
"""Two pairings that place a step this near each other saw the same loss."""
HUBER = 3.0
ROUNDS = 12
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
    """

    maps: tuple[ClockMap, ...]
    residual_ns: tuple[tuple[int, ...], ...]
    knots: dict[str, tuple[tuple[int, ...], tuple[float, ...]]]


def fuse(pairings: Sequence[Pairing], spans: Mapping[str, tuple[int, int]], reference: str) -> Fused:
    """Solve for every clock that `pairings` connect to `reference`; their order does not matter.

    Args:
        pairings: evidence; pairings between clocks that nothing connects to the reference are ignored.
        spans: first and last time of each clock's recording, ns; sigma is the largest within it.
        reference: the clock that stays as it is.
    """
    start = first_guess(pairings, reference)
    used = [p for p in ordered(pairings) if p.source in start and p.target in start]
    problem = Problem(used, spans, start, reference)
    solution, covariance = problem.solve()
    clocks = sorted(set(start) - {reference})
    maps = tuple(problem.clock_map(clock, solution, covariance) for clock in clocks)
    left = problem.residuals(solution)
    by_match = dict(zip(map(id, problem.matches), left, strict=True))
    residual = tuple(tuple(round(by_match.get(id(m), 0.0)) for m in p.matches) for p in pairings)
    return Fused(maps, residual, {c: problem.knots(c, covariance) for c in clocks})


def ordered(pairings: Sequence[Pairing]) -> list[Pairing]:
    """The same in an order of their own, so that sums come out alike to the last bit."""
    return sorted(pairings, key=lambda p: (p.source, p.target, p.method, p.matches[0].t_ns, p.matches[0].offset_ns))


def first_guess(pairings: Sequence[Pairing], reference: str) -> dict[str, int]:
    """A whole-number offset to the reference for every clock that can be reached, surest evidence first."""
    edges = sorted(ordered(pairings), key=lambda p: min(np.hypot(m.sigma_ns, shared_ns(m)) for m in p.matches))
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
    """Clock -> times at which its map to the reference steps, ns on that clock, ascending.

    From the reference outwards: where a pairing steps and the clock that is known does not, the other one does.
    """
    found: dict[str, list[int]] = {reference: []}
    rest = ordered(pairings)
    while ring := {c for p in rest for c in (p.source, p.target) if _other(p, c) in found and c not in found}:
        steps: dict[str, list[int]] = {clock: [] for clock in ring}
        for p in rest:
            for clock in ring & {p.source, p.target}:
                if _other(p, clock) in found:
                    _add_steps(steps[clock], p, clock, found[_other(p, clock)])
        found |= {clock: sorted(times) for clock, times in steps.items()}
    return {clock: times for clock, times in found.items() if times}


def _other(pairing: Pairing, clock: str) -> str:
    """The other clock of a pairing; empty where `clock` is not of it."""
    return {pairing.source: pairing.target, pairing.target: pairing.source}.get(clock, "")


def _add_steps(own: list[int], pairing: Pairing, clock: str, explained: Sequence[int]) -> None:
    """Add to `own` where a pairing steps, on `clock`, unless the other clock is known to step there."""
    for number, t_ns in enumerate(_own_breaks(pairing)):
        there_ns = t_ns + next(m.offset_ns for m in pairing.matches if m.piece == number)
        here, there = (t_ns, there_ns) if clock == pairing.source else (there_ns, t_ns)
        if all(abs(there - t) > SAME_BREAK_NS for t in explained) and all(abs(here - t) > SAME_BREAK_NS for t in own):
            own.append(here)


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


def evidence_spans(pairings: Sequence[Pairing]) -> dict[str, tuple[int, int]]:
    """First and last time of each clock that evidence speaks of."""
    times: dict[str, list[int]] = {}
    for m in (m for p in pairings for m in p.matches):
        for clock, t_ns in ends(m):
            times.setdefault(clock, []).append(t_ns)
    return {clock: (min(t), max(t)) for clock, t in times.items()}


def ends(match: Match) -> tuple[tuple[str, int], tuple[str, int]]:
    """Both clocks of a match, each with the time of the event on it."""
    return (match.source, match.t_ns), (match.target, match.t_ns + match.offset_ns)


class Problem:
    """Rows and columns of the least-squares problem; times relative to the middle of each clock's span.

    Attributes:
        rows: (matches, columns) float64, `y` (matches,) and `sigma` (matches,) in ns; a drift's column is in ns per s.
        prior: (columns,) float64, one over the standard deviation of each column before any evidence.
    """

    def __init__(
        self,
        pairings: Sequence[Pairing],
        spans: Mapping[str, tuple[int, int]],
        start: Mapping[str, int],
        reference: str,
    ) -> None:
        self.matches = [m for p in pairings for m in p.matches]
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

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Solution and covariance, ns and ns per second; Huber's weights keep single bad matches from pulling."""
        weight = 1 / self.sigma
        for _ in range(ROUNDS):
            a = np.vstack([self.rows * weight[:, None], np.diag(self.prior)])
            b = np.concatenate([self.y * weight, np.zeros(len(self.prior))])
            left, value, right, scale = factored(a)
            solution = scale * (right.T @ ((left.T @ b) / value))
            ratio = np.abs(self.residuals(solution)) / self.sigma
            before, weight = weight, np.sqrt(np.minimum(1.0, HUBER / np.maximum(ratio, 1e-9))) / self.sigma
            if np.all(np.abs(weight - before) <= SETTLED * before):
                break
        half = scale[:, None] * right.T / value
        return solution, half @ half.T

    def residuals(self, solution: np.ndarray) -> np.ndarray:
        return np.asarray(self.y - self.rows @ solution)

    def clock_map(self, clock: str, solution: np.ndarray, covariance: np.ndarray) -> ClockMap:
        bounds, skew = self.bounds(clock), self.column[clock, "skew"]
        _, sigma = self.knots(clock, covariance)
        pieces = tuple(
            Piece(
                origin_ns=self.middle[clock],
                target_ns=self.middle[clock] + self.start[clock] + round(float(solution[self.column[clock, number]])),
                skew_ppm=round(float(solution[skew]) / _NS_PER_S_PER_PPM, 6),
                sigma_ns=max(sigma[number * KNOTS : (number + 1) * KNOTS]),
                start_ns=begin,
                stop_ns=stop,
            )
            for number, (begin, stop) in enumerate(pairwise(bounds))
        )
        return ClockMap(clock, self.reference, pieces)

    def knots(self, clock: str, covariance: np.ndarray) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Times of a clock, `KNOTS` a piece, and the standard error of its map there, ns."""
        times: list[int] = []
        sigma: list[float] = []
        for number, (begin, stop) in enumerate(pairwise(self.bounds(clock))):
            t_ns = [begin + (stop - begin) * k // (KNOTS - 1) for k in range(KNOTS)]
            carry = np.column_stack([np.ones(KNOTS), [(t - self.middle[clock]) * 1e-9 for t in t_ns]])
            pick = [self.column[clock, number], self.column[clock, "skew"]]
            variance = np.einsum("ij,jk,ik->i", carry, covariance[np.ix_(pick, pick)], carry)
            times += t_ns
            sigma += np.round(np.sqrt(np.maximum(variance, 0.0)), 1).tolist()
        return tuple(times), tuple(sigma)

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
