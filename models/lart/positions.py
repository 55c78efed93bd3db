"""Where a token stands: the step in time and the track, as sines and cosines.

Half of the channels tell the track, half the time; within a half of d / 2 channels, sines and cosines take turns with
frequency 10000 ** (-4k / d). The paper puts time first and leaves the code as it is; the authors' code puts the track
first, for up to 250 steps of 10 tracks, and learns it on from there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEPS, TRACKS = 250, 10
"""Places for which the authors' code holds a position."""


def sines(places: int, width: int) -> Tensor:
    """(places, width) float32; row p is sin(p f_0), cos(p f_0), sin(p f_1), ... with f_k = 10000 ** (-2k / width)."""
    frequency = torch.exp(torch.arange(0.0, width, 2) * (-math.log(10000.0) / width))
    angle = torch.arange(float(places))[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def positions(width: int, steps: int, tracks: int, time_first: bool) -> Tensor:
    """(width, steps, tracks) float32, as the authors' code stores it; `width` is a multiple of 4."""
    of_step = sines(steps, width // 2).T[:, :, None].expand(-1, -1, tracks)
    of_track = sines(tracks, width // 2).T[:, None, :].expand(-1, steps, -1)
    return torch.cat([of_step, of_track] if time_first else [of_track, of_step])
