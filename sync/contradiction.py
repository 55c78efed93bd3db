"""Which evidence is false, as far as the rest of the evidence can say.

Evidence that contradicts the rest shows in loops: kit to camera to body and back must add up to nothing. Each pairing
is reduced to what it says, an offset for each of its stretches and a drift, each with its error. Then every pairing is
predicted from all others, and is *strained* by as many standard deviations as it lies away from that.

A pairing strained beyond `CONTRADICTION` cannot be explained. The smallest fault that explains it is looked for: one
false pairing; two of them, or one method at one clock (its microphone hears an echo); a whole clock. Where one such
fault explains everything, it is named and left out. Where several do, nobody knows which is true, and all that any of
them accuses is left out: a clock that is held by nothing else is then refused. Two pairings that contradict each other
on the same two clocks, and nothing besides, are the simplest case of it. Two that outvote a third must agree with each
other as true ones do, for two false ones may come near each other by chance.

A false pairing whose error is within what it doubts itself is not seen, and need not be. Several that are false in the
same way, as all sounds of a device whose file runs a second late, are not seen either where nothing but sound connects
it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from sync.alignment import Pairing
from sync.fuse import Problem, factored
from sync.graph import blocks, evidence_spans, first_guess, ordered, shared_ns

CONTRADICTION = 6.0
"""Standard deviations by which honest evidence never differs."""
PRIOR = "prior"
"""The method of what the user said: it is never the suspect."""
MOST_SUSPECTS = 20
AGREED = 2.5
"""Standard deviations within which two that are true agree; two false ones that are near by chance may not."""
TESTABLE = 1e-9
"""Share of a row's variance that the others leave open; less means that nothing else speaks of it."""
FINEST = 1e-3
"""No pairing is trusted further than this share of what it shares with others: it keeps that share well above."""
HUBER = 3.0
ROUNDS = 5


@dataclass(frozen=True)
class Judged:
    """What came of judging pairings.

    Attributes:
        kept: those that may be used, in their order.
        excluded: the others, each with the reason.
        strain: of each of `kept`, how many standard deviations it lies from what the others say; 0 where nothing else
            speaks of it.
    """

    kept: tuple[Pairing, ...]
    excluded: tuple[tuple[Pairing, str], ...]
    strain: tuple[float, ...]


def judge(pairings: Sequence[Pairing], reference: str) -> Judged:
    """Leave out what the rest contradicts; the order of `pairings` does not matter."""
    start = first_guess(pairings, reference)
    rest = ordered([p for p in pairings if p.source in start])
    if not rest:
        return Judged(tuple(pairings), (), (0.0,) * len(pairings))
    loops = _Loops(rest, start, reference)
    reasons: dict[int, str] = {}
    for block in blocks([(p.source, p.target) for p in rest]):
        reasons |= _faults(loops, block)
    good = [k for k in range(len(rest)) if k not in reasons]
    strain = {id(rest[k]): found[0] for k, found in loops.fitted(good).strain().items()}
    excluded = {id(rest[k]): reason for k, reason in reasons.items()}
    kept = tuple(p for p in pairings if id(p) not in excluded)
    out = tuple((p, excluded[id(p)]) for p in pairings if id(p) in excluded)
    return Judged(kept, out, tuple(strain.get(id(p), 0.0) for p in kept))


def _faults(loops: _Loops, block: Sequence[int]) -> dict[int, str]:
    """Which pairings of a block of loops to leave out, and why."""
    pairings, fit = loops.pairings, loops.fitted(block)
    strain = {k: found[0] for k, found in fit.strain().items()}
    free = [k for k in block if pairings[k].method != PRIOR]
    said = any(strain[k] > CONTRADICTION for k in block if pairings[k].method == PRIOR)
    suspects = [k for k in free if said or strain[k] > CONTRADICTION]
    if not suspects:
        return {}
    suspects = sorted(suspects, key=lambda k: (-strain[k], k))[:MOST_SUSPECTS]
    accused, certain = frozenset(free), frozenset[int]()
    for faults in _hypotheses(pairings, free, suspects, loops.reference):
        explain = [f for f in faults if fit.consistent(f)]
        if explain:
            explain += _by_chance(fit, explain, free)
            accused, certain = frozenset[int]().union(*explain), frozenset[int].intersection(*explain)
            break
    reasons = {k: _named(pairings[k], fit.strain(accused - {k})[k][1]) for k in certain}
    return reasons | _undecided(pairings, accused - certain)


