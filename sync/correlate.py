"""Two recordings of the same sound: offset, drift, steps, and how far to believe them.

Coarse to fine: onsets vote for a few lines (`sync.onsets`), phase correlation tests them window by window
(`sync.phat`), and a robust line goes through the windows that agree (`sync.robust`). Three rules keep a wrong answer
out. Windows are counted over those *tried*, not over those that spoke. Silent windows are searched again along the
other lines, which is how lost samples show. And a second line that explains the same windows nearly as well
(a loop, a machine's hum) is a reason to refuse.

What no fit can see is the path: sound takes 2.9 ms a metre, and a source beside one microphone is heard late by
the other. That term is added to every offset as an error shared by all its windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync import onsets, phat
from sync.alignment import SPEED_OF_SOUND_M_S, Match, Pairing, Recording
from sync.onsets import Candidate, Line
from sync.robust import Fit, consensus, inflation, refined
from sync.waveform import working

LENGTHS = (2**16, 2**18)
"""Samples of a window at the working rate: four seconds, then sixteen where four say too little."""
MIN_LENGTH = 2**14
MAX_WINDOWS = 150
TRIAL_WINDOWS = 12
MIN_USED = 3
MIN_SHARE = 0.2
ENOUGH_SHARE = 0.5
WORN_TOGETHER_M, ONE_ROOM_M, APART_M = 0.17, 3.0, 1.0
"""Standard deviation of the path difference between two microphones: on one body (0.5 ms), in one room that someone
walks about in (8.7 ms; what is loudest stays in its place, so it does not average out), and if nothing is known."""
MIN_TOLERANCE_NS = 2e6
TOLERANCE_SIGMAS = 4.0
COARSE_SIGMA_NS = 15e6
COARSE_STANDING = 6.0
COARSE_CHUNKS = 4


def match(source: Recording, target: Recording) -> Pairing:
    """Compare the sounds of two recordings.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    apart_m = WORN_TOGETHER_M if source.wearer and source.wearer == target.wearer else ONE_ROOM_M
    return compare(source.heard(), target.heard(), apart_m)


