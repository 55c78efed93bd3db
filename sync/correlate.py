"""Two recordings of the same sound: offset, drift, steps, and how far to believe them.

Coarse to fine: onsets vote for a few lines (`sync.onsets`), phase correlation tests them window by window
(`sync.phat`), and a robust line goes through the windows that agree. Three rules keep a wrong answer out.
Windows are counted over those *tried*, not over those that spoke. Silent windows are searched again along the
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
from sync.alignment import MAX_SKEW_PPM, SPEED_OF_SOUND_M_S, Match, Pairing, Recording
from sync.onsets import Candidate, Line
from sync.phat import Windows
from sync.waveform import working

LENGTHS = (2**16, 2**18)
MIN_LENGTH = 2**14
MAX_WINDOWS = 150
TRIAL_WINDOWS = 12
MIN_USED = 3
MIN_SHARE = 0.2
TOLERANCE_NS = 4e6
"""Windows this near a line are on it: a talker who walks changes the path by a metre or two."""
COARSE_SIGMA_NS = 15e6
COARSE_STANDING = 6.0
WORN_TOGETHER_M = 0.17
APART_M = 1.0
"""Standard deviation of the path difference between microphones in one room, and on one body (0.5 ms)."""
MIN_SIGMA_NS = 5e3


@dataclass(frozen=True)
class _Fit:
    """A line, and per window the stretch it belongs to (-1: none)."""

    line: Line
    steps_ns: np.ndarray
    windows: Windows
    piece: np.ndarray


def match(source: Recording, target: Recording) -> Pairing:
    """Compare the sounds of two recordings.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    apart_m = WORN_TOGETHER_M if source.wearer and source.wearer == target.wearer else APART_M
    return compare(source.heard(), target.heard(), apart_m)


