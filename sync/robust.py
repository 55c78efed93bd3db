"""A line through windows of which some are wrong, and where the line breaks.

Windows disagree for three reasons, and each is told by its shape. A wrong peak stands alone. A path that changes
(someone walks, another source speaks) moves the lag by what the room allows, and back again. Lost samples move it
at once and for good. So the line is first sought by consensus within what the path allows; then the windows are
followed in time, and cut where the lag jumps and does not return; then one drift and one offset a stretch are fitted
together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sync.alignment import MAX_SKEW_PPM
from sync.onsets import Line
from sync.phat import Windows

MIN_RUN = 3
MIN_STEP_NS = 3e6
STEP_OVER_SCATTER = 8.0
SMALL_OVER_SCATTER = 12.0
PATH_SHARE = 0.55
"""A jump above this share of the tolerance is more than any path allows: samples were lost. A smaller one counts
only if it is alone and the windows are else quiet; several are people who walk and talk in turn."""
MIN_SIGMA_NS = 5e3
"""No window is trusted further than a twelfth of a sample at the working rate."""
HUBER = 1.5
ROUNDS = 8


@dataclass(frozen=True)
class Fit:
    """A line through windows.

    Attributes:
        line: offset and drift of the longest stretch.
        steps_ns: (P,) float64, offset of each stretch against the longest one.
        windows: all that were tried.
        piece: (N,) int, the stretch each window lies on; -1 for none.
    """

    line: Line
    steps_ns: np.ndarray
    windows: Windows
    piece: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """(N,) bool, the windows that lie on a stretch."""
        return np.asarray(self.piece >= 0)

    @property
    def share(self) -> float:
        """Windows that lie on a stretch and spoke for themselves, over windows tried."""
        return float(np.mean(self.used & self.windows.spoke))

    @property
    def residual_ns(self) -> np.ndarray:
        """(used,) float64, what the line leaves of each used window."""
        u = self.windows.u_ns[self.used]
        return self.windows.lag_ns[self.used] - self.line.lag(u) - self.steps_ns[self.piece[self.used]]

    @property
    def scatter_ns(self) -> float:
        """Robust standard deviation of one used window."""
        left = self.residual_ns
        return max(1.4826 * float(np.median(np.abs(left))) if len(left) else 0.0, MIN_SIGMA_NS)


def consensus(heard: Windows, guess: Line, tolerance_ns: float) -> Fit:
    """The line that most clear windows lie on, of all lines through two of them.

    Args:
        tolerance_ns: how far from a line a window may be to lie on it.
    """
    u, lag, index = heard.u_ns, heard.lag_ns, np.flatnonzero(heard.clear)
    if not len(index):
        return Fit(guess, np.zeros(1), heard, np.full(len(u), -1))
    i, j = (index[k] for k in np.triu_indices(len(index)))
    limit = MAX_SKEW_PPM * 1e-6
    slope = np.where(i == j, guess.skew, (lag[j] - lag[i]) / np.where(i == j, 1.0, u[j] - u[i]))
    possible = (np.abs(slope) - limit) * np.abs(u[j] - u[i]) <= tolerance_ns
    i, slope = i[possible], np.clip(slope[possible], -limit, limit)
    error = np.abs(lag[index] - lag[i][:, None] - slope[:, None] * (u[index] - u[i][:, None]))
    gain = np.sum((error < tolerance_ns) * (2 - error / tolerance_ns), axis=1)
    k = int(np.argmax(gain))
    at = float(u[index].mean())
    line = Line(at, float(lag[i[k]] + slope[k] * (at - u[i[k]])), float(slope[k]))
    near = heard.clear & (np.abs(lag - line.lag(u)) < tolerance_ns)
    return Fit(line, np.zeros(1), heard, np.where(near, 0, -1))


def refined(rough: Fit, tolerance_ns: float) -> Fit:
    """One drift and one offset for each stretch, by least squares with Huber's weights."""
    heard, line = rough.windows, rough.line
    piece = _stretches(rough, tolerance_ns)
    used = np.flatnonzero(piece >= 0)
    if not len(used):
        return rough
    count = int(piece.max()) + 1
    u = (heard.u_ns[used] - line.at_ns) * 1e-9
    basis = np.column_stack([*(piece[used] == n for n in range(count)), u]).astype(float)
    error = heard.lag_ns[used] - line.lag(heard.u_ns[used])
    weight, solution = np.ones(len(used)), np.zeros(count + 1)
    for _ in range(ROUNDS):
        solution = np.linalg.lstsq(basis * weight[:, None], error * weight, rcond=None)[0]
        left = np.abs(error - basis @ solution)
        scale = max(1.4826 * float(np.median(left)), MIN_SIGMA_NS)
        weight = np.sqrt(np.minimum(1.0, HUBER * scale / np.maximum(left, 1e-9)))
    main = int(np.argmax(np.bincount(piece[used])))
    skew = line.skew + float(solution[count]) * 1e-9
    better = Line(line.at_ns, line.offset_ns + float(solution[main]), skew)
    return Fit(better, solution[:count] - solution[main], heard, piece)