def compare(source: Sound, target: Sound, apart_m: float = APART_M) -> Pairing:
    """Compare two sounds whose paths from a source differ by `apart_m` metres, one standard deviation.

    Returns:
        One match a window, by time. Their `sigma_ns` are such that the matches may be treated as independent;
        `apart_m` of sound path is the error they share.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    if source.duration_s > target.duration_s:
        return _swapped(compare(target, source, apart_m))
    a, b = working(source), working(target)
    path_ns = apart_m / SPEED_OF_SOUND_M_S * 1e9
    search = _Search(a, b, tuple(onsets.candidates(a, b)), max(MIN_TOLERANCE_NS, TOLERANCE_SIGMAS * path_ns))
    fit, rival = search.best()
    where = f"{source.clock} and {target.clock}"
    if rival > phat.MAX_RUNNER_UP:
        raise EvidenceError(f"{where} fit together in more than one way, as loops and machines do; use tones")
    result = Pairing("audio", a.clock, b.clock, "ok", "", (), _evidence(fit, rival, search.lines))
    sign = 1.0 if a.clock < b.clock else -1.0
    shared = ((f"sound path between {' and '.join(sorted((a.clock, b.clock)))}", sign * path_ns),)
    if fit.used.sum() >= MIN_USED and fit.used.mean() >= MIN_SHARE:
        return _fine(result, search, fit, shared)
    return _coarse(result, search, shared)


@dataclass(frozen=True)
class _Search:
    """Two sounds at the working rate, the shorter first, and the lines to be tested on them."""

    a: Sound
    b: Sound
    lines: tuple[Candidate, ...]
    tolerance_ns: float

    def best(self) -> tuple[Fit, float]:
        """The line that most windows confirm, and how nearly another one explains the same windows."""
        for wanted in LENGTHS:
            trials = [self._trial(c.line, wanted) for c in self.lines]
            trial = max(trials, key=lambda t: (int(t.used.sum()), float(t.windows.standing.mean())))
            fit = self._whole(trial, wanted)
            if fit.used.mean() > ENOUGH_SHARE or fit.windows.length < wanted:
                break
        return fit, max(self._rivalry(trial, c.line) for c in self.lines)

    def _trial(self, line: Line, wanted: int) -> Fit:
        length = self._length(line, wanted)
        heard = phat.windows(self.a, self.b, line, self._centres(line, length, TRIAL_WINDOWS), length)
        return consensus(heard, line, self.tolerance_ns)

    def _whole(self, trial: Fit, wanted: int) -> Fit:
        """Windows over all of the common time; the silent ones are tried along the other lines too."""
        line, length = trial.line, self._length(trial.line, wanted)
        heard = phat.windows(self.a, self.b, line, self._centres(line, length, MAX_WINDOWS), length)
        for other in self.lines:
            silent = np.flatnonzero(~heard.clear)
            if len(silent) and abs(other.line.offset_ns - line.offset_ns) > onsets.DISTINCT_NS:
                again = phat.windows(self.a, self.b, other.line, heard.u_ns[silent], length)
                heard = heard.with_rows(silent[again.clear], again, again.clear)
        return refined(consensus(heard, line, self.tolerance_ns), self.tolerance_ns)

    def _rivalry(self, best: Fit, other: Line) -> float:
        """Height of the peaks along another line over that of the best line's, in the best line's own windows."""
        u_ns = best.windows.u_ns[best.used]
        expected_ns = best.line.lag(u_ns)
        if not len(u_ns) or np.min(np.abs(other.lag(u_ns) - expected_ns)) < onsets.DISTINCT_NS:
            return 0.0
        heard = phat.windows(self.a, self.b, other, u_ns, best.windows.length)
        rival = np.abs(heard.lag_ns - expected_ns) > onsets.DISTINCT_NS
        rival &= heard.standing >= phat.MIN_STANDING
        return float(np.sum(heard.height[rival]) / np.sum(best.windows.height[best.used]))

    def _length(self, line: Line, wanted: int) -> int:
        """Samples of a window: `wanted`, or the power of two of which three fit into the common time."""
        start, stop = phat.common_ns(self.a, self.b, line)
        third = max((stop - start) * 1e-9 * self.b.rate_hz / 3, 1.0)
        return int(np.clip(2 ** int(np.log2(third)), MIN_LENGTH, wanted))

    def _centres(self, line: Line, length: int, limit: int) -> np.ndarray:
        """Window centres over the common time, half overlapping at the closest."""
        start, stop = phat.common_ns(self.a, self.b, line)
        half_ns = 0.5e9 * length / self.b.rate_hz
        if stop - start < 2 * half_ns:
            return np.array([(start + stop) / 2])
        return np.linspace(start + half_ns, stop - half_ns, int(np.clip((stop - start) / half_ns - 1, 1, limit)))


Shared = tuple[tuple[str, float], ...]


def _fine(result: Pairing, search: _Search, fit: Fit, shared: Shared) -> Pairing:
    sigma_ns = round(fit.scatter_ns * float(np.sqrt(inflation(fit.residual_ns))), 1)
    matches = tuple(
        replace(
            _match(search, fit.windows.u_ns[k], fit.windows.lag_ns[k], shared),
            sigma_ns=sigma_ns,
            score=round(float(fit.windows.height[k]), 4),
            piece=int(fit.piece[k]),
        )
        for k in np.flatnonzero(fit.used)
    )
    steps = ", ".join(f"{step * 1e-6:+.1f} ms" for step in np.diff(fit.steps_ns))
    reason = f"samples were lost: the offset steps by {steps}" if steps else ""
    return replace(result, reason=reason, matches=matches)


def _coarse(result: Pairing, search: _Search, shared: Shared) -> Pairing:
    """The onsets' own answer, where waveforms do not agree but beginnings do."""
    best = search.lines[0]
    second = search.lines[1].score if len(search.lines) > 1 else 0.0
    count = len(best.u_ns)
    agree = count >= max(COARSE_CHUNKS, best.inside / 2) and best.score >= COARSE_STANDING * count
    if not agree or best.score < 1.5 * second:
        used, tried = result.evidence["windows_used"], result.evidence["windows_tried"]
        raise EvidenceError(
            f"the sounds of {result.source} and {result.target} have nothing in common that stands out ({used:.0f} "
            f"of {tried:.0f} windows agree); use start and end tones, or check that the recordings overlap"
        )
    shared = (*shared, (f"onsets, {shared[0][0]}", float(np.copysign(COARSE_SIGMA_NS, shared[0][1]))))
    matches = tuple(
        replace(_match(search, u, lag, shared), score=round(min(1.0, standing / 20), 4))
        for u, lag, standing in zip(best.u_ns, best.lag_ns, best.standing, strict=True)
    )
    reason = "only the onsets agree, not the waveforms"
    return replace(result, verdict="coarse", reason=reason, matches=matches)


def _match(search: _Search, u_ns: float, lag_ns: float, shared: Shared) -> Match:
    a, b = search.a, search.b
    return Match(
        method="audio",
        source=a.clock,
        target=b.clock,
        t_ns=a.t0_ns + round(u_ns),
        offset_ns=b.t0_ns - a.t0_ns + round(lag_ns),
        sigma_ns=COARSE_SIGMA_NS,
        score=0.0,
        shared=shared,
    )


def _evidence(fit: Fit, rival: float, lines: tuple[Candidate, ...]) -> dict[str, float]:
    u_s = fit.windows.u_ns * 1e-9
    edges = np.concatenate([u_s[:1], u_s[fit.used], u_s[-1:]])
    return {
        "windows_tried": len(u_s),
        "windows_used": int(fit.used.sum()),
        "windows_clear": int(fit.windows.clear.sum()),
        "window_samples": fit.windows.length,
        "longest_silent_s": round(float(np.diff(edges).max()), 3),
        "runner_up": round(rival, 4),
        "onset_votes": round(lines[0].score, 1),
        "onset_votes_runner_up": round(lines[1].score, 1) if len(lines) > 1 else 0.0,
        "scatter_ns": round(fit.scatter_ns, 1),
    }


def _swapped(pairing: Pairing) -> Pairing:
    """The same evidence read the other way."""
    matches = tuple(
        replace(
            m,
            source=m.target,
            target=m.source,
            t_ns=m.t_ns + m.offset_ns,
            offset_ns=-m.offset_ns,
            shared=tuple((name, -error) for name, error in m.shared),
        )
        for m in pairing.matches
    )
    return replace(pairing, source=pairing.target, target=pairing.source, matches=matches)