def _by_chance(fit: _Fit, explain: Sequence[frozenset[int]], free: Sequence[int]) -> list[frozenset[int]]:
    """Two others that may be false where one alone seems to be: they hardly agree, and outvote it by chance."""
    if len(explain) != 1 or len(explain[0]) != 1:
        return []
    rest = fit.strain(explain[0])
    others = [k for k in free if k in rest]
    pairs = {frozenset((k, other)) for k in others if rest[k][0] > AGREED for other in others if other != k}
    return [pair for pair in sorted(pairs, key=sorted) if fit.consistent(pair)]


def _hypotheses(
    pairings: Sequence[Pairing], free: Sequence[int], suspects: Sequence[int], reference: str
) -> Iterable[list[frozenset[int]]]:
    """Faults that may explain a contradiction, the smallest first: each a set of pairings that would be false."""
    yield [frozenset([k]) for k in suspects]
    clocks = sorted({c for k in free for c in _clocks(pairings[k])} - {reference})
    methods = sorted({pairings[k].method for k in free})
    by_method = [
        frozenset(k for k in free if c in _clocks(pairings[k]) and pairings[k].method == m)
        for c in clocks
        for m in methods
    ]
    yield [*map(frozenset, combinations(suspects, 2)), *(f for f in by_method if len(f) > 2)]
    yield [frozenset(k for k in free if c in _clocks(pairings[k])) for c in clocks]


def _clocks(pairing: Pairing) -> tuple[str, str]:
    return pairing.source, pairing.target


def _named(pairing: Pairing, miss_ns: float) -> str:
    by = f"the other evidence contradicts it by {miss_ns * 1e-6:+.1f} ms"
    return f"{pairing.source} and {pairing.target}: their {pairing.method} is excluded, for {by}"


def _undecided(pairings: Sequence[Pairing], accused: Collection[int]) -> dict[int, str]:
    """A sentence for each pairing that may be false or not."""
    reasons = {}
    for k in sorted(accused):
        p = pairings[k]
        said = [
            sentence
            for j in sorted(accused)
            if set(_clocks(pairings[j])) == set(_clocks(p))
            and (sentence := _disagreement(*(pairings[i] for i in sorted((j, k)))))
        ]
        reason = "; ".join(said) or f"their {p.method} contradicts other evidence"
        reasons[k] = f"{p.source} and {p.target}: {reason}, and nothing says which is wrong"
    return reasons


def _disagreement(p: Pairing, q: Pairing) -> str:
    """A sentence where two methods contradict each other on two clocks beyond what both of them doubt; else empty."""
    p, q = sorted((p, q), key=lambda x: x.method, reverse=True)
    a, b = min(((m, n) for m in p.matches for n in q.matches), key=lambda mn: abs(mn[0].t_ns - mn[1].t_ns))
    if p is q or p.source != q.source:
        return ""
    difference = a.offset_ns - b.offset_ns
    sigma = float(np.linalg.norm([shared_ns(a), shared_ns(b), a.sigma_ns, b.sigma_ns]))
    if abs(difference) <= CONTRADICTION * sigma:
        return ""
    by = f"{difference * 1e-6:+.1f} ms ({abs(difference) / sigma:.0f} sigma)"
    return f"their {p.method} and their {q.method} disagree by {by}"


class _Loops:
    """Pairings reduced to what they say, and how well they agree."""

    def __init__(self, pairings: Sequence[Pairing], start: Mapping[str, int], reference: str) -> None:
        self.pairings, self.reference = pairings, reference
        problem = Problem(pairings, evidence_spans(pairings), start, reference)
        self._prior = np.diag(problem.solve()[1].prior)
        self._rows: list[np.ndarray] = []
        self._said: list[np.ndarray] = []
        self._sigma: list[np.ndarray] = []
        for p, part in zip(pairings, problem.parts, strict=True):
            combine, sigma = _reduced(p, problem.y[part])
            self._rows.append(combine @ problem.rows[part] / sigma[:, None])
            self._said.append(combine @ problem.y[part] / sigma)
            self._sigma.append(sigma)

    def fitted(self, chosen: Sequence[int]) -> _Fit:
        """The chosen pairings fitted together."""
        a = np.vstack([*(self._rows[k] for k in chosen), self._prior])
        y = np.concatenate([*(self._said[k] for k in chosen), np.zeros(len(self._prior))])
        ends = np.cumsum([0, *(len(self._said[k]) for k in chosen)]).tolist()
        left = factored(a)[0]
        parts = {k: np.arange(first, last) for k, (first, last) in zip(chosen, pairwise(ends), strict=True)}
        residual = (y - left @ (left.T @ y))[: ends[-1]]
        left = left[: ends[-1]]
        return _Fit(parts, left @ left.T, residual, {k: self._sigma[k] for k in chosen})


