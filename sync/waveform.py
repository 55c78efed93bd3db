"""What both sound methods need: one working rate, and peaks read between the samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy import signal

from firmware_host.errors import EvidenceError
from recorder.series import Sound

WORK_HZ = 16_000
SILENT_RMS = 1e-5
"""-100 dBFS: below the noise of any microphone, so what is below it was never connected."""
_REACH, _FINE = 16, 16


def working(sound: Sound) -> Sound:
    """The sound at about `WORK_HZ`, same clock, sample 0 at the same time.

    The ratio is a short fraction of the *nominal* rate; the true rate is scaled with it, so times stay true.

    Raises:
        EvidenceError: there is nothing to hear.
    """
    x = np.nan_to_num(sound.x, nan=0.0, posinf=0.0, neginf=0.0)
    if len(x) < sound.rate_hz or float(np.sqrt(np.mean(np.square(x), dtype=np.float64))) < SILENT_RMS:
        what = "is silent" if len(x) >= sound.rate_hz else "is shorter than a second"
        raise EvidenceError(f"the sound of {sound.clock} {what}; check that its microphone was recording")
    ratio = Fraction(WORK_HZ, round(sound.rate_hz)).limit_denominator(640)
    if ratio != 1:
        x = signal.resample_poly(x, ratio.numerator, ratio.denominator).astype(np.float32)
    return Sound(x, sound.rate_hz * ratio.numerator / ratio.denominator, sound.t0_ns, sound.clock)


def peak(x: np.ndarray, index: int) -> float:
    """Position of the maximum near sample `index` of a band-limited signal, in fractions of a sample.

    Band-limited interpolation on a grid 16 times as fine, then a parabola through the three highest values.
    Near an edge the sample itself is the answer.
    """
    if index < _REACH + 1 or index >= len(x) - _REACH - 1:
        return float(index)
    near = np.asarray(x[index - _REACH : index + _REACH + 1], np.float64)
    fine = np.arange(-_FINE - 1, _FINE + 2) / _FINE
    lag = fine[:, None] - np.arange(-_REACH, _REACH + 1)
    kernel = np.sinc(lag) * np.cos(np.pi / 2 * np.clip(lag / (_REACH + 1), -1, 1)) ** 2
    y = kernel @ near
    k = int(np.argmax(y[1:-1])) + 1
    bend = y[k - 1] - 2 * y[k] + y[k + 1]
    step = 0.5 * (y[k - 1] - y[k + 1]) / bend if bend < 0 else 0.0
    return float(index + fine[k] + np.clip(step, -0.5, 0.5) / _FINE)


def noise_level(x: np.ndarray) -> float:
    """Robust standard deviation about zero: 1.4826 times the median absolute value."""
    return float(1.4826 * np.median(np.abs(x)))
