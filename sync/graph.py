"""The graph of clocks: what leads from one to another, where it steps, and which of its edges lie on loops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from sync.alignment import Match, Pairing

SAME_BREAK_NS = 2e9
"""Two pairings that place a step this near each other saw the same loss."""


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
    for t_ns in _own_breaks(pairing):
        before = [m for m in pairing.matches if m.t_ns <= t_ns] or pairing.matches[:1]
        there_ns = t_ns + before[-1].offset_ns
        here, there = (t_ns, there_ns) if clock == pairing.source else (there_ns, t_ns)
        if all(abs(there - t) > SAME_BREAK_NS for t in explained) and all(abs(here - t) > SAME_BREAK_NS for t in own):
            own.append(here)


def _own_breaks(pairing: Pairing) -> Sequence[int]:
    """Where a pairing steps, ns on its source: as it says, or halfway between the matches on either side."""
    if pairing.breaks_ns:
        return pairing.breaks_ns
    count = 1 + max(m.piece for m in pairing.matches)
    times = [[m.t_ns for m in pairing.matches if m.piece == k] for k in range(count)]
    return [(max(a) + min(b)) // 2 for a, b in pairwise(filter(None, times))]


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


def blocks(edges: Sequence[tuple[str, str]]) -> list[list[int]]:
    """Numbers of the edges that lie on loops together (biconnected components, Hopcroft and Tarjan 1973), by number."""
    at: dict[str, list[int]] = {}
    for k, edge in enumerate(edges):
        for clock in edge:
            at.setdefault(clock, []).append(k)
    depth: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[int] = []
    found: list[list[int]] = []

    def visit(clock: str, came_by: int) -> None:
        depth[clock] = low[clock] = len(depth)
        for k in at[clock]:
            other = edges[k][0] if edges[k][1] == clock else edges[k][1]
            if other not in depth:
                path.append(k)
                visit(other, k)
                low[clock] = min(low[clock], low[other])
                if low[other] >= depth[clock]:
                    cut = path.index(k)
                    found.append(sorted(path[cut:]))
                    del path[cut:]
            elif k != came_by and depth[other] < depth[clock]:
                path.append(k)
                low[clock] = min(low[clock], depth[other])

    for clock in sorted(at):
        if clock not in depth:
            visit(clock, -1)
    return sorted(found)
