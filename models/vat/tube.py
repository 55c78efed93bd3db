"""The I3D head: what is inside the box, all along the clip, and nothing else (section 3.3 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import boxes as boxing
from models.i3d import I3D
from models.vat.attention import CELLS

TOGETHER = 16
"""Boxes that are computed at a time: one alone is 16 x 49 x 832 numbers before the first layer."""


class Tube(nn.Module):
    """The box stretched over time, cut out of every step, through the layers of I3D that the trunk left.

    Args:
        channels: of the map.
        narrow: of the I3D.
    """

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.tail = I3D(classes=0, inputs=channels, first="MaxPool3d_5a_2x2", narrow=narrow)
        self.outputs = self.tail.channels

    def forward(self, maps: Tensor, boxes: Tensor) -> Tensor:
        """(B, C, T, H, W), (B, R, 4) -> (B, R, outputs), the mean over what is left of 16 x 7 x 7 cells."""
        clips, boxed = boxes.shape[:2]
        if not boxed:
            return maps.new_zeros(clips, 0, self.outputs)
        return torch.cat([self._some(maps, part) for part in boxes.split(TOGETHER, dim=1)], dim=1)

    def _some(self, maps: Tensor, boxes: Tensor) -> Tensor:
        steps = maps.shape[2]
        frames = maps.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
        tube = boxes[:, None].expand(-1, steps, -1, -1).flatten(0, 1)  # (B * T, R, 4)
        cells = boxing.pooled(frames, tube, CELLS).unflatten(0, (-1, steps))  # (B, T, R, C, 7, 7)
        whole = cells.permute(0, 2, 3, 1, 4, 5).flatten(0, 1)  # (B * R, C, T, 7, 7)
        return self.tail(whole).unflatten(0, boxes.shape[:2])
