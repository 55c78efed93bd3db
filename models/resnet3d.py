"""ResNet "2d3d": two layers of flat kernels, two of solid ones (Han, Xie, Zisserman, DPC, ICCVW 2019).

Only the last two layers look along time, and only they halve it; layer 4 has the channels of layer 3 and its last
block ends without ReLU, so that its features may be negative. Names are those of the DPC code (``conv1``, ``bn1``,
``layer3.0.conv2``, ``layer4.0.downsample.0``). Shapes of ResNet-18 for one block of 5 frames of 128 x 128 pixels:

    layer           output (C x T x H x W)    of
    conv1, bn1      64 x 5 x 64 x 64          1x7x7, stride 1, 2, 2
    maxpool         64 x 5 x 32 x 32          1x3x3, stride 1, 2, 2
    layer1          64 x 5 x 32 x 32          1x3x3
    layer2          128 x 5 x 16 x 16         1x3x3, stride 1, 2, 2
    layer3          256 x 3 x 8 x 8           3x3x3, stride 2
    layer4          256 x 2 x 4 x 4           3x3x3, stride 2

Parameters: 14,057,536 (18), 32,422,208 (34), 23,562,304 (50, whose blocks are bottlenecks: 1024 channels come out).

In use, flat kernels see frames by themselves with batch norm folded in, and channels are last in memory, which is
faster on a processor; in training on one it gains nothing, and things are as they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import require
from models.reference import load_exactly, without_prefix

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 256)


class BasicBlock(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)), of flat (1x3x3) or solid (3x3x3) kernels."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, solid: bool, rectified: bool = True) -> None:
        super().__init__()
        self.conv1 = _conv3(inputs, width, stride, solid)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = _conv3(width, width, 1, solid)
        self.bn2 = nn.BatchNorm3d(width)
        self.downsample = _shortcut(inputs, width, stride, solid)
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, width, T', H / stride, W / stride), rounded up; T' = T where flat.

        In use, flat kernels also take frames by themselves: (B*T, inputs, H, W).
        """
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu_(normed(self.conv1, self.bn1, x))
        y = normed(self.conv2, self.bn2, y).add_(shortcut)
        return torch.relu_(y) if self.rectified else y


class Bottleneck(nn.Module):
    """1x1x1 down, a flat or solid kernel, 1x1x1 up to four times the width; shortcut as in `BasicBlock`."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, solid: bool, rectified: bool = True) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = _conv3(width, width, stride, solid)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, solid)
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T, H, W) -> (B, 4 * width, T', H / stride, W / stride), rounded up; T' = T where flat.

        In use, flat kernels also take frames by themselves: (B*T, inputs, H, W).
        """
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu_(normed(self.conv1, self.bn1, x))
        y = torch.relu_(normed(self.conv2, self.bn2, y))
        y = normed(self.conv3, self.bn3, y).add_(shortcut)
        return torch.relu_(y) if self.rectified else y


class ResNet2d3d(nn.Module):
    """The network without a classifier.

    Args:
        depth: 18, 34 or 50.
        widths: of the four layers; the stem has that of the first.
        inputs: channels of a frame.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, depth: int = 18, widths: Sequence[int] = WIDTHS, inputs: int = 3) -> None:
        super().__init__()
        require(depth in BLOCKS, "depth", f"must be one of {', '.join(map(str, BLOCKS))}", depth)
        self.conv1 = nn.Conv3d(inputs, widths[0], (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(widths[0])
        self.maxpool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        kind = Bottleneck if depth == 50 else BasicBlock
        before = widths[0]
        for layer, (width, count) in enumerate(zip(widths, BLOCKS[depth], strict=True), start=1):
            blocks = []
            for i in range(count):
                stride = 2 if i == 0 and layer > 1 else 1
                last = layer == 4 and i == count - 1
                blocks.append(kind(before, width, stride, solid=layer > 2, rectified=not last))
                before = width * kind.expansion
            setattr(self, f"layer{layer}", nn.Sequential(*blocks))
        self.outputs = before
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, frames: Tensor) -> Tensor:
        """Features of blocks of frames.

        Args:
            frames: (B, inputs, T, H, W) float, normalised as the weights expect.

        Returns:
            (B, outputs, T / 4, H / 32, W / 32), each rounded up; of either sign.
        """
        if self.training:
            x = frames.contiguous(memory_format=torch.channels_last_3d) if frames.is_cuda else frames
            x = torch.relu_(normed(self.conv1, self.bn1, x))  # (B, widths[0], T, H/2, W/2)
            x = self.layer2(self.layer1(self.maxpool(x)))  # (B, ., T, H/8, W/8)
        else:
            x = frames.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
            x = torch.relu_(normed(self.conv1, self.bn1, x))  # (B*T, widths[0], H/2, W/2)
            x = self.layer2(self.layer1(F.max_pool2d(x, 3, 2, padding=1)))
            x = x.unflatten(0, (len(frames), -1)).transpose(1, 2)  # (B, ., T, H/8, W/8), channels last
        return self.layer4(self.layer3(x))


def normed(conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """A convolution and its batch norm; of frames by themselves, (B*T, C, H, W), as one convolution in the plane.

    Maps of solid kernels are so small beside their weights that folding would cost more than it saves.
    """
    if x.dim() == 5:
        return norm(conv(x))
    assert isinstance(conv, nn.Conv3d)
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight = conv.weight[:, :, 0] * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    return F.conv2d(x, weight.contiguous(memory_format=torch.channels_last), bias, conv.stride[1:], conv.padding[1:])


def _conv3(inputs: int, outputs: int, stride: int, solid: bool) -> nn.Conv3d:
    if solid:
        return nn.Conv3d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Conv3d(inputs, outputs, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1), bias=False)


class Normed(nn.Sequential):
    """A convolution and its batch norm by `normed`."""

    def forward(self, x: Tensor) -> Tensor:
        """See `normed`."""
        conv, norm = self
        return normed(conv, norm, x)


def _shortcut(inputs: int, outputs: int, stride: int, solid: bool) -> Normed | None:
    if stride == 1 and inputs == outputs:
        return None
    steps = (stride if solid else 1, stride, stride)
    return Normed(nn.Conv3d(inputs, outputs, 1, steps, bias=False), nn.BatchNorm3d(outputs))


def from_reference(state_dict: Mapping[str, Tensor], depth: int = 18, **config: object) -> nn.Module:
    """A ResNet with the weights of the DPC code's ``backbone``; `config` are the constructor's arguments."""
    module = ResNet2d3d(depth, **config)  # type: ignore[arg-type]
    return load_exactly(module, without_prefix(state_dict), f"resnet{depth}_2d3d")


resnet18 = partial(from_reference, depth=18)
resnet34 = partial(from_reference, depth=34)
resnet50 = partial(from_reference, depth=50)
