"""The fine search: which of the onsets' lines do the windows confirm?

Windows are counted over those *tried*, not over those that spoke. Where a run of them is silent the onsets are asked
again, seconds wide, which is how lost samples show. A second line along which the same windows have peaks as high is
a rival: a loop, a machine's hum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sync import edges, onsets, phat
from sync.onsets import Followed, Line, Picture, Search
from sync.phat import Windows
from sync.robust import Fit, consensus, refined, sure_step_ns
from sync.waveform import Wave

LENGTHS = (2**16, 2**14, 2**18)
"""Samples of a window at the working rate: four seconds; one, where a talker walks; sixteen, where four say little."""
MIN_LENGTH = 2**13
MAX_WINDOWS = 120
TRIAL_WINDOWS, TRIED_ENOUGH = 12, 6
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
MAX_FALSE_ALARM, COARSE_FALSE_ALARM = 0.01, 3e-4
"""How likely chance may be as good as the onsets: where waveforms agree as well, and where nothing else is sure."""
DOUBTFUL_WINDOWS = 2
DOUBTLESS_WINDOWS, DOUBTLESS_STANDING = 5, 12.0
ENOUGH_SHARE = 0.5
SILENT_WINDOWS, EDGE_RUN = 2, 3
"""Windows in a row that do not lie on the line; of a run at an end of the recording, those at the very end."""
ELSEWHERE_STANDING, SURE_STANDING = 4.6, 10.0


@dataclass(frozen=True)
class Comparison:
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
        doubtful = self.found.false_alarm > MAX_FALSE_ALARM
        for wanted in LENGTHS[:-1] if doubtful else LENGTHS:
            trials = [self._trial(line, wanted) for line, _ in self.lines]
            trial = max(trials, key=lambda t: (int(t.used.sum()), float(t.windows.standing.mean())))
            if doubtful and trial.used.sum() < DOUBTFUL_WINDOWS:
                best = best or trial  # nothing could come of it that would be believed
            elif best is None or trial.share > best.share:
                fit = self._whole(trial, wanted)
                best = fit if best is None or fit.share > best.share else best
            if best.share > ENOUGH_SHARE or (wanted == LENGTHS[1] and self.agrees(best)):
                break
        assert best is not None
        return best, max(self._rivalry(best, line) for line, _ in self.lines)

    def agrees(self, fit: Fit) -> bool:
        """Whether enough windows of those tried lie on the line."""
        spoke = fit.windows.spoke
        used, clear = int((fit.used & spoke).sum()), int((fit.windows.clear & spoke).sum())
        vouched = self.found.false_alarm < COARSE_FALSE_ALARM and used >= MIN_OF_CLEAR * clear
        return used >= MIN_USED and fit.share >= (FEW_SHARE if vouched else MIN_SHARE)

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
        line = refined(trial, self.tolerance_ns).line if trial.used.sum() >= TRIED_ENOUGH else trial.line
        length = self._length(line, wanted)
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
        return self._along_stretches(refined(consensus(heard, rough.line, self.tolerance_ns), self.tolerance_ns))

    def _along_stretches(self, fit: Fit) -> Fit:
        """The ends asked alone; and beside a step each window that said nothing, along the line of its own stretch."""
        if not self.agrees(fit):
            return fit
        steps = fit.steps_ns
        ends = (fit.line.shifted(float(steps[0])), fit.line.shifted(float(steps[-1])))
        heard = edges.asked(self.a, self.b, self.pictures, fit.windows, ends, sure_step_ns(self.tolerance_ns))
        if heard is not fit.windows:
            fit = refined(consensus(heard, fit.line, self.tolerance_ns), self.tolerance_ns)
        if len(fit.steps_ns) < 2:
            return fit
        heard = fit.windows
        last = [float(heard.u_ns[fit.piece == k].max()) for k in range(len(fit.steps_ns) - 1)]
        where = np.searchsorted(last, heard.u_ns)
        for k, step in enumerate(fit.steps_ns):
            rows = np.flatnonzero((where == k) & ~(fit.used & heard.spoke))
            if len(rows):
                along = phat.windows(self.a, self.b, fit.line.shifted(float(step)), heard.u_ns[rows], heard.length)
                heard = heard.with_rows(rows[along.clear], along, along.clear)
        return refined(consensus(heard, fit.line, self.tolerance_ns), self.tolerance_ns)

    def _sought_again(self, heard: Windows, line: Line) -> Windows:
        """Runs of silent windows, tried along the line that the onsets of that stretch name.

        Where the onsets leave no doubt and the waveforms still say nothing, the onsets' own lag stands for them.
        """
        half_ns = 0.5e9 * heard.length / self.a.rate_hz
        for run in _silent_runs(heard, line, self.tolerance_ns):
            parts = [run, *(np.array_split(run, 2) if len(run) >= 12 else [])]
            if len(run) > EDGE_RUN and run[0] == 0:
                parts.append(run[:EDGE_RUN])
            if len(run) > EDGE_RUN and run[-1] == len(heard.u_ns) - 1:
                parts.append(run[-EDGE_RUN:])
            for part in parts:
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
            best.used
            & best.windows.spoke
            & (np.abs(other.lag(best.windows.u_ns) - best.windows.lag_ns) > onsets.DISTINCT_NS)
        )
        if len(rows) < MIN_RIVAL_SHARE * best.used.sum() or not len(rows):
            return 0.0  # the same line, or one that the windows of another stretch lie on
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, 2 * TRIAL_WINDOWS).astype(int))]
        u_ns = best.windows.u_ns[rows]
        # With a drift that is off by 100 ppm a true rival's peaks would be smeared to a quarter of their height.
        other = Line(float(u_ns.mean()), float(other.lag(u_ns.mean())), best.line.skew)
        heard = phat.windows(self.a, self.b, other, u_ns, best.windows.length)
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
