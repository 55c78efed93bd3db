"""Attention over the cells of a map (eq. 2), and what it looks at as a picture.

alpha = MLP of all cells together, p = softmax(alpha), context = sum over cells of p * cell. No temperature: the paper
found that it changes nothing, as the network scales alpha itself.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

WIDTH = 32


class Attention(nn.Module):
    """Weights of the cells of a map; 17,760 parameters for 256 channels and 4 x 4 cells.

    Args:
        channels: of the map.
        cells: how many there are.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Linear(channels, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.attention = nn.Sequential(
            nn.Linear(cells * WIDTH, cells), nn.ReLU(), nn.Linear(cells, cells), nn.Softmax(dim=-1)
        )

    def forward(self, grid: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, h, w), positive, summing to 1 over the cells."""
        cells = self.projection(grid.flatten(2).transpose(1, 2))  # (B, h*w, WIDTH)
        return self.attention(cells.flatten(1)).view(-1, *grid.shape[2:])


def uniform(grid: Tensor) -> Tensor:
    """Equal weights for every cell of (B, C, h, w): (B, h, w)."""
    height, width = grid.shape[2:]
    return grid.new_full((len(grid), height, width), 1 / (height * width))


def pooled(grid: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum of the cells: (B, C, h, w) and (B, h, w) -> (B, C)."""
    return torch.einsum("bchw,bhw->bc", grid, weights)


def picture(frame: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A frame as bright as it is looked at.

    Args:
        frame: (S, S, 3) uint8 RGB.
        weights: (h, w), positive; their largest is shown at full brightness, none at a quarter.

    Returns:
        (S, S, 3) uint8.
    """
    side = frame.shape[0]
    cells = torch.from_numpy(np.asarray(weights, np.float32))[None, None]
    smooth = torch.nn.functional.interpolate(cells, (side, side), mode="bicubic", align_corners=False)[0, 0].numpy()
    shown = 0.25 + 0.75 * np.clip(smooth / max(float(smooth.max()), 1e-12), 0, 1)
    return np.rint(frame * shown[..., None]).astype(np.uint8)
