"""Sound as a picture: the logarithm of its power in 128 bands, row by row.

Stevens' mel scale in Slaney's form (Auditory Toolbox, 1998): linear to 1 kHz, a factor of 6.4 in frequency for 27 mels
above it. The bands are fixed in hertz and the rows in seconds, whatever the microphone's rate: a row of a film at
44.1 kHz means the same as one of a kit at 48 kHz. There are 44,100 / 512 rows a second, which are HOMAGE's (Rai et al.,
CVPR 2021): four seconds are its 344 rows. The hop is then 557.3 samples at 48 kHz, so that each row's window is put at
the nearest sample: 10 us at most from where it belongs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

MELS = 128
ROWS_HZ = 44_100 / 512
WINDOW_S = 2048 / 48_000
LOWEST_HZ, HIGHEST_HZ = 0.0, 20_000.0
FLOOR = 1e-10
"""Power below it is not told from silence: -100 dB of a full-scale sine's."""
_BLOCK = 1024


def log_mel(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Log-mel picture of a piece of sound.

    Args:
        samples: (N,) float in [-1, 1]; what is before and after them counts as silence.
        rate_hz: samples per second.

    Returns:
        (128, rows) float32: natural logarithm of the power in each band, bands of 0 to 20,000 Hz upwards, at least
        ln(1e-10). Row k is centred on ``k / ROWS_HZ`` seconds after sample 0; each centre is in the sound.
    """
    window, bands = _window(rate_hz), _filters(rate_hz)
    size = len(window)
    rows = row_count(len(samples), rate_hz)
    padded = np.pad(np.asarray(samples, np.float32), (size // 2, size))
    starts = np.rint(np.arange(rows) * (rate_hz / ROWS_HZ)).astype(np.int64)
    views = np.lib.stride_tricks.sliding_window_view(padded, size)
    picture = np.empty((MELS, rows), np.float32)
    for first in range(0, rows, _BLOCK):
        spectrum = np.fft.rfft(views[starts[first : first + _BLOCK]] * window)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        picture[:, first : first + _BLOCK] = np.log(np.maximum(bands @ power.T, FLOOR))
    return picture


def row_count(samples: int, rate_hz: float) -> int:
    """How many rows `log_mel` makes of so many samples: those whose centre is one of them."""
    return 0 if samples == 0 else int(np.floor((samples - 0.5) * (ROWS_HZ / rate_hz))) + 1


@lru_cache(maxsize=8)
def _window(rate_hz: float) -> np.ndarray:
    """(L,) Hann window of `WINDOW_S`, scaled so that a full-scale sine on a bin has the power 1 in that bin."""
    size = 2 * round(WINDOW_S * rate_hz / 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return (2 * hann / hann.sum()).astype(np.float32)


@lru_cache(maxsize=8)
def _filters(rate_hz: float) -> np.ndarray:
    """(128, L // 2 + 1) float32: triangles between neighbours' centres, each of area 1 in hertz times a bin's width."""
    size = len(_window(rate_hz))
    corners = _hertz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), MELS + 2))
    frequency = np.arange(size // 2 + 1) * rate_hz / size
    rise = (frequency - corners[:-2, None]) / np.diff(corners)[:-1, None]
    fall = (corners[2:, None] - frequency) / np.diff(corners)[1:, None]
    triangles = np.maximum(0, np.minimum(rise, fall))
    area = (corners[2:] - corners[:-2]) / 2
    return (triangles * (rate_hz / size / area[:, None])).astype(np.float32)


def _mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def _hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
