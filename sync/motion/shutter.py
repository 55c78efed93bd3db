"""How long a camera needs to read its rows, from how it turned.

Rows are read one after the other, so a row at height v (from -1/2 at the top to 1/2) sees the turning R v later than
the middle does: it sees R v times the angular acceleration more of it. That is the shear which the flow fits
(`sync.motion.flow`); the acceleration comes from the other sensor, which has no rows and less noise. A stamp of the
first row is then moved by half of R to the middle one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sync.motion.mounting import Prediction
from sync.motion.turning import Movement, Turning

USUAL, USUAL_SIGMA = 0.5, 0.25
"""Read-out of a camera of which nothing is known, in frame times."""
MODEL = 0.05
"""Share of a usual read-out by which a lens, and corners that are not everywhere, bend the fit."""
MIN_FRAMES = 30
CORRELATED = 3.0
ROUNDS = 4


@dataclass(frozen=True)
class Shutter:
    """Read-out of a camera, first row to last, and its standard deviation, ns; 0 and 0 for what has no rows."""

    readout_ns: float = 0.0
    sigma_ns: float = 0.0


def shutter(camera: Movement, predicted: Prediction) -> Shutter:
    """The read-out of a camera whose turning another sensor predicts; none of what is stamped in the middle."""
    if not isinstance(camera, Turning) or not camera.first_row or camera.shear_rad_s is None:
        return Shutter()
    half = max(camera.width_ns, 1) / 2
    grows = (predicted(half) - predicted(-half)) / (2 * half)
    return readout(camera.shear_rad_s, grows, predicted(0.0), float(camera.width_ns))


def readout(shear: np.ndarray, grows: np.ndarray, rate: np.ndarray, frame_ns: float) -> Shutter:
    """The regression of shear on how the turning grows, beside what lenses and near floors make of the turning itself.

    Args:
        shear: (N, 3) rad/s, the last row less the first, NaN where not known.
        grows: (N, 3) rad/s per ns. rate: (N, 3) rad/s.
        frame_ns: time of a frame, of which a read-out takes some part.
    """
    known = np.isfinite(shear).all(axis=1) & np.isfinite(grows).all(axis=1)
    usual = Shutter(USUAL * frame_ns, USUAL_SIGMA * frame_ns)
    if known.sum() < MIN_FRAMES:
        return usual
    others = np.column_stack([rate[known], np.ones(int(known.sum()))])
    # What the turning itself explains is taken from both sides; what is left of the growth is the regressor.
    own, cause = (v - others @ np.linalg.lstsq(others, v, rcond=None)[0] for v in (shear[known], grows[known]))
    weight, found, variance = np.ones((len(own), 1)), 0.0, np.inf
    for _ in range(ROUNDS):
        power = max(float(np.sum(weight * cause**2)), 1e-30)
        found = float(np.sum(weight * cause * own)) / power
        left = np.linalg.norm(own - found * cause, axis=1, keepdims=True)
        variance = CORRELATED * float(np.sum(weight * left**2)) / 3 / float(np.sum(weight)) / power
        weight = 1 / (1 + (left / (2 * np.median(left) + 1e-12)) ** 2)
    variance += (MODEL * usual.readout_ns) ** 2
    share = usual.sigma_ns**2 / (usual.sigma_ns**2 + variance)
    return Shutter(usual.readout_ns + share * (found - usual.readout_ns), float(np.sqrt(share * variance)))
