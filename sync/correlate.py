"""Two recordings of the same sound: offset, drift, steps, and how far to believe them.

Coarse to fine: onsets add up along a line (`sync.onsets`), phase correlation tests that line window by window
(`sync.phat`), and a robust line goes through the windows that agree (`sync.robust`). Four rules keep a wrong answer
out. Windows are counted over those *tried*, not over those that spoke. Where a run of them is silent the onsets are
asked again, seconds wide, which is how lost samples show; the step is then placed by the waveforms. A second
line that explains the same windows nearly as well (a loop, a machine's hum) is a reason to refuse. And the onsets say
how often the same two recordings, shifted against each other at random, would have looked as good.

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
from sync.onsets import Followed, Line, Picture, Search
from sync.phat import Windows
from sync.robust import Fit, consensus, inflation, refined
from sync.waveform import Wave, working

LENGTHS = (2**16, 2**14, 2**18)
"""Samples of a window at the working rate: four seconds; one, where a talker walks; sixteen, where four say little."""
MIN_LENGTH = 2**13
MAX_WINDOWS = 120
TRIAL_WINDOWS = 12
EDGE_WINDOWS = 6
"""More windows than elsewhere in the first and in the last minute, where a lost stretch leaves little beside it."""
SMEAR_S = 30e-6
"""Windows are heard again along the drift they gave, if the first one was off by more than this over a window."""
MIN_USED = 3
MIN_SHARE, FEW_SHARE = 0.2, 0.08
"""Windows used over windows tried: of any pair; of one that the onsets vouch for and whose peaks do not contradict."""
MIN_OF_CLEAR = 0.7
MIN_RIVAL_SHARE = 0.25
RIVAL_NS = 10e6
MAX_RIVAL = 0.65
"""Peaks along another line over those of the best: more is a loop."""
DOUBTLESS_WINDOWS, DOUBTLESS_STANDING = 5, 12.0
ENOUGH_SHARE = 0.5
WORN_TOGETHER_M, ONE_ROOM_M, APART_M = 0.17, 3.0, 1.0
"""Standard deviation of the path difference between two microphones: on one body (0.5 ms), in one room that someone
walks about in (8.7 ms; what is loudest stays in its place, so it does not average out), and if nothing is known."""
MIN_TOLERANCE_NS = 2e6
TOLERANCE_SIGMAS = 4.0
MAX_FALSE_ALARM, COARSE_FALSE_ALARM = 0.01, 3e-4
"""How likely chance may be as good as the onsets: where waveforms agree as well, and where they do not."""
MAX_COARSE_RIVAL = 0.8
COARSE_NS, COARSE_SHARED_NS = 30e6, 5e6
"""One chunk of onsets is wrong by this over its standing; reverberation and a microphone's colour move all of them."""
MIN_COARSE_STANDING = 3.0
SILENT_WINDOWS = 2
ONSET_STEP_NS = 15e6
"""Onsets place a step better than waveforms do, whose lags wander, unless it is too small for their frames."""
ELSEWHERE_STANDING, SURE_STANDING = 6.0, 10.0


def match(source: Recording, target: Recording) -> Pairing:
    """Compare the sounds of two recordings.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    apart_m = WORN_TOGETHER_M if source.wearer and source.wearer == target.wearer else ONE_ROOM_M
    return compare(source.heard(), target.heard(), apart_m)


def compare(source: Sound | Wave, target: Sound | Wave, apart_m: float = APART_M) -> Pairing:
    """Compare two sounds whose paths from a source differ by `apart_m` metres, one standard deviation.

    Returns:
        One match a window, by time. Their `sigma_ns` are such that the matches may be treated as independent;
        `apart_m` of sound path is the error they share. Where samples were lost the matches are of several pieces,
        and `breaks_ns` says when.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    if source.duration_s > target.duration_s:
        return _swapped(compare(target, source, apart_m))
    a, b = working(source), working(target)
    pictures = onsets.pictures(a, b)
    path_ns = apart_m / SPEED_OF_SOUND_M_S * 1e9
    found = onsets.search(*pictures)
    kept = [c for c in found.candidates if c.standing > 0.4 * found.candidates[0].standing]
    lines = tuple(onsets.refined(*pictures, c.line) for c in kept)
    search = _Search(a, b, pictures, found, lines, max(MIN_TOLERANCE_NS, TOLERANCE_SIGMAS * path_ns))
    fit, rival = search.best()
    result = Pairing("audio", a.clock, b.clock, "ok", "", (), _evidence(fit, rival, found))
    sign = 1.0 if a.clock < b.clock else -1.0
    shared = ((f"sound path between {' and '.join(sorted((a.clock, b.clock)))}", sign * path_ns),)
    agrees = search.agrees(fit)
    if agrees and rival > MAX_RIVAL:
        where = f"{source.clock} and {target.clock}"
        raise EvidenceError(f"{where} fit together in more than one way, as loops and machines do; use tones")
    if agrees and (found.false_alarm < MAX_FALSE_ALARM or search.beyond_doubt(fit)):
        return _fine(result, search, fit, shared)
    return _coarse(result, search, shared)


