"""The other visual objective (section 5.3.1): build the picture again, an eighth of its side, from its features."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def up(inputs: int, outputs: int, factor: int, last: bool = False) -> nn.Sequential:
    """A 3x3 convolution whose channels become cells: (B, inputs, h, w) -> (B, outputs, factor * h, factor * w)."""
    layers = [nn.Conv2d(inputs, outputs * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers) if last else nn.Sequential(*layers, nn.LeakyReLU())


class Builder(nn.Module):
    """Five convolutions from the last map to the picture.

    At full size: 512 x 7 x 7, 1x1 to 64 x 7 x 7, then 256 x 14 x 14, 128 x 28 x 28, 64 x 56 x 56, 64 x 56 x 56 and
    3 x 56 x 56. The paper calls them up-convolutions; in the authors' code the last two keep the size.

    Args:
        widths: channels of the ResNet's layers.
        channels: of the 1x1 convolution.
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.pointwise_conv = nn.Sequential(nn.Conv2d(widths[3], channels, 1), nn.LeakyReLU())
        self.up1, self.up2 = up(channels, widths[2], 2), up(widths[2], widths[1], 2)
        self.up3, self.up4 = up(widths[1], widths[0], 2), up(widths[0], widths[0], 1)
        self.up5 = up(widths[0], 3, 1, last=True)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 3, 8 * h, 8 * w)."""
        x = self.pointwise_conv(maps)
        return self.up5(self.up4(self.up3(self.up2(self.up1(x)))))


def rebuild_loss(built: Tensor, frames: Tensor) -> Tensor:
    """Mean squared error to the frames, each brought to the size of what was built by means over areas.

    Args:
        built: (B, 3, s, s).
        frames: (B, 3, S, S), normalised.
    """
    height, width = built.shape[-2:]
    return F.mse_loss(built.float(), F.adaptive_avg_pool2d(frames.float(), (height, width)))