@dataclass(frozen=True)
class _Fit:
    """A least-squares fit of pairings, from which any few can be taken away without fitting again.

    Attributes:
        parts: pairing -> its rows.
        hat: (rows, rows) float64, the projection on what can be explained.
        residual: (rows,) float64, in standard deviations.
        sigma: pairing -> standard deviation of each of its rows, ns and ns per s.
    """

    parts: dict[int, np.ndarray]
    hat: np.ndarray
    residual: np.ndarray
    sigma: dict[int, np.ndarray]

    def strain(self, without: Collection[int] = ()) -> dict[int, tuple[float, float]]:
        """Of each pairing but those `without`: its strain, and by how many ns it misses what the others say."""
        return dict(self._strains(without))

    def consistent(self, without: Collection[int]) -> bool:
        """Whether no pairing is strained beyond what honest evidence is, once those `without` are taken away."""
        return all(strain <= CONTRADICTION for _, (strain, _) in self._strains(without))

    def _strains(self, without: Collection[int]) -> Iterator[tuple[int, tuple[float, float]]]:
        hat, residual = self.hat, self.residual
        if without:
            gone = np.concatenate([self.parts[k] for k in sorted(without)])
            gain = hat[:, gone] @ _opened(hat[np.ix_(gone, gone)])
            hat, residual = hat + gain @ hat[gone], residual + gain @ residual[gone]
        for k, part in self.parts.items():
            if k not in without:
                # A residual over what the others leave open of its row is the miss of their prediction.
                opened = _opened(hat[np.ix_(part, part)])
                miss = opened @ residual[part]
                spoken_of = np.linalg.matrix_rank(opened)
                square = float(residual[part] @ miss) - max(int(spoken_of) - 1, 0)
                yield k, (float(np.sqrt(max(square, 0.0))), float(miss[0] * self.sigma[k][0]))


def _opened(hat: np.ndarray) -> np.ndarray:
    """The inverse of ``I - hat`` in the directions that anything else speaks of."""
    share, way = np.linalg.eigh(np.eye(len(hat)) - hat)
    return np.asarray((way / np.where(share > TESTABLE, share, np.inf)) @ way.T)


def _reduced(pairing: Pairing, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a pairing says: an offset for each stretch and one drift, as combinations of its matches.

    What it shares, the path of a sound above all, may change during the recording by about as much as it is: so a drift
    is doubted by that over the pairing's length, and stretches by half of it against each other.

    Args:
        y: (matches,) float64, its offsets.

    Returns:
        (said, matches) float64, and (said,) standard deviations, ns and ns per s.
    """
    piece = np.array([m.piece for m in pairing.matches])
    t_s = np.array([m.t_ns - pairing.matches[0].t_ns for m in pairing.matches]) * 1e-9
    sigma = np.array([m.sigma_ns for m in pairing.matches])
    stretches = (piece[:, None] == np.unique(piece)).astype(float)
    weight = 1 / sigma**2
    for _ in range(ROUNDS):
        middle = (weight * t_s) @ stretches / (weight @ stretches)
        since = t_s - stretches @ middle
        basis = np.column_stack([stretches, since]) if np.ptp(since) > 1.0 else stretches
        inverse = np.linalg.inv((basis.T * weight) @ basis)
        combine = inverse @ (basis.T * weight)
        ratio = np.abs(y - basis @ (combine @ y)) / sigma
        weight = np.minimum(1.0, HUBER / np.maximum(ratio, 1e-9)) / sigma**2
    shared = float(np.median([shared_ns(m) for m in pairing.matches]))
    doubt = np.full(basis.shape[1], FINEST * shared)
    if stretches.shape[1] > 1:
        doubt[: stretches.shape[1]] = shared / 2
    if basis.shape[1] > stretches.shape[1]:
        doubt[-1] = shared / np.ptp(t_s)
    return combine, np.sqrt(np.diag(inverse) + doubt**2)