@dataclass(frozen=True)
class _Search:
    """Two sounds at the working rate, the shorter first, and the lines to be tested on them."""

    a: Wave
    b: Wave
    pictures: tuple[Picture, Picture]
    found: Search
    lines: tuple[tuple[Line, Followed], ...]
    tolerance_ns: float

    def best(self) -> tuple[Fit, float]:
        """The line that most windows confirm, and how nearly another one explains the same windows."""
        best: Fit | None = None
        for wanted in LENGTHS:
            trials = [self._trial(line, wanted) for line, _ in self.lines]
            trial = max(trials, key=lambda t: (int(t.used.sum()), float(t.windows.standing.mean())))
            if best is None or trial.used.mean() > best.used.mean():
                fit = self._whole(trial, wanted)
                best = fit if best is None or fit.used.mean() > best.used.mean() else best
            if best.used.mean() > ENOUGH_SHARE or (wanted == LENGTHS[1] and self.agrees(best)):
                break
        assert best is not None
        return best, max(self._rivalry(best, line) for line, _ in self.lines)

    def agrees(self, fit: Fit) -> bool:
        """Whether enough windows of those tried lie on the line."""
        clear = int(fit.windows.clear.sum())
        vouched = self.found.false_alarm < COARSE_FALSE_ALARM and fit.used.sum() >= MIN_OF_CLEAR * clear
        return bool(fit.used.sum() >= MIN_USED and fit.used.mean() >= (FEW_SHARE if vouched else MIN_SHARE))

    def beyond_doubt(self, fit: Fit) -> bool:
        """Peaks that need no other witness: a short overlap in which the onsets have little to say."""
        standing = fit.windows.standing[fit.used]
        return bool(len(standing) >= DOUBTLESS_WINDOWS and float(np.median(standing)) > DOUBTLESS_STANDING)

    def _trial(self, line: Line, wanted: int) -> Fit:
        length = self._length(line, wanted)
        heard = phat.windows(self.a, self.b, line, self._centres(line, length, TRIAL_WINDOWS), length)
        return consensus(heard, line, self.tolerance_ns)

    def _whole(self, trial: Fit, wanted: int) -> Fit:
        """Windows over all of the common time; silent runs are sought again, seconds wide."""
        line, length = trial.line, self._length(trial.line, wanted)
        centres = self._centres(line, length, MAX_WINDOWS)
        start, stop = phat.common_ns(self.a, self.b, line)
        for edge in (start, stop):
            near = edge + np.linspace(-60e9, 60e9, 2 * EDGE_WINDOWS)
            inside = (near > centres[0]) & (near < centres[-1]) & (len(centres) == MAX_WINDOWS)
            centres = np.union1d(centres, near[inside])
        heard = phat.windows(self.a, self.b, line, centres, length)
        rough = consensus(heard, line, self.tolerance_ns)
        better = refined(rough, self.tolerance_ns).line
        if abs(better.skew - line.skew) * length / self.b.rate_hz > SMEAR_S:
            heard = phat.windows(self.a, self.b, better, centres, length)
            rough = consensus(heard, better, self.tolerance_ns)
        heard = self._sought_again(heard, rough.line)
        return refined(consensus(heard, rough.line, self.tolerance_ns), self.tolerance_ns)

    def _sought_again(self, heard: Windows, line: Line) -> Windows:
        """Runs of silent windows, tried along the line that the onsets of that stretch name.

        Where the onsets leave no doubt and the waveforms still say nothing, the onsets' own lag stands for them.
        """
        half_ns = 0.5e9 * heard.length / self.a.rate_hz
        for run in _silent_runs(heard, line, self.tolerance_ns):
            halves = np.array_split(run, 2) if len(run) >= 12 else []
            for part in (run, *halves):
                ends = (float(heard.u_ns[part[0]]) - half_ns / 2, float(heard.u_ns[part[-1]]) + half_ns / 2)
                other = onsets.elsewhere(*self.pictures, line, ends)
                if (
                    other.standing < max(ELSEWHERE_STANDING, 1.3 * other.stay)
                    or abs(other.shift_ns) < self.tolerance_ns
                ):
                    continue
                shifted = line.shifted(other.shift_ns)
                again = phat.windows(self.a, self.b, shifted, heard.u_ns[part], heard.length)
                if other.standing > max(SURE_STANDING, 2 * other.stay) and again.clear.sum() < min(MIN_USED, len(part)):
                    again = again.told(shifted)
                better = again.clear & (again.standing > heard.standing[part])
                heard = heard.with_rows(part[better], again, better)
        return heard

    def _rivalry(self, best: Fit, other: Line) -> float:
        """Height of the peaks along another line over that of the best line's, in the best line's own windows."""
        rows = np.flatnonzero(
            best.used & (np.abs(other.lag(best.windows.u_ns) - best.windows.lag_ns) > onsets.DISTINCT_NS)
        )
        if len(rows) < MIN_RIVAL_SHARE * best.used.sum() or not len(rows):
            return 0.0  # the same line, or one that the windows of another stretch lie on
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, 2 * TRIAL_WINDOWS).astype(int))]
        heard = phat.windows(self.a, self.b, other, best.windows.u_ns[rows], best.windows.length)
        rival = (heard.standing >= phat.MIN_STANDING) & (np.abs(heard.lag_ns - best.windows.lag_ns[rows]) > RIVAL_NS)
        return float(np.sum(heard.height[rival]) / np.sum(best.windows.height[rows]))

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