def compare(source: Sound, target: Sound, apart_m: float = APART_M) -> Pairing:
    """Compare two sounds whose microphones were `apart_m` metres apart.

    Returns:
        One match a window, by time. Their `sigma_ns` are such that the matches may be treated as independent;
        their shared error is `apart_m` of sound path.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    if source.duration_s > target.duration_s:
        return _swapped(compare(target, source, apart_m))
    a, b = working(source), working(target)
    lines = onsets.candidates(a, b)
    fit, ambiguity = _best(a, b, lines)
    evidence = _evidence(fit, ambiguity, lines)
    where = f"{source.clock} and {target.clock}"
    if ambiguity > phat.MAX_RUNNER_UP:
        raise EvidenceError(f"{where} fit together in more than one way, as loops and machines do; use tones")
    shared = ((f"sound path between {where}", apart_m / SPEED_OF_SOUND_M_S * 1e9),)
    used = fit.piece >= 0
    if used.sum() >= MIN_USED and used.mean() >= MIN_SHARE:
        return _fine(a, b, fit, shared, evidence)
    return _coarse(a, b, lines, shared, evidence)


def _best(a: Sound, b: Sound, lines: list[Candidate]) -> tuple[_Fit, float]:
    """The line that most windows confirm, and how nearly another one explains the same windows."""
    fit, rival = None, 0.0
    for length in LENGTHS:
        trials = [_trial(a, b, c.line, length) for c in lines]
        trial = max(trials, key=lambda t: (int((t.piece == 0).sum()), float(t.windows.standing.mean())))
        rival = max((_rivalry(a, b, trial, c.line) for c in lines), default=0.0)
        fit = _whole(a, b, trial, lines, length)
        if (fit.piece >= 0).mean() > 0.5 or _length(a, b, fit.line, LENGTHS[-1]) == fit.windows.length:
            break
    assert fit is not None
    return fit, rival


def _length(a: Sound, b: Sound, line: Line, wanted: int) -> int:
    """Samples of a window: `wanted`, or the power of two of which three fit into the common time."""
    start, stop = phat.common_ns(a, b, line)
    third = max((stop - start) * 1e-9 * b.rate_hz / 3, 1.0)
    return int(np.clip(2 ** int(np.log2(third)), MIN_LENGTH, wanted))


def _centres(a: Sound, b: Sound, line: Line, length: int, limit: int) -> np.ndarray:
    """Window centres over the common time, half overlapping at the closest."""
    start, stop = phat.common_ns(a, b, line)
    half_ns = 0.5e9 * length / b.rate_hz
    count = int(np.clip((stop - start) / half_ns - 1, 1, limit))
    if stop - start < 2 * half_ns:
        return np.array([(start + stop) / 2])
    return np.linspace(start + half_ns, stop - half_ns, count)


def _trial(a: Sound, b: Sound, line: Line, wanted: int) -> _Fit:
    length = _length(a, b, line, wanted)
    heard = phat.windows(a, b, line, _centres(a, b, line, length, TRIAL_WINDOWS), length)
    better, on_line = _robust_line(heard, line)
    return _Fit(better, np.zeros(1), heard, np.where(on_line, 0, -1))


def _rivalry(a: Sound, b: Sound, best: _Fit, other: Line) -> float:
    """Height of the peaks along another line over that of the best line's, in the best line's own windows."""
    used = best.piece == 0
    u_ns = best.windows.u_ns[used]
    apart = np.abs(other.lag(u_ns) - best.line.lag(u_ns))
    if not used.any() or apart.min() < onsets.DISTINCT_NS:
        return 0.0
    heard = phat.windows(a, b, other, u_ns, best.windows.length)
    elsewhere = np.abs(heard.lag_ns - best.line.lag(u_ns)) > onsets.DISTINCT_NS
    return float(np.sum(heard.height * heard.clear * elsewhere) / np.sum(best.windows.height[used]))


def _whole(a: Sound, b: Sound, trial: _Fit, lines: list[Candidate], wanted: int) -> _Fit:
    """Windows over all of the common time; the silent ones are tried along the other lines too."""
    length = _length(a, b, trial.line, wanted)
    heard = phat.windows(a, b, trial.line, _centres(a, b, trial.line, length, MAX_WINDOWS), length)
    for other in lines:
        silent = ~heard.clear
        if silent.any() and abs(other.line.offset_ns - trial.line.offset_ns) > onsets.DISTINCT_NS:
            again = phat.windows(a, b, other.line, heard.u_ns[silent], length)
            heard = heard.with_rows(np.flatnonzero(silent)[again.clear], again, again.clear)
    line, on_line = _robust_line(heard, trial.line)
    piece = _runs(heard, line, on_line)
    return _joint(line, heard, piece)


def _robust_line(heard: Windows, guess: Line) -> tuple[Line, np.ndarray]:
    """The line that most clear windows lie on, and which those are: (N,) bool."""
    u, lag, clear = heard.u_ns, heard.lag_ns, heard.clear
    index = np.flatnonzero(clear)
    if not len(index):
        return guess, clear
    i, j = (index[k] for k in np.triu_indices(len(index)))
    limit = MAX_SKEW_PPM * 1e-6
    slope = np.where(i == j, guess.skew, (lag[j] - lag[i]) / np.where(i == j, 1.0, u[j] - u[i]))
    possible = np.abs(slope) * np.abs(u[j] - u[i]) <= limit * np.abs(u[j] - u[i]) + TOLERANCE_NS
    i, slope = i[possible], np.clip(slope[possible], -limit, limit)
    error = np.abs(lag[index] - lag[i][:, None] - slope[:, None] * (u[index] - u[i][:, None]))
    gain = np.clip(1 - error / TOLERANCE_NS, 0, None).sum(axis=1) + (error < TOLERANCE_NS).sum(axis=1)
    k = int(np.argmax(gain))
    at = float(u[index].mean())
    line = Line(at, float(lag[i[k]] + slope[k] * (at - u[i[k]])), float(slope[k]))
    return line, clear & (np.abs(lag - line.lag(u)) < TOLERANCE_NS)


def _runs(heard: Windows, line: Line, on_line: np.ndarray) -> np.ndarray:
    """Number of the stretch each window lies on, by time; -1 for those on none.

    A stretch is at least `MIN_USED` clear windows in a row with one lag against the line.
    """
    piece = np.full(len(on_line), -1)
    error = heard.lag_ns - line.lag(heard.u_ns)
    runs: list[list[int]] = []
    for k in np.flatnonzero(heard.clear):
        level = 0.0 if on_line[k] else error[k]
        if runs and abs(level - (0.0 if on_line[runs[-1][-1]] else error[runs[-1][-1]])) < TOLERANCE_NS:
            runs[-1].append(int(k))
        else:
            runs.append([int(k)])
    long = [r for r in runs if len(r) >= MIN_USED]
    merged: list[list[int]] = []
    for run in long:
        same = merged and on_line[merged[-1][0]] and on_line[run[0]]
        if same:
            merged[-1] += run
        else:
            merged.append(run)
    for number, run in enumerate(merged):
        piece[run] = number
    if not merged:
        piece[on_line] = 0
    return piece


def _joint(line: Line, heard: Windows, piece: np.ndarray) -> _Fit:
    """One drift for all stretches, one offset for each: Huber's weights, eight rounds."""
    used = np.flatnonzero(piece >= 0)
    count = int(piece.max()) + 1 if len(used) else 0
    if count == 0:
        return _Fit(line, np.zeros(1), heard, piece)
    u = (heard.u_ns[used] - line.at_ns) * 1e-9
    basis = np.column_stack([*(piece[used] == n for n in range(count)), u]).astype(float)
    if np.ptp(u) == 0:
        basis = basis[:, :-1]
    error = heard.lag_ns[used] - line.lag(heard.u_ns[used])
    weight = np.ones(len(used))
    for _ in range(8):
        solution = np.linalg.lstsq(basis * weight[:, None], error * weight, rcond=None)[0]
        left = np.abs(error - basis @ solution)
        scale = max(1.4826 * float(np.median(left)), MIN_SIGMA_NS)
        weight = np.sqrt(np.minimum(1.0, 1.5 * scale / np.maximum(left, 1e-9)))
    skew = line.skew + (solution[count] * 1e-9 if basis.shape[1] > count else 0.0)
    main = int(np.argmax(np.bincount(piece[used])))
    better = Line(line.at_ns, line.offset_ns + solution[main], float(skew))
    return _Fit(better, solution[:count] - solution[main], heard, piece)