def _stretches(rough: Fit, tolerance_ns: float) -> np.ndarray:
    """Number of the stretch each window lies on, by time; -1 for none."""
    heard = rough.windows
    error = heard.lag_ns - rough.line.lag(heard.u_ns)
    clear = np.flatnonzero(heard.clear)
    if len(clear) < 2 * MIN_RUN:
        return rough.piece
    # A line through both sides of a step is tilted by it; the drift within a quarter of the recording is mostly not.
    quarter = max(len(clear) // 4, 1)
    rise = error[clear[quarter:]] - error[clear[:-quarter]]
    tilt = float(np.median(rise / (heard.u_ns[clear[quarter:]] - heard.u_ns[clear[:-quarter]])))
    error = error - tilt * (heard.u_ns - rough.line.at_ns)
    scatter = 1.4826 * float(np.median(np.abs(np.diff(error[clear]))))
    sure_ns = sure_step_ns(tolerance_ns)
    jump_ns = max(MIN_STEP_NS, min(STEP_OVER_SCATTER * scatter, sure_ns))
    runs, wide = _runs(error, clear, jump_ns), _runs(error, clear, sure_ns)
    if sum(map(len, wide)) >= sum(map(len, runs)) + MIN_RUN:
        runs = wide  # jumps that a path explains broke up a stretch until nothing was left of it
    steps = np.abs(np.diff([np.median(error[r]) for r in runs]))
    small = steps[steps < sure_ns]
    if len(small) > 1 or (len(small) and small[0] < SMALL_OVER_SCATTER * scatter):
        runs = wide
    levels = [float(np.median(error[r])) for r in runs]
    returns = any(abs(a - b) < jump_ns for k, a in enumerate(levels) for b in levels[k + 2 :])
    if len(runs) < 2 or (returns and np.ptp(levels) < 2 * tolerance_ns):
        return rough.piece
    piece = np.full(len(error), -1)
    for number, run in enumerate(runs):
        piece[run] = number
    return piece


def sure_step_ns(tolerance_ns: float) -> float:
    """The smallest jump that no path explains."""
    return max(MIN_STEP_NS, PATH_SHARE * tolerance_ns)


def _runs(error: np.ndarray, clear: np.ndarray, jump_ns: float) -> list[np.ndarray]:
    """Windows in a row without a jump; short rows are wrong peaks, and what they interrupt is joined again."""
    cuts = np.flatnonzero(np.abs(np.diff(error[clear])) > jump_ns) + 1
    runs: list[np.ndarray] = []
    for run in np.split(clear, cuts):
        if len(run) < MIN_RUN:
            continue
        if runs and abs(np.median(error[runs[-1][-MIN_RUN:]]) - np.median(error[run[:MIN_RUN]])) < jump_ns:
            runs[-1] = np.concatenate([runs[-1], run])
        else:
            runs.append(run)
    return runs


def inflation(left: np.ndarray) -> float:
    """How many residuals in a row are worth one independent one, from the correlation of neighbours.

    A path that changed as someone walked stays changed for a while. Never less than 2: the windows overlap by half.
    """
    if len(left) < 4:
        return 2.0
    limit = 4.0 * float(np.median(np.abs(left))) + 1e-9
    x = np.clip(left, -limit, limit)
    r = float(np.clip(np.sum(x[1:] * x[:-1]) / (np.sum(x * x) + 1e-9), 0.0, 0.95))
    return max(2.0, min((1 + r) / (1 - r) + 1.0, len(left) / 2))