def _silent_runs(heard: Windows, line: Line, tolerance_ns: float) -> list[np.ndarray]:
    """Windows in a row that do not lie on the line, longest first."""
    on = heard.clear & (np.abs(heard.lag_ns - line.lag(heard.u_ns)) < tolerance_ns)
    edges = np.flatnonzero(np.diff(np.concatenate([[1], on.astype(int), [1]])))
    runs = [np.arange(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    return sorted((r for r in runs if len(r) >= SILENT_WINDOWS), key=len, reverse=True)[:8]


Shared = tuple[tuple[str, float], ...]


def _fine(result: Pairing, search: _Search, fit: Fit, shared: Shared) -> Pairing:
    breaks = _breaks(search, fit)
    sigma_ns = round(fit.scatter_ns * float(np.sqrt(inflation(fit.residual_ns))), 1)
    where = np.searchsorted(breaks, fit.windows.u_ns)
    matches = tuple(
        replace(
            _match(search, fit.windows.u_ns[k], fit.windows.lag_ns[k], shared),
            sigma_ns=sigma_ns,
            score=round(float(fit.windows.height[k]), 4),
            piece=int(fit.piece[k]),
        )
        # A window across a step speaks for the side that it heard more of, whatever its centre.
        for k in np.flatnonzero(fit.used & (where == fit.piece))
    )
    steps = ", ".join(f"{step * 1e-6:+.1f} ms" for step in np.diff(fit.steps_ns))
    reason = f"samples were lost: the offset steps by {steps}" if steps else ""
    at = tuple(search.a.t0_ns + round(u) for u in breaks)
    return replace(result, reason=reason, matches=matches, breaks_ns=at)


def _breaks(search: _Search, fit: Fit) -> np.ndarray:
    """Where each stretch ends and the next begins: (P - 1,) float64 source ns, placed by the waveforms."""
    found: list[float] = []
    half_ns = 0.5e9 * fit.windows.length / search.a.rate_hz
    for k in range(len(fit.steps_ns) - 1):
        before = float(fit.windows.u_ns[fit.piece == k].max())
        after = float(fit.windows.u_ns[fit.piece == k + 1].min())
        lines = tuple(fit.line.shifted(float(fit.steps_ns[n])) for n in (k, k + 1))
        ends = (max(before - half_ns, *found[-1:], 0.0), after + half_ns)
        if abs(fit.steps_ns[k + 1] - fit.steps_ns[k]) > ONSET_STEP_NS:
            found.append(onsets.step_at(*search.pictures, (lines[0], lines[1]), ends))
        else:
            found.append(phat.step_at(search.a, search.b, (lines[0], lines[1]), ends))
    return np.array(found)


def _coarse(result: Pairing, search: _Search, shared: Shared) -> Pairing:
    """The onsets' own answer, where waveforms do not agree but beginnings do."""
    found, (_, chunks) = search.found, search.lines[0]
    rival = max((c.standing for c in found.candidates[1:] if _apart(c.line, found.candidates[0].line)), default=0.0)
    on = chunks.standing >= MIN_COARSE_STANDING
    if (
        found.false_alarm > COARSE_FALSE_ALARM
        or rival > MAX_COARSE_RIVAL * found.candidates[0].standing
        or not on.any()
    ):
        used, tried = result.evidence["windows_used"], result.evidence["windows_tried"]
        raise EvidenceError(
            f"the sounds of {result.source} and {result.target} have nothing in common that stands out ({used:.0f} "
            f"of {tried:.0f} windows agree); use start and end tones, or check that the recordings overlap"
        )
    shared = (*shared, (f"onsets, {shared[0][0]}", float(np.copysign(COARSE_SHARED_NS, shared[0][1] or 1.0))))
    matches = tuple(
        replace(
            _match(search, u, lag, shared),
            sigma_ns=round(COARSE_NS / standing, 1),
            score=round(min(1.0, standing / 20), 4),
        )
        for u, lag, standing in zip(chunks.u_ns[on], chunks.lag_ns[on], chunks.standing[on], strict=True)
    )
    reason = "only the onsets agree, not the waveforms"
    return replace(result, verdict="coarse", reason=reason, matches=matches)


def _apart(one: Line, other: Line) -> bool:
    """Two lines that are not the same peak's flanks."""
    return abs(float(one.lag(other.at_ns)) - other.offset_ns) > 2.5 * onsets.DISTINCT_NS


def _match(search: _Search, u_ns: float, lag_ns: float, shared: Shared) -> Match:
    a, b = search.a, search.b
    return Match(
        method="audio",
        source=a.clock,
        target=b.clock,
        t_ns=a.t0_ns + round(u_ns),
        offset_ns=b.t0_ns - a.t0_ns + round(lag_ns),
        sigma_ns=COARSE_NS,
        score=0.0,
        shared=shared,
    )


def _evidence(fit: Fit, rival: float, found: Search) -> dict[str, float]:
    u_s = fit.windows.u_ns * 1e-9
    edges = np.concatenate([u_s[:1], u_s[fit.used], u_s[-1:]])
    others = [c.standing for c in found.candidates[1:] if _apart(c.line, found.candidates[0].line)]
    return {
        "windows_tried": len(u_s),
        "windows_used": int(fit.used.sum()),
        "windows_clear": int(fit.windows.clear.sum()),
        "window_samples": fit.windows.length,
        "longest_silent_s": round(float(np.diff(edges).max()), 3),
        "runner_up": round(rival, 4),
        "onsets": round(found.candidates[0].standing, 1),
        "onsets_runner_up": round(max(others, default=0.0), 1),
        "onsets_by_chance": round(float(found.null.max()), 1),
        "false_alarm": float(f"{found.false_alarm:.1e}"),
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
    breaks = tuple(
        t + next(m.offset_ns for m in pairing.matches if m.piece == k) for k, t in enumerate(pairing.breaks_ns)
    )
    return replace(pairing, source=pairing.target, target=pairing.source, matches=matches, breaks_ns=breaks)