def _fine(a: Sound, b: Sound, fit: _Fit, shared: tuple[tuple[str, float], ...], evidence: dict[str, float]) -> Pairing:
    used = np.flatnonzero(fit.piece >= 0)
    left = _residuals(fit)
    sigma_ns = max(1.4826 * float(np.median(np.abs(left))), MIN_SIGMA_NS) * np.sqrt(_inflation(left))
    matches = tuple(
        Match(
            "audio",
            a.clock,
            b.clock,
            t_ns=a.t0_ns + round(fit.windows.u_ns[k]),
            offset_ns=b.t0_ns - a.t0_ns + round(fit.windows.lag_ns[k]),
            sigma_ns=round(float(sigma_ns), 1),
            score=round(float(fit.windows.height[k]), 4),
            shared=shared,
            piece=int(fit.piece[k]),
        )
        for k in used
    )
    steps = [f"{step * 1e-6:+.0f} ms" for step in np.diff(fit.steps_ns)]
    reason = f"samples were lost: the offset steps by {', '.join(steps)}" if steps else ""
    return Pairing("audio", a.clock, b.clock, "ok", reason, matches, evidence)


def _residuals(fit: _Fit) -> np.ndarray:
    used = fit.piece >= 0
    u = fit.windows.u_ns[used]
    return fit.windows.lag_ns[used] - fit.line.lag(u) - fit.steps_ns[fit.piece[used]]


def _inflation(left: np.ndarray) -> float:
    """How many of these residuals are worth one independent one, from their correlation with the next.

    A path that changes as someone walks stays changed for a while; a third of the windows at most is lost to
    chance in the estimate, so no more than half of all windows may fall to one.
    """
    if len(left) < 4 or not np.any(left):
        return 2.0
    limit = 4.0 * float(np.median(np.abs(left))) + 1e-9
    x = np.clip(left, -limit, limit)
    r = float(np.clip(np.sum(x[1:] * x[:-1]) / np.sum(x * x), 0.0, 0.95))
    return min((1 + r) / (1 - r) + 1.0, len(left) / 2)


def _coarse(
    a: Sound, b: Sound, lines: list[Candidate], shared: tuple[tuple[str, float], ...], evidence: dict[str, float]
) -> Pairing:
    """The onsets' own answer, where waveforms do not agree but beginnings do."""
    where = f"{a.clock} and {b.clock}"
    best = lines[0] if lines else None
    second = lines[1].score if len(lines) > 1 else 0.0
    if (
        best is None
        or len(best.u_ns) < max(4, best.inside / 2)
        or best.score < COARSE_STANDING * len(best.u_ns)
        or best.score < 1.5 * second
    ):
        raise EvidenceError(
            f"the sounds of {where} have nothing in common that stands out ({evidence['windows_used']:.0f} of "
            f"{evidence['windows_tried']:.0f} windows agree); use start and end tones, or check that they overlap"
        )
    matches = tuple(
        Match(
            "audio",
            a.clock,
            b.clock,
            t_ns=a.t0_ns + round(u),
            offset_ns=b.t0_ns - a.t0_ns + round(lag),
            sigma_ns=COARSE_SIGMA_NS,
            score=round(min(1.0, standing / 20), 4),
            shared=(*shared, (f"onsets of {where}", COARSE_SIGMA_NS)),
        )
        for u, lag, standing in zip(best.u_ns, best.lag_ns, best.standing, strict=True)
    )
    return Pairing("audio", a.clock, b.clock, "coarse", "only the onsets agree, not the waveforms", matches, evidence)


def _evidence(fit: _Fit, rival: float, lines: list[Candidate]) -> dict[str, float]:
    used = fit.piece >= 0
    u_s = fit.windows.u_ns * 1e-9
    edges = np.concatenate([u_s[:1], u_s[used], u_s[-1:]])
    return {
        "windows_tried": len(used),
        "windows_used": int(used.sum()),
        "windows_clear": int(fit.windows.clear.sum()),
        "longest_silent_s": round(float(np.diff(edges).max()), 3),
        "runner_up": round(rival, 4),
        "window_s": round(fit.windows.length / 16_000, 3),
        "onset_votes": round(lines[0].score, 1) if lines else 0.0,
        "onset_votes_runner_up": round(lines[1].score, 1) if len(lines) > 1 else 0.0,
        "residual_ns": round(1.4826 * float(np.median(np.abs(_residuals(fit)))), 1) if used.any() else 0.0,
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
