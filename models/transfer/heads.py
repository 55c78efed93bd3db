"""What is trained on the frozen maps, one head a task. Names are those of the authors' code, so that its files load.

At full size, from maps 64 x 112 x 112 (c1), 64 x 56 x 56, 128 x 28 x 28, 256 x 14 x 14 and 512 x 7 x 7 (c5):

    scene      c5 -> 1x1 to 64 -> 3136 -> 512 -> classes                           2,105,293 with 397 classes
    action     c5 of each frame -> 1x1 to 64 -> LSTM 512 of 3 layers -> 200 -> 9   12,077,593
    dynamics   c5 -> 1x1 to 64, beside the object's mask -> three convolutions to 64 x 7 x 7; 6272 -> 3136 -> 512 -> 66
                                                                                   23,217,538
    depth      c5 -> 1x1 to 64 -> 14 (+ c4) -> 28 (+ c3) -> 56 (+ c2) -> 112 (+ c1) -> 1 x 224 x 224, by pixel shuffle
                                                                                   2,249,028
    walkable   the same with 2 channels                                            2,251,336

Where the paper's text and the authors' code differ (one LSTM layer, two convolutions for the mask, two linear layers
there), the code is followed. The first three heads hold `embedding_input`, a layer of 262,656 numbers that their code
builds and never calls: it is frozen, and there so that their files load by name and the counts agree.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from models.transfer.config import Config

MASK_WIDTHS = (64, 256)
ACTION_HIDDEN = 200


class SceneHead(nn.Module):
    """The class of one picture."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding_input = _idle(config)
        self.pointwise_conv = _pointwise(config)
        cells = config.channels * config.side**2
        self.scene_unembed = _perceptron((cells, config.hidden, len(config.classes)), config.dropout)

    def forward(self, pyramid: list[Tensor], mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Maps of B pictures -> logits (B, classes)."""
        return self.scene_unembed(self.pointwise_conv(pyramid[-1]).flatten(1))


class ActionHead(nn.Module):
    """The class of a clip."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding_input = _idle(config)
        self.pointwise_conv = _pointwise(config)
        self.frames = config.frames
        self.lstm = nn.LSTM(config.channels * config.side**2, config.hidden, config.layers, batch_first=True)
        self.action_unembed = _perceptron((config.hidden, ACTION_HIDDEN, len(config.classes)), config.dropout)

    def forward(self, pyramid: list[Tensor], mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Maps of B * T frames -> logits (B, classes)."""
        cells = self.pointwise_conv(pyramid[-1]).flatten(1).unflatten(0, (-1, self.frames))  # (B, T, cells)
        _, (hidden, _) = self.lstm(cells)
        return self.action_unembed(hidden[-1])


class DynamicsHead(nn.Module):
    """How the object in a box will move."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding_input = _idle(config)
        self.pointwise_conv = _pointwise(config)
        first, second = MASK_WIDTHS
        self.conv1, self.bn1 = nn.Conv2d(1, first, 7, 2, 3), nn.BatchNorm2d(first)
        self.conv2, self.bn2 = nn.Conv2d(first, second, 7, 2, 3), nn.BatchNorm2d(second)
        self.conv3, self.bn3 = nn.Conv2d(second, config.channels, 7, 2, 3), nn.BatchNorm2d(config.channels)
        cells = config.channels * config.side**2
        self.vind_unembed = _perceptron((2 * cells, cells, config.hidden, len(config.classes)), config.dropout)

    def forward(self, pyramid: list[Tensor], mask: Tensor | None = None) -> Tensor:
        """Maps of B pictures, and a mask (B, 1, S, S) that is 1 in the object's box -> logits (B, classes)."""
        image = self.pointwise_conv(pyramid[-1])
        x = F.max_pool2d(F.leaky_relu(self.bn1(self.conv1(mask))), 3, 2, 1)
        x = F.max_pool2d(F.leaky_relu(self.bn2(self.conv2(x))), 3, 2, 1)
        x = F.adaptive_avg_pool2d(self.bn3(self.conv3(x)), image.shape[-2:])  # as it is, with the default strides
        return self.vind_unembed(torch.cat([image.flatten(1), x.flatten(1)], dim=1))


class SurfaceHead(nn.Module):
    """A value for every pixel, by five steps up (a feature pyramid); the authors train it without dropout."""

    def __init__(self, config: Config, outputs: int) -> None:
        super().__init__()
        widths = config.widths
        self.pointwise_conv = nn.Sequential(nn.Conv2d(widths[3], config.channels, 1), nn.LeakyReLU())
        self.depth_up1, self.depth_up2 = _up(config.channels, widths[2]), _up(widths[2], widths[1])
        self.depth_up3, self.depth_up4 = _up(widths[1], widths[0]), _up(widths[0], widths[0])
        self.depth_up5 = _up(widths[0], outputs)[:2]

    def forward(self, pyramid: list[Tensor], mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Maps of B pictures -> (B, outputs, 2 * h, 2 * w), h x w being the size of the first map."""
        x = self.pointwise_conv(pyramid[-1])
        stages = (self.depth_up1, self.depth_up2, self.depth_up3, self.depth_up4)
        for stage, beside in zip(stages, reversed(pyramid[:-1]), strict=True):
            x = F.interpolate(stage(x), beside.shape[-2:], mode="bilinear", align_corners=False) + beside
        return self.depth_up5(x)


def head_of(config: Config) -> nn.Module:
    """The head of a task."""
    if config.task in ("walkable", "depth"):
        return SurfaceHead(config, 2 if config.task == "walkable" else 1)
    return {"scene": SceneHead, "action": ActionHead, "dynamics": DynamicsHead}[config.task](config)


def _pointwise(config: Config) -> nn.Sequential:
    conv = nn.Conv2d(config.widths[3], config.channels, 1)
    return nn.Sequential(conv, nn.LeakyReLU(), nn.Dropout(config.dropout))


def _idle(config: Config) -> nn.Linear:
    return nn.Linear(config.widths[3], config.hidden).requires_grad_(False)


def _perceptron(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    hidden = [
        nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(), nn.Dropout(dropout)) for a, b in itertools.pairwise(sizes[:-1])
    ]
    return nn.Sequential(*hidden, nn.Sequential(nn.Linear(sizes[-2], sizes[-1])))


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU())
